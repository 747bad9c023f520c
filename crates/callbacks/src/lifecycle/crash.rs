//! After a crash: claims taken over, and what was in the air settled as unknown.

use super::*;

impl Work<'_> {
    pub(super) fn take_over(&mut self, node: NodeId, lease: Duration) -> Result<(), Refusal> {
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

    pub(super) fn rescue(&mut self, fence: u64, learned: Option<Outcome>) -> Result<(), Refusal> {
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
}
