//! `GET /v1/interactions`.

use super::page;
use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::error::Problem;
use crate::extract::InQuery;
use crate::fields::Fields;
use crate::paging;
use crate::view::{AnyView, PageView};
use axum::Json;
use axum::extract::State;
use ringback_callbacks::ids::CustomerId;
use ringback_callbacks::interaction::EntityType;
use ringback_store::InteractionQuery;
use serde_json::{Map, Value};

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read field by field; here for the document")]
pub struct InteractionFilter {
    /// Only this customer's.
    customer_id: Option<String>,
    /// Only this thread's.
    thread_id: Option<String>,
    /// Only children of this interaction.
    #[param(format = Uuid)]
    parent_id: Option<String>,
    /// Only those with this key of another system.
    external_id: Option<String>,
    /// Only this kind, by number.
    entity_type: Option<i32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// List interactions of every kind
///
/// By customer, thread, parent or external id; newest first.
#[utoipa::path(
    get,
    path = "/v1/interactions",
    tag = "interactions",
    security(("api_key" = ["read"])),
    params(InteractionFilter),
    responses((status = 200, description = "A page of interactions.", body = PageView<AnyView>))
)]
pub async fn list_interactions(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
    InQuery(query): InQuery,
) -> Result<Json<PageView<AnyView>>, Problem> {
    let wanted = InteractionQuery {
        tenant: caller.tenant,
        ..read(&query)?
    };
    page(&state, wanted).await
}

fn read(query: &Map<String, Value>) -> Result<InteractionQuery, Problem> {
    let mut f = Fields::of_query(query);
    let wanted = InteractionQuery {
        tenant: Default::default(),
        customer: f.parsed("customer_id", |text| {
            CustomerId::parse(text).map_err(|_| "must be a customer id")
        }),
        thread: f.line("thread_id", 128),
        parent: f.parsed("parent_id", |text| {
            text.parse()
                .map_err(|_| "must be an interaction id (a UUID)")
        }),
        external_id: f.line("external_id", 256),
        entity_type: f
            .integer("entity_type", i64::from(i32::MIN), i64::from(i32::MAX))
            .and_then(|n| i32::try_from(n).ok())
            .map(EntityType),
        after: paging::cursor(&mut f),
        limit: paging::limit(&mut f),
    };
    f.finish()?;
    Ok(wanted)
}
