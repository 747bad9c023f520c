//! `GET /healthz` and `/readyz`.

use crate::ApiState;
use crate::error::{Code, Problem};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// All is well.
#[derive(Serialize, ToSchema)]
pub struct HealthView {
    /// Always `ok`.
    pub status: &'static str,
}

/// Ask whether the process lives
///
/// Looks at nothing else: a database that is away is no reason to kill the process.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operations",
    security(),
    responses((status = 200, description = "It lives.", body = HealthView))
)]
pub async fn healthz() -> Json<HealthView> {
    Json(HealthView { status: "ok" })
}

/// Ask whether the server takes requests
///
/// The store reads and writes, and the server is not stopping.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operations",
    security(),
    responses(
        (status = 200, description = "Send requests here.", body = HealthView),
        (status = 503, description = "Send requests elsewhere."),
    )
)]
pub async fn readyz(State(state): State<ApiState>) -> Result<Json<HealthView>, Problem> {
    if state.stopping.is_cancelled() {
        return Err(Problem::new(Code::Stopping, "The server is stopping.").retry_after(5));
    }
    match tokio::time::timeout(Duration::from_secs(5), state.store.ping()).await {
        Ok(Ok(())) => Ok(Json(HealthView { status: "ok" })),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: the store does not answer");
            Err(Problem::new(Code::Overloaded, "The store does not work.").retry_after(5))
        }
        Err(_) => Err(Problem::new(Code::Overloaded, "The store does not answer.").retry_after(5)),
    }
}
