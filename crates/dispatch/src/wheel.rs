//! The main loop: sleeps until the next due moment or a signal, then claims what is due.

use crate::catch_up::{CatchUp, Taken};
use crate::clocks::Clocks;
use crate::contact::Contact;
use crate::{Parts, REST, carry, rescue};
use jiff::Timestamp;
use ringback_callbacks::wire_time::plus;
use ringback_store::{ClaimOrder, Signal, Then, Whose};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio_util::task::TaskTracker;

/// Signals between two looks from which on commits come in a crowd.
const CROWD: usize = 32;

/// How long the wheel is deaf in a crowd after a look that found nothing to do: each look costs the store two
/// transactions, and thousands of bookings a second for another day are no reason for hundreds of looks.
const DEAF: Duration = Duration::from_millis(5);

/// A lease that lapsed is found no later than this, whatever else goes on.
const LEFT_OVERS: Duration = Duration::from_secs(1);

pub async fn turn(parts: Arc<Parts>, tasks: TaskTracker) {
    // Subscribed before the first look: nothing that happens between look and sleep is missed.
    let mut signals = parts.store.signals();
    let settings = &parts.settings;
    let mut wheel = Wheel {
        catch_up: CatchUp::new(settings.catch_up_per_second, settings.longest_sleep),
        clocks: Clocks::default(),
        contact: Contact::new(settings.lease),
        left_overs: Timestamp::MIN,
        idle: false,
    };
    let mut heard = 0;
    loop {
        if parts.draining.is_cancelled() {
            break;
        }
        let next = match wheel.look(&parts, &tasks).await {
            Ok(next) => next,
            Err(error) => {
                wheel.contact.lost();
                parts.observer.store_failed();
                tracing::error!(error = %error, "the store failed while claiming");
                Some(plus(parts.clock.now(), REST))
            }
        };
        let now = parts.clock.now();
        let latest = plus(now, parts.settings.longest_sleep);
        let mut until = next.map_or(latest, |next| next.min(latest));
        let crowd = wheel.idle && heard >= CROWD;
        heard = 0;
        if crowd {
            tokio::select! {
                biased;
                () = parts.draining.cancelled() => break,
                () = parts.room.notified() => continue,
                () = parts.planner.news.notified() => continue,
                () = parts.clock.sleep_until(until.min(plus(now, DEAF))) => {}
            }
        }
        let in_touch = wheel.contact.next();
        let mut rests = true;
        while rests {
            tokio::select! {
                // In this order, and not in one by lot, so that two runs of the same day go alike.
                biased;
                () = parts.draining.cancelled() => rests = false,
                () = parts.room.notified() => rests = false,
                () = parts.planner.news.notified() => rests = false,
                signal = signals.recv() => {
                    rests = heed(&parts, signal, in_touch, &mut until);
                    heard += 1;
                }
                () = parts.clock.sleep_until(until) => rests = false,
            }
            // A burst of commits is one reason to look, not many.
            loop {
                let signal = match signals.try_recv() {
                    Ok(signal) => Ok(signal),
                    Err(TryRecvError::Lagged(missed)) => Err(RecvError::Lagged(missed)),
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                };
                rests &= heed(&parts, signal, in_touch, &mut until);
                heard += 1;
            }
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
                let mut whenever = Timestamp::MAX;
                heed(&parts, signal, Timestamp::MAX, &mut whenever);
            }
        }
    }
}

struct Wheel {
    catch_up: CatchUp,
    clocks: Clocks,
    contact: Contact,
    /// When to look again for claims that lapsed: at the next moment that was known, or soon.
    left_overs: Timestamp,
    /// The last look claimed nothing.
    idle: bool,
}

