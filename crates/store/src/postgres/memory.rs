//! What the callbacks that this node has claimed are about.
//!
//! The next step of a claimed callback comes from here, and soon. What its decision will look at is then fetched with the
//! callback itself, not on a second journey after it. It is a guess: the row says what is true, and what was guessed
//! wrongly is fetched as if nothing had been known.

use super::set::CallbackKey;
use crate::effects;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::ids::{AgentId, AttemptId, CustomerId, QueueId};
use ringback_callbacks::state::State;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// More claims than a node ever holds: what is left of lost ones is forgotten with everything else.
const KEPT: usize = 50_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct About {
    pub queue: QueueId,
    pub customer: CustomerId,
    pub contact: String,
    pub by_mail: bool,
    pub agent: Option<AgentId>,
    pub attempt: Option<AttemptId>,
    /// Its call is about to begin: what is counted of its number stays as it is until that is written.
    pub calling: bool,
}

impl About {
    pub fn of(callback: &Callback) -> About {
        About {
            queue: callback.queue.clone(),
            customer: callback.interaction.customer.clone(),
            contact: callback.contact().expose().to_owned(),
            by_mail: effects::by_mail(callback),
            agent: callback.state.engages(),
            attempt: effects::live_attempt(&callback.state),
            calling: matches!(callback.state, State::Assigned { .. }),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<CallbackKey, Arc<About>>>);

impl Memory {
    fn lock(&self) -> MutexGuard<'_, HashMap<CallbackKey, Arc<About>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn of(&self, key: &CallbackKey) -> Option<Arc<About>> {
        self.lock().get(key).cloned()
    }

    /// What was written, with what it is about as long as it is claimed.
    pub fn note(&self, written: Vec<(CallbackKey, Option<About>)>) {
        let mut known = self.lock();
        if known.len() + written.len() > KEPT {
            known.clear();
        }
        for (key, about) in written {
            match about {
                Some(about) => known.insert(key, Arc::new(about)),
                None => known.remove(&key),
            };
        }
    }
}
