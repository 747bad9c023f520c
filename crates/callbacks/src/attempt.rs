//! One try at reaching the customer, on one channel; recorded before it is placed.

use crate::ids::{AgentId, AttemptId, InteractionId, TenantId};
use crate::outcome::Outcome;
use crate::wire_time::stored;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An attempt. While `ended_at` is empty it holds its number: nobody else may ring it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub tenant: TenantId,
    pub id: AttemptId,
    pub callback: InteractionId,
    /// Numbered from 1; every placing has its own number, counted or not.
    pub number: u32,
    pub channel: String,
    pub route: Option<String>,
    pub agent: Option<AgentId>,
    /// Directory number the near leg goes to.
    pub dn: Option<String>,
    /// The contact tried, canonical.
    pub contact: String,
    /// Claim number under which it was placed; a late holder of an older claim cannot settle it.
    pub fence: u64,
    #[serde(with = "stored")]
    pub began_at: Timestamp,
    #[serde(with = "stored::optional", default)]
    pub answered_at: Option<Timestamp>,
    #[serde(with = "stored::optional", default)]
    pub ended_at: Option<Timestamp>,
    pub outcome: Option<Outcome>,
    /// Whether it counts against the customer's tries; decided at its end.
    pub counted: bool,
    /// Dialog identifiers by which a restarted node can end what it left ringing; opaque here.
    pub legs: serde_json::Value,
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Contact, DN and legs hold numbers and addresses.
        f.debug_struct("Attempt")
            .field("id", &self.id)
            .field("number", &self.number)
            .field("channel", &self.channel)
            .field("route", &self.route)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}
