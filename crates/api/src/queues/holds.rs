//! `POST /v1/queues/{id}/holds` and `DELETE /v1/holds/{id}`: a place kept while somebody fills in a form.

use super::QueuePath;
use crate::ApiState;
use crate::auth::{Caller, Writing};
use crate::error::Problem;
use crate::extract::{InPath, JsonObject};
use crate::fields::Fields;
use crate::view::{HoldRequest, HoldView};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ringback_callbacks::ids::{HoldId, QueueId};
use ringback_store::HoldOrder;

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "read by InPath; here for the document")]
pub struct HoldPath {
    /// The hold's id.
    #[param(format = Uuid)]
    id: String,
}

/// Hold a place in a slot
///
/// Keeps one place for as long as the queue's rules say (five minutes if they say nothing). The booking that names the
/// hold takes the place over; otherwise it is given back by itself.
#[utoipa::path(
    post,
    path = "/v1/queues/{id}/holds",
    tag = "queues",
    security(("api_key" = ["write"])),
    params(QueuePath),
    request_body = HoldRequest,
    responses(
        (status = 201, description = "The place is kept.", body = HoldView),
        (status = 409, description = "The slot is full or cannot be booked (`alternatives` lists others), the queue has no slots, or takes no requests."),
    )
)]
pub async fn hold_slot(
    caller: Caller<Writing>,
    State(state): State<ApiState>,
    InPath(id): InPath<QueueId>,
    body: JsonObject,
) -> Result<(StatusCode, Json<HoldView>), Problem> {
    let mut f = Fields::new(&body.object);
    let start = f.time("start_time");
    let start = f.require("start_time", start);
    f.finish()?;
    let at = start.ok_or_else(|| Problem::field("start_time", "required", "is required"))?;
    let order = HoldOrder {
        tenant: caller.tenant.clone(),
        queue: id,
        at,
        now: state.clock.now(),
    };
    let hold = state.store.hold_slot(order).await?;
    Ok((StatusCode::CREATED, Json(HoldView::new(&hold))))
}

/// Give a held place back
#[utoipa::path(
    delete,
    path = "/v1/holds/{id}",
    tag = "queues",
    security(("api_key" = ["write"])),
    params(HoldPath),
    responses((status = 204, description = "The place is free again."))
)]
pub async fn release_hold(
    caller: Caller<Writing>,
    State(state): State<ApiState>,
    InPath(id): InPath<HoldId>,
) -> Result<StatusCode, Problem> {
    let now = state.clock.now();
    if state.store.release_hold(&caller.tenant, id, now).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("hold"))
    }
}
