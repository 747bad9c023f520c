//! A store whose verbs run to their end while the one thread of a test waits, so that the clock is not turned on while a
//! writer's thread is still at work.

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
use ringback_store::*;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;
use uuid::Uuid;

pub struct Prompt {
    inner: Arc<dyn Store>,
    sharing: Mutex<Option<Sharing>>,
    time: Mutex<Option<Time>>,
    applying: Mutex<Option<Applying>>,
    looking: Mutex<Option<Looking>>,
    prunes_for_ever: AtomicBool,
}

/// What other nodes leave of the routes.
type Sharing = Box<dyn FnMut(&ShareOrder) -> Result<Option<Vec<u32>>> + Send>;

/// What is wrong with a command; `None`: nothing.
type Applying = Box<dyn FnMut(&ApplyOrder) -> Option<StoreError> + Send>;

/// What is seen where windows in local time are looked at.
type Looking = Box<dyn FnMut() -> Result<WindowsSeen> + Send>;

/// What a database's clock shows.
type Time = Box<dyn Fn() -> Timestamp + Send>;

impl Prompt {
    pub fn of(inner: Arc<dyn Store>) -> Arc<Prompt> {
        Arc::new(Prompt {
            inner,
            sharing: Mutex::default(),
            time: Mutex::default(),
            applying: Mutex::default(),
            looking: Mutex::default(),
            prunes_for_ever: AtomicBool::new(false),
        })
    }

    /// From now on there are other nodes, and this is how it is answered what they leave of the routes.
    pub fn shares(
        &self,
        answer: impl FnMut(&ShareOrder) -> Result<Option<Vec<u32>>> + Send + 'static,
    ) {
        *locked(&self.sharing) = Some(Box::new(answer));
    }

    /// From now on these commands fail.
    pub fn refuses(&self, fault: impl FnMut(&ApplyOrder) -> Option<StoreError> + Send + 'static) {
        *locked(&self.applying) = Some(Box::new(fault));
    }

    /// From now on this is seen where windows in local time are looked at.
    pub fn sees(&self, windows: impl FnMut() -> Result<WindowsSeen> + Send + 'static) {
        *locked(&self.looking) = Some(Box::new(windows));
    }

    /// From now on no pruning comes to its end.
    pub fn prunes_for_ever(&self) {
        self.prunes_for_ever.store(true, Ordering::SeqCst);
    }

    /// From now on the database has a clock, which shows this.
    pub fn shows(&self, time: impl Fn() -> Timestamp + Send + 'static) {
        *locked(&self.time) = Some(Box::new(time));
    }
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Unconstrained: the runtime holds up a task that has done much, and here nobody could let it go on.
fn prompt<T>(work: impl Future<Output = T>) -> T {
    futures::executor::block_on(tokio::task::unconstrained(work))
}

#[async_trait]
impl Store for Prompt {
    async fn accept(&self, order: AcceptOrder) -> Result<Acceptance> {
        prompt(self.inner.accept(order))
    }

