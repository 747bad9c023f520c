//! A promise that is not expected to be kept is told of before it breaks, once; and again when it is out of danger.

use super::*;
use crate::callback::PromiseState;

impl Work<'_> {
    /// What the planner expects of an open promise now.
    pub(super) fn watch_promise(
        &mut self,
        at_risk: bool,
        expected: Option<(Timestamp, Timestamp)>,
    ) {
        if self.before.state.is_ended() || self.before.promise.state != PromiseState::Open {
            return;
        }
        let kind = match (at_risk, self.before.at_risk) {
            (true, None) => EventKind::PromiseAtRisk,
            (false, Some(_)) => EventKind::PromiseSafe,
            (true, Some(_)) | (false, None) => return,
        };
        self.after.at_risk = at_risk.then_some(self.now);
        let promise = self.before.promise;
        self.say(
            kind,
            json!({
                "promise_from": wire_time::write(promise.from),
                "promise_to": wire_time::write(promise.to),
                "expected_from": expected.map(|(from, _)| wire_time::write(from)),
                "expected_to": expected.map(|(_, to)| wire_time::write(to)),
            }),
        );
    }
}
