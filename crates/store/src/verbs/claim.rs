//! What the clock has made due, and the leases under which nodes work on it.

use super::path::carry_out;
use super::seating::seat_waiting;
use super::{House, Write};
use crate::tables::{Needs, Tables};
use crate::{ClaimOrder, Claimed, HeldClaim, Lapsed, Result, StoreError, Whose, effects};
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::event::Actor;
use ringback_callbacks::ids::{InteractionId, NodeId, TenantId};
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::state::{Claim, State};
use ringback_callbacks::wire_time::{self, plus};
use std::time::Duration;

pub(crate) fn claim_due(
    write: &mut Write<'_>,
    house: &House,
    order: &ClaimOrder,
) -> Result<Claimed> {
    let limit = order.limit.max(2);
    // Half for the clock, the rest for seats: a thousand wake-ups at once do not keep agents waiting.
    let due = tick_due(write, house, order.now, limit / 2)?;
    let mut claimed = seat_waiting(write, house, order, limit - due.ticked, &due.queued)?;
    claimed.more |= due.ticked >= limit / 2;
    Ok(claimed)
}

/// Claims whose lease ran out, and those of an earlier run of this node.
pub(crate) fn take_lapsed(
    write: &mut Write<'_>,
    house: &House,
    node: &NodeId,
    now: Timestamp,
    lease: Duration,
    whose: Whose,
    limit: usize,
) -> Result<Vec<Lapsed>> {
    let found = write.tables.lapsed(node, now, whose, limit.max(1))?;
    write.tables.foresee(&found, now)?;
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
            Some(attempt) => write.tables.attempt(&tenant, attempt)?,
            None => None,
        };
        lapsed.push(Lapsed { callback, attempt });
    }
    Ok(lapsed)
}

/// What [`renew`] looks at.
pub(crate) fn renewal_needs(claims: &[HeldClaim]) -> Needs {
    Needs {
        held: claims
            .iter()
            .map(|held| (held.tenant.clone(), held.callback))
            .collect(),
        ..Needs::default()
    }
}

/// Lengthens leases without a new revision: nothing about the callback has changed.
pub(crate) fn renew(
    tables: &dyn Tables,
    node: &NodeId,
    until: Timestamp,
    claims: &[HeldClaim],
) -> Result<Vec<HeldClaim>> {
    let until = wire_time::truncate(until);
    let mut lost = Vec::new();
    for held in claims {
        let Some(before) = tables.callback(&held.tenant, held.callback)? else {
            lost.push(held.clone());
            continue;
        };
        let mine = before
            .state
            .claim()
            .filter(|claim| claim.fence == held.fence && claim.node == *node);
        let Some(claim) = mine else {
            lost.push(held.clone());
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
            tables.write_callback(Some(&before), &after)?;
        }
    }
    Ok(lost)
}

// ── the clock ────────────────────────────────────────────────────────────────────────────────────

/// How long a callback that cannot be worked on is left alone, so that it does not stop the clock for others.
pub(super) const SET_ASIDE: Duration = Duration::from_secs(60);

/// What the clock did.
struct Due {
    ticked: usize,
    /// Callbacks that joined a line.
    queued: Vec<Callback>,
}

fn tick_due(write: &mut Write<'_>, house: &House, now: Timestamp, limit: usize) -> Result<Due> {
    let due = write.tables.due(now, limit)?;
    write.tables.foresee(&due, now)?;
    let mut queued = Vec::new();
    for (tenant, id) in &due {
        let after = step_one(write, house, tenant, *id, now, |_| Some(Command::Tick))?;
        let Some(after) = after else {
            continue;
        };
        if after.wakes_at().is_some_and(|at| at <= now) {
            // Nothing came of it although it is due: a fault, but not one that may spin.
            tracing::error!(callback.id = %id, "a callback stays due");
            write.tables.set_aside(tenant, *id, plus(now, SET_ASIDE))?;
        }
        if matches!(after.state, State::Queued { .. }) {
            queued.push(after);
        }
    }
    Ok(Due {
        ticked: due.len(),
        queued,
    })
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
    let news = write.news();
    let mark = write.tables.mark()?;
    let outcome = try_one(write, house, tenant, id, now, command);
    let tables = write.tables;
    let fault = match outcome {
        Ok(after) => {
            tables.keep(mark)?;
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
    tables.undo(mark)?;
    write.take_back(news);
    tracing::error!(callback.id = %id, error = %fault, "a callback cannot be worked on and is set aside");
    tables.set_aside(tenant, id, plus(now, SET_ASIDE))?;
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
    let Some(before) = write.tables.callback(tenant, id)? else {
        return Ok(None);
    };
    let Some(command) = command(&before) else {
        return Ok(None);
    };
    carry_out(write, house, before, command, &Actor::System, now).map(Some)
}
