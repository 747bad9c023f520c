//! A server to ask: store, clock, keys, a queue, and requests that read well.

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use ringback_api::{ApiSettings, ApiState, auth};
use ringback_callbacks::clock::{Chance, Clock};
use ringback_callbacks::ids::{AttemptId, InteractionId, NodeId, TenantId};
use ringback_callbacks::lifecycle::{Begin, Command};
use ringback_callbacks::outcome::{CallResult, Outcome, PlatformCode};
use ringback_store::{ApiKey, ApplyOrder, ClaimOrder, OpenOptions, Scope, Store};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::ServiceExt;
use uuid::Uuid;

/// Monday, 10 in the morning in California.
pub const NOW: &str = "2026-03-09T17:00:00.000Z";
pub const NUMBER: &str = "+14155552671";

#[derive(Clone)]
pub struct HandClock(Arc<Mutex<Timestamp>>);

impl HandClock {
    pub fn turn(&self, seconds: i64) {
        let mut now = self.0.lock().unwrap();
        *now = Timestamp::from_millisecond(now.as_millisecond() + seconds * 1000).unwrap();
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn sleep_until(&self, _: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}

pub struct Dice(Mutex<StdRng>);

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

pub struct House {
    pub router: Router,
    pub state: ApiState,
    pub store: Arc<dyn Store>,
    pub clock: HandClock,
    pub chance: Arc<Dice>,
    pub key: String,
}

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{} is not JSON: {error}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The JSON of a good answer.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{}: {}", self.status, self.text());
        self.json()
    }

    /// Checks that it is a problem of this kind, and returns its `(field, code)` pairs.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Vec<(String, String)> {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!(body["type"], format!("/problems/{code}"), "{body}");
        assert_eq!(body["status"], status);
        assert_eq!(body["instance"], self.header("x-request-id"));
        assert!(!body["detail"].as_str().unwrap().is_empty());
        let pairs = body["errors"].as_array().cloned().unwrap_or_default();
        pairs
            .iter()
            .map(|one| {
                (
                    one["field"].as_str().unwrap().to_owned(),
                    one["code"].as_str().unwrap().to_owned(),
                )
            })
            .collect()
    }
}

/// A request being written.
pub struct Ask<'a> {
    house: &'a House,
    builder: axum::http::request::Builder,
    body: Body,
    keyed: bool,
}

impl<'a> Ask<'a> {
    pub fn json(mut self, body: &Value) -> Self {
        self.builder = self.builder.header("content-type", "application/json");
        self.body = Body::from(body.to_string());
        self
    }

    pub fn body(mut self, mime: &str, body: impl Into<Body>) -> Self {
        if !mime.is_empty() {
            self.builder = self.builder.header("content-type", mime);
        }
        self.body = body.into();
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    pub fn key(mut self, key: &str) -> Self {
        self.keyed = false;
        self.header("authorization", &format!("Bearer {key}"))
    }

    pub fn no_key(mut self) -> Self {
        self.keyed = false;
        self
    }

    pub fn from(mut self, address: &str) -> Self {
        let address: SocketAddr = address.parse().unwrap();
        self.builder = self.builder.extension(ConnectInfo(address));
        self
    }

    /// The answer's head with its body still open.
    pub async fn open(self) -> axum::response::Response {
        let mut builder = self.builder;
        if self.keyed {
            builder = builder.header("authorization", format!("Bearer {}", self.house.key));
        }
        let request: Request<Body> = builder.body(self.body).unwrap();
        self.house.router.clone().oneshot(request).await.unwrap()
    }

    pub async fn send(self) -> Answer {
        let response = self.open().await;
        let (parts, body) = response.into_parts();
        let bytes = tokio::time::timeout(
            Duration::from_secs(60),
            axum::body::to_bytes(body, 64 << 20),
        )
        .await
        .expect("a body that ends")
        .unwrap_or_default()
        .to_vec();
        Answer {
            status: parts.status,
            headers: parts.headers,
            bytes,
        }
    }
}

impl House {
    /// A server with an open queue `service`, and a key that may do everything.
    pub async fn new() -> House {
        House::with(ApiSettings {
            requests_per_second: 0,
            ..Default::default()
        })
        .await
    }

    pub async fn with(settings: ApiSettings) -> House {
        let chance = Arc::new(Dice(Mutex::new(StdRng::seed_from_u64(7))));
        let store = ringback_store::open("sqlite::memory:", OpenOptions::default(), chance.clone())
            .await
            .unwrap();
        let clock = HandClock(Arc::new(Mutex::new(NOW.parse().unwrap())));
        let state = ApiState::new(
            store.clone(),
            Arc::new(clock.clone()),
            chance.clone(),
            settings,
        );
        let router = ringback_api::router(state.clone());
        let mut house = House {
            router,
            state,
            store,
            clock,
            chance,
            key: String::new(),
        };
        house.key = house.make_key(118, &Scope::ALL).await;
        house
            .put("/v1/queues/service")
            .json(&rules(json!({})))
            .send()
            .await
            .ok();
        house
    }

    pub async fn make_key(&self, application: i64, scopes: &[Scope]) -> String {
        self.make_key_of(TenantId::default(), application, scopes, |_| {})
            .await
    }

