//! Opening hours against a plain oracle, on random weeks and close to the jumps of clocks.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

const ZONES: [&str; 7] = [
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Beirut",
    "America/Santiago",
    "Africa/Casablanca",
    "Asia/Kathmandu",
];

const DAYS: [&str; 7] = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"];

/// Weekly hours told twice: as text, and as minutes per weekday (Monday first).
#[derive(Clone, Debug)]
struct Week {
    text: String,
    days: [Vec<Minutes>; 7],
}

fn week() -> impl Strategy<Value = Week> {
    let day = proptest::collection::vec((0..1440u16, 1..1500u16), 0..3);
    proptest::array::uniform7(day).prop_map(|spans| {
        let mut text = Vec::new();
        let mut days: [Vec<Minutes>; 7] = Default::default();
        for (index, spans) in spans.into_iter().enumerate() {
            let mut times = Vec::new();
            for (start, length) in spans {
                // Not beyond the same time of the next day, which the syntax cannot say.
                let end = (start + length).min(start + 1439);
                days[index].push(start..end);
                let written = if end > 1440 { end - 1440 } else { end };
                times.push(format!(
                    "{:02}:{:02}-{:02}:{:02}",
                    start / 60,
                    start % 60,
                    written / 60,
                    written % 60
                ));
            }
            if !times.is_empty() {
                text.push(format!("{} {}", DAYS[index], times.join(",")));
            }
        }
        if text.is_empty() {
            text.push("off".into());
        }
        Week {
            text: text.join("; "),
            days,
        }
    })
}

impl Week {
    fn contains(&self, wall: jiff::civil::DateTime) -> bool {
        let today = usize::try_from(wall.weekday().to_monday_zero_offset()).unwrap();
        let minute = u16::try_from(i32::from(wall.hour()) * 60 + i32::from(wall.minute())).unwrap();
        let yesterday = (today + 6) % 7;
        self.days[today].iter().any(|m| m.contains(&minute))
            || self.days[yesterday]
                .iter()
                .any(|m| m.contains(&(minute + 1440)))
    }
}

