//! Lines of waiting callbacks, and the free seats they are offered: most urgent first, over all queues.

use super::claim::{SET_ASIDE, step_one};
use super::{House, Write, agents, gather};
use crate::seats::{FreeAgent, Roster, Seating, Waiting};
use crate::tables::{Floor, Joined, Key, LineOf, Tables};
use crate::{ClaimOrder, Claimed, Picks, Result, effects};
use ringback_callbacks::callback::Callback;
use ringback_callbacks::decide::choose_agent;
use ringback_callbacks::ids::{AgentId, InteractionId, OfferId, QueueId, TenantId};
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::state::Target;
use ringback_callbacks::wire_time::plus;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Callbacks that wait for the same kind of seat, in the order of service.
struct Line {
    tenant: TenantId,
    of: LineOf,
    seats: Seats,
    /// A planner says who comes next; `None`: priority, promise and patience do.
    picks: Option<VecDeque<InteractionId>>,
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
    queued: &[Callback],
) -> Result<Claimed> {
    let joined = joined(write.tables, house, queued, &order.picks)?;
    let floor = write.tables.floor(agents::LISTED, &joined)?;
    let mut roster = agents::roster(&floor.free);
    let mut claimed = Claimed {
        next: floor.soonest,
        ..Claimed::default()
    };
    let Open {
        mut lines,
        contended,
    } = open_lines(write.tables, house, floor, &roster, &order.picks)?;
    write.tables.foresee(&picked(&lines, limit), order.now)?;
    let mut heads = BinaryHeap::new();
    for (index, line) in lines.iter_mut().enumerate() {
        if let Some(first) = line.next(write.tables, None)? {
            heads.push(Reverse((first, index)));
        }
    }
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
        claimed.next = match &after {
            Some(after) => match after.state.claim() {
                Some(claim) => claimed.next.and_lapse(claim.until),
                None => claimed.next.and_due(after.wakes_at()),
            },
            None => claimed.next.and_due(Some(plus(order.now, SET_ASIDE))),
        };
        // A guard may have put it back on the timer or ended it: then its seat is still free.
        if let Some(after) = after.filter(|after| after.state.claim().is_some()) {
            line.take_seat(&after, &mut roster);
            claimed.callbacks.push(after);
        }
        if let Some(next) = line.next(write.tables, Some(&waiting))? {
            heads.push(Reverse((next, index)));
        }
    }
    claimed.more |= contended;
    Ok(claimed)
}

/// The lines of places that these have joined.
fn joined(
    tables: &dyn Tables,
    house: &House,
    queued: &[Callback],
    planned: &[Picks],
) -> Result<Vec<Joined>> {
    let mut joined: Vec<Joined> = Vec::new();
    for callback in queued {
        let (tenant, queue) = (&callback.interaction.tenant, &callback.queue);
        let by_mail = effects::by_mail(callback);
        let same = joined
            .iter_mut()
            .find(|line| line.tenant == *tenant && line.queue == *queue && line.by_mail == by_mail);
        if let Some(line) = same {
            line.callbacks += 1;
            continue;
        }
        let Some(view) = gather::queue_view(tables, &house.views, tenant, queue)? else {
            continue;
        };
        let Some((seat, _)) = Seating::of(&view, by_mail).places() else {
            continue;
        };
        let is_planned = picks_of(planned, tenant, queue).is_some();
        if view.queue.removed || view.queue.dialling_paused || is_planned {
            continue;
        }
        joined.push(Joined {
            tenant: tenant.clone(),
            queue: queue.clone(),
            by_mail,
            seat,
            callbacks: 1,
        });
    }
    Ok(joined)
}

/// Lines with somebody to serve, and whether another node kept one from being looked at.
struct Open {
    lines: Vec<Line>,
    contended: bool,
}

