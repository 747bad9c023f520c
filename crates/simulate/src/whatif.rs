//! What if there were more agents, another plan, more demand: the same day with and without the change.

use serde::Serialize;

use crate::chance::Chance;
use crate::habits::{Habits, Known};
use crate::measure::{Figures, gates};
use crate::resolve::{ResolveError, Windows};
use crate::scenario::{Booking, Happening, Request, Scenario, Second};

/// What is changed of a day.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    pub staff: Option<Staff>,
    /// Callbacks asked for, as a multiple of the day's own.
    pub demand: Option<f64>,
}

/// Other agents than were planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Staff {
    /// So many whenever the plan has anybody.
    Flat(u32),
    /// From each moment on so many.
    Steps(Vec<(Second, u32)>),
}

/// More than this is a slip of the keyboard.
pub const MOST_DEMAND: f64 = 20.0;
/// A copy of a request is made so much earlier or later at most, seconds.
const APART: Second = 600;

impl Change {
    /// Whether it changes nothing.
    pub fn is_none(&self) -> bool {
        *self == Change::default()
    }

    /// The day with the change. Customers keep their luck; those who come on top have luck of their own.
    pub fn apply(
        &self,
        scenario: &Scenario,
        habits: &Habits,
        seed: u64,
    ) -> Result<Scenario, ResolveError> {
        let mut changed = scenario.clone();
        if let Some(staff) = &self.staff {
            changed.header.agents_plan = staff.instead_of(&scenario.header.agents_plan);
            changed
                .happenings
                .retain(|(_, happening)| !matches!(happening, Happening::Agents(_)));
            changed.staff();
        }
        if let Some(factor) = self.demand {
            changed = demanded(changed, factor, habits, seed)?;
        }
        changed.in_order();
        Ok(changed)
    }
}

impl Staff {
    fn instead_of(&self, plan: &[(Second, u32)]) -> Vec<(Second, u32)> {
        let mut steps: Vec<(Second, u32)> = match self {
            Staff::Flat(n) => plan
                .iter()
                .map(|(at, planned)| (*at, if *planned > 0 { *n } else { 0 }))
                .collect(),
            Staff::Steps(steps) => steps.clone(),
        };
        steps.sort_by_key(|step| step.0);
        steps.dedup_by_key(|step| step.1);
        steps
    }
}

/// The same day with `factor` times the requests. Which ones come on top, or stay away, is chance.
fn demanded(
    scenario: Scenario,
    factor: f64,
    habits: &Habits,
    seed: u64,
) -> Result<Scenario, ResolveError> {
    let factor = factor.clamp(0.0, MOST_DEMAND);
    let mut windows = Windows::new(&scenario.header)?;
    let mut other = Scenario {
        header: scenario.header,
        bookings: Vec::new(),
        calls: scenario.calls,
        happenings: Vec::new(),
    };
    other.happenings = scenario
        .happenings
        .into_iter()
        .filter(|(_, happening)| match happening {
            Happening::Agents(_) | Happening::Inbound(_) => true,
            Happening::Request(_) | Happening::Cancel(_) => false,
        })
        .collect();
    let mut left_out = std::collections::HashSet::new();
    for (place, booking) in scenario.bookings.into_iter().enumerate() {
        let mut chance = Chance::of(seed, "demand", place as u64);
        // Who asks twice stays or goes with their first request, and is not copied again.
        if let Some(first) = &booking.truth.duplicate_of {
            if !left_out.contains(first) {
                other.add(booking);
            }
            continue;
        }
        let mut times = factor.floor() as u64;
        times += u64::from(chance.happens(factor.fract()));
        for copy in 1..times {
            let number = copy * 1_000_000 + place as u64;
            if let Some(copied) = copied(&booking, &mut windows, habits, seed, number)? {
                other.add(copied);
            }
        }
        if times == 0 {
            left_out.insert(booking.request.id.clone());
        } else {
            other.add(booking);
        }
    }
    Ok(other)
}

