//! `PUT /v1/customers/{id}/do_not_call`.

use super::{CustomerPath, change_customer};
use crate::ApiState;
use crate::auth::{Caller, Writing};
use crate::conditional::{Conditions, MatchHeader};
use crate::error::Problem;
use crate::extract::{InPath, JsonObject};
use crate::fields::Fields;
use crate::view::{CustomerView, DoNotCallRequest};
use axum::extract::State;
use axum::response::Response;
use ringback_callbacks::ids::CustomerId;

/// Never call a customer again, or allow it again
///
/// Open callbacks of the customer end, refused for good, before they would be dialled next.
#[utoipa::path(
    put,
    path = "/v1/customers/{id}/do_not_call",
    tag = "customers",
    security(("api_key" = ["write"])),
    params(CustomerPath, MatchHeader),
    request_body = DoNotCallRequest,
    responses(
        (status = 200, description = "The customer as they are now.", body = CustomerView),
        (status = 412, description = "It was changed meanwhile."),
    )
)]
pub async fn put_do_not_call(
    caller: Caller<Writing>,
    State(state): State<ApiState>,
    InPath(id): InPath<CustomerId>,
    conditions: Conditions,
    body: JsonObject,
) -> Result<Response, Problem> {
    let mut f = Fields::new(&body.object);
    let wish = f.boolean("do_not_call");
    let wish = f.require("do_not_call", wish);
    f.finish()?;
    let wish = wish.ok_or_else(|| Problem::field("do_not_call", "required", "is required"))?;
    change_customer(&state, &caller.tenant, &id, conditions, |customer| {
        customer.do_not_call = wish
    })
    .await
}
