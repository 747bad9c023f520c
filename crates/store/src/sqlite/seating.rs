//! Lines of waiting callbacks, and the free seats they are offered: most urgent first, over all queues.

use super::claim::step_one;
use super::rows::{self, blob, tenant_of, uuid};
use super::writer::Write;
use super::{House, agents, gather, queues};
use crate::seats::{FreeAgent, Roster, Seating, Waiting};
use crate::{ClaimOrder, Claimed, Picks, Result};
use ringback_callbacks::callback::Callback;
use ringback_callbacks::decide::choose_agent;
use ringback_callbacks::ids::{AgentId, InteractionId, OfferId, QueueId, TenantId};
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::state::Target;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Callbacks that wait for the same kind of seat, in the order of service.
struct Line {
    tenant: TenantId,
    of: Of,
    seats: Seats,
    /// A planner says who comes next; `None`: priority, promise and patience do.
    picks: Option<VecDeque<InteractionId>>,
}

enum Of {
    Queue {
        queue: QueueId,
        by_mail: bool,
    },
    /// Passed on to this agent.
    Agent(AgentId),
}

enum Seats {
    /// Free agents of the queue; the roster knows how many are left.
    Agents,
    Certain(AgentId),
    Places {
        target: Target,
        left: u64,
    },
    /// The queue is gone: its guard ends them all, and no seat is taken.
    Gone,
}

/// Callbacks looked at for each that may be touched: those that a free agent has just passed on are
/// stepped over to the ones behind them.
const LOOKS: usize = 16;

/// Most urgent first, over all queues: an agent in two queues goes where the need is greater.
pub(super) fn seat_waiting(
    write: &mut Write<'_>,
    house: &House,
    order: &ClaimOrder,
    limit: usize,
) -> Result<Claimed> {
    let mut roster = agents::roster(write.conn)?;
    let mut lines = open_lines(write.conn, house, &roster, &order.picks)?;
    let mut heads = BinaryHeap::new();
    for (index, line) in lines.iter_mut().enumerate() {
        if let Some(first) = line.next(write.conn, None)? {
            heads.push(Reverse((first, index)));
        }
    }
    let mut claimed = Claimed::default();
    let (mut touched, mut looked) = (0, 0);
    // Callbacks that nobody here may take (everyone passed on them) stay as they are: to come back at once
    // for those would be to come back for ever.
    let mut moved = false;
    while let Some(Reverse((waiting, index))) = heads.pop() {
        if touched >= limit || looked >= limit.saturating_mul(LOOKS) {
            claimed.more = moved;
            break;
        }
        let line = &mut lines[index];
        let gone = matches!(line.seats, Seats::Gone);
        if (claimed.callbacks.len() >= order.places && !gone) || !line.has_seat(&roster) {
            // Nothing more of this line fits; others may.
            continue;
        }
        looked += 1;
        let mut asked = false;
        let assign = |callback: &Callback| {
            let command = line.assign(callback, &roster, house, order);
            asked = command.is_some();
            command
        };
        let after = step_one(write, house, &line.tenant, waiting.id, order.now, assign)?;
        touched += usize::from(asked);
        moved |= after.is_some();
        // A guard may have put it back on the timer or ended it: then its seat is still free.
        if let Some(after) = after.filter(|after| after.state.claim().is_some()) {
            line.take_seat(&after, &mut roster);
            claimed.callbacks.push(after);
        }
        if let Some(next) = line.next(write.conn, Some(&waiting))? {
            heads.push(Reverse((next, index)));
        }
    }
    Ok(claimed)
}

