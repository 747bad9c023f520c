//! A start with another edition of the rules of local time moves the instants of waiting callbacks.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ringback_callbacks::clock::Chance;
use ringback_callbacks::event::{Actor, EventKind};
use ringback_callbacks::ids::{InteractionId, QueueId, TenantId};
use ringback_callbacks::queue::Queue;
use ringback_callbacks::request::parse_new;
use ringback_dispatch::resolve_windows;
use ringback_scheduling::Almanac;
use ringback_store::{AcceptOrder, Acceptance, OpenOptions, Store};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

/// Counts instead of throwing dice.
struct Counting(AtomicU64);

impl Chance for Counting {
    fn uuid(&self) -> Uuid {
        Uuid::from_u64_pair(1, self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn unit(&self) -> f64 {
        0.5
    }

    fn fill(&self, bytes: &mut [u8]) {
        // Spread over all bits, so that no two customers get the same id.
        for byte in bytes {
            let mut count = self.0.fetch_add(1, Ordering::Relaxed);
            for factor in [0xBF58_476D_1CE4_E5B9u64, 0x94D0_49BB_1331_11EB] {
                count = (count ^ (count >> 29)).wrapping_mul(factor);
            }
            *byte = (count >> 56) as u8;
        }
    }
}

async fn open(folder: &Path, edition: &str, berlin: &'static str) -> Arc<dyn Store> {
    let almanac = Almanac::new(edition).with_zones(move |name| match name {
        "Europe/Berlin" => TimeZone::posix(berlin).ok(),
        other => TimeZone::get(other).ok(),
    });
    let url = format!("sqlite:{}", folder.join("ringback.db").display());
    let options = OpenOptions {
        almanac: Arc::new(almanac),
        ..OpenOptions::default()
    };
    // Every run of a node throws its own dice: ids must not come twice.
    let first = if edition == "2026a" { 0 } else { 1_000_000 };
    let chance = Arc::new(Counting(AtomicU64::new(first)));
    ringback_store::open(&url, options, chance).await.unwrap()
}

fn now() -> Timestamp {
    "2026-03-09T14:00:00Z".parse().unwrap()
}

async fn make_queue(store: &dyn Store, change: Value) {
    let mut rules = json!({
        "name": "Billing",
        "hours": { "opening_hours": "24/7", "time_zone": "UTC" },
        "dial": { "regions": ["US"] },
    });
    for (key, value) in change.as_object().unwrap() {
        rules[key] = value.clone();
    }
    let queue = Queue {
        tenant: TenantId::default(),
        id: QueueId::parse("billing").unwrap(),
        rules: serde_json::from_value(rules).unwrap(),
        intake_paused: false,
        dialling_paused: false,
        removed: false,
        created_at: now(),
        revision: 0,
    };
    store.put_queue(queue, Some(0)).await.unwrap();
}

async fn book(store: &dyn Store, number: u32, window: Value) -> InteractionId {
    let queue = store
        .queue(&TenantId::default(), &QueueId::parse("billing").unwrap())
        .await
        .unwrap()
        .unwrap();
    let mut request = json!({
        "desired_response_type": "Voice", "customer_number": format!("+1212555{number:04}"), "any_hour": true,
    });
    for (key, value) in window.as_object().unwrap() {
        request[key] = value.clone();
    }
    let new = parse_new(request.as_object().unwrap(), queue.id, &queue.rules, now()).unwrap();
    let order = AcceptOrder {
        tenant: TenantId::default(),
        id: InteractionId(Uuid::from_u64_pair(2, number.into())),
        new,
        actor: Actor::Customer,
        now: now(),
        idempotent: None,
        dry_run: false,
    };
    match store.accept(order).await.unwrap() {
        Acceptance::New(callback, _) => callback.interaction.id,
        Acceptance::Merged(..) | Acceptance::Repeated(_) => panic!("a new callback"),
    }
}

#[tokio::test]
async fn a_start_with_a_new_edition_moves_the_instants_of_those_who_wait() {
    let folder = tempfile::tempdir().unwrap();
    let tenant = TenantId::default();
    let store = open(folder.path(), "2026a", "CET-1CEST,M3.5.0,M10.5.0/3").await;
    make_queue(store.as_ref(), json!({})).await;
    let local = json!({ "start_time": "2026-07-01T09:00", "end_time": "2026-07-01T10:00", "time_zone": "Europe/Berlin" });
    // More than a page of them, and two that have nothing to do with it.
    let mut moving = Vec::new();
    for number in 100..330 {
        moving.push(book(store.as_ref(), number, local.clone()).await);
    }
    let as_instant = json!({ "start_time": "2026-07-01T07:00:00Z", "time_zone": "Europe/Berlin" });
    let instant = book(store.as_ref(), 400, as_instant).await;
    let elsewhere = json!({ "start_time": "2026-07-01T09:00", "time_zone": "Asia/Kolkata" });
    let elsewhere = book(store.as_ref(), 401, elsewhere).await;
    let still = [
        store.callback(&tenant, instant).await.unwrap(),
        store.callback(&tenant, elsewhere).await.unwrap(),
    ];
    assert_eq!(
        resolve_windows(store.as_ref(), &tenant, now())
            .await
            .unwrap(),
        0,
        "the same edition moves nothing"
    );
    store.close().await;
    drop(store);

    // The country gives up summer time.
    let store = open(folder.path(), "2026b", "CET-1").await;
    let moved = resolve_windows(store.as_ref(), &tenant, now())
        .await
        .unwrap();
    assert_eq!(moved, moving.len());
    for id in moving {
        let callback = store.callback(&tenant, id).await.unwrap().unwrap();
        let local = callback.local.unwrap();
        assert_eq!(callback.window.start.to_string(), "2026-07-01T08:00:00Z");
        assert_eq!(
            callback.window.end.unwrap().to_string(),
            "2026-07-01T09:00:00Z"
        );
        assert_eq!(local.start.unwrap().to_string(), "2026-07-01T09:00:00");
        assert_eq!(local.edition, "2026b");
        let events = store.events(&tenant, id, 0, 10).await.unwrap();
        let event = events.last().unwrap();
        assert_eq!(event.kind, EventKind::WindowMoved);
        assert_eq!(event.detail["tzdb_before"], "2026a");
        assert_eq!(event.detail["tzdb_after"], "2026b");
        assert_eq!(event.detail["before"]["from"], "2026-07-01T07:00:00.000Z");
        assert_eq!(event.detail["after"]["from"], "2026-07-01T08:00:00.000Z");
    }
    let after = [
        store.callback(&tenant, instant).await.unwrap(),
        store.callback(&tenant, elsewhere).await.unwrap(),
    ];
    assert_eq!(after, still);
    assert_eq!(
        resolve_windows(store.as_ref(), &tenant, now())
            .await
            .unwrap(),
        0,
        "the next start finds nothing to move"
    );
    assert_eq!(store.examine().await.unwrap().faults, Vec::<String>::new());
}

#[tokio::test]
async fn the_place_in_a_slot_moves_along_and_is_never_sold_twice() {
    let folder = tempfile::tempdir().unwrap();
    let tenant = TenantId::default();
    let store = open(folder.path(), "2026a", "CET-1CEST,M3.5.0,M10.5.0/3").await;
    make_queue(
        store.as_ref(),
        json!({ "capacity": { "per_slot": 1 }, "booking": { "horizon": "200d" } }),
    )
    .await;
    let berlin = |start: &str, end: &str| json!({ "start_time": start, "end_time": end, "time_zone": "Europe/Berlin" });
    let free = book(
        store.as_ref(),
        100,
        berlin("2026-07-01T09:30", "2026-07-01T09:45"),
    )
    .await;
    let crowded = book(
        store.as_ref(),
        101,
        berlin("2026-07-01T09:00", "2026-07-01T09:15"),
    )
    .await;
    let there = json!({ "start_time": "2026-07-01T08:00:00Z", "end_time": "2026-07-01T08:15:00Z" });
    let there = book(store.as_ref(), 102, there).await;
    store.close().await;
    drop(store);

    let store = open(folder.path(), "2026b", "CET-1").await;
    assert_eq!(
        resolve_windows(store.as_ref(), &tenant, now())
            .await
            .unwrap(),
        2
    );
    // callback, its slot, when it is due
    for (id, slot, due) in [
        (free, Some("2026-07-01T08:30:00Z"), "2026-07-01T08:30:00Z"),
        // Its hour is full now. It was accepted, so it is called; but it holds no place that others could have.
        (crowded, None, "2026-07-01T08:00:00Z"),
        (there, Some("2026-07-01T08:00:00Z"), "2026-07-01T08:00:00Z"),
    ] {
        let callback = store.callback(&tenant, id).await.unwrap().unwrap();
        let begins = callback.slot.map(|slot| slot.start.to_string());
        assert_eq!(begins.as_deref(), slot, "{id}");
        assert_eq!(callback.wakes_at().unwrap().to_string(), due, "{id}");
        assert_eq!(callback.promise.from.to_string(), due, "{id}");
    }
    assert_eq!(store.examine().await.unwrap().faults, Vec::<String>::new());
    // The places at the hours that were meant before can be had again.
    let before =
        json!({ "start_time": "2026-07-01T07:00:00Z", "end_time": "2026-07-01T07:15:00Z" });
    book(store.as_ref(), 103, before).await;
}
