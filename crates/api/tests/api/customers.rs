//! Customers: made by bookings, read, changed, and never called again.

use crate::house::{House, NUMBER, pairs};
use serde_json::json;

#[tokio::test]
async fn made_by_a_booking_and_changed() {
    let house = House::new().await;
    house
        .book(json!({ "customer_id": "C-1", "customer_name": "Anna" }))
        .await;
    let read = house.get("/v1/customers/C-1").send().await;
    let tag = read.header("etag").to_owned();
    let view = read.json();
    assert_eq!(
        (&view["name"], &view["contacts"], &view["do_not_call"]),
        (&json!("Anna"), &json!([NUMBER]), &json!(false))
    );
    let again = house
        .get("/v1/customers/C-1")
        .header("if-none-match", &tag)
        .send()
        .await;
    assert_eq!(again.status, 304);

    let patch = |body| house.patch("/v1/customers/C-1").json(&body);
    let changed = patch(json!({ "name": null, "time_zone": "Europe/Paris" }))
        .header("if-match", &tag)
        .send()
        .await
        .ok();
    assert_eq!(
        (changed.get("name"), &changed["time_zone"]),
        (None, &json!("Europe/Paris"))
    );
    assert_eq!(changed["contacts"], json!([NUMBER]));
    patch(json!({ "name": "B" }))
        .header("if-match", &tag)
        .send()
        .await
        .problem(412, "revision_mismatch");
    let found = patch(
        json!({ "name": "", "time_zone": "Paris", "contacts": [], "do_not_call": true, "x": 1 }),
    )
    .send()
    .await;
    assert_eq!(
        found.problem(400, "invalid_request"),
        pairs(&[
            ("contacts", "server_set"),
            ("do_not_call", "own_url"),
            ("name", "length"),
            ("time_zone", "format"),
            ("x", "unknown_field"),
        ])
    );
    house
        .patch("/v1/customers/absent")
        .json(&json!({}))
        .send()
        .await
        .problem(404, "not_found");
    house
        .get("/v1/customers/absent")
        .send()
        .await
        .problem(404, "not_found");
    house
        .get("/v1/customers/absent/interactions")
        .send()
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn do_not_call_ends_what_waits() {
    let house = House::new().await;
    let callback = house.book(json!({ "customer_id": "C-1" })).await;
    let path = "/v1/customers/C-1/do_not_call";
    let found = house
        .put(path)
        .json(&json!({ "do_not_call": "yes" }))
        .send()
        .await
        .problem(400, "invalid_request");
    assert_eq!(found, pairs(&[("do_not_call", "type")]));
    let found = house
        .put(path)
        .json(&json!({}))
        .send()
        .await
        .problem(400, "invalid_request");
    assert_eq!(found, pairs(&[("do_not_call", "required")]));
    assert_eq!(
        house
            .put(path)
            .json(&json!({ "do_not_call": true }))
            .send()
            .await
            .ok()["do_not_call"],
        true
    );
    house.clock.turn(1);
    house.claim().await;
    let ended = house.callback(&crate::house::id_of(&callback)).await;
    assert_eq!(
        (&ended["state"], &ended["call_result"]),
        (&json!("refused"), &json!(51))
    );
    assert_eq!(
        house
            .put(path)
            .json(&json!({ "do_not_call": false }))
            .send()
            .await
            .ok()["do_not_call"],
        false
    );
}

#[tokio::test]
async fn listed_by_pages_and_words() {
    let house = House::new().await;
    for (n, name) in ["Anna", "Bert", "Carla", "Anton", "Dora"]
        .into_iter()
        .enumerate()
    {
        let more = json!({ "customer_id": format!("C-{n}"), "customer_name": name, "customer_number": format!("+1212736{:04}", 1000 + n) });
        house.book(more).await;
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    for _ in 0..5 {
        let page = house
            .get(&format!("/v1/customers?limit=2{cursor}"))
            .send()
            .await
            .ok();
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["customer_id"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["C-0", "C-1", "C-2", "C-3", "C-4"]);
    let page = house.get("/v1/customers?text=an").send().await.ok();
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    let found = house
        .get("/v1/customers?cursor=%21&text=")
        .send()
        .await
        .problem(400, "invalid_request");
    assert_eq!(found, pairs(&[("text", "length"), ("cursor", "format")]));
}
