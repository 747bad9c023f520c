//! The main loop: sleeps until the next due moment or a signal, then claims what is due.

use crate::catch_up::CatchUp;
use crate::clocks::Clocks;
use crate::{Parts, carry, rescue};
use jiff::Timestamp;
use ringback_callbacks::wire_time::plus;
use ringback_store::{ClaimOrder, Signal};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::task::TaskTracker;

/// After a failure of the store the wheel rests before it asks again.
const REST: Duration = Duration::from_secs(1);

pub async fn turn(parts: Arc<Parts>, tasks: TaskTracker) {
    // Subscribed before the first look: nothing that happens between look and sleep is missed.
    let mut signals = parts.store.signals();
    let settings = &parts.settings;
    let mut catch_up = CatchUp::new(settings.catch_up_per_second, settings.longest_sleep);
    let mut clocks = Clocks::default();
    loop {
        if parts.draining.is_cancelled() {
            break;
        }
        // Left-overs first: a number that may still be ringing must be silent before it is rung again.
        let next = match look(&parts, &tasks, &mut catch_up, &mut clocks).await {
            Ok(next) => next,
            Err(error) => {
                parts.observer.store_failed();
                tracing::error!(error = %error, "the store failed while claiming");
                Some(plus(parts.clock.now(), REST))
            }
        };
        let latest = plus(parts.clock.now(), parts.settings.longest_sleep);
        let until = next.map_or(latest, |next| next.min(latest));
        tokio::select! {
            // In this order, and not in one by lot, so that two runs of the same day go alike.
            biased;
            () = parts.draining.cancelled() => break,
            () = parts.room.notified() => {}
            () = parts.planner.news.notified() => {}
            signal = signals.recv() => {
                heed(&parts, signal);
                // A burst of commits is one reason to look, not many.
                while let Ok(signal) = signals.try_recv() {
                    heed(&parts, Ok(signal));
                }
            }
            () = parts.clock.sleep_until(until) => {}
        }
    }
    // While calls finish, their tasks still need to hear of cancellations.
    loop {
        tokio::select! {
            biased;
            () = parts.ended.cancelled() => return,
            signal = signals.recv() => {
                if matches!(signal, Err(RecvError::Closed)) {
                    return;
                }
                heed(&parts, signal);
            }
        }
    }
}

async fn look(
    parts: &Arc<Parts>,
    tasks: &TaskTracker,
    catch_up: &mut CatchUp,
    clocks: &mut Clocks,
) -> ringback_store::Result<Option<Timestamp>> {
    if !clocks
        .agree(parts.store.as_ref(), parts.clock.as_ref())
        .await?
    {
        return Ok(Some(plus(parts.clock.now(), REST)));
    }
    rescue::lapsed(parts, tasks).await?;
    let mut planned;
    let paced = loop {
        let now = parts.clock.now();
        let room = catch_up.room(now);
        let places = parts.settings.max_claims.saturating_sub(parts.carried());
        parts.planner.catch_up(now).await?;
        let orders = parts.planner.orders(now);
        planned = orders.wake;
        let claimed = parts
            .store
            .claim_due(ClaimOrder {
                node: parts.node.clone(),
                now,
                lease: parts.settings.lease,
                limit: parts.settings.batch,
                places: places.min(room),
                picks: orders.picks.clone(),
            })
            .await;
        let seated = claimed
            .as_ref()
            .map_or(&[][..], |claimed| &claimed.callbacks);
        parts.planner.claimed(&orders.picks, seated);
        let claimed = claimed?;
        let taken = claimed.callbacks.len();
        let paced = catch_up.took(taken, places.min(room), claimed.more, now);
        for callback in claimed.callbacks {
            carry::spawn(parts, tasks, callback);
        }
        if !claimed.more || paced.is_some() || parts.draining.is_cancelled() {
            break paced;
        }
    };
    parts.observer.carried(parts.carried());
    parts.planner.watch(parts.clock.now()).await?;
    parts.planner.keep(parts.clock.now(), false).await?;
    let wake = parts.store.next_wake().await?;
    let next = [wake, paced, planned].into_iter().flatten().min();
    // Something due already that no place or seat could take is looked at again when a signal comes;
    // without this floor it would keep the wheel spinning.
    let floor = plus(parts.clock.now(), Duration::from_millis(250));
    Ok(next.map(|next| next.max(floor)))
}

fn heed(parts: &Parts, signal: Result<Signal, RecvError>) {
    match signal {
        Ok(Signal::Callback { tenant, id, .. }) => parts.nudge(&tenant, id),
        Ok(Signal::Agent { .. } | Signal::Queue { .. }) => {}
        // Too many to have heard each: everybody looks.
        Err(RecvError::Lagged(_)) => parts.nudge_all(),
        Err(RecvError::Closed) => {}
    }
}
