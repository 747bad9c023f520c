//! Reading, changing and ending callbacks: each action good and bad, `ETag`s, attempts, `why`.

use crate::house::{House, NUMBER, id_of, pairs, rules};
use ringback_callbacks::outcome::CallResult;
use serde_json::{Value, json};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

#[tokio::test]
async fn reading_with_an_etag() {
    let house = House::new().await;
    let callback = house.book(json!({})).await;
    let path = format!("/v1/callbacks/{}", id_of(&callback));
    let first = house.get(&path).send().await;
    let tag = first.header("etag").to_owned();
    let again = house.get(&path).header("if-none-match", &tag).send().await;
    assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));
    assert_eq!(again.header("etag"), tag);
    let listed = house
        .get(&path)
        .header("if-none-match", &format!("\"999\", W/{tag}"))
        .send()
        .await;
    assert_eq!(listed.status, 304);
    let other = house
        .get(&path)
        .header("if-none-match", "\"999\"")
        .send()
        .await;
    assert_eq!(other.status, 200);
    for id in [NOBODY, "not-a-uuid"] {
        house
            .get(&format!("/v1/callbacks/{id}"))
            .send()
            .await
            .problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let house = House::new().await;
    let callback = house
        .book(json!({ "subject": "One", "external_id": "x-1", "udata": { "a": 1 } }))
        .await;
    let path = format!("/v1/callbacks/{}", id_of(&callback));
    let changed = house
        .patch(&path)
        .body("application/merge-patch+json", json!({
            "subject": "Two", "external_id": null, "udata": { "b": 2 }, "priority": 80, "category_id": "vip",
            "start_time": "2026-03-09T18:00:00Z", "end_time": "2026-03-09T20:00:00Z",
        }).to_string())
        .send()
        .await
        .ok();
    assert_eq!(changed["subject"], "Two");
    assert!(changed.get("external_id").is_none());
    assert_eq!(changed["udata"], json!({ "b": 2 }));
    assert_eq!(changed["priority"], 80);
    assert_eq!(changed["category_id"], "vip");
    assert_eq!(changed["promise"]["from"], "2026-03-09T18:00:00.000Z");
    assert_eq!(changed["customer_number"], NUMBER);
    assert!(changed["revision"].as_u64() > callback["revision"].as_u64());

    let table: &[(Value, &[(&str, &str)])] = &[
        (
            json!({ "status": 3, "colour": 1, "priority": 900 }),
            &[
                ("status", "server_set"),
                ("priority", "range"),
                ("colour", "unknown_field"),
            ],
        ),
        (
            json!({ "queue": "other", "text": "no" }),
            &[("queue", "fixed"), ("text", "fixed")],
        ),
        (json!({ "start_time": null }), &[("start_time", "required")]),
        (
            json!({ "end_time": "2026-03-09T16:00:00Z" }),
            &[("end_time", "order")],
        ),
        (
            json!({ "customer_number": "+14155552671" }),
            &[("desired_response_type", "required")],
        ),
    ];
    for (body, expected) in table {
        let mut found = house
            .patch(&path)
            .json(body)
            .send()
            .await
            .problem(400, "invalid_request");
        let mut expected = pairs(expected);
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{body}");
    }
    house
        .patch(&format!("/v1/callbacks/{NOBODY}"))
        .json(&json!({}))
        .send()
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn if_match_guards_every_change() {
    let house = House::new().await;
    let id = id_of(&house.book(json!({})).await);
    let tag = house
        .get(&format!("/v1/callbacks/{id}"))
        .send()
        .await
        .header("etag")
        .to_owned();
    let path = format!("/v1/callbacks/{id}");
    let first = house
        .patch(&path)
        .header("if-match", &tag)
        .json(&json!({ "subject": "A" }))
        .send()
        .await;
    assert_eq!(first.status, 200);
    assert_ne!(first.header("etag"), tag);
    house
        .patch(&path)
        .header("if-match", &tag)
        .json(&json!({ "subject": "B" }))
        .send()
        .await
        .problem(412, "revision_mismatch");
    assert_eq!(house.callback(&id).await["subject"], "A");
    let stale: &[(&str, Value)] = &[
        ("cancel", json!({})),
        ("snooze", json!({ "minutes": 5 })),
        (
            "reschedule",
            json!({ "start_time": "2026-03-09T19:00:00Z" }),
        ),
        ("transfer", json!({ "queue": "service" })),
    ];
    for (action, body) in stale {
        let ask = house
            .post(&format!("{path}/{action}"))
            .header("if-match", &tag)
            .json(body);
        ask.send().await.problem(412, "revision_mismatch");
    }
    // Tags that were never given out match nothing; nonsense is told apart.
    for tag in ["\"seven\"", "W/\"2\"", "\"-1\""] {
        house
            .patch(&path)
            .header("if-match", tag)
            .json(&json!({}))
            .send()
            .await
            .problem(412, "revision_mismatch");
    }
    house
        .patch(&path)
        .header("if-match", "\"1\", \"2\"")
        .json(&json!({}))
        .send()
        .await
        .problem(400, "invalid_request");
    let any = house
        .patch(&path)
        .header("if-match", "*")
        .json(&json!({ "subject": "C" }))
        .send()
        .await;
    assert_eq!(any.status, 200);
}

#[tokio::test]
async fn cancelling() {
    let house = House::new().await;
    let table = [
        (json!({}), 9, "application:118"),
        (
            json!({ "by": "customer", "reason": "no need any more" }),
            9,
            "customer",
        ),
        (json!({ "by": "agent", "agent_id": 1 }), 7, "agent:1"),
    ];
    house.agent(1, "offline").await;
    for (index, (body, status, actor)) in table.into_iter().enumerate() {
        let id = id_of(
            &house
                .book(json!({ "customer_number": format!("+1212736{:04}", 1000 + index) }))
                .await,
        );
        let ended = house
            .post(&format!("/v1/callbacks/{id}/cancel"))
            .json(&body)
            .send()
            .await
            .ok();
        assert_eq!(ended["callback_status"], status);
        assert_eq!(
            (&ended["status"], &ended["state"]),
            (&json!(3), &json!("cancelled"))
        );
        assert_eq!(ended["call_result"], 52);
        assert_eq!(ended["promise"]["state"], "released");
        assert!(ended["stopped_reason"].is_string() && ended["end_date"].is_string());
        let events = house
            .get(&format!("/v1/callbacks/{id}/events"))
            .send()
            .await
            .ok();
        let last = events["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|event| event["kind"] == "cancelled")
            .unwrap();
        assert_eq!(last["actor"], actor);
        house
            .post(&format!("/v1/callbacks/{id}/cancel"))
            .send()
            .await
            .problem(409, "not_now");
    }
    let id = id_of(&house.book(json!({})).await);
    let path = format!("/v1/callbacks/{id}/cancel");
    let found = house
        .post(&path)
        .json(&json!({ "by": "agent", "why": 1 }))
        .send()
        .await
        .problem(400, "invalid_request");
    assert_eq!(
        found,
        pairs(&[("agent_id", "required"), ("why", "unknown_field")])
    );
    let found = house
        .post(&path)
        .json(&json!({ "by": "me", "agent_id": 3, "reason": "" }))
        .send()
        .await;
    assert_eq!(
        found.problem(400, "invalid_request"),
        pairs(&[
            ("by", "enumeration"),
            ("agent_id", "without_agent"),
            ("reason", "length")
        ])
    );
    // No body at all is a cancellation by the operator.
    assert_eq!(house.post(&path).send().await.ok()["state"], "cancelled");
}

#[tokio::test]
async fn moving_and_putting_off() {
    let house = House::new().await;
    let id = id_of(&house.book(json!({})).await);
    let path = |action: &str| format!("/v1/callbacks/{id}/{action}");
    let moved = house
        .post(&path("reschedule"))
        .json(&json!({ "start_time": "2026-03-10T18:00:00Z", "end_time": "2026-03-10T19:30:00Z" }))
        .send()
        .await
        .ok();
    assert_eq!(
        moved["promise"],
        json!({ "from": "2026-03-10T18:00:00.000Z", "to": "2026-03-10T19:00:00.000Z", "state": "open" })
    );
    assert_eq!(moved["next_attempt_at"], "2026-03-10T18:00:00.000Z");
    let later = house
        .post(&path("snooze"))
        .json(&json!({ "minutes": 90 }))
        .send()
        .await
        .ok();
    assert_eq!(later["next_attempt_at"], "2026-03-09T18:30:00.000Z");
    let later = house
        .post(&path("snooze"))
        .json(&json!({ "until": "2026-03-10T18:15:00Z" }))
        .send()
        .await
        .ok();
    assert_eq!(later["next_attempt_at"], "2026-03-10T18:15:00.000Z");

    type Case = (&'static str, Value, &'static [(&'static str, &'static str)]);
    let table: &[Case] = &[
        ("reschedule", json!({}), &[("start_time", "required")]),
        (
            "reschedule",
            json!({ "start_time": "x", "end_time": 5 }),
            &[("start_time", "format"), ("end_time", "type")],
        ),
        (
            "reschedule",
            json!({ "start_time": "2026-03-10T18:00:00Z", "end_time": "2026-03-10T17:00:00Z" }),
            &[("end_time", "order")],
        ),
        ("snooze", json!({}), &[("until", "required")]),
        (
            "snooze",
            json!({ "until": "2026-03-10T18:00:00Z", "minutes": 5 }),
            &[("minutes", "both")],
        ),
        ("snooze", json!({ "minutes": 0 }), &[("minutes", "range")]),
        (
            "snooze",
            json!({ "until": "2026-03-09T16:00:00Z" }),
            &[("until", "past")],
        ),
        (
            "snooze",
            json!({ "until": "2026-03-11T16:00:00Z" }),
            &[("until", "range")],
        ),
        ("transfer", json!({}), &[("agent_id", "required")]),
        (
            "transfer",
            json!({ "agent_id": 77, "queue": "nowhere" }),
            &[
                ("queue", "both"),
                ("agent_id", "not_found"),
                ("queue", "not_found"),
            ],
        ),
        (
            "dispose",
            json!({ "call_result": 54, "x": 1 }),
            &[("call_result", "range"), ("x", "unknown_field")],
        ),
        (
            "reply",
            json!({ "text": "" }),
            &[("agent_id", "required"), ("text", "length")],
        ),
    ];
    for (action, body, expected) in table {
        let found = house
            .post(&path(action))
            .json(body)
            .send()
            .await
            .problem(400, "invalid_request");
        assert_eq!(found, pairs(expected), "{action} {body}");
    }
    for (action, body) in [
        ("cancel", json!({})),
        (
            "reschedule",
            json!({ "start_time": "2026-03-10T18:00:00Z" }),
        ),
        ("snooze", json!({ "minutes": 5 })),
        ("dispose", json!({})),
        ("transfer", json!({ "queue": "service" })),
    ] {
        let ask = house
            .post(&format!("/v1/callbacks/{NOBODY}/{action}"))
            .json(&body);
        ask.send().await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn passing_on() {
    let house = House::new().await;
    house.agent(4, "offline").await;
    house
        .put("/v1/queues/french")
        .json(&rules(json!({ "dial": { "regions": ["FR"] } })))
        .send()
        .await
        .ok();
    house
        .put("/v1/queues/sales")
        .json(&rules(json!({})))
        .send()
        .await
        .ok();
    let id = id_of(&house.book(json!({})).await);
    let path = format!("/v1/callbacks/{id}/transfer");
    let answer = house
        .post(&path)
        .json(&json!({ "queue": "french" }))
        .send()
        .await;
    answer.problem(409, "guarded");
    assert_eq!(answer.json()["guard"], "not_diallable");
    let passed = house
        .post(&path)
        .json(&json!({ "queue": "sales" }))
        .send()
        .await
        .ok();
    assert_eq!(
        (&passed["queue"], &passed["state"]),
        (&json!("sales"), &json!("scheduled"))
    );
    let passed = house
        .post(&path)
        .json(&json!({ "agent_id": 4 }))
        .send()
        .await
        .ok();
    assert_eq!(
        (
            &passed["callback_status"],
            &passed["agent_id"],
            &passed["owner_id"]
        ),
        (&json!(13), &json!(4), &json!(4))
    );
}

/// One callback through its whole life, and the record of it.
#[tokio::test]
async fn attempts_and_disposition() {
    let house = House::new().await;
    let id = house.taken(json!({})).await;
    let path = |action: &str| format!("/v1/callbacks/{id}/{action}");
    house
        .post(&path("dispose"))
        .json(&json!({}))
        .send()
        .await
        .problem(409, "not_now");
    let attempt = house.dial(&id).await;
    let dialling = house.callback(&id).await;
    assert_eq!(dialling["state"], "dialling");
    assert_eq!(
        (
            &dialling["dn"],
            &dialling["location"],
            &dialling["callback_server_id"]
        ),
        (&json!("agent1"), &json!("pbx"), &json!("node-1"))
    );
    let attempts = house.get(&path("attempts")).send().await.ok();
    assert_eq!(attempts["items"][0]["number"], 1);
    assert!(attempts["items"][0].get("ended_at").is_none());

    house.clock.turn(20);
    house.settle(&id, attempt, CallResult::BUSY).await;
    let attempts = house.get(&path("attempts")).send().await.ok();
    let first = &attempts["items"][0];
    assert_eq!(first["attempt_id"], attempt.to_string());
    assert_eq!(
        (
            &first["call_result"],
            &first["call_result_name"],
            &first["verdict"]
        ),
        (&json!(6), &json!("BUSY"), &json!("busy"))
    );
    assert_eq!(
        first["platform"],
        json!({ "scheme": "sip", "code": 486, "text": "Busy Here" })
    );
    assert_eq!(
        (
            &first["customer_number"],
            &first["route"],
            &first["counted"]
        ),
        (&json!(NUMBER), &json!("trunk"), &json!(true))
    );
    let waiting = house.callback(&id).await;
    assert_eq!(
        (
            &waiting["attempts"],
            &waiting["call_result"],
            &waiting["state"]
        ),
        (&json!(1), &json!(6), &json!("scheduled"))
    );
    assert_eq!(waiting["promise"]["state"], "kept");

    house.clock.turn(3600);
    assert_eq!(house.claim().await, 1);
    let offers = house.get("/v1/agents/1/offers").send().await.ok();
    let offer = offers["items"][0]["offer_id"].as_str().unwrap().to_owned();
    house
        .post(&format!("/v1/agents/1/offers/{offer}/accept"))
        .send()
        .await
        .ok();
    let attempt = house.dial(&id).await;
    house.settle(&id, attempt, CallResult::OK).await;
    assert_eq!(house.callback(&id).await["callback_status"], 8);
    let found = house
        .post(&path("dispose"))
        .json(&json!({ "agent_id": 2 }))
        .send()
        .await;
    found.problem(409, "conflict");
    let done = house
        .post(&path("dispose"))
        .json(&json!({ "disposition": "sold" }))
        .send()
        .await
        .ok();
    assert_eq!(
        (
            &done["state"],
            &done["disposition"],
            &done["status"],
            &done["attempts"]
        ),
        (&json!("done"), &json!("sold"), &json!(3), &json!(2))
    );
    let events = house.get(&path("events")).send().await.ok();
    let disposed = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["kind"] == "disposed")
        .unwrap();
    assert_eq!(disposed["actor"], "agent:1");
}

#[tokio::test]
async fn why_not_yet() {
    let house = House::new().await;
    let why = async |id: &str| {
        house
            .get(&format!("/v1/callbacks/{id}/why"))
            .send()
            .await
            .ok()
    };
    let id = id_of(
        &house
            .book(json!({ "start_time": "2026-03-09T18:00:00Z" }))
            .await,
    );
    let told = why(&id).await;
    assert_eq!(
        (&told["guard"], &told["until"]),
        (&json!("not_yet"), &json!("2026-03-09T18:00:00.000Z"))
    );
    assert_eq!(told["expected_attempt_at"], told["until"]);

    let night = id_of(
        &house
            .book(
                json!({ "customer_number": "+12127361001", "start_time": "2026-03-10T07:00:00Z" }),
            )
            .await,
    );
    let told = why(&night).await;
    assert_eq!(
        (&told["guard"], &told["waiting"]),
        (&json!("customers_night"), &json!(true))
    );

    house.clock.turn(3600);
    house.claim().await;
    let told = why(&id).await;
    assert_eq!(
        (&told["state"], &told["guard"], &told["free_seats"]),
        (&json!("queued"), &json!("no_agent"), &json!(0))
    );
    house
        .post("/v1/queues/service/pause")
        .json(&json!({ "dialling": true }))
        .send()
        .await
        .ok();
    assert_eq!(why(&id).await["guard"], "paused");
    house.post("/v1/queues/service/resume").send().await.ok();
    house.agent(1, "ready").await;
    let told = why(&id).await;
    assert_eq!(
        (told.get("guard"), &told["ahead"], &told["free_seats"]),
        (None, &json!(0), &json!(1))
    );
    house.claim().await;
    assert_eq!(why(&id).await["waiting"], false);
    house
        .post(&format!("/v1/callbacks/{id}/cancel"))
        .send()
        .await
        .ok();
    let told = why(&id).await;
    assert_eq!(told["state"], "cancelled");
    assert!(
        told["sentence"]
            .as_str()
            .unwrap()
            .starts_with("It has ended")
    );
    house
        .get(&format!("/v1/callbacks/{NOBODY}/why"))
        .send()
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn an_email_is_answered_by_its_agent() {
    let house = House::new().await;
    let email = json!({ "desired_response_type": "Email", "customer_number": "anna@example.com", "subject": "Hours" });
    let id = house.taken(email).await;
    let path = format!("/v1/callbacks/{id}/reply");
    house.agent(2, "offline").await;
    let other = json!({ "agent_id": 2, "text": "Mine!" });
    house
        .post(&path)
        .json(&other)
        .send()
        .await
        .problem(409, "not_now");
    let taken = house
        .post(&path)
        .json(&json!({ "agent_id": 1, "text": "From nine to five.", "html": "<p>9-5</p>" }))
        .send()
        .await
        .ok();
    assert_eq!(taken["state"], "assigned");
    let tenant = ringback_callbacks::ids::TenantId::default();
    let stored = house
        .store
        .callback(&tenant, id.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let reply = stored.reply.unwrap();
    assert_eq!(
        (reply.subject.as_str(), reply.text.as_str()),
        ("Re: Hours", "From nine to five.")
    );
    let events = house
        .get(&format!("/v1/callbacks/{id}/events"))
        .send()
        .await
        .ok();
    assert!(
        events["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|event| event["kind"] == "reply_written" && event["actor"] == "agent:1")
    );
}