    async fn answered(
        &self,
        tenant: &TenantId,
        application: i64,
        key: &str,
        fingerprint: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<StoredAnswer>> {
        prompt(
            self.inner
                .answered(tenant, application, key, fingerprint, now),
        )
    }

    async fn apply(&self, order: ApplyOrder) -> Result<Applied> {
        let fault = locked(&self.applying)
            .as_mut()
            .and_then(|fault| fault(&order));
        match fault {
            Some(fault) => Err(fault),
            None => prompt(self.inner.apply(order)),
        }
    }

    async fn claim_due(&self, order: ClaimOrder) -> Result<Claimed> {
        prompt(self.inner.claim_due(order))
    }

    async fn look_at_windows(
        &self,
        tenant: &TenantId,
        after: Option<RulesMark>,
        limit: usize,
    ) -> Result<WindowsSeen> {
        match &mut *locked(&self.looking) {
            Some(windows) => windows(),
            None => prompt(self.inner.look_at_windows(tenant, after, limit)),
        }
    }

    async fn renew(
        &self,
        node: &NodeId,
        until: Timestamp,
        claims: Vec<HeldClaim>,
    ) -> Result<Vec<HeldClaim>> {
        prompt(self.inner.renew(node, until, claims))
    }

    async fn take_lapsed(
        &self,
        node: &NodeId,
        now: Timestamp,
        lease: Duration,
        whose: Whose,
        limit: usize,
    ) -> Result<Vec<Lapsed>> {
        prompt(self.inner.take_lapsed(node, now, lease, whose, limit))
    }

    async fn share_routes(&self, order: ShareOrder) -> Result<Option<Vec<u32>>> {
        match &mut *locked(&self.sharing) {
            Some(answer) => answer(&order),
            None => Ok(None),
        }
    }

    async fn note_legs(
        &self,
        tenant: &TenantId,
        attempt: AttemptId,
        fence: u64,
        legs: serde_json::Value,
    ) -> Result<()> {
        prompt(self.inner.note_legs(tenant, attempt, fence, legs))
    }

    async fn prune(&self, now: Timestamp) -> Result<u64> {
        if self.prunes_for_ever.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        prompt(self.inner.prune(now))
    }

    fn signals(&self) -> broadcast::Receiver<Signal> {
        self.inner.signals()
    }

    async fn callback(&self, tenant: &TenantId, id: InteractionId) -> Result<Option<Callback>> {
        prompt(self.inner.callback(tenant, id))
    }

    async fn callbacks(&self, query: CallbackQuery) -> Result<Page<Callback>> {
        prompt(self.inner.callbacks(query))
    }

    async fn attempts(&self, tenant: &TenantId, callback: InteractionId) -> Result<Vec<Attempt>> {
        prompt(self.inner.attempts(tenant, callback))
    }

    async fn events(
        &self,
        tenant: &TenantId,
        callback: InteractionId,
        after: u32,
        limit: usize,
    ) -> Result<Vec<Event>> {
        prompt(self.inner.events(tenant, callback, after, limit))
    }

    async fn events_after(
        &self,
        tenant: &TenantId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Event>> {
        prompt(self.inner.events_after(tenant, after, limit))
    }

    async fn last_event(&self) -> Result<i64> {
        prompt(self.inner.last_event())
    }

    async fn guard_now(
        &self,
        tenant: &TenantId,
        callback: InteractionId,
        now: Timestamp,
    ) -> Result<Option<GuardAnswer>> {
        prompt(self.inner.guard_now(tenant, callback, now))
    }

    async fn record(&self, order: RecordOrder) -> Result<Interaction> {
        prompt(self.inner.record(order))
    }

    async fn interaction(
        &self,
        tenant: &TenantId,
        id: InteractionId,
    ) -> Result<Option<AnyInteraction>> {
        prompt(self.inner.interaction(tenant, id))
    }

    async fn interactions(&self, query: InteractionQuery) -> Result<Page<AnyInteraction>> {
        prompt(self.inner.interactions(query))
    }

    async fn append_body(
        &self,
        tenant: &TenantId,
        upload: Uuid,
        index: u32,
        bytes: Vec<u8>,
        now: Timestamp,
    ) -> Result<()> {
        prompt(self.inner.append_body(tenant, upload, index, bytes, now))
    }

    async fn finish_body(&self, order: BodyOrder) -> Result<AnyInteraction> {
        prompt(self.inner.finish_body(order))
    }

    async fn drop_body(&self, tenant: &TenantId, upload: Uuid) -> Result<()> {
        prompt(self.inner.drop_body(tenant, upload))
    }

    async fn read_body(
        &self,
        tenant: &TenantId,
        id: InteractionId,
        kind: BodyKind,
        index: u32,
    ) -> Result<Option<Vec<u8>>> {
        prompt(self.inner.read_body(tenant, id, kind, index))
    }

    async fn put_queue(&self, queue: Queue, expected: Option<u64>) -> Result<Queue> {
        prompt(self.inner.put_queue(queue, expected))
    }

    async fn queue(&self, tenant: &TenantId, id: &QueueId) -> Result<Option<Queue>> {
        prompt(self.inner.queue(tenant, id))
    }

    async fn queues(&self, tenant: &TenantId) -> Result<Vec<Queue>> {
        prompt(self.inner.queues(tenant))
    }

    async fn queue_counts(&self, tenant: &TenantId, id: &QueueId) -> Result<Vec<(String, u64)>> {
        prompt(self.inner.queue_counts(tenant, id))
    }

    async fn slots(&self, query: SlotQuery) -> Result<SlotList> {
        prompt(self.inner.slots(query))
    }

    async fn hold_slot(&self, order: HoldOrder) -> Result<SlotHold> {
        prompt(self.inner.hold_slot(order))
    }

    async fn release_hold(&self, tenant: &TenantId, id: HoldId, now: Timestamp) -> Result<bool> {
        prompt(self.inner.release_hold(tenant, id, now))
    }

    async fn every_queue(&self) -> Result<Vec<Queue>> {
        prompt(self.inner.every_queue())
    }

    async fn open_in_queue(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        after: Option<InteractionId>,
        limit: usize,
    ) -> Result<Vec<Callback>> {
        prompt(self.inner.open_in_queue(tenant, queue, after, limit))
    }

    async fn learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
    ) -> Result<Option<serde_json::Value>> {
        prompt(self.inner.learned(tenant, queue))
    }

    async fn put_learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        figures: serde_json::Value,
    ) -> Result<()> {
        prompt(self.inner.put_learned(tenant, queue, figures))
    }

