//! What the store's verbs are told and what they answer.

use jiff::Timestamp;
use ringback_callbacks::attempt::Attempt;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::event::Actor;
use ringback_callbacks::guard::Held;
use ringback_callbacks::ids::{
    AgentId, CustomerId, HoldId, InteractionId, NodeId, QueueId, TenantId,
};
use ringback_callbacks::interaction::{BodyKind, EntityType, Interaction};
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::request::NewCallback;
use ringback_scheduling::Almanac;
use ringback_scheduling::duration::Span;
use ringback_scheduling::slots::SlotState;
use ringback_scheduling::zone::Zone;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Largest chunk of a body, in bytes.
pub const BODY_CHUNK: usize = 256 * 1024;

#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Read-only connections beside the writers.
    pub readers: usize,
    /// Writing connections, where there may be more than one.
    pub writers: usize,
    /// Jobs that may wait for the writer before callers are told to come back.
    pub write_queue: usize,
    /// Jobs gathered into one commit at most.
    pub group: usize,
    /// How long an idempotent answer is kept.
    pub idempotency_kept: Duration,
    /// How long callbacks are kept after their end, where the database is divided by months; `None`: for ever. A month
    /// goes whole, when everything in it ended that long ago.
    pub keep_ended: Option<Duration>,
    /// The rules of local time and the lists of holidays in use.
    pub almanac: Arc<Almanac>,
    /// Where temporary files may go; `None`: the system's own place.
    pub temp: Option<PathBuf>,
    /// Name of the node that opens it; on a shared database no other may have the same. `None`: a command that only
    /// visits.
    pub node: Option<String>,
    /// Only look: the database must exist with this program's schema, nothing is migrated, and every verb that writes
    /// answers an error.
    pub read_only: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions {
            readers: 3,
            writers: 2,
            write_queue: 4096,
            group: 256,
            idempotency_kept: Duration::from_secs(48 * 3600),
            keep_ended: None,
            almanac: Arc::default(),
            temp: None,
            node: None,
            read_only: false,
        }
    }
}

/// Makes the answer that will be given again for the same key, from the callback as it was committed.
/// It may be asked more than once: a transaction that was lost to another writer is run again.
pub type Render = Arc<dyn Fn(&Callback) -> StoredAnswer + Send + Sync>;

/// A request that may be repeated.
#[derive(Clone)]
pub struct Idempotent {
    /// Who asks: keys of different applications never meet.
    pub application: i64,
    pub key: String,
    /// SHA-256 of method, path and body.
    pub fingerprint: [u8; 32],
    pub render: Render,
}

impl fmt::Debug for Idempotent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotent")
            .field("application", &self.application)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAnswer {
    pub status: u16,
    /// Only headers that belong to the answer itself (`Location`, `ETag`, `Content-Type`).
    pub headers: Vec<(String, String)>,
    pub body: String,
}

#[derive(Clone, Debug)]
pub struct AcceptOrder {
    pub tenant: TenantId,
    pub id: InteractionId,
    pub new: NewCallback,
    pub actor: Actor,
    pub now: Timestamp,
    pub idempotent: Option<Idempotent>,
    /// Only ask; write nothing.
    pub dry_run: bool,
}

#[derive(Debug)]
pub enum Acceptance {
    New(Box<Callback>, Option<StoredAnswer>),
    /// The number had an open callback in the queue: this is it, with what the request added.
    Merged(Box<Callback>, Option<StoredAnswer>),
    /// The key was seen before: this is what was answered then.
    Repeated(StoredAnswer),
}

#[derive(Clone, Debug)]
pub struct ApplyOrder {
    pub tenant: TenantId,
    pub callback: InteractionId,
    pub command: Command,
    pub actor: Actor,
    /// From `If-Match`.
    pub expected: Option<u64>,
    pub now: Timestamp,
    pub idempotent: Option<Idempotent>,
}

impl ApplyOrder {
    /// A command of the server's own clockwork.
    pub fn system(
        tenant: TenantId,
        callback: InteractionId,
        command: Command,
        now: Timestamp,
    ) -> Self {
        ApplyOrder {
            tenant,
            callback,
            command,
            actor: Actor::System,
            expected: None,
            now,
            idempotent: None,
        }
    }
}

#[derive(Debug)]
pub enum Applied {
    Done(Box<Callback>, Option<StoredAnswer>),
    Repeated(StoredAnswer),
}

impl Applied {
    /// The callback after the command; `None` if this was a repetition.
    pub fn callback(self) -> Option<Callback> {
        match self {
            Applied::Done(callback, _) => Some(*callback),
            Applied::Repeated(_) => None,
        }
    }
}

/// A place in the walk through windows said in local time: an edition of its rules, and a callback.
pub type RulesMark = (String, InteractionId);

