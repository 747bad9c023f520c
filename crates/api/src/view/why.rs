//! "Why not yet?": one answer put together from the state and what the guards say now.

use super::date;
use super::outlook::{BasisView, TimesView};
use jiff::Timestamp;
use ringback_callbacks::guard::{Guard, Held};
use ringback_callbacks::state::{DueReason, State};
use ringback_store::{Estimate, GuardAnswer};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a callback is not being dialled just now, and when it is expected to be.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Why)]
pub struct WhyView {
    /// Inner state.
    pub state: &'static str,
    /// Whether it waits for anything at all.
    pub waiting: bool,
    /// The guard that holds it: `not_yet`, `closed`, `customers_night`, `no_agent`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub guard: Option<&'static str>,
    /// The same in a sentence.
    pub sentence: String,
    /// Until when that guard holds, as far as is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub until: Option<String>,
    /// When the next attempt is expected, as far as is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub expected_attempt_at: Option<String>,
    /// Where the queue has a staff plan: the interval in which the planner expects the next attempt; absent if it is
    /// not expected in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub expected_attempt: Option<TimesView>,
    /// What that rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rests_on: Option<BasisView>,
    /// Callbacks of the queue that come before it.
    pub ahead: u64,
    /// Agents or places of the queue that are free just now.
    pub free_seats: u64,
}

impl WhyView {
    /// Adds what the planner expects.
    pub fn expect(&mut self, estimate: &Estimate) {
        self.expected_attempt = estimate.interval.as_ref().map(TimesView::of);
        self.rests_on = Some(BasisView::new(&estimate.basis));
    }
}

pub fn why(answer: &GuardAnswer, now: Timestamp) -> WhyView {
    let state = &answer.callback.state;
    let say = |waiting,
               guard: Option<Guard>,
               sentence: &str,
               until: Option<Timestamp>,
               expected: Option<Timestamp>| WhyView {
        state: state.name(),
        waiting,
        guard: guard.map(Guard::name),
        sentence: sentence.to_owned(),
        until: until.map(date),
        expected_attempt_at: expected.map(date),
        expected_attempt: None,
        rests_on: None,
        ahead: answer.ahead,
        free_seats: answer.free_seats,
    };
    match state {
        State::Scheduled { due, reason } if *due > now => {
            // A guard seen now that holds longer than the timer is the better answer.
            if let Some(Held::Until(guard, until)) = answer.held
                && until > *due
            {
                return say(
                    true,
                    Some(guard),
                    guard.sentence(),
                    Some(until),
                    Some(until),
                );
            }
            let (guard, sentence) = match reason {
                DueReason::Held(guard) => (*guard, guard.sentence()),
                DueReason::Booked => (Guard::NotYet, "Its time has not come."),
                DueReason::Retry => (Guard::NotYet, "It waits before the next try."),
                DueReason::Snoozed => (Guard::NotYet, "It was put off until then."),
            };
            say(true, Some(guard), sentence, Some(*due), Some(*due))
        }
        State::Received
        | State::Scheduled { .. }
        | State::Queued { .. }
        | State::Transferred { .. } => match answer.held {
            Some(Held::Until(guard, until)) => say(
                true,
                Some(guard),
                guard.sentence(),
                Some(until),
                Some(until),
            ),
            Some(Held::ForGood(guard)) => say(true, Some(guard), guard.sentence(), None, None),
            None if answer.free_seats == 0 => say(
                true,
                Some(Guard::NoAgent),
                Guard::NoAgent.sentence(),
                None,
                None,
            ),
            None if answer.ahead >= answer.free_seats => say(
                true,
                Some(Guard::NoAgent),
                "Others in the queue come first.",
                None,
                None,
            ),
            None => say(true, None, "Nothing holds it: it is next.", None, Some(now)),
        },
        State::Offered { .. } => say(false, None, "It is being offered to an agent.", None, None),
        State::Assigned { .. } => say(
            false,
            None,
            "It has been taken and is about to be dialled.",
            None,
            Some(now),
        ),
        State::Dialling { .. } => say(false, None, "A call is being placed.", None, None),
        State::Talking { .. } => say(false, None, "The customer is being talked to.", None, None),
        State::WrapUp { .. } => say(
            false,
            None,
            "The customer was reached; the agent is wrapping up.",
            None,
            None,
        ),
        State::Done { .. } => say(
            false,
            None,
            "It has ended: the customer was reached.",
            None,
            None,
        ),
        State::Cancelled { .. } => say(false, None, "It has ended: it was cancelled.", None, None),
        State::Exhausted { .. } => say(
            false,
            None,
            "It has ended: tries and contacts are used up.",
            None,
            None,
        ),
        State::Refused { guard } => say(
            false,
            Some(*guard),
            &format!("It has ended. {}", guard.sentence()),
            None,
            None,
        ),
        State::Failed { .. } => say(
            false,
            None,
            "It has ended: a technical fault that no retry mends.",
            None,
            None,
        ),
        State::Replaced { .. } => say(
            false,
            None,
            "It has ended: another callback took its place.",
            None,
            None,
        ),
        State::Expired => say(false, None, "It has ended: its window passed.", None, None),
    }
}
