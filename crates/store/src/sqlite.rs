//! The SQLite twin: one file, one writer that commits what has gathered, a few readers beside it.

mod accept;
mod agents;
mod bodies;
mod claim;
mod customers;
mod duplicates;
mod examine;
mod faults;
mod gather;
mod idempotency;
mod keys;
mod migrations;
mod open;
mod path;
mod planning;
mod queues;
mod readers;
mod reads;
mod record;
mod rows;
mod seating;
mod slots;
mod writer;

use crate::facts::QueueViews;
use crate::{
    AcceptOrder, Acceptance, AnyInteraction, ApiKey, Applied, ApplyOrder, BodyOrder, CallbackQuery,
    ClaimOrder, Claimed, CustomerQuery, Examination, GuardAnswer, HeldClaim, HoldOrder,
    InteractionQuery, Lapsed, OpenOptions, Page, RecordOrder, Result, Signal, SlotHold, SlotList,
    SlotQuery, StateCount, Store, StoreError, StoredAnswer,
};
use async_trait::async_trait;
use jiff::Timestamp;
use open::Doors;
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
use rusqlite::{Connection, params};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::broadcast;
use uuid::Uuid;
use writer::Write;

/// Signals a slow listener may fall behind before it is told that it lagged.
const SIGNALS: usize = 4096;
/// Rows deleted in one transaction, so that clearing up never keeps intake waiting.
const PRUNED: usize = 500;
/// Rounds of one prune; what is left is left to the next.
const PRUNE_ROUNDS: usize = 1000;

/// What every verb needs besides the connection.
struct House {
    chance: Arc<dyn Chance>,
    views: QueueViews,
    options: OpenOptions,
}

