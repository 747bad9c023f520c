//! Opening hours by tables of cases, on the days that clocks jump.

mod oracle;
mod refused;

use jiff::SignedDuration;
use jiff::civil::date;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// An instant told as wall time in a zone, like `2026-03-09T09:00[Europe/Paris]`.
fn wall(text: &str) -> Timestamp {
    let zoned: jiff::Zoned = text.parse().unwrap();
    zoned.timestamp()
}

fn config(opening_hours: &str, time_zone: &str) -> HoursConfig {
    HoursConfig {
        opening_hours: opening_hours.into(),
        time_zone: time_zone.into(),
        holidays: HolidayConfig::default(),
        exceptions: Vec::new(),
    }
}

fn hours(opening_hours: &str, time_zone: &str) -> Hours {
    Hours::parse(&config(opening_hours, time_zone)).unwrap()
}

fn french(opening_hours: &str) -> HoursConfig {
    HoursConfig {
        holidays: HolidayConfig {
            country: Some("FR".into()),
            ..HolidayConfig::default()
        },
        ..config(opening_hours, "Europe/Paris")
    }
}

fn closed_on(date: Date) -> Exception {
    Exception {
        date,
        until: None,
        opening_hours: None,
        note: None,
    }
}

fn open_on(date: Date, opening_hours: &str) -> Exception {
    Exception {
        date,
        until: None,
        opening_hours: Some(opening_hours.into()),
        note: None,
    }
}

#[test]
fn state_and_next_change() {
    let office = "Mo-Fr 09:00-12:00,13:00-17:00; PH off";
    // rules, now on the clock in Paris, open, holiday, until
    let cases = [
        (
            office,
            "2026-03-09T08:59:59",
            false,
            false,
            Some("2026-03-09T09:00"),
        ),
        (
            office,
            "2026-03-09T09:00:00",
            true,
            false,
            Some("2026-03-09T12:00"),
        ),
        (
            office,
            "2026-03-09T11:59:59",
            true,
            false,
            Some("2026-03-09T12:00"),
        ),
        (
            office,
            "2026-03-09T12:00:00",
            false,
            false,
            Some("2026-03-09T13:00"),
        ),
        (
            office,
            "2026-03-09T17:00:00",
            false,
            false,
            Some("2026-03-10T09:00"),
        ),
        (
            office,
            "2026-03-13T18:00:00",
            false,
            false,
            Some("2026-03-16T09:00"),
        ),
        // Easter Monday 2026 is 6 April; Labour Day a Friday.
        (
            office,
            "2026-04-03T18:00:00",
            false,
            false,
            Some("2026-04-07T09:00"),
        ),
        (
            office,
            "2026-04-06T10:00:00",
            false,
            true,
            Some("2026-04-07T09:00"),
        ),
        (
            office,
            "2026-05-01T10:00:00",
            false,
            true,
            Some("2026-05-04T09:00"),
        ),
        (
            "24/7; PH off",
            "2026-04-30T10:00:00",
            true,
            false,
            Some("2026-05-01T00:00"),
        ),
        (
            "24/7; PH off",
            "2026-05-01T10:00:00",
            false,
            true,
            Some("2026-05-02T00:00"),
        ),
        // A rule that names holidays may open on them.
        (
            "Mo-Fr 09:00-17:00; PH 10:00-12:00",
            "2026-05-01T10:00:00",
            true,
            true,
            Some("2026-05-01T12:00"),
        ),
        (
            "Mo-Fr 09:00-17:00; PH off; Dec 24 off",
            "2026-12-23T18:00:00",
            false,
            false,
            Some("2026-12-28T09:00"),
        ),
        // Adjacent hours are one stretch, over midnight too.
        (
            "Mo-Su 00:00-12:00,12:00-24:00; PH off",
            "2026-04-29T00:00:00",
            true,
            false,
            Some("2026-05-01T00:00"),
        ),
        // A night shift belongs to the evening it began on.
        (
            "Mo-Fr 22:00-02:00; PH off",
            "2026-03-10T00:30:00",
            true,
            false,
            Some("2026-03-10T02:00"),
        ),
        (
            "Mo-Fr 22:00-02:00; PH off",
            "2026-03-14T01:59:00",
            true,
            false,
            Some("2026-03-14T02:00"),
        ),
        (
            "Mo-Fr 22:00-02:00; PH off",
            "2026-03-09T00:30:00",
            false,
            false,
            Some("2026-03-09T22:00"),
        ),
        // ... so the night after a holiday's evening is closed, and so is the holiday's own first hour.
        (
            "Mo-Su 22:00-02:00; PH off",
            "2026-04-30T23:00:00",
            true,
            false,
            Some("2026-05-01T00:00"),
        ),
        (
            "Mo-Su 22:00-02:00; PH off",
            "2026-05-01T00:30:00",
            false,
            true,
            Some("2026-05-02T22:00"),
        ),
        (
            "Mo-Su 22:00-02:00; PH off",
            "2026-05-02T00:30:00",
            false,
            false,
            Some("2026-05-02T22:00"),
        ),
        // "By appointment" is not open.
        (
            "Mo-Fr 09:00-17:00; Sa unknown; PH off",
            "2026-03-14T10:00:00",
            false,
            false,
            Some("2026-03-16T09:00"),
        ),
    ];
    for (rules, now, open, holiday, until) in cases {
        let hours = Hours::parse(&french(rules)).unwrap();
        let in_paris = |text: &str| wall(&format!("{text}[Europe/Paris]"));
        let expected = HoursState {
            open,
            holiday,
            until: until.map(in_paris),
        };
        assert_eq!(hours.state(in_paris(now)), expected, "{rules} at {now}");
        assert_eq!(hours.is_open(in_paris(now)), open, "{rules} at {now}");
        let next = if open {
            Some(in_paris(now))
        } else {
            expected.until
        };
        assert_eq!(hours.next_open(in_paris(now)), next, "{rules} at {now}");
    }
}

