//! The next try after one that failed.

use super::job::{Ask, Ended};
use super::reach::Reach;
use super::rules::{Interval, Rules, Second};

/// Half an hour after booking a customer is as hard to reach as anybody.
const FRESH: Second = 1800;
/// Length of the window told for the next try, seconds.
const TOLD: Second = 600;
/// An agent is looked for from this long before a try that is best made at the end of the window.
const END: Second = 40;

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again {
    /// Not before this.
    pub due: Second,
    /// What the customer is told; both ends count.
    pub told: Interval,
    /// The last try, best made at the end of `told`.
    pub at_end: bool,
}

/// When to try again after dial number `tries` ended at `now`; `None` if that was the last.
pub fn retry(
    reach: &Reach,
    ask: &Ask,
    tries: u32,
    now: Second,
    ended: Ended,
    rules: &Rules,
) -> Option<Again> {
    let left_tries = rules
        .max_attempts
        .checked_sub(tries)
        .filter(|left| *left > 0)?;
    let last = ask.last()?;
    let soonest = now + rules.notice.max(rules.min_gap) + 1;
    if soonest > last {
        return None;
    }
    let left = last - now;
    let mut from = match ended {
        Ended::Answered | Ended::Invalid => return None,
        Ended::Failed => soonest,
        Ended::Busy | Ended::NoAnswer | Ended::Machine => {
            now + reach.gap(ended, left_tries, left).unwrap_or(left)
        }
    };
    // What was true of the first half hour says little of the time after it.
    let stale = ask.booked_at + FRESH + 1;
    let fades = matches!(ended, Ended::NoAnswer | Ended::Machine);
    if ask.asap
        && fades
        && left_tries > 1
        && now < stale
        && stale < last
        && stale <= from + FRESH / 2
    {
        from = stale;
    }
    let from = from.max(soonest).min(last);
    let at_end = from == last;
    let from = if at_end {
        (last - END).max(soonest)
    } else {
        from
    };
    let from = ask.first(from)?;
    (from <= last).then(|| Again {
        due: from,
        told: (from, last.min(from + TOLD)),
        at_end,
    })
}
