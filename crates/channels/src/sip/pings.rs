//! Asks each route now and then whether it is there, and a route that is down as soon as its wait is over.

use super::config::Way;
use crate::masked::masked;
use crate::route::Route;
use ringback_callbacks::clock::Clock;
use ringback_callbacks::wire_time::plus;
use ringback_sip::{FailureCause, LegFailure, SipEngine};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The engine gives up after 32 s by itself; this only bounds it should that ever change.
const LONGEST_PING: Duration = Duration::from_secs(60);

/// Runs until stopped. A route without an interval is judged by its calls alone.
pub(super) async fn watch(
    engine: SipEngine,
    way: Way,
    route: Arc<Route>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    if way.ping.is_zero() {
        return;
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            answer = tokio::time::timeout(LONGEST_PING, engine.ping(way.trunk())) => match answer {
                Ok(Ok(_)) => route.succeeded(),
                Ok(Err(failure)) => judge(&route, &failure),
                Err(_) => route.failed("ping: no answer", None),
            },
        }
        let regular = plus(clock.now(), way.ping.as_duration());
        let next = route.retry_at().map_or(regular, |retry| retry.min(regular));
        // A wait that is over already (a call failed meanwhile) must not turn this into a circle.
        let next = next.max(plus(clock.now(), Duration::from_secs(1)));
        while clock.now() < next {
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock.sleep_until(next) => {}
            }
        }
    }
}

/// Whoever answers is there, even with a refusal; only 503 says that it will not work.
fn judge(route: &Route, failure: &LegFailure) {
    match (failure.cause, failure.code) {
        (FailureCause::Status | FailureCause::AuthFailed, Some(code)) if code != 503 => {
            route.succeeded()
        }
        (_, Some(code)) => {
            route.failed(
                &format!("ping: {code} {}", masked(&failure.reason_phrase)),
                failure.retry_after,
            );
        }
        (_, None) => route.failed(&format!("ping: {}", masked(&failure.reason_phrase)), None),
    }
}
