//! `GET /v1/customers/{id}`.

use super::{CustomerPath, find, shown};
use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::conditional::{Known, KnownHeader, etag_header};
use crate::error::Problem;
use crate::extract::InPath;
use crate::view::CustomerView;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ringback_callbacks::ids::CustomerId;

/// Read a customer
#[utoipa::path(
    get,
    path = "/v1/customers/{id}",
    tag = "customers",
    security(("api_key" = ["read"])),
    params(CustomerPath, KnownHeader),
    responses(
        (status = 200, description = "The customer.", body = CustomerView,
         headers(("ETag" = String, description = "Its revision."))),
        (status = 304, description = "It is still as you have it."),
    )
)]
pub async fn get_customer(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
    InPath(id): InPath<CustomerId>,
    known: Known,
) -> Result<Response, Problem> {
    let customer = find(&state, &caller.tenant, &id).await?;
    if known.has(customer.revision) {
        return Ok((
            StatusCode::NOT_MODIFIED,
            [(header::ETAG, etag_header(customer.revision))],
        )
            .into_response());
    }
    Ok(shown(&customer))
}
