//! Slots: the last place is sold once, and every place comes back when what it was taken for ends.

use crate::town::*;
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::lifecycle::{Command, Refusal};
use ringback_callbacks::request::Changes;
use ringback_callbacks::state::{Canceller, State};
use ringback_scheduling::slots::NoPlace;
use ringback_scheduling::zone::Zone;
use ringback_store::{AcceptOrder, Acceptance, HoldOrder, Result, SlotHold, SlotQuery, StoreError};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long after its end a hold still keeps its place from others, in seconds.
const LINGERS: u64 = 10;

/// Eleven o'clock and a quarter past, on the queue's clock.
const ELEVEN: &str = "2026-03-09T15:00:00.000Z";
const QUARTER_PAST: &str = "2026-03-09T15:15:00.000Z";
const HALF_PAST: &str = "2026-03-09T15:30:00.000Z";

async fn slotted(town: &Town, per_slot: u32, booking: Value) {
    let rules = rules(json!({
        "capacity": { "per_slot": per_slot },
        "booking": booking,
        "duplicates": "allow",
    }));
    rules
        .check(&ringback_scheduling::Almanac::default(), monday())
        .expect("good rules");
    town.queue("billing", rules).await;
    town.agent(1, &["billing"], false).await;
}

fn between(last: u32, start: &str, end: &str) -> Value {
    with(voice(last), json!({ "start_time": start, "end_time": end }))
}

fn eleven(last: u32) -> Value {
    between(last, ELEVEN, QUARTER_PAST)
}

/// Booked and held places of the slot that begins then, and what is left of it.
async fn slot_at(town: &Town, queue: &str, start: &str, now: Timestamp) -> (u32, u32, u32) {
    let query = SlotQuery {
        tenant: tenant(),
        queue: queue_id(queue),
        from: at(start),
        to: at(start) + jiff::SignedDuration::from_secs(1),
        zone: None,
        now,
    };
    let found = town.store.slots(query).await.expect("slots").slots;
    assert_eq!(found.len(), 1, "one slot begins at {start}");
    (found[0].booked, found[0].held, found[0].free)
}

fn no_place<T: std::fmt::Debug>(result: Result<T>) -> (NoPlace, Vec<String>) {
    match result {
        Err(StoreError::NoPlace {
            why, alternatives, ..
        }) => {
            assert!(alternatives.iter().all(|state| state.free > 0));
            let starts = alternatives
                .iter()
                .map(|state| state.slot.start.to_string());
            (why, starts.collect())
        }
        other => panic!("no place, not {other:?}"),
    }
}

async fn try_hold(town: &Town, at: Timestamp, now: Timestamp) -> Result<SlotHold> {
    let order = HoldOrder {
        tenant: tenant(),
        queue: queue_id("billing"),
        at,
        now,
    };
    town.store.hold_slot(order).await
}

async fn cancel(town: &Town, callback: &Callback, now: Timestamp) -> Callback {
    let by = Canceller::Customer;
    town.must(callback, Command::Cancel { by, reason: None }, now)
        .await
}

pub async fn a_wanted_time_takes_a_place(town: &Town) {
    slotted(town, 2, json!({})).await;
    let booked = town.book("billing", eleven(1), monday()).await;
    let slot = booked.slot.expect("a place");
    assert_eq!((slot.start, slot.end), (at(ELEVEN), at(QUARTER_PAST)));
    assert_eq!(
        (booked.promise.from, booked.promise.to),
        (slot.start, slot.end)
    );
    assert_eq!(slot_at(town, "billing", ELEVEN, monday()).await, (1, 0, 1));
    town.book("billing", eleven(2), monday()).await;
    // In a wide window the first free slot is taken, and that is when it will be.
    let wide = between(3, "2026-03-09T14:55:00Z", "2026-03-09T18:00:00Z");
    let third = town.book("billing", wide, monday()).await;
    assert_eq!(third.slot.map(|slot| slot.start), Some(at(QUARTER_PAST)));
    assert_eq!(third.promise.from, at(QUARTER_PAST));
    assert_eq!(third.wakes_at(), Some(at(QUARTER_PAST)));
    let (why, instead) = no_place(town.try_book("billing", eleven(4), monday()).await);
    assert_eq!(why, NoPlace::Full);
    assert_eq!(
        instead,
        [
            "2026-03-09T14:15:00Z",
            "2026-03-09T14:30:00Z",
            "2026-03-09T14:45:00Z",
            "2026-03-09T15:15:00Z",
            "2026-03-09T15:30:00Z",
            "2026-03-09T15:45:00Z"
        ]
    );
    town.is_healthy().await;
}

