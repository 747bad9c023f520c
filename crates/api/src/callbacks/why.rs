//! `GET /v1/callbacks/{id}/why`: why it is not being dialled just now.

use super::CallbackPath;
use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::error::Problem;
use crate::extract::InPath;
use crate::view::{WhyView, why};
use axum::Json;
use axum::extract::State;
use ringback_callbacks::ids::InteractionId;

/// Ask why not yet
///
/// The guards are asked again, now, without changing anything. Where the queue has a staff plan, the planner says
/// when it expects the next attempt.
#[utoipa::path(
    get,
    path = "/v1/callbacks/{id}/why",
    tag = "callbacks",
    security(("api_key" = ["read"])),
    params(CallbackPath),
    responses((status = 200, description = "What holds it, and until when.", body = WhyView))
)]
pub async fn why_callback(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
    InPath(id): InPath<InteractionId>,
) -> Result<Json<WhyView>, Problem> {
    let now = state.clock.now();
    let answer = state.store.guard_now(&caller.tenant, id, now).await?;
    let answer = answer.ok_or_else(|| Problem::not_found("callback"))?;
    let mut view = why(&answer, now);
    if view.waiting
        && let Some(outlook) = &state.outlook
        && let Some(estimate) = outlook
            .expect(&caller.tenant, &answer.callback.queue, id, now)
            .await?
    {
        view.expect(&estimate);
    }
    Ok(Json(view))
}
