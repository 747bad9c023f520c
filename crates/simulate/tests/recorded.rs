//! A day from the record: what was seen stays as it was seen, and the rest is drawn with the seed.

mod support;

use ringback_simulate::generate::LiveHabits;
use ringback_simulate::habits::Habits;
use ringback_simulate::recorded::{Drawn, Record, RecordedCallback, RecordedDial, rebuild};
use ringback_simulate::scenario::Phone;
use ringback_simulate::{Day, Outcome, Scenario, measure};
use support::{day, planned};

/// What a store would know of a day.
fn record(scenario: &Scenario, day: &Day) -> Record {
    let callbacks = scenario
        .bookings
        .iter()
        .zip(&day.requests)
        .filter(|(_, followed)| followed.told.is_some())
        .map(|(booking, followed)| RecordedCallback {
            request: booking.request.clone(),
            cancelled: followed.cancelled,
            dials: followed
                .attempts
                .iter()
                .map(|attempt| RecordedDial {
                    at: attempt.at,
                    outcome: Some(attempt.outcome),
                    talk: (attempt.outcome == Outcome::Answered).then_some(booking.truth.talk),
                })
                .collect(),
        })
        .collect();
    Record {
        header: scenario.header.clone(),
        callbacks,
    }
}

fn lived() -> (Scenario, Day, Record) {
    let scenario = day(5, 8, 0.9, 11);
    let day = planned(&scenario);
    let record = record(&scenario, &day);
    (scenario, day, record)
}

fn again(record: &Record, seed: u64) -> (Scenario, Drawn) {
    let habits = Habits::usual(&record.header);
    rebuild(record, &habits, &LiveHabits::default(), seed).unwrap()
}

/// What a dial would meet, as far as the phone goes.
fn meets(states: &[(i64, i64, Phone)], at: i64) -> Option<Phone> {
    states
        .iter()
        .find(|state| state.0 <= at && at < state.1)
        .map(|state| state.2)
}

#[test]
fn what_was_seen_stays_as_it_was_seen() {
    let (_, _, record) = lived();
    let dials: usize = record
        .callbacks
        .iter()
        .map(|callback| callback.dials.len())
        .sum();
    assert!(dials > 50, "{dials}");
    let mut kinds = std::collections::HashSet::new();
    for seed in 1..=3 {
        let (rebuilt, drawn) = again(&record, seed);
        assert_eq!(drawn.callbacks, record.callbacks.len());
        assert_eq!(drawn.left_out, 0);
        for (callback, booking) in record.callbacks.iter().zip(&rebuilt.bookings) {
            let truth = &booking.truth;
            assert_eq!(booking.cancel, callback.cancelled);
            for (number, dial) in (1..).zip(&callback.dials) {
                let met = meets(&truth.states, dial.at);
                let outcome = dial.outcome.unwrap();
                kinds.insert(outcome);
                let same = match outcome {
                    Outcome::Answered => {
                        assert_eq!(Some(truth.talk), dial.talk);
                        matches!(met, Some(Phone::Answer | Phone::IfPromised))
                    }
                    Outcome::Busy => met == Some(Phone::Busy),
                    // Whether a machine answers for the one who is away belongs to the phone, and is drawn.
                    Outcome::NoAnswer | Outcome::Machine => {
                        matches!(met, Some(Phone::NoAnswer | Phone::Machine))
                    }
                    Outcome::Invalid => met == Some(Phone::Invalid),
                    Outcome::Failed => truth.flukes.contains(&number),
                    Outcome::Refused => false,
                };
                assert!(same, "{outcome:?} became {met:?}");
            }
            let states = &truth.states;
            assert!(
                states.windows(2).all(|pair| pair[0].1 == pair[1].0),
                "{states:?}"
            );
        }
    }
    assert!(kinds.len() >= 4, "the day shows something: {kinds:?}");
}

#[test]
fn what_was_not_seen_is_drawn_with_the_seed() {
    let (_, _, record) = lived();
    let phones = |seed| {
        let (rebuilt, _) = again(&record, seed);
        let states: Vec<_> = rebuilt
            .bookings
            .into_iter()
            .map(|b| b.truth.states)
            .collect();
        (
            states,
            rebuilt.calls.iter().map(|call| call.at).collect::<Vec<_>>(),
        )
    };
    assert_eq!(phones(1), phones(1));
    assert_ne!(phones(1).0, phones(2).0);
    assert_ne!(phones(1).1, phones(2).1);
}

#[test]
fn the_same_staff_keeps_about_what_it_kept() {
    let (scenario, day, record) = lived();
    let before = measure(&scenario, &day);
    let mut kept = 0.0;
    for seed in 1..=3 {
        let (rebuilt, _) = again(&record, seed);
        let figures = measure(&rebuilt, &planned(&rebuilt));
        assert_eq!(figures.violations, 0);
        kept += figures.kept / 3.0;
    }
    // The refused are not in the record, so the day again is a little easier than the day was.
    let accepted = before.kept / (1.0 - before.declined);
    assert!((kept - accepted).abs() < 0.06, "{kept} after {accepted}");
}

#[test]
fn a_day_of_which_nothing_is_known_but_the_requests_is_all_chance() {
    let (_, _, mut record) = lived();
    for callback in &mut record.callbacks {
        callback.dials.clear();
    }
    let (rebuilt, drawn) = again(&record, 1);
    assert_eq!(drawn.never_dialled, record.callbacks.len());
    assert_eq!(drawn.talk_drawn, record.callbacks.len());
    assert_eq!(drawn.dials, 0);
    assert_eq!(drawn.live_calls, rebuilt.calls.len());
    assert!(rebuilt.bookings.iter().all(|b| !b.truth.states.is_empty()));
}
