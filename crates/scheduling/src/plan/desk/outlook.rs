//! What a server needs of a desk beside its decisions: to put in what is on record, to take back what could not be
//! carried out, to see ahead, and to hand learned figures over from day to day.

use super::super::job::Job;
use super::super::learned::Learned;
use super::super::rules::{Interval, Rules, Second};
use super::super::sweep::{Supply, Task, sweep_noting};
use super::Desk;
use std::collections::BTreeMap;

/// What an estimate rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Basis {
    /// Agents planned at the moment asked about.
    pub planned: f64,
    /// Agents who are there now; `None` if nobody has told.
    pub there: Option<f64>,
    /// Open callbacks that begin before it.
    pub ahead: usize,
    /// Agent seconds of a callback that is answered, learned: ringing, talk and wrap-up.
    pub handling: f64,
    /// Share of the first tries that are answered, learned.
    pub reach: f64,
    /// Share of the agents whom live calls are expected to keep at the moment asked about.
    pub live_share: f64,
    /// Calls by which the length of a callback was learned, the prior's worth included.
    pub observations: f64,
}

impl<K: Copy + Ord> Desk<K> {
    /// A desk for another day of the same queue: nothing is open yet, and what was learned goes with it.
    pub fn another_day(&self, rules: Rules) -> Desk<K> {
        let (learned, reach) = (self.learned.clone(), self.reach.clone());
        Desk::with(rules, self.tuning.clone(), learned, reach)
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Puts in a job as it is on record, in place of what was known of it.
    pub fn put(&mut self, id: K, job: Job) {
        self.jobs.insert(id, job);
        self.pressure = None;
    }

    /// A dial that was ordered and could not be carried out: the job waits again, and the try does not count.
    pub fn put_back(&mut self, id: K) {
        if let Some(job) = self.jobs.get_mut(&id)
            && job.busy_since.take().is_some()
        {
            job.tries = job.tries.saturating_sub(1);
        }
    }

    /// Live calls answered while nobody watched how long they took: as long as expected.
    pub fn live_unwatched(&mut self, calls: u32) {
        let each = self.rules.live.as_ref().map_or(0.0, |live| live.handling);
        self.live.handled(f64::from(calls) * each);
    }

    /// Open jobs, in the order of their ids.
    pub fn jobs(&self) -> impl Iterator<Item = (K, &Job)> {
        self.jobs.iter().map(|(id, job)| (*id, job))
    }

    /// Takes over figures learned elsewhere, such as on the day before.
    pub fn learn(&mut self, learned: Learned) {
        self.learned = learned;
    }

    /// Capacity as it is expected, neither hoped for nor feared.
    fn expected_supply(&self, now: Second) -> Supply {
        self.supply(now, self.share(now, self.tuning.use_expected), 0.0)
    }

    /// When each waiting job is expected to be dialled; absent: not before its deadline.
    pub fn outlook(&self, now: Second) -> BTreeMap<K, Second> {
        let supply = self.expected_supply(now);
        // `tasks` has one task for each waiting job, in the same order.
        let ids = self.waiting().map(|(id, _)| id);
        let mut tasks: Vec<(K, Task)> = ids.zip(self.tasks(now)).collect();
        tasks.sort_by_key(|(_, task)| task.order());
        let (ids, tasks): (Vec<K>, Vec<Task>) = tasks.into_iter().unzip();
        let mut begins = BTreeMap::new();
        sweep_noting(&supply, &tasks, |index, moment| {
            begins.entry(ids[index]).or_insert(moment);
        });
        begins
    }

    /// When one waiting job is expected to be dialled, as an interval; `None` if it is not expected by its deadline.
    pub fn expect(&self, now: Second, id: K) -> Option<Interval> {
        let job = self.jobs.get(&id)?;
        let begins = *self.outlook(now).get(&id)?;
        let first = job.ask.first(now.max(job.due))?;
        let last = job.ask.last()?;
        if last < first {
            return None;
        }
        let supply = self.expected_supply(now);
        Some(self.interval(now, first, last, begins.clamp(first, last), &supply))
    }

    /// What an answer about `moment` rests on.
    pub fn basis(&self, now: Second, moment: Second) -> Basis {
        let planned = self.agents_at(moment, now);
        let load = self.live.outlook(now, &self.rules).rate(moment)
            * self.live.handling(&self.rules)
            * (1.0 - self.live.abandon_share());
        let ahead = self
            .outlook(now)
            .values()
            .filter(|begins| **begins < moment)
            .count();
        Basis {
            planned: self.rules.staff.at(moment),
            there: self.staff,
            ahead,
            handling: self.rules.ring.answered + self.learned.handling.value(),
            reach: self.learned.first_reach.value(),
            live_share: if planned > 0.0 {
                (load / planned).clamp(0.0, 1.0)
            } else {
                0.0
            },
            observations: self.learned.handling.observations(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::job::{Ask, Ended};
    use super::super::super::reach::Phone;
    use super::super::super::rules::{RingTimes, Steps};
    use super::super::super::tuning::Tuning;
    use super::super::{Answer, View};
    use super::*;

    const NINE: Second = 1_772_442_000;

    fn rules(agents: f64) -> Rules {
        let shares = [0.6, 0.2, 0.05, 0.15];
        Rules {
            open: vec![(NINE, NINE + 8 * 3600)],
            staff: Steps::new(vec![(NINE, agents)]),
            live: None,
            talk: 200.0,
            wrap: 60.0,
            ring: RingTimes::default(),
            phone: Phone::with_shares(shares),
            max_attempts: 3,
            min_gap: 300,
            attention: 1800,
            notice: 60,
        }
    }

    fn ask(from: Second, to: Second) -> Ask {
        Ask {
            booked_at: NINE,
            window: (from, to),
            dialable: vec![(NINE, NINE + 8 * 3600)],
            asap: false,
        }
    }

    fn look(desk: &mut Desk<u32>, now: Second, idle: u32) -> Vec<u32> {
        let view = View {
            idle,
            agents: 1,
            queue: 0,
            oldest_live: None,
        };
        desk.dispatch(now, view).dial
    }

    #[test]
    fn a_job_that_is_put_in_goes_where_the_booked_one_went() {
        let mut booked = Desk::new(rules(1.0), Tuning::default());
        let wish = ask(NINE, NINE + 3600);
        let Answer::Promised(promise) = booked.book(NINE, 1_u32, wish) else {
            panic!("an empty day has room");
        };
        let job = booked.job(1).expect("booked").clone();
        let mut restored = booked.another_day(rules(1.0));
        assert_eq!(restored.outlook(NINE), BTreeMap::new());
        restored.put(1, job);
        assert_eq!(restored.outlook(NINE), booked.outlook(NINE));
        let expected = restored.expect(NINE, 1).expect("in time");
        assert!(expected.0 <= promise.1 && promise.0 <= expected.1);
        assert_eq!(look(&mut restored, promise.0, 1), [1]);
    }

    #[test]
    fn a_dial_that_did_not_take_place_is_no_try() {
        let mut desk = Desk::new(rules(1.0), Tuning::default());
        desk.book(NINE, 1_u32, ask(NINE, NINE + 600));
        assert_eq!(look(&mut desk, NINE, 1), [1]);
        assert_eq!(look(&mut desk, NINE + 1, 1), [0; 0]);
        desk.put_back(1);
        desk.put_back(1);
        assert_eq!(desk.job(1).map(|job| job.tries), Some(0));
        assert_eq!(look(&mut desk, NINE + 2, 1), [1]);
        // The first try that is answered says how easily customers are reached at first.
        let before = desk.learned().first_reach.value();
        desk.result(NINE + 16, 1, Ended::Answered);
        assert!(desk.learned().first_reach.value() > before);
    }

    #[test]
    fn who_comes_later_is_behind_and_nobody_there_means_nobody_is_expected() {
        let mut desk = Desk::new(rules(1.0), Tuning::default());
        for id in 0..6_u32 {
            desk.book(NINE, id, ask(NINE, NINE + 2 * 3600));
        }
        let begins = desk.outlook(NINE);
        assert_eq!(begins.len(), 6);
        let last = begins[&5];
        assert!(last > begins[&0], "{begins:?}");
        let basis = desk.basis(NINE, last);
        assert_eq!((basis.ahead, basis.planned), (5, 1.0));
        desk.staff(NINE, 0);
        assert_eq!(desk.basis(NINE, last).there, Some(0.0));
        let nobody = desk.outlook(NINE);
        assert!(!nobody.contains_key(&0), "{nobody:?}");
    }
}
