//! A node stands still for longer than its lease, and goes on as if nothing had been. What it held has changed hands.

use super::killed::tell_verdicts;
use super::rig::{LEASE, RESCUED_BY, Rig};
use crate::books::Stored;
use jiff::Timestamp;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_frozen_node_says_too_late_changes_nothing() {
    let mut rig = Rig::of_two().await;
    let intake = rig.intake();
    tokio::time::sleep(Duration::from_secs(3)).await;
    rig.busy(0).await;
    rig.nodes[0].process().signal("STOP");
    let frozen = Timestamp::now();
    let orphans = rig.customers().tally().open_by(&rig.hosts[0]);
    assert!(
        !orphans.is_empty(),
        "it was frozen with no call up: the test means nothing"
    );
    let rescued = rig.rescue(&orphans, 1, frozen).await;
    println!(
        "{} calls were up at the frozen node; all rescued after {rescued:#} (lease {LEASE:?})",
        orphans.len()
    );
    assert!(rescued <= RESCUED_BY, "rescued only after {rescued:#}");
    let before = Stored::read(&rig.nodes[1].client).await;
    rig.nodes[0].process().signal("CONT");
    let diary = intake.finish().await;
    rig.nodes[0].await_ready().await;
    let stored = rig.settle(&diary, 0).await;
    tell_verdicts(&stored);
    // What the other one wrote of its calls while it stood still is what is written now.
    for attempt in &orphans {
        assert_eq!(stored.attempts.get(attempt), before.attempts.get(attempt));
    }
    rig.assert_healthy();
}
