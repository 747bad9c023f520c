//! `DELETE /v1/agents/{id}`.

use super::{AgentPath, find};
use crate::ApiState;
use crate::auth::{Caller, Ruling};
use crate::error::Problem;
use crate::extract::InPath;
use axum::extract::State;
use axum::http::StatusCode;
use ringback_callbacks::ids::AgentId;

/// Remove an agent
///
/// Not while they have a callback in hand.
#[utoipa::path(
    delete,
    path = "/v1/agents/{id}",
    tag = "agents",
    security(("api_key" = ["admin"])),
    params(AgentPath),
    responses(
        (status = 204, description = "Removed."),
        (status = 409, description = "They have a callback in hand."),
    )
)]
pub async fn remove_agent(
    caller: Caller<Ruling>,
    State(state): State<ApiState>,
    InPath(id): InPath<AgentId>,
) -> Result<StatusCode, Problem> {
    find(&state, &caller.tenant, id).await?;
    if state.store.remove_agent(&caller.tenant, id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("agent"))
    }
}
