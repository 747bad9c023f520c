//! Late doubles: what a node once told the store arrives a second time, long after.

use crate::dice::Dice;
use jiff::Timestamp;
use ringback_callbacks::ids::{InteractionId, TenantId};
use ringback_callbacks::lifecycle::Command;
use ringback_store::ApplyOrder;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub struct Ghosts(Mutex<Vec<(TenantId, InteractionId, Command)>>);

impl Ghosts {
    fn known(&self) -> MutexGuard<'_, Vec<(TenantId, InteractionId, Command)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only what bears a fencing number: a person who asks twice has asked twice.
    pub fn remember(&self, tenant: TenantId, id: InteractionId, command: Command) {
        let fenced = matches!(
            command,
            Command::BeginAttempt { .. }
                | Command::Settle { .. }
                | Command::Release { .. }
                | Command::OfferTimedOut { .. }
                | Command::Rescue { .. }
                | Command::Fail { .. }
        );
        if fenced {
            self.known().push((tenant, id, command));
        }
    }

    /// One of the last that were told.
    pub fn double(&self, dice: &Dice, now: Timestamp) -> Option<ApplyOrder> {
        let known = self.known();
        let back = dice.below(20.min(known.len() as u64).max(1)) as usize;
        let (tenant, id, command) = known.iter().rev().nth(back)?.clone();
        Some(ApplyOrder::system(tenant, id, command, now))
    }
}
