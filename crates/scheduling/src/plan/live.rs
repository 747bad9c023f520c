//! The live calls: what they need, and what of the day's service level is still in hand.

use super::learned::Learned;
use super::rules::{Rules, Second};
use std::collections::VecDeque;

/// How far back the recent load is measured, seconds.
const RECENT: Second = 1800;

/// What is known of the live calls of the day.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    arrived: f64,
    in_time: f64,
    abandoned: f64,
    recent: VecDeque<Second>,
    since: Option<Second>,
    /// Agent seconds spent on live calls, and calls answered; for the mean.
    busy: f64,
    answered: f64,
}

impl Live {
    pub fn arrived(&mut self, now: Second) {
        self.arrived += 1.0;
        self.recent.push_back(now);
        self.forget(now);
    }

    fn forget(&mut self, now: Second) {
        while self.recent.front().is_some_and(|at| *at < now - RECENT) {
            self.recent.pop_front();
        }
    }

    pub fn answered(&mut self, waited: Second, rules: &Rules) {
        let Some(live) = &rules.live else { return };
        self.answered += 1.0;
        if waited <= live.within {
            self.in_time += 1.0;
        }
    }

    pub fn gave_up(&mut self) {
        self.abandoned += 1.0;
    }

    /// How today compares with the forecast so far.
    pub fn day_factor(&self, now: Second, rules: &Rules) -> f64 {
        let Some(live) = &rules.live else { return 1.0 };
        let Some((open, _)) = rules.open.first() else {
            return 1.0;
        };
        if now <= *open {
            return 1.0;
        }
        let expected = live.forecast.sum(*open, now) / 3600.0;
        // The forecast is worth a hundred calls: a day's error of a tenth shows after an hour or two.
        (self.arrived + 100.0) / (expected + 100.0)
    }

    /// How the last half hour compares with the forecast.
    pub fn recent_factor(&self, now: Second, rules: &Rules) -> f64 {
        let Some(live) = &rules.live else { return 1.0 };
        let expected = live.forecast.sum(now - RECENT, now) / 3600.0;
        let seen = self.recent.iter().filter(|at| **at >= now - RECENT).count() as f64;
        (seen + 20.0) / (expected + 20.0)
    }

    /// Calls per second expected at `moment`.
    pub fn rate(&self, moment: Second, now: Second, rules: &Rules) -> f64 {
        let Some(live) = &rules.live else { return 0.0 };
        let day = self.day_factor(now, rules);
        let recent = self.recent_factor(now, rules);
        // What is unusual now fades within an hour and a half.
        let ahead = (moment - now).max(0) as f64;
        let weight = (1.0 - ahead / 5400.0).clamp(0.0, 1.0);
        let factor = day + (recent - day) * weight;
        live.forecast.at(moment) / 3600.0 * factor
    }

    /// Share of the calls still to come today that may be answered late, so that the day's target is just kept.
    pub fn allowance(&self, now: Second, rules: &Rules, margin: f64) -> f64 {
        let Some(live) = &rules.live else { return 1.0 };
        let close = rules.open.last().map_or(now, |span| span.1);
        let ahead = live.forecast.sum(now, close.max(now)) / 3600.0 * self.day_factor(now, rules);
        let missed = self.arrived - self.in_time;
        let allowed = (1.0 - live.target - margin) * (self.arrived + ahead);
        ((allowed - missed) / (ahead + 4.0)).clamp(0.0, 1.0)
    }

    /// The same of calls given up.
    pub fn patience_left(&self, now: Second, rules: &Rules) -> f64 {
        let Some(live) = &rules.live else { return 1.0 };
        let close = rules.open.last().map_or(now, |span| span.1);
        let ahead = live.forecast.sum(now, close.max(now)) / 3600.0 * self.day_factor(now, rules);
        let allowed = live.abandon * (self.arrived + ahead);
        ((allowed - self.abandoned) / (ahead + 4.0)).clamp(0.0, 1.0)
    }

    /// Share of calls that gave up so far, with a prior of 3 in 100.
    pub fn abandon_share(&self) -> f64 {
        (self.abandoned + 1.5) / (self.arrived + 50.0)
    }

    /// Takes note that `agents` were at live calls since the last look.
    pub fn watched(&mut self, now: Second, agents: f64) {
        if let Some(since) = self.since {
            self.busy += agents.max(0.0) * (now - since) as f64;
        }
        self.since = Some(now);
    }

    /// Takes note of agent seconds spent on live calls while nobody watched.
    pub fn handled(&mut self, seconds: f64) {
        self.busy += seconds.max(0.0);
    }

    /// Mean handling of a live call, seconds: the forecast's until a hundred calls were seen.
    pub fn handling(&self, rules: &Rules) -> f64 {
        let Some(live) = &rules.live else { return 0.0 };
        (self.busy + live.handling * 100.0) / (self.answered + 100.0)
    }
}

/// Agents to be left idle so that a live call waits longer than the target's seconds with chance `missed`.
///
/// With callbacks to fill every other moment, the number of idle agents is a birth-and-death chain: a release raises
/// it (rate `mu`, up to the reserve), a live call lowers it (rate `lambda`). A call finds nobody with chance
/// (λ/μ)^reserve and then waits longer than T with chance e^(−(μ−λ)T).
pub fn reserve(missed: f64, agents: f64, mean: f64, lambda: f64, within: f64) -> f64 {
    if agents < 1.0 || mean <= 0.0 {
        return 0.0;
    }
    let mu = agents / mean;
    if lambda <= 0.0 {
        return 0.0;
    }
    let rho = (lambda / mu).clamp(0.02, 0.97);
    let tail = (-(mu - lambda).max(0.0) * within).exp();
    let missed = missed.clamp(0.005, 0.99);
    ((missed / tail).ln() / rho.ln()).max(0.0)
}

impl Learned {
    /// Mean time for which a call holds an agent, of live calls and callbacks together.
    pub fn mean_call(&self, live: &Live, rules: &Rules) -> f64 {
        let callback = rules.ring.answered + self.handling.value();
        match &rules.live {
            Some(_) => 0.5 * (live.handling(rules) + callback),
            None => callback,
        }
    }
}
