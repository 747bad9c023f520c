//! `POST /v1/callbacks` and `/validate`: good and bad bookings, repetition.

use crate::house::{House, NOW, NUMBER, booking, id_of, merge, pairs, rules};
use ringback_callbacks::contact::Region;
use ringback_callbacks::ids::{QueueId, TenantId};
use serde_json::{Value, json};

#[tokio::test]
async fn without_a_queue_it_goes_to_the_only_one() {
    let house = House::new().await;
    let nameless = booking(json!({ "queue": null }));
    let callback = house.post("/v1/callbacks").json(&nameless).send().await;
    assert_eq!(callback.json()["queue"], "service", "{}", callback.text());
    house
        .put("/v1/queues/sales")
        .json(&rules(json!({})))
        .send()
        .await
        .ok();
    let found = house
        .post("/v1/callbacks")
        .json(&nameless)
        .send()
        .await
        .problem(400, "invalid_request");
    assert_eq!(
        found,
        pairs(&[("queue", "required")]),
        "nobody can tell which of two"
    );
}

#[tokio::test]
async fn a_booking_is_answered_with_the_whole_resource() {
    let house = House::new().await;
    let answer = house
        .post("/v1/callbacks")
        .json(&booking(json!({
            "customer_number": "(415) 555-2671",
            "start_time": "2026-03-09T12:00:00-07:00",
            "end_time": "2026-03-10T00:00:00Z",
            "customer_name": "Anna", "customer_id": "0000Ca7VJHXQ00A3",
            "time_zone": "America/Los_Angeles", "any_hour": true, "priority": 70, "callback_type": 4,
            "type": "Outbound", "sub_type": "WebRequest", "media_type": "callback",
            "thread_id": "t-1", "external_id": "crm-9", "owner_id": 12, "timeshift": -480,
            "allow_children": false, "subject": "About my Invoice", "udata": { "language": "en-US", "n": 3 },
            "after_failures": 2,
            "contacts": [{ "desired_response_type": "email", "customer_number": "anna@example.com" }],
            "text": "please", "structured_text": "<p>please</p>", "structured_text_mime": "text/html",
            "binary_content": "AAEC", "binary_content_mime": "image/png", "binary_content_size": 3,
        })))
        .send()
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let callback = answer.json();
    let id = id_of(&callback);
    assert_eq!(answer.header("location"), format!("/v1/callbacks/{id}"));
    assert_eq!(
        answer.header("etag"),
        format!("\"{}\"", callback["revision"])
    );
    let expected = json!({
        "callback_status": 2, "desired_response_type": "Voice",
        "start_time": "2026-03-09T19:00:00.000Z", "end_time": "2026-03-10T00:00:00.000Z",
        "customer_number": NUMBER, "attempts": 0, "callback_type": 4,
        "customer_id": "0000Ca7VJHXQ00A3", "interaction_id": id, "status": 1, "entity_type": 5,
        "type": "Outbound", "sub_type": "WebRequest", "media_type": "callback", "thread_id": "t-1",
        "external_id": "crm-9", "owner_id": 12, "creator_app_id": 118, "start_date": NOW, "timeshift": -480,
        "category_id": "bills", "allow_children": false, "subject": "About my Invoice",
        "text": format!("/v1/interactions/{id}/plain_text"),
        "structured_text": format!("/v1/interactions/{id}/structured_text"), "structured_text_mime": "text/html",
        "binary_content": format!("/v1/interactions/{id}/binary_content"),
        "binary_content_mime": "image/png", "binary_content_size": 3,
        "udata": { "language": "en-US", "n": 3 },
        "queue": "service", "after_failures": 2,
        "contacts": [{ "desired_response_type": "Email", "customer_number": "anna@example.com", "failures": 0 }],
        "current_contact": 0,
        "time_zone": "America/Los_Angeles", "any_hour": true, "priority": 70,
        "promise": { "from": "2026-03-09T19:00:00.000Z", "to": "2026-03-09T20:00:00.000Z", "state": "open" },
        "promise_now": { "from": "2026-03-09T19:00:00.000Z", "to": "2026-03-09T20:00:00.000Z" },
        "next_attempt_at": "2026-03-09T19:00:00.000Z", "state": "scheduled",
        "cancel_requested": false, "may_have_reached": false, "revision": callback["revision"],
    });
    assert_eq!(callback, expected);
    assert_eq!(house.callback(&id).await, expected);
    let body = house
        .get(&format!("/v1/interactions/{id}/binary_content"))
        .send()
        .await;
    assert_eq!(body.bytes, [0, 1, 2]);
}

