//! One of two nodes is killed in mid-call; the other takes over what it carried.

use super::rig::{LEASE, RESCUED_BY, Rig};
use crate::books::Stored;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn the_other_rescues_what_a_killed_node_carried() {
    let mut rig = Rig::of_two().await;
    let intake = rig.intake();
    tokio::time::sleep(Duration::from_secs(3)).await;
    rig.busy(0).await;
    rig.nodes[0].kill();
    let killed = Timestamp::now();
    let orphans = rig.customers().tally().open_by(&rig.hosts[0]);
    assert!(
        !orphans.is_empty(),
        "it was killed with no call up: the test means nothing"
    );
    // Bookings go on meanwhile, all of them through the other one.
    let accepted = intake.acknowledged();
    let rescued = rig.rescue(&orphans, 1, killed).await;
    println!(
        "{} calls were up at the killed node; all rescued {rescued:#} after the kill (lease {LEASE:?})",
        orphans.len()
    );
    assert!(rescued <= RESCUED_BY, "rescued only after {rescued:#}");
    let diary = intake.finish().await;
    assert!(
        diary.accepted.len() > accepted,
        "the other node must go on taking bookings"
    );
    let stored = rig.settle(&diary, 1).await;
    tell_verdicts(&stored);
    // Not only the customers' calls: whatever the killed node had begun.
    for (_, attempt) in stored.attempts.values() {
        let ended: Timestamp = attempt["ended_at"]
            .as_str()
            .and_then(|at| at.parse().ok())
            .expect("it has ended");
        let lost = attempt["verdict"] == "unknown";
        assert!(
            !lost || ended.duration_since(killed) <= RESCUED_BY,
            "rescued too late: {attempt:#}"
        );
    }
    rig.nodes[1].assert_healthy();
    // It comes back, finds nothing of its own, and rings nobody.
    let rung = rig.customers().tally().rings();
    rig.nodes[0].launch_again();
    rig.nodes[0].await_ready().await;
    let again = rig.settle(&diary, 0).await;
    assert_eq!(again.attempts, stored.attempts);
    assert_eq!(rig.customers().tally().rings(), rung);
    rig.assert_healthy();
}

pub fn tell_verdicts(stored: &Stored) {
    let mut verdicts: BTreeMap<&str, u32> = BTreeMap::new();
    for (_, attempt) in stored.attempts.values() {
        *verdicts
            .entry(attempt["verdict"].as_str().unwrap_or("none"))
            .or_default() += 1;
    }
    println!(
        "{} callbacks, attempts {verdicts:?}",
        stored.callbacks.len()
    );
}
