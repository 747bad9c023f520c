//! What the customer is told: promises that move with notice, how they are judged, and what is owed.

mod support;

use ringback_callbacks::callback::{Callback, MoveReason, PromiseState};
use ringback_callbacks::event::NewEvent;
use ringback_callbacks::ids::*;
use ringback_callbacks::lifecycle::{Begin, Command, Progress};
use ringback_callbacks::outcome::{CallResult, Outcome, PlatformCode, Verdict};
use ringback_callbacks::state::{State, Target};
use serde_json::{Value, json};
use std::time::Duration;
use support::*;
use uuid::Uuid;

fn attempt(n: u128) -> AttemptId {
    AttemptId(Uuid::from_u128(n))
}

fn dial(world: &mut World, n: u128) {
    if world.state() == "scheduled" {
        world.act(Command::Tick).unwrap();
    }
    world
        .act(Command::Assign {
            node: node(),
            lease: Duration::from_secs(30),
            target: Target::Agent(AgentId(7)),
            offer: None,
        })
        .unwrap();
    let begin = Begin {
        attempt: attempt(n),
        channel: "sip".into(),
        route: None,
        dn: None,
        location: None,
        server: "one".into(),
        legs: json!({}),
    };
    let fence = world.fence();
    world.act(Command::BeginAttempt { fence, begin }).unwrap();
}

fn settle(world: &mut World, n: u128, result: CallResult, verdict: Verdict) {
    let fence = world.fence();
    let outcome = Outcome::new(result, verdict, PlatformCode::new("sip", None, ""));
    world
        .act(Command::Settle {
            fence,
            attempt: attempt(n),
            outcome,
        })
        .unwrap();
}

fn busy(world: &mut World, n: u128) {
    dial(world, n);
    settle(world, n, CallResult::BUSY, Verdict::Busy);
}

fn due(callback: &Callback) -> jiff::Timestamp {
    match callback.state {
        State::Scheduled { due, .. } => due,
        _ => panic!("scheduled, not {}", callback.state.name()),
    }
}

fn event(world: &World, kind: &str) -> Option<NewEvent> {
    let last = world.steps.last().unwrap();
    last.events
        .iter()
        .find(|event| event.kind.name() == kind)
        .cloned()
}

fn moved(world: &World) -> Value {
    let event = event(world, "promise_moved").expect("a moved promise");
    Value::Object(event.detail)
}

#[test]
fn after_a_failed_try_the_next_is_told() {
    // The retry gap, then the window that is told: in minutes from the end of the try.
    let table = [
        // As configured: the gap, and ten minutes of attention.
        (json!({}), (5, 15)),
        (json!({ "attention": "30m" }), (5, 35)),
        // Sooner than the customer can hear of it: it begins with the notice.
        (
            json!({ "retry": { "busy": { "after": "10s", "times": 3 } }, "notice": "2m" }),
            (2, 12),
        ),
        // Over the end of the opening hours: at the next opening, not in a window nobody serves.
        (
            json!({ "hours": { "opening_hours": "Mo-Fr 08:00-10:03,10:30-18:00" } }),
            (30, 40),
        ),
    ];
    for (rules, (from, to)) in table {
        let mut world = World::book(rules.clone(), json!({}));
        let first = world.callback.promise;
        busy(&mut world, 1);
        let at = |minutes: u64| {
            ringback_callbacks::wire_time::plus(monday(), Duration::from_secs(minutes * 60))
        };
        let callback = &world.callback;
        assert_eq!(callback.promise_now(), (at(from), at(to)), "{rules}");
        // It is dialled inside what is told, and by its end.
        assert_eq!(due(callback), at(from), "{rules}");
        assert_eq!(callback.deadline(), at(to), "{rules}");
        let told = callback.told.unwrap();
        assert_eq!((told.reason, told.at), (MoveReason::Retry, monday()));
        // The promise of the booking stays on record, judged by the first try.
        assert_eq!(
            (callback.promise.from, callback.promise.to),
            (first.from, first.to)
        );
        assert_eq!(callback.promise.state, PromiseState::Kept);
        let detail = moved(&world);
        assert_eq!(detail["reason"], "retry");
        assert_eq!(
            detail["old"]["to"],
            json!(ringback_callbacks::wire_time::write(first.to))
        );
        assert_eq!(
            detail["new"]["from"],
            json!(ringback_callbacks::wire_time::write(at(from)))
        );
    }
}

#[test]
fn what_is_told_ends_with_the_window() {
    let mut world = World::book(json!({}), json!({ "end_time": "2026-03-09T14:10:00Z" }));
    busy(&mut world, 1);
    assert_eq!(
        world.callback.promise_now(),
        (at("2026-03-09T14:05:00Z"), at("2026-03-09T14:10:00Z"))
    );
    // A try that would come after it is not told: there will be none.
    world.later(360);
    dial(&mut world, 2);
    settle(&mut world, 2, CallResult::NO_ANSWER, Verdict::NoAnswer);
    assert_eq!(event(&world, "promise_moved"), None);
    assert_eq!(due(&world.callback), at("2026-03-09T14:10:00Z"));
}

#[test]
fn a_fault_of_ours_moves_nothing() {
    let mut world = World::book(json!({}), json!({}));
    let before = world.callback.promise;
    dial(&mut world, 1);
    settle(
        &mut world,
        1,
        CallResult::GENERAL_ERROR,
        Verdict::RouteFault,
    );
    assert_eq!(
        (world.callback.promise, world.callback.told),
        (before, None)
    );
    assert_eq!(world.callback.deadline(), before.to);
}

