//! Claims, and offers to agents: taken, refused, missed, given back.

use super::*;

impl Work<'_> {
    pub(super) fn assign(
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

    pub(super) fn accept_offer(&mut self, offer: OfferId, agent: AgentId) -> Result<(), Refusal> {
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

    pub(super) fn decline_offer(&mut self, offer: OfferId, agent: AgentId) -> Result<(), Refusal> {
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

    pub(super) fn offer_timed_out(&mut self, fence: u64) -> Result<(), Refusal> {
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
    pub(super) fn pass_on(&mut self, agent: AgentId, since: Timestamp) {
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

    pub(super) fn forget_passes(&mut self) {
        let now = self.now;
        self.after.passed_by.retain(|passed| passed.until() > now);
    }

    pub(super) fn release(
        &mut self,
        fence: u64,
        guard: Guard,
        until: Timestamp,
    ) -> Result<(), Refusal> {
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

    pub(super) fn write_reply(&mut self, agent: AgentId, reply: Reply) -> Result<(), Refusal> {
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
}

fn describe_target(target: &Target) -> Value {
    match target {
        Target::Agent(agent) => json!({ "to": "agent", "agent": agent.0 }),
        Target::Dn => json!({ "to": "dn" }),
        Target::Template => json!({ "to": "template" }),
    }
}
