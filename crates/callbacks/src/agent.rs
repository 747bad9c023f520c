//! A person who serves queues, and the offers put before them.

use crate::ids::{AgentId, InteractionId, QueueId, TenantId};
use crate::wire_time::stored;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An agent with the desk's view of them. `engaged` is the callback they are offered, talking about or
/// wrapping up: while it is set nothing else is offered to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    pub tenant: TenantId,
    pub id: AgentId,
    pub name: String,
    /// Where their phone is: a SIP URI, an extension on `route`, or the user name of a registered phone.
    pub dn: String,
    /// Route by which the DN is reached; `None`: a phone registered with Ringback, or a full SIP URI.
    pub route: Option<String>,
    pub queues: Vec<QueueId>,
    pub presence: Presence,
    /// Phones without a desk: the offer counts as accepted at once and the phone's ring is the question.
    pub auto_accept: bool,
    pub engaged: Option<InteractionId>,
    /// When they last became free; the longest idle is offered first.
    #[serde(with = "stored")]
    pub idle_since: Timestamp,
    pub revision: u64,
}

impl Agent {
    pub fn is_free(&self) -> bool {
        self.presence == Presence::Ready && self.engaged.is_none()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    Ready,
    Away,
    Busy,
    Offline,
}

impl Presence {
    pub const ALL: [Presence; 4] = [
        Presence::Ready,
        Presence::Away,
        Presence::Busy,
        Presence::Offline,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Presence::Ready => "ready",
            Presence::Away => "away",
            Presence::Busy => "busy",
            Presence::Offline => "offline",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == text)
    }
}
