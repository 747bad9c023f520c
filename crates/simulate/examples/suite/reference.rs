//! Reference policies: earliest promise first with an admission test (`edf`), and the same with
//! moved promises and a live load that is followed rather than trusted (`edf+`).
//!
//! They are here to prove the world and to be beaten, not to be used.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use ringback_simulate::{
    Answer, Dispatch, Header, Id, Interval, Kind, Move, Number, Outcome, Request, Second, Server,
    View, Windows,
};

const MAX: u32 = 4;
const SLOT: Second = 300;
const RHO: f64 = 0.95;
const CRITICAL: Second = 150;
const NARROW: Second = 600;
const SERVICE_STEPS: [f64; 4] = [0.018, -0.015, -0.5, -0.5];
const JUMP: f64 = 0.015;
const HOLD: f64 = 0.3;
const MEMORY: f64 = 0.999;
const TELL: Second = 600;
const RECENT: Second = 1800;

struct Job {
    end: Second,
    dialable: Vec<Interval>,
    number: Number,
    due: Second,
    tries: u32,
    busy: bool,
    promise: Interval,
    expected: Option<Second>,
    /// End of the time told for the next try.
    told_until: Second,
}

/// Work to be placed: from, begun by, agent seconds, and whose.
type Task = (Second, Second, f64, Id);

pub struct Edf {
    plus: bool,
    header: Option<Header>,
    windows: Option<Windows>,
    open: HashMap<Id, Job>,
    wakes: BinaryHeap<Reverse<Second>>,
    forecast_from: Vec<Second>,
    forecast_load: Vec<f64>,
    handling: f64,
    calls: f64,
    calls_in_time: f64,
    late: f64,
    early: f64,
    agents: Option<u32>,
    connected: HashMap<Id, Second>,
    talking: HashMap<Number, Id>,
    /// Seconds spent, requests finished.
    spent: (f64, f64),
    recent: VecDeque<Second>,
    factor: f64,
    moves: Vec<Move>,
}

impl Edf {
    pub fn new(plus: bool) -> Edf {
        Edf {
            plus,
            header: None,
            windows: None,
            open: HashMap::new(),
            wakes: BinaryHeap::new(),
            forecast_from: Vec::new(),
            forecast_load: Vec::new(),
            handling: 0.0,
            calls: 0.0,
            calls_in_time: 0.0,
            late: 300.0,
            early: 60.0,
            agents: None,
            connected: HashMap::new(),
            talking: HashMap::new(),
            spent: (0.0, 0.0),
            recent: VecDeque::new(),
            factor: 1.0,
            moves: Vec::new(),
        }
    }

    fn day(&self) -> &Header {
        self.header.as_ref().expect("the header comes first")
    }

    fn wake(&mut self, at: Second) {
        self.wakes.push(Reverse(at));
    }

    fn next_wake(&mut self, now: Second) -> Option<Second> {
        while self.wakes.peek().is_some_and(|wake| wake.0 <= now) {
            self.wakes.pop();
        }
        self.wakes.peek().map(|wake| wake.0)
    }

    fn service(&self) -> f64 {
        self.calls_in_time / self.calls
    }

    /// What is free for callbacks, slot by slot from now: agent seconds.
    fn capacity(&self, now: Second) -> Vec<f64> {
        let day = self.day();
        let target = day.sl_target;
        let rho = if self.plus {
            RHO + (self.service() - target - 0.01).clamp(-0.02, 0.07)
        } else {
            RHO
        };
        let follow = self.plus && (self.factor - 1.0).abs() > 0.05;
        let plan = &day.agents_plan;
        let planned = step(plan, now).unwrap_or(0);
        let mut ratio = 1.0_f64;
        if let Some(agents) = self.agents
            && planned > 0
            && agents > 0
            && within(now, &day.open)
        {
            ratio = (f64::from(agents) / f64::from(planned)).min(1.0);
        }
        let close = day.open.last().map_or(now, |span| span.1);
        let mut free = Vec::new();
        let mut from = now;
        while from < close {
            let to = close.min(from + SLOT);
            let mut agents = f64::from(step(plan, from).unwrap_or(0));
            if from - now < 3600 {
                agents *= ratio;
            }
            let after = self.forecast_from.partition_point(|at| *at <= from);
            let mut load = after.checked_sub(1).map_or(0.0, |index| {
                let followed = follow && self.forecast_from[index] - now < 5400;
                self.forecast_load[index] * if followed { self.factor } else { 1.0 }
            });
            if from < plan[0].0 {
                (agents, load) = (0.0, 0.0);
            }
            free.push((agents * rho - load).max(0.0) * (to - from) as f64);
            from = to;
        }
        free
    }

