//! `GET /v1/callbacks`: lists and searches, newest first.

use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::error::Problem;
use crate::extract::InQuery;
use crate::fields::{Fields, Parsed};
use crate::paging;
use crate::view::{CallbackView, PageView};
use axum::Json;
use axum::extract::State;
use ringback_callbacks::contact::{Contact, ResponseType};
use ringback_callbacks::ids::{CustomerId, QueueId};
use ringback_store::CallbackQuery;
use serde_json::{Map, Value};
use std::net::IpAddr;

/// For the document; read by `read`.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read field by field; here for the document")]
pub struct CallbackFilter {
    /// Only callbacks of this queue.
    queue: Option<String>,
    /// Only these, by number; several with commas.
    #[param(example = "2,3")]
    callback_status: Option<String>,
    /// Only these, by number; several with commas.
    #[param(example = "1")]
    status: Option<String>,
    /// Only this customer's.
    customer_id: Option<String>,
    /// Only those with this contact, in any spelling: a telephone number (with the country code, or in the
    /// `queue`'s own country), `sip:…`, or an e-mail address.
    number: Option<String>,
    /// Only this owner's.
    owner_id: Option<i64>,
    /// Only those this agent is offered or has in hand.
    agent_id: Option<i64>,
    /// Only this thread's.
    thread_id: Option<String>,
    /// Only children of this interaction.
    #[param(format = Uuid)]
    parent_id: Option<String>,
    /// Only those with this key of another system.
    external_id: Option<String>,
    /// `start_time` at or after.
    #[param(format = DateTime)]
    start_from: Option<String>,
    /// `start_time` before.
    #[param(format = DateTime)]
    start_before: Option<String>,
    /// Created at or after.
    #[param(format = DateTime)]
    created_from: Option<String>,
    /// Created before.
    #[param(format = DateTime)]
    created_before: Option<String>,
    /// Words in subject, category, external id and values of udata; case does not matter.
    #[param(max_length = 200)]
    text: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page; 50 if absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// List and search callbacks
///
/// Newest first. Filters narrow each other down. A page stays right however many callbacks come meanwhile.
#[utoipa::path(
    get,
    path = "/v1/callbacks",
    tag = "callbacks",
    security(("api_key" = ["read"])),
    params(CallbackFilter),
    responses((status = 200, description = "A page of callbacks.", body = PageView<CallbackView>))
)]
pub async fn list_callbacks(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
    InQuery(query): InQuery,
) -> Result<Json<PageView<CallbackView>>, Problem> {
    let region = default_region(&state, &caller, &query).await?;
    let mut wanted = read(&query, region.as_deref())?;
    wanted.tenant = caller.tenant;
    let page = state.store.callbacks(wanted).await?;
    Ok(Json(PageView {
        items: page
            .items
            .iter()
            .map(|callback| CallbackView::new(callback, &state.settings))
            .collect(),
        next_cursor: page.next.map(paging::write),
    }))
}

/// The country of numbers written without one: that of the queue asked about.
async fn default_region(
    state: &ApiState,
    caller: &Caller<Reading>,
    query: &Map<String, Value>,
) -> Result<Option<String>, Problem> {
    let (Some(Value::String(queue)), true) = (query.get("queue"), query.contains_key("number"))
    else {
        return Ok(None);
    };
    let Ok(id) = QueueId::parse(queue) else {
        return Ok(None);
    };
    let queue = state.store.queue(&caller.tenant, &id).await?;
    Ok(queue
        .and_then(|queue| queue.rules.dial.default_region)
        .map(|region| region.as_str().to_owned()))
}

fn read(query: &Map<String, Value>, region: Option<&str>) -> Result<CallbackQuery, Problem> {
    let mut f = Fields::of_query(query);
    let number = |text: &str| {
        text.parse::<i32>()
            .map_err(|_| "must be a number of the table")
    };
    let wanted = CallbackQuery {
        tenant: Default::default(),
        queue: f.parsed("queue", |text| {
            QueueId::parse(text).map_err(|_| "must be a queue id")
        }),
        callback_status: f.each("callback_status", number),
        status: f.each("status", number),
        customer: f.parsed("customer_id", |text| {
            CustomerId::parse(text).map_err(|_| "must be a customer id")
        }),
        contact: f.parsed("number", |text| canonical(text, region)),
        owner: f.integer("owner_id", 0, i64::MAX),
        agent: f.agent("agent_id"),
        thread: f.line("thread_id", 128),
        parent: f.parsed("parent_id", |text| {
            text.parse()
                .map_err(|_| "must be an interaction id (a UUID)")
        }),
        external_id: f.line("external_id", 256),
        start_from: f.time("start_from"),
        start_before: f.time("start_before"),
        created_from: f.time("created_from"),
        created_before: f.time("created_before"),
        text: f.line("text", 200),
        after: paging::cursor(&mut f),
        limit: paging::limit(&mut f),
    };
    f.finish()?;
    Ok(wanted)
}

/// The canonical form of a contact in any spelling.
fn canonical(text: &str, region: Option<&str>) -> Parsed<String> {
    // A plus that was not escaped arrives as a blank; nobody means a number that begins with one.
    let text = text
        .strip_prefix(' ')
        .map_or_else(|| text.to_owned(), |rest| format!("+{rest}"));
    let lower = text.to_ascii_lowercase();
    let kinds: &[ResponseType] = if lower.starts_with("sip:") || lower.starts_with("sips:") {
        &[ResponseType::VoIP]
    } else if text.contains('@') {
        &[ResponseType::Email, ResponseType::VoIP]
    } else if text.chars().any(char::is_alphabetic) || text.parse::<IpAddr>().is_ok() {
        &[ResponseType::Voice, ResponseType::VoIP]
    } else {
        // Digits and hyphens could be a host's name, but nobody means one.
        &[ResponseType::Voice]
    };
    kinds
        .iter()
        .find_map(|kind| Contact::parse(*kind, &text, region).ok())
        .map(|contact| contact.expose().to_owned())
        .ok_or(
            "must be a telephone number with its country code, a SIP address or an e-mail address",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_in_any_spelling() {
        let table = [
            ("+1 415 555 2671", None, Some("+14155552671")),
            (" 14155552671", None, Some("+14155552671")),
            ("(415) 555-2671", Some("US"), Some("+14155552671")),
            ("(415) 555-2671", None, None),
            ("415-555-2671", None, None),
            ("192.0.2.7", None, Some("sip:192.0.2.7")),
            ("anna@example.com", None, Some("anna@example.com")),
            ("what?", None, None),
        ];
        for (text, region, expected) in table {
            assert_eq!(canonical(text, region).ok().as_deref(), expected, "{text}");
        }
        assert!(
            canonical("sip:anna@example.com", None).is_ok_and(|found| found.starts_with("sip:"))
        );
    }
}
