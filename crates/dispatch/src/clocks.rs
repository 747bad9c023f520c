//! Whether this node and its database agree what time it is.
//!
//! Nodes compare moments that others have written: when a lease ends, when something is due. A node whose clock is
//! wrong would take running calls for dead ones, or ring people at the wrong hour; it waits until the clocks agree.

use jiff::{SignedDuration, Timestamp};
use ringback_callbacks::clock::Clock;
use ringback_callbacks::wire_time::plus;
use ringback_store::{Result, Store};
use std::fmt;
use std::time::Duration;

/// More than any clock that is looked after is off.
const TOLERATED: SignedDuration = SignedDuration::from_secs(1);
/// How often the clocks are compared.
const EVERY: Duration = Duration::from_secs(10);

/// How far this node's clock is ahead of the database's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Apart {
    ahead: SignedDuration,
    /// The question and its answer took so long: as much is not known.
    journey: SignedDuration,
}

impl Apart {
    /// The database's clock said `theirs` at some moment between `sent` and `received`.
    pub fn between(sent: Timestamp, theirs: Timestamp, received: Timestamp) -> Apart {
        let journey = received.duration_since(sent).max(SignedDuration::ZERO);
        let middle = sent.saturating_add(journey / 2).unwrap_or(sent);
        Apart {
            ahead: middle.duration_since(theirs),
            journey,
        }
    }

    pub fn too_far(self) -> bool {
        self.ahead.abs() > TOLERATED.saturating_add(self.journey / 2)
    }
}

impl fmt::Display for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.ahead.is_negative() {
            "behind"
        } else {
            "ahead of"
        };
        let seconds = self.ahead.abs().as_secs_f64();
        write!(
            f,
            "this machine's clock is {seconds:.1} s {way} the database's"
        )
    }
}

/// Compares now and then; remembers what was found.
#[derive(Debug, Default)]
pub struct Clocks {
    next: Option<Timestamp>,
    wrong: bool,
    /// The database has no clock of its own: there is nothing to compare.
    alone: bool,
}

impl Clocks {
    /// Whether work may go on.
    pub async fn agree(&mut self, store: &dyn Store, clock: &dyn Clock) -> Result<bool> {
        if self.alone {
            return Ok(true);
        }
        let sent = clock.now();
        let early = |next: &Timestamp| sent < *next && sent > back(*next);
        if self.next.as_ref().is_some_and(early) {
            return Ok(!self.wrong);
        }
        let Some(theirs) = store.clock().await? else {
            self.alone = true;
            return Ok(true);
        };
        let apart = Apart::between(sent, theirs, clock.now());
        match (self.wrong, apart.too_far()) {
            (false, true) => {
                tracing::error!(
                    "{apart}: nothing is dialled and nothing taken over until they agree"
                );
            }
            (true, false) => tracing::info!("the clocks agree again"),
            (true, true) | (false, false) => {}
        }
        self.wrong = apart.too_far();
        self.next = Some(plus(sent, EVERY));
        Ok(!self.wrong)
    }
}

/// The wall clock may be set back: then the comparison is due at once.
fn back(next: Timestamp) -> Timestamp {
    next.saturating_sub(SignedDuration::try_from(2 * EVERY).unwrap_or(SignedDuration::MAX))
        .unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    #[test]
    fn a_second_is_too_much_and_a_slow_answer_is_not() {
        for (sent, theirs, received, too_far) in [
            (0, 0, 2, false),
            (0, 900, 2, false),
            (0, -1_100, 2, true),
            (0, 1_100, 2, true),
            // Three seconds on the way: the answer may be as old.
            (0, 0, 3_000, false),
            (0, -1_100, 3_000, true),
        ] {
            let apart = Apart::between(at(sent), at(theirs), at(received));
            assert_eq!(apart.too_far(), too_far, "{sent} {theirs} {received}");
        }
    }

    #[test]
    fn it_says_which_way() {
        assert_eq!(
            Apart::between(at(5_000), at(0), at(5_000)).to_string(),
            "this machine's clock is 5.0 s ahead of the database's"
        );
        assert_eq!(
            Apart::between(at(0), at(1_500), at(0)).to_string(),
            "this machine's clock is 1.5 s behind the database's"
        );
    }
}
