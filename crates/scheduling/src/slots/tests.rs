//! Slots in tables and at random: where they begin, what they carry, and that nothing is sold twice.

use super::*;
use crate::duration::Span;
use crate::hours::HoursConfig;
use proptest::prelude::*;
use serde_json::{Value, json};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn plan_of(
    opening: &str,
    zone: &str,
    capacity: Value,
    booking: Value,
) -> Result<SlotPlan, Vec<SlotRuleError>> {
    let config: HoursConfig =
        serde_json::from_value(json!({ "opening_hours": opening, "time_zone": zone })).unwrap();
    let hours = Arc::new(Hours::parse(&config).unwrap());
    let capacity = serde_json::from_value(capacity).unwrap();
    let booking = serde_json::from_value(booking).unwrap();
    SlotPlan::new(hours, &capacity, &booking, at("2026-03-09T00:00:00Z"))
}

fn plan(opening: &str, zone: &str, capacity: Value, booking: Value) -> SlotPlan {
    plan_of(opening, zone, capacity, booking).expect("a good plan")
}

fn plain(booking: Value) -> SlotPlan {
    plan(
        "Mo-Fr 09:00-11:00",
        "UTC",
        json!({ "per_slot": 2 }),
        booking,
    )
}

fn wanted(from: &str, to: &str) -> Wanted<'static> {
    Wanted {
        from: at(from),
        to: at(to),
        permitted: None,
    }
}

const NOW: &str = "2026-03-09T08:00:00Z";

#[test]
fn slots_lie_within_hours_on_the_queues_clock() {
    let plan = plan(
        "Mo-Fr 09:05-10:20",
        "Asia/Kolkata",
        json!({ "per_slot": 2 }),
        json!({ "slot": "30m" }),
    );
    let slots = plan.slots(at("2026-03-09T00:00:00Z"), at("2026-03-11T00:00:00Z"));
    // Half past nine in Kolkata is four o'clock UTC; what does not fit whole is left out.
    let starts: Vec<String> = slots.iter().map(|slot| slot.start.to_string()).collect();
    assert_eq!(starts, ["2026-03-09T04:00:00Z", "2026-03-10T04:00:00Z"]);
    assert!(slots.iter().all(|slot| slot.total == 2));
}

#[test]
fn where_the_clock_jumps_slots_end() {
    // zone, length, moment, bounds
    let cases = [
        // Before the gap and after it.
        (
            "Europe/Paris",
            "15m",
            "2026-03-29T00:50:00Z",
            "2026-03-29T00:45:00Z",
            "2026-03-29T01:00:00Z",
        ),
        (
            "Europe/Paris",
            "15m",
            "2026-03-29T01:00:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T01:15:00Z",
        ),
        // From midnight to the gap, and from the gap (three o'clock) to four.
        (
            "Europe/Paris",
            "4h",
            "2026-03-28T23:30:00Z",
            "2026-03-28T23:00:00Z",
            "2026-03-29T01:00:00Z",
        ),
        (
            "Europe/Paris",
            "4h",
            "2026-03-29T01:30:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T02:00:00Z",
        ),
        // The repeated hour has its slots twice.
        (
            "Europe/Paris",
            "15m",
            "2026-10-25T00:10:00Z",
            "2026-10-25T00:00:00Z",
            "2026-10-25T00:15:00Z",
        ),
        (
            "Europe/Paris",
            "15m",
            "2026-10-25T01:10:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:15:00Z",
        ),
        (
            "Europe/Paris",
            "2h",
            "2026-10-25T00:30:00Z",
            "2026-10-25T00:00:00Z",
            "2026-10-25T01:00:00Z",
        ),
        // Half an hour of summer time.
        (
            "Australia/Lord_Howe",
            "1h",
            "2026-10-03T15:20:00Z",
            "2026-10-03T14:30:00Z",
            "2026-10-03T15:30:00Z",
        ),
        (
            "Australia/Lord_Howe",
            "1h",
            "2026-10-03T15:40:00Z",
            "2026-10-03T15:30:00Z",
            "2026-10-03T16:00:00Z",
        ),
        // A day that never was.
        (
            "Pacific/Apia",
            "1h",
            "2011-12-30T09:30:00Z",
            "2011-12-30T09:00:00Z",
            "2011-12-30T10:00:00Z",
        ),
        (
            "Asia/Kolkata",
            "1h",
            "2026-03-09T04:29:59Z",
            "2026-03-09T03:30:00Z",
            "2026-03-09T04:30:00Z",
        ),
    ];
    for (zone, slot, moment, start, end) in cases {
        let plan = plan(
            "24/7",
            zone,
            json!({ "per_slot": 2 }),
            json!({ "slot": slot }),
        );
        assert_eq!(
            plan.bounds(at(moment)),
            (at(start), at(end)),
            "{zone} {slot} {moment}"
        );
    }
    // A slot cut short carries its part only.
    let lord = plan(
        "24/7",
        "Australia/Lord_Howe",
        json!({ "per_slot": 4 }),
        json!({ "slot": "1h" }),
    );
    let slots = lord.slots(at("2026-10-03T15:30:00Z"), at("2026-10-03T16:30:00Z"));
    assert_eq!(
        slots.iter().map(|slot| slot.total).collect::<Vec<_>>(),
        [2, 4]
    );
}

