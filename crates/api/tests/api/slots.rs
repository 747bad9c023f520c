//! Slots, holds, and what is answered when a slot is taken.

use crate::house::{House, NOW, booking, id_of, pairs, rules};
use serde_json::{Value, json};

/// Eleven to a quarter past, in California; it is ten there now.
const START: &str = "2026-03-09T18:00:00.000Z";
const END: &str = "2026-03-09T18:15:00.000Z";

async fn slotted(more: Value) -> House {
    let house = House::new().await;
    let body =
        rules(json!({ "capacity": { "per_slot": 1 }, "booking": more, "duplicates": "allow" }));
    house
        .put("/v1/queues/service")
        .json(&body)
        .send()
        .await
        .ok();
    house
}

async fn slots(house: &House, query: &str) -> Value {
    house
        .get(&format!("/v1/queues/service/slots?{query}"))
        .send()
        .await
        .ok()
}

async fn hold(house: &House, start: &str) -> Value {
    let answer = house
        .post("/v1/queues/service/holds")
        .json(&json!({ "start_time": start }))
        .send()
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

fn window() -> Value {
    json!({ "start_time": START, "end_time": END })
}

fn number(last: u32) -> Value {
    json!({ "customer_number": format!("+1415555{last:04}"), "start_time": START, "end_time": END })
}

#[tokio::test]
async fn slots_with_what_is_left() {
    let house = slotted(json!({})).await;
    let callback = house.book(window()).await;
    assert_eq!(
        callback["slot"],
        json!({ "start_time": START, "end_time": END })
    );
    assert_eq!(
        callback["promise"],
        json!({ "from": START, "to": END, "state": "open" })
    );
    hold(&house, "2026-03-09T18:15:00Z").await;
    let list = slots(&house, "from=2026-03-09T18:00:00Z&to=2026-03-09T18:45:00Z").await;
    assert_eq!(list["queue"], "service");
    assert_eq!(list["time_zone"], "America/Los_Angeles");
    assert_eq!(list["slot_seconds"], 900);
    assert_eq!(
        list["items"][0],
        json!({
            "start_time": START, "end_time": END,
            "local_start": "2026-03-09T11:00:00-07:00", "local_end": "2026-03-09T11:15:00-07:00",
            "capacity": 0, "total": 1, "booked": 1, "held": 0,
        })
    );
    let left: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["capacity"])
        .collect();
    assert_eq!(left, [0, 0, 1]);
    assert_eq!(list["items"][1]["held"], 1);
    // By default the coming day.
    assert_eq!(
        slots(&house, "").await["items"].as_array().unwrap().len(),
        96
    );
}

#[tokio::test]
async fn slots_on_the_customers_clock() {
    let house = slotted(json!({})).await;
    let day = "from=2026-03-10T00:00:00Z&to=2026-03-11T00:00:00Z";
    let list = slots(&house, &format!("{day}&time_zone=Asia/Tokyo")).await;
    assert_eq!(list["time_zone"], "Asia/Tokyo");
    let items = list["items"].as_array().unwrap();
    // Eight to nine in the evening there: from 00:00 to 12:00 UTC, and from 23:00.
    assert_eq!(items.len(), 4 * (12 + 1));
    assert_eq!(items[0]["local_start"], "2026-03-10T09:00:00+09:00");
    assert_eq!(
        items.last().unwrap()["local_end"],
        "2026-03-11T09:00:00+09:00"
    );
}

