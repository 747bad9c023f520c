//! After a crash: claims that lapsed are taken over, legs left ringing are ended, and only then does
//! policy decide what comes next.

use crate::{Parts, lease};
use ringback_callbacks::callback::Callback;
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::wire_time::plus;
use ringback_store::{ApplyOrder, Lapsed, StoreError, Whose};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// Ending orphans asks the peers; none may take longer than this.
const ASK_PEER: Duration = Duration::from_secs(40);
/// A peer that is well answers sooner. What a silent one is asked goes on after this, but nobody waits for it.
const ANSWER_PEER: Duration = Duration::from_millis(2500);
const BATCH: usize = 64;

/// Takes over what lapsed. Each is cleaned up by a task of its own, because a silent peer takes its time.
pub async fn lapsed(
    parts: &Arc<Parts>,
    tasks: &TaskTracker,
    whose: Whose,
) -> ringback_store::Result<()> {
    loop {
        let now = parts.clock.now();
        lease::lengthen_what_ran_out(parts, now).await?;
        // Long enough to ask the peers without being taken over again meanwhile.
        let lease = parts.settings.lease.max(ASK_PEER * 2);
        let found = parts
            .store
            .take_lapsed(&parts.node, now, lease, whose, BATCH)
            .await?;
        let count = found.len();
        if count > 0 {
            tracing::warn!(count, "rescuing callbacks whose claim lapsed");
            parts.observer.rescued(count);
        }
        for lapsed in found {
            tasks.spawn(clean_up(parts.clone(), tasks.clone(), lapsed));
        }
        if count < BATCH {
            return Ok(());
        }
    }
}

async fn clean_up(parts: Arc<Parts>, tasks: TaskTracker, lapsed: Lapsed) {
    let Lapsed { callback, attempt } = lapsed;
    let Some(claim) = callback.state.claim().cloned() else {
        return;
    };
    let mut learned = None;
    if let Some(attempt) = attempt {
        match parts.channels.named(&attempt.channel) {
            Some(channel) => {
                // A task of its own: BYE and CANCEL are repeated to their end, whoever has stopped waiting.
                let asking = tasks.spawn(async move {
                    tokio::time::timeout(ASK_PEER, channel.end_orphan(attempt.legs)).await
                });
                let patience = patience(&parts, &callback).await;
                learned = match tokio::time::timeout(patience, asking).await {
                    Ok(Ok(Ok(learned))) => learned,
                    // Nobody can say; nor can a channel that broke over it.
                    Ok(Ok(Err(_)) | Err(_)) | Err(_) => None,
                };
            }
            None => tracing::error!(
                callback.id = %callback.interaction.id, attempt.channel = %attempt.channel,
                "no such channel any more: what the attempt left cannot be ended"
            ),
        }
    }
    let tenant = callback.interaction.tenant.clone();
    let id = callback.interaction.id;
    // The claim is ours for a while: a store that fails now is asked again, and after that the lease
    // runs out and the next look finds it.
    for _ in 0..10 {
        let command = Command::Rescue {
            fence: claim.fence,
            learned: learned.clone(),
        };
        match parts
            .store
            .apply(ApplyOrder::system(
                tenant.clone(),
                id,
                command,
                parts.clock.now(),
            ))
            .await
        {
            Ok(_) => {
                tracing::info!(callback.id = %id, "rescued");
                return;
            }
            Err(StoreError::Refused(refusal)) => {
                tracing::info!(callback.id = %id, %refusal, "somebody else has rescued it");
                return;
            }
            Err(error) => {
                parts.observer.store_failed();
                tracing::error!(callback.id = %id, error = %error, "rescue failed; trying again");
            }
        }
        parts
            .clock
            .sleep_until(plus(parts.clock.now(), Duration::from_secs(1)))
            .await;
    }
}

/// How long the peers' answer is waited for. A phone that could not be told to stop may ring until they were asked to
/// the end; where the number might be rung anew before that, the attempt stays open for as long, and keeps the number.
async fn patience(parts: &Parts, callback: &Callback) -> Duration {
    let tenant = &callback.interaction.tenant;
    let Ok(Some(queue)) = parts.store.queue(tenant, &callback.queue).await else {
        return ASK_PEER;
    };
    let again = queue.rules.retry.unknown;
    if again.times == 0 || again.after.as_duration() >= ASK_PEER {
        ANSWER_PEER
    } else {
        ASK_PEER
    }
}
