//! What both twins make of what stands in a row: documents, ids and numbers, and the words for a row that is damaged.

use crate::{AnyInteraction, RecordedInteraction, Result, Scope, StoreError};
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::event::EventKind;
use ringback_callbacks::ids::{CustomerId, QueueId, TenantId};
use ringback_callbacks::queue::Queue;
use ringback_callbacks::wire_time;
use uuid::Uuid;

// ── values ───────────────────────────────────────────────────────────────────────────────────────

pub(crate) fn ms(at: Timestamp) -> i64 {
    wire_time::to_ms(at)
}

pub(crate) fn time(at: i64, table: &'static str, column: &'static str) -> Result<Timestamp> {
    wire_time::from_ms(at).ok_or_else(|| damaged(table, column, "not a time"))
}

/// Counts and revisions are far below 2^63.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(number: i64, table: &'static str, column: &'static str) -> Result<u64> {
    u64::try_from(number).map_err(|_| damaged(table, column, "negative"))
}

pub(crate) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(crate) fn uuid_of(bytes: &[u8], table: &'static str, column: &'static str) -> Result<Uuid> {
    Uuid::from_slice(bytes).map_err(|_| damaged(table, column, "not 16 bytes"))
}

pub(crate) fn tenant_of(text: &str, table: &'static str) -> Result<TenantId> {
    TenantId::parse(text).map_err(|_| damaged(table, "tenant", "not a tenant's id"))
}

pub(crate) fn queue_id(text: &str) -> Result<QueueId> {
    QueueId::parse(text).map_err(|_| damaged("queues", "id", "not a queue's id"))
}

pub(crate) fn customer_id(text: &str, table: &'static str) -> Result<CustomerId> {
    CustomerId::parse(text).map_err(|_| damaged(table, "customer", "not a customer's id"))
}

pub(crate) fn kind_of(name: &str) -> Result<EventKind> {
    EventKind::ALL
        .iter()
        .copied()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| damaged("events", "kind", "no such kind of event"))
}

/// The scopes of a key, as a list of their names.
pub(crate) fn scopes_of(doc: &str) -> Result<Vec<Scope>> {
    let names: Vec<String> =
        serde_json::from_str(doc).map_err(|error| unreadable("api_keys", "scopes", &error))?;
    names
        .iter()
        .map(|name| {
            Scope::parse(name).ok_or_else(|| damaged("api_keys", "scopes", "no such scope"))
        })
        .collect()
}

/// What the search for a customer looks through: id and name in lower case.
pub(crate) fn customer_search(customer: &Customer) -> String {
    format!(
        "{}\n{}",
        customer.id.as_str().to_lowercase(),
        customer.name.as_deref().unwrap_or("").to_lowercase()
    )
}

// ── documents ────────────────────────────────────────────────────────────────────────────────────

pub(crate) fn callback_of(doc: &str) -> Result<Callback> {
    let callback: Callback =
        serde_json::from_str(doc).map_err(|error| unreadable("callbacks", "doc", &error))?;
    if callback.contacts.is_empty() {
        return Err(damaged("callbacks", "doc", "no contact"));
    }
    Ok(callback)
}

pub(crate) fn queue_of(doc: &str) -> Result<Queue> {
    serde_json::from_str(doc).map_err(|error| unreadable("queues", "doc", &error))
}

/// An interaction of any kind, as its row has it: one of the two documents is there.
pub(crate) fn any_of(
    recorded: Option<&str>,
    callback: Option<&str>,
) -> Result<Option<AnyInteraction>> {
    if let Some(doc) = callback {
        return Ok(Some(AnyInteraction::Callback(Box::new(callback_of(doc)?))));
    }
    recorded
        .map(serde_json::from_str::<RecordedInteraction>)
        .transpose()
        .map(|found| found.map(|other| AnyInteraction::Other(Box::new(other))))
        .map_err(|error| unreadable("interactions", "doc", &error))
}

// ── faults ───────────────────────────────────────────────────────────────────────────────────────

/// A document that cannot be read. The text of serde's error may repeat a value, so only its place is told.
pub(crate) fn unreadable(
    table: &'static str,
    column: &'static str,
    error: &serde_json::Error,
) -> StoreError {
    let detail = format!(
        "{:?} error at line {}, column {}",
        error.classify(),
        error.line(),
        error.column()
    );
    StoreError::Damaged {
        table,
        column,
        detail,
    }
}

/// A column that holds what it never should.
pub(crate) fn damaged(table: &'static str, column: &'static str, detail: &str) -> StoreError {
    StoreError::Damaged {
        table,
        column,
        detail: detail.to_owned(),
    }
}

/// What cannot be written down at all; nothing that is handed in ought to be like that.
pub(crate) fn unwritable(error: serde_json::Error) -> StoreError {
    StoreError::Failed(format!(
        "cannot be written as JSON: {:?} error",
        error.classify()
    ))
}
