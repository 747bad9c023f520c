//! `GET /openapi.json`.

use crate::document::openapi;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::sync::LazyLock;

/// Made once: it cannot change while the program runs.
static DOCUMENT: LazyLock<String> =
    LazyLock::new(|| openapi().to_pretty_json().unwrap_or_default());

/// Read this document
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operations",
    security(),
    responses((status = 200, description = "OpenAPI 3.1.", body = Object))
)]
pub async fn get_openapi() -> Response {
    (
        [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "max-age=300"),
        ],
        DOCUMENT.as_str(),
    )
        .into_response()
}
