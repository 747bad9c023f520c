//! Places in slots: counted, taken, kept and given back.
//!
//! Whoever counts here also writes here, in one transaction, and what it counted does not change before it ends: so
//! the last place is sold once.

use super::{House, before, conflict, gather};
use crate::tables::{NewHold, SlotCount, Tables, Wish};
use crate::{HoldOrder, Result, SlotHold, SlotList, SlotQuery, StoreError, effects};
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::clock::Chance;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::guard::SlotFacts;
use ringback_callbacks::ids::{HoldId, InteractionId, QueueId, TenantId};
use ringback_callbacks::lifecycle::{self, Refusal, Unplaced};
use ringback_callbacks::queue::QueueView;
use ringback_callbacks::wire_time::{self, plus};
use ringback_scheduling::slots::{NoPlace, SlotPlan, SlotState, Taken, Wanted, lies_in};
use ringback_scheduling::spans::permitted_spans;
use ringback_scheduling::zone::Zone;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Free slots named to somebody whose wish cannot be met.
const ALTERNATIVES: usize = 6;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long after its end a hold still keeps its place from others. A booking goes by the moment at which it came in: one
/// that names the hold in time may have its turn only after one that came when the hold was over, because it waited
/// in line (for a lock up to five seconds), or because two nodes' clocks are two seconds apart (each may be one from the
/// database's). If the place were free at once, both would have it.
const HOLD_LINGERS: Duration = Duration::from_secs(10);

/// How a window was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    AsInstants,
    /// It is resolved only with the decision, under rules that may have changed: a day to either side is looked at.
    InLocalTime,
}

impl Said {
    pub fn of(local: bool) -> Said {
        if local {
            Said::InLocalTime
        } else {
            Said::AsInstants
        }
    }
}

// ── decisions about callbacks ────────────────────────────────────────────────────────────────────

/// The stretch that a booking in a window will ask about, if it asks: foreseen by the rules as they were seen last.
pub(crate) fn foreseen(
    queue: &QueueView,
    wish: &Wish,
    now: Timestamp,
) -> Option<(Timestamp, Timestamp)> {
    let plan = queue.slots.as_deref()?;
    let within = queue.rules().promise_within.as_duration();
    let wanted = lifecycle::wanted(&wish.window, within, now)?;
    let (from, to) = looked_at(plan, wanted, wish.said, now);
    Some(plan.reach(from, to))
}

/// The stretch in which a wanted window may come to lie.
fn looked_at(
    plan: &SlotPlan,
    (from, to): (Timestamp, Timestamp),
    said: Said,
    now: Timestamp,
) -> (Timestamp, Timestamp) {
    // However far a window reaches, nothing is booked beyond the horizon.
    let last = plus(plan.bookable(now).1, DAY);
    let (from, to) = match said {
        Said::AsInstants => (from, to),
        Said::InLocalTime => (
            from.saturating_sub(jiff::SignedDuration::from_hours(24))
                .unwrap_or(from),
            plus(to, DAY),
        ),
    };
    let to = to.min(last);
    (from.min(to), to)
}

/// What is taken around the wanted stretch, without what `leaves` hold: places that the decision gives up.
/// Nothing where the queue has no slots.
pub(super) fn facts(
    tables: &dyn Tables,
    queue: &Arc<QueueView>,
    customer: &Customer,
    wanted: (Timestamp, Timestamp),
    said: Said,
    now: Timestamp,
    leaves: &[InteractionId],
) -> Result<Option<SlotFacts>> {
    let Some(plan) = queue.slots.as_deref() else {
        return Ok(None);
    };
    let stretch = looked_at(plan, wanted, said, now);
    let leaves: Vec<Uuid> = leaves.iter().map(|id| id.0).collect();
    let mut taken = taken(tables, queue, plan, stretch, now, &leaves)?;
    if plan.rules().per_customer.is_some() {
        taken.of_customer =
            tables.places_of(&queue.queue.tenant, &queue.queue.id, &customer.id, &leaves)?;
    }
    Ok(Some(SlotFacts { taken, held: None }))
}

