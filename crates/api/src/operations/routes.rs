//! `GET /v1/routes`: how the configured routes are doing.

use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::error::Problem;
use crate::view::ListView;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// A configured use of a channel: a trunk, a PBX, a mail relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Route)]
pub struct RouteView {
    /// Its name, as queues list it.
    pub name: String,
    /// `sip`, `smtp`, …
    pub channel: String,
    /// Whether it may be used just now.
    pub up: bool,
    /// Since when it is up or down.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub since: Option<String>,
    /// Calls (or messages) on it just now.
    pub active: u32,
    /// What failed last, without anything personal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub last_failure: Option<String>,
}

/// List routes and their health
#[utoipa::path(
    get,
    path = "/v1/routes",
    tag = "operations",
    security(("api_key" = ["read"])),
    responses((status = 200, description = "All routes.", body = ListView<RouteView>))
)]
pub async fn list_routes(
    _caller: Caller<Reading>,
    State(state): State<ApiState>,
) -> Result<Json<ListView<RouteView>>, Problem> {
    Ok(Json(ListView {
        items: (state.route_health)(),
    }))
}
