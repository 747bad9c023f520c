//! The store with something between it and whoever asks it: each verb goes by a way of the test's choice, which may let it
//! fail, take its time, or answer something else.

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
use std::ops::Deref;
use std::time::Duration;
use tokio::sync::broadcast;
use uuid::Uuid;

/// What lies between. The verbs that have a method of their own may be answered otherwise as a whole.
pub trait Way: Send + Sync + 'static {
    fn store(&self) -> &dyn Store;

    /// `work` is the verb itself; it has not begun.
    fn reads<T: Send>(
        &self,
        verb: &'static str,
        work: impl Future<Output = Result<T>> + Send,
    ) -> impl Future<Output = Result<T>> + Send;

    fn writes<T: Send>(
        &self,
        verb: &'static str,
        work: impl Future<Output = Result<T>> + Send,
    ) -> impl Future<Output = Result<T>> + Send {
        self.reads(verb, work)
    }

    fn apply(&self, order: ApplyOrder) -> impl Future<Output = Result<Applied>> + Send {
        self.writes("apply", self.store().apply(order))
    }

    fn look_at_windows<'a>(
        &'a self,
        tenant: &'a TenantId,
        after: Option<RulesMark>,
        limit: usize,
    ) -> impl Future<Output = Result<WindowsSeen>> + Send {
        let work = self.store().look_at_windows(tenant, after, limit);
        self.writes("look_at_windows", work)
    }

    /// Nobody else uses the routes.
    fn share_routes(
        &self,
        _order: ShareOrder,
    ) -> impl Future<Output = Result<Option<Vec<u32>>>> + Send {
        async { Ok(None) }
    }

    fn prune(&self, now: Timestamp) -> impl Future<Output = Result<u64>> + Send {
        self.writes("prune", self.store().prune(now))
    }

    fn clock(&self) -> impl Future<Output = Result<Option<Timestamp>>> + Send {
        self.reads("clock", self.store().clock())
    }
}

pub struct Through<W>(pub W);

impl<W> Deref for Through<W> {
    type Target = W;

    fn deref(&self) -> &W {
        &self.0
    }
}

#[async_trait]
impl<W: Way> Store for Through<W> {
    async fn accept(&self, order: AcceptOrder) -> Result<Acceptance> {
        self.0.writes("accept", self.0.store().accept(order)).await
    }

