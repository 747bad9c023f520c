//! Yes or no to a booking, and the promise that goes with a yes.

use super::super::job::{Ask, Job};
use super::super::rules::{Interval, Second};
use super::super::sweep::{Supply, Task, sweep};
use super::{Answer, Desk};

impl<K: Copy + Ord> Desk<K> {
    /// Answers a booking and, if it is a yes, takes it into the plan.
    pub fn book(&mut self, now: Second, id: K, ask: Ask) -> Answer {
        self.booked.push_back(now);
        while self.booked.front().is_some_and(|at| *at < now - 3600) {
            self.booked.pop_front();
        }
        let answer = self.answer(now, &ask);
        if let Answer::Promised(promise) = answer {
            self.jobs.insert(
                id,
                Job {
                    ask,
                    promise,
                    told: promise,
                    tries: 0,
                    due: promise.0,
                    last: None,
                    busy_since: None,
                    at_end: false,
                },
            );
        }
        answer
    }

    /// What a booking would be answered now.
    pub fn answer(&self, now: Second, ask: &Ask) -> Answer {
        let (Some(first), Some(last)) = (ask.first(now), ask.last()) else {
            return Answer::Never;
        };
        if last < first {
            return Answer::Never;
        }
        // The end of the window is for trying again: a first dial belongs into its earlier part.
        let length = last - first;
        let last = if length > self.tuning.whole.max(900) {
            first + (length as f64 * self.tuning.early) as Second
        } else {
            last
        };
        // In overload nothing that was sold by mistake can be made good.
        let most = self.tuning.use_safe + self.tuning.use_calm * (1.0 - self.overload(now));
        let safe = self.supply(now, self.share(now, most), self.far(now));
        let work = self.learned.whole_work(&self.rules);
        let mut tasks = self.tasks(now);
        tasks.sort_by_key(Task::order);
        let candidate = Task {
            from: first,
            to: last,
            work,
            asked: true,
        };
        let before = sweep(&safe, &tasks).late;
        let fit = sweep(&safe, &with(&tasks, candidate));
        let Some(begins) = fit.begins else {
            return Answer::Full;
        };
        if fit.late > before + self.tuning.slip * work {
            return Answer::Full;
        }
        let mut promise = self.interval(now, first, last, begins, &safe);
        // The narrow promise must fit beside the others as well; else it grows.
        loop {
            let narrow = Task {
                from: promise.0,
                to: promise.1,
                ..candidate
            };
            let fit = sweep(&safe, &with(&tasks, narrow));
            if fit.late <= before + self.tuning.slip * work || promise.1 >= last {
                break;
            }
            promise.1 = (promise.1 + 300).min(last);
        }
        Answer::Promised(promise)
    }

    /// The promise around an expected beginning.
    pub(super) fn interval(
        &self,
        now: Second,
        first: Second,
        last: Second,
        begins: Second,
        supply: &Supply,
    ) -> Interval {
        let tuning = &self.tuning;
        if last - first <= tuning.whole {
            return (first, last);
        }
        let slot = ((begins - supply.from) / supply.step).max(0) as usize;
        let agents = supply.agents.get(slot).copied().unwrap_or(1.0).max(0.5);
        let work = self.learned.whole_work(&self.rules);
        // What is ahead of it in the line: its length in calls gives the spread of the wait.
        let wait = (begins - first).max(0) as f64;
        let ahead = wait * agents / work;
        let spread = (ahead.max(0.0) * 1.5).sqrt() * work / agents;
        let demand = self.demand(now);
        let pressed = ((demand - 0.85) / 0.25).clamp(0.0, 1.0);
        // On a quiet day agents are free when they are wanted, and the promise can be as narrow as the dial is sure.
        let quiet = tuning.quiet + (1.0 - tuning.quiet) * ((demand - 0.6) / 0.3).clamp(0.0, 1.0);
        // Where few agents are, one call more or less is a long time.
        let alone = tuning.alone * work / agents;
        let after = tuning.after_base * quiet
            + alone
            + tuning.after_spread * spread
            + tuning.pressed_after * pressed;
        let before = tuning.before_base * quiet
            + tuning.before_spread * spread
            + tuning.pressed_before * pressed;
        let from = (begins - before as Second).max(first).max(now);
        let to = (begins + after as Second).min(last).max(from);
        (from, to.min(from + self.rules.attention))
    }
}

/// `tasks`, which are in order, and one more at its place.
fn with(tasks: &[Task], one: Task) -> Vec<Task> {
    let place = tasks.partition_point(|task| task.order() <= one.order());
    let mut all = Vec::with_capacity(tasks.len() + 1);
    all.extend_from_slice(&tasks[..place]);
    all.push(one);
    all.extend_from_slice(&tasks[place..]);
    all
}
