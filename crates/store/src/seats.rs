//! Who can be dialled now: which kind of seat a callback needs, and which waiting callback comes first.
//!
//! Pure; both twins read the rows and ask here.

use ringback_callbacks::agent::Agent;
use ringback_callbacks::ids::{AgentId, InteractionId, QueueId, TenantId};
use ringback_callbacks::queue::{Delivery, QueueView};
use ringback_callbacks::state::Target;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

/// What a callback of a queue needs before it can be worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seating {
    /// A free agent.
    Agent,
    /// One of the places at the queue's DN.
    Dn { places: u64 },
    /// One of the letters the queue sends by itself.
    Template { places: u64 },
    /// Nobody can serve it here, e.g. a letter to be written in a queue without agents.
    Nobody,
}

impl Seating {
    pub fn of(queue: &QueueView, by_mail: bool) -> Seating {
        let rules = queue.rules();
        if by_mail && rules.email.template.is_some() {
            return Seating::Template {
                places: u64::from(rules.email.max_concurrent),
            };
        }
        match &rules.delivery {
            Delivery::Agents => Seating::Agent,
            Delivery::Dn { .. } if by_mail => Seating::Nobody,
            Delivery::Dn { max_concurrent, .. } => Seating::Dn {
                places: u64::from(*max_concurrent),
            },
        }
    }
}

impl Seating {
    /// Where seats are places: of which kind, and how many there are.
    pub fn places(self) -> Option<(Target, u64)> {
        match self {
            Seating::Dn { places } => Some((Target::Dn, places)),
            Seating::Template { places } => Some((Target::Template, places)),
            Seating::Agent | Seating::Nobody => None,
        }
    }
}

/// The `seat` column: what kind of seat a target takes.
pub(crate) fn seat_name(target: &Target) -> &'static str {
    match target {
        Target::Agent(_) => "agent",
        Target::Dn => "dn",
        Target::Template => "template",
    }
}

/// A waiting callback, by what decides its place. The order is the order of service: the earlier
/// rank (the deadline, made earlier by the priority), then the longer wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub rank: i64,
    pub since: i64,
    pub id: InteractionId,
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank
            .cmp(&other.rank)
            .then(self.since.cmp(&other.since))
            .then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A free agent, as far as seating goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FreeAgent {
    pub id: AgentId,
    pub auto_accept: bool,
}

impl FreeAgent {
    pub fn of(agent: &Agent) -> FreeAgent {
        FreeAgent {
            id: agent.id,
            auto_accept: agent.auto_accept,
        }
    }
}

/// The free agents of a moment. An agent in several queues is one person: once taken, taken everywhere.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    by_queue: HashMap<(TenantId, QueueId), Vec<FreeAgent>>,
    anyone: HashMap<(TenantId, AgentId), FreeAgent>,
    taken: HashSet<(TenantId, AgentId)>,
}

impl Roster {
    /// Adds an agent; call in order of idleness, longest first.
    pub fn add(&mut self, tenant: &TenantId, agent: FreeAgent, queues: &[QueueId]) {
        for queue in queues {
            self.by_queue
                .entry((tenant.clone(), queue.clone()))
                .or_default()
                .push(agent.clone());
        }
        self.anyone.insert((tenant.clone(), agent.id), agent);
    }

    /// Free agents of one queue, longest idle first.
    pub fn of_queue(&self, tenant: &TenantId, queue: &QueueId) -> Vec<FreeAgent> {
        self.by_queue
            .get(&(tenant.clone(), queue.clone()))
            .into_iter()
            .flatten()
            .filter(|agent| !self.taken.contains(&(tenant.clone(), agent.id)))
            .cloned()
            .collect()
    }

    /// One certain agent, if free; whichever queues they serve.
    pub fn certain(&self, tenant: &TenantId, id: AgentId) -> Option<FreeAgent> {
        let key = (tenant.clone(), id);
        if self.taken.contains(&key) {
            return None;
        }
        self.anyone.get(&key).cloned()
    }

    pub fn take(&mut self, tenant: &TenantId, id: AgentId) {
        self.taken.insert((tenant.clone(), id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn waiting(rank: i64, since: i64, id: u128) -> Waiting {
        Waiting {
            rank,
            since,
            id: InteractionId(Uuid::from_u128(id)),
        }
    }

    #[test]
    fn rank_then_patience() {
        let mut line = [
            waiting(10, 1, 4),
            waiting(1, 9, 5),
            waiting(5, 9, 3),
            waiting(5, 2, 2),
            waiting(5, 2, 1),
        ];
        line.sort();
        let order: Vec<u128> = line.iter().map(|waiting| waiting.id.0.as_u128()).collect();
        assert_eq!(order, [5, 1, 2, 3, 4]);
    }

    #[test]
    fn an_agent_in_two_queues_is_one_person() {
        let tenant = TenantId::default();
        let (sales, support) = (
            QueueId::parse("sales").unwrap(),
            QueueId::parse("support").unwrap(),
        );
        let mut roster = Roster::default();
        let agent = FreeAgent {
            id: AgentId(7),
            auto_accept: false,
        };
        roster.add(&tenant, agent.clone(), &[sales.clone(), support.clone()]);
        assert_eq!(
            roster.of_queue(&tenant, &support),
            std::slice::from_ref(&agent)
        );
        assert_eq!(roster.certain(&tenant, AgentId(7)), Some(agent));
        roster.take(&tenant, AgentId(7));
        assert!(roster.of_queue(&tenant, &sales).is_empty());
        assert!(roster.of_queue(&tenant, &support).is_empty());
        assert_eq!(roster.certain(&tenant, AgentId(7)), None);
    }
}
