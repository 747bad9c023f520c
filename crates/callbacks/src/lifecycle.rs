//! The one function that moves a callback from state to state.
//!
//! Every verb of the store ends here: it reads the callback and the facts in one transaction, asks
//! [`step`], and writes what comes back. A command that does not fit the state is a [`Refusal`], never
//! a half-done change; a late claim-holder is told so by its fencing number.

use crate::attempt::Attempt;
use crate::callback::{Callback, HeldBack, MoveReason, Passed, Reply};
use crate::contact::Contact;
use crate::decide::{self, Next};
use crate::event::{Actor, EventKind, NewEvent};
use crate::guard::{self, Facts, Guard, Held};
use crate::ids::{AgentId, AttemptId, InteractionId, NodeId, OfferId, QueueId};
use crate::interaction::{BodyInfo, BodyKind};
use crate::outcome::{CallResult, Outcome, Verdict};
use crate::request::{Changes, NewCallback};
use crate::state::{Canceller, Claim, DueReason, State, Target};
use crate::window::LocalWindow;
use crate::wire_time::{self, plus};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

mod crash;
mod ending;
mod intake;
mod local;
mod merging;
mod offers;
mod places;
mod promises;
mod risk;
mod trying;

pub use intake::{Accepted, accept};
pub use places::{Unplaced, wanted};

/// Everything that can be asked of a callback.
#[derive(Clone, Debug)]
pub enum Command {
    /// The clock reached [`Callback::wakes_at`].
    Tick,
    /// A node takes it for a seat; with an offer if the agent is to be asked.
    Assign {
        node: NodeId,
        lease: Duration,
        target: Target,
        offer: Option<OfferId>,
    },
    AcceptOffer {
        offer: OfferId,
        agent: AgentId,
    },
    DeclineOffer {
        offer: OfferId,
        agent: AgentId,
    },
    /// The claim's own node says that the agent did not answer the offer, or took a letter and wrote nothing.
    OfferTimedOut {
        fence: u64,
    },
    /// The claim's own node puts it back: no route, shutting down, or the agent wrote nothing in time.
    Release {
        fence: u64,
        guard: Guard,
        until: Timestamp,
    },
    WriteReply {
        agent: AgentId,
        reply: Reply,
    },
    BeginAttempt {
        fence: u64,
        begin: Begin,
    },
    Progress {
        fence: u64,
        attempt: AttemptId,
        what: Progress,
    },
    Settle {
        fence: u64,
        attempt: AttemptId,
        outcome: Outcome,
    },
    /// Another run of a node takes over a claim that lapsed, to clean up behind it.
    TakeOver {
        node: NodeId,
        lease: Duration,
    },
    /// After the clean-up: what was in the air is unknown.
    Rescue {
        fence: u64,
        learned: Option<Outcome>,
    },
    /// An agent (or an operator) says how it ended.
    Dispose {
        disposition: Option<String>,
        result: Option<CallResult>,
    },
    Cancel {
        by: Canceller,
        reason: Option<String>,
    },
    Reschedule {
        start: Timestamp,
        end: Option<Timestamp>,
        /// The wall times, where it was said in local time.
        local: Option<LocalWindow>,
    },
    /// The rules of local time may have changed: finds the instants of a window said in local time anew.
    ResolveAgain,
    Snooze {
        until: Timestamp,
    },
    TransferToAgent {
        agent: AgentId,
    },
    TransferToQueue {
        queue: QueueId,
    },
    Change(Box<Changes>),
    StoreBody {
        kind: BodyKind,
        info: BodyInfo,
    },
    Replace {
        by: InteractionId,
    },
    /// A second request for the same number is added to it. `left` names the bodies that had no room.
    Merge {
        new: Box<NewCallback>,
        left: Vec<BodyKind>,
    },
    /// The planner's expectation of an open promise: in danger, or out of it again.
    WatchPromise {
        at_risk: bool,
        expected: Option<(Timestamp, Timestamp)>,
    },
    /// A fault no retry mends, such as a response type without any channel.
    Fail {
        fence: u64,
        fault: String,
    },
}

/// What is recorded of an attempt before anything leaves the house.
#[derive(Clone, Debug)]
pub struct Begin {
    pub attempt: AttemptId,
    pub channel: String,
    pub route: Option<String>,
    pub dn: Option<String>,
    pub location: Option<String>,
    pub server: String,
    pub legs: Value,
}

/// What happens while an attempt runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    Ringing {
        party: String,
    },
    Answered {
        party: String,
    },
    RouteFailed {
        party: String,
        route: String,
        code: Option<i32>,
        text: String,
    },
    Connected {
        route: Option<String>,
    },
}

