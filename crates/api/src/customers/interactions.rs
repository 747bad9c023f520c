//! `GET /v1/customers/{id}/interactions`, as the published API has it.

use super::{CustomerPath, find};
use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::error::Problem;
use crate::extract::{InPath, InQuery};
use crate::fields::Fields;
use crate::interactions::{PageQuery, page};
use crate::paging;
use crate::view::{AnyView, PageView};
use axum::Json;
use axum::extract::State;
use ringback_callbacks::ids::CustomerId;
use ringback_store::InteractionQuery;

/// List a customer's interactions
///
/// Callbacks and every other kind, newest first.
#[utoipa::path(
    get,
    path = "/v1/customers/{id}/interactions",
    tag = "customers",
    security(("api_key" = ["read"])),
    params(CustomerPath, PageQuery),
    responses((status = 200, description = "A page of interactions.", body = PageView<AnyView>))
)]
pub async fn customer_interactions(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
    InPath(id): InPath<CustomerId>,
    InQuery(query): InQuery,
) -> Result<Json<PageView<AnyView>>, Problem> {
    let mut f = Fields::of_query(&query);
    let after = paging::cursor(&mut f);
    let limit = paging::limit(&mut f);
    f.finish()?;
    find(&state, &caller.tenant, &id).await?;
    page(
        &state,
        InteractionQuery {
            tenant: caller.tenant,
            customer: Some(id),
            after,
            limit,
            ..Default::default()
        },
    )
    .await
}
