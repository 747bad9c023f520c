//! What the verbs ask, as SQLite's SQL: one file per topic, each statement beside the row it reads or writes.

mod agents;
mod attempts;
mod bodies;
mod callbacks;
mod census;
mod customers;
mod events;
mod keys;
mod line;
mod lists;
mod queues;
mod slots;
mod upkeep;

use super::writer::Care;
use crate::events::Sealed;
use crate::rows::{self, time};
use crate::seats::Waiting;
use crate::tables::{
    AnswerRow, Census, Floor, InteractionRow, Joined, Key, LineOf, Link, Mark, NewAnswer, NewHold,
    QueueRow, Seat, SlotCount, Strays, Tables, Upload,
};
use crate::{
    AnyInteraction, ApiKey, CallbackQuery, CustomerQuery, InteractionQuery, Result, RulesMark,
    StateCount, StoreError, Whose,
};
use jiff::Timestamp;
use ringback_callbacks::agent::{Agent, Presence};
use ringback_callbacks::attempt::Attempt;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::contact::Contact;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::event::Event;
use ringback_callbacks::guard::NumberFacts;
use ringback_callbacks::ids::{
    AgentId, AttemptId, CustomerId, HoldId, InteractionId, NodeId, QueueId, TenantId,
};
use ringback_callbacks::interaction::{BodyKind, Interaction};
use ringback_callbacks::queue::{Queue, QueueView};
use ringback_callbacks::state::Target;
use rusqlite::types::ToSql;
use rusqlite::{Connection, Row};
use std::cell::Cell;
use std::sync::Arc;
use uuid::Uuid;

/// The tables as one connection sees them, inside the transaction that is open on it.
pub(super) struct SqliteTables<'c> {
    conn: &'c Connection,
    care: Care,
    /// Marks that are neither undone nor kept yet.
    marks: Cell<usize>,
}

