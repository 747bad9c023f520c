//! Queues: rules as a document, a supervisor's switches as columns; and what was learned about them.

use super::{all, at_most, one, text};
use crate::rows::{count, int, ms, queue_id, time, unsigned};
use crate::tables::QueueRow;
use crate::{Result, StateCount};
use ringback_callbacks::ids::{QueueId, TenantId};
use ringback_callbacks::queue::Queue;
use rusqlite::{Connection, params};

pub(super) fn read(conn: &Connection, tenant: &TenantId, id: &QueueId) -> Result<Option<QueueRow>> {
    one(
        conn,
        "SELECT doc, dialling_paused, removed, revision, created_at FROM queues WHERE tenant = ?1 AND id = ?2",
        params![tenant.as_str(), id.as_str()],
        |row| {
            Ok(QueueRow {
                doc: row.get(0)?,
                dialling_paused: row.get(1)?,
                removed: row.get(2)?,
                revision: unsigned(row.get(3)?, "queues", "revision")?,
                created_at: time(row.get(4)?, "queues", "created_at")?,
            })
        },
    )
}

pub(super) fn docs(
    conn: &Connection,
    tenant: Option<&TenantId>,
    limit: usize,
) -> Result<Vec<String>> {
    match tenant {
        Some(tenant) => all(
            conn,
            "SELECT doc FROM queues WHERE tenant = ?1 ORDER BY id LIMIT ?2",
            params![tenant.as_str(), at_most(limit)],
            |row| Ok(row.get(0)?),
        ),
        None => all(
            conn,
            "SELECT doc FROM queues ORDER BY tenant, id LIMIT ?1",
            params![at_most(limit)],
            |row| Ok(row.get(0)?),
        ),
    }
}

pub(super) fn write(conn: &Connection, queue: &Queue, doc: &str) -> Result<()> {
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
    Ok(())
}

pub(super) fn state_counts(
    conn: &Connection,
    tenant: &TenantId,
    id: &QueueId,
) -> Result<Vec<(String, u64)>> {
    all(
        conn,
        "SELECT state, count(*) FROM callbacks
         WHERE tenant = ?1 AND queue = ?2 AND ended_at IS NULL GROUP BY state ORDER BY state",
        params![tenant.as_str(), id.as_str()],
        |row| Ok((row.get(0)?, count(row.get(1)?))),
    )
}

pub(super) fn all_state_counts(conn: &Connection) -> Result<Vec<StateCount>> {
    all(
        conn,
        "SELECT queue, state, count(*) FROM callbacks WHERE ended_at IS NULL GROUP BY queue, state ORDER BY queue, state",
        &[],
        |row| {
            Ok(StateCount {
                queue: queue_id(text(row, 0)?)?,
                state: row.get(1)?,
                count: count(row.get(2)?),
            })
        },
    )
}

pub(super) fn learned(
    conn: &Connection,
    tenant: &TenantId,
    queue: &QueueId,
) -> Result<Option<String>> {
    one(
        conn,
        "SELECT doc FROM learned WHERE tenant = ?1 AND queue = ?2",
        params![tenant.as_str(), queue.as_str()],
        |row| Ok(row.get(0)?),
    )
}

pub(super) fn write_learned(
    conn: &Connection,
    tenant: &TenantId,
    queue: &QueueId,
    doc: &str,
) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO learned (tenant, queue, doc) VALUES (?1, ?2, ?3)
         ON CONFLICT (tenant, queue) DO UPDATE SET doc = excluded.doc",
    )?
    .execute(params![tenant.as_str(), queue.as_str(), doc])?;
    Ok(())
}
