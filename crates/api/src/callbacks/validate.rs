//! `POST /v1/callbacks/validate`: what a booking would become, without booking it.

use super::admission::Place;
use super::create::{read_booking, refused};
use crate::ApiState;
use crate::auth::{Caller, Writing};
use crate::error::{Code, Problem};
use crate::extract::JsonObject;
use crate::view::{BookingRequest, ValidationView};
use axum::Json;
use axum::extract::State;
use ringback_callbacks::ids::InteractionId;
use ringback_store::{AcceptOrder, Acceptance};

/// Try a booking
///
/// Checks a booking by exactly the rules that booking it would go by, and answers with the promise it would
/// be given. Nothing is stored.
#[utoipa::path(
    post,
    path = "/v1/callbacks/validate",
    tag = "callbacks",
    security(("api_key" = ["write"])),
    request_body = BookingRequest,
    responses(
        (status = 200, description = "The booking is good; nothing was stored.", body = ValidationView),
        (status = 409, description = "A guard forbids it, the number has an open callback in a queue that takes no second, the queue's intake is paused, or its parent takes no children."),
    )
)]
pub async fn validate_callback(
    caller: Caller<Writing>,
    State(state): State<ApiState>,
    body: JsonObject,
) -> Result<Json<ValidationView>, Problem> {
    let now = state.clock.now();
    let mut new = read_booking(&state, &caller.tenant, &body.object, now).await?;
    let id = InteractionId(state.chance.uuid());
    let place = Place::ask(&state, &caller.tenant, id, &mut new, now, false).await?;
    let order = AcceptOrder {
        tenant: caller.tenant.clone(),
        id,
        new,
        actor: caller.actor(),
        now,
        idempotent: None,
        dry_run: true,
    };
    let accepted = state.store.accept(order).await;
    match accepted.map_err(|error| place.explain(refused(&state, &caller, error)))? {
        Acceptance::New(callback, _) => Ok(Json(ValidationView::new(&callback))),
        Acceptance::Merged(callback, _) => Ok(Json(ValidationView {
            merged: Some(true),
            ..ValidationView::new(&callback)
        })),
        Acceptance::Repeated(_) => Err(Problem::new(
            Code::Internal,
            "A trial booking was taken for a repeated one.",
        )),
    }
}
