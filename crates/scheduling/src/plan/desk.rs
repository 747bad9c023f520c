//! One queue's planner: what is open, who is there, what was learned; and the decisions.

mod booking;
mod dispatch;
mod outlook;
mod supply;

pub use outlook::Basis;

use super::job::{Ended, Job};
use super::learned::Learned;
use super::live::Live;
use super::reach::Reach;
use super::retry::retry;
use super::rules::{Interval, Rules, Second};
use super::tuning::Tuning;
use std::collections::{BTreeMap, VecDeque};

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
    booked: VecDeque<Second>,
    pressure: Option<(Second, f64)>,
    dials: u64,
    reach: Reach,
    /// Live calls in hand and waiting, at the last look.
    at_live: f64,
    /// At the last look everybody was busy.
    all_busy: bool,
}

impl<K: Copy + Ord> Desk<K> {
    pub fn new(rules: Rules, tuning: Tuning) -> Desk<K> {
        let learned = Learned::new(&rules);
        let reach = Reach::new(&rules.phone, rules.min_gap.max(rules.notice) + 1);
        Desk::with(rules, tuning, learned, reach)
    }

    /// A desk on which nothing has happened yet.
    fn with(rules: Rules, tuning: Tuning, learned: Learned, reach: Reach) -> Desk<K> {
        Desk {
            rules,
            tuning,
            learned,
            live: Live::default(),
            staff: None,
            short_since: None,
            jobs: BTreeMap::new(),
            moved: Vec::new(),
            booked: VecDeque::new(),
            pressure: None,
            dials: 0,
            reach,
            at_live: 0.0,
            all_busy: false,
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
}
