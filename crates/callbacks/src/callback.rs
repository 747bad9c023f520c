//! The stored request and all that became of it.

use crate::contact::{Contact, ResponseType};
use crate::guard::Guard;
use crate::ids::{AgentId, QueueId};
use crate::interaction::Interaction;
use crate::outcome::{CallResult, Verdict};
pub use crate::promise::{MoveReason, Promise, PromiseState, Told};
use crate::state::{Canceller, State};
use crate::window::LocalWindow;
use crate::wire_time::{plus, stored};
use jiff::Timestamp;
use ringback_scheduling::Almanac;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A callback. Everything that decides about its future is here; attempts and events are its record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Callback {
    pub interaction: Interaction,
    pub queue: QueueId,
    pub window: Window,
    /// The window as it was said, where that was in local time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalWindow>,
    /// Contacts in order; `current` is the one tried next. Never empty.
    pub contacts: Vec<ContactStep>,
    pub current: usize,
    /// IANA zone the customer stated.
    pub time_zone: Option<String>,
    /// The customer asked for that very hour: the guard of their night is lifted.
    pub any_hour: bool,
    /// 0 (lowest) to 100; 50 if never mentioned.
    pub priority: u8,
    /// The promise given at booking, and what became of it; it is the one that is judged.
    pub promise: Promise,
    /// The window told since, if the promise was moved: the one the customer goes by now.
    #[serde(default)]
    pub told: Option<Told>,
    /// The slot of the queue in which it has a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<SlotTime>,
    /// Since when the open promise is not expected to be kept.
    #[serde(with = "stored::optional", default)]
    pub at_risk: Option<Timestamp>,
    pub callback_type: Option<i32>,
    pub state: State,
    /// The number of the last claim; every new claim gets the next.
    pub fence: u64,
    /// Attempts that counted.
    pub attempts: u32,
    /// Attempts placed, counted or not; the next is numbered one more.
    pub placed: u32,
    pub tries: Tries,
    pub last_result: Option<CallResult>,
    /// When the latest attempt began; the promise is judged by it.
    #[serde(with = "stored::optional", default)]
    pub last_attempt_at: Option<Timestamp>,
    /// When customer and agent could speak with each other in the latest attempt.
    #[serde(with = "stored::optional", default)]
    pub connected_at: Option<Timestamp>,
    pub dn: Option<String>,
    pub location: Option<String>,
    pub server: Option<String>,
    /// Since when it counts as waiting once it is queued: the place of the callback it took over.
    #[serde(with = "stored::optional", default)]
    pub place_since: Option<Timestamp>,
    /// What holds it back just now.
    pub held: Option<HeldBack>,
    /// A cancellation that arrived while a call was being placed.
    pub stop: Option<StopRequest>,
    /// The agent's answer to an e-mail callback, until it is sent.
    pub reply: Option<Reply>,
    /// The last attempt may have got through: the next agent is told.
    pub may_have_reached: bool,
    /// Agents who declined or missed it lately: not offered to them again for a while.
    #[serde(default)]
    pub passed_by: Vec<Passed>,
    pub revision: u64,
    /// Events written so far, and the hash of the last.
    pub events: u32,
    pub last_hash: String,
}

impl Callback {
    /// The contact to be tried next (or being tried).
    pub fn contact(&self) -> &Contact {
        &self.step().contact
    }

    pub fn response_type(&self) -> ResponseType {
        self.step().response_type
    }

    /// Where an almanac's rules of local time put its window, if that is somewhere else than it is.
    pub fn moved_by(&self, almanac: &Almanac) -> Option<(LocalWindow, Window)> {
        let mut local = self.local.clone()?;
        // A zone that this edition has lost leaves everything as it was agreed.
        let mut moved = local.resolve_by(almanac, self.window)?;
        // An end said as an instant stays, unless the start has moved past it: then the length stays.
        if let (Some(end), Some(old_end)) = (moved.end, self.window.end)
            && end <= moved.start
        {
            let length = old_end.duration_since(self.window.start);
            moved.end = moved.start.checked_add(length).ok();
        }
        (moved != self.window).then_some((local, moved))
    }

    fn step(&self) -> &ContactStep {
        // `contacts` is never empty and `current` never past its end: kept by request.rs and decide.rs.
        &self.contacts[self.current.min(self.contacts.len() - 1)]
    }

    /// The moment at which the clock alone makes something happen to it; `None` for ended callbacks.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        let end = self.window.end;
        match &self.state {
            State::Received => Some(self.interaction.created_at),
            State::Scheduled { due, .. } => Some(end.map_or(*due, |end| end.min(*due))),
            State::Queued { .. } | State::Transferred { .. } => {
                // An agent who passed on it may be asked again then; nobody else would say so.
                let again = self.passed_by.iter().map(Passed::until).min();
                [end, again, self.told_until().map(just_after)]
                    .into_iter()
                    .flatten()
                    .min()
            }
            State::Offered { claim, .. }
            | State::Assigned { claim, .. }
            | State::Dialling { claim, .. }
            | State::Talking { claim, .. } => Some(claim.until),
            State::WrapUp { until, .. } => Some(*until),
            State::Done { .. }
            | State::Cancelled { .. }
            | State::Exhausted { .. }
            | State::Refused { .. }
            | State::Failed { .. }
            | State::Replaced { .. }
            | State::Expired => None,
        }
    }
}

