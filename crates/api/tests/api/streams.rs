//! Server-sent events: from the beginning, from where one left off, to the end.

use crate::house::{House, id_of, pairs};
use axum::body::BodyDataStream;
use futures::StreamExt;
use ringback_api::ApiSettings;
use serde_json::{Value, json};
use std::time::Duration;

/// Reads a stream event by event.
struct Reader {
    body: BodyDataStream,
    text: String,
}

#[derive(Debug)]
struct Heard {
    id: String,
    kind: String,
    data: Value,
}

impl Reader {
    fn new(response: axum::response::Response) -> Reader {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Reader {
            body: response.into_body().into_data_stream(),
            text: String::new(),
        }
    }

    /// The next event; `None` when the stream has ended. Comments are passed over.
    async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    let line = block
                        .lines()
                        .find_map(|line| line.strip_prefix(&format!("{name}:")));
                    line.map(|value| value.trim_start().to_owned())
                        .unwrap_or_default()
                };
                if field("event").is_empty() {
                    continue;
                }
                let data = serde_json::from_str(&field("data")).unwrap();
                return Some(Heard {
                    id: field("id"),
                    kind: field("event"),
                    data,
                });
            }
            let piece = tokio::time::timeout(Duration::from_secs(30), self.body.next())
                .await
                .expect("an event or the end");
            self.text
                .push_str(std::str::from_utf8(&piece?.unwrap()).unwrap());
        }
    }
}

#[tokio::test]
async fn a_callback_from_its_beginning_to_its_end() {
    let house = House::new().await;
    let id = id_of(&house.book(json!({})).await);
    let path = format!("/v1/callbacks/{id}/events");
    let mut live = Reader::new(
        house
            .get(&path)
            .header("accept", "text/event-stream")
            .open()
            .await,
    );
    let first = live.next().await.unwrap();
    assert_eq!((first.id.as_str(), first.kind.as_str()), ("1", "accepted"));
    assert_eq!(
        (&first.data["number"], &first.data["interaction_id"]),
        (&json!(1), &json!(id))
    );
    house
        .post(&format!("/v1/callbacks/{id}/snooze"))
        .json(&json!({ "minutes": 5 }))
        .send()
        .await
        .ok();
    assert_eq!(live.next().await.unwrap().kind, "snoozed");
    let moved = live.next().await.unwrap();
    assert_eq!(
        (moved.kind.as_str(), &moved.data["detail"]["reason"]),
        ("promise_moved", &json!("snoozed"))
    );
    house
        .post(&format!("/v1/callbacks/{id}/cancel"))
        .send()
        .await
        .ok();
    assert_eq!(live.next().await.unwrap().kind, "cancelled");
    assert!(
        live.next().await.is_none(),
        "the stream ends with the callback"
    );

    // Resumed, with what was missed; and as JSON, with the same numbers.
    let ask = house
        .get(&path)
        .header("accept", "text/event-stream")
        .header("last-event-id", "1");
    let mut resumed = Reader::new(ask.open().await);
    assert_eq!(resumed.next().await.unwrap().id, "2");
    assert_eq!(resumed.next().await.unwrap().kind, "promise_moved");
    assert_eq!(resumed.next().await.unwrap().kind, "cancelled");
    assert!(resumed.next().await.is_none());
    let list = house
        .get(&format!("{path}?after=1&limit=1"))
        .send()
        .await
        .ok();
    assert_eq!(
        (&list["items"][0]["kind"], &list["last"]),
        (&json!("snoozed"), &json!(2))
    );
    let rest = house.get(&format!("{path}?after=4")).send().await.ok();
    assert_eq!((&rest["items"], &rest["last"]), (&json!([]), &json!(4)));

    let ask = house
        .get(&path)
        .header("accept", "text/event-stream")
        .header("last-event-id", "soon");
    assert_eq!(
        ask.send().await.problem(400, "invalid_request"),
        pairs(&[("Last-Event-ID", "format")])
    );
    let found = house
        .get(&format!("{path}?after=-1&x=1"))
        .send()
        .await
        .problem(400, "invalid_request");
    assert_eq!(found, pairs(&[("after", "range"), ("x", "unknown_field")]));
}

#[tokio::test]
async fn the_tenants_events_live_and_resumed() {
    let house = House::new().await;
    let old = id_of(&house.book(json!({})).await);
    let mut live = Reader::new(
        house
            .get("/v1/events")
            .header("accept", "text/event-stream")
            .open()
            .await,
    );
    let new = id_of(
        &house
            .book(json!({ "customer_number": "+12127361001" }))
            .await,
    );
    let first = live.next().await.unwrap();
    assert_eq!(
        (first.kind.as_str(), &first.data["interaction_id"]),
        ("accepted", &json!(new))
    );
    assert_eq!(first.id, first.data["seq"].to_string());
    house
        .post(&format!("/v1/callbacks/{old}/cancel"))
        .send()
        .await
        .ok();
    let second = live.next().await.unwrap();
    assert_eq!(second.kind, "cancelled");

    let ask = house
        .get("/v1/events")
        .header("accept", "text/event-stream")
        .header("last-event-id", &first.id);
    let mut resumed = Reader::new(ask.open().await);
    assert_eq!(resumed.next().await.unwrap().id, second.id);

    let all = house.get("/v1/events").send().await.ok();
    let items = all["items"].as_array().unwrap();
    assert!(
        items
            .windows(2)
            .all(|pair| pair[0]["seq"].as_i64() < pair[1]["seq"].as_i64())
    );
    let from = house
        .get(&format!("/v1/events?after={}&limit=1", first.id))
        .send()
        .await
        .ok();
    assert_eq!(
        (&from["items"][0]["kind"], &from["last"]),
        (
            &json!("cancelled"),
            &json!(second.id.parse::<i64>().unwrap())
        )
    );

    house.state.stopping.cancel();
    while live.next().await.is_some() {}
}

#[tokio::test]
async fn an_agents_offers_live() {
    let house = House::new().await;
    house.agent(1, "ready").await;
    let mut live = Reader::new(
        house
            .get("/v1/agents/1/offers")
            .header("accept", "text/event-stream")
            .open()
            .await,
    );
    house.book(json!({})).await;
    house.claim().await;
    let offer = live.next().await.unwrap();
    assert_eq!(
        (offer.kind.as_str(), &offer.data["agent_id"]),
        ("offer", &json!(1))
    );
    let id = offer.data["offer_id"].as_str().unwrap().to_owned();
    house
        .post(&format!("/v1/agents/1/offers/{id}/accept"))
        .send()
        .await
        .ok();
    let gone = live.next().await.unwrap();
    assert_eq!(
        (gone.kind.as_str(), &gone.data["offer_id"]),
        ("offer_gone", &json!(id))
    );
}

#[tokio::test]
async fn streams_are_counted_and_given_back() {
    let house = House::with(ApiSettings {
        concurrent_streams: 1,
        requests_per_second: 0,
        ..Default::default()
    })
    .await;
    let ask = || {
        house
            .get("/v1/events")
            .header("accept", "text/event-stream")
    };
    let first = ask().open().await;
    let second = ask().send().await;
    second.problem(503, "overloaded");
    assert_eq!(second.header("retry-after"), "5");
    drop(first);
    // The feed notices by itself that its client has gone.
    for _ in 0..500 {
        if ask().open().await.status() == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the place was never given back");
}
