//! Deletes what is past its time, once an hour.

use crate::Parts;
use ringback_callbacks::wire_time::plus;
use std::sync::Arc;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(3600);

pub async fn now_and_then(parts: Arc<Parts>) {
    loop {
        let now = parts.clock.now();
        let pruned = tokio::select! {
            biased;
            // A month of rows takes its time, and the end does not wait for it: what is left is left to the next start.
            () = parts.ended.cancelled() => return,
            pruned = parts.store.prune(now) => pruned,
        };
        match pruned {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "pruned"),
            Err(error) => {
                tracing::warn!(error = %error, "pruning failed; it is tried again in an hour")
            }
        }
        tokio::select! {
            biased;
            () = parts.ended.cancelled() => return,
            () = parts.clock.sleep_until(plus(now, EVERY)) => {}
        }
    }
}