/// Lines that have somebody waiting and a seat for them. A queue without seats costs one look-up,
/// however many wait in it.
fn open_lines(
    conn: &Connection,
    house: &House,
    roster: &Roster,
    planned: &[Picks],
) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let mut statement = conn.prepare_cached(
        "SELECT queues.tenant, queues.id, kinds.by_mail
         FROM queues CROSS JOIN (SELECT 0 AS by_mail UNION ALL SELECT 1) AS kinds
         WHERE (queues.dialling_paused = 0 OR queues.removed = 1)
             AND EXISTS (SELECT 1 FROM callbacks
                 WHERE callbacks.tenant = queues.tenant AND callbacks.queue = queues.id
                     AND callbacks.state = 'queued' AND callbacks.by_mail = kinds.by_mail)",
    )?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let tenant = tenant_of(row, 0, "queues")?;
        let queue = queues::queue_id(&row.get::<_, String>(1)?)?;
        let by_mail: bool = row.get(2)?;
        let Some(view) = gather::queue_view(conn, &house.views, &tenant, &queue)? else {
            continue;
        };
        let seats = if view.queue.removed {
            Seats::Gone
        } else {
            match Seating::of(&view, by_mail) {
                Seating::Agent => Seats::Agents,
                Seating::Dn { places } => places_left(conn, &tenant, &queue, Target::Dn, places)?,
                Seating::Template { places } => {
                    places_left(conn, &tenant, &queue, Target::Template, places)?
                }
                Seating::Nobody => continue,
            }
        };
        // Letters take their turn; a removed queue is emptied, whatever was planned.
        let picks = planned
            .iter()
            .find(|picks| picks.tenant == tenant && picks.queue == queue)
            .filter(|_| !by_mail && !matches!(seats, Seats::Gone))
            .map(|picks| picks.callbacks.iter().copied().collect());
        let line = Line {
            tenant,
            of: Of::Queue { queue, by_mail },
            seats,
            picks,
        };
        if line.has_seat(roster) {
            lines.push(line);
        }
    }
    for (tenant, agent) in awaited(conn)? {
        if roster.certain(&tenant, agent).is_some() {
            lines.push(Line {
                tenant,
                of: Of::Agent(agent),
                seats: Seats::Certain(agent),
                picks: None,
            });
        }
    }
    Ok(lines)
}

fn places_left(
    conn: &Connection,
    tenant: &TenantId,
    queue: &QueueId,
    target: Target,
    places: u64,
) -> Result<Seats> {
    let taken = taken(conn, tenant, queue, &target)?;
    Ok(Seats::Places {
        target,
        left: places.saturating_sub(taken),
    })
}

/// Seats of a kind that a queue's callbacks sit in.
pub(super) fn taken(
    conn: &Connection,
    tenant: &TenantId,
    queue: &QueueId,
    target: &Target,
) -> Result<u64> {
    let taken: i64 = conn
        .prepare_cached(
            "SELECT count(*) FROM callbacks WHERE tenant = ?1 AND queue = ?2 AND seat = ?3",
        )?
        .query_row(
            params![
                tenant.as_str(),
                queue.as_str(),
                crate::seats::seat_name(target)
            ],
            |row| row.get(0),
        )?;
    Ok(rows::count(taken))
}

/// Free agents to whom something was passed on.
fn awaited(conn: &Connection) -> Result<Vec<(TenantId, AgentId)>> {
    let mut statement = conn.prepare_cached(
        "SELECT tenant, id FROM agents
         WHERE presence = 'ready' AND engaged IS NULL
             AND EXISTS (SELECT 1 FROM callbacks
                 WHERE callbacks.tenant = agents.tenant AND callbacks.transferred_to = agents.id
                     AND callbacks.state = 'transferred')",
    )?;
    let mut found = statement.query([])?;
    let mut agents = Vec::new();
    while let Some(row) = found.next()? {
        agents.push((tenant_of(row, 0, "agents")?, AgentId(row.get(1)?)));
    }
    Ok(agents)
}

impl Line {
    fn has_seat(&self, roster: &Roster) -> bool {
        match (&self.seats, &self.of) {
            (Seats::Agents, Of::Queue { queue, .. }) => {
                !roster.of_queue(&self.tenant, queue).is_empty()
            }
            (Seats::Certain(agent), _) => roster.certain(&self.tenant, *agent).is_some(),
            (Seats::Places { left, .. }, _) => *left > 0,
            (Seats::Gone, _) => true,
            (Seats::Agents, Of::Agent(_)) => false,
        }
    }

