//! Bookings over HTTP: each answered 201 after its commit, each with an idempotency key, each taking a place in a slot.

use super::setback::Setback;
use super::wire::{Load, Maker, Met, Until, drive, request};
use jiff::Timestamp;
use rand::random;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Bookings made by `make`, each with a key that was never used before.
pub fn requests(make: impl Fn(u64) -> (String, Value) + Send + Sync + 'static) -> Maker {
    let (run, first) = (random::<u64>(), random::<u32>());
    Arc::new(move |index| {
        let (_, body) = make(index + u64::from(first));
        let key = format!("Idempotency-Key: {run:x}-{index}\r\n");
        request("POST", "/v1/callbacks", &key, &body.to_string())
    })
}

/// Spread over queues, slots and customers.
pub fn spread_out(first: Timestamp) -> Maker {
    requests(move |index| super::town::spread_out(first, index))
}

pub fn hot(first: Timestamp) -> Maker {
    requests(move |index| super::town::hot(first, index))
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
