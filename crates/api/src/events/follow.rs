//! `GET /v1/events`: the tenant's events, as a list or live, in commit order without gaps.

use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::callbacks::events::LastEventHeader;
use crate::error::Problem;
use crate::extract::{InQuery, WantsStream};
use crate::fields::Fields;
use crate::stream::{self, Gone, Outlet};
use crate::view::{EventPageView, EventView};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use ringback_callbacks::ids::TenantId;
use ringback_store::Signal;
use std::time::Duration;

/// Events read at one time.
const BATCH: usize = 200;
/// When a feed looks again after it told something.
const SOON: Duration = Duration::from_millis(50);

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read field by field; here for the document")]
pub struct EventsQuery {
    /// Only events with a greater `seq`; a stream without it begins now, a list at the beginning.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// At most so many (list only); 200 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Follow everything
///
/// JSON by default: events after `after`, and `last` to go on with. With `Accept: text/event-stream` a live stream
/// that goes on after `Last-Event-ID` (or `after`, or begins now). A client that takes nothing for 30 seconds
/// is cut, and loses nothing by coming back.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "events",
    security(("api_key" = ["read"])),
    params(EventsQuery, LastEventHeader),
    responses((status = 200, description = "The events, in order.", content(
        (EventPageView<EventView> = "application/json"), (String = "text/event-stream"))))
)]
pub async fn follow_events(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
    InQuery(query): InQuery,
    WantsStream(live): WantsStream,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut f = Fields::of_query(&query);
    let after = f.integer("after", 0, i64::MAX);
    let limit = f.integer("limit", 1, 1000).unwrap_or(BATCH as i64) as usize;
    f.finish()?;
    if live {
        let after = match stream::last_event_id(&headers)?.or(after) {
            Some(after) => after,
            None => state.store.last_event().await?,
        };
        let follower = Follower {
            state: state.clone(),
            tenant: caller.tenant,
            after,
        };
        return stream::open(&state, |outlet| follower.run(outlet));
    }
    let after = after.unwrap_or(0);
    let events = state
        .store
        .events_after(&caller.tenant, after, limit)
        .await?;
    let last = events.last().map_or(after, |event| event.seq);
    Ok(Json(EventPageView {
        items: events.iter().map(EventView::new).collect(),
        last,
    })
    .into_response())
}

struct Follower {
    state: ApiState,
    tenant: TenantId,
    after: i64,
}

impl Follower {
    async fn run(mut self, outlet: Outlet) {
        // Subscribed before the first look, so that nothing falls between look and signal.
        let mut signals = self.state.store.signals();
        // What was committed comes into the order of events a moment later where an older transaction still goes on,
        // and nobody signals that: the feed looks again soon, and less and less often while nothing comes.
        let mut patience = SOON;
        while let Ok(told) = self.tell(&outlet).await {
            patience = match told {
                0 => patience.saturating_mul(2),
                _ => SOON,
            };
            let tenant = &self.tenant;
            let ours = |signal: &Signal| match signal {
                Signal::Callback {
                    tenant: changed, ..
                } => changed == tenant,
                Signal::Agent { .. } | Signal::Queue { .. } => false,
            };
            if stream::next_change_within(patience, &mut signals, ours)
                .await
                .is_err()
            {
                return;
            }
        }
    }

    /// Tells what is new; says how many events that were.
    async fn tell(&mut self, outlet: &Outlet) -> Result<usize, Gone> {
        let mut told = 0;
        loop {
            let events = self.state.store.events_after(&self.tenant, self.after, BATCH).await.map_err(|error| {
                tracing::warn!(%error, "an event stream ended because the store could not be read");
                Gone
            })?;
            for event in &events {
                outlet
                    .send_json(
                        Some(event.seq.to_string()),
                        event.kind.name(),
                        &EventView::new(event),
                    )
                    .await?;
                self.after = event.seq;
            }
            told += events.len();
            if events.len() < BATCH {
                return Ok(told);
            }
        }
    }
}
