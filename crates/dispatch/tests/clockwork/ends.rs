//! The end of a node waits for nobody who takes too long.

use crate::town::Town;
use ringback_dispatch::Settings;
use std::time::Duration;

#[tokio::test]
async fn pruning_does_not_hold_up_the_end() {
    let town = Town::new().await;
    town.store.prunes_for_ever();
    let dispatcher = town.start(Settings::default());
    town.clock.advance(Duration::from_secs(2)).await;
    let ended = tokio::time::timeout(Duration::from_secs(60), dispatcher.stop_now()).await;
    assert!(ended.is_ok(), "it waits for the pruning");
}
