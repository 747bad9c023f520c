//! Whom to dial now, and how many agents to leave idle for live calls.

use super::super::live::reserve;
use super::super::rules::Second;
use super::{Desk, Orders, View};

impl<K: Copy + Ord> Desk<K> {
    /// How pressed the next two hours are: the share of the agents' time that is needed for everything that must have
    /// begun by then, requests not booked yet included.
    pub(super) fn pressure(&mut self, now: Second) -> f64 {
        if let Some((at, value)) = self.pressure
            && now - at < 30
        {
            return value;
        }
        let work = self.learned.whole_work(&self.rules);
        let tasks = self.tasks(now);
        let free = self.supply(now, 1.0, 0.0);
        let rate = self.booked.len() as f64 * self.tuning.phantom / 3600.0;
        let mut value: f64 = 0.0;
        let (mut agents, mut room) = (0.0, 0.0);
        for (slot, share) in free.agents.iter().enumerate() {
            let end = free.from + (slot as Second + 1) * free.step;
            room += share * free.step as f64;
            agents += self.agents_at(end - free.step / 2, now) * free.step as f64;
            let ahead = end - free.from;
            if ahead > 7200 {
                break;
            }
            if ahead % 1800 == 0 && agents > 0.0 {
                let due: f64 = tasks
                    .iter()
                    .filter(|task| task.to <= end)
                    .map(|task| task.work)
                    .sum();
                // Whoever books from now on is due half an hour later.
                let coming = rate * (ahead - 1800) as f64 * work;
                value = value.max(1.0 - (room - due - coming) / agents);
            }
        }
        let value = value.clamp(0.0, 1.0);
        self.pressure = Some((now, value));
        value
    }

    /// Idle agents to be left for live calls now, and the surplus of the day's budget.
    fn reserve(&mut self, now: Second, view: View) -> (f64, f64) {
        let Some(within) = self.rules.live.as_ref().map(|live| live.within as f64) else {
            return (0.0, f64::INFINITY);
        };
        let budget = self.live.budget(now, &self.rules, self.tuning.live_margin);
        let allowance = budget.allowance;
        let patience = self.live.patience_left(now, &self.rules);
        let lambda = self.live.outlook(now, &self.rules).rate(now);
        let mean = self.learned.mean_call(&self.live, &self.rules);
        let agents = f64::from(view.agents);
        let least = reserve(allowance, agents, mean, lambda, within);
        let pressure = self.pressure(now);
        let most = self.reserve_most(agents);
        let relaxed = reserve(self.tuning.relaxed_missed, agents, mean, lambda, within);
        // What the plan does not need is left idle for the live calls.
        let need = ((self.tuning.ease - pressure) * agents + 0.8).clamp(0.0, relaxed);
        let mut keep = least.max(need);
        if patience < 0.02 {
            keep = keep.max(1.5);
        }
        (keep.min(most), budget.surplus)
    }

    /// What to dial now, whom to tell of a moved promise, and when to look again.
    pub fn dispatch(&mut self, now: Second, view: View) -> Orders<K> {
        let at_callbacks = self
            .jobs
            .values()
            .filter(|job| job.busy_since.is_some())
            .count() as f64;
        let at_live = f64::from(view.agents) - f64::from(view.idle) - at_callbacks;
        self.live.watched(now, at_live);
        self.at_live = (at_live + f64::from(view.queue)).max(0.0);
        let mut dial = Vec::new();
        if view.idle > 0 {
            let mut ready: Vec<(Second, Second, K)> = self
                .jobs
                .iter()
                .filter(|(_, job)| job.ready(now))
                .map(|(id, job)| (job.deadline(now), job.due, *id))
                .collect();
            if !ready.is_empty() {
                ready.sort();
                let (keep, surplus) = self.reserve(now, view);
                let mut idle = view.idle;
                // The time left before somebody in the line would be late if agents come free as they usually do.
                let mean = self.learned.mean_call(&self.live, &self.rules);
                let release = mean / f64::from(view.agents.max(1));
                let lax = |skip: usize, stake: bool, desk: &Desk<K>| {
                    let mut place = 0.0;
                    let mut least = f64::INFINITY;
                    for (deadline, _, id) in &ready[skip..] {
                        if stake && !desk.jobs[id].at_stake(now) {
                            continue;
                        }
                        if place * release > 600.0 {
                            break;
                        }
                        least = least.min((deadline - now) as f64 - place * release);
                        place += 1.0;
                    }
                    least
                };
                // On an overloaded day nothing is won by going first: somebody else is late for it.
                let overload = self.overload(now);
                // A day that owes the live calls something leaves them their reserve for longer.
                let patience = if surplus < self.tuning.debt {
                    self.tuning.indebted
                } else {
                    1.0 - 0.5 * overload
                };
                let critical = self.tuning.critical as f64 * patience;
                let jump_at = self.tuning.jump_at as f64 * (1.0 - self.tuning.calm * overload);
                for (index, (deadline, _, id)) in ready.iter().copied().enumerate() {
                    if idle == 0 {
                        break;
                    }
                    // The last try is worth most at the very end of the window, if an agent will surely be there then.
                    if self.jobs[&id].at_end
                        && now < deadline
                        && idle > self.tuning.spare_at_end
                        && view.queue == 0
                    {
                        continue;
                    }
                    let go = if view.queue == 0 {
                        lax(index, false, self) <= critical || self.over(f64::from(idle), keep)
                    } else {
                        (surplus > self.tuning.jump && lax(index, false, self) <= jump_at)
                            || (surplus > self.tuning.jump_broken
                                && lax(index, true, self) <= jump_at)
                    };
                    if !go {
                        break;
                    }
                    self.took(now, id);
                    dial.push(id);
                    idle -= 1;
                }
            }
        }
        self.all_busy = view.agents > 0 && dial.len() as u32 >= view.idle;
        let mut told = std::mem::take(&mut self.moved);
        told.retain(|(id, told)| self.jobs.contains_key(id) && told.0 >= now + self.rules.notice);
        let wake = self.next_wake(now);
        Orders { dial, told, wake }
    }

    /// Whether `idle` agents are more than `keep`; the fraction of `keep` is settled by turns.
    fn over(&mut self, idle: f64, keep: f64) -> bool {
        let whole = keep.floor();
        if idle > whole + 1.0 {
            return true;
        }
        if idle <= whole {
            return false;
        }
        // Exactly one more than the whole part: dial in a share (1 − fraction) of such moments.
        self.dials += 1;
        (self.dials as f64 * 0.618_033_988_749_895).fract() >= keep - whole
    }

    fn took(&mut self, now: Second, id: K) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.busy_since = Some(now);
            job.tries += 1;
        }
    }

    fn next_wake(&self, now: Second) -> Option<Second> {
        let mut next: Option<Second> = None;
        let mut waiting = false;
        let mut consider = |moment: Second| {
            if moment > now {
                next = Some(next.map_or(moment, |next: Second| next.min(moment)));
            }
        };
        for job in self.jobs.values() {
            if job.busy_since.is_some() || now > job.ask.window.1 {
                continue;
            }
            let due = job.due.max(now);
            if due > now {
                consider(due);
            } else if job.ask.may_dial(now) {
                waiting = true;
                consider(job.deadline(now) - self.tuning.critical);
                consider(job.deadline(now));
            } else if let Some(first) = job.ask.first(now) {
                consider(first);
            }
        }
        if waiting {
            consider(now + 10);
        }
        next
    }
}
