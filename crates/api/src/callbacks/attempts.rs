//! `GET /v1/callbacks/{id}/attempts`.

use super::{CallbackPath, find};
use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::error::Problem;
use crate::extract::InPath;
use crate::view::{AttemptView, ListView};
use axum::Json;
use axum::extract::State;
use ringback_callbacks::ids::InteractionId;

/// List a callback's attempts
///
/// In order, with our result and the other side's own code side by side.
#[utoipa::path(
    get,
    path = "/v1/callbacks/{id}/attempts",
    tag = "callbacks",
    security(("api_key" = ["read"])),
    params(CallbackPath),
    responses((status = 200, description = "All attempts so far.", body = ListView<AttemptView>))
)]
pub async fn list_attempts(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
    InPath(id): InPath<InteractionId>,
) -> Result<Json<ListView<AttemptView>>, Problem> {
    find(&state, &caller.tenant, id).await?;
    let attempts = state.store.attempts(&caller.tenant, id).await?;
    Ok(Json(ListView {
        items: attempts.iter().map(AttemptView::new).collect(),
    }))
}
