//! [`Tables`] over PostgreSQL: point questions are answered from the working set, which fetches what it has not got;
//! questions about many rows go to the database, after what was written so far.

use super::columns;
use super::faults::Fault;
use super::flush;
use super::load::Wanted;
use super::locks::{Held, Lock, Locks};
use super::memory::Memory;
use super::session::{Ask, Session, Value};
use super::set::{Fresh, QueueKey, Set};
use crate::events::Sealed;
use crate::seats::Waiting;
use crate::tables::{
    AnswerRow, Census, Floor, InteractionRow, Joined, Key, LineOf, Link, Mark, NewAnswer, NewHold,
    QueueRow, Seat, SlotCount, Strays, Tables, Upload,
};
use crate::{
    AnyInteraction, ApiKey, CallbackQuery, CustomerQuery, InteractionQuery, Result, RulesMark,
    ShareOrder, StateCount, StoreError, Whose,
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
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio_postgres::Row;
use uuid::Uuid;

mod agents;
mod bodies;
mod callbacks;
mod customers;
mod line;
mod lists;
mod queues;
mod shares;
mod slots;
mod upkeep;

pub(super) use lists::event_of;

pub(super) type Slotted = HashMap<QueueKey, Arc<QueueView>>;

pub(super) struct PgTables<'s> {
    session: &'s Session,
    /// Whether rows are read to be changed: then what is read is locked, or checked when it is written.
    pub(super) writing: bool,
    /// What begins a transaction here.
    pub(super) begin: &'static str,
    /// The installation's own offset in the order of events.
    offset: i64,
    /// Whether the transaction has begun: it does with the first journey.
    begun: Cell<bool>,
    /// Whether it has been given its number: the first row that it locks or writes does that.
    numbered: Cell<bool>,
    pub(super) set: RefCell<Set>,
    /// Locks of this transaction.
    pub(super) held: RefCell<Held>,
    /// Queues that have slots, as this connection saw them last: their lock is taken with the others, and what is taken
    /// where a place is wanted is read at once.
    pub(super) slotted: &'s RefCell<Slotted>,
    /// Whether what is known to be so but for an accident is taken for granted. What is written shows it if it was
    /// not; the jobs are then run again without.
    pub(super) trusting: bool,
    /// Where it is kept what claimed callbacks are about, for those who write.
    pub(super) memory: Option<&'s Memory>,
    /// The latest moment a job went by, in milliseconds.
    pub(super) now: Cell<i64>,
    /// What went wrong between here and the database: nothing more can be done in this transaction.
    pub(super) fault: RefCell<Option<Fault>>,
    lines: RefCell<HashMap<(TenantId, LineOf), Ahead>>,
    /// Places that were taken when this transaction got their queue's lock.
    seated: RefCell<HashMap<Seat, u64>>,
}

/// Callbacks of a line that were read in advance.
#[derive(Debug, Default)]
struct Ahead {
    waiting: VecDeque<Waiting>,
    /// How many were fetched last time: a line that goes on is read in larger bites.
    bite: i64,
    end: bool,
}

