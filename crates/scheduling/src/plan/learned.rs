//! What is learned from what happens: robustly, slowly, and never far from sense.

use super::job::Ended;
use super::rules::Rules;
use serde::{Deserialize, Serialize};

/// A mean that starts from a prior and follows what is observed; one observation moves it little.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    prior: f64,
    sum: f64,
    weight: f64,
    /// Observations after which the oldest are forgotten.
    memory: f64,
}

impl Mean {
    /// `weight`: how many observations the prior is worth.
    pub fn new(prior: f64, weight: f64, memory: f64) -> Mean {
        Mean {
            prior,
            sum: prior * weight,
            weight,
            memory,
        }
    }

    /// Takes in one observation; an outlier counts as no more than six times the prior.
    pub fn observe(&mut self, value: f64) {
        let keep = 1.0 - 1.0 / self.memory;
        let value = value.clamp(0.0, self.prior * 6.0 + 1.0);
        self.sum = self.sum * keep + value;
        self.weight = self.weight * keep + 1.0;
    }

    pub fn value(&self) -> f64 {
        self.sum / self.weight
    }

    /// What learning started from.
    pub fn prior(&self) -> f64 {
        self.prior
    }

    /// Observations that the value rests on; old ones fade, and the prior counts as some.
    pub fn observations(&self) -> f64 {
        self.weight
    }

    /// The same figure with this value, as firmly believed as before.
    pub fn with_value(self, value: f64) -> Mean {
        Mean {
            sum: value * self.weight,
            ..self
        }
    }
}

/// The learned figures of one queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// Talk and wrap of an answered callback, seconds.
    pub handling: Mean,
    /// Share of first dials answered.
    pub first_reach: Mean,
    /// Share of later dials answered.
    pub later_reach: Mean,
    /// Agent seconds of a dial that is not answered.
    pub wasted: Mean,
}

impl Learned {
    pub fn new(rules: &Rules) -> Learned {
        Learned {
            handling: Mean::new(rules.talk + rules.wrap, 30.0, 400.0),
            first_reach: Mean::new(rules.phone.shares[0] + rules.phone.shares[1], 30.0, 400.0),
            later_reach: Mean::new(
                (rules.phone.shares[0] + rules.phone.shares[1]) * 0.6,
                20.0,
                400.0,
            ),
            wasted: Mean::new(rules.ring.no_answer * 0.7, 20.0, 400.0),
        }
    }

    pub fn result(&mut self, first: bool, ended: Ended, rules: &Rules) {
        let answered = f64::from(u8::from(ended == Ended::Answered));
        if first {
            self.first_reach.observe(answered);
        } else {
            self.later_reach.observe(answered);
        }
        let ring = &rules.ring;
        match ended {
            Ended::Answered => {}
            Ended::Busy => self.wasted.observe(ring.busy),
            Ended::NoAnswer => self.wasted.observe(ring.no_answer),
            Ended::Machine => self.wasted.observe(ring.machine),
            Ended::Invalid => self.wasted.observe(ring.invalid),
            Ended::Failed => self.wasted.observe(ring.failed),
        }
    }

    /// Agent seconds expected of the next dial.
    pub fn dial_work(&self, first: bool, rules: &Rules) -> f64 {
        let reach = if first {
            self.first_reach
        } else {
            self.later_reach
        }
        .value();
        reach * (rules.ring.answered + self.handling.value()) + (1.0 - reach) * self.wasted.value()
    }

    /// Agent seconds expected of a new callback, all dials together.
    pub fn whole_work(&self, rules: &Rules) -> f64 {
        let missed = 1.0 - self.first_reach.value();
        self.dial_work(true, rules) + missed * 1.2 * self.dial_work(false, rules)
    }
}