/// What a look at windows in local time came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowsSeen {
    /// Their windows mean other instants now.
    pub moved: Vec<InteractionId>,
    /// Where to go on; `None`: that was all.
    pub next: Option<RulesMark>,
}

#[derive(Clone, Debug)]
pub struct ClaimOrder {
    pub node: NodeId,
    pub now: Timestamp,
    pub lease: Duration,
    /// Callbacks touched in one transaction at most, so that intake is never kept waiting.
    pub limit: usize,
    /// Claims this node may still take on.
    pub places: usize,
    /// Queues whose callbacks a planner picks: of those that wait for agents or for the DN only these are
    /// claimed, in this order. All other queues are served by priority, promise and patience.
    pub picks: Vec<Picks>,
}

/// What a planner wants dialled now in one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picks {
    pub tenant: TenantId,
    pub queue: QueueId,
    pub callbacks: Vec<InteractionId>,
}

#[derive(Clone, Debug, Default)]
pub struct Claimed {
    pub callbacks: Vec<Callback>,
    /// The limit was reached: call again at once.
    pub more: bool,
    /// When to look again; what is said may be early, never late.
    pub next: Soonest,
}

/// When the clock alone next makes something happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Soonest {
    /// A callback that nobody has claimed comes due.
    pub due: Option<Timestamp>,
    /// A claim runs out, if it is not lengthened.
    pub lapse: Option<Timestamp>,
}

impl Soonest {
    pub fn either(self) -> Option<Timestamp> {
        [self.due, self.lapse].into_iter().flatten().min()
    }

    pub(crate) fn and_due(self, at: Option<Timestamp>) -> Soonest {
        Soonest {
            due: [self.due, at].into_iter().flatten().min(),
            ..self
        }
    }

    pub(crate) fn and_lapse(self, at: Timestamp) -> Soonest {
        Soonest {
            lapse: [self.lapse, Some(at)].into_iter().flatten().min(),
            ..self
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeldClaim {
    pub tenant: TenantId,
    pub callback: InteractionId,
    pub fence: u64,
}

/// What a node uses and wants of the routes, which other nodes may use too.
#[derive(Clone, Debug)]
pub struct ShareOrder {
    pub node: NodeId,
    /// What is granted is nobody else's for so long; nothing: it is given back.
    pub lasts: Duration,
    pub routes: Vec<RouteShare>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteShare {
    pub route: String,
    /// Concurrent calls of all nodes together.
    pub limit: u32,
    pub used: u32,
    /// What is used included.
    pub wanted: u32,
    /// Nothing more can be used for a while: all but what is used is for others.
    pub closed: bool,
}

/// Whose lapsed claims are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those under the node's own name: of an earlier run, and what this run has let go of.
    ThisNodes,
    Anybodys,
}

/// A claim taken over, with what was in the air.
#[derive(Clone, Debug)]
pub struct Lapsed {
    pub callback: Callback,
    pub attempt: Option<Attempt>,
}

/// Which slots are asked for.
#[derive(Clone, Debug)]
pub struct SlotQuery {
    pub tenant: TenantId,
    pub queue: QueueId,
    /// Slots that begin at or after this …
    pub from: Timestamp,
    /// … and before this.
    pub to: Timestamp,
    /// Where the customer is: only slots in which they may be rung. `None`: all.
    pub zone: Option<Zone>,
    pub now: Timestamp,
}

#[derive(Clone, Debug)]
pub struct SlotList {
    /// In order.
    pub slots: Vec<SlotState>,
    /// The queue's own zone.
    pub zone: Zone,
    /// Length of a slot.
    pub length: Span,
}

#[derive(Clone, Debug)]
pub struct HoldOrder {
    pub tenant: TenantId,
    pub queue: QueueId,
    /// A moment in the wanted slot.
    pub at: Timestamp,
    pub now: Timestamp,
}

/// A place kept for whoever knows its id.
#[derive(Clone, Debug)]
pub struct SlotHold {
    pub id: HoldId,
    pub queue: QueueId,
    /// The slot with this place counted.
    pub slot: SlotState,
    /// The queue's own zone.
    pub zone: Zone,
    pub expires_at: Timestamp,
}

/// What a commit touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    Callback {
        tenant: TenantId,
        id: InteractionId,
        queue: QueueId,
        then: Then,
    },
    /// An agent became free, changed presence or queues.
    Agent { tenant: TenantId, id: AgentId },
    /// Rules or switches changed.
    Queue { tenant: TenantId, id: QueueId },
}

/// What a change of a callback means to those who look for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Something may be claimed now: it waits in line, or an agent, a place or a number became free.
    Look,
    /// Nothing became free, and nothing is to be done about it before this moment: it was booked or moved for later,
    /// or its call went on.
    Rest(Timestamp),
    /// A node has claimed it until this moment. That node has looked already; what it has only looked at may be
    /// claimed by others.
    Claimed(Timestamp),
}

