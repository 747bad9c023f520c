//! `POST /v1/queues/{id}/live`: what the telephone system sees of the calls that come in by themselves.

use super::{QueuePath, find, planner};
use crate::ApiState;
use crate::auth::{Caller, Writing};
use crate::error::{Code, Problem};
use crate::extract::{InPath, JsonObject};
use crate::fields::Fields;
use crate::view::LiveRequest;
use axum::extract::State;
use axum::http::StatusCode;
use ringback_callbacks::ids::QueueId;
use ringback_store::LiveReport;

/// Report live calls
///
/// Send it every few seconds, or whenever something changes. Counters run from the beginning of the day (on the
/// queue's clock), so a report that is lost or comes twice does no harm, and counters that begin anew at nought are
/// understood. A report holds for two minutes; after that the plan's forecast stands in, and estimates say so.
#[utoipa::path(
    post,
    path = "/v1/queues/{id}/live",
    tag = "queues",
    security(("api_key" = ["write"])),
    params(QueuePath),
    request_body = LiveRequest,
    responses(
        (status = 204, description = "Taken in."),
        (status = 409, description = "The queue has no staff plan with live calls."),
    )
)]
pub async fn report_live(
    caller: Caller<Writing>,
    State(state): State<ApiState>,
    InPath(id): InPath<QueueId>,
    body: JsonObject,
) -> Result<StatusCode, Problem> {
    find(&state, &caller.tenant, &id).await?;
    let mut f = Fields::new(&body.object);
    let mut count = |name: &str, needed: bool| {
        let read = f.integer(name, 0, MOST);
        let read = if needed { f.require(name, read) } else { read };
        read.and_then(|count| u32::try_from(count).ok())
            .unwrap_or_default()
    };
    let report = LiveReport {
        waiting: count("waiting", true),
        arrived: count("arrived", true),
        answered: count("answered", true),
        answered_in_time: count("answered_in_time", true),
        abandoned: count("abandoned", true),
        agents_busy: count("agents_busy", false),
        oldest_waiting_since: None,
    };
    let report = LiveReport {
        oldest_waiting_since: f.time("oldest_waiting_since"),
        ..report
    };
    if report.answered_in_time > report.answered {
        f.problem(
            "answered_in_time",
            "range",
            "cannot be more than answered: it is a part of it",
        );
    }
    if u64::from(report.answered) + u64::from(report.abandoned) > u64::from(report.arrived) {
        f.problem(
            "arrived",
            "range",
            "cannot be less than answered and abandoned together",
        );
    }
    f.finish()?;
    let taken = planner(&state)?
        .live(&caller.tenant, &id, report, state.clock.now())
        .await?;
    if taken {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::new(
        Code::Unplanned,
        "The queue's capacity has no staff plan with `live` calls.",
    ))
}

/// More calls in a day than any queue has; a larger number is a slip.
const MOST: i64 = 10_000_000;
