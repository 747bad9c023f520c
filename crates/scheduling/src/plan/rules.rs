//! What a planner is told beforehand about one queue: hours, staff, the live load, and the priors that learning starts from.

use super::reach::Phone;

/// A moment: whole seconds of the Unix epoch.
pub type Second = i64;

/// A half-open interval of moments.
pub type Interval = (Second, Second);

/// A value that changes in steps: each holds from its moment until the next one's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps(Vec<(Second, f64)>);

impl Steps {
    /// Sorts the steps; of two at one moment the later given wins.
    pub fn new(mut steps: Vec<(Second, f64)>) -> Steps {
        steps.sort_by_key(|step| step.0);
        Steps(steps)
    }

    /// The value at a moment; nought before the first step.
    pub fn at(&self, moment: Second) -> f64 {
        let next = self.0.partition_point(|step| step.0 <= moment);
        next.checked_sub(1).map_or(0.0, |index| self.0[index].1)
    }

    /// The integral over `[from, to)`: value times seconds.
    pub fn sum(&self, from: Second, to: Second) -> f64 {
        let mut total = 0.0;
        let mut moment = from;
        let mut next = self.0.partition_point(|step| step.0 <= from);
        while moment < to {
            let until = self.0.get(next).map_or(to, |step| step.0.min(to));
            let value = next.checked_sub(1).map_or(0.0, |index| self.0[index].1);
            total += value * (until - moment) as f64;
            moment = until;
            next += 1;
        }
        total
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Calls that come in by themselves and share the agents.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveRules {
    /// Forecast, calls per hour.
    pub forecast: Steps,
    /// Mean time an agent needs for one, talk and wrap, seconds.
    pub handling: f64,
    /// Share of the calls to be answered within `within`, of the day.
    pub target: f64,
    /// Seconds.
    pub within: Second,
    /// Share of the calls of a day that may give up at most.
    pub abandon: f64,
}

/// Seconds for which an attempt takes the agent before its result is known, by result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RingTimes {
    pub answered: f64,
    pub busy: f64,
    pub no_answer: f64,
    pub machine: f64,
    pub invalid: f64,
    pub failed: f64,
}

impl Default for RingTimes {
    /// Answers cluster at 6 to 22 s; unanswered phones ring out.
    fn default() -> RingTimes {
        RingTimes {
            answered: 14.0,
            busy: 5.0,
            no_answer: 30.0,
            machine: 15.0,
            invalid: 5.0,
            failed: 4.0,
        }
    }
}

/// The rules of one queue as far as planning goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// When the queue is open; in order, disjoint.
    pub open: Vec<Interval>,
    /// Agents planned.
    pub staff: Steps,
    pub live: Option<LiveRules>,
    /// Mean talk of a callback, seconds; the prior of what is learned.
    pub talk: f64,
    /// Mean wrap-up, seconds.
    pub wrap: f64,
    pub ring: RingTimes,
    /// How customers' phones behave inside their window; the prior of what is learned.
    pub phone: Phone,
    /// Dials per callback at most.
    pub max_attempts: u32,
    /// Seconds between two dials of one callback at least.
    pub min_gap: Second,
    /// A promise longer than this is not waited for by the phone.
    pub attention: Second,
    /// A moved promise begins this much later at least.
    pub notice: Second,
}

impl Rules {
    /// Whether the queue is open.
    pub fn is_open(&self, moment: Second) -> bool {
        self.open
            .iter()
            .any(|(from, to)| (*from..*to).contains(&moment))
    }

    /// When the day begins; `now` if it has no hours.
    pub fn opens(&self, now: Second) -> Second {
        self.open.first().map_or(now, |span| span.0)
    }

    /// When the day ends; `now` if it has no hours.
    pub fn closes(&self, now: Second) -> Second {
        self.open.last().map_or(now, |span| span.1)
    }

    /// Mean time of a call that is answered, seconds.
    pub fn handling(&self) -> f64 {
        self.ring.answered + self.talk + self.wrap
    }
}