#[tokio::test]
async fn a_taken_slot_is_answered_with_others() {
    let house = slotted(json!({})).await;
    let callback = house.book(window()).await;
    let path = format!("/v1/callbacks/{}/reschedule", id_of(&callback));
    let full = pairs(&[("start_time", "full")]);
    for wanted in [number(101), number(102)] {
        let answer = house
            .post("/v1/callbacks")
            .json(&booking(wanted))
            .send()
            .await;
        assert_eq!(answer.problem(409, "slot_unavailable"), full);
        let others = answer.json()["alternatives"].clone();
        let others = others.as_array().unwrap();
        assert_eq!(others.len(), 6);
        assert!(
            others
                .iter()
                .all(|slot| slot["capacity"] == 1 && slot["start_time"] != START)
        );
        assert_eq!(others[3]["start_time"], "2026-03-09T18:15:00.000Z");
        assert_eq!(others[3]["local_start"], "2026-03-09T11:15:00-07:00");
    }
    // Asking first gives the same answer; the customer's own clock is shown where it is known.
    let mut asked = number(103);
    asked["time_zone"] = json!("America/New_York");
    let answer = house
        .post("/v1/callbacks/validate")
        .json(&booking(asked))
        .send()
        .await;
    assert_eq!(answer.problem(409, "slot_unavailable"), full);
    assert_eq!(
        answer.json()["alternatives"][3]["local_start"],
        "2026-03-09T14:15:00-04:00"
    );

    // Another is moved onto it, in vain; the alternative is taken.
    let other = house
        .book(json!({ "customer_number": "+14155550104", "start_time": "2026-03-09T19:00:00Z", "end_time": "2026-03-09T19:15:00Z" }))
        .await;
    let move_it = format!("/v1/callbacks/{}/reschedule", id_of(&other));
    let answer = house.post(&move_it).json(&window()).send().await;
    assert_eq!(answer.problem(409, "slot_unavailable"), full);
    let to = json!({ "start_time": "2026-03-09T18:15:00Z", "end_time": "2026-03-09T18:30:00Z" });
    let moved = house.post(&move_it).json(&to).send().await.ok();
    assert_eq!(moved["slot"]["start_time"], "2026-03-09T18:15:00.000Z");
    // The first one goes away, and its place is there again.
    let to = json!({ "start_time": "2026-03-09T20:00:00Z", "end_time": "2026-03-09T20:15:00Z" });
    house.post(&path).json(&to).send().await.ok();
    house.book(number(105)).await;
}