#[test]
fn always_and_never() {
    let now = at("2026-03-09T14:00:00Z");
    let always = hours("24/7", "Europe/Paris");
    let state = always.state(now);
    assert!(state.open);
    assert_eq!(state.until, None);
    assert_eq!(always.next_open(now), Some(now));
    assert_eq!(
        always.open_between(now, now + SignedDuration::from_hours(2)),
        [(now, now + SignedDuration::from_hours(2))]
    );

    // Open every day, though not in one rule, is as good as always.
    let pieced = hours("Mo-Fr 00:00-24:00; Sa,Su 00:00-24:00", "Europe/Paris");
    assert_eq!(pieced.state(now).until, None);
    assert!(pieced.state(now).open);

    for rules in [
        "off",
        "2020 Mo-Fr 09:00-17:00",
        "24/7; Mo-Su off",
        "2030 Mo-Fr 09:00-17:00",
    ] {
        let config = config(rules, "Europe/Paris");
        let error = Hours::new(&config, &Almanac::default(), now).unwrap_err();
        assert_eq!(*error.fault(), HoursFault::NeverOpen, "{rules}");
        assert_eq!(error.field(), "opening_hours");
        // What was fine when it was written can still be read.
        let hours = Hours::parse(&config).unwrap();
        assert_eq!(hours.next_open(now), None);
        assert_eq!(hours.state(now).until, None);
        assert!(!hours.state(now).open);
    }
    assert!(
        Hours::new(
            &config("2027 Mo-Fr 09:00-17:00", "Europe/Paris"),
            &Almanac::default(),
            now
        )
        .is_ok()
    );
    // An exception alone opens a place, too.
    let mut once = config("off", "Europe/Paris");
    once.exceptions
        .push(open_on(date(2026, 4, 1), "10:00-12:00"));
    let once = Hours::new(&once, &Almanac::default(), now).unwrap();
    assert_eq!(
        once.next_open(now),
        Some(wall("2026-04-01T10:00[Europe/Paris]"))
    );
}

