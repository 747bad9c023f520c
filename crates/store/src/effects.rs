//! What a step means for the rows beside the callback, worked out once for both twins.

use crate::Then;
use jiff::{SignedDuration, Timestamp};
use ringback_callbacks::callback::{Callback, Window};
use ringback_callbacks::contact::Contact;
use ringback_callbacks::ids::{AgentId, AttemptId, QueueId};
use ringback_callbacks::interaction::Interaction;
use ringback_callbacks::lifecycle::{self, AttemptChange, Command, Step};
use ringback_callbacks::queue::QueueView;
use ringback_callbacks::state::{State, Target};
use ringback_callbacks::wire_time::plus;
use serde_json::Value;

/// What happens to agents' hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Hands {
    pub freed: Option<AgentId>,
    pub filled: Option<AgentId>,
}

impl Hands {
    pub fn between(before: Option<&State>, after: &State) -> Hands {
        let had = before.and_then(State::engages);
        let has = after.engages();
        if had == has {
            Hands::default()
        } else {
            Hands {
                freed: had,
                filled: has,
            }
        }
    }
}

/// Whether a decision changed anything that is worth a new revision.
pub(crate) fn is_change(before: &Callback, step: &Step) -> bool {
    !step.events.is_empty()
        || step.attempt.is_some()
        || step.away.is_some()
        || step.after != *before
}

/// The queue whose facts a command needs: a transfer is decided by the rules of where it goes.
pub(crate) fn deciding_queue<'a>(
    callback: &'a Callback,
    command: &'a Command,
) -> &'a ringback_callbacks::ids::QueueId {
    match command {
        Command::TransferToQueue { queue } => queue,
        Command::Tick
        | Command::Assign { .. }
        | Command::AcceptOffer { .. }
        | Command::DeclineOffer { .. }
        | Command::OfferTimedOut { .. }
        | Command::Release { .. }
        | Command::WriteReply { .. }
        | Command::BeginAttempt { .. }
        | Command::Progress { .. }
        | Command::Settle { .. }
        | Command::TakeOver { .. }
        | Command::Rescue { .. }
        | Command::Dispose { .. }
        | Command::Cancel { .. }
        | Command::Reschedule { .. }
        | Command::ResolveAgain
        | Command::Snooze { .. }
        | Command::TransferToAgent { .. }
        | Command::Change(_)
        | Command::StoreBody { .. }
        | Command::Replace { .. }
        | Command::Merge { .. }
        | Command::WatchPromise { .. }
        | Command::Fail { .. } => &callback.queue,
    }
}

/// The queue and the attempt that a command names besides what its callback says.
pub(crate) fn named(command: &Command) -> (Option<&QueueId>, Option<AttemptId>) {
    match command {
        Command::TransferToQueue { queue } => (Some(queue), None),
        Command::Progress { attempt, .. } | Command::Settle { attempt, .. } => {
            (None, Some(*attempt))
        }
        Command::Tick
        | Command::Assign { .. }
        | Command::AcceptOffer { .. }
        | Command::DeclineOffer { .. }
        | Command::OfferTimedOut { .. }
        | Command::Release { .. }
        | Command::WriteReply { .. }
        | Command::BeginAttempt { .. }
        | Command::TakeOver { .. }
        | Command::Rescue { .. }
        | Command::Dispose { .. }
        | Command::Cancel { .. }
        | Command::Reschedule { .. }
        | Command::ResolveAgain
        | Command::Snooze { .. }
        | Command::TransferToAgent { .. }
        | Command::Change(_)
        | Command::StoreBody { .. }
        | Command::Replace { .. }
        | Command::Merge { .. }
        | Command::WatchPromise { .. }
        | Command::Fail { .. } => (None, None),
    }
}

/// As far as new rules of local time can move a window: a day, where a country changes sides of the date line,
/// and what daylight saving adds.
const CLOCKS_MOVE: SignedDuration = SignedDuration::from_hours(26);

/// The stretch in which a command may take a place in a slot.
pub(crate) fn wanted(
    callback: &Callback,
    command: &Command,
    queue: &QueueView,
    now: Timestamp,
) -> Option<(Timestamp, Timestamp)> {
    let within = queue.rules().promise_within.as_duration();
    let window = match command {
        Command::Reschedule { start, end, .. } => Window {
            start: *start,
            end: *end,
            end_given: end.is_some(),
        },
        Command::Change(changes) if changes.moves_the_call() => Window {
            start: changes.start.unwrap_or(callback.window.start),
            end: changes.end.unwrap_or(callback.window.end),
            end_given: changes
                .end
                .map_or(callback.window.end_given, |end| end.is_some()),
        },
        Command::Snooze { until } => {
            let end = callback.window.end.filter(|_| callback.window.end_given);
            return Some((*until, end.unwrap_or_else(|| plus(*until, within))));
        }
        // Where the window will be is decided later; no country has ever moved its clocks by more.
        Command::ResolveAgain if callback.local.is_some() => {
            let (from, to) = lifecycle::wanted(&callback.window, within, now)?;
            let earlier = from.checked_sub(CLOCKS_MOVE).unwrap_or(from);
            return Some((earlier, to.checked_add(CLOCKS_MOVE).unwrap_or(to)));
        }
        Command::ResolveAgain
        | Command::Change(_)
        | Command::TransferToQueue { .. }
        | Command::Tick
        | Command::Assign { .. }
        | Command::AcceptOffer { .. }
        | Command::DeclineOffer { .. }
        | Command::OfferTimedOut { .. }
        | Command::Release { .. }
        | Command::WriteReply { .. }
        | Command::BeginAttempt { .. }
        | Command::Progress { .. }
        | Command::Settle { .. }
        | Command::TakeOver { .. }
        | Command::Rescue { .. }
        | Command::Dispose { .. }
        | Command::Cancel { .. }
        | Command::TransferToAgent { .. }
        | Command::StoreBody { .. }
        | Command::Merge { .. }
        | Command::Replace { .. }
        | Command::WatchPromise { .. }
        | Command::Fail { .. } => return None,
    };
    lifecycle::wanted(&window, within, now)
}

