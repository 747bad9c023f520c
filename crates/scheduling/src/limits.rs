//! How often and how fast: calls to one number in any 24 hours, and calls per second.

use jiff::{SignedDuration, Timestamp};

/// At most so many calls to one number in any 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DailyLimit {
    pub calls: u32,
}

impl DailyLimit {
    /// Whether one more call may be made now; if not, the first moment at which one may.
    ///
    /// `recent` are the earlier calls to the number, in any order; older ones do no harm. Calls in
    /// the future (a clock was set back) count, because not counting them would be the way to ring
    /// somebody all day.
    pub fn check(&self, recent: &[Timestamp], now: Timestamp) -> Result<(), Until24h> {
        if self.calls == 0 {
            return Err(Until24h { at: None });
        }
        let mut counted: Vec<Timestamp> = recent
            .iter()
            .copied()
            .filter(|call| now.duration_since(*call) < DAY)
            .collect();
        let limit = usize::try_from(self.calls).unwrap_or(usize::MAX);
        if counted.len() < limit {
            return Ok(());
        }
        counted.sort_unstable();
        // One more is allowed when all but `limit - 1` of the counted calls are a day old.
        let leaves = counted.get(counted.len() - limit).copied();
        Err(Until24h {
            at: leaves.and_then(|call| call.checked_add(DAY).ok()),
        })
    }
}

/// No more calls to this number for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until24h {
    /// The first moment at which a call is allowed again; `None` if never (a limit of nothing).
    pub at: Option<Timestamp>,
}

/// So many per second on average, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceRate {
    interval: SignedDuration,
    burst: u32,
}

impl PaceRate {
    /// `per_second` from one a day to a million; `burst` is how many may go at once after a rest.
    pub fn new(per_second: f64, burst: u32) -> Result<PaceRate, PaceError> {
        if !(per_second.is_finite() && (SLOWEST..=FASTEST).contains(&per_second)) {
            return Err(PaceError::PerSecond);
        }
        if burst == 0 || burst > LARGEST_BURST {
            return Err(PaceError::Burst);
        }
        Ok(PaceRate {
            // Rounded up, so that the rate is never exceeded; at most 86,400 s, so it fits.
            interval: SignedDuration::from_nanos((1e9 / per_second).ceil() as i64),
            burst,
        })
    }

    pub fn interval(&self) -> SignedDuration {
        self.interval
    }
}

/// A rate that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaceError {
    #[error("calls per second must be from one a day to 1000000")]
    PerSecond,
    #[error("burst must be from 1 to 10000")]
    Burst,
}

/// A token bucket, kept as the one moment at which it will be full again.
///
/// The same as counting tokens, without a clock of its own and without fractions: taking a token
/// moves that moment one interval on, and there is a token as long as the moment is less than
/// `burst` intervals away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    full_at: Option<Timestamp>,
}

impl Pace {
    /// Without a token: the first comes an interval from now.
    pub fn emptied(rate: &PaceRate, now: Timestamp) -> Pace {
        let burst = i32::try_from(rate.burst).unwrap_or(i32::MAX);
        let depth = rate.interval.saturating_mul(burst);
        Pace {
            full_at: Some(now.saturating_add(depth).unwrap_or(Timestamp::MAX)),
        }
    }

    /// Takes one token, or says when there will be one.
    pub fn take(&mut self, rate: &PaceRate, now: Timestamp) -> Result<(), Timestamp> {
        let depth = rate
            .interval
            .saturating_mul(i32::try_from(rate.burst).unwrap_or(i32::MAX));
        // An empty bucket is full again after `depth`. Anything later than that comes from a
        // clock that was set back, and must not stop the calls until it has caught up.
        let latest = now.saturating_add(depth).unwrap_or(Timestamp::MAX);
        let full_at = self.full_at.unwrap_or(now).clamp(now, latest);
        let after = full_at
            .saturating_add(rate.interval)
            .unwrap_or(Timestamp::MAX);
        if after > latest {
            self.full_at = Some(full_at);
            return Err(now
                .saturating_add(after.duration_since(latest))
                .unwrap_or(Timestamp::MAX));
        }
        self.full_at = Some(after);
        Ok(())
    }

    /// Puts back a token that was taken and not used. A bucket that has filled up meanwhile stays full.
    pub fn give_back(&mut self, rate: &PaceRate) {
        self.full_at = self
            .full_at
            .and_then(|full_at| full_at.checked_sub(rate.interval).ok());
    }
}

