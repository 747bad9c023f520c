//! Another edition of the rules of local time: windows that mean other instants are told, the others are looked at once.

use crate::town::*;
use jiff::tz::TimeZone;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::state::Canceller;
use ringback_callbacks::window::LocalWindow;
use ringback_scheduling::Almanac;
use ringback_store::{OpenOptions, RulesMark};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

#[tokio::test]
async fn sqlite_file() {
    let (url, ground) = a_file();
    new_rules_are_held_against_each_window_once(&url, ground).await;
}

#[tokio::test]
async fn postgres() {
    let (url, ground) = a_database().await;
    new_rules_are_held_against_each_window_once(&url, ground).await;
}

/// The town by the rules of an edition.
async fn by(url: &str, ground: Ground, edition: &str, berlin: &'static str) -> Town {
    let almanac = Almanac::new(edition).with_zones(move |name| match name {
        "Europe/Berlin" => TimeZone::posix(berlin).ok(),
        other => TimeZone::get(other).ok(),
    });
    let options = OpenOptions {
        almanac: Arc::new(almanac),
        ..OpenOptions::default()
    };
    let seed = edition.bytes().map(u64::from).sum();
    Town::open_with(url.to_owned(), ground, options, seed).await
}

/// What a whole walk in small steps tells.
async fn told(town: &Town) -> Vec<ringback_callbacks::ids::InteractionId> {
    let (mut moved, mut after): (_, Option<RulesMark>) = (Vec::new(), None);
    for _ in 0..20 {
        let seen = town.store.look_at_windows(&tenant(), after, 2).await;
        let seen = seen.unwrap();
        moved.extend(seen.moved);
        match seen.next {
            Some(next) => after = Some(next),
            None => return moved,
        }
    }
    panic!("the walk has no end");
}

async fn new_rules_are_held_against_each_window_once(url: &str, ground: Ground) {
    const SUMMER: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
    let town = by(url, ground, "2026a", SUMMER).await;
    town.queue("billing", rules(json!({}))).await;
    let at_nine = |last, zone: &str| {
        let window = json!({ "start_time": "2026-07-01T09:00", "end_time": "2026-07-01T10:00", "time_zone": zone });
        town.book("billing", with(voice(last), window), monday())
    };
    let mut moving = Vec::new();
    for last in 1..6 {
        moving.push(at_nine(last, "Europe/Berlin").await);
    }
    let elsewhere = at_nine(6, "Asia/Kolkata").await;
    let instant = json!({ "start_time": "2026-07-01T07:00:00Z", "time_zone": "Europe/Berlin" });
    let instant = town
        .book("billing", with(voice(7), instant), monday())
        .await;
    let cancel = Command::Cancel {
        by: Canceller::Customer,
        reason: None,
    };
    let gone = at_nine(8, "Europe/Berlin").await;
    town.must(&gone, cancel.clone(), later(1)).await;
    assert!(told(&town).await.is_empty(), "found by the same rules");
    let before: Vec<Callback> = [town.get(&elsewhere).await, town.get(&instant).await].into();
    let Town { store, ground, .. } = town;
    store.close().await;

    // The country gives up summer time.
    let town = by(url, ground, "2026b", "CET-1").await;
    let ids = |callbacks: &[Callback]| -> BTreeSet<_> {
        let ids = callbacks.iter().map(|callback| callback.interaction.id);
        ids.collect()
    };
    assert_eq!(BTreeSet::from_iter(told(&town).await), ids(&moving));
    // As long as they are not moved, they are told again.
    assert_eq!(BTreeSet::from_iter(told(&town).await), ids(&moving));
    for callback in moving.split_off(2) {
        let moved = town.must(&callback, Command::ResolveAgain, later(2)).await;
        assert_eq!(moved.window.start, at("2026-07-01T08:00:00Z"));
    }
    assert_eq!(BTreeSet::from_iter(told(&town).await), ids(&moving));
    let after: Vec<Callback> = [town.get(&elsewhere).await, town.get(&instant).await].into();
    assert_eq!(after, before, "nothing is written to those that stand");
    // Who says a new hour says it by the rules of now; who wants no call has no hour.
    let august = Command::Reschedule {
        start: at("2026-08-01T08:00:00Z"),
        end: None,
        local: Some(LocalWindow {
            zone: "Europe/Berlin".to_owned(),
            start: Some("2026-08-01T09:00".parse().unwrap()),
            end: None,
            edition: String::new(),
        }),
    };
    town.must(&moving[0], august, later(3)).await;
    assert_eq!(told(&town).await, [moving[1].interaction.id]);
    town.must(&moving[1], cancel, later(4)).await;
    assert!(told(&town).await.is_empty());
    let Town { store, ground, .. } = town;
    store.close().await;

    // The next edition changes nothing.
    let town = by(url, ground, "2026c", "CET-1").await;
    assert!(told(&town).await.is_empty());
    town.is_healthy().await;
}
