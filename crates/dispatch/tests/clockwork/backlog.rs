//! After a start: what was due is worked off at its pace, whatever comes due meanwhile.

use crate::town::Town;
use jiff::Timestamp;
use ringback_callbacks::clock::Clock;
use ringback_callbacks::wire_time::{plus, write};
use ringback_channels::fake::Script;
use ringback_dispatch::{Dispatcher, Settings};
use serde_json::json;
use std::time::Duration;

const OLD: u32 = 20;
const PACE: u32 = 2;

/// Customers who want to be called now, and a node that starts only a minute later. Says when.
async fn start_late(town: &Town) -> (Timestamp, Dispatcher) {
    for number in 0..OLD {
        town.book(number).await;
    }
    town.clock.advance(Duration::from_secs(60)).await;
    let settings = Settings {
        catch_up_per_second: PACE,
        ..Settings::default()
    };
    (town.clock.now(), town.start(settings))
}

/// Those who waited are called no faster than the pace, and within as many seconds as it takes.
fn old_ones_went_at_the_pace(town: &Town, begins: Timestamp) {
    let called = town.called(|number| number < OLD);
    assert_eq!(called.len(), OLD as usize);
    for (n, at) in called.into_iter().enumerate() {
        let passed = at.duration_since(begins).as_secs_f64();
        let allowed = f64::from(PACE) * (1.0 + passed);
        assert!(n as f64 + 1.0 <= allowed, "number {n} after {passed} s");
    }
}

#[tokio::test]
async fn a_start_in_the_busiest_hour_is_over_with_its_backlog() {
    let town = Town::new().await;
    let (begins, dispatcher) = start_late(&town).await;
    let mut booked = OLD;
    for _ in 0..30 {
        town.clock.advance(Duration::from_secs(1)).await;
        // Three times the pace, and more.
        for _ in 0..7 {
            town.book(booked).await;
            booked += 1;
        }
    }
    town.clock.advance(Duration::from_secs(1)).await;
    old_ones_went_at_the_pace(&town, begins);
    let called = town.called(|_| true).len();
    assert_eq!(called, booked as usize, "nobody is left waiting");
    dispatcher.stop_now().await;
}

#[tokio::test]
async fn an_hour_that_was_booked_before_the_start_is_no_backlog() {
    let town = Town::new().await;
    let at = write(plus(town.clock.now(), Duration::from_secs(63)));
    for number in OLD..OLD + 15 {
        town.book_for(number, json!({ "start_time": at })).await;
    }
    let (begins, dispatcher) = start_late(&town).await;
    town.clock.advance(Duration::from_secs(12)).await;
    old_ones_went_at_the_pace(&town, begins);
    assert_eq!(town.called(|number| number >= OLD).len(), 15);
    dispatcher.stop_now().await;
}

/// No booking and no call that ends gives a reason to look again: the look itself must go on.
#[tokio::test]
async fn what_the_pace_kept_back_is_taken_up_without_a_reason_of_its_own() {
    let town = Town::new().await;
    let hour = Duration::from_secs(3600);
    town.calls.otherwise(Script::talks(hour, hour));
    let (begins, dispatcher) = start_late(&town).await;
    town.clock.advance(Duration::from_millis(500)).await;
    for number in OLD..OLD + 50 {
        town.book(number).await;
    }
    town.clock.advance(Duration::from_secs(12)).await;
    old_ones_went_at_the_pace(&town, begins);
    assert_eq!(town.called(|number| number >= OLD).len(), 50);
    dispatcher.stop_now().await;
}
