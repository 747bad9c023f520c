//! `GET /v1/queues`.

use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::error::Problem;
use crate::view::{ListView, QueueView};
use axum::Json;
use axum::extract::State;

/// List queues
///
/// All of them, removed ones too: callbacks of the past name them.
#[utoipa::path(
    get,
    path = "/v1/queues",
    tag = "queues",
    security(("api_key" = ["read"])),
    responses((status = 200, description = "All queues.", body = ListView<QueueView>))
)]
pub async fn list_queues(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
) -> Result<Json<ListView<QueueView>>, Problem> {
    let queues = state.store.queues(&caller.tenant).await?;
    Ok(Json(ListView {
        items: queues
            .iter()
            .map(|queue| QueueView::new(queue, None))
            .collect(),
    }))
}