    async fn answered(
        &self,
        tenant: &TenantId,
        application: i64,
        key: &str,
        fingerprint: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<StoredAnswer>> {
        self.0
            .reads(
                "answered",
                self.0
                    .store()
                    .answered(tenant, application, key, fingerprint, now),
            )
            .await
    }

    async fn apply(&self, order: ApplyOrder) -> Result<Applied> {
        self.0.apply(order).await
    }

    async fn claim_due(&self, order: ClaimOrder) -> Result<Claimed> {
        self.0
            .writes("claim_due", self.0.store().claim_due(order))
            .await
    }

    async fn look_at_windows(
        &self,
        tenant: &TenantId,
        after: Option<RulesMark>,
        limit: usize,
    ) -> Result<WindowsSeen> {
        self.0.look_at_windows(tenant, after, limit).await
    }

    async fn renew(
        &self,
        node: &NodeId,
        until: Timestamp,
        claims: Vec<HeldClaim>,
    ) -> Result<Vec<HeldClaim>> {
        self.0
            .writes("renew", self.0.store().renew(node, until, claims))
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
        self.0
            .writes(
                "take_lapsed",
                self.0.store().take_lapsed(node, now, lease, whose, limit),
            )
            .await
    }

    async fn note_legs(
        &self,
        tenant: &TenantId,
        attempt: AttemptId,
        fence: u64,
        legs: serde_json::Value,
    ) -> Result<()> {
        self.0
            .writes(
                "note_legs",
                self.0.store().note_legs(tenant, attempt, fence, legs),
            )
            .await
    }

    async fn share_routes(&self, order: ShareOrder) -> Result<Option<Vec<u32>>> {
        self.0.share_routes(order).await
    }

    async fn prune(&self, now: Timestamp) -> Result<u64> {
        self.0.prune(now).await
    }

    fn signals(&self) -> broadcast::Receiver<Signal> {
        self.0.store().signals()
    }

    async fn callback(&self, tenant: &TenantId, id: InteractionId) -> Result<Option<Callback>> {
        self.0
            .reads("callback", self.0.store().callback(tenant, id))
            .await
    }

    async fn callbacks(&self, query: CallbackQuery) -> Result<Page<Callback>> {
        self.0
            .reads("callbacks", self.0.store().callbacks(query))
            .await
    }

    async fn attempts(&self, tenant: &TenantId, callback: InteractionId) -> Result<Vec<Attempt>> {
        self.0
            .reads("attempts", self.0.store().attempts(tenant, callback))
            .await
    }

    async fn events(
        &self,
        tenant: &TenantId,
        callback: InteractionId,
        after: u32,
        limit: usize,
    ) -> Result<Vec<Event>> {
        self.0
            .reads(
                "events",
                self.0.store().events(tenant, callback, after, limit),
            )
            .await
    }

    async fn events_after(
        &self,
        tenant: &TenantId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Event>> {
        self.0
            .reads(
                "events_after",
                self.0.store().events_after(tenant, after, limit),
            )
            .await
    }

    async fn last_event(&self) -> Result<i64> {
        self.0
            .reads("last_event", self.0.store().last_event())
            .await
    }

    async fn guard_now(
        &self,
        tenant: &TenantId,
        callback: InteractionId,
        now: Timestamp,
    ) -> Result<Option<GuardAnswer>> {
        self.0
            .reads("guard_now", self.0.store().guard_now(tenant, callback, now))
            .await
    }

    async fn record(&self, order: RecordOrder) -> Result<Interaction> {
        self.0.writes("record", self.0.store().record(order)).await
    }

    async fn interaction(
        &self,
        tenant: &TenantId,
        id: InteractionId,
    ) -> Result<Option<AnyInteraction>> {
        self.0
            .reads("interaction", self.0.store().interaction(tenant, id))
            .await
    }

    async fn interactions(&self, query: InteractionQuery) -> Result<Page<AnyInteraction>> {
        self.0
            .reads("interactions", self.0.store().interactions(query))
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
        self.0
            .writes(
                "append_body",
                self.0
                    .store()
                    .append_body(tenant, upload, index, bytes, now),
            )
            .await
    }

    async fn finish_body(&self, order: BodyOrder) -> Result<AnyInteraction> {
        self.0
            .writes("finish_body", self.0.store().finish_body(order))
            .await
    }

    async fn drop_body(&self, tenant: &TenantId, upload: Uuid) -> Result<()> {
        self.0
            .writes("drop_body", self.0.store().drop_body(tenant, upload))
            .await
    }

    async fn read_body(
        &self,
        tenant: &TenantId,
        id: InteractionId,
        kind: BodyKind,
        index: u32,
    ) -> Result<Option<Vec<u8>>> {
        self.0
            .reads(
                "read_body",
                self.0.store().read_body(tenant, id, kind, index),
            )
            .await
    }

    async fn put_queue(&self, queue: Queue, expected: Option<u64>) -> Result<Queue> {
        self.0
            .writes("put_queue", self.0.store().put_queue(queue, expected))
            .await
    }

    async fn queue(&self, tenant: &TenantId, id: &QueueId) -> Result<Option<Queue>> {
        self.0
            .reads("queue", self.0.store().queue(tenant, id))
            .await
    }

    async fn queues(&self, tenant: &TenantId) -> Result<Vec<Queue>> {
        self.0.reads("queues", self.0.store().queues(tenant)).await
    }

    async fn queue_counts(&self, tenant: &TenantId, id: &QueueId) -> Result<Vec<(String, u64)>> {
        self.0
            .reads("queue_counts", self.0.store().queue_counts(tenant, id))
            .await
    }

    async fn slots(&self, query: SlotQuery) -> Result<SlotList> {
        self.0.reads("slots", self.0.store().slots(query)).await
    }

    async fn hold_slot(&self, order: HoldOrder) -> Result<SlotHold> {
        self.0
            .writes("hold_slot", self.0.store().hold_slot(order))
            .await
    }

    async fn release_hold(&self, tenant: &TenantId, id: HoldId, now: Timestamp) -> Result<bool> {
        self.0
            .writes("release_hold", self.0.store().release_hold(tenant, id, now))
            .await
    }

    async fn every_queue(&self) -> Result<Vec<Queue>> {
        self.0
            .reads("every_queue", self.0.store().every_queue())
            .await
    }

    async fn open_in_queue(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        after: Option<InteractionId>,
        limit: usize,
    ) -> Result<Vec<Callback>> {
        self.0
            .reads(
                "open_in_queue",
                self.0.store().open_in_queue(tenant, queue, after, limit),
            )
            .await
    }

    async fn learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
    ) -> Result<Option<serde_json::Value>> {
        self.0
            .reads("learned", self.0.store().learned(tenant, queue))
            .await
    }

    async fn put_learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        figures: serde_json::Value,
    ) -> Result<()> {
        self.0
            .writes(
                "put_learned",
                self.0.store().put_learned(tenant, queue, figures),
            )
            .await
    }

