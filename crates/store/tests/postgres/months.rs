//! Months are made before they come, and dropped whole when everything in them ended longer ago than is kept.

use crate::database;
use crate::town::*;
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::clock::Chance;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::event::Actor;
use ringback_callbacks::ids::{AttemptId, CustomerId, InteractionId};
use ringback_callbacks::interaction::BodyKind;
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::outcome::CallResult;
use ringback_callbacks::state::Canceller;
use ringback_store::{AcceptOrder, Acceptance, BodyOrder, OpenOptions, Store};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// An id as it is made at a moment.
pub fn id_at(at: Timestamp, number: u128) -> Uuid {
    let ms = u128::try_from(at.as_millisecond()).unwrap();
    Uuid::from_u128((ms << 80) | (7 << 76) | (2 << 62) | number)
}

async fn book_at(town: &Town, number: u128, request: Value, now: Timestamp) -> Callback {
    let order = AcceptOrder {
        id: InteractionId(id_at(now, number)),
        ..town.order("billing", request, now).await
    };
    match town.store.accept(order).await.expect("a booking") {
        Acceptance::New(callback, _) => *callback,
        Acceptance::Merged(..) | Acceptance::Repeated(_) => panic!("a new one"),
    }
}

/// From the queue into a call that is tried at this moment.
async fn call_at(town: &Town, number: u128, now: Timestamp) -> Callback {
    let callback = town.claim_one(now).await;
    let callback = town.accept_offer(&callback, now).await;
    let attempt = AttemptId(id_at(now, number));
    town.must(&callback, begin(attempt, callback.fence), now)
        .await
}

async fn keeping(url: &str, days: u64) -> Arc<dyn Store> {
    let options = OpenOptions {
        keep_ended: Some(Duration::from_secs(days * 24 * 3600)),
        ..OpenOptions::default()
    };
    ringback_store::open(url, options, Dice::new(3))
        .await
        .expect("a store")
}

fn months(town: &Town, table: &str) -> Vec<String> {
    let found = database(town).sql(&format!(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = '{table}'::regclass AND c.relname < '{table}_2026' ORDER BY 1"
    ));
    let prefix = format!("{table}_");
    found
        .lines()
        .filter_map(|name| name.strip_prefix(&prefix))
        .map(str::to_owned)
        .collect()
}

