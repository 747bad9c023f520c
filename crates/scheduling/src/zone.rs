//! Time zones by their IANA names, and wall times tied to the instant they mean.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time zone that exists, known by exactly the name the tz database gives it.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    tz: TimeZone,
}

impl Zone {
    /// Accepts only names as the tz database spells them: `Europe/Paris`, not `europe/paris`, `CEST`
    /// or `+02:00`. A name that another reader might not understand must not be stored.
    pub fn parse(name: &str) -> Result<Zone, ZoneError> {
        let unknown = || ZoneError::Unknown {
            name: shortened(name),
            near: near(name),
        };
        let tz = look_up(name).ok_or_else(unknown)?;
        match tz.iana_name() {
            Some(spelt) if spelt == name => Ok(Zone {
                name: name.to_owned(),
                tz,
            }),
            Some(spelt) => Err(ZoneError::Spelling {
                name: name.to_owned(),
                spelt: spelt.to_owned(),
            }),
            None => Err(unknown()),
        }
    }

    pub fn utc() -> Zone {
        Zone {
            name: "UTC".to_owned(),
            tz: TimeZone::UTC,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn tz(&self) -> &TimeZone {
        &self.tz
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl std::str::FromStr for Zone {
    type Err = ZoneError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Zone::parse(name)
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Zone::parse(&name).map_err(serde::de::Error::custom)
    }
}

/// The zone of this name; see [`Zone::parse`].
pub fn parse(name: &str) -> Result<Zone, ZoneError> {
    Zone::parse(name)
}

/// Why a text is not a time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    #[error("there is no time zone named {name:?}: {}", advice(.near.as_deref()))]
    Unknown {
        name: String,
        /// A zone that exists and was probably meant.
        near: Option<String>,
    },
    #[error("time zone {name:?} is spelt {spelt:?}")]
    Spelling { name: String, spelt: String },
}

impl ZoneError {
    /// What to write instead, without repeating what was written: a form may hold anything.
    pub fn advice(&self) -> String {
        match self {
            ZoneError::Unknown { near, .. } => {
                format!("must be an IANA time zone: {}", advice(near.as_deref()))
            }
            ZoneError::Spelling { spelt, .. } => {
                format!("must be spelt as the IANA time zone is: {spelt}")
            }
        }
    }
}

/// The zone of a name that may be stored, in whatever spelling.
fn look_up(name: &str) -> Option<TimeZone> {
    let looks_like_a_name = !name.is_empty()
        && name.len() <= MAX_NAME
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+'));
    // A zone named on one machine only (`localtime`, `posixrules`), or one that means "not
    // known" (`Factory`, `Etc/Unknown`), is of no use to the person who reads the record.
    let private = ["localtime", "posixrules", "Factory", "Etc/Unknown"]
        .iter()
        .any(|other| other.eq_ignore_ascii_case(name));
    let folder = ["posix/", "right/"].iter().any(|f| name.starts_with(f));
    if !looks_like_a_name || private || folder {
        return None;
    }
    TimeZone::get(name).ok()
}

fn advice(near: Option<&str>) -> String {
    match near {
        Some(near) => format!("is {near} meant?"),
        None => "use a name like Europe/Paris".to_owned(),
    }
}

/// A zone whose name, or whose city, differs in a slip of the pen from what was written. Whoever
/// wrote it is asked; nothing is guessed for them.
fn near(written: &str) -> Option<String> {
    let written = plain(written);
    if written.len() < 4 || written.len() > MAX_NAME {
        return None;
    }
    let slips = |one: &str, other: &str| (slips(one, other), one.len().max(other.len()) / 6);
    let mut best: Option<(usize, String)> = None;
    for name in jiff::tz::db().available() {
        let known = plain(name.as_str());
        let city = known.rsplit('/').next().unwrap_or(&known);
        let candidates = [slips(&written, &known), slips(&written, city)];
        let Some(distance) = candidates
            .into_iter()
            .filter(|(distance, allowed)| distance <= allowed)
            .map(|(distance, _)| distance)
            .min()
        else {
            continue;
        };
        // Of two equally near the first by name, so that the advice does not depend on the order
        // in which the database lists them.
        let better = best
            .as_ref()
            .is_none_or(|(least, known)| (distance, name.as_str()) < (*least, known.as_str()));
        // Zones that would be refused themselves are no advice.
        if better && look_up(name.as_str()).is_some() {
            best = Some((distance, name.as_str().to_owned()));
        }
    }
    best.map(|(_, name)| name)
}

fn plain(name: &str) -> String {
    let spelt = name.trim().to_ascii_lowercase();
    spelt.replace([' ', '-'], "_")
}

/// Letters to be put in, left out or changed to make one name of the other.
fn slips(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, b) in other.bytes().enumerate() {
            let changed = corner + usize::from(a != b);
            corner = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(corner + 1);
        }
    }
    row[other.len()]
}

