//! Plans in tables: the week, certain dates, days on which the clock jumps, and everything that is refused.

use super::*;
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

fn rules(value: Value) -> CapacityRules {
    serde_json::from_value(value).expect("rules that can be read")
}

fn zone(name: &str) -> Zone {
    Zone::parse(name).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn plan(value: Value, zone_name: &str) -> StaffPlan {
    match Capacity::parse(&rules(value), &zone(zone_name)) {
        Ok(Capacity::Staff(plan)) => *plan,
        other => panic!("a staff plan, not {other:?}"),
    }
}

fn row(days: &str, from: &str, to: &str, agents: u32) -> Value {
    json!({ "days": days, "from": from, "to": to, "agents": agents })
}

fn texts(steps: &[(Timestamp, u32)]) -> Vec<(String, u32)> {
    let texts = steps.iter().map(|(at, agents)| (at.to_string(), *agents));
    texts.collect()
}

fn expect(steps: &[(Timestamp, u32)], expected: &[(&str, u32)]) {
    let expected: Vec<(String, u32)> = expected
        .iter()
        .map(|(at, agents)| ((*at).to_owned(), *agents))
        .collect();
    assert_eq!(texts(steps), expected);
}

#[test]
fn a_week_in_steps() {
    let plan = plan(
        json!({ "weekly": [row("Mo-Fr", "09:00", "12:00", 4), row("Mo-Fr", "12:00", "17:00", 6),
                           row("Sa", "22:00", "02:00", 1)] }),
        "Europe/Paris",
    );
    // Monday, 9 March 2026 is the first day.
    expect(
        &plan.steps(at("2026-03-09T00:00:00Z"), at("2026-03-10T12:00:00Z")),
        &[
            ("2026-03-09T00:00:00Z", 0),
            ("2026-03-09T08:00:00Z", 4),
            ("2026-03-09T11:00:00Z", 6),
            ("2026-03-09T16:00:00Z", 0),
            ("2026-03-10T08:00:00Z", 4),
            ("2026-03-10T11:00:00Z", 6),
        ],
    );
    // Over midnight from Saturday into Sunday, begun in the middle.
    expect(
        &plan.steps(at("2026-03-14T22:30:00Z"), at("2026-03-16T08:00:00Z")),
        &[("2026-03-14T22:30:00Z", 1), ("2026-03-15T01:00:00Z", 0)],
    );
}

#[test]
fn dates_win_over_the_week() {
    let plan = plan(
        json!({
            "weekly": [row("Mo-Su", "00:00", "24:00", 5)],
            "steps": [
                { "from": "2026-03-09T13:00", "to": "2026-03-09T14:00", "agents": 2 },
                { "from": "2026-03-09T10:00", "to": "2026-03-09T12:00", "agents": 0 },
                // The same thing said twice is no contradiction.
                { "from": "2026-03-09T11:00", "to": "2026-03-09T13:00", "agents": 0 },
            ],
        }),
        "UTC",
    );
    expect(
        &plan.steps(at("2026-03-09T00:00:00Z"), at("2026-03-10T00:00:00Z")),
        &[
            ("2026-03-09T00:00:00Z", 5),
            ("2026-03-09T10:00:00Z", 0),
            ("2026-03-09T13:00:00Z", 2),
            ("2026-03-09T14:00:00Z", 5),
        ],
    );
}

#[test]
fn days_of_other_lengths_change_when_the_clock_says_so() {
    // zone, the local day's UTC bounds, when the shift 01:30 to 04:00 begins and ends
    let cases = [
        // The clock jumps from 02:00 to 03:00, and repeats 02:00 to 03:00.
        (
            "Europe/Paris",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
            "2026-03-29T00:30:00Z",
            "2026-03-29T02:00:00Z",
        ),
        (
            "Europe/Paris",
            "2026-10-24T22:00:00Z",
            "2026-10-25T23:00:00Z",
            "2026-10-24T23:30:00Z",
            "2026-10-25T03:00:00Z",
        ),
        // By half an hour.
        (
            "Australia/Lord_Howe",
            "2026-10-03T13:30:00Z",
            "2026-10-04T13:00:00Z",
            "2026-10-03T15:00:00Z",
            "2026-10-03T17:00:00Z",
        ),
        (
            "Australia/Lord_Howe",
            "2026-04-04T13:00:00Z",
            "2026-04-05T13:30:00Z",
            "2026-04-04T14:30:00Z",
            "2026-04-04T17:30:00Z",
        ),
        (
            "America/New_York",
            "2026-03-08T05:00:00Z",
            "2026-03-09T04:00:00Z",
            "2026-03-08T06:30:00Z",
            "2026-03-08T08:00:00Z",
        ),
        (
            "Asia/Kolkata",
            "2026-03-08T18:30:00Z",
            "2026-03-09T18:30:00Z",
            "2026-03-08T20:00:00Z",
            "2026-03-08T22:30:00Z",
        ),
    ];
    for (name, from, to, begins, ends) in cases {
        let plan = plan(
            json!({ "weekly": [row("Mo-Su", "01:30", "04:00", 3)] }),
            name,
        );
        let steps = plan.steps(at(from), at(to));
        expect(&steps, &[(from, 0), (begins, 3), (ends, 0)]);
    }
    // Apia had no 30 December 2011: its shift does not take place, the day before and after do.
    let plan = plan(
        json!({ "weekly": [row("Mo-Su", "09:00", "10:00", 3)] }),
        "Pacific/Apia",
    );
    expect(
        &plan.steps(at("2011-12-29T12:00:00Z"), at("2011-12-31T12:00:00Z")),
        &[
            ("2011-12-29T12:00:00Z", 0),
            ("2011-12-29T19:00:00Z", 3),
            ("2011-12-29T20:00:00Z", 0),
            ("2011-12-30T19:00:00Z", 3),
            ("2011-12-30T20:00:00Z", 0),
        ],
    );
}

#[test]
fn what_is_wrong_is_named() {
    let cases: Vec<(Value, &[&str])> = vec![
        (json!({}), &["per_slot"]),
        (json!({ "per_slot": 0 }), &["per_slot"]),
        (json!({ "per_slot": 10_001 }), &["per_slot"]),
        (
            json!({ "per_slot": 3, "weekly": [row("Mo", "09:00", "10:00", 1)] }),
            &["per_slot"],
        ),
        (
            json!({ "weekly": [row("Mo-Fr", "09:00", "17:00", 0)] }),
            &["weekly"],
        ),
        (
            json!({ "steps": [{ "from": "2026-03-09T10:00", "to": "2026-03-09T11:00", "agents": 0 }] }),
            &["steps"],
        ),
        (
            json!({ "weekly": [row("Mo", "09:00", "09:00", 1), row("Tu", "09:00", "10:00", 10_001)] }),
            &["weekly[0].to", "weekly[1].agents"],
        ),
        (
            json!({ "weekly": [row("Mo-Fr", "09:00", "12:00", 1), row("Fr", "11:59", "13:00", 2)] }),
            &["weekly[1]"],
        ),
        // Over the end of the week.
        (
            json!({ "weekly": [row("Mo", "00:00", "02:00", 1), row("Su", "22:00", "01:00", 2)] }),
            &["weekly[1]"],
        ),
        (
            json!({ "weekly": [row("Mo", "09:00", "10:00", 1)], "steps": [
                { "from": "2026-03-09T10:00", "to": "2026-03-09T10:00", "agents": 1 }] }),
            &["steps[0].to"],
        ),
        (
            json!({ "steps": [
                { "from": "2026-03-09T10:00", "to": "2026-03-09T18:00", "agents": 1 },
                { "from": "2026-03-09T10:30", "to": "2026-03-09T11:00", "agents": 1 },
                { "from": "2026-03-09T17:00", "to": "2026-03-09T19:00", "agents": 2 }] }),
            &["steps[2]"],
        ),
        (json!({ "per_slot": 2, "mean_talk": "0s" }), &["mean_talk"]),
        (json!({ "per_slot": 2, "mean_wrap": "2h" }), &["mean_wrap"]),
        (json!({ "per_slot": 2, "reach": 0.0 }), &["reach"]),
        (json!({ "per_slot": 2, "reach": -0.5 }), &["reach"]),
        (
            json!({ "weekly": [row("Mo", "09:00", "10:00", 1)], "live": { "forecast": [] } }),
            &["live.forecast"],
        ),
        (
            json!({ "weekly": [row("Mo", "09:00", "10:00", 1)], "live": {
                "forecast": [{ "days": "Mo", "from": "09:00", "to": "10:00", "calls_per_hour": -1.0 }],
                "target": 1.0, "abandon": 0.0, "within": "2h", "handling": "0s" } }),
            &[
                "live.forecast[0].calls_per_hour",
                "live.handling",
                "live.within",
                "live.target",
                "live.abandon",
            ],
        ),
        (
            json!({ "weekly": [row("Mo", "09:00", "10:00", 1)], "live": { "forecast": [
                { "days": "Mo", "from": "09:00", "to": "10:00", "calls_per_hour": 10.0 },
                { "days": "Mo-Fr", "from": "09:30", "to": "11:00", "calls_per_hour": 20.0 }] } }),
            &["live.forecast[1]"],
        ),
    ];
    for (value, fields) in cases {
        let faults = Capacity::parse(&rules(value.clone()), &zone("UTC")).unwrap_err();
        let named: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(named, fields, "{value}");
    }
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut rules = rules(json!({ "per_slot": 2 }));
        rules.reach = number;
        assert!(Capacity::parse(&rules, &zone("UTC")).is_err());
    }
}

