//! What a queue can carry: a plain number of callbacks per slot, or a plan of who is there when.
//!
//! A plan says how many agents are there, by the week and on certain dates, on the clock on the
//! wall in the queue's zone; how long a callback keeps one of them; and, where the same agents
//! answer calls that come in by themselves, how many of those are expected and how fast they must
//! be answered. The figures are priors: where something better was learned, it takes their place.

mod grid;
mod times;

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use crate::duration::Span;
use crate::plan::reserve;
use crate::zone::Zone;
use grid::{Disagree, Grid};
pub use times::{Days, DaysError, MinuteOfDay, MinuteOfDayError};

/// What a queue can carry, as it is written in configuration: `per_slot`, or a staff plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapacityRules {
    /// Callbacks per slot, a plain number; then nothing else is needed.
    #[serde(default)]
    pub per_slot: Option<u32>,
    /// Agents by the week, in the queue's zone. Times that no row names have nobody.
    #[serde(default)]
    pub weekly: Vec<StaffRow>,
    /// Agents on certain dates; these win over the week.
    #[serde(default)]
    pub steps: Vec<StaffStep>,
    /// Mean talk of a callback.
    #[serde(default = "defaults::mean_talk")]
    pub mean_talk: Span,
    /// Mean time for the paperwork after it.
    #[serde(default = "defaults::mean_wrap")]
    pub mean_wrap: Span,
    /// Share of the tries that reach the customer, above 0, at most 1.
    #[serde(default = "defaults::reach")]
    pub reach: f64,
    /// For agents who answer calls that come in by themselves as well.
    #[serde(default)]
    pub live: Option<LiveRules>,
}

/// A row of the week.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaffRow {
    /// Days like `Mo-Fr` or `Sa,Su`.
    pub days: Days,
    /// Time of day like `09:00`.
    pub from: MinuteOfDay,
    /// Time of day, up to `24:00`; at or before `from` it is on the day after.
    pub to: MinuteOfDay,
    /// Agents who are there.
    pub agents: u32,
}

/// A stretch of certain dates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaffStep {
    /// Local date and time, like `2026-12-24T10:00`.
    #[serde(with = "times::wall")]
    pub from: DateTime,
    /// Local date and time; the end itself no longer belongs to it.
    #[serde(with = "times::wall")]
    pub to: DateTime,
    /// Agents who are there.
    pub agents: u32,
}

/// Calls that come in by themselves and share the agents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveRules {
    /// Calls expected, by the week; times that no row names have none.
    pub forecast: Vec<ForecastRow>,
    /// Mean time one of them keeps an agent, talk and paperwork.
    #[serde(default = "defaults::handling")]
    pub handling: Span,
    /// Share of the day's calls to be answered within `within`, from 0 to below 1.
    #[serde(default = "defaults::target")]
    pub target: f64,
    /// How long those may wait.
    #[serde(default = "defaults::within")]
    pub within: Span,
    /// Share of the day's calls that may give up at most, from above 0 to 1.
    #[serde(default = "defaults::abandon")]
    pub abandon: f64,
}

/// A row of the forecast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForecastRow {
    /// Days like `Mo-Fr`.
    pub days: Days,
    /// Time of day like `09:00`.
    pub from: MinuteOfDay,
    /// Time of day, up to `24:00`; at or before `from` it is on the day after.
    pub to: MinuteOfDay,
    /// Calls per hour.
    pub calls_per_hour: f64,
}

mod defaults {
    use super::Span;

    pub fn mean_talk() -> Span {
        Span::from_mins(4)
    }
    pub fn mean_wrap() -> Span {
        Span::from_secs(30)
    }
    pub fn reach() -> f64 {
        0.8
    }
    pub fn handling() -> Span {
        Span::from_mins(4)
    }
    pub fn target() -> f64 {
        0.8
    }
    pub fn within() -> Span {
        Span::from_secs(20)
    }
    pub fn abandon() -> f64 {
        0.05
    }
}

/// What is wrong with a plan, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {fault}")]
pub struct StaffingError {
    /// Dotted path within the capacity rules, like `weekly[2].agents`.
    pub field: String,
    /// What is wrong there.
    pub fault: StaffingFault,
}

