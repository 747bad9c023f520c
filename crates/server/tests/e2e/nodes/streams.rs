//! A page is connected to one node, and hears of what the others do.

use super::rig::{Rig, TOWN};
use crate::harness::{customer_number, dn_queue, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn offers_reach_the_agent_on_whichever_node_the_page_is() {
    let rig = Rig::of_two().await;
    let rules = json!({"delivery": {"kind": "agents"}, "offer": "30s"});
    let queue = dn_queue("desk", &[TOWN.name], rules);
    rig.nodes[0].client.put_queue("people", queue).await;
    rig.nodes[0]
        .client
        .put_agent(1, "1001", Some("desk"), "people", false)
        .await;
    // A live stream at each node in turn, and then a long poll; booked at the other one each time.
    for round in 0..4_usize {
        let (page, booked_at) = (
            &rig.nodes[round % 2].client,
            &rig.nodes[(round + 1) % 2].client,
        );
        let number = customer_number(round as u32);
        let request = json!({
            "queue": "people", "customer_number": number, "desired_response_type": "Voice", "any_hour": true,
        });
        let (id, offer) = if round < 2 {
            let feed = page.follow("/v1/agents/1/offers", None).await;
            let id = booked_at.book(request).await;
            let offer = eventually("the offer on the stream", LIMIT, || async {
                let told = feed.told();
                let offer = told.iter().find(|told| {
                    told.kind == "offer" && told.data["callback"]["interaction_id"] == id.as_str()
                });
                offer
                    .map(|told| told.data.clone())
                    .ok_or_else(|| format!("{told:?}"))
            })
            .await;
            (id, offer)
        } else {
            let poll = page.get("/v1/agents/1/offers?wait=15");
            let book = async {
                // So that the poll is there first, as a page's would be.
                tokio::time::sleep(Duration::from_millis(300)).await;
                booked_at.book(request).await
            };
            let (answer, id) = tokio::join!(poll, book);
            (id, first_of(&answer))
        };
        let offer = offer["offer_id"]
            .as_str()
            .expect("an offer's id")
            .to_owned();
        page.send(
            Method::POST,
            &format!("/v1/agents/1/offers/{offer}/accept"),
            json!({}),
        )
        .await;
        let ended = page.ended(&id, LIMIT).await;
        assert_eq!(ended["call_result"], 0, "{ended:#}");
    }
    let rings = rig.customers().tally().rings();
    assert_eq!(rings.len(), 4, "{rings:?}");
    assert!(rings.values().all(|times| *times == 1), "{rings:?}");
    rig.assert_healthy();
}

fn first_of(answer: &Value) -> Value {
    let items = answer["items"].as_array().expect("a list of offers");
    items
        .first()
        .unwrap_or_else(|| panic!("the poll ended without an offer: {answer}"))
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_one_node_are_heard_at_the_other_in_order_without_gaps() {
    let rig = Rig::of_two().await;
    let feeds = [
        rig.nodes[0].client.follow("/v1/events", Some(0)).await,
        rig.nodes[1].client.follow("/v1/events", Some(0)).await,
    ];
    let intake = rig.intake();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let diary = intake.finish().await;
    rig.settle(&diary, 0).await;
    // What is stored, read as a list, page by page.
    let mut listed: Vec<i64> = Vec::new();
    loop {
        let after = listed.last().copied().unwrap_or(0);
        let page = rig.nodes[0]
            .client
            .get(&format!("/v1/events?after={after}&limit=1000"))
            .await;
        let items = page["items"].as_array().expect("a list of events");
        if items.is_empty() {
            break;
        }
        listed.extend(
            items
                .iter()
                .map(|event| event["seq"].as_i64().expect("a number")),
        );
    }
    assert!(listed.is_sorted_by(|a, b| a < b), "a list in order");
    assert!(
        listed.len() > 3 * diary.accepted.len(),
        "{} events",
        listed.len()
    );
    for feed in &feeds {
        eventually("the last event on the stream", LIMIT, || async {
            let heard = feed.told().len();
            if heard >= listed.len() {
                Ok(())
            } else {
                Err(format!(
                    "{heard} of {} (ended: {})",
                    listed.len(),
                    feed.has_ended()
                ))
            }
        })
        .await;
        let heard: Vec<i64> = feed.told().iter().filter_map(|told| told.id).collect();
        assert_eq!(heard, listed, "heard on the stream, and stored");
    }
    println!("{} events heard at both nodes", listed.len());
}
