//! Checks the file, every chain of events, and that counters say what the rows say.

use super::migrations;
use super::rows::{self, blob, count};
use crate::{Examination, Result, effects};
use ringback_callbacks::event::{ChainFault, Event, personal_hash, verify_chain};
use ringback_callbacks::ids::{InteractionId, TenantId};
use rusqlite::{Connection, params};

/// Faults told at most: past this the database is to be restored, not read about.
const FAULTS: usize = 200;

pub(super) fn examine(conn: &Connection) -> Result<Examination> {
    let mut found = Examination {
        backend: "sqlite".to_owned(),
        schema_version: migrations::version(conn)?,
        ..Examination::default()
    };
    file(conn, &mut found)?;
    // A file whose pages contradict each other cannot be asked about its rows.
    if found.faults.is_empty() {
        chains(conn, &mut found)?;
        counters(conn, &mut found)?;
    }
    Ok(found)
}

fn file(conn: &Connection, found: &mut Examination) -> Result<()> {
    let mut statement = conn.prepare("PRAGMA integrity_check(100)")?;
    let mut lines = statement.query([])?;
    while let Some(row) = lines.next()? {
        let line: String = row.get(0)?;
        if line != "ok" {
            note(found, format!("the file is damaged: {line}"));
        }
    }
    let mut statement = conn.prepare("PRAGMA foreign_key_check")?;
    let mut lines = statement.query([])?;
    while let Some(row) = lines.next()? {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        note(
            found,
            format!("a row of {table} points at nothing in {parent}"),
        );
    }
    Ok(())
}

/// Every chain, one at a time: only one callback's events are in memory.
fn chains(conn: &Connection, found: &mut Examination) -> Result<()> {
    let sql = format!(
        "SELECT {} FROM events ORDER BY tenant, callback, number",
        rows::EVENT
    );
    let mut statement = conn.prepare(&sql)?;
    let mut lines = statement.query([])?;
    let mut chain: Vec<Event> = Vec::new();
    while let Some(row) = lines.next()? {
        let event = match rows::event_of(row) {
            Ok(event) => event,
            Err(error) => {
                note(found, format!("an event cannot be read: {error}"));
                continue;
            }
        };
        found.events += 1;
        if let (Some(personal), Some(hash)) = (&event.personal, &event.personal_hash) {
            let salt: Option<String> = row.get(11)?;
            if personal_hash(salt.as_deref().unwrap_or(""), personal) != *hash {
                note(
                    found,
                    format!(
                        "the personal part of event {} of {} was altered",
                        event.number, event.callback
                    ),
                );
            }
        }
        if chain
            .first()
            .is_some_and(|first| first.callback != event.callback || first.tenant != event.tenant)
        {
            chain_ends(conn, &std::mem::take(&mut chain), found)?;
        }
        chain.push(event);
    }
    if !chain.is_empty() {
        chain_ends(conn, &chain, found)?;
    }
    Ok(())
}

fn chain_ends(conn: &Connection, chain: &[Event], found: &mut Examination) -> Result<()> {
    let Some(last) = chain.last() else {
        return Ok(());
    };
    found.chains_checked += 1;
    match verify_chain(chain) {
        Ok(()) => {}
        Err(ChainFault::Gap {
            expected,
            found: there,
        }) => {
            note(
                found,
                format!(
                    "events of {}: number {expected} is missing, {there} stands there",
                    last.callback
                ),
            );
        }
        Err(ChainFault::Altered { number }) => {
            note(
                found,
                format!("event {number} of {} was altered", last.callback),
            );
        }
    }
    // The callback remembers where its chain ends, so that cutting off the end shows too.
    if let Some(callback) = read_leniently(conn, &last.tenant, last.callback, found)?
        && callback.last_hash != last.hash
    {
        note(
            found,
            format!(
                "the chain of {} does not end where its callback says",
                last.callback
            ),
        );
    }
    Ok(())
}

