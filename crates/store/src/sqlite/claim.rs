//! What the clock has made due, and the leases under which nodes work on it.

use super::House;
use super::path::carry_out;
use super::rows::{self, blob, int, ms, tenant_of, uuid};
use super::seating::seat_waiting;
use super::writer::Write;
use crate::{ClaimOrder, Claimed, HeldClaim, Lapsed, Result, StoreError, effects};
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::event::Actor;
use ringback_callbacks::ids::{InteractionId, NodeId, TenantId};
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::state::Claim;
use ringback_callbacks::wire_time::{self, plus};
use rusqlite::{Connection, params};
use std::time::Duration;

pub(super) fn claim_due(
    write: &mut Write<'_>,
    house: &House,
    order: &ClaimOrder,
) -> Result<Claimed> {
    let limit = order.limit.max(2);
    // Half for the clock, the rest for seats: a thousand wake-ups at once do not keep agents waiting.
    let due = tick_due(write, house, order.now, limit / 2)?;
    let mut claimed = seat_waiting(write, house, order, limit - due)?;
    claimed.more |= due >= limit / 2;
    Ok(claimed)
}

/// Claims whose lease ran out, and those of an earlier run of this node.
pub(super) fn take_lapsed(
    write: &mut Write<'_>,
    house: &House,
    node: &NodeId,
    now: Timestamp,
    lease: Duration,
    limit: usize,
) -> Result<Vec<Lapsed>> {
    let found = keys(
        write.conn,
        "SELECT tenant, id FROM callbacks WHERE claim_until <= ?1
         UNION SELECT tenant, id FROM callbacks
             WHERE claim_until IS NOT NULL AND claim_node = ?2 AND claim_boot <> ?3
         LIMIT ?4",
        params![
            ms(now),
            node.name,
            blob(&node.boot),
            int(limit.max(1) as u64)
        ],
    )?;
    let mut lapsed = Vec::new();
    for (tenant, id) in found {
        let take = Command::TakeOver {
            node: node.clone(),
            lease,
        };
        let Some(callback) = step_one(write, house, &tenant, id, now, |_| Some(take))? else {
            continue;
        };
        let attempt = match effects::live_attempt(&callback.state) {
            Some(attempt) => rows::read_attempt(write.conn, &tenant, attempt)?,
            None => None,
        };
        lapsed.push(Lapsed { callback, attempt });
    }
    Ok(lapsed)
}

/// Lengthens leases without a new revision: nothing about the callback has changed.
pub(super) fn renew(
    conn: &Connection,
    node: &NodeId,
    until: Timestamp,
    claims: Vec<HeldClaim>,
) -> Result<Vec<HeldClaim>> {
    let until = wire_time::truncate(until);
    let mut lost = Vec::new();
    for held in claims {
        let Some(before) = rows::read_callback(conn, &held.tenant, held.callback)? else {
            lost.push(held);
            continue;
        };
        let mine = before
            .state
            .claim()
            .filter(|claim| claim.fence == held.fence && claim.node == *node);
        let Some(claim) = mine else {
            lost.push(held);
            continue;
        };
        let longer = Claim {
            until: claim.until.max(until),
            ..claim.clone()
        };
        if let Some(state) = before.state.with_claim(longer) {
            let after = Callback {
                state,
                ..before.clone()
            };
            rows::write_callback(conn, Some(&before), &after)?;
        }
    }
    Ok(lost)
}

pub(super) fn next_wake(conn: &Connection) -> Result<Option<Timestamp>> {
    let mut soonest = None;
    for sql in [
        "SELECT min(wakes_at) FROM callbacks WHERE wakes_at IS NOT NULL AND claim_until IS NULL",
        "SELECT min(claim_until) FROM callbacks WHERE claim_until IS NOT NULL",
    ] {
        let at: Option<i64> = conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        soonest = match (soonest, at) {
            (Some(one), Some(other)) => Some(i64::min(one, other)),
            (one, other) => one.or(other),
        };
    }
    soonest
        .map(|at| rows::time(at, "callbacks", "wakes_at"))
        .transpose()
}

// ── the clock ────────────────────────────────────────────────────────────────────────────────────

