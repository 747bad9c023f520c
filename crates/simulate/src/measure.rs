//! Judges a day: was the word kept, at what price, and was any rule broken.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::scenario::{Booking, Id, Kind, Phone, Scenario, Second};
use crate::server::{Answer, Outcome};
use crate::world::{Attempt, Day, Followed, Rule};

/// A callback that is never dialled counts as dialled this long after its window, seconds.
const NEVER: Second = 3600;

/// Factor of the Winkler score at 90 %: each minute by which a promise is missed costs 2 / 0.1.
const MISS: f64 = 20.0;

/// A group of fewer requests says nothing by itself.
const GROUP: usize = 10;

/// The figures of one day.
///
/// Requests that count are no duplicates and are not cancelled before the end of their window; one
/// is reachable if there is a second of its window in which it may be dialled and the customer would
/// pick up. Neither depends on the server. Shares are of 1, times in minutes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Requests that count.
    pub requests: usize,
    pub reachable: usize,
    /// Share of the reachable connected inside the customer's window.
    pub kept: f64,
    /// Of these, also first dialled inside the promise given at booking.
    pub kept_as_told: f64,
    /// Share of the requests first dialled inside the window.
    pub first_in_window: f64,
    /// Share of the requests that got no promise.
    pub declined: f64,
    /// Share of the requests that were accepted and not first dialled inside the window.
    pub broken: f64,
    /// Share of the accepted first dialled inside the promise given at booking.
    pub promise_hit: f64,
    /// Length of the promise, minutes.
    pub width_min: f64,
    /// Distance of the first dial from the middle of the promise, minutes.
    pub mae_min: f64,
    /// 90th percentile of the lateness, minutes.
    pub late_p90_min: f64,
    /// Length of the promise plus 20 times the distance by which it was missed, minutes.
    pub interval_score: f64,
    /// As soon as possible: minutes to the first dial.
    pub asap_wait_mean: f64,
    pub asap_wait_p90: f64,
    /// Dials per connection.
    pub attempts_per_conn: f64,
    /// Share of the agents' time spent on dials that failed.
    pub wasted_share: f64,
    /// Share of the live calls answered within the target's seconds.
    pub inbound_sl: f64,
    /// Share of the live calls given up.
    pub abandon: f64,
    /// Share of the agents' time idle while an accepted request stood in its window undialled.
    pub idle_while_due: f64,
    /// Share of the agents' time in calls.
    pub busy: f64,
    /// The lowest `kept` of the groups that have at least ten members.
    pub worst_group: Option<f64>,
    /// `kept` of the as-soon-as-possible and of windows by their length in minutes.
    pub groups: BTreeMap<String, f64>,
    /// Promises moved after the booking.
    pub repromises: usize,
    pub violations: usize,
    pub double_calls: usize,
    pub rules_broken: BTreeMap<String, usize>,
}

/// What a run must satisfy before its figures count: otherwise they were bought with somebody
/// else's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gates {
    pub rules: bool,
    pub inbound: bool,
    pub abandon: bool,
}

impl Gates {
    pub fn passed(self) -> bool {
        self.rules && self.inbound && self.abandon
    }
}

/// The gates of a day of which the figures are known.
pub fn gates(scenario: &Scenario, figures: &Figures) -> Gates {
    let header = &scenario.header;
    Gates {
        rules: figures.violations == 0,
        inbound: figures.inbound_sl >= header.sl_target - 0.005,
        abandon: figures.abandon <= header.abandon_target + 0.005,
    }
}

/// A request that counts, with what became of it.
#[derive(Clone, Copy)]
struct Case<'d> {
    booking: &'d Booking,
    followed: &'d Followed,
    reachable: bool,
    connected_in_window: bool,
}

impl<'d> Case<'d> {
    fn first(&self) -> Option<&'d Attempt> {
        self.followed.attempts.first()
    }

    /// The promise given at booking.
    fn promise(&self) -> Option<(Second, Second)> {
        match self.followed.answer {
            Some(Answer::Accepted { start, end }) => Some((start, end)),
            _ => None,
        }
    }

    fn in_window(&self, moment: Second) -> bool {
        let truth = &self.booking.truth;
        (truth.start..=truth.end).contains(&moment)
    }
}

