//! People's wishes (cancel, move, dispose, change) and the ways a callback ends.

use super::promises::window;
use super::{AttemptChange, Refusal, Work};
use crate::callback::{Callback, HeldBack, MoveReason, PromiseState, StopRequest};
use crate::decide;
use crate::event::EventKind;
use crate::guard::{self, Guard};
use crate::ids::{AgentId, InteractionId, QueueId};
use crate::interaction::{BodyInfo, BodyKind};
use crate::outcome::{CallResult, Verdict};
use crate::problem::Problems;
use crate::request::Changes;
use crate::state::{Canceller, DueReason, State, Target};
use crate::window::LocalWindow;
use crate::wire_time::{self, plus};
use jiff::Timestamp;
use serde_json::json;

impl Work<'_> {
    // ── people's wishes ──────────────────────────────────────────────────────────────────────────

    pub(super) fn cancel(&mut self, by: Canceller, reason: Option<String>) -> Result<(), Refusal> {
        let request = StopRequest { by, reason };
        match &self.before.state {
            State::Received
            | State::Scheduled { .. }
            | State::Queued { .. }
            | State::Transferred { .. } => {
                self.after.stop = Some(request);
                self.end_stopped();
                Ok(())
            }
            // Nothing has left the house: the claim is dropped, and its holder finds itself fenced out.
            State::Offered { .. } | State::Assigned { .. } => {
                self.after.stop = Some(request);
                self.end_stopped();
                Ok(())
            }
            // A phone is ringing: the node that rings it hangs up, and the end is decided with the outcome.
            State::Dialling { .. } => {
                if self.before.stop.is_none() {
                    self.after.stop = Some(request);
                    self.say(EventKind::CancelRequested, json!({ "by": canceller(by) }));
                }
                Ok(())
            }
            State::Talking { .. }
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

    pub(super) fn reschedule(
        &mut self,
        start: Timestamp,
        end: Option<Timestamp>,
        local: Option<LocalWindow>,
    ) -> Result<(), Refusal> {
        self.must_wait()?;
        if end.is_some_and(|end| end <= start.max(self.now)) {
            return Err(Refusal::Invalid(Problems::one(
                "end_time",
                "order",
                "must be later than start_time and now",
            )));
        }
        let before = (self.before.window.start, self.before.window.end);
        let told = self.after.promise_now();
        self.after.window.start = wire_time::truncate(start);
        self.after.window.end_given = end.is_some();
        let default = plus(
            start.max(self.now),
            self.facts.queue.rules().default_window.as_duration(),
        );
        self.after.window.end = Some(wire_time::truncate(end.unwrap_or(default)));
        self.after.local = local;
        self.resolve_local()?;
        self.place_again(DueReason::Booked)?;
        let after = (self.after.window.start, self.after.window.end);
        let slot = self.after.slot.map(|slot| wire_time::write(slot.start));
        self.say(
            EventKind::Rescheduled,
            json!({ "before": window(before.0, before.1), "after": window(after.0, after.1),
                    "local": self.said(), "slot": slot }),
        );
        self.say_held();
        self.say_moved(told, MoveReason::Rescheduled);
        Ok(())
    }

    pub(super) fn snooze(&mut self, until: Timestamp) -> Result<(), Refusal> {
        self.must_wait()?;
        if until <= self.now {
            return Err(Refusal::Invalid(Problems::one(
                "until",
                "past",
                "has already passed",
            )));
        }
        if self.before.window.end_given && self.before.window.end.is_some_and(|end| until >= end) {
            return Err(Refusal::Invalid(Problems::one(
                "until",
                "range",
                "is past the end of the window; reschedule instead",
            )));
        }
        let until = wire_time::truncate(until);
        if !self.before.window.end_given {
            let length = self.facts.queue.rules().default_window.as_duration();
            self.after.window.end = self
                .after
                .window
                .end
                .map(|end| end.max(plus(until, length)));
        }
        // What is promised must be a moment at which it may be dialled, as at booking.
        let (allowed, moved_by) =
            guard::first_allowed(&self.after, self.facts, until, self.after.window.end)
                .map_err(|guard| self.no_moment(guard, until, "until"))?;
        let due = wire_time::truncate(allowed.max(self.move_slot(until)?));
        self.after.held = moved_by.map(|guard| self.held_until(guard, due));
        self.after.state = State::Scheduled {
            due,
            reason: DueReason::Snoozed,
        };
        // The customer moved it: the promise moves along.
        let told = self.after.promise_now();
        self.after.told = None;
        self.after.promise = decide::promise(due, self.after.window.end, self.facts);
        let slot = self.after.slot.map(|slot| wire_time::write(slot.start));
        self.say(
            EventKind::Snoozed,
            json!({ "until": wire_time::write(until), "slot": slot }),
        );
        self.say_held();
        self.say_moved(told, MoveReason::Snoozed);
        Ok(())
    }

    pub(super) fn transfer_to_agent(&mut self, agent: AgentId) -> Result<(), Refusal> {
        let since = self.transferable()?;
        self.after.interaction.owner = Some(agent.0);
        self.after.passed_by.clear();
        // It waits for this agent now: a guard that holds it again is a new hold and leaves its event.
        self.after.held = None;
        self.after.state = State::Transferred { to: agent, since };
        self.say(
            EventKind::Transferred,
            json!({ "to": "agent", "agent": agent.0 }),
        );
        Ok(())
    }

    /// `facts` are those of the new queue: its rules must allow the contact.
    pub(super) fn transfer_to_queue(&mut self, queue: QueueId) -> Result<(), Refusal> {
        self.transferable()?;
        if let Err(held) = guard::permanent(&self.after, self.facts) {
            return Err(Refusal::Guarded(held.guard()));
        }
        let from = self.before.queue.to_string();
        let to = queue.to_string();
        self.after.queue = queue;
        self.after.passed_by.clear();
        self.after.held = None;
        // The customer was promised this time: it is kept even where the new queue is full.
        if self.facts.queue.slots.is_none() {
            self.after.slot = None;
        }
        self.after.state = State::Scheduled {
            due: self.now.max(self.after.window.start),
            reason: DueReason::Booked,
        };
        self.say(
            EventKind::Transferred,
            json!({ "to": "queue", "from": from, "queue": to }),
        );
        Ok(())
    }

    /// An agent may pass on what they were offered or took, as long as nothing has been dialled.
    fn transferable(&self) -> Result<Timestamp, Refusal> {
        match &self.before.state {
            State::Queued { since }
            | State::Transferred { since, .. }
            | State::Offered { since, .. }
            | State::Assigned { since, .. } => Ok(*since),
            State::Received | State::Scheduled { .. } => Ok(self.now),
            State::Dialling { .. }
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

    pub(super) fn change(&mut self, changes: Changes) -> Result<(), Refusal> {
        if self.before.state.is_ended() {
            return self.not_now();
        }
        let moves = changes.moves_the_call();
        if moves {
            self.must_wait()?;
        }
        let names = changes.names();
        apply(&mut self.after, changes);
        let window = &self.after.window;
        if window
            .end
            .is_some_and(|end| end <= window.start || end <= self.now)
        {
            return Err(Refusal::Invalid(Problems::one(
                "end_time",
                "order",
                "must be later than start_time and now",
            )));
        }
        let told = self.before.promise_now();
        if moves {
            self.place_again(DueReason::Booked)?;
        }
        self.say(EventKind::Changed, json!({ "fields": names }));
        if moves {
            self.say_held();
        }
        self.say_moved(told, MoveReason::Changed);
        Ok(())
    }

    pub(super) fn store_body(&mut self, kind: BodyKind, info: BodyInfo) {
        self.say(
            EventKind::BodyStored,
            json!({ "body": kind.name(), "mime": info.mime, "size": info.size }),
        );
        self.after.interaction.bodies.set(kind, Some(info));
    }

    pub(super) fn replace(&mut self, by: InteractionId) -> Result<(), Refusal> {
        match &self.before.state {
            State::Received
            | State::Scheduled { .. }
            | State::Queued { .. }
            | State::Transferred { .. }
            | State::Offered { .. }
            | State::Assigned { .. } => {
                self.after.state = State::Replaced { by };
                self.say(EventKind::Replaced, json!({ "by": by.to_string() }));
                self.judge_end();
                Ok(())
            }
            State::Dialling { .. }
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

    pub(super) fn dispose(
        &mut self,
        disposition: Option<String>,
        result: Option<CallResult>,
    ) -> Result<(), Refusal> {
        let State::WrapUp { agent, attempt, .. } = self.before.state.clone() else {
            return self.not_now();
        };
        self.say(
            EventKind::Disposed,
            json!({ "agent": agent.0, "disposition": disposition, "result": result.map(|r| r.0),
                    "result_name": result.and_then(CallResult::name) }),
        );
        let verdict = result.map_or(Verdict::Reached, CallResult::verdict);
        if let Some(result) = result {
            self.after.last_result = Some(result);
            self.attempt = Some(AttemptChange::Amend { attempt, result });
        }
        match verdict {
            Verdict::Reached => self.end_done(disposition),
            // "Cancel this record" is the agent's wish, not a try that failed: nobody is rung again.
            Verdict::Stopped => {
                self.after.stop = Some(StopRequest {
                    by: Canceller::Agent(agent),
                    reason: disposition,
                });
                self.end_stopped();
            }
            // The agent knows that no person was reached, whatever the switch said: it was a failed try.
            Verdict::Busy
            | Verdict::NoAnswer
            | Verdict::Machine
            | Verdict::Invalid
            | Verdict::Deferred
            | Verdict::Declined
            | Verdict::RouteFault
            | Verdict::AgentFault
            | Verdict::DoNotCall
            | Verdict::Unknown => {
                let verdict = if verdict == Verdict::AgentFault {
                    Verdict::Unknown
                } else {
                    verdict
                };
                self.after.promise.unreach();
                self.count_failure();
                self.after.tries.add(verdict);
                self.follow(verdict, attempt, &Target::Agent(agent));
            }
        }
        Ok(())
    }

    /// Only a callback that waits can be moved.
    pub(super) fn must_wait(&self) -> Result<(), Refusal> {
        match &self.before.state {
            State::Received
            | State::Scheduled { .. }
            | State::Queued { .. }
            | State::Transferred { .. } => Ok(()),
            State::Offered { .. }
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
            | State::Expired => self.not_now(),
        }
    }

    /// Finds its place on the clock anew, by the same rules as at booking.
    pub(super) fn place_again(&mut self, reason: DueReason) -> Result<(), Refusal> {
        if let Err(held) = guard::permanent(&self.after, self.facts) {
            return Err(Refusal::Guarded(held.guard()));
        }
        let from = self.after.window.start.max(self.now);
        let window = self.after.window;
        let to_change = if window.end_given {
            "end_time"
        } else {
            "start_time"
        };
        let (due, moved_by) = guard::first_allowed(&self.after, self.facts, from, window.end)
            .map_err(|guard| self.no_moment(guard, from, to_change))?;
        let due = self.take_slot(due)?;
        self.after.state = State::Scheduled {
            due: wire_time::truncate(due),
            reason: moved_by.map_or(reason, DueReason::Held),
        };
        self.after.held = moved_by.map(|guard| self.held_until(guard, due));
        self.after.promise = decide::promise(due, self.after.window.end, self.facts);
        self.after.told = None;
        self.promise_the_slot();
        Ok(())
    }

    fn held_until(&self, guard: Guard, due: Timestamp) -> HeldBack {
        HeldBack {
            guard,
            since: self.now,
            until: Some(due),
        }
    }

    /// Says which guard moved it, after the event that says where it was put.
    pub(super) fn say_held(&mut self) {
        if let Some(held) = self.after.held {
            let until = held.until.map(wire_time::write);
            self.say(
                EventKind::Held,
                json!({ "guard": held.guard.name(), "until": until }),
            );
        }
    }

    // ── endings ──────────────────────────────────────────────────────────────────────────────────

    pub(super) fn end_done(&mut self, disposition: Option<String>) {
        self.after.state = State::Done {
            disposition: disposition.clone(),
        };
        self.say(EventKind::Done, json!({ "disposition": disposition }));
        self.judge_end();
    }

    pub(super) fn end_exhausted(&mut self) {
        let last = self.after.last_result;
        self.after.state = State::Exhausted { last };
        self.stopped_because("tries exhausted");
        self.say(
            EventKind::Exhausted,
            json!({ "last_result": last.map(|r| r.0) }),
        );
        self.judge_end();
    }

    pub(super) fn end_expired(&mut self) {
        self.after.state = State::Expired;
        self.stopped_because("end_time passed");
        let held = self.before.held.map(|held| held.guard.name());
        self.say(EventKind::Expired, json!({ "held": held }));
        let unserved = self.after.promise.state == PromiseState::Open;
        self.judge_end();
        // Somebody who was tried in vain is owed nothing; who was never tried is.
        if unserved {
            self.owe_apology();
        }
    }

    pub(super) fn end_refused(&mut self, guard: Guard) {
        self.after.state = State::Refused { guard };
        if guard == Guard::DoNotCall {
            self.after.last_result = Some(CallResult::DO_NOT_CALL);
        }
        self.stopped_because(guard.name());
        self.say(EventKind::Refused, json!({ "guard": guard.name() }));
        self.judge_end();
    }

    pub(super) fn end_failed(&mut self, fault: String) {
        self.stopped_because(&fault);
        self.say(EventKind::Failed, json!({ "fault": fault }));
        self.after.state = State::Failed { fault };
        self.judge_end();
    }

    /// Ends it as the pending stop request says.
    pub(super) fn end_stopped(&mut self) {
        let request = self.after.stop.take().unwrap_or(StopRequest {
            by: Canceller::Operator,
            reason: None,
        });
        self.after.last_result = Some(CallResult::CANCEL_RECORD);
        self.after.interaction.stopped_reason = Some(
            request
                .reason
                .clone()
                .unwrap_or_else(|| format!("cancelled by {}", canceller(request.by))),
        );
        self.say(EventKind::Cancelled, json!({ "by": canceller(request.by) }));
        if let Some(reason) = &request.reason {
            let last = self.events.len() - 1;
            self.events[last].personal = Some(json!({ "reason": reason }));
        }
        self.after.state = State::Cancelled {
            by: request.by,
            reason: request.reason,
        };
        self.judge_end();
    }

    fn stopped_because(&mut self, why: &str) {
        self.after.interaction.stopped_reason = Some(why.to_owned());
    }
}

fn canceller(by: Canceller) -> String {
    match by {
        Canceller::Customer => "customer".to_owned(),
        Canceller::Operator => "operator".to_owned(),
        Canceller::Agent(id) => format!("agent {id}"),
    }
}

fn apply(callback: &mut Callback, changes: Changes) {
    let Changes {
        contacts,
        start,
        end,
        time_zone,
        any_hour,
        priority,
        callback_type,
        kind,
        sub_type,
        media_type,
        thread,
        external_id,
        owner,
        timeshift,
        category,
        allow_children,
        subject,
        udata,
    } = changes;
    if let Some(contacts) = contacts.filter(|contacts| !contacts.is_empty()) {
        callback.contacts = contacts;
        callback.current = 0;
        callback.tries = Default::default();
    }
    if let Some(start) = start {
        callback.window.start = start;
        said_as_instant(&mut callback.local, |local| local.start = None);
    }
    if let Some(end) = end {
        callback.window.end = end;
        callback.window.end_given = end.is_some();
        said_as_instant(&mut callback.local, |local| local.end = None);
    }
    set(&mut callback.time_zone, time_zone);
    set(&mut callback.any_hour, any_hour);
    set(&mut callback.priority, priority);
    set(&mut callback.callback_type, callback_type);
    let interaction = &mut callback.interaction;
    set(&mut interaction.kind, kind);
    set(&mut interaction.sub_type, sub_type);
    set(&mut interaction.media_type, media_type);
    set(&mut interaction.thread, thread);
    set(&mut interaction.external_id, external_id);
    set(&mut interaction.owner, owner);
    set(&mut interaction.timeshift, timeshift);
    if category.is_some() {
        interaction.category_by_hand = true;
    }
    set(&mut interaction.category, category);
    set(&mut interaction.allow_children, allow_children);
    set(&mut interaction.subject, subject);
    set(&mut interaction.udata, udata);
}

/// What is given as an instant is not local time any more.
fn said_as_instant(local: &mut Option<LocalWindow>, forget: impl FnOnce(&mut LocalWindow)) {
    if let Some(kept) = local {
        forget(kept);
        if kept.start.is_none() && kept.end.is_none() {
            *local = None;
        }
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
