//! The clock, the lines of waiting callbacks and their seats. Rows are read with their locks and rows that another
//! node has locked are stepped over, so that two nodes never wait for each other and never take the same callback.

use super::super::columns::{get, named};
use super::super::locks::{self, Locks};
use super::super::session::{Ask, Value};
use super::{Ahead, PgTables};
use crate::rows::{count, int, ms, queue_id, tenant_of, time};
use crate::seats::{Waiting, seat_name};
use crate::tables::{Floor, Joined, Key, LineOf, Seat};
use crate::{Result, Soonest, Whose};
use jiff::Timestamp;
use ringback_callbacks::ids::{AgentId, InteractionId, NodeId, QueueId, TenantId};
use ringback_callbacks::state::Target;
use std::cmp::Ordering;
use tokio_postgres::Row;
use uuid::Uuid;

/// Smallest and largest bite of a line. What is read is locked until the commit, so that it is not much more than is
/// needed.
const BITES: (i64, i64) = (4, 256);

/// Lines read in advance at most: each is a statement.
const READ_AHEAD: usize = 4;

/// Before everybody in a line.
const FIRST: (i64, i64, Uuid) = (i64::MIN, i64::MIN, Uuid::nil());

const IN_QUEUE: &str = "
    SELECT tenant, id, doc, writes, rank, since FROM callbacks
    WHERE tenant = $1 AND state = 'queued' AND queue = $2 AND by_mail = $3 AND (rank, since, id) > ($4, $5, $6)
    ORDER BY rank, since, id LIMIT $7";

