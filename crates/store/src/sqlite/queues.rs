//! Queues: rules as a document, a supervisor's switches as columns.

use super::faults::{unreadable, unwritable};
use super::rows::{count, int, ms};
use super::writer::Write;
use crate::{Result, Signal, StateCount, StoreError};
use ringback_callbacks::ids::{QueueId, TenantId};
use ringback_callbacks::queue::Queue;
use rusqlite::{Connection, OptionalExtension, params};

/// Queues listed at most.
const LISTED: i64 = 10_000;

pub(super) fn put(write: &mut Write<'_>, mut queue: Queue, expected: Option<u64>) -> Result<Queue> {
    let conn = write.conn;
    // Read from the columns: a queue whose document is damaged must be mendable by writing it anew.
    let stored: Option<(i64, i64)> = conn
        .prepare_cached("SELECT revision, created_at FROM queues WHERE tenant = ?1 AND id = ?2")?
        .query_row(params![queue.tenant.as_str(), queue.id.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let current = stored.map_or(0, |(revision, _)| count(revision));
    if expected.is_some_and(|expected| expected != current) {
        return Err(StoreError::RevisionConflict { current });
    }
    if let Some((_, created_at)) = stored {
        queue.created_at = super::rows::time(created_at, "queues", "created_at")?;
    }
    queue.created_at = ringback_callbacks::wire_time::truncate(queue.created_at);
    queue.revision = current + 1;
    let doc = serde_json::to_string(&queue).map_err(unwritable)?;
    conn.prepare_cached(
        "INSERT INTO queues (tenant, id, intake_paused, dialling_paused, removed, created_at, revision, doc)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (tenant, id) DO UPDATE SET intake_paused = excluded.intake_paused,
             dialling_paused = excluded.dialling_paused, removed = excluded.removed, revision = excluded.revision,
             doc = excluded.doc",
    )?
    .execute(params![
        queue.tenant.as_str(),
        queue.id.as_str(),
        queue.intake_paused,
        queue.dialling_paused,
        queue.removed,
        ms(queue.created_at),
        int(queue.revision),
        doc,
    ])?;
    write.signals.push(Signal::Queue {
        tenant: queue.tenant.clone(),
        id: queue.id.clone(),
    });
    Ok(queue)
}

pub(super) fn read(conn: &Connection, tenant: &TenantId, id: &QueueId) -> Result<Option<Queue>> {
    let doc: Option<String> = conn
        .prepare_cached("SELECT doc FROM queues WHERE tenant = ?1 AND id = ?2")?
        .query_row(params![tenant.as_str(), id.as_str()], |row| row.get(0))
        .optional()?;
    doc.map(|doc| queue_of(&doc)).transpose()
}

pub(super) fn list(conn: &Connection, tenant: &TenantId) -> Result<Vec<Queue>> {
    let docs = conn
        .prepare_cached("SELECT doc FROM queues WHERE tenant = ?1 ORDER BY id LIMIT ?2")?
        .query_map(params![tenant.as_str(), LISTED], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    docs.iter().map(|doc| queue_of(doc)).collect()
}

pub(super) fn counts(
    conn: &Connection,
    tenant: &TenantId,
    id: &QueueId,
) -> Result<Vec<(String, u64)>> {
    let counts = conn
        .prepare_cached(
            "SELECT state, count(*) FROM callbacks
             WHERE tenant = ?1 AND queue = ?2 AND ended_at IS NULL GROUP BY state ORDER BY state",
        )?
        .query_map(params![tenant.as_str(), id.as_str()], |row| {
            Ok((row.get(0)?, count(row.get(1)?)))
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(counts)
}

/// Over all tenants: a gauge has no tenant.
pub(super) fn all_counts(conn: &Connection) -> Result<Vec<StateCount>> {
    let mut statement = conn.prepare_cached(
        "SELECT queue, state, count(*) FROM callbacks WHERE ended_at IS NULL GROUP BY queue, state ORDER BY queue, state",
    )?;
    let mut rows = statement.query([])?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next()? {
        let queue: String = row.get(0)?;
        counts.push(StateCount {
            queue: queue_id(&queue)?,
            state: row.get(1)?,
            count: count(row.get(2)?),
        });
    }
    Ok(counts)
}

pub(super) fn queue_id(text: &str) -> Result<QueueId> {
    QueueId::parse(text).map_err(|_| super::faults::damaged("queues", "id", "not a queue's id"))
}

pub(super) fn queue_of(doc: &str) -> Result<Queue> {
    serde_json::from_str(doc).map_err(|error| unreadable("queues", "doc", &error))
}
