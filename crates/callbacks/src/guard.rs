//! Reasons not to dial now. The same function answers at booking and at every dial.

use crate::callback::Callback;
use crate::contact::{Contact, zones};
use crate::customer::Customer;
use crate::ids::InteractionId;
use crate::queue::QueueView;
use crate::wire_time::plus;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ringback_scheduling::Almanac;
use ringback_scheduling::permitted::permitted_at;
use ringback_scheduling::slots::Taken;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// The queue is closed.
    Closed,
    /// The queue is closed because of a holiday.
    Holiday,
    /// It is outside the hours in which this customer may be rung, on their own clock.
    CustomersNight,
    /// The customer asked never to be called.
    DoNotCall,
    /// The number has been called as often as is allowed in 24 hours.
    NumberDailyLimit,
    /// Another call with this number is going on.
    NumberInCall,
    /// Every route is down or at its limit.
    Route,
    /// Nobody is free to talk.
    NoAgent,
    /// The window has ended, or nothing in it is allowed.
    TooLate,
    /// A supervisor paused dialling.
    Paused,
    /// The queue does not dial this region or kind of number.
    NotDiallable,
    /// Hours, do-not-call list or number data cannot be read: nothing is dialled.
    RulesUnreadable,
    /// The queue is gone.
    QueueRemoved,
    /// Its time has not come.
    NotYet,
}

impl Guard {
    pub fn name(self) -> &'static str {
        match self {
            Guard::Closed => "closed",
            Guard::Holiday => "holiday",
            Guard::CustomersNight => "customers_night",
            Guard::DoNotCall => "do_not_call",
            Guard::NumberDailyLimit => "number_daily_limit",
            Guard::NumberInCall => "number_in_call",
            Guard::Route => "route",
            Guard::NoAgent => "no_agent",
            Guard::TooLate => "too_late",
            Guard::Paused => "paused",
            Guard::NotDiallable => "not_diallable",
            Guard::RulesUnreadable => "rules_unreadable",
            Guard::QueueRemoved => "queue_removed",
            Guard::NotYet => "not_yet",
        }
    }

    /// What to tell a person who asks "why not yet?".
    pub fn sentence(self) -> &'static str {
        match self {
            Guard::Closed => "The queue is closed at this time.",
            Guard::Holiday => "The queue is closed for a holiday.",
            Guard::CustomersNight => {
                "It is outside the hours in which this customer may be called, on their own clock."
            }
            Guard::DoNotCall => "This customer asked not to be called.",
            Guard::NumberDailyLimit => "This number was called as often as is allowed in 24 hours.",
            Guard::NumberInCall => "Another call with this number is going on.",
            Guard::Route => "Every route for this callback is down or at its limit.",
            Guard::NoAgent => "No agent is free.",
            Guard::TooLate => "No allowed moment is left in the customer's window.",
            Guard::Paused => "Dialling is paused for this queue.",
            Guard::NotDiallable => "The queue does not dial this region or kind of number.",
            Guard::RulesUnreadable => {
                "The rules that allow dialling cannot be read, so nothing is dialled."
            }
            Guard::QueueRemoved => "The queue was removed.",
            Guard::NotYet => "Its time has not come.",
        }
    }
}

/// What a guard says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Ask again at this moment.
    Until(Guard, Timestamp),
    /// Never: the callback ends.
    ForGood(Guard),
}

impl Held {
    pub fn guard(self) -> Guard {
        match self {
            Held::Until(guard, _) | Held::ForGood(guard) => guard,
        }
    }
}

/// What the store knows about the number, read in the same transaction as the decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberFacts {
    /// When calls to this number were placed in the last 24 hours, oldest first.
    pub placed_last_day: Vec<Timestamp>,
    /// Another callback's attempt is live on this number.
    pub in_call_with: Option<InteractionId>,
}

/// Everything a decision may look at besides the callback itself.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    pub queue: &'a QueueView,
    pub customer: &'a Customer,
    pub number: &'a NumberFacts,
    /// The rules of local time in use.
    pub almanac: &'a Almanac,
    /// 0 ≤ jitter < 1, drawn by the caller: spreads retries out.
    pub jitter: f64,
    /// What is taken of the queue's slots; read for those decisions that may take a place.
    pub slots: Option<&'a SlotFacts>,
}

/// What is taken of a queue's slots around the time that somebody wants. The callback's own place, and
/// that of the one it replaces, are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotFacts {
    pub taken: Taken,
    /// The slot begins here in which the request's own hold keeps a place; not among those taken.
    pub held: Option<Timestamp>,
}

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How soon to look again when nothing tells when a guard will lift; a change of the cause wakes it sooner.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// A number in a call is free again within minutes; its end also wakes the dispatcher.
const CALL_LOOK_AGAIN: Duration = Duration::from_secs(15);

