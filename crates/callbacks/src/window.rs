//! A window said in local time: kept as it was said, so that new rules of local time move its
//! instants and never the hour that was agreed.

use crate::callback::Window;
use crate::wire_time;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use ringback_scheduling::Almanac;
use serde::{Deserialize, Serialize};

/// The wall times of a window. The instants they mean stand in [`Window`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalWindow {
    /// IANA zone whose clock is meant.
    pub zone: String,
    /// Absent: the start was said as an instant, or not at all.
    #[serde(default)]
    pub start: Option<DateTime>,
    /// Absent: the end was said as an instant, or not at all.
    #[serde(default)]
    pub end: Option<DateTime>,
    /// Edition of the rules of local time by which the instants were found.
    #[serde(default)]
    pub edition: String,
}

/// A moment as somebody says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Instant(Timestamp),
    /// What a clock on the wall reads; the zone is said elsewhere.
    Wall(DateTime),
}

impl Said {
    /// An RFC 3339 date and time, or the same without an offset: `2026-03-29T02:30`.
    pub fn read(text: &str) -> Option<Said> {
        if let Some(instant) = wire_time::read(text) {
            return Some(Said::Instant(instant));
        }
        let form = (16..=23).contains(&text.len())
            && text.bytes().enumerate().all(|(index, byte)| match index {
                4 | 7 => byte == b'-',
                10 => matches!(byte, b'T' | b't' | b' '),
                13 | 16 => byte == b':',
                19 => byte == b'.',
                _ => byte.is_ascii_digit(),
            });
        let wall: DateTime = form.then(|| text.parse().ok())??;
        (1970..=9999)
            .contains(&wall.year())
            .then_some(Said::Wall(wall))
    }
}

impl LocalWindow {
    /// Wall times out of what was said; `None` if nothing was said in local time.
    pub fn of(zone: &str, start: Option<Said>, end: Option<Said>) -> Option<LocalWindow> {
        let wall = |said| match said {
            Some(Said::Wall(wall)) => Some(wall),
            Some(Said::Instant(_)) | None => None,
        };
        let (start, end) = (wall(start), wall(end));
        (start.is_some() || end.is_some()).then(|| LocalWindow {
            zone: zone.to_owned(),
            start,
            end,
            edition: String::new(),
        })
    }

    /// The window with the instants that the wall times mean by these rules (RFC 5545 §3.3.5: what
    /// occurs twice is the first, what does not occur is read with the offset before the gap). An end
    /// that was not said keeps its distance from the start. A window that a gap turns inside out
    /// keeps the length it was said with. `None`: a wall time too far away to be an instant.
    pub fn resolve(&self, tz: &TimeZone, window: Window) -> Option<Window> {
        let instant = |wall: DateTime| {
            let at = tz.to_ambiguous_timestamp(wall).compatible().ok()?;
            Some(wire_time::truncate(at))
        };
        let length = |window: Window| window.end.map(|end| end.duration_since(window.start));
        let start = self.start.map_or(Some(window.start), instant)?;
        let end = match self.end {
            Some(wall) => Some(instant(wall)?),
            None if window.end_given => window.end,
            None => later(start, length(window)),
        };
        let end = match end {
            // An end said as an instant has no nominal length: whoever asks judges what came out.
            Some(end) if end <= start => match self.nominal_length() {
                Some(length) => later(start, Some(length)),
                None => Some(end),
            },
            Some(_) | None => end,
        };
        Some(Window {
            start,
            end,
            end_given: window.end_given,
        })
    }

    /// From start to end as the clock on the wall has it.
    fn nominal_length(&self) -> Option<SignedDuration> {
        let length = self.end?.duration_since(self.start?);
        length.is_positive().then_some(length)
    }

    /// Finds the instants by the almanac of now. `None`: it does not know the zone.
    pub fn resolve_by(&mut self, almanac: &Almanac, window: Window) -> Option<Window> {
        let window = self.resolve(&almanac.zone(&self.zone)?, window)?;
        almanac.edition().clone_into(&mut self.edition);
        Some(window)
    }
}

