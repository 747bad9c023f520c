//! `/v1/customers`: who asked to be called back.

pub mod change;
pub mod do_not_call;
pub mod get;
pub mod interactions;
pub mod list;

use crate::ApiState;
use crate::conditional::{Conditions, etag_header};
use crate::error::{Code, Problem};
use crate::view::CustomerView;
use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use ringback_callbacks::customer::Customer;
use ringback_callbacks::ids::{CustomerId, TenantId};
use ringback_store::StoreError;

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "read by InPath; here for the document")]
pub struct CustomerPath {
    /// The `customer_id`.
    #[param(max_length = 16)]
    id: String,
}

async fn find(state: &ApiState, tenant: &TenantId, id: &CustomerId) -> Result<Customer, Problem> {
    state
        .store
        .customer(tenant, id)
        .await?
        .ok_or_else(|| Problem::not_found("customer"))
}

fn shown(customer: &Customer) -> Response {
    (
        [(header::ETAG, etag_header(customer.revision))],
        Json(CustomerView::new(customer)),
    )
        .into_response()
}

/// Changes a customer. Without `If-Match` a change that came between is not overwritten: the new one is
/// put on top of it.
async fn change_customer(
    state: &ApiState,
    tenant: &TenantId,
    id: &CustomerId,
    conditions: Conditions,
    change: impl Fn(&mut Customer),
) -> Result<Response, Problem> {
    for _ in 0..4 {
        let mut customer = find(state, tenant, id).await?;
        let expected = conditions.expected.unwrap_or(customer.revision);
        change(&mut customer);
        match state.store.put_customer(customer, Some(expected)).await {
            Ok(customer) => return Ok(shown(&customer)),
            Err(StoreError::RevisionConflict { .. }) if conditions.expected.is_none() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::new(
        Code::Overloaded,
        "Others keep changing it at the same time. Nothing was done.",
    )
    .retry_after(1))
}