const LARGE: [&str; 4] = ["interactions", "callbacks", "attempts", "events"];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn months_are_made_ahead_by_whoever_comes_first() {
    let town = postgres().await;
    let others = [
        keeping(&town.url, 30).await,
        keeping(&town.url, 30).await,
        keeping(&town.url, 30).await,
    ];
    let now = at("2024-11-15T12:00:00Z");
    let waiting: Vec<_> = others
        .iter()
        .map(|store| {
            let store = Arc::clone(store);
            tokio::spawn(async move { store.prune(now).await })
        })
        .collect();
    for one in waiting {
        one.await
            .unwrap()
            .expect("nobody fails because another does the same");
    }
    // Whoever stood back leaves it to the one that was at it; an hour later it is complete in any case.
    town.store.prune(now).await.unwrap();
    for table in LARGE {
        assert_eq!(
            months(&town, table),
            ["2024_11", "2024_12", "2025_01"],
            "{table}"
        );
    }
    // A month later one more is there, and nothing is made twice.
    town.store.prune(at("2024-12-15T12:00:00Z")).await.unwrap();
    assert_eq!(
        months(&town, "events"),
        ["2024_11", "2024_12", "2025_01", "2025_02"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_that_came_unprepared_stays_in_the_rest() {
    let town = postgres().await;
    town.staffed().await;
    let now = at("2025-01-10T15:00:00Z");
    let early = book_at(&town, 1, voice(1), now).await;
    for _ in 0..2 {
        town.store.prune(now).await.expect("it goes on");
    }
    // No attempt was made: that table has its month.
    assert_eq!(months(&town, "callbacks"), ["2025_02", "2025_03"]);
    assert_eq!(months(&town, "attempts"), ["2025_01", "2025_02", "2025_03"]);
    assert_eq!(town.get(&early).await, early);
    let next = book_at(&town, 2, voice(2), at("2025-02-10T15:00:00Z")).await;
    assert_eq!(
        database(&town).sql("SELECT id FROM callbacks_2025_02"),
        next.interaction.id.0.to_string()
    );
    town.is_healthy().await;
}

/// A callback of January whose last try was in February, with a body; and one of February that stays open.
async fn two_months(town: &Town) -> (Callback, Callback) {
    town.staffed().await;
    town.store.prune(at("2025-01-10T00:00:00Z")).await.unwrap();
    let first = book_at(town, 1, voice(1), at("2025-01-31T23:50:00Z")).await;
    let dialling = call_at(town, 2, at("2025-01-31T23:51:00Z")).await;
    let busy = outcome(CallResult::BUSY);
    town.settle(&dialling, busy, at("2025-01-31T23:52:00Z"))
        .await;
    let dialling = call_at(town, 3, at("2025-02-01T00:10:00Z")).await;
    town.settle(&dialling, reached(), at("2025-02-01T00:12:00Z"))
        .await;
    town.claim("one", at("2025-02-01T06:00:00Z")).await;
    let upload = Uuid::from_u128(1);
    let written = at("2025-02-01T06:00:00Z");
    for index in 0..2 {
        town.store
            .append_body(&tenant(), upload, index, vec![7; 1000], written)
            .await
            .unwrap();
    }
    let body = BodyOrder {
        tenant: tenant(),
        id: first.interaction.id,
        kind: BodyKind::BinaryContent,
        mime: "application/octet-stream".to_owned(),
        size: 2000,
        upload,
        actor: Actor::Application(5),
        now: written,
    };
    town.store.finish_body(body).await.unwrap();
    let first = town.get(&first).await;
    assert!(first.state.is_ended());
    let second = book_at(town, 4, voice(2), at("2025-02-20T12:00:00Z")).await;
    (first, second)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_goes_when_everything_in_it_ended_long_ago() {
    let town = postgres().await;
    let (first, second) = two_months(&town).await;
    let keeper = keeping(&town.url, 30).await;
    // Not long enough ago; and where nothing is to be dropped nothing ever is.
    keeper.prune(at("2025-03-01T00:00:00Z")).await.unwrap();
    town.store.prune(at("2025-03-05T00:00:00Z")).await.unwrap();
    assert_eq!(town.get(&first).await, first);

    assert!(keeper.prune(at("2025-03-05T00:00:00Z")).await.unwrap() > 0);
    for table in LARGE {
        let left = months(&town, table);
        assert_eq!(left[0], "2025_02", "{table}");
    }
    assert_eq!(
        town.store
            .callback(&tenant(), first.interaction.id)
            .await
            .unwrap(),
        None
    );
    // Nothing of it is left behind; who the customer is stays known.
    for (table, left) in [
        ("attempts", "0"),
        ("bodies", "0"),
        ("uploads", "0"),
        ("body_chunks", "0"),
        ("recent_calls", "0"),
        ("callback_contacts", "1"),
        ("customers", "2"),
    ] {
        let found = database(&town).sql(&format!("SELECT count(*) FROM {table}"));
        assert_eq!(found, left, "{table}");
    }
    let customer = town
        .store
        .customer_by_contact(&tenant(), &number(1))
        .await
        .unwrap();
    assert_eq!(customer.unwrap().id, first.interaction.customer);
    town.is_healthy().await;

    // The open one keeps its month, however long.
    keeper.prune(at("2027-01-01T00:00:00Z")).await.unwrap();
    assert_eq!(town.get(&second).await, second);
    let by = Canceller::Customer;
    let cancel = Command::Cancel { by, reason: None };
    town.must(&second, cancel, at("2027-01-02T00:00:00Z")).await;
    keeper.prune(at("2027-01-15T00:00:00Z")).await.unwrap();
    assert_eq!(
        months(&town, "callbacks")[0],
        "2025_02",
        "ended, but just now"
    );
    keeper.prune(at("2027-02-15T00:00:00Z")).await.unwrap();
    assert!(
        !months(&town, "callbacks").contains(&"2025_02".to_owned()),
        "{:?}",
        months(&town, "callbacks")
    );
    town.is_healthy().await;
    // And it goes on as if nothing had been.
    let again = town.book("billing", voice(1), monday()).await;
    assert_eq!(again.interaction.customer, first.interaction.customer);
    town.is_healthy().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_spoken_of_outside_keeps_its_month() {
    let town = postgres().await;
    let (first, second) = two_months(&town).await;
    let by = Canceller::Customer;
    let cancel = Command::Cancel { by, reason: None };
    town.must(&second, cancel, at("2025-02-21T00:00:00Z")).await;
    // A child of January's, made in March.
    let parent = json!({
        "parent_id": first.interaction.id.to_string(), "customer_id": first.interaction.customer.to_string()
    });
    let child = book_at(&town, 5, with(voice(1), parent), at("2025-03-10T12:00:00Z")).await;
    let cancel = Command::Cancel { by, reason: None };
    town.must(&child, cancel, at("2025-03-11T00:00:00Z")).await;
    let keeper = keeping(&town.url, 30).await;
    keeper.prune(at("2025-04-05T00:00:00Z")).await.unwrap();
    assert_eq!(town.get(&first).await, first, "its child is there");
    assert_eq!(
        town.store
            .callback(&tenant(), second.interaction.id)
            .await
            .unwrap()
            .map(|one| one.interaction.id),
        Some(second.interaction.id),
        "a try in its month belongs to January"
    );
    town.is_healthy().await;
    // When the child goes, the others follow.
    for day in [
        "2025-06-01T00:00:00Z",
        "2025-06-01T01:00:00Z",
        "2025-06-01T02:00:00Z",
    ] {
        keeper.prune(at(day)).await.unwrap();
    }
    for table in LARGE {
        let left = months(&town, table);
        assert!(
            left.iter().all(|month| month.as_str() > "2025_03"),
            "{table}: {left:?}"
        );
    }
    town.is_healthy().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_nodes_drop_while_others_book() {
    let town = postgres().await;
    let (first, _) = two_months(&town).await;
    let known = Customer {
        tenant: tenant(),
        id: CustomerId::parse("C-1").unwrap(),
        name: None,
        contacts: vec![number(90)],
        time_zone: None,
        do_not_call: false,
        created_at: monday(),
        revision: 0,
    };
    town.store.put_customer(known, None).await.unwrap();
    let mut orders = Vec::new();
    for last in 100..160 {
        let mut order = town.order("billing", voice(last), monday()).await;
        order.id = InteractionId(town.chance.uuid());
        orders.push(order);
    }
    let store = Arc::clone(&town.store);
    let booking = tokio::spawn(async move {
        for order in orders {
            store.accept(order).await.expect("a booking meanwhile");
        }
    });
    let mut keepers = Vec::new();
    for _ in 0..3 {
        let keeper = keeping(&town.url, 30).await;
        keepers.push(tokio::spawn(async move {
            for _ in 0..3 {
                keeper
                    .prune(at("2025-03-05T00:00:00Z"))
                    .await
                    .expect("nobody fails");
            }
        }));
    }
    for keeper in keepers {
        keeper.await.unwrap();
    }
    booking.await.unwrap();
    assert_eq!(
        town.store
            .callback(&tenant(), first.interaction.id)
            .await
            .unwrap(),
        None
    );
    town.is_healthy().await;
}
