//! One thing that happened, in order, never changed. Each event carries the hash of the one before it.

use crate::ids::{InteractionId, TenantId};
use crate::wire_time::{self, stored};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Every kind of event there is. The catalogue page is generated from this list.
macro_rules! event_kinds {
    ($($(#[doc = $doc:literal])+ $name:ident => $wire:literal),+ $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum EventKind {
            $($(#[doc = $doc])+ #[serde(rename = $wire)] $name,)+
        }

        impl EventKind {
            pub const ALL: &'static [EventKind] = &[$(EventKind::$name),+];

            pub fn name(self) -> &'static str {
                match self { $(EventKind::$name => $wire,)+ }
            }

            /// One sentence for the catalogue.
            pub fn meaning(self) -> &'static str {
                match self { $(EventKind::$name => concat!($($doc),+),)+ }
            }
        }
    };
}

event_kinds! {
    /// The request was checked, stored and promised.
    Accepted => "accepted",
    /// A guard keeps the callback from being dialled; `guard` and `until` say which and how long.
    Held => "held",
    /// It is due and waits in its queue for an agent or a free place.
    Queued => "queued",
    /// A node claimed it for an agent or a directory number.
    Assigned => "assigned",
    /// It was put before an agent.
    Offered => "offered",
    /// The agent took the offer.
    OfferAccepted => "offer_accepted",
    /// The agent refused the offer; it goes back to its place in the queue.
    OfferDeclined => "offer_declined",
    /// The agent did not answer the offer in time, or took a letter and wrote nothing, and was set away.
    OfferTimedOut => "offer_timed_out",
    /// The attempt is recorded; the first packet leaves after this.
    AttemptBegun => "attempt_begun",
    /// A leg is ringing.
    Ringing => "ringing",
    /// A party answered.
    Answered => "answered",
    /// A route failed and the next was taken, or none was left.
    RouteFailed => "route_failed",
    /// Agent and customer can speak with each other.
    Connected => "connected",
    /// The attempt ended; `result` is our code, `platform` the other side's own.
    AttemptEnded => "attempt_ended",
    /// It will be tried again; `due` says when.
    RetryScheduled => "retry_scheduled",
    /// The plan moved on to the next contact.
    ContactChanged => "contact_changed",
    /// The agent has finished the conversation and is wrapping up.
    WrapUp => "wrap_up",
    /// An agent said how it ended.
    Disposed => "disposed",
    /// The agent's reply for an e-mail callback was taken.
    ReplyWritten => "reply_written",
    /// Somebody moved it to another time.
    Rescheduled => "rescheduled",
    /// New rules of local time moved the instants of its window; the wall time that was agreed stays.
    WindowMoved => "window_moved",
    /// Somebody put it off for a while.
    Snoozed => "snoozed",
    /// It was passed to another agent or queue.
    Transferred => "transferred",
    /// Another request for the same number was added to it; `fields` says what it brought.
    Merged => "merged",
    /// Fields were changed.
    Changed => "changed",
    /// A body was stored.
    BodyStored => "body_stored",
    /// A cancellation was asked for while a call is being placed.
    CancelRequested => "cancel_requested",
    /// Ended: cancelled.
    Cancelled => "cancelled",
    /// Ended: the customer was reached.
    Done => "done",
    /// Ended: tries or contacts are used up.
    Exhausted => "exhausted",
    /// Ended: `end_time` passed.
    Expired => "expired",
    /// Ended: a guard refuses it for good.
    Refused => "refused",
    /// Ended: a technical fault that no retry mends.
    Failed => "failed",
    /// Ended: superseded by another callback.
    Replaced => "replaced",
    /// A node's claim ran out or its node restarted; what was in the air is unknown.
    Rescued => "rescued",
    /// The customer is told another time; `old`, `new` and `reason` say which and why.
    PromiseMoved => "promise_moved",
    /// The window ended without the promised contact: the customer is owed an apology; `offers` are new times.
    ApologyDue => "apology_due",
    /// The open promise is not expected to be kept; `expected_from` and `expected_to` say what is expected instead.
    PromiseAtRisk => "promise_at_risk",
    /// A promise that was in danger is expected to be kept after all.
    PromiseSafe => "promise_safe",
    /// The promise was kept.
    PromiseKept => "promise_kept",
    /// Contact was made, but after the promised window.
    PromiseLate => "promise_late",
    /// The callback ended without the promised contact.
    PromiseBroken => "promise_broken",
    /// A general interaction was recorded.
    Recorded => "recorded",
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The server's own clockwork.
    System,
    /// A program using the API, by its id.
    Application(i64),
    Agent(i64),
    Customer,
    Operator,
}

impl Actor {
    pub fn describe(&self) -> String {
        match self {
            Actor::System => "system".to_owned(),
            Actor::Application(id) => format!("application:{id}"),
            Actor::Agent(id) => format!("agent:{id}"),
            Actor::Customer => "customer".to_owned(),
            Actor::Operator => "operator".to_owned(),
        }
    }
}

/// An event as a decision makes it; number and hash are given when it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    pub kind: EventKind,
    pub actor: Actor,
    /// What it says, without anything personal.
    pub detail: Map<String, Value>,
    /// The personal part, kept apart so that erasing it leaves the chain whole.
    pub personal: Option<Value>,
}

