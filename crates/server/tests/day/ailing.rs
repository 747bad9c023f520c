//! A store that fails when it is told to, in front of one that works.

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
use ringback_callbacks::lifecycle::{Command, Refusal};
use ringback_callbacks::queue::Queue;
use ringback_store::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;
use uuid::Uuid;

/// How a verb fails.
#[derive(Clone, Copy, Debug)]
pub enum Ailment {
    /// The database is gone for a while.
    Gone,
    /// The claim is another's.
    Fenced,
    /// A rule between rows forbids it, today and tomorrow.
    Forbidden,
}

pub struct Ailing {
    inner: Arc<dyn Store>,
    ailments: Mutex<HashMap<&'static str, Ailment>>,
    begun: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    clock: Mutex<Option<Arc<dyn Fn() -> Timestamp + Send + Sync>>>,
}

impl Ailing {
    pub fn of(inner: Arc<dyn Store>) -> Arc<Ailing> {
        Arc::new(Ailing {
            inner,
            ailments: Mutex::default(),
            begun: Mutex::default(),
            clock: Mutex::default(),
        })
    }

    /// The database has a clock of its own.
    pub fn goes_by(&self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) {
        let mut own = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        *own = Some(Arc::new(clock));
    }

    /// What comes between the next record of an attempt and whoever waits for it.
    pub fn once_begun(&self, then: impl FnOnce() + Send + 'static) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        *begun = Some(Box::new(then));
    }

    /// From now on this verb fails. `begin` is the recording of an attempt, `everything` is every verb.
    pub fn fails(&self, verb: &'static str, ailment: Ailment) {
        let mut ailments = self.ailments.lock().unwrap_or_else(PoisonError::into_inner);
        ailments.insert(verb, ailment);
    }

    pub fn recovers(&self) {
        let mut ailments = self.ailments.lock().unwrap_or_else(PoisonError::into_inner);
        ailments.clear();
    }

    fn asked(&self, verb: &str) -> Result<()> {
        let ailments = self.ailments.lock().unwrap_or_else(PoisonError::into_inner);
        match ailments.get(verb).or_else(|| ailments.get("everything")) {
            None => Ok(()),
            Some(Ailment::Gone) => Err(StoreError::Failed("the database is gone".to_owned())),
            Some(Ailment::Fenced) => Err(StoreError::Refused(Refusal::Fenced)),
            Some(Ailment::Forbidden) => Err(StoreError::Conflict {
                field: None,
                code: "number_in_call",
                detail: "another call with this number is going on".to_owned(),
            }),
        }
    }
}

#[async_trait]
impl Store for Ailing {
    async fn accept(&self, order: AcceptOrder) -> Result<Acceptance> {
        self.asked("accept")?;
        self.inner.accept(order).await
    }

