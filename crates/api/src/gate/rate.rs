//! How fast one address may ask: a token bucket each, in a map that cannot grow without end.

use crate::ApiState;
use crate::error::{Code, Problem};
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;

/// Addresses remembered at one time.
const ADDRESSES: usize = 10_000;

/// The buckets of all addresses.
#[derive(Debug)]
pub struct RateLimit {
    per_second: f64,
    burst: f64,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled_ms: i64,
}

impl RateLimit {
    /// `per_second` 0 switches the limit off.
    pub fn new(per_second: u32, burst: u32) -> Self {
        RateLimit {
            per_second: f64::from(per_second),
            burst: f64::from(burst.max(1)),
            buckets: Mutex::new(HashMap::new()),
        }
    }

    /// Takes one token. `Err`: seconds after which there will be one.
    pub fn take(&self, address: IpAddr, now: Timestamp) -> Result<(), u64> {
        if self.per_second <= 0.0 {
            return Ok(());
        }
        let key = household(address);
        let now_ms = now.as_millisecond();
        let mut buckets = self
            .buckets
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if buckets.len() >= ADDRESSES && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| self.filled(bucket, now_ms) < self.burst);
            if buckets.len() >= ADDRESSES {
                // Thousands of addresses are hammering at once: newcomers wait, those known are served at their pace.
                return Err(1);
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket {
            tokens: self.burst,
            filled_ms: now_ms,
        });
        bucket.tokens = self.filled(bucket, now_ms);
        bucket.filled_ms = now_ms;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        let seconds = ((1.0 - bucket.tokens) / self.per_second).ceil().max(1.0);
        Err(seconds as u64)
    }

    fn filled(&self, bucket: &Bucket, now_ms: i64) -> f64 {
        // A clock that was set back fills nothing and takes nothing.
        let seconds = (now_ms - bucket.filled_ms).max(0) as f64 / 1000.0;
        (bucket.tokens + seconds * self.per_second).min(self.burst)
    }
}

/// One household of IPv6 has 2^64 addresses to ask from; it counts as one.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
        }
    }
}

pub async fn limit(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip());
    if let Some(peer) = peer
        && let Err(seconds) = state.rate.take(peer, state.clock.now())
    {
        state.metrics.refusal(Code::RateLimited.name());
        return Problem::new(Code::RateLimited, "Too many requests from this address.")
            .retry_after(seconds)
            .into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap()
    }

    #[test]
    fn a_burst_then_the_pace() {
        let limit = RateLimit::new(2, 3);
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..3 {
            assert_eq!(limit.take(address, at(0)), Ok(()));
        }
        assert_eq!(limit.take(address, at(0)), Err(1));
        assert_eq!(limit.take(address, at(500)), Ok(()));
        assert_eq!(limit.take(address, at(500)), Err(1));
        // The clock set back does not hand out tokens.
        assert_eq!(limit.take(address, at(-90_000)), Err(1));
        let other: IpAddr = "192.0.2.2".parse().unwrap();
        assert_eq!(limit.take(other, at(500)), Ok(()));
    }

    #[test]
    fn one_household_of_ipv6_is_one_address() {
        let limit = RateLimit::new(1, 1);
        assert_eq!(limit.take("2001:db8::1".parse().unwrap(), at(0)), Ok(()));
        assert_eq!(limit.take("2001:db8::2".parse().unwrap(), at(0)), Err(1));
        assert_eq!(
            limit.take("2001:db8:0:1::2".parse().unwrap(), at(0)),
            Ok(())
        );
    }

    #[test]
    fn the_map_is_bounded() {
        let limit = RateLimit::new(1, 2);
        for n in 0..(ADDRESSES as u32 + 50) {
            let _ = limit.take(IpAddr::V4((0x0a00_0000 + n).into()), at(0));
        }
        assert!(limit.buckets.lock().unwrap().len() <= ADDRESSES);
        // Those who rest are forgotten, and newcomers are let in again.
        assert_eq!(
            limit.take("203.0.113.9".parse().unwrap(), at(60_000)),
            Ok(())
        );
        assert_eq!(limit.buckets.lock().unwrap().len(), 1);
    }
}
