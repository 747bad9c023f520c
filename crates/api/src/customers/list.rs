//! `GET /v1/customers`.

use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::error::Problem;
use crate::extract::InQuery;
use crate::fields::Fields;
use crate::paging;
use crate::view::{CustomerView, PageView};
use axum::Json;
use axum::extract::State;
use ringback_store::CustomerQuery;

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read field by field; here for the document")]
pub struct CustomerFilter {
    /// Part of name or id; case does not matter.
    #[param(max_length = 200)]
    text: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// List customers
///
/// In the order of their ids.
#[utoipa::path(
    get,
    path = "/v1/customers",
    tag = "customers",
    security(("api_key" = ["read"])),
    params(CustomerFilter),
    responses((status = 200, description = "A page of customers.", body = PageView<CustomerView>))
)]
pub async fn list_customers(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
    InQuery(query): InQuery,
) -> Result<Json<PageView<CustomerView>>, Problem> {
    let mut f = Fields::of_query(&query);
    let text = f.line("text", 200);
    let after = paging::customer_cursor(&mut f);
    let limit = paging::limit(&mut f);
    f.finish()?;
    let wanted = CustomerQuery {
        tenant: caller.tenant,
        text,
        after,
        limit,
    };
    let page = state.store.customers(wanted).await?;
    let last = page.items.last().filter(|_| page.next.is_some());
    Ok(Json(PageView {
        next_cursor: last.map(|customer| paging::write_customer(&customer.id)),
        items: page.items.iter().map(CustomerView::new).collect(),
    }))
}
