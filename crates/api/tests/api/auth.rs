//! Keys and scopes: the whole matrix, made from the document itself.

use crate::house::{House, booking, id_of};
use ringback_api::ApiSettings;
use ringback_callbacks::clock::Clock;
use ringback_callbacks::ids::TenantId;
use ringback_store::Scope;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Method, path with ids filled in, and the scopes of which one is enough (none: no key is needed).
fn operations() -> Vec<(String, String, Vec<String>)> {
    let document: Value =
        serde_json::from_str(&ringback_api::openapi().to_json().unwrap()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = match path.split('/').nth(2).unwrap_or("") {
                "agents" => "1",
                "queues" => "service",
                "customers" => "C-1",
                _ => "00000000-0000-4000-8000-000000000000",
            };
            let filled = path
                .replace("{id}", id)
                .replace("{offer}", "00000000-0000-4000-8000-000000000000")
                .replace("{body}", "plain_text")
                .replace("{code}", "not_now");
            let scopes = operation["security"]
                .as_array()
                .unwrap_or_else(|| panic!("{method} {path} says nothing of its security"))
                .iter()
                .flat_map(|one| one["api_key"].as_array().unwrap().clone())
                .map(|scope| scope.as_str().unwrap().to_owned())
                .collect();
            found.push((method.to_uppercase(), filled, scopes));
        }
    }
    found
}

#[tokio::test]
async fn every_operation_opens_to_its_scopes_and_to_no_other() {
    let house = House::new().await;
    let mut keys = BTreeMap::new();
    for scope in Scope::ALL {
        keys.insert(scope.name(), house.make_key(9, &[scope]).await);
    }
    let all = operations();
    assert!(all.len() > 45, "{}", all.len());
    for (method, path, scopes) in all {
        if scopes.is_empty() {
            assert!(!path.starts_with("/v1/"), "{path} is open to everybody");
            let answer = house.ask(&method, &path).no_key().send().await;
            assert_eq!(answer.status, 200, "{method} {path}");
            continue;
        }
        let answer = house.ask(&method, &path).no_key().send().await;
        answer.problem(401, "unauthorized");
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer realm=\"ringback\"",
            "{method} {path}"
        );
        for (scope, key) in &keys {
            let answer = house.ask(&method, &path).key(key).send().await;
            if scopes.iter().any(|allowed| allowed == scope) {
                assert!(
                    !matches!(answer.status.as_u16(), 401 | 403),
                    "{scope}: {method} {path}: {}",
                    answer.status
                );
            } else {
                answer.problem(403, "forbidden");
                assert!(
                    answer
                        .header("www-authenticate")
                        .contains("insufficient_scope")
                );
            }
        }
    }
}

#[tokio::test]
async fn keys_that_are_no_good() {
    let house = House::new().await;
    let now = house.clock.now();
    let tenant = TenantId::default;
    let revoked = house
        .make_key_of(tenant(), 1, &Scope::ALL, |key| key.revoked_at = Some(now))
        .await;
    let expiring = house
        .make_key_of(tenant(), 1, &Scope::ALL, |key| {
            key.expires_at = Some(now + jiff::SignedDuration::from_secs(60))
        })
        .await;
    house.get("/v1/queues").key(&expiring).send().await.ok();
    house.clock.turn(60);
    let mut altered = house.key.clone();
    altered.replace_range(10..11, if &altered[10..11] == "A" { "B" } else { "A" });
    for key in [
        revoked.as_str(),
        &expiring,
        &altered,
        "rbk_",
        "rbk_short",
        "not-one-of-ours",
        &format!("rbk_{}", "x".repeat(500)),
    ] {
        let answer = house.get("/v1/queues").key(key).send().await;
        answer.problem(401, "unauthorized");
        assert!(answer.header("www-authenticate").contains("invalid_token"));
        assert!(!answer.text().contains(key), "the key is repeated");
    }
    for value in ["", "Bearer", "Basic dXNlcjpwYXNz", &house.key] {
        let ask = house
            .get("/v1/queues")
            .no_key()
            .header("authorization", value);
        ask.send().await.problem(401, "unauthorized");
    }
    let any_case = house
        .get("/v1/queues")
        .no_key()
        .header("authorization", &format!("bearer {}", house.key));
    any_case.send().await.ok();
    // Only the hash is stored.
    for key in house.store.keys().await.unwrap() {
        assert!(!format!("{key:?}").contains(&house.key));
    }
}

#[tokio::test]
async fn the_open_door_is_opened_on_purpose_and_on_loopback_only() {
    let closed = House::new().await;
    let ask = closed.get("/v1/queues").no_key().from("127.0.0.1:5000");
    ask.send().await.problem(401, "unauthorized");

    let house = House::with(ApiSettings {
        open_on_loopback: true,
        requests_per_second: 0,
        ..Default::default()
    })
    .await;
    let here = |path: &str| {
        house
            .post(path)
            .no_key()
            .from("127.0.0.1:5000")
            .header("host", "localhost:8080")
    };
    let booked = here("/v1/callbacks")
        .json(&booking(json!({})))
        .send()
        .await
        .ok();
    assert_eq!(booked["creator_app_id"], 0);
    let path = format!("/v1/callbacks/{}/cancel", id_of(&booked));
    here(&path)
        .header("origin", "https://evil.example")
        .send()
        .await
        .problem(401, "unauthorized");
    here(&path)
        .header("x-forwarded-for", "192.0.2.7")
        .send()
        .await
        .problem(401, "unauthorized");
    house
        .post(&path)
        .no_key()
        .from("127.0.0.1:5000")
        .header("host", "evil.example")
        .send()
        .await
        .problem(401, "unauthorized");
    house
        .post(&path)
        .no_key()
        .from("192.0.2.7:5000")
        .send()
        .await
        .problem(401, "unauthorized");
    house
        .post(&path)
        .no_key()
        .send()
        .await
        .problem(401, "unauthorized");
    // A key that is sent is looked at, even here.
    here(&path)
        .key("rbk_wrong")
        .send()
        .await
        .problem(401, "unauthorized");
    here(&path).send().await.ok();
}

#[tokio::test]
async fn metrics_may_be_opened() {
    let house = House::with(ApiSettings {
        open_metrics: true,
        requests_per_second: 0,
        ..Default::default()
    })
    .await;
    assert_eq!(house.get("/metrics").no_key().send().await.status, 200);
}
