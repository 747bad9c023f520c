//! The states of a callback, each with its own data, and the wire numbers that follow from them.

use crate::guard::Guard;
use crate::ids::{AgentId, AttemptId, InteractionId, NodeId, OfferId};
use crate::outcome::CallResult;
use crate::wire_time::stored;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A node's lease on a callback. Whoever holds an older `fence` is late and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub node: NodeId,
    #[serde(with = "stored")]
    pub until: Timestamp,
    pub fence: u64,
}

/// Whom the near leg goes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Ringback's own agent.
    Agent(AgentId),
    /// A queue or extension of the PBX, which distributes the call itself.
    Dn,
    /// Nobody: a template is sent by the queue itself.
    Template,
}

impl Target {
    pub fn agent(&self) -> Option<AgentId> {
        match self {
            Target::Agent(id) => Some(*id),
            Target::Dn | Target::Template => None,
        }
    }
}

/// Why a callback waits for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DueReason {
    Booked,
    Retry,
    Snoozed,
    Held(Guard),
}

/// Who cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Canceller {
    Customer,
    Operator,
    Agent(AgentId),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum State {
    Received,
    Scheduled {
        #[serde(with = "stored")]
        due: Timestamp,
        reason: DueReason,
    },
    Queued {
        #[serde(with = "stored")]
        since: Timestamp,
    },
    /// Passed on to a certain agent and waiting for them.
    Transferred {
        to: AgentId,
        #[serde(with = "stored")]
        since: Timestamp,
    },
    Offered {
        claim: Claim,
        offer: OfferId,
        agent: AgentId,
        #[serde(with = "stored")]
        until: Timestamp,
        /// Its place in the queue, kept if the offer comes to nothing.
        #[serde(with = "stored")]
        since: Timestamp,
    },
    /// Taken by an agent, or handed to a DN; the attempt is not begun yet.
    Assigned {
        claim: Claim,
        target: Target,
        #[serde(with = "stored")]
        since: Timestamp,
    },
    Dialling {
        claim: Claim,
        attempt: AttemptId,
        number: u32,
        target: Target,
        #[serde(with = "stored")]
        since: Timestamp,
    },
    Talking {
        claim: Claim,
        attempt: AttemptId,
        number: u32,
        target: Target,
        #[serde(with = "stored")]
        since: Timestamp,
    },
    WrapUp {
        agent: AgentId,
        #[serde(with = "stored")]
        until: Timestamp,
        /// The attempt that reached the customer; a disposition may say better what it reached.
        attempt: AttemptId,
    },
    Done {
        disposition: Option<String>,
    },
    Cancelled {
        by: Canceller,
        reason: Option<String>,
    },
    Exhausted {
        last: Option<CallResult>,
    },
    Refused {
        guard: Guard,
    },
    Failed {
        fault: String,
    },
    Replaced {
        by: InteractionId,
    },
    Expired,
}

impl State {
    /// Names as they stand in the database's CHECK and in events.
    pub const NAMES: [&'static str; 16] = [
        "received",
        "scheduled",
        "queued",
        "transferred",
        "offered",
        "assigned",
        "dialling",
        "talking",
        "wrap_up",
        "done",
        "cancelled",
        "exhausted",
        "refused",
        "failed",
        "replaced",
        "expired",
    ];

    pub fn name(&self) -> &'static str {
        match self {
            State::Received => "received",
            State::Scheduled { .. } => "scheduled",
            State::Queued { .. } => "queued",
            State::Transferred { .. } => "transferred",
            State::Offered { .. } => "offered",
            State::Assigned { .. } => "assigned",
            State::Dialling { .. } => "dialling",
            State::Talking { .. } => "talking",
            State::WrapUp { .. } => "wrap_up",
            State::Done { .. } => "done",
            State::Cancelled { .. } => "cancelled",
            State::Exhausted { .. } => "exhausted",
            State::Refused { .. } => "refused",
            State::Failed { .. } => "failed",
            State::Replaced { .. } => "replaced",
            State::Expired => "expired",
        }
    }

    /// Nothing more will happen.
    pub fn is_ended(&self) -> bool {
        match self {
            State::Received
            | State::Scheduled { .. }
            | State::Queued { .. }
            | State::Transferred { .. }
            | State::Offered { .. }
            | State::Assigned { .. }
            | State::Dialling { .. }
            | State::Talking { .. }
            | State::WrapUp { .. } => false,
            State::Done { .. }
            | State::Cancelled { .. }
            | State::Exhausted { .. }
            | State::Refused { .. }
            | State::Failed { .. }
            | State::Replaced { .. }
            | State::Expired => true,
        }
    }

    /// `callback_status` (table 4.1) and `status` (table 4.5).
    pub fn wire(&self) -> (i32, i32) {
        match self {
            State::Received => (1, 0),
            State::Scheduled { .. } => (2, 1),
            State::Queued { .. } => (3, 1),
            State::Assigned { .. } => (4, 2),
            State::Offered { .. } | State::Dialling { .. } | State::Talking { .. } => (5, 2),
            State::Transferred { .. } => (13, 2),
            State::WrapUp { .. } => (8, 2),
            State::Done { .. } | State::Exhausted { .. } => (9, 3),
            State::Cancelled { by, .. } => match by {
                Canceller::Agent(_) => (7, 3),
                Canceller::Customer | Canceller::Operator => (9, 3),
            },
            State::Refused { .. } => (10, 3),
            State::Failed { .. } => (11, 3),
            State::Replaced { .. } => (12, 3),
            State::Expired => (14, 3),
        }
    }

    pub fn claim(&self) -> Option<&Claim> {
        match self {
            State::Offered { claim, .. }
            | State::Assigned { claim, .. }
            | State::Dialling { claim, .. }
            | State::Talking { claim, .. } => Some(claim),
            State::Received
            | State::Scheduled { .. }
            | State::Queued { .. }
            | State::Transferred { .. }
            | State::WrapUp { .. }
            | State::Done { .. }
            | State::Cancelled { .. }
            | State::Exhausted { .. }
            | State::Refused { .. }
            | State::Failed { .. }
            | State::Replaced { .. }
            | State::Expired => None,
        }
    }

    /// The same state under another claim; `None` where there is none to replace.
    pub fn with_claim(&self, claim: Claim) -> Option<State> {
        let mut state = self.clone();
        match &mut state {
            State::Offered { claim: held, .. }
            | State::Assigned { claim: held, .. }
            | State::Dialling { claim: held, .. }
            | State::Talking { claim: held, .. } => *held = claim,
            State::Received
            | State::Scheduled { .. }
            | State::Queued { .. }
            | State::Transferred { .. }
            | State::WrapUp { .. }
            | State::Done { .. }
            | State::Cancelled { .. }
            | State::Exhausted { .. }
            | State::Refused { .. }
            | State::Failed { .. }
            | State::Replaced { .. }
            | State::Expired => return None,
        }
        Some(state)
    }

    /// The agent whose hands are full because of it.
    pub fn engages(&self) -> Option<AgentId> {
        match self {
            State::Offered { agent, .. } | State::WrapUp { agent, .. } => Some(*agent),
            State::Assigned { target, .. }
            | State::Dialling { target, .. }
            | State::Talking { target, .. } => target.agent(),
            State::Received
            | State::Scheduled { .. }
            | State::Queued { .. }
            | State::Transferred { .. }
            | State::Done { .. }
            | State::Cancelled { .. }
            | State::Exhausted { .. }
            | State::Refused { .. }
            | State::Failed { .. }
            | State::Replaced { .. }
            | State::Expired => None,
        }
    }
}
