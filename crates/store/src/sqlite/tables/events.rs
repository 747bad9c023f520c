//! Events: appended, and read in their order.

use super::{all, at_most, blob, tenant_of, uuid};
use crate::Result;
use crate::events::Sealed;
use crate::rows::{kind_of, ms, time, unreadable, unwritable};
use ringback_callbacks::event::Event;
use ringback_callbacks::ids::{InteractionId, TenantId};
use rusqlite::{Connection, Row, params};

pub(super) fn append(
    conn: &Connection,
    tenant: &TenantId,
    of: InteractionId,
    events: &[Sealed],
) -> Result<()> {
    let mut insert = conn.prepare_cached(
        "INSERT INTO events (tenant, callback, number, at, kind, actor, detail, personal, salt, personal_hash, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    for event in events {
        let detail = serde_json::to_string(&event.detail).map_err(unwritable)?;
        let personal = event.personal.as_ref();
        insert.execute(params![
            tenant.as_str(),
            blob(&of.0),
            event.number,
            ms(event.at),
            event.kind.name(),
            event.actor,
            detail,
            personal.map(|personal| personal.value.to_string()),
            personal.map(|personal| personal.salt.as_str()),
            personal.map(|personal| personal.hash.as_str()),
            event.hash,
        ])?;
    }
    Ok(())
}

/// Columns that [`event_of`] reads.
pub(super) const EVENT: &str =
    "seq, tenant, callback, number, at, kind, actor, detail, personal, personal_hash, hash, salt";

pub(super) fn event_of(row: &Row<'_>) -> Result<Event> {
    let kind: String = row.get(5)?;
    let detail: String = row.get(7)?;
    let personal: Option<String> = row.get(8)?;
    Ok(Event {
        seq: row.get(0)?,
        tenant: tenant_of(row, 1, "events")?,
        callback: InteractionId(uuid(row, 2, "events", "callback")?),
        number: row.get(3)?,
        at: time(row.get(4)?, "events", "at")?,
        kind: kind_of(&kind)?,
        actor: row.get(6)?,
        detail: serde_json::from_str(&detail)
            .map_err(|error| unreadable("events", "detail", &error))?,
        personal: personal
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| unreadable("events", "personal", &error))?,
        personal_hash: row.get(9)?,
        hash: row.get(10)?,
    })
}

pub(super) fn of_callback(
    conn: &Connection,
    tenant: &TenantId,
    callback: InteractionId,
    after: u32,
    limit: usize,
) -> Result<Vec<Event>> {
    all(
        conn,
        &format!(
            "SELECT {EVENT} FROM events
             WHERE tenant = ?1 AND callback = ?2 AND number > ?3 ORDER BY number LIMIT ?4"
        ),
        params![tenant.as_str(), blob(&callback.0), after, at_most(limit)],
        event_of,
    )
}

pub(super) fn after(
    conn: &Connection,
    tenant: &TenantId,
    after: i64,
    limit: usize,
) -> Result<Vec<Event>> {
    all(
        conn,
        &format!("SELECT {EVENT} FROM events WHERE tenant = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3"),
        params![tenant.as_str(), after, at_most(limit)],
        event_of,
    )
}

pub(super) fn last(conn: &Connection) -> Result<i64> {
    let last: Option<i64> = conn
        .prepare_cached("SELECT max(seq) FROM events")?
        .query_row([], |row| row.get(0))?;
    Ok(last.unwrap_or(0))
}