/// Local time kept as it was said: what the clock on the wall reads, where, and which instant that is.
///
/// When a new tz database moves the instant, [`LocalTime::resolved_again`] moves it; the wall time
/// stays, because that is what was agreed with the person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalTime {
    pub wall: DateTime,
    pub zone: Zone,
    pub instant: Timestamp,
}

impl LocalTime {
    /// The instant of a wall time by RFC 5545 §3.3.5: a time that occurs twice means the first, a
    /// time that does not occur is read with the offset that held before the gap.
    pub fn resolve(wall: DateTime, zone: &Zone) -> Result<LocalTime, LocalTimeError> {
        let instant = zone
            .tz
            .to_ambiguous_timestamp(wall)
            .compatible()
            .map_err(|_| LocalTimeError { wall })?;
        Ok(LocalTime {
            wall,
            zone: zone.clone(),
            instant,
        })
    }

    /// What the clock in `zone` reads at `instant`.
    pub fn at(instant: Timestamp, zone: &Zone) -> LocalTime {
        LocalTime {
            wall: zone.tz.to_datetime(instant),
            zone: zone.clone(),
            instant,
        }
    }

    /// The same wall time under the tz database of now.
    pub fn resolved_again(&self) -> Result<LocalTime, LocalTimeError> {
        // A wall time that occurs twice may have been said for the second time round. As long as
        // the stored instant still reads as this wall time, it is still the right one.
        if self.zone.tz.to_datetime(self.instant) == self.wall {
            return Ok(self.clone());
        }
        LocalTime::resolve(self.wall, &self.zone)
    }
}

/// A wall time too far away to be an instant at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wall} is out of range")]
pub struct LocalTimeError {
    pub wall: DateTime,
}

/// The first instant at which the clock on the wall reads `wall` or later on its day.
///
/// This is how a *boundary* of opening hours becomes an instant. A boundary inside a gap is the
/// moment the clock jumps: hours from 02:30 begin when 01:59:59 is followed by 03:00, and hours
/// until 02:30 end there too. (RFC 5545's rule for appointments would put both at 03:30, and the
/// second would be outside the hours.) A boundary that occurs twice is its first occurrence. The
/// mapping never runs backwards: a later wall time is never an earlier instant.
pub(crate) fn boundary(wall: DateTime, tz: &TimeZone) -> Option<Timestamp> {
    let ambiguous = tz.to_ambiguous_timestamp(wall);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => {
            ambiguous.earlier().ok()
        }
        AmbiguousOffset::Gap { after, .. } => {
            // Read with the offset after the gap, the wall time lies just before the jump, so the
            // next transition is the jump itself.
            let before_the_jump = after.to_timestamp(wall).ok()?;
            let jump = tz.following(before_the_jump).next()?;
            Some(jump.timestamp())
        }
    }
}

/// Midnight of `date` plus `minutes` (0..=1440) on the clock on the wall.
pub(crate) fn wall_minutes(date: Date, minutes: u16) -> Option<DateTime> {
    let minutes = minutes.min(MINUTES_PER_DAY);
    if minutes == MINUTES_PER_DAY {
        return Some(date.tomorrow().ok()?.at(0, 0, 0, 0));
    }
    let hour = i8::try_from(minutes / 60).ok()?;
    let minute = i8::try_from(minutes % 60).ok()?;
    Some(date.at(hour, minute, 0, 0))
}

pub(crate) const MINUTES_PER_DAY: u16 = 24 * 60;

/// The longest IANA name has 32 characters; what is longer is not looked up at all.
const MAX_NAME: usize = 64;

