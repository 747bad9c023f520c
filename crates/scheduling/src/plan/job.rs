//! One open callback, as the planner sees it.

use super::rules::{Interval, Second};

/// How an attempt ended, as far as planning goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    Answered,
    Busy,
    NoAnswer,
    Machine,
    Invalid,
    /// The network's fault, not the customer's.
    Failed,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    pub booked_at: Second,
    /// The customer's window; both ends count.
    pub window: Interval,
    /// Moments at which the customer may be dialled; in order, disjoint, half-open.
    pub dialable: Vec<Interval>,
    /// As soon as possible, rather than at a time the customer named.
    pub asap: bool,
}

impl Ask {
    /// The first moment, from `now` on, at which a dial is right.
    pub fn first(&self, now: Second) -> Option<Second> {
        let from = now.max(self.window.0);
        self.dialable
            .iter()
            .find(|span| span.1 > from)
            .map(|span| span.0.max(from))
    }

    /// The last moment at which a dial is right.
    pub fn last(&self) -> Option<Second> {
        self.dialable
            .iter()
            .rev()
            .find(|span| span.0 <= self.window.1)
            .map(|span| self.window.1.min(span.1 - 1))
    }

    pub fn may_dial(&self, moment: Second) -> bool {
        self.dialable
            .iter()
            .any(|span| (span.0..span.1).contains(&moment))
    }
}

/// An accepted callback that is not done.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub ask: Ask,
    /// Told at booking; both ends count.
    pub promise: Interval,
    /// Told last: the promise at first, then the time of the next try.
    pub told: Interval,
    pub tries: u32,
    /// Not before this.
    pub due: Second,
    pub last: Option<(Second, Ended)>,
    /// Since when an agent is at work on it.
    pub busy_since: Option<Second>,
    /// The next try is the last one and best made at the end of the window.
    pub at_end: bool,
}

impl Job {
    /// The moment its next dial must have begun by.
    pub fn deadline(&self, now: Second) -> Second {
        if self.told.1 >= now {
            self.told.1.min(self.ask.window.1)
        } else {
            self.ask.window.1
        }
    }

    /// Whether its window passes without a dial if it is not dialled by its deadline.
    pub fn at_stake(&self, now: Second) -> bool {
        self.tries == 0 && self.deadline(now) >= self.ask.window.1 - 60
    }

    /// Whether it may be dialled now.
    pub fn ready(&self, now: Second) -> bool {
        self.busy_since.is_none()
            && self.due <= now
            && now <= self.ask.window.1
            && self.ask.may_dial(now)
    }
}
