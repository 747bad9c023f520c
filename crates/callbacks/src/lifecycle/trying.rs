//! The attempt: begun, on its way, settled, and what follows from it.

use super::*;

impl Work<'_> {
    pub(super) fn begin_attempt(&mut self, fence: u64, begin: Begin) -> Result<(), Refusal> {
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
        self.after.connected_at = None;
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

    pub(super) fn progress(
        &mut self,
        fence: u64,
        attempt: AttemptId,
        what: Progress,
    ) -> Result<(), Refusal> {
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
                self.after.connected_at = Some(self.now);
                self.after.state = State::Talking { claim, attempt, number, target, since };
                self.attempt = Some(AttemptChange::Connected { attempt, at: self.now, route: route.clone() });
                self.say(EventKind::Connected, json!({ "attempt": id, "route": route }));
            }
        }
        Ok(())
    }

    pub(super) fn settle(
        &mut self,
        fence: u64,
        attempt: AttemptId,
        outcome: Outcome,
    ) -> Result<(), Refusal> {
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
        if verdict == Verdict::Reached {
            // A letter is never connected: it counts from when it went out.
            let at = self.after.connected_at.or(self.after.last_attempt_at);
            let window = self.after.window;
            self.after.promise.reach(at.unwrap_or(self.now), &window);
        }
        self.after.tries.add(verdict);
        self.follow(verdict, attempt, &target);
        Ok(())
    }

    pub(super) fn count_failure(&mut self) {
        let current = self.after.current;
        if let Some(step) = self.after.contacts.get_mut(current) {
            step.failures += 1;
        }
    }

    /// Goes where [`decide::after_attempt`] points.
    pub(super) fn follow(&mut self, verdict: Verdict, attempt: AttemptId, target: &Target) {
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
            // A fault of ours never rang; and who waits for a letter does not wait for a time of day.
            Next::Retry(at)
                if verdict.counts() && !matches!(self.after.contact(), Contact::Email(_)) =>
            {
                self.retry_told(at);
            }
            Next::Retry(at) => self.retry_untold(at),
            Next::NextContact(at) => {
                self.after.current += 1;
                self.after.tries = Default::default();
                let step = self.after.current + 1;
                let kind = self.after.response_type().as_str();
                self.say(
                    EventKind::ContactChanged,
                    json!({ "contact": step, "response_type": kind }),
                );
                self.retry_untold(at);
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
                    None => self.retry_untold(plus(self.now, AGAIN_AFTER_DN_FAULT)),
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
    pub(super) fn retry_at(&mut self, at: Timestamp) {
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

    pub(super) fn fail(&mut self, fence: u64, fault: String) -> Result<(), Refusal> {
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
