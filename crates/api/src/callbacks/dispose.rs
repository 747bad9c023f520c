//! `POST /v1/callbacks/{id}/dispose`: the agent says how it ended.

use super::{CallbackPath, Wish, carry_out, find};
use crate::ApiState;
use crate::auth::{Caller, Desk};
use crate::conditional::{Conditions, MatchHeader};
use crate::error::{Code, Problem};
use crate::extract::{InPath, OptionalJsonObject};
use crate::fields::Fields;
use crate::idempotency::{RepeatHeader, Repeatable, earlier};
use crate::view::{CallbackView, DisposeRequest};
use axum::extract::State;
use axum::response::Response;
use ringback_callbacks::event::Actor;
use ringback_callbacks::ids::InteractionId;
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::outcome::CallResult;

/// Say how a callback ended
///
/// Possible while the agent wraps up. A `call_result` that means that no person was reached (a machine, a
/// wrong number, …) makes it a failed try, and it is tried again by the queue's rules.
/// 52 (CANCEL_RECORD) cancels it instead.
#[utoipa::path(
    post,
    path = "/v1/callbacks/{id}/dispose",
    tag = "callbacks",
    security(("api_key" = ["agent"])),
    params(CallbackPath, MatchHeader, RepeatHeader),
    request_body = Option<DisposeRequest>,
    responses(
        (status = 200, description = "The callback as it is now.", body = CallbackView),
        (status = 409, description = "It is not being wrapped up, or by another agent."),
        (status = 412, description = "It was changed meanwhile."),
        (status = 422, description = "The idempotency key was used for another request."),
    )
)]
pub async fn dispose_callback(
    caller: Caller<Desk>,
    State(state): State<ApiState>,
    InPath(id): InPath<InteractionId>,
    conditions: Conditions,
    repeatable: Repeatable,
    OptionalJsonObject(body): OptionalJsonObject,
) -> Result<Response, Problem> {
    let asked = repeatable.asked(caller.application, &body.bytes);
    if let Some(answer) = earlier(&state, &caller.tenant, asked.as_ref()).await? {
        return Ok(answer);
    }
    let mut f = Fields::new(&body.object);
    let agent = f.agent("agent_id");
    let disposition = f.line("disposition", 200);
    let result = f
        .integer("call_result", 0, 53)
        .and_then(|n| i32::try_from(n).ok())
        .map(CallResult);
    f.finish()?;
    let holder = find(&state, &caller.tenant, id).await?.state.engages();
    if let (Some(agent), Some(holder)) = (agent, holder)
        && agent != holder
    {
        return Err(Problem::new(
            Code::Conflict,
            "Another agent has this callback in hand.",
        ));
    }
    let actor = agent
        .or(holder)
        .map_or_else(|| caller.actor(), |agent| Actor::Agent(agent.0));
    let wish = Wish {
        id,
        command: Command::Dispose {
            disposition,
            result,
        },
        actor,
        conditions,
    };
    carry_out(&state, &caller, wish, asked).await
}
