//! What both databases have in common: each verb of the [`Store`] handed to the one place where it is written down,
//! inside a transaction of whichever database this is.

use crate::tables::{Kind, Needs, Tables};
use crate::verbs::{
    House, Write, accept, agents, bodies, claim, customers, examine, idempotency, path, planning,
    queues, reads, record, slots, windows,
};
use crate::{
    AcceptOrder, Acceptance, AnyInteraction, ApiKey, Applied, ApplyOrder, BodyOrder, CallbackQuery,
    ClaimOrder, Claimed, CustomerQuery, Examination, GuardAnswer, HeldClaim, HoldOrder,
    InteractionQuery, Lapsed, Page, RecordOrder, Result, RulesMark, ShareOrder, Signal, SlotHold,
    SlotList, SlotQuery, StateCount, Store, StoreError, StoredAnswer, Whose, WindowsSeen,
};
use async_trait::async_trait;
use jiff::Timestamp;
use ringback_callbacks::agent::{Agent, Presence};
use ringback_callbacks::attempt::Attempt;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::event::Event;
use ringback_callbacks::ids::{
    AgentId, AttemptId, CustomerId, HoldId, InteractionId, NodeId, QueueId, TenantId,
};
use ringback_callbacks::interaction::{BodyKind, Interaction};
use ringback_callbacks::queue::Queue;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::broadcast;
use uuid::Uuid;

/// Rows deleted in one transaction, so that clearing up never keeps intake waiting.
const PRUNED: usize = 500;
/// Rounds of one prune; what is left is left to the next.
const PRUNE_ROUNDS: usize = 1000;
/// Keys listed at most.
const KEYS_LISTED: usize = 10_000;

/// The ways into a database.
pub(crate) trait Doors: Send + Sync + 'static {
    /// Whether nobody else writes. Then nothing has to be fetched for a job in advance.
    const ONE_WRITER: bool;

    /// Runs a job in a transaction and answers after its commit. A job may be run again from its beginning when the
    /// transaction was lost to another writer or spoiled by another job, so it works on copies of its order.
    fn write<T: Send + 'static>(
        &self,
        kind: Kind,
        job: impl FnMut(&mut Write<'_>) -> Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send;

    /// Runs a read against one moment of the database.
    fn read<T: Send + 'static>(
        &self,
        work: impl FnMut(&dyn Tables) -> Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send;

    /// What the database itself needs now and then, and lets go of what ended longer ago than is kept. Answers how many
    /// rows went.
    fn keep_house(
        &self,
        _now: Timestamp,
        _keep_ended: Option<Duration>,
    ) -> impl Future<Output = Result<u64>> + Send {
        async { Ok(0) }
    }

    /// Tells of every commit, after it.
    fn signals(&self) -> broadcast::Receiver<Signal>;

    /// Writes out what is gathered and closes; called once.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// A store on one kind of database.
pub(crate) struct Twin<D> {
    doors: D,
    house: Arc<House>,
    closed: AtomicBool,
}

impl<D> fmt::Debug for Twin<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Twin")
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl<D: Doors> Twin<D> {
    pub fn new(doors: D, house: House) -> Twin<D> {
        Twin {
            doors,
            house: Arc::new(house),
            closed: AtomicBool::new(false),
        }
    }

    async fn write<T: Send + 'static>(
        &self,
        kind: Kind,
        mut job: impl FnMut(&mut Write<'_>, &House) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.still_open()?;
        if self.house.options.read_only {
            return Err(StoreError::Configuration(
                "the database is open for reading only".to_owned(),
            ));
        }
        let house = Arc::clone(&self.house);
        self.doors
            .write(kind, move |write| job(write, &house))
            .await
    }

    /// In a transaction of its own.
    async fn alone<T: Send + 'static>(
        &self,
        job: impl FnMut(&mut Write<'_>, &House) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.write(Kind::Alone, job).await
    }

    async fn read<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&dyn Tables, &House) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.still_open()?;
        let house = Arc::clone(&self.house);
        self.doors.read(move |tables| work(tables, &house)).await
    }

    fn still_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            Err(StoreError::Closed)
        } else {
            Ok(())
        }
    }
}

