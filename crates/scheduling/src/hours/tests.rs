//! Opening hours by tables of cases, on the days that clocks jump, and against a plain oracle.

use jiff::SignedDuration;
use jiff::civil::date;
use proptest::prelude::*;

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
        opening_hours: None,
        note: None,
    }
}

fn open_on(date: Date, opening_hours: &str) -> Exception {
    Exception {
        date,
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
        let error = Hours::new(&config, now).unwrap_err();
        assert_eq!(*error.fault(), HoursFault::NeverOpen, "{rules}");
        assert_eq!(error.field(), "opening_hours");
        // What was fine when it was written can still be read.
        let hours = Hours::parse(&config).unwrap();
        assert_eq!(hours.next_open(now), None);
        assert_eq!(hours.state(now).until, None);
        assert!(!hours.state(now).open);
    }
    assert!(Hours::new(&config("2027 Mo-Fr 09:00-17:00", "Europe/Paris"), now).is_ok());
    // An exception alone opens a place, too.
    let mut once = config("off", "Europe/Paris");
    once.exceptions
        .push(open_on(date(2026, 4, 1), "10:00-12:00"));
    let once = Hours::new(&once, now).unwrap();
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
fn what_cannot_be_meant_is_refused_with_its_field() {
    let field = |config: &HoursConfig| {
        let error = Hours::parse(config).unwrap_err();
        (error.field().to_owned(), error.fault().clone())
    };
    let paris = "Europe/Paris";
    let unsupported = |text| HoursFault::Unsupported(text);

    assert!(matches!(
        field(&config("Mo-Fr 09:00-17:00", "Europe/Atlantis")),
        (f, HoursFault::Zone(_)) if f == "time_zone"
    ));
    for text in [
        "Mo-Fr 9-17",
        "PH,Dec 24 off",
        "",
        "   ",
        "nonsense",
        "Mo-Fr 09:00-17:00; ;",
    ] {
        let (name, fault) = field(&config(text, paris));
        assert_eq!(name, "opening_hours", "{text}");
        assert!(
            matches!(fault, HoursFault::Syntax { .. }),
            "{text}: {fault:?}"
        );
    }
    let caret = Hours::parse(&config("Mo-Fr 09:00-25:99", paris))
        .unwrap_err()
        .to_string();
    assert!(
        caret.starts_with("opening_hours:\n") && caret.contains('^'),
        "{caret}"
    );

    let faults = [
        (
            config("PH off", paris),
            HoursFault::HolidayRuleWithoutHolidays,
        ),
        (
            config("Mo-Fr 09:00-17:00; SH off", paris),
            HoursFault::SchoolHolidays,
        ),
        (french("Mo-Fr 09:00-17:00"), HoursFault::HolidaysWithoutRule),
        (
            french("Mo-Fr 09:00-17:00; PH off; Jul-Aug Fr 09:00-16:00"),
            HoursFault::ReopensHoliday {
                rule: "Jul-Aug Fr 09:00-16:00".into(),
            },
        ),
        (
            french("Mo-Fr 09:00-17:00; PH off, Sa 10:00-12:00"),
            HoursFault::ReopensHoliday {
                rule: "Sa 10:00-12:00".into(),
            },
        ),
        (
            french("Mo-Fr 09:00-17:00; PH off || 10:00-12:00"),
            HoursFault::ReopensHoliday {
                rule: "10:00-12:00".into(),
            },
        ),
        (
            config("Mo-Fr sunrise-sunset", paris),
            unsupported("times by the sun (dawn, sunrise, sunset, dusk)"),
        ),
        (
            config("Mo-Fr 10:00+", paris),
            unsupported("times without an end (10:00+)"),
        ),
        (
            config("Mo 22:00-02:00 || Su 10:00-12:00", paris),
            unsupported("times past midnight together with a fallback rule (||)"),
        ),
        (
            config(&"Mo 10:00-12:00; ".repeat(200), paris),
            HoursFault::TooLong { limit: 2000 },
        ),
    ];
    for (config, fault) in faults {
        assert_eq!(
            field(&config),
            ("opening_hours".into(), fault),
            "{}",
            config.opening_hours
        );
    }

    let with = |change: fn(&mut HoursConfig)| {
        let mut config = french("Mo-Fr 09:00-17:00; PH off");
        change(&mut config);
        field(&config)
    };
    let (name, fault) = with(|c| c.holidays.country = Some("fr".into()));
    assert_eq!(
        (name.as_str(), fault),
        ("holidays.country", HoursFault::UnknownCountry("fr".into()))
    );
    let (name, fault) = with(|c| c.holidays.dates = vec![date(2026, 6, 1), date(2026, 6, 1)]);
    assert_eq!(
        (name.as_str(), fault),
        (
            "holidays.dates[1]",
            HoursFault::DuplicateDate(date(2026, 6, 1))
        )
    );
    let (name, fault) = with(|c| c.holidays.region = Some("XX".into()));
    let unknown = HoursFault::UnknownRegion {
        country: "FR".into(),
        region: "XX".into(),
    };
    assert_eq!((name.as_str(), fault), ("holidays.region", unknown));
    let (name, fault) = with(|c| {
        c.holidays.country = None;
        c.holidays.region = Some("57".into());
    });
    assert_eq!(
        (name.as_str(), fault),
        ("holidays.region", HoursFault::RegionWithoutCountry)
    );
    let (name, fault) = with(|c| c.holidays.country = Some("IN".into()));
    assert_eq!(
        (name.as_str(), fault),
        (
            "holidays.country",
            HoursFault::CountryWithoutHolidays("IN".into())
        )
    );
    let (name, _) = with(|c| c.holidays.dates = vec![date(9999, 6, 1)]);
    assert_eq!(name, "holidays.dates[0]");
    let (name, fault) = with(|c| {
        c.exceptions = vec![
            closed_on(date(2026, 6, 1)),
            open_on(date(2026, 6, 1), "10:00-12:00"),
        ];
    });
    assert_eq!(
        (name.as_str(), fault),
        (
            "exceptions[1].date",
            HoursFault::DuplicateDate(date(2026, 6, 1))
        )
    );
    for text in [
        "Mo 10:00-12:00",
        "10:00-12:00; 13:00-14:00",
        "10:00-12:00 unknown",
        "PH off",
    ] {
        let mut config = config("Mo-Fr 09:00-17:00", paris);
        config.exceptions = vec![closed_on(date(2026, 5, 1)), open_on(date(2026, 6, 1), text)];
        assert_eq!(
            field(&config),
            (
                "exceptions[1].opening_hours".into(),
                HoursFault::ExceptionForm
            ),
            "{text}"
        );
    }
    let mut config = config("Mo-Fr 09:00-17:00", paris);
    config.exceptions = vec![open_on(date(2026, 6, 1), "10-12")];
    assert!(matches!(field(&config).1, HoursFault::Syntax { .. }));
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
fn the_written_form() {
    let text = r#"{
        "opening_hours": "Mo-Fr 09:00-17:00; PH off",
        "time_zone": "Europe/Paris",
        "holidays": {"country": "FR", "dates": ["2026-12-24"]},
        "exceptions": [{"date": "2026-12-31", "opening_hours": "09:00-12:00", "note": "Stocktaking"}]
    }"#;
    let config: HoursConfig = serde_json::from_str(text).unwrap();
    assert!(Hours::parse(&config).is_ok());
    let again = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<HoursConfig>(&again).unwrap(), config);
    for wrong in [
        r#"{"opening_hours":"24/7","time_zone":"UTC","tz":"UTC"}"#,
        r#"{"opening_hours":"24/7"}"#,
        r#"{"opening_hours":"24/7","time_zone":"UTC","holidays":{"land":"FR"}}"#,
        r#"{"opening_hours":"24/7","time_zone":"UTC","exceptions":[{"date":"2026-13-01"}]}"#,
        r#"{"opening_hours":"24/7","time_zone":"UTC","exceptions":[{"date":"2026-12-01","hours":"off"}]}"#,
    ] {
        assert!(
            serde_json::from_str::<HoursConfig>(wrong).is_err(),
            "{wrong}"
        );
    }
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
