//! `PATCH /v1/callbacks/{id}`: a JSON merge patch.

use super::{CallbackPath, Wish, carry_out, find};
use crate::ApiState;
use crate::auth::{Caller, Writing};
use crate::conditional::{Conditions, MatchHeader};
use crate::error::{Code, Problem};
use crate::extract::{InPath, JsonObject};
use crate::idempotency::{RepeatHeader, Repeatable, earlier};
use crate::view::{CallbackView, ChangeRequest};
use axum::extract::State;
use axum::response::Response;
use ringback_callbacks::ids::InteractionId;
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::request::parse_changes;

/// Change a callback
///
/// A JSON merge patch: only what is named is changed. Whatever decides when or whom to call can be changed
/// while it waits; the rest until it has ended.
#[utoipa::path(
    patch,
    path = "/v1/callbacks/{id}",
    tag = "callbacks",
    security(("api_key" = ["write"])),
    params(CallbackPath, MatchHeader, RepeatHeader),
    request_body(content((ChangeRequest = "application/json"), (ChangeRequest = "application/merge-patch+json"))),
    responses(
        (status = 200, description = "The callback as it is now.", body = CallbackView,
         headers(("ETag" = String, description = "Its revision."))),
        (status = 409, description = "Its state does not allow the change, or a guard forbids it."),
        (status = 412, description = "It was changed meanwhile."),
        (status = 422, description = "The idempotency key was used for another request."),
    )
)]
pub async fn change_callback(
    caller: Caller<Writing>,
    State(state): State<ApiState>,
    InPath(id): InPath<InteractionId>,
    conditions: Conditions,
    repeatable: Repeatable,
    body: JsonObject,
) -> Result<Response, Problem> {
    let asked = repeatable.asked(caller.application, &body.bytes);
    if let Some(answer) = earlier(&state, &caller.tenant, asked.as_ref()).await? {
        return Ok(answer);
    }
    let callback = find(&state, &caller.tenant, id).await?;
    let queue = state.store.queue(&caller.tenant, &callback.queue).await?;
    let queue = queue.ok_or_else(|| {
        Problem::new(
            Code::Conflict,
            "The callback's queue is gone, and its rules with it.",
        )
    })?;
    let changes = parse_changes(&body.object, &queue.rules)?;
    let wish = Wish {
        id,
        command: Command::Change(Box::new(changes)),
        actor: caller.actor(),
        conditions,
    };
    carry_out(&state, &caller, wish, asked).await
}
