//! One of two nodes cannot reach the database any more, and no error tells it: packets are dropped.

use super::killed::tell_verdicts;
use super::rig::{LEASE, Rig, TOWN};
use crate::harness::customer_number;
use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cut_off_from_the_database_refuses_or_keeps_and_comes_back() {
    let mut rig = Rig::of_two().await;
    let intake = rig.intake();
    tokio::time::sleep(Duration::from_secs(3)).await;
    rig.busy(0).await;
    let host = rig.hosts[0].clone();
    host.cut_off(&rig.network.address(), rig.database.port);
    let cut = Timestamp::now();
    let orphans = rig.customers().tally().open_by(&host);
    // Asked while it is cut off: the answer is a refusal that says when to come again, or the booking is kept.
    let key = "while-cut-off";
    let request = json!({
        "queue": TOWN.name, "customer_number": customer_number(900_000), "desired_response_type": "Voice",
        "any_hour": true, "external_id": key,
    });
    let client = rig.nodes[0].client.patient();
    let asking = tokio::spawn({
        let request = request.clone();
        async move {
            let answer = client
                .post("/v1/callbacks", &[("Idempotency-Key", key)], &request)
                .await;
            answer.expect("an answer, if a bad one")
        }
    });
    let rescued = rig.rescue(&orphans, 1, cut).await;
    println!(
        "{} calls were up at the node; all rescued {rescued:#} after the cut (lease {LEASE:?})",
        orphans.len()
    );
    let answer = asking.await.expect("the question comes to its end");
    let told = (
        answer.status(),
        answer.headers().get("retry-after").cloned(),
    );
    println!(
        "a booking at the node was answered {told:?} {:#} after the cut",
        Timestamp::now().duration_since(cut)
    );
    assert!(
        told.0 == StatusCode::CREATED
            || (told.0 == StatusCode::SERVICE_UNAVAILABLE && told.1.is_some()),
        "{told:?}"
    );
    host.heal();
    rig.nodes[0].await_ready().await;
    println!(
        "ready again {:#} after the cut",
        Timestamp::now().duration_since(cut)
    );
    // Whatever it was told, the client that repeats with the same key has one booking.
    let (status, first) = rig.nodes[1]
        .client
        .ask(
            reqwest::Method::POST,
            "/v1/callbacks",
            &[("Idempotency-Key", key)],
            Some(&request),
        )
        .await
        .expect("an answer");
    assert_eq!(status, StatusCode::CREATED, "{first}");
    let mut diary = intake.finish().await;
    diary.keys.insert(key.to_owned());
    let id = first["interaction_id"].as_str().expect("an id").to_owned();
    diary.accepted.insert(key.to_owned(), id);
    let stored = rig.settle(&diary, 0).await;
    tell_verdicts(&stored);
    rig.assert_healthy();
}
