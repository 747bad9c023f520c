//! `DELETE /v1/queues/{id}`.

use super::{QueuePath, change_queue};
use crate::ApiState;
use crate::auth::{Caller, Ruling};
use crate::conditional::{Conditions, MatchHeader};
use crate::error::Problem;
use crate::extract::InPath;
use axum::extract::State;
use axum::http::StatusCode;
use ringback_callbacks::ids::QueueId;

/// Remove a queue
///
/// It takes and dials nothing any more; callbacks left in it end, refused for good. The record stays.
#[utoipa::path(
    delete,
    path = "/v1/queues/{id}",
    tag = "queues",
    security(("api_key" = ["admin"])),
    params(QueuePath, MatchHeader),
    responses(
        (status = 204, description = "It is removed."),
        (status = 412, description = "It was changed meanwhile."),
    )
)]
pub async fn remove_queue(
    caller: Caller<Ruling>,
    State(state): State<ApiState>,
    InPath(id): InPath<QueueId>,
    conditions: Conditions,
) -> Result<StatusCode, Problem> {
    change_queue(&state, &caller.tenant, &id, conditions, |queue| {
        queue.removed = true
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
