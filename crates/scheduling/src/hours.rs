//! Opening hours: OpenStreetMap `opening_hours` rules, public holidays and dated exceptions, in a time zone.
//!
//! Rules are evaluated on the clock on the wall, and only the boundaries of what is open become
//! instants (`zone::boundary` says how, where clocks jump). So a day of 23 or 25 hours opens and
//! closes when the clock says so. In the hour that a clock repeats, hours that end within it end
//! the first time round, and hours that begin within it begin the first time round.

mod error;
mod exceptions;
mod holidays;
mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;

use compact_calendar::CompactCalendar;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use error::{HoursError, HoursFault};

use crate::almanac::Almanac;
use crate::zone::{Zone, boundary, wall_minutes};
use rules::{Minutes, OwnHours, Rules};

/// Opening hours as they are written in configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoursConfig {
    /// OpenStreetMap syntax, like `Mo-Fr 09:00-17:00; PH off`. Later rules win over earlier ones.
    pub opening_hours: String,
    /// IANA name of the zone in which the times are meant.
    pub time_zone: String,
    /// The days that `PH` stands for.
    #[serde(default)]
    pub holidays: HolidayConfig,
    /// Days on which the rules do not hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
}

/// Where public holidays come from. All sources add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HolidayConfig {
    /// The built-in holidays of a country (ISO 3166 code, like `FR`). A suggestion to be looked at:
    /// the set has holes, and holds only days that the whole country keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// A part of the country with holidays of its own: the second half of its ISO 3166-2 code, like
    /// `BY` in Germany or `SCT` in Great Britain. Known for AT, AU, CA, CH, DE, FR, GB, NZ and US,
    /// until 2040.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Holidays of one's own, day by day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dates: Vec<Date>,
    /// Names of lists of holidays that the operator keeps in files; see `[holidays]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<String>,
}

/// Days on which the rules do not hold. It takes the place of the rules for hours that begin on them.
/// Two that name the same day must say the same hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The day, like `2026-12-24`, or the first of several.
    pub date: Date,
    /// The last day of several, at most 366; the one day if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
    /// Times like `10:00-14:00`; closed if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening_hours: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Whether a place is open, and for how long that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoursState {
    pub open: bool,
    /// Whether the day is a public holiday there.
    pub holiday: bool,
    /// When `open` changes; `None` if not in the next [`LOOK_AHEAD_DAYS`].
    pub until: Option<Timestamp>,
}

/// Opening hours that have been checked and can be asked.
#[derive(Clone, Debug)]
pub struct Hours {
    zone: Zone,
    rules: Rules,
    exceptions: BTreeMap<Date, OwnHours>,
    holidays: Arc<CompactCalendar>,
}

/// How far ahead hours are searched. Hours that stay closed for longer are as good as closed for ever.
/// No callback is booked further ahead either.
pub const LOOK_AHEAD_DAYS: u16 = 732;

impl Hours {
    /// For hours that somebody has just written: checks all that [`Hours::parse`] does, and that
    /// they open at least once in the next [`LOOK_AHEAD_DAYS`].
    pub fn new(
        config: &HoursConfig,
        almanac: &Almanac,
        now: Timestamp,
    ) -> Result<Hours, HoursError> {
        let hours = Hours::parse_with(config, almanac)?;
        if hours.next_open(now).is_none() {
            return Err(HoursError::new("opening_hours", HoursFault::NeverOpen));
        }
        Ok(hours)
    }

    /// For hours that were checked when they were written, and may have had their time since.
    /// A list of holidays that the almanac lacks makes them unreadable.
    pub fn parse_with(config: &HoursConfig, almanac: &Almanac) -> Result<Hours, HoursError> {
        let zone = Zone::parse(&config.time_zone)
            .map_err(|error| HoursError::new("time_zone", error.into()))?;
        let holidays = holidays::calendar(&config.holidays, almanac)?.map(Arc::new);
        let rules = Rules::parse(&config.opening_hours, holidays.clone())
            .map_err(|fault| HoursError::new("opening_hours", fault))?;
        Ok(Hours {
            zone,
            rules,
            exceptions: exceptions::by_date(&config.exceptions)?,
            holidays: holidays.unwrap_or_default(),
        })
    }

    /// [`Hours::parse_with`] where there are no lists of holidays.
    pub fn parse(config: &HoursConfig) -> Result<Hours, HoursError> {
        Hours::parse_with(config, &Almanac::default())
    }

    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Whether it is open now, and until when that holds.
    pub fn state(&self, now: Timestamp) -> HoursState {
        let holiday = self.is_holiday(self.zone.tz().to_datetime(now).date());
        let next = self.open_from(now).next();
        let Some((start, end)) = next else {
            return HoursState {
                open: false,
                holiday,
                until: None,
            };
        };
        let open = start <= now;
        let until = if !open {
            Some(start)
        } else if end < self.horizon(now) {
            Some(end)
        } else {
            None
        };
        HoursState {
            open,
            holiday,
            until,
        }
    }

