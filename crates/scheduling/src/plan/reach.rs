//! When to try again: the chance that a phone which was not answered will be, by then.
//!
//! A phone is modelled as being in one of four states, each left after a while for another: the customer answers; answers
//! only when expecting the call; is on the phone; is away. What the last dial met says in which state the phone was, and
//! the model says how that fades. The best moments for the tries that are left follow by working backwards from the end
//! of the window: the last try is always at its very end, because whoever has come back by then is mostly still there.

use super::job::Ended;
use super::rules::Second;

/// Grid of the tables, seconds.
const STEP: Second = 20;
/// Longest time ahead that is told apart, seconds.
const LONGEST: Second = 4 * 3600;
const CELLS: usize = (LONGEST / STEP) as usize + 1;
/// Most tries that are planned together; with more left, the plan is that of this many.
const TRIES: usize = 4;

/// How phones behave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phone {
    /// Shares of the time: answers, answers when expecting the call, busy, away.
    pub shares: [f64; 4],
    /// How long each state lasts in the mean, seconds.
    pub dwell: [f64; 4],
    /// Share of the dials lost to the network.
    pub lost: f64,
}

impl Phone {
    /// Shares as given; the states last 40, 20, 4 and 25 minutes unless something better is known.
    pub fn with_shares(shares: [f64; 4]) -> Phone {
        Phone {
            shares,
            dwell: [2400.0, 1200.0, 240.0, 1500.0],
            lost: 0.02,
        }
    }
}

const BUSY: usize = 2;
const AWAY: usize = 3;

/// The best gaps before the next try, by what the last one met, tries left and time left.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    /// `[state − BUSY][tries − 1][time left / STEP]`: gap in steps, 0 for none.
    gaps: Vec<Vec<Vec<u16>>>,
    /// The chance of reaching the customer at all that goes with it.
    chance: Vec<Vec<Vec<f32>>>,
    shortest: usize,
}

type Matrix = [[f64; 4]; 4];

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let mut c = [[0.0; 4]; 4];
    for (i, row) in c.iter_mut().enumerate() {
        for (j, cell) in row.iter_mut().enumerate() {
            *cell = (0..4).map(|k| a[i][k] * b[k][j]).sum();
        }
    }
    c
}

const IDENTITY: Matrix = [
    [1.0, 0.0, 0.0, 0.0],
    [0.0, 1.0, 0.0, 0.0],
    [0.0, 0.0, 1.0, 0.0],
    [0.0, 0.0, 0.0, 1.0],
];

/// Chances of going from one state to another within one step of the grid.
fn one_step(phone: &Phone) -> Matrix {
    let weights: Vec<f64> = (0..4)
        .map(|state| phone.shares[state].max(1e-4) / phone.dwell[state].max(1.0))
        .collect();
    let total: f64 = weights.iter().sum();
    // The generator over a 64th of the step, to second order; then squared six times.
    let small = STEP as f64 / 64.0;
    let mut rate = [[0.0; 4]; 4];
    for (from, row) in rate.iter_mut().enumerate() {
        for (to, cell) in row.iter_mut().enumerate() {
            *cell = weights[to] / total / phone.dwell[from].max(1.0) * small;
        }
        row[from] -= small / phone.dwell[from].max(1.0);
    }
    let square = product(&rate, &rate);
    let mut step = IDENTITY;
    for i in 0..4 {
        for j in 0..4 {
            step[i][j] += rate[i][j] + square[i][j] / 2.0;
        }
    }
    for _ in 0..6 {
        step = product(&step, &step);
    }
    step
}

impl Reach {
    /// `shortest`: seconds between two dials at least.
    pub fn new(phone: &Phone, shortest: Second) -> Reach {
        let step = one_step(phone);
        let mut powers = Vec::with_capacity(CELLS + 1);
        powers.push(IDENTITY);
        for _ in 0..CELLS {
            let last = powers[powers.len() - 1];
            powers.push(product(&last, &step));
        }
        let shortest = usize::try_from((shortest + STEP - 1) / STEP)
            .unwrap_or(1)
            .max(1);
        let mut gaps = vec![vec![vec![0_u16; CELLS]; TRIES]; 2];
        let mut chance = vec![vec![vec![0.0_f32; CELLS]; TRIES]; 2];
        for tries in 0..TRIES {
            for left in shortest..CELLS {
                for state in [BUSY, AWAY] {
                    let (mut best, mut best_gap) = (-1.0, 0);
                    for (gap, power) in powers.iter().enumerate().take(left + 1).skip(shortest) {
                        let row = &power[state];
                        let answers = row[0] + row[1];
                        let rest = left - gap;
                        let mut value = answers;
                        if tries > 0 {
                            value += row[BUSY] * f64::from(chance[0][tries - 1][rest])
                                + row[AWAY] * f64::from(chance[1][tries - 1][rest]);
                        }
                        value *= 1.0 - phone.lost;
                        if tries > 0 && rest >= shortest {
                            value += phone.lost * 0.9 * answers;
                        }
                        if value > best {
                            (best, best_gap) = (value, gap);
                        }
                    }
                    gaps[state - BUSY][tries][left] = u16::try_from(best_gap).unwrap_or(u16::MAX);
                    chance[state - BUSY][tries][left] = best.max(0.0) as f32;
                }
            }
        }
        Reach {
            gaps,
            chance,
            shortest,
        }
    }

    fn cell(&self, ended: Ended, tries: u32, left: Second) -> Option<(usize, usize, usize)> {
        let state = match ended {
            Ended::Busy => 0,
            Ended::NoAnswer | Ended::Machine => 1,
            Ended::Answered | Ended::Invalid | Ended::Failed => return None,
        };
        let tries = (tries as usize).min(TRIES).checked_sub(1)?;
        let left = usize::try_from(left / STEP).ok()?;
        (left >= self.shortest).then(|| (state, tries, left.min(CELLS - 1)))
    }

    /// Seconds until the next try, with `tries` left and `left` seconds of the window.
    pub fn gap(&self, ended: Ended, tries: u32, left: Second) -> Option<Second> {
        let (state, tries, cell) = self.cell(ended, tries, left)?;
        let gap = Second::from(self.gaps[state][tries][cell]) * STEP;
        // At the end of the window means its last second, not the last step of the grid.
        Some(if left - gap < 2 * STEP { left } else { gap })
    }

    /// The chance that the tries left reach the customer.
    pub fn chance(&self, ended: Ended, tries: u32, left: Second) -> f64 {
        self.cell(ended, tries, left)
            .map_or(0.0, |(state, tries, cell)| {
                f64::from(self.chance[state][tries][cell])
            })
    }
}