#[test]
fn times_that_are_none_are_refused_when_read() {
    for (key, value) in [
        ("days", json!("Mo-Xx")),
        ("days", json!("")),
        ("days", json!("Mo,,Tu")),
        ("from", json!("9:00")),
        ("from", json!("24:01")),
        ("to", json!("12:60")),
        ("to", json!("+1:00")),
        ("agents", json!(-1)),
        ("agents", json!(1.5)),
    ] {
        let mut bad = row("Mo", "09:00", "10:00", 1);
        bad[key] = value;
        assert!(
            serde_json::from_value::<StaffRow>(bad.clone()).is_err(),
            "{bad}"
        );
    }
    for wall in [
        "2026-02-30T10:00",
        "2026-03-09T25:00",
        "2026-03-09T10:00Z",
        "9999-01-01",
        "soon",
    ] {
        let step = json!({ "from": wall, "to": "2026-03-10T10:00", "agents": 1 });
        assert!(serde_json::from_value::<StaffStep>(step).is_err(), "{wall}");
    }
    let written = json!({ "days": "Fr-Mo, We", "from": "22:00", "to": "24:00", "agents": 1 });
    let read: StaffRow = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(read.days.numbers().collect::<Vec<_>>(), [0, 2, 4, 5, 6]);
    assert_eq!(serde_json::to_value(&read).unwrap(), written);
}

