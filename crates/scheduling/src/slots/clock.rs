//! Where slots begin: at whole multiples of their length since midnight, on the clock on the wall.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::duration::Span;

/// The bounds of the slot in which `at` lies. `length` divides a day.
///
/// As long as a clock does not jump, its slots are all of one length. Where it jumps, a slot ends
/// and another begins, so that both may be shorter, and an hour that the clock repeats has its
/// slots twice.
pub(super) fn bounds(at: Timestamp, tz: &TimeZone, length: Span) -> (Timestamp, Timestamp) {
    let offset = tz.to_offset(at);
    let length = i64::from(length.as_secs()).max(1);
    let ahead = i64::from(offset.seconds());
    let wall = at.as_second().saturating_add(ahead);
    // `as_second` cuts towards zero; before 1970 nobody books.
    let begins = wall.div_euclid(length).saturating_mul(length) - ahead;
    let mut start = instant(begins);
    let mut end = instant(begins.saturating_add(length));
    let nothing = SignedDuration::from_nanos(1);
    for jump in tz.preceding(at.saturating_add(nothing).unwrap_or(at)) {
        let jump = jump.timestamp();
        if jump <= start {
            break;
        }
        let before = jump.saturating_sub(nothing).unwrap_or(jump);
        // Some entries of the tz database change the clock's name only.
        if tz.to_offset(before) != offset {
            start = jump;
            break;
        }
    }
    for jump in tz.following(at) {
        if jump.timestamp() >= end {
            break;
        }
        if jump.offset() != offset {
            end = jump.timestamp();
            break;
        }
    }
    (start, end)
}

fn instant(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(if second < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}
