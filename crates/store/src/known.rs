//! Queues as they were read a moment ago, so that not every booking and every call reads and parses its queue's rules
//! again.
//!
//! A booking is only *read* by these rules, and a call placed by them (routes, ring times, what the agent sees); whether
//! it may be is decided inside the store's transaction, by the rules that stand there then. A change made here is seen at
//! once, by the store's signal; one that another program made in the database, at the latest after [`FRESH`].

use crate::{Result, Signal, Store};
use jiff::{SignedDuration, Timestamp};
use ringback_callbacks::ids::{QueueId, TenantId};
use ringback_callbacks::queue::Queue;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

/// How long a queue may be used without a look at the database.
const FRESH: SignedDuration = SignedDuration::from_secs(1);

/// Queues kept at most; past it all are forgotten and read again.
const KEPT: usize = 4096;

#[derive(Debug)]
pub struct KnownQueues {
    shelf: Mutex<Shelf>,
}

#[derive(Debug)]
struct Shelf {
    signals: Receiver<Signal>,
    queues: HashMap<TenantId, HashMap<QueueId, Known>>,
    kept: usize,
    /// Counts what was thrown away: a queue that was read before and arrives after a change is not kept.
    changes: u64,
}

#[derive(Debug)]
struct Known {
    queue: Arc<Queue>,
    read_at: Timestamp,
}

impl KnownQueues {
    pub fn new(store: &dyn Store) -> KnownQueues {
        KnownQueues {
            shelf: Mutex::new(Shelf {
                signals: store.signals(),
                queues: HashMap::new(),
                kept: 0,
                changes: 0,
            }),
        }
    }

    /// The queue as the store has it, or had it a moment ago; `None` if there is none.
    pub async fn find(
        &self,
        store: &dyn Store,
        tenant: &TenantId,
        id: &QueueId,
        now: Timestamp,
    ) -> Result<Option<Arc<Queue>>> {
        let changes = match self.with(|shelf| shelf.get(tenant, id, now)) {
            Ok(queue) => return Ok(Some(queue)),
            Err(changes) => changes,
        };
        let Some(queue) = store.queue(tenant, id).await? else {
            return Ok(None);
        };
        let queue = Arc::new(queue);
        self.with(|shelf| shelf.put(&queue, now, changes));
        Ok(Some(queue))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Shelf) -> T) -> T {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.heed();
        work(&mut shelf)
    }
}

impl Shelf {
    /// Forgets the queues that were changed since somebody last looked.
    fn heed(&mut self) {
        loop {
            match self.signals.try_recv() {
                Ok(Signal::Queue { tenant, id }) => {
                    self.changes += 1;
                    let gone = self.queues.get_mut(&tenant).and_then(|of| of.remove(&id));
                    self.kept -= usize::from(gone.is_some());
                }
                Ok(Signal::Callback { .. } | Signal::Agent { .. }) => {}
                // Too many to have heard each: any queue may have changed.
                Err(TryRecvError::Lagged(_)) => self.forget_all(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn forget_all(&mut self) {
        self.changes += 1;
        self.queues.clear();
        self.kept = 0;
    }

    /// `Err`: not known, or not fresh; with the changes so far, which [`Shelf::put`] wants to see again.
    fn get(
        &self,
        tenant: &TenantId,
        id: &QueueId,
        now: Timestamp,
    ) -> std::result::Result<Arc<Queue>, u64> {
        let known = self.queues.get(tenant).and_then(|of| of.get(id));
        // A clock that was set back says nothing about age.
        let fresh = known.filter(|known| {
            let age = now.duration_since(known.read_at);
            !age.is_negative() && age <= FRESH
        });
        fresh
            .map(|known| Arc::clone(&known.queue))
            .ok_or(self.changes)
    }

    fn put(&mut self, queue: &Arc<Queue>, read_at: Timestamp, changes: u64) {
        if self.changes != changes {
            return;
        }
        if self.kept >= KEPT {
            self.forget_all();
        }
        let known = Known {
            queue: Arc::clone(queue),
            read_at,
        };
        let of = self.queues.entry(queue.tenant.clone()).or_default();
        let before = of.insert(queue.id.clone(), known);
        self.kept += usize::from(before.is_none());
    }
}
