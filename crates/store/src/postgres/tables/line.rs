//! The clock, the lines of waiting callbacks and their seats. Rows are read with their locks and rows that another
//! node has locked are stepped over, so that two nodes never wait for each other and never take the same callback.

use super::super::load::{get, named};
use super::super::locks;
use super::super::session::Ask;
use super::{Ahead, PgTables};
use crate::Result;
use crate::rows::{count, int, ms, queue_id, tenant_of, time};
use crate::seats::{Waiting, seat_name};
use crate::tables::{Floor, Key, LineOf};
use jiff::Timestamp;
use ringback_callbacks::ids::{AgentId, InteractionId, NodeId, QueueId, TenantId};
use ringback_callbacks::state::Target;
use std::cmp::Ordering;
use tokio_postgres::Row;
use uuid::Uuid;

/// Largest bite of a line. What is read is locked until the commit, so that it is not much more than is needed.
const BITE: i64 = 256;

const LINES: &str = "
    SELECT q.tenant, q.id, kinds.by_mail FROM queues q CROSS JOIN (VALUES (false), (true)) AS kinds(by_mail)
    WHERE (NOT q.dialling_paused OR q.removed)
        AND EXISTS (SELECT 1 FROM callbacks c WHERE c.tenant = q.tenant AND c.queue = q.id
            AND c.state = 'queued' AND c.by_mail = kinds.by_mail)
    ORDER BY q.tenant, q.id, kinds.by_mail";

const AWAITED: &str = "
    SELECT a.tenant, a.id FROM agents a WHERE a.presence = 'ready' AND a.engaged IS NULL
        AND EXISTS (SELECT 1 FROM callbacks c WHERE c.tenant = a.tenant AND c.transferred_to = a.id
            AND c.state = 'transferred')";

const SEATED: &str = "
    SELECT (SELECT count(*) FROM callbacks WHERE tenant = u.tenant AND queue = u.queue AND seat = u.seat)
    FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS u(tenant, queue, seat, nth) ORDER BY u.nth";

