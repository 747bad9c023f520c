//! `POST /v1/callbacks/{id}/reschedule`.

use super::{CallbackPath, Wish, carry_out};
use crate::ApiState;
use crate::auth::{Caller, Handling};
use crate::conditional::{Conditions, MatchHeader};
use crate::error::Problem;
use crate::extract::{InPath, JsonObject};
use crate::fields::Fields;
use crate::idempotency::{RepeatHeader, Repeatable};
use crate::view::{CallbackView, RescheduleRequest};
use axum::extract::State;
use axum::response::Response;
use ringback_callbacks::ids::InteractionId;
use ringback_callbacks::lifecycle::Command;

/// Move a callback to another time
///
/// The same guards are asked as at booking, and a new promise is given.
#[utoipa::path(
    post,
    path = "/v1/callbacks/{id}/reschedule",
    tag = "callbacks",
    security(("api_key" = ["write"]), ("api_key" = ["agent"])),
    params(CallbackPath, MatchHeader, RepeatHeader),
    request_body = RescheduleRequest,
    responses(
        (status = 200, description = "The callback as it is now.", body = CallbackView),
        (status = 409, description = "Its state does not allow it, or a guard forbids the new time."),
        (status = 412, description = "It was changed meanwhile."),
        (status = 422, description = "The idempotency key was used for another request."),
    )
)]
pub async fn reschedule_callback(
    caller: Caller<Handling>,
    State(state): State<ApiState>,
    InPath(id): InPath<InteractionId>,
    conditions: Conditions,
    repeatable: Repeatable,
    body: JsonObject,
) -> Result<Response, Problem> {
    let asked = repeatable.asked(caller.application, &body.bytes);
    let mut f = Fields::new(&body.object);
    let start = f.time("start_time");
    let start = f.require("start_time", start);
    let end = f.time("end_time");
    if let (Some(start), Some(end)) = (start, end)
        && end <= start
    {
        f.problem("end_time", "order", "must be later than start_time");
    }
    f.finish()?;
    let start = start.ok_or_else(|| Problem::field("start_time", "required", "is required"))?;
    let wish = Wish {
        id,
        command: Command::Reschedule { start, end },
        actor: caller.actor(),
        conditions,
    };
    carry_out(&state, &caller, wish, asked).await
}
