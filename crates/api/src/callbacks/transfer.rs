//! `POST /v1/callbacks/{id}/transfer`.

use super::{CallbackPath, Wish, carry_out};
use crate::ApiState;
use crate::auth::{Caller, Handling};
use crate::conditional::{Conditions, MatchHeader};
use crate::error::Problem;
use crate::extract::{InPath, JsonObject};
use crate::fields::Fields;
use crate::idempotency::{RepeatHeader, Repeatable, earlier};
use crate::view::{CallbackView, TransferRequest};
use axum::extract::State;
use axum::response::Response;
use ringback_callbacks::ids::{InteractionId, QueueId};
use ringback_callbacks::lifecycle::Command;

/// Pass a callback to an agent or a queue
///
/// Possible until the customer's phone rings. In its new queue it waits by that queue's rules.
#[utoipa::path(
    post,
    path = "/v1/callbacks/{id}/transfer",
    tag = "callbacks",
    security(("api_key" = ["write"]), ("api_key" = ["agent"])),
    params(CallbackPath, MatchHeader, RepeatHeader),
    request_body = TransferRequest,
    responses(
        (status = 200, description = "The callback as it is now.", body = CallbackView),
        (status = 409, description = "Its state does not allow it, or the queue does not call such contacts."),
        (status = 412, description = "It was changed meanwhile."),
        (status = 422, description = "The idempotency key was used for another request."),
    )
)]
pub async fn transfer_callback(
    caller: Caller<Handling>,
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
    let mut f = Fields::new(&body.object);
    let agent = f.agent("agent_id");
    let queue = f.parsed("queue", |text| {
        QueueId::parse(text).map_err(|_| "must be a queue id")
    });
    match (f.has("agent_id"), f.has("queue")) {
        (false, false) => f.problem("agent_id", "required", "is required, or queue instead"),
        (true, true) => f.problem("queue", "both", "cannot be given together with agent_id"),
        (true, false) | (false, true) => {}
    }
    if let Some(agent) = agent
        && state.store.agent(&caller.tenant, agent).await?.is_none()
    {
        f.problem(
            "agent_id",
            "not_found",
            "is not an agent of this installation",
        );
    }
    if let Some(queue) = &queue
        && state
            .store
            .queue(&caller.tenant, queue)
            .await?
            .is_none_or(|queue| queue.removed)
    {
        f.problem("queue", "not_found", "is not a queue of this installation");
    }
    f.finish()?;
    let command = match (agent, queue) {
        (Some(agent), _) => Command::TransferToAgent { agent },
        (None, Some(queue)) => Command::TransferToQueue { queue },
        (None, None) => {
            return Err(Problem::field(
                "agent_id",
                "required",
                "is required, or queue instead",
            ));
        }
    };
    let wish = Wish {
        id,
        command,
        actor: caller.actor(),
        conditions,
    };
    carry_out(&state, &caller, wish, asked).await
}
