//! The system's clock and chance: the only place of the program where either is read.

use jiff::Timestamp;
use rand::TryRngCore;
use rand::rngs::OsRng;
use ringback_callbacks::clock::{Chance, Clock};
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};
use uuid::{NoContext, Uuid};

/// The wall clock, with monotonic timers behind every wait.
#[derive(Debug, Default)]
pub struct SystemClock;

/// No wait is longer than this without reading the wall clock again, so that a jump is noticed.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let left = wait(self.now(), at);
        Box::pin(async move {
            let until = Instant::now() + left;
            if let Some(coarse) = left.checked_sub(LAST_STRETCH) {
                tokio::time::sleep(coarse).await;
            }
            fine_sleep(until).await;
        })
    }
}

/// The end of a wait, which is timed by the kernel: tokio's timers count whole milliseconds and are late by one of them
/// on average, which a customer would not notice, but a thousand callbacks that are due at once would.
const LAST_STRETCH: Duration = Duration::from_millis(4);

async fn fine_sleep(until: Instant) {
    let left = until.saturating_duration_since(Instant::now());
    // Where there is no such timer (out of file descriptors, say), tokio's are good enough.
    if left.is_zero() || rings(left).await.is_err() {
        tokio::time::sleep_until(until.into()).await;
    }
}

/// Comes back when the kernel's timer has run down.
#[cfg(target_os = "linux")]
#[expect(
    deprecated,
    reason = "an OwnedFd keeps its descriptor, which is all that the successor asks for in an unsafe block"
)]
async fn rings(left: Duration) -> std::io::Result<()> {
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use std::os::fd::OwnedFd;
    let timer = TimerFd::new(
        ClockId::CLOCK_MONOTONIC,
        TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
    )?;
    timer.set(Expiration::OneShot(left.into()), TimerSetTimeFlags::empty())?;
    let timer = OwnedFd::from(timer);
    let timer = tokio::io::unix::AsyncFd::with_interest(timer, tokio::io::Interest::READABLE)?;
    timer.readable().await.map(drop)
}

#[cfg(not(target_os = "linux"))]
async fn rings(_: Duration) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

fn wait(now: Timestamp, at: Timestamp) -> Duration {
    let left = at.duration_since(now);
    if !left.is_positive() {
        return Duration::ZERO;
    }
    left.unsigned_abs().min(LONGEST_WAIT)
}

/// The operating system's randomness.
#[derive(Debug, Default)]
pub struct SystemChance;

impl Chance for SystemChance {
    fn uuid(&self) -> Uuid {
        let now = Timestamp::now();
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
        Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos))
    }

    fn unit(&self) -> f64 {
        let mut bytes = [0u8; 8];
        self.fill(&mut bytes);
        // 53 bits are what a double holds exactly.
        (u64::from_le_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn fill(&self, bytes: &mut [u8]) {
        // Without randomness no key and no id is safe: the only honest thing is to stop.
        if let Err(error) = OsRng.try_fill_bytes(bytes) {
            panic!("the operating system gives no randomness: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_never_negative_and_never_long() {
        let now: Timestamp = "2026-03-09T12:00:00Z".parse().unwrap();
        let table = [
            ("2026-03-09T11:00:00Z", Duration::ZERO),
            ("2026-03-09T12:00:00Z", Duration::ZERO),
            ("2026-03-09T12:00:00.250Z", Duration::from_millis(250)),
            ("2026-03-09T12:00:07Z", Duration::from_secs(7)),
            ("2026-03-10T12:00:00Z", LONGEST_WAIT),
        ];
        for (at, expected) in table {
            assert_eq!(wait(now, at.parse().unwrap()), expected, "{at}");
        }
    }

    #[test]
    fn chance_stays_in_its_range_and_ids_differ() {
        let ids: std::collections::BTreeSet<Uuid> =
            (0..1000).map(|_| SystemChance.uuid()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(
            (0..1000)
                .map(|_| SystemChance.unit())
                .all(|x| (0.0..1.0).contains(&x))
        );
    }
}
