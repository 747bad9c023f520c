//! A second request for a number that waits already: what becomes of it, and what it adds. Pure.

use crate::callback::{Callback, Window};
use crate::queue::Duplicates;
use crate::request::Place;
use crate::state::State;

/// What becomes of a request for a number that has an open callback in the same queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is added to the open callback.
    Merge,
    /// It takes the open callback's place.
    Join,
    /// It is turned away.
    Refuse,
    /// It stands beside the open callback.
    Apart,
}

/// The queue's rule, applied to one open callback.
pub fn answer(rule: Duplicates, open: &Callback) -> Answer {
    // What is about to be cancelled would take the new wish with it.
    if open.stop.is_some() {
        return Answer::Apart;
    }
    match &open.state {
        State::Received
        | State::Scheduled { .. }
        | State::Queued { .. }
        | State::Transferred { .. }
        | State::Offered { .. }
        | State::Assigned { .. } => match rule {
            Duplicates::Merge => Answer::Merge,
            Duplicates::Join => Answer::Join,
            Duplicates::Refuse => Answer::Refuse,
            Duplicates::Allow => Answer::Apart,
        },
        // The customer is in a call with us: taking over would ring them a second time.
        State::Dialling { .. } | State::Talking { .. } => match rule {
            Duplicates::Merge | Duplicates::Join => Answer::Merge,
            Duplicates::Refuse => Answer::Refuse,
            Duplicates::Allow => Answer::Apart,
        },
        // They have been talked to: who asks again now has a new need.
        State::WrapUp { .. }
        | State::Done { .. }
        | State::Cancelled { .. }
        | State::Exhausted { .. }
        | State::Refused { .. }
        | State::Failed { .. }
        | State::Replaced { .. }
        | State::Expired => Answer::Apart,
    }
}

/// The place that a request takes over with the open callback.
pub fn place_of(open: &Callback) -> Place {
    let since = match &open.state {
        State::Queued { since }
        | State::Transferred { since, .. }
        | State::Offered { since, .. }
        | State::Assigned { since, .. }
        | State::Dialling { since, .. }
        | State::Talking { since, .. } => Some(*since),
        State::Received
        | State::Scheduled { .. }
        | State::WrapUp { .. }
        | State::Done { .. }
        | State::Cancelled { .. }
        | State::Exhausted { .. }
        | State::Refused { .. }
        | State::Failed { .. }
        | State::Replaced { .. }
        | State::Expired => open.place_since,
    };
    Place {
        since,
        priority: open.priority,
        owner: open.interaction.owner,
        deadline: open.promise_now().1,
    }
}

/// The window that holds both wishes, if it is wider than the open one. Wishes that do not meet are not
/// put into one: the hours between them were never asked for.
pub fn widened(open: &Window, new: &Window) -> Option<Window> {
    // An end by the queue's rules is no wish of the customer's.
    let wish_ends = |window: &Window| window.end.filter(|_| window.end_given);
    let apart = wish_ends(open).is_some_and(|end| end < new.start)
        || wish_ends(new).is_some_and(|end| end < open.start);
    if apart {
        return None;
    }
    let later = new.end.zip(open.end).is_some_and(|(new, open)| new > open);
    let takes_end = later && (new.end_given || !open.end_given);
    let wide = Window {
        start: open.start.min(new.start),
        end: if takes_end { new.end } else { open.end },
        end_given: if takes_end {
            new.end_given
        } else {
            open.end_given
        },
    };
    (wide != *open).then_some(wide)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire_time::from_ms;

    /// Minutes; a negative end is one by the queue's rules.
    fn window(start: i64, end: i64) -> Window {
        Window {
            start: from_ms(start * 60_000).unwrap(),
            end: from_ms(end.abs() * 60_000),
            end_given: end > 0,
        }
    }

    #[test]
    fn windows_that_meet_become_one() {
        let table = [
            // open, new, wider
            ((10, 20), (15, 30), Some((10, 30))),
            ((10, 20), (5, 15), Some((5, 20))),
            ((10, 20), (5, 30), Some((5, 30))),
            ((10, 20), (12, 18), None),
            ((10, 20), (10, 20), None),
            ((10, 20), (20, 30), Some((10, 30))),
            // They do not meet.
            ((10, 20), (21, 30), None),
            ((10, 20), (5, 9), None),
            // As soon as possible, after a window was named: earlier, but never past what was named.
            ((10, 20), (5, -500), Some((5, 20))),
            ((10, 20), (12, -500), None),
            // A window, after as soon as possible: later if it ends later.
            ((10, -60), (90, 120), Some((10, 120))),
            ((10, -60), (20, 30), None),
            // Twice as soon as possible: the later default holds.
            ((10, -60), (20, -70), Some((10, -70))),
        ];
        for (open, new, wider) in table {
            assert_eq!(
                widened(&window(open.0, open.1), &window(new.0, new.1)),
                wider.map(|(start, end)| window(start, end)),
                "{open:?} and {new:?}"
            );
        }
    }
}