fn shortened(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::datetime;
    use proptest::prelude::*;

    #[test]
    fn only_names_as_the_database_spells_them() {
        for name in [
            "Europe/Paris",
            "America/Argentina/ComodRivadavia",
            "Australia/Lord_Howe",
            "Etc/GMT+12",
            "UTC",
        ] {
            assert_eq!(Zone::parse(name).unwrap().name(), name);
        }
        for name in [
            "",
            "CEST",
            "+02:00",
            "Europe/Atlantis",
            "localtime",
            "Factory",
            "Etc/Unknown",
            "../../etc/passwd",
            "/etc/localtime",
            "posix/Europe/Paris",
            "right/Europe/Paris",
            "Europe/Paris ",
            "Europe/Paris\0",
            "Europe\\Paris",
        ] {
            assert!(
                matches!(Zone::parse(name), Err(ZoneError::Unknown { .. })),
                "{name:?}"
            );
        }
        assert_eq!(
            Zone::parse("europe/paris").unwrap_err(),
            ZoneError::Spelling {
                name: "europe/paris".into(),
                spelt: "Europe/Paris".into()
            }
        );
        assert!(
            Zone::parse(&"a".repeat(10_000))
                .unwrap_err()
                .to_string()
                .len()
                < 200
        );
    }

    #[test]
    fn the_zone_that_was_probably_meant() {
        let cases = [
            ("Europe/Pariss", Some("Europe/Paris")),
            ("Europe/Brelin", Some("Europe/Berlin")),
            ("Berlin", Some("Europe/Berlin")),
            ("New York", Some("America/New_York")),
            ("America/New York", Some("America/New_York")),
            ("Australia/LordHowe", Some("Australia/Lord_Howe")),
            ("Europe/Atlantis", None),
            ("CEST", None),
            ("+02:00", None),
            ("", None),
            ("🕰🕰🕰", None),
        ];
        for (name, expected) in cases {
            let Err(ZoneError::Unknown { near, .. }) = Zone::parse(name) else {
                panic!("{name:?} is a zone");
            };
            assert_eq!(near.as_deref(), expected, "{name:?}");
        }
        assert_eq!(
            Zone::parse("Europe/Brelin").unwrap_err().to_string(),
            "there is no time zone named \"Europe/Brelin\": is Europe/Berlin meant?"
        );
    }

    #[test]
    fn wall_times_by_rfc_5545() {
        let cases = [
            // The RFC's own examples.
            (
                "America/New_York",
                datetime(2007, 3, 11, 2, 30, 0, 0),
                "2007-03-11T07:30:00Z",
            ),
            (
                "America/New_York",
                datetime(2007, 11, 4, 1, 30, 0, 0),
                "2007-11-04T05:30:00Z",
            ),
            (
                "Europe/Paris",
                datetime(2027, 3, 28, 2, 30, 0, 0),
                "2027-03-28T01:30:00Z",
            ),
            (
                "Europe/Paris",
                datetime(2027, 10, 31, 2, 30, 0, 0),
                "2027-10-31T00:30:00Z",
            ),
            // Lord Howe shifts by half an hour.
            (
                "Australia/Lord_Howe",
                datetime(2026, 10, 4, 2, 15, 0, 0),
                "2026-10-03T15:45:00Z",
            ),
            (
                "Australia/Lord_Howe",
                datetime(2026, 4, 5, 1, 45, 0, 0),
                "2026-04-04T14:45:00Z",
            ),
            // Apia had no 30 December 2011 at all.
            (
                "Pacific/Apia",
                datetime(2011, 12, 30, 9, 0, 0, 0),
                "2011-12-30T19:00:00Z",
            ),
            (
                "Asia/Kolkata",
                datetime(2026, 6, 1, 9, 0, 0, 0),
                "2026-06-01T03:30:00Z",
            ),
        ];
        for (zone, wall, instant) in cases {
            let zone = Zone::parse(zone).unwrap();
            let local = LocalTime::resolve(wall, &zone).unwrap();
            assert_eq!(local.instant.to_string(), instant, "{zone} {wall}");
        }
    }

    #[test]
    fn boundaries_in_a_gap_are_the_jump_itself() {
        let cases = [
            (
                "Europe/Paris",
                datetime(2027, 3, 28, 2, 0, 0, 0),
                "2027-03-28T01:00:00Z",
            ),
            (
                "Europe/Paris",
                datetime(2027, 3, 28, 2, 30, 0, 0),
                "2027-03-28T01:00:00Z",
            ),
            (
                "Europe/Paris",
                datetime(2027, 3, 28, 3, 0, 0, 0),
                "2027-03-28T01:00:00Z",
            ),
            (
                "Europe/Paris",
                datetime(2027, 3, 28, 3, 1, 0, 0),
                "2027-03-28T01:01:00Z",
            ),
            (
                "Europe/Paris",
                datetime(2027, 10, 31, 2, 30, 0, 0),
                "2027-10-31T00:30:00Z",
            ),
            (
                "Australia/Lord_Howe",
                datetime(2026, 10, 4, 2, 10, 0, 0),
                "2026-10-03T15:30:00Z",
            ),
            // Beirut's gap is at midnight: the day begins at one o'clock.
            (
                "Asia/Beirut",
                datetime(2026, 3, 29, 0, 0, 0, 0),
                "2026-03-28T22:00:00Z",
            ),
            (
                "Asia/Beirut",
                datetime(2026, 3, 29, 0, 30, 0, 0),
                "2026-03-28T22:00:00Z",
            ),
            (
                "Pacific/Apia",
                datetime(2011, 12, 30, 12, 0, 0, 0),
                "2011-12-30T10:00:00Z",
            ),
            // Beyond the tables, where only the rule for the future holds.
            (
                "Europe/Paris",
                datetime(2199, 3, 31, 2, 30, 0, 0),
                "2199-03-31T01:00:00Z",
            ),
        ];
        for (zone, wall, instant) in cases {
            let zone = Zone::parse(zone).unwrap();
            assert_eq!(
                boundary(wall, zone.tz()).unwrap().to_string(),
                instant,
                "{zone} {wall}"
            );
        }
    }

    #[test]
    fn a_new_database_moves_the_instant_and_not_the_wall_time() {
        let zone = Zone::parse("Europe/Paris").unwrap();
        let wall = datetime(2026, 7, 1, 9, 0, 0, 0);
        // As if stored when the country still meant to give up summer time.
        let stored = LocalTime {
            wall,
            zone: zone.clone(),
            instant: "2026-07-01T08:00:00Z".parse().unwrap(),
        };
        let now = stored.resolved_again().unwrap();
        assert_eq!(now.wall, wall);
        assert_eq!(now.instant.to_string(), "2026-07-01T07:00:00Z");

        // The second 02:30 of an autumn night is kept as the second.
        let second = LocalTime::at("2027-10-31T01:30:00Z".parse().unwrap(), &zone);
        assert_eq!(second.wall, datetime(2027, 10, 31, 2, 30, 0, 0));
        assert_eq!(second.resolved_again().unwrap(), second);
    }

    #[test]
    fn the_written_form_can_be_read_back() {
        let zone = Zone::parse("Australia/Lord_Howe").unwrap();
        let local = LocalTime::resolve(datetime(2026, 4, 5, 1, 45, 0, 0), &zone).unwrap();
        let json = serde_json::to_string(&local).unwrap();
        assert_eq!(serde_json::from_str::<LocalTime>(&json).unwrap(), local);
    }

    const ZONES: [&str; 8] = [
        "Europe/Paris",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Beirut",
        "America/Santiago",
        "Africa/Casablanca",
        "Asia/Kathmandu",
        "America/Sao_Paulo",
    ];

    proptest! {
        #[test]
        fn boundaries_never_run_backwards(
            zone in 0..ZONES.len(), day in 0..20_000i32, minute in 0..1440u16, step in 1..3000i64,
        ) {
            let zone = Zone::parse(ZONES[zone]).unwrap();
            let date = jiff::civil::date(1995, 1, 1) + jiff::Span::new().days(day);
            let early = wall_minutes(date, minute).unwrap();
            let late = early + jiff::Span::new().minutes(step);
            prop_assert!(boundary(early, zone.tz()) <= boundary(late, zone.tz()));
        }

        #[test]
        fn no_name_panics(name in "\\PC{0,80}") {
            let _ = Zone::parse(&name);
        }
    }
}
