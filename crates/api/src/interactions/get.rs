//! `GET /v1/interactions/{id}`.

use super::{InteractionPath, find};
use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::conditional::{Known, KnownHeader, etag_header};
use crate::error::Problem;
use crate::extract::InPath;
use crate::view::{AnyView, revision_of};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ringback_callbacks::ids::InteractionId;

/// Read an interaction of any kind
#[utoipa::path(
    get,
    path = "/v1/interactions/{id}",
    tag = "interactions",
    security(("api_key" = ["read"])),
    params(InteractionPath, KnownHeader),
    responses(
        (status = 200, description = "The interaction.", body = AnyView,
         headers(("ETag" = String, description = "Its revision."))),
        (status = 304, description = "It is still as you have it."),
    )
)]
pub async fn get_interaction(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
    InPath(id): InPath<InteractionId>,
    known: Known,
) -> Result<Response, Problem> {
    let any = find(&state, &caller.tenant, id).await?;
    let tag = [(header::ETAG, etag_header(revision_of(&any)))];
    if known.has(revision_of(&any)) {
        return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
    }
    Ok((tag, Json(AnyView::new(&any, &state.settings))).into_response())
}
