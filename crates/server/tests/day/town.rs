//! A server in process with scripted channels, its own runtime as "the node", and the clock in our hand.

use crate::ailing::Ailing;
use crate::through::Through;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use jiff::Timestamp;
use ringback_api::{ApiSettings, ApiState};
use ringback_callbacks::clock::Clock;
use ringback_callbacks::contact::ResponseType;
use ringback_callbacks::ids::NodeId;
use ringback_channels::Channels;
use ringback_channels::fake::FakeChannel;
use ringback_dispatch::{Dispatcher, Planner, Settings, Surroundings, Unobserved};
use ringback_sim::clock::{ManualClock, SeededChance};
use ringback_store::{ClaimOrder, OpenOptions, Store, Whose};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;
use uuid::Uuid;

pub struct Town {
    pub calls: Arc<FakeChannel>,
    pub mails: Arc<FakeChannel>,
    /// The store as the clockwork sees it; it fails when told.
    pub ailing: Arc<Through<Ailing>>,
    /// What the next run of the clockwork is started with.
    pub channels: Channels,
    pub settings: Settings,
    clock: ManualClock,
    store: Arc<dyn Store>,
    router: axum::Router,
    /// What the API is made of, but for the planner, which belongs to a run of the node.
    state: ApiState,
    node: Option<Node>,
    /// A second node on the same store.
    other: Option<Node>,
    boots: u128,
    _folder: tempfile::TempDir,
}

/// One run of the clockwork, on threads of its own, so that a crash can take all of it at once.
struct Node {
    runtime: tokio::runtime::Runtime,
    dispatcher: Arc<Dispatcher>,
}

impl Town {
    pub async fn new(now: &str) -> Town {
        Town::under(json!({}), now).await
    }