    async fn answered(
        &self,
        tenant: &TenantId,
        application: i64,
        key: &str,
        fingerprint: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<StoredAnswer>> {
        self.asked("answered")?;
        self.inner
            .answered(tenant, application, key, fingerprint, now)
            .await
    }

    async fn apply(&self, order: ApplyOrder) -> Result<Applied> {
        let begins = matches!(order.command, Command::BeginAttempt { .. });
        if begins {
            self.asked("begin")?;
        }
        self.asked("apply")?;
        let applied = self.inner.apply(order).await;
        if begins {
            let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(then) = begun.take() {
                then();
            }
        }
        applied
    }

    async fn claim_due(&self, order: ClaimOrder) -> Result<Claimed> {
        self.asked("claim_due")?;
        self.inner.claim_due(order).await
    }

    async fn look_at_windows(
        &self,
        tenant: &TenantId,
        after: Option<RulesMark>,
        limit: usize,
    ) -> Result<WindowsSeen> {
        self.asked("look_at_windows")?;
        self.inner.look_at_windows(tenant, after, limit).await
    }

    async fn renew(
        &self,
        node: &NodeId,
        until: Timestamp,
        claims: Vec<HeldClaim>,
    ) -> Result<Vec<HeldClaim>> {
        self.asked("renew")?;
        self.inner.renew(node, until, claims).await
    }

    async fn take_lapsed(
        &self,
        node: &NodeId,
        now: Timestamp,
        lease: Duration,
        whose: Whose,
        limit: usize,
    ) -> Result<Vec<Lapsed>> {
        self.asked("take_lapsed")?;
        self.inner.take_lapsed(node, now, lease, whose, limit).await
    }

    async fn note_legs(
        &self,
        tenant: &TenantId,
        attempt: AttemptId,
        fence: u64,
        legs: serde_json::Value,
    ) -> Result<()> {
        self.asked("note_legs")?;
        self.inner.note_legs(tenant, attempt, fence, legs).await
    }

    async fn prune(&self, now: Timestamp) -> Result<u64> {
        self.asked("prune")?;
        self.inner.prune(now).await
    }

    fn signals(&self) -> broadcast::Receiver<Signal> {
        self.inner.signals()
    }

    async fn callback(&self, tenant: &TenantId, id: InteractionId) -> Result<Option<Callback>> {
        self.asked("callback")?;
        self.inner.callback(tenant, id).await
    }

    async fn callbacks(&self, query: CallbackQuery) -> Result<Page<Callback>> {
        self.asked("callbacks")?;
        self.inner.callbacks(query).await
    }

    async fn attempts(&self, tenant: &TenantId, callback: InteractionId) -> Result<Vec<Attempt>> {
        self.asked("attempts")?;
        self.inner.attempts(tenant, callback).await
    }

    async fn events(
        &self,
        tenant: &TenantId,
        callback: InteractionId,
        after: u32,
        limit: usize,
    ) -> Result<Vec<Event>> {
        self.asked("events")?;
        self.inner.events(tenant, callback, after, limit).await
    }

    async fn events_after(
        &self,
        tenant: &TenantId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Event>> {
        self.asked("events_after")?;
        self.inner.events_after(tenant, after, limit).await
    }

    async fn last_event(&self) -> Result<i64> {
        self.asked("last_event")?;
        self.inner.last_event().await
    }

    async fn guard_now(
        &self,
        tenant: &TenantId,
        callback: InteractionId,
        now: Timestamp,
    ) -> Result<Option<GuardAnswer>> {
        self.asked("guard_now")?;
        self.inner.guard_now(tenant, callback, now).await
    }

    async fn record(&self, order: RecordOrder) -> Result<Interaction> {
        self.asked("record")?;
        self.inner.record(order).await
    }

    async fn interaction(
        &self,
        tenant: &TenantId,
        id: InteractionId,
    ) -> Result<Option<AnyInteraction>> {
        self.asked("interaction")?;
        self.inner.interaction(tenant, id).await
    }

    async fn interactions(&self, query: InteractionQuery) -> Result<Page<AnyInteraction>> {
        self.asked("interactions")?;
        self.inner.interactions(query).await
    }

    async fn append_body(
        &self,
        tenant: &TenantId,
        upload: Uuid,
        index: u32,
        bytes: Vec<u8>,
        now: Timestamp,
    ) -> Result<()> {
        self.asked("append_body")?;
        self.inner
            .append_body(tenant, upload, index, bytes, now)
            .await
    }

    async fn finish_body(&self, order: BodyOrder) -> Result<AnyInteraction> {
        self.asked("finish_body")?;
        self.inner.finish_body(order).await
    }

    async fn drop_body(&self, tenant: &TenantId, upload: Uuid) -> Result<()> {
        self.asked("drop_body")?;
        self.inner.drop_body(tenant, upload).await
    }

    async fn read_body(
        &self,
        tenant: &TenantId,
        id: InteractionId,
        kind: BodyKind,
        index: u32,
    ) -> Result<Option<Vec<u8>>> {
        self.asked("read_body")?;
        self.inner.read_body(tenant, id, kind, index).await
    }

    async fn put_queue(&self, queue: Queue, expected: Option<u64>) -> Result<Queue> {
        self.asked("put_queue")?;
        self.inner.put_queue(queue, expected).await
    }

    async fn queue(&self, tenant: &TenantId, id: &QueueId) -> Result<Option<Queue>> {
        self.asked("queue")?;
        self.inner.queue(tenant, id).await
    }

    async fn queues(&self, tenant: &TenantId) -> Result<Vec<Queue>> {
        self.asked("queues")?;
        self.inner.queues(tenant).await
    }

    async fn queue_counts(&self, tenant: &TenantId, id: &QueueId) -> Result<Vec<(String, u64)>> {
        self.asked("queue_counts")?;
        self.inner.queue_counts(tenant, id).await
    }

    async fn slots(&self, query: SlotQuery) -> Result<SlotList> {
        self.asked("slots")?;
        self.inner.slots(query).await
    }

    async fn hold_slot(&self, order: HoldOrder) -> Result<SlotHold> {
        self.asked("hold_slot")?;
        self.inner.hold_slot(order).await
    }

    async fn release_hold(&self, tenant: &TenantId, id: HoldId, now: Timestamp) -> Result<bool> {
        self.asked("release_hold")?;
        self.inner.release_hold(tenant, id, now).await
    }

    async fn every_queue(&self) -> Result<Vec<Queue>> {
        self.asked("every_queue")?;
        self.inner.every_queue().await
    }

    async fn open_in_queue(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        after: Option<InteractionId>,
        limit: usize,
    ) -> Result<Vec<Callback>> {
        self.asked("open_in_queue")?;
        self.inner.open_in_queue(tenant, queue, after, limit).await
    }

    async fn learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
    ) -> Result<Option<serde_json::Value>> {
        self.asked("learned")?;
        self.inner.learned(tenant, queue).await
    }

    async fn put_learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        figures: serde_json::Value,
    ) -> Result<()> {
        self.asked("put_learned")?;
        self.inner.put_learned(tenant, queue, figures).await
    }

