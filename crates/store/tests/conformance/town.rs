//! A small town to test in: an open store, queues, agents, customers, and the steps of the path by name.

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use ringback_callbacks::agent::{Agent, Presence};
use ringback_callbacks::callback::Callback;
use ringback_callbacks::clock::Chance;
use ringback_callbacks::event::Actor;
use ringback_callbacks::ids::{
    AgentId, AttemptId, CustomerId, InteractionId, NodeId, OfferId, QueueId, TenantId,
};
use ringback_callbacks::interaction::{EntityType, Interaction};
use ringback_callbacks::lifecycle::{Begin, Command};
use ringback_callbacks::outcome::{CallResult, Outcome, PlatformCode};
use ringback_callbacks::queue::{Queue, QueueRules};
use ringback_callbacks::request::{self, NewCallback};
use ringback_callbacks::state::State;
use ringback_callbacks::wire_time;
use ringback_sim::postgres::{self, Database};
use ringback_store::{
    AcceptOrder, Acceptance, Applied, ApplyOrder, ClaimOrder, Claimed, Idempotent, OpenOptions,
    RecordOrder, Result, Store, StoreError, StoredAnswer,
};
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use uuid::Uuid;

/// An open store and what is needed to open it again.
pub struct Town {
    pub store: Arc<dyn Store>,
    pub chance: Arc<Dice>,
    pub url: String,
    /// Last, so that the store has gone when it goes.
    pub ground: Ground,
}

/// Where the rows are, for as long as the town stands.
#[allow(
    dead_code,
    reason = "what is in them is kept for its end, not for being read"
)]
pub enum Ground {
    Memory,
    // Kept for what happens when they go; only the suites of one database look inside.
    Folder(#[allow(dead_code)] TempDir),
    Database(#[allow(dead_code)] Database),
    /// Somebody else keeps it.
    Elsewhere,
}

pub async fn sqlite_file() -> Town {
    let (url, ground) = a_file();
    Town::open(url, ground).await
}

pub async fn sqlite_memory() -> Town {
    Town::open("sqlite::memory:".to_owned(), Ground::Memory).await
}

pub async fn postgres() -> Town {
    let (url, ground) = a_database().await;
    Town::open(url, ground).await
}

pub fn a_file() -> (String, Ground) {
    let folder = TempDir::new().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("ringback.db").display());
    (url, Ground::Folder(folder))
}

/// A database with the schema in it: copied, because migrating one for every case takes longer.
pub async fn a_database() -> (String, Ground) {
    static TEMPLATE: OnceCell<Database> = OnceCell::const_new();
    let cluster = postgres::shared(postgres::Ground::QUICK);
    let template = TEMPLATE
        .get_or_init(|| async {
            let empty = cluster.database();
            Town::open(empty.url(), Ground::Elsewhere)
                .await
                .store
                .close()
                .await;
            empty
        })
        .await;
    let database = cluster.copy(template);
    (database.url(), Ground::Database(database))
}

/// Chance that falls the same way in every run.
#[derive(Debug)]
pub struct Dice(Mutex<StdRng>);

impl Dice {
    pub fn new(seed: u64) -> Arc<Dice> {
        Arc::new(Dice(Mutex::new(StdRng::seed_from_u64(seed))))
    }
}

impl Chance for Dice {
    fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    fn unit(&self) -> f64 {
        self.0.lock().unwrap().random()
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap().fill_bytes(bytes);
    }
}

pub fn at(text: &str) -> Timestamp {
    wire_time::read(text).expect("a time in a test")
}

/// Monday, 9 March 2026, 10:00 in New York.
pub fn monday() -> Timestamp {
    at("2026-03-09T14:00:00Z")
}

pub fn later(seconds: u64) -> Timestamp {
    wire_time::plus(monday(), Duration::from_secs(seconds))
}

pub const LEASE: Duration = Duration::from_secs(30);

/// A real number of New York, by its last four digits.
pub fn number(last: u32) -> String {
    format!("+1212736{last:04}")
}

pub fn voice(last: u32) -> Value {
    json!({ "customer_number": number(last), "desired_response_type": "Voice" })
}

pub fn mail(name: &str) -> Value {
    json!({ "customer_number": format!("{name}@example.org"), "desired_response_type": "Email" })
}

/// `base` with some fields more.
pub fn with(mut base: Value, more: Value) -> Value {
    merge(&mut base, more);
    base
}

pub fn tenant() -> TenantId {
    TenantId::default()
}

pub fn queue_id(id: &str) -> QueueId {
    QueueId::parse(id).expect("a queue's id in a test")
}

pub fn node(name: &str) -> NodeId {
    NodeId {
        name: name.to_owned(),
        boot: Uuid::from_u128(1),
    }
}

pub fn rules(change: Value) -> QueueRules {
    let mut rules = json!({
        "name": "Billing",
        "hours": { "opening_hours": "24/7", "time_zone": "America/New_York" },
        "dial": { "regions": ["US", "GB"], "default_region": "US" },
        "routes": { "voice": ["trunk"], "voip": ["direct"], "email": ["relay"] },
        "retry": { "spread": 0.0 },
        "calls_per_number_per_day": 100,
        // Most cases are about something else than who asks twice; those that are say so.
        "duplicates": "allow",
    });
    merge(&mut rules, change);
    serde_json::from_value(rules).expect("rules in a test")
}

pub fn dn_rules(places: u32) -> QueueRules {
    rules(
        json!({ "delivery": { "kind": "dn", "dn": "8000", "location": "pbx", "max_concurrent": places } }),
    )
}

pub fn reached() -> Outcome {
    outcome(CallResult::OK)
}

pub fn outcome(result: CallResult) -> Outcome {
    Outcome::new(
        result,
        result.verdict(),
        PlatformCode::new("sip", Some(200), "as told"),
    )
}

/// A key whose answer says which callback it was made from.
pub fn asked(application: i64, key: &str, body: u8) -> Option<Idempotent> {
    Some(Idempotent {
        application,
        key: key.to_owned(),
        fingerprint: [body; 32],
        render: Arc::new(|callback| StoredAnswer {
            status: 201,
            headers: vec![("ETag".to_owned(), callback.revision.to_string())],
            body: callback.interaction.id.to_string(),
        }),
    })
}

impl Town {
    pub async fn open(url: String, ground: Ground) -> Town {
        Town::open_with(url, ground, OpenOptions::default(), 7).await
    }

