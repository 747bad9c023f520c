//! `[[agents]]`: agents made at the first start. Afterwards the API owns them; nothing here changes one that exists.

use super::document::{Document, Misread, Part};
use super::routes::Route;
use jiff::Timestamp;
use ringback_callbacks::agent::{Agent, Presence};
use ringback_callbacks::contact::ResponseType;
use ringback_callbacks::ids::{AgentId, QueueId, TenantId};
use ringback_callbacks::queue::is_dn;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

/// An agent to be made when absent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedAgent {
    /// Number of the agent; the resource's `owner_id` and `agent_id` are such numbers.
    pub id: i64,
    /// Shown to people.
    pub name: String,
    /// Where the agent's phone is: the user name of a phone registered here, a SIP URI, or an extension on `route`.
    pub dn: String,
    /// Route by which the extension is reached. Without it the `dn` is a registered phone or a SIP URI.
    #[serde(default)]
    pub route: Option<String>,
    /// Ids of the queues the agent serves.
    #[serde(default)]
    pub queues: Vec<QueueId>,
    /// `ready`, `away`, `busy` or `offline` after the first start.
    #[serde(default = "offline")]
    pub presence: Presence,
    /// For phones without a desk: an offer counts as accepted at once, and the ringing phone is the question.
    #[serde(default)]
    pub auto_accept: bool,
}

fn offline() -> Presence {
    Presence::Offline
}

impl SeedAgent {
    pub fn read(written: Spanned<DeValue<'_>>) -> Result<Self, Misread> {
        Ok(SeedAgent::deserialize(ValueDeserializer::from(written))?)
    }

    pub fn agent(&self, tenant: &TenantId, now: Timestamp) -> Agent {
        Agent {
            tenant: tenant.clone(),
            id: AgentId(self.id),
            name: self.name.clone(),
            dn: self.dn.clone(),
            route: self.route.clone(),
            queues: self.queues.clone(),
            presence: self.presence,
            auto_accept: self.auto_accept,
            engaged: None,
            idle_since: now,
            revision: 0,
        }
    }
}

/// Everything about the agents that can be wrong before they meet the store. Queues are not asked for
/// here: they may have been made by the API.
pub fn check(
    document: &mut Document<'_>,
    agents: &[Part<'_, SeedAgent>],
    routes: &[Part<'_, Route>],
) {
    let mut seen = BTreeSet::new();
    for (index, part) in agents.iter().enumerate() {
        let agent = &part.value;
        let mut wrong = |key: &str, reason: String| {
            document.complain(part.place_of(key), format!("agents[{index}].{key}"), reason);
        };
        if !seen.insert(agent.id) {
            wrong("id", "is given twice".to_owned());
        }
        if agent.id < 1 {
            wrong("id", "must be 1 or more".to_owned());
        }
        if agent.name.trim().is_empty() || agent.name.chars().count() > 200 {
            wrong("name", "must have 1 to 200 characters".to_owned());
        }
        if !is_dn(&agent.dn) {
            wrong(
                "dn",
                "must be an extension, a user name or a SIP URI without spaces".to_owned(),
            );
        }
        if let Some(name) = &agent.route {
            match routes.iter().find(|route| route.value.name() == name) {
                Some(route) if route.value.serves(ResponseType::Voice) => {}
                Some(_) => wrong(
                    "route",
                    format!("names the route `{name}`, which carries no calls"),
                ),
                None => wrong(
                    "route",
                    format!("names the route `{name}`, which no [[routes]] defines"),
                ),
            }
        }
    }
}