fn later(start: Timestamp, length: Option<SignedDuration>) -> Option<Timestamp> {
    start.checked_add(length?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn moments_as_they_are_said() {
        let wall = |text: &str| Some(Said::Wall(text.parse().unwrap()));
        let cases = [
            ("2026-03-29T02:30", wall("2026-03-29T02:30")),
            ("2026-03-29T02:30:15", wall("2026-03-29T02:30:15")),
            ("2026-03-29 02:30:15.250", wall("2026-03-29T02:30:15.25")),
            (
                "2026-03-29T02:30:00Z",
                Some(Said::Instant(at("2026-03-29T02:30:00Z"))),
            ),
            (
                "2026-03-29T02:30:00+02:00",
                Some(Said::Instant(at("2026-03-29T00:30:00Z"))),
            ),
            ("2026-03-29T02:30[Europe/Paris]", None),
            ("2026-02-30T02:30", None),
            ("2026-03-29T24:30", None),
            ("1869-03-29T02:30", None),
            ("2026-03-29", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Said::read(text), expected, "{text}");
        }
    }

    #[test]
    fn windows_where_clocks_jump() {
        // zone, start, end, the instants
        let cases = [
            (
                "Europe/Berlin",
                "2026-07-01T09:00",
                "2026-07-01T10:00",
                ("2026-07-01T07:00:00Z", "2026-07-01T08:00:00Z"),
            ),
            // The gap turns it inside out (03:45 to 03:15): half an hour it was, half an hour it is.
            (
                "Europe/Berlin",
                "2027-03-28T02:45",
                "2027-03-28T03:15",
                ("2027-03-28T01:45:00Z", "2027-03-28T02:15:00Z"),
            ),
            // It empties it (03:00 to 03:00).
            (
                "America/New_York",
                "2026-03-08T02:00",
                "2026-03-08T03:00",
                ("2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"),
            ),
            // Over the repeated hour it is an hour longer.
            (
                "America/New_York",
                "2026-11-01T00:30",
                "2026-11-01T02:30",
                ("2026-11-01T04:30:00Z", "2026-11-01T07:30:00Z"),
            ),
            // Half an hour only.
            (
                "Australia/Lord_Howe",
                "2026-10-04T02:10",
                "2026-10-04T02:35",
                ("2026-10-03T15:40:00Z", "2026-10-03T16:05:00Z"),
            ),
            // A day that never was.
            (
                "Pacific/Apia",
                "2011-12-30T09:00",
                "2011-12-30T10:00",
                ("2011-12-30T19:00:00Z", "2011-12-30T20:00:00Z"),
            ),
            (
                "Asia/Kolkata",
                "2026-03-29T02:45",
                "2026-03-29T03:15",
                ("2026-03-28T21:15:00Z", "2026-03-28T21:45:00Z"),
            ),
        ];
        for (zone, start, end, expected) in cases {
            let local = LocalWindow::of(zone, Said::read(start), Said::read(end)).unwrap();
            let before = Window {
                start: at("2026-01-01T00:00:00Z"),
                end: Some(at("2026-01-02T00:00:00Z")),
                end_given: true,
            };
            let window = local
                .resolve(&TimeZone::get(zone).unwrap(), before)
                .unwrap();
            assert_eq!(
                (window.start, window.end),
                (at(expected.0), Some(at(expected.1))),
                "{zone} {start}"
            );
        }
    }

    #[test]
    fn an_end_that_was_not_said_moves_along() {
        let local = LocalWindow::of("X/Y", Said::read("2026-07-01T09:00"), None).unwrap();
        let window = |start: &str, end: &str, end_given| Window {
            start: at(start),
            end: Some(at(end)),
            end_given,
        };
        let before = window("2026-07-01T07:00:00Z", "2026-07-02T07:00:00Z", false);
        let winter = TimeZone::posix("CET-1").unwrap();
        assert_eq!(
            local.resolve(&winter, before),
            Some(window(
                "2026-07-01T08:00:00Z",
                "2026-07-02T08:00:00Z",
                false
            ))
        );
        // One said as an instant stays.
        let given = window("2026-07-01T07:00:00Z", "2026-07-01T08:30:00Z", true);
        assert_eq!(
            local.resolve(&winter, given),
            Some(window("2026-07-01T08:00:00Z", "2026-07-01T08:30:00Z", true))
        );
    }
}
