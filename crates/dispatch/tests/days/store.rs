//! The store as a node sees it: it fails before the commit or after it, takes its time, and the node may
//! die on either side of it.
//!
//! Every verb runs to its end while this one thread waits, so that the writer's own thread cannot make
//! two runs of the same day differ.

use crate::ghosts::Ghosts;
use crate::wall::{Faults, Life};
use crate::watch::Watch;
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
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::queue::Queue;
use ringback_store::*;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use uuid::Uuid;

pub struct Troubled {
    /// The prompt one, if this one is troubled.
    raw: Arc<dyn Store>,
    /// `None`: everything works.
    trouble: Option<Trouble>,
}

pub struct Trouble {
    pub life: Arc<Life>,
    pub faults: Arc<Faults>,
    pub watch: Arc<Watch>,
    pub ghosts: Arc<Ghosts>,
}

impl Troubled {
    /// The store itself, prompt and faultless.
    pub fn prompt(raw: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Troubled { raw, trouble: None })
    }

    pub fn with(raw: Arc<dyn Store>, trouble: Trouble) -> Arc<dyn Store> {
        Arc::new(Troubled {
            raw,
            trouble: Some(trouble),
        })
    }

    async fn read<T>(&self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let Some(trouble) = &self.trouble else {
            return prompt(work);
        };
        trouble.life.step().await;
        trouble.faults.before().await?;
        let answer = work.await;
        trouble.life.step().await;
        answer
    }

    async fn write<T>(&self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let Some(trouble) = &self.trouble else {
            return prompt(work);
        };
        trouble.life.step().await;
        trouble.faults.before().await?;
        // While the answer was on its way the node may have died or stood still.
        trouble.life.step().await;
        let answer = work.await;
        if let Err(StoreError::Failed(why)) = &answer {
            trouble
                .watch
                .breach(format!("the store failed by itself: {why}"));
        }
        trouble.life.step().await;
        trouble.faults.after().await?;
        answer
    }
}

/// Unconstrained: the runtime holds up a task that has done much, and here nobody could let it go on.
fn prompt<T>(work: impl Future<Output = T>) -> T {
    futures::executor::block_on(tokio::task::unconstrained(work))
}

#[async_trait]
impl Store for Troubled {
    async fn accept(&self, order: AcceptOrder) -> Result<Acceptance> {
        self.write(self.raw.accept(order)).await
    }

