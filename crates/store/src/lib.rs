//! The one door to the database: one verb per step of the path, each one transaction.
//!
//! Verbs read the callback and the facts about it, ask the pure core (`ringback_callbacks::lifecycle`)
//! what is to happen, and write callback, attempt, agents and events together. No decision is made here
//! and no transaction stays open while a phone rings. The verbs are written once (`verbs`), over what they
//! ask of a database (`tables`); nothing outside can name a database, and no function asks which it is on.

mod effects;
mod error;
mod events;
mod facts;
mod known;
mod moving;
mod orders;
mod outlook;
mod postgres;
mod rows;
mod seats;
mod sqlite;
mod tables;
mod twin;
mod verbs;

pub use error::StoreError;
pub use known::KnownQueues;
pub use moving::{MoveOrder, MoveProgress, MoveStep, Moved, MovedTable, move_installation};
pub use orders::*;
pub use outlook::*;

use async_trait::async_trait;
use jiff::Timestamp;
use ringback_callbacks::agent::{Agent, Presence};
use ringback_callbacks::attempt::Attempt;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::clock::Chance;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::event::Event;
use ringback_callbacks::ids::{
    AgentId, AttemptId, CustomerId, HoldId, InteractionId, NodeId, QueueId, TenantId,
};
use ringback_callbacks::interaction::{BodyKind, Interaction};
use ringback_callbacks::queue::Queue;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use uuid::Uuid;

pub type Result<T> = std::result::Result<T, StoreError>;

/// Opens the store that `url` names: `sqlite:PATH`, `sqlite::memory:` for tests, or
/// `postgres://user:password@host/database`. Migrations run first.
pub async fn open(
    url: &str,
    options: OpenOptions,
    chance: Arc<dyn Chance>,
) -> Result<Arc<dyn Store>> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        return Ok(Arc::new(sqlite::open(path, options, chance).await?));
    }
    if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        return Ok(Arc::new(postgres::open(url, options, chance).await?));
    }
    Err(StoreError::Configuration(
        "the database's URL must begin with `sqlite:` or `postgres:`".to_owned(),
    ))
}