#[test]
fn exceptions_take_the_place_of_the_rules() {
    let mut config = config("Mo-Sa 22:00-02:00", "Europe/Paris");
    config.exceptions = vec![
        closed_on(date(2026, 3, 11)),              // Wednesday
        open_on(date(2026, 3, 13), "10:00-12:00"), // Friday
        open_on(date(2026, 3, 15), "20:00-01:00"), // Sunday
        open_on(date(2026, 3, 18), "off"),         // Wednesday again, said the other way
        open_on(date(2026, 3, 20), "14:00-15:00,08:00-09:00"),
    ];
    let hours = Hours::parse(&config).unwrap();
    let open: Vec<String> = hours
        .open_between(
            wall("2026-03-10T12:00[Europe/Paris]"),
            wall("2026-03-21T12:00[Europe/Paris]"),
        )
        .into_iter()
        .map(|(a, b)| {
            let zone = hours.zone().tz();
            let (a, b) = (zone.to_datetime(a), zone.to_datetime(b));
            format!(
                "{} {}-{} {}",
                a.day(),
                a.strftime("%H:%M"),
                b.day(),
                b.strftime("%H:%M")
            )
        })
        .collect();
    assert_eq!(
        open,
        [
            "10 22:00-11 00:00", // the closed Wednesday begins at its midnight
            "12 22:00-13 02:00", // the evening before an exception with hours ends as usual
            "13 10:00-13 12:00", // and Friday's own night is gone
            "14 22:00-15 02:00",
            "15 20:00-16 01:00",
            "16 22:00-17 02:00",
            "17 22:00-18 00:00",
            "19 22:00-20 02:00",
            "20 08:00-20 09:00",
            "20 14:00-20 15:00",
        ]
    );
}

#[test]
fn days_of_23_and_25_hours() {
    // zone, rules, day, the stretches of that day in UTC
    type Stretches = &'static [(&'static str, &'static str)];
    let cases: [(&str, &str, &str, Stretches); 20] = [
        // Forward at 02:00 to 03:00.
        (
            "Europe/Paris",
            "00:00-24:00",
            "2027-03-28",
            &[("2027-03-27T23:00", "2027-03-28T22:00")],
        ),
        (
            "Europe/Paris",
            "01:00-05:00",
            "2027-03-28",
            &[("2027-03-28T00:00", "2027-03-28T03:00")],
        ),
        ("Europe/Paris", "02:00-03:00", "2027-03-28", &[]),
        (
            "Europe/Paris",
            "02:30-05:00",
            "2027-03-28",
            &[("2027-03-28T01:00", "2027-03-28T03:00")],
        ),
        (
            "Europe/Paris",
            "01:00-02:30",
            "2027-03-28",
            &[("2027-03-28T00:00", "2027-03-28T01:00")],
        ),
        (
            "Europe/Paris",
            "09:00-17:00",
            "2027-03-28",
            &[("2027-03-28T07:00", "2027-03-28T15:00")],
        ),
        // Back at 03:00 to 02:00: an hour more.
        (
            "Europe/Paris",
            "00:00-24:00",
            "2027-10-31",
            &[("2027-10-30T22:00", "2027-10-31T23:00")],
        ),
        (
            "Europe/Paris",
            "01:00-05:00",
            "2027-10-31",
            &[("2027-10-30T23:00", "2027-10-31T04:00")],
        ),
        (
            "Europe/Paris",
            "01:00-02:30",
            "2027-10-31",
            &[("2027-10-30T23:00", "2027-10-31T00:30")],
        ),
        (
            "Europe/Paris",
            "02:30-04:00",
            "2027-10-31",
            &[("2027-10-31T00:30", "2027-10-31T03:00")],
        ),
        (
            "America/New_York",
            "01:00-05:00",
            "2026-03-08",
            &[("2026-03-08T06:00", "2026-03-08T09:00")],
        ),
        (
            "America/New_York",
            "01:00-05:00",
            "2026-11-01",
            &[("2026-11-01T05:00", "2026-11-01T10:00")],
        ),
        // Half an hour only.
        (
            "Australia/Lord_Howe",
            "01:00-05:00",
            "2026-10-04",
            &[("2026-10-03T14:30", "2026-10-03T18:00")],
        ),
        (
            "Australia/Lord_Howe",
            "01:00-05:00",
            "2026-04-05",
            &[("2026-04-04T14:00", "2026-04-04T18:30")],
        ),
        // At midnight: the day begins at one.
        (
            "Asia/Beirut",
            "00:00-24:00",
            "2026-03-29",
            &[("2026-03-28T22:00", "2026-03-29T21:00")],
        ),
        ("Asia/Beirut", "00:15-00:45", "2026-03-29", &[]),
        (
            "America/Santiago",
            "00:00-04:00",
            "2026-09-06",
            &[("2026-09-06T04:00", "2026-09-06T07:00")],
        ),
        // Midnight itself repeated: the evening before is longer.
        (
            "America/Santiago",
            "22:00-24:00",
            "2026-04-04",
            &[("2026-04-05T01:00", "2026-04-05T04:00")],
        ),
        // A day that never was, and a zone that does not move.
        ("Pacific/Apia", "09:00-17:00", "2011-12-30", &[]),
        (
            "Asia/Kathmandu",
            "09:00-17:00",
            "2026-03-29",
            &[("2026-03-29T03:15", "2026-03-29T11:15")],
        ),
    ];
    for (zone, rules, day, expected) in cases {
        let hours = hours(rules, zone);
        let expected: Vec<(Timestamp, Timestamp)> = expected
            .iter()
            .map(|(a, b)| (at(&format!("{a}:00Z")), at(&format!("{b}:00Z"))))
            .collect();
        assert_eq!(
            hours.day(day.parse().unwrap()),
            expected,
            "{zone} {rules} {day}"
        );
    }
}