    /// Earliest deadline first over the forecast, as if work were fluid: what finds no place, and
    /// when the task asked for begins.
    fn sweep(&self, now: Second, asked: Option<Task>) -> (f64, Option<f64>) {
        let work = self.spent.0 / self.spent.1;
        let mut tasks: Vec<Task> = Vec::new();
        let mut busy = 0;
        for (id, job) in &self.open {
            if job.busy {
                busy += 1;
                continue;
            }
            let (from, to, work) = if job.tries == 0 {
                let told = job.promise.1;
                let to = if told >= now { told } else { job.end };
                let from = now.max(job.promise.0).max(job.dialable[0].0);
                (from, to, work)
            } else {
                (now.max(job.due), job.end, 0.6 * work)
            };
            if to > now && job.end > now {
                tasks.push((from, to, work, id.clone()));
            }
        }
        tasks.extend(asked.clone());
        tasks.sort_by(|a, b| {
            (a.0, a.1)
                .cmp(&(b.0, b.1))
                .then(a.2.total_cmp(&b.2))
                .then_with(|| a.3.cmp(&b.3))
        });
        let mut left: Vec<f64> = tasks.iter().map(|task| task.2).collect();
        let mut heap: BinaryHeap<Reverse<(Second, Second, &Id, usize)>> = BinaryHeap::new();
        let (mut next, mut unplaced, mut begins) = (0, 0.0, None);
        let mut running = f64::from(busy) * self.handling * 0.5;
        let mut from = now;
        for mut free in self.capacity(now) {
            let to = from + SLOT;
            let use_up = running.min(free);
            running -= use_up;
            free -= use_up;
            let full = free;
            while next < tasks.len() && tasks[next].0 < to {
                let task = &tasks[next];
                heap.push(Reverse((task.1, task.0, &task.3, next)));
                next += 1;
            }
            while free > 1e-9
                && let Some(Reverse((deadline, released, id, index))) = heap.peek().copied()
            {
                if deadline as f64 + self.handling * 0.25 < from as f64 {
                    unplaced += left[index];
                    heap.pop();
                    continue;
                }
                if &**id == "?" && begins.is_none() {
                    begins = Some(if full > 0.0 {
                        (released as f64).max(from as f64 + (1.0 - free / full) * SLOT as f64)
                    } else {
                        (released as f64).max(from as f64)
                    });
                }
                let take = left[index].min(free);
                free -= take;
                if take >= left[index] - 1e-9 {
                    heap.pop();
                } else {
                    left[index] -= take;
                }
            }
            from = to;
        }
        unplaced += heap.iter().map(|item| left[item.0.3]).sum::<f64>();
        unplaced += left[next..].iter().sum::<f64>();
        (unplaced, begins)
    }

    fn deadline(&self, now: Second, job: &Job) -> Second {
        if self.plus && job.tries > 0 && job.told_until >= now {
            return job.told_until;
        }
        if job.tries == 0 && job.promise.1 >= now {
            job.promise.1
        } else {
            job.end
        }
    }

    fn retry_at(now: Second, job: &Job, outcome: Outcome) -> Option<Second> {
        let left = job.end - now;
        if left < 60 {
            return None;
        }
        let gap: f64 = match outcome {
            Outcome::Busy => 240.0,
            Outcome::NoAnswer => 1200.0,
            Outcome::Machine => 1500.0,
            Outcome::Failed => 130.0,
            Outcome::Answered | Outcome::Invalid | Outcome::Refused => 300.0,
        };
        Some((now as f64 + gap.min(left as f64 * 0.6).max(130.0)) as Second)
    }

    /// Idle agents to keep for live calls.
    fn reserve(&self) -> u32 {
        let (service, target) = (self.service(), self.day().sl_target);
        let step = SERVICE_STEPS
            .iter()
            .position(|limit| service > limit + target);
        step.unwrap_or(SERVICE_STEPS.len()) as u32
    }

    /// Adaptive quantiles of the prediction's error.
    fn learn(&mut self, now: Second, expected: Option<Second>) {
        let Some(expected) = expected else { return };
        let error = (now - expected) as f64;
        let over = |yes: bool| f64::from(u8::from(yes));
        self.late = (self.late + 60.0 * (over(error > self.late) - 0.06)).max(120.0);
        self.early = (self.early + 60.0 * (over(-error > self.early) - 0.10)).max(0.0);
    }

