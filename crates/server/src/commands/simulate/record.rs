//! What the store knows of a day: who asked for what, what each dial met, how long they talked; and what the weeks
//! before it teach.

use super::Setback;
use super::days::{Base, Calendar};
use jiff::{SignedDuration, Timestamp};
use ringback_callbacks::attempt::Attempt;
use ringback_callbacks::callback::{Callback, PromiseState};
use ringback_callbacks::contact::ResponseType;
use ringback_callbacks::ids::TenantId;
use ringback_callbacks::outcome::Verdict;
use ringback_callbacks::queue::Queue;
use ringback_callbacks::state::State;
use ringback_scheduling::Zone;
use ringback_scheduling::staffing::StaffPlan;
use ringback_simulate::recorded::{RecordedCallback, RecordedDial};
use ringback_simulate::{Kind, Outcome, Request, Second};
use ringback_store::{CallbackQuery, Store};
use serde::Serialize;

/// So far back is looked for what can be learned.
const TEACHING: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Callbacks read at most, the day itself first.
const MOST: usize = 20_000;
const PAGE: usize = 500;
/// A request to be called this soon after it was made asks for as soon as possible, seconds.
const AT_ONCE: i64 = 120;
/// Observations that the plan's own figure is worth.
const PRIOR: f64 = 20.0;

/// A callback with its attempts.
pub type Whole = (Callback, Vec<Attempt>);

/// Callbacks of a queue that wanted their call between two moments.
async fn wanted(
    store: &dyn Store,
    queue: &Queue,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Whole>, Setback> {
    let mut found = Vec::new();
    let mut query = CallbackQuery {
        tenant: TenantId::default(),
        queue: Some(queue.id.clone()),
        start_from: Some(from),
        start_before: Some(to),
        limit: PAGE,
        ..CallbackQuery::default()
    };
    loop {
        let page = store
            .callbacks(query.clone())
            .await
            .map_err(Setback::failed)?;
        for callback in page.items {
            let attempts = store
                .attempts(&query.tenant, callback.interaction.id)
                .await
                .map_err(Setback::failed)?;
            found.push((callback, attempts));
        }
        match page.next {
            Some(next) if found.len() < MOST => query.after = Some(next),
            _ => return Ok(found),
        }
    }
}

/// The callbacks of the day.
pub async fn of_day(
    store: &dyn Store,
    queue: &Queue,
    calendar: &Calendar,
) -> Result<Vec<Whole>, Setback> {
    wanted(store, queue, calendar.from, calendar.to).await
}

/// The callbacks of the two weeks before it.
pub async fn before(
    store: &dyn Store,
    queue: &Queue,
    calendar: &Calendar,
) -> Result<Vec<Whole>, Setback> {
    let from = calendar
        .from
        .saturating_sub(TEACHING)
        .map_err(Setback::failed)?;
    wanted(store, queue, from, calendar.from).await
}

/// What became of the day in fact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Callbacks by telephone that wanted their call on this day.
    pub callbacks: usize,
    /// Answered by e-mail: no telephone, no rehearsal.
    pub by_mail: usize,
    pub dials: usize,
    pub kept: usize,
    pub late: usize,
    pub broken: usize,
    /// Ended by the customer's own wish before the promise fell due.
    pub released: usize,
    /// Not decided yet.
    pub open: usize,
}

impl Tally {
    pub fn of(day: &[Whole]) -> Tally {
        let mut tally = Tally::default();
        for (callback, attempts) in day {
            if callback.response_type() == ResponseType::Email {
                tally.by_mail += 1;
                continue;
            }
            tally.callbacks += 1;
            tally.dials += dials(attempts).len();
            match callback.promise.state {
                PromiseState::Kept => tally.kept += 1,
                PromiseState::Late => tally.late += 1,
                PromiseState::Broken => tally.broken += 1,
                PromiseState::Released => tally.released += 1,
                PromiseState::Open => tally.open += 1,
            }
        }
        tally
    }
}

/// Figures that what happened teaches, with the plan's own as the prior.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Learned {
    /// Mean talk, seconds.
    pub talk: f64,
    /// Mean wrap-up, seconds.
    pub wrap: f64,
    /// Share of the first dials that are answered.
    pub reach: f64,
    /// Calls and first dials that taught it.
    pub talks: usize,
    pub first_dials: usize,
}

