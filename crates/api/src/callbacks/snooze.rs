//! `POST /v1/callbacks/{id}/snooze`.

use super::{CallbackPath, Wish, carry_out};
use crate::ApiState;
use crate::auth::{Caller, Handling};
use crate::conditional::{Conditions, MatchHeader};
use crate::error::Problem;
use crate::extract::{InPath, JsonObject};
use crate::fields::Fields;
use crate::idempotency::{RepeatHeader, Repeatable};
use crate::view::{CallbackView, SnoozeRequest};
use axum::extract::State;
use axum::response::Response;
use ringback_callbacks::ids::InteractionId;
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::wire_time::plus;
use std::time::Duration;

/// Put a callback off for a while
#[utoipa::path(
    post,
    path = "/v1/callbacks/{id}/snooze",
    tag = "callbacks",
    security(("api_key" = ["write"]), ("api_key" = ["agent"])),
    params(CallbackPath, MatchHeader, RepeatHeader),
    request_body = SnoozeRequest,
    responses(
        (status = 200, description = "The callback as it is now.", body = CallbackView),
        (status = 409, description = "Its state does not allow it, or a guard forbids the new time."),
        (status = 412, description = "It was changed meanwhile."),
        (status = 422, description = "The idempotency key was used for another request."),
    )
)]
pub async fn snooze_callback(
    caller: Caller<Handling>,
    State(state): State<ApiState>,
    InPath(id): InPath<InteractionId>,
    conditions: Conditions,
    repeatable: Repeatable,
    body: JsonObject,
) -> Result<Response, Problem> {
    let asked = repeatable.asked(caller.application, &body.bytes);
    let mut f = Fields::new(&body.object);
    let until = f.time("until");
    let minutes = f.integer("minutes", 1, 366 * 24 * 60);
    let span = minutes
        .and_then(|minutes| u64::try_from(minutes).ok())
        .map(|minutes| Duration::from_secs(minutes * 60));
    match (f.has("until"), f.has("minutes")) {
        (false, false) => f.problem("until", "required", "is required, or minutes instead"),
        (true, true) => f.problem("minutes", "both", "cannot be given together with until"),
        (true, false) | (false, true) => {}
    }
    f.finish()?;
    let until = until.or_else(|| span.map(|span| plus(state.clock.now(), span)));
    let until = until
        .ok_or_else(|| Problem::field("until", "required", "is required, or minutes instead"))?;
    let wish = Wish {
        id,
        command: Command::Snooze { until },
        actor: caller.actor(),
        conditions,
    };
    carry_out(&state, &caller, wish, asked).await
}
