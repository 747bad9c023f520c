//! Signals, health, and the end.

use crate::town::*;
use ringback_callbacks::ids::AgentId;
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::state::Canceller;
use ringback_store::{Signal, StoreError, Then};
use std::time::Duration;

pub async fn signals_come_after_the_commit(town: &Town) {
    town.staffed().await;
    let mut signals = town.store.signals();
    let mut heard = async || {
        tokio::time::timeout(Duration::from_secs(60), signals.recv())
            .await
            .expect("a signal in time")
            .expect("a signal")
    };
    let booked = town.book("billing", voice(1), monday()).await;
    let id = booked.interaction.id;
    let told = |then| Signal::Callback {
        tenant: tenant(),
        id,
        queue: queue_id("billing"),
        then,
    };
    let due = booked.wakes_at().expect("a due moment");
    assert_eq!(heard().await, told(Then::Rest(due)));
    let offered = town.claim_one(later(1)).await;
    // That it came due is no news beside its being offered.
    let until = offered.state.claim().expect("a claim").until;
    assert_eq!(heard().await, told(Then::Claimed(until)));
    town.must(
        &offered,
        Command::Cancel {
            by: Canceller::Customer,
            reason: None,
        },
        later(2),
    )
    .await;
    assert_eq!(
        heard().await,
        Signal::Agent {
            tenant: tenant(),
            id: AgentId(1)
        }
    );
    assert_eq!(heard().await, told(Then::Look));
    // A refused command is not told: the next signal is the queue's.
    assert!(town.apply(&offered, Command::Tick, later(3)).await.is_err());
    let queue = town
        .store
        .queue(&tenant(), &queue_id("billing"))
        .await
        .unwrap()
        .unwrap();
    town.store.put_queue(queue, None).await.unwrap();
    assert_eq!(
        heard().await,
        Signal::Queue {
            tenant: tenant(),
            id: queue_id("billing")
        }
    );
}

pub async fn a_healthy_store(town: &Town) {
    town.store.ping().await.unwrap();
    town.staffed().await;
    for last in 0..5 {
        town.book("billing", voice(last), monday()).await;
    }
    let found = town.store.examine().await.unwrap();
    assert_eq!(
        (found.callbacks, found.events, found.chains_checked),
        (5, 5, 5)
    );
    assert_eq!(found.faults, Vec::<String>::new());
    assert!(found.schema_version >= 1);
}

pub async fn a_closed_store(town: &Town) {
    town.staffed().await;
    town.store.close().await;
    town.store.close().await;
    assert!(matches!(town.store.ping().await, Err(StoreError::Closed)));
    assert!(matches!(
        town.store.queues(&tenant()).await,
        Err(StoreError::Closed)
    ));
    assert!(matches!(
        town.store.prune(monday()).await,
        Err(StoreError::Closed)
    ));
}