impl Learned {
    pub fn from(queue: &Queue, base: &Base, taught: &[&Whole]) -> Learned {
        let plan = base.plan.as_ref();
        let (mut talks, mut firsts, mut reached) = (Vec::new(), 0_usize, 0_usize);
        for (_, attempts) in taught {
            let dials = dials(attempts);
            talks.extend(dials.iter().filter_map(|dial| dial.talk));
            let first = dials
                .iter()
                .find_map(|dial| dial.outcome.filter(|outcome| *outcome != Outcome::Failed));
            firsts += usize::from(first.is_some());
            reached += usize::from(first == Some(Outcome::Answered));
        }
        let prior = plan.map_or(240.0, |plan| f64::from(plan.mean_talk().as_secs()));
        // One call that lasted for hours says little about the next.
        let sum: f64 = talks
            .iter()
            .map(|talk| (*talk as f64).min(6.0 * prior))
            .sum();
        let reach = plan.map_or(0.8, StaffPlan::reach);
        let wrap = plan.map_or(queue.rules.wrap_up.as_secs(), |plan| {
            plan.mean_wrap().as_secs()
        });
        Learned {
            talk: (prior * PRIOR + sum) / (PRIOR + talks.len() as f64),
            wrap: f64::from(wrap),
            reach: (reach * PRIOR + reached as f64) / (PRIOR + firsts as f64),
            talks: talks.len(),
            first_dials: firsts,
        }
    }
}

/// The callbacks by telephone, as a rehearsal wants them.
pub fn callbacks(day: &[Whole], calendar: &Calendar) -> Result<Vec<RecordedCallback>, Setback> {
    let mut recorded: Vec<RecordedCallback> = day
        .iter()
        .filter(|(callback, _)| callback.response_type() != ResponseType::Email)
        .map(|(callback, attempts)| {
            Ok(RecordedCallback {
                request: request(callback, calendar)?,
                cancelled: cancelled(callback),
                dials: dials(attempts),
            })
        })
        .collect::<Result<_, Setback>>()?;
    // Names say nothing of people, and the order of booking is the order of luck.
    recorded.sort_by(|a, b| (a.request.at, &a.request.id).cmp(&(b.request.at, &b.request.id)));
    Ok(recorded)
}

fn request(callback: &Callback, calendar: &Calendar) -> Result<Request, Setback> {
    let stated = callback.time_zone.as_deref();
    // A zone that no machine knows any more is as good as none.
    let zone = stated
        .and_then(|name| Zone::parse(name).ok())
        .unwrap_or_else(|| calendar.zone.clone());
    let window = &callback.window;
    let created = callback.interaction.created_at;
    let soon = window.start.as_second() - created.as_second() <= AT_ONCE;
    let kind = if soon && !window.end_given {
        Kind::Asap
    } else {
        Kind::Window
    };
    let (local_start, local_end) = if kind == Kind::Asap {
        (None, None)
    } else {
        let end = window.end.filter(|_| window.end_given);
        let end = end.unwrap_or(callback.promise.to).min(calendar.to);
        let shortest = window
            .start
            .saturating_add(SignedDuration::from_mins(5))
            .map_err(Setback::failed)?;
        let wall = |at: Timestamp| zone.tz().to_datetime(at);
        (Some(wall(window.start)), Some(wall(end.max(shortest))))
    };
    Ok(Request {
        id: callback.interaction.id.to_string().into(),
        at: created.as_second(),
        number: callback.contact().expose().into(),
        channel: String::new(),
        kind,
        tz: zone,
        local_start,
        local_end,
    })
}

/// When it ended because nobody wanted it any more.
fn cancelled(callback: &Callback) -> Option<Second> {
    let ended = match &callback.state {
        State::Cancelled { .. } | State::Replaced { .. } | State::Refused { .. } => {
            callback.interaction.ended_at
        }
        State::Received
        | State::Scheduled { .. }
        | State::Queued { .. }
        | State::Transferred { .. }
        | State::Offered { .. }
        | State::Assigned { .. }
        | State::Dialling { .. }
        | State::Talking { .. }
        | State::WrapUp { .. }
        | State::Done { .. }
        | State::Exhausted { .. }
        | State::Failed { .. }
        | State::Expired => None,
    };
    ended.map(Timestamp::as_second)
}

/// Dials at which the customer's phone was tried.
fn dials(attempts: &[Attempt]) -> Vec<RecordedDial> {
    attempts
        .iter()
        .filter_map(|attempt| {
            let outcome = match attempt.outcome.as_ref().map(|outcome| outcome.verdict) {
                Some(Verdict::Reached) => Some(Outcome::Answered),
                // Who refuses a call has the phone in hand, and no time.
                Some(Verdict::Busy | Verdict::Declined) => Some(Outcome::Busy),
                Some(Verdict::NoAnswer) => Some(Outcome::NoAnswer),
                Some(Verdict::Machine) => Some(Outcome::Machine),
                Some(Verdict::Invalid | Verdict::DoNotCall) => Some(Outcome::Invalid),
                Some(Verdict::RouteFault) => Some(Outcome::Failed),
                Some(Verdict::Unknown | Verdict::Deferred) | None => None,
                // The customer was not rung.
                Some(Verdict::AgentFault | Verdict::Stopped) => return None,
            };
            let talked = attempt.outcome.as_ref().and_then(|outcome| outcome.talk_ms);
            Some(RecordedDial {
                at: attempt.began_at.as_second(),
                outcome,
                talk: talked
                    .filter(|_| outcome == Some(Outcome::Answered))
                    .map(|ms| i64::try_from(ms / 1000).unwrap_or(i64::MAX).max(1)),
            })
        })
        .collect()
}
