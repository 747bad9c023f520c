//! The queues whose callbacks are being carried, read once and kept until somebody changes them.
//!
//! The guards read the queue again in the transaction that records an attempt; what is kept here says how to
//! place it: routes, ring times, what the agent sees.

use jiff::{SignedDuration, Timestamp};
use ringback_callbacks::ids::{QueueId, TenantId};
use ringback_callbacks::queue::Queue;
use ringback_store::{Result, Store};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A change by another program that no signal tells of is seen after this.
const FRESH: SignedDuration = SignedDuration::from_secs(1);

/// Queues kept at most; past it all are forgotten and read again.
const KEPT: usize = 4096;

#[derive(Default)]
pub(crate) struct Rules {
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    queues: BTreeMap<(TenantId, QueueId), (Arc<Queue>, Timestamp)>,
    /// Counts what was forgotten: what was read before a change and arrives after it is not kept.
    changes: u64,
}

impl Rules {
    pub async fn of(
        &self,
        store: &dyn Store,
        tenant: &TenantId,
        id: &QueueId,
        now: Timestamp,
    ) -> Result<Option<Arc<Queue>>> {
        let key = (tenant.clone(), id.clone());
        let changes = {
            let shelf = self.shelf();
            // A clock that was set back says nothing about age.
            let age = |read_at: &Timestamp| now.duration_since(*read_at);
            if let Some((queue, read_at)) = shelf.queues.get(&key)
                && !age(read_at).is_negative()
                && age(read_at) <= FRESH
            {
                return Ok(Some(Arc::clone(queue)));
            }
            shelf.changes
        };
        let Some(queue) = store.queue(tenant, id).await? else {
            return Ok(None);
        };
        let queue = Arc::new(queue);
        let mut shelf = self.shelf();
        if shelf.changes == changes {
            if shelf.queues.len() >= KEPT {
                shelf.queues.clear();
            }
            shelf.queues.insert(key, (Arc::clone(&queue), now));
        }
        Ok(Some(queue))
    }

    /// Somebody changed this queue.
    pub fn forget(&self, tenant: &TenantId, id: &QueueId) {
        let mut shelf = self.shelf();
        shelf.changes += 1;
        shelf.queues.remove(&(tenant.clone(), id.clone()));
    }

    pub fn forget_all(&self) {
        let mut shelf = self.shelf();
        shelf.changes += 1;
        shelf.queues.clear();
    }

    /// Poisoned: somebody panicked between two whole changes.
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
