//! Moving an installation from SQLite to PostgreSQL: broken off anywhere it is taken up again, and everything arrives
//! once and unchanged.

#[path = "conformance/town.rs"]
#[allow(dead_code)]
mod town;

use ringback_callbacks::customer::Customer;
use ringback_callbacks::event::Actor;
use ringback_callbacks::ids::{CustomerId, InteractionId};
use ringback_callbacks::interaction::BodyKind;
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::outcome::CallResult;
use ringback_callbacks::state::Canceller;
use ringback_sim::postgres::{Database, Ground as Soil, shared};
use ringback_store::{
    ApiKey, BodyOrder, CallbackQuery, CustomerQuery, HoldOrder, InteractionQuery, MoveOrder,
    MoveProgress, MoveStep, Moved, Result, Scope, SlotQuery, Store, StoreError, move_installation,
};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use town::*;
use uuid::Uuid;

const ELEVEN: &str = "2026-03-09T15:00:00.000Z";
const QUARTER_PAST: &str = "2026-03-09T15:15:00.000Z";

/// A town where something of everything has happened, and something of everything goes on.
async fn lived_in() -> Town {
    let town = sqlite_file().await;
    town.queue(
        "billing",
        rules(json!({ "capacity": { "per_slot": 3 }, "booking": {} })),
    )
    .await;
    town.queue("support", rules(json!({}))).await;
    town.agent(1, &["billing"], false).await;
    town.agent(2, &["support", "billing"], true).await;
    town.agent(3, &[], false).await;
    town.agent(4, &["support"], false).await;

    // Done, tried in vain, in a call, waiting, cancelled.
    town.book("support", voice(1), monday()).await;
    let talked = town.call(later(1)).await;
    let talked = town.settle(&talked, reached(), later(60)).await;
    town.story(&talked).await;
    town.book("support", voice(2), later(100)).await;
    let busy = town.call(later(101)).await;
    town.settle(&busy, outcome(CallResult::BUSY), later(130))
        .await;
    let named = with(
        voice(3),
        json!({ "customer_name": "Ada Ågren", "subject": "My boiler is cold", "udata": { "plan": "gold" } }),
    );
    town.book("billing", named, later(200)).await;
    town.call(later(201)).await;
    for last in 4..9 {
        town.book("support", voice(last), later(300)).await;
    }
    let gone = town.book("support", mail("ada"), later(400)).await;
    let by = Canceller::Customer;
    town.must(&gone, Command::Cancel { by, reason: None }, later(401))
        .await;

    // Places in a slot, and one that is held.
    let wanted = json!({ "start_time": ELEVEN, "end_time": QUARTER_PAST });
    for last in 10..12 {
        town.book("billing", with(voice(last), wanted.clone()), later(500))
            .await;
    }
    let hold = HoldOrder {
        tenant: tenant(),
        queue: queue_id("billing"),
        at: at(ELEVEN),
        now: later(500),
    };
    town.store.hold_slot(hold).await.unwrap();

    // A body, one that is not finished, an answer to be repeated.
    for (upload, chunks) in [(1, 5), (2, 2)] {
        for index in 0..chunks {
            town.store
                .append_body(
                    &tenant(),
                    Uuid::from_u128(upload),
                    index,
                    vec![7; 1000],
                    later(600),
                )
                .await
                .unwrap();
        }
    }
    let body = BodyOrder {
        tenant: tenant(),
        id: talked.interaction.id,
        kind: BodyKind::BinaryContent,
        mime: "application/octet-stream".to_owned(),
        size: 5000,
        upload: Uuid::from_u128(1),
        actor: Actor::Application(5),
        now: later(601),
    };
    town.store.finish_body(body).await.unwrap();
    let mut order = town.order("support", voice(20), later(700)).await;
    order.idempotent = asked(5, "order-1", 1);
    // Made as a server makes them, so that it falls into a month.
    order.id = InteractionId(Uuid::from_u128(0x019c_d2f0_0000_7000_8000_0000_0000_0001));
    town.store.accept(order).await.unwrap();

    let known = Customer {
        tenant: tenant(),
        id: CustomerId::parse("C-9").unwrap(),
        name: Some("Grace".to_owned()),
        time_zone: Some("Europe/London".to_owned()),
        do_not_call: true,
        contacts: vec![number(52), number(51), "grace@example.org".to_owned()],
        created_at: monday(),
        revision: 0,
    };
    town.store.put_customer(known, None).await.unwrap();
    town.recorded(None).await;
    town.store.put_key(a_key()).await.unwrap();
    town.store
        .put_learned(&tenant(), &queue_id("support"), json!({ "mean": 4.5 }))
        .await
        .unwrap();
    town.is_healthy().await;
    town
}