/// May this callback be dialled at `now`? Every guard, in the order of what a person would want to hear first.
pub fn check(callback: &Callback, facts: &Facts<'_>, now: Timestamp) -> Result<(), Held> {
    permanent(callback, facts)?;
    if let Some(end) = callback.window.end
        && now >= end
    {
        return Err(Held::ForGood(Guard::TooLate));
    }
    if now < callback.window.start {
        return Err(Held::Until(Guard::NotYet, callback.window.start));
    }
    if facts.queue.queue.dialling_paused {
        return Err(Held::Until(Guard::Paused, plus(now, LOOK_AGAIN)));
    }
    clock(callback, facts, now)?;
    if !matches!(callback.contact(), Contact::Email(_)) {
        if facts
            .number
            .in_call_with
            .is_some_and(|other| other != callback.interaction.id)
        {
            return Err(Held::Until(Guard::NumberInCall, plus(now, CALL_LOOK_AGAIN)));
        }
        let limit = facts.queue.rules().calls_per_number_per_day as usize;
        let placed = &facts.number.placed_last_day;
        if placed.len() >= limit {
            // Free again when enough of the oldest calls have left the last 24 hours.
            let leaves = placed.get(placed.len() - limit).copied().unwrap_or(now);
            return Err(Held::Until(Guard::NumberDailyLimit, plus(leaves, DAY)));
        }
    }
    Ok(())
}

/// Guards that no waiting lifts.
pub fn permanent(callback: &Callback, facts: &Facts<'_>) -> Result<(), Held> {
    if facts.queue.queue.removed {
        return Err(Held::ForGood(Guard::QueueRemoved));
    }
    if facts.customer.do_not_call {
        return Err(Held::ForGood(Guard::DoNotCall));
    }
    // Rules that cannot be read hold it back (the hours say so below) instead of ending it for good.
    if facts.queue.hours.is_some() && !diallable(callback.contact(), facts.queue) {
        return Err(Held::ForGood(Guard::NotDiallable));
    }
    Ok(())
}

/// Whether the queue's rules allow this contact at all.
pub fn diallable(contact: &Contact, queue: &QueueView) -> bool {
    match contact {
        Contact::Phone(number) => queue.rules().dial.permit(number).is_ok(),
        Contact::Voip(address) => queue.rules().allow_private_addresses || !address.is_private(),
        Contact::Email(_) => true,
    }
}

/// Opening hours and the customer's own clock.
fn clock(callback: &Callback, facts: &Facts<'_>, now: Timestamp) -> Result<(), Held> {
    let Some(hours) = facts.queue.hours.as_deref() else {
        return Err(Held::Until(Guard::RulesUnreadable, plus(now, LOOK_AGAIN)));
    };
    // Asked before every dial; when it closes again, which may be a long search, nobody wants to know here.
    if !hours.is_open(now) {
        let guard = if hours.state(now).holiday {
            Guard::Holiday
        } else {
            Guard::Closed
        };
        let until = hours.next_open(now).unwrap_or_else(|| plus(now, DAY));
        return Err(Held::Until(guard, until));
    }
    if !matches!(callback.contact(), Contact::Email(_)) {
        let zones = customer_zones(callback, facts);
        if let Err(until) = permitted_at(
            now,
            &zones,
            &facts.queue.rules().customer_hours,
            callback.any_hour,
        ) {
            return Err(Held::Until(Guard::CustomersNight, until.or(plus(now, DAY))));
        }
    }
    Ok(())
}

/// The zones the customer may be in: the stated one wins; else all that the number allows; else the queue's.
pub fn customer_zones(callback: &Callback, facts: &Facts<'_>) -> Vec<TimeZone> {
    let stated = callback
        .time_zone
        .as_deref()
        .or(facts.customer.time_zone.as_deref());
    zones_for(
        stated,
        Some(callback.contact()),
        &facts.queue.rules().hours.time_zone,
    )
}

/// The same from its parts: the zone that was stated, the contact, and the queue's zone.
pub fn zones_for(
    stated: Option<&str>,
    contact: Option<&Contact>,
    queue_zone: &str,
) -> Vec<TimeZone> {
    if let Some(zone) = stated.and_then(|name| TimeZone::get(name).ok()) {
        return vec![zone];
    }
    let mut found = Vec::new();
    if let Some(Contact::Phone(number)) = contact {
        found = zones::zones_of(number)
            .iter()
            .filter_map(|name| TimeZone::get(name).ok())
            .collect();
    }
    if found.is_empty() {
        found.extend(TimeZone::get(queue_zone).ok());
    }
    found
}

/// The first moment at or after `from` that hours and the customer's clock allow, if it lies before `end`;
/// with the guard that moved it, if one did.
pub fn first_allowed(
    callback: &Callback,
    facts: &Facts<'_>,
    from: Timestamp,
    end: Option<Timestamp>,
) -> Result<(Timestamp, Option<Guard>), Guard> {
    let mut at = from;
    let mut moved_by = None;
    // Each round jumps to where one guard lifts; 64 rounds reach weeks ahead even with odd hours.
    for _ in 0..64 {
        if end.is_some_and(|end| at >= end) {
            return Err(moved_by.unwrap_or(Guard::TooLate));
        }
        match clock(callback, facts, at) {
            Ok(()) => return Ok((at, moved_by)),
            Err(Held::Until(Guard::RulesUnreadable, _)) => return Err(Guard::RulesUnreadable),
            Err(Held::Until(guard, until)) => {
                moved_by = moved_by.or(Some(guard));
                at = until.max(plus(at, Duration::from_millis(1)));
            }
            Err(Held::ForGood(guard)) => return Err(guard),
        }
    }
    Err(moved_by.unwrap_or(Guard::TooLate))
}
