//! Slots: the intervals of a queue that can be booked, how many callbacks each carries, and what
//! is left of them.
//!
//! A slot is never stored. Where it begins follows from the queue's clock, and how much it carries
//! from hours and staff, so that both can be changed at any time; what is stored is only which
//! moments were taken. A slot holds all that was taken within its bounds.

mod clock;
mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::hours::Hours;
use crate::staffing::{Capacity, CapacityRules, value_at};
use crate::zone::Zone;
pub use rules::{BookingRules, SlotRuleError};

/// A bookable interval, half-open, and how many callbacks it carries when nothing is taken of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its first instant.
    pub start: Timestamp,
    /// Its first instant no longer.
    pub end: Timestamp,
    /// Places in all.
    pub total: u32,
}

/// A slot with what is taken of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotState {
    /// The slot itself.
    pub slot: Slot,
    /// Places of callbacks.
    pub booked: u32,
    /// Places kept for somebody who is still filling in a form.
    pub held: u32,
    /// Places left, within the limit of the day too.
    pub free: u32,
}

/// Places taken, by the moment at which the slot began that they were taken of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    places: BTreeMap<Timestamp, Places>,
    /// Open callbacks of the customer in question that have a place, in the whole queue.
    pub of_customer: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Places {
    booked: u32,
    held: u32,
}

impl Taken {
    /// Adds places taken at `start`.
    pub fn add(&mut self, start: Timestamp, booked: u32, held: u32) {
        let places = self.places.entry(start).or_default();
        places.booked = places.booked.saturating_add(booked);
        places.held = places.held.saturating_add(held);
    }

    fn within(&self, from: Timestamp, to: Timestamp) -> Places {
        if from >= to {
            return Places::default();
        }
        let mut sum = Places::default();
        for places in self.places.range(from..to).map(|(_, places)| places) {
            sum.booked = sum.booked.saturating_add(places.booked);
            sum.held = sum.held.saturating_add(places.held);
        }
        sum
    }
}

/// When somebody wants to be called: the stretch, and in which parts of it they may be.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The first moment that suits them.
    pub from: Timestamp,
    /// From then on it is too late.
    pub to: Timestamp,
    /// Stretches in which they may be rung, in order; `None`: at any time.
    pub permitted: Option<&'a [(Timestamp, Timestamp)]>,
}

/// Why no slot can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoPlace {
    /// The queue has no slot there: it is closed, or nobody works.
    NoSlot,
    /// The customer may not be rung at any slot there.
    NotPermitted,
    /// Too soon: it begins before the notice that the queue needs.
    Notice,
    /// Too far ahead.
    Horizon,
    /// Every place is taken.
    Full,
    /// The day has had as many as it may have.
    PerDay,
    /// The customer has booked as many as one may.
    PerCustomer,
}

impl NoPlace {
    /// A stable word for programs.
    pub fn name(self) -> &'static str {
        match self {
            NoPlace::NoSlot => "no_slot",
            NoPlace::NotPermitted => "not_permitted",
            NoPlace::Notice => "notice",
            NoPlace::Horizon => "horizon",
            NoPlace::Full => "full",
            NoPlace::PerDay => "per_day",
            NoPlace::PerCustomer => "per_customer",
        }
    }

    /// A sentence for people.
    pub fn sentence(self) -> &'static str {
        match self {
            NoPlace::NoSlot => "The queue has no slot at this time.",
            NoPlace::NotPermitted => {
                "The slots at this time lie outside the hours in which this customer may be called."
            }
            NoPlace::Notice => "It is too soon: the queue has no slot left before then.",
            NoPlace::Horizon => "It is further ahead than the queue takes bookings.",
            NoPlace::Full => "Every place at this time is taken.",
            NoPlace::PerDay => "The queue has as many bookings on this day as it takes.",
            NoPlace::PerCustomer => "The customer has as many bookings as one may have.",
        }
    }
}

/// The slots of one queue.
#[derive(Clone, Debug)]
pub struct SlotPlan {
    hours: Arc<Hours>,
    capacity: Capacity,
    rules: BookingRules,
}

