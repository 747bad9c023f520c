//! Gives events their numbers and links them into their callback's chain, the same way in both twins.

use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::clock::Chance;
use ringback_callbacks::event::{EventKind, NewEvent, chain_hash, personal_hash};
use ringback_callbacks::ids::InteractionId;
use ringback_callbacks::wire_time;
use serde_json::{Map, Value};

/// An event ready to be written.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub number: u32,
    pub at: Timestamp,
    pub kind: EventKind,
    pub actor: String,
    pub detail: Map<String, Value>,
    pub personal: Option<Personal>,
    pub hash: String,
}

/// A personal part, kept apart from what the chain covers: only its salted hash is covered.
#[derive(Clone)]
pub(crate) struct Personal {
    pub value: Value,
    pub salt: String,
    pub hash: String,
}

impl std::fmt::Debug for Personal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Personal(…)")
    }
}

/// Where a chain stands: how many events it has, and the hash of the last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chain {
    pub events: u32,
    pub last_hash: String,
}

impl Chain {
    /// Seals events onto the end of the chain.
    pub fn seal(
        &mut self,
        of: InteractionId,
        events: Vec<NewEvent>,
        now: Timestamp,
        chance: &dyn Chance,
    ) -> Vec<Sealed> {
        // The hash covers the time as it will be read back, so it is cut before hashing.
        let at = wire_time::truncate(now);
        events
            .into_iter()
            .map(|event| self.seal_one(of, event, at, chance))
            .collect()
    }

    fn seal_one(
        &mut self,
        of: InteractionId,
        event: NewEvent,
        at: Timestamp,
        chance: &dyn Chance,
    ) -> Sealed {
        let number = self.events + 1;
        let actor = event.actor.describe();
        let personal = event.personal.map(|value| {
            let mut salt = [0u8; 16];
            chance.fill(&mut salt);
            let salt = hex::encode(salt);
            let hash = personal_hash(&salt, &value);
            Personal { value, salt, hash }
        });
        let covered = personal.as_ref().map(|personal| personal.hash.as_str());
        let hash = chain_hash(
            &self.last_hash,
            of,
            number,
            at,
            event.kind,
            &actor,
            &event.detail,
            covered,
        );
        self.events = number;
        self.last_hash.clone_from(&hash);
        Sealed {
            number,
            at,
            kind: event.kind,
            actor,
            detail: event.detail,
            personal,
            hash,
        }
    }
}

/// Seals a decision's events onto the callback's own chain.
pub(crate) fn seal(
    callback: &mut Callback,
    events: Vec<NewEvent>,
    now: Timestamp,
    chance: &dyn Chance,
) -> Vec<Sealed> {
    let mut chain = Chain {
        events: callback.events,
        last_hash: std::mem::take(&mut callback.last_hash),
    };
    let sealed = chain.seal(callback.interaction.id, events, now, chance);
    callback.events = chain.events;
    callback.last_hash = chain.last_hash;
    sealed
}
