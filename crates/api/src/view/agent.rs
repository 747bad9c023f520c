//! Agents and what is offered to them, as clients see it.

use super::callback::CallbackView;
use super::date;
use crate::ApiSettings;
use ringback_callbacks::agent::Agent;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::state::State;
use serde::Serialize;
use utoipa::ToSchema;

/// A person who serves queues.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Agent)]
pub struct AgentView {
    /// Configuration id.
    pub agent_id: i64,
    /// Shown to people.
    pub name: String,
    /// Where their phone is: a SIP URI, an extension on `route`, or the user name of a registered phone.
    pub dn: String,
    /// Route by which the DN is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub route: Option<String>,
    /// The queues they serve.
    pub queues: Vec<String>,
    /// `ready`, `away`, `busy`, `offline`.
    pub presence: &'static str,
    /// Offers count as accepted at once: the phone's ring is the question.
    pub auto_accept: bool,
    /// The callback they are offered, talking about or wrapping up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub engaged_with: Option<String>,
    /// When they last became free.
    #[schema(format = DateTime)]
    pub idle_since: String,
    /// Grows with every change; also the `ETag`.
    pub revision: u64,
}

/// What an administrator writes about an agent.
#[derive(ToSchema)]
#[schema(as = AgentBody)]
#[allow(dead_code, reason = "read field by field; here for the document")]
pub struct AgentBody {
    /// Shown to people; 1 to 200 characters.
    pub name: String,
    /// A SIP URI, an extension on `route`, or the user name of a registered phone.
    pub dn: String,
    /// Route by which the DN is reached; absent for a registered phone or a full SIP URI.
    #[schema(nullable)]
    pub route: Option<String>,
    /// The queues they serve; at most 200.
    #[schema(required = false)]
    pub queues: Vec<String>,
    /// Offers count as accepted at once. False if absent.
    #[schema(required = false)]
    pub auto_accept: bool,
}

/// A callback put before an agent.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Offer)]
pub struct OfferView {
    /// Id by which it is accepted or declined.
    pub offer_id: String,
    /// The agent who is asked.
    pub agent_id: i64,
    /// It is open until then.
    #[schema(format = DateTime)]
    pub until: String,
    /// The last attempt may have got through although nobody can say: the agent should know.
    pub may_have_reached: bool,
    /// The callback itself, to look at before deciding.
    pub callback: CallbackView,
}

impl AgentView {
    pub fn new(agent: &Agent) -> Self {
        AgentView {
            agent_id: agent.id.0,
            name: agent.name.clone(),
            dn: agent.dn.clone(),
            route: agent.route.clone(),
            queues: agent.queues.iter().map(ToString::to_string).collect(),
            presence: agent.presence.name(),
            auto_accept: agent.auto_accept,
            engaged_with: agent.engaged.map(|id| id.to_string()),
            idle_since: date(agent.idle_since),
            revision: agent.revision,
        }
    }
}

impl OfferView {
    /// `None` unless the callback is being offered.
    pub fn new(callback: &Callback, settings: &ApiSettings) -> Option<Self> {
        let State::Offered {
            offer,
            agent,
            until,
            ..
        } = &callback.state
        else {
            return None;
        };
        Some(OfferView {
            offer_id: offer.to_string(),
            agent_id: agent.0,
            until: date(*until),
            may_have_reached: callback.may_have_reached,
            callback: CallbackView::new(callback, settings),
        })
    }
}
