//! Interactions of other kinds, threads and children.

use crate::house::{House, id_of, pairs};
use serde_json::{Value, json};

#[tokio::test]
async fn recording_and_finding() {
    let house = House::new().await;
    let call = house
        .post("/v1/interactions")
        .json(&json!({ "customer_id": "C-1", "entity_type": 3, "subject": "Called in", "external_id": "pbx-1", "udata": { "a": 1 } }))
        .send()
        .await;
    assert_eq!(call.status, 201, "{}", call.text());
    let view = call.json();
    let id = id_of(&view);
    assert_eq!(call.header("location"), format!("/v1/interactions/{id}"));
    assert_eq!(
        view,
        json!({
            "customer_id": "C-1", "interaction_id": id, "status": 3, "entity_type": 3, "type": "Inbound",
            "media_type": "voice", "external_id": "pbx-1", "creator_app_id": 118,
            "start_date": "2026-03-09T17:00:00.000Z", "end_date": "2026-03-09T17:00:00.000Z",
            "allow_children": true, "subject": "Called in", "udata": { "a": 1 }, "revision": view["revision"],
        })
    );
    let callback = house
        .book(json!({ "parent_id": id, "customer_id": "C-1" }))
        .await;
    assert_eq!(callback["thread_id"], id.as_str());
    let other = house
        .book(json!({ "customer_number": "+12127361001" }))
        .await;

    let all = |page: Value| -> Vec<String> {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(id_of)
            .collect()
    };
    let (callback, other) = (id_of(&callback), id_of(&other));
    let mut table: Vec<(String, Vec<&str>)> = vec![
        (format!("/v1/interactions/{id}/children"), vec![&callback]),
        (format!("/v1/interactions?thread_id={id}"), vec![&callback]),
        (format!("/v1/interactions?parent_id={id}"), vec![&callback]),
        ("/v1/interactions?external_id=pbx-1".to_owned(), vec![&id]),
        ("/v1/interactions?entity_type=3".to_owned(), vec![&id]),
        (
            "/v1/interactions?entity_type=5&customer_id=C-1".to_owned(),
            vec![&callback],
        ),
        (
            "/v1/interactions?customer_id=C-1".to_owned(),
            vec![&callback, &id],
        ),
        (
            "/v1/customers/C-1/interactions".to_owned(),
            vec![&callback, &id],
        ),
        ("/v1/interactions".to_owned(), vec![&callback, &id, &other]),
    ];
    for (path, expected) in &mut table {
        let mut found = all(house.get(path).send().await.ok());
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, *expected, "{path}");
    }
    let page = house.get("/v1/interactions?limit=2").send().await.ok();
    let next = page["next_cursor"].as_str().unwrap();
    let rest = house
        .get(&format!("/v1/interactions?limit=2&cursor={next}"))
        .send()
        .await
        .ok();
    assert_eq!(
        (
            rest["items"].as_array().unwrap().len(),
            rest.get("next_cursor")
        ),
        (1, None)
    );

    // Read by id, a callback has its whole form here too.
    let any = house
        .get(&format!("/v1/interactions/{callback}"))
        .send()
        .await;
    assert_eq!(any.json()["entity_type"], 5);
    assert_eq!(any.json()["queue"], "service");
    let again = house
        .get(&format!("/v1/interactions/{callback}"))
        .header("if-none-match", any.header("etag"))
        .send()
        .await;
    assert_eq!(again.status, 304);
}

#[tokio::test]
async fn what_cannot_be_recorded() {
    let house = House::new().await;
    let table: &[(Value, &[(&str, &str)])] = &[
        (
            json!({}),
            &[("customer_id", "required"), ("entity_type", "required")],
        ),
        (
            json!({ "customer_id": "C", "entity_type": 5 }),
            &[("entity_type", "callback")],
        ),
        (
            json!({ "customer_id": "C", "entity_type": 4 }),
            &[("entity_type", "enumeration")],
        ),
        (
            json!({ "customer_id": "C", "entity_type": 7 }),
            &[("media_type", "required")],
        ),
        (
            json!({ "customer_id": "far too long to be one", "entity_type": "3", "start_date": "2026-01-01T00:00:00Z",
                    "text": "x", "status": 4, "colour": 1, "udata": { "a": [] } }),
            &[
                ("start_date", "server_set"),
                ("text", "own_url"),
                ("customer_id", "format"),
                ("entity_type", "type"),
                ("status", "range"),
                ("udata.a", "type"),
                ("colour", "unknown_field"),
            ],
        ),
    ];
    for (body, expected) in table {
        let found = house
            .post("/v1/interactions")
            .json(body)
            .send()
            .await
            .problem(400, "invalid_request");
        assert_eq!(found, pairs(expected), "{body}");
    }
    let good = json!({ "customer_id": "C", "entity_type": 2 });
    let ask = house
        .post("/v1/interactions")
        .header("idempotency-key", "k")
        .json(&good);
    assert_eq!(
        ask.send().await.problem(400, "invalid_request"),
        pairs(&[("Idempotency-Key", "not_kept")])
    );
    let mut childless = good.clone();
    childless["allow_children"] = json!(false);
    let parent = id_of(
        &house
            .post("/v1/interactions")
            .json(&childless)
            .send()
            .await
            .ok(),
    );
    let mut child = good;
    child["parent_id"] = json!(parent);
    let found = house
        .post("/v1/interactions")
        .json(&child)
        .send()
        .await
        .problem(409, "conflict");
    assert_eq!(found, pairs(&[("parent_id", "no_children")]));
    for path in ["", "/children", "/plain_text"] {
        let path = format!("/v1/interactions/00000000-0000-4000-8000-000000000000{path}");
        house.get(&path).send().await.problem(404, "not_found");
    }
}
