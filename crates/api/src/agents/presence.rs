//! `PUT /v1/agents/{id}/presence`.

use super::{AgentPath, shown};
use crate::ApiState;
use crate::auth::{Caller, Desk};
use crate::error::Problem;
use crate::extract::{InPath, JsonObject};
use crate::fields::Fields;
use crate::view::{AgentView, PresenceRequest};
use axum::extract::State;
use axum::response::Response;
use ringback_callbacks::agent::Presence;
use ringback_callbacks::ids::AgentId;

/// Say where an agent stands
///
/// Only a `ready` agent without a callback in hand is offered one.
#[utoipa::path(
    put,
    path = "/v1/agents/{id}/presence",
    tag = "agents",
    security(("api_key" = ["agent"])),
    params(AgentPath),
    request_body(content = PresenceRequest, example = json!({ "presence": "ready" })),
    responses((status = 200, description = "The agent as they are now.", body = AgentView))
)]
pub async fn put_presence(
    caller: Caller<Desk>,
    State(state): State<ApiState>,
    InPath(id): InPath<AgentId>,
    body: JsonObject,
) -> Result<Response, Problem> {
    let mut f = Fields::new(&body.object);
    let presence = f.parsed("presence", |text| {
        Presence::parse(text).ok_or("must be ready, away, busy or offline")
    });
    let presence = f.require("presence", presence);
    f.finish()?;
    let presence = presence.ok_or_else(|| Problem::field("presence", "required", "is required"))?;
    let agent = state
        .store
        .set_presence(&caller.tenant, id, presence, state.clock.now())
        .await?;
    Ok(shown(&agent))
}
