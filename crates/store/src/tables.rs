//! What the verbs ask of a database and tell it: rows in the words of the domain, one method per question.
//!
//! Both twins implement [`Tables`]; no verb writes SQL and none knows which twin it is talking to. Everything a
//! verb does through one `Tables` belongs to one transaction. A twin with many writers takes the locks it needs
//! inside these methods: what a write transaction has read through them does not change before it ends.

use crate::events::Sealed;
use crate::seats::Waiting;
use crate::verbs::slots::Said;
use crate::{
    AnyInteraction, ApiKey, CallbackQuery, CustomerQuery, InteractionQuery, Result, RulesMark,
    ShareOrder, Soonest, StateCount, Whose,
};
use jiff::Timestamp;
use ringback_callbacks::agent::{Agent, Presence};
use ringback_callbacks::attempt::Attempt;
use ringback_callbacks::callback::{Callback, Window};
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
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A callback by its key.
pub(crate) type Key = (TenantId, InteractionId);

/// A queue as it is stored: what stands in columns is known even when the document cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct QueueRow {
    pub doc: String,
    pub dialling_paused: bool,
    pub removed: bool,
    pub revision: u64,
    pub created_at: Timestamp,
}

/// What is asked of an interaction that others hang on.
#[derive(Clone, Debug)]
pub(crate) struct InteractionRow {
    pub allow_children: bool,
    pub thread: Option<String>,
}

/// A kept answer that is not past its time.
#[derive(Clone, Debug)]
pub(crate) struct AnswerRow {
    pub fingerprint: Vec<u8>,
    pub answer: String,
}

/// A new answer to be kept.
#[derive(Debug)]
pub(crate) struct NewAnswer<'a> {
    pub tenant: &'a TenantId,
    pub application: i64,
    pub key: &'a str,
    pub fingerprint: [u8; 32],
    pub answer: String,
    pub expires_at: Timestamp,
}

/// Places of one slot that are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotCount {
    pub start: Timestamp,
    /// By callbacks.
    pub booked: u32,
    /// By holds.
    pub held: u32,
}

/// A place kept while a form is filled in.
#[derive(Debug)]
pub(crate) struct NewHold<'a> {
    pub tenant: &'a TenantId,
    pub id: HoldId,
    pub queue: &'a QueueId,
    pub start: Timestamp,
    pub expires_at: Timestamp,
}

/// Who is free and who waits, at a moment of the clock's work.
#[derive(Debug, Default)]
pub(crate) struct Floor {
    /// Everyone who is ready with empty hands, over all tenants; of each tenant the longest idle first.
    pub free: Vec<Agent>,
    /// Queues that are dialled (or removed) and have somebody waiting, by calls and by letters apart.
    pub lines: Vec<(TenantId, QueueId, bool)>,
    /// Ready agents with empty hands for whom a passed-on callback waits.
    pub awaited: Vec<(TenantId, AgentId)>,
    pub soonest: Soonest,
}

/// The places of a kind that a queue has.
pub(crate) type Seat = (TenantId, QueueId, Target);

/// A line that callbacks have just joined, whose seats are places: they are counted next, and the line is read.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    pub tenant: TenantId,
    pub queue: QueueId,
    pub by_mail: bool,
    pub seat: Target,
    pub callbacks: usize,
}

/// Callbacks that wait for the same kind of seat.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LineOf {
    Queue {
        queue: QueueId,
        by_mail: bool,
    },
    /// Passed on to this agent. Callbacks of queues whose dialling is paused are left out.
    Agent(AgentId),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Upload {
    pub chunks: u32,
    pub bytes: u64,
    /// It is a body now.
    pub finished: bool,
}

/// One event as it lies in the database, for the walk along the chains.
#[derive(Debug)]
pub(crate) struct Link {
    pub event: Event,
    pub salt: Option<String>,
}

/// What columns and counts say of one callback, to be held against its document.
#[derive(Debug)]
pub(crate) struct Census {
    pub tenant: TenantId,
    pub id: InteractionId,
    pub events: u64,
    pub attempts: u64,
    /// Attempts that have no end although they are not the one in the air.
    pub stray_attempts: u64,
    pub state: String,
    pub revision: u64,
    pub fence: u64,
    /// Queue and beginning of the slot.
    pub place: Option<(String, Timestamp)>,
}

