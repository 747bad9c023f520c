//! `GET /v1/queues/{id}`.

use super::{QueuePath, find, shown};
use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::error::Problem;
use crate::extract::InPath;
use crate::view::QueueView;
use axum::extract::State;
use axum::response::Response;
use ringback_callbacks::ids::QueueId;

/// Read a queue
///
/// With how many callbacks it has in which state. The `ETag` is that of its rules and switches, for `If-Match`.
#[utoipa::path(
    get,
    path = "/v1/queues/{id}",
    tag = "queues",
    security(("api_key" = ["read"])),
    params(QueuePath),
    responses((status = 200, description = "The queue.", body = QueueView))
)]
pub async fn get_queue(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
    InPath(id): InPath<QueueId>,
) -> Result<Response, Problem> {
    let queue = find(&state, &caller.tenant, &id).await?;
    let counts = state.store.queue_counts(&caller.tenant, &id).await?;
    Ok(shown(&queue, Some(counts)))
}