impl<'s> PgTables<'s> {
    pub fn new(
        session: &'s Session,
        writing: bool,
        begin: &'static str,
        offset: i64,
        slotted: &'s RefCell<Slotted>,
        memory: Option<&'s Memory>,
        trusting: bool,
    ) -> PgTables<'s> {
        PgTables {
            session,
            writing,
            begin,
            offset,
            // A question alone needs no transaction.
            begun: Cell::new(!writing),
            numbered: Cell::new(false),
            set: RefCell::default(),
            held: RefCell::default(),
            slotted,
            memory,
            trusting,
            now: Cell::new(0),
            fault: RefCell::default(),
            lines: RefCell::default(),
            seated: RefCell::default(),
        }
    }

    /// Sends these on one journey, behind the beginning of the transaction if it has not begun.
    pub(super) fn fly(&self, mut asks: Vec<Ask<'_>>) -> Result<Vec<Vec<Row>>> {
        let begins = !self.begun.replace(true);
        if begins {
            asks.insert(0, Ask::Plain(self.begin));
        }
        let mut answers = self.session.fly(&asks).map_err(|fault| self.noted(fault))?;
        if begins {
            answers.remove(0);
        }
        Ok(answers)
    }

    /// A question that the working set cannot answer: the database is told first, on the same journey, what was written.
    fn ask(&self, sql: &str, values: &[&dyn Value]) -> Result<Vec<Row>> {
        let mut answers = self.ask_all(vec![Ask::With(sql, values.to_vec())])?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// The same, of rows that are locked: that gives the transaction its number, if it has none.
    fn ask_locking(&self, sql: &str, values: &[&dyn Value]) -> Result<Vec<Row>> {
        let rows = self.ask(sql, values);
        self.numbered.set(true);
        rows
    }

    fn ask_now(&self, sql: &str, values: &[&dyn Value]) -> Result<Vec<Row>> {
        let mut answers = self.fly(vec![Ask::With(sql, values.to_vec())])?;
        Ok(answers.pop().unwrap_or_default())
    }

    fn ask_all(&self, asks: Vec<Ask<'_>>) -> Result<Vec<Vec<Row>>> {
        if self.set.borrow().is_clean() {
            return self.fly(asks);
        }
        self.send(asks)
    }

    /// A statement that writes past the working set; it can only be taken back with the whole transaction.
    fn write(&self, sql: &str, values: &[&dyn Value]) -> Result<Vec<Row>> {
        self.set.borrow_mut().sent = true;
        let answer = self.ask(sql, values);
        self.numbered.set(true);
        answer
    }

    fn noted(&self, fault: Fault) -> StoreError {
        let error = fault.error();
        self.fault.borrow_mut().get_or_insert(fault);
        error
    }

    /// Sends what is left, and commits.
    pub(super) fn commit(&self) -> Result<()> {
        let claimed = self.memory.map(|_| self.set.borrow().claims());
        self.send(vec![Ask::Plain("COMMIT")])?;
        if let Some((memory, claimed)) = self.memory.zip(claimed) {
            memory.note(claimed);
        }
        Ok(())
    }

    /// Sends what was written so far, and `more` behind it. Answers what `more` was answered.
    fn send(&self, more: Vec<Ask<'_>>) -> Result<Vec<Vec<Row>>> {
        let answers = {
            let set = self.set.borrow();
            let written = set.written();
            let (now, numbered) = (self.now.get(), self.numbered.get());
            let orders = flush::orders(&set, &written, self.offset, now, numbered)?;
            let statements = flush::statements(&orders);
            let mut asks: Vec<Ask<'_>> = statements.iter().map(flush::Statement::ask).collect();
            let first = asks.len();
            asks.extend(more);
            let answers = self.fly(asks)?.split_off(first);
            if first > 0 {
                self.numbered.set(true);
            }
            answers
        };
        self.set.borrow_mut().settle();
        Ok(answers)
    }

    pub(super) fn not_yet_held(&self, locks: Vec<Lock>) -> Locks {
        if !self.writing {
            return Locks::default();
        }
        Locks::wanted(locks, &self.held.borrow())
    }

    /// Waits until this transaction has the locks.
    fn lock(&self, locks: Vec<Lock>) -> Result<()> {
        let locks = self.not_yet_held(locks);
        if locks.is_empty() {
            return Ok(());
        }
        self.fly(vec![locks.ask()])?;
        self.held.borrow_mut().add(&locks);
        Ok(())
    }

    /// Forgets what was read, which may be much.
    fn forget(&self) {
        if self.set.borrow().is_clean() {
            *self.set.borrow_mut() = Set::default();
        }
    }

    /// Fetches what is not in the set yet; `want` names it.
    fn have(&self, want: impl FnOnce(&mut Wanted, &Self)) -> Result<()> {
        let mut wanted = Wanted::default();
        want(&mut wanted, self);
        self.fetch(wanted, Vec::new())
    }
}

