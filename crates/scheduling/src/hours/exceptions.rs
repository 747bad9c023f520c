//! Dated exceptions: each checked, then laid out day by day.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write;

use jiff::civil::Date;

use super::error::{HoursError, HoursFault};
use super::rules::{self, OwnHours};
use super::{Exception, in_range};

const MOST_EXCEPTIONS: usize = 2_000;
const MOST_DAYS: usize = 366;
const LONGEST_NOTE: usize = 500;

/// The hours of every day that an exception names.
pub(super) fn by_date(written: &[Exception]) -> Result<BTreeMap<Date, OwnHours>, HoursError> {
    if written.len() > MOST_EXCEPTIONS {
        let limit = MOST_EXCEPTIONS;
        return Err(HoursError::new("exceptions", HoursFault::TooMany { limit }));
    }
    let mut days: BTreeMap<Date, (usize, OwnHours)> = BTreeMap::new();
    for (index, exception) in written.iter().enumerate() {
        let own = own_hours(index, exception)?;
        for date in dates(index, exception)? {
            match days.entry(date) {
                Entry::Vacant(day) => {
                    day.insert((index, own.clone()));
                }
                Entry::Occupied(day) if day.get().1 == own => {}
                // Later rules win over earlier ones, but of two exceptions nobody can tell which was
                // meant: the order of a list of dates says nothing.
                Entry::Occupied(day) => {
                    let first = day.get().0;
                    return Err(HoursError::new(
                        field(index, "date"),
                        HoursFault::Disagree {
                            date,
                            one: described(first, &written[first]),
                            other: described(index, exception),
                        },
                    ));
                }
            }
        }
    }
    Ok(days
        .into_iter()
        .map(|(date, (_, own))| (date, own))
        .collect())
}

fn own_hours(index: usize, exception: &Exception) -> Result<OwnHours, HoursError> {
    let note = exception.note.as_deref().unwrap_or("");
    if note.len() > LONGEST_NOTE {
        let limit = LONGEST_NOTE;
        return Err(HoursError::new(
            field(index, "note"),
            HoursFault::TooLong { limit },
        ));
    }
    match &exception.opening_hours {
        None => Ok(OwnHours::default()),
        Some(text) => rules::exception(text)
            .map_err(|fault| HoursError::new(field(index, "opening_hours"), fault)),
    }
}

/// The days from `date` to `until`.
fn dates(index: usize, exception: &Exception) -> Result<Vec<Date>, HoursError> {
    let first = exception.date;
    let last = exception.until.unwrap_or(first);
    for (name, date) in [("date", first), ("until", last)] {
        if !in_range(date) {
            return Err(HoursError::new(
                field(index, name),
                HoursFault::DateOutOfRange(date),
            ));
        }
    }
    if last < first {
        return Err(HoursError::new(
            field(index, "until"),
            HoursFault::UntilBeforeDate {
                date: first,
                until: last,
            },
        ));
    }
    let days: Vec<Date> = first
        .series(jiff::Span::new().days(1))
        .take_while(|date| *date <= last)
        .take(MOST_DAYS + 1)
        .collect();
    if days.len() > MOST_DAYS {
        let limit = MOST_DAYS;
        return Err(HoursError::new(
            field(index, "until"),
            HoursFault::TooManyDays { limit },
        ));
    }
    Ok(days)
}

fn field(index: usize, name: &str) -> String {
    format!("exceptions[{index}].{name}")
}

/// An exception named so that a person finds it again, like
/// `exceptions[2] (2026-12-24 to 2026-12-31: closed, "Christmas")`.
fn described(index: usize, exception: &Exception) -> String {
    let mut text = format!("exceptions[{index}] ({}", exception.date);
    // Writing to a string cannot fail.
    if let Some(until) = exception.until {
        let _ = write!(text, " to {until}");
    }
    let hours = exception.opening_hours.as_deref().unwrap_or("closed");
    let _ = write!(text, ": {}", shortened(hours));
    if let Some(note) = &exception.note {
        let _ = write!(text, ", {:?}", shortened(note));
    }
    text.push(')');
    text
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}
