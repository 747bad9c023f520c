//! Lengthens the leases of what is being carried, and tells tasks whose claim was lost to stop.

use crate::faults::may_pass;
use crate::{Parts, REST};
use jiff::Timestamp;
use ringback_callbacks::wire_time::{plus, truncate};
use ringback_store::{HeldClaim, StoreError};
use std::sync::Arc;

/// Claims that somebody else has locked, before it is taken that all of them are.
const LOCKED: usize = 2;

pub async fn keep(parts: Arc<Parts>) {
    let every = parts.settings.lease / 3;
    let mut rest = every;
    loop {
        tokio::select! {
            biased;
            () = parts.ended.cancelled() => return,
            () = parts.clock.sleep_until(plus(parts.clock.now(), rest)) => {}
        }
        rest = every;
        // A call in progress goes on whatever happens here: its lease is tried again, and settling tells
        // the truth later. Soon, because others wait for word of it no longer than a lease.
        if let Err(error) = lengthen(&parts, parts.claims(), parts.clock.now()).await {
            parts.observer.store_failed();
            tracing::error!(error = %error, "leases could not be lengthened");
            rest = REST.min(every);
        }
    }
}

/// Lengthens the leases of what this node still carries although they have run out: a clock set forward
/// or a store that failed for a while is no reason to take a running call for a dead one. Asked with the
/// same `now` before anything lapsed is taken over; if it fails, nothing may be taken over.
pub async fn lengthen_what_ran_out(parts: &Parts, now: Timestamp) -> ringback_store::Result<()> {
    lengthen(parts, parts.claims_until(now), now).await
}

/// The same for one claim, before it is relied upon.
pub async fn lengthen_one(parts: &Parts, claim: HeldClaim) -> ringback_store::Result<()> {
    lengthen(parts, vec![claim], parts.clock.now()).await
}

async fn lengthen(
    parts: &Parts,
    claims: Vec<HeldClaim>,
    now: Timestamp,
) -> ringback_store::Result<()> {
    if claims.is_empty() {
        return Ok(());
    }
    // By whichever clock is ahead: the others go by the database's, and this one may have been set back.
    let theirs = parts.store.clock().await?;
    let until = truncate(plus(
        theirs.map_or(now, |theirs| theirs.max(now)),
        parts.settings.lease,
    ));
    let own = truncate(plus(now, parts.settings.lease));
    match parts.store.renew(&parts.node, until, claims.clone()).await {
        Ok(lost) => {
            note(parts, &claims, &lost, own);
            Ok(())
        }
        Err(error) if may_pass(&error) && !matches!(error, StoreError::Busy) => Err(error),
        // One row that cannot be read, or that somebody has locked, must not cost everybody else their lease.
        Err(_) => {
            let mut locked = 0;
            for claim in claims {
                let one = vec![claim];
                match parts.store.renew(&parts.node, until, one.clone()).await {
                    Ok(lost) => note(parts, &one, &lost, own),
                    Err(error) => {
                        locked += usize::from(matches!(error, StoreError::Busy));
                        if may_pass(&error)
                            && (!matches!(error, StoreError::Busy) || locked >= LOCKED)
                        {
                            return Err(error);
                        }
                        parts.observer.store_failed();
                        tracing::error!(callback.id = %one[0].callback, error = %error, "a lease cannot be lengthened");
                    }
                }
            }
            Ok(())
        }
    }
}

fn note(parts: &Parts, asked: &[HeldClaim], lost: &[HeldClaim], until: Timestamp) {
    let mut held = parts.held();
    for claim in asked {
        let Some(held) = held.get_mut(&(claim.tenant.clone(), claim.callback)) else {
            continue;
        };
        if held.fence != claim.fence {
            continue;
        }
        if lost.contains(claim) {
            held.lost.cancel();
            held.changed.notify_one();
        } else {
            held.until = held.until.max(until);
        }
    }
}