/// The ways in which a plan can be wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StaffingFault {
    #[error("must be given, or else a staff plan (weekly or steps)")]
    Missing,
    #[error("cannot be given together with a staff plan (weekly or steps)")]
    Both,
    #[error("is a capacity of nought at all times: nothing could ever be booked")]
    Nought,
    #[error("must be between {low} and {high}")]
    Range { low: String, high: String },
    #[error("has more than {limit} rows")]
    TooMany { limit: usize },
    #[error("must be another time than from; the whole day is 00:00 to 24:00")]
    NoTime,
    #[error("must be later than from")]
    Order,
    #[error("says something else than row {with} about the same time")]
    Disagrees { with: usize },
}

/// Capacity that has been checked and can be asked.
#[derive(Clone, Debug)]
pub enum Capacity {
    /// So many callbacks per slot.
    PerSlot(u32),
    /// As many as the staff can carry.
    Staff(Box<StaffPlan>),
}

/// Who is there when, and what they are kept by.
#[derive(Clone, Debug)]
pub struct StaffPlan {
    zone: Zone,
    agents: Grid<u32>,
    mean_talk: Span,
    mean_wrap: Span,
    reach: f64,
    live: Option<Live>,
}

/// Calls that come in by themselves, checked.
#[derive(Clone, Debug)]
pub struct Live {
    forecast: Grid<f64>,
    /// Mean time one of them keeps an agent.
    pub handling: Span,
    /// Share of the day's calls to be answered within `within`.
    pub target: f64,
    /// How long those may wait.
    pub within: Span,
    /// Share of the day's calls that may give up at most.
    pub abandon: f64,
}

/// More agents than any one queue has; a larger number is a slip of the keyboard.
pub const MOST_AGENTS: u32 = 10_000;
/// The most callbacks per slot.
pub const MOST_PER_SLOT: u32 = 10_000;
const MOST_CALLS_PER_HOUR: f64 = 100_000.0;
const MOST_ROWS: usize = 200;
const MOST_STEPS: usize = 2_000;

/// Seconds for which a try that is answered rings first, and for which one that is not keeps the agent.
const RINGS_ANSWERED: f64 = 14.0;
const RINGS_IN_VAIN: f64 = 30.0;

impl Capacity {
    /// Checks the rules; every fault is told, each with its field.
    pub fn parse(rules: &CapacityRules, zone: &Zone) -> Result<Capacity, Vec<StaffingError>> {
        let mut faults = Vec::new();
        let planned = !rules.weekly.is_empty() || !rules.steps.is_empty();
        match (rules.per_slot, planned) {
            (None, false) => faults.push(fault("per_slot", StaffingFault::Missing)),
            (Some(_), true) => faults.push(fault("per_slot", StaffingFault::Both)),
            (Some(0), false) => faults.push(fault("per_slot", StaffingFault::Nought)),
            (Some(count), false) if count > MOST_PER_SLOT => {
                faults.push(range("per_slot", 1, MOST_PER_SLOT));
            }
            (Some(_), false) | (None, true) => {}
        }
        let plan = StaffPlan::parse(rules, zone, &mut faults);
        match (plan, rules.per_slot) {
            (Some(plan), None) if faults.is_empty() => Ok(Capacity::Staff(Box::new(plan))),
            (_, Some(count)) if faults.is_empty() => Ok(Capacity::PerSlot(count)),
            (_, _) => Err(faults),
        }
    }
}

impl StaffPlan {
    fn parse(
        rules: &CapacityRules,
        zone: &Zone,
        faults: &mut Vec<StaffingError>,
    ) -> Option<StaffPlan> {
        for (name, span, low, high) in [
            ("mean_talk", rules.mean_talk, 1, 4 * 3600),
            ("mean_wrap", rules.mean_wrap, 0, 3600),
        ] {
            if !(low..=high).contains(&span.as_secs()) {
                let bounds = (Span::from_secs(low), Span::from_secs(high));
                faults.push(range(name, bounds.0, bounds.1));
            }
        }
        // Comparisons written so that what is not a number fails them.
        if !(rules.reach >= 0.05 && rules.reach <= 1.0) {
            faults.push(range("reach", 0.05, 1));
        }
        let agents = agents_of(rules, faults);
        let live = rules.live.as_ref().map(|live| Live::parse(live, faults));
        if !faults.is_empty() {
            return None;
        }
        let agents = agents?;
        if rules.per_slot.is_none() && !agents.any(|count| count > 0) {
            let field = if rules.weekly.is_empty() {
                "steps"
            } else {
                "weekly"
            };
            faults.push(fault(field, StaffingFault::Nought));
            return None;
        }
        Some(StaffPlan {
            zone: zone.clone(),
            agents,
            mean_talk: rules.mean_talk,
            mean_wrap: rules.mean_wrap,
            reach: rules.reach,
            live: live.flatten(),
        })
    }

