//! `GET /v1/callbacks/{id}/events`: what happened, as a list or live until the callback has ended.

use super::{CallbackPath, find};
use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::error::Problem;
use crate::extract::{InPath, InQuery, WantsStream};
use crate::fields::Fields;
use crate::stream::{self, Gone, Outlet};
use crate::view::{EventPageView, EventView};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use ringback_callbacks::ids::{InteractionId, TenantId};
use ringback_store::Signal;

/// Events read at one time.
const BATCH: usize = 200;

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read field by field; here for the document")]
pub struct CallbackEventsQuery {
    /// Only events with a greater `number`.
    #[param(minimum = 0)]
    after: Option<u32>,
    /// At most so many; 200 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "read by hand; here for the document")]
pub struct LastEventHeader {
    /// With `Accept: text/event-stream`: the `id` of the last event you have; the stream goes on after it.
    #[param(nullable = false, rename = "Last-Event-ID")]
    last_event_id: Option<i64>,
}

/// Follow a callback
///
/// JSON by default. With `Accept: text/event-stream` a live stream that begins with what has happened (or after
/// `Last-Event-ID`), and ends after the final event. Event ids are the `number`s, event names the `kind`s.
#[utoipa::path(
    get,
    path = "/v1/callbacks/{id}/events",
    tag = "callbacks",
    security(("api_key" = ["read"])),
    params(CallbackPath, CallbackEventsQuery, LastEventHeader),
    responses((status = 200, description = "The events, in order.", content(
        (EventPageView<EventView> = "application/json"), (String = "text/event-stream"))))
)]
pub async fn callback_events(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
    InPath(id): InPath<InteractionId>,
    InQuery(query): InQuery,
    WantsStream(live): WantsStream,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut f = Fields::of_query(&query);
    let after = f.integer("after", 0, i64::from(u32::MAX));
    let limit = f.integer("limit", 1, 1000).unwrap_or(BATCH as i64) as usize;
    f.finish()?;
    find(&state, &caller.tenant, id).await?;
    let after = if live {
        stream::last_event_id(&headers)?.or(after)
    } else {
        after
    };
    let after = after
        .and_then(|after| u32::try_from(after).ok())
        .unwrap_or(0);
    if live {
        let follower = Follower {
            state: state.clone(),
            tenant: caller.tenant,
            id,
            after,
        };
        return stream::open(&state, |outlet| follower.run(outlet));
    }
    let events = state.store.events(&caller.tenant, id, after, limit).await?;
    let last = events
        .last()
        .map_or(i64::from(after), |event| i64::from(event.number));
    Ok(Json(EventPageView {
        items: events.iter().map(EventView::new).collect(),
        last,
    })
    .into_response())
}

struct Follower {
    state: ApiState,
    tenant: TenantId,
    id: InteractionId,
    after: u32,
}

impl Follower {
    async fn run(mut self, outlet: Outlet) {
        // Subscribed before the first look, so that nothing falls between look and signal.
        let mut signals = self.state.store.signals();
        let id = self.id;
        loop {
            match self.tell(&outlet).await {
                Ok(true) | Err(Gone) => return,
                Ok(false) => {}
            }
            let ours = |signal: &Signal| matches!(signal, Signal::Callback { id: changed, .. } if *changed == id);
            if stream::next_change(&mut signals, ours).await.is_err() {
                return;
            }
        }
    }

    /// Sends what is new. `true`: it has ended and everything is told.
    async fn tell(&mut self, outlet: &Outlet) -> Result<bool, Gone> {
        // Read before the events: if it had ended by then, its final event is among them.
        let callback = self.state.store.callback(&self.tenant, self.id).await;
        let ended = match callback {
            Ok(Some(callback)) => callback.state.is_ended(),
            Ok(None) => return Err(Gone),
            Err(error) => return lost(&error),
        };
        loop {
            let events = match self
                .state
                .store
                .events(&self.tenant, self.id, self.after, BATCH)
                .await
            {
                Ok(events) => events,
                Err(error) => return lost(&error),
            };
            for event in &events {
                outlet
                    .send_json(
                        Some(event.number.to_string()),
                        event.kind.name(),
                        &EventView::new(event),
                    )
                    .await?;
                self.after = event.number;
            }
            if events.len() < BATCH {
                return Ok(ended);
            }
        }
    }
}

/// The stream ends; the client comes back with its `Last-Event-ID` and loses nothing.
fn lost(error: &ringback_store::StoreError) -> Result<bool, Gone> {
    tracing::warn!(%error, "an event stream ended because the store could not be read");
    Err(Gone)
}
