//! Clearing up, and whether the file can be read and written at all.

use super::{all, at_most, bodies, number, uuid};
use crate::Result;
use crate::rows::{ms, tenant_of};
use jiff::Timestamp;
use rusqlite::{Connection, params};

pub(super) fn prune_expired(
    conn: &Connection,
    now: Timestamp,
    held_after: Timestamp,
    limit: usize,
) -> Result<u64> {
    let mut gone = 0;
    for (sql, moment) in [
        (
            // Those that end first were written first.
            "DELETE FROM idempotency WHERE rowid IN
                 (SELECT rowid FROM (SELECT rowid, expires_at FROM idempotency ORDER BY rowid LIMIT ?2)
                  WHERE expires_at <= ?1)",
            now,
        ),
        (
            "DELETE FROM slot_places WHERE (tenant, holder) IN
                 (SELECT tenant, holder FROM slot_places WHERE expires_at <= ?1 LIMIT ?2)",
            held_after,
        ),
    ] {
        gone += conn
            .prepare_cached(sql)?
            .execute(params![ms(moment), at_most(limit)])?;
    }
    Ok(gone as u64)
}

pub(super) fn prune_uploads(conn: &Connection, before: Timestamp, limit: usize) -> Result<u64> {
    let broken = all(
        conn,
        "SELECT id, tenant FROM uploads WHERE finished = 0 AND touched_at < ?1 LIMIT ?2",
        params![ms(before), at_most(limit)],
        |row| {
            let tenant = tenant_of(&row.get::<_, String>(1)?, "uploads")?;
            Ok((tenant, uuid(row, 0, "uploads", "id")?))
        },
    )?;
    for (tenant, id) in &broken {
        bodies::delete(conn, tenant, *id)?;
    }
    Ok(broken.len() as u64)
}

pub(super) fn beat(conn: &Connection) -> Result<()> {
    conn.prepare_cached("UPDATE pulse SET beats = beats + 1 WHERE one = 1")?
        .execute([])?;
    Ok(())
}

pub(super) fn pulse(conn: &Connection) -> Result<()> {
    Ok(conn
        .prepare_cached("SELECT beats FROM pulse")?
        .query_row([], |_| Ok(()))?)
}

pub(super) fn integrity(conn: &Connection) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut statement = conn.prepare("PRAGMA integrity_check(100)")?;
    let mut lines = statement.query([])?;
    while let Some(row) = lines.next()? {
        let line: String = row.get(0)?;
        if line != "ok" {
            faults.push(format!("the file is damaged: {line}"));
        }
    }
    let mut statement = conn.prepare("PRAGMA foreign_key_check")?;
    let mut lines = statement.query([])?;
    while let Some(row) = lines.next()? {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        faults.push(format!("a row of {table} points at nothing in {parent}"));
    }
    // A wrong count sells a place twice, or none that is free.
    let miscounted = number(
        conn,
        "SELECT count(*) FROM (SELECT tenant, queue, starts_at, count(*) AS taken FROM slot_places
             WHERE expires_at IS NULL GROUP BY tenant, queue, starts_at) AS places
         FULL JOIN slot_counts AS counts ON counts.tenant = places.tenant AND counts.queue = places.queue
             AND counts.starts_at = places.starts_at
         WHERE places.taken IS NOT counts.booked",
        &[],
    )?;
    if miscounted > 0 {
        faults.push(format!(
            "{miscounted} slots count other places than are taken"
        ));
    }
    Ok(faults)
}
