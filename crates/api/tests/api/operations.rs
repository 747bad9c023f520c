//! Health, readiness, metrics, routes, pages.

use crate::house::House;
use ringback_api::{RouteView, metrics};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

#[tokio::test]
async fn health_and_readiness() {
    let house = House::new().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            house.get(path).no_key().send().await.ok(),
            json!({ "status": "ok" })
        );
    }
    house.state.stopping.cancel();
    house.get("/readyz").send().await.problem(503, "stopping");
    assert_eq!(house.get("/healthz").send().await.status, 200);
}

#[tokio::test]
async fn metrics_have_what_the_catalogue_promises_and_no_more() {
    let house = House::new().await;
    house.book(json!({})).await;
    house.get("/nowhere/+14155552671").send().await;
    house.get("/v1/queues").no_key().send().await;
    let id = crate::house::id_of(
        &house
            .book(json!({ "customer_number": "+12127361001", "text": "hello" }))
            .await,
    );
    house
        .get(&format!("/v1/interactions/{id}/plain_text"))
        .send()
        .await;
    let route = RouteView {
        name: "trunk".to_owned(),
        channel: "sip".to_owned(),
        up: true,
        since: None,
        active: 3,
        last_failure: None,
    };
    let state = house
        .state
        .clone()
        .with_route_health(Arc::new(move || vec![route.clone()]));
    let house = House {
        router: ringback_api::router(state),
        ..house
    };
    let answer = house.get("/metrics").send().await;
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    let text = answer.text();
    for line in [
        "ringback_callbacks{queue=\"service\",state=\"scheduled\"} 2",
        "ringback_route_up{route=\"trunk\",channel=\"sip\"} 1",
        "ringback_route_active_calls{route=\"trunk\",channel=\"sip\"} 3",
        "ringback_http_requests_total{method=\"POST\",route=\"/v1/callbacks\",status=\"201\"} 2",
        "ringback_http_requests_total{method=\"GET\",route=\"(none)\",status=\"404\"} 1",
        "ringback_http_refusals_total{reason=\"unauthorized\"} 1",
        "ringback_http_body_bytes_total{direction=\"out\"} 5",
        "# EOF",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
    assert!(!text.contains("4155552671"));
    let mut found: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .map(|name| {
            name.trim_end_matches("_bucket")
                .trim_end_matches("_sum")
                .trim_end_matches("_count")
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    let mut promised: Vec<&str> = metrics::CATALOGUE.iter().map(|entry| entry.name).collect();
    promised.sort_unstable();
    assert_eq!(found, promised);
}

#[test]
fn the_catalogue_page_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/metrics.md");
    crate::document::fresh(&path, &metrics::catalogue_page());
}

#[tokio::test]
async fn routes_are_told() {
    let house = House::new().await;
    assert_eq!(
        house.get("/v1/routes").send().await.ok()["items"],
        json!([])
    );
}

#[tokio::test]
async fn pages_work_without_anything_from_elsewhere() {
    let house = House::new().await;
    for path in ["/", "/docs", "/problems/not_now"] {
        let answer = house.get(path).no_key().send().await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        let text = answer.text();
        for foreign in [
            "<script", "http://", "https://", "<img", "@import", "url(", " style=", " onclick",
        ] {
            assert!(!text.contains(foreign), "{foreign} in {path}");
        }
        use base64::Engine;
        use sha2::Digest;
        let style = text
            .split("<style>")
            .nth(1)
            .unwrap()
            .split("</style>")
            .next()
            .unwrap();
        let hash = base64::engine::general_purpose::STANDARD
            .encode(sha2::Sha256::digest(style.as_bytes()));
        assert!(policy.contains(&hash), "the style is not the one allowed");
    }
    let reference = house.get("/docs").send().await.text();
    for part in [
        "POST",
        "/v1/callbacks/{id}/reschedule",
        "desired_response_type",
        "Scope: <code>write or agent</code>",
        "may_have_reached",
    ] {
        assert!(reference.contains(part), "{part}");
    }
    // Fields stand in the reference's order, not the alphabet's.
    let types = reference.split("id=\"type-Callback\"").nth(1).unwrap();
    assert!(types.find("callback_status").unwrap() < types.find("customer_number").unwrap());
    assert!(types.find("customer_number").unwrap() < types.find("attempts").unwrap());
    house
        .get("/problems/unheard_of")
        .send()
        .await
        .problem(404, "not_found");
}
