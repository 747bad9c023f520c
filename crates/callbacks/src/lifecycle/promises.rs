//! What the customer is told: promises moved with notice, judged, and apologised for.

use super::*;
use crate::callback::{MoveReason, PromiseState, Told};

impl Work<'_> {
    /// From now on the customer goes by this window. The promise of the booking stays on record.
    pub(super) fn tell(&mut self, from: Timestamp, to: Timestamp, reason: MoveReason) {
        let old = self.after.promise_now();
        self.after.told = Some(Told {
            from,
            to,
            reason,
            at: self.now,
        });
        self.say_moved(old, reason);
    }

    /// Says what is told now, if it is not what was told before.
    pub(super) fn say_moved(&mut self, old: (Timestamp, Timestamp), reason: MoveReason) {
        let new = self.after.promise_now();
        if old != new {
            let detail = json!({
                "old": window(old.0, Some(old.1)), "new": window(new.0, Some(new.1)),
                "reason": reason.name(),
            });
            self.say(EventKind::PromiseMoved, detail);
        }
    }

    /// What was told has passed without a try, though the callback is still wanted: it is dialled as soon as
    /// may be, and the customer is told so. A second look inside what is told then says nothing new.
    pub(super) fn own_up(&mut self) {
        let passed = self.after.told_until().is_some_and(|to| self.now > to);
        if passed {
            self.tell_promise(self.now, MoveReason::Late);
        }
    }

    /// Tells a window as long as a promise of this queue, which begins at `from`.
    pub(super) fn tell_promise(&mut self, from: Timestamp, reason: MoveReason) {
        let promise = decide::promise(from, self.after.window.end, self.facts);
        self.tell(promise.from, promise.to, reason);
    }

    /// The same try again, and the customer is told when.
    pub(super) fn retry_told(&mut self, at: Timestamp) {
        match decide::attention(&self.after, at, self.facts, self.now) {
            Some((from, to)) => {
                self.retry_at(from);
                self.tell(from, to, MoveReason::Retry);
            }
            // No moment is left in the window: there is nothing to tell, and it expires there.
            None => self.retry_at(at),
        }
    }

    /// A try again of which the customer need not hear, unless it comes after what they were told.
    pub(super) fn retry_untold(&mut self, at: Timestamp) {
        self.retry_at(at);
        let passes = self.after.told_until().is_some_and(|to| at > to);
        if passes && self.after.window.end.is_none_or(|end| at < end) {
            self.tell_promise(wire_time::truncate(at), MoveReason::Retry);
        }
    }

    pub(super) fn owe_apology(&mut self) {
        let promised = self.before.promise_now();
        let offers: Vec<Value> = decide::new_times(&self.after, self.facts, self.now)
            .into_iter()
            .map(|(from, to)| window(from, Some(to)))
            .collect();
        let detail = json!({ "promised": window(promised.0, Some(promised.1)), "offers": offers });
        self.say(EventKind::ApologyDue, detail);
    }

    /// A counted attempt was made: that is what was promised. It began when the attempt row says.
    pub(super) fn judge_contact(&mut self) {
        let began = self.after.last_attempt_at.unwrap_or(self.now);
        let promise = &mut self.after.promise;
        promise.first_attempt_at = promise.first_attempt_at.or(Some(began));
        self.judge(Some(began));
    }

    pub(super) fn judge_end(&mut self) {
        self.judge(None);
    }

    fn judge(&mut self, began: Option<Timestamp>) {
        let state = decide::judge_promise(self.after.promise, began, &self.after.state);
        if state == self.after.promise.state {
            return;
        }
        self.after.promise.state = state;
        let promised = window(self.after.promise.from, Some(self.after.promise.to));
        match state {
            PromiseState::Kept => self.say(EventKind::PromiseKept, promised),
            PromiseState::Late => self.say(EventKind::PromiseLate, promised),
            PromiseState::Broken => self.say(EventKind::PromiseBroken, promised),
            PromiseState::Open | PromiseState::Released => {}
        }
    }
}

/// A window as events write it.
pub(super) fn window(from: Timestamp, to: Option<Timestamp>) -> Value {
    json!({ "from": wire_time::write(from), "to": to.map(wire_time::write) })
}