/// A job that may share a transaction with others. Where there is one writer nobody asks what it needs.
fn batched<D: Doors>(needs: impl FnOnce() -> Needs) -> Kind {
    if D::ONE_WRITER {
        Kind::Alone
    } else {
        Kind::Batched(needs())
    }
}

#[async_trait]
impl<D: Doors> Store for Twin<D> {
    async fn accept(&self, order: AcceptOrder) -> Result<Acceptance> {
        let kind = batched::<D>(|| accept::needs(&order));
        self.write(kind, move |write, house| {
            accept::accept(write, house, order.clone())
        })
        .await
    }

    async fn answered(
        &self,
        tenant: &TenantId,
        application: i64,
        key: &str,
        fingerprint: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<StoredAnswer>> {
        let (tenant, key) = (tenant.clone(), key.to_owned());
        self.read(move |tables, _| {
            idempotency::seen(tables, &tenant, application, &key, &fingerprint, now)
        })
        .await
    }

    async fn apply(&self, order: ApplyOrder) -> Result<Applied> {
        let kind = batched::<D>(|| path::needs(&order));
        self.write(kind, move |write, house| {
            path::apply(write, house, order.clone())
        })
        .await
    }

    async fn claim_due(&self, order: ClaimOrder) -> Result<Claimed> {
        self.alone(move |write, house| claim::claim_due(write, house, &order))
            .await
    }

    async fn renew(
        &self,
        node: &NodeId,
        until: Timestamp,
        claims: Vec<HeldClaim>,
    ) -> Result<Vec<HeldClaim>> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let node = node.clone();
        let kind = match batched::<D>(|| claim::renewal_needs(&claims)) {
            Kind::Batched(needs) => Kind::Urgent(needs),
            kind @ (Kind::Urgent(_) | Kind::Alone) => kind,
        };
        self.write(kind, move |write, _| {
            claim::renew(write.tables, &node, until, &claims)
        })
        .await
    }

    async fn take_lapsed(
        &self,
        node: &NodeId,
        now: Timestamp,
        lease: Duration,
        whose: Whose,
        limit: usize,
    ) -> Result<Vec<Lapsed>> {
        let node = node.clone();
        self.alone(move |write, house| {
            claim::take_lapsed(write, house, &node, now, lease, whose, limit)
        })
        .await
    }

    async fn note_legs(
        &self,
        tenant: &TenantId,
        attempt: AttemptId,
        fence: u64,
        legs: serde_json::Value,
    ) -> Result<()> {
        let tenant = tenant.clone();
        let kind = batched::<D>(|| path::legs_need(&tenant, attempt));
        self.write(kind, move |write, _| {
            path::note_legs(write.tables, &tenant, attempt, fence, &legs)
        })
        .await
    }

    async fn look_at_windows(
        &self,
        tenant: &TenantId,
        after: Option<RulesMark>,
        limit: usize,
    ) -> Result<WindowsSeen> {
        let tenant = tenant.clone();
        self.alone(move |write, house| {
            windows::look(write.tables, house, &tenant, after.as_ref(), limit)
        })
        .await
    }

    async fn share_routes(&self, order: ShareOrder) -> Result<Option<Vec<u32>>> {
        if D::ONE_WRITER {
            return Ok(None);
        }
        self.alone(move |write, _| write.tables.share_routes(&order))
            .await
    }

    async fn prune(&self, now: Timestamp) -> Result<u64> {
        let mut gone = 0;
        for _ in 0..PRUNE_ROUNDS {
            let round = self
                .alone(move |write, _| {
                    Ok(slots::prune(write.tables, now, PRUNED)?
                        + bodies::prune(write.tables, now, PRUNED / 50)?)
                })
                .await?;
            gone += round;
            if round == 0 {
                break;
            }
        }
        let kept = self.house.options.keep_ended;
        Ok(gone + self.doors.keep_house(now, kept).await?)
    }

    fn signals(&self) -> broadcast::Receiver<Signal> {
        self.doors.signals()
    }

    async fn callback(&self, tenant: &TenantId, id: InteractionId) -> Result<Option<Callback>> {
        let tenant = tenant.clone();
        self.read(move |tables, _| tables.callback(&tenant, id))
            .await
    }

    async fn callbacks(&self, query: CallbackQuery) -> Result<Page<Callback>> {
        self.read(move |tables, _| reads::callbacks(tables, &query))
            .await
    }

