//! One command on one callback: read, ask the pure core, write everything that follows from it.

use super::House;
use super::agents;
use super::faults::is_constraint;
use super::gather;
use super::idempotency;
use super::rows;
use super::slots;
use super::writer::Write;
use crate::effects::{self, Hands};
use crate::{Applied, ApplyOrder, Result, Signal, StoreError, events};
use jiff::Timestamp;
use ringback_callbacks::attempt::Attempt;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::event::Actor;
use ringback_callbacks::ids::{AttemptId, TenantId};
use ringback_callbacks::lifecycle::{AttemptChange, Command, Refusal, Step, step};
use rusqlite::{Connection, OptionalExtension, params};

pub(super) fn apply(write: &mut Write<'_>, house: &House, order: ApplyOrder) -> Result<Applied> {
    let ApplyOrder {
        tenant,
        callback,
        command,
        actor,
        expected,
        now,
        idempotent,
    } = order;
    if let Some(asked) = &idempotent
        && let Some(answer) = idempotency::seen(
            write.conn,
            &tenant,
            asked.application,
            &asked.key,
            &asked.fingerprint,
            now,
        )?
    {
        return Ok(Applied::Repeated(answer));
    }
    let before = rows::read_callback(write.conn, &tenant, callback)?
        .ok_or(StoreError::NotFound("callback"))?;
    if expected.is_some_and(|expected| expected != before.revision) {
        return Err(StoreError::RevisionConflict {
            current: before.revision,
        });
    }
    if let Command::TransferToAgent { agent } = &command
        && !agents::exists(write.conn, &tenant, *agent)?
    {
        return Err(conflict("agent_id", "not_found", "there is no such agent"));
    }
    let after = carry_out(write, house, before, command, &actor, now)?;
    let answer = idempotent
        .map(|asked| idempotency::remember(write.conn, house, &tenant, asked, &after, now))
        .transpose()?;
    Ok(Applied::Done(Box::new(after), answer))
}

/// Decides and writes. The callback comes back as it is in the database afterwards.
pub(super) fn carry_out(
    write: &mut Write<'_>,
    house: &House,
    before: Callback,
    command: Command,
    actor: &Actor,
    now: Timestamp,
) -> Result<Callback> {
    let queue = effects::deciding_queue(&before, &command).clone();
    let facts = match gather::facts(
        write.conn,
        &house.views,
        &before,
        &queue,
        now,
        house.chance.unit(),
        Some(&command),
    ) {
        Err(StoreError::NotFound("queue")) => {
            return Err(conflict("queue", "not_found", "there is no such queue"));
        }
        facts => facts?,
    };
    let decision = step(&before, command, actor, &facts.lend(), now)
        .map_err(|refusal| slots::instead(write.conn, &facts.queue, refusal, now))?;
    if !effects::is_change(&before, &decision) {
        return Ok(before);
    }
    write_step(write, house, Some(&before), decision, now)
}

/// Writes a decision: callback, attempt, agents and events together.
pub(super) fn write_step(
    write: &mut Write<'_>,
    house: &House,
    before: Option<&Callback>,
    decision: Step,
    now: Timestamp,
) -> Result<Callback> {
    let Step {
        mut after,
        events: new_events,
        attempt,
        away,
    } = decision;
    let conn = write.conn;
    after.revision = before.map_or(0, |before| before.revision) + 1;
    let sealed = events::seal(&mut after, new_events, now, house.chance.as_ref());
    let tenant = after.interaction.tenant.clone();
    let id = after.interaction.id;

    rows::write_callback(conn, before, &after)?;
    slots::follow(conn, before, &after)?;
    if let Some(change) = attempt {
        write_attempt(conn, &tenant, &after, change)?;
    }
    let hands = Hands::between(before.map(|before| &before.state), &after.state);
    if let Some(agent) = hands.freed {
        agents::free(conn, &tenant, agent, id, now)?;
        write.signals.push(Signal::Agent {
            tenant: tenant.clone(),
            id: agent,
        });
    }
    if let Some(agent) = hands.filled {
        agents::engage(conn, &tenant, agent, id)?;
    }
    if let Some(agent) = away {
        agents::set_away(conn, &tenant, agent)?;
        write.signals.push(Signal::Agent {
            tenant: tenant.clone(),
            id: agent,
        });
    }
    rows::insert_events(conn, &tenant, id, &sealed)?;
    write.signals.push(Signal::Callback {
        tenant,
        id,
        queue: after.queue.clone(),
    });
    Ok(after)
}