#[tokio::test]
async fn limits_say_which() {
    let house = slotted(json!({ "notice": "2h", "horizon": "3d", "per_customer": 1 })).await;
    let refused = async |start: &str, end: &str, code: &str| {
        let wanted = json!({ "start_time": start, "end_time": end });
        let answer = house
            .post("/v1/callbacks")
            .json(&booking(wanted))
            .send()
            .await;
        assert_eq!(
            answer.problem(409, "slot_unavailable"),
            pairs(&[("start_time", code)])
        );
        answer.json()["alternatives"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(refused(START, END, "notice").await, 6);
    assert_eq!(
        refused("2026-03-20T18:00:00Z", "2026-03-20T18:15:00Z", "horizon").await,
        6
    );
    house
        .book(json!({ "start_time": "2026-03-10T18:00:00Z", "end_time": "2026-03-10T18:15:00Z" }))
        .await;
    assert_eq!(
        refused(
            "2026-03-10T19:00:00Z",
            "2026-03-10T19:15:00Z",
            "per_customer"
        )
        .await,
        0
    );
}

#[tokio::test]
async fn a_hold_becomes_a_booking() {
    let house = slotted(json!({ "hold": "2m" })).await;
    let kept = hold(&house, START).await;
    assert_eq!(kept["queue"], "service");
    assert_eq!(kept["slot"]["start_time"], START);
    assert_eq!(
        (&kept["slot"]["capacity"], &kept["slot"]["held"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(kept["expires_at"], "2026-03-09T17:02:00.000Z");
    let again = json!({ "start_time": START });
    let answer = house
        .post("/v1/queues/service/holds")
        .json(&again)
        .send()
        .await;
    assert_eq!(
        answer.problem(409, "slot_unavailable"),
        pairs(&[("start_time", "full")])
    );
    let answer = house
        .post("/v1/callbacks")
        .json(&booking(number(101)))
        .send()
        .await;
    answer.problem(409, "slot_unavailable");

    house.clock.turn(60);
    let callback = house.book(json!({ "hold": kept["hold"] })).await;
    assert_eq!(callback["slot"]["start_time"], START);
    assert_eq!(callback["promise"]["to"], END);
    assert_eq!(callback["start_time"], START);
    let again = json!({ "customer_number": "+14155550102", "hold": kept["hold"] });
    let answer = house
        .post("/v1/callbacks")
        .json(&booking(again))
        .send()
        .await;
    assert_eq!(answer.problem(409, "conflict"), pairs(&[("hold", "gone")]));
}

#[tokio::test]
async fn a_hold_is_given_back() {
    let house = slotted(json!({ "hold": "2m" })).await;
    let first = hold(&house, START).await;
    let path = format!("/v1/holds/{}", first["hold"].as_str().unwrap());
    let answer = house.delete(&path).send().await;
    assert_eq!(answer.status, 204);
    house.delete(&path).send().await.problem(404, "not_found");
    // By the clock alone, too.
    hold(&house, START).await;
    // It keeps its place for ten seconds more: a booking with it may still be on its way.
    house.clock.turn(130);
    let second = hold(&house, START).await;
    // Another tenant does not even see it.
    let stranger = house
        .make_key_of(
            ringback_callbacks::ids::TenantId::parse("other").unwrap(),
            7,
            &ringback_store::Scope::ALL,
            |_| {},
        )
        .await;
    let path = format!("/v1/holds/{}", second["hold"].as_str().unwrap());
    house
        .delete(&path)
        .key(&stranger)
        .send()
        .await
        .problem(404, "not_found");
    let reader = house.make_key(7, &[ringback_store::Scope::Read]).await;
    house
        .delete(&path)
        .key(&reader)
        .send()
        .await
        .problem(403, "forbidden");
}

#[tokio::test]
async fn bad_questions_are_told_apart() {
    let house = slotted(json!({})).await;
    for (query, found) in [
        ("from=soon", pairs(&[("from", "format")])),
        ("time_zone=Mars/Olympus", pairs(&[("time_zone", "format")])),
        (
            "from=2026-03-10T00:00:00Z&to=2026-03-10T00:00:00Z",
            pairs(&[("to", "order")]),
        ),
        (
            "from=2026-03-10T00:00:00Z&to=2026-03-18T00:00:00Z",
            pairs(&[("to", "range")]),
        ),
        ("when=now", pairs(&[("when", "unknown_field")])),
    ] {
        let answer = house
            .get(&format!("/v1/queues/service/slots?{query}"))
            .send()
            .await;
        assert_eq!(answer.problem(400, "invalid_request"), found, "{query}");
    }
    house
        .get("/v1/queues/none/slots")
        .send()
        .await
        .problem(404, "not_found");
    house
        .delete("/v1/holds/none")
        .send()
        .await
        .problem(404, "not_found");
    let answer = house
        .post("/v1/queues/service/holds")
        .json(&json!({}))
        .send()
        .await;
    assert_eq!(
        answer.problem(400, "invalid_request"),
        pairs(&[("start_time", "required")])
    );
    let answer = house
        .post("/v1/callbacks")
        .json(&booking(json!({ "hold": "mine" })))
        .send()
        .await;
    assert_eq!(
        answer.problem(400, "invalid_request"),
        pairs(&[("hold", "format")])
    );

    let plain = House::new().await;
    for answer in [
        plain.get("/v1/queues/service/slots").send().await,
        plain
            .post("/v1/queues/service/holds")
            .json(&json!({ "start_time": START }))
            .send()
            .await,
    ] {
        assert_eq!(
            answer.problem(409, "conflict"),
            pairs(&[("queue", "no_slots")])
        );
    }
    // Without a capacity nothing is limited.
    for last in 101..104 {
        let callback = plain.book(number(last)).await;
        assert_eq!(callback.get("slot"), None);
    }
    assert!(NOW < START);
}

#[tokio::test]
async fn capacity_that_means_nothing_is_refused() {
    let house = House::new().await;
    let row = |agents: u32| json!([{ "days": "Mo-Fr", "from": "09:00", "to": "17:00", "agents": agents }]);
    let cases = [
        (
            json!({ "capacity": { "per_slot": 0 } }),
            "capacity.per_slot",
            "capacity",
        ),
        (
            json!({ "capacity": { "weekly": row(0) } }),
            "capacity.weekly",
            "capacity",
        ),
        (
            json!({ "capacity": { "per_slot": -1 } }),
            "capacity.per_slot",
            "type",
        ),
        (json!({ "capacity": {} }), "capacity.per_slot", "capacity"),
        (
            json!({ "capacity": { "weekly": [{ "days": "Mo", "from": "9am", "to": "17:00", "agents": 1 }] } }),
            "capacity.weekly[0].from",
            "format",
        ),
        (
            json!({ "capacity": { "per_slot": 1 }, "booking": { "slot": "7m" } }),
            "booking.slot",
            "capacity",
        ),
        (
            json!({ "booking": { "slot": "15m" } }),
            "booking",
            "capacity",
        ),
        (
            json!({ "capacity": { "per_slot": 1, "colour": "red" } }),
            "capacity.colour",
            "unknown_field",
        ),
    ];
    for (more, field, code) in cases {
        let answer = house
            .put("/v1/queues/service")
            .json(&rules(more.clone()))
            .send()
            .await;
        assert_eq!(
            answer.problem(400, "invalid_request"),
            pairs(&[(field, code)]),
            "{more}"
        );
    }
    // What is good is shown as it was written.
    let body = rules(json!({ "capacity": { "weekly": row(3) }, "booking": { "slot": "30m" } }));
    let queue = house
        .put("/v1/queues/service")
        .json(&body)
        .send()
        .await
        .ok();
    assert_eq!(queue["rules"]["capacity"]["weekly"], row(3));
    assert_eq!(queue["rules"]["booking"]["slot"], "30m");
}