/// Makes the place's row what the callback says.
pub(super) fn follow(
    tables: &dyn Tables,
    before: Option<&Callback>,
    after: &Callback,
) -> Result<()> {
    let had = before.and_then(effects::place);
    let has = effects::place(after);
    if had == has {
        return Ok(());
    }
    let tenant = &after.interaction.tenant;
    if had.is_some() {
        tables.give_place(tenant, after.interaction.id)?;
    }
    if let Some((queue, start)) = has {
        tables.take_place(after, queue, start)?;
    }
    Ok(())
}

/// A refusal for want of a place, with the places that can be had instead.
pub(super) fn instead(
    tables: &dyn Tables,
    queue: &Arc<QueueView>,
    refusal: Refusal,
    now: Timestamp,
) -> StoreError {
    let Refusal::NoPlace(unplaced) = refusal else {
        return refusal.into();
    };
    let Unplaced {
        why,
        wanted,
        time_zone,
        permitted,
    } = *unplaced;
    let stated = time_zone.and_then(|name| Zone::parse(&name).ok());
    let own = || Zone::parse(&queue.rules().hours.time_zone).unwrap_or_else(|_| Zone::utc());
    match alternatives(tables, queue, why, wanted, permitted.as_deref(), now) {
        Ok(alternatives) => StoreError::NoPlace {
            why,
            alternatives,
            zone: stated.unwrap_or_else(own),
        },
        Err(error) => error,
    }
}

fn alternatives(
    tables: &dyn Tables,
    queue: &Arc<QueueView>,
    why: NoPlace,
    wanted: Timestamp,
    permitted: Option<&[(Timestamp, Timestamp)]>,
    now: Timestamp,
) -> Result<Vec<SlotState>> {
    let Some(plan) = queue.slots.as_deref() else {
        return Ok(Vec::new());
    };
    match why {
        // Another time would not help.
        NoPlace::PerCustomer => return Ok(Vec::new()),
        NoPlace::NoSlot
        | NoPlace::NotPermitted
        | NoPlace::Notice
        | NoPlace::Horizon
        | NoPlace::Full
        | NoPlace::PerDay => {}
    }
    // Who asks for the past or the far future is shown what comes nearest to it.
    let (first, last) = plan.bookable(now);
    let wanted = wanted.clamp(first, last);
    let stretch = {
        let (from, to) = SlotPlan::around(wanted);
        plan.reach(from, to)
    };
    let taken = counted(tables.taken_to_tell(queue, stretch, held_after(now))?);
    Ok(plan.nearest(wanted, ALTERNATIVES, permitted, &taken, now))
}

// ── holds ────────────────────────────────────────────────────────────────────────────────────────

pub(crate) fn hold(tables: &dyn Tables, house: &House, order: &HoldOrder) -> Result<SlotHold> {
    let HoldOrder {
        tenant,
        queue: id,
        at,
        now,
    } = order;
    let queue = slotted(tables, house, tenant, id)?;
    let plan = plan_of(&queue)?;
    if queue.queue.intake_paused {
        return Err(Refusal::IntakePaused.into());
    }
    let now = wire_time::truncate(*now);
    let (start, end) = plan.bounds(*at);
    let mut taken = taken(tables, &queue, plan, (start, start), now, &[])?;
    let wanted = Wanted {
        from: start,
        to: end,
        permitted: None,
    };
    if let Err(why) = plan.place(wanted, &taken, now) {
        let alternatives = alternatives(tables, &queue, why, start, None, now)?;
        let zone = plan.zone().clone();
        return Err(StoreError::NoPlace {
            why,
            alternatives,
            zone,
        });
    }
    let hold = HoldId(token(house.chance.as_ref()));
    let expires_at = plus(now, plan.rules().hold.as_duration());
    tables.write_hold(NewHold {
        tenant,
        id: hold,
        queue: id,
        start,
        expires_at,
    })?;
    taken.add(start, 0, 1);
    let slot = plan
        .states(start, end, &taken, now)
        .into_iter()
        .next()
        .ok_or_else(|| StoreError::Failed("a slot that was just held is gone".to_owned()))?;
    Ok(SlotHold {
        id: hold,
        queue: id.clone(),
        slot,
        zone: plan.zone().clone(),
        expires_at,
    })
}

