//! Places in slots: which one a callback takes, keeps when something else of it changes, and moves to.
//!
//! Only callbacks for which somebody named a time take a place. Who is to be called as soon as possible
//! waits in line instead.

use super::{Refusal, Work};
use crate::callback::{SlotTime, Window};
use crate::contact::Contact;
use crate::guard::customer_zones;
use crate::problem::Problems;
use crate::wire_time::{self, plus};
use jiff::Timestamp;
use ringback_scheduling::slots::{NoPlace, Slot, SlotPlan, Taken, Wanted, lies_in};
use ringback_scheduling::spans::permitted_spans;
use std::time::Duration;

/// No slot could be had, and what is needed to name others instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// The reason.
    pub why: NoPlace,
    /// The first moment that would have suited, or the nearest to it that can be booked at all.
    pub wanted: Timestamp,
    /// The IANA zone that the customer named.
    pub time_zone: Option<String>,
    /// When the customer may be rung around then; `None`: at any time.
    pub permitted: Option<Vec<(Timestamp, Timestamp)>>,
}

/// The stretch in which a callback with this window wants a place; `None`: as soon as possible.
pub fn wanted(
    window: &Window,
    promise_within: Duration,
    now: Timestamp,
) -> Option<(Timestamp, Timestamp)> {
    let from = window.start.max(now);
    match (window.end_given, window.end) {
        (true, Some(end)) => Some((from, end)),
        // The end is only when it expires: what was asked for is the beginning.
        (false, _) | (true, None) if window.start > now => Some((from, plus(from, promise_within))),
        (false, _) | (true, None) => None,
    }
}

