//! `GET /v1/queues/{id}/slots`: what can be booked, and how much is left of it.

use super::QueuePath;
use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::error::Problem;
use crate::extract::{InPath, InQuery};
use crate::fields::Fields;
use crate::view::SlotListView;
use axum::Json;
use axum::extract::State;
use ringback_callbacks::ids::QueueId;
use ringback_callbacks::wire_time::plus;
use ringback_scheduling::zone::Zone;
use ringback_store::SlotQuery;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Two thousand of the shortest slots: as many as one answer should have.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read field by field; here for the document")]
pub struct SlotParameters {
    /// Slots that begin at or after this; now if absent.
    #[param(nullable = false, format = DateTime)]
    from: Option<String>,
    /// Slots that begin before this, at most seven days after `from`; a day after it if absent.
    #[param(nullable = false, format = DateTime)]
    to: Option<String>,
    /// The customer's IANA zone: only slots in which they may be called, with local times of that zone.
    #[param(nullable = false, example = "America/Los_Angeles")]
    time_zone: Option<String>,
}

/// List a queue's slots
///
/// Slots within opening hours, the queue's horizon and its notice, in order, full ones too: `capacity` says how many
/// places are free. A queue has slots when its rules name a `capacity`.
#[utoipa::path(
    get,
    path = "/v1/queues/{id}/slots",
    tag = "queues",
    security(("api_key" = ["read"])),
    params(QueuePath, SlotParameters),
    responses(
        (status = 200, description = "The slots.", body = SlotListView),
        (status = 409, description = "The queue has no slots."),
    )
)]
pub async fn list_slots(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
    InPath(id): InPath<QueueId>,
    InQuery(query): InQuery,
) -> Result<Json<SlotListView>, Problem> {
    let now = state.clock.now();
    let mut f = Fields::of_query(&query);
    let from = f.time("from").unwrap_or(now);
    let to = f.time("to").unwrap_or_else(|| plus(from, DAY));
    let zone = f.parsed("time_zone", |text| {
        Zone::parse(text).map_err(|_| "must be an IANA time zone, e.g. Europe/Paris")
    });
    if to <= from {
        f.problem("to", "order", "must be later than from");
    } else if to > plus(from, LONGEST) {
        f.problem("to", "range", "must be at most seven days after from");
    }
    f.finish()?;
    let list = state
        .store
        .slots(SlotQuery {
            tenant: caller.tenant.clone(),
            queue: id.clone(),
            from,
            to,
            zone: zone.clone(),
            now,
        })
        .await?;
    Ok(Json(SlotListView::new(&id, &list, zone.as_ref())))
}