    /// A town whose queue has other rules (whole keys).
    pub async fn under(change: Value, now: &str) -> Town {
        let clock = ManualClock::at(now);
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let chance = Arc::new(SeededChance::new(7));
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("town.db").display());
        let store = ringback_store::open(&url, OpenOptions::default(), chance.clone())
            .await
            .expect("a store");
        let settings = ApiSettings {
            open_on_loopback: true,
            requests_per_second: 0,
            ..ApiSettings::default()
        };
        let state = ApiState::new(store.clone(), shared.clone(), chance, settings);
        let calls = FakeChannel::new(
            "sip",
            &[ResponseType::Voice, ResponseType::VoIP],
            shared.clone(),
        );
        let mails = FakeChannel::new("smtp", &[ResponseType::Email], shared);
        let router = ringback_api::router(state.clone());
        let mut town = Town {
            channels: Channels(vec![calls.clone(), mails.clone()]),
            settings: Settings::default(),
            ailing: Ailing::of(store.clone()),
            calls,
            mails,
            clock,
            store,
            router,
            state,
            node: None,
            other: None,
            boots: 0,
            _folder: folder,
        };
        let mut rules = json!({
            "name": "Billing",
            "hours": { "opening_hours": "Mo-Fr 08:00-18:00", "time_zone": "America/New_York" },
            "dial": { "regions": ["US"], "default_region": "US" },
            "routes": { "voice": ["fake"], "voip": ["fake"], "email": ["fake"] },
            "retry": { "spread": 0.0 },
        });
        for (key, value) in change.as_object().expect("an object") {
            rules[key] = value.clone();
        }
        town.send("PUT", "/v1/queues/billing", rules, &[200, 201])
            .await;
        town.start_again().await;
        town
    }

    /// A new run of the same node.
    pub async fn start_again(&mut self) {
        let planner = Planner::new(self.store.clone(), Arc::default());
        let state = self.state.clone().with_outlook(planner.clone());
        self.router = ringback_api::router(state);
        self.node = Some(self.run_of("one", planner));
        self.rest().await;
    }

    /// A second node, which works on the same store.
    pub async fn start_another(&mut self) {
        let planner = Planner::new(self.store.clone(), Arc::default());
        self.other = Some(self.run_of("two", planner));
        self.rest().await;
    }

    fn run_of(&mut self, name: &str, planner: Arc<Planner>) -> Node {
        self.boots += 1;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads");
        let node = NodeId {
            name: name.into(),
            boot: Uuid::from_u128(self.boots),
        };
        let guard = runtime.enter();
        let dispatcher = Dispatcher::start_planned(
            Surroundings {
                store: self.ailing.clone(),
                channels: self.channels.clone(),
                clock: Arc::new(self.clock.clone()),
                chance: Arc::new(SeededChance::new(1000 + self.boots as u64)),
            },
            node,
            self.settings.clone(),
            Arc::new(Unobserved),
            planner,
        );
        drop(guard);
        Node {
            runtime,
            dispatcher: Arc::new(dispatcher),
        }
    }

    /// The node is gone between two instructions, as by `kill -9`.
    pub async fn crash(&mut self) {
        if let Some(node) = self.node.take() {
            node.runtime.shutdown_background();
        }
        // The threads end when their tasks next yield; the witness is that no call is live.
        for _ in 0..500 {
            if self.calls.live() == 0 {
                break;
            }
            tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(2)))
                .await
                .expect("a pause");
        }
    }

    /// The same, while another node goes on.
    pub async fn crash_one(&mut self) {
        if let Some(node) = self.node.take() {
            node.runtime.shutdown_background();
        }
        self.rest().await;
    }

    pub async fn drain(&mut self, limit: Duration) {
        let Some(node) = &self.node else { return };
        let dispatcher = node.dispatcher.clone();
        let draining = node
            .runtime
            .spawn(async move { dispatcher.drain(limit).await });
        for _ in 0..200 {
            if draining.is_finished() {
                break;
            }
            self.pass(1).await;
        }
        assert!(draining.is_finished(), "draining ends");
    }

    /// Everything stops, and the record is whole.
    pub async fn end(self) {
        let report = self.store.examine().await.expect("examined");
        assert_eq!(report.faults, Vec::<String>::new());
        for node in [self.node, self.other].into_iter().flatten() {
            node.runtime.shutdown_background();
        }
    }

    // ── time ─────────────────────────────────────────────────────────────────────────────────────

    /// Waits until nothing moves: the clock is untouched, and the writer has nothing left to commit.
    pub async fn rest(&self) {
        let mut quiet = 0;
        for _ in 0..500 {
            let before = self.store.last_event().await.expect("a store");
            self.clock.settled().await;
            self.store.ping().await.expect("a store");
            self.everybody_had_a_turn().await;
            quiet = if self.store.last_event().await.expect("a store") == before {
                quiet + 1
            } else {
                0
            };
            if quiet == 2 {
                return;
            }
        }
        panic!("the town never rests");
    }

    /// A busy machine may keep a node's thread waiting for longer than anybody watches: a task behind all
    /// that were ready is the proof that they ran.
    async fn everybody_had_a_turn(&self) {
        for node in [&self.node, &self.other].into_iter().flatten() {
            let turn = node.runtime.spawn(async {
                for _ in 0..8 {
                    tokio::task::yield_now().await;
                }
            });
            tokio::time::timeout(Duration::from_secs(60), turn)
                .await
                .expect("the node's thread runs")
                .expect("a turn");
        }
    }

    /// Lets so many seconds pass, stopping wherever somebody waits for a moment.
    pub async fn pass(&self, seconds: u64) {
        self.rest().await;
        let to =
            ringback_callbacks::wire_time::plus(self.clock.now(), Duration::from_secs(seconds));
        for _ in 0..100_000 {
            match self.clock.next_sleeper().filter(|next| *next <= to) {
                Some(next) => self.clock.set(next.max(self.clock.now())),
                None => break,
            }
            self.rest().await;
        }
        self.clock.set(to);
        self.rest().await;
    }

    /// A clock that is so far ahead of the node's.
    pub fn clock_ahead(&self, seconds: u64) -> impl Fn() -> Timestamp + Send + Sync + 'static {
        let clock = self.clock.clone();
        move || ringback_callbacks::wire_time::plus(clock.now(), Duration::from_secs(seconds))
    }

    /// Another node claims what is due, and is not heard of again.
    pub async fn claimed_elsewhere(&self) -> usize {
        let order = ClaimOrder {
            node: elsewhere(),
            now: self.clock.now(),
            lease: self.settings.lease,
            limit: 10,
            places: 10,
            picks: Vec::new(),
        };
        let claimed = self.store.claim_due(order).await.expect("a store");
        claimed.callbacks.len()
    }

    /// What another node, whose clock is right, would take over.
    pub async fn lapsed_at(&self, now: Timestamp) -> usize {
        let other = elsewhere();
        let lease = self.settings.lease;
        let lapsed = self
            .store
            .take_lapsed(&other, now, lease, Whose::Anybodys, 10);
        lapsed.await.expect("a store").len()
    }

    /// What sets the clock forward later, from wherever it is called.
    pub fn leap(&self, seconds: u64) -> impl FnOnce() + Send + 'static {
        let clock = self.clock.clone();
        move || {
            let length = Duration::from_secs(seconds);
            clock.set(ringback_callbacks::wire_time::plus(clock.now(), length));
        }
    }

    /// The clock is set forward in one go: whatever waited meanwhile finds its moment past.
    pub async fn jump_forward(&self, seconds: i64) {
        self.jump_back(-seconds).await;
    }

    pub async fn jump_back(&self, seconds: i64) {
        let now = self.clock.now().as_second();
        self.clock
            .set(Timestamp::from_second(now - seconds).expect("a moment"));
        self.rest().await;
    }

    // ── people ───────────────────────────────────────────────────────────────────────────────────

    pub async fn agents(&self, count: i64) {
        self.make_agents(count, true).await;
    }

    /// Agents with a desk: they are asked.
    pub async fn desk_agents(&self, count: i64) {
        self.make_agents(count, false).await;
    }

    async fn make_agents(&self, count: i64, auto_accept: bool) {
        for id in 1..=count {
            let agent = json!({
                "name": format!("Agent {id}"), "dn": format!("100{id}"), "queues": ["billing"], "auto_accept": auto_accept,
            });
            self.send("PUT", &format!("/v1/agents/{id}"), agent, &[200, 201])
                .await;
            self.ready(id).await;
        }
    }

    async fn ready(&self, id: i64) {
        self.presence(id, "ready").await;
    }

    pub async fn presence(&self, id: i64, presence: &str) {
        self.send(
            "PUT",
            &format!("/v1/agents/{id}/presence"),
            json!({ "presence": presence }),
            &[200],
        )
        .await;
    }

    pub async fn everybody_ready(&self) {
        let agents = self.get("/v1/agents").await;
        for agent in agents["items"].as_array().expect("agents") {
            if agent["presence"] == "away" {
                self.ready(agent["agent_id"].as_i64().expect("an id")).await;
            }
        }
        self.rest().await;
    }

    /// The one open offer: who is asked, and its id.
    pub async fn offer(&self) -> (String, String) {
        for agent in 1..=9 {
            let response = self
                .call("GET", &format!("/v1/agents/{agent}/offers"), None)
                .await;
            if let Some(offer) = response.1["items"]
                .as_array()
                .and_then(|items| items.first())
            {
                return (
                    agent.to_string(),
                    offer["offer_id"].as_str().expect("an id").to_owned(),
                );
            }
        }
        panic!("nobody is asked");
    }

    // ── HTTP ─────────────────────────────────────────────────────────────────────────────────────

    pub async fn book(&self, change: Value) -> String {
        let mut body = json!({ "queue": "billing", "desired_response_type": "Voice" });
        for (key, value) in change.as_object().expect("an object") {
            body[key] = value.clone();
        }
        let answer = self.send("POST", "/v1/callbacks", body, &[201]).await;
        answer["interaction_id"].as_str().expect("an id").to_owned()
    }

    pub async fn callback(&self, id: &str) -> Value {
        self.get(&format!("/v1/callbacks/{id}")).await
    }

    pub async fn event_kinds(&self, id: &str) -> Vec<String> {
        let events = self.get(&format!("/v1/callbacks/{id}/events")).await;
        let items = events["items"].as_array().expect("events");
        items
            .iter()
            .map(|event| event["kind"].as_str().expect("a kind").to_owned())
            .collect()
    }

    /// Numbers with a call in the air.
    pub async fn in_the_air(&self) -> Vec<String> {
        let page = self.get("/v1/callbacks?callback_status=5&limit=200").await;
        let items = page["items"].as_array().expect("items");
        items
            .iter()
            .map(|item| {
                item["customer_number"]
                    .as_str()
                    .expect("a number")
                    .to_owned()
            })
            .collect()
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, None).await;
        assert_eq!(status, StatusCode::OK, "GET {path}: {body}");
        body
    }

    pub async fn post(&self, path: &str, body: Value, expected: u16) -> Value {
        self.send("POST", path, body, &[expected]).await
    }

    pub async fn send(&self, method: &str, path: &str, body: Value, expected: &[u16]) -> Value {
        let (status, answer) = self.call(method, path, Some(body)).await;
        assert!(
            expected.contains(&status.as_u16()),
            "{method} {path}: {status} {answer}"
        );
        answer
    }

    /// The same for those who do not know what will be answered.
    pub async fn try_send(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let (status, answer) = self.call(method, path, Some(body)).await;
        (status.as_u16(), answer)
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let mut request = request
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .expect("a request");
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 40000));
        request
            .extensions_mut()
            .insert(axum::extract::ConnectInfo(peer));
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("an answer");
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), 16 << 20)
            .await
            .expect("a body");
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }
}

fn elsewhere() -> NodeId {
    NodeId {
        name: "elsewhere".into(),
        boot: Uuid::from_u128(99),
    }
}
