//! Windows said in local time: their instants are found by the rules of now, and found again when those change.

use super::promises::window;
use super::{Refusal, Work};
use crate::callback::PromiseState;
use crate::decide;
use crate::event::EventKind;
use crate::guard::{self, Guard};
use crate::problem::Problems;
use crate::state::{DueReason, State};
use crate::window::LocalWindow;
use jiff::Timestamp;
use serde_json::{Value, json};

impl Work<'_> {
    /// Finds the instants of a window that has just been said in local time.
    pub(super) fn resolve_local(&mut self) -> Result<(), Refusal> {
        let Some(mut local) = self.after.local.take() else {
            return Ok(());
        };
        let field = if local.end.is_some() {
            "end_time"
        } else {
            "start_time"
        };
        let refused = |code, detail| Refusal::Invalid(Problems::one(field, code, detail));
        let window = local
            .resolve_by(self.facts.almanac, self.after.window)
            .ok_or_else(|| refused("time_zone", "its time zone is not known here"))?;
        if window.end.is_some_and(|end| end <= window.start) {
            return Err(refused("order", "must be later than start_time"));
        }
        if window.end.is_some_and(|end| end <= self.now) {
            return Err(refused("past", "has already passed"));
        }
        self.after.window = window;
        self.after.local = Some(local);
        Ok(())
    }

    /// New rules of local time: the wall time stays, the instants move. What is under way is left alone.
    pub(super) fn resolve_again(&mut self) -> Result<(), Refusal> {
        self.must_wait()?;
        let Some((local, moved)) = self.before.moved_by(self.facts.almanac) else {
            return Ok(());
        };
        let before = self.before.window;
        let old = self.after.local.take().map(|local| local.edition);
        self.after.window = moved;
        self.after.local = Some(local);
        let starts_later = moved.start > self.now;
        match &self.before.state {
            State::Received
            | State::Scheduled {
                reason: DueReason::Booked | DueReason::Held(_),
                ..
            } => self.place_within_moved_window(),
            State::Queued { .. } if starts_later => self.place_within_moved_window(),
            // A retry, a snooze and a transfer were set to a time of their own, and who waits keeps the place.
            State::Scheduled { .. } | State::Queued { .. } | State::Transferred { .. } => {}
            State::Offered { .. }
            | State::Assigned { .. }
            | State::Dialling { .. }
            | State::Talking { .. }
            | State::WrapUp { .. }
            | State::Done { .. }
            | State::Cancelled { .. }
            | State::Exhausted { .. }
            | State::Refused { .. }
            | State::Failed { .. }
            | State::Replaced { .. }
            | State::Expired => return self.not_now(),
        }
        self.say(
            EventKind::WindowMoved,
            json!({
                "before": window(before.start, before.end),
                "after": window(moved.start, moved.end),
                "local": self.said(),
                "tzdb_before": old,
                "tzdb_after": self.facts.almanac.edition(),
            }),
        );
        Ok(())
    }

    /// Its new place on the clock. Where nothing in the moved window is allowed, or no slot in it has a
    /// place left, it is not refused, as a booking would be: it was accepted. Then its timer is the
    /// window's start, and the guards say why it waits until the window ends.
    fn place_within_moved_window(&mut self) {
        if self.place_again(DueReason::Booked).is_err() {
            let due = self.after.window.start.max(self.now);
            self.after.state = State::Scheduled {
                due,
                reason: DueReason::Booked,
            };
            // Its place at the hour that was meant before is free for others.
            let window = self.after.window;
            self.after.slot = self.after.slot.filter(|slot| {
                slot.end > window.start && window.end.is_none_or(|end| slot.start < end)
            });
            if self.after.promise.state == PromiseState::Open {
                self.after.promise = decide::promise(due, window.end, self.facts);
                self.after.told = None;
            }
        }
    }

    /// After the window was widened by another request: each side is kept as it was said by whoever said
    /// it. Where the two were said on different clocks, the end stays the instant that it is.
    pub(super) fn widen_local(&mut self, told: Option<LocalWindow>) {
        let known = self.before.local.as_ref();
        let start = if self.after.window.start == self.before.window.start {
            known
        } else {
            told.as_ref()
        };
        let end = if self.after.window.end == self.before.window.end {
            known
        } else {
            told.as_ref()
        };
        let start = start.filter(|local| local.start.is_some());
        let end = end.filter(|local| local.end.is_some());
        let edition = self.facts.almanac.edition().to_owned();
        self.after.local = match (start, end) {
            (None, None) => None,
            (Some(start), end) => Some(LocalWindow {
                zone: start.zone.clone(),
                start: start.start,
                end: end
                    .filter(|end| end.zone == start.zone)
                    .and_then(|end| end.end),
                edition,
            }),
            (None, Some(end)) => Some(LocalWindow {
                zone: end.zone.clone(),
                start: None,
                end: end.end,
                edition,
            }),
        };
    }

    /// The window as it was said, for the record.
    pub(super) fn said(&self) -> Value {
        self.after.local.as_ref().map_or(Value::Null, |local| {
            json!({
                "start": local.start.map(|wall| wall.to_string()),
                "end": local.end.map(|wall| wall.to_string()),
                "time_zone": local.zone,
            })
        })
    }

    /// Why nothing from `from` to the window's end can be, which field to change, and when it could be.
    pub(super) fn no_moment(&self, guard: Guard, from: Timestamp, field: &'static str) -> Refusal {
        if guard == Guard::RulesUnreadable {
            return Refusal::Guarded(guard);
        }
        let next = guard::first_allowed(&self.after, self.facts, from, None).ok();
        Refusal::NoMoment {
            guard,
            field,
            next: next.map(|(at, _)| at),
        }
    }
}
