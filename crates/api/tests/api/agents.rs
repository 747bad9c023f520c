//! Agents: made, present, asked, answering.

use crate::house::{House, id_of, pairs};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn made_read_and_removed() {
    let house = House::new().await;
    let body = json!({ "name": "Anna", "dn": "anna", "queues": ["service"], "auto_accept": true, "route": "pbx" });
    let made = house
        .put("/v1/agents/7")
        .header("if-none-match", "*")
        .json(&body)
        .send()
        .await;
    assert_eq!(made.status, 201);
    assert_eq!(
        made.json(),
        json!({ "agent_id": 7, "name": "Anna", "dn": "anna", "route": "pbx", "queues": ["service"], "presence": "offline",
                "auto_accept": true, "idle_since": "2026-03-09T17:00:00.000Z", "revision": made.json()["revision"] })
    );
    let tag = made.header("etag").to_owned();
    house
        .put("/v1/agents/7")
        .header("if-none-match", "*")
        .json(&body)
        .send()
        .await
        .problem(412, "revision_mismatch");
    let read = house
        .get("/v1/agents/7")
        .header("if-none-match", &tag)
        .send()
        .await;
    assert_eq!(read.status, 304);
    let replaced = house
        .put("/v1/agents/7")
        .header("if-match", &tag)
        .json(&json!({ "name": "A", "dn": "a" }))
        .send()
        .await;
    assert_eq!(
        (replaced.status.as_u16(), &replaced.json()["queues"]),
        (200, &json!([]))
    );
    house
        .put("/v1/agents/7")
        .header("if-match", &tag)
        .json(&body)
        .send()
        .await
        .problem(412, "revision_mismatch");
    assert_eq!(
        house.get("/v1/agents").send().await.ok()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let table: &[(Value, &[(&str, &str)])] = &[
        (json!({}), &[("name", "required"), ("dn", "required")]),
        (
            json!({ "name": "", "dn": "two words", "queues": ["nowhere", 5], "auto_accept": 1, "presence": "ready", "x": 1 }),
            &[
                ("name", "length"),
                ("dn", "format"),
                ("auto_accept", "type"),
                ("queues[0]", "not_found"),
                ("queues[1]", "queue"),
                ("presence", "server_set"),
                ("x", "unknown_field"),
            ],
        ),
    ];
    for (body, expected) in table {
        let found = house
            .put("/v1/agents/8")
            .json(body)
            .send()
            .await
            .problem(400, "invalid_request");
        assert_eq!(found, pairs(expected), "{body}");
    }
    assert_eq!(house.delete("/v1/agents/7").send().await.status, 204);
    for path in [
        "/v1/agents/7",
        "/v1/agents/7/offers",
        "/v1/agents/7/callbacks",
        "/v1/agents/anna",
    ] {
        house.get(path).send().await.problem(404, "not_found");
    }
    house
        .delete("/v1/agents/7")
        .send()
        .await
        .problem(404, "not_found");
    house
        .put("/v1/agents/-1")
        .json(&json!({ "name": "A", "dn": "a" }))
        .send()
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn presence() {
    let house = House::new().await;
    house.agent(1, "ready").await;
    assert_eq!(
        house.get("/v1/agents/1").send().await.ok()["presence"],
        "ready"
    );
    let path = "/v1/agents/1/presence";
    let found = house
        .put(path)
        .json(&json!({ "presence": "asleep" }))
        .send()
        .await
        .problem(400, "invalid_request");
    assert_eq!(found, pairs(&[("presence", "format")]));
    let found = house
        .put(path)
        .json(&json!({}))
        .send()
        .await
        .problem(400, "invalid_request");
    assert_eq!(found, pairs(&[("presence", "required")]));
    house
        .put("/v1/agents/9/presence")
        .json(&json!({ "presence": "away" }))
        .send()
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn offers_are_accepted_and_declined() {
    let house = House::new().await;
    house.agent(1, "ready").await;
    house.agent(2, "away").await;
    let id = id_of(&house.book(json!({ "subject": "Hello" })).await);
    assert_eq!(
        house.get("/v1/agents/1/offers").send().await.ok()["items"],
        json!([])
    );
    assert_eq!(house.claim().await, 1);
    let offer = house.get("/v1/agents/1/offers?wait=60").send().await.ok()["items"][0].clone();
    assert_eq!(
        (&offer["agent_id"], &offer["callback"]["subject"]),
        (&json!(1), &json!("Hello"))
    );
    assert_eq!(offer["until"], "2026-03-09T17:00:20.000Z");
    assert_eq!(offer["callback"]["offer"]["offer_id"], offer["offer_id"]);
    assert_eq!(
        house.get("/v1/agents/1").send().await.ok()["engaged_with"],
        id.as_str()
    );
    let offer = offer["offer_id"].as_str().unwrap();

    // Not another agent's, and not another offer.
    house
        .post(&format!("/v1/agents/2/offers/{offer}/accept"))
        .send()
        .await
        .problem(409, "offer_gone");
    let other = "00000000-0000-4000-8000-000000000000";
    house
        .post(&format!("/v1/agents/1/offers/{other}/accept"))
        .send()
        .await
        .problem(409, "offer_gone");
    house
        .post("/v1/agents/1/offers/nonsense/accept")
        .send()
        .await
        .problem(404, "not_found");
    house
        .delete("/v1/agents/1")
        .send()
        .await
        .problem(409, "conflict");

    let back = house
        .post(&format!("/v1/agents/1/offers/{offer}/decline"))
        .send()
        .await
        .ok();
    assert_eq!(back["state"], "queued");
    house
        .post(&format!("/v1/agents/1/offers/{offer}/decline"))
        .send()
        .await
        .problem(409, "offer_gone");

    house
        .put("/v1/agents/2/presence")
        .json(&json!({ "presence": "ready" }))
        .send()
        .await
        .ok();
    assert_eq!(house.claim().await, 1);
    let offers = house.get("/v1/agents/2/offers").send().await.ok();
    let offer = offers["items"][0]["offer_id"].as_str().unwrap();
    let path = format!("/v1/agents/2/offers/{offer}/accept");
    let taken = house.post(&path).send().await.ok();
    assert_eq!(
        (
            &taken["state"],
            &taken["agent_id"],
            &taken["callback_status"]
        ),
        (&json!("assigned"), &json!(2), &json!(4))
    );
    house.post(&path).send().await.problem(409, "offer_gone");
    let in_hand = house.get("/v1/agents/2/callbacks").send().await.ok();
    assert_eq!(in_hand["items"][0]["interaction_id"], id.as_str());
    assert_eq!(
        house.get("/v1/agents/1/callbacks").send().await.ok()["items"],
        json!([])
    );
    let events = house
        .get(&format!("/v1/callbacks/{id}/events"))
        .send()
        .await
        .ok();
    let accepted = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["kind"] == "offer_accepted")
        .unwrap();
    assert_eq!(accepted["actor"], "agent:2");
}

#[tokio::test]
async fn an_offer_past_its_time_cannot_be_taken() {
    let house = House::new().await;
    house.agent(1, "ready").await;
    house.book(json!({})).await;
    house.claim().await;
    let offers = house.get("/v1/agents/1/offers").send().await.ok();
    let offer = offers["items"][0]["offer_id"].as_str().unwrap().to_owned();
    house.clock.turn(21);
    house
        .post(&format!("/v1/agents/1/offers/{offer}/accept"))
        .send()
        .await
        .problem(409, "offer_gone");
}

/// The poll is answered by the offer itself, long before its wait is over.
#[tokio::test]
async fn a_long_poll_ends_when_an_offer_comes() {
    let house = House::new().await;
    house.agent(1, "ready").await;
    let poll = house.get("/v1/agents/1/offers?wait=60").send();
    let work = async {
        house.book(json!({})).await;
        house.claim().await;
    };
    let both = async { tokio::join!(poll, work) };
    let (answer, ()) = tokio::time::timeout(Duration::from_secs(45), both)
        .await
        .expect("the poll to end early");
    assert_eq!(answer.ok()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_long_poll_ends_empty_after_its_wait() {
    let house = House::new().await;
    house.agent(1, "ready").await;
    let answer = house.get("/v1/agents/1/offers?wait=1").send().await;
    assert_eq!(answer.ok()["items"], json!([]));
    let found = house
        .get("/v1/agents/1/offers?wait=61&x=1")
        .send()
        .await
        .problem(400, "invalid_request");
    assert_eq!(found, pairs(&[("wait", "range"), ("x", "unknown_field")]));
    // A server that stops lets nobody wait.
    house.state.stopping.cancel();
    let answer = house.get("/v1/agents/1/offers?wait=60").send().await;
    assert_eq!(answer.ok()["items"], json!([]));
}