#[derive(Clone, Debug, Default)]
pub struct CallbackQuery {
    pub tenant: TenantId,
    pub queue: Option<QueueId>,
    /// `callback_status` values; empty: all.
    pub callback_status: Vec<i32>,
    /// `status` values; empty: all.
    pub status: Vec<i32>,
    pub customer: Option<CustomerId>,
    /// Canonical contact of any step of the plan.
    pub contact: Option<String>,
    pub owner: Option<i64>,
    /// Callbacks an agent has in hand (offered, taken, talking, wrapping up).
    pub agent: Option<AgentId>,
    pub thread: Option<String>,
    pub parent: Option<InteractionId>,
    pub external_id: Option<String>,
    /// `start_time` at or after / before.
    pub start_from: Option<Timestamp>,
    pub start_before: Option<Timestamp>,
    pub created_from: Option<Timestamp>,
    pub created_before: Option<Timestamp>,
    /// Words found in subject, category, external id, udata values; case does not matter.
    pub text: Option<String>,
    pub after: Option<Cursor>,
    pub limit: usize,
}

/// Newest first; the cursor is the last row of the page before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub created_ms: i64,
    pub id: InteractionId,
}

#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<Cursor>,
}

#[derive(Clone, Debug, Default)]
pub struct InteractionQuery {
    pub tenant: TenantId,
    pub customer: Option<CustomerId>,
    pub thread: Option<String>,
    pub parent: Option<InteractionId>,
    pub external_id: Option<String>,
    pub entity_type: Option<EntityType>,
    pub after: Option<Cursor>,
    pub limit: usize,
}

/// An interaction of any kind.
#[derive(Clone, Debug)]
pub enum AnyInteraction {
    Callback(Box<Callback>),
    Other(Box<RecordedInteraction>),
}

impl AnyInteraction {
    pub fn interaction(&self) -> &Interaction {
        match self {
            AnyInteraction::Callback(callback) => &callback.interaction,
            AnyInteraction::Other(other) => &other.interaction,
        }
    }
}

/// An interaction that is not a callback: its `status` is as it was recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedInteraction {
    pub interaction: Interaction,
    pub status: i32,
    pub revision: u64,
}

#[derive(Clone, Debug)]
pub struct RecordOrder {
    pub interaction: Interaction,
    pub status: i32,
    pub actor: Actor,
    pub now: Timestamp,
}

#[derive(Clone, Debug)]
pub struct BodyOrder {
    pub tenant: TenantId,
    pub id: InteractionId,
    pub kind: BodyKind,
    pub mime: String,
    pub size: u64,
    pub upload: Uuid,
    pub actor: Actor,
    pub now: Timestamp,
}

#[derive(Clone, Debug)]
pub struct CustomerQuery {
    pub tenant: TenantId,
    /// Part of name or id.
    pub text: Option<String>,
    /// Customer ids greater than this.
    pub after: Option<CustomerId>,
    pub limit: usize,
}

/// The guards' answer for one callback at one moment.
#[derive(Clone, Debug)]
pub struct GuardAnswer {
    pub callback: Callback,
    /// `None`: nothing forbids dialling now.
    pub held: Option<Held>,
    /// Free agents (or places) of its queue just now.
    pub free_seats: u64,
    /// Callbacks of the queue that come before it.
    pub ahead: u64,
}

/// A key of an application: only its hash is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    pub id: Uuid,
    pub tenant: TenantId,
    pub name: String,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// Becomes `creator_app_id`.
    pub application: i64,
    pub scopes: Vec<Scope>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Read callbacks, interactions, customers, queues and agents.
    Read,
    /// Book, change and cancel callbacks; write interactions, bodies and customers.
    Write,
    /// Act as an agent: presence, offers, dispositions, replies.
    Agent,
    /// Queues, agents, keys.
    Admin,
}

impl Scope {
    pub const ALL: [Scope; 4] = [Scope::Read, Scope::Write, Scope::Agent, Scope::Admin];

    pub fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Agent => "agent",
            Scope::Admin => "admin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateCount {
    pub queue: QueueId,
    pub state: String,
    pub count: u64,
}

/// What `doctor` learned.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Examination {
    pub backend: String,
    pub schema_version: u32,
    pub callbacks: u64,
    pub events: u64,
    pub chains_checked: u64,
    /// What an operator should know about the database, though it is no fault.
    pub remarks: Vec<String>,
    /// Faults found, in plain words; empty means healthy.
    pub faults: Vec<String>,
}
