//! `GET /v1/queues/{id}/estimate`: when a request would be dialled, and what that rests on.

use super::{QueuePath, find, planner};
use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::error::Problem;
use crate::extract::{InPath, InQuery};
use crate::fields::Fields;
use crate::view::EstimateView;
use axum::Json;
use axum::extract::State;
use jiff::tz::TimeZone;
use ringback_callbacks::callback::Window;
use ringback_callbacks::ids::QueueId;
use ringback_callbacks::wire_time::plus;

/// For the document; read field by field.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read field by field; here for the document")]
pub struct EstimateQuery {
    /// Not before this; now if absent.
    #[param(format = DateTime)]
    start: Option<String>,
    /// Not after this; the queue's `default_window` after `start` if absent.
    #[param(format = DateTime)]
    end: Option<String>,
    /// IANA zone of the customer, whose night is left out; the queue's if absent.
    #[param(example = "America/New_York")]
    time_zone: Option<String>,
}

/// Estimate when a request would be dialled
///
/// What a booking for this window would be promised now, and what that rests on. Nothing is taken. Only queues with
/// a staff plan can tell.
#[utoipa::path(
    get,
    path = "/v1/queues/{id}/estimate",
    tag = "queues",
    security(("api_key" = ["read"])),
    params(QueuePath, EstimateQuery),
    responses(
        (status = 200, description = "The estimate.", body = EstimateView),
        (status = 409, description = "The queue has no staff plan."),
    )
)]
pub async fn estimate_queue(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
    InPath(id): InPath<QueueId>,
    InQuery(query): InQuery,
) -> Result<Json<EstimateView>, Problem> {
    let now = state.clock.now();
    let mut f = Fields::of_query(&query);
    let start = f.time("start").unwrap_or(now).max(now);
    let given = f.time("end");
    let zone = f.parsed("time_zone", |name| {
        TimeZone::get(name)
            .map(|_| name.to_owned())
            .map_err(|_| "must be an IANA time zone, e.g. America/New_York")
    });
    if given.is_some_and(|end| end <= start) {
        f.problem("end", "order", "must be later than start, and not be past");
    }
    f.finish()?;
    let queue = find(&state, &caller.tenant, &id).await?;
    let usual = queue.rules.default_window.as_duration();
    let window = Window {
        start,
        end: Some(given.unwrap_or_else(|| plus(start, usual))),
        end_given: given.is_some(),
    };
    let outlook = planner(&state)?;
    let estimate = outlook
        .estimate(&caller.tenant, &id, window, zone.as_deref(), now)
        .await?
        .ok_or_else(super::unplanned)?;
    Ok(Json(EstimateView::new(&estimate)))
}
