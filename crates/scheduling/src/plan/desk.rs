//! One queue's planner: what is open, who is there, what was learned; and the decisions.

mod outlook;

pub use outlook::Basis;

use super::job::{Ask, Ended, Job};
use super::learned::Learned;
use super::live::{Live, reserve};
use super::reach::Reach;
use super::retry::retry;
use super::rules::{Interval, Rules, Second};
use super::sweep::{Fit, Supply, Task, sweep};
use super::tuning::Tuning;
use std::collections::BTreeMap;

/// Length of a slot of the plan, seconds.
const SLOT: Second = 60;
/// Slots further ahead than this are longer.
const HORIZON: Second = 6 * 3600;

/// The answer to a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes: first dial within these moments, both ends counted.
    Promised(Interval),
    /// No capacity in the window.
    Full,
    /// The window holds no moment at which a dial would be right.
    Never,
}

/// What is seen at the moment of dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Agents on shift and free.
    pub idle: u32,
    /// Agents on shift.
    pub agents: u32,
    /// Live calls waiting.
    pub queue: u32,
    pub oldest_live: Option<Second>,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq)]
pub struct Orders<K> {
    pub dial: Vec<K>,
    /// Promises moved: told to the customer.
    pub told: Vec<(K, Interval)>,
    /// Look again then, if nothing happens before.
    pub wake: Option<Second>,
}

/// Plans one queue.
#[derive(Clone, Debug)]
pub struct Desk<K> {
    rules: Rules,
    tuning: Tuning,
    learned: Learned,
    live: Live,
    staff: Option<f64>,
    /// Since when fewer agents are there than planned.
    short_since: Option<Second>,
    jobs: BTreeMap<K, Job>,
    moved: Vec<(K, Interval)>,
    /// Bookings seen: time of each in the last hour; for what is still to come.
    booked: std::collections::VecDeque<Second>,
    pressure: Option<(Second, f64)>,
    dials: u64,
    reach: Reach,
}

impl<K: Copy + Ord> Desk<K> {
    pub fn new(rules: Rules, tuning: Tuning) -> Desk<K> {
        let learned = Learned::new(&rules);
        let reach = Reach::new(&rules.phone, rules.min_gap.max(rules.notice) + 1);
        Desk {
            rules,
            tuning,
            learned,
            live: Live::default(),
            staff: None,
            short_since: None,
            jobs: BTreeMap::new(),
            moved: Vec::new(),
            booked: std::collections::VecDeque::new(),
            pressure: None,
            dials: 0,
            reach,
        }
    }

    pub fn job(&self, id: K) -> Option<&Job> {
        self.jobs.get(&id)
    }

    pub fn learned(&self) -> &Learned {
        &self.learned
    }

    // ── what happens ─────────────────────────────────────────────────────────────────────────────

    pub fn staff(&mut self, now: Second, agents: u32) {
        self.staff = Some(f64::from(agents));
        let planned = self.rules.staff.at(now);
        if f64::from(agents) < planned * 0.95 {
            self.short_since.get_or_insert(now);
        } else {
            self.short_since = None;
        }
        self.pressure = None;
    }

    pub fn cancel(&mut self, id: K) {
        self.jobs.remove(&id);
    }

    pub fn live_arrived(&mut self, now: Second) {
        self.live.arrived(now);
    }

    pub fn live_answered(&mut self, waited: Second) {
        self.live.answered(waited, &self.rules);
    }

    pub fn live_gave_up(&mut self) {
        self.live.gave_up();
    }

