//! Too many, too fast, too broken: load, rate, time and panics.

use crate::house::{House, booking, id_of};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures::stream;
use ringback_api::ApiSettings;
use ringback_store::StoreError;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

#[tokio::test]
async fn an_address_has_its_pace() {
    let house = House::with(ApiSettings {
        requests_per_second: 1,
        burst: 3,
        ..Default::default()
    })
    .await;
    let ask = |from: &'static str| house.get("/v1/callbacks").from(from).send();
    for _ in 0..3 {
        ask("192.0.2.1:1000").await.ok();
    }
    let refused = ask("192.0.2.1:2000").await;
    refused.problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), "1");
    ask("192.0.2.2:1000").await.ok();
    // Health is told to everybody, always.
    assert_eq!(
        house
            .get("/healthz")
            .from("192.0.2.1:1000")
            .send()
            .await
            .status,
        200
    );
    house.clock.turn(1);
    ask("192.0.2.1:1000").await.ok();
    ask("192.0.2.1:1000").await.problem(429, "rate_limited");
}

#[tokio::test]
async fn more_than_it_can_work_on_is_refused_at_once() {
    let house = House::with(ApiSettings {
        concurrent_requests: 1,
        requests_per_second: 0,
        ..Default::default()
    })
    .await;
    // A request whose body never ends holds the only place.
    let slow = house.post("/v1/callbacks").body(
        "application/json",
        Body::from_stream(stream::pending::<Result<String, std::io::Error>>()),
    );
    let slow = slow.open();
    tokio::pin!(slow);
    assert!(futures::poll!(&mut slow).is_pending());
    let mut refused = house.get("/v1/queues").send().await;
    for _ in 0..100 {
        if refused.status == 503 {
            break;
        }
        // The slow one may still be at its key.
        assert!(futures::poll!(&mut slow).is_pending());
        refused = house.get("/v1/queues").send().await;
    }
    refused.problem(503, "overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(house.get(path).send().await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered() {
    let house = House::with(ApiSettings {
        request_timeout_seconds: 1,
        requests_per_second: 0,
        ..Default::default()
    })
    .await;
    let body = Body::from_stream(stream::pending::<Result<String, std::io::Error>>());
    let answer = house
        .post("/v1/callbacks")
        .body("application/json", body)
        .send()
        .await;
    answer.problem(503, "outcome_unknown");
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .contains("may or may not be stored")
    );
}

#[tokio::test]
async fn a_panic_is_a_problem_and_nobody_else_notices() {
    let house = House::new().await;
    let health: ringback_api::RouteHealth =
        Arc::new(|| panic!("a planted panic with +14155552671 in it"));
    let state = house.state.clone().with_route_health(health);
    let router: Router = ringback_api::router(state);
    let ask = |path: &str| {
        let key = format!("Bearer {}", house.key);
        router.clone().oneshot(
            Request::get(path)
                .header("authorization", key)
                .body(Body::empty())
                .unwrap(),
        )
    };
    let answer = ask("/v1/routes").await.unwrap();
    assert_eq!(answer.status(), 500);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let body = axum::body::to_bytes(answer.into_body(), 10_000)
        .await
        .unwrap();
    assert!(!String::from_utf8_lossy(&body).contains("4155552671"));
    assert_eq!(ask("/v1/queues").await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let house = House::new().await;
    let id = id_of(&house.book(json!({})).await);
    house.store.close().await;
    // The key itself cannot be looked up any more.
    for path in ["/v1/callbacks".to_owned(), format!("/v1/callbacks/{id}")] {
        let answer = house.get(&path).send().await;
        answer.problem(503, "stopping");
        assert_eq!(answer.header("retry-after"), "5");
    }
    house
        .post("/v1/callbacks")
        .json(&booking(json!({})))
        .send()
        .await
        .problem(503, "stopping");
    house.get("/readyz").send().await.problem(503, "overloaded");
    assert_eq!(house.get("/healthz").send().await.status, 200);
}

/// What the store may answer when it is in trouble, and what clients are told.
#[tokio::test]
async fn the_stores_troubles_as_problems() {
    use axum::response::IntoResponse;
    use ringback_api::error::Problem;
    let damaged = StoreError::Damaged {
        table: "callbacks",
        column: "doc",
        detail: "cut off".to_owned(),
    };
    let table = [
        (StoreError::Busy, 503, Some("1"), "Nothing was done"),
        (StoreError::Full, 503, Some("30"), "Nothing was stored"),
        (
            StoreError::Failed("disk".to_owned()),
            503,
            Some("5"),
            "may or may not be stored",
        ),
        (damaged, 500, None, "logged"),
        (StoreError::NotFound("callback"), 404, None, "callback"),
        (StoreError::RevisionConflict { current: 9 }, 412, None, "9"),
        (
            StoreError::IdempotencyMismatch,
            422,
            None,
            "Idempotency-Key",
        ),
    ];
    for (error, status, retry_after, detail) in table {
        let problem = Problem::from(error);
        assert!(problem.detail.contains(detail), "{}", problem.detail);
        let response = problem.into_response();
        assert_eq!(response.status(), status);
        assert_eq!(
            response
                .headers()
                .get("retry-after")
                .map(|value| value.to_str().unwrap()),
            retry_after
        );
    }
}

#[tokio::test]
async fn many_at_once_all_get_their_answer() {
    let house = House::new().await;
    let asks = (0..64)
        .map(|n| house.book(json!({ "customer_number": format!("+1212736{:04}", 1000 + n) })));
    let booked = tokio::time::timeout(Duration::from_secs(60), futures::future::join_all(asks))
        .await
        .unwrap();
    let mut ids: Vec<String> = booked.iter().map(id_of).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 64);
}