#[test]
fn capacity_follows_staff_and_handling() {
    let plan = plan(
        "24/7",
        "UTC",
        json!({ "weekly": [{ "days": "Mo-Su", "from": "09:00", "to": "09:40", "agents": 2 },
                           { "days": "Mo-Su", "from": "09:40", "to": "10:00", "agents": 1 }],
                "mean_talk": "4m", "mean_wrap": "46s", "reach": 1.0 }),
        json!({ "slot": "15m" }),
    );
    let slots = plan.slots(at("2026-03-09T08:45:00Z"), at("2026-03-09T10:15:00Z"));
    // 300 seconds for each: 0, 2×900/300, 6, (2×600+300)/300, 3, 0.
    assert_eq!(
        slots.iter().map(|slot| slot.total).collect::<Vec<_>>(),
        [0, 6, 6, 5, 3, 0]
    );
}

#[test]
fn what_is_wrong_is_named() {
    let week = json!({ "weekly": [{ "days": "Sa", "from": "09:00", "to": "17:00", "agents": 3 }] });
    let cases = [
        (
            json!({ "per_slot": 2 }),
            json!({ "slot": "4m" }),
            "booking.slot",
        ),
        (
            json!({ "per_slot": 2 }),
            json!({ "slot": "5h" }),
            "booking.slot",
        ),
        (
            json!({ "per_slot": 2 }),
            json!({ "slot": "7m" }),
            "booking.slot",
        ),
        (
            json!({ "per_slot": 2 }),
            json!({ "slot": "15m30s" }),
            "booking.slot",
        ),
        (
            json!({ "per_slot": 2 }),
            json!({ "horizon": "5m" }),
            "booking.horizon",
        ),
        (
            json!({ "per_slot": 2 }),
            json!({ "horizon": "1d", "notice": "1d" }),
            "booking.notice",
        ),
        (
            json!({ "per_slot": 2 }),
            json!({ "hold": "10s" }),
            "booking.hold",
        ),
        (
            json!({ "per_slot": 2 }),
            json!({ "per_day": 0 }),
            "booking.per_day",
        ),
        (json!({ "per_slot": 0 }), json!({}), "capacity.per_slot"),
        // Staff only when the queue is closed, talks longer than a slot, live calls that need everybody.
        (week, json!({}), "capacity.weekly"),
        (
            json!({ "weekly": [{ "days": "Mo", "from": "09:00", "to": "17:00", "agents": 1 }],
                    "mean_talk": "30m" }),
            json!({}),
            "capacity.weekly",
        ),
        (
            json!({ "weekly": [{ "days": "Mo", "from": "09:00", "to": "17:00", "agents": 2 }],
                    "live": { "forecast": [{ "days": "Mo-Su", "from": "00:00", "to": "24:00", "calls_per_hour": 90.0 }] } }),
            json!({}),
            "capacity.weekly",
        ),
    ];
    for (capacity, booking, field) in cases {
        let faults = plan_of(
            "Mo-Fr 09:00-11:00",
            "UTC",
            capacity.clone(),
            booking.clone(),
        )
        .unwrap_err();
        assert_eq!(faults[0].field, field, "{capacity} {booking}");
    }
}