    /// An attempt's result. Answered callbacks stay until [`Desk::done`].
    pub fn result(&mut self, now: Second, id: K, ended: Ended) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        self.learned.result(job.tries == 1, ended, &self.rules);
        if ended == Ended::Answered {
            job.last = Some((now, ended));
            return;
        }
        job.busy_since = None;
        job.last = Some((now, ended));
        let next = retry(&self.reach, &job.ask, job.tries, now, ended, &self.rules);
        match next {
            Some(next) => {
                job.due = next.due;
                job.told = next.told;
                job.at_end = next.at_end;
                self.moved.push((id, next.told));
            }
            None => {
                self.jobs.remove(&id);
            }
        }
    }

    /// Talk and wrap are over.
    pub fn done(&mut self, now: Second, id: K) {
        if let Some(job) = self.jobs.get(&id)
            && let Some((answered, Ended::Answered)) = job.last
        {
            self.learned.handling.observe((now - answered) as f64);
            self.jobs.remove(&id);
        }
    }

    // ── the plan ─────────────────────────────────────────────────────────────────────────────────

    /// Agents expected at `moment`.
    fn agents_at(&self, moment: Second, now: Second) -> f64 {
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
    fn supply(&self, now: Second, share: f64, far: f64) -> Supply {
        let close = self.rules.open.last().map_or(now, |span| span.1);
        let mut agents = Vec::new();
        let mut moment = now;
        let handling = self.live.handling(&self.rules) * (1.0 - self.live.abandon_share());
        while moment < close.min(now + 2 * HORIZON) {
            let middle = moment + SLOT / 2;
            let there = self.agents_at(middle, now);
            let load = if there > 0.0 {
                self.live.rate(middle, now, &self.rules) * handling
            } else {
                0.0
            };
            let ahead = ((moment - now) as f64 / 3600.0).min(1.0);
            agents.push((there * (share - far * ahead) - load).max(0.0));
            moment += SLOT;
        }
        Supply {
            from: now,
            step: SLOT,
            agents,
        }
    }

    /// Open callbacks as tasks, in order of their beginning.
    fn tasks(&self, now: Second) -> Vec<Task> {
        let whole = self.learned.whole_work(&self.rules);
        let again = self.learned.dial_work(false, &self.rules);
        let mut tasks: Vec<Task> = Vec::with_capacity(self.jobs.len() + 1);
        for job in self.jobs.values() {
            let task = match job.busy_since {
                // In hand: what is left of it needs an agent now.
                Some(since) => {
                    let spent = (now - since) as f64;
                    let mean = self.rules.ring.answered + self.learned.handling.value();
                    let answered = matches!(job.last, Some((at, Ended::Answered)) if at >= since);
                    let left = if answered {
                        (mean * 0.75).max(mean - spent)
                    } else {
                        whole * 0.9
                    };
                    Task {
                        from: now,
                        to: now,
                        work: left,
                        asked: false,
                    }
                }
                None => Task {
                    from: job.due.max(now),
                    to: job.deadline(now).max(now),
                    work: if job.tries == 0 { whole } else { again },
                    asked: false,
                },
            };
            tasks.push(task);
        }
        tasks
    }

    fn fit(&self, supply: &Supply, mut tasks: Vec<Task>) -> Fit {
        tasks.sort_by_key(|task| (task.from, task.to));
        sweep(supply, &tasks)
    }

    /// Share of the agents that may be counted on, given what is in hand of the live target.
    fn share(&self, now: Second, neutral: f64) -> f64 {
        let Some(live) = &self.rules.live else {
            return neutral;
        };
        let spare = self
            .live
            .allowance(now, &self.rules, self.tuning.live_margin)
            - (1.0 - live.target);
        neutral + (self.tuning.use_gain * spare).clamp(-0.03, 0.04)
    }

    // ── booking ──────────────────────────────────────────────────────────────────────────────────

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
                    expected: promise.0,
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
        let safe = self.supply(now, self.share(now, self.tuning.use_safe), self.tuning.far);
        let work = self.learned.whole_work(&self.rules);
        let tasks = self.tasks(now);
        let candidate = Task {
            from: first,
            to: last,
            work,
            asked: true,
        };
        let before = self.fit(&safe, tasks.clone()).late;
        let mut with = tasks.clone();
        with.push(candidate);
        let fit = self.fit(&safe, with);
        let Some(begins) = fit.begins else {
            return Answer::Full;
        };
        if fit.late > before + self.tuning.slip * work {
            return Answer::Full;
        }
        let mut promise = self.interval(now, first, last, begins, &safe);
        // The narrow promise must fit beside the others as well; else it grows.
        loop {
            let mut narrow = tasks.clone();
            narrow.push(Task {
                from: promise.0,
                to: promise.1,
                ..candidate
            });
            let fit = self.fit(&safe, narrow);
            if fit.late <= before + self.tuning.slip * work || promise.1 >= last {
                break;
            }
            promise.1 = (promise.1 + 300).min(last);
        }
        Answer::Promised(promise)
    }

    /// The promise around an expected beginning.
    fn interval(
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
        let slot = ((begins - supply.from) / supply.step) as usize;
        let agents = supply.agents.get(slot).copied().unwrap_or(1.0).max(0.5);
        let work = self.learned.whole_work(&self.rules);
        // What is ahead of it in the line: its length in calls gives the spread of the wait.
        let wait = (begins - first).max(0) as f64;
        let ahead = wait * agents / work;
        let spread = (ahead.max(0.0) * 1.5).sqrt() * work / agents;
        let pressed = self
            .pressure
            .map_or(0.0, |(_, value)| ((value - 0.9) / 0.1).clamp(0.0, 1.0));
        let after =
            tuning.after_base + tuning.after_spread * spread + tuning.pressed_after * pressed;
        let before =
            tuning.before_base + tuning.before_spread * spread + tuning.pressed_before * pressed;
        let from = (begins - before as Second).max(first).max(now);
        let to = (begins + after as Second).min(last).max(from);
        (from, to.min(from + self.rules.attention))
    }

    // ── dispatch ─────────────────────────────────────────────────────────────────────────────────

    /// How pressed the day is: the share of the agents' time that must be used for everything to begin in time.
    fn pressure(&mut self, now: Second) -> f64 {
        if let Some((at, value)) = self.pressure
            && now - at < 30
        {
            return value;
        }
        let mut tasks = self.tasks(now);
        // Requests not booked yet, as many as in the last hour, spread over the next.
        let seen = self.booked.len() as f64 * self.tuning.phantom;
        let work = self.learned.whole_work(&self.rules);
        if seen >= 1.0 {
            let close = self.rules.open.last().map_or(now, |span| span.1);
            let mut k = 0.5;
            while k < seen {
                let from = now + (k / seen * 3600.0) as Second;
                if from < close - 2700 {
                    tasks.push(Task {
                        from,
                        to: from + 1800,
                        work,
                        asked: false,
                    });
                }
                k += 1.0;
            }
        }
        tasks.sort_by_key(|task| (task.from, task.to));
        let mut value = 1.0;
        for share in [0.80, 0.86, 0.90, 0.93, 0.95, 0.97, 0.985] {
            let supply = self.supply(now, share, 0.0);
            if sweep(&supply, &tasks).late < work {
                value = share;
                break;
            }
        }
        self.pressure = Some((now, value));
        value
    }

    /// Idle agents to be left for live calls now.
    fn reserve(&mut self, now: Second, view: View) -> (f64, f64) {
        let Some(live) = self.rules.live.clone() else {
            return (0.0, 1.0);
        };
        let allowance = self
            .live
            .allowance(now, &self.rules, self.tuning.live_margin);
        let patience = self.live.patience_left(now, &self.rules);
        let lambda = self.live.rate(now, now, &self.rules);
        let mean = self.learned.mean_call(&self.live, &self.rules);
        let agents = f64::from(view.agents);
        let within = live.within as f64;
        let least = reserve(allowance, agents, mean, lambda, within);
        let pressure = self.pressure(now);
        let most = (agents * self.tuning.reserve_share).max(1.0);
        let relaxed = reserve(self.tuning.relaxed_missed, agents, mean, lambda, within);
        // What the plan does not need is left idle for the live calls.
        let need = if pressure >= 0.999 {
            0.0
        } else {
            ((1.0 - pressure) * agents).min(relaxed)
        };
        let mut keep = least.max(need);
        if patience < 0.02 {
            keep = keep.max(1.5);
        }
        (keep.min(most), allowance)
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
                let (keep, allowance) = self.reserve(now, view);
                let mut idle = view.idle;
                for (deadline, _, id) in ready {
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
                    let critical = deadline - now <= self.tuning.critical;
                    let go = if critical {
                        view.queue == 0 || allowance > self.tuning.jump
                    } else {
                        view.queue == 0 && self.over(f64::from(idle), keep)
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
