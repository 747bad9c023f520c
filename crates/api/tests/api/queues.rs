//! Queues: made, replaced, read, paused, removed.

use crate::house::{House, booking, id_of, pairs, rules};
use serde_json::{Value, json};

#[tokio::test]
async fn made_read_and_replaced() {
    let house = House::new().await;
    let made = house
        .put("/v1/queues/sales")
        .header("if-none-match", "*")
        .json(&rules(json!({})))
        .send()
        .await;
    assert_eq!(made.status, 201);
    let tag = made.header("etag").to_owned();
    let again = house
        .put("/v1/queues/sales")
        .header("if-none-match", "*")
        .json(&rules(json!({})))
        .send()
        .await;
    again.problem(412, "revision_mismatch");
    let read = house.get("/v1/queues/sales").send().await;
    assert_eq!(read.header("etag"), tag);
    let view = read.json();
    assert_eq!(
        (&view["queue"], &view["removed"], &view["counts"]),
        (&json!("sales"), &json!(false), &json!({}))
    );
    // What is shown under `rules` can be put back as it is.
    let same = house
        .put("/v1/queues/sales")
        .header("if-match", &tag)
        .json(&view["rules"])
        .send()
        .await;
    assert_eq!(
        (same.status.as_u16(), &same.json()["rules"]),
        (200, &view["rules"])
    );
    house
        .put("/v1/queues/sales")
        .header("if-match", &tag)
        .json(&view["rules"])
        .send()
        .await
        .problem(412, "revision_mismatch");
    house
        .put("/v1/queues/absent")
        .header("if-match", "*")
        .json(&view["rules"])
        .send()
        .await
        .problem(412, "revision_mismatch");
    let list = house.get("/v1/queues").send().await.ok();
    let names: Vec<&Value> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|queue| &queue["queue"])
        .collect();
    assert_eq!(names, ["sales", "service"]);
    house
        .get("/v1/queues/absent")
        .send()
        .await
        .problem(404, "not_found");
    house
        .get("/v1/queues/No%20Way")
        .send()
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn bad_rules_are_named() {
    let house = House::new().await;
    type Case = (Value, &'static [(&'static str, &'static str)]);
    let table: Vec<Case> = vec![
        (json!({ "colour": "red" }), &[("colour", "unknown_field")]),
        (
            json!({ "hours": { "opening_hours": "24/7" } }),
            &[("hours.time_zone", "required")],
        ),
        (
            json!({ "hours": { "opening_hours": "Mo-Fr 9-17", "time_zone": "Europe/Paris" } }),
            &[("hours.opening_hours", "hours")],
        ),
        (
            json!({ "hours": { "opening_hours": "24/7", "time_zone": "Nowhere" } }),
            &[("hours.time_zone", "hours")],
        ),
        (json!({ "offer": "twenty" }), &[("offer", "format")]),
        (json!({ "offer": 20 }), &[("offer", "type")]),
        (
            json!({ "leg_order": "both" }),
            &[("leg_order", "enumeration")],
        ),
        (
            json!({ "dial": { "regions": ["US"], "types": ["premium_rate"] } }),
            &[("dial.types", "format")],
        ),
        (
            json!({ "name": "", "offer": "2d", "calls_per_number_per_day": 0, "categories": [{ "category": "", "keywords": [] }] }),
            &[
                ("name", "length"),
                ("offer", "range"),
                ("calls_per_number_per_day", "range"),
                ("categories[0].category", "length"),
                ("categories[0].keywords", "keywords"),
            ],
        ),
        (
            json!({ "delivery": { "kind": "dn", "dn": "70 01", "location": "", "max_concurrent": 0 } }),
            &[
                ("delivery.dn", "dn"),
                ("delivery.location", "length"),
                ("delivery.max_concurrent", "range"),
            ],
        ),
    ];
    for (more, expected) in table {
        let found = house
            .put("/v1/queues/bad")
            .json(&rules(more.clone()))
            .send()
            .await
            .problem(400, "invalid_request");
        assert_eq!(found, pairs(expected), "{more}");
    }
    house
        .get("/v1/queues/bad")
        .send()
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn the_two_switches() {
    let house = House::new().await;
    let throw = async |verb: &str, body: Value| {
        let view = house
            .post(&format!("/v1/queues/service/{verb}"))
            .json(&body)
            .send()
            .await
            .ok();
        (
            view["intake_paused"].as_bool().unwrap(),
            view["dialling_paused"].as_bool().unwrap(),
        )
    };
    assert_eq!(
        throw("pause", json!({ "intake": true })).await,
        (true, false)
    );
    assert_eq!(
        throw("pause", json!({ "dialling": true, "intake": false })).await,
        (true, true)
    );
    assert_eq!(
        throw("resume", json!({ "intake": true })).await,
        (false, true)
    );
    assert_eq!(throw("resume", json!({})).await, (false, false));
    let both = house.post("/v1/queues/service/pause").send().await.ok();
    assert_eq!(
        (&both["intake_paused"], &both["dialling_paused"]),
        (&json!(true), &json!(true))
    );
    // New rules leave the switches alone.
    let replaced = house
        .put("/v1/queues/service")
        .json(&rules(json!({ "name": "New" })))
        .send()
        .await
        .ok();
    assert_eq!(
        (&replaced["intake_paused"], &replaced["rules"]["name"]),
        (&json!(true), &json!("New"))
    );
    let found = house
        .post("/v1/queues/service/pause")
        .json(&json!({ "intake": 1, "x": 2 }))
        .send()
        .await;
    assert_eq!(
        found.problem(400, "invalid_request"),
        pairs(&[("intake", "type"), ("x", "unknown_field")])
    );
    house
        .post("/v1/queues/absent/pause")
        .send()
        .await
        .problem(404, "not_found");
    let stale = house
        .post("/v1/queues/service/resume")
        .header("if-match", "\"1\"")
        .send()
        .await;
    stale.problem(412, "revision_mismatch");
}

#[tokio::test]
async fn a_removed_queue_takes_nothing_and_keeps_its_record() {
    let house = House::new().await;
    let waiting = id_of(&house.book(json!({})).await);
    assert_eq!(
        house.get("/v1/queues/service").send().await.ok()["counts"],
        json!({ "scheduled": 1 })
    );
    assert_eq!(house.delete("/v1/queues/service").send().await.status, 204);
    assert_eq!(
        house.get("/v1/queues/service").send().await.ok()["removed"],
        true
    );
    let found = house
        .post("/v1/callbacks")
        .json(&booking(json!({})))
        .send()
        .await
        .problem(400, "invalid_request");
    assert_eq!(found, pairs(&[("queue", "not_found")]));
    house.clock.turn(1);
    house.claim().await;
    let ended = house.callback(&waiting).await;
    assert_eq!(
        (&ended["state"], &ended["callback_status"]),
        (&json!("refused"), &json!(10))
    );
    house
        .put("/v1/queues/service")
        .json(&rules(json!({})))
        .send()
        .await
        .ok();
    assert_eq!(
        house.get("/v1/queues/service").send().await.ok()["removed"],
        false
    );
    house
        .delete("/v1/queues/absent")
        .send()
        .await
        .problem(404, "not_found");
}