    async fn attempts(&self, tenant: &TenantId, callback: InteractionId) -> Result<Vec<Attempt>> {
        let tenant = tenant.clone();
        self.read(move |tables, _| tables.attempts(&tenant, callback))
            .await
    }

    async fn events(
        &self,
        tenant: &TenantId,
        callback: InteractionId,
        after: u32,
        limit: usize,
    ) -> Result<Vec<Event>> {
        let tenant = tenant.clone();
        self.read(move |tables, _| reads::events(tables, &tenant, callback, after, limit))
            .await
    }

    async fn events_after(
        &self,
        tenant: &TenantId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Event>> {
        let tenant = tenant.clone();
        self.read(move |tables, _| reads::events_after(tables, &tenant, after, limit))
            .await
    }

    async fn last_event(&self) -> Result<i64> {
        self.read(|tables, _| tables.last_event()).await
    }

    async fn guard_now(
        &self,
        tenant: &TenantId,
        callback: InteractionId,
        now: Timestamp,
    ) -> Result<Option<GuardAnswer>> {
        let tenant = tenant.clone();
        self.read(move |tables, house| reads::guard_now(tables, house, &tenant, callback, now))
            .await
    }

    async fn record(&self, order: RecordOrder) -> Result<Interaction> {
        self.alone(move |write, house| record::record(write, house, order.clone()))
            .await
    }

    async fn interaction(
        &self,
        tenant: &TenantId,
        id: InteractionId,
    ) -> Result<Option<AnyInteraction>> {
        let tenant = tenant.clone();
        self.read(move |tables, _| tables.any_interaction(&tenant, id))
            .await
    }

    async fn interactions(&self, query: InteractionQuery) -> Result<Page<AnyInteraction>> {
        self.read(move |tables, _| reads::interactions(tables, &query))
            .await
    }

    async fn append_body(
        &self,
        tenant: &TenantId,
        upload: Uuid,
        index: u32,
        bytes: Vec<u8>,
        now: Timestamp,
    ) -> Result<()> {
        let tenant = tenant.clone();
        self.alone(move |write, _| {
            bodies::append(write.tables, &tenant, upload, index, &bytes, now)
        })
        .await
    }

    async fn finish_body(&self, order: BodyOrder) -> Result<AnyInteraction> {
        self.alone(move |write, house| bodies::finish(write, house, order.clone()))
            .await
    }

    async fn drop_body(&self, tenant: &TenantId, upload: Uuid) -> Result<()> {
        let tenant = tenant.clone();
        self.alone(move |write, _| bodies::abandon(write.tables, &tenant, upload))
            .await
    }

    async fn read_body(
        &self,
        tenant: &TenantId,
        id: InteractionId,
        kind: BodyKind,
        index: u32,
    ) -> Result<Option<Vec<u8>>> {
        let tenant = tenant.clone();
        self.read(move |tables, _| tables.body_chunk(&tenant, id, kind, index))
            .await
    }

    async fn put_queue(&self, queue: Queue, expected: Option<u64>) -> Result<Queue> {
        self.alone(move |write, _| queues::put(write, queue.clone(), expected))
            .await
    }

    async fn queue(&self, tenant: &TenantId, id: &QueueId) -> Result<Option<Queue>> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.read(move |tables, _| queues::read(tables, &tenant, &id))
            .await
    }

    async fn queues(&self, tenant: &TenantId) -> Result<Vec<Queue>> {
        let tenant = tenant.clone();
        self.read(move |tables, _| queues::list(tables, &tenant))
            .await
    }