pub async fn as_soon_as_possible_takes_none(town: &Town) {
    slotted(town, 1, json!({})).await;
    for last in 1..=3 {
        let booked = town.book("billing", voice(last), monday()).await;
        assert_eq!(booked.slot, None);
    }
    let start = json!({ "start_time": ELEVEN });
    let booked = town.book("billing", with(voice(4), start), monday()).await;
    assert_eq!(booked.slot.map(|slot| slot.start), Some(at(ELEVEN)));
    // Who gives up the wanted time gives up the place.
    let soon = Command::Reschedule {
        start: monday(),
        end: None,
        local: None,
    };
    let moved = town.must(&booked, soon, monday()).await;
    assert_eq!(moved.slot, None);
    assert_eq!(slot_at(town, "billing", ELEVEN, monday()).await, (0, 0, 1));
    town.is_healthy().await;
}

pub async fn the_last_place_is_sold_once(town: &Town) {
    slotted(town, 3, json!({})).await;
    let mut tasks = Vec::new();
    for last in 0..40 {
        let order = town.order("billing", eleven(last), monday()).await;
        let store = Arc::clone(&town.store);
        tasks.push(tokio::spawn(async move { store.accept(order).await }));
    }
    let mut accepted = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(Acceptance::New(..)) => accepted += 1,
            refused => {
                let (why, instead) = no_place(refused);
                assert_eq!(why, NoPlace::Full);
                assert!(!instead.is_empty() && !instead.contains(&at(ELEVEN).to_string()));
            }
        }
    }
    assert_eq!(accepted, 3);
    assert_eq!(slot_at(town, "billing", ELEVEN, monday()).await, (3, 0, 0));
    town.is_healthy().await;
}

pub async fn what_ends_gives_its_place_back(town: &Town) {
    slotted(town, 1, json!({})).await;
    let free = (0, 0, 1);
    let cancelled = town.book("billing", eleven(1), monday()).await;
    cancel(town, &cancelled, monday()).await;
    assert_eq!(slot_at(town, "billing", ELEVEN, monday()).await, free);

    // Nobody is there to call: its window ends, and with it its claim to the place.
    let away = ringback_callbacks::agent::Presence::Away;
    let agent = ringback_callbacks::ids::AgentId(1);
    town.store
        .set_presence(&tenant(), agent, away, monday())
        .await
        .unwrap();
    let expiring = town.book("billing", eleven(2), monday()).await;
    town.claim("one", at(ELEVEN)).await;
    town.claim("one", at(QUARTER_PAST)).await;
    assert_eq!(town.get(&expiring).await.state, State::Expired);
    town.is_healthy().await;

    let ready = ringback_callbacks::agent::Presence::Ready;
    town.store
        .set_presence(&tenant(), agent, ready, monday())
        .await
        .unwrap();
    let later = between(3, "2026-03-09T16:00:00Z", "2026-03-09T16:15:00Z");
    town.book("billing", later, at(QUARTER_PAST)).await;
    let call = town.call(at("2026-03-09T16:00:00Z")).await;
    assert!(call.slot.is_some());
    let told = town
        .settle(&call, reached(), at("2026-03-09T16:01:00Z"))
        .await;
    let dispose = Command::Dispose {
        disposition: None,
        result: None,
    };
    let done = town.must(&told, dispose, at("2026-03-09T16:02:00Z")).await;
    assert_eq!(done.state.name(), "done");
    town.is_healthy().await;
}

