//! `POST /v1/callbacks`: the door by which every booking comes in.

use super::admission::Place;
use super::answer_of;
use crate::ApiSettings;
use crate::ApiState;
use crate::auth::{Caller, Writing};
use crate::error::Problem;
use crate::extract::JsonObject;
use crate::idempotency::{RepeatHeader, Repeatable, answer, earlier};
use crate::view::{BookingRequest, CallbackView};
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::ids::{InteractionId, QueueId, TenantId};
use ringback_callbacks::lifecycle::Refusal;
use ringback_callbacks::problem::Problems;
use ringback_callbacks::queue::{Queue, QueueRules};
use ringback_callbacks::request::{NewCallback, parse_new, queue_of};
use ringback_store::{AcceptOrder, Acceptance, Scope, StoreError, StoredAnswer};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Book a callback
///
/// The answer is sent after the booking has reached the disk, and carries the promise given. Every broken
/// rule is reported at once. Send an `Idempotency-Key`, so that you may repeat the request if no answer comes.
#[utoipa::path(
    post,
    path = "/v1/callbacks",
    tag = "callbacks",
    security(("api_key" = ["write"])),
    params(RepeatHeader),
    request_body(content = BookingRequest, examples(
        ("voice" = (summary = "Call me back as soon as you can", value = json!({
            "queue": "service", "desired_response_type": "Voice", "customer_number": "+14155550123",
            "subject": "Invoice question"
        }))),
        ("window" = (summary = "Tomorrow afternoon, and write to me if you cannot reach me", value = json!({
            "queue": "service", "desired_response_type": "Voice", "customer_number": "+14155550123",
            "start_time": "2026-03-09T14:00:00Z", "end_time": "2026-03-09T18:00:00Z",
            "time_zone": "America/Los_Angeles", "after_failures": 2,
            "contacts": [{ "desired_response_type": "Email", "customer_number": "anna@example.com" }],
            "udata": { "language": "en-US", "segment": "gold" }
        }))),
        ("email" = (summary = "Answer me by e-mail", value = json!({
            "queue": "post", "desired_response_type": "Email", "customer_number": "anna@example.com",
            "subject": "Opening hours", "text": "When are you open on Saturdays?"
        }))),
    )),
    responses(
        (status = 201, description = "Booked; it is on the disk.", body = CallbackView,
         headers(("Location" = String, description = "Where the callback is read."),
                 ("ETag" = String, description = "Its revision."),
                 ("Idempotent-Replayed" = String, description = "`true` if this is the answer given before."))),
        (status = 200, description = "The number has an open callback in this queue: it has taken in the request, and is answered with `merged`.",
         body = CallbackView,
         headers(("Location" = String, description = "Where the open callback is read."),
                 ("ETag" = String, description = "Its revision."),
                 ("Idempotent-Replayed" = String, description = "`true` if this is the answer given before."))),
        (status = 409, description = "A guard forbids it, the number has an open callback in a queue that takes no second, the queue's intake is paused, or its parent takes no children."),
        (status = 422, description = "The idempotency key was used for another request."),
    )
)]
pub async fn create_callback(
    caller: Caller<Writing>,
    State(state): State<ApiState>,
    repeatable: Repeatable,
    body: JsonObject,
) -> Result<Response, Problem> {
    let now = state.clock.now();
    let asked = repeatable.asked(caller.application, &body.bytes);
    let mut new = match read_booking(&state, &caller.tenant, &body.object, now).await {
        Ok(new) => new,
        // It may have been a good booking when it was sent first.
        Err(problem) => {
            let earlier = earlier(&state, &caller.tenant, asked.as_ref()).await?;
            return earlier.ok_or(problem);
        }
    };
    let settings = state.settings.clone();
    let id = InteractionId(state.chance.uuid());
    let render = move |callback: &Callback| {
        let merged = callback.interaction.id != id;
        let mut stored = if merged {
            merged_answer(callback, &settings)
        } else {
            answer_of(201, callback, &settings)
        };
        let location = settings.url(&format!("/v1/callbacks/{}", callback.interaction.id));
        stored.headers.push(("location".to_owned(), location));
        stored
    };
    let idempotent = asked.map(|asked| asked.order(render.clone()));
    let place = Place::ask(&state, &caller.tenant, id, &mut new, now, true).await?;
    let order = AcceptOrder {
        tenant: caller.tenant.clone(),
        id,
        new,
        actor: caller.actor(),
        now,
        idempotent,
        dry_run: false,
    };
    let accepted = state.store.accept(order).await;
    Ok(
        match accepted.map_err(|error| place.explain(refused(&state, &caller, error)))? {
            Acceptance::New(callback, stored) => {
                place.keep();
                answer(stored.unwrap_or_else(|| render(&callback)), false)
            }
            Acceptance::Merged(callback, stored) => {
                answer(stored.unwrap_or_else(|| render(&callback)), false)
            }
            Acceptance::Repeated(stored) => answer(stored, true),
        },
    )
}

