//! A queue and its callbacks in the planner's terms: whole seconds, days from midnight to midnight on the queue's clock.
//!
//! The life cycle asks for the time of a retry with what stands here, and the clockwork feeds its desks with it: so
//! that both, and the simulator, plan by the same functions.

use crate::callback::{Callback, Window};
use crate::contact::Contact;
use crate::guard::{Facts, zones_for};
use crate::queue::QueueView;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use ringback_scheduling::plan::{
    Ask, Ended, Interval, LiveRules, Phone, Reach, RingTimes, Rules, Second, Steps, retry,
};
use ringback_scheduling::spans::{dialable_spans, open_spans};
use ringback_scheduling::staffing::{Capacity, StaffPlan};

/// A promise given at booking is no longer than this, so that it can be waited for, seconds.
const PROMISE_LONGEST: Second = 1800;

/// A callback is dialled on days up to this many ahead of now or of its window's beginning.
const DAYS_AHEAD: Second = 35;
const DAY: Second = 86_400;
/// Whose window begins within this of the booking wants to be called as soon as possible, seconds.
const ASAP: Second = 60;

/// A queue's staff plan, with what is worked out of it once.
#[derive(Clone, Debug)]
pub struct QueuePlan {
    pub staff: Box<StaffPlan>,
    pub zone: TimeZone,
    /// What holds on every day: gaps, tries, phones.
    pub rules: Rules,
    reach: Reach,
}

impl QueuePlan {
    /// `None` for a queue whose capacity is not a staff plan, or cannot be read.
    pub fn of(view: &QueueView) -> Option<QueuePlan> {
        let zone = view.hours.as_deref()?.zone();
        let capacity = view.rules().capacity.as_ref()?;
        let Ok(Capacity::Staff(staff)) = Capacity::parse(capacity, zone) else {
            return None;
        };
        let rules = rules(view, &staff, (0, 0));
        let reach = Reach::new(&rules.phone, rules.min_gap.max(rules.notice) + 1);
        Some(QueuePlan {
            staff,
            zone: zone.tz().clone(),
            rules,
            reach,
        })
    }
}

/// When to try again after a try that has just failed, where the queue has a staff plan. How often is for the retry
/// table to say: `left` is what it leaves, this next try counted.
pub fn next_try(
    callback: &Callback,
    facts: &Facts<'_>,
    ended: Ended,
    left: u32,
    now: Timestamp,
) -> Option<Timestamp> {
    let plan = facts.queue.plan()?;
    let whom = Whom {
        contact: Some(callback.contact()),
        zone: callback
            .time_zone
            .as_deref()
            .or(facts.customer.time_zone.as_deref()),
        any_hour: callback.any_hour,
    };
    let window = window_of(&callback.window);
    let booked_at = callback.interaction.created_at.as_second();
    let ask = ask(facts.queue, up(now), window, whom, booked_at);
    let tries = plan.rules.max_attempts.saturating_sub(left);
    let again = retry(&plan.reach, &ask, tries, up(now), ended, &plan.rules)?;
    Some(at(again.due))
}

/// The day of a moment: its midnight, and the next one.
pub fn day_of(zone: &TimeZone, moment: Second) -> Interval {
    let bounds = || -> Result<Interval, jiff::Error> {
        let start = at(moment).to_zoned(zone.clone()).start_of_day()?;
        let next = start.checked_add(1.day())?.start_of_day()?;
        Ok((start.timestamp().as_second(), next.timestamp().as_second()))
    };
    // Only moments at the edge of the calendar have no day.
    bounds().unwrap_or((moment, moment + 86_400))
}

pub fn at(second: Second) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

/// The first whole second at or after a moment.
pub fn up(moment: Timestamp) -> Second {
    let second = moment.as_second();
    if at(second) < moment {
        second + 1
    } else {
        second
    }
}

fn seconds(spans: Vec<(Timestamp, Timestamp)>) -> Vec<Interval> {
    spans
        .into_iter()
        .map(|(from, to)| (up(from), up(to)))
        .filter(|(from, to)| from < to)
        .collect()
}