#[test]
fn a_place_is_found_or_the_reason() {
    let plan = plain(json!({ "horizon": "3d", "notice": "30m", "per_day": 5, "per_customer": 2 }));
    let now = at("2026-03-09T09:10:00Z");
    let mut taken = Taken::default();
    taken.add(at("2026-03-09T10:00:00Z"), 2, 0);
    taken.add(at("2026-03-09T10:15:00Z"), 1, 1);
    let morning = at("2026-03-09T08:00:00Z")..at("2026-03-09T08:30:00Z");
    let early = [(morning.start, morning.end)];
    let cases: Vec<(Wanted<'_>, &Taken, Result<&str, NoPlace>)> = vec![
        (
            wanted("2026-03-09T10:30:00Z", "2026-03-09T10:45:00Z"),
            &taken,
            Ok("2026-03-09T10:30:00Z"),
        ),
        // The first that is free in a wide window.
        (
            wanted("2026-03-09T09:55:00Z", "2026-03-09T11:00:00Z"),
            &taken,
            Ok("2026-03-09T10:30:00Z"),
        ),
        // A window inside a slot.
        (
            wanted("2026-03-09T10:35:00Z", "2026-03-09T10:40:00Z"),
            &taken,
            Ok("2026-03-09T10:30:00Z"),
        ),
        // Rather a whole slot than the rest of one.
        (
            wanted("2026-03-09T10:35:00Z", "2026-03-09T11:00:00Z"),
            &taken,
            Ok("2026-03-09T10:45:00Z"),
        ),
        (
            wanted("2026-03-09T10:00:00Z", "2026-03-09T10:30:00Z"),
            &taken,
            Err(NoPlace::Full),
        ),
        (
            wanted("2026-03-09T09:15:00Z", "2026-03-09T09:30:00Z"),
            &taken,
            Err(NoPlace::Notice),
        ),
        (
            wanted("2026-03-09T12:00:00Z", "2026-03-09T13:00:00Z"),
            &taken,
            Err(NoPlace::NoSlot),
        ),
        (
            wanted("2026-03-13T09:00:00Z", "2026-03-13T10:00:00Z"),
            &taken,
            Err(NoPlace::Horizon),
        ),
        (
            Wanted {
                permitted: Some(&early),
                ..wanted("2026-03-09T10:00:00Z", "2026-03-10T08:00:00Z")
            },
            &taken,
            Err(NoPlace::NotPermitted),
        ),
    ];
    for (wanted, taken, expected) in cases {
        let found = plan.place(wanted, taken, now).map(|slot| slot.start);
        assert_eq!(found, expected.map(at), "{wanted:?}");
    }
    // A fifth on that day; then the day is full although the slot is not.
    taken.add(at("2026-03-09T09:00:00Z"), 1, 0);
    let rest = wanted("2026-03-09T10:30:00Z", "2026-03-09T11:00:00Z");
    assert_eq!(plan.place(rest, &taken, now), Err(NoPlace::PerDay));
    assert_eq!(
        plan.place(
            wanted("2026-03-09T10:30:00Z", "2026-03-10T11:00:00Z"),
            &taken,
            now
        )
        .unwrap()
        .start,
        at("2026-03-10T09:00:00Z")
    );
    taken.of_customer = 2;
    assert_eq!(plan.place(rest, &taken, now), Err(NoPlace::PerCustomer));
    let day = plan.reach(at("2026-03-09T10:30:00Z"), at("2026-03-09T10:40:00Z"));
    assert_eq!(
        day,
        (at("2026-03-09T00:00:00Z"), at("2026-03-10T00:00:00Z"))
    );
}

#[test]
fn the_nearest_before_and_after() {
    let plan = plain(json!({}));
    let mut taken = Taken::default();
    for start in ["2026-03-09T09:45:00Z", "2026-03-09T10:00:00Z"] {
        taken.add(at(start), 1, 1);
    }
    let near = |count, permitted: Option<&[(Timestamp, Timestamp)]>| -> Vec<String> {
        plan.nearest(
            at("2026-03-09T10:00:00Z"),
            count,
            permitted,
            &taken,
            at(NOW),
        )
        .iter()
        .map(|state| state.slot.start.to_string())
        .collect()
    };
    assert_eq!(
        near(3, None),
        [
            "2026-03-09T09:30:00Z",
            "2026-03-09T10:15:00Z",
            "2026-03-09T10:30:00Z"
        ]
    );
    // Over the night, and only where it is permitted.
    let tomorrow = [(at("2026-03-10T00:00:00Z"), at("2026-03-10T09:31:00Z"))];
    assert_eq!(
        near(9, Some(&tomorrow)),
        ["2026-03-10T09:00:00Z", "2026-03-10T09:15:00Z"]
    );
}

#[test]
fn what_is_left_is_shown() {
    let plan = plain(json!({ "per_day": 3 }));
    let mut taken = Taken::default();
    taken.add(at("2026-03-09T09:00:00Z"), 1, 1);
    // Taken when slots were cut otherwise: it still lies in the slot that is there now.
    taken.add(at("2026-03-09T09:20:00Z"), 0, 1);
    let states = plan.states(at(NOW), at("2026-03-09T09:45:00Z"), &taken, at(NOW));
    let shown: Vec<_> = states
        .iter()
        .map(|s| (s.slot.total, s.booked, s.held, s.free))
        .collect();
    assert_eq!(shown, [(2, 1, 1, 0), (2, 0, 1, 0), (2, 0, 0, 0)]);
    let tomorrow = plan.states(
        at("2026-03-10T00:00:00Z"),
        at("2026-03-10T09:15:00Z"),
        &taken,
        at(NOW),
    );
    assert_eq!(tomorrow[0].free, 2);
    // The past and what is beyond the horizon are not for sale.
    assert_eq!(
        plan.states(at("2026-03-01T00:00:00Z"), at(NOW), &taken, at(NOW)),
        []
    );
    assert_eq!(
        plan.states(
            at("2026-04-01T00:00:00Z"),
            at("2026-04-02T00:00:00Z"),
            &taken,
            at(NOW)
        ),
        []
    );
}