/// Whoever knows the id has the place, so nothing in it may be guessed from another.
fn token(chance: &dyn Chance) -> Uuid {
    let mut bytes = [0; 16];
    chance.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

pub(crate) fn release(
    tables: &dyn Tables,
    tenant: &TenantId,
    hold: HoldId,
    now: Timestamp,
) -> Result<bool> {
    Ok(tables.end_hold(tenant, hold, None, now)?.is_some())
}

/// Forgets up to `limit` holds that keep nothing any more, and as many answers that are past their time.
pub(crate) fn prune(tables: &dyn Tables, now: Timestamp, limit: usize) -> Result<u64> {
    tables.prune_expired(now, held_after(now), limit)
}

/// Ends a hold whose place goes to a booking. Comes back with when its slot begins.
pub(super) fn take_hold(
    tables: &dyn Tables,
    tenant: &TenantId,
    hold: HoldId,
    queue: &QueueId,
    now: Timestamp,
) -> Result<Timestamp> {
    tables
        .end_hold(tenant, hold, Some(queue), now)?
        .ok_or_else(|| conflict("hold", "gone", "the place is not kept any more"))
}

// ── reading ──────────────────────────────────────────────────────────────────────────────────────

pub(crate) fn list(tables: &dyn Tables, house: &House, query: &SlotQuery) -> Result<SlotList> {
    let queue = slotted(tables, house, &query.tenant, &query.queue)?;
    let plan = plan_of(&queue)?;
    let stretch = (query.from, query.to);
    let taken = taken(tables, &queue, plan, stretch, query.now, &[])?;
    let mut slots = plan.states(query.from, query.to, &taken, query.now);
    if let Some(zone) = &query.zone {
        let zones = [zone.tz().clone()];
        let hours = &queue.rules().customer_hours;
        let to = plus(query.to, DAY);
        let permitted = permitted_spans(hours, &zones, query.from, to);
        slots.retain(|state| lies_in(&permitted, state.slot.start, state.slot.end));
    }
    Ok(SlotList {
        slots,
        zone: plan.zone().clone(),
        length: plan.rules().slot,
    })
}

/// The queue, if it is there to be booked.
fn slotted(
    tables: &dyn Tables,
    house: &House,
    tenant: &TenantId,
    id: &QueueId,
) -> Result<Arc<QueueView>> {
    gather::queue_view(tables, &house.views, tenant, id)?
        .filter(|view| !view.queue.removed)
        .ok_or(StoreError::NotFound("queue"))
}

fn plan_of(queue: &QueueView) -> Result<&SlotPlan> {
    let none = || {
        conflict(
            "queue",
            "no_slots",
            "the queue has no slots: its rules name no capacity",
        )
    };
    queue.slots.as_deref().ok_or_else(none)
}

/// What is taken in a stretch of time, and as far around it as its days' limits need.
fn taken(
    tables: &dyn Tables,
    queue: &Arc<QueueView>,
    plan: &SlotPlan,
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
    leaves: &[Uuid],
) -> Result<Taken> {
    let stretch = plan.reach(from, to);
    Ok(counted(tables.taken(
        queue,
        stretch,
        held_after(now),
        leaves,
    )?))
}

/// Holds that end after this keep their places.
fn held_after(now: Timestamp) -> Timestamp {
    before(now, HOLD_LINGERS)
}

fn counted(slots: Vec<SlotCount>) -> Taken {
    let mut taken = Taken::default();
    for slot in slots {
        taken.add(slot.start, slot.booked, slot.held);
    }
    taken
}