pub async fn moving_moves_the_place(town: &Town) {
    slotted(town, 1, json!({})).await;
    let booked = town.book("billing", eleven(1), monday()).await;
    let (start, end) = (at(QUARTER_PAST), Some(at(HALF_PAST)));
    let moved = town
        .must(
            &booked,
            Command::Reschedule {
                start,
                end,
                local: None,
            },
            monday(),
        )
        .await;
    assert_eq!(moved.slot.map(|slot| slot.start), Some(start));
    assert_eq!(slot_at(town, "billing", ELEVEN, monday()).await, (0, 0, 1));
    assert_eq!(
        slot_at(town, "billing", QUARTER_PAST, monday()).await,
        (1, 0, 0)
    );
    // To where it is already: its own place does not stand in its way.
    let again = town
        .must(
            &moved,
            Command::Reschedule {
                start,
                end,
                local: None,
            },
            monday(),
        )
        .await;
    assert_eq!(again.slot, moved.slot);

    let open = with(voice(2), json!({ "start_time": ELEVEN }));
    let booked = town.book("billing", open, monday()).await;
    let until = at("2026-03-09T16:00:00Z");
    let snoozed = town
        .must(&booked, Command::Snooze { until }, monday())
        .await;
    assert_eq!(snoozed.slot.map(|slot| slot.start), Some(until));
    assert_eq!(snoozed.wakes_at(), Some(until));
    assert_eq!(slot_at(town, "billing", ELEVEN, monday()).await, (0, 0, 1));
    assert_eq!(
        slot_at(town, "billing", "2026-03-09T16:00:00Z", monday()).await,
        (1, 0, 0)
    );
    town.is_healthy().await;
}

pub async fn a_full_slot_refuses_the_move(town: &Town) {
    slotted(town, 1, json!({})).await;
    town.book("billing", between(1, QUARTER_PAST, HALF_PAST), monday())
        .await;
    let booked = town.book("billing", eleven(2), monday()).await;
    let (start, end) = (at(QUARTER_PAST), Some(at(HALF_PAST)));
    let (why, instead) = no_place(
        town.apply(
            &booked,
            Command::Reschedule {
                start,
                end,
                local: None,
            },
            monday(),
        )
        .await,
    );
    assert_eq!(why, NoPlace::Full);
    assert!(
        instead.contains(&"2026-03-09T15:30:00Z".to_owned()),
        "{instead:?}"
    );
    // Nothing has moved.
    assert_eq!(town.get(&booked).await, booked);
    assert_eq!(slot_at(town, "billing", ELEVEN, monday()).await, (1, 0, 0));
    town.is_healthy().await;
}

pub async fn other_changes_keep_the_place(town: &Town) {
    slotted(town, 1, json!({})).await;
    let booked = town.book("billing", eleven(1), monday()).await;
    let changes = Changes {
        time_zone: Some(Some("America/Chicago".to_owned())),
        subject: Some(Some("My bill".to_owned())),
        ..Changes::default()
    };
    let change = Command::Change(Box::new(changes));
    let changed = town.must(&booked, change, monday()).await;
    assert_eq!(changed.slot, booked.slot);
    assert_eq!(slot_at(town, "billing", ELEVEN, monday()).await, (1, 0, 0));
    town.is_healthy().await;
}

pub async fn the_new_one_has_the_place_of_the_old(town: &Town) {
    slotted(town, 1, json!({})).await;
    let old = town.book("billing", eleven(1), monday()).await;
    let replaces = json!({ "replaces": old.interaction.id.to_string() });
    let new = town
        .book("billing", with(eleven(1), replaces), monday())
        .await;
    assert_eq!(new.slot, old.slot);
    assert_eq!(slot_at(town, "billing", ELEVEN, monday()).await, (1, 0, 0));
    town.is_healthy().await;
}

