//! `/v1/interactions`: interactions of every kind, and their bodies.

pub mod body_get;
pub mod body_put;
pub mod children;
pub mod get;
pub mod list;
pub mod record;

use crate::ApiState;
use crate::error::Problem;
use crate::paging;
use crate::view::{AnyView, PageView};
use axum::Json;
use ringback_callbacks::ids::{InteractionId, TenantId};
use ringback_callbacks::interaction::BodyKind;
use ringback_store::{AnyInteraction, InteractionQuery};

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "read by InPath; here for the document")]
pub struct InteractionPath {
    /// The `interaction_id`.
    #[param(format = Uuid)]
    id: String,
}

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read field by field; here for the document")]
pub struct PageQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

async fn find(
    state: &ApiState,
    tenant: &TenantId,
    id: InteractionId,
) -> Result<AnyInteraction, Problem> {
    state
        .store
        .interaction(tenant, id)
        .await?
        .ok_or_else(|| Problem::not_found("interaction"))
}

/// One page of what `query` asks for.
pub(crate) async fn page(
    state: &ApiState,
    query: InteractionQuery,
) -> Result<Json<PageView<AnyView>>, Problem> {
    let page = state.store.interactions(query).await?;
    Ok(Json(PageView {
        items: page
            .items
            .iter()
            .map(|any| AnyView::new(any, &state.settings))
            .collect(),
        next_cursor: page.next.map(paging::write),
    }))
}

fn body_kind(name: &str) -> Result<BodyKind, Problem> {
    BodyKind::parse(name).ok_or_else(|| Problem::not_found("body"))
}

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "read by InPath; here for the document")]
pub struct BodyPath {
    /// The `interaction_id`.
    #[param(format = Uuid)]
    id: String,
    /// `plain_text`, `structured_text` or `binary_content`.
    #[param(example = "plain_text")]
    body: String,
}
