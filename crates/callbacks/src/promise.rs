//! What the customer was told: the promise given at booking, the windows told since, and what became of them.

use crate::callback::{Callback, Window};
use crate::wire_time::stored;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The window told at booking, with the facts by which it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    #[serde(with = "stored")]
    pub from: Timestamp,
    #[serde(with = "stored")]
    pub to: Timestamp,
    pub state: PromiseState,
    /// When the first attempt began that counted.
    #[serde(with = "stored::optional", default)]
    pub first_attempt_at: Option<Timestamp>,
    /// When a person was reached.
    #[serde(with = "stored::optional", default)]
    pub reached_at: Option<Timestamp>,
    /// Whether that was inside the customer's window, as it stood then.
    #[serde(default)]
    pub reached_in_window: bool,
}

impl Promise {
    /// A promise as it is given.
    pub fn open(from: Timestamp, to: Timestamp) -> Promise {
        Promise {
            from,
            to,
            state: PromiseState::Open,
            first_attempt_at: None,
            reached_at: None,
            reached_in_window: false,
        }
    }

    /// A person was reached at this moment.
    pub fn reach(&mut self, at: Timestamp, window: &Window) {
        self.reached_at = Some(at);
        self.reached_in_window = at >= window.start && window.end.is_none_or(|end| at <= end);
    }

    /// It turned out that nobody was reached.
    pub fn unreach(&mut self) {
        self.reached_at = None;
        self.reached_in_window = false;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromiseState {
    Open,
    /// The first attempt that counted began in time.
    Kept,
    /// It began after the promise.
    Late,
    /// The callback ended without one.
    Broken,
    /// Ended by the customer's own wish before it fell due.
    Released,
}

impl PromiseState {
    pub fn name(self) -> &'static str {
        match self {
            PromiseState::Open => "open",
            PromiseState::Kept => "kept",
            PromiseState::Late => "late",
            PromiseState::Broken => "broken",
            PromiseState::Released => "released",
        }
    }
}

/// A window told after the promise was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    #[serde(with = "stored")]
    pub from: Timestamp,
    #[serde(with = "stored")]
    pub to: Timestamp,
    pub reason: MoveReason,
    /// When it was moved.
    #[serde(with = "stored")]
    pub at: Timestamp,
}

/// Why the customer is told another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveReason {
    /// A try failed; the next one comes then.
    Retry,
    /// What was told has passed without a try, and the callback is still wanted.
    Late,
    /// A guard holds it beyond what was told.
    Held,
    /// Somebody moved it to another time.
    Rescheduled,
    /// Somebody put it off.
    Snoozed,
    /// Somebody changed its window or whom to call.
    Changed,
    /// A second request for the number asked for an earlier time.
    Merged,
}

impl MoveReason {
    pub fn name(self) -> &'static str {
        match self {
            MoveReason::Retry => "retry",
            MoveReason::Late => "late",
            MoveReason::Held => "held",
            MoveReason::Rescheduled => "rescheduled",
            MoveReason::Snoozed => "snoozed",
            MoveReason::Changed => "changed",
            MoveReason::Merged => "merged",
        }
    }
}

/// What the record says of how well the customer was served; `None` while it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// The first attempt that counted began inside the promise given at booking.
    pub first_attempt_in_time: Option<bool>,
    /// A person was reached inside the customer's window.
    pub reached_in_window: Option<bool>,
    /// Both: reached, and first dialled when it was said.
    pub kept_as_told: Option<bool>,
}

impl Callback {
    /// The window the customer goes by now.
    pub fn promise_now(&self) -> (Timestamp, Timestamp) {
        self.told
            .map_or((self.promise.from, self.promise.to), |told| {
                (told.from, told.to)
            })
    }

    /// When what was told has passed, if the customer still goes by it: after the first try that counted,
    /// only a time told since binds.
    pub fn told_until(&self) -> Option<Timestamp> {
        match self.told {
            Some(told) => Some(told.to),
            None => (self.promise.state == PromiseState::Open).then_some(self.promise.to),
        }
    }

    /// By when it is to be dialled, for the order of service: the end of what was told, else of the window.
    pub fn deadline(&self) -> Timestamp {
        self.told_until()
            .or(self.window.end)
            .unwrap_or(self.promise.to)
    }

    /// Its place in the order of service: the earlier is served first.
    pub fn rank(&self) -> Timestamp {
        ringback_scheduling::order::rank(self.priority, self.deadline())
    }

    /// How well the customer was served.
    pub fn service(&self) -> Service {
        let promise = &self.promise;
        let wished_away = promise.state == PromiseState::Released;
        let over = self.state.is_ended() && !wished_away;
        let first_attempt_in_time = match promise.first_attempt_at {
            Some(at) => Some(promise.from <= at && at <= promise.to),
            None => over.then_some(false),
        };
        let reached_in_window = match promise.reached_at {
            Some(_) => Some(promise.reached_in_window),
            None => over.then_some(false),
        };
        Service {
            first_attempt_in_time,
            reached_in_window,
            kept_as_told: first_attempt_in_time
                .zip(reached_in_window)
                .map(|(in_time, reached)| in_time && reached),
        }
    }
}
