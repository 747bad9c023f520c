//! One claimed callback, from claim to settlement, in a task of its own.

use crate::faults::may_pass;
use crate::{Held, Parts, lease, place};
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::guard::Guard;
use ringback_callbacks::ids::{InteractionId, TenantId};
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::state::State;
use ringback_callbacks::wire_time::plus;
use ringback_store::{Applied, ApplyOrder, HeldClaim, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a carrying task knows besides the callback itself.
pub(crate) struct Carrier {
    pub parts: Arc<Parts>,
    pub tenant: TenantId,
    pub id: InteractionId,
    pub fence: u64,
    pub changed: Arc<Notify>,
    pub lost: CancellationToken,
}

/// Starts carrying a callback that this node has just claimed.
pub fn spawn(parts: &Arc<Parts>, tasks: &TaskTracker, callback: Box<Callback>) {
    let Some(claim) = callback.state.claim() else {
        return;
    };
    let tenant = callback.interaction.tenant.clone();
    let id = callback.interaction.id;
    let changed = Arc::new(Notify::new());
    let lost = CancellationToken::new();
    let fence = claim.fence;
    let key = (tenant.clone(), id);
    let held = Held {
        fence,
        until: claim.until,
        changed: changed.clone(),
        lost: lost.clone(),
    };
    let older = parts.held().insert(key.clone(), held);
    if let Some(older) = older {
        // A claim lost and won again: nobody else would tell the task of the first one to stop.
        older.lost.cancel();
        older.changed.notify_one();
    }
    let carrier = Carrier {
        parts: parts.clone(),
        tenant,
        id,
        fence,
        changed,
        lost,
    };
    let parts = parts.clone();
    tasks.spawn(async move {
        // Dropped at the end however the task ends, a panic included: the claim then lapses and is rescued.
        let _let_go = LetGo { parts, key, fence };
        carrier.carry(callback).await;
    });
}

struct LetGo {
    parts: Arc<Parts>,
    key: (TenantId, InteractionId),
    fence: u64,
}

impl Drop for LetGo {
    fn drop(&mut self) {
        let mut held = self.parts.held();
        let was_full = held.len() >= self.parts.settings.max_claims;
        // A newer claim of the same callback may have taken the place already.
        if held
            .get(&self.key)
            .is_some_and(|held| held.fence == self.fence)
        {
            held.remove(&self.key);
        }
        // The commit that ended the work was heard while the place was still taken.
        if was_full {
            self.parts.room.notify_one();
        }
    }
}

impl Carrier {
    fn claim(&self) -> HeldClaim {
        HeldClaim {
            tenant: self.tenant.clone(),
            callback: self.id,
            fence: self.fence,
        }
    }

    /// Whether a phone may be rung under the claim. Where its lease has run out (the process was stopped for a while, the
    /// store is away), somebody else may have ended the attempt, or be about to.
    pub fn may_ring(&self) -> bool {
        !self.lost.is_cancelled() && !self.parts.has_run_out(&self.claim())
    }

    /// The same, after a lease that has run out was lengthened if that can be.
    pub async fn may_ring_still(&self) -> bool {
        if self.may_ring() {
            return true;
        }
        if let Err(error) = lease::lengthen_one(&self.parts, self.claim()).await {
            self.parts.observer.store_failed();
            tracing::error!(callback.id = %self.id, error = %error, "a lease that has run out cannot be lengthened");
        }
        self.may_ring()
    }

    async fn carry(&self, mut callback: Box<Callback>) {
        loop {
            if self.lost.is_cancelled()
                || callback
                    .state
                    .claim()
                    .is_none_or(|claim| claim.fence != self.fence)
            {
                return;
            }
            let next = match &callback.state {
                State::Offered { until, .. } => self.await_answer(*until).await,
                State::Assigned { .. } => place::place(self, callback).await,
                // Nothing else is carried: dialling and talking happen inside `place`.
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
                | State::Expired => return,
            };
            match next {
                Some(next) => callback = next,
                None => return,
            }
        }
    }

    /// Waits for the agent's answer, which arrives through the API, or for the offer to run out.
    async fn await_answer(&self, until: Timestamp) -> Option<Box<Callback>> {
        let clock = &self.parts.clock;
        if self.parts.draining.is_cancelled() {
            return self.release(Guard::NoAgent, clock.now()).await;
        }
        tokio::select! {
            biased;
            () = self.lost.cancelled() => return None,
            () = self.changed.notified() => {}
            () = clock.sleep_until(until) => {}
        }
        let callback = self.read().await?;
        if matches!(callback.state, State::Offered { .. }) && clock.now() >= until {
            return self
                .tell(Command::OfferTimedOut { fence: self.fence })
                .await;
        }
        Some(callback)
    }

    /// Puts it back: at its place in the queue, or on the timer until `until`.
    pub async fn release(&self, guard: Guard, until: Timestamp) -> Option<Box<Callback>> {
        self.tell(Command::Release {
            fence: self.fence,
            guard,
            until,
        })
        .await
    }

    /// A command of the clockwork's own; `None` when the claim is lost, the server is being stopped, or
    /// the store can never carry it out. Then the task ends, the lease runs out, and rescue looks at it.
    pub async fn tell(&self, command: Command) -> Option<Box<Callback>> {
        match self.try_tell(command).await {
            Ok(callback) => callback,
            Err(error) => {
                tracing::error!(callback.id = %self.id, error = %error, "the store cannot do this; the claim is given up");
                None
            }
        }
    }

    /// The same, with the fault that no repetition mends. Repeats while the store fails, because nobody
    /// else can say it.
    pub async fn try_tell(&self, command: Command) -> Result<Option<Box<Callback>>, StoreError> {
        let mut rest = Duration::from_millis(100);
        loop {
            let now = self.parts.clock.now();
            let order = ApplyOrder::system(self.tenant.clone(), self.id, command.clone(), now);
            match self.parts.store.apply(order).await {
                Ok(Applied::Done(callback, _)) => return Ok(Some(callback)),
                Ok(Applied::Repeated(_)) => return Ok(None),
                Err(StoreError::Refused(refusal)) => {
                    tracing::debug!(callback.id = %self.id, %refusal, "the callback has moved on");
                    return Ok(self.read().await);
                }
                Err(error) => {
                    self.parts.observer.store_failed();
                    if !may_pass(&error) {
                        return Err(error);
                    }
                    tracing::error!(callback.id = %self.id, error = %error, "the store failed; trying again");
                }
            }
            tokio::select! {
                biased;
                () = self.lost.cancelled() => return Ok(None),
                () = self.parts.ended.cancelled() => return Ok(None),
                () = self.parts.clock.sleep_until(plus(now, rest)) => {}
            }
            rest = (rest * 2).min(Duration::from_secs(5));
        }
    }

    /// The callback as it is now, if it is still ours.
    pub async fn read(&self) -> Option<Box<Callback>> {
        let mut rest = Duration::from_millis(100);
        loop {
            match self.parts.store.callback(&self.tenant, self.id).await {
                Ok(found) => {
                    let ours = found.filter(|callback| {
                        callback
                            .state
                            .claim()
                            .is_some_and(|claim| claim.fence == self.fence)
                    });
                    return ours.map(Box::new);
                }
                Err(error) => {
                    self.parts.observer.store_failed();
                    tracing::error!(callback.id = %self.id, error = %error, "the callback cannot be read");
                    if !may_pass(&error) {
                        return None;
                    }
                }
            }
            tokio::select! {
                biased;
                () = self.lost.cancelled() => return None,
                () = self.parts.ended.cancelled() => return None,
                () = self.parts.clock.sleep_until(plus(self.parts.clock.now(), rest)) => {}
            }
            rest = (rest * 2).min(Duration::from_secs(5));
        }
    }
}
