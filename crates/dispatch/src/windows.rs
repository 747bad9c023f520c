//! At the start: windows said in local time are resolved again, by the rules of local time of now.

use crate::faults::may_pass;
use crate::{Parts, REST};
use jiff::Timestamp;
use ringback_callbacks::ids::TenantId;
use ringback_callbacks::lifecycle::{Command, Refusal};
use ringback_callbacks::wire_time::plus;
use ringback_store::{ApplyOrder, Store, StoreError};

/// Before anything is dialled: the hour that was agreed may be another instant now. Only what was last looked at by other
/// rules is read; the API answers meanwhile.
pub(crate) async fn again(parts: &Parts) {
    let Some(tenant) = &parts.settings.local_time_of else {
        return;
    };
    loop {
        let resolved = resolve_windows(parts.store.as_ref(), tenant, parts.clock.now());
        let resolved = tokio::select! {
            biased;
            () = parts.draining.cancelled() => return,
            resolved = resolved => resolved,
        };
        match resolved {
            Ok(0) => return,
            Ok(moved) => {
                tracing::warn!(callbacks = moved, "new rules of local time moved windows");
                return;
            }
            Err(error) if may_pass(&error) => {
                parts.observer.store_failed();
                tracing::error!(error = %error, "windows in local time cannot be resolved; trying again");
            }
            // Nobody would be called for as long as it stands there.
            Err(error) => {
                parts.observer.store_failed();
                tracing::error!(error = %error, "windows in local time cannot be resolved and stay as they are");
                return;
            }
        }
        tokio::select! {
            biased;
            () = parts.draining.cancelled() => return,
            () = parts.clock.sleep_until(plus(parts.clock.now(), REST)) => {}
        }
    }
}

/// Callbacks looked at in one transaction.
const PAGE: usize = 200;

/// Moves the instants of all waiting callbacks whose wall time means another instant by the rules the
/// store was opened with, but for those that cannot be worked on. Returns how many moved. Run before anything is dialled.
pub async fn resolve_windows(
    store: &dyn Store,
    tenant: &TenantId,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let mut moved = 0;
    let mut after = None;
    loop {
        let seen = store.look_at_windows(tenant, after, PAGE).await?;
        for id in seen.moved {
            let order = ApplyOrder::system(tenant.clone(), id, Command::ResolveAgain, now);
            match store.apply(order).await {
                Ok(_) => moved += 1,
                // Somebody has taken it up meanwhile: it is under way, and left alone.
                Err(StoreError::Refused(Refusal::NotNow { .. })) => {}
                Err(error) if may_pass(&error) => return Err(error),
                // What is wrong with one must not keep the others from their hour, nor the clock from starting.
                Err(error) => {
                    tracing::error!(callback.id = %id, error = %error, "a window in local time cannot be resolved and is left as it is");
                }
            }
        }
        match seen.next {
            Some(next) => after = Some(next),
            None => return Ok(moved),
        }
    }
}
