//! What comes next: pure functions of callback, rules and now.

use crate::callback::{Callback, Promise, PromiseState};
use crate::guard::{self, Facts};
use crate::outcome::Verdict;
use crate::planning;
use crate::state::State;
use crate::wire_time::{self, plus};
use jiff::Timestamp;
use ringback_scheduling::plan::Ended;
use ringback_scheduling::retry::{GiveUp, Kind, Retry};
use std::time::Duration;

/// What follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The customer was reached.
    Reached,
    /// Somebody cancelled while the call was being placed.
    Cancelled,
    /// Try the same contact again.
    Retry(Timestamp),
    /// Take up the next contact of the plan.
    NextContact(Timestamp),
    /// Back to the queue at once: the customer was never rung.
    Requeue,
    /// Tries and contacts are used up.
    Exhausted,
    /// The customer asks never to be called again.
    NeverAgain,
}

/// A fault of ours is looked at again soon, but not in a tight circle.
const AFTER_STOP: Duration = Duration::from_secs(5);

/// Decides what an attempt's end means. `tries` already counts it.
pub fn after_attempt(
    callback: &Callback,
    verdict: Verdict,
    facts: &Facts<'_>,
    now: Timestamp,
) -> Next {
    if verdict == Verdict::Reached {
        return Next::Reached;
    }
    if callback.stop.is_some() {
        return Next::Cancelled;
    }
    let kind = match verdict {
        Verdict::Reached => return Next::Reached,
        Verdict::DoNotCall => return Next::NeverAgain,
        Verdict::AgentFault => return Next::Requeue,
        Verdict::Stopped => return Next::Retry(plus(now, AFTER_STOP)),
        Verdict::Busy => Kind::Busy,
        Verdict::NoAnswer => Kind::NoAnswer,
        Verdict::Machine => Kind::Machine,
        Verdict::Invalid => Kind::Invalid,
        Verdict::Deferred => Kind::Deferred,
        Verdict::Declined => Kind::Declined,
        Verdict::RouteFault => Kind::RouteFault,
        Verdict::Unknown => Kind::Unknown,
    };
    let step = &callback.contacts[callback.current.min(callback.contacts.len() - 1)];
    let table = &facts.queue.rules().retry;
    // Total attempts are a promise not to pester: they bind across contacts too.
    let has_next =
        callback.current + 1 < callback.contacts.len() && callback.attempts < table.max_attempts;
    if verdict.counts()
        && has_next
        && step
            .after_failures
            .is_some_and(|after| step.failures >= after)
    {
        return Next::NextContact(now);
    }
    match table.next_try(
        kind,
        callback.tries.of(verdict),
        callback.attempts,
        now,
        callback.window.end,
        facts.jitter,
    ) {
        Retry::At(at) => {
            Next::Retry(planned_try(callback, verdict, kind, facts, now).unwrap_or(at))
        }
        Retry::GiveUp(_) if has_next => Next::NextContact(now),
        // The window's end is where it expires; a longer window given meanwhile still helps.
        Retry::GiveUp(GiveUp::WindowEnds) => Next::Retry(callback.window.end.unwrap_or(now)),
        Retry::GiveUp(GiveUp::Final | GiveUp::KindExhausted | GiveUp::AttemptsExhausted) => {
            Next::Exhausted
        }
    }
}

/// Where the queue has a staff plan, its planner knows the better moment: how often is still for the table to say,
/// when is not. Faults of ours are mended by the table alone.
fn planned_try(
    callback: &Callback,
    verdict: Verdict,
    kind: Kind,
    facts: &Facts<'_>,
    now: Timestamp,
) -> Option<Timestamp> {
    let ended = match kind {
        Kind::Busy => Ended::Busy,
        Kind::NoAnswer => Ended::NoAnswer,
        Kind::Machine => Ended::Machine,
        Kind::Deferred | Kind::RouteFault | Kind::Unknown | Kind::Declined | Kind::Invalid => {
            return None;
        }
    };
    let table = &facts.queue.rules().retry;
    let of_kind = (table.rule(kind).times + 1).saturating_sub(callback.tries.of(verdict));
    let in_all = table.max_attempts.saturating_sub(callback.attempts);
    planning::next_try(callback, facts, ended, of_kind.min(in_all), now)
}