impl PgTables<'_> {
    pub(super) fn list_due(&self, now: Timestamp, limit: usize) -> Result<Vec<Key>> {
        self.now.set(self.now.get().max(ms(now)));
        let rows = self.ask(
            &self.locking(
                "SELECT tenant, id, doc, writes FROM callbacks WHERE wakes_at <= $1 AND claim_until IS NULL
                 ORDER BY wakes_at LIMIT $2",
            ),
            &[&ms(now), &int(limit as u64)],
        )?;
        self.take_all(&rows)
    }

    pub(super) fn list_lapsed(
        &self,
        node: &NodeId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Key>> {
        let rows = self.ask(
            &self.locking(
                "SELECT tenant, id, doc, writes FROM callbacks
                 WHERE claim_until IS NOT NULL AND (claim_until <= $1 OR (claim_node = $2 AND claim_boot <> $3))
                 LIMIT $4",
            ),
            &[&ms(now), &node.name.as_str(), &node.boot, &int(limit.max(1) as u64)],
        )?;
        self.take_all(&rows)
    }

    pub(super) fn next_moment(&self) -> Result<Option<Timestamp>> {
        let rows = self.ask(
            "SELECT least((SELECT min(wakes_at) FROM callbacks WHERE wakes_at IS NOT NULL AND claim_until IS NULL),
                 (SELECT min(claim_until) FROM callbacks WHERE claim_until IS NOT NULL))",
            &[],
        )?;
        let at: Option<i64> = rows.first().map_or(Ok(None), |row| get(row, 0))?;
        at.map(|at| time(at, "callbacks", "wakes_at")).transpose()
    }

    pub(super) fn read_floor(&self, agents: usize) -> Result<Floor> {
        let free = self.free_agents();
        let limit = int(agents as u64);
        let answers = self.ask_all(vec![
            Ask::With(&free, vec![&limit]),
            Ask::With(LINES, Vec::new()),
            Ask::With(AWAITED, Vec::new()),
        ])?;
        let [free, lines, awaited] = answers.as_slice() else {
            return Ok(Floor::default());
        };
        let line = |row| {
            let tenant = tenant_of(get::<&str>(row, 0)?, "queues")?;
            Ok((tenant, queue_id(get::<&str>(row, 1)?)?, get(row, 2)?))
        };
        let awaiting = |row| {
            let tenant = tenant_of(get::<&str>(row, 0)?, "agents")?;
            Ok((tenant, AgentId(get(row, 1)?)))
        };
        let lines: Vec<_> = lines.iter().map(line).collect::<Result<_>>()?;
        // Each of them is looked at next.
        self.have(|wanted, tables| {
            for (tenant, queue, _) in &lines {
                wanted.queue(tables, (tenant.clone(), queue.clone()));
            }
        })?;
        Ok(Floor {
            free: self.take_free(free)?,
            lines,
            awaited: awaited.iter().map(awaiting).collect::<Result<_>>()?,
        })
    }

    /// Counted by a statement of its own behind the lock: it sees what whoever had the lock before has committed.
    pub(super) fn count_seated_alone(
        &self,
        seats: &[(TenantId, QueueId, Target)],
    ) -> Result<Vec<u64>> {
        if seats.is_empty() {
            return Ok(Vec::new());
        }
        // In one order on every node; claiming takes no other lock that is waited for.
        let locks = self.not_yet_held(
            seats
                .iter()
                .map(|(tenant, queue, _)| locks::seats(tenant, queue))
                .collect(),
        );
        let tenants: Vec<&str> = seats.iter().map(|(tenant, ..)| tenant.as_str()).collect();
        let queues: Vec<&str> = seats.iter().map(|(_, queue, _)| queue.as_str()).collect();
        let kinds: Vec<&str> = seats.iter().map(|(.., target)| seat_name(target)).collect();
        let mut asks = vec![Ask::With(SEATED, vec![&tenants, &queues, &kinds])];
        if !locks.is_empty() {
            asks.insert(0, locks.ask());
        }
        let mut answers = self.ask_all(asks)?;
        self.held.borrow_mut().add(&locks);
        let counted = answers.pop().unwrap_or_default();
        counted.iter().map(|row| Ok(count(get(row, 0)?))).collect()
    }

    pub(super) fn step_in_line(
        &self,
        tenant: &TenantId,
        line: &LineOf,
        after: Option<&Waiting>,
    ) -> Result<Option<Waiting>> {
        let key = (tenant.clone(), line.clone());
        let behind =
            |waiting: &Waiting| after.is_none_or(|after| waiting.cmp(after) == Ordering::Greater);
        let bite = {
            let mut lines = self.lines.borrow_mut();
            let ahead = lines.entry(key.clone()).or_default();
            while let Some(first) = ahead.waiting.pop_front() {
                if behind(&first) {
                    return Ok(Some(first));
                }
            }
            if ahead.end {
                return Ok(None);
            }
            (ahead.bite * 4).clamp(4, BITE)
        };
        let found = self.bite_of(tenant, line, after, bite)?;
        let keys = self.take_all(&found)?;
        let mut waiting = found
            .iter()
            .map(waiting_of)
            .collect::<Result<std::collections::VecDeque<_>>>()?;
        self.fetch_about(&keys)?;
        let first = waiting.pop_front();
        let end = int(found.len() as u64) < bite;
        self.lines
            .borrow_mut()
            .insert(key, Ahead { waiting, bite, end });
        Ok(first)
    }

    fn bite_of(
        &self,
        tenant: &TenantId,
        line: &LineOf,
        after: Option<&Waiting>,
        bite: i64,
    ) -> Result<Vec<Row>> {
        // Everybody stands behind this place.
        let (rank, since, id) = after.map_or((i64::MIN, i64::MIN, Uuid::nil()), |after| {
            (after.rank, after.since, after.id.0)
        });
        match line {
            LineOf::Queue { queue, by_mail } => self.ask(
                &self.locking(
                    "SELECT tenant, id, doc, writes, rank, since FROM callbacks
                     WHERE tenant = $1 AND state = 'queued' AND queue = $2 AND by_mail = $3
                         AND (rank, since, id) > ($4, $5, $6)
                     ORDER BY rank, since, id LIMIT $7",
                ),
                &[
                    &tenant.as_str(),
                    &queue.as_str(),
                    by_mail,
                    &rank,
                    &since,
                    &id,
                    &bite,
                ],
            ),
            LineOf::Agent(agent) => self.ask(
                &self.locking(
                    "SELECT tenant, id, doc, writes, rank, since FROM callbacks
                     WHERE tenant = $1 AND state = 'transferred' AND transferred_to = $2
                         AND (rank, since, id) > ($3, $4, $5)
                         AND NOT EXISTS (SELECT 1 FROM queues q
                             WHERE q.tenant = callbacks.tenant AND q.id = callbacks.queue
                                 AND q.dialling_paused AND NOT q.removed)
                     ORDER BY rank, since, id LIMIT $6",
                ),
                &[&tenant.as_str(), &agent.0, &rank, &since, &id, &bite],
            ),
        }
    }

    pub(super) fn find_in_line(
        &self,
        tenant: &TenantId,
        id: InteractionId,
    ) -> Result<Option<Waiting>> {
        let rows = self.ask(
            &self.locking(
                "SELECT tenant, id, doc, writes, rank, since FROM callbacks
                 WHERE tenant = $1 AND id = $2 AND state = 'queued' AND NOT by_mail",
            ),
            &[&tenant.as_str(), &id.0],
        )?;
        self.take_all(&rows)?;
        rows.first().map(waiting_of).transpose()
    }

    pub(super) fn count_ahead(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        by_mail: bool,
        place: &Waiting,
    ) -> Result<u64> {
        let rows = self.ask(
            "SELECT count(*) FROM callbacks
             WHERE tenant = $1 AND queue = $2 AND state = 'queued' AND by_mail = $3
                 AND (rank, since, id) < ($4, $5, $6)",
            &[
                &tenant.as_str(),
                &queue.as_str(),
                &by_mail,
                &place.rank,
                &place.since,
                &place.id.0,
            ],
        )?;
        rows.first().map_or(Ok(0), |row| Ok(count(get(row, 0)?)))
    }

    pub(super) fn count_seated(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        target: &Target,
    ) -> Result<u64> {
        let rows = self.ask(
            "SELECT count(*) FROM callbacks WHERE tenant = $1 AND queue = $2 AND seat = $3",
            &[&tenant.as_str(), &queue.as_str(), &seat_name(target)],
        )?;
        rows.first().map_or(Ok(0), |row| Ok(count(get(row, 0)?)))
    }

    /// Whoever reads in order to write has the rows to themselves.
    fn locking(&self, sql: &str) -> String {
        if self.writing {
            format!("{sql} FOR UPDATE SKIP LOCKED")
        } else {
            sql.to_owned()
        }
    }
}

fn waiting_of(row: &Row) -> Result<Waiting> {
    Ok(Waiting {
        rank: named(row, "rank")?,
        since: named(row, "since")?,
        id: InteractionId(named(row, "id")?),
    })
}