#[async_trait]
pub trait Store: Send + Sync + 'static {
    // ── the path ─────────────────────────────────────────────────────────────────────────────────

    /// Stores a booking: customer found or made, callback, bodies, events and the answer to repeat for
    /// its idempotency key, all in one transaction. Returns after the commit is on the disk.
    async fn accept(&self, order: AcceptOrder) -> Result<Acceptance>;

    /// The answer kept for an idempotency key, if there is one. Asked when a request would now be refused
    /// before it reached [`Store::accept`] or [`Store::apply`]: what was answered once is answered again,
    /// whatever has changed since.
    async fn answered(
        &self,
        tenant: &TenantId,
        application: i64,
        key: &str,
        fingerprint: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<StoredAnswer>>;

    /// Carries out one command on one callback (begin and settle of attempts, offers, cancel, move, …).
    async fn apply(&self, order: ApplyOrder) -> Result<Applied>;

    /// Everything the clock has made due: expiries, ended wrap-ups, retries; then, queue by queue, as
    /// many claims as there are free agents or places. Returns what this node now holds, offered or
    /// assigned; call again at once if `more` is set.
    async fn claim_due(&self, order: ClaimOrder) -> Result<Claimed>;

    /// Lengthens leases. Returns those that are not held any more: their work must stop.
    async fn renew(
        &self,
        node: &NodeId,
        until: Timestamp,
        claims: Vec<HeldClaim>,
    ) -> Result<Vec<HeldClaim>>;

    /// Takes over claims whose lease ran out, `whose` they may be, and those of an earlier run of the same node. What was in
    /// the air comes with its attempt, so that legs left ringing can be ended before it is rescued.
    async fn take_lapsed(
        &self,
        node: &NodeId,
        now: Timestamp,
        lease: Duration,
        whose: Whose,
        limit: usize,
    ) -> Result<Vec<Lapsed>>;

    /// Takes a node's part of every route's limit, in the order in which the routes are named. `None`: nobody else
    /// can be at this store, and the routes are used whole.
    async fn share_routes(&self, _order: ShareOrder) -> Result<Option<Vec<u32>>> {
        Ok(None)
    }

    /// Remembers dialog identifiers of a live attempt. A late holder of an older claim changes nothing.
    async fn note_legs(
        &self,
        tenant: &TenantId,
        attempt: AttemptId,
        fence: u64,
        legs: serde_json::Value,
    ) -> Result<()>;

    /// Looks at windows said in local time that were last looked at by another edition of its rules than the store was
    /// opened with. Those that mean the same instants by this one are noted as seen and not read again; the others are
    /// told, to be moved by [`Command::ResolveAgain`](ringback_callbacks::lifecycle::Command::ResolveAgain).
    async fn look_at_windows(
        &self,
        tenant: &TenantId,
        after: Option<RulesMark>,
        limit: usize,
    ) -> Result<WindowsSeen>;

    /// Deletes what is past its time: idempotency answers, unfinished uploads, holds; months in which everything ended
    /// longer ago than is kept.
    async fn prune(&self, now: Timestamp) -> Result<u64>;

    /// Tells of every commit, after it. A receiver that lags reads again what it cares about.
    fn signals(&self) -> broadcast::Receiver<Signal>;

    // ── reads ────────────────────────────────────────────────────────────────────────────────────

    async fn callback(&self, tenant: &TenantId, id: InteractionId) -> Result<Option<Callback>>;
    async fn callbacks(&self, query: CallbackQuery) -> Result<Page<Callback>>;
    async fn attempts(&self, tenant: &TenantId, callback: InteractionId) -> Result<Vec<Attempt>>;
    /// A callback's events with `number` greater than `after`, in order.
    async fn events(
        &self,
        tenant: &TenantId,
        callback: InteractionId,
        after: u32,
        limit: usize,
    ) -> Result<Vec<Event>>;
    /// Events of the tenant with `seq` greater than `after`, in commit order without gaps.
    async fn events_after(&self, tenant: &TenantId, after: i64, limit: usize)
    -> Result<Vec<Event>>;
    /// The `seq` of the last event of all; 0 if there is none.
    async fn last_event(&self) -> Result<i64>;
    /// Numbers facts and customer for `why`: the guards asked again, now, without changing anything.
    async fn guard_now(
        &self,
        tenant: &TenantId,
        callback: InteractionId,
        now: Timestamp,
    ) -> Result<Option<GuardAnswer>>;

    // ── interactions of every kind ───────────────────────────────────────────────────────────────

    /// Records an interaction of another kind (a call, a mail, a chat), so that callbacks can hang on it.
    async fn record(&self, order: RecordOrder) -> Result<Interaction>;
    async fn interaction(
        &self,
        tenant: &TenantId,
        id: InteractionId,
    ) -> Result<Option<AnyInteraction>>;
    async fn interactions(&self, query: InteractionQuery) -> Result<Page<AnyInteraction>>;

    // ── bodies, in chunks, never whole in memory ─────────────────────────────────────────────────

    /// Appends one chunk (at most [`BODY_CHUNK`] bytes) to an upload that nobody sees yet.
    async fn append_body(
        &self,
        tenant: &TenantId,
        upload: Uuid,
        index: u32,
        bytes: Vec<u8>,
        now: Timestamp,
    ) -> Result<()>;
    /// Puts a finished upload in the place of the body, in one transaction with its event.
    async fn finish_body(&self, order: BodyOrder) -> Result<AnyInteraction>;
    /// Forgets an upload that broke off.
    async fn drop_body(&self, tenant: &TenantId, upload: Uuid) -> Result<()>;
    /// Chunk number `index` of a body; `None` past its end.
    async fn read_body(
        &self,
        tenant: &TenantId,
        id: InteractionId,
        kind: BodyKind,
        index: u32,
    ) -> Result<Option<Vec<u8>>>;

    // ── queues ───────────────────────────────────────────────────────────────────────────────────

    /// Creates or changes a queue. `expected` is the revision it must have (`Some(0)`: must not exist).
    async fn put_queue(&self, queue: Queue, expected: Option<u64>) -> Result<Queue>;
    async fn queue(&self, tenant: &TenantId, id: &QueueId) -> Result<Option<Queue>>;
    async fn queues(&self, tenant: &TenantId) -> Result<Vec<Queue>>;
    /// Waiting and running callbacks of a queue, by state name.
    async fn queue_counts(&self, tenant: &TenantId, id: &QueueId) -> Result<Vec<(String, u64)>>;

    // ── slots ────────────────────────────────────────────────────────────────────────────────────

    /// The slots of a queue that can be booked, with what is left of each.
    async fn slots(&self, query: SlotQuery) -> Result<SlotList>;
    /// Keeps a place in a slot for a few minutes; the booking that names the hold takes it over.
    async fn hold_slot(&self, order: HoldOrder) -> Result<SlotHold>;
    /// Gives a kept place back. False if it is not kept (any more).
    async fn release_hold(&self, tenant: &TenantId, id: HoldId, now: Timestamp) -> Result<bool>;

    // ── what the planner remembers ───────────────────────────────────────────────────────────────

    /// The queues of every tenant.
    async fn every_queue(&self) -> Result<Vec<Queue>>;
    /// Callbacks of a queue that have not ended, in order of their ids, after `after`.
    async fn open_in_queue(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        after: Option<InteractionId>,
        limit: usize,
    ) -> Result<Vec<Callback>>;
    /// What was learned about a queue, as it was last put.
    async fn learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
    ) -> Result<Option<serde_json::Value>>;
    async fn put_learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        figures: serde_json::Value,
    ) -> Result<()>;

    // ── agents ───────────────────────────────────────────────────────────────────────────────────

    /// Creates or changes an agent. Presence, engagement and idle time of an agent who exists already
    /// stay as they are: they are what the agent does, not configuration.
    async fn put_agent(&self, agent: Agent, expected: Option<u64>) -> Result<Agent>;
    async fn agent(&self, tenant: &TenantId, id: AgentId) -> Result<Option<Agent>>;
    async fn agents(&self, tenant: &TenantId) -> Result<Vec<Agent>>;
    async fn set_presence(
        &self,
        tenant: &TenantId,
        id: AgentId,
        presence: Presence,
        now: Timestamp,
    ) -> Result<Agent>;
    /// Refused while the agent has a callback in hand.
    async fn remove_agent(&self, tenant: &TenantId, id: AgentId) -> Result<bool>;

    // ── customers ────────────────────────────────────────────────────────────────────────────────

    async fn customer(&self, tenant: &TenantId, id: &CustomerId) -> Result<Option<Customer>>;
    async fn customer_by_contact(
        &self,
        tenant: &TenantId,
        contact: &str,
    ) -> Result<Option<Customer>>;
    /// In order of ids. A `next` cursor only says that there are more: go on after the last id.
    async fn customers(&self, query: CustomerQuery) -> Result<Page<Customer>>;
    async fn put_customer(&self, customer: Customer, expected: Option<u64>) -> Result<Customer>;

    // ── keys ─────────────────────────────────────────────────────────────────────────────────────

    async fn put_key(&self, key: ApiKey) -> Result<()>;
    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>>;
    async fn keys(&self) -> Result<Vec<ApiKey>>;
    async fn revoke_key(&self, id: Uuid, now: Timestamp) -> Result<bool>;

    // ── operations ───────────────────────────────────────────────────────────────────────────────

    /// Cheap proof that reading and writing work; for readiness.
    async fn ping(&self) -> Result<()>;
    /// What time it is for the database; `None` where it has no clock of its own. Nodes that share one must agree
    /// with it, or their leases mean nothing.
    async fn clock(&self) -> Result<Option<Timestamp>>;
    /// Callbacks by tenant-less queue and state, for gauges.
    async fn counts(&self) -> Result<Vec<StateCount>>;
    /// Checks the database and every event chain.
    async fn examine(&self) -> Result<Examination>;
    /// Writes out what is gathered and closes. Verbs called later answer an error.
    async fn close(&self);
}