/// A place in a slot: of which queue, and when the slot begins. Callbacks that have ended have none.
pub(crate) fn place(callback: &Callback) -> Option<(&QueueId, Timestamp)> {
    let slot = callback.slot.filter(|_| !callback.state.is_ended())?;
    Some((&callback.queue, slot.start))
}

/// By which edition of the rules of local time the instants of a window were found that may have to be found again.
pub(crate) fn local_edition(callback: &Callback) -> Option<&str> {
    let local = callback.local.as_ref();
    local
        .filter(|_| !callback.state.is_ended())
        .map(|local| local.edition.as_str())
}

/// Whether the contact tried next is an e-mail address.
pub(crate) fn by_mail(callback: &Callback) -> bool {
    match callback.contact() {
        Contact::Email(_) => true,
        Contact::Phone(_) | Contact::Voip(_) => false,
    }
}

/// What the state says that has a column of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct StateColumns {
    pub since: Option<jiff::Timestamp>,
    pub transferred_to: Option<AgentId>,
    pub seat: Option<&'static str>,
    pub attempt: Option<AttemptId>,
}

impl StateColumns {
    pub fn of(state: &State) -> StateColumns {
        let seat = |target: &Target| Some(crate::seats::seat_name(target));
        let none = StateColumns::default();
        match state {
            State::Queued { since } => StateColumns {
                since: Some(*since),
                ..none
            },
            State::Transferred { to, since } => StateColumns {
                since: Some(*since),
                transferred_to: Some(*to),
                ..none
            },
            State::Offered { agent, .. } | State::WrapUp { agent, .. } => StateColumns {
                seat: seat(&Target::Agent(*agent)),
                ..none
            },
            State::Assigned { target, .. } => StateColumns {
                seat: seat(target),
                ..none
            },
            State::Dialling {
                target, attempt, ..
            }
            | State::Talking {
                target, attempt, ..
            } => StateColumns {
                seat: seat(target),
                attempt: Some(*attempt),
                ..none
            },
            State::Received
            | State::Scheduled { .. }
            | State::Done { .. }
            | State::Cancelled { .. }
            | State::Exhausted { .. }
            | State::Refused { .. }
            | State::Failed { .. }
            | State::Replaced { .. }
            | State::Expired => none,
        }
    }
}

/// Whether a step has freed the seat that it had.
pub(crate) fn frees(before: Option<&Callback>, after: &Callback) -> bool {
    let seat = |state: &State| (StateColumns::of(state).seat, state.engages());
    before.is_some_and(|before| {
        let had = seat(&before.state);
        had.0.is_some() && had != seat(&after.state)
    })
}

/// What a step means to those who look for work.
pub(crate) fn then(before: Option<&Callback>, after: &Callback) -> Then {
    let Some(wakes_at) = after.wakes_at().filter(|_| !frees(before, after)) else {
        return Then::Look;
    };
    let claimed = |callback: &Callback| callback.state.claim().is_some();
    if claimed(after) && !before.is_some_and(claimed) {
        Then::Claimed(wakes_at)
    } else if claimed(after) || matches!(after.state, State::Received | State::Scheduled { .. }) {
        Then::Rest(wakes_at)
    } else {
        // It waits in line, or its call is over.
        Then::Look
    }
}

/// The attempt in the air, if there is one.
pub(crate) fn live_attempt(state: &State) -> Option<AttemptId> {
    StateColumns::of(state).attempt
}

/// The attempt a change is about.
pub(crate) fn attempt_of(change: &AttemptChange) -> AttemptId {
    match change {
        AttemptChange::Begin(attempt) => attempt.id,
        AttemptChange::Answered { attempt, .. }
        | AttemptChange::Connected { attempt, .. }
        | AttemptChange::End { attempt, .. }
        | AttemptChange::Amend { attempt, .. } => *attempt,
    }
}

/// What the search by words looks through: subject, category, external id and udata values, in lower case.
pub(crate) fn search_text(interaction: &Interaction) -> String {
    let mut words = String::new();
    let mut add = |text: &str| {
        words.push_str(&text.to_lowercase());
        words.push('\n');
    };
    for text in [
        &interaction.subject,
        &interaction.category,
        &interaction.external_id,
    ]
    .into_iter()
    .flatten()
    {
        add(text);
    }
    for value in interaction.udata.iter().flat_map(|udata| udata.values()) {
        match value {
            Value::String(text) => add(text),
            Value::Number(number) => add(&number.to_string()),
            Value::Bool(flag) => add(if *flag { "true" } else { "false" }),
            Value::Null => {}
            Value::Array(_) | Value::Object(_) => add(&value.to_string()),
        }
    }
    words
}

/// The words of a search, in lower case; few enough that a query stays a query.
pub(crate) fn search_words(text: &str) -> Vec<String> {
    text.split_whitespace()
        .take(16)
        .map(str::to_lowercase)
        .collect()
}