/// Which callback stands against a booking is told only to those who may read callbacks: others could ask
/// for any number.
pub(super) fn refused<D>(state: &ApiState, caller: &Caller<D>, error: StoreError) -> Problem {
    let mut link = None;
    if let StoreError::Refused(Refusal::Duplicate { of }) = &error
        && caller.may(Scope::Read)
    {
        link = Some(state.settings.url(&format!("/v1/callbacks/{of}")));
    }
    let mut problem = Problem::from(error);
    problem.instead.callback = link;
    problem
}

/// The open callback, with the word that no new one was made.
fn merged_answer(callback: &Callback, settings: &ApiSettings) -> StoredAnswer {
    let view = CallbackView {
        merged: Some(true),
        ..CallbackView::new(callback, settings)
    };
    StoredAnswer {
        body: serde_json::to_string(&view).unwrap_or_default(),
        ..answer_of(200, callback, settings)
    }
}

/// Reads a booking by the rules of the queue it names. Without a queue it is still read, as far as that
/// goes, so that everything that is wrong with it is told at once.
pub(super) async fn read_booking(
    state: &ApiState,
    tenant: &TenantId,
    request: &Map<String, Value>,
    now: Timestamp,
) -> Result<NewCallback, Problem> {
    match find_queue(state, tenant, request).await? {
        Ok(queue) => Ok(parse_new(request, queue.id.clone(), &queue.rules, now)?),
        Err(mut problems) => {
            if let Some(rules) = rules_of_no_queue()
                && let Ok(nowhere) = QueueId::parse("none")
                && let Err(found) = parse_new(request, nowhere, &rules, now)
            {
                // What depends on the queue's rules cannot be judged without them.
                problems.0.extend(found.0.into_iter().filter(|problem| {
                    !matches!(
                        problem.code,
                        "not_diallable" | "private_address" | "no_country" | "default_region"
                    )
                }));
            }
            Err(Problem::invalid(problems))
        }
    }
}

async fn find_queue(
    state: &ApiState,
    tenant: &TenantId,
    request: &Map<String, Value>,
) -> Result<Result<Arc<Queue>, Problems>, Problem> {
    let id = match queue_of(request) {
        Ok(Some(id)) => id,
        Ok(None) => match usual_queue(state, tenant).await? {
            Some(id) => id,
            None => {
                return Ok(Err(Problems::one(
                    "queue",
                    "required",
                    "is required: the queue it is to wait in",
                )));
            }
        },
        Err(problems) => return Ok(Err(problems)),
    };
    let known = state
        .known_queues
        .find(state.store.as_ref(), tenant, &id, state.clock.now())
        .await?;
    Ok(match known {
        Some(queue) if !queue.removed => Ok(queue),
        Some(_) | None => Err(Problems::one(
            "queue",
            "not_found",
            "is not a queue of this installation",
        )),
    })
}

/// Where a request goes that names no queue: the configured one, else the only one there is.
async fn usual_queue(state: &ApiState, tenant: &TenantId) -> Result<Option<QueueId>, Problem> {
    if let Some(id) = &state.settings.default_queue {
        return Ok(Some(id.clone()));
    }
    let queues = state.store.queues(tenant).await?;
    let mut open = queues.into_iter().filter(|queue| !queue.removed);
    Ok(match (open.next(), open.next()) {
        (Some(only), None) => Some(only.id),
        (Some(_), Some(_)) | (None, _) => None,
    })
}

fn rules_of_no_queue() -> Option<QueueRules> {
    serde_json::from_value(json!({
        "name": "none",
        "hours": { "opening_hours": "24/7", "time_zone": "UTC" },
    }))
    .ok()
}
