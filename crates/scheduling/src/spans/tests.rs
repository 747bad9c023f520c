//! Spans by tables of cases, and by a second way: asking minute by minute on the days clocks jump.

use jiff::SignedDuration;
use jiff::civil::time;
use proptest::prelude::*;

use super::*;
use crate::hours::{HolidayConfig, HoursConfig};
use crate::permitted::permitted_at;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn tz(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn hours(opening_hours: &str, time_zone: &str) -> Hours {
    Hours::parse(&HoursConfig {
        opening_hours: opening_hours.into(),
        time_zone: time_zone.into(),
        holidays: HolidayConfig::default(),
        exceptions: Vec::new(),
    })
    .unwrap()
}

fn permitted(from: (i8, i8), to: (i8, i8)) -> PermittedHours {
    PermittedHours::new(time(from.0, from.1, 0, 0), time(to.0, to.1, 0, 0)).unwrap()
}

fn written(spans: &[(Timestamp, Timestamp)]) -> Vec<String> {
    spans
        .iter()
        .map(|(start, end)| format!("{start}/{end}"))
        .collect()
}

#[test]
fn the_customers_day_on_days_that_jump() {
    // zones, permitted, from, to, spans
    type Case<'a> = (
        &'a [&'a str],
        PermittedHours,
        &'a str,
        &'a str,
        &'a [&'a str],
    );
    let day = permitted((8, 0), (21, 0));
    let night = permitted((1, 30), (2, 30));
    let cases: [Case<'_>; 11] = [
        (
            &["Europe/Berlin"],
            day,
            "2027-03-27T12:00:00Z",
            "2027-03-28T12:00:00Z",
            &[
                "2027-03-27T12:00:00Z/2027-03-27T20:00:00Z",
                "2027-03-28T06:00:00Z/2027-03-28T12:00:00Z",
            ],
        ),
        // The gap swallows the second half of the hour.
        (
            &["Europe/Berlin"],
            night,
            "2027-03-27T12:00:00Z",
            "2027-03-28T12:00:00Z",
            &["2027-03-28T00:30:00Z/2027-03-28T01:00:00Z"],
        ),
        // The fold repeats it.
        (
            &["Europe/Berlin"],
            night,
            "2027-10-30T12:00:00Z",
            "2027-10-31T12:00:00Z",
            &[
                "2027-10-30T23:30:00Z/2027-10-31T00:30:00Z",
                "2027-10-31T01:00:00Z/2027-10-31T01:30:00Z",
            ],
        ),
        (
            &["America/New_York"],
            day,
            "2026-11-01T00:00:00Z",
            "2026-11-02T00:00:00Z",
            &[
                "2026-11-01T00:00:00Z/2026-11-01T01:00:00Z",
                "2026-11-01T13:00:00Z/2026-11-02T00:00:00Z",
            ],
        ),
        (
            &["Australia/Lord_Howe"],
            night,
            "2026-04-04T12:00:00Z",
            "2026-04-05T00:00:00Z",
            &["2026-04-04T14:30:00Z/2026-04-04T16:00:00Z"],
        ),
        (
            &["Asia/Kolkata"],
            day,
            "2026-03-29T00:00:00Z",
            "2026-03-30T00:00:00Z",
            &["2026-03-29T02:30:00Z/2026-03-29T15:30:00Z"],
        ),
        // Clocks go back for Ramadan, and come forward after it.
        (
            &["Africa/Casablanca"],
            day,
            "2026-02-15T00:00:00Z",
            "2026-02-16T00:00:00Z",
            &["2026-02-15T08:00:00Z/2026-02-15T21:00:00Z"],
        ),
        // 30 December 2011 never was in Apia.
        (
            &["Pacific/Apia"],
            day,
            "2011-12-29T12:00:00Z",
            "2011-12-31T12:00:00Z",
            &[
                "2011-12-29T18:00:00Z/2011-12-30T07:00:00Z",
                "2011-12-30T18:00:00Z/2011-12-31T07:00:00Z",
            ],
        ),
        // East or west coast: only what both allow.
        (
            &["America/New_York", "America/Los_Angeles"],
            day,
            "2026-01-12T00:00:00Z",
            "2026-01-13T00:00:00Z",
            &[
                "2026-01-12T00:00:00Z/2026-01-12T02:00:00Z",
                "2026-01-12T16:00:00Z/2026-01-13T00:00:00Z",
            ],
        ),
        (
            &[],
            day,
            "2026-01-12T00:00:00Z",
            "2026-01-13T00:00:00Z",
            &[],
        ),
        // Backwards.
        (
            &["Asia/Kolkata"],
            day,
            "2026-01-13T00:00:00Z",
            "2026-01-12T00:00:00Z",
            &[],
        ),
    ];
    for (zones, permitted, from, to, expected) in cases {
        let zones: Vec<TimeZone> = zones.iter().map(|name| tz(name)).collect();
        let spans = permitted_spans(&permitted, &zones, at(from), at(to));
        assert_eq!(written(&spans), expected, "{zones:?} {from}");
    }
}

