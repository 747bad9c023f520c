//! A value that changes with the clock on the wall: the same every week, except on certain dates.

use jiff::Timestamp;
use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;

use super::times::{Days, MinuteOfDay};
use crate::zone::{MINUTES_PER_DAY, boundary, wall_minutes};

/// The week is kept by the minute of the wall clock, and only its changes become instants (as
/// with opening hours), so that a day of 23 or 25 hours changes when the clock says so.
#[derive(Clone, Debug)]
pub(super) struct Grid<V> {
    /// For each day from Monday on: the minutes at which the value changes, from 0 on.
    week: [Vec<(u16, V)>; 7],
    /// Stretches of certain dates, which win over the week: in order, apart from each other or
    /// of one value.
    dated: Vec<(DateTime, DateTime, V)>,
}

/// Two rows that say different things about the same time, by their places in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Disagree {
    pub row: usize,
    pub with: usize,
}

/// A row of the week: days, from when until when (at or before `from`: on the day after), value.
pub(super) type WeeklyRow<'a, V> = (&'a Days, MinuteOfDay, MinuteOfDay, V);

/// Nobody plans further ahead, in days.
const FURTHEST: i64 = 2 * 366;

const MINUTES_PER_WEEK: usize = 7 * MINUTES_PER_DAY as usize;

impl<V: Copy + PartialEq> Grid<V> {
    /// `nothing` is the value of times that no row speaks of.
    pub fn weekly<'a>(
        rows: impl Iterator<Item = WeeklyRow<'a, V>>,
        nothing: V,
    ) -> Result<Grid<V>, Disagree> {
        let mut minutes: Vec<Option<(usize, V)>> = vec![None; MINUTES_PER_WEEK];
        for (row, (days, from, to, value)) in rows.enumerate() {
            let (start, end) = (usize::from(from.0), usize::from(to.0));
            let day = usize::from(MINUTES_PER_DAY);
            let end = if end <= start { end + day } else { end };
            for weekday in days.numbers() {
                for minute in start..end {
                    let cell = &mut minutes[(weekday * day + minute) % MINUTES_PER_WEEK];
                    match cell {
                        Some((with, other)) if *other != value => {
                            return Err(Disagree { row, with: *with });
                        }
                        Some(_) => {}
                        None => *cell = Some((row, value)),
                    }
                }
            }
        }
        let mut week: [Vec<(u16, V)>; 7] = Default::default();
        for (index, cell) in minutes.iter().enumerate() {
            let value = cell.map_or(nothing, |(_, value)| value);
            let day = &mut week[index / usize::from(MINUTES_PER_DAY)];
            if day.last().is_none_or(|(_, last)| *last != value) {
                let minute = index % usize::from(MINUTES_PER_DAY);
                day.push((u16::try_from(minute).unwrap_or(0), value));
            }
        }
        Ok(Grid {
            week,
            dated: Vec::new(),
        })
    }

    /// Adds stretches of certain dates. Each must begin before it ends.
    pub fn with_dated(mut self, rows: Vec<(DateTime, DateTime, V)>) -> Result<Grid<V>, Disagree> {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|row| rows[*row].0);
        // The row that reaches furthest so far: whatever begins before its end overlaps it.
        let mut furthest: Option<usize> = None;
        for row in &order {
            if let Some(with) = furthest
                && rows[*row].0 < rows[with].1
            {
                if rows[*row].2 != rows[with].2 {
                    return Err(Disagree { row: *row, with });
                }
                if rows[*row].1 <= rows[with].1 {
                    continue;
                }
            }
            furthest = Some(*row);
        }
        self.dated = order.into_iter().map(|row| rows[row]).collect();
        Ok(self)
    }

    /// Whether any moment has a value of which `is` holds.
    pub fn any(&self, is: impl Fn(V) -> bool) -> bool {
        self.week.iter().flatten().any(|(_, value)| is(*value))
            || self.dated.iter().any(|(_, _, value)| is(*value))
    }

    /// The value from `from` on, and each change of it before `to`.
    pub fn steps(&self, tz: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, V)> {
        let furthest = from
            .saturating_add(jiff::SignedDuration::from_hours(24 * FURTHEST))
            .unwrap_or(Timestamp::MAX);
        let to = to.min(furthest);
        let week = self.week_between(tz, from, to);
        let dated = self.dated_between(tz, from, to);
        let mut marks: Vec<Timestamp> = week
            .iter()
            .map(|(at, _)| *at)
            .chain(dated.iter().flat_map(|(start, end, _)| [*start, *end]))
            .filter(|at| *at > from && *at < to)
            .chain([from])
            .collect();
        marks.sort_unstable();
        marks.dedup();
        let mut steps: Vec<(Timestamp, V)> = Vec::new();
        for at in marks {
            let on_this_date = dated
                .iter()
                .find(|(start, end, _)| *start <= at && at < *end)
                .map(|(_, _, value)| *value);
            let next = week.partition_point(|(start, _)| *start <= at);
            let usual = next.checked_sub(1).map(|index| week[index].1);
            if let Some(value) = on_this_date.or(usual)
                && steps.last().is_none_or(|(_, last)| *last != value)
            {
                steps.push((at, value));
            }
        }
        steps
    }

    /// Changes by the week from the day before `from` to the day after `to`.
    fn week_between(&self, tz: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, V)> {
        let mut changes = Vec::new();
        let today = tz.to_datetime(from).date();
        let mut date = today.yesterday().unwrap_or(today);
        loop {
            for (minute, value) in &self.week[number(date.weekday())] {
                if let Some(at) = wall_minutes(date, *minute).and_then(|wall| boundary(wall, tz)) {
                    changes.push((at, *value));
                }
            }
            match date.tomorrow() {
                Ok(next) if changes.last().is_none_or(|(at, _)| *at < to) => date = next,
                Ok(_) | Err(_) => return changes,
            }
        }
    }

    fn dated_between(
        &self,
        tz: &TimeZone,
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<(Timestamp, Timestamp, V)> {
        self.dated
            .iter()
            .filter_map(|(start, end, value)| {
                Some((boundary(*start, tz)?, boundary(*end, tz)?, *value))
            })
            .filter(|(start, end, _)| start < end && *end > from && *start < to)
            .collect()
    }
}

/// Monday is 0.
fn number(day: Weekday) -> usize {
    usize::try_from(day.to_monday_zero_offset()).unwrap_or(0)
}
