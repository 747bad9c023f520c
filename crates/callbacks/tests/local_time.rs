//! Local time through the life of a callback: wall time, zone and instant are kept, so that a new
//! edition of the rules of local time moves the instant and never the hour that was agreed.

mod support;

use jiff::tz::TimeZone;
use ringback_callbacks::guard::Guard;
use ringback_callbacks::lifecycle::{Command, Refusal};
use ringback_callbacks::request::parse_new;
use ringback_callbacks::state::{DueReason, State};
use ringback_scheduling::Almanac;
use serde_json::{Value, json};
use support::*;

/// A country that puts its clocks forward in summer, and one edition later does not any more.
fn with_summer_time() -> Almanac {
    Almanac::new("2026a").with_zones(|name| {
        TimeZone::posix(match name {
            "Europe/Berlin" => "CET-1CEST,M3.5.0,M10.5.0/3",
            _ => "EST5EDT,M3.2.0,M11.1.0",
        })
        .ok()
    })
}

fn without() -> Almanac {
    Almanac::new("2026b").with_zones(|name| {
        TimeZone::posix(match name {
            "Europe/Berlin" => "CET-1",
            _ => "EST5EDT,M3.2.0,M11.1.0",
        })
        .ok()
    })
}

fn berlin(change: Value) -> Value {
    let mut body = json!({ "time_zone": "Europe/Berlin", "start_time": "2026-07-01T15:00", "end_time": "2026-07-01T17:00" });
    for (key, value) in object(change) {
        body[key] = value;
    }
    body
}

fn booked(change: Value) -> World {
    World::try_book_by(with_summer_time(), json!({}), berlin(change), monday()).unwrap()
}