    /// Agents who are planned to be there from `from` on, and each change of it before `to`.
    pub fn steps(&self, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, u32)> {
        self.agents.steps(self.zone.tz(), from, to)
    }

    /// Live calls per hour expected from `from` on, and each change of it before `to`; nothing
    /// where none are answered.
    pub fn live_forecast(&self, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, f64)> {
        self.live.as_ref().map_or_else(Vec::new, |live| {
            live.forecast.steps(self.zone.tz(), from, to)
        })
    }

    /// What is known of the live calls, where there are any.
    pub fn live(&self) -> Option<&Live> {
        self.live.as_ref()
    }

    /// Mean talk of a callback.
    pub fn mean_talk(&self) -> Span {
        self.mean_talk
    }

    /// Mean time for the paperwork after it.
    pub fn mean_wrap(&self) -> Span {
        self.mean_wrap
    }

    /// Share of the tries that reach the customer.
    pub fn reach(&self) -> f64 {
        self.reach
    }

    /// Mean time for which one callback keeps agents, in seconds: talk, paperwork, and the ringing
    /// of all its tries.
    pub fn handling(&self) -> f64 {
        let in_vain = (1.0 / self.reach - 1.0) * RINGS_IN_VAIN;
        RINGS_ANSWERED
            + f64::from(self.mean_talk.as_secs())
            + f64::from(self.mean_wrap.as_secs())
            + in_vain
    }

    /// Agents left for callbacks once the live calls have their share, from `from` on, and each
    /// change of it before `to`.
    pub fn for_callbacks(&self, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, f64)> {
        let agents = self.steps(from, to);
        let calls = self.live_forecast(from, to);
        let mut marks: Vec<Timestamp> = agents
            .iter()
            .map(|(at, _)| *at)
            .chain(calls.iter().map(|(at, _)| *at))
            .collect();
        marks.sort_unstable();
        marks.dedup();
        marks
            .into_iter()
            .map(|at| {
                let count = value_at(&agents, at).unwrap_or(0);
                let calls = value_at(&calls, at).unwrap_or(0.0);
                let share = self
                    .live
                    .as_ref()
                    .map_or(0.0, |live| live.share(count, calls, self.handling()));
                (at, f64::from(count) * (1.0 - share))
            })
            .collect()
    }
}

impl Live {
    fn parse(rules: &LiveRules, faults: &mut Vec<StaffingError>) -> Option<Live> {
        let before = faults.len();
        if rules.forecast.is_empty() {
            faults.push(fault("live.forecast", StaffingFault::Missing));
        }
        if rules.forecast.len() > MOST_ROWS {
            let limit = MOST_ROWS;
            faults.push(fault("live.forecast", StaffingFault::TooMany { limit }));
        }
        for (row, line) in rules.forecast.iter().enumerate().take(MOST_ROWS) {
            let field = |name: &str| format!("live.forecast[{row}].{name}");
            if line.from == line.to {
                faults.push(fault(field("to"), StaffingFault::NoTime));
            }
            if !(line.calls_per_hour >= 0.0 && line.calls_per_hour <= MOST_CALLS_PER_HOUR) {
                faults.push(range(field("calls_per_hour"), 0, MOST_CALLS_PER_HOUR));
            }
        }
        if !(1..=4 * 3600).contains(&rules.handling.as_secs()) {
            faults.push(range("live.handling", "1s", "4h"));
        }
        if !(1..=3600).contains(&rules.within.as_secs()) {
            faults.push(range("live.within", "1s", "1h"));
        }
        if !(rules.target >= 0.0 && rules.target <= 0.999) {
            faults.push(range("live.target", 0, 0.999));
        }
        if !(rules.abandon >= 0.001 && rules.abandon <= 1.0) {
            faults.push(range("live.abandon", 0.001, 1));
        }
        if faults.len() > before {
            return None;
        }
        let rows = rules
            .forecast
            .iter()
            .map(|row| (&row.days, row.from, row.to, row.calls_per_hour));
        match Grid::weekly(rows, 0.0) {
            Ok(forecast) => Some(Live {
                forecast,
                handling: rules.handling,
                target: rules.target,
                within: rules.within,
                abandon: rules.abandon,
            }),
            Err(Disagree { row, with }) => {
                faults.push(fault(
                    format!("live.forecast[{row}]"),
                    StaffingFault::Disagrees { with },
                ));
                None
            }
        }
    }

