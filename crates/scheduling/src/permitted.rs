//! The hours at which a person may be rung, on that person's own clock.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::spans::permitted_in;

/// From when until when on each day a person may be rung. The end itself is too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct PermittedHours {
    from: Time,
    to: Time,
}

impl PermittedHours {
    pub fn new(from: Time, to: Time) -> Result<PermittedHours, PermittedHoursError> {
        if from >= to {
            return Err(PermittedHoursError);
        }
        Ok(PermittedHours { from, to })
    }

    pub fn from(&self) -> Time {
        self.from
    }

    pub fn to(&self) -> Time {
        self.to
    }

    fn contains(&self, wall: Time) -> bool {
        self.from <= wall && wall < self.to
    }
}

/// 08:00 to 21:00, as US law has it for the called person's location (47 CFR 64.1200(c)(1)).
impl Default for PermittedHours {
    fn default() -> Self {
        PermittedHours {
            from: Time::constant(8, 0, 0, 0),
            to: Time::constant(21, 0, 0, 0),
        }
    }
}

/// Hours that end before they begin, or never begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("permitted hours must begin before they end on the same day, like 08:00 to 21:00")]
pub struct PermittedHoursError;

/// Not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The first instant at which it is permitted.
    At(Timestamp),
    /// At no instant of the coming week is it permitted in all possible zones at once, so the
    /// person has to be asked for the zone.
    Never,
    /// No zone was given, so nothing can be said; the caller has to choose one to go by.
    NoZone,
}

impl Until {
    /// The instant, or `fallback` where there is none: when to look again.
    pub fn or(self, fallback: Timestamp) -> Timestamp {
        match self {
            Until::At(instant) => instant,
            Until::Never | Until::NoZone => fallback,
        }
    }
}

/// Whether a person may be rung now.
///
/// A number often belongs to one of several zones, and nobody can tell which. Then a call is
/// permitted only when it is permitted in *all* of them. `invited` means that the person asked
/// for this very time, which overrules the hours.
pub fn permitted_at(
    now: Timestamp,
    zones: &[TimeZone],
    hours: &PermittedHours,
    invited: bool,
) -> Result<(), Until> {
    if invited {
        return Ok(());
    }
    if zones.is_empty() {
        return Err(Until::NoZone);
    }
    let Ok(horizon) = now.checked_add(LOOK_AHEAD) else {
        return Err(Until::Never);
    };
    // Each round moves to the next opening of a zone that is closed. A zone is opened at most once
    // a day, so the rounds are bounded; the bound only guards against data that makes no sense.
    let rounds = zones.len().saturating_mul(12).saturating_add(12);
    let mut at = now;
    for _ in 0..rounds {
        let closed = zones
            .iter()
            .find(|tz| !hours.contains(tz.to_datetime(at).time()));
        let Some(tz) = closed else {
            return if at == now {
                Ok(())
            } else {
                Err(Until::At(at))
            };
        };
        match next_opening(at, tz, hours) {
            Some(next) if next > at && next <= horizon => at = next,
            Some(_) | None => return Err(Until::Never),
        }
    }
    Err(Until::Never)
}

const LOOK_AHEAD: jiff::SignedDuration = jiff::SignedDuration::from_hours(8 * 24);

/// The next instant after `at` at which it is permitted in this zone, where it is not at `at`.
fn next_opening(at: Timestamp, tz: &TimeZone, hours: &PermittedHours) -> Option<Timestamp> {
    // Today, tomorrow, and two more for a zone that leaves out a whole day.
    let horizon = at.saturating_add(SEARCHED).ok()?;
    let (start, _) = *permitted_in(hours, tz, at, horizon).first()?;
    Some(start)
}

const SEARCHED: jiff::SignedDuration = jiff::SignedDuration::from_hours(4 * 24);

/// Both times as they are written in configuration.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    from: Time,
    to: Time,
}

impl TryFrom<Written> for PermittedHours {
    type Error = PermittedHoursError;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        PermittedHours::new(written.from, written.to)
    }
}