pub(crate) struct Sqlite {
    doors: Doors,
    house: Arc<House>,
    signals: broadcast::Sender<Signal>,
    closed: AtomicBool,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

pub(crate) async fn open(
    path: &str,
    options: OpenOptions,
    chance: Arc<dyn Chance>,
) -> Result<Sqlite> {
    let path = path.to_owned();
    let (signals, _) = broadcast::channel(SIGNALS);
    let told = signals.clone();
    let house = Arc::new(House {
        chance,
        views: QueueViews::new(Arc::clone(&options.almanac)),
        options: options.clone(),
    });
    // Opening reads the log of the last run and may migrate: not work for a thread that serves others.
    let doors = tokio::task::spawn_blocking(move || {
        open::open(
            &path,
            &options,
            told,
            writer::commit(),
            writer::exit_at_once(),
        )
    })
    .await
    .map_err(|_| StoreError::Failed("opening the database broke off".to_owned()))??;
    Ok(Sqlite {
        doors,
        house,
        signals,
        closed: AtomicBool::new(false),
    })
}

impl Sqlite {
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Write<'_>, &House) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.still_open()?;
        if self.house.options.read_only {
            return Err(StoreError::Configuration(
                "the database is open for reading only".to_owned(),
            ));
        }
        let house = Arc::clone(&self.house);
        self.doors
            .writer
            .write(move |write| work(write, &house))
            .await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &House) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.still_open()?;
        let house = Arc::clone(&self.house);
        match &self.doors.readers {
            Some(readers) => readers.read(move |conn| work(conn, &house)).await,
            None => {
                self.doors
                    .writer
                    .write(move |write| work(write.conn, &house))
                    .await
            }
        }
    }

    fn still_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            Err(StoreError::Closed)
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn accept(&self, order: AcceptOrder) -> Result<Acceptance> {
        self.write(move |write, house| accept::accept(write, house, order))
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
        self.read(move |conn, _| {
            idempotency::seen(conn, &tenant, application, &key, &fingerprint, now)
        })
        .await
    }

    async fn apply(&self, order: ApplyOrder) -> Result<Applied> {
        self.write(move |write, house| path::apply(write, house, order))
            .await
    }

    async fn claim_due(&self, order: ClaimOrder) -> Result<Claimed> {
        self.write(move |write, house| claim::claim_due(write, house, &order))
            .await
    }

    async fn next_wake(&self) -> Result<Option<Timestamp>> {
        self.read(|conn, _| claim::next_wake(conn)).await
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
        self.write(move |write, _| claim::renew(write.conn, &node, until, claims))
            .await
    }

    async fn take_lapsed(
        &self,
        node: &NodeId,
        now: Timestamp,
        lease: Duration,
        limit: usize,
    ) -> Result<Vec<Lapsed>> {
        let node = node.clone();
        self.write(move |write, house| claim::take_lapsed(write, house, &node, now, lease, limit))
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
        self.write(move |write, _| path::note_legs(write.conn, &tenant, attempt, fence, &legs))
            .await
    }

    async fn prune(&self, now: Timestamp) -> Result<u64> {
        let mut gone = 0;
        for _ in 0..PRUNE_ROUNDS {
            let round = self
                .write(move |write, _| {
                    Ok(idempotency::prune(write.conn, now, PRUNED)?
                        + bodies::prune(write.conn, now, PRUNED / 50)?
                        + slots::prune(write.conn, now, PRUNED)?)
                })
                .await?;
            gone += round;
            if round == 0 {
                break;
            }
        }
        Ok(gone)
    }

    fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }

    async fn callback(&self, tenant: &TenantId, id: InteractionId) -> Result<Option<Callback>> {
        let tenant = tenant.clone();
        self.read(move |conn, _| rows::read_callback(conn, &tenant, id))
            .await
    }

    async fn callbacks(&self, query: CallbackQuery) -> Result<Page<Callback>> {
        self.read(move |conn, _| reads::callbacks(conn, &query))
            .await
    }

    async fn attempts(&self, tenant: &TenantId, callback: InteractionId) -> Result<Vec<Attempt>> {
        let tenant = tenant.clone();
        self.read(move |conn, _| rows::read_attempts(conn, &tenant, callback))
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
        self.read(move |conn, _| reads::events(conn, &tenant, callback, after, limit))
            .await
    }

    async fn events_after(
        &self,
        tenant: &TenantId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Event>> {
        let tenant = tenant.clone();
        self.read(move |conn, _| reads::events_after(conn, &tenant, after, limit))
            .await
    }

    async fn last_event(&self) -> Result<i64> {
        self.read(|conn, _| reads::last_event(conn)).await
    }

    async fn guard_now(
        &self,
        tenant: &TenantId,
        callback: InteractionId,
        now: Timestamp,
    ) -> Result<Option<GuardAnswer>> {
        let tenant = tenant.clone();
        self.read(move |conn, house| reads::guard_now(conn, house, &tenant, callback, now))
            .await
    }

    async fn record(&self, order: RecordOrder) -> Result<Interaction> {
        self.write(move |write, house| record::record(write, house, order))
            .await
    }

    async fn interaction(
        &self,
        tenant: &TenantId,
        id: InteractionId,
    ) -> Result<Option<AnyInteraction>> {
        let tenant = tenant.clone();
        self.read(move |conn, _| record::read_any(conn, &tenant, id))
            .await
    }

    async fn interactions(&self, query: InteractionQuery) -> Result<Page<AnyInteraction>> {
        self.read(move |conn, _| reads::interactions(conn, &query))
            .await
    }

    async fn append_body(
        &self,
        upload: Uuid,
        index: u32,
        bytes: Vec<u8>,
        now: Timestamp,
    ) -> Result<()> {
        self.write(move |write, _| bodies::append(write.conn, upload, index, &bytes, now))
            .await
    }

    async fn finish_body(&self, order: BodyOrder) -> Result<AnyInteraction> {
        self.write(move |write, house| bodies::finish(write, house, order))
            .await
    }

    async fn drop_body(&self, upload: Uuid) -> Result<()> {
        self.write(move |write, _| bodies::abandon(write.conn, upload))
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
        self.read(move |conn, _| bodies::read_chunk(conn, &tenant, id, kind, index))
            .await
    }

    async fn put_queue(&self, queue: Queue, expected: Option<u64>) -> Result<Queue> {
        self.write(move |write, _| queues::put(write, queue, expected))
            .await
    }

    async fn queue(&self, tenant: &TenantId, id: &QueueId) -> Result<Option<Queue>> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.read(move |conn, _| queues::read(conn, &tenant, &id))
            .await
    }

    async fn queues(&self, tenant: &TenantId) -> Result<Vec<Queue>> {
        let tenant = tenant.clone();
        self.read(move |conn, _| queues::list(conn, &tenant)).await
    }

    async fn queue_counts(&self, tenant: &TenantId, id: &QueueId) -> Result<Vec<(String, u64)>> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.read(move |conn, _| queues::counts(conn, &tenant, &id))
            .await
    }

    async fn slots(&self, query: SlotQuery) -> Result<SlotList> {
        self.read(move |conn, house| slots::list(conn, house, &query))
            .await
    }

    async fn hold_slot(&self, order: HoldOrder) -> Result<SlotHold> {
        self.write(move |write, house| slots::hold(write.conn, house, &order))
            .await
    }

    async fn release_hold(&self, tenant: &TenantId, id: HoldId, now: Timestamp) -> Result<bool> {
        let tenant = tenant.clone();
        self.write(move |write, _| slots::release(write.conn, &tenant, id, now))
            .await
    }

    async fn every_queue(&self) -> Result<Vec<Queue>> {
        self.read(|conn, _| planning::every_queue(conn)).await
    }

    async fn open_in_queue(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        after: Option<InteractionId>,
        limit: usize,
    ) -> Result<Vec<Callback>> {
        let (tenant, queue) = (tenant.clone(), queue.clone());
        self.read(move |conn, _| planning::open_in_queue(conn, &tenant, &queue, after, limit))
            .await
    }

    async fn learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
    ) -> Result<Option<serde_json::Value>> {
        let (tenant, queue) = (tenant.clone(), queue.clone());
        self.read(move |conn, _| planning::learned(conn, &tenant, &queue))
            .await
    }

    async fn put_learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        figures: serde_json::Value,
    ) -> Result<()> {
        let (tenant, queue) = (tenant.clone(), queue.clone());
        self.write(move |write, _| planning::put_learned(write, &tenant, &queue, &figures))
            .await
    }

    async fn put_agent(&self, agent: Agent, expected: Option<u64>) -> Result<Agent> {
        self.write(move |write, _| agents::put(write, agent, expected))
            .await
    }

    async fn agent(&self, tenant: &TenantId, id: AgentId) -> Result<Option<Agent>> {
        let tenant = tenant.clone();
        self.read(move |conn, _| agents::read(conn, &tenant, id))
            .await
    }

    async fn agents(&self, tenant: &TenantId) -> Result<Vec<Agent>> {
        let tenant = tenant.clone();
        self.read(move |conn, _| agents::list(conn, &tenant)).await
    }

    async fn set_presence(
        &self,
        tenant: &TenantId,
        id: AgentId,
        presence: Presence,
        now: Timestamp,
    ) -> Result<Agent> {
        let tenant = tenant.clone();
        self.write(move |write, _| agents::set_presence(write, &tenant, id, presence, now))
            .await
    }

    async fn remove_agent(&self, tenant: &TenantId, id: AgentId) -> Result<bool> {
        let tenant = tenant.clone();
        self.write(move |write, _| agents::remove(write, &tenant, id))
            .await
    }

    async fn customer(&self, tenant: &TenantId, id: &CustomerId) -> Result<Option<Customer>> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.read(move |conn, _| customers::read_customer(conn, &tenant, &id))
            .await
    }

    async fn customer_by_contact(
        &self,
        tenant: &TenantId,
        contact: &str,
    ) -> Result<Option<Customer>> {
        let (tenant, contact) = (tenant.clone(), contact.to_owned());
        self.read(move |conn, _| customers::by_contact(conn, &tenant, &contact))
            .await
    }

    async fn customers(&self, query: CustomerQuery) -> Result<Page<Customer>> {
        self.read(move |conn, _| customers::list(conn, &query))
            .await
    }

    async fn put_customer(&self, customer: Customer, expected: Option<u64>) -> Result<Customer> {
        self.write(move |write, _| customers::put(write, customer, expected))
            .await
    }

    async fn put_key(&self, key: ApiKey) -> Result<()> {
        self.write(move |write, _| keys::put(write.conn, &key))
            .await
    }

    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>> {
        let hash = *hash;
        self.read(move |conn, _| keys::by_hash(conn, &hash)).await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>> {
        self.read(|conn, _| keys::list(conn)).await
    }

    async fn revoke_key(&self, id: Uuid, now: Timestamp) -> Result<bool> {
        self.write(move |write, _| keys::revoke(write.conn, id, now))
            .await
    }

    async fn ping(&self) -> Result<()> {
        self.read(|conn, _| {
            Ok(conn
                .prepare_cached("SELECT beats FROM pulse")?
                .query_row([], |_| Ok(()))?)
        })
        .await?;
        self.write(|write, _| {
            write
                .conn
                .prepare_cached("UPDATE pulse SET beats = beats + 1 WHERE one = 1")?
                .execute(params![])?;
            Ok(())
        })
        .await
    }

    async fn counts(&self) -> Result<Vec<StateCount>> {
        self.read(|conn, _| queues::all_counts(conn)).await
    }

    async fn examine(&self) -> Result<Examination> {
        self.read(|conn, _| examine::examine(conn)).await
    }

    async fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(readers) = &self.doors.readers {
            readers.close();
        }
        self.doors.writer.close().await;
    }
}
