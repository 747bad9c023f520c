//! `GET /v1/interactions/{id}/children`.

use super::{InteractionPath, PageQuery, find, page};
use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::error::Problem;
use crate::extract::{InPath, InQuery};
use crate::fields::Fields;
use crate::paging;
use crate::view::{AnyView, PageView};
use axum::Json;
use axum::extract::State;
use ringback_callbacks::ids::InteractionId;
use ringback_store::InteractionQuery;

/// List the children of an interaction
#[utoipa::path(
    get,
    path = "/v1/interactions/{id}/children",
    tag = "interactions",
    security(("api_key" = ["read"])),
    params(InteractionPath, PageQuery),
    responses((status = 200, description = "A page of interactions that name it as their parent.", body = PageView<AnyView>))
)]
pub async fn list_children(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
    InPath(id): InPath<InteractionId>,
    InQuery(query): InQuery,
) -> Result<Json<PageView<AnyView>>, Problem> {
    let mut f = Fields::of_query(&query);
    let after = paging::cursor(&mut f);
    let limit = paging::limit(&mut f);
    f.finish()?;
    find(&state, &caller.tenant, id).await?;
    page(
        &state,
        InteractionQuery {
            tenant: caller.tenant,
            parent: Some(id),
            after,
            limit,
            ..Default::default()
        },
    )
    .await
}
