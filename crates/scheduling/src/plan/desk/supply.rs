//! What there is to share out: agents expected, live calls expected, and the callbacks that wait.

use super::super::job::Job;
use super::super::live::{idle, reserve};
use super::super::rules::Second;
use super::super::sweep::{Supply, Task};
use super::Desk;

/// Length of a slot of the plan, seconds.
const SLOT: Second = 60;
/// Longest day that is planned, seconds.
const HORIZON: Second = 36 * 3600;

impl<K: Copy + Ord> Desk<K> {
    /// Agents expected at `moment`.
    pub(super) fn agents_at(&self, moment: Second, now: Second) -> f64 {
        if !self.rules.is_open(moment) {
            return 0.0;
        }
        let planned = self.rules.staff.at(moment);
        let Some(there) = self.staff else {
            return planned;
        };
        let due = self.rules.staff.at(now);
        if !self.rules.is_open(now) || due <= 0.0 {
            return planned;
        }
        let ratio = (there / due).min(1.2);
        // A shortage is believed to last as long again as it has lasted, an hour at least.
        let lasts = self
            .short_since
            .map_or(1800, |since| (now - since).max(3600));
        if moment - now < lasts {
            planned * ratio
        } else {
            planned
        }
    }

    /// Capacity left for callbacks, slot by slot, if agents are busy `share` of their time at most.
    pub(super) fn supply(&self, now: Second, share: f64, far: f64) -> Supply {
        let close = self.rules.closes(now);
        // Before the queue opens there is nothing to share out.
        let from = now.max(self.rules.opens(now));
        let mut agents = Vec::new();
        let mut moment = from;
        let handling = self.live.handling(&self.rules) * (1.0 - self.live.abandon_share());
        let outlook = self.live.outlook(now, &self.rules);
        let mean = self.learned.mean_call(&self.live, &self.rules);
        // More live calls in hand than usual hold their agents for a while yet.
        let excess = self.at_live - outlook.rate(now) * handling;
        while moment < close.min(from + HORIZON) {
            let middle = moment + SLOT / 2;
            let there = self.agents_at(middle, now);
            let load = if there > 0.0 && handling > 0.0 {
                outlook.rate(middle) * handling
                    + excess * (-((moment - now) as f64) / handling).exp()
            } else {
                0.0
            };
            let ahead = ((moment - now) as f64 / 3600.0).min(1.0);
            // With everybody busy nothing begins before the first of them comes free.
            let blocked = if self.all_busy {
                (now as f64 + mean / there.max(1.0) - moment as f64) / SLOT as f64
            } else {
                0.0
            };
            let left = 1.0 - blocked.clamp(0.0, 1.0);
            agents.push((there * (share - far * ahead) - load).max(0.0) * left);
            moment += SLOT;
        }
        Supply {
            from,
            step: SLOT,
            agents,
        }
    }

    /// Waiting callbacks as tasks, in the order of their ids. Those in hand are not among them: their agents come free
    /// about as fast as the plan uses them up.
    pub(super) fn tasks(&self, now: Second) -> Vec<Task> {
        let whole = self.learned.whole_work(&self.rules);
        let again = self.learned.dial_work(false, &self.rules);
        self.waiting()
            .map(|(_, job)| Task {
                from: job.due.max(now),
                to: job.deadline(now).max(now),
                work: if job.tries == 0 { whole } else { again },
                asked: false,
            })
            .collect()
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = (K, &Job)> {
        self.jobs
            .iter()
            .filter(|(_, job)| job.busy_since.is_none())
            .map(|(id, job)| (*id, job))
    }

    /// Most agents that are ever left idle for live calls.
    pub(super) fn reserve_most(&self, agents: f64) -> f64 {
        (agents * self.tuning.reserve_share).max(1.0)
    }

    /// Share of the agents that may be counted on, given what is in hand of the live target.
    pub(super) fn share(&self, now: Second, most: f64) -> f64 {
        let Some(live) = &self.rules.live else {
            return most;
        };
        let open = self.rules.opens(now);
        let moment = now.max(open);
        let agents = self.agents_at(moment, now).max(1.0);
        let budget = self.live.budget(now, &self.rules, self.tuning.live_margin);
        let lambda = self.live.outlook(now, &self.rules).rate(moment);
        let mean = self.learned.mean_call(&self.live, &self.rules);
        let keep = reserve(budget.allowance, agents, mean, lambda, live.within as f64)
            .min(self.reserve_most(agents));
        most - (idle(keep, agents, mean, lambda) / agents).min(0.2)
    }

    /// What the agents are asked for as a share of what they can do: bookings at the rate of the last hour, and live calls.
    pub(super) fn demand(&self, now: Second) -> f64 {
        let open = self.rules.opens(now);
        if now < open + 900 {
            // What was booked before the day began says nothing of its rate.
            return self.tuning.unseen;
        }
        let agents = self.agents_at(now, now).max(1.0);
        let seen = (now - open).min(3600) as f64;
        let booked = self.booked.iter().filter(|at| **at >= open).count() as f64;
        let callbacks = booked * self.learned.whole_work(&self.rules) * 0.95 / seen;
        let live = self.live.outlook(now, &self.rules).rate(now) * self.live.handling(&self.rules);
        (callbacks + live) / agents
    }

    /// From 0 on a day that can be served to 1 on one that asks for a seventh too much.
    pub(super) fn overload(&self, now: Second) -> f64 {
        ((self.demand(now) - 0.95) / 0.2).clamp(0.0, 1.0)
    }

    /// Share of the agents that bookings far ahead may not take.
    pub(super) fn far(&self, now: Second) -> f64 {
        (self.tuning.far * (self.demand(now) - 1.0))
            .clamp(self.tuning.far_least, self.tuning.far_most)
    }
}
