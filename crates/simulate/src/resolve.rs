//! From what the customer said to moments: the window, and when the number may be dialled.
//!
//! Everything follows from the public record and the header, so that a server can do it for itself.

use std::collections::HashMap;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use ringback_scheduling::{LocalTime, Zone};

use crate::scenario::{Header, Interval, Kind, Request, Second};

/// How long after the end of the window a number may still be dialled, seconds.
const AFTERWARDS: Second = 4 * 3600;

/// An as-soon-as-possible request wants a stretch of which this much is left, seconds.
const WORTH_WAITING: Second = 1800;

/// When a request wants its call and when it may have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The customer's window; both ends count.
    pub start: Second,
    pub end: Second,
    /// Moments at which the number may be dialled: in order, disjoint, half-open. Empty if there
    /// are none left.
    pub dialable: Vec<Interval>,
}

/// Why a request or a header says nothing that can be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    #[error("legal_local: {text:?} is not a time of day between 00:00 and 24:00")]
    TimeOfDay { text: String },
    #[error("{field}: {wall} is out of range")]
    OutOfRange { field: &'static str, wall: String },
    #[error("{field}: missing, though the kind of the request is not asap")]
    Missing { field: &'static str },
}

/// The hours of one day, ready to be asked about requests.
#[derive(Clone, Debug)]
pub struct Windows {
    date: Date,
    open: Vec<Interval>,
    /// Minutes after midnight on the called party's clock.
    permitted: (i64, i64),
    asap_patience: Second,
    /// Permitted hours as moments, by zone; the same for all customers of a zone.
    by_zone: HashMap<String, Vec<Interval>>,
}

impl Windows {
    pub fn new(header: &Header) -> Result<Windows, ResolveError> {
        Ok(Windows {
            date: header.date,
            open: header.open.clone(),
            permitted: (
                minutes(&header.legal_local.0)?,
                minutes(&header.legal_local.1)?,
            ),
            asap_patience: header.asap_patience,
            by_zone: HashMap::new(),
        })
    }

    /// The window and the dialable moments of a request.
    ///
    /// A number may be dialled inside the opening hours, and inside the permitted hours on the
    /// customer's own clock *or* inside the window the customer asked for, which is an invitation;
    /// from the booking until four hours after the window.
    pub fn of(&mut self, request: &Request) -> Result<Resolved, ResolveError> {
        let permitted = self.permitted_hours(&request.tz)?;
        match request.kind {
            Kind::Asap => Ok(self.soon(request.at, &permitted)),
            Kind::Window | Kind::Point => {
                let local_start = request.local_start.ok_or(ResolveError::Missing {
                    field: "local_start",
                })?;
                let local_end = request
                    .local_end
                    .ok_or(ResolveError::Missing { field: "local_end" })?;
                let (start, end) = window(local_start, local_end, &request.tz)?;
                let mut hours = permitted;
                hours.push((start, end));
                let dialable = intersect(&self.open, &union(hours));
                Ok(Resolved {
                    start,
                    end,
                    dialable: intersect(&dialable, &[(request.at, end + AFTERWARDS)]),
                })
            }
        }
    }

    fn soon(&self, at: Second, permitted: &[Interval]) -> Resolved {
        let stretches = intersect(&self.open, permitted);
        // When too little of the day is left for anything better, what is left must do.
        let stretch = stretches
            .iter()
            .find(|stretch| stretch.1 > at + WORTH_WAITING)
            .or_else(|| stretches.iter().find(|stretch| stretch.1 > at));
        let Some(&(opens, closes)) = stretch else {
            return Resolved {
                start: at,
                end: at,
                dialable: Vec::new(),
            };
        };
        let end = (opens.max(at) + self.asap_patience).min(closes);
        Resolved {
            start: at,
            end,
            dialable: intersect(&stretches, &[(at, end + AFTERWARDS)]),
        }
    }

    /// The permitted hours of a zone, from the day before to the day after.
    fn permitted_hours(&mut self, zone: &Zone) -> Result<Vec<Interval>, ResolveError> {
        if let Some(known) = self.by_zone.get(zone.name()) {
            return Ok(known.clone());
        }
        let field = "date";
        let midnight = self.date.at(0, 0, 0, 0);
        let mut hours = Vec::new();
        for day in [-1, 0, 1] {
            let at = |minutes: i64| {
                let wall = later(midnight, day * 24 * 60 + minutes, field)?;
                moment(wall, zone, field)
            };
            hours.push((at(self.permitted.0)?, at(self.permitted.1)?));
        }
        self.by_zone.insert(zone.name().to_owned(), hours.clone());
        Ok(hours)
    }
}

/// A customer's window as moments: wall times by RFC 5545 §3.3.5, and if the change of clocks turns
/// the window inside out or empties it, its nominal length is kept from the start.
fn window(start: DateTime, end: DateTime, zone: &Zone) -> Result<Interval, ResolveError> {
    let from = moment(start, zone, "local_start")?;
    let to = moment(end, zone, "local_end")?;
    if to > from {
        return Ok((from, to));
    }
    Ok((from, from + end.duration_since(start).as_secs()))
}

fn moment(wall: DateTime, zone: &Zone, field: &'static str) -> Result<Second, ResolveError> {
    let local = LocalTime::resolve(wall, zone).map_err(|_| out_of_range(wall, field))?;
    Ok(local.instant.as_second())
}

fn later(wall: DateTime, minutes: i64, field: &'static str) -> Result<DateTime, ResolveError> {
    wall.checked_add(SignedDuration::from_mins(minutes))
        .map_err(|_| out_of_range(wall, field))
}

fn out_of_range(wall: DateTime, field: &'static str) -> ResolveError {
    ResolveError::OutOfRange {
        field,
        wall: wall.to_string(),
    }
}

/// Minutes after midnight of `08:00`.
fn minutes(text: &str) -> Result<i64, ResolveError> {
    let read = || -> Option<i64> {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute) = (hour.parse::<u8>().ok()?, minute.parse::<u8>().ok()?);
        let minutes = i64::from(hour) * 60 + i64::from(minute);
        (minute < 60 && minutes <= 24 * 60).then_some(minutes)
    };
    read().ok_or_else(|| ResolveError::TimeOfDay {
        text: text.to_owned(),
    })
}

/// What two lists of half-open spans have in common, in order.
pub fn intersect(one: &[Interval], other: &[Interval]) -> Vec<Interval> {
    let mut common = Vec::new();
    for a in one {
        for b in other {
            let both = (a.0.max(b.0), a.1.min(b.1));
            if both.0 < both.1 {
                common.push(both);
            }
        }
    }
    common.sort_unstable();
    common
}

/// Spans in order, those that touch made one.
fn union(mut spans: Vec<Interval>) -> Vec<Interval> {
    spans.sort_unstable();
    let mut joined: Vec<Interval> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.0 <= last.1 => last.1 = last.1.max(span.1),
            _ => joined.push(span),
        }
    }
    joined
}