#[test]
fn holidays_of_ones_own_add_to_the_countrys() {
    let mut config = french("Mo-Fr 09:00-17:00; PH off");
    config.holidays.dates = vec![date(2026, 3, 10)];
    let hours = Hours::parse(&config).unwrap();
    for (day, holiday) in [
        (date(2026, 3, 10), true),
        (date(2026, 7, 14), true),
        (date(2026, 3, 11), false),
    ] {
        assert_eq!(hours.is_holiday(day), holiday, "{day}");
        let noon = hours.zone().tz().to_timestamp(day.at(12, 0, 0, 0)).unwrap();
        assert_eq!(hours.is_open(noon), !holiday, "{day}");
    }
}

#[test]
fn a_region_has_holidays_of_its_own() {
    let mut config = config("Mo-Fr 09:00-17:00; PH off", "Europe/Berlin");
    config.holidays.country = Some("DE".into());
    // Epiphany 2026 is a Tuesday, and Bavaria's own.
    let noon = wall("2026-01-06T12:00[Europe/Berlin]");
    assert!(Hours::parse(&config).unwrap().is_open(noon));
    config.holidays.region = Some("BY".into());
    assert!(!Hours::parse(&config).unwrap().is_open(noon));
    config.holidays.region = Some("BE".into());
    assert!(Hours::parse(&config).unwrap().is_open(noon));
}

#[test]
fn the_ends_of_the_calendar_are_closed() {
    for hours in [
        hours("24/7", "Europe/Paris"),
        hours("Mo 10:00-12:00", "Pacific/Apia"),
    ] {
        for now in [
            Timestamp::MIN,
            Timestamp::MAX,
            at("2201-06-01T00:00:00Z"),
            at("1969-01-01T00:00:00Z"),
        ] {
            assert!(!hours.is_open(now));
            assert!(!hours.state(now).open);
            let _ = hours.next_open(now);
            let _ = hours.open_between(now, Timestamp::MAX);
            let _ = hours.open_between(Timestamp::MAX, now);
        }
    }
}
