//! `PATCH /v1/customers/{id}`.

use super::{CustomerPath, change_customer};
use crate::ApiState;
use crate::auth::{Caller, Writing};
use crate::conditional::{Conditions, MatchHeader};
use crate::error::Problem;
use crate::extract::{InPath, JsonObject};
use crate::fields::Fields;
use crate::view::{CustomerChangeRequest, CustomerView};
use axum::extract::State;
use axum::response::Response;
use ringback_callbacks::ids::CustomerId;
use ringback_scheduling::Zone;

/// Change a customer's name or time zone
///
/// A JSON merge patch: only what is named is changed; `null` takes it away.
#[utoipa::path(
    patch,
    path = "/v1/customers/{id}",
    tag = "customers",
    security(("api_key" = ["write"])),
    params(CustomerPath, MatchHeader),
    request_body(content((CustomerChangeRequest = "application/json"), (CustomerChangeRequest = "application/merge-patch+json"))),
    responses(
        (status = 200, description = "The customer as they are now.", body = CustomerView),
        (status = 412, description = "It was changed meanwhile."),
    )
)]
pub async fn patch_customer(
    caller: Caller<Writing>,
    State(state): State<ApiState>,
    InPath(id): InPath<CustomerId>,
    conditions: Conditions,
    body: JsonObject,
) -> Result<Response, Problem> {
    let mut f = Fields::new(&body.object);
    for name in ["customer_id", "contacts", "created_at", "revision"] {
        if f.value(name).is_some() {
            f.problem(
                name,
                "server_set",
                "is set by the server and cannot be written",
            );
        }
    }
    if f.value("do_not_call").is_some() {
        f.problem("do_not_call", "own_url", "is PUT at its own URL");
    }
    let name = f.nullable("name", |f, name| f.line(name, 200));
    let zone = f.nullable("time_zone", |f, name| {
        f.parsed(name, |text| match Zone::parse(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err("must be an IANA time zone such as Europe/Paris"),
        })
    });
    f.finish()?;
    change_customer(&state, &caller.tenant, &id, conditions, |customer| {
        if let Some(name) = &name {
            customer.name.clone_from(name);
        }
        if let Some(zone) = &zone {
            customer.time_zone.clone_from(zone);
        }
    })
    .await
}
