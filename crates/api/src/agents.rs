//! `/v1/agents`: people who serve queues, their presence, and what is offered to them.

pub mod answer;
pub mod callbacks;
pub mod get;
pub mod list;
pub mod offers;
pub mod presence;
pub mod put;
pub mod remove;

use crate::ApiState;
use crate::conditional::etag_header;
use crate::error::Problem;
use crate::view::AgentView;
use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use ringback_callbacks::agent::Agent;
use ringback_callbacks::ids::{AgentId, TenantId};

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "read by InPath; here for the document")]
pub struct AgentPath {
    /// The agent's id.
    #[param(minimum = 0)]
    id: i64,
}

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "read by InPath; here for the document")]
pub struct OfferPath {
    /// The agent's id.
    #[param(minimum = 0)]
    id: i64,
    /// The offer's id.
    #[param(format = Uuid)]
    offer: String,
}

async fn find(state: &ApiState, tenant: &TenantId, id: AgentId) -> Result<Agent, Problem> {
    state
        .store
        .agent(tenant, id)
        .await?
        .ok_or_else(|| Problem::not_found("agent"))
}

fn shown(agent: &Agent) -> Response {
    (
        [(header::ETAG, etag_header(agent.revision))],
        Json(AgentView::new(agent)),
    )
        .into_response()
}
