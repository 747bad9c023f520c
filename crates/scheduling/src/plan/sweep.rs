//! The plan itself: earliest deadline first over the capacity that is forecast.
//!
//! Agents are treated as one fast server, so a call in the plan takes work/agents seconds: exact in the mean, and
//! cheap enough to be made anew for every question. A job must *begin* by its deadline.

use super::rules::Second;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Capacity for callbacks, in agents, slot by slot; slots begin at `from` and are `step` seconds long.
#[derive(Clone, Debug, PartialEq)]
pub struct Supply {
    pub from: Second,
    pub step: Second,
    pub agents: Vec<f64>,
}

/// Work to be placed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Task {
    /// May begin from here.
    pub from: Second,
    /// Must have begun by here.
    pub to: Second,
    /// Agent seconds.
    pub work: f64,
    /// Marks the task whose beginning is asked for.
    pub asked: bool,
}

impl Task {
    /// The order in which a sweep wants its tasks.
    pub fn order(&self) -> (Second, Second) {
        (self.from, self.to)
    }
}

/// What became of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fit {
    /// Agent seconds that could not begin in time.
    pub late: f64,
    /// When the task asked for begins; `None` if never in time.
    pub begins: Option<Second>,
}

/// Seconds after its deadline at which a call is given up in the plan; until then it counts in part.
const LATE: f64 = 60.0;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    to: Second,
    from: Second,
    index: usize,
}

/// Places `tasks` on `supply`. `tasks` must be in order of `from`.
pub fn sweep(supply: &Supply, tasks: &[Task]) -> Fit {
    sweep_noting(supply, tasks, |_, _| {})
}

/// The same; `note` is told the index of each task that begins in time, and when.
pub fn sweep_noting(supply: &Supply, tasks: &[Task], mut note: impl FnMut(usize, Second)) -> Fit {
    let mut fit = Fit::default();
    let mut heap: BinaryHeap<Reverse<Waiting>> = BinaryHeap::new();
    let mut next = 0;
    // Agent seconds left of the task in hand.
    let mut hand: Option<f64> = None;
    for (slot, agents) in supply.agents.iter().enumerate() {
        let begin = supply.from + slot as Second * supply.step;
        let end = begin + supply.step;
        let mut moment = begin as f64;
        loop {
            while next < tasks.len() && (tasks[next].from as f64) <= moment {
                heap.push(Reverse(Waiting {
                    to: tasks[next].to,
                    from: tasks[next].from,
                    index: next,
                }));
                next += 1;
            }
            if moment >= end as f64 {
                break;
            }
            let left = match hand {
                Some(left) => left,
                None => match heap.pop() {
                    Some(Reverse(first)) => {
                        let task = &tasks[first.index];
                        let over = (moment - first.to as f64) / LATE;
                        if over > 0.0 {
                            fit.late += task.work * over.min(1.0);
                            if over >= 1.0 {
                                continue;
                            }
                        }
                        if *agents < 0.05 {
                            // Nobody there in this slot: put it back and go on with the next.
                            heap.push(Reverse(first));
                            break;
                        }
                        if over <= 0.0 {
                            note(first.index, moment as Second);
                            if task.asked {
                                fit.begins = Some(moment as Second);
                            }
                        }
                        task.work
                    }
                    None => {
                        // Idle until something is released.
                        match tasks.get(next) {
                            Some(task) if task.from < end => {
                                moment = moment.max(task.from as f64);
                                continue;
                            }
                            _ => break,
                        }
                    }
                },
            };
            if *agents < 0.05 {
                hand = Some(left);
                break;
            }
            let room = (end as f64 - moment) * agents;
            if left <= room {
                moment += left / agents;
                hand = None;
            } else {
                hand = Some(left - room);
                break;
            }
        }
        if next >= tasks.len() && heap.is_empty() && hand.is_none() {
            return fit;
        }
    }
    while let Some(Reverse(first)) = heap.pop() {
        fit.late += tasks[first.index].work;
    }
    fit.late += tasks[next..].iter().map(|task| task.work).sum::<f64>();
    fit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(from: Second, to: Second, work: f64) -> Task {
        Task {
            from,
            to,
            work,
            asked: false,
        }
    }

    #[test]
    fn the_earlier_deadline_goes_first_and_what_does_not_fit_is_late() {
        let supply = Supply {
            from: 0,
            step: 60,
            agents: vec![2.0; 10],
        };
        // 240 agent seconds at 2 agents take 120 s.
        let mut asked = task(0, 600, 240.0);
        asked.asked = true;
        let fit = sweep(&supply, &[asked, task(0, 30, 240.0), task(10, 130, 240.0)]);
        assert_eq!((fit.begins, fit.late), (Some(240), 0.0));
        let fit = sweep(&supply, &[asked, task(0, 30, 240.0), task(10, 100, 240.0)]);
        // It begins twenty seconds late: a third of a call.
        assert_eq!((fit.begins, fit.late), (Some(240), 80.0));
    }

    #[test]
    fn nobody_there_nothing_begins() {
        let supply = Supply {
            from: 0,
            step: 60,
            agents: vec![0.0, 0.0, 1.0],
        };
        let mut asked = task(0, 130, 30.0);
        asked.asked = true;
        assert_eq!(sweep(&supply, &[asked]).begins, Some(120));
        asked.to = 100;
        let fit = sweep(&supply, &[asked]);
        assert_eq!((fit.begins, fit.late), (None, 10.0));
    }
}