impl From<PermittedHours> for Written {
    fn from(hours: PermittedHours) -> Self {
        Written {
            from: hours.from,
            to: hours.to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use jiff::civil::time;
    use proptest::prelude::*;

    fn tz(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn by_the_persons_own_clock() {
        // zones, now, when it is permitted
        let cases: [(&[&str], &str, &str); 16] = [
            (&["Europe/Paris"], "2026-01-12T07:00:00Z", "now"),
            (
                &["Europe/Paris"],
                "2026-01-12T06:59:59Z",
                "2026-01-12T07:00:00Z",
            ),
            (&["Europe/Paris"], "2026-01-12T19:59:59Z", "now"),
            (
                &["Europe/Paris"],
                "2026-01-12T20:00:00Z",
                "2026-01-13T07:00:00Z",
            ),
            // The morning after the clocks went forward comes an hour early in UTC, and back late.
            (
                &["Europe/Paris"],
                "2027-03-27T20:00:00Z",
                "2027-03-28T06:00:00Z",
            ),
            (
                &["Europe/Paris"],
                "2027-10-30T19:00:00Z",
                "2027-10-31T07:00:00Z",
            ),
            // Half an hour only.
            (
                &["Australia/Lord_Howe"],
                "2026-10-03T10:30:00Z",
                "2026-10-03T21:00:00Z",
            ),
            (
                &["Australia/Lord_Howe"],
                "2026-04-04T10:00:00Z",
                "2026-04-04T21:30:00Z",
            ),
            // New York or Los Angeles: 11:00 to 21:00 in New York.
            (
                &["America/New_York", "America/Los_Angeles"],
                "2026-01-12T14:00:00Z",
                "2026-01-12T16:00:00Z",
            ),
            (
                &["America/New_York", "America/Los_Angeles"],
                "2026-01-12T16:00:00Z",
                "now",
            ),
            (
                &["America/New_York", "America/Los_Angeles"],
                "2026-01-13T02:00:00Z",
                "2026-01-13T16:00:00Z",
            ),
            // The order of the zones does not matter.
            (
                &["America/Los_Angeles", "America/New_York"],
                "2026-01-13T02:00:00Z",
                "2026-01-13T16:00:00Z",
            ),
            // Opposite ends of the earth share two hours.
            (
                &["Pacific/Honolulu", "Europe/Moscow"],
                "2026-01-12T12:00:00Z",
                "2026-01-13T05:00:00Z",
            ),
            (
                &["Pacific/Honolulu", "Europe/Paris"],
                "2026-01-12T12:00:00Z",
                "2026-01-12T18:00:00Z",
            ),
            // A day of the calendar that never was.
            (
                &["Pacific/Apia"],
                "2011-12-30T09:00:00Z",
                "2011-12-30T18:00:00Z",
            ),
            (&[], "2026-01-12T12:00:00Z", "no zone"),
        ];
        for (names, now, expected) in cases {
            let zones: Vec<TimeZone> = names.iter().map(|n| tz(n)).collect();
            let expected = match expected {
                "now" => Ok(()),
                "never" => Err(Until::Never),
                "no zone" => Err(Until::NoZone),
                instant => Err(Until::At(at(instant))),
            };
            assert_eq!(
                permitted_at(at(now), &zones, &PermittedHours::default(), false),
                expected,
                "{names:?} {now}"
            );
        }
    }

    #[test]
    fn who_asked_for_the_hour_gets_it() {
        let night = at("2026-01-12T02:00:00Z");
        let hours = PermittedHours::default();
        assert_eq!(
            permitted_at(night, &[tz("Europe/Paris")], &hours, true),
            Ok(())
        );
        assert_eq!(permitted_at(night, &[], &hours, true), Ok(()));
    }

    #[test]
    fn zones_without_a_common_hour_are_never_permitted() {
        let office = PermittedHours::new(time(9, 0, 0, 0), time(17, 0, 0, 0)).unwrap();
        let zones = [tz("Pacific/Honolulu"), tz("Europe/Moscow")];
        let now = at("2026-01-12T12:00:00Z");
        assert_eq!(permitted_at(now, &zones, &office, false), Err(Until::Never));
    }

    #[test]
    fn written_hours() {
        let hours: PermittedHours =
            serde_json::from_str(r#"{"from":"09:30","to":"20:00"}"#).unwrap();
        assert_eq!(
            hours,
            PermittedHours::new(time(9, 30, 0, 0), time(20, 0, 0, 0)).unwrap()
        );
        let json = serde_json::to_string(&hours).unwrap();
        assert_eq!(
            serde_json::from_str::<PermittedHours>(&json).unwrap(),
            hours
        );
        for wrong in [
            r#"{"from":"20:00","to":"09:30"}"#,
            r#"{"from":"09:00","to":"09:00"}"#,
            r#"{"from":"09:00","to":"25:00"}"#,
            r#"{"from":"09:00"}"#,
            r#"{"from":"09:00","to":"10:00","on":"Mo"}"#,
        ] {
            assert!(
                serde_json::from_str::<PermittedHours>(wrong).is_err(),
                "{wrong}"
            );
        }
    }

    const ZONES: [&str; 10] = [
        "Europe/Paris",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Beirut",
        "America/Santiago",
        "Africa/Casablanca",
        "Pacific/Honolulu",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "America/Sao_Paulo",
    ];

    proptest! {
        #[test]
        fn the_instant_given_is_permitted_everywhere_and_is_the_first(
            names in proptest::collection::vec(0..ZONES.len(), 1..4),
            second in 1_000_000_000i64..2_500_000_000,
            from in 0..1430u16, length in 5..1440u16,
        ) {
            let to = (from + length).min(1439);
            let clock = |m: u16| time((m / 60) as i8, (m % 60) as i8, 0, 0);
            let hours = PermittedHours::new(clock(from), clock(to)).unwrap();
            let zones: Vec<TimeZone> = names.iter().map(|i| tz(ZONES[*i])).collect();
            let now = Timestamp::from_second(second).unwrap();
            let everywhere = |at: Timestamp| zones.iter().all(|z| hours.contains(z.to_datetime(at).time()));
            match permitted_at(now, &zones, &hours, false) {
                Ok(()) => prop_assert!(everywhere(now)),
                Err(Until::At(when)) => {
                    prop_assert!(!everywhere(now));
                    prop_assert!(when > now);
                    prop_assert!(everywhere(when));
                    // In single steps, also where a clock goes back meanwhile.
                    let mut step = now;
                    for _ in 0..(9 * 24 * 12) {
                        step += SignedDuration::from_mins(5);
                        if step >= when { break; }
                        prop_assert!(!everywhere(step), "{} is earlier than {}", step, when);
                    }
                }
                Err(Until::Never) => {
                    prop_assert!(!everywhere(now));
                }
                Err(Until::NoZone) => prop_assert!(false),
            }
        }

        #[test]
        fn the_ends_of_the_calendar_do_not_panic(i in 0..ZONES.len()) {
            for now in [Timestamp::MIN, Timestamp::MAX] {
                let _ = permitted_at(now, &[tz(ZONES[i])], &PermittedHours::default(), false);
            }
        }
    }
}
