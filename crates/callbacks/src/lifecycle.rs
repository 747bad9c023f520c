//! The one function that moves a callback from state to state.
//!
//! Every verb of the store ends here: it reads the callback and the facts in one transaction, asks
//! [`step`], and writes what comes back. A command that does not fit the state is a [`Refusal`], never
//! a half-done change; a late claim-holder is told so by its fencing number.

use crate::attempt::Attempt;
use crate::callback::{Callback, HeldBack, Passed, Reply};
use crate::contact::Contact;
use crate::decide::{self, Next};
use crate::event::{Actor, EventKind, NewEvent};
use crate::guard::{self, Facts, Guard, Held};
use crate::ids::{AgentId, AttemptId, InteractionId, NodeId, OfferId, QueueId};
use crate::interaction::{BodyInfo, BodyKind};
use crate::outcome::{CallResult, Outcome, Verdict};
use crate::request::Changes;
use crate::state::{Canceller, Claim, DueReason, State, Target};
use crate::wire_time::{self, plus};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

mod ending;
mod intake;

pub use intake::{Accepted, accept};

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
    },
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
    /// The new values break a rule.
    #[error("{0}")]
    Invalid(crate::problem::Problems),
    /// The queue takes no requests just now.
    #[error("the queue takes no requests just now")]
    IntakePaused,
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
        Command::Reschedule { start, end } => work.reschedule(start, end)?,
        Command::Snooze { until } => work.snooze(until)?,
        Command::TransferToAgent { agent } => work.transfer_to_agent(agent)?,
        Command::TransferToQueue { queue } => work.transfer_to_queue(queue)?,
        Command::Change(changes) => work.change(*changes)?,
        Command::StoreBody { kind, info } => work.store_body(kind, info),
        Command::Replace { by } => work.replace(by)?,
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
                        Ok(()) => self.queue_up(self.now),
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
            }
        }
    }

    // ── claims and offers ────────────────────────────────────────────────────────────────────────

    fn assign(
        &mut self,
        node: NodeId,
        lease: Duration,
        target: Target,
        offer: Option<OfferId>,
    ) -> Result<(), Refusal> {
        let since = match &self.before.state {
            State::Queued { since } | State::Transferred { since, .. } => *since,
            State::Received
            | State::Scheduled { .. }
            | State::Offered { .. }
            | State::Assigned { .. }
            | State::Dialling { .. }
            | State::Talking { .. }
            | State::WrapUp { .. }
            | State::Done { .. }
            | State::Cancelled { .. }
            | State::Exhausted { .. }
            | State::Refused { .. }
            | State::Failed { .. }
            | State::Replaced { .. }
            | State::Expired => return self.not_now(),
        };
        if let Err(held) = guard::check(&self.after, self.facts, self.now) {
            self.hold(held);
            return Ok(());
        }
        self.after.fence += 1;
        let claim = Claim {
            node,
            until: plus(self.now, lease),
            fence: self.after.fence,
        };
        let agent = target.agent();
        match (offer, agent) {
            (Some(offer), Some(agent)) => {
                let until = plus(self.now, self.facts.queue.rules().offer.as_duration());
                self.after.state = State::Offered {
                    claim,
                    offer,
                    agent,
                    until,
                    since,
                };
                let may_have_reached = self.after.may_have_reached;
                self.say(
                    EventKind::Offered,
                    json!({ "agent": agent.0, "offer": offer.to_string(), "until": wire_time::write(until),
                            "may_have_reached": may_have_reached }),
                );
            }
            (None | Some(_), _) => {
                self.after.state = State::Assigned {
                    claim,
                    target: target.clone(),
                    since,
                };
                self.say(EventKind::Assigned, describe_target(&target));
            }
        }
        Ok(())
    }

    fn accept_offer(&mut self, offer: OfferId, agent: AgentId) -> Result<(), Refusal> {
        let State::Offered {
            claim,
            offer: open,
            agent: asked,
            until,
            since,
        } = self.before.state.clone()
        else {
            return Err(Refusal::OfferGone);
        };
        if open != offer || asked != agent || self.now >= until {
            return Err(Refusal::OfferGone);
        }
        self.after.state = State::Assigned {
            claim,
            target: Target::Agent(agent),
            since,
        };
        self.say(
            EventKind::OfferAccepted,
            json!({ "agent": agent.0, "offer": offer.to_string() }),
        );
        Ok(())
    }

    fn decline_offer(&mut self, offer: OfferId, agent: AgentId) -> Result<(), Refusal> {
        let State::Offered {
            offer: open,
            agent: asked,
            since,
            ..
        } = self.before.state.clone()
        else {
            return Err(Refusal::OfferGone);
        };
        if open != offer || asked != agent {
            return Err(Refusal::OfferGone);
        }
        // callback_status 6 is passed through: the event is the only trace of it that lasts.
        self.say(
            EventKind::OfferDeclined,
            json!({ "agent": agent.0, "offer": offer.to_string(), "callback_status": 6 }),
        );
        self.pass_on(agent, since);
        Ok(())
    }

    fn offer_timed_out(&mut self, fence: u64) -> Result<(), Refusal> {
        self.fenced(fence)?;
        let (agent, since, detail) = match &self.before.state {
            State::Offered {
                offer,
                agent,
                until,
                since,
                ..
            } if self.now >= *until => (
                *agent,
                *since,
                json!({ "agent": agent.0, "offer": offer.to_string() }),
            ),
            // Without a pass the same agent would be given the same letter again at once, and nothing
            // behind it would ever be served.
            State::Assigned {
                target: Target::Agent(agent),
                since,
                ..
            } if matches!(self.before.contact(), Contact::Email(_))
                && self.before.reply.is_none() =>
            {
                (*agent, *since, json!({ "agent": agent.0, "taken": true }))
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
            | State::Cancelled { .. }
            | State::Exhausted { .. }
            | State::Refused { .. }
            | State::Failed { .. }
            | State::Replaced { .. }
            | State::Expired => return self.not_now(),
        };
        self.say(EventKind::OfferTimedOut, detail);
        self.away = Some(agent);
        self.pass_on(agent, since);
        Ok(())
    }

    /// Back to the queue at the same place, remembering who passed on it.
    fn pass_on(&mut self, agent: AgentId, since: Timestamp) {
        self.forget_passes();
        self.after.passed_by.retain(|passed| passed.agent != agent);
        if self.after.passed_by.len() < 64 {
            self.after.passed_by.push(Passed {
                agent,
                at: self.now,
            });
        }
        self.queue_up(since);
    }

    fn forget_passes(&mut self) {
        let now = self.now;
        self.after.passed_by.retain(|passed| passed.until() > now);
    }

    fn release(&mut self, fence: u64, guard: Guard, until: Timestamp) -> Result<(), Refusal> {
        self.fenced(fence)?;
        match self.before.state.clone() {
            State::Offered { since, .. } | State::Assigned { since, .. } => {
                if self.before.stop.is_some() {
                    self.end_stopped();
                } else if until > self.now {
                    self.hold(Held::Until(guard, until));
                } else {
                    self.queue_up(since);
                }
                Ok(())
            }
            State::Received
            | State::Scheduled { .. }
            | State::Queued { .. }
            | State::Transferred { .. }
            | State::Dialling { .. }
            | State::Talking { .. }
            | State::WrapUp { .. }
            | State::Done { .. }
            | State::Cancelled { .. }
            | State::Exhausted { .. }
            | State::Refused { .. }
            | State::Failed { .. }
            | State::Replaced { .. }
            | State::Expired => self.not_now(),
        }
    }

    fn write_reply(&mut self, agent: AgentId, reply: Reply) -> Result<(), Refusal> {
        let State::Assigned {
            target: Target::Agent(holder),
            ..
        } = &self.before.state
        else {
            return self.not_now();
        };
        if *holder != agent || !matches!(self.before.contact(), Contact::Email(_)) {
            return self.not_now();
        }
        let bytes = reply.text.len();
        self.after.reply = Some(reply);
        self.say(
            EventKind::ReplyWritten,
            json!({ "agent": agent.0, "text_bytes": bytes }),
        );
        Ok(())
    }

    // ── the attempt ──────────────────────────────────────────────────────────────────────────────

    fn begin_attempt(&mut self, fence: u64, begin: Begin) -> Result<(), Refusal> {
        let claim = self.fenced(fence)?;
        let State::Assigned { target, since, .. } = self.before.state.clone() else {
            return self.not_now();
        };
        if self.before.stop.is_some() {
            self.end_stopped();
            return Ok(());
        }
        if let Err(held) = guard::check(&self.after, self.facts, self.now) {
            self.hold(held);
            return Ok(());
        }
        self.after.placed += 1;
        self.after.last_attempt_at = Some(self.now);
        let number = self.after.placed;
        self.after.held = None;
        self.after.dn = begin.dn.clone();
        self.after.location = begin.location.clone();
        self.after.server = Some(begin.server.clone());
        self.after.state = State::Dialling {
            claim,
            attempt: begin.attempt,
            number,
            target: target.clone(),
            since,
        };
        let contact = self.after.contact().expose().to_owned();
        let masked = self.after.contact().to_string();
        let event = self.note(EventKind::AttemptBegun);
        if let Value::Object(map) = json!({
            "attempt": begin.attempt.to_string(), "number": number, "channel": begin.channel,
            "route": begin.route, "contact": masked,
        }) {
            event.detail = map;
        }
        event.personal = Some(json!({ "customer_number": contact, "dn": begin.dn }));
        self.attempt = Some(AttemptChange::Begin(Box::new(Attempt {
            tenant: self.after.interaction.tenant.clone(),
            id: begin.attempt,
            callback: self.after.interaction.id,
            number,
            channel: begin.channel,
            route: begin.route,
            agent: target.agent(),
            dn: begin.dn,
            contact,
            fence,
            began_at: self.now,
            answered_at: None,
            ended_at: None,
            outcome: None,
            counted: false,
            legs: begin.legs,
        })));
        Ok(())
    }

    fn progress(&mut self, fence: u64, attempt: AttemptId, what: Progress) -> Result<(), Refusal> {
        let claim = self.fenced(fence)?;
        let (number, target, since) = match self.before.state.clone() {
            State::Dialling {
                attempt: live,
                number,
                target,
                since,
                ..
            }
            | State::Talking {
                attempt: live,
                number,
                target,
                since,
                ..
            } if live == attempt => (number, target, since),
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
            | State::Cancelled { .. }
            | State::Exhausted { .. }
            | State::Refused { .. }
            | State::Failed { .. }
            | State::Replaced { .. }
            | State::Expired => return self.not_now(),
        };
        let id = attempt.to_string();
        match what {
            Progress::Ringing { party } => self.say(EventKind::Ringing, json!({ "attempt": id, "party": party })),
            Progress::Answered { party } => {
                // Picking up is what a call costs the customer: it stands in the attempt even if the two
                // are never joined, so that the limit of calls to a number sees it.
                if party == CUSTOMER {
                    self.attempt = Some(AttemptChange::Answered { attempt, at: self.now });
                }
                self.say(EventKind::Answered, json!({ "attempt": id, "party": party }));
            }
            Progress::RouteFailed { party, route, code, text } => self.say(
                EventKind::RouteFailed,
                json!({ "attempt": id, "party": party, "route": route, "code": code, "text": text }),
            ),
            Progress::Connected { route } => {
                self.after.state = State::Talking { claim, attempt, number, target, since };
                self.attempt = Some(AttemptChange::Connected { attempt, at: self.now, route: route.clone() });
                self.say(EventKind::Connected, json!({ "attempt": id, "route": route }));
            }
        }
        Ok(())
    }

    fn settle(&mut self, fence: u64, attempt: AttemptId, outcome: Outcome) -> Result<(), Refusal> {
        self.fenced(fence)?;
        let (number, target) = match self.before.state.clone() {
            State::Dialling {
                attempt: live,
                number,
                target,
                ..
            }
            | State::Talking {
                attempt: live,
                number,
                target,
                ..
            } if live == attempt => (number, target),
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
            | State::Cancelled { .. }
            | State::Exhausted { .. }
            | State::Refused { .. }
            | State::Failed { .. }
            | State::Replaced { .. }
            | State::Expired => return self.not_now(),
        };
        let verdict = outcome.verdict;
        let counted = verdict.counts();
        self.say(
            EventKind::AttemptEnded,
            json!({
                "attempt": attempt.to_string(), "number": number, "result": outcome.result.0,
                "result_name": outcome.result.name(), "verdict": verdict.name(), "counted": counted,
                "platform": { "scheme": outcome.platform.scheme, "code": outcome.platform.code, "text": outcome.platform.text },
                "route": outcome.route, "talk_ms": outcome.talk_ms,
            }),
        );
        let result = outcome.result;
        self.attempt = Some(AttemptChange::End {
            attempt,
            at: self.now,
            outcome,
            counted,
        });
        self.after.last_result = Some(result);
        if counted {
            // A fault of ours says nothing about the customer, so it does not unsay an earlier doubt.
            self.after.may_have_reached = verdict == Verdict::Unknown;
            self.after.attempts += 1;
            if verdict != Verdict::Reached {
                self.count_failure();
            }
            self.judge_contact();
        }
        self.after.tries.add(verdict);
        self.follow(verdict, attempt, &target);
        Ok(())
    }

    fn count_failure(&mut self) {
        let current = self.after.current;
        if let Some(step) = self.after.contacts.get_mut(current) {
            step.failures += 1;
        }
    }

    /// Goes where [`decide::after_attempt`] points.
    fn follow(&mut self, verdict: Verdict, attempt: AttemptId, target: &Target) {
        match decide::after_attempt(&self.after, verdict, self.facts, self.now) {
            Next::Reached => {
                let wrap_up = self.facts.queue.rules().wrap_up.as_duration();
                match target.agent() {
                    Some(agent) if !wrap_up.is_zero() => {
                        let until = plus(self.now, wrap_up);
                        self.after.state = State::WrapUp {
                            agent,
                            until,
                            attempt,
                        };
                        self.say(
                            EventKind::WrapUp,
                            json!({ "agent": agent.0, "until": wire_time::write(until) }),
                        );
                    }
                    Some(_) | None => self.end_done(None),
                }
            }
            Next::Cancelled => self.end_stopped(),
            Next::Retry(at) => self.retry_at(at),
            Next::NextContact(at) => {
                self.after.current += 1;
                self.after.tries = Default::default();
                let step = self.after.current + 1;
                let kind = self.after.response_type().as_str();
                self.say(
                    EventKind::ContactChanged,
                    json!({ "contact": step, "response_type": kind }),
                );
                self.retry_at(at);
            }
            Next::Requeue => {
                // The agent's phone did not answer: they are away, and the customer keeps the place.
                let since = match &self.before.state {
                    State::Dialling { since, .. } | State::Talking { since, .. } => *since,
                    State::Received
                    | State::Scheduled { .. }
                    | State::Queued { .. }
                    | State::Transferred { .. }
                    | State::Offered { .. }
                    | State::Assigned { .. }
                    | State::WrapUp { .. }
                    | State::Done { .. }
                    | State::Cancelled { .. }
                    | State::Exhausted { .. }
                    | State::Refused { .. }
                    | State::Failed { .. }
                    | State::Replaced { .. }
                    | State::Expired => self.now,
                };
                match target.agent() {
                    Some(agent) => {
                        self.away = Some(agent);
                        self.pass_on(agent, since);
                    }
                    // A DN that fails is the switch's fault: pause before asking it again.
                    None => self.retry_at(plus(self.now, AGAIN_AFTER_DN_FAULT)),
                }
            }
            Next::Exhausted => self.end_exhausted(),
            Next::NeverAgain => {
                self.after.last_result = Some(CallResult::DO_NOT_CALL);
                self.end_refused(Guard::DoNotCall);
            }
        }
    }

    /// On the timer again. A retry that would fall after the window waits for the window's end, where
    /// it expires, so that a longer window given meanwhile still helps.
    fn retry_at(&mut self, at: Timestamp) {
        let due = self.after.window.end.map_or(at, |end| end.min(at));
        let due = wire_time::truncate(due);
        self.after.state = State::Scheduled {
            due,
            reason: DueReason::Retry,
        };
        self.say(
            EventKind::RetryScheduled,
            json!({ "due": wire_time::write(due) }),
        );
    }

    // ── after a crash ────────────────────────────────────────────────────────────────────────────

    fn take_over(&mut self, node: NodeId, lease: Duration) -> Result<(), Refusal> {
        let Some(held) = self.before.state.claim() else {
            return self.not_now();
        };
        let same_house = held.node.name == node.name && held.node.boot != node.boot;
        if self.now < held.until && !same_house {
            return Err(Refusal::Fenced);
        }
        self.after.fence += 1;
        let claim = Claim {
            node,
            until: plus(self.now, lease),
            fence: self.after.fence,
        };
        match self.before.state.with_claim(claim) {
            Some(state) => self.after.state = state,
            None => return self.not_now(),
        }
        Ok(())
    }

    fn rescue(&mut self, fence: u64, learned: Option<Outcome>) -> Result<(), Refusal> {
        self.fenced(fence)?;
        match self.before.state.clone() {
            State::Offered { since, .. } => {
                self.say(EventKind::Rescued, json!({ "in": "offered" }));
                self.queue_up(since);
                Ok(())
            }
            State::Assigned { since, .. } => {
                self.say(EventKind::Rescued, json!({ "in": "assigned" }));
                if self.before.stop.is_some() {
                    self.end_stopped()
                } else {
                    self.queue_up(since)
                }
                Ok(())
            }
            State::Dialling { attempt, .. } | State::Talking { attempt, .. } => {
                let name = self.before.state.name();
                self.say(EventKind::Rescued, json!({ "in": name }));
                let outcome = learned.unwrap_or_else(|| {
                    Outcome::unknown("the server stopped while the call was in the air")
                });
                self.settle(fence, attempt, outcome)
            }
            State::Received
            | State::Scheduled { .. }
            | State::Queued { .. }
            | State::Transferred { .. }
            | State::WrapUp { .. }
            | State::Done { .. }
            | State::Cancelled { .. }
            | State::Exhausted { .. }
            | State::Refused { .. }
            | State::Failed { .. }
            | State::Replaced { .. }
            | State::Expired => self.not_now(),
        }
    }

    fn fail(&mut self, fence: u64, fault: String) -> Result<(), Refusal> {
        self.fenced(fence)?;
        match &self.before.state {
            State::Offered { .. } | State::Assigned { .. } => {
                self.end_failed(fault);
                Ok(())
            }
            State::Received
            | State::Scheduled { .. }
            | State::Queued { .. }
            | State::Transferred { .. }
            | State::Dialling { .. }
            | State::Talking { .. }
            | State::WrapUp { .. }
            | State::Done { .. }
            | State::Cancelled { .. }
            | State::Exhausted { .. }
            | State::Refused { .. }
            | State::Failed { .. }
            | State::Replaced { .. }
            | State::Expired => self.not_now(),
        }
    }
}

/// The far party's name in what channels report.
const CUSTOMER: &str = "customer";
const AGAIN_AFTER_DN_FAULT: Duration = Duration::from_secs(30);

fn describe_target(target: &Target) -> Value {
    match target {
        Target::Agent(agent) => json!({ "to": "agent", "agent": agent.0 }),
        Target::Dn => json!({ "to": "dn" }),
        Target::Template => json!({ "to": "template" }),
    }
}
