//! `GET /v1/agents`.

use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::error::Problem;
use crate::view::{AgentView, ListView};
use axum::Json;
use axum::extract::State;

/// List agents
#[utoipa::path(
    get,
    path = "/v1/agents",
    tag = "agents",
    security(("api_key" = ["read"])),
    responses((status = 200, description = "All agents.", body = ListView<AgentView>))
)]
pub async fn list_agents(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
) -> Result<Json<ListView<AgentView>>, Problem> {
    let agents = state.store.agents(&caller.tenant).await?;
    Ok(Json(ListView {
        items: agents.iter().map(AgentView::new).collect(),
    }))
}
