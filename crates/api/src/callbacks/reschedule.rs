//! `POST /v1/callbacks/{id}/reschedule`.

use super::{CallbackPath, Wish, carry_out};
use crate::ApiState;
use crate::auth::{Caller, Handling};
use crate::conditional::{Conditions, MatchHeader};
use crate::error::Problem;
use crate::extract::{InPath, JsonObject};
use crate::fields::Fields;
use crate::idempotency::{RepeatHeader, Repeatable};
use crate::view::{CallbackView, RescheduleRequest};
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use ringback_callbacks::callback::Window;
use ringback_callbacks::ids::InteractionId;
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::window::{LocalWindow, Said};
use ringback_scheduling::{LocalTime, Zone};

/// Move a callback to another time
///
/// The same guards are asked as at booking, and a new promise is given.
#[utoipa::path(
    post,
    path = "/v1/callbacks/{id}/reschedule",
    tag = "callbacks",
    security(("api_key" = ["write"]), ("api_key" = ["agent"])),
    params(CallbackPath, MatchHeader, RepeatHeader),
    request_body = RescheduleRequest,
    responses(
        (status = 200, description = "The callback as it is now.", body = CallbackView),
        (status = 409, description = "Its state does not allow it, or a guard forbids the new time."),
        (status = 412, description = "It was changed meanwhile."),
        (status = 422, description = "The idempotency key was used for another request."),
    )
)]
pub async fn reschedule_callback(
    caller: Caller<Handling>,
    State(state): State<ApiState>,
    InPath(id): InPath<InteractionId>,
    conditions: Conditions,
    repeatable: Repeatable,
    body: JsonObject,
) -> Result<Response, Problem> {
    let asked = repeatable.asked(caller.application, &body.bytes);
    let mut f = Fields::new(&body.object);
    let zone = f.parsed("time_zone", |text| {
        Zone::parse(text).map_err(|_| "must be an IANA time zone such as Europe/Paris")
    });
    let name = zone.as_ref().map(Zone::name);
    let said_start = f.moment("start_time", name);
    let said_start = f.require("start_time", said_start);
    let said_end = f.moment("end_time", name);
    let local = name.and_then(|name| LocalWindow::of(name, said_start, said_end));
    let window = instants(said_start, said_end, local.as_ref(), zone.as_ref());
    if let Some((start, Some(end))) = window
        && end <= start
    {
        f.problem("end_time", "order", "must be later than start_time");
    }
    f.finish()?;
    let (start, end) =
        window.ok_or_else(|| Problem::field("start_time", "range", "is out of range"))?;
    let wish = Wish {
        id,
        command: Command::Reschedule { start, end, local },
        actor: caller.actor(),
        conditions,
    };
    carry_out(&state, &caller, wish, asked).await
}

/// The instants meant. They are found again by the rules that the decision is made with.
fn instants(
    start: Option<Said>,
    end: Option<Said>,
    local: Option<&LocalWindow>,
    zone: Option<&Zone>,
) -> Option<(Timestamp, Option<Timestamp>)> {
    let instant = |said: Said| match (said, zone) {
        (Said::Instant(at), _) => Some(at),
        (Said::Wall(wall), Some(zone)) => Some(LocalTime::resolve(wall, zone).ok()?.instant),
        (Said::Wall(_), None) => None,
    };
    let window = Window {
        start: instant(start?)?,
        end: match end {
            Some(end) => Some(instant(end)?),
            None => None,
        },
        end_given: end.is_some(),
    };
    // A wall time that runs backwards is a mistake, whatever a gap would make of it.
    if let (Some(Said::Wall(start)), Some(Said::Wall(end))) = (start, end)
        && end <= start
    {
        return Some((window.start, Some(window.start)));
    }
    let window = match (local, zone) {
        (Some(local), Some(zone)) => local.resolve(zone.tz(), window)?,
        (Some(_) | None, Some(_) | None) => window,
    };
    Some((window.start, window.end))
}