    /// A store that is opened again over the same rows needs a seed of its own: ids must not come twice.
    pub async fn open_with(url: String, ground: Ground, options: OpenOptions, seed: u64) -> Town {
        let chance = Dice::new(seed);
        let store = ringback_store::open(&url, options, chance.clone())
            .await
            .expect("a store");
        Town {
            store,
            chance,
            url,
            ground,
        }
    }

    /// Drops the store as a killed process would, without a word, and opens it anew.
    pub async fn reopened(self) -> Town {
        let Town {
            store, url, ground, ..
        } = self;
        drop(store);
        Town::open(url, ground).await
    }

    pub async fn queue(&self, id: &str, rules: QueueRules) -> Queue {
        let queue = Queue {
            tenant: tenant(),
            id: queue_id(id),
            rules,
            intake_paused: false,
            dialling_paused: false,
            removed: false,
            created_at: monday(),
            revision: 0,
        };
        self.store.put_queue(queue, None).await.expect("a queue")
    }

    /// A queue served by agents, and its first agent, number 1.
    pub async fn staffed(&self) {
        self.queue("billing", rules(json!({}))).await;
        self.agent(1, &["billing"], false).await;
    }

    pub async fn agent(&self, id: i64, queues: &[&str], auto_accept: bool) -> Agent {
        let agent = Agent {
            tenant: tenant(),
            id: AgentId(id),
            name: format!("Agent {id}"),
            dn: format!("{}", 7000 + id),
            route: Some("trunk".to_owned()),
            queues: queues.iter().map(|id| queue_id(id)).collect(),
            presence: Presence::Ready,
            auto_accept,
            engaged: None,
            idle_since: monday(),
            revision: 0,
        };
        self.store.put_agent(agent, None).await.expect("an agent")
    }