/// What comes next, the lines with somebody waiting, and the awaited agents: one statement, because each costs as much
/// as what it does here.
const FLOOR: &str = "
    SELECT NULL::text AS tenant, NULL::text AS queue, NULL::bool AS by_mail, NULL::bigint AS agent,
        (SELECT min(wakes_at) FROM callbacks WHERE wakes_at IS NOT NULL AND claim_until IS NULL) AS due,
        (SELECT min(claim_until) FROM callbacks WHERE claim_until IS NOT NULL) AS lapse
    UNION ALL SELECT q.tenant, q.id, kinds.by_mail, NULL, NULL, NULL
    FROM queues q CROSS JOIN (VALUES (false), (true)) AS kinds(by_mail)
    WHERE (NOT q.dialling_paused OR q.removed)
        AND EXISTS (SELECT 1 FROM callbacks c WHERE c.tenant = q.tenant AND c.queue = q.id
            AND c.state = 'queued' AND c.by_mail = kinds.by_mail)
    UNION ALL SELECT a.tenant, NULL, NULL, a.id, NULL, NULL
    FROM agents a WHERE a.presence = 'ready' AND a.engaged IS NULL
        AND EXISTS (SELECT 1 FROM callbacks c WHERE c.tenant = a.tenant AND c.transferred_to = a.id
            AND c.state = 'transferred')
    ORDER BY tenant, queue, by_mail, agent";

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
        whose: Whose,
        limit: usize,
    ) -> Result<Vec<Key>> {
        let anybodys = whose == Whose::Anybodys;
        let rows = self.ask(
            &self.locking(
                "SELECT tenant, id, doc, writes FROM callbacks
                 WHERE claim_until IS NOT NULL AND ((claim_until <= $1 AND ($5 OR claim_node = $2))
                     OR (claim_node = $2 AND claim_boot <> $3))
                 LIMIT $4",
            ),
            &[
                &ms(now),
                &node.name.as_str(),
                &node.boot,
                &int(limit.max(1) as u64),
                &anybodys,
            ],
        )?;
        self.take_all(&rows)
    }

    /// One journey for all of it. Of the lines that have just been joined, the seats are counted and the first are read
    /// with it: `count_seated_alone` and `step_in_line` then find them here.
    pub(super) fn read_floor(&self, agents: usize, joined: &[Joined]) -> Result<Floor> {
        let joined = if joined.len() <= READ_AHEAD {
            joined
        } else {
            &[]
        };
        let free = self.free_agents();
        let limit = int(agents as u64);
        let mut asks = vec![Ask::With(&free, vec![&limit]), Ask::With(FLOOR, Vec::new())];
        let own = asks.len();
        let seats: Vec<_> = joined
            .iter()
            .map(|line| (line.tenant.clone(), line.queue.clone(), line.seat.clone()))
            .collect();
        let (locks, places) = (self.locks_of(&seats), Places::of(&seats));
        if !seats.is_empty() {
            // The lock first: what is counted and read behind it is what whoever had it before has left.
            asks.push(locks.ask());
            asks.push(places.count());
        }
        let in_queue = self.locking(IN_QUEUE);
        let bites: Vec<(&str, &str, i64)> = joined
            .iter()
            .map(|line| {
                let bite = int(line.callbacks as u64).clamp(BITES.0, BITES.1);
                (line.tenant.as_str(), line.queue.as_str(), bite)
            })
            .collect();
        for (line, (tenant, queue, bite)) in joined.iter().zip(&bites) {
            let (rank, since, id) = (&FIRST.0, &FIRST.1, &FIRST.2);
            let values: Vec<&dyn Value> = vec![tenant, queue, &line.by_mail, rank, since, id, bite];
            asks.push(Ask::With(&in_queue, values));
        }
        let mut answers = self.ask_all(asks)?;
        let mut ahead = answers.split_off(own.min(answers.len())).into_iter();
        if !seats.is_empty() {
            let counted = ahead.nth(1).unwrap_or_default();
            self.remember_seated(&locks, &seats, &counted)?;
        }
        for ((line, (.., bite)), found) in joined.iter().zip(&bites).zip(ahead) {
            let of = LineOf::Queue {
                queue: line.queue.clone(),
                by_mail: line.by_mail,
            };
            self.take_bite((line.tenant.clone(), of), &found, *bite)?;
        }
        let [free, found] = answers.as_slice() else {
            return Ok(Floor::default());
        };
        self.take_floor(free, found)
    }

    fn take_floor(&self, free: &[Row], found: &[Row]) -> Result<Floor> {
        let mut floor = Floor {
            free: self.take_free(free)?,
            ..Floor::default()
        };
        for row in found {
            let Some(tenant) = named::<Option<&str>>(row, "tenant")? else {
                floor.soonest = soonest(row)?;
                continue;
            };
            let queue: Option<&str> = named(row, "queue")?;
            match queue {
                Some(queue) => {
                    let by_mail = named(row, "by_mail")?;
                    floor
                        .lines
                        .push((tenant_of(tenant, "queues")?, queue_id(queue)?, by_mail));
                }
                None => {
                    let agent = AgentId(named(row, "agent")?);
                    floor.awaited.push((tenant_of(tenant, "agents")?, agent));
                }
            }
        }
        // Each of them is looked at next.
        self.have(|wanted, tables| {
            for (tenant, queue, _) in &floor.lines {
                wanted.queue(tables, (tenant.clone(), queue.clone()));
            }
        })?;
        Ok(floor)
    }

    /// Counted by a statement of its own behind the lock: it sees what whoever had the lock before has committed.
    pub(super) fn count_seated_alone(&self, seats: &[Seat]) -> Result<Vec<Option<u64>>> {
        let unknown: Vec<_> = {
            let known = self.seated.borrow();
            let unknown = seats.iter().filter(|of| !known.contains_key(*of));
            unknown.cloned().collect()
        };
        if !unknown.is_empty() {
            let locks = self.locks_of(&unknown);
            // Locks are taken in one order on every node. What comes on top of those that are held already may stand
            // before them in that order: then it is not waited for.
            let waits = self.seated.borrow().is_empty();
            let places = Places::of(&unknown);
            let lock = if waits { locks.ask() } else { locks.try_ask() };
            let answers = self.ask_all(vec![lock, places.count()])?;
            let [locked, counted] = answers.as_slice() else {
                return Ok(vec![None; seats.len()]);
            };
            let got = if waits { locks } else { locks.got(locked)? };
            self.remember_seated(&got, &unknown, counted)?;
        }
        let seated = self.seated.borrow();
        Ok(seats.iter().map(|of| seated.get(of).copied()).collect())
    }

    /// What was counted behind these locks, of the seats that are locked now.
    fn remember_seated(&self, locks: &Locks, seats: &[Seat], counted: &[Row]) -> Result<()> {
        let mut held = self.held.borrow_mut();
        held.add(locks);
        let mut seated = self.seated.borrow_mut();
        for (of, row) in seats.iter().zip(counted) {
            if held.has(locks::seats(&of.0, &of.1)) {
                seated.insert(of.clone(), count(get(row, 0)?));
            }
        }
        Ok(())
    }

    fn locks_of(&self, seats: &[Seat]) -> Locks {
        let locks = seats
            .iter()
            .map(|(tenant, queue, _)| locks::seats(tenant, queue));
        self.not_yet_held(locks.collect())
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
            (ahead.bite * 4).clamp(BITES.0, BITES.1)
        };
        let found = self.bite_of(tenant, line, after, bite)?;
        self.take_bite(key.clone(), &found, bite)?;
        let mut lines = self.lines.borrow_mut();
        Ok(lines
            .get_mut(&key)
            .and_then(|ahead| ahead.waiting.pop_front()))
    }

    /// Rows of a line that were read, with what they are about.
    fn take_bite(&self, line: (TenantId, LineOf), found: &[Row], bite: i64) -> Result<()> {
        let keys = self.take_all(found)?;
        let waiting = found.iter().map(waiting_of).collect::<Result<_>>()?;
        self.fetch_about(&keys)?;
        let end = int(found.len() as u64) < bite;
        let ahead = Ahead { waiting, bite, end };
        self.lines.borrow_mut().insert(line, ahead);
        Ok(())
    }

    fn bite_of(
        &self,
        tenant: &TenantId,
        line: &LineOf,
        after: Option<&Waiting>,
        bite: i64,
    ) -> Result<Vec<Row>> {
        // Everybody stands behind this place.
        let (rank, since, id) = after.map_or(FIRST, |after| (after.rank, after.since, after.id.0));
        match line {
            LineOf::Queue { queue, by_mail } => self.ask(
                &self.locking(IN_QUEUE),
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

    /// Whoever reads in order to write has the rows to themselves, and the transaction has its number by that.
    fn locking(&self, sql: &str) -> String {
        if self.writing {
            self.numbered.set(true);
            format!("{sql} FOR UPDATE SKIP LOCKED")
        } else {
            sql.to_owned()
        }
    }
}

fn soonest(row: &Row) -> Result<Soonest> {
    let at = |name, column| -> Result<Option<Timestamp>> {
        let at: Option<i64> = named(row, name)?;
        at.map(|at| time(at, "callbacks", column)).transpose()
    };
    Ok(Soonest {
        due: at("due", "wakes_at")?,
        lapse: at("lapse", "claim_until")?,
    })
}

/// Kinds of seats to be counted.
struct Places<'a> {
    tenants: Vec<&'a str>,
    queues: Vec<&'a str>,
    kinds: Vec<&'a str>,
}

impl<'a> Places<'a> {
    fn of(seats: &'a [Seat]) -> Places<'a> {
        Places {
            tenants: seats.iter().map(|(tenant, ..)| tenant.as_str()).collect(),
            queues: seats.iter().map(|(_, queue, _)| queue.as_str()).collect(),
            kinds: seats.iter().map(|(.., target)| seat_name(target)).collect(),
        }
    }

    fn count(&self) -> Ask<'_> {
        Ask::With(SEATED, vec![&self.tenants, &self.queues, &self.kinds])
    }
}

fn waiting_of(row: &Row) -> Result<Waiting> {
    Ok(Waiting {
        rank: named(row, "rank")?,
        since: named(row, "since")?,
        id: InteractionId(named(row, "id")?),
    })
}
