//! One thing that happened, as clients see it.

use super::date;
use ringback_callbacks::event::Event;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// One thing that happened to a callback; never changed afterwards.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventView {
    /// Order over the whole store; `GET /v1/events` resumes after it.
    pub seq: i64,
    /// Order within its callback, from 1.
    pub number: u32,
    /// The callback (or other interaction).
    pub interaction_id: String,
    /// When it happened.
    #[schema(format = DateTime)]
    pub at: String,
    /// What happened: `accepted`, `held`, `queued`, `offered`, `attempt_begun`, `connected`, `done`, …
    pub kind: &'static str,
    /// Who did it: `system`, `application:7`, `agent:12`, `customer`, `operator`.
    pub actor: String,
    /// What belongs to this kind, without anything personal.
    #[schema(value_type = Object)]
    pub detail: Map<String, Value>,
    /// The personal part, until it is erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Object)]
    pub personal: Option<Value>,
    /// Hash over this event and the one before it.
    pub hash: String,
}

impl EventView {
    pub fn new(event: &Event) -> Self {
        EventView {
            seq: event.seq,
            number: event.number,
            interaction_id: event.callback.to_string(),
            at: date(event.at),
            kind: event.kind.name(),
            actor: event.actor.clone(),
            detail: event.detail.clone(),
            personal: event.personal.clone(),
            hash: event.hash.clone(),
        }
    }
}
