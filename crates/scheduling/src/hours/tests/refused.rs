//! What cannot be meant is refused, with the field and the reason.

use jiff::civil::date;

use super::*;

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
fn exceptions_that_disagree_are_both_named() {
    let some = |first: (i16, i8, i8),
                until: Option<(i16, i8, i8)>,
                hours: Option<&str>,
                note: Option<&str>| {
        let day = |(y, m, d)| date(y, m, d);
        Exception {
            date: day(first),
            until: until.map(day),
            opening_hours: hours.map(str::to_owned),
            note: note.map(str::to_owned),
        }
    };
    let christmas = some((2026, 12, 20), Some((2027, 1, 3)), None, Some("Christmas"));
    let refused = |exceptions: Vec<Exception>| {
        let config = HoursConfig {
            exceptions,
            ..config("Mo-Fr 09:00-17:00", "Europe/Paris")
        };
        Hours::parse(&config)
            .map_err(|error| error.to_string())
            .err()
    };
    // exceptions, what is said
    let cases = [
        (
            vec![
                some((2026, 6, 1), None, None, None),
                some((2026, 6, 1), None, Some("10:00-12:00"), None),
            ],
            Some(
                "exceptions[1].date: exceptions[0] (2026-06-01: closed) and exceptions[1] (2026-06-01: \
                 10:00-12:00) disagree about 2026-06-01: leave one of them out",
            ),
        ),
        (
            vec![
                christmas.clone(),
                some((2026, 12, 24), None, Some("10:00-14:00"), Some("Eve")),
            ],
            Some(
                "exceptions[1].date: exceptions[0] (2026-12-20 to 2027-01-03: closed, \"Christmas\") and \
                 exceptions[1] (2026-12-24: 10:00-14:00, \"Eve\") disagree about 2026-12-24: leave one of them out",
            ),
        ),
        // Said twice, but the same: harmless.
        (
            vec![
                christmas.clone(),
                some((2026, 12, 25), None, None, Some("again")),
            ],
            None,
        ),
        (
            vec![
                some((2026, 6, 1), None, Some("10:00-12:00,13:00-14:00"), None),
                some((2026, 6, 1), None, Some("13:00-14:00,10:00-12:00"), None),
            ],
            None,
        ),
        (
            vec![
                christmas.clone(),
                some((2027, 1, 4), None, Some("10:00-14:00"), None),
            ],
            None,
        ),
        (
            vec![some((2026, 6, 2), Some((2026, 6, 1)), None, None)],
            Some("exceptions[0].until: 2026-06-01 is before 2026-06-02"),
        ),
        (
            vec![some((2026, 1, 1), Some((2027, 1, 2)), None, None)],
            Some(
                "exceptions[0].until: too many days: at most 366; put what lasts longer into opening_hours",
            ),
        ),
        (
            vec![some((2026, 1, 1), Some((9999, 1, 2)), None, None)],
            Some("exceptions[0].until: 9999-01-02 is out of range: years 1970 to 2200"),
        ),
    ];
    for (exceptions, expected) in cases {
        assert_eq!(refused(exceptions).as_deref(), expected);
    }
    let away = HoursConfig {
        exceptions: vec![christmas],
        ..config("24/7", "Europe/Paris")
    };
    let away = Hours::parse(&away).unwrap();
    for (noon, open) in [
        ("2026-12-19T12:00[Europe/Paris]", true),
        ("2026-12-20T12:00[Europe/Paris]", false),
        ("2027-01-03T12:00[Europe/Paris]", false),
        ("2027-01-04T12:00[Europe/Paris]", true),
    ] {
        assert_eq!(away.is_open(wall(noon)), open, "{noon}");
    }
}

#[test]
fn a_list_of_holidays_closes_its_days_and_must_be_known() {
    let list = crate::HolidayList::parse(b"2026-03-10 Founder's day").unwrap();
    let almanac = Almanac::default().with_list("company", list);
    let mut config = config("Mo-Fr 09:00-17:00; PH off", "Europe/Paris");
    config.holidays.lists = vec!["company".into()];
    let hours = Hours::parse_with(&config, &almanac).unwrap();
    assert!(!hours.is_open(wall("2026-03-10T12:00[Europe/Paris]")));
    assert!(hours.is_open(wall("2026-03-11T12:00[Europe/Paris]")));

    let error = Hours::parse(&config).unwrap_err();
    assert_eq!(
        error.to_string(),
        "holidays.lists[0]: no list of holidays \"company\" was read at the start ([holidays]); there is none"
    );
    config.holidays.lists = vec!["compny".into()];
    let error = Hours::parse_with(&config, &almanac).unwrap_err();
    assert!(error.to_string().ends_with("there are company"), "{error}");
}

#[test]
fn hours_that_never_open_are_refused_when_they_are_written() {
    let now = at("2026-03-01T00:00:00Z");
    let paris = "Europe/Paris";
    // rules, whether they are taken
    for (text, taken) in [
        ("off", false),
        ("Mo-Fr off", false),
        ("2024 Mo-Fr 09:00-17:00", false),
        ("2027 Dec 24 10:00-12:00", true),
        ("2029 Mo-Fr 09:00-17:00", false),
        ("Feb 29 10:00-12:00", true),
        ("Mo 09:00-10:00", true),
    ] {
        let config = config(text, paris);
        assert!(Hours::parse(&config).is_ok(), "{text}");
        let fault =
            Hours::new(&config, &Almanac::default(), now).map_err(|error| error.fault().clone());
        let expected = if taken {
            None
        } else {
            Some(HoursFault::NeverOpen)
        };
        assert_eq!(fault.err(), expected, "{text}");
    }
    // Open by the rules, and closed by the exceptions as far as anybody looks.
    let mut shut = config("2026 Jun 01-2026 Jun 03 10:00-12:00", paris);
    shut.exceptions = vec![Exception {
        until: Some(date(2026, 6, 3)),
        ..closed_on(date(2026, 6, 1))
    }];
    let error = Hours::new(&shut, &Almanac::default(), now).unwrap_err();
    assert_eq!(
        (error.field(), error.fault()),
        ("opening_hours", &HoursFault::NeverOpen)
    );
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
