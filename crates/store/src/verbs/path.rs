//! One command on one callback: read, ask the pure core, write everything that follows from it.

use super::{House, Write, agents, conflict, gather, idempotency, slots};
use crate::effects::{self, Hands};
use crate::tables::{Needs, Tables};
use crate::{Applied, ApplyOrder, Result, Signal, StoreError, events};
use jiff::Timestamp;
use ringback_callbacks::attempt::Attempt;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::event::Actor;
use ringback_callbacks::ids::{AttemptId, TenantId};
use ringback_callbacks::lifecycle::{AttemptChange, Command, Refusal, Step, step};

/// What a command looks at before it is decided, as far as the command tells.
pub(crate) fn needs(order: &ApplyOrder) -> Needs {
    let tenant = &order.tenant;
    let (queue, attempt) = effects::named(&order.command);
    Needs {
        queues: queue
            .into_iter()
            .map(|queue| (tenant.clone(), queue.clone()))
            .collect(),
        callbacks: vec![(tenant.clone(), order.callback)],
        attempts: attempt
            .into_iter()
            .map(|attempt| (tenant.clone(), attempt))
            .collect(),
        answers: order
            .idempotent
            .iter()
            .map(|asked| (tenant.clone(), asked.application, asked.key.clone()))
            .collect(),
        now: Some(order.now),
        ..Needs::default()
    }
}

pub(crate) fn apply(write: &mut Write<'_>, house: &House, order: ApplyOrder) -> Result<Applied> {
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
            write.tables,
            &tenant,
            asked.application,
            &asked.key,
            &asked.fingerprint,
            now,
        )?
    {
        return Ok(Applied::Repeated(answer));
    }
    let before = write
        .tables
        .callback(&tenant, callback)?
        .ok_or(StoreError::NotFound("callback"))?;
    if expected.is_some_and(|expected| expected != before.revision) {
        return Err(StoreError::RevisionConflict {
            current: before.revision,
        });
    }
    if let Command::TransferToAgent { agent } = &command
        && !write.tables.agent_stays(&tenant, *agent)?
    {
        return Err(conflict("agent_id", "not_found", "there is no such agent"));
    }
    let after = carry_out(write, house, before, command, &actor, now)?;
    let answer = idempotent
        .map(|asked| idempotency::remember(write.tables, house, &tenant, asked, &after, now))
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
        write.tables,
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
        .map_err(|refusal| slots::instead(write.tables, &facts.queue, refusal, now))?;
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
    let tables = write.tables;
    after.revision = before.map_or(0, |before| before.revision) + 1;
    let sealed = events::seal(&mut after, new_events, now, house.chance.as_ref());
    let tenant = after.interaction.tenant.clone();
    let id = after.interaction.id;

    tables.write_callback(before, &after)?;
    slots::follow(tables, before, &after)?;
    if let Some(change) = attempt {
        write_attempt(tables, &tenant, &after, change)?;
    }
    let hands = Hands::between(before.map(|before| &before.state), &after.state);
    if let Some(agent) = hands.freed {
        tables.free(&tenant, agent, id, now)?;
        write.signals.push(Signal::Agent {
            tenant: tenant.clone(),
            id: agent,
        });
    }
    if let Some(agent) = hands.filled {
        agents::engage(tables, &tenant, agent, id)?;
    }
    if let Some(agent) = away {
        tables.set_away(&tenant, agent)?;
        write.signals.push(Signal::Agent {
            tenant: tenant.clone(),
            id: agent,
        });
    }
    tables.append_events(&tenant, id, &sealed)?;
    let signal = Signal::Callback {
        tenant,
        id,
        queue: after.queue.clone(),
        then: effects::then(before, &after),
    };
    write.tell_of(signal, effects::frees(before, &after));
    Ok(after)
}

fn write_attempt(
    tables: &dyn Tables,
    tenant: &TenantId,
    after: &Callback,
    change: AttemptChange,
) -> Result<()> {
    let id = effects::attempt_of(&change);
    match change {
        AttemptChange::Begin(attempt) => tables.begin_attempt(&attempt, effects::by_mail(after)),
        AttemptChange::Answered { at, .. } => amend(tables, tenant, id, |attempt| {
            attempt.answered_at = attempt.answered_at.or(Some(at));
        }),
        AttemptChange::Connected { at, route, .. } => amend(tables, tenant, id, |attempt| {
            attempt.answered_at = attempt.answered_at.or(Some(at));
            attempt.route = route.or(attempt.route.take());
        }),
        AttemptChange::End {
            at,
            outcome,
            counted,
            ..
        } => amend(tables, tenant, id, |attempt| {
            attempt.ended_at = Some(at);
            attempt.counted = counted;
            attempt.route = outcome.route.clone().or(attempt.route.take());
            attempt.outcome = Some(outcome);
        }),
        AttemptChange::Amend { result, .. } => amend(tables, tenant, id, |attempt| {
            if let Some(outcome) = &mut attempt.outcome {
                outcome.result = result;
                outcome.verdict = result.verdict();
            }
        }),
    }
}

fn amend(
    tables: &dyn Tables,
    tenant: &TenantId,
    id: AttemptId,
    change: impl FnOnce(&mut Attempt),
) -> Result<()> {
    let mut attempt = tables
        .attempt(tenant, id)?
        .ok_or(StoreError::NotFound("attempt"))?;
    change(&mut attempt);
    tables.update_attempt(&attempt)
}

/// What [`note_legs`] looks at.
pub(crate) fn legs_need(tenant: &TenantId, attempt: AttemptId) -> Needs {
    Needs {
        attempts: vec![(tenant.clone(), attempt)],
        ..Needs::default()
    }
}

/// Only the newest holder of the claim may say where the legs are, and only while the attempt lives.
pub(crate) fn note_legs(
    tables: &dyn Tables,
    tenant: &TenantId,
    attempt: AttemptId,
    fence: u64,
    legs: &serde_json::Value,
) -> Result<()> {
    let of = tables
        .attempt(tenant, attempt)?
        .filter(|attempt| attempt.ended_at.is_none());
    let callback = match of {
        Some(of) => tables.callback(tenant, of.callback)?,
        None => None,
    };
    let newest = callback.is_some_and(|callback| {
        callback.fence == fence && effects::live_attempt(&callback.state) == Some(attempt)
    });
    if !newest {
        return Err(Refusal::Fenced.into());
    }
    tables.write_legs(tenant, attempt, legs)
}