pub async fn who_asks_again_has_no_second_place(town: &Town) {
    for rule in ["merge", "join"] {
        slotted(town, 1, json!({})).await;
        let own = json!({ "capacity": { "per_slot": 1 }, "duplicates": rule });
        town.queue("billing", rules(own)).await;
        let last = u32::from(rule == "join");
        let first = town.book("billing", eleven(last), monday()).await;
        let order = town.order("billing", eleven(last), monday()).await;
        let again = match town.store.accept(order).await.unwrap() {
            Acceptance::New(callback, _) | Acceptance::Merged(callback, _) => callback,
            Acceptance::Repeated(_) => panic!("nothing was to be repeated"),
        };
        assert_eq!(again.slot, first.slot);
        assert_eq!(slot_at(town, "billing", ELEVEN, monday()).await, (1, 0, 0));
        town.is_healthy().await;
        cancel(town, &again, monday()).await;
    }
}

pub async fn a_hold_keeps_a_place(town: &Town) {
    slotted(town, 1, json!({ "hold": "5m" })).await;
    let hold = try_hold(town, at(ELEVEN), monday()).await.unwrap();
    assert_eq!(hold.slot.slot.start, at(ELEVEN));
    assert_eq!((hold.slot.held, hold.slot.free), (1, 0));
    assert_eq!(hold.expires_at, later(300));
    assert_eq!(
        no_place(try_hold(town, at(ELEVEN), monday()).await).0,
        NoPlace::Full
    );
    assert_eq!(
        no_place(town.try_book("billing", eleven(1), monday()).await).0,
        NoPlace::Full
    );
    // The booking that names it says nothing of time, and is promised the slot.
    let named = with(voice(1), json!({ "hold": hold.id.to_string() }));
    let booked = town.book("billing", named, later(299)).await;
    assert_eq!(booked.slot.map(|slot| slot.start), Some(at(ELEVEN)));
    assert_eq!(
        (booked.promise.from, booked.promise.to),
        (at(ELEVEN), at(QUARTER_PAST))
    );
    assert_eq!(booked.wakes_at(), Some(at(ELEVEN)));
    assert_eq!(
        slot_at(town, "billing", ELEVEN, later(299)).await,
        (1, 0, 0)
    );
    assert!(
        !town
            .store
            .release_hold(&tenant(), hold.id, later(299))
            .await
            .unwrap()
    );

    let other = try_hold(town, at(QUARTER_PAST), monday()).await.unwrap();
    assert!(
        town.store
            .release_hold(&tenant(), other.id, monday())
            .await
            .unwrap()
    );
    assert!(
        !town
            .store
            .release_hold(&tenant(), other.id, monday())
            .await
            .unwrap()
    );
    assert_eq!(
        slot_at(town, "billing", QUARTER_PAST, monday()).await,
        (0, 0, 1)
    );
    town.is_healthy().await;
}

pub async fn a_hold_ends_by_the_clock(town: &Town) {
    slotted(town, 1, json!({ "hold": "5m" })).await;
    let hold = try_hold(town, at(ELEVEN), monday()).await.unwrap();
    let named = with(eleven(1), json!({ "hold": hold.id.to_string() }));
    let late = town.try_book("billing", named, later(300)).await;
    assert_eq!(conflict(late), (Some("hold"), "gone"));
    assert!(
        !town
            .store
            .release_hold(&tenant(), hold.id, later(300))
            .await
            .unwrap()
    );
    town.is_healthy().await;
}

/// A booking with the hold that came in a moment before its end may have its turn a moment after one that came in later,
/// on whichever node and by whichever clock: what is over is not free at once.
pub async fn what_is_over_is_free_a_moment_later(town: &Town) {
    slotted(town, 1, json!({ "hold": "5m" })).await;
    let hold = try_hold(town, at(ELEVEN), monday()).await.unwrap();
    let named = with(voice(1), json!({ "hold": hold.id.to_string() }));
    for over in [0, 1, LINGERS - 1] {
        let now = later(300 + over);
        let other = town.try_book("billing", eleven(2), now).await;
        assert_eq!(no_place(other).0, NoPlace::Full, "{over} s after its end");
        let other = try_hold(town, at(ELEVEN), now).await;
        assert_eq!(no_place(other).0, NoPlace::Full, "{over} s after its end");
        assert_eq!(slot_at(town, "billing", ELEVEN, now).await, (0, 1, 0));
        assert_eq!(town.store.prune(now).await.unwrap(), 0);
        // Nor has its holder anything of that.
        let late = town.try_book("billing", named.clone(), now).await;
        assert_eq!(conflict(late), (Some("hold"), "gone"));
    }
    // Who came in time has the place, however late they have their turn.
    let booked = town.book("billing", named.clone(), later(299)).await;
    assert_eq!(booked.slot.map(|slot| slot.start), Some(at(ELEVEN)));
    cancel(town, &booked, later(300)).await;

    // Whether or not anybody has cleared up.
    try_hold(town, at(ELEVEN), monday()).await.unwrap();
    let now = later(300 + LINGERS);
    assert_eq!(slot_at(town, "billing", ELEVEN, now).await, (0, 0, 1));
    town.book("billing", eleven(2), now).await;
    assert_eq!(town.store.prune(later(299 + LINGERS)).await.unwrap(), 0);
    assert_eq!(town.store.prune(now).await.unwrap(), 1);
    assert_eq!(slot_at(town, "billing", ELEVEN, now).await, (1, 0, 0));
    town.is_healthy().await;
}