impl NewEvent {
    pub fn new(kind: EventKind, actor: &Actor) -> Self {
        NewEvent {
            kind,
            actor: actor.clone(),
            detail: Map::new(),
            personal: None,
        }
    }

    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(key.to_owned(), value.into());
        self
    }

    pub fn personal(mut self, value: Value) -> Self {
        self.personal = Some(value);
        self
    }
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Order over the whole store; followers resume after it.
    pub seq: i64,
    pub tenant: TenantId,
    pub callback: InteractionId,
    /// Order within its callback, from 1.
    pub number: u32,
    #[serde(with = "stored")]
    pub at: Timestamp,
    pub kind: EventKind,
    pub actor: String,
    pub detail: Map<String, Value>,
    pub personal: Option<Value>,
    /// SHA-256 of the personal part with its salt; stays when the part itself is erased.
    pub personal_hash: Option<String>,
    pub hash: String,
}

/// The hash an event must have: SHA-256 over the hash before it and every part that never changes.
/// serde_json writes maps in key order here (no `preserve_order`), so the bytes are the same on every node.
#[expect(
    clippy::too_many_arguments,
    reason = "these are exactly the parts that are hashed"
)]
pub fn chain_hash(
    previous: &str,
    callback: InteractionId,
    number: u32,
    at: Timestamp,
    kind: EventKind,
    actor: &str,
    detail: &Map<String, Value>,
    personal_hash: Option<&str>,
) -> String {
    let line = (
        previous,
        callback.to_string(),
        number,
        wire_time::write(at),
        kind.name(),
        actor,
        detail,
        personal_hash,
    );
    // Texts, numbers and a map of texts always can be written.
    let line = serde_json::to_vec(&line).unwrap_or_default();
    hex::encode(Sha256::digest(line))
}

/// Hash of a personal part; the salt keeps a short number from being found by trying them all.
pub fn personal_hash(salt: &str, personal: &Value) -> String {
    hex::encode(Sha256::digest(format!("{salt}\n{personal}").as_bytes()))
}

/// What is wrong with a callback's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainFault {
    /// Numbers are not 1, 2, 3, …
    Gap { expected: u32, found: u32 },
    /// The hash does not follow from what the event says.
    Altered { number: u32 },
}

/// Walks one callback's events in order.
pub fn verify_chain(events: &[Event]) -> Result<(), ChainFault> {
    let mut previous = String::new();
    for (index, event) in events.iter().enumerate() {
        let expected = u32::try_from(index + 1).unwrap_or(u32::MAX);
        if event.number != expected {
            return Err(ChainFault::Gap {
                expected,
                found: event.number,
            });
        }
        let hash = chain_hash(
            &previous,
            event.callback,
            event.number,
            event.at,
            event.kind,
            &event.actor,
            &event.detail,
            event.personal_hash.as_deref(),
        );
        if hash != event.hash {
            return Err(ChainFault::Altered {
                number: event.number,
            });
        }
        previous = hash;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Chains are kept for years: what is hashed must never change by a byte.
    #[test]
    fn the_hash_covers_a_json_array_of_the_parts() {
        let detail = json!({ "zone": "ä\"\n", "a": [1, null, true], "b": { "x": 1.5 } });
        let id: InteractionId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let at: Timestamp = "2026-03-09T14:05:00.120Z".parse().unwrap();
        for personal in [None, Some("cafe")] {
            let line = json!([
                "before",
                "01890a5d-ac96-774b-bcce-b302099a8057",
                7,
                "2026-03-09T14:05:00.120Z",
                "accepted",
                "application:5",
                detail,
                personal
            ]);
            let expected = hex::encode(Sha256::digest(line.to_string().as_bytes()));
            let map = detail.as_object().unwrap();
            let found = chain_hash(
                "before",
                id,
                7,
                at,
                EventKind::Accepted,
                "application:5",
                map,
                personal,
            );
            assert_eq!(found, expected);
        }
    }
}
