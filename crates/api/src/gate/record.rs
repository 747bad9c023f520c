//! The outermost layer: gives each request an id, finishes problems, sets security headers, writes the record.

use crate::ApiState;
use crate::error::{PROBLEM_JSON, Problem};
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What layers tell each other about one request.
#[derive(Clone, Debug)]
pub struct RequestNotes {
    pub id: String,
    application: Arc<OnceLock<i64>>,
}

impl RequestNotes {
    pub fn note_application(&self, application: i64) {
        // Told once per request, by the one extractor that knows.
        let _ = self.application.set(application);
    }
}

pub async fn record(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let began = tokio::time::Instant::now();
    let notes = RequestNotes {
        id: request_id(request.headers(), &state),
        application: Arc::default(),
    };
    let method = request.method().clone();
    // The template, never the path itself: ids of customers may be personal, and query strings are.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("(none)".to_owned(), |path| path.as_str().to_owned());
    request.extensions_mut().insert(notes.clone());

    let response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            // The panic hook has printed what and where; the message may hold anything, so it is not repeated.
            tracing::error!(
                request.id = notes.id,
                http.route = route,
                "a handler panicked"
            );
            Problem::of_status(axum::http::StatusCode::INTERNAL_SERVER_ERROR).into_response()
        }
    };
    let response = finish(response, &notes.id);

    let status = response.status();
    let took = began.elapsed();
    state
        .metrics
        .request(method.as_str(), &route, status.as_u16(), took);
    tracing::info!(
        request.id = notes.id,
        http.method = %method,
        http.route = route,
        http.status = status.as_u16(),
        application.id = notes.application.get(),
        duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "request answered"
    );
    response
}

/// A caller's own id is kept, so that both sides' logs can be put together, if it is harmless to print.
fn request_id(headers: &HeaderMap, state: &ApiState) -> String {
    headers
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=64).contains(&id.len()))
        .filter(|id| {
            id.chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        })
        .map_or_else(|| state.chance.uuid().to_string(), str::to_owned)
}

fn finish(response: Response, id: &str) -> Response {
    let (mut parts, body) = response.into_parts();
    let is_error = parts.status.is_client_error() || parts.status.is_server_error();
    let problem = match parts.extensions.remove::<Problem>() {
        Some(problem) => Some(problem),
        // Something below (the router itself, an extractor of the framework) refused in its own words.
        None if is_error => Some(Problem::of_status(parts.status)),
        None => None,
    };
    let body = match problem {
        Some(problem) => {
            let text = problem.body(id);
            if parts
                .headers
                .get(header::CONTENT_TYPE)
                .is_none_or(|kind| kind != PROBLEM_JSON)
            {
                let allow = parts.headers.remove(header::ALLOW);
                let fresh = problem.into_response().into_parts().0;
                parts.headers = fresh.headers;
                parts.status = if parts.status.is_client_error() || parts.status.is_server_error() {
                    parts.status
                } else {
                    fresh.status
                };
                if let Some(allow) = allow {
                    parts.headers.insert(header::ALLOW, allow);
                }
            }
            parts.headers.remove(header::CONTENT_LENGTH);
            Body::from(text)
        }
        None => body,
    };
    let headers = &mut parts.headers;
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, value);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        // Pages and bodies bring stricter or fitter ones of their own.
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    Response::from_parts(parts, body)
}
