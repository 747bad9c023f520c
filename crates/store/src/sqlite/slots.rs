//! Places in slots: counted, taken, kept and given back.
//!
//! Whoever counts here also writes here, in one job of the one writer: between the two nobody comes,
//! so the last place is sold once.

use super::House;
use super::gather;
use super::path::conflict;
use super::rows::{blob, count, int, ms, time};
use crate::{HoldOrder, Result, SlotHold, SlotList, SlotQuery, StoreError, effects};
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::clock::Chance;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::guard::SlotFacts;
use ringback_callbacks::ids::{HoldId, InteractionId, QueueId, TenantId};
use ringback_callbacks::lifecycle::{Refusal, Unplaced};
use ringback_callbacks::queue::QueueView;
use ringback_callbacks::wire_time::{self, plus};
use ringback_scheduling::slots::{NoPlace, SlotPlan, SlotState, Taken, Wanted, lies_in};
use ringback_scheduling::spans::permitted_spans;
use ringback_scheduling::zone::Zone;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Free slots named to somebody whose wish cannot be met.
const ALTERNATIVES: usize = 6;
const DAY: Duration = Duration::from_secs(24 * 3600);

// ── decisions about callbacks ────────────────────────────────────────────────────────────────────

/// What is taken around the wanted stretch, without what `leaves` hold: places that the decision gives up.
/// Nothing where the queue has no slots.
pub(super) fn facts(
    conn: &Connection,
    queue: &QueueView,
    customer: &Customer,
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
    leaves: &[InteractionId],
) -> Result<Option<SlotFacts>> {
    let Some(plan) = queue.slots.as_deref() else {
        return Ok(None);
    };
    // However far a window reaches, nothing is booked beyond the horizon. A day to either side, because a
    // window said in local time is resolved only with the decision.
    let to = plus(to, DAY).min(plus(plan.bookable(now).1, DAY));
    let from = from
        .saturating_sub(jiff::SignedDuration::from_hours(24))
        .unwrap_or(from)
        .min(to);
    let leaves: Vec<Uuid> = leaves.iter().map(|id| id.0).collect();
    let mut taken = taken(conn, queue, plan, (from, to), now, &leaves)?;
    if plan.rules().per_customer.is_some() {
        taken.of_customer = of_customer(conn, queue, customer, &leaves)?;
    }
    Ok(Some(SlotFacts { taken, held: None }))
}

/// Makes the place's row what the callback says.
pub(super) fn follow(conn: &Connection, before: Option<&Callback>, after: &Callback) -> Result<()> {
    let had = before.and_then(effects::place);
    let has = effects::place(after);
    if had == has {
        return Ok(());
    }
    let tenant = after.interaction.tenant.as_str();
    let holder = blob(&after.interaction.id.0);
    if had.is_some() {
        conn.prepare_cached("DELETE FROM slot_places WHERE tenant = ?1 AND holder = ?2")?
            .execute(params![tenant, holder])?;
    }
    if let Some((queue, start)) = has {
        conn.prepare_cached(
            "INSERT INTO slot_places (tenant, holder, queue, starts_at, customer) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            tenant,
            holder,
            queue.as_str(),
            ms(start),
            after.interaction.customer.as_str()
        ])?;
    }
    Ok(())
}

/// A refusal for want of a place, with the places that can be had instead.
pub(super) fn instead(
    conn: &Connection,
    queue: &QueueView,
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
    match alternatives(conn, queue, why, wanted, permitted.as_deref(), now) {
        Ok(alternatives) => StoreError::NoPlace {
            why,
            alternatives,
            zone: stated.unwrap_or_else(own),
        },
        Err(error) => error,
    }
}

fn alternatives(
    conn: &Connection,
    queue: &QueueView,
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
    let taken = taken(conn, queue, plan, SlotPlan::around(wanted), now, &[])?;
    Ok(plan.nearest(wanted, ALTERNATIVES, permitted, &taken, now))
}

// ── holds ────────────────────────────────────────────────────────────────────────────────────────