impl Wheel {
    /// Claims what is due. Says when to look again, if it is known.
    async fn look(
        &mut self,
        parts: &Arc<Parts>,
        tasks: &TaskTracker,
    ) -> ringback_store::Result<Option<Timestamp>> {
        let store = parts.store.as_ref();
        let agree = self.clocks.agree(store, parts.clock.as_ref()).await?;
        parts.out_of_step.store(!agree, Ordering::Relaxed);
        if !agree {
            return Ok(Some(plus(parts.clock.now(), REST)));
        }
        let now = parts.clock.now();
        // Left-overs first: a number that may still be ringing must be silent before it is rung again.
        let seek = now >= self.left_overs;
        if seek {
            // Where the store was away, their nodes could not lengthen them either, and talk on.
            let whose = if self.contact.is_steady(now) {
                Whose::Anybodys
            } else {
                Whose::ThisNodes
            };
            rescue::lapsed(parts, tasks, whose).await?;
        }
        self.idle = true;
        let mut looked;
        let mut planned;
        let (paced, soonest) = loop {
            looked = parts.clock.now();
            let room = self.catch_up.room(looked);
            let places = parts.settings.max_claims.saturating_sub(parts.carried());
            parts.planner.catch_up(looked).await?;
            let orders = parts.planner.orders(looked);
            planned = orders.wake;
            let claimed = parts
                .store
                .claim_due(ClaimOrder {
                    node: parts.node.clone(),
                    now: looked,
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
            let taken: Vec<Taken> = claimed.callbacks.iter().map(Taken::of).collect();
            self.idle &= taken.is_empty();
            let paced = self
                .catch_up
                .took(&taken, places.min(room), claimed.more, looked);
            // Not all of them used up the pace, and it was all that kept others from being taken up.
            let cut_short = !taken.is_empty() && taken.len() == room;
            for callback in claimed.callbacks {
                carry::spawn(parts, tasks, Box::new(callback));
            }
            let more = claimed.more || cut_short;
            if !more || paced.is_some() || parts.draining.is_cancelled() {
                break (paced, claimed.next);
            }
        };
        parts.observer.carried(parts.carried());
        parts.planner.watch(parts.clock.now()).await?;
        parts.planner.keep(parts.clock.now(), false).await?;
        if seek {
            self.left_overs = plus(now, LEFT_OVERS);
        }
        self.contact.looked(now, parts.clock.now());
        let lapse = soonest.lapse.unwrap_or(Timestamp::MAX);
        self.left_overs = self.left_overs.min(lapse);
        let floor = plus(parts.clock.now(), Duration::from_millis(250));
        // Something due already that no place or seat could take is looked at again when a signal comes;
        // without this floor it would keep the wheel spinning. What has come due during the look, and what comes
        // due in a moment, is taken up at its time.
        let wake = soonest.either().map(|wake| {
            if wake <= looked {
                wake.max(floor)
            } else {
                wake
            }
        });
        // Whoever is to judge of others' claims keeps in touch while there are any.
        let in_touch = soonest.lapse.map(|_| self.contact.next());
        let rest = [paced, planned, in_touch].into_iter().flatten().min();
        let rest = rest.map(|rest| rest.max(floor));
        Ok([wake, rest].into_iter().flatten().min())
    }
}

/// Passes a signal on to whom it concerns. Whether the wheel may rest all the same: a booking for later only says when to
/// look, and thousands of them in a second are no reason to ask the store thousands of times what is due. While somebody
/// has a claim, it does not rest beyond `in_touch`.
fn heed(
    parts: &Parts,
    signal: Result<Signal, RecvError>,
    in_touch: Timestamp,
    until: &mut Timestamp,
) -> bool {
    match signal {
        Ok(Signal::Callback {
            tenant,
            id,
            queue,
            then,
        }) => {
            parts.nudge(&tenant, id);
            match then {
                // What a plan makes of it is asked for at once.
                Then::Rest(at) if !parts.planner.plans(&tenant, &queue) => {
                    *until = at.min(*until);
                    return true;
                }
                Then::Claimed(at) if !parts.planner.plans(&tenant, &queue) => {
                    *until = at.min(in_touch).min(*until);
                    return true;
                }
                Then::Rest(_) | Then::Claimed(_) | Then::Look => {}
            }
        }
        Ok(Signal::Queue { .. } | Signal::Agent { .. }) => {}
        // Too many to have heard each: everybody looks.
        Err(RecvError::Lagged(_)) => parts.nudge_all(),
        Err(RecvError::Closed) => {}
    }
    false
}