#[test]
fn moving_it_by_hand_says_so() {
    let mut world = World::book(json!({}), json!({}));
    world
        .act(Command::Reschedule {
            start: at("2026-03-09T18:00:00Z"),
            end: None,
            local: None,
        })
        .unwrap();
    assert_eq!(moved(&world)["reason"], "rescheduled");
    assert_eq!(moved(&world)["new"]["from"], "2026-03-09T18:00:00.000Z");
    // It is a new promise: the old one was given up by whoever moved it.
    assert_eq!(world.callback.promise.from, at("2026-03-09T18:00:00Z"));
    world
        .act(Command::Snooze {
            until: at("2026-03-09T19:00:00Z"),
        })
        .unwrap();
    assert_eq!(moved(&world)["reason"], "snoozed");
}

#[test]
fn late_but_wanted_is_told_and_dialled_at_once() {
    let mut world = World::book(json!({}), json!({}));
    let promise = world.callback.promise;
    // The server was down for three hours; the window is a day.
    world.later(3 * 3600);
    world.act(Command::Tick).unwrap();
    assert_eq!(world.state(), "queued");
    assert_eq!(moved(&world)["reason"], "late");
    assert_eq!(
        world.callback.promise_now(),
        (
            world.now,
            ringback_callbacks::wire_time::plus(world.now, Duration::from_secs(3600))
        )
    );
    assert_eq!(world.callback.promise.to, promise.to);
    // Still waiting: nothing new is said until that has passed as well, and then it is.
    world.later(3599);
    world.act(Command::Tick).unwrap();
    assert_eq!(event(&world, "promise_moved"), None);
    let wakes = world.callback.wakes_at().unwrap();
    assert_eq!(
        wakes,
        ringback_callbacks::wire_time::plus(world.now, Duration::from_millis(1001))
    );
    world.now = wakes;
    world.act(Command::Tick).unwrap();
    assert_eq!(moved(&world)["reason"], "late");
    assert!(world.callback.wakes_at().unwrap() > world.now);
    busy(&mut world, 1);
    assert_eq!(world.callback.promise.state, PromiseState::Late);
}

#[test]
fn too_late_is_not_dialled_and_owes_an_apology() {
    let mut world = World::book(json!({}), json!({ "end_time": "2026-03-09T21:30:00Z" }));
    world.now = at("2026-03-09T21:45:00Z");
    world.act(Command::Tick).unwrap();
    assert_eq!(world.state(), "expired");
    assert_eq!(world.callback.promise.state, PromiseState::Broken);
    let owed = event(&world, "apology_due").expect("an apology");
    let offers = owed.detail["offers"].as_array().unwrap();
    let from: Vec<&str> = offers
        .iter()
        .map(|offer| offer["from"].as_str().unwrap())
        .collect();
    // New York closes at 18:00, which is 22:00 UTC: a moment is left today, then the next morning.
    assert_eq!(
        from,
        [
            "2026-03-09T21:46:00.000Z",
            "2026-03-10T12:00:00.000Z",
            "2026-03-10T13:00:00.000Z"
        ]
    );
    let service = world.callback.service();
    assert_eq!(service.first_attempt_in_time, Some(false));
    assert_eq!(service.kept_as_told, Some(false));
}

#[test]
fn who_was_tried_in_vain_is_owed_nothing() {
    let mut world = World::book(json!({}), json!({ "end_time": "2026-03-09T14:10:00Z" }));
    busy(&mut world, 1);
    world.now = at("2026-03-09T14:30:00Z");
    world.act(Command::Tick).unwrap();
    assert_eq!(world.state(), "expired");
    assert_eq!(event(&world, "apology_due"), None);
    assert_eq!(world.callback.service().reached_in_window, Some(false));
    assert_eq!(world.callback.service().first_attempt_in_time, Some(true));
}

#[test]
fn held_beyond_what_was_told_is_told() {
    let mut world = World::book(json!({}), json!({}));
    // The queue's hours were changed after booking.
    world.queue = queue(rules(
        json!({ "hours": { "opening_hours": "Mo-Fr 14:00-18:00" } }),
    ));
    world.act(Command::Tick).unwrap();
    assert_eq!(world.state(), "scheduled");
    assert_eq!(moved(&world)["reason"], "held");
    assert_eq!(world.callback.promise_now().0, at("2026-03-09T18:00:00Z"));
}

#[test]
fn both_sides_of_a_promise_are_judged() {
    let reached = |world: &mut World, n| {
        dial(world, n);
        world.later(10);
        let fence = world.fence();
        world
            .act(Command::Progress {
                fence,
                attempt: attempt(n),
                what: Progress::Connected { route: None },
            })
            .unwrap();
        world.later(60);
        settle(world, n, CallResult::OK, Verdict::Reached);
    };
    // On time and reached.
    let mut world = World::book(json!({}), json!({}));
    assert_eq!(world.callback.service().kept_as_told, None);
    reached(&mut world, 1);
    let service = world.callback.service();
    assert_eq!(service.kept_as_told, Some(true));
    assert_eq!(
        world.callback.promise.reached_at,
        Some(at("2026-03-09T14:00:10Z")),
        "from when they could speak"
    );
    // The agent knows better: nobody was reached after all.
    world
        .act(Command::Dispose {
            disposition: None,
            result: Some(CallResult::ANSWERING_MACHINE),
        })
        .unwrap();
    assert_eq!(world.callback.service().reached_in_window, None);
    // Reached at the second try, the first of which was late.
    let mut world = World::book(json!({}), json!({}));
    world.later(2 * 3600);
    busy(&mut world, 1);
    world.later(300);
    reached(&mut world, 2);
    let service = world.callback.service();
    assert_eq!(
        (
            service.first_attempt_in_time,
            service.reached_in_window,
            service.kept_as_told
        ),
        (Some(false), Some(true), Some(false))
    );
}