    pub async fn make_key_of(
        &self,
        tenant: TenantId,
        application: i64,
        scopes: &[Scope],
        change: impl FnOnce(&mut ApiKey),
    ) -> String {
        let (key, hash) = auth::new_key(self.chance.as_ref());
        let mut stored = ApiKey {
            id: self.chance.uuid(),
            tenant,
            name: "a test".to_owned(),
            hash,
            application,
            scopes: scopes.to_vec(),
            created_at: self.clock.now(),
            expires_at: None,
            revoked_at: None,
        };
        change(&mut stored);
        self.store.put_key(stored).await.unwrap();
        key
    }

    pub fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        let builder = Request::builder().method(method).uri(path);
        Ask {
            house: self,
            builder,
            body: Body::empty(),
            keyed: true,
        }
    }

    pub fn get(&self, path: &str) -> Ask<'_> {
        self.ask("GET", path)
    }

    pub fn post(&self, path: &str) -> Ask<'_> {
        self.ask("POST", path)
    }

    pub fn put(&self, path: &str) -> Ask<'_> {
        self.ask("PUT", path)
    }

    pub fn patch(&self, path: &str) -> Ask<'_> {
        self.ask("PATCH", path)
    }

    pub fn delete(&self, path: &str) -> Ask<'_> {
        self.ask("DELETE", path)
    }

    /// Books with these fields more, and returns the callback.
    pub async fn book(&self, more: Value) -> Value {
        self.post("/v1/callbacks")
            .json(&booking(more))
            .send()
            .await
            .ok()
    }

    pub async fn callback(&self, id: &str) -> Value {
        self.get(&format!("/v1/callbacks/{id}")).send().await.ok()
    }

    /// An agent who serves `service`, with this presence.
    pub async fn agent(&self, id: i64, presence: &str) {
        let body = json!({ "name": format!("Agent {id}"), "dn": format!("agent{id}"), "queues": ["service"] });
        self.put(&format!("/v1/agents/{id}"))
            .json(&body)
            .send()
            .await
            .ok();
        let body = json!({ "presence": presence });
        self.put(&format!("/v1/agents/{id}/presence"))
            .json(&body)
            .send()
            .await
            .ok();
    }

    /// What the clockwork does: claims what is due.
    pub async fn claim(&self) -> usize {
        let order = ClaimOrder {
            node: node(),
            now: self.clock.now(),
            lease: Duration::from_secs(60),
            limit: 100,
            places: 100,
            picks: Vec::new(),
        };
        self.store.claim_due(order).await.unwrap().callbacks.len()
    }

    /// Carries out a command as the clockwork does.
    pub async fn command(&self, id: &str, make: impl FnOnce(u64) -> Command) {
        let id: InteractionId = id.parse().unwrap();
        let tenant = TenantId::default();
        let callback = self.store.callback(&tenant, id).await.unwrap().unwrap();
        let fence = callback.state.claim().map_or(0, |claim| claim.fence);
        let order = ApplyOrder::system(tenant, id, make(fence), self.clock.now());
        self.store.apply(order).await.unwrap();
    }

    /// Begins an attempt on a callback that was taken.
    pub async fn dial(&self, id: &str) -> AttemptId {
        let attempt = AttemptId(self.chance.uuid());
        let begin = Begin {
            attempt,
            channel: "sip".to_owned(),
            route: Some("trunk".to_owned()),
            dn: Some("agent1".to_owned()),
            location: Some("pbx".to_owned()),
            server: "node-1".to_owned(),
            legs: json!({}),
        };
        self.command(id, |fence| Command::BeginAttempt { fence, begin })
            .await;
        attempt
    }

    pub async fn settle(&self, id: &str, attempt: AttemptId, result: CallResult) {
        let mut outcome = Outcome::new(
            result,
            result.verdict(),
            PlatformCode::new("sip", Some(486), "Busy Here"),
        );
        outcome.route = Some("trunk".to_owned());
        self.command(id, |fence| Command::Settle {
            fence,
            attempt,
            outcome,
        })
        .await;
    }

    /// Books, claims and lets agent 1 accept: the callback is taken. Returns its id.
    pub async fn taken(&self, more: Value) -> String {
        self.agent(1, "ready").await;
        let id = self.book(more).await["interaction_id"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(self.claim().await, 1);
        let offers = self.get("/v1/agents/1/offers").send().await.ok();
        let offer = offers["items"][0]["offer_id"].as_str().unwrap().to_owned();
        self.post(&format!("/v1/agents/1/offers/{offer}/accept"))
            .send()
            .await
            .ok();
        id
    }
}

pub fn node() -> NodeId {
    NodeId {
        name: "node-1".to_owned(),
        boot: Uuid::from_u128(1),
    }
}

pub fn booking(more: Value) -> Value {
    let mut body =
        json!({ "queue": "service", "desired_response_type": "Voice", "customer_number": NUMBER });
    merge(&mut body, more);
    body
}

pub fn rules(more: Value) -> Value {
    let mut body = json!({
        "name": "Customer service",
        "hours": { "opening_hours": "24/7", "time_zone": "America/Los_Angeles" },
        "dial": { "regions": ["US"], "default_region": "US" },
        "routes": { "voice": ["trunk"], "email": ["relay"] },
        "categories": [{ "category": "bills", "keywords": ["invoice"] }],
    });
    merge(&mut body, more);
    body
}

pub fn merge(body: &mut Value, more: Value) {
    let Value::Object(more) = more else {
        panic!("an object")
    };
    for (name, value) in more {
        body[name] = value;
    }
}

/// `(field, code)` pairs as a table writes them.
pub fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(field, code)| ((*field).to_owned(), (*code).to_owned()))
        .collect()
}

pub fn id_of(callback: &Value) -> String {
    callback["interaction_id"].as_str().unwrap().to_owned()
}