    async fn put_agent(&self, agent: Agent, expected: Option<u64>) -> Result<Agent> {
        self.asked("put_agent")?;
        self.inner.put_agent(agent, expected).await
    }

    async fn agent(&self, tenant: &TenantId, id: AgentId) -> Result<Option<Agent>> {
        self.asked("agent")?;
        self.inner.agent(tenant, id).await
    }

    async fn agents(&self, tenant: &TenantId) -> Result<Vec<Agent>> {
        self.asked("agents")?;
        self.inner.agents(tenant).await
    }

    async fn set_presence(
        &self,
        tenant: &TenantId,
        id: AgentId,
        presence: Presence,
        now: Timestamp,
    ) -> Result<Agent> {
        self.asked("set_presence")?;
        self.inner.set_presence(tenant, id, presence, now).await
    }

    async fn remove_agent(&self, tenant: &TenantId, id: AgentId) -> Result<bool> {
        self.asked("remove_agent")?;
        self.inner.remove_agent(tenant, id).await
    }

    async fn customer(&self, tenant: &TenantId, id: &CustomerId) -> Result<Option<Customer>> {
        self.asked("customer")?;
        self.inner.customer(tenant, id).await
    }

    async fn customer_by_contact(
        &self,
        tenant: &TenantId,
        contact: &str,
    ) -> Result<Option<Customer>> {
        self.asked("customer_by_contact")?;
        self.inner.customer_by_contact(tenant, contact).await
    }

    async fn customers(&self, query: CustomerQuery) -> Result<Page<Customer>> {
        self.asked("customers")?;
        self.inner.customers(query).await
    }

    async fn put_customer(&self, customer: Customer, expected: Option<u64>) -> Result<Customer> {
        self.asked("put_customer")?;
        self.inner.put_customer(customer, expected).await
    }

    async fn put_key(&self, key: ApiKey) -> Result<()> {
        self.asked("put_key")?;
        self.inner.put_key(key).await
    }

    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>> {
        self.asked("key_by_hash")?;
        self.inner.key_by_hash(hash).await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>> {
        self.asked("keys")?;
        self.inner.keys().await
    }

    async fn revoke_key(&self, id: Uuid, now: Timestamp) -> Result<bool> {
        self.asked("revoke_key")?;
        self.inner.revoke_key(id, now).await
    }

    async fn ping(&self) -> Result<()> {
        self.asked("ping")?;
        self.inner.ping().await
    }

    async fn clock(&self) -> Result<Option<Timestamp>> {
        self.asked("clock")?;
        let own = self
            .clock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match own {
            Some(own) => Ok(Some(own())),
            None => self.inner.clock().await,
        }
    }

    async fn counts(&self) -> Result<Vec<StateCount>> {
        self.asked("counts")?;
        self.inner.counts().await
    }

    async fn examine(&self) -> Result<Examination> {
        self.asked("examine")?;
        self.inner.examine().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
