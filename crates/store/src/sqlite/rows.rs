//! Callbacks, attempts and events as rows: each is written by one function and read by one.

use super::faults::{damaged, unreadable, unwritable};
use crate::effects::{self, StateColumns};
use crate::events::Sealed;
use crate::{Result, StoreError};
use jiff::Timestamp;
use ringback_callbacks::attempt::Attempt;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::event::{Event, EventKind};
use ringback_callbacks::ids::{AgentId, AttemptId, InteractionId, TenantId};
use ringback_callbacks::interaction::Interaction;
use ringback_callbacks::wire_time;
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};
use uuid::Uuid;

/// A UUID as it stands in a column.
pub(super) fn blob(id: &Uuid) -> &[u8] {
    id.as_bytes().as_slice()
}

pub(super) fn uuid(
    row: &Row<'_>,
    column: usize,
    table: &'static str,
    name: &'static str,
) -> Result<Uuid> {
    let bytes: Vec<u8> = row.get(column)?;
    Uuid::from_slice(&bytes).map_err(|_| damaged(table, name, "not 16 bytes"))
}

pub(super) fn ms(at: Timestamp) -> i64 {
    wire_time::to_ms(at)
}

pub(super) fn time(at: i64, table: &'static str, column: &'static str) -> Result<Timestamp> {
    wire_time::from_ms(at).ok_or_else(|| damaged(table, column, "not a time"))
}

/// Counts and revisions are far below 2^63.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64, table: &'static str, column: &'static str) -> Result<u64> {
    u64::try_from(number).map_err(|_| damaged(table, column, "negative"))
}

pub(super) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

// ── callbacks ────────────────────────────────────────────────────────────────────────────────────

pub(super) fn read_callback(
    conn: &Connection,
    tenant: &TenantId,
    id: InteractionId,
) -> Result<Option<Callback>> {
    let doc: Option<String> = conn
        .prepare_cached("SELECT doc FROM callbacks WHERE tenant = ?1 AND id = ?2")?
        .query_row(params![tenant.as_str(), blob(&id.0)], |row| row.get(0))
        .optional()?;
    doc.map(|doc| callback_of(&doc)).transpose()
}

pub(super) fn callback_of(doc: &str) -> Result<Callback> {
    let callback: Callback =
        serde_json::from_str(doc).map_err(|error| unreadable("callbacks", "doc", &error))?;
    if callback.contacts.is_empty() {
        return Err(damaged("callbacks", "doc", "no contact"));
    }
    Ok(callback)
}

/// Writes the whole callback: its document and every column made from it.
pub(super) fn write_callback(
    conn: &Connection,
    before: Option<&Callback>,
    callback: &Callback,
) -> Result<()> {
    let tenant = callback.interaction.tenant.as_str();
    if before.is_none_or(|before| before.interaction != callback.interaction) {
        write_interaction(conn, &callback.interaction, None)?;
    }
    let sql = if before.is_none() {
        INSERT_CALLBACK
    } else {
        UPDATE_CALLBACK
    };
    let (callback_status, status) = callback.state.wire();
    let columns = StateColumns::of(&callback.state);
    let claim = callback.state.claim();
    let doc = serde_json::to_string(callback).map_err(unwritable)?;
    let id = blob(&callback.interaction.id.0);
    let written = conn.prepare_cached(sql)?.execute(named_params! {
        ":tenant": tenant,
        ":id": id,
        ":queue": callback.queue.as_str(),
        ":state": callback.state.name(),
        ":callback_status": callback_status,
        ":status": status,
        ":created_at": ms(callback.interaction.created_at),
        ":start_time": ms(callback.window.start),
        ":end_time": callback.window.end.map(ms),
        ":rank": ms(callback.rank()),
        ":priority": callback.priority,
        ":by_mail": effects::by_mail(callback),
        ":wakes_at": callback.wakes_at().map(ms),
        ":since": columns.since.map(ms),
        ":transferred_to": columns.transferred_to.map(|agent| agent.0),
        ":agent": callback.state.engages().map(|agent| agent.0),
        ":seat": columns.seat,
        ":claim_node": claim.map(|claim| claim.node.name.as_str()),
        ":claim_boot": claim.map(|claim| blob(&claim.node.boot)),
        ":claim_until": claim.map(|claim| ms(claim.until)),
        ":fence": int(callback.fence),
        ":attempt": columns.attempt.as_ref().map(|attempt| blob(&attempt.0)),
        ":ended_at": callback.interaction.ended_at.map(ms),
        ":revision": int(callback.revision),
        ":search": effects::search_text(&callback.interaction),
        ":doc": doc,
    })?;
    if written != 1 {
        return Err(damaged("callbacks", "id", "the row to be changed is gone"));
    }
    if before.is_none_or(|before| before.contacts != callback.contacts) {
        write_contacts(conn, callback)?;
    }
    Ok(())
}