const DAY: SignedDuration = SignedDuration::from_hours(24);
const SLOWEST: f64 = 1.0 / 86_400.0;
const FASTEST: f64 = 1_000_000.0;
const LARGEST_BURST: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn calls_in_any_24_hours() {
        let now = at("2026-03-10T12:00:00Z");
        let calls: Vec<Timestamp> = [
            "2026-03-10T09:00:00Z",
            "2026-03-09T11:59:00Z", // a day and a minute ago
            "2026-03-09T13:00:00Z",
            "2026-03-09T12:00:00Z", // a day ago exactly
        ]
        .map(at)
        .to_vec();
        let check = |limit| DailyLimit { calls: limit }.check(&calls, now);
        assert_eq!(check(3), Ok(()));
        assert_eq!(
            check(2),
            Err(Until24h {
                at: Some(at("2026-03-10T13:00:00Z"))
            })
        );
        assert_eq!(
            check(1),
            Err(Until24h {
                at: Some(at("2026-03-11T09:00:00Z"))
            })
        );
        assert_eq!(check(0), Err(Until24h { at: None }));
        assert_eq!(DailyLimit { calls: 1 }.check(&[], now), Ok(()));
        // A clock that was set back.
        let future = [at("2026-03-10T18:00:00Z")];
        assert_eq!(
            DailyLimit { calls: 1 }.check(&future, now),
            Err(Until24h {
                at: Some(at("2026-03-11T18:00:00Z"))
            })
        );
    }

    #[test]
    fn two_per_second_and_three_at_once() {
        let rate = PaceRate::new(2.0, 3).unwrap();
        let start = at("2026-03-10T12:00:00Z");
        let later = |ms| start + SignedDuration::from_millis(ms);
        let mut pace = Pace::default();
        for _ in 0..3 {
            assert_eq!(pace.take(&rate, start), Ok(()));
        }
        assert_eq!(pace.take(&rate, start), Err(later(500)));
        pace.give_back(&rate);
        assert_eq!(pace.take(&rate, start), Ok(()), "one was not used");
        assert_eq!(pace.take(&rate, start), Err(later(500)));
        assert_eq!(pace.take(&rate, later(499)), Err(later(500)));
        assert_eq!(pace.take(&rate, later(500)), Ok(()));
        assert_eq!(pace.take(&rate, later(500)), Err(later(1000)));
        // A long rest gives three again, and not more.
        for _ in 0..3 {
            assert_eq!(pace.take(&rate, later(60_000)), Ok(()));
        }
        assert!(pace.take(&rate, later(60_000)).is_err());
        pace.give_back(&rate);
        assert_eq!(pace.take(&rate, later(60_000)), Ok(()));
        assert!(pace.take(&rate, later(60_000)).is_err());
        // An hour back: at most the usual wait, not an hour.
        let back = start - SignedDuration::from_hours(1);
        let wait = pace.take(&rate, back).unwrap_err().duration_since(back);
        assert!(wait <= SignedDuration::from_millis(500), "{wait:?}");
    }

    #[test]
    fn senseless_rates_are_refused() {
        for per_second in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e7] {
            assert_eq!(PaceRate::new(per_second, 1), Err(PaceError::PerSecond));
        }
        assert_eq!(PaceRate::new(1.0, 0), Err(PaceError::Burst));
        assert_eq!(PaceRate::new(1.0, 10_001), Err(PaceError::Burst));
        let mut pace = Pace::default();
        for now in [Timestamp::MIN, Timestamp::MAX] {
            let _ = pace.take(&PaceRate::new(SLOWEST, LARGEST_BURST).unwrap(), now);
        }
    }

    proptest! {
        #[test]
        fn no_second_sees_more_than_the_rate_and_the_burst(
            per_second in 1..20u32, burst in 1..10u32, gaps in proptest::collection::vec(0..400i64, 1..200),
        ) {
            let rate = PaceRate::new(f64::from(per_second), burst).unwrap();
            let mut pace = Pace::default();
            let mut now = at("2026-03-10T12:00:00Z");
            let mut taken: Vec<Timestamp> = Vec::new();
            for gap in gaps {
                now += SignedDuration::from_millis(gap);
                match pace.take(&rate, now) {
                    Ok(()) => taken.push(now),
                    Err(when) => {
                        prop_assert!(when > now);
                        let mut then = pace;
                        prop_assert_eq!(then.take(&rate, when), Ok(()));
                    }
                }
            }
            for (i, first) in taken.iter().enumerate() {
                let in_a_second = taken[i..]
                    .iter()
                    .filter(|t| t.duration_since(*first) < SignedDuration::from_secs(1))
                    .count();
                prop_assert!(in_a_second <= (per_second + burst) as usize);
            }
        }

        #[test]
        fn waiting_as_told_is_enough_and_needed(
            limit in 1..5u32, ages in proptest::collection::vec(-3600i64..100_000, 0..12),
        ) {
            let now = at("2026-03-10T12:00:00Z");
            let calls: Vec<Timestamp> =
                ages.iter().map(|s| now - SignedDuration::from_secs(*s)).collect();
            let limit = DailyLimit { calls: limit };
            if let Err(Until24h { at: Some(when) }) = limit.check(&calls, now) {
                prop_assert!(when > now);
                prop_assert_eq!(limit.check(&calls, when), Ok(()));
                prop_assert!(limit.check(&calls, when - SignedDuration::from_nanos(1)).is_err());
            }
        }
    }
}
