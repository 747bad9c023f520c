//! What can go wrong at the door to the database.

use ringback_callbacks::lifecycle::Refusal;
use ringback_scheduling::slots::{NoPlace, SlotState};
use ringback_scheduling::zone::Zone;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("not found: {0}")]
    NotFound(&'static str),
    /// The pure core refused the command; nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Somebody else changed it meanwhile.
    #[error("revision is {current}, not the expected one")]
    RevisionConflict { current: u64 },
    /// The same idempotency key came with another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyMismatch,
    /// A rule between rows forbids it, e.g. an agent who is already engaged, or a parent that takes no children.
    #[error("{detail}")]
    Conflict {
        field: Option<&'static str>,
        code: &'static str,
        detail: String,
    },
    /// No slot can be had at the wanted time; these are free instead.
    #[error("no place: {}", .why.name())]
    NoPlace {
        why: NoPlace,
        alternatives: Vec<SlotState>,
        /// The zone that the customer named, else the queue's: for showing local times.
        zone: Zone,
    },
    /// Too much is waiting to be written; try again shortly.
    #[error("the store is overloaded")]
    Busy,
    /// Nothing was written, and nothing will be until there is space.
    #[error("no space is left for the database")]
    Full,
    /// It may or may not have been written: repeat with the same idempotency key.
    #[error("the database failed: {0}")]
    Failed(String),
    /// A row that cannot be read as what it should be.
    #[error("damaged row in {table}, column {column}: {detail}")]
    Damaged {
        table: &'static str,
        column: &'static str,
        detail: String,
    },
    #[error("{0}")]
    Configuration(String),
    #[error("the store is closed")]
    Closed,
}
