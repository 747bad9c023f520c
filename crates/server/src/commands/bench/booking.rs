//! Bookings over HTTP: each answered 201 after its commit, each with an idempotency key, each taking a place in a slot.

use super::setback::Setback;
use super::wire::{Load, Maker, Met, Until, drive, request};
use jiff::Timestamp;
use rand::random;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bookings made by `make`, each with a key that was never used before. The requests of one maker go on where they
/// stopped when they are used for another round.
fn requests(make: impl Fn(u64) -> (String, Value) + Send + Sync + 'static) -> Maker {
    let (run, next) = (random::<u64>(), AtomicU64::new(0));
    Arc::new(move |_| {
        let nth = next.fetch_add(1, Ordering::Relaxed);
        let key = format!("Idempotency-Key: {run:x}-{nth}\r\n");
        request("POST", "/v1/callbacks", &key, &make(nth).1.to_string())
    })
}

/// Spread over queues, slots and customers.
pub fn spread_out(first: Timestamp) -> Maker {
    // Somewhere else each time, so that a database that grows does not meet the same customers again and again.
    let somewhere = u64::from(random::<u32>());
    requests(move |nth| super::town::spread_out(first, somewhere + nth))
}

pub fn hot(first: Timestamp) -> Maker {
    requests(move |nth| super::town::hot(first, nth))
}

pub async fn rate(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    maker: Maker,
) -> Result<Met, Setback> {
    let load = Load {
        address,
        connections,
        until: Until::Time(time),
        expected: 201,
        maker,
    };
    drive(load).await
}