    async fn answered(
        &self,
        tenant: &TenantId,
        application: i64,
        key: &str,
        fingerprint: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<StoredAnswer>> {
        self.read(
            self.raw
                .answered(tenant, application, key, fingerprint, now),
        )
        .await
    }

    async fn apply(&self, order: ApplyOrder) -> Result<Applied> {
        let Some(trouble) = &self.trouble else {
            return self.read(self.raw.apply(order)).await;
        };
        let (command, now) = (order.command.clone(), order.now);
        let (tenant, id) = (order.tenant.clone(), order.callback);
        self.write(async {
            let applied = self.raw.apply(order).await;
            if let Ok(Applied::Done(callback, _)) = &applied {
                if let Command::BeginAttempt { begin, .. } = &command {
                    trouble.watch.begun(callback, begin.attempt, now).await;
                }
                trouble.ghosts.remember(tenant, id, command);
            }
            applied
        })
        .await
    }

    async fn claim_due(&self, order: ClaimOrder) -> Result<Claimed> {
        self.write(self.raw.claim_due(order)).await
    }

    async fn look_at_windows(
        &self,
        tenant: &TenantId,
        after: Option<RulesMark>,
        limit: usize,
    ) -> Result<WindowsSeen> {
        self.write(self.raw.look_at_windows(tenant, after, limit))
            .await
    }

    async fn renew(
        &self,
        node: &NodeId,
        until: Timestamp,
        claims: Vec<HeldClaim>,
    ) -> Result<Vec<HeldClaim>> {
        self.write(self.raw.renew(node, until, claims)).await
    }

    async fn take_lapsed(
        &self,
        node: &NodeId,
        now: Timestamp,
        lease: Duration,
        whose: Whose,
        limit: usize,
    ) -> Result<Vec<Lapsed>> {
        self.write(self.raw.take_lapsed(node, now, lease, whose, limit))
            .await
    }

    async fn note_legs(
        &self,
        tenant: &TenantId,
        attempt: AttemptId,
        fence: u64,
        legs: serde_json::Value,
    ) -> Result<()> {
        self.write(self.raw.note_legs(tenant, attempt, fence, legs))
            .await
    }

    async fn prune(&self, now: Timestamp) -> Result<u64> {
        self.write(self.raw.prune(now)).await
    }

    fn signals(&self) -> broadcast::Receiver<Signal> {
        self.raw.signals()
    }

    async fn callback(&self, tenant: &TenantId, id: InteractionId) -> Result<Option<Callback>> {
        self.read(self.raw.callback(tenant, id)).await
    }

    async fn callbacks(&self, query: CallbackQuery) -> Result<Page<Callback>> {
        self.read(self.raw.callbacks(query)).await
    }

    async fn attempts(&self, tenant: &TenantId, callback: InteractionId) -> Result<Vec<Attempt>> {
        self.read(self.raw.attempts(tenant, callback)).await
    }

    async fn events(
        &self,
        tenant: &TenantId,
        callback: InteractionId,
        after: u32,
        limit: usize,
    ) -> Result<Vec<Event>> {
        self.read(self.raw.events(tenant, callback, after, limit))
            .await
    }

    async fn events_after(
        &self,
        tenant: &TenantId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Event>> {
        self.read(self.raw.events_after(tenant, after, limit)).await
    }

    async fn last_event(&self) -> Result<i64> {
        self.read(self.raw.last_event()).await
    }

    async fn guard_now(
        &self,
        tenant: &TenantId,
        callback: InteractionId,
        now: Timestamp,
    ) -> Result<Option<GuardAnswer>> {
        self.read(self.raw.guard_now(tenant, callback, now)).await
    }

    async fn record(&self, order: RecordOrder) -> Result<Interaction> {
        self.write(self.raw.record(order)).await
    }

    async fn interaction(
        &self,
        tenant: &TenantId,
        id: InteractionId,
    ) -> Result<Option<AnyInteraction>> {
        self.read(self.raw.interaction(tenant, id)).await
    }

    async fn interactions(&self, query: InteractionQuery) -> Result<Page<AnyInteraction>> {
        self.read(self.raw.interactions(query)).await
    }

    async fn append_body(
        &self,
        tenant: &TenantId,
        upload: Uuid,
        index: u32,
        bytes: Vec<u8>,
        now: Timestamp,
    ) -> Result<()> {
        self.write(self.raw.append_body(tenant, upload, index, bytes, now))
            .await
    }

    async fn finish_body(&self, order: BodyOrder) -> Result<AnyInteraction> {
        self.write(self.raw.finish_body(order)).await
    }

    async fn drop_body(&self, tenant: &TenantId, upload: Uuid) -> Result<()> {
        self.write(self.raw.drop_body(tenant, upload)).await
    }

    async fn read_body(
        &self,
        tenant: &TenantId,
        id: InteractionId,
        kind: BodyKind,
        index: u32,
    ) -> Result<Option<Vec<u8>>> {
        self.read(self.raw.read_body(tenant, id, kind, index)).await
    }

    async fn put_queue(&self, queue: Queue, expected: Option<u64>) -> Result<Queue> {
        self.write(self.raw.put_queue(queue, expected)).await
    }

    async fn queue(&self, tenant: &TenantId, id: &QueueId) -> Result<Option<Queue>> {
        self.read(self.raw.queue(tenant, id)).await
    }

    async fn queues(&self, tenant: &TenantId) -> Result<Vec<Queue>> {
        self.read(self.raw.queues(tenant)).await
    }

    async fn queue_counts(&self, tenant: &TenantId, id: &QueueId) -> Result<Vec<(String, u64)>> {
        self.read(self.raw.queue_counts(tenant, id)).await
    }

    async fn slots(&self, query: SlotQuery) -> Result<SlotList> {
        self.read(self.raw.slots(query)).await
    }

    async fn hold_slot(&self, order: HoldOrder) -> Result<SlotHold> {
        self.write(self.raw.hold_slot(order)).await
    }

    async fn release_hold(&self, tenant: &TenantId, id: HoldId, now: Timestamp) -> Result<bool> {
        self.write(self.raw.release_hold(tenant, id, now)).await
    }

    async fn every_queue(&self) -> Result<Vec<Queue>> {
        self.read(self.raw.every_queue()).await
    }

    async fn open_in_queue(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        after: Option<InteractionId>,
        limit: usize,
    ) -> Result<Vec<Callback>> {
        self.read(self.raw.open_in_queue(tenant, queue, after, limit))
            .await
    }

    async fn learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
    ) -> Result<Option<serde_json::Value>> {
        self.read(self.raw.learned(tenant, queue)).await
    }

    async fn put_learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        figures: serde_json::Value,
    ) -> Result<()> {
        self.write(self.raw.put_learned(tenant, queue, figures))
            .await
    }