pub async fn a_hold_is_used_once(town: &Town) {
    slotted(town, 1, json!({})).await;
    town.queue(
        "sales",
        rules(json!({ "capacity": { "per_slot": 1 }, "duplicates": "allow" })),
    )
    .await;
    let hold = try_hold(town, at(ELEVEN), monday()).await.unwrap();
    let named = |last| with(voice(last), json!({ "hold": hold.id.to_string() }));
    let elsewhere = town.try_book("sales", named(1), monday()).await;
    assert_eq!(conflict(elsewhere), (Some("hold"), "gone"));
    let mut tasks = Vec::new();
    for last in 0..12 {
        let order = town.order("billing", named(last), monday()).await;
        let store = Arc::clone(&town.store);
        tasks.push(tokio::spawn(async move { store.accept(order).await }));
    }
    let mut accepted = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => accepted += 1,
            refused => assert_eq!(conflict(refused), (Some("hold"), "gone")),
        }
    }
    assert_eq!(accepted, 1);
    assert_eq!(slot_at(town, "billing", ELEVEN, monday()).await, (1, 0, 0));
    town.is_healthy().await;
}

pub async fn what_is_refused_keeps_its_hold(town: &Town) {
    slotted(town, 1, json!({})).await;
    let hold = try_hold(town, at(ELEVEN), monday()).await.unwrap();
    let id = json!({ "hold": hold.id.to_string() });
    let other_time = with(between(1, HALF_PAST, "2026-03-09T16:00:00Z"), id.clone());
    match town.try_book("billing", other_time, monday()).await {
        Err(StoreError::Refused(Refusal::Invalid(problems))) => {
            assert_eq!(
                (problems.0[0].field.as_str(), problems.0[0].code),
                ("hold", "window")
            );
        }
        other => panic!("refused, not {other:?}"),
    }
    let by_mail = town
        .try_book("billing", with(mail("anna"), id.clone()), monday())
        .await;
    assert!(matches!(
        by_mail,
        Err(StoreError::Refused(Refusal::Invalid(_)))
    ));
    // To ask is not to book.
    let asked = AcceptOrder {
        dry_run: true,
        ..town
            .order("billing", with(voice(1), id.clone()), monday())
            .await
    };
    town.store.accept(asked).await.unwrap();
    assert_eq!(slot_at(town, "billing", ELEVEN, monday()).await, (0, 1, 0));
    town.book("billing", with(voice(1), id), monday()).await;
    assert_eq!(slot_at(town, "billing", ELEVEN, monday()).await, (1, 0, 0));
    town.is_healthy().await;
}

