//! `GET /v1/agents/{id}/callbacks`: what an agent has in hand.

use super::{AgentPath, find};
use crate::ApiState;
use crate::auth::{Caller, Desk};
use crate::error::Problem;
use crate::extract::InPath;
use crate::view::{CallbackView, ListView};
use axum::Json;
use axum::extract::State;
use ringback_callbacks::ids::AgentId;
use ringback_store::CallbackQuery;

/// List what an agent has in hand
///
/// Offered, taken, being talked about, being wrapped up.
#[utoipa::path(
    get,
    path = "/v1/agents/{id}/callbacks",
    tag = "agents",
    security(("api_key" = ["agent"])),
    params(AgentPath),
    responses((status = 200, description = "The agent's callbacks.", body = ListView<CallbackView>))
)]
pub async fn agent_callbacks(
    caller: Caller<Desk>,
    State(state): State<ApiState>,
    InPath(id): InPath<AgentId>,
) -> Result<Json<ListView<CallbackView>>, Problem> {
    find(&state, &caller.tenant, id).await?;
    let query = CallbackQuery {
        tenant: caller.tenant.clone(),
        agent: Some(id),
        limit: 200,
        ..Default::default()
    };
    let page = state.store.callbacks(query).await?;
    let items = page
        .items
        .iter()
        .map(|callback| CallbackView::new(callback, &state.settings))
        .collect();
    Ok(Json(ListView { items }))
}
