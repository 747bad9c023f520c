//! `POST /v1/queues/{id}/pause` and `/resume`: the two switches a supervisor throws in a hurry.

use super::{QueuePath, change_queue, shown};
use crate::ApiState;
use crate::auth::{Caller, Ruling};
use crate::conditional::{Conditions, MatchHeader};
use crate::error::Problem;
use crate::extract::{InPath, OptionalJsonObject};
use crate::fields::Fields;
use crate::view::{QueueView, SwitchRequest};
use axum::extract::State;
use axum::response::Response;
use ringback_callbacks::ids::QueueId;
use serde_json::{Map, Value};

/// Pause a queue's intake, its dialling, or both
#[utoipa::path(
    post,
    path = "/v1/queues/{id}/pause",
    tag = "queues",
    security(("api_key" = ["admin"])),
    params(QueuePath, MatchHeader),
    request_body = Option<SwitchRequest>,
    responses(
        (status = 200, description = "The queue as it is now.", body = QueueView),
        (status = 412, description = "It was changed meanwhile."),
    )
)]
pub async fn pause_queue(
    caller: Caller<Ruling>,
    State(state): State<ApiState>,
    InPath(id): InPath<QueueId>,
    conditions: Conditions,
    OptionalJsonObject(body): OptionalJsonObject,
) -> Result<Response, Problem> {
    throw(&state, &caller, &id, conditions, &body.object, true).await
}

/// Resume a queue's intake, its dialling, or both
#[utoipa::path(
    post,
    path = "/v1/queues/{id}/resume",
    tag = "queues",
    security(("api_key" = ["admin"])),
    params(QueuePath, MatchHeader),
    request_body = Option<SwitchRequest>,
    responses(
        (status = 200, description = "The queue as it is now.", body = QueueView),
        (status = 412, description = "It was changed meanwhile."),
    )
)]
pub async fn resume_queue(
    caller: Caller<Ruling>,
    State(state): State<ApiState>,
    InPath(id): InPath<QueueId>,
    conditions: Conditions,
    OptionalJsonObject(body): OptionalJsonObject,
) -> Result<Response, Problem> {
    throw(&state, &caller, &id, conditions, &body.object, false).await
}

async fn throw(
    state: &ApiState,
    caller: &Caller<Ruling>,
    id: &QueueId,
    conditions: Conditions,
    body: &Map<String, Value>,
    paused: bool,
) -> Result<Response, Problem> {
    let mut f = Fields::new(body);
    let (intake, dialling) = match (f.boolean("intake"), f.boolean("dialling")) {
        (None, None) => (true, true),
        (intake, dialling) => (intake.unwrap_or(false), dialling.unwrap_or(false)),
    };
    f.finish()?;
    let queue = change_queue(state, &caller.tenant, id, conditions, |queue| {
        if intake {
            queue.intake_paused = paused;
        }
        if dialling {
            queue.dialling_paused = paused;
        }
    })
    .await?;
    Ok(shown(&queue, None))
}