    pub async fn parse(&self, queue: &str, request: Value, now: Timestamp) -> NewCallback {
        let id = queue_id(queue);
        let rules = match self.store.queue(&tenant(), &id).await.expect("the queue") {
            Some(queue) => queue.rules,
            None => rules(json!({})),
        };
        request::parse_new(&object(request), id, &rules, now).expect("a good request")
    }

    pub async fn order(&self, queue: &str, request: Value, now: Timestamp) -> AcceptOrder {
        AcceptOrder {
            tenant: tenant(),
            id: InteractionId(self.chance.uuid()),
            new: self.parse(queue, request, now).await,
            actor: Actor::Application(5),
            now,
            idempotent: None,
            dry_run: false,
        }
    }

    pub async fn try_book(&self, queue: &str, request: Value, now: Timestamp) -> Result<Callback> {
        match self
            .store
            .accept(self.order(queue, request, now).await)
            .await?
        {
            Acceptance::New(callback, _) => Ok(*callback),
            Acceptance::Merged(..) => panic!("nothing was to be merged"),
            Acceptance::Repeated(_) => panic!("nothing was to be repeated"),
        }
    }

    pub async fn book(&self, queue: &str, request: Value, now: Timestamp) -> Callback {
        self.try_book(queue, request, now).await.expect("a booking")
    }

    /// A recorded telephone call.
    pub async fn recorded(&self, parent: Option<InteractionId>) -> Interaction {
        let interaction = Interaction {
            tenant: tenant(),
            id: InteractionId(self.chance.uuid()),
            customer: CustomerId::parse("C-9").expect("a customer's id"),
            entity_type: EntityType::PHONE_CALL,
            kind: "Inbound".to_owned(),
            sub_type: None,
            media_type: "voice".to_owned(),
            parent,
            thread: None,
            external_id: Some("call-9".to_owned()),
            owner: None,
            creator_app: 5,
            created_at: wire_time::plus(monday(), Duration::from_millis(5)),
            ended_at: None,
            timeshift: None,
            category: None,
            category_by_hand: false,
            allow_children: true,
            subject: None,
            stopped_reason: None,
            bodies: Default::default(),
            udata: None,
        };
        let order = RecordOrder {
            interaction,
            status: 3,
            actor: Actor::Application(5),
            now: monday(),
        };
        self.store.record(order).await.expect("a record")
    }

    pub async fn claim(&self, name: &str, now: Timestamp) -> Claimed {
        self.store
            .claim_due(claim_order(name, now))
            .await
            .expect("claims")
    }

    pub async fn next_wake(&self) -> Option<Timestamp> {
        next_wake(self.store.as_ref()).await
    }

    /// Claims and expects exactly one callback.
    pub async fn claim_one(&self, now: Timestamp) -> Callback {
        let mut claimed = self.claim("one", now).await;
        assert_eq!(claimed.callbacks.len(), 1, "one claim");
        claimed.callbacks.remove(0)
    }

    pub async fn apply(
        &self,
        callback: &Callback,
        command: Command,
        now: Timestamp,
    ) -> Result<Callback> {
        let order = ApplyOrder::system(
            callback.interaction.tenant.clone(),
            callback.interaction.id,
            command,
            now,
        );
        self.store.apply(order).await.map(|applied| match applied {
            Applied::Done(callback, _) => *callback,
            Applied::Repeated(_) => panic!("nothing was to be repeated"),
        })
    }

    pub async fn must(&self, callback: &Callback, command: Command, now: Timestamp) -> Callback {
        self.apply(callback, command, now)
            .await
            .expect("the command")
    }

    pub async fn accept_offer(&self, callback: &Callback, now: Timestamp) -> Callback {
        let (offer, agent) = offer_of(callback);
        self.must(callback, Command::AcceptOffer { offer, agent }, now)
            .await
    }

    pub async fn begin(&self, callback: &Callback, now: Timestamp) -> Result<Callback> {
        self.apply(
            callback,
            begin(AttemptId(self.chance.uuid()), callback.fence),
            now,
        )
        .await
    }

