//! Lists: every filter, and pages that stay right while others book.

use crate::house::{House, booking, id_of, pairs};
use ringback_callbacks::ids::TenantId;
use ringback_store::Scope;
use serde_json::{Value, json};

fn ids(page: &Value) -> Vec<String> {
    page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(id_of)
        .collect()
}

#[tokio::test]
async fn every_filter_narrows() {
    let house = House::new().await;
    house
        .put("/v1/queues/other")
        .json(&crate::house::rules(json!({})))
        .send()
        .await
        .ok();
    let root = id_of(
        &house
            .book(json!({ "customer_number": "+12127361000" }))
            .await,
    );
    house.clock.turn(60);
    let one = id_of(
        &house
            .book(json!({
                "customer_number": "+12127361001", "queue": "other", "customer_id": "CUST-1", "owner_id": 42,
                "thread_id": "thread-7", "parent_id": root, "external_id": "crm-7", "subject": "Blue Bicycle",
                "start_time": "2026-03-12T18:00:00Z", "udata": { "colour": "turquoise" },
                "contacts": [{ "desired_response_type": "Email", "customer_number": "anna@example.com" }],
            }))
            .await,
    );
    house.clock.turn(60);
    let ended = id_of(
        &house
            .book(json!({ "customer_number": "+12127361002" }))
            .await,
    );
    house
        .post(&format!("/v1/callbacks/{ended}/cancel"))
        .send()
        .await
        .ok();
    house.agent(1, "ready").await;
    assert_eq!(house.claim().await, 1);

    let table: &[(&str, &[&str])] = &[
        ("", &[&ended, &one, &root]),
        ("queue=other", &[&one]),
        ("queue=nowhere", &[]),
        ("callback_status=9", &[&ended]),
        ("callback_status=2,5", &[&one, &root]),
        ("callback_status=2&callback_status=9", &[&ended, &one]),
        ("status=3", &[&ended]),
        ("status=1,2", &[&one, &root]),
        ("customer_id=CUST-1", &[&one]),
        ("number=%2B12127361001", &[&one]),
        ("number=+12127361001", &[&one]),
        ("number=212-736-1001&queue=other", &[&one]),
        ("number=anna@example.com", &[&one]),
        ("number=%2B12127369999", &[]),
        ("owner_id=42", &[&one]),
        ("agent_id=1", &[&root]),
        ("agent_id=2", &[]),
        ("thread_id=thread-7", &[&one]),
        ("external_id=crm-7", &[&one]),
        ("start_from=2026-03-12T00:00:00Z", &[&one]),
        ("start_before=2026-03-12T00:00:00Z", &[&ended, &root]),
        (
            "start_from=2026-03-12T18:00:00Z&start_before=2026-03-12T18:00:00Z",
            &[],
        ),
        ("created_from=2026-03-09T17:02:00Z", &[&ended]),
        ("created_before=2026-03-09T17:01:00Z", &[&root]),
        ("text=bicycle", &[&one]),
        ("text=TURQUOISE", &[&one]),
        ("text=zeppelin", &[]),
        ("queue=other&status=3", &[]),
    ];
    for (query, expected) in table {
        let page = house
            .get(&format!("/v1/callbacks?{query}"))
            .send()
            .await
            .ok();
        assert_eq!(ids(&page), *expected, "{query}");
    }
    let page = house
        .get(&format!("/v1/callbacks?parent_id={root}"))
        .send()
        .await
        .ok();
    assert_eq!(ids(&page), [one.as_str()]);

    let bad: &[(&str, &[(&str, &str)])] = &[
        ("colour=red", &[("colour", "unknown_field")]),
        (
            "queue=No%20Way&limit=0&cursor=abc&x=1",
            &[
                ("queue", "format"),
                ("cursor", "format"),
                ("limit", "range"),
                ("x", "unknown_field"),
            ],
        ),
        ("limit=201", &[("limit", "range")]),
        ("limit=ten", &[("limit", "type")]),
        ("status=one", &[("status", "format")]),
        ("start_from=yesterday", &[("start_from", "format")]),
        ("number=212-736-1001", &[("number", "format")]),
        ("queue=a&queue=b", &[("queue", "repeated")]),
        ("parent_id=x", &[("parent_id", "format")]),
    ];
    for (query, expected) in bad {
        let found = house
            .get(&format!("/v1/callbacks?{query}"))
            .send()
            .await
            .problem(400, "invalid_request");
        assert_eq!(found, pairs(expected), "{query}");
    }
}

#[tokio::test]
async fn pages_stay_right_while_others_book() {
    let house = House::new().await;
    let mut booked = Vec::new();
    for n in 0..7 {
        booked.push(id_of(
            &house
                .book(json!({ "customer_number": format!("+1212736{:04}", 2000 + n) }))
                .await,
        ));
        // Some share a millisecond.
        house.clock.turn(n % 2);
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    for round in 0..10 {
        let page = house
            .get(&format!("/v1/callbacks?limit=3{cursor}"))
            .send()
            .await
            .ok();
        seen.extend(ids(&page));
        house.clock.turn(1);
        house
            .book(json!({ "customer_number": format!("+1212736{:04}", 3000 + round) }))
            .await;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    seen.sort();
    booked.sort();
    assert_eq!(seen, booked);
}

#[tokio::test]
async fn tenants_see_only_their_own() {
    let house = House::new().await;
    let callback = house.book(json!({ "customer_id": "C-1" })).await;
    let id = id_of(&callback);
    let other = house
        .make_key_of(TenantId::parse("other").unwrap(), 5, &Scope::ALL, |_| {})
        .await;
    for path in [
        "/v1/callbacks",
        "/v1/interactions",
        "/v1/queues",
        "/v1/agents",
        "/v1/customers",
        "/v1/events",
    ] {
        let page = house.get(path).key(&other).send().await.ok();
        assert_eq!(page["items"], json!([]), "{path}");
    }
    for path in [
        format!("/v1/callbacks/{id}"),
        format!("/v1/callbacks/{id}/attempts"),
        format!("/v1/callbacks/{id}/events"),
        format!("/v1/callbacks/{id}/why"),
        format!("/v1/interactions/{id}"),
        "/v1/customers/C-1".to_owned(),
        "/v1/queues/service".to_owned(),
    ] {
        house
            .get(&path)
            .key(&other)
            .send()
            .await
            .problem(404, "not_found");
    }
    house
        .post(&format!("/v1/callbacks/{id}/cancel"))
        .key(&other)
        .send()
        .await
        .problem(404, "not_found");
    let found = house
        .post("/v1/callbacks")
        .key(&other)
        .json(&booking(json!({})))
        .send()
        .await;
    assert_eq!(
        found.problem(400, "invalid_request"),
        pairs(&[("queue", "not_found")])
    );
}