impl<'c> SqliteTables<'c> {
    pub fn on(conn: &'c Connection, care: Care) -> SqliteTables<'c> {
        SqliteTables {
            conn,
            care,
            marks: Cell::new(0),
        }
    }

    fn run(&self, sql: &str) -> Result<()> {
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

impl Tables for SqliteTables<'_> {
    fn mark(&self) -> Result<Mark> {
        let mark = match self.care {
            // Rows written so far: enough to know whether there is anything to undo.
            Care::Plain => {
                return Ok(Mark(
                    usize::try_from(self.conn.total_changes()).unwrap_or(usize::MAX),
                ));
            }
            Care::Savepoints => self.marks.get(),
        };
        self.run(&format!("SAVEPOINT m{mark}"))?;
        self.marks.set(mark + 1);
        Ok(Mark(mark))
    }

    fn undo(&self, Mark(mark): Mark) -> Result<()> {
        match self.care {
            Care::Plain if self.mark()? == Mark(mark) => Ok(()),
            // The job fails, so its group is run again, with savepoints.
            Care::Plain => Err(StoreError::Failed(
                "what was written cannot be undone alone".to_owned(),
            )),
            Care::Savepoints => {
                self.run(&format!("ROLLBACK TO m{mark}"))?;
                self.keep(Mark(mark))
            }
        }
    }

    fn keep(&self, Mark(mark): Mark) -> Result<()> {
        match self.care {
            Care::Plain => Ok(()),
            Care::Savepoints => {
                self.run(&format!("RELEASE m{mark}"))?;
                self.marks.set(mark);
                Ok(())
            }
        }
    }

    fn foresee(&self, _callbacks: &[Key], _now: Timestamp) -> Result<()> {
        // Every question is a look into this process's own memory.
        Ok(())
    }

    // ── callbacks and interactions ───────────────────────────────────────────────────────────────

    fn callback(&self, tenant: &TenantId, id: InteractionId) -> Result<Option<Callback>> {
        callbacks::read(self.conn, tenant, id)
    }

    fn write_callback(&self, before: Option<&Callback>, after: &Callback) -> Result<()> {
        callbacks::write(self.conn, before, after)
    }

    fn set_aside(&self, tenant: &TenantId, id: InteractionId, at: Timestamp) -> Result<()> {
        callbacks::set_aside(self.conn, tenant, id, at)
    }

    fn other_editions(
        &self,
        tenant: &TenantId,
        edition: &str,
        after: Option<&RulesMark>,
        limit: usize,
    ) -> Result<Vec<(RulesMark, String)>> {
        callbacks::other_editions(self.conn, tenant, edition, after, limit)
    }

    fn confirm_editions(
        &self,
        tenant: &TenantId,
        confirmed: &[(&Callback, Option<&str>)],
    ) -> Result<()> {
        callbacks::confirm_editions(self.conn, tenant, confirmed)
    }

    fn interaction(&self, tenant: &TenantId, id: InteractionId) -> Result<Option<InteractionRow>> {
        callbacks::interaction(self.conn, tenant, id)
    }

    fn any_interaction(
        &self,
        tenant: &TenantId,
        id: InteractionId,
    ) -> Result<Option<AnyInteraction>> {
        callbacks::any_interaction(self.conn, tenant, id)
    }

    fn write_interaction(&self, interaction: &Interaction, doc: &str) -> Result<()> {
        callbacks::write_interaction(self.conn, interaction, doc)
    }

    fn open_for(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        contact: &str,
        limit: usize,
    ) -> Result<Vec<Callback>> {
        callbacks::open_for(self.conn, tenant, queue, contact, limit)
    }

    // ── attempts and events ──────────────────────────────────────────────────────────────────────

    fn attempt(&self, tenant: &TenantId, id: AttemptId) -> Result<Option<Attempt>> {
        attempts::read(self.conn, tenant, id)
    }

    fn attempts(&self, tenant: &TenantId, callback: InteractionId) -> Result<Vec<Attempt>> {
        attempts::of_callback(self.conn, tenant, callback)
    }

    fn begin_attempt(&self, attempt: &Attempt, by_mail: bool) -> Result<()> {
        attempts::begin(self.conn, attempt, by_mail)
    }

    fn update_attempt(&self, attempt: &Attempt) -> Result<()> {
        attempts::update(self.conn, attempt)
    }

    fn write_legs(
        &self,
        tenant: &TenantId,
        attempt: AttemptId,
        legs: &serde_json::Value,
    ) -> Result<()> {
        attempts::write_legs(self.conn, tenant, attempt, legs)
    }

    fn number(
        &self,
        tenant: &TenantId,
        of: InteractionId,
        contact: &Contact,
        from: Timestamp,
    ) -> Result<NumberFacts> {
        attempts::number(self.conn, tenant, of, contact, from)
    }

    fn append_events(&self, tenant: &TenantId, of: InteractionId, events: &[Sealed]) -> Result<()> {
        events::append(self.conn, tenant, of, events)
    }

    // ── customers ────────────────────────────────────────────────────────────────────────────────

    fn customer(&self, tenant: &TenantId, id: &CustomerId) -> Result<Option<Customer>> {
        customers::read(self.conn, tenant, id)
    }

    fn owner_of(&self, tenant: &TenantId, contact: &str) -> Result<Option<CustomerId>> {
        customers::owner_of(self.conn, tenant, contact)
    }

    fn write_customer(&self, customer: &Customer) -> Result<()> {
        customers::write(self.conn, customer)
    }

    fn add_contact(&self, customer: &Customer, contact: &str, position: usize) -> Result<()> {
        customers::add_contact(self.conn, customer, contact, position)
    }

    fn clear_contacts(&self, tenant: &TenantId, customer: &CustomerId) -> Result<()> {
        customers::clear_contacts(self.conn, tenant, customer)
    }

    // ── answers to be given again ────────────────────────────────────────────────────────────────

    fn answer(
        &self,
        tenant: &TenantId,
        application: i64,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<AnswerRow>> {
        customers::answer(self.conn, tenant, application, key, now)
    }

    fn write_answer(&self, answer: NewAnswer<'_>) -> Result<()> {
        customers::write_answer(self.conn, &answer)
    }

    // ── queues ───────────────────────────────────────────────────────────────────────────────────

    fn queue(&self, tenant: &TenantId, id: &QueueId) -> Result<Option<QueueRow>> {
        queues::read(self.conn, tenant, id)
    }

    fn queue_docs(&self, tenant: Option<&TenantId>, limit: usize) -> Result<Vec<String>> {
        queues::docs(self.conn, tenant, limit)
    }

    fn write_queue(&self, queue: &Queue, doc: &str) -> Result<()> {
        queues::write(self.conn, queue, doc)
    }

    fn state_counts(&self, tenant: &TenantId, id: &QueueId) -> Result<Vec<(String, u64)>> {
        queues::state_counts(self.conn, tenant, id)
    }

    fn all_state_counts(&self) -> Result<Vec<StateCount>> {
        queues::all_state_counts(self.conn)
    }

    fn learned(&self, tenant: &TenantId, queue: &QueueId) -> Result<Option<String>> {
        queues::learned(self.conn, tenant, queue)
    }

    fn write_learned(&self, tenant: &TenantId, queue: &QueueId, doc: &str) -> Result<()> {
        queues::write_learned(self.conn, tenant, queue, doc)
    }

    // ── places in slots ──────────────────────────────────────────────────────────────────────────

    fn taken(
        &self,
        queue: &Arc<QueueView>,
        stretch: (Timestamp, Timestamp),
        held_after: Timestamp,
        leaves: &[Uuid],
    ) -> Result<Vec<SlotCount>> {
        let queue = &queue.queue;
        slots::taken(
            self.conn,
            &queue.tenant,
            &queue.id,
            stretch,
            held_after,
            leaves,
        )
    }

    fn places_of(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        customer: &CustomerId,
        leaves: &[Uuid],
    ) -> Result<u32> {
        slots::places_of(self.conn, tenant, queue, customer, leaves)
    }

    fn take_place(&self, callback: &Callback, queue: &QueueId, start: Timestamp) -> Result<()> {
        slots::take_place(self.conn, callback, queue, start)
    }

    fn give_place(&self, tenant: &TenantId, callback: InteractionId) -> Result<()> {
        slots::give_place(self.conn, tenant, callback)
    }

    fn write_hold(&self, hold: NewHold<'_>) -> Result<()> {
        slots::write_hold(self.conn, &hold)
    }

    fn end_hold(
        &self,
        tenant: &TenantId,
        hold: HoldId,
        queue: Option<&QueueId>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>> {
        slots::end_hold(self.conn, tenant, hold, queue, now)
    }

    // ── the clock, lines and seats ───────────────────────────────────────────────────────────────

    fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Key>> {
        line::due(self.conn, now, limit)
    }

    fn lapsed(
        &self,
        node: &NodeId,
        now: Timestamp,
        whose: Whose,
        limit: usize,
    ) -> Result<Vec<Key>> {
        line::lapsed(self.conn, node, now, whose, limit)
    }

    fn floor(&self, agents: usize, _joined: &[Joined]) -> Result<Floor> {
        Ok(Floor {
            soonest: line::soonest(self.conn)?,
            free: agents::free_ones(self.conn, agents)?,
            lines: line::lines(self.conn)?,
            awaited: line::awaited(self.conn)?,
        })
    }

    /// There is one writer: nobody else is at it.
    fn seated_alone(&self, seats: &[Seat]) -> Result<Vec<Option<u64>>> {
        let count = |(tenant, queue, target): &Seat| {
            line::seated(self.conn, tenant, queue, target).map(Some)
        };
        seats.iter().map(count).collect()
    }

    fn next_in_line(
        &self,
        tenant: &TenantId,
        line: &LineOf,
        after: Option<&Waiting>,
    ) -> Result<Option<Waiting>> {
        line::next(self.conn, tenant, line, after)
    }

    fn place_in_line(&self, tenant: &TenantId, id: InteractionId) -> Result<Option<Waiting>> {
        line::place(self.conn, tenant, id)
    }

    fn ahead(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        by_mail: bool,
        place: &Waiting,
    ) -> Result<u64> {
        line::ahead(self.conn, tenant, queue, by_mail, place)
    }

    fn seated(&self, tenant: &TenantId, queue: &QueueId, target: &Target) -> Result<u64> {
        line::seated(self.conn, tenant, queue, target)
    }

    // ── agents ───────────────────────────────────────────────────────────────────────────────────

    fn agent(&self, tenant: &TenantId, id: AgentId) -> Result<Option<Agent>> {
        agents::read(self.conn, tenant, id)
    }

    // There is one writer: what it has read nobody changes.
    fn agent_alone(&self, tenant: &TenantId, id: AgentId) -> Result<Option<Agent>> {
        agents::read(self.conn, tenant, id)
    }

    fn agent_stays(&self, tenant: &TenantId, id: AgentId) -> Result<bool> {
        Ok(agents::read(self.conn, tenant, id)?.is_some())
    }

    fn agents(&self, tenant: &TenantId, limit: usize) -> Result<Vec<Agent>> {
        agents::list(self.conn, tenant, limit)
    }

    fn free_in_queue(&self, tenant: &TenantId, queue: &QueueId) -> Result<u64> {
        agents::free_in_queue(self.conn, tenant, queue)
    }

    fn is_awaited(&self, tenant: &TenantId, id: AgentId) -> Result<bool> {
        agents::is_awaited(self.conn, tenant, id)
    }

    fn write_agent(&self, agent: &Agent) -> Result<()> {
        agents::write(self.conn, agent)
    }

    fn delete_agent(&self, tenant: &TenantId, id: AgentId) -> Result<()> {
        agents::delete(self.conn, tenant, id)
    }

    fn write_presence(
        &self,
        tenant: &TenantId,
        id: AgentId,
        presence: Presence,
        now: Timestamp,
    ) -> Result<bool> {
        agents::write_presence(self.conn, tenant, id, presence, now)
    }

    fn engage(&self, tenant: &TenantId, id: AgentId, callback: InteractionId) -> Result<bool> {
        agents::engage(self.conn, tenant, id, callback)
    }

    fn free(
        &self,
        tenant: &TenantId,
        id: AgentId,
        callback: InteractionId,
        now: Timestamp,
    ) -> Result<()> {
        agents::free(self.conn, tenant, id, callback, now)
    }

    fn set_away(&self, tenant: &TenantId, id: AgentId) -> Result<()> {
        agents::set_away(self.conn, tenant, id)
    }

    // ── bodies ───────────────────────────────────────────────────────────────────────────────────

    fn upload(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Upload>> {
        bodies::upload(self.conn, tenant, id)
    }

    fn begin_upload(&self, tenant: &TenantId, id: Uuid, now: Timestamp) -> Result<()> {
        bodies::begin_upload(self.conn, tenant, id, now)
    }

    fn add_chunk(
        &self,
        tenant: &TenantId,
        upload: Uuid,
        index: u32,
        bytes: &[u8],
        total: u64,
        now: Timestamp,
    ) -> Result<()> {
        bodies::add_chunk(self.conn, tenant, upload, index, bytes, total, now)
    }

    fn put_body(
        &self,
        tenant: &TenantId,
        id: InteractionId,
        kind: BodyKind,
        upload: Uuid,
    ) -> Result<()> {
        bodies::put(self.conn, tenant, id, kind, upload)
    }

    fn delete_upload(&self, tenant: &TenantId, id: Uuid) -> Result<()> {
        bodies::delete(self.conn, tenant, id)
    }

    fn body_chunk(
        &self,
        tenant: &TenantId,
        id: InteractionId,
        kind: BodyKind,
        index: u32,
    ) -> Result<Option<Vec<u8>>> {
        bodies::chunk(self.conn, tenant, id, kind, index)
    }

    // ── keys ─────────────────────────────────────────────────────────────────────────────────────

    fn write_key(&self, key: &ApiKey) -> Result<()> {
        keys::write(self.conn, key)
    }

    fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>> {
        keys::by_hash(self.conn, hash)
    }

    fn keys(&self, limit: usize) -> Result<Vec<ApiKey>> {
        keys::list(self.conn, limit)
    }

    fn revoke_key(&self, id: Uuid, now: Timestamp) -> Result<bool> {
        keys::revoke(self.conn, id, now)
    }

    // ── lists ────────────────────────────────────────────────────────────────────────────────────

    fn list_callbacks(&self, query: &CallbackQuery, limit: usize) -> Result<Vec<Callback>> {
        lists::callbacks(self.conn, query, limit)
    }

    fn list_interactions(
        &self,
        query: &InteractionQuery,
        limit: usize,
    ) -> Result<Vec<AnyInteraction>> {
        lists::interactions(self.conn, query, limit)
    }

    fn list_customers(&self, query: &CustomerQuery, limit: usize) -> Result<Vec<Customer>> {
        customers::list(self.conn, query, limit)
    }

    fn open_docs(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        after: Option<InteractionId>,
        limit: usize,
    ) -> Result<Vec<String>> {
        lists::open_docs(self.conn, tenant, queue, after, limit)
    }

    fn events(
        &self,
        tenant: &TenantId,
        callback: InteractionId,
        after: u32,
        limit: usize,
    ) -> Result<Vec<Event>> {
        events::of_callback(self.conn, tenant, callback, after, limit)
    }

    fn events_after(&self, tenant: &TenantId, after: i64, limit: usize) -> Result<Vec<Event>> {
        events::after(self.conn, tenant, after, limit)
    }

    fn last_event(&self) -> Result<i64> {
        events::last(self.conn)
    }

    // ── upkeep ───────────────────────────────────────────────────────────────────────────────────

    fn prune_expired(&self, now: Timestamp, held_after: Timestamp, limit: usize) -> Result<u64> {
        upkeep::prune_expired(self.conn, now, held_after, limit)
    }

    fn prune_uploads(&self, before: Timestamp, limit: usize) -> Result<u64> {
        upkeep::prune_uploads(self.conn, before, limit)
    }

    fn beat(&self) -> Result<()> {
        upkeep::beat(self.conn)
    }

    fn pulse(&self) -> Result<()> {
        upkeep::pulse(self.conn)
    }

    fn clock(&self) -> Result<Option<Timestamp>> {
        Ok(None)
    }

    fn remarks(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn backend(&self) -> &'static str {
        "sqlite"
    }

    fn schema_version(&self) -> Result<u32> {
        super::migrations::version(self.conn)
    }

    fn integrity(&self) -> Result<Vec<String>> {
        upkeep::integrity(self.conn)
    }

    fn walk_events(&self, visit: &mut dyn FnMut(Result<Link>) -> Result<()>) -> Result<()> {
        census::walk_events(self.conn, visit)
    }

    fn walk_callbacks(&self, visit: &mut dyn FnMut(Census) -> Result<()>) -> Result<()> {
        census::walk_callbacks(self.conn, visit)
    }

    fn strays(&self) -> Result<Strays> {
        census::strays(self.conn)
    }
}

// ── values in rows ───────────────────────────────────────────────────────────────────────────────

/// A UUID as it stands in a column.
fn blob(id: &Uuid) -> &[u8] {
    id.as_bytes().as_slice()
}

fn uuid(row: &Row<'_>, column: usize, table: &'static str, name: &'static str) -> Result<Uuid> {
    let bytes: Vec<u8> = row.get(column)?;
    rows::uuid_of(&bytes, table, name)
}

fn tenant_of(row: &Row<'_>, column: usize, table: &'static str) -> Result<TenantId> {
    let text: String = row.get(column)?;
    rows::tenant_of(&text, table)
}

fn time_or_none(
    row: &Row<'_>,
    column: usize,
    table: &'static str,
    name: &'static str,
) -> Result<Option<Timestamp>> {
    row.get::<_, Option<i64>>(column)?
        .map(|at| time(at, table, name))
        .transpose()
}

/// A text that is only read, not kept.
fn text<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r str> {
    let value = row.get_ref(column)?;
    Ok(value.as_str().map_err(rusqlite::Error::from)?)
}

fn text_or_none<'r>(row: &'r Row<'_>, column: usize) -> Result<Option<&'r str>> {
    let value = row.get_ref(column)?;
    Ok(value.as_str_or_null().map_err(rusqlite::Error::from)?)
}

/// A limit as it is bound.
fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Everything that a query finds, row by row.
fn all<T>(
    conn: &Connection,
    sql: &str,
    values: &[&dyn ToSql],
    mut read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut found = statement.query(values)?;
    let mut items = Vec::new();
    while let Some(row) = found.next()? {
        items.push(read(row)?);
    }
    Ok(items)
}

/// The first row that a query finds.
fn one<T>(
    conn: &Connection,
    sql: &str,
    values: &[&dyn ToSql],
    read: impl FnOnce(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut found = statement.query(values)?;
    found.next()?.map(read).transpose()
}

/// A number that a query over a whole table always finds.
fn number(conn: &Connection, sql: &str, values: &[&dyn ToSql]) -> Result<u64> {
    let found: i64 = conn
        .prepare_cached(sql)?
        .query_row(values, |row| row.get(0))?;
    Ok(rows::count(found))
}
