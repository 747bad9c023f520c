//! Two nodes that are well: both take bookings, both dial, and a route's limits hold over both together.

use super::rig::{Rig, TOWN, Trunk, all_ended};
use crate::harness::customer_number;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn both_take_bookings_and_both_dial() {
    let rig = Rig::of_two().await;
    let intake = rig.intake();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let diary = intake.finish().await;
    assert_eq!(diary.repeated, 0, "nothing was wrong: {:?}", diary.setbacks);
    let stored = rig.settle(&diary, 1).await;
    let tally = rig.customers().tally();
    let shares: Vec<usize> = rig.hosts.iter().map(|host| tally.rung_by(host)).collect();
    println!(
        "{} attempts recorded; rung by a and b: {shares:?}",
        stored.attempts.len()
    );
    assert!(
        shares.iter().all(|share| *share > 0),
        "one node rang nobody: {shares:?}"
    );
    // Nothing went wrong, so every recorded attempt rang, and none had to be made twice.
    assert_eq!(tally.rings().len(), stored.attempts.len());
    assert_eq!(stored.attempts.len(), stored.callbacks.len());
    // Both nodes tell the same story.
    let other = all_ended(&rig.nodes[0].client).await;
    assert_eq!(other.callbacks, stored.callbacks);
    assert_eq!(other.attempts, stored.attempts);
    rig.assert_healthy();
}

/// Seen from the trunk there is one Ringback, however many nodes it has.
#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_route_hold_over_both_nodes() {
    const PACED: Trunk = Trunk {
        name: "paced",
        calls_per_second: 4,
        ..TOWN
    };
    const NARROW: Trunk = Trunk {
        name: "narrow",
        concurrent: 4,
        ..TOWN
    };
    let rig = Rig::build(2, &[PACED, NARROW]).await;
    for number in 0..60 {
        let trunk = if number % 2 == 0 {
            PACED.name
        } else {
            NARROW.name
        };
        let node = &rig.nodes[number as usize / 2 % 2];
        node.client
            .book(json!({
                "queue": trunk, "customer_number": customer_number(number), "desired_response_type": "Voice",
                "any_hour": true,
            }))
            .await;
    }
    let stored = all_ended(&rig.nodes[0].client).await;
    assert_eq!(stored.callbacks.len(), 60);
    rig.check_rings(&stored);
    let (paced, narrow) = (
        rig.phones(PACED.name).tally(),
        rig.phones(NARROW.name).tally(),
    );
    let shares: Vec<usize> = rig
        .hosts
        .iter()
        .map(|host| paced.rung_by(host) + narrow.rung_by(host))
        .collect();
    let (in_a_second, at_once) = (paced.most_in_a_second(), narrow.most_at_once());
    println!(
        "rung by a and b: {shares:?}; at most {in_a_second} within a second of {} a second, {at_once} at once of {}",
        PACED.calls_per_second, NARROW.concurrent
    );
    assert!(
        shares.iter().all(|share| *share > 0),
        "one node rang nobody: {shares:?}"
    );
    // A second's worth may go at once after a rest, and then one by one; one more may be on its way.
    assert!(
        in_a_second <= 2 * PACED.calls_per_second as usize + 1,
        "{in_a_second} calls within a second"
    );
    assert!(
        at_once <= NARROW.concurrent as usize,
        "{at_once} calls at once"
    );
}
