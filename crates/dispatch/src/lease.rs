//! Lengthens the leases of what is being carried, and tells tasks whose claim was lost to stop.

use crate::Parts;
use ringback_callbacks::wire_time::plus;
use std::sync::Arc;

pub async fn keep(parts: Arc<Parts>) {
    let every = parts.settings.lease / 3;
    loop {
        tokio::select! {
            () = parts.ended.cancelled() => return,
            () = parts.clock.sleep_until(plus(parts.clock.now(), every)) => {}
        }
        let claims = parts.claims();
        if claims.is_empty() {
            continue;
        }
        let until = plus(parts.clock.now(), parts.settings.lease);
        match parts.store.renew(&parts.node, until, claims).await {
            Ok(lost) => {
                for claim in lost {
                    let held = parts.held();
                    if let Some(held) = held.get(&(claim.tenant, claim.callback))
                        && held.fence == claim.fence
                    {
                        held.lost.cancel();
                        held.changed.notify_one();
                    }
                }
            }
            // A call in progress goes on: its lease is tried again, and settling tells the truth later.
            Err(error) => {
                parts.observer.store_failed();
                tracing::error!(error = %error, "leases could not be lengthened");
            }
        }
    }
}