impl Tables for PgTables<'_> {
    fn mark(&self) -> Result<Mark> {
        Ok(Mark(self.set.borrow_mut().mark()))
    }

    fn undo(&self, mark: Mark) -> Result<()> {
        if self.set.borrow_mut().undo(mark.0) {
            return Ok(());
        }
        // A part of it is in the database already: the whole transaction is run again, job by job.
        Err(self.noted(Fault::Raced("a job cannot be undone by itself".to_owned())))
    }

    fn keep(&self, mark: Mark) -> Result<()> {
        self.set.borrow_mut().keep(mark.0);
        Ok(())
    }

    fn foresee(&self, callbacks: &[Key], _now: Timestamp) -> Result<()> {
        self.have(|wanted, tables| {
            for key in callbacks {
                wanted.callback(tables, key.clone());
            }
        })?;
        self.fetch_about(callbacks)
    }

    fn callback(&self, tenant: &TenantId, id: InteractionId) -> Result<Option<Callback>> {
        self.read_callback(tenant, id)
    }

    fn write_callback(&self, before: Option<&Callback>, after: &Callback) -> Result<()> {
        self.put_callback(before, after)
    }

    fn set_aside(&self, tenant: &TenantId, id: InteractionId, at: Timestamp) -> Result<()> {
        let key = (tenant.clone(), id);
        self.set.borrow_mut().aside.push((key, crate::rows::ms(at)));
        Ok(())
    }

    fn other_editions(
        &self,
        tenant: &TenantId,
        edition: &str,
        after: Option<&RulesMark>,
        limit: usize,
    ) -> Result<Vec<(RulesMark, String)>> {
        self.find_other_editions(tenant, edition, after, limit)
    }

    fn confirm_editions(
        &self,
        tenant: &TenantId,
        confirmed: &[(&Callback, Option<&str>)],
    ) -> Result<()> {
        self.note_editions(tenant, confirmed)
    }

    fn interaction(&self, tenant: &TenantId, id: InteractionId) -> Result<Option<InteractionRow>> {
        self.read_interaction(tenant, id)
    }

    fn any_interaction(
        &self,
        tenant: &TenantId,
        id: InteractionId,
    ) -> Result<Option<AnyInteraction>> {
        self.read_any(tenant, id)
    }

    fn write_interaction(&self, interaction: &Interaction, doc: &str) -> Result<()> {
        self.put_interaction(interaction, doc)
    }

    fn open_for(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        contact: &str,
        limit: usize,
    ) -> Result<Vec<Callback>> {
        self.read_open(tenant, queue, contact, limit)
    }

    fn attempt(&self, tenant: &TenantId, id: AttemptId) -> Result<Option<Attempt>> {
        self.read_attempt(tenant, id)
    }

    fn attempts(&self, tenant: &TenantId, callback: InteractionId) -> Result<Vec<Attempt>> {
        self.read_attempts(tenant, callback)
    }

    fn begin_attempt(&self, attempt: &Attempt, by_mail: bool) -> Result<()> {
        self.put_attempt(attempt, by_mail)
    }

    fn update_attempt(&self, attempt: &Attempt) -> Result<()> {
        self.change_attempt(attempt, Fresh::Changed)
    }

    fn write_legs(
        &self,
        tenant: &TenantId,
        attempt: AttemptId,
        legs: &serde_json::Value,
    ) -> Result<()> {
        self.put_legs(tenant, attempt, legs)
    }

    fn number(
        &self,
        tenant: &TenantId,
        of: InteractionId,
        contact: &Contact,
        from: Timestamp,
    ) -> Result<NumberFacts> {
        self.read_calls(tenant, of, contact, from)
    }

    fn append_events(&self, tenant: &TenantId, of: InteractionId, events: &[Sealed]) -> Result<()> {
        self.put_events(tenant, of, events);
        Ok(())
    }

    fn customer(&self, tenant: &TenantId, id: &CustomerId) -> Result<Option<Customer>> {
        self.read_customer(tenant, id)
    }

    fn is_unused(&self, tenant: &TenantId, drawn: &CustomerId) -> Result<bool> {
        self.nobody_has(tenant, drawn)
    }

    fn owner_of(&self, tenant: &TenantId, contact: &str) -> Result<Option<CustomerId>> {
        self.read_owner(tenant, contact)
    }

    fn write_customer(&self, customer: &Customer) -> Result<()> {
        self.put_customer(customer)
    }

    fn add_contact(&self, customer: &Customer, contact: &str, position: usize) -> Result<()> {
        self.put_contact(customer, contact, position)
    }

    fn clear_contacts(&self, tenant: &TenantId, customer: &CustomerId) -> Result<()> {
        self.drop_contacts(tenant, customer)
    }

    fn answer(
        &self,
        tenant: &TenantId,
        application: i64,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<AnswerRow>> {
        self.read_answer(tenant, application, key, now)
    }

    fn write_answer(&self, answer: NewAnswer<'_>) -> Result<()> {
        self.put_answer(answer);
        Ok(())
    }

    fn queue(&self, tenant: &TenantId, id: &QueueId) -> Result<Option<QueueRow>> {
        self.read_queue(tenant, id)
    }

    fn queue_docs(&self, tenant: Option<&TenantId>, limit: usize) -> Result<Vec<String>> {
        self.list_queues(tenant, limit)
    }

    fn write_queue(&self, queue: &Queue, doc: &str) -> Result<()> {
        self.put_queue(queue, doc)
    }

    fn state_counts(&self, tenant: &TenantId, id: &QueueId) -> Result<Vec<(String, u64)>> {
        self.count_states(tenant, id)
    }

    fn all_state_counts(&self) -> Result<Vec<StateCount>> {
        self.count_all_states()
    }

    fn learned(&self, tenant: &TenantId, queue: &QueueId) -> Result<Option<String>> {
        self.read_learned(tenant, queue)
    }

    fn write_learned(&self, tenant: &TenantId, queue: &QueueId, doc: &str) -> Result<()> {
        self.put_learned(tenant, queue, doc)
    }

    fn taken(
        &self,
        queue: &Arc<QueueView>,
        stretch: (Timestamp, Timestamp),
        held_after: Timestamp,
        leaves: &[Uuid],
    ) -> Result<Vec<SlotCount>> {
        self.read_taken(queue, stretch, held_after, leaves)
    }

    fn taken_to_tell(
        &self,
        queue: &Arc<QueueView>,
        stretch: (Timestamp, Timestamp),
        held_after: Timestamp,
    ) -> Result<Vec<SlotCount>> {
        self.tell_taken(queue, stretch, held_after)
    }

    fn places_of(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        customer: &CustomerId,
        leaves: &[Uuid],
    ) -> Result<u32> {
        self.count_places(tenant, queue, customer, leaves)
    }

    fn take_place(&self, callback: &Callback, queue: &QueueId, start: Timestamp) -> Result<()> {
        self.put_place(callback, queue, start)
    }

    fn give_place(&self, tenant: &TenantId, callback: InteractionId) -> Result<()> {
        self.drop_place(tenant, callback)
    }

    fn write_hold(&self, hold: NewHold<'_>) -> Result<()> {
        self.put_hold(hold)
    }

    fn end_hold(
        &self,
        tenant: &TenantId,
        hold: HoldId,
        queue: Option<&QueueId>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>> {
        self.drop_hold(tenant, hold, queue, now)
    }

    fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Key>> {
        self.list_due(now, limit)
    }

    fn lapsed(
        &self,
        node: &NodeId,
        now: Timestamp,
        whose: Whose,
        limit: usize,
    ) -> Result<Vec<Key>> {
        self.list_lapsed(node, now, whose, limit)
    }

    fn floor(&self, agents: usize, joined: &[Joined]) -> Result<Floor> {
        self.read_floor(agents, joined)
    }

    fn seated_alone(&self, seats: &[Seat]) -> Result<Vec<Option<u64>>> {
        self.count_seated_alone(seats)
    }

    fn next_in_line(
        &self,
        tenant: &TenantId,
        line: &LineOf,
        after: Option<&Waiting>,
    ) -> Result<Option<Waiting>> {
        self.step_in_line(tenant, line, after)
    }

    fn place_in_line(&self, tenant: &TenantId, id: InteractionId) -> Result<Option<Waiting>> {
        self.find_in_line(tenant, id)
    }

    fn ahead(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        by_mail: bool,
        place: &Waiting,
    ) -> Result<u64> {
        self.count_ahead(tenant, queue, by_mail, place)
    }

    fn seated(&self, tenant: &TenantId, queue: &QueueId, target: &Target) -> Result<u64> {
        self.count_seated(tenant, queue, target)
    }

    fn agent(&self, tenant: &TenantId, id: AgentId) -> Result<Option<Agent>> {
        self.read_agent(tenant, id)
    }

    fn agent_alone(&self, tenant: &TenantId, id: AgentId) -> Result<Option<Agent>> {
        self.lock_agent(tenant, id)
    }

    fn agent_stays(&self, tenant: &TenantId, id: AgentId) -> Result<bool> {
        self.keep_agent(tenant, id)
    }

    fn agents(&self, tenant: &TenantId, limit: usize) -> Result<Vec<Agent>> {
        self.list_agents(tenant, limit)
    }

    fn free_in_queue(&self, tenant: &TenantId, queue: &QueueId) -> Result<u64> {
        self.count_free(tenant, queue)
    }

    fn is_awaited(&self, tenant: &TenantId, id: AgentId) -> Result<bool> {
        self.has_awaiting(tenant, id)
    }

    fn write_agent(&self, agent: &Agent) -> Result<()> {
        self.put_agent(agent)
    }

    fn delete_agent(&self, tenant: &TenantId, id: AgentId) -> Result<()> {
        self.drop_agent(tenant, id)
    }

    fn write_presence(
        &self,
        tenant: &TenantId,
        id: AgentId,
        presence: Presence,
        now: Timestamp,
    ) -> Result<bool> {
        self.put_presence(tenant, id, presence, now)
    }

    fn engage(&self, tenant: &TenantId, id: AgentId, callback: InteractionId) -> Result<bool> {
        self.fill_hands(tenant, id, callback)
    }

    fn free(
        &self,
        tenant: &TenantId,
        id: AgentId,
        callback: InteractionId,
        now: Timestamp,
    ) -> Result<()> {
        self.empty_hands(tenant, id, callback, now)
    }

    fn set_away(&self, tenant: &TenantId, id: AgentId) -> Result<()> {
        self.send_away(tenant, id)
    }

    fn upload(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Upload>> {
        self.read_upload(tenant, id)
    }

    fn begin_upload(&self, tenant: &TenantId, id: Uuid, now: Timestamp) -> Result<()> {
        self.put_upload(tenant, id, now)
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
        self.put_chunk(tenant, upload, index, bytes, total, now)
    }

    fn put_body(
        &self,
        tenant: &TenantId,
        id: InteractionId,
        kind: BodyKind,
        upload: Uuid,
    ) -> Result<()> {
        self.place_body(tenant, id, kind, upload)
    }

    fn delete_upload(&self, tenant: &TenantId, id: Uuid) -> Result<()> {
        self.drop_upload(tenant, id)
    }

    fn body_chunk(
        &self,
        tenant: &TenantId,
        id: InteractionId,
        kind: BodyKind,
        index: u32,
    ) -> Result<Option<Vec<u8>>> {
        self.read_chunk(tenant, id, kind, index)
    }

    fn write_key(&self, key: &ApiKey) -> Result<()> {
        self.put_key(key)
    }

    fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>> {
        self.find_key(hash)
    }

    fn keys(&self, limit: usize) -> Result<Vec<ApiKey>> {
        self.list_keys(limit)
    }

    fn revoke_key(&self, id: Uuid, now: Timestamp) -> Result<bool> {
        self.end_key(id, now)
    }

    fn list_callbacks(&self, query: &CallbackQuery, limit: usize) -> Result<Vec<Callback>> {
        self.find_callbacks(query, limit)
    }

    fn list_interactions(
        &self,
        query: &InteractionQuery,
        limit: usize,
    ) -> Result<Vec<AnyInteraction>> {
        self.find_interactions(query, limit)
    }

    fn list_customers(&self, query: &CustomerQuery, limit: usize) -> Result<Vec<Customer>> {
        self.find_customers(query, limit)
    }

    fn open_docs(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        after: Option<InteractionId>,
        limit: usize,
    ) -> Result<Vec<String>> {
        self.find_open(tenant, queue, after, limit)
    }

    fn events(
        &self,
        tenant: &TenantId,
        callback: InteractionId,
        after: u32,
        limit: usize,
    ) -> Result<Vec<Event>> {
        self.find_events(tenant, callback, after, limit)
    }

    fn events_after(&self, tenant: &TenantId, after: i64, limit: usize) -> Result<Vec<Event>> {
        self.follow_events(tenant, after, limit)
    }

    fn last_event(&self) -> Result<i64> {
        self.end_of_events()
    }

    fn share_routes(&self, order: &ShareOrder) -> Result<Option<Vec<u32>>> {
        self.share(order).map(Some)
    }

    fn prune_expired(&self, now: Timestamp, held_after: Timestamp, limit: usize) -> Result<u64> {
        self.drop_expired(now, held_after, limit)
    }

    fn prune_uploads(&self, before: Timestamp, limit: usize) -> Result<u64> {
        self.drop_broken_off(before, limit)
    }

    fn beat(&self) -> Result<()> {
        self.write(
            "UPDATE installation SET beats = beats + 1 WHERE one = 1",
            &[],
        )
        .map(drop)
    }

    fn pulse(&self) -> Result<()> {
        self.ask("SELECT beats FROM installation", &[]).map(drop)
    }

    fn clock(&self) -> Result<Option<Timestamp>> {
        self.read_clock().map(Some)
    }

    fn backend(&self) -> &'static str {
        "postgres"
    }

    fn remarks(&self) -> Result<Vec<String>> {
        self.list_remarks()
    }

    fn schema_version(&self) -> Result<u32> {
        let rows = self.ask("SELECT coalesce(max(version), 0)::int FROM migrations", &[])?;
        let version: i32 = rows.first().map_or(Ok(0), |row| columns::get(row, 0))?;
        Ok(u32::try_from(version).unwrap_or(0))
    }

    fn hold_still(&self) -> Result<()> {
        self.session.hold_still().map_err(|fault| self.noted(fault))
    }

    fn go_on(&self) -> Result<()> {
        self.session.go_on().map_err(|fault| self.noted(fault))
    }

    fn integrity(&self) -> Result<Vec<String>> {
        self.check_columns()
    }

    fn walk_events(&self, visit: &mut dyn FnMut(Result<Link>) -> Result<()>) -> Result<()> {
        self.each_event(visit)
    }

    fn walk_callbacks(&self, visit: &mut dyn FnMut(Census) -> Result<()>) -> Result<()> {
        self.each_callback(visit)
    }

    fn strays(&self) -> Result<Strays> {
        self.find_strays()
    }
}
