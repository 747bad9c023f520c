//! The order of service: earliest deadline first, with priority as a head start that ages.

use jiff::{SignedDuration, Timestamp};

/// What one point of priority is worth: a callback is served as if its deadline were this much earlier.
///
/// That is ageing without a clock. A waiting callback's deadline comes nearer by a minute every minute, while
/// later callbacks have later deadlines; so a low priority rises by one point a minute against all that come
/// after it, and the whole scale from 0 to 100 is worth an hour and forty minutes: nobody is overtaken for
/// longer. And because the rank of a callback does not change while it waits, it can stand in an index.
pub const POINT: SignedDuration = SignedDuration::from_mins(1);

/// The moment by which callbacks are ranked: who has the earlier one is served first.
pub fn rank(priority: u8, deadline: Timestamp) -> Timestamp {
    let head_start = POINT.saturating_mul(i32::from(priority.min(100)));
    deadline.checked_sub(head_start).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn minute(n: i64) -> Timestamp {
        Timestamp::from_second(n * 60).unwrap()
    }

    #[test]
    fn who_is_served_first() {
        // (priority, minute of the deadline): the first of the two is served first.
        let table = [
            ((50, 30), (50, 31), "the earlier deadline"),
            ((90, 60), (50, 60), "the higher priority"),
            ((90, 60), (50, 30), "forty points are worth forty minutes"),
            (
                (50, 30),
                (90, 71),
                "and no more: the low priority has waited long enough",
            ),
            (
                (0, 0),
                (100, 101),
                "nobody is overtaken for longer than the scale is wide",
            ),
            ((100, 99), (0, 0), "but for so long they are"),
        ];
        for (first, second, why) in table {
            assert!(
                rank(first.0, minute(first.1)) < rank(second.0, minute(second.1)),
                "{why}"
            );
        }
    }

    #[test]
    fn the_ends_of_time_are_no_trouble() {
        assert_eq!(rank(100, Timestamp::MIN), Timestamp::MIN);
        assert!(rank(255, Timestamp::MAX) < Timestamp::MAX);
    }

    proptest! {
        /// However urgent those are who come later, after an hour and forty minutes it is one's turn.
        #[test]
        fn waiting_is_bounded(mine in 0u8..=100, theirs in 0u8..=100, later in 101i64..100_000) {
            prop_assert!(rank(mine, minute(0)) < rank(theirs, minute(later)));
        }

        #[test]
        fn more_priority_is_never_worse(low in 0u8..=99, more in 1u8..=50, deadline in 0i64..100_000) {
            let high = low.saturating_add(more).min(100);
            prop_assert!(rank(high, minute(deadline)) < rank(low, minute(deadline)));
        }
    }
}
