//! Everything that the framework would refuse in its own words comes as a problem, with the request's id.

use crate::house::{House, booking};
use axum::body::Body;
use serde_json::json;

#[tokio::test]
async fn the_frameworks_own_refusals_are_problems_too() {
    let house = House::new().await;
    let json_type = "application/json";
    let post = |mime: &str, body: &str| house.post("/v1/callbacks").body(mime, body.to_owned());
    post(json_type, "{")
        .send()
        .await
        .problem(400, "invalid_json");
    post(json_type, "")
        .send()
        .await
        .problem(400, "invalid_json");
    post(json_type, "[]")
        .send()
        .await
        .problem(400, "invalid_json");
    post(json_type, "\u{feff}{}")
        .send()
        .await
        .problem(400, "invalid_json");
    house
        .post("/v1/callbacks")
        .body(json_type, vec![0xff, 0xfe])
        .send()
        .await
        .problem(400, "invalid_json");
    post(json_type, &"[".repeat(100_000))
        .send()
        .await
        .problem(400, "invalid_json");
    post("", "{}")
        .send()
        .await
        .problem(415, "unsupported_media_type");
    post("text/plain", "{}")
        .send()
        .await
        .problem(415, "unsupported_media_type");
    post("application/x-www-form-urlencoded", "a=b")
        .send()
        .await
        .problem(415, "unsupported_media_type");
    // With a charset, and in capitals, it is JSON all the same.
    post(
        "Application/JSON; charset=utf-8",
        &booking(json!({})).to_string(),
    )
    .send()
    .await
    .ok();

    let large = format!("{{\"subject\":\"{}\"}}", "x".repeat(1024 * 1024));
    post(json_type, &large)
        .send()
        .await
        .problem(413, "too_large");
    let unstated = Body::from_stream(futures::stream::iter([Ok::<_, std::io::Error>(large)]));
    house
        .post("/v1/callbacks")
        .body(json_type, unstated)
        .send()
        .await
        .problem(413, "too_large");
    let broken = futures::stream::iter([Ok("{"), Err(std::io::Error::other("gone"))]);
    house
        .post("/v1/callbacks")
        .body(json_type, Body::from_stream(broken))
        .send()
        .await
        .problem(400, "invalid_json");

    for path in [
        "/nowhere",
        "/v1/",
        "/v1/callbacks/",
        "/v2/callbacks",
        "/v1/callbacks/x/y/z",
        "/docs/x",
    ] {
        house.get(path).send().await.problem(404, "not_found");
    }
    for (method, path) in [
        ("DELETE", "/v1/callbacks"),
        ("PUT", "/healthz"),
        ("BREW", "/v1/queues"),
        ("TRACE", "/"),
    ] {
        let answer = house.ask(method, path).send().await;
        answer.problem(405, "method_not_allowed");
        assert!(!answer.header("allow").is_empty());
    }
    house
        .get("/v1/callbacks?status=%FF")
        .send()
        .await
        .problem(400, "invalid_request");
    house
        .get("/v1/callbacks/%FF")
        .send()
        .await
        .problem(404, "not_found");
    house
        .get(&format!("/v1/callbacks?{}", "a=1&".repeat(300)))
        .send()
        .await
        .problem(400, "invalid_request");
}

#[tokio::test]
async fn request_ids_are_kept_if_harmless() {
    let house = House::new().await;
    let kept = house
        .get("/healthz")
        .header("x-request-id", "client.id_7-a")
        .send()
        .await;
    assert_eq!(kept.header("x-request-id"), "client.id_7-a");
    for bad in ["", "two words", "a\tb", &"x".repeat(65), "<script>"] {
        let answer = house
            .get("/nowhere")
            .header("x-request-id", bad)
            .send()
            .await;
        assert_ne!(answer.header("x-request-id"), bad);
        assert_eq!(answer.header("x-request-id").len(), 36);
        answer.problem(404, "not_found");
    }
}

#[tokio::test]
async fn answers_tell_browsers_to_be_careful() {
    let house = House::new().await;
    for path in [
        "/v1/callbacks",
        "/nowhere",
        "/healthz",
        "/docs",
        "/openapi.json",
    ] {
        let answer = house.get(path).send().await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert!(
            answer
                .header("content-security-policy")
                .starts_with("default-src 'none'"),
            "{path}"
        );
        assert!(
            answer.header("access-control-allow-origin").is_empty(),
            "{path}"
        );
    }
    assert_eq!(
        house
            .get("/v1/callbacks")
            .send()
            .await
            .header("cache-control"),
        "no-store"
    );
}
