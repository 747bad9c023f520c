//! The names of what only one transaction at a time may do, on whichever node: numbers for advisory locks.
//!
//! They are the same on every node and in every version, and are always taken in ascending order.

use ringback_callbacks::ids::{QueueId, TenantId};
use sha2::{Digest, Sha256};

/// What is known of a contact: its customer, its open callbacks, its calls.
pub(super) fn contact(tenant: &TenantId, contact: &str) -> i64 {
    number(&["contact", tenant.as_str(), contact])
}

/// The places in a queue's slots.
pub(super) fn slots(tenant: &TenantId, queue: &QueueId) -> i64 {
    number(&["slots", tenant.as_str(), queue.as_str()])
}

/// The places at a queue's DN.
pub(super) fn seats(tenant: &TenantId, queue: &QueueId) -> i64 {
    number(&["seats", tenant.as_str(), queue.as_str()])
}

/// Who may use how much of the routes.
pub(super) fn routes() -> i64 {
    number(&["routes"])
}

/// A key of an application, by its hash.
pub(super) fn key(hash: &[u8; 32]) -> i64 {
    number(&["key", &hex::encode(hash)])
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
