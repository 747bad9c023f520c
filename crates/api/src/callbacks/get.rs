//! `GET /v1/callbacks/{id}`.

use super::{CallbackPath, find, shown};
use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::conditional::{Known, KnownHeader, etag_header};
use crate::error::Problem;
use crate::extract::InPath;
use crate::view::CallbackView;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ringback_callbacks::ids::InteractionId;

/// Read a callback
#[utoipa::path(
    get,
    path = "/v1/callbacks/{id}",
    tag = "callbacks",
    security(("api_key" = ["read"])),
    params(CallbackPath, KnownHeader),
    responses(
        (status = 200, description = "The callback.", body = CallbackView,
         headers(("ETag" = String, description = "Its revision."))),
        (status = 304, description = "It is still as you have it."),
    )
)]
pub async fn get_callback(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
    InPath(id): InPath<InteractionId>,
    known: Known,
) -> Result<Response, Problem> {
    let callback = find(&state, &caller.tenant, id).await?;
    if known.has(callback.revision) {
        return Ok((
            StatusCode::NOT_MODIFIED,
            [(header::ETAG, etag_header(callback.revision))],
        )
            .into_response());
    }
    Ok(shown(&callback, &state.settings))
}
