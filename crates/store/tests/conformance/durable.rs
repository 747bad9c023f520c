//! What is on the disk stays: after a drop without a word, and after `kill -9`.

use crate::town::*;
use ringback_callbacks::clock::Chance;
use ringback_callbacks::ids::InteractionId;
use ringback_store::{Acceptance, HoldOrder, StoreError};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

macro_rules! durable {
    ($($ground:ident: $fixture:expr;)+) => {
        $(mod $ground {
            use crate::town::*;

            #[tokio::test]
            async fn reopening_keeps_everything() {
                let (url, ground) = $fixture;
                super::reopening_keeps_everything(Town::open(url, ground).await).await;
            }

            #[tokio::test]
            async fn places_outlive_the_process() {
                let (url, ground) = $fixture;
                super::places_outlive_the_process(Town::open(url, ground).await).await;
            }

            /// This test runs itself as a second process, which books as fast as it can and tells each booking
            /// after its answer; it is killed in the middle, and every booking it told of must be there.
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn killed_in_the_middle() {
                if let Ok(url) = std::env::var(super::CHILD) {
                    super::book_until_killed(url).await;
                    return;
                }
                let itself = concat!("durable::", stringify!($ground), "::killed_in_the_middle");
                for round in 1..=3 {
                    let (url, ground) = $fixture;
                    super::killed_in_the_middle(itself, round, url, ground).await;
                }
            }
        })+
    };
}

durable! {
    sqlite: a_file();
    postgres: a_database().await;
}

async fn reopening_keeps_everything(town: Town) {
    town.staffed().await;
    town.book(
        "billing",
        with(voice(1), json!({ "text": "hello" })),
        monday(),
    )
    .await;
    let dialling = town.call(later(1)).await;
    let events = town.store.events_after(&tenant(), 0, 100).await.unwrap();
    let attempts = town
        .store
        .attempts(&tenant(), dialling.interaction.id)
        .await
        .unwrap();
    let (queues, agents) = (
        town.store.queues(&tenant()).await.unwrap(),
        town.store.agents(&tenant()).await.unwrap(),
    );
    let town = town.reopened().await;
    assert_eq!(town.get(&dialling).await, dialling);
    assert_eq!(
        town.store.events_after(&tenant(), 0, 100).await.unwrap(),
        events
    );
    assert_eq!(
        town.store
            .attempts(&tenant(), dialling.interaction.id)
            .await
            .unwrap(),
        attempts
    );
    assert_eq!(town.store.queues(&tenant()).await.unwrap(), queues);
    assert_eq!(town.store.agents(&tenant()).await.unwrap(), agents);
    town.is_healthy().await;
    town.settle(&dialling, reached(), later(9)).await;
    town.is_healthy().await;
}

/// A place belongs to its callback, and a hold to whoever has its id, before a crash and after it.
async fn places_outlive_the_process(town: Town) {
    let slotted = rules(json!({ "capacity": { "per_slot": 2 } }));
    town.queue("billing", slotted).await;
    let wanted = json!({ "start_time": "2026-03-09T15:00:00Z" });
    let booked = town
        .book("billing", with(voice(1), wanted.clone()), monday())
        .await;
    let hold = HoldOrder {
        tenant: tenant(),
        queue: queue_id("billing"),
        at: at("2026-03-09T15:00:00Z"),
        now: monday(),
    };
    let hold = town.store.hold_slot(hold).await.unwrap();
    let town = town.reopened().await;
    // The dice of the second run fall as in the first; ids must not.
    for _ in 0..100 {
        town.chance.uuid();
    }
    assert_eq!(town.get(&booked).await.slot, booked.slot);
    town.is_healthy().await;
    let full = json!({ "start_time": "2026-03-09T15:00:00Z", "end_time": "2026-03-09T15:15:00Z" });
    let third = town
        .try_book("billing", with(voice(2), full), monday())
        .await;
    assert!(
        matches!(third, Err(StoreError::NoPlace { .. })),
        "{third:?}"
    );
    let named = with(voice(3), json!({ "hold": hold.id.to_string() }));
    town.book("billing", named, monday()).await;
    town.is_healthy().await;
}

/// Where the child that is to be killed keeps its store.
const CHILD: &str = "RINGBACK_STORE_CHILD";

async fn killed_in_the_middle(itself: &str, round: usize, url: String, ground: Ground) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", itself, "--nocapture"])
        .env(CHILD, &url)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut told = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(id) = line.strip_prefix("booked ") {
            told.push(id.parse::<InteractionId>().unwrap());
        }
        if told.len() == 40 * round {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(
        told.len() >= 40 * round,
        "the child booked {} before it ended",
        told.len()
    );
    let town = Town::open(url, ground).await;
    for id in told {
        assert!(
            town.store.callback(&tenant(), id).await.unwrap().is_some(),
            "round {round}: {id} was lost"
        );
    }
    town.is_healthy().await;
}

async fn book_until_killed(url: String) {
    let town = std::sync::Arc::new(Town::open(url, Ground::Elsewhere).await);
    town.queue("pbx", dn_rules(5)).await;
    let mut bookers = Vec::new();
    for booker in 0..8 {
        let town = town.clone();
        bookers.push(tokio::spawn(async move {
            // Far more than are waited for: the parent's kill ends it.
            for last in 0..1000 {
                let mut order = town
                    .order("pbx", voice(booker * 1000 + last), monday())
                    .await;
                order.id = InteractionId(town.chance.uuid());
                let Acceptance::New(callback, _) = town.store.accept(order).await.unwrap() else {
                    return;
                };
                println!("booked {}", callback.interaction.id);
            }
        }));
    }
    for booker in bookers {
        booker.await.unwrap();
    }
}