/// Lines that have somebody waiting and a seat for them. A queue without seats costs one look-up,
/// however many wait in it.
fn open_lines(
    tables: &dyn Tables,
    house: &House,
    floor: Floor,
    roster: &Roster,
    planned: &[Picks],
) -> Result<Open> {
    let (mut lines, mut counted, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for (tenant, queue, by_mail) in floor.lines {
        let Some(view) = gather::queue_view(tables, &house.views, &tenant, &queue)? else {
            continue;
        };
        let seating = Seating::of(&view, by_mail);
        let seats = if view.queue.removed {
            Seats::Gone
        } else if let Some((target, left)) = seating.places() {
            counted.push((tenant.clone(), queue.clone(), target.clone()));
            places.push(lines.len());
            Seats::Places { target, left }
        } else if seating == Seating::Agent {
            Seats::Agents
        } else {
            continue;
        };
        // Letters take their turn; a removed queue is emptied, whatever was planned.
        let picks = picks_of(planned, &tenant, &queue)
            .filter(|_| !by_mail && !matches!(seats, Seats::Gone))
            .map(|picks| picks.callbacks.iter().copied().collect());
        lines.push(Line {
            tenant,
            of: LineOf::Queue { queue, by_mail },
            seats,
            picks,
        });
    }
    let mut contended = false;
    for (line, seated) in places.into_iter().zip(tables.seated_alone(&counted)?) {
        contended |= seated.is_none();
        if let Seats::Places { left, .. } = &mut lines[line].seats {
            *left = left.saturating_sub(seated.unwrap_or(u64::MAX));
        }
    }
    lines.retain(|line| line.has_seat(roster));
    for (tenant, agent) in floor.awaited {
        if roster.certain(&tenant, agent).is_some() {
            lines.push(Line {
                tenant,
                of: LineOf::Agent(agent),
                seats: Seats::Certain(agent),
                picks: None,
            });
        }
    }
    Ok(Open { lines, contended })
}

fn picks_of<'p>(planned: &'p [Picks], tenant: &TenantId, queue: &QueueId) -> Option<&'p Picks> {
    let mut all = planned.iter();
    all.find(|picks| picks.tenant == *tenant && picks.queue == *queue)
}

/// Whom planners picked for lines with seats, as many as can be come to.
fn picked(lines: &[Line], limit: usize) -> Vec<Key> {
    let keys = |line: &Line| {
        let tenant = line.tenant.clone();
        let picks = line.picks.iter().flatten().copied();
        picks
            .map(move |id| (tenant.clone(), id))
            .collect::<Vec<_>>()
    };
    lines.iter().flat_map(keys).take(limit).collect()
}

impl Line {
    fn has_seat(&self, roster: &Roster) -> bool {
        match (&self.seats, &self.of) {
            (Seats::Agents, LineOf::Queue { queue, .. }) => {
                !roster.of_queue(&self.tenant, queue).is_empty()
            }
            (Seats::Certain(agent), _) => roster.certain(&self.tenant, *agent).is_some(),
            (Seats::Places { left, .. }, _) => *left > 0,
            (Seats::Gone, _) => true,
            (Seats::Agents, LineOf::Agent(_)) => false,
        }
    }

    fn assign(
        &self,
        callback: &Callback,
        roster: &Roster,
        house: &House,
        order: &ClaimOrder,
    ) -> Option<Command> {
        // Whom a planner picked may have been passed on to another queue since.
        if matches!(&self.of, LineOf::Queue { queue, .. } if *queue != callback.queue) {
            return None;
        }
        let agent: Option<FreeAgent> = match (&self.seats, &self.of) {
            (Seats::Agents, LineOf::Queue { queue, .. }) => {
                let free = roster.of_queue(&self.tenant, queue);
                Some(choose_agent(callback, &free, |agent| agent.id.0)?.clone())
            }
            (Seats::Certain(agent), _) => Some(roster.certain(&self.tenant, *agent)?),
            (Seats::Places { .. } | Seats::Gone, _) => None,
            (Seats::Agents, LineOf::Agent(_)) => return None,
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
    fn next(&mut self, tables: &dyn Tables, after: Option<&Waiting>) -> Result<Option<Waiting>> {
        if let Some(picks) = &mut self.picks {
            return next_pick(tables, &self.tenant, picks);
        }
        tables.next_in_line(&self.tenant, &self.of, after)
    }
}

/// The next pick that waits; others may have moved on since they were picked.
fn next_pick(
    tables: &dyn Tables,
    tenant: &TenantId,
    picks: &mut VecDeque<InteractionId>,
) -> Result<Option<Waiting>> {
    while let Some(id) = picks.pop_front() {
        let found = tables.place_in_line(tenant, id)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