pub(super) fn hold(conn: &Connection, house: &House, order: &HoldOrder) -> Result<SlotHold> {
    let HoldOrder {
        tenant,
        queue: id,
        at,
        now,
    } = order;
    let queue = slotted(conn, house, tenant, id)?;
    let plan = plan_of(&queue)?;
    if queue.queue.intake_paused {
        return Err(Refusal::IntakePaused.into());
    }
    let now = wire_time::truncate(*now);
    let (start, end) = plan.bounds(*at);
    let mut taken = taken(conn, &queue, plan, (start, start), now, &[])?;
    let wanted = Wanted {
        from: start,
        to: end,
        permitted: None,
    };
    if let Err(why) = plan.place(wanted, &taken, now) {
        let alternatives = alternatives(conn, &queue, why, start, None, now)?;
        let zone = plan.zone().clone();
        return Err(StoreError::NoPlace {
            why,
            alternatives,
            zone,
        });
    }
    let hold = HoldId(token(house.chance.as_ref()));
    let expires_at = plus(now, plan.rules().hold.as_duration());
    conn.prepare_cached(
        "INSERT INTO slot_places (tenant, holder, queue, starts_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![tenant.as_str(), blob(&hold.0), id.as_str(), ms(start), ms(expires_at)])?;
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

pub(super) fn release(
    conn: &Connection,
    tenant: &TenantId,
    hold: HoldId,
    now: Timestamp,
) -> Result<bool> {
    let gone = conn
        .prepare_cached(
            "DELETE FROM slot_places WHERE tenant = ?1 AND holder = ?2 AND expires_at > ?3",
        )?
        .execute(params![tenant.as_str(), blob(&hold.0), ms(now)])?;
    Ok(gone > 0)
}

/// Ends a hold whose place goes to a booking. Comes back with when its slot begins.
pub(super) fn take_hold(
    conn: &Connection,
    tenant: &TenantId,
    hold: HoldId,
    queue: &QueueId,
    now: Timestamp,
) -> Result<Timestamp> {
    let start: Option<i64> = conn
        .prepare_cached(
            "DELETE FROM slot_places
             WHERE tenant = ?1 AND holder = ?2 AND queue = ?3 AND expires_at > ?4 RETURNING starts_at",
        )?
        .query_row(
            params![tenant.as_str(), blob(&hold.0), queue.as_str(), ms(now)],
            |row| row.get(0),
        )
        .optional()?;
    let gone = || conflict("hold", "gone", "the place is not kept any more");
    time(start.ok_or_else(gone)?, "slot_places", "starts_at")
}

/// Forgets up to `limit` holds that are past their time.
pub(super) fn prune(conn: &Connection, now: Timestamp, limit: usize) -> Result<u64> {
    let gone = conn
        .prepare_cached(
            "DELETE FROM slot_places WHERE rowid IN
                 (SELECT rowid FROM slot_places WHERE expires_at <= ?1 LIMIT ?2)",
        )?
        .execute(params![ms(now), int(limit as u64)])?;
    Ok(gone as u64)
}

// ── reading ──────────────────────────────────────────────────────────────────────────────────────

pub(super) fn list(conn: &Connection, house: &House, query: &SlotQuery) -> Result<SlotList> {
    let queue = slotted(conn, house, &query.tenant, &query.queue)?;
    let plan = plan_of(&queue)?;
    let stretch = (query.from, query.to);
    let taken = taken(conn, &queue, plan, stretch, query.now, &[])?;
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
    conn: &Connection,
    house: &House,
    tenant: &TenantId,
    id: &QueueId,
) -> Result<Arc<QueueView>> {
    gather::queue_view(conn, &house.views, tenant, id)?
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
    conn: &Connection,
    queue: &QueueView,
    plan: &SlotPlan,
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
    leaves: &[Uuid],
) -> Result<Taken> {
    let (from, to) = plan.reach(from, to);
    let mut statement = conn.prepare_cached(
        "SELECT starts_at, sum(expires_at IS NULL), sum(expires_at > ?5) FROM slot_places
         WHERE tenant = ?1 AND queue = ?2 AND starts_at >= ?3 AND starts_at < ?4
             AND holder IS NOT ?6 AND holder IS NOT ?7
         GROUP BY starts_at",
    )?;
    let (one, two) = (leaves.first().map(blob), leaves.get(1).map(blob));
    let mut found = statement.query(params![
        queue.queue.tenant.as_str(),
        queue.queue.id.as_str(),
        ms(from),
        ms(to),
        ms(now),
        one,
        two
    ])?;
    let mut taken = Taken::default();
    while let Some(row) = found.next()? {
        let start = time(row.get(0)?, "slot_places", "starts_at")?;
        let held: Option<i64> = row.get(2)?;
        taken.add(start, places(row.get(1)?), places(held.unwrap_or(0)));
    }
    Ok(taken)
}

fn of_customer(
    conn: &Connection,
    queue: &QueueView,
    customer: &Customer,
    leaves: &[Uuid],
) -> Result<u32> {
    let (one, two) = (leaves.first().map(blob), leaves.get(1).map(blob));
    let open: i64 = conn
        .prepare_cached(
            "SELECT count(*) FROM slot_places
             WHERE tenant = ?1 AND queue = ?2 AND customer = ?3 AND holder IS NOT ?4 AND holder IS NOT ?5",
        )?
        .query_row(
            params![
                queue.queue.tenant.as_str(),
                queue.queue.id.as_str(),
                customer.id.as_str(),
                one,
                two
            ],
            |row| row.get(0),
        )?;
    Ok(places(open))
}

fn places(number: i64) -> u32 {
    u32::try_from(count(number)).unwrap_or(u32::MAX)
}
