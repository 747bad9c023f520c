//! Everything that the framework would refuse in its own words comes as a problem, with the request's id.

use crate::house::{House, booking, rules};
use axum::body::Body;
use serde_json::{Value, json};

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

/// One need is rung once: the queue's rule says what becomes of a second request.
#[tokio::test]
async fn who_asks_twice() {
    let house = House::new().await;
    let first = house.book(json!({ "subject": "My bill" })).await;
    let ask = |body: Value| house.post("/v1/callbacks").json(&body).send();
    let second = ask(booking(json!({ "subject": "My meter" }))).await;
    assert_eq!(second.status, 200);
    assert!(
        second
            .header("location")
            .ends_with(first["interaction_id"].as_str().unwrap())
    );
    let told = second.json();
    assert_eq!(told["merged"], true);
    assert_eq!(told["interaction_id"], first["interaction_id"]);
    assert_eq!(told["subject"], "My bill / My meter");
    assert_eq!(second.header("etag"), "\"2\"");
    let would = house
        .post("/v1/callbacks/validate")
        .json(&booking(json!({})))
        .send()
        .await
        .ok();
    assert_eq!(
        (&would["valid"], &would["merged"]),
        (&json!(true), &json!(true))
    );
    // Only the answer to the booking says so.
    let path = format!(
        "/v1/callbacks/{}",
        first["interaction_id"].as_str().unwrap()
    );
    assert_eq!(house.get(&path).send().await.ok().get("merged"), None);

    let rules = rules(json!({ "duplicates": "refuse" }));
    house.put("/v1/queues/service").json(&rules).send().await;
    let refused = ask(booking(json!({}))).await;
    let open = refused.json()["callback"].as_str().unwrap().to_owned();
    refused.problem(409, "duplicate");
    assert!(open.ends_with(&path), "{open}");
    // Who may not read callbacks learns only that there is one: else any number could be asked after.
    let blind = house.make_key(7, &[ringback_store::Scope::Write]).await;
    for path in ["/v1/callbacks", "/v1/callbacks/validate"] {
        let refused = house
            .post(path)
            .json(&booking(json!({})))
            .key(&blind)
            .send()
            .await;
        assert_eq!(refused.json().get("callback"), None);
        refused.problem(409, "duplicate");
    }
}