/// Rows that belong to nothing.
#[derive(Debug, Default)]
pub(crate) struct Strays {
    /// Agents who and callbacks that disagree about what is in hand.
    pub agents: Vec<AgentId>,
    /// Places in slots of no callback.
    pub places: u64,
    /// Finished uploads of no body.
    pub uploads: u64,
}

/// A point to go back to inside a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(pub usize);

pub(crate) trait Tables {
    // ── going back ───────────────────────────────────────────────────────────────────────────────

    fn mark(&self) -> Result<Mark>;
    /// Undoes what was written since the mark, and forgets the mark.
    fn undo(&self, mark: Mark) -> Result<()>;
    /// Keeps what was written since, and forgets the mark.
    fn keep(&self, mark: Mark) -> Result<()>;

    /// A word in advance: these callbacks are about to be decided about, one after the other. A twin for which
    /// every question is a journey fetches in one what the decisions will look at.
    fn foresee(&self, callbacks: &[Key], now: Timestamp) -> Result<()>;

    // ── callbacks and interactions ───────────────────────────────────────────────────────────────

    fn callback(&self, tenant: &TenantId, id: InteractionId) -> Result<Option<Callback>>;
    /// Writes the whole callback, its document and every column made from it; `before` is what it was read as.
    fn write_callback(&self, before: Option<&Callback>, after: &Callback) -> Result<()>;
    /// Only the index is moved, so that the clock leaves it alone until `at`; the document keeps the truth.
    fn set_aside(&self, tenant: &TenantId, id: InteractionId, at: Timestamp) -> Result<()>;
    /// Callbacks that have not ended and whose window was last looked at by another edition of the rules of local time
    /// (or by nobody knows which), in order, after `after`, with their documents.
    fn other_editions(
        &self,
        tenant: &TenantId,
        edition: &str,
        after: Option<&RulesMark>,
        limit: usize,
    ) -> Result<Vec<(RulesMark, String)>>;
    /// Notes by which edition the windows of these were last looked at; `None`: they were not said in local time. What
    /// has changed since it was read is left alone.
    fn confirm_editions(
        &self,
        tenant: &TenantId,
        confirmed: &[(&Callback, Option<&str>)],
    ) -> Result<()>;
    fn interaction(&self, tenant: &TenantId, id: InteractionId) -> Result<Option<InteractionRow>>;
    /// Of any kind, with its whole document.
    fn any_interaction(
        &self,
        tenant: &TenantId,
        id: InteractionId,
    ) -> Result<Option<AnyInteraction>>;
    /// Writes an interaction of another kind with its document.
    fn write_interaction(&self, interaction: &Interaction, doc: &str) -> Result<()>;
    /// Open callbacks of a queue that name the contact, oldest first.
    fn open_for(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        contact: &str,
        limit: usize,
    ) -> Result<Vec<Callback>>;

    // ── attempts and events ──────────────────────────────────────────────────────────────────────

    fn attempt(&self, tenant: &TenantId, id: AttemptId) -> Result<Option<Attempt>>;
    /// In order of their numbers.
    fn attempts(&self, tenant: &TenantId, callback: InteractionId) -> Result<Vec<Attempt>>;
    /// A conflict `number_in_call` if a call with the number is going on.
    fn begin_attempt(&self, attempt: &Attempt, by_mail: bool) -> Result<()>;
    /// Writes the part of an attempt that comes after its beginning, without its legs.
    fn update_attempt(&self, attempt: &Attempt) -> Result<()>;
    fn write_legs(
        &self,
        tenant: &TenantId,
        attempt: AttemptId,
        legs: &serde_json::Value,
    ) -> Result<()>;
    /// Calls placed to a number after `from`, oldest first, and the call that another callback than `of` has going
    /// on with it. Letters are not calls; nor are tries that never reached the customer's side because a trunk or
    /// the agent's own phone failed, unless the customer picked up.
    fn number(
        &self,
        tenant: &TenantId,
        of: InteractionId,
        contact: &Contact,
        from: Timestamp,
    ) -> Result<NumberFacts>;
    fn append_events(&self, tenant: &TenantId, of: InteractionId, events: &[Sealed]) -> Result<()>;

    // ── customers ────────────────────────────────────────────────────────────────────────────────