pub async fn limits_of_day_and_customer(town: &Town) {
    slotted(
        town,
        5,
        json!({ "per_day": 3, "per_customer": 2, "notice": "30m", "horizon": "2d" }),
    )
    .await;
    let first = town.book("billing", eleven(1), monday()).await;
    town.book("billing", between(1, QUARTER_PAST, HALF_PAST), monday())
        .await;
    let third = between(1, HALF_PAST, "2026-03-09T15:45:00Z");
    let (why, instead) = no_place(town.try_book("billing", third.clone(), monday()).await);
    assert_eq!((why, instead), (NoPlace::PerCustomer, Vec::new()));
    cancel(town, &first, monday()).await;
    town.book("billing", third, monday()).await;
    town.book("billing", eleven(2), monday()).await;
    // Three that day: the next day is offered.
    let (why, instead) = no_place(town.try_book("billing", eleven(3), monday()).await);
    assert_eq!(why, NoPlace::PerDay);
    assert!(
        instead
            .iter()
            .all(|start| start.as_str() >= "2026-03-10T04:00:00Z"),
        "{instead:?}"
    );
    assert!(!instead.is_empty());
    // A day on the queue's clock, by whatever clock the slot is named.
    assert_eq!(
        no_place(try_hold(town, at("2026-03-10T01:00:00Z"), monday()).await).0,
        NoPlace::PerDay
    );
    let soon = between(3, "2026-03-09T14:15:00Z", "2026-03-09T14:30:00Z");
    assert_eq!(
        no_place(town.try_book("billing", soon, monday()).await).0,
        NoPlace::Notice
    );
    let far = between(3, "2026-03-12T15:00:00Z", "2026-03-12T15:15:00Z");
    assert_eq!(
        no_place(town.try_book("billing", far, monday()).await).0,
        NoPlace::Horizon
    );
    town.is_healthy().await;
}

pub async fn places_go_along_to_another_queue(town: &Town) {
    slotted(town, 1, json!({})).await;
    town.queue(
        "sales",
        rules(json!({ "capacity": { "per_slot": 1 }, "duplicates": "allow" })),
    )
    .await;
    town.queue("plain", rules(json!({}))).await;
    town.book("sales", eleven(1), monday()).await;
    let booked = town.book("billing", eleven(2), monday()).await;
    // It was promised: the other queue has one more than it would have sold.
    let queue = queue_id("sales");
    let moved = town
        .must(&booked, Command::TransferToQueue { queue }, monday())
        .await;
    assert_eq!(slot_at(town, "billing", ELEVEN, monday()).await, (0, 0, 1));
    assert_eq!(slot_at(town, "sales", ELEVEN, monday()).await, (2, 0, 0));
    town.is_healthy().await;
    let queue = queue_id("plain");
    let moved = town
        .must(&moved, Command::TransferToQueue { queue }, monday())
        .await;
    assert_eq!(moved.slot, None);
    assert_eq!(slot_at(town, "sales", ELEVEN, monday()).await, (1, 0, 0));
    town.is_healthy().await;
}

pub async fn the_customers_own_clock(town: &Town) {
    slotted(town, 1, json!({})).await;
    let query = |zone: Option<&str>| SlotQuery {
        tenant: tenant(),
        queue: queue_id("billing"),
        from: at("2026-03-10T00:00:00Z"),
        to: at("2026-03-11T00:00:00Z"),
        zone: zone.map(|name| Zone::parse(name).unwrap()),
        now: monday(),
    };
    let all = town.store.slots(query(None)).await.unwrap().slots;
    assert_eq!(all.len(), 96);
    // Eight in the morning to nine in the evening in Honolulu, of the UTC day.
    let theirs = town
        .store
        .slots(query(Some("Pacific/Honolulu")))
        .await
        .unwrap()
        .slots;
    let ends: Vec<_> = [theirs.first(), theirs.last()]
        .into_iter()
        .map(|state| state.unwrap().slot.start.to_string())
        .collect();
    assert_eq!(ends, ["2026-03-10T00:00:00Z", "2026-03-10T23:45:00Z"]);
    assert_eq!(theirs.len(), 4 * (7 + 6));
    // Seven in the morning there: the first hour that suits is named.
    let early = with(
        between(1, "2026-03-10T17:00:00Z", "2026-03-10T17:15:00Z"),
        json!({ "time_zone": "Pacific/Honolulu" }),
    );
    match town.try_book("billing", early, monday()).await {
        Err(StoreError::Refused(Refusal::NoMoment { next, .. })) => {
            assert_eq!(next, Some(at("2026-03-10T18:00:00Z")));
        }
        other => panic!("no moment, not {other:?}"),
    }
    let asked = with(
        between(1, "2026-03-10T17:00:00Z", "2026-03-10T18:30:00Z"),
        json!({ "time_zone": "Pacific/Honolulu" }),
    );
    let booked = town.book("billing", asked, monday()).await;
    assert_eq!(
        booked.slot.map(|slot| slot.start),
        Some(at("2026-03-10T18:00:00Z"))
    );
}

