//! What the planner reads at its start, and what it has learned.

use super::faults::{unreadable, unwritable};
use super::queues::queue_of;
use super::rows::{self, blob, int};
use super::writer::Write;
use crate::Result;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::ids::{InteractionId, QueueId, TenantId};
use ringback_callbacks::queue::Queue;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

/// Queues of all tenants, read at most.
const LISTED: i64 = 100_000;

pub(super) fn every_queue(conn: &Connection) -> Result<Vec<Queue>> {
    let docs = conn
        .prepare_cached("SELECT doc FROM queues ORDER BY tenant, id LIMIT ?1")?
        .query_map([LISTED], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    // A queue that cannot be read is not dialled by anybody; the others go on.
    Ok(docs.iter().filter_map(|doc| queue_of(doc).ok()).collect())
}

pub(super) fn open_in_queue(
    conn: &Connection,
    tenant: &TenantId,
    queue: &QueueId,
    after: Option<InteractionId>,
    limit: usize,
) -> Result<Vec<Callback>> {
    let after = after.map_or_else(Vec::new, |id| blob(&id.0).to_vec());
    let docs = conn
        .prepare_cached(
            "SELECT doc FROM callbacks
             WHERE tenant = ?1 AND queue = ?2 AND ended_at IS NULL AND id > ?3 ORDER BY id LIMIT ?4",
        )?
        .query_map(
            params![tenant.as_str(), queue.as_str(), after, int(limit as u64)],
            |row| row.get(0),
        )?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    // One that cannot be read is set aside by the clock; it must not keep the others from being planned.
    let read = docs.iter().filter_map(|doc| match rows::callback_of(doc) {
        Ok(callback) => Some(callback),
        Err(error) => {
            tracing::error!(error = %error, "a callback cannot be read and is not planned");
            None
        }
    });
    Ok(read.collect())
}

pub(super) fn learned(
    conn: &Connection,
    tenant: &TenantId,
    queue: &QueueId,
) -> Result<Option<Value>> {
    let doc: Option<String> = conn
        .prepare_cached("SELECT doc FROM learned WHERE tenant = ?1 AND queue = ?2")?
        .query_row(params![tenant.as_str(), queue.as_str()], |row| row.get(0))
        .optional()?;
    doc.map(|doc| serde_json::from_str(&doc).map_err(|error| unreadable("learned", "doc", &error)))
        .transpose()
}

pub(super) fn put_learned(
    write: &mut Write<'_>,
    tenant: &TenantId,
    queue: &QueueId,
    figures: &Value,
) -> Result<()> {
    let doc = serde_json::to_string(figures).map_err(unwritable)?;
    write
        .conn
        .prepare_cached(
            "INSERT INTO learned (tenant, queue, doc) VALUES (?1, ?2, ?3)
             ON CONFLICT (tenant, queue) DO UPDATE SET doc = excluded.doc",
        )?
        .execute(params![tenant.as_str(), queue.as_str(), doc])?;
    Ok(())
}