/// Somebody who wishes the same at about the same time; nothing if that leaves no moment for a call.
fn copied(
    booking: &Booking,
    windows: &mut Windows,
    habits: &Habits,
    seed: u64,
    number: u64,
) -> Result<Option<Booking>, ResolveError> {
    let mut chance = Chance::of(seed, "copy", number);
    let mut at = booking.request.at + chance.whole(-APART, APART);
    if booking.request.local_start.is_some() {
        at = at.min(booking.truth.start - 60);
    }
    let request = Request {
        id: format!("{}+{number}", booking.request.id).into(),
        at,
        number: format!("{}+{number}", booking.request.number).into(),
        ..booking.request.clone()
    };
    let resolved = windows.of(&request)?;
    if resolved.dialable.is_empty() {
        return Ok(None);
    }
    let truth = habits.truth(&Known::only(&request, &resolved), seed, number);
    let cancel = habits.cancelled(request.at, resolved.end, seed, number);
    Ok(Some(Booking {
        request,
        truth,
        cancel,
    }))
}

/// What came of a day, in a supervisor's words; means over several rehearsals. Shares are of 1, times in minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Outlook {
    /// Requests that count: asked once, not taken back.
    pub requests: f64,
    /// Share of the customers who could be reached at all that were connected inside their window.
    pub kept: f64,
    /// Share of the same that were also first dialled inside the promise they were given.
    pub told: f64,
    /// Share of the requests promised and not dialled inside their window.
    pub broken: f64,
    /// Share of the requests to which the honest answer was no.
    pub declined: f64,
    /// As soon as possible: minutes to the first dial.
    pub wait_mean: f64,
    pub wait_p90: f64,
    /// Share of the live calls answered in time; nothing without live calls.
    pub live_in_time: Option<f64>,
    /// Share of the live calls that gave up.
    pub live_given_up: Option<f64>,
    /// Share of the agents' time in calls.
    pub busy: f64,
    /// Share of the rehearsals in which the live calls had what they are to have.
    pub live_targets_met: f64,
}

impl Outlook {
    /// The mean of some rehearsals of a day.
    pub fn of(rehearsals: &[(Scenario, Figures)]) -> Outlook {
        let mean = |value: fn(&Figures) -> f64| {
            let sum: f64 = rehearsals.iter().map(|(_, figures)| value(figures)).sum();
            // A sum of nothing is −0; nobody wants to read that.
            sum / rehearsals.len().max(1) as f64 + 0.0
        };
        let live = rehearsals.iter().any(|(day, _)| !day.calls.is_empty());
        let met = rehearsals.iter().filter(|(day, figures)| {
            let gates = gates(day, figures);
            day.calls.is_empty() || (gates.inbound && gates.abandon)
        });
        Outlook {
            requests: mean(|figures| figures.requests as f64),
            kept: mean(|figures| figures.kept),
            told: mean(|figures| figures.kept_as_told),
            broken: mean(|figures| figures.broken),
            declined: mean(|figures| figures.declined),
            wait_mean: mean(|figures| figures.asap_wait_mean),
            wait_p90: mean(|figures| figures.asap_wait_p90),
            live_in_time: live.then(|| mean(|figures| figures.inbound_sl)),
            live_given_up: live.then(|| mean(|figures| figures.abandon)),
            busy: mean(|figures| figures.busy),
            live_targets_met: met.count() as f64 / rehearsals.len().max(1) as f64,
        }
    }

    /// By how much this is more than another.
    pub fn minus(&self, other: &Outlook) -> Outlook {
        let both = |one: Option<f64>, other: Option<f64>| one.zip(other).map(|(a, b)| a - b);
        Outlook {
            requests: self.requests - other.requests,
            kept: self.kept - other.kept,
            told: self.told - other.told,
            broken: self.broken - other.broken,
            declined: self.declined - other.declined,
            wait_mean: self.wait_mean - other.wait_mean,
            wait_p90: self.wait_p90 - other.wait_p90,
            live_in_time: both(self.live_in_time, other.live_in_time),
            live_given_up: both(self.live_given_up, other.live_given_up),
            busy: self.busy - other.busy,
            live_targets_met: self.live_targets_met - other.live_targets_met,
        }
    }
}