    async fn put_agent(&self, agent: Agent, expected: Option<u64>) -> Result<Agent> {
        prompt(self.inner.put_agent(agent, expected))
    }

    async fn agent(&self, tenant: &TenantId, id: AgentId) -> Result<Option<Agent>> {
        prompt(self.inner.agent(tenant, id))
    }

    async fn agents(&self, tenant: &TenantId) -> Result<Vec<Agent>> {
        prompt(self.inner.agents(tenant))
    }

    async fn set_presence(
        &self,
        tenant: &TenantId,
        id: AgentId,
        presence: Presence,
        now: Timestamp,
    ) -> Result<Agent> {
        prompt(self.inner.set_presence(tenant, id, presence, now))
    }

    async fn remove_agent(&self, tenant: &TenantId, id: AgentId) -> Result<bool> {
        prompt(self.inner.remove_agent(tenant, id))
    }

    async fn customer(&self, tenant: &TenantId, id: &CustomerId) -> Result<Option<Customer>> {
        prompt(self.inner.customer(tenant, id))
    }

    async fn customer_by_contact(
        &self,
        tenant: &TenantId,
        contact: &str,
    ) -> Result<Option<Customer>> {
        prompt(self.inner.customer_by_contact(tenant, contact))
    }

    async fn customers(&self, query: CustomerQuery) -> Result<Page<Customer>> {
        prompt(self.inner.customers(query))
    }

    async fn put_customer(&self, customer: Customer, expected: Option<u64>) -> Result<Customer> {
        prompt(self.inner.put_customer(customer, expected))
    }

    async fn put_key(&self, key: ApiKey) -> Result<()> {
        prompt(self.inner.put_key(key))
    }

    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>> {
        prompt(self.inner.key_by_hash(hash))
    }

    async fn keys(&self) -> Result<Vec<ApiKey>> {
        prompt(self.inner.keys())
    }

    async fn revoke_key(&self, id: Uuid, now: Timestamp) -> Result<bool> {
        prompt(self.inner.revoke_key(id, now))
    }

    async fn ping(&self) -> Result<()> {
        prompt(self.inner.ping())
    }

    async fn clock(&self) -> Result<Option<Timestamp>> {
        Ok(locked(&self.time).as_ref().map(|time| time()))
    }

    async fn counts(&self) -> Result<Vec<StateCount>> {
        prompt(self.inner.counts())
    }

    async fn examine(&self) -> Result<Examination> {
        prompt(self.inner.examine())
    }

    async fn close(&self) {
        prompt(self.inner.close());
    }
}