/// Judges what came of a scenario.
pub fn measure(scenario: &Scenario, day: &Day) -> Figures {
    let cases: Vec<Case<'_>> = cases(scenario, day);
    let accepted: Vec<Case<'_>> = cases
        .iter()
        .copied()
        .filter(|case| case.promise().is_some())
        .collect();
    let reachable: Vec<Case<'_>> = cases
        .iter()
        .copied()
        .filter(|case| case.reachable)
        .collect();
    let told = Told::of(&accepted);
    let first_in_window = cases
        .iter()
        .filter(|case| case.first().is_some_and(|first| case.in_window(first.at)))
        .count();
    let kept = reachable.iter().filter(|case| case.connected_in_window);
    let kept_as_told = kept.clone().filter(|case| {
        case.promise()
            .zip(case.first())
            .is_some_and(|((start, end), first)| start <= first.at && first.at <= end)
    });
    let groups = groups(&reachable);

    let attempts = || day.requests.iter().flat_map(|request| &request.attempts);
    let failed = || attempts().filter(|attempt| attempt.outcome != Outcome::Answered);
    let answered = attempts().count() - failed().count();
    let wasted: Second = failed().map(|attempt| attempt.freed - attempt.at).sum();
    let busy: Second = day.busy.iter().map(|busy| busy.to - busy.from).sum();
    let capacity: Second = day
        .staff
        .windows(2)
        .map(|pair| Second::from(pair[0].1) * (pair[1].0 - pair[0].0))
        .sum();
    let of_capacity = |seconds: Second| seconds as f64 / capacity.max(1) as f64;

    let in_time = day
        .calls
        .iter()
        .zip(&scenario.calls)
        .filter(|(end, call)| {
            end.answered
                .is_some_and(|at| at - call.at <= scenario.header.sl_seconds)
        })
        .count();
    let given_up = day.calls.iter().filter(|end| end.abandoned.is_some());
    let rules_broken = rules_broken(day);

    Figures {
        requests: cases.len(),
        reachable: reachable.len(),
        kept: share(kept.count(), reachable.len()),
        kept_as_told: share(kept_as_told.count(), reachable.len()),
        first_in_window: share(first_in_window, cases.len()),
        declined: share(cases.len() - accepted.len(), cases.len()),
        broken: share(told.broken, cases.len()),
        promise_hit: share(told.hit, accepted.len()),
        width_min: mean(&told.width),
        mae_min: mean(&told.off),
        late_p90_min: quantile(&told.late, 0.9).unwrap_or(0.0),
        interval_score: mean(&told.score),
        asap_wait_mean: mean(&told.asap_wait),
        asap_wait_p90: quantile(&told.asap_wait, 0.9).unwrap_or(0.0),
        attempts_per_conn: share(attempts().count(), answered),
        wasted_share: of_capacity(wasted),
        inbound_sl: share(in_time, day.calls.len()),
        abandon: share(given_up.count(), day.calls.len()),
        idle_while_due: of_capacity(idle_while_due(&accepted, day)),
        busy: of_capacity(busy),
        worst_group: groups
            .values()
            .filter(|(_, all)| *all >= GROUP)
            .map(|(kept, all)| share(*kept, *all))
            .min_by(f64::total_cmp),
        groups: groups
            .iter()
            .map(|(name, (kept, all))| ((*name).to_owned(), share(*kept, *all)))
            .collect(),
        repromises: day.moves,
        violations: rules_broken.values().sum(),
        double_calls: rules_broken.get(&Rule::DoubleCall).copied().unwrap_or(0),
        rules_broken: rules_broken
            .into_iter()
            .map(|(rule, count)| (rule.name().to_owned(), count))
            .collect(),
    }
}

fn cases<'d>(scenario: &'d Scenario, day: &'d Day) -> Vec<Case<'d>> {
    scenario
        .bookings
        .iter()
        .zip(&day.requests)
        .filter(|(booking, _)| counts(booking))
        .map(|(booking, followed)| {
            let mut case = Case {
                booking,
                followed,
                reachable: reachable(booking),
                connected_in_window: false,
            };
            case.connected_in_window = followed
                .attempts
                .iter()
                .any(|attempt| attempt.outcome == Outcome::Answered && case.in_window(attempt.at));
            case
        })
        .collect()
}

fn counts(booking: &Booking) -> bool {
    let truth = &booking.truth;
    truth.duplicate_of.is_none() && booking.cancel.is_none_or(|at| at > truth.end)
}

/// Could this customer have been reached inside the window at all?
fn reachable(booking: &Booking) -> bool {
    let truth = &booking.truth;
    truth.states.iter().any(|(from, to, phone)| {
        let from = (*from).max(truth.start).max(booking.request.at);
        let to = (*to).min(truth.end + 1);
        matches!(phone, Phone::Answer | Phone::IfPromised)
            && from < to
            && truth
                .dialable
                .iter()
                .any(|span| from.max(span.0) < to.min(span.1))
    })
}

/// How the accepted were served, measured by what they were told at booking.
#[derive(Default)]
struct Told {
    broken: usize,
    hit: usize,
    width: Vec<f64>,
    score: Vec<f64>,
    off: Vec<f64>,
    late: Vec<f64>,
    asap_wait: Vec<f64>,
}