const INSERT_CALLBACK: &str = "
    INSERT INTO callbacks (tenant, id, queue, state, callback_status, status, created_at, start_time, end_time,
        rank, priority, by_mail, wakes_at, since, transferred_to, agent, seat, claim_node, claim_boot,
        claim_until, fence, attempt, ended_at, revision, search, doc)
    VALUES (:tenant, :id, :queue, :state, :callback_status, :status, :created_at, :start_time, :end_time,
        :rank, :priority, :by_mail, :wakes_at, :since, :transferred_to, :agent, :seat, :claim_node, :claim_boot,
        :claim_until, :fence, :attempt, :ended_at, :revision, :search, :doc)";

const UPDATE_CALLBACK: &str = "
    UPDATE callbacks SET queue = :queue, state = :state, callback_status = :callback_status, status = :status,
        created_at = :created_at, start_time = :start_time, end_time = :end_time, rank = :rank,
        priority = :priority, by_mail = :by_mail, wakes_at = :wakes_at, since = :since,
        transferred_to = :transferred_to, agent = :agent, seat = :seat, claim_node = :claim_node,
        claim_boot = :claim_boot, claim_until = :claim_until, fence = :fence, attempt = :attempt,
        ended_at = :ended_at, revision = :revision, search = :search, doc = :doc
    WHERE tenant = :tenant AND id = :id";

fn write_contacts(conn: &Connection, callback: &Callback) -> Result<()> {
    let tenant = callback.interaction.tenant.as_str();
    let id = blob(&callback.interaction.id.0);
    conn.prepare_cached("DELETE FROM callback_contacts WHERE tenant = ?1 AND callback = ?2")?
        .execute(params![tenant, id])?;
    let mut insert = conn.prepare_cached(
        "INSERT INTO callback_contacts (tenant, callback, step, contact, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let created = ms(callback.interaction.created_at);
    for (index, step) in callback.contacts.iter().enumerate() {
        insert.execute(params![
            tenant,
            id,
            int(index as u64),
            step.contact.expose(),
            created
        ])?;
    }
    Ok(())
}

/// The common columns of an interaction of any kind; `doc` only if it is not a callback.
pub(super) fn write_interaction(
    conn: &Connection,
    interaction: &Interaction,
    doc: Option<&str>,
) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO interactions (tenant, id, entity_type, customer, parent, thread, external_id, owner,
             allow_children, created_at, doc)
         VALUES (:tenant, :id, :entity_type, :customer, :parent, :thread, :external_id, :owner,
             :allow_children, :created_at, :doc)
         ON CONFLICT (tenant, id) DO UPDATE SET thread = excluded.thread, external_id = excluded.external_id,
             owner = excluded.owner, allow_children = excluded.allow_children, doc = excluded.doc",
    )?
    .execute(named_params! {
        ":tenant": interaction.tenant.as_str(),
        ":id": blob(&interaction.id.0),
        ":entity_type": interaction.entity_type.0,
        ":customer": interaction.customer.as_str(),
        ":parent": interaction.parent.as_ref().map(|parent| blob(&parent.0)),
        ":thread": interaction.thread,
        ":external_id": interaction.external_id,
        ":owner": interaction.owner,
        ":allow_children": interaction.allow_children,
        ":created_at": ms(interaction.created_at),
        ":doc": doc,
    })?;
    Ok(())
}

// ── attempts ─────────────────────────────────────────────────────────────────────────────────────

pub(super) fn insert_attempt(
    conn: &Connection,
    attempt: &Attempt,
    by_mail: bool,
) -> rusqlite::Result<usize> {
    conn.prepare_cached(
        "INSERT INTO attempts (tenant, id, callback, number, channel, route, agent, dn, contact, by_mail, fence,
             began_at, counted, legs)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, ?13)",
    )?
    .execute(params![
        attempt.tenant.as_str(),
        blob(&attempt.id.0),
        blob(&attempt.callback.0),
        attempt.number,
        attempt.channel,
        attempt.route,
        attempt.agent.map(|agent| agent.0),
        attempt.dn,
        attempt.contact,
        by_mail,
        int(attempt.fence),
        ms(attempt.began_at),
        attempt.legs.to_string(),
    ])
}