    pub async fn settle(&self, callback: &Callback, outcome: Outcome, now: Timestamp) -> Callback {
        self.must(callback, settle(callback, outcome), now).await
    }

    /// From the queue into a call: offer, yes, first packet.
    pub async fn call(&self, now: Timestamp) -> Callback {
        let mut callback = self.claim_one(now).await;
        if matches!(callback.state, State::Offered { .. }) {
            callback = self.accept_offer(&callback, now).await;
        }
        self.begin(&callback, now).await.expect("an attempt")
    }

    pub async fn get(&self, callback: &Callback) -> Callback {
        self.get_id(callback.interaction.id).await
    }

    pub async fn get_id(&self, id: InteractionId) -> Callback {
        self.store
            .callback(&tenant(), id)
            .await
            .expect("a read")
            .expect("the callback")
    }

    pub async fn agent_now(&self, id: i64) -> Agent {
        self.store
            .agent(&tenant(), AgentId(id))
            .await
            .expect("a read")
            .expect("the agent")
    }

    /// Kinds of a callback's events, in order.
    pub async fn story(&self, callback: &Callback) -> Vec<&'static str> {
        let events = self
            .store
            .events(&tenant(), callback.interaction.id, 0, 1000)
            .await
            .expect("events");
        ringback_callbacks::event::verify_chain(&events).expect("a whole chain");
        events.iter().map(|event| event.kind.name()).collect()
    }

    /// Every chain, counter and pair of hands is as it should be.
    /// Every event of the tenant, once there are as many: the last of them may come into the order a moment after
    /// their commit.
    pub async fn followed(&self, number: usize) -> Vec<ringback_callbacks::event::Event> {
        for _ in 0..3000 {
            let events = self.store.events_after(&tenant(), 0, 1000).await.unwrap();
            if events.len() >= number {
                return events;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("fewer than {number} events within a minute");
    }

    pub async fn is_healthy(&self) {
        let found = self.store.examine().await.expect("an examination");
        assert_eq!(found.faults, Vec::<String>::new());
    }
}

/// When the clock alone next makes something happen: what a claim says for which nothing is due and no place is free.
pub async fn next_wake(store: &dyn Store) -> Option<Timestamp> {
    let order = ClaimOrder {
        places: 0,
        ..claim_order("onlooker", Timestamp::UNIX_EPOCH)
    };
    let claimed = store.claim_due(order).await.expect("a look");
    assert!(claimed.callbacks.is_empty());
    claimed.next.either()
}

pub fn claim_order(name: &str, now: Timestamp) -> ClaimOrder {
    ClaimOrder {
        node: node(name),
        now,
        lease: LEASE,
        limit: 1000,
        places: 1000,
        picks: Vec::new(),
    }
}

pub fn offer_of(callback: &Callback) -> (OfferId, AgentId) {
    match &callback.state {
        State::Offered { offer, agent, .. } => (*offer, *agent),
        other => panic!("offered, not {}", other.name()),
    }
}

pub fn attempt_of(callback: &Callback) -> AttemptId {
    match &callback.state {
        State::Dialling { attempt, .. } | State::Talking { attempt, .. } => *attempt,
        other => panic!("in a call, not {}", other.name()),
    }
}

pub fn begin(attempt: AttemptId, fence: u64) -> Command {
    Command::BeginAttempt {
        fence,
        begin: Begin {
            attempt,
            channel: "sip".to_owned(),
            route: Some("trunk".to_owned()),
            dn: Some("7001".to_owned()),
            location: Some("pbx".to_owned()),
            server: "one".to_owned(),
            legs: json!({}),
        },
    }
}

pub fn settle(callback: &Callback, outcome: Outcome) -> Command {
    Command::Settle {
        fence: callback.fence,
        attempt: attempt_of(callback),
        outcome,
    }
}

/// The code of a conflict and the field it is about.
pub fn conflict<T: std::fmt::Debug>(result: Result<T>) -> (Option<&'static str>, &'static str) {
    match result {
        Err(StoreError::Conflict { field, code, .. }) => (field, code),
        other => panic!("a conflict, not {other:?}"),
    }
}

pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => panic!("an object"),
    }
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
