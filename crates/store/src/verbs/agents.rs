//! Agents: who they are, whether they are there, and what they have in hand.

use super::{Write, conflict};
use crate::seats::{FreeAgent, Roster};
use crate::tables::Tables;
use crate::{Result, Signal, StoreError};
use jiff::Timestamp;
use ringback_callbacks::agent::{Agent, Presence};
use ringback_callbacks::ids::{AgentId, InteractionId, QueueId, TenantId};
use ringback_callbacks::wire_time;

/// Agents listed at most.
pub(crate) const LISTED: usize = 10_000;
/// Queues of one agent at most.
const QUEUES: usize = 1_000;

/// Creates or changes an agent. What they are doing (presence, engaged, idle since) is not configuration:
/// once the agent exists it stays as it is.
pub(crate) fn put(write: &mut Write<'_>, mut agent: Agent, expected: Option<u64>) -> Result<Agent> {
    let tables = write.tables;
    let stored = tables.agent(&agent.tenant, agent.id)?;
    let current = stored.as_ref().map_or(0, |stored| stored.revision);
    if expected.is_some_and(|expected| expected != current) {
        return Err(StoreError::RevisionConflict { current });
    }
    if agent.queues.len() > QUEUES {
        return Err(conflict(
            "queues",
            "length",
            "an agent serves at most 1000 queues",
        ));
    }
    match stored {
        Some(stored) => {
            agent.presence = stored.presence;
            agent.engaged = stored.engaged;
            agent.idle_since = stored.idle_since;
        }
        None => agent.engaged = None,
    }
    agent.idle_since = wire_time::truncate(agent.idle_since);
    agent.revision = current + 1;
    let mut queues: Vec<QueueId> = Vec::new();
    for queue in std::mem::take(&mut agent.queues) {
        if !queues.contains(&queue) {
            queues.push(queue);
        }
    }
    agent.queues = queues;
    tables.write_agent(&agent)?;
    write.signals.push(Signal::Agent {
        tenant: agent.tenant.clone(),
        id: agent.id,
    });
    Ok(agent)
}

/// Everyone who is ready with empty hands, longest idle first.
pub(super) fn roster(free: &[Agent]) -> Roster {
    let mut roster = Roster::default();
    for agent in free {
        roster.add(&agent.tenant, FreeAgent::of(agent), &agent.queues);
    }
    roster
}

pub(crate) fn set_presence(
    write: &mut Write<'_>,
    tenant: &TenantId,
    id: AgentId,
    presence: Presence,
    now: Timestamp,
) -> Result<Agent> {
    let tables = write.tables;
    let agent = if tables.write_presence(tenant, id, presence, now)? {
        tables.agent(tenant, id)?
    } else {
        None
    };
    let agent = agent.ok_or(StoreError::NotFound("agent"))?;
    write.signals.push(Signal::Agent {
        tenant: tenant.clone(),
        id,
    });
    Ok(agent)
}

pub(crate) fn remove(write: &mut Write<'_>, tenant: &TenantId, id: AgentId) -> Result<bool> {
    let tables = write.tables;
    // What is looked at here must still be so when the agent goes: an offer or a transfer may be on its way.
    let Some(agent) = tables.agent_alone(tenant, id)? else {
        return Ok(false);
    };
    if agent.engaged.is_some() {
        return Err(StoreError::Conflict {
            field: None,
            code: "agent_engaged",
            detail: "the agent has a callback in hand".to_owned(),
        });
    }
    if tables.is_awaited(tenant, id)? {
        return Err(StoreError::Conflict {
            field: None,
            code: "agent_awaited",
            detail: "a callback was passed to this agent and waits for them".to_owned(),
        });
    }
    tables.delete_agent(tenant, id)?;
    write.signals.push(Signal::Agent {
        tenant: tenant.clone(),
        id,
    });
    Ok(true)
}

/// Puts a callback in an agent's empty hands.
pub(super) fn engage(
    tables: &dyn Tables,
    tenant: &TenantId,
    id: AgentId,
    callback: InteractionId,
) -> Result<()> {
    if tables.engage(tenant, id, callback)? {
        return Ok(());
    }
    let (code, detail) = if tables.agent(tenant, id)?.is_some() {
        ("agent_engaged", "the agent has another callback in hand")
    } else {
        ("agent_gone", "there is no such agent")
    };
    Err(StoreError::Conflict {
        field: None,
        code,
        detail: detail.to_owned(),
    })
}

/// The one agent a transferred callback waits for, as a number of free seats.
pub(super) fn is_free(tables: &dyn Tables, tenant: &TenantId, id: AgentId) -> Result<bool> {
    let agent = tables.agent(tenant, id)?;
    Ok(agent.is_some_and(|agent| agent.presence == Presence::Ready && agent.engaged.is_none()))
}