    pub fn is_open(&self, now: Timestamp) -> bool {
        let zone = self.zone.tz();
        let today = zone.to_datetime(now).date();
        // Yesterday too: where midnight itself is repeated, the clock reads yesterday again. It is looked at
        // only where today does not say that it is open.
        [Some(today), today.yesterday().ok()]
            .into_iter()
            .flatten()
            .flat_map(|date| self.day(date))
            .any(|(start, end)| start <= now && now < end)
    }

    /// Now if open now; otherwise the next opening, if it comes in the next [`LOOK_AHEAD_DAYS`].
    pub fn next_open(&self, now: Timestamp) -> Option<Timestamp> {
        let (start, _) = self.open_from(now).next()?;
        Some(start.max(now))
    }

    /// The stretches of time in `from..to` in which it is open, in order, apart from each other.
    /// Looks at most [`LOOK_AHEAD_DAYS`] beyond `from`.
    pub fn open_between(&self, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        self.open_from(from)
            .take_while(|(start, _)| *start < to)
            .map(|(start, end)| (start.max(from), end.min(to)))
            .filter(|(start, end)| start < end)
            .collect()
    }

    /// Whether this day is a public holiday there.
    pub fn is_holiday(&self, date: Date) -> bool {
        rules::to_chrono(date).is_some_and(|date| self.holidays.contains(date))
    }

    fn horizon(&self, now: Timestamp) -> Timestamp {
        now.saturating_add(LOOK_AHEAD).unwrap_or(Timestamp::MAX)
    }

    /// Open stretches that end after `now`, joined where they touch, as far as the look-ahead.
    fn open_from(&self, now: Timestamp) -> Stretches<'_> {
        Stretches {
            hours: self,
            now,
            horizon: self.horizon(now),
            date: self
                .zone
                .tz()
                .to_datetime(now)
                .date()
                .yesterday()
                .ok()
                .filter(|date| in_range(*date)),
            pending: Vec::new(),
        }
    }

    /// The stretches of one day, as instants, in order.
    fn day(&self, date: Date) -> Vec<(Timestamp, Timestamp)> {
        let zone = self.zone.tz();
        self.minutes(date)
            .into_iter()
            .filter_map(|minutes| {
                let start = boundary(wall_minutes(date, minutes.start)?, zone)?;
                let end = boundary(wall_minutes(date, minutes.end)?, zone)?;
                (start < end).then_some((start, end))
            })
            .collect()
    }

    /// The open minutes of one day on the clock on the wall, in order: those that begin on it, and
    /// what the evening before left open.
    fn minutes(&self, date: Date) -> Vec<Minutes> {
        if !in_range(date) {
            return Vec::new();
        }
        let (mut open, shut) = match self.exceptions.get(&date) {
            Some(own) => (own.today.clone(), own.today.is_empty()),
            None => (self.rules.today(date), self.rules.is_shut(date)),
        };
        if !shut && let Ok(before) = date.yesterday() {
            match self.exceptions.get(&before) {
                Some(own) => open.extend(own.spill.iter().cloned()),
                None => open.extend(self.rules.spill(before)),
            }
        }
        open.sort_by_key(|minutes| minutes.start);
        open
    }
}

const LOOK_AHEAD: jiff::SignedDuration =
    jiff::SignedDuration::from_hours(24 * LOOK_AHEAD_DAYS as i64);

/// Days before and after these years are closed: nobody books there, and the holiday calendars
/// and the arithmetic of the crates below end somewhere.
pub(crate) fn in_range(date: Date) -> bool {
    (1970..=2200).contains(&date.year())
}

/// Walks the days from yesterday on, joining what touches.
struct Stretches<'a> {
    hours: &'a Hours,
    now: Timestamp,
    horizon: Timestamp,
    date: Option<Date>,
    /// What the days so far have given, the last one first.
    pending: Vec<(Timestamp, Timestamp)>,
}

impl Stretches<'_> {
    /// The next stretch of a single day, or `None` beyond the look-ahead.
    fn next_piece(&mut self) -> Option<(Timestamp, Timestamp)> {
        loop {
            if let Some(piece) = self.pending.pop() {
                if piece.0 > self.horizon {
                    self.date = None;
                    self.pending.clear();
                    return None;
                }
                return Some(piece);
            }
            let date = self.date?;
            self.date = date.tomorrow().ok().filter(|date| in_range(*date));
            let begins = boundary(date.at(0, 0, 0, 0), self.hours.zone.tz());
            if begins.is_none_or(|begins| begins > self.horizon) {
                self.date = None;
                return None;
            }
            let mut pieces = self.hours.day(date);
            pieces.reverse();
            self.pending = pieces;
        }
    }
}

impl Iterator for Stretches<'_> {
    type Item = (Timestamp, Timestamp);

    fn next(&mut self) -> Option<Self::Item> {
        let (start, mut end) = loop {
            let piece = self.next_piece()?;
            if piece.1 > self.now {
                break piece;
            }
        };
        // Never closed is known without looking at every day of a year.
        if self.hours.rules.is_constant() && self.hours.exceptions.is_empty() {
            self.date = None;
            self.pending.clear();
            return Some((start, Timestamp::MAX));
        }
        while let Some(next) = self.next_piece() {
            if next.0 > end {
                self.pending.push(next);
                break;
            }
            end = end.max(next.1);
        }
        Some((start, end))
    }
}

#[cfg(test)]
mod tests;
