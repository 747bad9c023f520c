//! How much is worked on at one time, and for how long: more is refused at once rather than piled up.

use crate::ApiState;
use crate::error::{Code, Problem};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A place among the requests being worked on, and a limit of time.
pub async fn shed(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let Ok(_place) = state.requests.try_acquire() else {
        state.metrics.refusal(Code::Overloaded.name());
        return Problem::new(
            Code::Overloaded,
            "The server works on as many requests as it can. Nothing was done.",
        )
        .retry_after(1)
        .into_response();
    };
    let limit = Duration::from_secs(u64::from(state.settings.request_timeout_seconds.max(1)));
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            Code::OutcomeUnknown,
            "The request took too long; it may or may not be stored. Repeat it with the same Idempotency-Key.",
        )
        .retry_after(1)
        .into_response(),
    }
}

/// A place among the streams, long polls and uploads; given back when it is dropped.
pub fn stream_place(state: &ApiState) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(&state.streams).try_acquire_owned().map_err(|_| {
        state.metrics.refusal(Code::Overloaded.name());
        Problem::new(
            Code::Overloaded,
            "The server keeps as many streams as it can.",
        )
        .retry_after(5)
    })
}

/// The semaphores, sized by the settings.
pub fn places(count: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS)))
}