/// Whether a clock in this zone jumps within a day of `at`.
fn near_a_jump(zone: &Zone, at: Timestamp) -> bool {
    let day = SignedDuration::from_hours(26);
    zone.tz().to_offset(at - day) != zone.tz().to_offset(at + day)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// The oracle reads the clock on the wall. In the days around a fold it may differ, see below.
    #[test]
    fn open_exactly_when_the_clock_on_the_wall_says_so(
        week in week(), zone in 0..ZONES.len(),
        seconds in proptest::collection::vec(1_700_000_000i64..1_900_000_000, 20),
    ) {
        let hours = hours(&week.text, ZONES[zone]);
        for second in seconds {
            let now = Timestamp::from_second(second).unwrap();
            if near_a_jump(hours.zone(), now) { continue; }
            let wall = hours.zone().tz().to_datetime(now);
            prop_assert_eq!(hours.is_open(now), week.contains(wall), "{} at {}", &week.text, wall);
        }
    }

    /// On the day a clock goes forward there is nothing ambiguous: never open outside hours.
    #[test]
    fn never_open_outside_hours_when_the_clock_goes_forward(
        week in week(), which in 0..6usize, minute in 0..2880i64,
    ) {
        let (zone, jump) = [
            ("Europe/Paris", "2027-03-28T01:00:00Z"),
            ("America/New_York", "2026-03-08T07:00:00Z"),
            ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
            ("Asia/Beirut", "2026-03-28T22:00:00Z"),
            ("America/Santiago", "2026-09-06T04:00:00Z"),
            ("Pacific/Apia", "2011-12-30T10:00:00Z"),
        ][which];
        let hours = hours(&week.text, zone);
        let now = at(jump) + SignedDuration::from_mins(minute - 1440);
        let wall = hours.zone().tz().to_datetime(now);
        // Apia's missing Friday leaves no evening to spill over into Saturday.
        let spilled = zone == "Pacific/Apia" && week.days[4].iter().any(|m| m.end > 1440);
        if !spilled {
            prop_assert_eq!(hours.is_open(now), week.contains(wall), "{} at {}", &week.text, wall);
        }
    }

    /// On the day a clock goes back, wall times that occur once are as on any other day.
    #[test]
    fn open_as_usual_outside_the_repeated_hour(
        week in week(), which in 0..5usize, minute in 0..2880i64,
    ) {
        let (zone, jump) = [
            ("Europe/Paris", "2027-10-31T01:00:00Z"),
            ("America/New_York", "2026-11-01T06:00:00Z"),
            ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
            ("Asia/Beirut", "2026-10-24T21:00:00Z"),
            ("America/Santiago", "2026-04-05T03:00:00Z"),
        ][which];
        let hours = hours(&week.text, zone);
        let now = at(jump) + SignedDuration::from_mins(minute - 1440);
        let wall = hours.zone().tz().to_datetime(now);
        if !hours.zone().tz().to_ambiguous_timestamp(wall).is_ambiguous() {
            prop_assert_eq!(hours.is_open(now), week.contains(wall), "{} at {}", &week.text, wall);
        }
    }

    #[test]
    fn the_next_opening_is_open_and_nothing_before_it_is(
        week in week(), zone in 0..ZONES.len(), second in 1_700_000_000i64..1_900_000_000,
    ) {
        let hours = hours(&week.text, ZONES[zone]);
        let now = Timestamp::from_second(second).unwrap();
        let state = hours.state(now);
        prop_assert_eq!(state.open, hours.is_open(now));
        match hours.next_open(now) {
            Some(next) => {
                prop_assert!(next >= now);
                prop_assert!(hours.is_open(next));
                prop_assert_eq!(state.open, next == now);
                if next > now {
                    prop_assert_eq!(state.until, Some(next));
                    prop_assert!(!hours.is_open(next - SignedDuration::from_nanos(1)));
                    prop_assert!(hours.open_between(now, next).is_empty());
                }
                // A later question never gets an earlier answer.
                let later = now + SignedDuration::from_mins(37);
                prop_assert!(hours.next_open(later).is_none_or(|n| n >= next));
            }
            None => prop_assert!(!state.open && state.until.is_none()),
        }
        if let (true, Some(until)) = (state.open, state.until) {
            prop_assert!(hours.is_open(until - SignedDuration::from_nanos(1)));
            prop_assert!(!hours.is_open(until));
        }
    }

    #[test]
    fn stretches_are_in_order_apart_and_inside(
        week in week(), zone in 0..ZONES.len(), second in 1_700_000_000i64..1_900_000_000,
        length in 0..2_000_000i64,
    ) {
        let hours = hours(&week.text, ZONES[zone]);
        let from = Timestamp::from_second(second).unwrap();
        let to = from + SignedDuration::from_secs(length);
        let stretches = hours.open_between(from, to);
        for (start, end) in &stretches {
            prop_assert!(from <= *start && start < end && *end <= to);
            prop_assert!(hours.is_open(*start));
            prop_assert!(hours.is_open(*end - SignedDuration::from_nanos(1)));
        }
        for pair in stretches.windows(2) {
            prop_assert!(pair[0].1 < pair[1].0);
        }
    }

    /// For hours that do not pass midnight our splitting changes nothing the crate would say.
    #[test]
    fn the_crates_own_evaluator_agrees(
        rules in proptest::collection::vec(
            (proptest::option::of((0..7usize, 0..7usize)), 0..1380u16, 1..60u16, 0..4u8), 1..6),
        second in 1_700_000_000i64..1_900_000_000,
    ) {
        let mut text = Vec::new();
        for (days, start, length, kind) in rules {
            let end = start + length;
            let days = days.map(|(a, b)| format!("{}-{} ", DAYS[a], DAYS[b])).unwrap_or_default();
            let times = format!("{:02}:{:02}-{:02}:{:02}", start / 60, start % 60, end / 60, end % 60);
            text.push(match kind {
                0 | 1 => format!("{days}{times}"),
                2 => format!("{days}{times} off"),
                _ => format!("{}off", if days.is_empty() { "Su " } else { &days }),
            });
        }
        let text = text.join("; ");
        let ours = hours(&text, "UTC");
        let theirs: opening_hours::OpeningHours = text.parse().unwrap();
        let now = Timestamp::from_second(second).unwrap();
        let wall = jiff::tz::TimeZone::UTC.to_datetime(now);
        let naive = rules::to_chrono(wall.date()).unwrap()
            .and_hms_opt(wall.hour() as u32, wall.minute() as u32, 0).unwrap();
        prop_assert_eq!(ours.is_open(now), theirs.is_open(naive), "{} at {}", text, naive);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,80}", exception in "\\PC{0,20}") {
        let mut config = config(&text, "Europe/Paris");
        config.exceptions = vec![open_on(date(2026, 6, 1), &exception)];
        if let Ok(hours) = Hours::parse(&config) {
            let _ = hours.state(at("2026-06-01T10:00:00Z"));
        }
    }

    #[test]
    fn no_text_that_looks_right_panics(
        parts in proptest::collection::vec(proptest::sample::select(vec![
            "Mo", "Fr", "Sa[1]", "Su[-1]", "-", ",", " ", ";", "; ", " || ", "09:00-17:00", "22:00-02:00",
            "24/7", "off", "PH", "SH", "Jan", "Dec 24", "easter", "week 1-52/2", "2026", "2026+", "00:00-48:00",
            "+1 day", "-2 days", "sunrise", "\"x\"", "closed", "unknown", "26:00-28:00", "10:00+", "29",
        ]), 0..9),
        second in 0i64..7_000_000_000,
    ) {
        let text = parts.concat();
        for config in [config(&text, "Europe/Paris"), french(&text)] {
            if let Ok(hours) = Hours::parse(&config) {
                let now = Timestamp::from_second(second).unwrap();
                let state = hours.state(now);
                prop_assert_eq!(state.open, hours.is_open(now), "{}", text);
                if let Some(next) = hours.next_open(now) {
                    prop_assert!(hours.is_open(next), "{}", text);
                }
            }
        }
    }
}