/// The most slots that are laid out at once.
pub const MOST_SLOTS: usize = 3_000;
/// How far ahead a capacity of nought is searched for something better, in days.
const SEARCH_DAYS: i64 = 366;
const DAY: SignedDuration = SignedDuration::from_hours(24);
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

impl SlotPlan {
    /// For rules that somebody has just written: checks all that [`SlotPlan::parse`] does, and that
    /// some slot in the next 366 days carries at least one callback.
    pub fn new(
        hours: Arc<Hours>,
        capacity: &CapacityRules,
        booking: &BookingRules,
        now: Timestamp,
    ) -> Result<SlotPlan, Vec<SlotRuleError>> {
        let plan = SlotPlan::parse(hours, capacity, booking)?;
        let end = later(now, DAY * i32::try_from(SEARCH_DAYS).unwrap_or(366));
        if plan.weeks(now, end).any(|slot| slot.total > 0) {
            Ok(plan)
        } else {
            Err(vec![SlotRuleError::never(capacity)])
        }
    }

    /// For rules that were checked when they were written.
    pub fn parse(
        hours: Arc<Hours>,
        capacity: &CapacityRules,
        booking: &BookingRules,
    ) -> Result<SlotPlan, Vec<SlotRuleError>> {
        let mut faults = booking.check();
        match Capacity::parse(capacity, hours.zone()) {
            Ok(capacity) if faults.is_empty() => Ok(SlotPlan {
                hours,
                capacity,
                rules: booking.clone(),
            }),
            Ok(_) => Err(faults),
            Err(found) => {
                faults.extend(found.into_iter().map(SlotRuleError::from));
                Err(faults)
            }
        }
    }

    /// How slots are cut and sold.
    pub fn rules(&self) -> &BookingRules {
        &self.rules
    }

    /// What the queue can carry.
    pub fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// The zone by whose clock slots begin.
    pub fn zone(&self) -> &Zone {
        self.hours.zone()
    }

    /// The bounds of the slot in which `at` lies, whether or not it can be booked.
    pub fn bounds(&self, at: Timestamp) -> (Timestamp, Timestamp) {
        clock::bounds(at, self.zone().tz(), self.rules.slot)
    }

    /// The slots that begin in `from..to` and lie wholly within opening hours, in order; at most
    /// [`MOST_SLOTS`].
    pub fn slots(&self, from: Timestamp, to: Timestamp) -> Vec<Slot> {
        let to = to.min(later(from, DAY * 367));
        let length = self.rules.slot.as_signed();
        let mut cut = Vec::new();
        for (opens, closes) in self.hours.open_between(from, later(to, length)) {
            // What a stretch that is cut off at `from` looks like is not how it began.
            let mut slot = self.bounds(opens);
            if slot.0 < opens {
                slot = self.bounds(slot.1);
            }
            while slot.1 <= closes && slot.0 < to && cut.len() < MOST_SLOTS {
                cut.push(slot);
                let next = self.bounds(slot.1);
                if next.0 <= slot.0 {
                    break;
                }
                slot = next;
            }
        }
        self.with_capacity(&cut)
    }

