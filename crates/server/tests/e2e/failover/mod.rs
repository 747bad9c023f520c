//! The primary is killed under load, and another takes its place: nothing that was acknowledged is lost, and every
//! answer that left a client in doubt is settled by repeating the request.
//!
//! `RINGBACK_FAILOVERS` sets how many primaries are killed; one if it is not set.

mod patroni;

use crate::books::{check_bookings, check_rings};
use crate::harness::{Host, Network};
use crate::intake::{Intake, Plan};
use crate::nodes::rig::{
    TOWN, all_ended, complaint, crowded_queue, node_config, start_nodes, telephones,
};
use patroni::{PASSWORD, Pair};
use serde_json::json;
use std::time::{Duration, Instant};

/// How long the cluster may take to name another primary: its agents wait 20 s before they call the old one lost.
const PROMOTION: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_replaced_loses_nothing() {
    let rounds: u32 = match std::env::var("RINGBACK_FAILOVERS") {
        Ok(number) => number.parse().expect("RINGBACK_FAILOVERS is a number"),
        Err(_) => 1,
    };
    let network = Network::new(6);
    let files = tempfile::tempdir().expect("a directory");
    let started = Instant::now();
    let mut pair = Pair::start([network.host(0), network.host(1)], network.host(2)).await;
    println!("the pair was up after {:.0?}", started.elapsed());
    pair.sql(
        "postgres",
        &format!("CREATE ROLE ringback LOGIN PASSWORD '{PASSWORD}'"),
    )
    .await;
    pair.sql("postgres", "CREATE DATABASE ringback OWNER ringback")
        .await;
    let url = format!(
        "postgres://ringback:{PASSWORD}@{}/ringback?target_session_attrs=read-write",
        pair.addresses()
    );
    let (phones, routes) = telephones(network.host(5), &[TOWN], files.path());
    let hosts: Vec<Host> = [3, 4].map(|index| network.host(index).clone()).into();
    let mut nodes = start_nodes(&hosts, &[&url, &url], &routes).await;
    nodes[0]
        .client
        .put_queue(TOWN.name, crowded_queue(TOWN.name, json!({})))
        .await;
    // A node that is pointed at the standby alone says so and does not start.
    refuses_the_standby(&pair, &hosts[0], &routes).await;

    let intake = Intake::start(Plan {
        queue: TOWN.name,
        nodes: nodes.iter().map(|node| node.client.clone()).collect(),
        clients: 4,
        pace: Duration::from_millis(200),
    });
    for round in 1..=rounds {
        pair.await_whole().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let old = pair.primary().await.expect("a primary");
        let acknowledged = intake.acknowledged();
        pair.kill(old);
        let killed = Instant::now();
        let promoted = loop {
            if pair.primary().await.is_some_and(|new| new != old) {
                break Instant::now();
            }
            assert!(
                killed.elapsed() < PROMOTION,
                "no other primary within {PROMOTION:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        // The first booking accepted once the old one was dead can only be in the new one.
        let accepted = loop {
            if let Some(accepted) = intake.first_since(killed + Duration::from_millis(500)) {
                break accepted;
            }
            assert!(
                promoted.elapsed() < PROMOTION,
                "nothing was accepted after the promotion"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        println!(
            "round {round}: {acknowledged} acknowledged before; promoted {:.1?} after the kill, first booking accepted {:.1?} after the promotion",
            promoted - killed,
            accepted.saturating_duration_since(promoted)
        );
        tokio::time::sleep(Duration::from_secs(3)).await;
        pair.revive(old);
    }
    let diary = intake.finish().await;
    for node in &mut nodes {
        node.await_ready().await;
    }
    let stored = all_ended(&nodes[0].client).await;
    check_bookings(&diary, &stored);
    assert_eq!(
        diary.accepted.len(),
        diary.keys.len(),
        "every booking was settled in the end"
    );
    for (name, phones) in &phones {
        check_rings(name, &phones.tally().rings(), &[], &stored);
    }
    for node in &nodes {
        node.assert_healthy();
    }
}

async fn refuses_the_standby(pair: &Pair, host: &Host, routes: &str) {
    let primary = pair.primary().await.expect("a primary");
    let url = format!(
        "postgres://ringback:{PASSWORD}@{}/ringback",
        pair.address(1 - primary)
    );
    let config = node_config("c", &host.address, &url, routes);
    let refused = crate::harness::Installation::new(Some(host), &config).run(&["serve"]);
    let told = complaint(&refused);
    assert!(!refused.status.success(), "it started on a standby: {told}");
    let told = told.to_lowercase();
    assert!(
        ["read-only", "standby", "stand-by"]
            .iter()
            .any(|word| told.contains(word)),
        "{told}"
    );
}