#[test]
fn live_calls_have_their_share() {
    let with = |calls: f64| {
        plan(
            json!({
                "weekly": [row("Mo-Su", "00:00", "24:00", 20)],
                "live": { "forecast": [{ "days": "Mo-Su", "from": "08:00", "to": "18:00", "calls_per_hour": calls }],
                          "handling": "4m" },
            }),
            "UTC",
        )
    };
    let day = (at("2026-03-09T00:00:00Z"), at("2026-03-10T00:00:00Z"));
    let plan = with(150.0);
    assert_eq!(
        plan.live_forecast(day.0, day.1),
        [
            (day.0, 0.0),
            (at("2026-03-09T08:00:00Z"), 150.0),
            (at("2026-03-09T18:00:00Z"), 0.0)
        ]
    );
    let free = plan.for_callbacks(day.0, day.1);
    assert_eq!(free[0], (day.0, 20.0));
    // Ten agents are in a live call at any time, and a few are kept idle for the next one.
    assert!((5.0..10.0).contains(&free[1].1), "{free:?}");
    assert_eq!(free[2].1, 20.0);
    // More than the agents can answer: nothing is left.
    assert_eq!(with(400.0).for_callbacks(day.0, day.1)[1].1, 0.0);
    // A stricter target leaves less.
    let live = plan.live().unwrap();
    let strict = Live {
        target: 0.95,
        ..live.clone()
    };
    assert!(strict.share(20, 150.0, 300.0) > live.share(20, 150.0, 300.0));
}

#[test]
fn a_callback_costs_its_tries_too() {
    let plan = |reach: f64| {
        plan(
            json!({ "weekly": [row("Mo", "09:00", "10:00", 1)], "mean_talk": "4m", "mean_wrap": "30s",
                    "reach": reach }),
            "UTC",
        )
    };
    assert_eq!(plan(1.0).handling(), 284.0);
    assert_eq!(plan(0.5).handling(), 314.0);
}

/// What the clock on the wall says about a moment, without any step function.
fn by_the_clock(zone_name: &str, at: Timestamp) -> u32 {
    let wall = zone(zone_name).tz().to_datetime(at);
    let minute = i32::from(wall.hour()) * 60 + i32::from(wall.minute());
    match minute {
        540..720 => 4,
        720..1020 => 7,
        1320..1440 | 0..60 => 2,
        _ => 0,
    }
}

proptest! {
    #[test]
    fn steps_say_what_the_clock_says(
        zone_index in 0usize..6,
        day in 0i64..730,
        offset in 0i64..86_400,
    ) {
        let name = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata",
                    "Africa/Casablanca", "America/Sao_Paulo"][zone_index];
        let plan = plan(
            json!({ "weekly": [row("Mo-Su", "09:00", "12:00", 4), row("Mo-Su", "12:00", "17:00", 7),
                               row("Mo-Su", "22:00", "01:00", 2)] }),
            name,
        );
        let from = at("2026-01-01T00:00:00Z") + SignedDuration::from_hours(24 * day);
        let to = from + SignedDuration::from_hours(48);
        let moment = from + SignedDuration::from_secs(offset);
        let steps = plan.steps(from, to);
        prop_assert_eq!(steps[0].0, from);
        prop_assert!(steps.is_sorted_by(|one, next| one.0 < next.0 && one.1 != next.1));
        // Shifts end at the clock's first reading of their end, so the rule and the clock can differ
        // only within the hours that a clock repeats, and those (00:00 to 03:00) are left out here.
        let wall = zone(name).tz().to_datetime(moment);
        prop_assume!(wall.hour() >= 4);
        prop_assert_eq!(value_at(&steps, moment), Some(by_the_clock(name, moment)));
    }
}
