//! `/v1/queues/{id}/learned`: what the planner has learned; seen, set, frozen and forgotten.

use super::{QueuePath, find, planner, unplanned};
use crate::ApiState;
use crate::auth::{Caller, Reading, Ruling};
use crate::error::Problem;
use crate::extract::{InPath, JsonObject};
use crate::fields::Fields;
use crate::view::{LearnedRequest, LearnedView};
use axum::Json;
use axum::extract::State;
use ringback_callbacks::ids::QueueId;
use ringback_store::{FigureChange, StoreError};
use serde_json::Value;

/// Show learned figures
///
/// What the planner has learned from what happened, beside what it started from.
#[utoipa::path(
    get,
    path = "/v1/queues/{id}/learned",
    tag = "queues",
    security(("api_key" = ["read"])),
    params(QueuePath),
    responses(
        (status = 200, description = "The figures.", body = LearnedView),
        (status = 409, description = "The queue has no staff plan."),
    )
)]
pub async fn get_learned(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
    InPath(id): InPath<QueueId>,
) -> Result<Json<LearnedView>, Problem> {
    find(&state, &caller.tenant, &id).await?;
    let figures = planner(&state)?
        .learned(&caller.tenant, &id, state.clock.now())
        .await?;
    Ok(Json(LearnedView::new(&figures.ok_or_else(unplanned)?)))
}

/// Set or freeze learned figures
///
/// Figures that are not named stay as they are. A frozen figure is used and not learned any further; a figure that
/// is set learns on from its new value, as firmly believed as before.
#[utoipa::path(
    put,
    path = "/v1/queues/{id}/learned",
    tag = "queues",
    security(("api_key" = ["admin"])),
    params(QueuePath),
    request_body = LearnedRequest,
    responses(
        (status = 200, description = "The figures as they are now.", body = LearnedView),
        (status = 409, description = "The queue has no staff plan."),
    )
)]
pub async fn put_learned(
    caller: Caller<Ruling>,
    State(state): State<ApiState>,
    InPath(id): InPath<QueueId>,
    body: JsonObject,
) -> Result<Json<LearnedView>, Problem> {
    find(&state, &caller.tenant, &id).await?;
    let mut f = Fields::new(&body.object);
    let figures = f.value("figures");
    let figures = f.require("figures", figures);
    let mut changes = Vec::new();
    match figures {
        Some(Value::Array(list)) if list.len() <= 16 => {
            for (index, entry) in list.iter().enumerate() {
                let at = |name: &str| format!("figures[{index}].{name}");
                let Some(entry) = entry.as_object() else {
                    f.problem(&format!("figures[{index}]"), "type", "must be an object");
                    continue;
                };
                let mut change = FigureChange {
                    name: String::new(),
                    value: None,
                    frozen: None,
                };
                for (key, value) in entry {
                    match (key.as_str(), value) {
                        ("name", Value::String(name)) => change.name.clone_from(name),
                        ("value", Value::Number(number)) => change.value = number.as_f64(),
                        ("frozen", Value::Bool(frozen)) => change.frozen = Some(*frozen),
                        ("name", _) => f.problem(&at("name"), "type", "must be a string"),
                        ("value", _) => f.problem(&at("value"), "type", "must be a number"),
                        ("frozen", _) => f.problem(&at("frozen"), "type", "must be true or false"),
                        (other, _) => f.problem(
                            &at(&crate::fields::shown(other)),
                            "unknown_field",
                            "is not a field of this request",
                        ),
                    }
                }
                if !entry.contains_key("name") {
                    f.problem(&at("name"), "required", "is required");
                }
                changes.push(change);
            }
        }
        Some(_) => f.problem("figures", "type", "must be a list of at most 16 figures"),
        None => {}
    }
    f.finish()?;
    let changed = planner(&state)?
        .set_learned(&caller.tenant, &id, changes, state.clock.now())
        .await;
    match changed {
        Ok(figures) => Ok(Json(LearnedView::new(&figures.ok_or_else(unplanned)?))),
        Err(StoreError::Conflict {
            code: code @ "figure",
            detail,
            ..
        }) => Err(Problem::field("figures", code, detail)),
        Err(error) => Err(error.into()),
    }
}

/// Forget what was learned
///
/// Every figure is the plan's own again, and learns.
#[utoipa::path(
    delete,
    path = "/v1/queues/{id}/learned",
    tag = "queues",
    security(("api_key" = ["admin"])),
    params(QueuePath),
    responses(
        (status = 200, description = "The figures as they are now.", body = LearnedView),
        (status = 409, description = "The queue has no staff plan."),
    )
)]
pub async fn forget_learned(
    caller: Caller<Ruling>,
    State(state): State<ApiState>,
    InPath(id): InPath<QueueId>,
) -> Result<Json<LearnedView>, Problem> {
    find(&state, &caller.tenant, &id).await?;
    let figures = planner(&state)?
        .forget_learned(&caller.tenant, &id, state.clock.now())
        .await?;
    Ok(Json(LearnedView::new(&figures.ok_or_else(unplanned)?)))
}
