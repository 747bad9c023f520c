//! `/v1/queues`: what callbacks wait in.

pub mod estimate;
pub mod get;
pub mod holds;
pub mod learned;
pub mod list;
pub mod live;
pub mod put;
pub mod remove;
pub mod slots;
pub mod switch;

use crate::ApiState;
use crate::conditional::{Conditions, etag_header};
use crate::error::{Code, Problem};
use crate::view::QueueView;
use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use ringback_callbacks::ids::{QueueId, TenantId};
use ringback_callbacks::queue::Queue;
use ringback_store::{Outlook, StoreError};

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "read by InPath; here for the document")]
pub struct QueuePath {
    /// The queue's id: lower-case letters, digits, `-` and `_`.
    #[param(max_length = 64, example = "service")]
    id: String,
}

async fn find(state: &ApiState, tenant: &TenantId, id: &QueueId) -> Result<Queue, Problem> {
    state
        .store
        .queue(tenant, id)
        .await?
        .ok_or_else(|| Problem::not_found("queue"))
}

/// The planner, where there is one.
fn planner(state: &ApiState) -> Result<&dyn Outlook, Problem> {
    state.outlook.as_deref().ok_or_else(unplanned)
}

fn unplanned() -> Problem {
    Problem::new(
        Code::Unplanned,
        "The queue's rules have no capacity with a staff plan.",
    )
}

fn shown(queue: &Queue, counts: Option<Vec<(String, u64)>>) -> Response {
    (
        [(header::ETAG, etag_header(queue.revision))],
        Json(QueueView::new(queue, counts)),
    )
        .into_response()
}

/// Changes a queue that exists; a change that came between is kept unless `If-Match` says otherwise.
async fn change_queue(
    state: &ApiState,
    tenant: &TenantId,
    id: &QueueId,
    conditions: Conditions,
    change: impl Fn(&mut Queue),
) -> Result<Queue, Problem> {
    for _ in 0..4 {
        let mut queue = find(state, tenant, id).await?;
        let expected = conditions.expected.unwrap_or(queue.revision);
        change(&mut queue);
        match state.store.put_queue(queue, Some(expected)).await {
            Ok(queue) => return Ok(queue),
            Err(StoreError::RevisionConflict { .. }) if conditions.expected.is_none() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::new(
        Code::Overloaded,
        "Others keep changing it at the same time. Nothing was done.",
    )
    .retry_after(1))
}
