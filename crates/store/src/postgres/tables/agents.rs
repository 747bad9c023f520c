//! Agents: who they are, whether they are there, and what they have in hand.

use super::super::columns::{AGENT, agent_of, get};
use super::super::set::AgentRow;
use super::PgTables;
use crate::Result;
use crate::rows::{count, int, ms};
use jiff::Timestamp;
use ringback_callbacks::agent::{Agent, Presence};
use ringback_callbacks::ids::{AgentId, InteractionId, QueueId, TenantId};
use std::rc::Rc;
use tokio_postgres::Row;

impl PgTables<'_> {
    fn agent_row(&self, tenant: &TenantId, id: AgentId) -> Result<Option<AgentRow>> {
        let key = (tenant.clone(), id);
        self.have(|wanted, tables| wanted.agent(tables, key.clone()))?;
        Ok(self
            .set
            .borrow()
            .agents
            .get(&key)
            .filter(|row| row.agent.is_some())
            .cloned())
    }

    pub(super) fn read_agent(&self, tenant: &TenantId, id: AgentId) -> Result<Option<Agent>> {
        let row = self.agent_row(tenant, id)?;
        Ok(row.and_then(|row| row.agent).map(|agent| (*agent).clone()))
    }

    /// The row as it is now, with a lock that everything else waits for (and claims step over).
    pub(super) fn lock_agent(&self, tenant: &TenantId, id: AgentId) -> Result<Option<Agent>> {
        let sql = format!("SELECT {AGENT} FROM agents WHERE tenant = $1 AND id = $2 FOR UPDATE");
        let rows = self.ask_locking(&sql, &[&tenant.as_str(), &id.0])?;
        rows.first().map(agent_of).transpose()
    }

    /// The weakest lock there is: only who removes the agent waits for it, and it waits for nobody else. A transfer holds
    /// what is known of a number when it comes here; if it waited for a claim, which has the free agents and may want
    /// that number, the two would wait for each other.
    pub(super) fn keep_agent(&self, tenant: &TenantId, id: AgentId) -> Result<bool> {
        let rows = self.ask_now(
            "SELECT 1 FROM agents WHERE tenant = $1 AND id = $2 FOR KEY SHARE",
            &[&tenant.as_str(), &id.0],
        )?;
        self.numbered.set(true);
        Ok(!rows.is_empty())
    }

    pub(super) fn list_agents(&self, tenant: &TenantId, limit: usize) -> Result<Vec<Agent>> {
        let sql = format!("SELECT {AGENT} FROM agents WHERE tenant = $1 ORDER BY id LIMIT $2");
        let rows = self.ask(&sql, &[&tenant.as_str(), &int(limit as u64)])?;
        rows.iter().map(agent_of).collect()
    }

    /// The statement for everybody who is free; `$1`: how many at most. They are locked as they would be by being changed,
    /// and no more: see `keep_agent`.
    pub(super) fn free_agents(&self) -> String {
        let lock = if self.writing {
            "FOR NO KEY UPDATE SKIP LOCKED"
        } else {
            ""
        };
        format!(
            "SELECT {AGENT} FROM agents WHERE presence = 'ready' AND engaged IS NULL
             ORDER BY tenant, idle_since, id LIMIT $1 {lock}"
        )
    }

    pub(super) fn take_free(&self, rows: &[Row]) -> Result<Vec<Agent>> {
        let mut free = Vec::new();
        for row in rows {
            self.take_agent(row)?;
            free.push(agent_of(row)?);
        }
        Ok(free)
    }

    pub(super) fn count_free(&self, tenant: &TenantId, queue: &QueueId) -> Result<u64> {
        let rows = self.ask(
            "SELECT count(*) FROM agents
             WHERE tenant = $1 AND presence = 'ready' AND engaged IS NULL AND $2 = ANY(queues)",
            &[&tenant.as_str(), &queue.as_str()],
        )?;
        rows.first().map_or(Ok(0), |row| Ok(count(get(row, 0)?)))
    }

    pub(super) fn has_awaiting(&self, tenant: &TenantId, id: AgentId) -> Result<bool> {
        let rows = self.ask(
            "SELECT 1 FROM callbacks WHERE tenant = $1 AND transferred_to = $2 AND state = 'transferred' LIMIT 1",
            &[&tenant.as_str(), &id.0],
        )?;
        Ok(!rows.is_empty())
    }

    pub(super) fn put_agent(&self, agent: &Agent) -> Result<()> {
        let queues: Vec<&str> = agent.queues.iter().map(QueueId::as_str).collect();
        // Unlike a queue an agent may be gone: then a change of them must not bring them back.
        self.write(
            "WITH changed AS (
                 UPDATE agents SET name = $3, dn = $4, route = $5, auto_accept = $7, revision = $10, queues = $11
                 WHERE tenant = $1 AND id = $2 AND revision = $10 - 1
                 RETURNING 1),
             new AS (
                 INSERT INTO agents (tenant, id, name, dn, route, presence, auto_accept, engaged, idle_since, revision,
                     queues)
                 SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 WHERE $10 = 1
                 ON CONFLICT (tenant, id) DO NOTHING
                 RETURNING 1)
             SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM changed UNION ALL SELECT 1 FROM new) THEN changed_meanwhile() END",
            &[
                &agent.tenant.as_str(),
                &agent.id.0,
                &agent.name.as_str(),
                &agent.dn.as_str(),
                &agent.route.as_deref(),
                &agent.presence.name(),
                &agent.auto_accept,
                &agent.engaged.map(|callback| callback.0),
                &ms(agent.idle_since),
                &int(agent.revision),
                &queues,
            ],
        )
        .map(drop)
    }

    pub(super) fn drop_agent(&self, tenant: &TenantId, id: AgentId) -> Result<()> {
        self.write(
            "DELETE FROM agents WHERE tenant = $1 AND id = $2",
            &[&tenant.as_str(), &id.0],
        )
        .map(drop)
    }

    pub(super) fn put_presence(
        &self,
        tenant: &TenantId,
        id: AgentId,
        presence: Presence,
        now: Timestamp,
    ) -> Result<bool> {
        let sql = format!(
            "UPDATE agents SET presence = $3,
                 idle_since = CASE WHEN $3 = 'ready' AND presence <> 'ready' THEN $4 ELSE idle_since END
             WHERE tenant = $1 AND id = $2 RETURNING {AGENT}"
        );
        let rows = self.write(&sql, &[&tenant.as_str(), &id.0, &presence.name(), &ms(now)])?;
        let Some(row) = rows.first() else {
            return Ok(false);
        };
        let agent = agent_of(row)?;
        let row = AgentRow {
            engaged: agent.engaged,
            agent: Some(Rc::new(agent)),
            idle_since: None,
            away: false,
        };
        self.set
            .borrow_mut()
            .agents
            .reload((tenant.clone(), id), row);
        Ok(true)
    }

    pub(super) fn fill_hands(
        &self,
        tenant: &TenantId,
        id: AgentId,
        callback: InteractionId,
    ) -> Result<bool> {
        let Some(row) = self.agent_row(tenant, id)? else {
            return Ok(false);
        };
        let Some(agent) = row.agent.as_deref().filter(|agent| agent.engaged.is_none()) else {
            return Ok(false);
        };
        let agent = Agent {
            engaged: Some(callback),
            ..agent.clone()
        };
        let row = AgentRow {
            agent: Some(Rc::new(agent)),
            ..row
        };
        self.set.borrow_mut().agents.put((tenant.clone(), id), row);
        Ok(true)
    }

    pub(super) fn empty_hands(
        &self,
        tenant: &TenantId,
        id: AgentId,
        callback: InteractionId,
        now: Timestamp,
    ) -> Result<()> {
        let Some(row) = self.agent_row(tenant, id)? else {
            return Ok(());
        };
        let Some(agent) = row
            .agent
            .as_deref()
            .filter(|agent| agent.engaged == Some(callback))
        else {
            return Ok(());
        };
        let agent = Agent {
            engaged: None,
            idle_since: now,
            ..agent.clone()
        };
        let row = AgentRow {
            agent: Some(Rc::new(agent)),
            idle_since: Some(ms(now)),
            ..row
        };
        self.set.borrow_mut().agents.put((tenant.clone(), id), row);
        Ok(())
    }

    pub(super) fn send_away(&self, tenant: &TenantId, id: AgentId) -> Result<()> {
        let Some(row) = self.agent_row(tenant, id)? else {
            return Ok(());
        };
        let Some(agent) = row
            .agent
            .as_deref()
            .filter(|agent| agent.presence == Presence::Ready)
        else {
            return Ok(());
        };
        let agent = Agent {
            presence: Presence::Away,
            ..agent.clone()
        };
        let row = AgentRow {
            agent: Some(Rc::new(agent)),
            away: true,
            ..row
        };
        self.set.borrow_mut().agents.put((tenant.clone(), id), row);
        Ok(())
    }
}
