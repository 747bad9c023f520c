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

    /// How the last minutes compare with the forecast: over the span, of some between five minutes and half an hour,
    /// that stands out most; the day's own factor if none does.
    pub fn recent_factor(&self, now: Second, rules: &Rules) -> f64 {
        let day = self.day_factor(now, rules);
        let Some(live) = &rules.live else { return 1.0 };
        let (mut factor, mut most) = (day, 2.0);
        for span in [300, 600, 1200, RECENT] {
            let expected = live.forecast.sum(now - span, now) / 3600.0 * day;
            if expected < 1.0 {
                continue;
            }
            let seen = self.recent.iter().filter(|at| **at >= now - span).count() as f64;
            let odd = (seen - expected).abs() / expected.sqrt();
            if odd > most {
                most = odd;
                factor = day * (seen + 6.0) / (expected + 6.0);
            }
        }
        factor
    }

    /// What is expected of the live calls, as things stand.
    pub fn outlook<'r>(&self, now: Second, rules: &'r Rules) -> Outlook<'r> {
        Outlook {
            now,
            rules,
            day: self.day_factor(now, rules),
            recent: self.recent_factor(now, rules),
        }
    }

    /// What is in hand of the live target.
    pub fn budget(&self, now: Second, rules: &Rules, margin: f64) -> Budget {
        let Some(live) = &rules.live else {
            return Budget {
                surplus: f64::INFINITY,
                allowance: 1.0,
            };
        };
        let close = rules.closes(now);
        let factor = self.day_factor(now, rules) / 3600.0;
        let ahead = live.forecast.sum(now, close.max(now)) * factor;
        let soon = live.forecast.sum(now, close.max(now).min(now + 3600)) * factor;
        let missed = self.arrived - self.in_time;
        let neutral = 1.0 - live.target - margin;
        // What comes is taken to be missed as often as what was, with a prior of half the target.
        let usual = (missed + 30.0 * neutral) / (self.arrived + 60.0);
        let allowed = neutral * (self.arrived + ahead);
        let surplus = allowed - missed - ahead * usual;
        let spread = ((allowed - missed) / (ahead + 4.0)).clamp(0.0, 1.0);
        let allowance = if surplus > 0.0 {
            // A surplus may be spent within the hour, by those who need it.
            (usual + surplus / (soon + 10.0))
                .clamp(0.0, 0.6)
                .max(spread)
        } else {
            spread
        };
        Budget { surplus, allowance }
    }

    /// The same of calls given up.
    pub fn patience_left(&self, now: Second, rules: &Rules) -> f64 {
        let Some(live) = &rules.live else { return 1.0 };
        let close = rules.closes(now);
        let ahead = live.forecast.sum(now, close.max(now)) / 3600.0 * self.day_factor(now, rules);
        if self.arrived + ahead <= 0.0 {
            return 1.0;
        }
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

/// The forecast of the live calls, corrected by what was seen.
#[derive(Clone, Copy, Debug)]
pub struct Outlook<'r> {
    now: Second,
    rules: &'r Rules,
    day: f64,
    recent: f64,
}

impl Outlook<'_> {
    /// Calls per second expected at `moment`.
    pub fn rate(&self, moment: Second) -> f64 {
        let Some(live) = &self.rules.live else {
            return 0.0;
        };
        // What is unusual now fades within an hour and a half.
        let ahead = (moment - self.now).max(0) as f64;
        let weight = (1.0 - ahead / 5400.0).clamp(0.0, 1.0);
        let factor = self.day + (self.recent - self.day) * weight;
        live.forecast.at(moment) / 3600.0 * factor
    }
}

/// What is in hand of the live calls' target for the day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Calls that may be answered late beyond those that will be anyhow, if the rest of the day goes as the day went.
    pub surplus: f64,
    /// Share of the calls that may be answered late from now on, by what is pressed.
    pub allowance: f64,
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

/// Agents idle in the mean if `reserve` of them are left for live calls.
pub fn idle(reserve: f64, agents: f64, mean: f64, lambda: f64) -> f64 {
    if agents < 1.0 || mean <= 0.0 {
        return 0.0;
    }
    let rho = (lambda * mean / agents).clamp(0.02, 0.97);
    (reserve - rho / (1.0 - rho) * (1.0 - rho.powf(reserve))).max(0.0)
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