    async fn queue_counts(&self, tenant: &TenantId, id: &QueueId) -> Result<Vec<(String, u64)>> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.read(move |tables, _| tables.state_counts(&tenant, &id))
            .await
    }

    async fn slots(&self, query: SlotQuery) -> Result<SlotList> {
        self.read(move |tables, house| slots::list(tables, house, &query))
            .await
    }

    async fn hold_slot(&self, order: HoldOrder) -> Result<SlotHold> {
        self.alone(move |write, house| slots::hold(write.tables, house, &order))
            .await
    }

    async fn release_hold(&self, tenant: &TenantId, id: HoldId, now: Timestamp) -> Result<bool> {
        let tenant = tenant.clone();
        self.alone(move |write, _| slots::release(write.tables, &tenant, id, now))
            .await
    }

    async fn every_queue(&self) -> Result<Vec<Queue>> {
        self.read(|tables, _| planning::every_queue(tables)).await
    }

    async fn open_in_queue(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        after: Option<InteractionId>,
        limit: usize,
    ) -> Result<Vec<Callback>> {
        let (tenant, queue) = (tenant.clone(), queue.clone());
        self.read(move |tables, _| planning::open_in_queue(tables, &tenant, &queue, after, limit))
            .await
    }

    async fn learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
    ) -> Result<Option<serde_json::Value>> {
        let (tenant, queue) = (tenant.clone(), queue.clone());
        self.read(move |tables, _| planning::learned(tables, &tenant, &queue))
            .await
    }

    async fn put_learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        figures: serde_json::Value,
    ) -> Result<()> {
        let (tenant, queue) = (tenant.clone(), queue.clone());
        self.alone(move |write, _| planning::put_learned(write.tables, &tenant, &queue, &figures))
            .await
    }

    async fn put_agent(&self, agent: Agent, expected: Option<u64>) -> Result<Agent> {
        self.alone(move |write, _| agents::put(write, agent.clone(), expected))
            .await
    }

    async fn agent(&self, tenant: &TenantId, id: AgentId) -> Result<Option<Agent>> {
        let tenant = tenant.clone();
        self.read(move |tables, _| tables.agent(&tenant, id)).await
    }

    async fn agents(&self, tenant: &TenantId) -> Result<Vec<Agent>> {
        let tenant = tenant.clone();
        self.read(move |tables, _| tables.agents(&tenant, agents::LISTED))
            .await
    }

    async fn set_presence(
        &self,
        tenant: &TenantId,
        id: AgentId,
        presence: Presence,
        now: Timestamp,
    ) -> Result<Agent> {
        let tenant = tenant.clone();
        self.alone(move |write, _| agents::set_presence(write, &tenant, id, presence, now))
            .await
    }

    async fn remove_agent(&self, tenant: &TenantId, id: AgentId) -> Result<bool> {
        let tenant = tenant.clone();
        self.alone(move |write, _| agents::remove(write, &tenant, id))
            .await
    }

    async fn customer(&self, tenant: &TenantId, id: &CustomerId) -> Result<Option<Customer>> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.read(move |tables, _| tables.customer(&tenant, &id))
            .await
    }

    async fn customer_by_contact(
        &self,
        tenant: &TenantId,
        contact: &str,
    ) -> Result<Option<Customer>> {
        let (tenant, contact) = (tenant.clone(), contact.to_owned());
        self.read(move |tables, _| customers::by_contact(tables, &tenant, &contact))
            .await
    }

    async fn customers(&self, query: CustomerQuery) -> Result<Page<Customer>> {
        self.read(move |tables, _| customers::list(tables, &query))
            .await
    }

    async fn put_customer(&self, customer: Customer, expected: Option<u64>) -> Result<Customer> {
        self.alone(move |write, _| customers::put(write, customer.clone(), expected))
            .await
    }

    async fn put_key(&self, key: ApiKey) -> Result<()> {
        self.alone(move |write, _| write.tables.write_key(&key))
            .await
    }

    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>> {
        let hash = *hash;
        self.read(move |tables, _| tables.key_by_hash(&hash)).await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>> {
        self.read(|tables, _| tables.keys(KEYS_LISTED)).await
    }

    async fn revoke_key(&self, id: Uuid, now: Timestamp) -> Result<bool> {
        self.alone(move |write, _| write.tables.revoke_key(id, now))
            .await
    }

    async fn ping(&self) -> Result<()> {
        self.read(|tables, _| tables.pulse()).await?;
        self.alone(|write, _| write.tables.beat()).await
    }

    async fn clock(&self) -> Result<Option<Timestamp>> {
        self.read(|tables, _| tables.clock()).await
    }

    async fn counts(&self) -> Result<Vec<StateCount>> {
        self.read(|tables, _| tables.all_state_counts()).await
    }

    async fn examine(&self) -> Result<Examination> {
        self.read(|tables, _| examine::examine(tables)).await
    }

    async fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.doors.close().await;
    }
}
