//! Both nodes are restarted one after the other, as for a new version, and nobody who books notices.

use super::killed::tell_verdicts;
use super::rig::Rig;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_fails_no_booking() {
    let mut rig = Rig::of_two().await;
    let intake = rig.intake();
    for index in [0, 1] {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let node = &mut rig.nodes[index];
        node.process().signal("TERM");
        let status = node.process().wait(Duration::from_secs(60));
        assert!(
            status.is_some_and(|status| status.success()),
            "the exit was {status:?}\n{}",
            node.log()
        );
        node.launch_again();
        node.await_ready().await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    // A clerk gives up only after long: that it came to its end means every booking was accepted.
    let diary = intake.finish().await;
    assert_eq!(
        diary.accepted.len(),
        diary.keys.len(),
        "every booking was accepted"
    );
    let stored = rig.settle(&diary, 0).await;
    tell_verdicts(&stored);
    // Stopped in order, a node leaves no call behind whose end nobody knows.
    let unknown: Vec<_> = stored
        .attempts
        .values()
        .filter(|(_, attempt)| attempt["verdict"] == "unknown")
        .collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    // Nobody was called a second time because a node went, and no try was used up for nothing.
    assert_eq!(stored.attempts.len(), stored.callbacks.len());
    let rings = rig.customers().tally().rings();
    assert_eq!(
        rings.len(),
        stored.callbacks.len(),
        "customers rung more than once"
    );
    rig.assert_healthy();
}
