//! What the planner says, as it is shown: times, estimates, learned figures.

use super::date;
use ringback_store::{Basis, Estimate, Figure, Interval};
use serde::Serialize;
use utoipa::ToSchema;

/// Two moments, both counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Times)]
pub struct TimesView {
    #[schema(format = DateTime)]
    pub from: String,
    #[schema(format = DateTime)]
    pub to: String,
}

impl TimesView {
    pub fn of(interval: &Interval) -> TimesView {
        TimesView {
            from: date(interval.0),
            to: date(interval.1),
        }
    }
}

/// When a request would be dialled, and what that rests on.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Estimate)]
pub struct EstimateView {
    /// What a booking would be promised now; absent if there is no room in the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub expected: Option<TimesView>,
    /// Other times that would be promised, if there is no room.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<TimesView>,
    pub rests_on: BasisView,
}

/// What an estimate rests on.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = EstimateBasis)]
pub struct BasisView {
    /// Agents planned at that time.
    pub agents_planned: f64,
    /// Agents on duty now.
    pub agents_there: u32,
    /// Open callbacks that come before it.
    pub ahead: u64,
    /// Mean time for which an answered callback keeps an agent, learned; seconds.
    pub handling_seconds: f64,
    /// Share of the first tries that are answered, learned.
    pub reach: f64,
    /// Share of the agents whom live calls are expected to keep then, 0 to 1.
    pub live_share: f64,
    /// `reported`: the live calls are as the telephone system told within two minutes; `forecast`: nothing was told
    /// lately and the plan's forecast stands in; `none`: the queue answers none.
    pub live: &'static str,
    /// How far experience is behind the learned figures, 0 (the plan's own) to 1.
    pub confidence: f64,
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

impl BasisView {
    pub fn new(basis: &Basis) -> BasisView {
        BasisView {
            agents_planned: rounded(basis.agents_planned),
            agents_there: basis.agents_there,
            ahead: basis.ahead as u64,
            handling_seconds: rounded(basis.handling_seconds),
            reach: rounded(basis.reach),
            live_share: rounded(basis.live_share),
            live: basis.live.name(),
            confidence: rounded(basis.confidence),
        }
    }
}

impl EstimateView {
    pub fn new(estimate: &Estimate) -> EstimateView {
        EstimateView {
            expected: estimate.interval.as_ref().map(TimesView::of),
            alternatives: estimate.alternatives.iter().map(TimesView::of).collect(),
            rests_on: BasisView::new(&estimate.basis),
        }
    }
}

/// What a queue has learned.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Learned)]
pub struct LearnedView {
    pub figures: Vec<FigureView>,
}

/// One learned figure.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = LearnedFigure)]
pub struct FigureView {
    /// `handling_seconds` (talk and wrap-up), `first_reach`, `later_reach` (shares of the tries that are answered),
    /// `wasted_seconds` (an agent's time at a try that is not).
    pub name: &'static str,
    /// What the planner goes by.
    pub value: f64,
    /// What learning started from.
    pub prior: f64,
    /// Observations behind the value; the prior counts as some, and old ones fade.
    pub observations: f64,
    /// Not learned any further.
    pub frozen: bool,
}

impl LearnedView {
    pub fn new(figures: &[Figure]) -> LearnedView {
        let figures = figures.iter().map(|figure| FigureView {
            name: figure.name,
            value: rounded(figure.value),
            prior: rounded(figure.prior),
            observations: rounded(figure.observations),
            frozen: figure.frozen,
        });
        LearnedView {
            figures: figures.collect(),
        }
    }
}