#[tokio::test]
async fn the_least_that_is_needed() {
    let house = House::new().await;
    let callback = house.book(json!({})).await;
    assert_eq!(callback["start_time"], NOW);
    assert_eq!(callback["end_time"], "2026-03-10T17:00:00.000Z");
    assert_eq!(callback["customer_id"].as_str().unwrap().len(), 16);
    for absent in [
        "call_result",
        "dn",
        "location",
        "callback_server_id",
        "end_date",
        "text",
        "contacts",
        "udata",
        "agent_id",
    ] {
        assert!(callback.get(absent).is_none(), "{absent} in {callback}");
    }
}

/// Several broken rules at once, each with its field.
#[tokio::test]
async fn every_broken_rule_is_told_at_once() {
    let house = House::new().await;
    type Case = (Value, &'static [(&'static str, &'static str)]);
    let table: Vec<Case> = vec![
        (
            json!({ "customer_number": null }),
            &[("customer_number", "required")],
        ),
        (
            json!({ "desired_response_type": "Fax", "customer_number": 5, "priority": 101, "any_hour": "yes" }),
            &[
                ("desired_response_type", "enumeration"),
                ("customer_number", "type"),
                ("any_hour", "type"),
                ("priority", "range"),
            ],
        ),
        (
            json!({ "start_time": "2026-03-09T20:00:00Z", "end_time": "2026-03-09T19:00:00Z", "colour": "red" }),
            &[("end_time", "order"), ("colour", "unknown_field")],
        ),
        (
            json!({ "end_time": "2020-01-01T00:00:00Z" }),
            &[("end_time", "order"), ("end_time", "past")],
        ),
        (
            json!({ "start_time": "2036-01-01T00:00:00Z" }),
            &[("start_time", "range")],
        ),
        (json!({ "start_time": "soon" }), &[("start_time", "format")]),
        (
            json!({ "interaction_id": "x", "status": 3, "attempts": 9, "creator_app_id": 1, "call_result": 0 }),
            &[
                ("attempts", "server_set"),
                ("call_result", "server_set"),
                ("interaction_id", "server_set"),
                ("status", "server_set"),
                ("creator_app_id", "server_set"),
            ],
        ),
        (
            json!({ "customer_number": "+14155" }),
            &[("customer_number", "not_valid")],
        ),
        (
            json!({ "customer_number": "+33142685300" }),
            &[("customer_number", "not_diallable")],
        ),
        (
            json!({ "structured_text": "<p>" }),
            &[("structured_text_mime", "required")],
        ),
        (
            json!({ "structured_text_mime": "text/html" }),
            &[("structured_text_mime", "without_content")],
        ),
        (
            json!({ "binary_content": "AAEC" }),
            &[
                ("binary_content_mime", "required"),
                ("binary_content_size", "required"),
            ],
        ),
        (
            json!({ "binary_content": "AAEC", "binary_content_mime": "image/png", "binary_content_size": 4 }),
            &[("binary_content_size", "mismatch")],
        ),
        (
            json!({ "contacts": [{ "desired_response_type": "Email", "customer_number": "no", "x": 1 }, 5] }),
            &[
                ("contacts[0].x", "unknown_field"),
                ("contacts[0].customer_number", "not_an_email"),
                ("contacts[1]", "type"),
            ],
        ),
        (
            json!({ "udata": { "deep": { "er": 1 } } }),
            &[("udata.deep", "type")],
        ),
        (json!({ "udata": [] }), &[("udata", "type")]),
        (
            json!({ "customer_id": "much too long for one" }),
            &[("customer_id", "format")],
        ),
        (
            json!({ "time_zone": "Mars/Olympus", "parent_id": "no" }),
            &[("time_zone", "format"), ("parent_id", "format")],
        ),
        (
            json!({ "subject": "two\nlines" }),
            &[("subject", "control_character")],
        ),
        (json!({ "queue": "nowhere" }), &[("queue", "not_found")]),
        (json!({ "queue": "No Way" }), &[("queue", "queue")]),
        (
            json!({ "queue": 7, "customer_number": null, "colour": 1 }),
            &[
                ("queue", "type"),
                ("customer_number", "required"),
                ("colour", "unknown_field"),
            ],
        ),
    ];
    for (more, expected) in table {
        for path in ["/v1/callbacks", "/v1/callbacks/validate"] {
            let found = house
                .post(path)
                .json(&booking(more.clone()))
                .send()
                .await
                .problem(400, "invalid_request");
            let mut found: Vec<_> = found.into_iter().collect();
            let mut expected = pairs(expected);
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{more}");
        }
    }
    let none = house.get("/v1/callbacks").send().await.ok();
    assert_eq!(none["items"], json!([]));
}

#[tokio::test]
async fn validate_tells_the_promise_and_stores_nothing() {
    let house = House::new().await;
    let table = [
        (json!({}), "2026-03-09T17:00:00.000Z", Value::Null),
        // Two in the morning in California: the customer sleeps until eight.
        (
            json!({ "start_time": "2026-03-10T09:00:00Z", "customer_number": "+14155550124" }),
            "2026-03-10T15:00:00.000Z",
            json!("customers_night"),
        ),
    ];
    for (more, from, guard) in table {
        let told = house
            .post("/v1/callbacks/validate")
            .json(&booking(more.clone()))
            .send()
            .await
            .ok();
        assert_eq!(told["promise"]["from"], from, "{more}");
        assert_eq!(told["held"]["guard"], guard, "{more}");
        assert_eq!(told["valid"], true);
        let booked = house.book(more).await;
        assert_eq!(booked["promise"], told["promise"]);
    }
    let list = house.get("/v1/callbacks").send().await.ok();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_same_key_is_the_same_booking() {
    let house = House::new().await;
    let ask = |key: &'static str, body: Value| {
        house
            .post("/v1/callbacks")
            .header("idempotency-key", key)
            .json(&body)
    };
    let first = ask("k-1", booking(json!({}))).send().await;
    assert_eq!(first.status, 201);
    assert_eq!(first.header("idempotent-replayed"), "");
    house.clock.turn(30);
    let second = ask("k-1", booking(json!({}))).send().await;
    assert_eq!(second.status, 201);
    assert_eq!(second.header("idempotent-replayed"), "true");
    assert_eq!(second.bytes, first.bytes);
    assert_eq!(second.header("location"), first.header("location"));
    assert_eq!(second.header("etag"), first.header("etag"));
    assert_eq!(second.header("content-type"), "application/json");

    ask("k-1", booking(json!({ "priority": 1 })))
        .send()
        .await
        .problem(422, "idempotency_mismatch");
    // Another application's key of the same name is another key.
    let other = house.make_key(7, &[ringback_store::Scope::Write]).await;
    let another = booking(json!({ "customer_number": "+14155550124" }));
    let third = ask("k-1", another).key(&other).send().await;
    assert_eq!(
        (third.status.as_u16(), third.header("idempotent-replayed")),
        (201, "")
    );
    assert_eq!(third.json()["creator_app_id"], 7);

    let list = house.get("/v1/callbacks").send().await.ok();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let long = "k".repeat(256);
    let found = house
        .post("/v1/callbacks")
        .header("idempotency-key", &long)
        .json(&booking(json!({})))
        .send()
        .await;
    assert_eq!(
        found.problem(400, "invalid_request"),
        pairs(&[("Idempotency-Key", "format")])
    );
}

/// What was accepted is repeated even if the same request would not be accepted any more.
#[tokio::test]
async fn a_repetition_is_answered_whatever_has_changed() {
    let house = House::new().await;
    let body = booking(json!({ "end_time": "2026-03-09T18:00:00Z" }));
    let ask = || {
        house
            .post("/v1/callbacks")
            .header("idempotency-key", "k-2")
            .json(&body)
    };
    let first = ask().send().await;
    assert_eq!(first.status, 201);
    house.clock.turn(7200);
    house.delete("/v1/queues/service").send().await;
    let second = ask().send().await;
    assert_eq!(
        (second.status.as_u16(), &second.bytes),
        (201, &first.bytes),
        "{}",
        second.text()
    );
    // Without the key it is refused, as it should be.
    house
        .post("/v1/callbacks")
        .json(&body)
        .send()
        .await
        .problem(400, "invalid_request");
}

#[tokio::test]
async fn actions_are_repeatable_too() {
    let house = House::new().await;
    let id = id_of(&house.book(json!({})).await);
    let ask = |body: Value| {
        house
            .post(&format!("/v1/callbacks/{id}/cancel"))
            .header("idempotency-key", "c-1")
            .json(&body)
    };
    let first = ask(json!({ "by": "customer" })).send().await;
    assert_eq!(first.status, 200);
    let second = ask(json!({ "by": "customer" })).send().await;
    assert_eq!(
        (second.status.as_u16(), second.header("idempotent-replayed")),
        (200, "true")
    );
    assert_eq!(second.bytes, first.bytes);
    ask(json!({ "by": "operator" }))
        .send()
        .await
        .problem(422, "idempotency_mismatch");
}

#[tokio::test]
async fn guards_and_switches_refuse() {
    let house = House::new().await;
    let booked = house.book(json!({ "customer_id": "C1" })).await;
    house
        .put("/v1/customers/C1/do_not_call")
        .json(&json!({ "do_not_call": true }))
        .send()
        .await
        .ok();
    let answer = house
        .post("/v1/callbacks")
        .json(&booking(json!({ "customer_id": "C1" })))
        .send()
        .await;
    answer.problem(409, "guarded");
    assert_eq!(answer.json()["guard"], "do_not_call");

    let mut body = booking(
        json!({ "customer_number": "+12127361111", "parent_id": booked["interaction_id"] }),
    );
    house.post("/v1/callbacks").json(&body).send().await.ok();
    house
        .patch(&format!("/v1/callbacks/{}", id_of(&booked)))
        .json(&json!({ "allow_children": false }))
        .send()
        .await
        .ok();
    let found = house
        .post("/v1/callbacks")
        .json(&body)
        .send()
        .await
        .problem(409, "conflict");
    assert_eq!(found, pairs(&[("parent_id", "no_children")]));
    merge(
        &mut body,
        json!({ "parent_id": "00000000-0000-4000-8000-000000000000" }),
    );
    let found = house
        .post("/v1/callbacks")
        .json(&body)
        .send()
        .await
        .problem(409, "conflict");
    assert_eq!(found, pairs(&[("parent_id", "not_found")]));

    house
        .put("/v1/queues/night")
        .json(&rules(json!({
            "hours": { "opening_hours": "Su 01:00-02:00", "time_zone": "America/Los_Angeles" }
        })))
        .send()
        .await
        .ok();
    let late = booking(
        json!({ "queue": "night", "customer_number": "+12127362222", "end_time": "2026-03-10T17:00:00Z" }),
    );
    let answer = house.post("/v1/callbacks").json(&late).send().await;
    answer.problem(409, "guarded");
    assert_eq!(answer.json()["guard"], "closed");

    house
        .post("/v1/queues/service/pause")
        .json(&json!({ "intake": true }))
        .send()
        .await
        .ok();
    let body = booking(json!({ "customer_number": "+12127363333" }));
    house
        .post("/v1/callbacks")
        .json(&body)
        .send()
        .await
        .problem(409, "intake_paused");
}

/// Queues are remembered from one booking to the next; what is changed about them must not be overlooked.
#[tokio::test]
async fn the_next_booking_is_read_by_the_rules_that_stand_then() {
    let house = House::new().await;
    let book = async |number: &str| {
        let body = booking(json!({ "customer_number": number }));
        house.post("/v1/callbacks").json(&body).send().await
    };
    assert_eq!(book("+14155552671").await.status, 201);
    let refused = book("+442079460018").await.problem(400, "invalid_request");
    assert_eq!(refused, pairs(&[("customer_number", "not_diallable")]));

    let both = rules(json!({ "dial": { "regions": ["US", "GB"] } }));
    house
        .put("/v1/queues/service")
        .json(&both)
        .send()
        .await
        .ok();
    assert_eq!(book("+442079460018").await.status, 201);

    // By somebody who does not come through this API.
    let tenant = TenantId::default();
    let id = QueueId::parse("service").unwrap();
    let mut queue = house.store.queue(&tenant, &id).await.unwrap().unwrap();
    queue.rules.dial.regions = vec![Region::parse("GB").unwrap()];
    house.store.put_queue(queue.clone(), None).await.unwrap();
    let refused = book("+14155552672").await.problem(400, "invalid_request");
    assert_eq!(refused, pairs(&[("customer_number", "not_diallable")]));

    queue.removed = true;
    house.store.put_queue(queue, None).await.unwrap();
    let refused = book("+442079460019").await.problem(400, "invalid_request");
    assert_eq!(refused, pairs(&[("queue", "not_found")]));

    house
        .put("/v1/queues/service")
        .json(&both)
        .send()
        .await
        .ok();
    assert_eq!(book("+14155552673").await.status, 201);
}

#[tokio::test]
async fn one_callback_takes_the_place_of_another() {
    let house = House::new().await;
    let old = id_of(&house.book(json!({})).await);
    let new = id_of(&house.book(json!({ "replaces": old })).await);
    let old = house.callback(&old).await;
    assert_eq!(
        (&old["state"], &old["callback_status"], &old["replaced_by"]),
        (&json!("replaced"), &json!(12), &json!(new))
    );
}