impl Work<'_> {
    /// A place that was kept for the request also says when it is to be called, unless it says so itself.
    pub(super) fn take_up_hold(&mut self) -> Result<(), Refusal> {
        let Some((slot, _)) = self.held_slot() else {
            return Ok(());
        };
        if !self.takes_slots() {
            return Err(Refusal::Invalid(Problems::one(
                "hold",
                "email",
                "keeps a place for a call: an e-mail needs none",
            )));
        }
        let within = self.facts.queue.rules().promise_within.as_duration();
        if let Some((from, to)) = wanted(&self.after.window, within, self.now) {
            if slot.0 < to && slot.1 > from {
                return Ok(());
            }
            return Err(Refusal::Invalid(Problems::one(
                "hold",
                "window",
                "keeps a place in a slot outside the window from start_time to end_time",
            )));
        }
        let length = self.facts.queue.rules().default_window.as_duration();
        self.after.window.start = wire_time::truncate(slot.0);
        self.after.window.end = Some(wire_time::truncate(plus(slot.0, length)));
        Ok(())
    }

    /// Takes a place for the callback as it now is, if it wants one. `due`: when it could be dialled first;
    /// what comes back is when it will be.
    pub(super) fn take_slot(&mut self, due: Timestamp) -> Result<Timestamp, Refusal> {
        let within = self.facts.queue.rules().promise_within.as_duration();
        let wanted = wanted(&self.after.window, within, self.now);
        let Some(plan) = self.facts.queue.slots.as_deref() else {
            self.after.slot = None;
            return Ok(due);
        };
        let Some((from, to)) = wanted.filter(|_| self.takes_slots()) else {
            self.after.slot = None;
            return Ok(due);
        };
        // What is taken was not read: nothing is sold blindly.
        let Some(facts) = self.facts.slots else {
            return Ok(due);
        };
        // Whatever else of it changes, it keeps its place as long as its time stays as it was.
        let kept = self
            .before
            .slot
            .filter(|_| self.before.window == self.after.window);
        let slot = match (self.held_slot(), kept) {
            (Some(((start, end), per_customer)), _) => {
                if per_customer {
                    return Err(self.unplaced(NoPlace::PerCustomer, start));
                }
                self.permitted_in(start.max(from), end.min(to))?;
                SlotTime { start, end }
            }
            (None, Some(slot)) => {
                if slot.end > from {
                    self.permitted_in(slot.start.max(from), slot.end.min(to))?;
                }
                slot
            }
            (None, None) => self.find_slot(plan, &facts.taken, from, to)?,
        };
        self.after.slot = Some(slot);
        Ok(due.max(slot.start))
    }

    /// Moves the place of a callback that has one to `until`. Comes back with when it will be dialled.
    pub(super) fn move_slot(&mut self, until: Timestamp) -> Result<Timestamp, Refusal> {
        let known = self.before.slot.and(self.facts.slots);
        let (Some(plan), Some(facts)) = (self.facts.queue.slots.as_deref(), known) else {
            return Ok(until);
        };
        let within = self.facts.queue.rules().promise_within.as_duration();
        let window = &self.after.window;
        let to = match window.end.filter(|_| window.end_given) {
            Some(end) => end,
            None => plus(until, within),
        };
        let slot = self.find_slot(plan, &facts.taken, until, to)?;
        self.after.slot = Some(slot);
        Ok(wire_time::truncate(until.max(slot.start)))
    }

    /// Who has asked for one slot, or been given the only one that their window touches, is promised that slot.
    pub(super) fn promise_the_slot(&mut self) {
        let (Some(slot), Some(plan)) = (self.after.slot, self.facts.queue.slots.as_deref()) else {
            return;
        };
        let promise = &mut self.after.promise;
        if slot.end <= promise.from {
            return;
        }
        let held = self.facts.slots.is_some_and(|facts| facts.held.is_some());
        let window = &self.after.window;
        let one = window.end_given
            && window
                .end
                .is_some_and(|end| plan.bounds(window.start).1 >= end);
        if held || one {
            let end = window.end.map_or(slot.end, |end| end.min(slot.end));
            promise.to = wire_time::truncate(end.max(promise.from));
        }
    }

    fn find_slot(
        &self,
        plan: &SlotPlan,
        taken: &Taken,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<SlotTime, Refusal> {
        // Beyond the horizon no slot is looked at, however far the window reaches.
        let reach = to.min(plus(plan.bookable(self.now).1, DAY)).max(from);
        let permitted = self.permitted(from, reach);
        let wanted = Wanted {
            from,
            to,
            permitted: permitted.as_deref(),
        };
        let Slot { start, end, .. } = plan
            .place(wanted, taken, self.now)
            .map_err(|why| self.unplaced(why, from))?;
        Ok(SlotTime { start, end })
    }

    /// When the customer may be rung; `None` at any hour.
    fn permitted(&self, from: Timestamp, to: Timestamp) -> Option<Vec<(Timestamp, Timestamp)>> {
        if self.after.any_hour {
            return None;
        }
        let zones = customer_zones(&self.after, self.facts);
        // A day to either side, for slots that only reach into the stretch.
        let hours = &self.facts.queue.rules().customer_hours;
        let from = from.saturating_sub(jiff::SignedDuration::from_hours(24));
        Some(permitted_spans(
            hours,
            &zones,
            from.unwrap_or(to),
            plus(to, DAY),
        ))
    }

    fn permitted_in(&self, start: Timestamp, end: Timestamp) -> Result<(), Refusal> {
        match self.permitted(start, end) {
            Some(spans) if !lies_in(&spans, start, end) => {
                Err(self.unplaced(NoPlace::NotPermitted, start))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn unplaced(&self, why: NoPlace, wanted: Timestamp) -> Refusal {
        // Who asks for the past or the far future is shown what comes nearest to it.
        let bookable = self
            .facts
            .queue
            .slots
            .as_ref()
            .map(|plan| plan.bookable(self.now));
        let wanted = bookable.map_or(wanted, |(first, last)| wanted.clamp(first, last));
        let (from, to) = SlotPlan::around(wanted);
        Refusal::NoPlace(Box::new(Unplaced {
            why,
            wanted,
            time_zone: self.after.time_zone.clone(),
            permitted: self.permitted(from, to),
        }))
    }

    /// Letters are written when there is time for them.
    fn takes_slots(&self) -> bool {
        match self.after.contact() {
            Contact::Phone(_) | Contact::Voip(_) => true,
            Contact::Email(_) => false,
        }
    }

    /// The bounds of the slot in which the request's hold keeps a place, and whether the customer has
    /// booked as many as one may.
    fn held_slot(&self) -> Option<((Timestamp, Timestamp), bool)> {
        let plan = self.facts.queue.slots.as_deref()?;
        let facts = self.facts.slots?;
        let most = plan.rules().per_customer;
        let too_many = most.is_some_and(|most| facts.taken.of_customer >= most);
        Some((plan.bounds(facts.held?), too_many))
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);