    async fn put_agent(&self, agent: Agent, expected: Option<u64>) -> Result<Agent> {
        self.0
            .writes("put_agent", self.0.store().put_agent(agent, expected))
            .await
    }

    async fn agent(&self, tenant: &TenantId, id: AgentId) -> Result<Option<Agent>> {
        self.0
            .reads("agent", self.0.store().agent(tenant, id))
            .await
    }

    async fn agents(&self, tenant: &TenantId) -> Result<Vec<Agent>> {
        self.0.reads("agents", self.0.store().agents(tenant)).await
    }

    async fn set_presence(
        &self,
        tenant: &TenantId,
        id: AgentId,
        presence: Presence,
        now: Timestamp,
    ) -> Result<Agent> {
        self.0
            .writes(
                "set_presence",
                self.0.store().set_presence(tenant, id, presence, now),
            )
            .await
    }

    async fn remove_agent(&self, tenant: &TenantId, id: AgentId) -> Result<bool> {
        self.0
            .writes("remove_agent", self.0.store().remove_agent(tenant, id))
            .await
    }

    async fn customer(&self, tenant: &TenantId, id: &CustomerId) -> Result<Option<Customer>> {
        self.0
            .reads("customer", self.0.store().customer(tenant, id))
            .await
    }

    async fn customer_by_contact(
        &self,
        tenant: &TenantId,
        contact: &str,
    ) -> Result<Option<Customer>> {
        self.0
            .reads(
                "customer_by_contact",
                self.0.store().customer_by_contact(tenant, contact),
            )
            .await
    }

    async fn customers(&self, query: CustomerQuery) -> Result<Page<Customer>> {
        self.0
            .reads("customers", self.0.store().customers(query))
            .await
    }

    async fn put_customer(&self, customer: Customer, expected: Option<u64>) -> Result<Customer> {
        self.0
            .writes(
                "put_customer",
                self.0.store().put_customer(customer, expected),
            )
            .await
    }

    async fn put_key(&self, key: ApiKey) -> Result<()> {
        self.0.writes("put_key", self.0.store().put_key(key)).await
    }

    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>> {
        self.0
            .reads("key_by_hash", self.0.store().key_by_hash(hash))
            .await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>> {
        self.0.reads("keys", self.0.store().keys()).await
    }

    async fn revoke_key(&self, id: Uuid, now: Timestamp) -> Result<bool> {
        self.0
            .writes("revoke_key", self.0.store().revoke_key(id, now))
            .await
    }

    async fn ping(&self) -> Result<()> {
        self.0.reads("ping", self.0.store().ping()).await
    }

    async fn clock(&self) -> Result<Option<Timestamp>> {
        self.0.clock().await
    }

    async fn counts(&self) -> Result<Vec<StateCount>> {
        self.0.reads("counts", self.0.store().counts()).await
    }

    async fn examine(&self) -> Result<Examination> {
        self.0.reads("examine", self.0.store().examine()).await
    }

    async fn close(&self) {
        self.0.store().close().await;
    }
}
