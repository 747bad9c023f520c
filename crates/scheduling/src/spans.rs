//! The stretches of time in which a place is open, and in which one person may be rung.
//!
//! Every span is half-open: its first instant belongs to it, its second does not. Every list of
//! spans is in order, and its spans neither overlap nor touch. An instant lies in
//! [`dialable_spans`] exactly when [`Hours::is_open`] and [`permitted_at`](crate::permitted_at)
//! both allow it, so that what is planned is what the guards allow at the dial.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::hours::{Hours, LOOK_AHEAD_DAYS};
use crate::permitted::PermittedHours;

/// The spans in `from..to` in which the place is open, at most [`LOOK_AHEAD_DAYS`] beyond `from`.
pub fn open_spans(hours: &Hours, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    hours.open_between(from, bounded(from, to))
}

/// The spans in `from..to` in which a person may be rung who is in one of `zones`, nobody knows
/// which: those permitted in all of them. No zone: no span. At most [`LOOK_AHEAD_DAYS`] beyond
/// `from`.
pub fn permitted_spans(
    permitted: &PermittedHours,
    zones: &[TimeZone],
    from: Timestamp,
    to: Timestamp,
) -> Vec<(Timestamp, Timestamp)> {
    let to = bounded(from, to);
    let Some((first, others)) = zones.split_first() else {
        return Vec::new();
    };
    let mut spans = permitted_in(permitted, first, from, to);
    for zone in others {
        if spans.is_empty() {
            break;
        }
        spans = intersect(&spans, &permitted_in(permitted, zone, from, to));
    }
    spans
}

/// The spans in `from..to` in which one person may be dialled: the place is open, and either the
/// hour is permitted on the person's clock or it lies in the window for which the person asked to
/// be rung at any hour (`invited`). At most [`LOOK_AHEAD_DAYS`] beyond `from`.
pub fn dialable_spans(
    hours: &Hours,
    permitted: &PermittedHours,
    zones: &[TimeZone],
    invited: Option<(Timestamp, Timestamp)>,
    from: Timestamp,
    to: Timestamp,
) -> Vec<(Timestamp, Timestamp)> {
    let open = open_spans(hours, from, to);
    if open.is_empty() {
        return open;
    }
    let mut allowed = permitted_spans(permitted, zones, from, to);
    if let Some((start, end)) = invited
        && start < end
    {
        allowed = unite(&allowed, &[(start, end)]);
    }
    intersect(&open, &allowed)
}

/// What both lists have in common.
pub fn intersect(
    one: &[(Timestamp, Timestamp)],
    other: &[(Timestamp, Timestamp)],
) -> Vec<(Timestamp, Timestamp)> {
    let (mut i, mut j) = (0, 0);
    let mut common = Vec::new();
    while let (Some(a), Some(b)) = (one.get(i), other.get(j)) {
        let (start, end) = (a.0.max(b.0), a.1.min(b.1));
        if start < end {
            common.push((start, end));
        }
        if a.1 <= b.1 {
            i += 1;
        } else {
            j += 1;
        }
    }
    common
}

/// What either list has, joined where it touches.
pub fn unite(
    one: &[(Timestamp, Timestamp)],
    other: &[(Timestamp, Timestamp)],
) -> Vec<(Timestamp, Timestamp)> {
    let mut all: Vec<_> = one.iter().chain(other).copied().collect();
    all.sort_unstable();
    let mut joined = Vec::with_capacity(all.len());
    for span in all {
        push(&mut joined, span);
    }
    joined
}

/// Whether an instant lies in one of the spans.
pub fn contains(spans: &[(Timestamp, Timestamp)], at: Timestamp) -> bool {
    let after = spans.partition_point(|(start, _)| *start <= at);
    after > 0 && at < spans[after - 1].1
}

/// The hours on the clock of one zone. Between two jumps of that clock the offset is fixed, and a
/// wall time is an instant without doubt; so nothing has to be said about gaps and repetitions.
pub(crate) fn permitted_in(
    permitted: &PermittedHours,
    zone: &TimeZone,
    from: Timestamp,
    to: Timestamp,
) -> Vec<(Timestamp, Timestamp)> {
    let mut spans = Vec::new();
    let mut piece = from;
    for jump in zone.following(from) {
        let jump = jump.timestamp();
        if jump >= to {
            break;
        }
        between_jumps(permitted, zone, piece, jump, &mut spans);
        piece = jump;
    }
    between_jumps(permitted, zone, piece, to, &mut spans);
    spans
}

fn between_jumps(
    permitted: &PermittedHours,
    zone: &TimeZone,
    from: Timestamp,
    to: Timestamp,
    spans: &mut Vec<(Timestamp, Timestamp)>,
) {
    let offset = zone.to_offset(from);
    let last = offset.to_datetime(to).date();
    let mut date = offset.to_datetime(from).date();
    while date <= last {
        let instant = |time| offset.to_timestamp(date.to_datetime(time)).ok();
        if let (Some(start), Some(end)) = (instant(permitted.from()), instant(permitted.to())) {
            push(spans, (start.max(from), end.min(to)));
        }
        match date.tomorrow() {
            Ok(next) => date = next,
            Err(_) => break,
        }
    }
}

/// Adds a span that starts no earlier than the last one.
fn push(spans: &mut Vec<(Timestamp, Timestamp)>, (start, end): (Timestamp, Timestamp)) {
    if start >= end {
        return;
    }
    match spans.last_mut() {
        Some(last) if start <= last.1 => last.1 = last.1.max(end),
        Some(_) | None => spans.push((start, end)),
    }
}

/// Nobody plans further than the hours are looked up.
fn bounded(from: Timestamp, to: Timestamp) -> Timestamp {
    let days = jiff::SignedDuration::from_hours(24 * i64::from(LOOK_AHEAD_DAYS));
    to.min(from.saturating_add(days).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests;
