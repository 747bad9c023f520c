//! Agents: who they are, whether they are there, and what they have in hand.

use super::faults::damaged;
use super::path::conflict;
use super::rows::{blob, count, int, ms, time, unsigned};
use super::writer::Write;
use crate::seats::{FreeAgent, Roster};
use crate::{Result, Signal, StoreError};
use jiff::Timestamp;
use ringback_callbacks::agent::{Agent, Presence};
use ringback_callbacks::ids::{AgentId, InteractionId, QueueId, TenantId};
use ringback_callbacks::wire_time;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

/// Agents listed at most.
const LISTED: i64 = 10_000;
/// Queues of one agent at most.
const QUEUES: usize = 1_000;

const AGENT: &str =
    "tenant, id, name, dn, route, presence, auto_accept, engaged, idle_since, revision";

/// Creates or changes an agent. What they are doing (presence, engaged, idle since) is not configuration:
/// once the agent exists it stays as it is.
pub(super) fn put(write: &mut Write<'_>, mut agent: Agent, expected: Option<u64>) -> Result<Agent> {
    let conn = write.conn;
    let stored = read(conn, &agent.tenant, agent.id)?;
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
    conn.prepare_cached(
        "INSERT INTO agents (tenant, id, name, dn, route, presence, auto_accept, engaged, idle_since, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, dn = excluded.dn, route = excluded.route,
             auto_accept = excluded.auto_accept, revision = excluded.revision",
    )?
    .execute(params![
        agent.tenant.as_str(),
        agent.id.0,
        agent.name,
        agent.dn,
        agent.route,
        agent.presence.name(),
        agent.auto_accept,
        agent.engaged.as_ref().map(|callback| blob(&callback.0)),
        ms(agent.idle_since),
        int(agent.revision),
    ])?;
    write_queues(conn, &agent)?;
    write.signals.push(Signal::Agent {
        tenant: agent.tenant.clone(),
        id: agent.id,
    });
    Ok(agent)
}

fn write_queues(conn: &Connection, agent: &Agent) -> Result<()> {
    conn.prepare_cached("DELETE FROM agent_queues WHERE tenant = ?1 AND agent = ?2")?
        .execute(params![agent.tenant.as_str(), agent.id.0])?;
    let mut insert = conn.prepare_cached(
        "INSERT INTO agent_queues (tenant, agent, queue, position) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (position, queue) in agent.queues.iter().enumerate() {
        insert.execute(params![
            agent.tenant.as_str(),
            agent.id.0,
            queue.as_str(),
            int(position as u64)
        ])?;
    }
    Ok(())
}

pub(super) fn read(conn: &Connection, tenant: &TenantId, id: AgentId) -> Result<Option<Agent>> {
    let sql = format!("SELECT {AGENT} FROM agents WHERE tenant = ?1 AND id = ?2");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![tenant.as_str(), id.0])?;
    rows.next()?.map(|row| agent_of(conn, row)).transpose()
}

pub(super) fn list(conn: &Connection, tenant: &TenantId) -> Result<Vec<Agent>> {
    let sql = format!("SELECT {AGENT} FROM agents WHERE tenant = ?1 ORDER BY id LIMIT ?2");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![tenant.as_str(), LISTED])?;
    let mut agents = Vec::new();
    while let Some(row) = rows.next()? {
        agents.push(agent_of(conn, row)?);
    }
    Ok(agents)
}

/// Everyone who is ready with empty hands, longest idle first.
pub(super) fn roster(conn: &Connection) -> Result<Roster> {
    let sql = format!(
        "SELECT {AGENT} FROM agents WHERE presence = 'ready' AND engaged IS NULL ORDER BY tenant, idle_since, id LIMIT ?1"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([LISTED])?;
    let mut roster = Roster::default();
    while let Some(row) = rows.next()? {
        let agent = agent_of(conn, row)?;
        roster.add(&agent.tenant, FreeAgent::of(&agent), &agent.queues);
    }
    Ok(roster)
}

/// How many free agents serve a queue.
pub(super) fn free_in_queue(conn: &Connection, tenant: &TenantId, queue: &QueueId) -> Result<u64> {
    let free: i64 = conn
        .prepare_cached(
            "SELECT count(*) FROM agent_queues
             JOIN agents ON agents.tenant = agent_queues.tenant AND agents.id = agent_queues.agent
             WHERE agent_queues.tenant = ?1 AND agent_queues.queue = ?2
                 AND agents.presence = 'ready' AND agents.engaged IS NULL",
        )?
        .query_row(params![tenant.as_str(), queue.as_str()], |row| row.get(0))?;
    Ok(count(free))
}

pub(super) fn exists(conn: &Connection, tenant: &TenantId, id: AgentId) -> Result<bool> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM agents WHERE tenant = ?1 AND id = ?2")?
        .exists(params![tenant.as_str(), id.0])?)
}