#[test]
fn a_year_of_slots_is_bounded() {
    let plan = plan(
        "24/7",
        "UTC",
        json!({ "per_slot": 1 }),
        json!({ "slot": "5m", "horizon": "366d" }),
    );
    let slots = plan.slots(at("2026-03-09T00:00:00Z"), at("2027-03-09T00:00:00Z"));
    assert_eq!(slots.len(), MOST_SLOTS);
    // A booking still finds the one place that is left at the end of a month.
    let mut taken = Taken::default();
    for slot in plan.weeks(at(NOW), at("2026-04-08T00:00:00Z")) {
        taken.add(slot.start, 1, 0);
    }
    let found = plan
        .place(wanted(NOW, "2026-05-01T00:00:00Z"), &taken, at(NOW))
        .unwrap();
    assert_eq!(found.start, at("2026-04-08T00:00:00Z"));
    let _ = plan.bounds(Timestamp::MIN);
    let _ = plan.bounds(Timestamp::MAX);
}

const ZONES: [&str; 6] = [
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Africa/Casablanca",
    "Pacific/Apia",
];

proptest! {
    #[test]
    fn bounds_hold_their_moment_and_meet(
        zone in 0usize..6, second in 1_200_000_000i64..2_000_000_000, length in 0usize..5,
    ) {
        let tz = Zone::parse(ZONES[zone]).unwrap();
        let length = Span::from_mins([5, 15, 20, 60, 240][length]);
        let moment = Timestamp::from_second(second).unwrap();
        let (start, end) = clock::bounds(moment, tz.tz(), length);
        prop_assert!(start <= moment && moment < end);
        prop_assert!(end.duration_since(start) <= length.as_signed());
        prop_assert_eq!(clock::bounds(start, tz.tz(), length), (start, end));
        let next = clock::bounds(end, tz.tz(), length);
        prop_assert_eq!(next.0, end);
        // Shorter only where the clock jumps.
        if end.duration_since(start) < length.as_signed() {
            let jump = tz.tz().following(start - SignedDuration::from_secs(1)).next().unwrap();
            prop_assert!(jump.timestamp() <= end);
        }
    }

    #[test]
    fn never_more_than_capacity_and_never_outside_hours(
        zone in 0usize..6, day in 0i64..700, per_slot in 1u32..4, per_day in proptest::option::of(1u32..9),
        asked in proptest::collection::vec((0i64..2_880, 1i64..400, any::<bool>()), 1..60),
    ) {
        let plan = plan(
            "Mo-Su 01:00-04:30", ZONES[zone], json!({ "per_slot": per_slot }),
            json!({ "slot": "30m", "per_day": per_day }),
        );
        let now = at("2026-01-01T00:00:00Z") + SignedDuration::from_hours(24 * day);
        let mut taken = Taken::default();
        let mut sold: BTreeMap<Timestamp, u32> = BTreeMap::new();
        for (begins, lasts, held) in asked {
            let from = now + SignedDuration::from_mins(begins);
            let want = Wanted { from, to: from + SignedDuration::from_mins(lasts), permitted: None };
            match plan.place(want, &taken, now) {
                Ok(slot) => {
                    prop_assert!(slot.start < want.to && slot.end > want.from);
                    taken.add(slot.start, u32::from(!held), u32::from(held));
                    *sold.entry(slot.start).or_default() += 1;
                }
                // A refusal for want of places is never wrong: the offered slots say the same.
                Err(NoPlace::Full | NoPlace::PerDay) => {
                    let states = plan.states(plan.bounds(from).0, want.to, &taken, now);
                    prop_assert!(states.iter().all(|state| state.free == 0));
                }
                Err(_) => {}
            }
        }
        let tz = plan.zone().tz().clone();
        let mut days: BTreeMap<Date, u32> = BTreeMap::new();
        for (start, count) in &sold {
            let slot = plan.slots(*start, *start + SignedDuration::from_secs(1));
            prop_assert_eq!(slot.len(), 1);
            prop_assert!(*count <= slot[0].total);
            for moment in [slot[0].start, slot[0].end - SignedDuration::from_nanos(1)] {
                prop_assert!(plan.hours.is_open(moment));
            }
            *days.entry(tz.to_datetime(*start).date()).or_default() += count;
        }
        if let Some(most) = per_day {
            prop_assert!(days.values().all(|count| *count <= most));
        }
    }
}