fn due(world: &World) -> (String, DueReason) {
    match &world.callback.state {
        State::Scheduled { due, reason } => (due.to_string(), *reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn wall_time_zone_and_instant_are_kept() {
    let world = booked(json!({}));
    let local = world.callback.local.clone().unwrap();
    assert_eq!(local.zone, "Europe/Berlin");
    assert_eq!(local.start.unwrap().to_string(), "2026-07-01T15:00:00");
    assert_eq!(local.end.unwrap().to_string(), "2026-07-01T17:00:00");
    assert_eq!(local.edition, "2026a");
    assert_eq!(world.callback.window.start, at("2026-07-01T13:00:00Z"));
    assert_eq!(world.callback.window.end, Some(at("2026-07-01T15:00:00Z")));
    // And through the stored form.
    let doc = serde_json::to_string(&world.callback).unwrap();
    let again: ringback_callbacks::callback::Callback = serde_json::from_str(&doc).unwrap();
    assert_eq!(again, world.callback);
}

#[test]
fn a_new_edition_moves_the_instants_and_says_so() {
    let mut world = booked(json!({}));
    let promised = world.callback.promise;
    world.almanac = without();
    world.act(Command::ResolveAgain).unwrap();
    assert_eq!(world.callback.window.start, at("2026-07-01T14:00:00Z"));
    assert_eq!(world.callback.window.end, Some(at("2026-07-01T16:00:00Z")));
    assert_eq!(
        due(&world),
        ("2026-07-01T14:00:00Z".into(), DueReason::Booked)
    );
    assert!(world.callback.promise.from > promised.from);
    let event = &world.steps.last().unwrap().events[0];
    assert_eq!(
        Value::Object(event.detail.clone()),
        json!({
            "before": { "from": "2026-07-01T13:00:00.000Z", "to": "2026-07-01T15:00:00.000Z" },
            "after": { "from": "2026-07-01T14:00:00.000Z", "to": "2026-07-01T16:00:00.000Z" },
            "local": { "start": "2026-07-01T15:00:00", "end": "2026-07-01T17:00:00", "time_zone": "Europe/Berlin" },
            "tzdb_before": "2026a",
            "tzdb_after": "2026b",
        })
    );
    assert_eq!(world.last_events(), vec!["window_moved"]);

    // Once more changes nothing and says nothing.
    let before = world.callback.clone();
    world.act(Command::ResolveAgain).unwrap();
    assert_eq!(world.callback, before);
    assert!(world.last_events().is_empty());
}

#[test]
fn what_was_said_as_an_instant_does_not_move() {
    // start, end, instants afterwards
    let cases = [
        (
            json!({ "start_time": "2026-07-01T13:00:00Z", "end_time": "2026-07-01T15:00:00Z" }),
            ("2026-07-01T13:00:00Z", "2026-07-01T15:00:00Z"),
        ),
        (
            json!({ "start_time": "2026-07-01T13:00:00Z" }),
            ("2026-07-01T13:00:00Z", "2026-07-01T16:00:00Z"),
        ),
        (
            json!({ "end_time": "2026-07-01T15:00:00Z" }),
            ("2026-07-01T14:00:00Z", "2026-07-01T15:00:00Z"),
        ),
        (
            json!({ "start_time": "2026-07-01T15:00", "end_time": "2026-07-01T13:40:00Z" }),
            ("2026-07-01T14:00:00Z", "2026-07-01T14:40:00Z"),
        ),
        // A default end is so and so long after the start.
        (
            json!({ "end_time": null }),
            ("2026-07-01T14:00:00Z", "2026-07-02T14:00:00Z"),
        ),
    ];
    for (body, (start, end)) in cases {
        let mut world = booked(body.clone());
        world.almanac = without();
        world.act(Command::ResolveAgain).unwrap();
        let window = world.callback.window;
        assert_eq!(
            (window.start, window.end),
            (at(start), Some(at(end))),
            "{body}"
        );
    }
}

#[test]
fn the_moved_window_may_fall_outside_hours_and_is_still_kept_in_mind() {
    // Open in New York until 18:00 local, 22:00 in UTC.
    let mut world = booked(
        json!({ "start_time": "2026-07-01T23:00", "end_time": "2026-07-01T23:50", "any_hour": true }),
    );
    assert_eq!(due(&world).0, "2026-07-01T21:00:00Z");
    world.almanac = without();
    world.act(Command::ResolveAgain).unwrap();
    assert_eq!(due(&world).0, "2026-07-01T22:00:00Z");
    world.now = at("2026-07-01T22:00:00Z");
    world.act(Command::Tick).unwrap();
    assert_eq!(world.callback.held.unwrap().guard, Guard::Closed);
    world.now = at("2026-07-01T22:50:00Z");
    world.act(Command::Tick).unwrap();
    assert_eq!(world.state(), "expired");
}

#[test]
fn who_waits_in_the_queue_keeps_the_place_unless_the_window_has_not_begun() {
    let mut world = booked(json!({}));
    world.now = at("2026-07-01T13:00:00Z");
    world.act(Command::Tick).unwrap();
    assert_eq!(world.state(), "queued");
    let queued = world.callback.clone();
    world.almanac = without();
    world.act(Command::ResolveAgain).unwrap();
    assert_eq!(
        due(&world).0,
        "2026-07-01T14:00:00Z",
        "not before the hour agreed"
    );

    world.callback = queued;
    world.now = at("2026-07-01T14:30:00Z");
    world.act(Command::ResolveAgain).unwrap();
    assert_eq!(world.state(), "queued");
    assert_eq!(world.callback.window.end, Some(at("2026-07-01T16:00:00Z")));
}

#[test]
fn a_snooze_and_a_change_to_instants_are_not_undone() {
    let mut world = booked(json!({}));
    world
        .act(Command::Snooze {
            until: at("2026-07-01T14:10:00Z"),
        })
        .unwrap();
    world.almanac = without();
    world.act(Command::ResolveAgain).unwrap();
    assert_eq!(
        due(&world),
        ("2026-07-01T14:10:00Z".into(), DueReason::Snoozed)
    );

    let mut world = booked(json!({}));
    world
        .act(Command::Reschedule {
            start: at("2026-07-02T13:00:00Z"),
            end: None,
            local: None,
        })
        .unwrap();
    assert_eq!(world.callback.local, None);
}

#[test]
fn a_zone_that_the_new_edition_has_lost_leaves_everything_as_agreed() {
    let mut world = booked(json!({}));
    let before = world.callback.clone();
    world.almanac = Almanac::new("2026c").with_zones(|_| None);
    world.act(Command::ResolveAgain).unwrap();
    assert_eq!(world.callback, before);
}

#[test]
fn impossible_windows_are_refused_with_field_reason_and_the_next_moment() {
    // body, guard, field, next
    let cases = [
        (
            json!({ "start_time": "2026-03-14T10:00", "end_time": "2026-03-14T20:00", "time_zone": "America/New_York" }),
            Guard::Closed,
            "end_time",
            "2026-03-16T12:00:00Z",
        ),
        // Open in New York is night in Honolulu until 18:00Z.
        (
            json!({ "start_time": "2026-03-10T12:00:00Z", "end_time": "2026-03-10T17:59:00Z", "time_zone": "Pacific/Honolulu" }),
            Guard::CustomersNight,
            "end_time",
            "2026-03-10T18:00:00Z",
        ),
    ];
    for (body, guard, field, next) in cases {
        let refusal = World::try_book(json!({}), body.clone(), monday()).err();
        let expected = Refusal::NoMoment {
            guard,
            field,
            next: Some(at(next)),
        };
        assert_eq!(refusal, Some(expected), "{body}");
    }
}

#[test]
fn wall_times_that_cannot_be_meant_are_refused_with_their_field() {
    let queue = queue(rules(json!({})));
    let problems = |body: Value| {
        let mut whole =
            json!({ "desired_response_type": "Voice", "customer_number": "+1 212 555 0123" });
        for (key, value) in object(body) {
            whole[key] = value;
        }
        parse_new(
            &object(whole),
            queue.queue.id.clone(),
            queue.rules(),
            monday(),
        )
        .err()
        .map(|problems| problems.0)
        .unwrap_or_default()
        .into_iter()
        .map(|problem| (problem.field, problem.code))
        .collect::<Vec<_>>()
    };
    let cases = [
        (
            json!({ "start_time": "2026-07-01T09:00" }),
            vec![("start_time", "time_zone")],
        ),
        (
            json!({ "start_time": "2026-07-01T09:00", "time_zone": "Europe/Brelin" }),
            vec![("time_zone", "format")],
        ),
        (
            json!({ "start_time": "2026-07-01T09:00", "end_time": "2026-07-01T08:00", "time_zone": "Europe/Berlin" }),
            vec![("end_time", "order")],
        ),
        (
            json!({ "end_time": "2026-03-09T14:59", "time_zone": "Europe/Berlin" }),
            vec![("end_time", "order"), ("end_time", "past")],
        ),
        (
            json!({ "start_time": "2029-07-01T09:00", "time_zone": "Europe/Berlin" }),
            vec![("start_time", "range")],
        ),
        (
            json!({ "start_time": "tomorrow at noon", "time_zone": "Europe/Berlin" }),
            vec![("start_time", "format")],
        ),
        // Backwards on the clock, forwards by the gap's grace: still backwards.
        (
            json!({ "start_time": "2027-03-28T03:30", "end_time": "2027-03-28T02:45", "time_zone": "Europe/Berlin" }),
            vec![("end_time", "order")],
        ),
        (
            json!({ "start_time": "2027-03-28T02:45", "end_time": "2027-03-28T03:15", "time_zone": "Europe/Berlin" }),
            vec![],
        ),
    ];
    for (body, expected) in cases {
        let expected: Vec<(String, &str)> = expected
            .into_iter()
            .map(|(field, code)| (field.to_owned(), code))
            .collect();
        assert_eq!(problems(body.clone()), expected, "{body}");
    }
}
