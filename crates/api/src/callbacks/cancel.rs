//! `POST /v1/callbacks/{id}/cancel`.

use super::{CallbackPath, Wish, carry_out};
use crate::ApiState;
use crate::auth::{Caller, Handling};
use crate::conditional::{Conditions, MatchHeader};
use crate::error::Problem;
use crate::extract::{InPath, OptionalJsonObject};
use crate::fields::Fields;
use crate::idempotency::{RepeatHeader, Repeatable};
use crate::view::{CallbackView, CancelRequest};
use axum::extract::State;
use axum::response::Response;
use ringback_callbacks::event::Actor;
use ringback_callbacks::ids::InteractionId;
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::state::Canceller;
use serde_json::{Map, Value};

/// Cancel a callback
///
/// While it waits it ends at once. While its call is being placed the call is ended first (`cancel_requested`
/// says so); once the customer is being talked to it is too late.
#[utoipa::path(
    post,
    path = "/v1/callbacks/{id}/cancel",
    tag = "callbacks",
    security(("api_key" = ["write"]), ("api_key" = ["agent"])),
    params(CallbackPath, MatchHeader, RepeatHeader),
    request_body = Option<CancelRequest>,
    responses(
        (status = 200, description = "The callback as it is now.", body = CallbackView),
        (status = 409, description = "Its state does not allow it."),
        (status = 412, description = "It was changed meanwhile."),
        (status = 422, description = "The idempotency key was used for another request."),
    )
)]
pub async fn cancel_callback(
    caller: Caller<Handling>,
    State(state): State<ApiState>,
    InPath(id): InPath<InteractionId>,
    conditions: Conditions,
    repeatable: Repeatable,
    OptionalJsonObject(body): OptionalJsonObject,
) -> Result<Response, Problem> {
    let asked = repeatable.asked(caller.application, &body.bytes);
    let (by, reason) = read(&body.object)?;
    let actor = match by {
        Canceller::Customer => Actor::Customer,
        Canceller::Operator => caller.actor(),
        Canceller::Agent(agent) => Actor::Agent(agent.0),
    };
    let wish = Wish {
        id,
        command: Command::Cancel { by, reason },
        actor,
        conditions,
    };
    carry_out(&state, &caller, wish, asked).await
}

fn read(body: &Map<String, Value>) -> Result<(Canceller, Option<String>), Problem> {
    let mut f = Fields::new(body);
    let agent = f.agent("agent_id");
    let by = match f.text("by") {
        None | Some("operator") => Canceller::Operator,
        Some("customer") => Canceller::Customer,
        Some("agent") => match f.require("agent_id", agent) {
            Some(agent) => Canceller::Agent(agent),
            None => Canceller::Operator,
        },
        Some(_) => {
            f.problem("by", "enumeration", "must be customer, operator or agent");
            Canceller::Operator
        }
    };
    if agent.is_some() && !matches!(by, Canceller::Agent(_)) {
        f.problem("agent_id", "without_agent", "is only for by: agent");
    }
    let reason = f.line("reason", 500);
    f.finish()?;
    Ok((by, reason))
}