/// What a command does to the attempt's row.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptChange {
    Begin(Box<Attempt>),
    /// The customer picked up, whether or not anybody could speak afterwards.
    Answered {
        attempt: AttemptId,
        at: Timestamp,
    },
    Connected {
        attempt: AttemptId,
        at: Timestamp,
        route: Option<String>,
    },
    End {
        attempt: AttemptId,
        at: Timestamp,
        outcome: Outcome,
        counted: bool,
    },
    /// The agent knows better what answered.
    Amend {
        attempt: AttemptId,
        result: CallResult,
    },
}

/// A decision: the callback as it will be, and what is written beside it in the same transaction.
#[derive(Clone, Debug)]
pub struct Step {
    pub after: Callback,
    pub events: Vec<NewEvent>,
    pub attempt: Option<AttemptChange>,
    /// This agent did not answer and is set away.
    pub away: Option<AgentId>,
}

/// Why a command does nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The state does not allow it; `state` names it.
    #[error("not possible while the callback is {state}")]
    NotNow { state: &'static str },
    /// The claim was lost to another node; whoever asks must stop.
    #[error("the claim is not held any more")]
    Fenced,
    /// The offer is not open (any more), or not this agent's.
    #[error("the offer is not open")]
    OfferGone,
    /// A guard forbids it.
    #[error("held by a guard: {}", .0.name())]
    Guarded(Guard),
    /// No moment of the window is allowed; `next` is the first one after its start that would be.
    #[error("no moment of the window is allowed: {}", .guard.name())]
    NoMoment {
        guard: Guard,
        /// The field to be changed.
        field: &'static str,
        next: Option<Timestamp>,
    },
    /// The new values break a rule.
    #[error("{0}")]
    Invalid(crate::problem::Problems),
    /// The number has an open callback in the queue, whose rule is to have no second.
    #[error("there is an open callback for this number already")]
    Duplicate { of: InteractionId },
    /// The queue takes no requests just now.
    #[error("the queue takes no requests just now")]
    IntakePaused,
    /// No slot can be had at the wanted time.
    #[error("no place: {}", .0.why.name())]
    NoPlace(Box<Unplaced>),
    /// The queue's plan has no room for another callback in this window.
    #[error("there is no room for another callback in this window")]
    Full,
}

/// Carries out one command, or says why not. Pure: all it knows is in its arguments.
pub fn step(
    callback: &Callback,
    command: Command,
    actor: &Actor,
    facts: &Facts<'_>,
    now: Timestamp,
) -> Result<Step, Refusal> {
    let mut work = Work::new(callback, actor, facts, now);
    match command {
        Command::Tick => work.tick()?,
        Command::Assign {
            node,
            lease,
            target,
            offer,
        } => work.assign(node, lease, target, offer)?,
        Command::AcceptOffer { offer, agent } => work.accept_offer(offer, agent)?,
        Command::DeclineOffer { offer, agent } => work.decline_offer(offer, agent)?,
        Command::OfferTimedOut { fence } => work.offer_timed_out(fence)?,
        Command::Release {
            fence,
            guard,
            until,
        } => work.release(fence, guard, until)?,
        Command::WriteReply { agent, reply } => work.write_reply(agent, reply)?,
        Command::BeginAttempt { fence, begin } => work.begin_attempt(fence, begin)?,
        Command::Progress {
            fence,
            attempt,
            what,
        } => work.progress(fence, attempt, what)?,
        Command::Settle {
            fence,
            attempt,
            outcome,
        } => work.settle(fence, attempt, outcome)?,
        Command::TakeOver { node, lease } => work.take_over(node, lease)?,
        Command::Rescue { fence, learned } => work.rescue(fence, learned)?,
        Command::Dispose {
            disposition,
            result,
        } => work.dispose(disposition, result)?,
        Command::Cancel { by, reason } => work.cancel(by, reason)?,
        Command::Reschedule { start, end, local } => work.reschedule(start, end, local)?,
        Command::ResolveAgain => work.resolve_again()?,
        Command::Snooze { until } => work.snooze(until)?,
        Command::TransferToAgent { agent } => work.transfer_to_agent(agent)?,
        Command::TransferToQueue { queue } => work.transfer_to_queue(queue)?,
        Command::Change(changes) => work.change(*changes)?,
        Command::StoreBody { kind, info } => work.store_body(kind, info),
        Command::Replace { by } => work.replace(by)?,
        Command::Merge { new, left } => work.merge(*new, &left)?,
        Command::WatchPromise { at_risk, expected } => work.watch_promise(at_risk, expected),
        Command::Fail { fence, fault } => work.fail(fence, fault)?,
    }
    Ok(work.finish())
}

/// One decision being made.
struct Work<'a> {
    before: &'a Callback,
    after: Callback,
    actor: &'a Actor,
    facts: &'a Facts<'a>,
    now: Timestamp,
    events: Vec<NewEvent>,
    attempt: Option<AttemptChange>,
    away: Option<AgentId>,
}