    /// The share of `agents` that live calls need, at so many calls an hour: those in a call, and
    /// those kept idle so that the next call is answered in time. Between 0 and 1.
    ///
    /// What is left idle for them is [`reserve`], as in the plan.
    pub fn share(&self, agents: u32, calls_per_hour: f64, callback_handling: f64) -> f64 {
        if agents == 0 || calls_per_hour <= 0.0 {
            return 0.0;
        }
        let agents = f64::from(agents);
        let lambda = calls_per_hour / 3600.0;
        let handling = f64::from(self.handling.as_secs());
        let busy = lambda * handling;
        if busy >= agents {
            return 1.0;
        }
        let mean = f64::midpoint(handling, callback_handling);
        let within = f64::from(self.within.as_secs());
        let idle = reserve(1.0 - self.target, agents, mean, lambda, within);
        ((busy + idle) / agents).min(1.0)
    }
}

/// The value of a step function; none before its first step.
pub(crate) fn value_at<V: Copy>(steps: &[(Timestamp, V)], at: Timestamp) -> Option<V> {
    let next = steps.partition_point(|(start, _)| *start <= at);
    next.checked_sub(1).map(|index| steps[index].1)
}

fn agents_of(rules: &CapacityRules, faults: &mut Vec<StaffingError>) -> Option<Grid<u32>> {
    let before = faults.len();
    for (name, count, limit) in [
        ("weekly", rules.weekly.len(), MOST_ROWS),
        ("steps", rules.steps.len(), MOST_STEPS),
    ] {
        if count > limit {
            faults.push(fault(name, StaffingFault::TooMany { limit }));
        }
    }
    for (row, line) in rules.weekly.iter().enumerate().take(MOST_ROWS) {
        if line.from == line.to {
            faults.push(fault(format!("weekly[{row}].to"), StaffingFault::NoTime));
        }
        if line.agents > MOST_AGENTS {
            faults.push(range(format!("weekly[{row}].agents"), 0, MOST_AGENTS));
        }
    }
    for (row, step) in rules.steps.iter().enumerate().take(MOST_STEPS) {
        if step.from >= step.to {
            faults.push(fault(format!("steps[{row}].to"), StaffingFault::Order));
        }
        if step.agents > MOST_AGENTS {
            faults.push(range(format!("steps[{row}].agents"), 0, MOST_AGENTS));
        }
    }
    if faults.len() > before {
        return None;
    }
    let rows = rules
        .weekly
        .iter()
        .map(|row| (&row.days, row.from, row.to, row.agents));
    let steps = rules
        .steps
        .iter()
        .map(|step| (step.from, step.to, step.agents))
        .collect();
    let disagrees = |name: &str, Disagree { row, with }| {
        fault(format!("{name}[{row}]"), StaffingFault::Disagrees { with })
    };
    let grid = Grid::weekly(rows, 0).map_err(|found| disagrees("weekly", found));
    match grid.and_then(|grid| {
        grid.with_dated(steps)
            .map_err(|found| disagrees("steps", found))
    }) {
        Ok(grid) => Some(grid),
        Err(found) => {
            faults.push(found);
            None
        }
    }
}

fn fault(field: impl Into<String>, fault: StaffingFault) -> StaffingError {
    StaffingError {
        field: field.into(),
        fault,
    }
}

fn range(field: impl Into<String>, low: impl ToString, high: impl ToString) -> StaffingError {
    let (low, high) = (low.to_string(), high.to_string());
    fault(field, StaffingFault::Range { low, high })
}

#[cfg(test)]
mod tests;