    fn customer(&self, tenant: &TenantId, id: &CustomerId) -> Result<Option<Customer>>;
    /// Whether nobody has an id that was drawn a moment ago. May trust to chance where the key would show it.
    fn is_unused(&self, tenant: &TenantId, drawn: &CustomerId) -> Result<bool> {
        Ok(self.customer(tenant, drawn)?.is_none())
    }
    /// Whose contact it is.
    fn owner_of(&self, tenant: &TenantId, contact: &str) -> Result<Option<CustomerId>>;
    /// Writes the customer's own row; contacts are written apart.
    fn write_customer(&self, customer: &Customer) -> Result<()>;
    fn add_contact(&self, customer: &Customer, contact: &str, position: usize) -> Result<()>;
    fn clear_contacts(&self, tenant: &TenantId, customer: &CustomerId) -> Result<()>;

    // ── answers to be given again ────────────────────────────────────────────────────────────────

    fn answer(
        &self,
        tenant: &TenantId,
        application: i64,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<AnswerRow>>;
    /// Takes the place of an answer that is past its time.
    fn write_answer(&self, answer: NewAnswer<'_>) -> Result<()>;

    // ── queues ───────────────────────────────────────────────────────────────────────────────────

    fn queue(&self, tenant: &TenantId, id: &QueueId) -> Result<Option<QueueRow>>;
    /// Documents in order of ids; `None`: of all tenants.
    fn queue_docs(&self, tenant: Option<&TenantId>, limit: usize) -> Result<Vec<String>>;
    fn write_queue(&self, queue: &Queue, doc: &str) -> Result<()>;
    /// Callbacks of a queue that have not ended, by name of their state.
    fn state_counts(&self, tenant: &TenantId, id: &QueueId) -> Result<Vec<(String, u64)>>;
    /// The same of every queue, over all tenants.
    fn all_state_counts(&self) -> Result<Vec<StateCount>>;
    fn learned(&self, tenant: &TenantId, queue: &QueueId) -> Result<Option<String>>;
    fn write_learned(&self, tenant: &TenantId, queue: &QueueId, doc: &str) -> Result<()>;

    // ── places in slots ──────────────────────────────────────────────────────────────────────────

    /// Taken places of slots that begin in a stretch, in order, without what `leaves` hold. Holds count that end after
    /// `held_after`.
    fn taken(
        &self,
        queue: &Arc<QueueView>,
        stretch: (Timestamp, Timestamp),
        held_after: Timestamp,
        leaves: &[Uuid],
    ) -> Result<Vec<SlotCount>>;
    /// The same only to tell of it: nothing is taken because of it, and it may have changed at the next moment.
    fn taken_to_tell(
        &self,
        queue: &Arc<QueueView>,
        stretch: (Timestamp, Timestamp),
        held_after: Timestamp,
    ) -> Result<Vec<SlotCount>> {
        self.taken(queue, stretch, held_after, &[])
    }
    /// Places that a customer's callbacks have in a queue, without those of `leaves`.
    fn places_of(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        customer: &CustomerId,
        leaves: &[Uuid],
    ) -> Result<u32>;
    fn take_place(&self, callback: &Callback, queue: &QueueId, start: Timestamp) -> Result<()>;
    fn give_place(&self, tenant: &TenantId, callback: InteractionId) -> Result<()>;
    fn write_hold(&self, hold: NewHold<'_>) -> Result<()>;
    /// Ends a hold of the queue (of any, if none is named) that is not past its time; when its slot begins.
    fn end_hold(
        &self,
        tenant: &TenantId,
        hold: HoldId,
        queue: Option<&QueueId>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>>;

    // ── the clock, lines and seats ───────────────────────────────────────────────────────────────

    /// Callbacks that the clock has made due and nobody has claimed, the longest due first.
    fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Key>>;
    /// Claims whose lease ran out, and those of an earlier run of this node.
    fn lapsed(&self, node: &NodeId, now: Timestamp, whose: Whose, limit: usize)
    -> Result<Vec<Key>>;
    /// Who is free and who waits, with at most so many agents. What the lines in `joined` will be asked for may be read
    /// at once.
    fn floor(&self, agents: usize, joined: &[Joined]) -> Result<Floor>;
    /// Seats that are taken of each of these, in their order. From here to its end this transaction alone gives out the
    /// places of these queues. Another that is at it is waited for; `None`: not for this one, it is to be asked again.
    fn seated_alone(&self, seats: &[Seat]) -> Result<Vec<Option<u64>>>;
    /// The first in line behind `after`.
    fn next_in_line(
        &self,
        tenant: &TenantId,
        line: &LineOf,
        after: Option<&Waiting>,
    ) -> Result<Option<Waiting>>;
    /// Its place, if this callback waits in a queue to be called.
    fn place_in_line(&self, tenant: &TenantId, id: InteractionId) -> Result<Option<Waiting>>;
    /// Waiting callbacks of a queue before a place in its line.
    fn ahead(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        by_mail: bool,
        place: &Waiting,
    ) -> Result<u64>;
    /// Seats of a kind that a queue's callbacks sit in.
    fn seated(&self, tenant: &TenantId, queue: &QueueId, target: &Target) -> Result<u64>;

    // ── agents ───────────────────────────────────────────────────────────────────────────────────

    fn agent(&self, tenant: &TenantId, id: AgentId) -> Result<Option<Agent>>;
    /// The agent as they are now, to themselves: until this transaction ends nobody puts anything in their hands, and
    /// nothing is passed on to them.
    fn agent_alone(&self, tenant: &TenantId, id: AgentId) -> Result<Option<Agent>>;
    /// Whether there is such an agent. Until this transaction ends nobody removes them; what they do is not held up.
    fn agent_stays(&self, tenant: &TenantId, id: AgentId) -> Result<bool>;
    /// In order of ids.
    fn agents(&self, tenant: &TenantId, limit: usize) -> Result<Vec<Agent>>;
    /// How many free agents serve a queue.
    fn free_in_queue(&self, tenant: &TenantId, queue: &QueueId) -> Result<u64>;
    /// Whether callbacks that were passed on to the agent wait.
    fn is_awaited(&self, tenant: &TenantId, id: AgentId) -> Result<bool>;
    /// Creates the agent (revision 1), or changes what is configuration: name, phone, queues, revision. The revision must
    /// be the one after what is stored: whoever was faster is not written over.
    fn write_agent(&self, agent: &Agent) -> Result<()>;
    fn delete_agent(&self, tenant: &TenantId, id: AgentId) -> Result<()>;
    /// Who becomes ready begins to wait now. False if there is no such agent.
    fn write_presence(
        &self,
        tenant: &TenantId,
        id: AgentId,
        presence: Presence,
        now: Timestamp,
    ) -> Result<bool>;
    /// Puts a callback in an agent's empty hands; false if they are not empty, or there is no such agent.
    fn engage(&self, tenant: &TenantId, id: AgentId, callback: InteractionId) -> Result<bool>;
    /// Empties the agent's hands of this callback; from now on they are idle.
    fn free(
        &self,
        tenant: &TenantId,
        id: AgentId,
        callback: InteractionId,
        now: Timestamp,
    ) -> Result<()>;
    /// Who is ready is away; who said busy or offline stays that.
    fn set_away(&self, tenant: &TenantId, id: AgentId) -> Result<()>;

    // ── bodies ───────────────────────────────────────────────────────────────────────────────────

    fn upload(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Upload>>;
    fn begin_upload(&self, tenant: &TenantId, id: Uuid, now: Timestamp) -> Result<()>;
    /// Adds a chunk behind the last; `total` bytes are there then.
    fn add_chunk(
        &self,
        tenant: &TenantId,
        upload: Uuid,
        index: u32,
        bytes: &[u8],
        total: u64,
        now: Timestamp,
    ) -> Result<()>;
    /// Makes a finished upload the body; what was there before is deleted with its bytes.
    fn put_body(
        &self,
        tenant: &TenantId,
        id: InteractionId,
        kind: BodyKind,
        upload: Uuid,
    ) -> Result<()>;
    fn delete_upload(&self, tenant: &TenantId, id: Uuid) -> Result<()>;
    fn body_chunk(
        &self,
        tenant: &TenantId,
        id: InteractionId,
        kind: BodyKind,
        index: u32,
    ) -> Result<Option<Vec<u8>>>;

    // ── keys ─────────────────────────────────────────────────────────────────────────────────────

    fn write_key(&self, key: &ApiKey) -> Result<()>;
    fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>>;
    fn keys(&self, limit: usize) -> Result<Vec<ApiKey>>;
    /// A key stays revoked from the first time on. True if this was it.
    fn revoke_key(&self, id: Uuid, now: Timestamp) -> Result<bool>;

    // ── lists ────────────────────────────────────────────────────────────────────────────────────

    /// Newest first, at most `limit`, whatever limit the query names.
    fn list_callbacks(&self, query: &CallbackQuery, limit: usize) -> Result<Vec<Callback>>;
    fn list_interactions(
        &self,
        query: &InteractionQuery,
        limit: usize,
    ) -> Result<Vec<AnyInteraction>>;
    /// In order of ids.
    fn list_customers(&self, query: &CustomerQuery, limit: usize) -> Result<Vec<Customer>>;
    /// Documents of callbacks of a queue that have not ended, in order of their ids, after `after`.
    fn open_docs(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        after: Option<InteractionId>,
        limit: usize,
    ) -> Result<Vec<String>>;
    fn events(
        &self,
        tenant: &TenantId,
        callback: InteractionId,
        after: u32,
        limit: usize,
    ) -> Result<Vec<Event>>;
    /// In commit order, without gaps: nothing that is committed later comes before what was answered.
    fn events_after(&self, tenant: &TenantId, after: i64, limit: usize) -> Result<Vec<Event>>;
    /// The `seq` behind which everything that is committed from now on will stand.
    fn last_event(&self) -> Result<i64>;

    // ── upkeep ───────────────────────────────────────────────────────────────────────────────────

    /// What a node may use of the routes. `None`: nobody else can be at this database.
    fn share_routes(&self, _order: &ShareOrder) -> Result<Option<Vec<u32>>> {
        Ok(None)
    }
    /// Deletes up to `limit` answers that are past their time, and as many holds that do not end after `held_after`.
    fn prune_expired(&self, now: Timestamp, held_after: Timestamp, limit: usize) -> Result<u64>;
    /// Deletes up to `limit` unfinished uploads that nobody touched since `before`.
    fn prune_uploads(&self, before: Timestamp, limit: usize) -> Result<u64>;
    /// Writes one row, to find out whether writing works.
    fn beat(&self) -> Result<()>;
    /// Reads one row.
    fn pulse(&self) -> Result<()>;

    /// What time it is for the database, if it has a clock of its own.
    fn clock(&self) -> Result<Option<Timestamp>>;
    fn backend(&self) -> &'static str;
    /// What an operator should know about it.
    fn remarks(&self) -> Result<Vec<String>>;
    fn schema_version(&self) -> Result<u32>;
    /// From here to `go_on` everything is read as it stands at this moment, however long that takes. Where a read is of
    /// one moment anyway there is nothing to do.
    fn hold_still(&self) -> Result<()> {
        Ok(())
    }

    fn go_on(&self) -> Result<()> {
        Ok(())
    }

    /// Whether the database itself is whole; each fault in plain words.
    fn integrity(&self) -> Result<Vec<String>>;
    /// Every event, callback by callback, in the order of their numbers; one that cannot be read is an error to the
    /// visitor and does not end the walk. The visitor may read callbacks meanwhile.
    fn walk_events(&self, visit: &mut dyn FnMut(Result<Link>) -> Result<()>) -> Result<()>;
    /// In order of tenants and ids. The visitor may read callbacks meanwhile.
    fn walk_callbacks(&self, visit: &mut dyn FnMut(Census) -> Result<()>) -> Result<()>;
    fn strays(&self) -> Result<Strays>;
}

/// What a job is about, so that a twin can fetch it for many jobs at once, and lock it in one order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    pub queues: Vec<(TenantId, QueueId)>,
    /// Contacts whose customer, open callbacks and calls are looked at.
    pub contacts: Vec<(TenantId, String)>,
    pub customers: Vec<(TenantId, CustomerId)>,
    /// Callbacks about which something is decided.
    pub callbacks: Vec<Key>,
    /// Callbacks of which nothing but the row is looked at.
    pub held: Vec<Key>,
    /// Attempts that are looked at with their callbacks.
    pub attempts: Vec<(TenantId, AttemptId)>,
    /// Parents.
    pub interactions: Vec<Key>,
    /// Ids that were made a moment ago: nobody else has them, unless somebody shows that they have.
    pub made: Vec<Key>,
    pub answers: Vec<(TenantId, i64, String)>,
    /// Where places may be wanted.
    pub places: Vec<Wish>,
    /// The moment the job goes by.
    pub now: Option<Timestamp>,
}

/// A window in which somebody may want a place.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub queue: (TenantId, QueueId),
    pub window: Window,
    pub said: Said,
}

/// How a job may be run.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Together with others in one transaction, after fetching what it needs.
    Batched(Needs),
    /// The same, and not behind what has gathered: a lease that is lengthened too late is lost.
    Urgent(Needs),
    /// In a transaction of its own.
    Alone,
}

/// An upload nobody touched for this long has broken off.
pub(crate) const BROKEN_OFF: Duration = Duration::from_secs(24 * 3600);