impl Told {
    fn of(accepted: &[Case<'_>]) -> Told {
        let mut told = Told::default();
        for case in accepted {
            let Some((start, end)) = case.promise() else {
                continue;
            };
            let truth = &case.booking.truth;
            let never = truth.end + NEVER;
            let dialled = case.first().map_or(never, |first| first.at).min(never);
            told.broken += usize::from(!case.in_window(dialled));
            told.hit += usize::from(start <= dialled && dialled <= end);
            let width = minutes(end - start);
            let miss = (start - dialled).max(dialled - end).max(0);
            told.width.push(width);
            told.score.push(width + MISS * minutes(miss));
            // Twice the distance is a whole number.
            told.off
                .push(minutes((2 * dialled - start - end).abs()) / 2.0);
            told.late.push(minutes((dialled - end).max(0)));
            if case.booking.request.kind == Kind::Asap {
                let opens = truth.dialable.first().map_or(never, |span| span.0);
                let from = opens.max(case.booking.request.at);
                told.asap_wait.push(minutes(dialled - from));
            }
        }
        told
    }
}

/// By group: how many of the reachable were kept, and how many there are.
fn groups(reachable: &[Case<'_>]) -> BTreeMap<&'static str, (usize, usize)> {
    let mut groups: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
    for case in reachable {
        let truth = &case.booking.truth;
        let name = match (case.booking.request.kind, truth.end - truth.start) {
            (Kind::Asap, _) => "asap",
            (_, ..=900) => "<=15",
            (_, ..=1800) => "<=30",
            (_, ..=3600) => "<=60",
            _ => ">60",
        };
        let group = groups.entry(name).or_default();
        group.0 += usize::from(case.connected_in_window);
        group.1 += 1;
    }
    groups
}

fn rules_broken(day: &Day) -> BTreeMap<Rule, usize> {
    let mut broken: BTreeMap<Rule, usize> = BTreeMap::new();
    for (_, _, rule) in &day.violations {
        *broken.entry(*rule).or_default() += 1;
    }
    for (_, _, rule) in check_capacity(day) {
        *broken.entry(rule).or_default() += 1;
    }
    broken
}

/// Independent of the world's own bookkeeping: no agent in two calls, and no call begun by an agent
/// who is not on shift.
pub fn check_capacity(day: &Day) -> Vec<(Second, Id, Rule)> {
    let mut bad = Vec::new();
    let mut by_agent: HashMap<usize, Vec<(Second, Second, &Id)>> = HashMap::new();
    for busy in &day.busy {
        let after = day.staff.partition_point(|step| step.0 <= busy.from);
        let on_shift = after.checked_sub(1).map_or(0, |index| day.staff[index].1);
        if busy.agent >= on_shift as usize {
            bad.push((busy.from, busy.id.clone(), Rule::AgentNotOnShift));
        }
        by_agent
            .entry(busy.agent)
            .or_default()
            .push((busy.from, busy.to, &busy.id));
    }
    for calls in by_agent.values_mut() {
        calls.sort_unstable();
        for pair in calls.windows(2) {
            if pair[1].0 < pair[0].1 {
                bad.push((pair[1].0, pair[1].2.clone(), Rule::AgentInTwoCalls));
            }
        }
    }
    bad.sort_unstable();
    bad
}

/// Agent seconds idle while an accepted request stood in its window, not yet dialled.
fn idle_while_due(accepted: &[Case<'_>], day: &Day) -> Second {
    enum Change {
        Due(i64),
        Staff(i64),
        Busy(i64),
    }
    let mut changes: Vec<(Second, Change)> = Vec::new();
    for case in accepted {
        let truth = &case.booking.truth;
        let cancelled = case.followed.cancelled.unwrap_or(Second::MAX);
        let stop = case
            .first()
            .map_or(truth.end, |first| first.at)
            .min(truth.end)
            .min(cancelled);
        let from = case.booking.request.at.max(truth.start);
        for span in &truth.dialable {
            let (begins, ends) = (from.max(span.0), stop.min(span.1));
            if begins < ends {
                changes.push((begins, Change::Due(1)));
                changes.push((ends, Change::Due(-1)));
            }
        }
    }
    for (at, n) in &day.staff {
        changes.push((*at, Change::Staff(i64::from(*n))));
    }
    for busy in &day.busy {
        changes.push((busy.from, Change::Busy(1)));
        changes.push((busy.to, Change::Busy(-1)));
    }
    changes.sort_by_key(|change| change.0);
    let (mut due, mut staff, mut busy) = (0, 0, 0);
    let (mut total, mut last) = (0, None);
    for (at, change) in changes {
        if let Some(last) = last {
            total += (at - last) * due.min(staff - busy).max(0);
        }
        last = Some(at);
        match change {
            Change::Due(by) => due += by,
            Change::Staff(n) => staff = n,
            Change::Busy(by) => busy += by,
        }
    }
    total
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn minutes(seconds: Second) -> f64 {
    seconds as f64 / 60.0
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The quantile, linear between neighbours; nothing of nothing.
fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let place = share * last as f64;
    let below = place as usize;
    let above = (below + 1).min(last);
    Some(values[below] + (values[above] - values[below]) * (place - below as f64))
}
