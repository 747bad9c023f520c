//! Books callbacks through the whole API without a network, for a profiler to look at:
//! `cargo build --profile profiling -p ringback-api --example bookings`, then
//! `valgrind --tool=callgrind target/profiling/examples/bookings 2000`.

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use jiff::{SignedDuration, Timestamp};
use rand::TryRngCore;
use rand::rngs::OsRng;
use ringback_api::{ApiSettings, ApiState};
use ringback_callbacks::clock::{Chance, Clock};
use ringback_store::OpenOptions;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;
use tower::ServiceExt;
use uuid::{NoContext, Uuid};

/// As many at a time as the benchmark has clients.
const CLIENTS: usize = 64;

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep_until(&self, _: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}

struct Dice;

impl Chance for Dice {
    fn uuid(&self) -> Uuid {
        Uuid::new_v7(uuid::Timestamp::now(NoContext))
    }

    fn unit(&self) -> f64 {
        0.5
    }

    fn fill(&self, bytes: &mut [u8]) {
        OsRng
            .try_fill_bytes(bytes)
            .expect("the operating system gives randomness");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let count: usize = std::env::args()
        .nth(1)
        .map_or(2000, |count| count.parse().expect("a number of bookings"));
    let directory = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}", directory.path().join("bookings.db").display());
    let chance = Arc::new(Dice);
    let store = ringback_store::open(&url, OpenOptions::default(), chance.clone())
        .await
        .expect("a store");
    let settings = ApiSettings {
        open_on_loopback: true,
        requests_per_second: 0,
        ..ApiSettings::default()
    };
    let state = ApiState::new(store.clone(), Arc::new(WallClock), chance, settings);
    let router = ringback_api::router(state);
    let queue = json!({
        "name": "Profile",
        "hours": {"opening_hours": "Mo-Sa 07:00-21:00; Su 09:00-18:00", "time_zone": "America/New_York"},
        "delivery": {"kind": "agents"},
        "dial": {"regions": ["US"]},
    });
    send(&router, "PUT", "/v1/queues/profile", &queue, None).await;

    let tomorrow = Timestamp::now() + SignedDuration::from_hours(24);
    let began = Instant::now();
    let booking = |client: usize| {
        let router = router.clone();
        async move {
            for index in (client..count).step_by(CLIENTS) {
                let request = json!({
                    "queue": "profile",
                    "customer_number": format!("+1212{}", 5_000_000 + index),
                    "desired_response_type": "Voice",
                    "any_hour": true,
                    "start_time": tomorrow.to_string(),
                    "subject": "A question about the last bill",
                });
                let key = format!("booking-{index}");
                send(&router, "POST", "/v1/callbacks", &request, Some(&key)).await;
            }
        }
    };
    futures::future::join_all((0..CLIENTS).map(booking)).await;
    let took = began.elapsed();
    println!(
        "{count} bookings in {took:?}: {:.0} per second",
        count as f64 / took.as_secs_f64()
    );
    store.close().await;
}

async fn send(router: &Router, method: &str, path: &str, body: &Value, key: Option<&str>) {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "127.0.0.1:8080")
        .header("content-type", "application/json")
        .extension(ConnectInfo(SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000))));
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let request = request
        .body(Body::from(body.to_string()))
        .expect("a request");
    let Ok(response) = router.clone().oneshot(request).await;
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20)
        .await
        .expect("a body that ends");
    assert!(
        status.is_success(),
        "{path}: {status} {}",
        String::from_utf8_lossy(&bytes)
    );
}