/// The promise given for a request whose first allowed moment is `first`.
pub fn promise(first: Timestamp, end: Option<Timestamp>, facts: &Facts<'_>) -> Promise {
    let within = plus(first, facts.queue.rules().promise_within.as_duration());
    let to = end.map_or(within, |end| end.min(within));
    Promise::open(first, to)
}

/// The window told for a next try that is wanted at `at`: no sooner than the customer can hear of it, at a
/// moment when it may be dialled, and inside the customer's own window. `None` if nothing of that is left.
pub fn attention(
    callback: &Callback,
    at: Timestamp,
    facts: &Facts<'_>,
    now: Timestamp,
) -> Option<(Timestamp, Timestamp)> {
    let rules = facts.queue.rules();
    let end = callback.window.end;
    let wanted = at.max(plus(now, rules.notice.as_duration()));
    let (from, _) = guard::first_allowed(callback, facts, wanted, end).ok()?;
    let from = wire_time::truncate(from);
    let to = plus(from, rules.attention.as_duration());
    Some((from, end.map_or(to, |end| end.min(to))))
}

/// New times to offer when the window has ended: the next that queue and customer's clock allow, one after
/// the other, each as long as a promise of this queue.
pub fn new_times(
    callback: &Callback,
    facts: &Facts<'_>,
    now: Timestamp,
) -> Vec<(Timestamp, Timestamp)> {
    let rules = facts.queue.rules();
    let mut times = Vec::new();
    if guard::permanent(callback, facts).is_err() {
        return times;
    }
    let mut after = plus(now, rules.notice.as_duration());
    while times.len() < TIMES_OFFERED {
        let Ok((from, _)) = guard::first_allowed(callback, facts, after, None) else {
            break;
        };
        let from = wire_time::truncate(from);
        let to = plus(from, rules.promise_within.as_duration());
        times.push((from, to));
        after = to;
    }
    times
}

/// Few enough to be read out on a telephone.
const TIMES_OFFERED: usize = 3;

/// What becomes of an open promise when a counted attempt that began at `began` has ended, or the callback has.
pub fn judge_promise(promise: Promise, began: Option<Timestamp>, state: &State) -> PromiseState {
    if promise.state != PromiseState::Open {
        return promise.state;
    }
    if let Some(began) = began {
        return if began <= promise.to {
            PromiseState::Kept
        } else {
            PromiseState::Late
        };
    }
    match state {
        State::Cancelled { .. } | State::Replaced { .. } => PromiseState::Released,
        State::Done { .. }
        | State::Exhausted { .. }
        | State::Refused { .. }
        | State::Failed { .. }
        | State::Expired => PromiseState::Broken,
        State::Received
        | State::Scheduled { .. }
        | State::Queued { .. }
        | State::Transferred { .. }
        | State::Offered { .. }
        | State::Assigned { .. }
        | State::Dialling { .. }
        | State::Talking { .. }
        | State::WrapUp { .. } => PromiseState::Open,
    }
}

/// Which waiting callback goes to which seat: callbacks come in queue order, owners' callbacks look for
/// their owner first, and an agent who just passed on a callback is left alone with it for a while.
pub fn choose_agent<'a, A>(
    callback: &Callback,
    free: &'a [A],
    id_of: impl Fn(&A) -> i64,
) -> Option<&'a A> {
    if let State::Transferred { to, .. } = &callback.state {
        return free.iter().find(|agent| id_of(agent) == to.0);
    }
    let passed = |agent: &&A| {
        callback
            .passed_by
            .iter()
            .any(|passed| passed.agent.0 == id_of(agent))
    };
    if let Some(owner) = callback.interaction.owner
        && let Some(agent) = free
            .iter()
            .find(|agent| id_of(agent) == owner && !passed(agent))
    {
        return Some(agent);
    }
    free.iter().find(|agent| !passed(agent))
}