    /// The same, without end and one after the other: a week is looked at when it is come to.
    fn weeks(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = Slot> {
        let mut at = from;
        std::iter::from_fn(move || {
            if at >= to {
                return None;
            }
            let end = later(at, WEEK).min(to);
            let slots = self.slots(at, end);
            // A slot never begins twice: the next week begins where the last slot did not.
            at = end.max(later(at, SignedDuration::from_nanos(1)));
            Some(slots)
        })
        .flatten()
    }

    fn with_capacity(&self, cut: &[(Timestamp, Timestamp)]) -> Vec<Slot> {
        let (Some(first), Some(last)) = (cut.first(), cut.last()) else {
            return Vec::new();
        };
        let most = self.rules.per_slot.unwrap_or(u32::MAX);
        let whole = self.rules.slot.as_signed().as_secs_f64();
        let carried = |start: Timestamp, end: Timestamp, staff: &Steps| match &self.capacity {
            // A slot cut short by a jump of the clock carries its part.
            Capacity::PerSlot(count) => {
                f64::from(*count) * end.duration_since(start).as_secs_f64() / whole
            }
            Capacity::Staff(plan) => sum(staff, start, end) / plan.handling(),
        };
        let staff = match &self.capacity {
            Capacity::PerSlot(_) => Steps::new(),
            Capacity::Staff(plan) => plan.for_callbacks(first.0, last.1),
        };
        cut.iter()
            .map(|(start, end)| Slot {
                start: *start,
                end: *end,
                total: whole_number(carried(*start, *end, &staff)).min(most),
            })
            .collect()
    }

    /// The stretch of time in which what is taken must be known, so that bookings in `from..to` can
    /// be judged: whole days, where the day has a limit.
    pub fn reach(&self, from: Timestamp, to: Timestamp) -> (Timestamp, Timestamp) {
        let (start, end) = (self.bounds(from).0, self.bounds(to.max(from)).1);
        if self.rules.per_day.is_none() {
            return (start, end);
        }
        let tz = self.zone().tz();
        let midnight = |date: Date| tz.to_zoned(date.at(0, 0, 0, 0)).map(|at| at.timestamp());
        let first = midnight(tz.to_datetime(start).date()).unwrap_or(start);
        let tomorrow = tz.to_datetime(end).date().tomorrow();
        let last = tomorrow.and_then(midnight).unwrap_or(end);
        (first.min(start), last.max(end))
    }

    /// The first and the last moment at which a slot may begin that is booked now.
    pub fn bookable(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        (
            later(now, self.rules.notice.as_signed()),
            later(now, self.rules.horizon.as_signed()),
        )
    }

    /// The slots that begin in `from..to` and can be booked now, with what is left of them.
    pub fn states(
        &self,
        from: Timestamp,
        to: Timestamp,
        taken: &Taken,
        now: Timestamp,
    ) -> Vec<SlotState> {
        let (first, last) = self.bookable(now);
        let from = from.max(first);
        let to = to.min(later(last, SignedDuration::from_nanos(1)));
        let mut days = Days::default();
        self.slots(from, to)
            .into_iter()
            .map(|slot| self.state(slot, taken, &mut days))
            .collect()
    }

    fn state(&self, slot: Slot, taken: &Taken, days: &mut Days) -> SlotState {
        let here = taken.within(slot.start, slot.end);
        let left = slot
            .total
            .saturating_sub(here.booked.saturating_add(here.held));
        SlotState {
            slot,
            booked: here.booked,
            held: here.held,
            free: left.min(self.left_of_day(slot.start, taken, days)),
        }
    }

    fn left_of_day(&self, at: Timestamp, taken: &Taken, days: &mut Days) -> u32 {
        let Some(most) = self.rules.per_day else {
            return u32::MAX;
        };
        let tz = self.zone().tz();
        let date = tz.to_datetime(at).date();
        if days.date != Some(date) {
            let midnight = |date: Date| tz.to_zoned(date.at(0, 0, 0, 0)).map(|at| at.timestamp());
            let taken = match (midnight(date), date.tomorrow().and_then(midnight)) {
                (Ok(start), Ok(end)) => taken.within(start, end),
                _ => Places::default(),
            };
            days.date = Some(date);
            days.left = most.saturating_sub(taken.booked.saturating_add(taken.held));
        }
        days.left
    }

    /// The slot that a booking takes: the first free one inside the wanted stretch, else the first
    /// that reaches into it.
    pub fn place(
        &self,
        wanted: Wanted<'_>,
        taken: &Taken,
        now: Timestamp,
    ) -> Result<Slot, NoPlace> {
        let most = self.rules.per_customer;
        if most.is_some_and(|most| taken.of_customer >= most) {
            return Err(NoPlace::PerCustomer);
        }
        let (first, last) = self.bookable(now);
        // The worst that was met says why in the end: later ones in the list explain more.
        let mut why = NoPlace::NoSlot;
        let mut met = |reason: NoPlace| {
            if worth(reason) > worth(why) {
                why = reason;
            }
        };
        let from = self.bounds(wanted.from).0;
        let mut partly = None;
        let mut days = Days::default();
        for slot in self.weeks(from, wanted.to) {
            if slot.end <= wanted.from || slot.total == 0 {
                continue;
            }
            if slot.start > last {
                met(NoPlace::Horizon);
                break;
            }
            if slot.start < first {
                met(NoPlace::Notice);
                continue;
            }
            let (start, end) = (slot.start.max(wanted.from), slot.end.min(wanted.to));
            if !wanted
                .permitted
                .is_none_or(|spans| lies_in(spans, start, end))
            {
                met(NoPlace::NotPermitted);
                continue;
            }
            let here = taken.within(slot.start, slot.end);
            if here.booked.saturating_add(here.held) >= slot.total {
                met(NoPlace::Full);
                continue;
            }
            if self.left_of_day(slot.start, taken, &mut days) == 0 {
                met(NoPlace::PerDay);
                continue;
            }
            if (start, end) == (slot.start, slot.end) {
                return Ok(slot);
            }
            partly = partly.or(Some(slot));
        }
        partly.ok_or(why)
    }

    /// Up to `count` free slots nearest to `wanted`, before and after it, in order of time.
    pub fn nearest(
        &self,
        wanted: Timestamp,
        count: usize,
        permitted: Option<&[(Timestamp, Timestamp)]>,
        taken: &Taken,
        now: Timestamp,
    ) -> Vec<SlotState> {
        let (from, to) = SlotPlan::around(wanted);
        let mut free: Vec<SlotState> = self
            .states(from, to, taken, now)
            .into_iter()
            .filter(|state| state.free > 0)
            .filter(|state| {
                permitted.is_none_or(|spans| lies_in(spans, state.slot.start, state.slot.end))
            })
            .collect();
        free.sort_by_key(|state| {
            (
                state.slot.start.duration_since(wanted).abs(),
                state.slot.start,
            )
        });
        free.truncate(count);
        free.sort_by_key(|state| state.slot.start);
        free
    }

    /// The stretch in which [`SlotPlan::nearest`] looks.
    pub fn around(wanted: Timestamp) -> (Timestamp, Timestamp) {
        (later(wanted, -DAY * 3), later(wanted, WEEK))
    }
}

/// What is left of the day looked at last.
#[derive(Default)]
struct Days {
    date: Option<Date>,
    left: u32,
}

type Steps = Vec<(Timestamp, f64)>;

/// Which of two reasons tells the customer more.
fn worth(reason: NoPlace) -> u8 {
    match reason {
        NoPlace::NoSlot => 0,
        NoPlace::Notice => 1,
        NoPlace::Horizon => 2,
        NoPlace::NotPermitted => 3,
        NoPlace::PerDay => 4,
        NoPlace::Full => 5,
        NoPlace::PerCustomer => 6,
    }
}

/// Whether a stretch lies wholly in one of these.
pub fn lies_in(spans: &[(Timestamp, Timestamp)], start: Timestamp, end: Timestamp) -> bool {
    let next = spans.partition_point(|(from, _)| *from <= start);
    next > 0 && end <= spans[next - 1].1
}

/// Value times seconds of a step function over a stretch.
fn sum(steps: &[(Timestamp, f64)], from: Timestamp, to: Timestamp) -> f64 {
    let mut total = 0.0;
    let mut at = from;
    let mut next = steps.partition_point(|(start, _)| *start <= from);
    while at < to {
        let until = steps.get(next).map_or(to, |(start, _)| (*start).min(to));
        total += value_at(steps, at).unwrap_or(0.0) * until.duration_since(at).as_secs_f64();
        at = until;
        next += 1;
    }
    total
}

/// Rounded down, but not for what only the arithmetic has lost.
fn whole_number(number: f64) -> u32 {
    let number = (number + 1e-9).floor().clamp(0.0, f64::from(u32::MAX));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a whole number within the range"
    )]
    let whole = number as u32;
    whole
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