fn a_key() -> ApiKey {
    ApiKey {
        id: Uuid::from_u128(1),
        tenant: tenant(),
        name: "CRM".to_owned(),
        hash: [7; 32],
        application: 12,
        scopes: vec![Scope::Read, Scope::Write],
        created_at: monday(),
        expires_at: Some(later(3600)),
        revoked_at: None,
    }
}

fn order(from: &str, to: &str) -> MoveOrder {
    MoveOrder {
        from: from.to_owned(),
        to: to.to_owned(),
        now: later(900),
        batch: 3,
    }
}

async fn move_it(from: &str, to: &str) -> Result<Option<Moved>> {
    move_installation(&order(from, to), &mut |_| {}).await
}

/// Moves, and is killed when it has told `steps` times how far it is. Whether it came to its end before.
async fn is_killed(from: &str, to: &str, steps: u64) -> bool {
    let order = order(from, to);
    let told = Arc::new(AtomicU64::new(0));
    let victim: Arc<Mutex<Option<tokio::task::AbortHandle>>> = Arc::default();
    let (count, handle) = (Arc::clone(&told), Arc::clone(&victim));
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let _ = gone.await;
        move_installation(&order, &mut |_| {
            if count.fetch_add(1, Ordering::Relaxed) + 1 == steps
                && let Some(handle) = handle.lock().unwrap().take()
            {
                handle.abort();
            }
        })
        .await
    });
    *victim.lock().unwrap() = Some(task.abort_handle());
    let _ = go.send(());
    match task.await {
        Ok(done) => {
            done.unwrap();
            true
        }
        Err(error) => {
            assert!(error.is_cancelled(), "{error}");
            false
        }
    }
}

/// What a reader finds, in the words of the API.
async fn seen(store: &dyn Store) -> Vec<String> {
    let mut seen = Vec::new();
    let callbacks = store.callbacks(any_callback()).await.unwrap();
    for callback in &callbacks.items {
        let id = callback.interaction.id;
        seen.push(serde_json::to_string(callback).unwrap());
        seen.push(format!(
            "{:?}",
            store.attempts(&tenant(), id).await.unwrap()
        ));
        seen.push(format!(
            "{:?}",
            store
                .guard_now(&tenant(), id, later(900))
                .await
                .unwrap()
                .is_some()
        ));
        for index in 0..6 {
            let chunk = store
                .read_body(&tenant(), id, BodyKind::BinaryContent, index)
                .await
                .unwrap();
            seen.push(format!("{chunk:?}"));
        }
    }
    assert!(callbacks.items.len() > 10 && callbacks.next.is_none());
    let everything = InteractionQuery {
        tenant: tenant(),
        entity_type: None,
        customer: None,
        thread: None,
        parent: None,
        external_id: None,
        after: None,
        limit: 100,
    };
    seen.push(format!(
        "{:?}",
        store.interactions(everything).await.unwrap().items
    ));
    let found = CallbackQuery {
        text: Some("BOILER gold".to_owned()),
        ..any_callback()
    };
    assert_eq!(store.callbacks(found).await.unwrap().items.len(), 1);
    let customers = CustomerQuery {
        tenant: tenant(),
        text: None,
        after: None,
        limit: 100,
    };
    seen.push(format!(
        "{:?}",
        store.customers(customers).await.unwrap().items
    ));
    seen.push(format!("{:?}", store.agents(&tenant()).await.unwrap()));
    seen.push(format!("{:?}", store.keys().await.unwrap()));
    seen.push(format!("{:?}", store.queues(&tenant()).await.unwrap()));
    for queue in ["billing", "support"] {
        let id = queue_id(queue);
        seen.push(format!(
            "{:?}",
            store.learned(&tenant(), &id).await.unwrap()
        ));
        let mut counts = store.queue_counts(&tenant(), &id).await.unwrap();
        counts.sort();
        seen.push(format!("{counts:?}"));
    }
    let slots = SlotQuery {
        tenant: tenant(),
        queue: queue_id("billing"),
        from: at(ELEVEN),
        to: at(QUARTER_PAST),
        zone: None,
        now: later(501),
    };
    seen.push(format!("{:?}", store.slots(slots).await.unwrap()));
    let answered = store
        .answered(&tenant(), 5, "order-1", [1; 32], later(900))
        .await;
    seen.push(format!("{:?}", answered.unwrap().expect("an answer")));
    seen.push(format!("{:?}", next_wake(store).await));
    seen
}