fn counters(conn: &Connection, found: &mut Examination) -> Result<()> {
    let mut statement = conn.prepare(
        "SELECT tenant, id,
             (SELECT count(*) FROM events WHERE events.tenant = callbacks.tenant AND events.callback = callbacks.id),
             (SELECT count(*) FROM attempts
                 WHERE attempts.tenant = callbacks.tenant AND attempts.callback = callbacks.id),
             (SELECT count(*) FROM attempts WHERE attempts.tenant = callbacks.tenant
                 AND attempts.callback = callbacks.id AND attempts.ended_at IS NULL
                 AND attempts.id IS NOT callbacks.attempt),
             state, revision, fence,
             (SELECT queue || ' ' || starts_at FROM slot_places
                 WHERE slot_places.tenant = callbacks.tenant AND slot_places.holder = callbacks.id)
         FROM callbacks ORDER BY tenant, id",
    )?;
    let mut lines = statement.query([])?;
    while let Some(row) = lines.next()? {
        found.callbacks += 1;
        let tenant = rows::tenant_of(row, 0, "callbacks")?;
        let id = InteractionId(rows::uuid(row, 1, "callbacks", "id")?);
        let Some(callback) = read_leniently(conn, &tenant, id, found)? else {
            continue;
        };
        let (events, attempts, stray) =
            (count(row.get(2)?), count(row.get(3)?), count(row.get(4)?));
        if events != u64::from(callback.events) {
            note(
                found,
                format!(
                    "{id} says it has {} events, {events} are there",
                    callback.events
                ),
            );
        }
        if attempts != u64::from(callback.placed) {
            note(
                found,
                format!(
                    "{id} says it placed {} attempts, {attempts} are there",
                    callback.placed
                ),
            );
        }
        if stray > 0 {
            note(found, format!("{id} has {stray} attempts that never ended"));
        }
        let place: Option<String> = row.get(8)?;
        let said =
            effects::place(&callback).map(|(queue, start)| format!("{queue} {}", rows::ms(start)));
        if place != said {
            note(
                found,
                format!("{id} has another place in the slots than its document says"),
            );
        }
        let (state, revision, fence): (String, i64, i64) = (row.get(5)?, row.get(6)?, row.get(7)?);
        let columns = (state.as_str(), count(revision), count(fence));
        if columns != (callback.state.name(), callback.revision, callback.fence) {
            note(
                found,
                format!("the columns of {id} are not those of its document"),
            );
        }
    }
    engaged(conn, found)?;
    stray_places(conn, found)?;
    stray_uploads(conn, found)
}

/// A place that belongs to no callback would never be given back.
fn stray_places(conn: &Connection, found: &mut Examination) -> Result<()> {
    let strays: i64 = conn.query_row(
        "SELECT count(*) FROM slot_places
         WHERE expires_at IS NULL AND NOT EXISTS (SELECT 1 FROM callbacks
             WHERE callbacks.tenant = slot_places.tenant AND callbacks.id = slot_places.holder)",
        [],
        |row| row.get(0),
    )?;
    if strays > 0 {
        note(
            found,
            format!("{strays} places in slots belong to no callback"),
        );
    }
    Ok(())
}

/// What became a body belongs to one: nothing a customer sent stays behind unseen.
fn stray_uploads(conn: &Connection, found: &mut Examination) -> Result<()> {
    let strays: i64 = conn.query_row(
        "SELECT count(*) FROM uploads
         WHERE finished = 1 AND NOT EXISTS (SELECT 1 FROM bodies WHERE bodies.upload = uploads.id)",
        [],
        |row| row.get(0),
    )?;
    if strays > 0 {
        note(
            found,
            format!("{strays} finished uploads belong to no body"),
        );
    }
    Ok(())
}

/// An agent's hands are full if and only if a callback says so.
fn engaged(conn: &Connection, found: &mut Examination) -> Result<()> {
    let mut statement = conn.prepare(
        "SELECT agents.id FROM agents
         WHERE engaged IS NOT NULL AND NOT EXISTS (SELECT 1 FROM callbacks
             WHERE callbacks.tenant = agents.tenant AND callbacks.id = agents.engaged
                 AND callbacks.agent = agents.id)
         UNION ALL
         SELECT callbacks.agent FROM callbacks
         WHERE callbacks.agent IS NOT NULL AND NOT EXISTS (SELECT 1 FROM agents
             WHERE agents.tenant = callbacks.tenant AND agents.id = callbacks.agent
                 AND agents.engaged = callbacks.id)",
    )?;
    let mut lines = statement.query(params![])?;
    while let Some(row) = lines.next()? {
        let agent: i64 = row.get(0)?;
        note(
            found,
            format!("agent {agent} and the callbacks disagree about what is in hand"),
        );
    }
    Ok(())
}

fn read_leniently(
    conn: &Connection,
    tenant: &TenantId,
    id: InteractionId,
    found: &mut Examination,
) -> Result<Option<ringback_callbacks::callback::Callback>> {
    let exists = conn
        .prepare_cached("SELECT 1 FROM callbacks WHERE tenant = ?1 AND id = ?2")?
        .exists(params![tenant.as_str(), blob(&id.0)])?;
    if !exists {
        return Ok(None);
    }
    match rows::read_callback(conn, tenant, id) {
        Ok(callback) => Ok(callback),
        Err(error) => {
            note(found, format!("{id}: {error}"));
            Ok(None)
        }
    }
}

fn note(found: &mut Examination, fault: String) {
    if found.faults.len() < FAULTS {
        found.faults.push(fault);
    }
}