/// A window's end still belongs to it: it has passed a millisecond, the smallest step of stored time, later.
fn just_after(end: Timestamp) -> Timestamp {
    plus(end, Duration::from_millis(1))
}

/// An agent who did not want it, or was not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    pub agent: AgentId,
    #[serde(with = "stored")]
    pub at: Timestamp,
}

impl Passed {
    /// How long a colleague is waited for before the same agent is asked again. Without it, a lone agent
    /// who declines would be asked again in the same second.
    const REST: Duration = Duration::from_secs(60);

    pub fn until(&self) -> Timestamp {
        plus(self.at, Passed::REST)
    }
}

/// When it may be started, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    #[serde(with = "stored")]
    pub start: Timestamp,
    #[serde(with = "stored::optional", default)]
    pub end: Option<Timestamp>,
    /// Whether the customer named the end; else it is the queue's default.
    #[serde(default)]
    pub end_given: bool,
}

/// The bounds of a slot in which a place is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotTime {
    #[serde(with = "stored")]
    pub start: Timestamp,
    #[serde(with = "stored")]
    pub end: Timestamp,
}

/// One way of reaching the customer, and after how many failed tries to move on to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct ContactStep {
    pub response_type: ResponseType,
    pub contact: Contact,
    pub after_failures: Option<u32>,
    /// Failed tries on this contact so far.
    pub failures: u32,
}

/// Counted tries by kind since the contact was taken up; what the retry table looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tries {
    pub busy: u32,
    pub no_answer: u32,
    pub machine: u32,
    #[serde(default)]
    pub deferred: u32,
    pub declined: u32,
    pub unknown: u32,
    /// Faults in a row; not counted against the customer, but the gap grows with them.
    pub route_faults: u32,
}

impl Tries {
    pub fn of(&self, verdict: Verdict) -> u32 {
        match verdict {
            Verdict::Busy => self.busy,
            Verdict::NoAnswer => self.no_answer,
            Verdict::Machine => self.machine,
            Verdict::Deferred => self.deferred,
            Verdict::Declined => self.declined,
            Verdict::Unknown => self.unknown,
            Verdict::RouteFault => self.route_faults,
            Verdict::Reached
            | Verdict::Invalid
            | Verdict::AgentFault
            | Verdict::DoNotCall
            | Verdict::Stopped => 0,
        }
    }

    pub fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Busy => self.busy += 1,
            Verdict::NoAnswer => self.no_answer += 1,
            Verdict::Machine => self.machine += 1,
            Verdict::Deferred => self.deferred += 1,
            Verdict::Declined => self.declined += 1,
            Verdict::Unknown => self.unknown += 1,
            Verdict::RouteFault => {
                self.route_faults += 1;
                return;
            }
            Verdict::Reached
            | Verdict::Invalid
            | Verdict::AgentFault
            | Verdict::DoNotCall
            | Verdict::Stopped => {}
        }
        self.route_faults = 0;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    pub guard: Guard,
    #[serde(with = "stored")]
    pub since: Timestamp,
    #[serde(with = "stored::optional", default)]
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    pub by: Canceller,
    pub reason: Option<String>,
}

/// What an agent wrote in answer to an e-mail callback.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
}

impl Reply {
    /// Largest text or html, in bytes.
    pub const MAX: usize = 512 * 1024;
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Reply({} bytes)",
            self.text.len() + self.html.as_ref().map_or(0, String::len)
        )
    }
}

/// Contacts mask themselves whenever they are printed, so their stored form is written out here, in the open.
#[derive(Serialize, Deserialize)]
struct StoredStep {
    response_type: ResponseType,
    contact: String,
    after_failures: Option<u32>,
    #[serde(default)]
    failures: u32,
}

impl Serialize for ContactStep {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        StoredStep {
            response_type: self.response_type,
            contact: self.contact.expose().to_owned(),
            after_failures: self.after_failures,
            failures: self.failures,
        }
        .serialize(s)
    }
}

impl<'de> Deserialize<'de> for ContactStep {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let stored = StoredStep::deserialize(d)?;
        let contact = Contact::from_stored(stored.response_type, &stored.contact)
            .map_err(|error| serde::de::Error::custom(format!("stored contact: {error}")))?;
        Ok(ContactStep {
            response_type: stored.response_type,
            contact,
            after_failures: stored.after_failures,
            failures: stored.failures,
        })
    }
}
