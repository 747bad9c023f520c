//! `GET /metrics`, for Prometheus.

use crate::ApiState;
use crate::auth::{Caller, Ruling};
use crate::error::Problem;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Read the metrics
///
/// In the OpenMetrics text format. Needs no key if `open_metrics` is set.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    security(("api_key" = ["admin"])),
    responses((status = 200, description = "All metrics.", body = String, content_type = "application/openmetrics-text"))
)]
pub async fn get_metrics(
    State(state): State<ApiState>,
    request: Request,
) -> Result<Response, Problem> {
    if !state.settings.open_metrics {
        let (mut parts, _) = request.into_parts();
        Caller::<Ruling>::from_request_parts(&mut parts, &state).await?;
    }
    let counts = state.store.counts().await?;
    let text = state.metrics.text(&counts, &(state.route_health)());
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}