    fn assign(
        &self,
        callback: &Callback,
        roster: &Roster,
        house: &House,
        order: &ClaimOrder,
    ) -> Option<Command> {
        let agent: Option<FreeAgent> = match (&self.seats, &self.of) {
            (Seats::Agents, Of::Queue { queue, .. }) => {
                let free = roster.of_queue(&self.tenant, queue);
                Some(choose_agent(callback, &free, |agent| agent.id.0)?.clone())
            }
            (Seats::Certain(agent), _) => Some(roster.certain(&self.tenant, *agent)?),
            (Seats::Places { .. } | Seats::Gone, _) => None,
            (Seats::Agents, Of::Agent(_)) => return None,
        };
        let target = match (&self.seats, &agent) {
            (_, Some(agent)) => Target::Agent(agent.id),
            (Seats::Places { target, .. }, None) => target.clone(),
            (Seats::Gone | Seats::Agents | Seats::Certain(_), None) => Target::Dn,
        };
        // Phones without a desk are not asked: their ring is the question.
        let offer = agent
            .filter(|agent| !agent.auto_accept)
            .map(|_| OfferId(house.chance.uuid()));
        Some(Command::Assign {
            node: order.node.clone(),
            lease: order.lease,
            target,
            offer,
        })
    }

    fn take_seat(&mut self, callback: &Callback, roster: &mut Roster) {
        if let Some(agent) = callback.state.engages() {
            roster.take(&self.tenant, agent);
        }
        if let Seats::Places { left, .. } = &mut self.seats {
            *left = left.saturating_sub(1);
        }
    }

    /// The next in line behind `after`.
    fn next(&mut self, conn: &Connection, after: Option<&Waiting>) -> Result<Option<Waiting>> {
        if let Some(picks) = &mut self.picks {
            return next_pick(conn, &self.tenant, picks);
        }
        // Everybody stands behind this place.
        let front = Waiting {
            rank: i64::MIN,
            since: i64::MIN,
            id: InteractionId(uuid::Uuid::nil()),
        };
        let after = after.unwrap_or(&front);
        let (tenant, id) = (self.tenant.as_str(), blob(&after.id.0));
        let found = match &self.of {
            Of::Queue { queue, by_mail } => conn
                .prepare_cached(
                    "SELECT rank, since, id FROM callbacks
                     WHERE tenant = ?1 AND state = 'queued' AND queue = ?2 AND by_mail = ?3
                         AND (rank, since, id) > (?4, ?5, ?6)
                     ORDER BY rank, since, id LIMIT 1",
                )?
                .query_row(
                    params![tenant, queue.as_str(), by_mail, after.rank, after.since, id],
                    |row| Ok(waiting_of(row)),
                )
                .optional()?,
            Of::Agent(agent) => conn
                .prepare_cached(
                    "SELECT rank, since, id FROM callbacks
                     WHERE tenant = ?1 AND state = 'transferred' AND transferred_to = ?2
                         AND (rank, since, id) > (?3, ?4, ?5)
                         AND NOT EXISTS (SELECT 1 FROM queues
                             WHERE queues.tenant = callbacks.tenant AND queues.id = callbacks.queue
                                 AND queues.dialling_paused = 1 AND queues.removed = 0)
                     ORDER BY rank, since, id LIMIT 1",
                )?
                .query_row(
                    params![tenant, agent.0, after.rank, after.since, id],
                    |row| Ok(waiting_of(row)),
                )
                .optional()?,
        };
        found.transpose()
    }
}

/// The next pick that waits; others may have moved on since they were picked.
fn next_pick(
    conn: &Connection,
    tenant: &TenantId,
    picks: &mut VecDeque<InteractionId>,
) -> Result<Option<Waiting>> {
    while let Some(id) = picks.pop_front() {
        let found = conn
            .prepare_cached(
                "SELECT rank, since, id FROM callbacks
                 WHERE tenant = ?1 AND id = ?2 AND state = 'queued' AND by_mail = 0",
            )?
            .query_row(params![tenant.as_str(), blob(&id.0)], |row| {
                Ok(waiting_of(row))
            })
            .optional()?;
        if found.is_some() {
            return found.transpose();
        }
    }
    Ok(None)
}

fn waiting_of(row: &Row<'_>) -> Result<Waiting> {
    Ok(Waiting {
        rank: row.get(0)?,
        since: row.get(1)?,
        id: InteractionId(uuid(row, 2, "callbacks", "id")?),
    })
}
