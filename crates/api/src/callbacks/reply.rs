//! `POST /v1/callbacks/{id}/reply`: the agent answers an e-mail callback.

use super::{CallbackPath, Wish, carry_out, find};
use crate::ApiState;
use crate::auth::{Caller, Desk};
use crate::conditional::{Conditions, MatchHeader};
use crate::error::Problem;
use crate::extract::{InPath, JsonObject};
use crate::fields::Fields;
use crate::idempotency::{RepeatHeader, Repeatable};
use crate::view::{CallbackView, ReplyRequest};
use axum::extract::State;
use axum::response::Response;
use ringback_callbacks::callback::Reply;
use ringback_callbacks::event::Actor;
use ringback_callbacks::ids::{AgentId, InteractionId};
use ringback_callbacks::lifecycle::Command;
use serde_json::{Map, Value};

/// Answer an e-mail callback
///
/// By the agent who took it. Sending the message is the attempt; what became of it is in `attempts`.
#[utoipa::path(
    post,
    path = "/v1/callbacks/{id}/reply",
    tag = "callbacks",
    security(("api_key" = ["agent"])),
    params(CallbackPath, MatchHeader, RepeatHeader),
    request_body = ReplyRequest,
    responses(
        (status = 200, description = "The reply is stored and about to be sent.", body = CallbackView),
        (status = 409, description = "This agent does not have it in hand, or it is not an e-mail callback."),
        (status = 412, description = "It was changed meanwhile."),
        (status = 422, description = "The idempotency key was used for another request."),
    )
)]
pub async fn reply_to_callback(
    caller: Caller<Desk>,
    State(state): State<ApiState>,
    InPath(id): InPath<InteractionId>,
    conditions: Conditions,
    repeatable: Repeatable,
    body: JsonObject,
) -> Result<Response, Problem> {
    let asked = repeatable.asked(caller.application, &body.bytes);
    let (agent, subject, text, html) = read(&body.object)?;
    let subject = match subject {
        Some(subject) => subject,
        None => {
            let own = find(&state, &caller.tenant, id).await?.interaction.subject;
            own.map_or_else(|| "Re: your request".to_owned(), |own| format!("Re: {own}"))
        }
    };
    let reply = Reply {
        subject,
        text,
        html,
    };
    let wish = Wish {
        id,
        command: Command::WriteReply { agent, reply },
        actor: Actor::Agent(agent.0),
        conditions,
    };
    carry_out(&state, &caller, wish, asked).await
}

fn read(
    body: &Map<String, Value>,
) -> Result<(AgentId, Option<String>, String, Option<String>), Problem> {
    let mut f = Fields::new(body);
    let agent = f.agent("agent_id");
    let agent = f.require("agent_id", agent);
    let subject = f.line("subject", 500);
    let text = f.text("text");
    let text = f.require("text", text);
    let html = f.text("html");
    for (name, value) in [("text", text), ("html", html)] {
        if value.is_some_and(|value| value.is_empty() || value.len() > Reply::MAX) {
            f.problem(name, "length", "must have 1 to 524288 bytes");
        }
    }
    f.finish()?;
    let agent = agent.ok_or_else(|| Problem::field("agent_id", "required", "is required"))?;
    let text = text.ok_or_else(|| Problem::field("text", "required", "is required"))?;
    Ok((agent, subject, text.to_owned(), html.map(str::to_owned)))
}