fn any_callback() -> CallbackQuery {
    CallbackQuery {
        limit: 100,
        ..CallbackQuery::default()
    }
}

/// An empty database.
fn nothing() -> Database {
    shared(Soil::QUICK).database()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_and_goes_on() {
    let before = lived_in().await;
    let database = nothing();
    let mut told: Vec<MoveProgress> = Vec::new();
    let moved = move_installation(&order(&before.url, &database.url()), &mut |step| {
        told.push(step)
    })
    .await
    .unwrap()
    .expect("a move");
    let rows: u64 = moved.tables.iter().map(|table| table.rows).sum();
    for step in [MoveStep::Copying, MoveStep::Comparing] {
        let last = told.iter().rev().find(|told| told.step == step).unwrap();
        assert_eq!((last.done, last.of), (rows, rows), "{step:?}");
    }
    assert_eq!(moved.found, 0);
    // Every callback has a chain, and the phone call.
    assert_eq!(moved.chains, 13);

    let mut after = Town::open(database.url(), Ground::Elsewhere).await;
    // Ids of its own for what happens from here on.
    after.chance = Dice::new(99);
    after.is_healthy().await;
    assert_eq!(seen(&*after.store).await, seen(&*before.store).await);
    let events = |town: &Town| {
        let store = Arc::clone(&town.store);
        async move {
            format!(
                "{:?}",
                store.events_after(&tenant(), 0, 1000).await.unwrap()
            )
        }
    };
    assert_eq!(events(&after).await, events(&before).await);
    // An id that a server made lies in its month, and not among those that others made up.
    assert_eq!(
        database.sql("SELECT count(*) FROM callbacks_2026_03"),
        "1",
        "in its month"
    );

    // Both go on alike, and what happens now comes behind what was moved.
    let end = after.store.last_event().await.unwrap();
    let known = after
        .store
        .events_after(&tenant(), 0, 1000)
        .await
        .unwrap()
        .len();
    let fresh = after.book("support", voice(1), later(1000)).await;
    let customer = |callback: &ringback_callbacks::callback::Callback| {
        callback.interaction.customer.to_string()
    };
    let again = before.book("support", voice(1), later(1000)).await;
    assert_eq!(customer(&fresh), customer(&again), "the same person");
    let events = after.followed(known + 1).await;
    assert!(events[known..].iter().all(|event| event.seq > end));
    // The number of the call that goes on is known, and the last place of the slot is the only one.
    let third = after.book("support", voice(3), later(1000)).await;
    let claimed = after.claim("other", later(1001)).await;
    assert!(
        claimed
            .callbacks
            .iter()
            .all(|callback| callback.interaction.id != third.interaction.id),
        "it is in a call"
    );
    let wanted = json!({ "start_time": ELEVEN, "end_time": QUARTER_PAST });
    let full = after
        .try_book("billing", with(voice(30), wanted), later(501))
        .await;
    assert!(matches!(full, Err(StoreError::NoPlace { .. })), "{full:?}");
    after.is_healthy().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_anywhere_it_is_taken_up_again() {
    let before = lived_in().await;
    let database = nothing();
    let url = database.url();
    let mut kills = 0;
    // Each run comes a few steps further than the one before was killed at.
    for steps in [
        1, 2, 3, 1, 4, 2, 5, 1, 3, 7, 2, 1, 6, 9, 4, 12, 15, 20, 25, 30, 40,
    ] {
        if is_killed(&before.url, &url, steps).await {
            break;
        }
        kills += 1;
        let half = ringback_store::open(&url, Default::default(), Dice::new(1)).await;
        // It may have been killed before it began, or after it ended; in between nobody starts on it.
        if let Err(error) = half {
            assert!(error.to_string().contains("is not whole yet"), "{error}");
        }
    }
    let rest = move_it(&before.url, &url).await.unwrap();
    assert!(kills > 10, "{kills}");
    if let Some(rest) = rest {
        assert!(rest.found > 0);
    }
    let after = Town::open(url, Ground::Elsewhere).await;
    after.is_healthy().await;
    assert_eq!(seen(&*after.store).await, seen(&*before.store).await);
    let events = after.store.events_after(&tenant(), 0, 1000).await.unwrap();
    assert_eq!(
        format!("{events:?}"),
        format!(
            "{:?}",
            before.store.events_after(&tenant(), 0, 1000).await.unwrap()
        )
    );
    // It is told that nothing is left to do, and nothing is done.
    assert_eq!(move_it(&before.url, &after.url).await.unwrap(), None);
}

fn refusal(result: Result<Option<Moved>>) -> String {
    match result {
        Err(error) => error.to_string(),
        Ok(moved) => panic!("refused, not {moved:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_moved_is_refused() {
    let before = lived_in().await;
    let other = postgres().await;
    other.staffed().await;
    let told = refusal(move_it(&before.url, &other.url).await);
    assert!(told.contains("holds other data already"), "{told}");
    let told = refusal(move_it("sqlite:nowhere/at-all.db", &other.url).await);
    assert!(told.contains("no database that can be read"), "{told}");
    let told = refusal(move_it(&before.url, &before.url).await);
    assert!(told.contains("postgres://"), "{told}");
    let told = refusal(move_it(&other.url, &other.url).await);
    assert!(told.contains("sqlite:PATH"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_changed_is_not_gone_on_with() {
    let before = lived_in().await;
    let database = nothing();
    assert!(!is_killed(&before.url, &database.url(), 4).await);
    before.book("support", voice(40), later(1000)).await;
    let told = refusal(move_it(&before.url, &database.url()).await);
    assert!(told.contains("has changed since"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrived_otherwise_is_found() {
    let before = lived_in().await;
    for (sql, table) in [
        (
            "UPDATE customers SET name = 'Eve' WHERE name IS NOT NULL",
            "customers",
        ),
        (
            "DELETE FROM callback_contacts WHERE ctid = (SELECT min(ctid) FROM callback_contacts)",
            "callback_contacts",
        ),
        (
            "INSERT INTO learned (tenant, queue, doc) VALUES ('default', 'zoo', '{}')",
            "learned",
        ),
    ] {
        let database = nothing();
        // Killed when the comparing begins: everything is there.
        let steps = copying(&before.url).await;
        assert!(!is_killed(&before.url, &database.url(), steps).await);
        database.sql(sql);
        let told = refusal(move_it(&before.url, &database.url()).await);
        assert!(
            told.contains(&format!("of table {table} is another one")),
            "{told}"
        );
        // Nobody starts on it.
        let half = ringback_store::open(&database.url(), Default::default(), Dice::new(1)).await;
        assert!(half.is_err());
    }
}

/// How often a whole move tells of copying.
async fn copying(from: &str) -> u64 {
    let database = nothing();
    let mut steps = 0;
    move_installation(&order(from, &database.url()), &mut |told| {
        steps += u64::from(told.step == MoveStep::Copying);
    })
    .await
    .unwrap();
    steps
}