    /// Ends the job or sets its next try.
    fn settle(&mut self, now: Second, id: &Id, outcome: Outcome) {
        let max = MAX.min(self.day().max_attempts);
        let Some(job) = self.open.get_mut(id) else {
            return;
        };
        job.busy = false;
        let over = matches!(
            outcome,
            Outcome::Answered | Outcome::Invalid | Outcome::Refused
        );
        match Edf::retry_at(now, job, outcome) {
            Some(next) if !over && job.tries < max => {
                job.due = next;
                self.wake(next);
            }
            _ => {
                self.open.remove(id);
            }
        }
    }

    /// Tells the customer when the next try comes.
    fn tell(&mut self, now: Second, id: &Id) {
        let notice = self.day().notice;
        let Some(job) = self.open.get_mut(id) else {
            return;
        };
        let from = job.due.max(now + notice + 1);
        let to = job.end.min(from + TELL);
        if from < to {
            (job.due, job.told_until) = (from, to);
            self.wake(from);
            self.moves.push(Move {
                id: id.clone(),
                start: from,
                end: to,
            });
        }
    }

    fn narrow(
        &self,
        now: Second,
        request: &Request,
        (first, last): Interval,
        begins: Second,
        unplaced: f64,
    ) -> Interval {
        let work = self.spent.0 / self.spent.1;
        let wait = (begins - first) as f64;
        let start = if request.kind == Kind::Asap {
            (first as f64 + wait * HOLD) as Second
        } else {
            (begins as f64 - self.early.max(HOLD * wait)).max(first as f64) as Second
        };
        let end = (begins as f64 + self.late).max((start + 300) as f64);
        let mut end = end.min(last as f64) as Second;
        // The narrowed promise must still fit beside the others.
        let fit = |end: Second| self.sweep(now, Some((start, end, work, "?".into()))).0;
        while fit(end) > unplaced + 0.25 * work && end < last {
            end = last.min(end + 900);
        }
        (start, end)
    }
}

impl Server for Edf {
    fn header(&mut self, header: &Header) {
        let per_second = |rate: f64| rate / 3600.0 * header.inbound_aht;
        self.forecast_from = header.inbound_forecast.iter().map(|step| step.0).collect();
        self.forecast_load = header
            .inbound_forecast
            .iter()
            .map(|step| per_second(step.1))
            .collect();
        self.handling = header.ring.answer as f64 + header.callback_talk + header.callback_wrap;
        let inside = header.reach_prior.inside;
        let reach = inside[0] + inside[1] * 0.5;
        let work = self.handling * (1.0 - (1.0 - reach).powf(2.2)).min(0.97)
            + 25.0 * (1.0 / reach.max(0.2) - 1.0);
        self.spent = (work * 20.0, 20.0);
        (self.calls, self.calls_in_time) = (25.0, 25.0 * header.sl_target);
        self.windows = Some(Windows::new(header).expect("hours that can be read"));
        self.header = Some(header.clone());
    }

    fn agents(&mut self, _: Second, n: u32) {
        self.agents = Some(n);
    }

    fn request(&mut self, now: Second, request: &Request) -> Answer {
        let number = &request.number;
        if self.talking.contains_key(number) || self.open.values().any(|job| job.number == *number)
        {
            return Answer::Merged;
        }
        let windows = self.windows.as_mut().expect("the header comes first");
        let resolved = windows.of(request).expect("a request that can be read");
        let mut ahead = resolved.dialable.iter().filter(|span| span.1 > now);
        let Some(opens) = ahead.next().map(|span| span.0) else {
            return Answer::Declined;
        };
        let closes = resolved.dialable.last().map_or(now, |span| span.1 - 1);
        let first = now.max(resolved.start).max(opens);
        let last = resolved.end.min(closes);
        if last < first {
            return Answer::Declined;
        }
        let work = self.spent.0 / self.spent.1;
        let (before, _) = self.sweep(now, None);
        let (with, begins) = self.sweep(now, Some((first, last, work, "?".into())));
        let Some(begins) = begins else {
            return Answer::Declined;
        };
        if with > before + 0.25 * work {
            return Answer::Declined;
        }
        let mut promise = (first, last);
        let mut expected = None;
        if last - first > NARROW {
            let begins = (begins as Second).max(first).min(last);
            promise = self.narrow(now, request, promise, begins, before);
            expected = Some(begins);
        }
        self.wake(now.max(promise.0));
        for span in &resolved.dialable {
            if span.0 > now {
                self.wake(span.0);
            }
        }
        self.open.insert(
            request.id.clone(),
            Job {
                end: resolved.end,
                dialable: resolved.dialable,
                number: number.clone(),
                due: promise.0,
                tries: 0,
                busy: false,
                promise,
                expected,
                told_until: 0,
            },
        );
        let (start, end) = promise;
        Answer::Accepted { start, end }
    }

