//! Agents: who they are, whether they are there, and what they have in hand.

use super::{all, at_most, blob, number, one, tenant_of, text};
use crate::Result;
use crate::rows::{damaged, int, ms, queue_id, time, unsigned, uuid_of};
use jiff::Timestamp;
use ringback_callbacks::agent::{Agent, Presence};
use ringback_callbacks::ids::{AgentId, InteractionId, QueueId, TenantId};
use rusqlite::{Connection, Row, params};

const AGENT: &str =
    "tenant, id, name, dn, route, presence, auto_accept, engaged, idle_since, revision";

pub(super) fn read(conn: &Connection, tenant: &TenantId, id: AgentId) -> Result<Option<Agent>> {
    one(
        conn,
        &format!("SELECT {AGENT} FROM agents WHERE tenant = ?1 AND id = ?2"),
        params![tenant.as_str(), id.0],
        |row| agent_of(conn, row),
    )
}

pub(super) fn list(conn: &Connection, tenant: &TenantId, limit: usize) -> Result<Vec<Agent>> {
    all(
        conn,
        &format!("SELECT {AGENT} FROM agents WHERE tenant = ?1 ORDER BY id LIMIT ?2"),
        params![tenant.as_str(), at_most(limit)],
        |row| agent_of(conn, row),
    )
}

pub(super) fn free_ones(conn: &Connection, limit: usize) -> Result<Vec<Agent>> {
    all(
        conn,
        &format!(
            "SELECT {AGENT} FROM agents WHERE presence = 'ready' AND engaged IS NULL
             ORDER BY tenant, idle_since, id LIMIT ?1"
        ),
        params![at_most(limit)],
        |row| agent_of(conn, row),
    )
}

pub(super) fn free_in_queue(conn: &Connection, tenant: &TenantId, queue: &QueueId) -> Result<u64> {
    number(
        conn,
        "SELECT count(*) FROM agent_queues
         JOIN agents ON agents.tenant = agent_queues.tenant AND agents.id = agent_queues.agent
         WHERE agent_queues.tenant = ?1 AND agent_queues.queue = ?2
             AND agents.presence = 'ready' AND agents.engaged IS NULL",
        params![tenant.as_str(), queue.as_str()],
    )
}

pub(super) fn is_awaited(conn: &Connection, tenant: &TenantId, id: AgentId) -> Result<bool> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM callbacks WHERE tenant = ?1 AND transferred_to = ?2 AND state = 'transferred'")?
        .exists(params![tenant.as_str(), id.0])?)
}

pub(super) fn write(conn: &Connection, agent: &Agent) -> Result<()> {
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

pub(super) fn delete(conn: &Connection, tenant: &TenantId, id: AgentId) -> Result<()> {
    conn.prepare_cached("DELETE FROM agent_queues WHERE tenant = ?1 AND agent = ?2")?
        .execute(params![tenant.as_str(), id.0])?;
    conn.prepare_cached("DELETE FROM agents WHERE tenant = ?1 AND id = ?2")?
        .execute(params![tenant.as_str(), id.0])?;
    Ok(())
}

/// Who comes back begins to wait now, behind those who have waited all along.
pub(super) fn write_presence(
    conn: &Connection,
    tenant: &TenantId,
    id: AgentId,
    presence: Presence,
    now: Timestamp,
) -> Result<bool> {
    let changed = conn
        .prepare_cached(
            "UPDATE agents SET presence = ?3,
                 idle_since = CASE WHEN ?3 = 'ready' AND presence <> 'ready' THEN ?4 ELSE idle_since END
             WHERE tenant = ?1 AND id = ?2",
        )?
        .execute(params![tenant.as_str(), id.0, presence.name(), ms(now)])?;
    Ok(changed == 1)
}

pub(super) fn engage(
    conn: &Connection,
    tenant: &TenantId,
    id: AgentId,
    callback: InteractionId,
) -> Result<bool> {
    let filled = conn
        .prepare_cached(
            "UPDATE agents SET engaged = ?3 WHERE tenant = ?1 AND id = ?2 AND engaged IS NULL",
        )?
        .execute(params![tenant.as_str(), id.0, blob(&callback.0)])?;
    Ok(filled == 1)
}

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

pub(super) fn set_away(conn: &Connection, tenant: &TenantId, id: AgentId) -> Result<()> {
    conn.prepare_cached(
        "UPDATE agents SET presence = 'away' WHERE tenant = ?1 AND id = ?2 AND presence = 'ready'",
    )?
    .execute(params![tenant.as_str(), id.0])?;
    Ok(())
}

fn agent_of(conn: &Connection, row: &Row<'_>) -> Result<Agent> {
    let tenant = tenant_of(row, 0, "agents")?;
    let id: i64 = row.get(1)?;
    let presence: String = row.get(5)?;
    let engaged: Option<Vec<u8>> = row.get(7)?;
    let queues = all(
        conn,
        "SELECT queue FROM agent_queues WHERE tenant = ?1 AND agent = ?2 ORDER BY position",
        params![tenant.as_str(), id],
        |row| queue_id(text(row, 0)?),
    )?;
    Ok(Agent {
        id: AgentId(id),
        name: row.get(2)?,
        dn: row.get(3)?,
        route: row.get(4)?,
        queues,
        presence: Presence::parse(&presence)
            .ok_or_else(|| damaged("agents", "presence", "no such presence"))?,
        auto_accept: row.get(6)?,
        engaged: engaged
            .map(|bytes| uuid_of(&bytes, "agents", "engaged").map(InteractionId))
            .transpose()?,
        idle_since: time(row.get(8)?, "agents", "idle_since")?,
        revision: unsigned(row.get(9)?, "agents", "revision")?,
        tenant,
    })
}