/// What the planner has to know of one day.
pub fn rules(view: &QueueView, plan: &StaffPlan, (from, to): Interval) -> Rules {
    let open = view
        .hours
        .as_deref()
        .map_or_else(Vec::new, |hours| open_spans(hours, at(from), at(to)));
    let staff = plan.steps(at(from), at(to));
    let ring = RingTimes {
        no_answer: view.rules().ring_customer.as_secs() as f64,
        ..RingTimes::default()
    };
    let retry = &view.rules().retry;
    let gaps = [&retry.busy, &retry.no_answer, &retry.machine];
    Rules {
        open: seconds(open),
        staff: Steps::new(
            staff
                .into_iter()
                .map(|(from, agents)| (from.as_second(), f64::from(agents)))
                .collect(),
        ),
        live: plan.live().map(|live| LiveRules {
            forecast: Steps::new(
                plan.live_forecast(at(from), at(to))
                    .into_iter()
                    .map(|(from, calls)| (from.as_second(), calls))
                    .collect(),
            ),
            handling: live.handling.as_secs() as f64,
            target: live.target,
            within: live.within.as_secs() as Second,
            abandon: live.abandon,
        }),
        talk: plan.mean_talk().as_secs() as f64,
        wrap: plan.mean_wrap().as_secs() as f64,
        ring,
        phone: phone(plan.reach()),
        max_attempts: retry.max_attempts,
        min_gap: gaps
            .iter()
            .filter(|rule| rule.times > 0)
            .map(|rule| rule.after.as_secs() as Second)
            .min()
            .unwrap_or(0),
        attention: PROMISE_LONGEST,
        notice: view.rules().notice.as_secs() as Second,
    }
}

/// Phones of which no more is known than the share of tries that reach somebody: one in five of these answers only
/// because the call is expected, and one in five of the others is busy.
fn phone(reach: f64) -> Phone {
    let missed = 1.0 - reach;
    Phone::with_shares([0.8 * reach, 0.2 * reach, 0.2 * missed, 0.8 * missed])
}

/// Whom a request wants rung, and by whose clock.
#[derive(Clone, Copy, Debug)]
pub struct Whom<'a> {
    /// `None`: whoever it is, on the queue's own clock unless another was stated.
    pub contact: Option<&'a Contact>,
    /// The zone that was stated.
    pub zone: Option<&'a str>,
    /// The customer asked for that very hour.
    pub any_hour: bool,
}

/// The spans in which a customer may be dialled, by the hours of the queue and their own clock.
pub fn dialable(view: &QueueView, whom: Whom<'_>, from: Second, to: Second) -> Vec<Interval> {
    let Some(hours) = view.hours.as_deref() else {
        return Vec::new();
    };
    let rules = view.rules();
    let zones = zones_for(whom.zone, whom.contact, &rules.hours.time_zone);
    let (from, to) = (at(from), at(to));
    let invited = whom.any_hour.then_some((from, to));
    seconds(dialable_spans(
        hours,
        &rules.customer_hours,
        &zones,
        invited,
        from,
        to,
    ))
}

/// The window in whole seconds, both ends counted: at its end itself it is too late.
pub fn window_of(window: &Window) -> Interval {
    let from = up(window.start);
    let to = window.end.map_or(from + 366 * DAY, |end| up(end) - 1);
    (from, to)
}

/// What a request asks for, with the moments from `now` on at which a dial is right.
pub fn ask(
    view: &QueueView,
    now: Second,
    window: Interval,
    whom: Whom<'_>,
    booked_at: Second,
) -> Ask {
    let from = window.0.max(now);
    let to = window.1.min(from + DAYS_AHEAD * DAY);
    Ask {
        booked_at,
        window,
        dialable: dialable(view, whom, from, to.max(from) + 1),
        asap: window.0 <= booked_at + ASAP,
    }
}

/// What of a request falls into one day.
pub fn part_of(ask: &Ask, (from, to): Interval) -> Ask {
    Ask {
        window: (ask.window.0.max(from), ask.window.1.min(to - 1)),
        dialable: ask
            .dialable
            .iter()
            .map(|span| (span.0.max(from), span.1.min(to)))
            .filter(|span| span.0 < span.1)
            .collect(),
        ..ask.clone()
    }
}