    fn cancel(&mut self, _: Second, id: &Id) {
        self.open.remove(id);
    }

    fn dispatch(&mut self, now: Second, view: View) -> Dispatch {
        let mut dial: Vec<Id> = Vec::new();
        let mut idle = view.idle;
        if idle > 0 {
            let mut ready: Vec<(Second, Second, Id)> = self
                .open
                .iter()
                .filter(|(_, job)| {
                    !job.busy && job.due <= now && within(now, &job.dialable) && now <= job.end
                })
                .map(|(id, job)| (self.deadline(now, job), job.due, id.clone()))
                .collect();
            ready.sort_unstable();
            let keep = self.reserve().min(view.n.saturating_sub(1));
            let may_jump = self.service() > self.day().sl_target + JUMP;
            for (deadline, _, id) in &ready {
                let critical = deadline - now < CRITICAL;
                let live_first = if critical {
                    view.queue > 0 && !may_jump
                } else {
                    view.queue > 0 || idle <= keep
                };
                if idle == 0 || live_first {
                    break;
                }
                let mut expected = None;
                if let Some(job) = self.open.get_mut(id) {
                    expected = job.expected.filter(|_| job.tries == 0);
                    job.busy = true;
                    job.tries += 1;
                }
                self.learn(now, expected);
                dial.push(id.clone());
                idle -= 1;
            }
            if let Some((deadline, _, _)) = ready.get(dial.len()) {
                self.wake((now + 1).max(deadline - CRITICAL + 1));
            }
        }
        let mut moves = std::mem::take(&mut self.moves);
        let notice = self.day().notice;
        moves.retain(|moved| self.open.contains_key(&moved.id) && moved.start >= now + notice);
        Dispatch {
            dial,
            moves,
            wake: self.next_wake(now),
        }
    }

    fn result(&mut self, now: Second, id: &Id, _: u32, outcome: Outcome) {
        let ring = self.day().ring;
        let held = match outcome {
            Outcome::Answered => ring.answer,
            Outcome::Busy => ring.busy,
            Outcome::NoAnswer => ring.no_answer,
            Outcome::Machine => ring.machine,
            Outcome::Invalid => ring.invalid,
            Outcome::Failed => ring.failed,
            Outcome::Refused => 0,
        };
        self.spent.0 += held as f64;
        let number = self.open.get(id).map(|job| job.number.clone());
        self.settle(now, id, outcome);
        let Some(number) = number else { return };
        if outcome == Outcome::Answered {
            self.connected.insert(id.clone(), now);
            self.talking.insert(number, id.clone());
        } else if self.open.contains_key(id) {
            if self.plus {
                self.tell(now, id);
            }
        } else {
            self.spent.1 += 1.0;
        }
    }

    fn done(&mut self, now: Second, id: &Id) {
        if let Some(since) = self.connected.remove(id) {
            self.spent.0 += (now - since) as f64;
            self.spent.1 += 1.0;
            self.talking.retain(|_, talking| talking != id);
        }
    }

    fn inbound(&mut self, now: Second, _: &Id) {
        self.calls = self.calls * MEMORY + 1.0;
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|at| *at < now - RECENT) {
            self.recent.pop_front();
        }
        let expected: f64 = self
            .day()
            .inbound_forecast
            .iter()
            .map(|(from, rate)| {
                let seconds = (from + 900).min(now) - (*from).max(now - RECENT);
                rate / 3600.0 * seconds.max(0) as f64
            })
            .sum();
        self.factor = (self.recent.len() as f64 + 15.0) / (expected + 15.0);
    }

    fn inbound_answered(&mut self, _: Second, _: &Id, wait: Second) {
        let in_time = wait <= self.day().sl_seconds;
        self.calls_in_time = self.calls_in_time * MEMORY + f64::from(u8::from(in_time));
    }

    fn inbound_abandoned(&mut self, _: Second, _: &Id, _: Second) {
        self.calls_in_time *= MEMORY;
    }

    fn end(&mut self) {}
}

fn step(steps: &[(Second, u32)], moment: Second) -> Option<u32> {
    let after = steps.partition_point(|step| step.0 <= moment);
    after.checked_sub(1).map(|index| steps[index].1)
}

fn within(moment: Second, spans: &[Interval]) -> bool {
    spans.iter().any(|span| span.0 <= moment && moment < span.1)
}
