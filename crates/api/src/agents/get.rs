//! `GET /v1/agents/{id}`.

use super::{AgentPath, find, shown};
use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::conditional::{Known, KnownHeader, etag_header};
use crate::error::Problem;
use crate::extract::InPath;
use crate::view::AgentView;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ringback_callbacks::ids::AgentId;

/// Read an agent
#[utoipa::path(
    get,
    path = "/v1/agents/{id}",
    tag = "agents",
    security(("api_key" = ["read"])),
    params(AgentPath, KnownHeader),
    responses(
        (status = 200, description = "The agent.", body = AgentView,
         headers(("ETag" = String, description = "Its revision."))),
        (status = 304, description = "It is still as you have it."),
    )
)]
pub async fn get_agent(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
    InPath(id): InPath<AgentId>,
    known: Known,
) -> Result<Response, Problem> {
    let agent = find(&state, &caller.tenant, id).await?;
    if known.has(agent.revision) {
        return Ok((
            StatusCode::NOT_MODIFIED,
            [(header::ETAG, etag_header(agent.revision))],
        )
            .into_response());
    }
    Ok(shown(&agent))
}