/// How long a callback that cannot be worked on is left alone, so that it does not stop the clock for others.
const SET_ASIDE: Duration = Duration::from_secs(60);

fn tick_due(write: &mut Write<'_>, house: &House, now: Timestamp, limit: usize) -> Result<usize> {
    let due = keys(
        write.conn,
        "SELECT tenant, id FROM callbacks WHERE wakes_at <= ?1 AND claim_until IS NULL ORDER BY wakes_at LIMIT ?2",
        params![ms(now), int(limit as u64)],
    )?;
    for (tenant, id) in &due {
        let after = step_one(write, house, tenant, *id, now, |_| Some(Command::Tick))?;
        if after.is_some_and(|after| after.wakes_at().is_some_and(|at| at <= now)) {
            // Nothing came of it although it is due: a fault, but not one that may spin.
            tracing::error!(callback.id = %id, "a callback stays due");
            set_aside(write.conn, tenant, *id, now)?;
        }
    }
    Ok(due.len())
}

/// One command on one of many callbacks: what is wrong with one must not undo the others. `None` if
/// nothing could be done with it.
pub(super) fn step_one(
    write: &mut Write<'_>,
    house: &House,
    tenant: &TenantId,
    id: InteractionId,
    now: Timestamp,
    command: impl FnOnce(&Callback) -> Option<Command>,
) -> Result<Option<Callback>> {
    let signals = write.signals.len();
    write.conn.prepare_cached("SAVEPOINT one")?.execute([])?;
    let outcome = try_one(write, house, tenant, id, now, command);
    let conn = write.conn;
    let fault = match outcome {
        Ok(after) => {
            conn.prepare_cached("RELEASE one")?.execute([])?;
            return Ok(after);
        }
        Err(fault) => fault,
    };
    match &fault {
        StoreError::Busy | StoreError::Full | StoreError::Failed(_) | StoreError::Closed => {
            return Err(fault);
        }
        StoreError::NotFound(_)
        | StoreError::Refused(_)
        | StoreError::RevisionConflict { .. }
        | StoreError::IdempotencyMismatch
        | StoreError::Conflict { .. }
        | StoreError::NoPlace { .. }
        | StoreError::Damaged { .. }
        | StoreError::Configuration(_) => {}
    }
    conn.prepare_cached("ROLLBACK TO one")?.execute([])?;
    conn.prepare_cached("RELEASE one")?.execute([])?;
    write.signals.truncate(signals);
    tracing::error!(callback.id = %id, error = %fault, "a callback cannot be worked on and is set aside");
    set_aside(conn, tenant, id, now)?;
    Ok(None)
}

fn try_one(
    write: &mut Write<'_>,
    house: &House,
    tenant: &TenantId,
    id: InteractionId,
    now: Timestamp,
    command: impl FnOnce(&Callback) -> Option<Command>,
) -> Result<Option<Callback>> {
    let Some(before) = rows::read_callback(write.conn, tenant, id)? else {
        return Ok(None);
    };
    let Some(command) = command(&before) else {
        return Ok(None);
    };
    carry_out(write, house, before, command, &Actor::System, now).map(Some)
}

/// Only the index is moved; the document keeps the truth.
fn set_aside(
    conn: &Connection,
    tenant: &TenantId,
    id: InteractionId,
    now: Timestamp,
) -> Result<()> {
    conn.prepare_cached(
        "UPDATE callbacks SET wakes_at = ?3, claim_until = CASE WHEN claim_until IS NULL THEN NULL ELSE ?3 END
         WHERE tenant = ?1 AND id = ?2 AND ended_at IS NULL",
    )?
    .execute(params![tenant.as_str(), blob(&id.0), ms(plus(now, SET_ASIDE))])?;
    Ok(())
}

fn keys(
    conn: &Connection,
    sql: &str,
    values: &[&dyn rusqlite::types::ToSql],
) -> Result<Vec<(TenantId, InteractionId)>> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut found = statement.query(values)?;
    let mut keys = Vec::new();
    while let Some(row) = found.next()? {
        keys.push((
            tenant_of(row, 0, "callbacks")?,
            InteractionId(uuid(row, 1, "callbacks", "id")?),
        ));
    }
    Ok(keys)
}
