//! The names of what only one transaction at a time may do, on whichever node: numbers for advisory locks.
//!
//! They are the same on every node and in every version, and are always taken in ascending order.

use super::columns::get;
use super::session::Ask;
use crate::Result;
use ringback_callbacks::ids::{QueueId, TenantId};
use ringback_callbacks::queue::QueueView;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use tokio_postgres::Row;

/// Taken in the order of the numbers: only who comes to want more later can meet somebody in a deadlock.
const LOCK: &str = "
    SELECT CASE WHEN u.shared THEN pg_advisory_xact_lock_shared(u.number) ELSE pg_advisory_xact_lock(u.number) END
    FROM unnest($1::bigint[], $2::bool[]) AS u(number, shared)";

/// Whether each could be had at once.
const TRY_LOCK: &str = "
    SELECT CASE WHEN u.shared THEN pg_try_advisory_xact_lock_shared(u.number) ELSE pg_try_advisory_xact_lock(u.number) END
    FROM unnest($1::bigint[], $2::bool[]) WITH ORDINALITY AS u(number, shared, nth) ORDER BY u.nth";

const DAY: i64 = 24 * 3600 * 1000;
/// A stretch over more days than this has the whole queue.
const DAYS: i64 = 4;
/// Days that one transaction locks at most; beyond, it has whole queues. The database has room for 64 locks a connection
/// (`max_locks_per_transaction`), which all connections share.
const DAYS_IN_ALL: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lock {
    number: i64,
    /// Others may have it at the same time, as long as nobody has it alone.
    shared: bool,
}

fn alone(number: i64) -> Lock {
    Lock {
        number,
        shared: false,
    }
}

/// Locks of a transaction, and whether it shares them.
#[derive(Debug, Default)]
pub(super) struct Held(HashMap<i64, bool>);

/// Locks to be taken together, in their order.
#[derive(Debug, Default)]
pub(super) struct Locks {
    numbers: Vec<i64>,
    shared: Vec<bool>,
}

impl Locks {
    /// Those of them that are not held.
    pub fn wanted(mut locks: Vec<Lock>, held: &Held) -> Locks {
        locks.retain(|lock| !held.has(*lock));
        // Who wants it alone and shared wants it alone.
        locks.sort_unstable();
        locks.dedup_by_key(|lock| lock.number);
        Locks {
            numbers: locks.iter().map(|lock| lock.number).collect(),
            shared: locks.iter().map(|lock| lock.shared).collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    pub fn ask(&self) -> Ask<'_> {
        Ask::With(LOCK, vec![&self.numbers, &self.shared])
    }

    /// Takes those that nobody else has, without waiting for the others.
    pub fn try_ask(&self) -> Ask<'_> {
        Ask::With(TRY_LOCK, vec![&self.numbers, &self.shared])
    }

    /// Those that `try_ask` got.
    pub fn got(self, rows: &[Row]) -> Result<Locks> {
        let mut got = Locks::default();
        for ((number, shared), row) in self.numbers.into_iter().zip(self.shared).zip(rows) {
            if get(row, 0)? {
                got.numbers.push(number);
                got.shared.push(shared);
            }
        }
        Ok(got)
    }
}

impl Held {
    pub fn has(&self, lock: Lock) -> bool {
        let shared = self.0.get(&lock.number);
        shared.is_some_and(|shared| lock.shared || !shared)
    }

    pub fn add(&mut self, locks: &Locks) {
        let taken = locks.numbers.iter().copied();
        self.0.extend(taken.zip(locks.shared.iter().copied()));
    }

    /// The locks of many stretches.
    pub fn stretches(&self, stretches: &[(Arc<QueueView>, i64, i64)]) -> Vec<Lock> {
        let mut locks: Vec<Lock> = stretches
            .iter()
            .flat_map(|(view, from, to)| self.stretch(view, *from, *to))
            .collect();
        locks.sort_unstable();
        locks.dedup();
        if locks.len() > DAYS_IN_ALL {
            let whole =
                |(view, ..): &(Arc<QueueView>, _, _)| slots(&view.queue.tenant, &view.queue.id);
            return stretches.iter().map(whole).collect();
        }
        locks
    }

    /// What lets a transaction count in order to take a place in the slots that begin in a stretch: the queue together
    /// with others, and each of its days alone. Who counts over all days, or over many, has the queue alone.
    pub fn stretch(&self, view: &QueueView, from: i64, to: i64) -> Vec<Lock> {
        let (tenant, queue) = (&view.queue.tenant, &view.queue.id);
        let whole = slots(tenant, queue);
        if self.has(whole) {
            return Vec::new();
        }
        let (first, last) = (from.div_euclid(DAY), (to - 1).max(from).div_euclid(DAY));
        let rules = view.slots.as_deref().map(|plan| plan.rules());
        if last - first >= DAYS || rules.is_none_or(|rules| rules.per_customer.is_some()) {
            return vec![whole];
        }
        let days = (first..=last).map(|day| {
            alone(number(&[
                "slots",
                tenant.as_str(),
                queue.as_str(),
                &day.to_string(),
            ]))
        });
        let together = Lock {
            shared: true,
            ..whole
        };
        std::iter::once(together).chain(days).collect()
    }
}

/// What is known of a contact: its customer, its open callbacks, its calls.
pub(super) fn contact(tenant: &TenantId, contact: &str) -> Lock {
    alone(number(&["contact", tenant.as_str(), contact]))
}

/// The places in a queue's slots.
pub(super) fn slots(tenant: &TenantId, queue: &QueueId) -> Lock {
    alone(number(&["slots", tenant.as_str(), queue.as_str()]))
}

/// The places at a queue's DN.
pub(super) fn seats(tenant: &TenantId, queue: &QueueId) -> Lock {
    alone(number(&["seats", tenant.as_str(), queue.as_str()]))
}

/// Who may use how much of the routes.
pub(super) fn routes() -> Lock {
    alone(number(&["routes"]))
}

/// A key of an application, by its hash.
pub(super) fn key(hash: &[u8; 32]) -> Lock {
    alone(number(&["key", &hex::encode(hash)]))
}

/// A node's name. Held as long as its connection lasts: no other may work under it.
pub(super) fn node(name: &str) -> i64 {
    number(&["node", name])
}

/// Bringing the schema up to date.
pub(super) fn migrations() -> i64 {
    number(&["migrations"])
}

/// Making a month's divisions.
pub(super) fn months() -> i64 {
    number(&["months"])
}

fn number(parts: &[&str]) -> i64 {
    let mut hash = Sha256::new();
    hash.update(b"ringback");
    for part in parts {
        hash.update([0]);
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}