pub(super) fn set_presence(
    write: &mut Write<'_>,
    tenant: &TenantId,
    id: AgentId,
    presence: Presence,
    now: Timestamp,
) -> Result<Agent> {
    // Who comes back begins to wait now, behind those who have waited all along.
    write
        .conn
        .prepare_cached(
            "UPDATE agents SET presence = ?3,
                 idle_since = CASE WHEN ?3 = 'ready' AND presence <> 'ready' THEN ?4 ELSE idle_since END
             WHERE tenant = ?1 AND id = ?2",
        )?
        .execute(params![tenant.as_str(), id.0, presence.name(), ms(now)])?;
    let agent = read(write.conn, tenant, id)?.ok_or(StoreError::NotFound("agent"))?;
    write.signals.push(Signal::Agent {
        tenant: tenant.clone(),
        id,
    });
    Ok(agent)
}

pub(super) fn remove(write: &mut Write<'_>, tenant: &TenantId, id: AgentId) -> Result<bool> {
    let conn = write.conn;
    let Some(agent) = read(conn, tenant, id)? else {
        return Ok(false);
    };
    if agent.engaged.is_some() {
        return Err(StoreError::Conflict {
            field: None,
            code: "agent_engaged",
            detail: "the agent has a callback in hand".to_owned(),
        });
    }
    let awaited = conn
        .prepare_cached("SELECT 1 FROM callbacks WHERE tenant = ?1 AND transferred_to = ?2 AND state = 'transferred'")?
        .exists(params![tenant.as_str(), id.0])?;
    if awaited {
        return Err(StoreError::Conflict {
            field: None,
            code: "agent_awaited",
            detail: "a callback was passed to this agent and waits for them".to_owned(),
        });
    }
    conn.prepare_cached("DELETE FROM agent_queues WHERE tenant = ?1 AND agent = ?2")?
        .execute(params![tenant.as_str(), id.0])?;
    conn.prepare_cached("DELETE FROM agents WHERE tenant = ?1 AND id = ?2")?
        .execute(params![tenant.as_str(), id.0])?;
    write.signals.push(Signal::Agent {
        tenant: tenant.clone(),
        id,
    });
    Ok(true)
}

/// Puts a callback in an agent's empty hands.
pub(super) fn engage(
    conn: &Connection,
    tenant: &TenantId,
    id: AgentId,
    callback: InteractionId,
) -> Result<()> {
    let filled = conn
        .prepare_cached(
            "UPDATE agents SET engaged = ?3 WHERE tenant = ?1 AND id = ?2 AND engaged IS NULL",
        )?
        .execute(params![tenant.as_str(), id.0, blob(&callback.0)])?;
    if filled == 1 {
        return Ok(());
    }
    let (code, detail) = if exists(conn, tenant, id)? {
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

/// Empties the agent's hands; from now on they are idle.
pub(super) fn free(
    conn: &Connection,
    tenant: &TenantId,
    id: AgentId,
    callback: InteractionId,
    now: Timestamp,
) -> Result<()> {
    conn.prepare_cached(
        "UPDATE agents SET engaged = NULL, idle_since = ?4 WHERE tenant = ?1 AND id = ?2 AND engaged = ?3",
    )?
    .execute(params![tenant.as_str(), id.0, blob(&callback.0), ms(now)])?;
    Ok(())
}

/// Who did not answer is away; who said busy or offline meanwhile stays that.
pub(super) fn set_away(conn: &Connection, tenant: &TenantId, id: AgentId) -> Result<()> {
    conn.prepare_cached(
        "UPDATE agents SET presence = 'away' WHERE tenant = ?1 AND id = ?2 AND presence = 'ready'",
    )?
    .execute(params![tenant.as_str(), id.0])?;
    Ok(())
}

fn agent_of(conn: &Connection, row: &Row<'_>) -> Result<Agent> {
    let tenant = super::rows::tenant_of(row, 0, "agents")?;
    let id: i64 = row.get(1)?;
    let presence: String = row.get(5)?;
    let engaged: Option<Vec<u8>> = row.get(7)?;
    let mut statement = conn.prepare_cached(
        "SELECT queue FROM agent_queues WHERE tenant = ?1 AND agent = ?2 ORDER BY position",
    )?;
    let names = statement
        .query_map(params![tenant.as_str(), id], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(Agent {
        id: AgentId(id),
        name: row.get(2)?,
        dn: row.get(3)?,
        route: row.get(4)?,
        queues: names
            .iter()
            .map(|name| super::queues::queue_id(name))
            .collect::<Result<_>>()?,
        presence: Presence::parse(&presence)
            .ok_or_else(|| damaged("agents", "presence", "no such presence"))?,
        auto_accept: row.get(6)?,
        engaged: engaged
            .map(|bytes| Uuid::from_slice(&bytes).map(InteractionId))
            .transpose()
            .map_err(|_| damaged("agents", "engaged", "not 16 bytes"))?,
        idle_since: time(row.get(8)?, "agents", "idle_since")?,
        revision: unsigned(row.get(9)?, "agents", "revision")?,
        tenant,
    })
}

/// The one agent a transferred callback waits for, as a number of free seats.
pub(super) fn is_free(conn: &Connection, tenant: &TenantId, id: AgentId) -> Result<bool> {
    let found: Option<i64> = conn
        .prepare_cached(
            "SELECT 1 FROM agents WHERE tenant = ?1 AND id = ?2 AND presence = 'ready' AND engaged IS NULL",
        )?
        .query_row(params![tenant.as_str(), id.0], |row| row.get(0))
        .optional()?;
    Ok(found.is_some())
}