fn write_attempt(
    conn: &Connection,
    tenant: &TenantId,
    after: &Callback,
    change: AttemptChange,
) -> Result<()> {
    let id = effects::attempt_of(&change);
    match change {
        AttemptChange::Begin(attempt) => {
            match rows::insert_attempt(conn, &attempt, effects::by_mail(after)) {
                Ok(_) => Ok(()),
                // The guards look first; the index is there for the day when they are wrong.
                Err(error) if is_constraint(&error) => Err(StoreError::Conflict {
                    field: None,
                    code: "number_in_call",
                    detail: "another call with this number is going on".to_owned(),
                }),
                Err(error) => Err(error.into()),
            }
        }
        AttemptChange::Answered { at, .. } => amend(conn, tenant, id, |attempt| {
            attempt.answered_at = attempt.answered_at.or(Some(at));
        }),
        AttemptChange::Connected { at, route, .. } => amend(conn, tenant, id, |attempt| {
            attempt.answered_at = attempt.answered_at.or(Some(at));
            attempt.route = route.or(attempt.route.take());
        }),
        AttemptChange::End {
            at,
            outcome,
            counted,
            ..
        } => amend(conn, tenant, id, |attempt| {
            attempt.ended_at = Some(at);
            attempt.counted = counted;
            attempt.route = outcome.route.clone().or(attempt.route.take());
            attempt.outcome = Some(outcome);
        }),
        AttemptChange::Amend { result, .. } => amend(conn, tenant, id, |attempt| {
            if let Some(outcome) = &mut attempt.outcome {
                outcome.result = result;
                outcome.verdict = result.verdict();
            }
        }),
    }
}

fn amend(
    conn: &Connection,
    tenant: &TenantId,
    id: AttemptId,
    change: impl FnOnce(&mut Attempt),
) -> Result<()> {
    let mut attempt =
        rows::read_attempt(conn, tenant, id)?.ok_or(StoreError::NotFound("attempt"))?;
    change(&mut attempt);
    rows::update_attempt(conn, &attempt)
}

/// Only the newest holder of the claim may say where the legs are, and only while the attempt lives.
pub(super) fn note_legs(
    conn: &Connection,
    tenant: &TenantId,
    attempt: AttemptId,
    fence: u64,
    legs: &serde_json::Value,
) -> Result<()> {
    let newest: Option<i64> = conn
        .prepare_cached(
            "SELECT callbacks.fence FROM attempts
             JOIN callbacks ON callbacks.tenant = attempts.tenant AND callbacks.id = attempts.callback
             WHERE attempts.tenant = ?1 AND attempts.id = ?2 AND attempts.ended_at IS NULL
                 AND callbacks.attempt = attempts.id",
        )?
        .query_row(params![tenant.as_str(), rows::blob(&attempt.0)], |row| row.get(0))
        .optional()?;
    if newest != Some(rows::int(fence)) {
        return Err(Refusal::Fenced.into());
    }
    conn.prepare_cached("UPDATE attempts SET legs = ?3 WHERE tenant = ?1 AND id = ?2")?
        .execute(params![
            tenant.as_str(),
            rows::blob(&attempt.0),
            legs.to_string()
        ])?;
    Ok(())
}

pub(super) fn conflict(field: &'static str, code: &'static str, detail: &str) -> StoreError {
    StoreError::Conflict {
        field: Some(field),
        code,
        detail: detail.to_owned(),
    }
}