/// The ended part of an attempt's row.
pub(super) fn update_attempt(conn: &Connection, attempt: &Attempt) -> Result<()> {
    let outcome = attempt
        .outcome
        .as_ref()
        .map(serde_json::to_string)
        .transpose()
        .map_err(unwritable)?;
    conn.prepare_cached(
        "UPDATE attempts SET route = ?3, answered_at = ?4, ended_at = ?5, counted = ?6, verdict = ?7, outcome = ?8
         WHERE tenant = ?1 AND id = ?2",
    )?
    .execute(params![
        attempt.tenant.as_str(),
        blob(&attempt.id.0),
        attempt.route,
        attempt.answered_at.map(ms),
        attempt.ended_at.map(ms),
        attempt.counted,
        attempt.outcome.as_ref().map(|outcome| outcome.verdict.name()),
        outcome,
    ])?;
    Ok(())
}

const ATTEMPT: &str =
    "id, callback, number, channel, route, agent, dn, contact, fence, began_at, answered_at,
    ended_at, counted, outcome, legs";

pub(super) fn read_attempt(
    conn: &Connection,
    tenant: &TenantId,
    id: AttemptId,
) -> Result<Option<Attempt>> {
    let sql = format!("SELECT {ATTEMPT} FROM attempts WHERE tenant = ?1 AND id = ?2");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![tenant.as_str(), blob(&id.0)])?;
    rows.next()?.map(|row| attempt_of(row, tenant)).transpose()
}

/// A callback's attempts in order.
pub(super) fn read_attempts(
    conn: &Connection,
    tenant: &TenantId,
    callback: InteractionId,
) -> Result<Vec<Attempt>> {
    let sql = format!(
        "SELECT {ATTEMPT} FROM attempts WHERE tenant = ?1 AND callback = ?2 ORDER BY number"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![tenant.as_str(), blob(&callback.0)])?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push(attempt_of(row, tenant)?);
    }
    Ok(attempts)
}

fn attempt_of(row: &Row<'_>, tenant: &TenantId) -> Result<Attempt> {
    let at = |column: usize, name| -> Result<Option<Timestamp>> {
        row.get::<_, Option<i64>>(column)?
            .map(|at| time(at, "attempts", name))
            .transpose()
    };
    let outcome: Option<String> = row.get(13)?;
    let legs: String = row.get(14)?;
    Ok(Attempt {
        tenant: tenant.clone(),
        id: AttemptId(uuid(row, 0, "attempts", "id")?),
        callback: InteractionId(uuid(row, 1, "attempts", "callback")?),
        number: row.get(2)?,
        channel: row.get(3)?,
        route: row.get(4)?,
        agent: row.get::<_, Option<i64>>(5)?.map(AgentId),
        dn: row.get(6)?,
        contact: row.get(7)?,
        fence: unsigned(row.get(8)?, "attempts", "fence")?,
        began_at: time(row.get(9)?, "attempts", "began_at")?,
        answered_at: at(10, "answered_at")?,
        ended_at: at(11, "ended_at")?,
        counted: row.get(12)?,
        outcome: outcome
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| unreadable("attempts", "outcome", &error))?,
        legs: serde_json::from_str(&legs)
            .map_err(|error| unreadable("attempts", "legs", &error))?,
    })
}

// ── events ───────────────────────────────────────────────────────────────────────────────────────

pub(super) fn insert_events(
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

/// Events that a query over [`EVENT`] finds.
pub(super) fn events(
    conn: &Connection,
    condition: &str,
    values: &[&dyn ToSql],
) -> Result<Vec<Event>> {
    let sql = format!("SELECT {EVENT} FROM events WHERE {condition}");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(values)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(event_of(row)?);
    }
    Ok(events)
}

fn kind_of(name: &str) -> Result<EventKind> {
    EventKind::ALL
        .iter()
        .copied()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| damaged("events", "kind", "no such kind of event"))
}

pub(super) fn tenant_of(row: &Row<'_>, column: usize, table: &'static str) -> Result<TenantId> {
    let text: String = row.get(column)?;
    TenantId::parse(&text).map_err(|_| damaged(table, "tenant", "not a tenant's id"))
}

/// A limit for a page or a list: never nothing, never everything.
pub(super) fn page(limit: usize) -> usize {
    limit.clamp(1, 1000)
}

pub(super) fn missing(what: &'static str) -> StoreError {
    StoreError::NotFound(what)
}

/// Whether an interaction of any kind has this id.
pub(super) fn is_known(conn: &Connection, tenant: &TenantId, id: InteractionId) -> Result<bool> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM interactions WHERE tenant = ?1 AND id = ?2")?
        .exists(params![tenant.as_str(), blob(&id.0)])?)
}