impl<'a> Work<'a> {
    fn new(callback: &'a Callback, actor: &'a Actor, facts: &'a Facts<'a>, now: Timestamp) -> Self {
        Work {
            before: callback,
            after: callback.clone(),
            actor,
            facts,
            now: wire_time::truncate(now),
            events: Vec::new(),
            attempt: None,
            away: None,
        }
    }

    fn finish(mut self) -> Step {
        // Another promise, or one that is settled, is not the one that was in danger.
        if self.after.promise != self.before.promise {
            self.after.at_risk = None;
        }
        if self.after.state.is_ended() && self.after.interaction.ended_at.is_none() {
            self.after.interaction.ended_at = Some(self.now);
            self.after.held = None;
            self.after.stop = None;
        }
        Step {
            after: self.after,
            events: self.events,
            attempt: self.attempt,
            away: self.away,
        }
    }

    fn note(&mut self, kind: EventKind) -> &mut NewEvent {
        self.events.push(NewEvent::new(kind, self.actor));
        let last = self.events.len() - 1;
        &mut self.events[last]
    }

    fn say(&mut self, kind: EventKind, detail: Value) {
        let event = self.note(kind);
        if let Value::Object(map) = detail {
            event.detail = map;
        }
    }

    fn not_now<T>(&self) -> Result<T, Refusal> {
        Err(Refusal::NotNow {
            state: self.before.state.name(),
        })
    }

    /// Checks the fencing number: only the newest claim may act.
    fn fenced(&self, fence: u64) -> Result<Claim, Refusal> {
        match self.before.state.claim() {
            Some(claim) if claim.fence == fence => Ok(claim.clone()),
            Some(_) | None => Err(Refusal::Fenced),
        }
    }

    // ── the clock ────────────────────────────────────────────────────────────────────────────────

    fn tick(&mut self) -> Result<(), Refusal> {
        let expired = self.after.window.end.is_some_and(|end| self.now >= end);
        match self.before.state.clone() {
            State::Scheduled { due, .. } => {
                if expired {
                    self.end_expired();
                } else if self.now >= due {
                    match guard::check(&self.after, self.facts, self.now) {
                        Ok(()) => {
                            self.own_up();
                            let since = self.after.place_since.take();
                            self.queue_up(since.map_or(self.now, |since| since.min(self.now)));
                        }
                        Err(held) => self.hold(held),
                    }
                }
                Ok(())
            }
            State::Queued { .. } | State::Transferred { .. } => {
                if expired {
                    self.end_expired();
                } else {
                    self.forget_passes();
                    self.own_up();
                }
                Ok(())
            }
            State::WrapUp { until, .. } => {
                if self.now >= until {
                    self.end_done(None);
                }
                Ok(())
            }
            State::Received
            | State::Offered { .. }
            | State::Assigned { .. }
            | State::Dialling { .. }
            | State::Talking { .. }
            | State::Done { .. }
            | State::Cancelled { .. }
            | State::Exhausted { .. }
            | State::Refused { .. }
            | State::Failed { .. }
            | State::Replaced { .. }
            | State::Expired => self.not_now(),
        }
    }

    fn queue_up(&mut self, since: Timestamp) {
        // Who passed on it long ago may be asked again: a rest that is over would be a moment to wake at
        // that has gone by.
        self.forget_passes();
        self.after.state = State::Queued { since };
        self.after.held = None;
        let queue = self.after.queue.to_string();
        self.say(EventKind::Queued, json!({ "queue": queue }));
    }

    /// A guard says no. Waiting guards put it back on the timer; final ones end it.
    fn hold(&mut self, held: Held) {
        match held {
            Held::ForGood(Guard::TooLate) => self.end_expired(),
            Held::ForGood(guard) => self.end_refused(guard),
            Held::Until(guard, until) => {
                let until = wire_time::truncate(until);
                let first = self.after.held.map(|held| held.guard) != Some(guard);
                let since = match self.after.held {
                    Some(held) if !first => held.since,
                    Some(_) | None => self.now,
                };
                self.after.held = Some(HeldBack {
                    guard,
                    since,
                    until: Some(until),
                });
                self.after.state = State::Scheduled {
                    due: until,
                    reason: DueReason::Held(guard),
                };
                // The same guard asked again every minute is one hold, not a thousand events.
                if first {
                    self.say(
                        EventKind::Held,
                        json!({ "guard": guard.name(), "until": wire_time::write(until) }),
                    );
                }
                // What was told cannot be any more: better said now than when it has passed.
                if self.after.told_until().is_some_and(|to| until > to)
                    && self.after.window.end.is_none_or(|end| until < end)
                {
                    self.tell_promise(until, MoveReason::Held);
                }
            }
        }
    }
}