    async fn put_agent(&self, agent: Agent, expected: Option<u64>) -> Result<Agent> {
        self.write(self.raw.put_agent(agent, expected)).await
    }

    async fn agent(&self, tenant: &TenantId, id: AgentId) -> Result<Option<Agent>> {
        self.read(self.raw.agent(tenant, id)).await
    }

    async fn agents(&self, tenant: &TenantId) -> Result<Vec<Agent>> {
        self.read(self.raw.agents(tenant)).await
    }

    async fn set_presence(
        &self,
        tenant: &TenantId,
        id: AgentId,
        presence: Presence,
        now: Timestamp,
    ) -> Result<Agent> {
        self.write(self.raw.set_presence(tenant, id, presence, now))
            .await
    }

    async fn remove_agent(&self, tenant: &TenantId, id: AgentId) -> Result<bool> {
        self.write(self.raw.remove_agent(tenant, id)).await
    }

    async fn customer(&self, tenant: &TenantId, id: &CustomerId) -> Result<Option<Customer>> {
        self.read(self.raw.customer(tenant, id)).await
    }

    async fn customer_by_contact(
        &self,
        tenant: &TenantId,
        contact: &str,
    ) -> Result<Option<Customer>> {
        self.read(self.raw.customer_by_contact(tenant, contact))
            .await
    }

    async fn customers(&self, query: CustomerQuery) -> Result<Page<Customer>> {
        self.read(self.raw.customers(query)).await
    }

    async fn put_customer(&self, customer: Customer, expected: Option<u64>) -> Result<Customer> {
        self.write(self.raw.put_customer(customer, expected)).await
    }

    async fn put_key(&self, key: ApiKey) -> Result<()> {
        self.write(self.raw.put_key(key)).await
    }

    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>> {
        self.read(self.raw.key_by_hash(hash)).await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>> {
        self.read(self.raw.keys()).await
    }

    async fn revoke_key(&self, id: Uuid, now: Timestamp) -> Result<bool> {
        self.write(self.raw.revoke_key(id, now)).await
    }

    async fn ping(&self) -> Result<()> {
        self.read(self.raw.ping()).await
    }

    async fn clock(&self) -> Result<Option<Timestamp>> {
        // It has none, and asking is no step at which anything could happen: the day is not to wait for a thread that
        // it does not know of.
        Ok(None)
    }

    async fn counts(&self) -> Result<Vec<StateCount>> {
        self.read(self.raw.counts()).await
    }

    async fn examine(&self) -> Result<Examination> {
        self.read(self.raw.examine()).await
    }

    async fn close(&self) {
        self.raw.close().await;
    }
}
