//! `PUT /v1/queues/{id}`: makes a queue or replaces its rules whole.

use super::{QueuePath, shown};
use crate::ApiState;
use crate::auth::{Caller, Ruling};
use crate::conditional::{Conditions, MatchHeader, NoneMatchHeader, check_existence};
use crate::error::{Code, Problem};
use crate::extract::{InPath, JsonObject, typed};
use crate::view::{QueueRulesBody, QueueView};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ringback_callbacks::ids::QueueId;
use ringback_callbacks::queue::{Queue, QueueRules};
use ringback_store::StoreError;

/// Make a queue, or replace its rules
///
/// The body is what a queue shows under `rules`. What is left out is as by default. The switches stay as they
/// are; a queue that was removed is taken up again.
#[utoipa::path(
    put,
    path = "/v1/queues/{id}",
    tag = "queues",
    security(("api_key" = ["admin"])),
    params(QueuePath, MatchHeader, NoneMatchHeader),
    request_body(content = QueueRulesBody, examples(
        ("agents" = (summary = "Own agents, weekdays", value = json!({
            "name": "Customer service",
            "hours": { "opening_hours": "Mo-Fr 09:00-17:00; PH off", "time_zone": "America/Los_Angeles",
                       "holidays": { "country": "US" } },
            "dial": { "regions": ["US"], "default_region": "US" },
            "routes": { "voice": ["trunk"] }
        }))),
        ("dn" = (summary = "Delivered to a queue of the PBX", value = json!({
            "name": "Sales",
            "hours": { "opening_hours": "24/7", "time_zone": "Europe/Paris" },
            "delivery": { "kind": "dn", "dn": "7001", "location": "pbx", "max_concurrent": 5 },
            "dial": { "regions": ["FR", "BE"], "default_region": "FR" },
            "routes": { "voice": ["trunk"] }
        }))),
    )),
    responses(
        (status = 200, description = "Its rules were replaced.", body = QueueView),
        (status = 201, description = "It was made.", body = QueueView),
        (status = 412, description = "It was changed meanwhile, or exists already."),
    )
)]
pub async fn put_queue(
    caller: Caller<Ruling>,
    State(state): State<ApiState>,
    InPath(id): InPath<QueueId>,
    conditions: Conditions,
    body: JsonObject,
) -> Result<Response, Problem> {
    let rules: QueueRules = typed(&body.object)?;
    let now = state.clock.now();
    rules.check(&state.almanac, now)?;
    for _ in 0..4 {
        let current = state.store.queue(&caller.tenant, &id).await?;
        check_existence(conditions, current.as_ref().map(|queue| queue.revision))?;
        let is_new = current.is_none();
        let expected = conditions
            .expected
            .unwrap_or(current.as_ref().map_or(0, |queue| queue.revision));
        let queue = Queue {
            tenant: caller.tenant.clone(),
            id: id.clone(),
            rules: rules.clone(),
            intake_paused: current.as_ref().is_some_and(|queue| queue.intake_paused),
            dialling_paused: current.as_ref().is_some_and(|queue| queue.dialling_paused),
            removed: false,
            created_at: current.as_ref().map_or(now, |queue| queue.created_at),
            revision: current.as_ref().map_or(0, |queue| queue.revision),
        };
        match state.store.put_queue(queue, Some(expected)).await {
            Ok(queue) => {
                let mut response = shown(&queue, None);
                if is_new {
                    *response.status_mut() = StatusCode::CREATED;
                }
                return Ok(response);
            }
            Err(StoreError::RevisionConflict { .. })
                if conditions.expected.is_none() && !conditions.must_be_new => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::new(
        Code::Overloaded,
        "Others keep changing it at the same time. Nothing was done.",
    )
    .retry_after(1))
}