#[test]
fn an_invitation_opens_the_night_but_not_the_queue() {
    let office = hours("06:00-10:00", "Europe/Berlin");
    let day = permitted((8, 0), (21, 0));
    let berlin = [tz("Europe/Berlin")];
    let (from, to) = (at("2026-01-12T00:00:00Z"), at("2026-01-13T00:00:00Z"));
    let spans = |invited| dialable_spans(&office, &day, &berlin, invited, from, to);
    assert_eq!(
        written(&spans(None)),
        ["2026-01-12T07:00:00Z/2026-01-12T09:00:00Z"]
    );
    assert_eq!(
        written(&spans(Some((
            at("2026-01-12T03:00:00Z"),
            at("2026-01-12T05:30:00Z")
        )))),
        [
            "2026-01-12T05:00:00Z/2026-01-12T05:30:00Z",
            "2026-01-12T07:00:00Z/2026-01-12T09:00:00Z"
        ]
    );
    // Upside down: no invitation at all.
    assert_eq!(
        spans(Some((to, from))),
        spans(None),
        "an invitation that ends before it begins"
    );
    // Nobody knows the zone: only the invitation counts.
    let invited = Some((at("2026-01-12T05:00:00Z"), at("2026-01-12T06:00:00Z")));
    assert_eq!(
        written(&dialable_spans(&office, &day, &[], invited, from, to)),
        ["2026-01-12T05:00:00Z/2026-01-12T06:00:00Z"]
    );
}

#[test]
fn spans_are_bounded_at_both_ends_of_the_calendar() {
    let always = hours("24/7", "Pacific/Apia");
    let day = PermittedHours::default();
    let zones = [tz("Pacific/Apia"), tz("America/New_York")];
    for from in [Timestamp::MIN, at("2026-01-01T00:00:00Z"), Timestamp::MAX] {
        let spans = dialable_spans(&always, &day, &zones, None, from, Timestamp::MAX);
        assert!(spans.len() <= 2 * usize::from(LOOK_AHEAD_DAYS), "{from}");
    }
}