pub async fn a_queue_without_slots(town: &Town) {
    town.staffed().await;
    let booked = town.book("billing", eleven(1), monday()).await;
    assert_eq!(booked.slot, None);
    assert_eq!(
        conflict(try_hold(town, at(ELEVEN), monday()).await),
        (Some("queue"), "no_slots")
    );
    let hold = with(
        voice(1),
        json!({ "hold": "7c0e4cf8-4a3c-4f0c-8c57-1f4d0f1d2a3b" }),
    );
    assert_eq!(
        conflict(town.try_book("billing", hold, monday()).await),
        (Some("hold"), "gone")
    );
    // Given a capacity, what was booked before is served all the same, and sells nothing twice.
    slotted(town, 1, json!({})).await;
    assert_eq!(slot_at(town, "billing", ELEVEN, monday()).await, (0, 0, 1));
    // Smaller than what was sold: nothing more is.
    town.book("billing", eleven(2), monday()).await;
    assert_eq!(slot_at(town, "billing", ELEVEN, monday()).await, (1, 0, 0));
    town.is_healthy().await;
}

pub async fn many_at_once_never_more_than_there_is(town: &Town) {
    slotted(town, 2, json!({ "hold": "1m" })).await;
    let mut tasks = Vec::new();
    for last in 0..60u32 {
        let store = Arc::clone(&town.store);
        let minutes = u64::from(last % 4) * 15;
        let start =
            ringback_callbacks::wire_time::plus(at(ELEVEN), Duration::from_secs(minutes * 60));
        let text = |at| ringback_callbacks::wire_time::write(at);
        let end = ringback_callbacks::wire_time::plus(start, Duration::from_secs(900));
        let order = town
            .order("billing", between(last, &text(start), &text(end)), monday())
            .await;
        let hold = HoldOrder {
            tenant: tenant(),
            queue: queue_id("billing"),
            at: start,
            now: monday(),
        };
        // Which slot it keeps a place in, if it does.
        let kept = Some(start);
        tasks.push(tokio::spawn(async move {
            match last % 3 {
                0 => store.hold_slot(hold).await.map(|_| kept),
                1 => store.accept(order).await.map(|_| kept),
                // Taken and given back at once: another may have it then.
                _ => match store.accept(order).await? {
                    Acceptance::New(callback, _) => {
                        let by = Canceller::Customer;
                        let order = ringback_store::ApplyOrder::system(
                            tenant(),
                            callback.interaction.id,
                            Command::Cancel { by, reason: None },
                            monday(),
                        );
                        store.apply(order).await.map(|_| None)
                    }
                    Acceptance::Merged(..) | Acceptance::Repeated(_) => panic!("a new one"),
                },
            }
        }));
    }
    let mut kept: BTreeMap<Timestamp, u32> = BTreeMap::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(Some(start)) => *kept.entry(start).or_default() += 1,
            Ok(None) => {}
            refused => assert_eq!(no_place(refused).0, NoPlace::Full),
        }
    }
    let query = SlotQuery {
        tenant: tenant(),
        queue: queue_id("billing"),
        from: at(ELEVEN),
        to: at("2026-03-09T16:00:00Z"),
        zone: None,
        now: monday(),
    };
    let slots = town.store.slots(query).await.unwrap().slots;
    assert_eq!(slots.len(), 4);
    for state in slots {
        assert_eq!(state.slot.total, 2);
        let here = kept.get(&state.slot.start).copied().unwrap_or(0);
        assert_eq!(state.booked + state.held, here);
        assert!(here <= 2);
        assert_eq!(state.free, 2 - here);
    }
    town.is_healthy().await;
}