/// Daylight saving time begins and ends, or a calendar leaves out a day: an instant close to it.
const JUMPS: [(&str, &str); 14] = [
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Europe/Berlin", "2027-03-28T01:00:00Z"),
    ("Europe/Berlin", "2027-10-31T01:00:00Z"),
    ("Asia/Kolkata", "2026-03-29T00:00:00Z"),
    ("Asia/Kolkata", "2026-10-25T00:00:00Z"),
    ("Africa/Casablanca", "2026-02-15T02:00:00Z"),
    ("Africa/Casablanca", "2026-03-22T02:00:00Z"),
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("America/Sao_Paulo", "2019-02-17T02:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("Asia/Beirut", "2026-03-28T22:00:00Z"),
];

/// Quarter hours, so that a boundary of one clock is a boundary of every clock.
fn quarter() -> impl Strategy<Value = i8> {
    (0i8..4).prop_map(|quarter| quarter * 15)
}

proptest! {
    /// The spans are cut out of pieces of fixed offset; here every five minutes are asked by the
    /// clock on the wall, which knows nothing of offsets.
    #[test]
    fn permitted_spans_are_what_the_clock_on_the_wall_says(
        jump in 0..JUMPS.len(),
        other in proptest::option::of(0..JUMPS.len()),
        start in 0i8..23, start_minute in quarter(),
        length in 1i8..24, end_minute in quarter(),
        lead in 0i64..36,
    ) {
        let end = (start + length).min(23);
        prop_assume!((start, start_minute) < (end, end_minute));
        let hours = permitted((start, start_minute), (end, end_minute));
        let mut zones = vec![tz(JUMPS[jump].0)];
        zones.extend(other.map(|other| tz(JUMPS[other].0)));
        let from = at(JUMPS[jump].1) - SignedDuration::from_hours(lead);
        let to = from + SignedDuration::from_hours(60);
        let spans = permitted_spans(&hours, &zones, from, to);
        let mut step = from;
        while step < to {
            let wall = zones.iter().all(|zone| {
                let wall = zone.to_datetime(step).time();
                hours.from() <= wall && wall < hours.to()
            });
            prop_assert_eq!(contains(&spans, step), wall, "{}", step);
            prop_assert_eq!(permitted_at(step, &zones, &hours, false).is_ok(), wall, "{}", step);
            step += SignedDuration::from_mins(5);
        }
    }

}

proptest! {
    // Each case asks some seven hundred times, and the evaluator of hours takes its time.
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// What is planned is what the guards allow: never outside hours, never in the customer's
    /// night, and nothing left out.
    #[test]
    fn dialable_spans_are_what_the_guards_allow(
        queue in 0..JUMPS.len(), customer in 0..JUMPS.len(),
        rules in prop_oneof![
            Just("Mo-Fr 09:00-17:00"), Just("22:00-03:15"), Just("24/7"),
            Just("Sa-Su 01:00-02:15,02:45-04:00"), Just("Mo-Su 00:30-23:45"),
        ],
        invited in proptest::option::of((0i64..50, 1i64..20)),
        lead in 0i64..36,
    ) {
        let open = hours(rules, JUMPS[queue].0);
        let day = PermittedHours::default();
        let zones = [tz(JUMPS[customer].0)];
        let from = at(JUMPS[queue].1) - SignedDuration::from_hours(lead);
        let to = from + SignedDuration::from_hours(60);
        let invited = invited.map(|(start, length)| {
            let start = from + SignedDuration::from_hours(start);
            (start, start + SignedDuration::from_hours(length))
        });
        let spans = dialable_spans(&open, &day, &zones, invited, from, to);
        let mut before = from;
        for (index, (start, end)) in spans.iter().enumerate() {
            prop_assert!(start < end && *end <= to);
            prop_assert!(*start > before || (index == 0 && *start == before));
            before = *end;
        }
        let mut step = from;
        while step < to {
            let asked = invited.is_some_and(|(start, end)| start <= step && step < end);
            let allowed = open.is_open(step) && permitted_at(step, &zones, &day, asked).is_ok();
            prop_assert_eq!(contains(&spans, step), allowed, "{}", step);
            step += SignedDuration::from_mins(5);
        }
    }

}

proptest! {
    #[test]
    fn sets_of_spans(
        one in proptest::collection::vec((0i64..200, 1i64..30), 0..8),
        other in proptest::collection::vec((0i64..200, 1i64..30), 0..8),
    ) {
        let second = |n: i64| Timestamp::from_second(n).unwrap();
        let list = |written: &[(i64, i64)]| {
            let spans: Vec<_> = written.iter().map(|(s, l)| (second(*s), second(s + l))).collect();
            unite(&spans, &[])
        };
        let (a, b) = (list(&one), list(&other));
        let in_list = |written: &[(i64, i64)], n: i64| written.iter().any(|(s, l)| (*s..s + l).contains(&n));
        let (both, either) = (intersect(&a, &b), unite(&a, &b));
        for n in 0..240 {
            prop_assert_eq!(contains(&both, second(n)), in_list(&one, n) && in_list(&other, n));
            prop_assert_eq!(contains(&either, second(n)), in_list(&one, n) || in_list(&other, n));
        }
    }
}
