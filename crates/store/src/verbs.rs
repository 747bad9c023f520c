//! The verbs themselves, one file per story: read through [`Tables`], ask the pure core, write what follows.
//!
//! The same for both twins. No SQL is here, and nothing asks which database it is.

pub(crate) mod accept;
pub(crate) mod agents;
pub(crate) mod bodies;
pub(crate) mod claim;
pub(crate) mod customers;
mod duplicates;
pub(crate) mod examine;
mod gather;
pub(crate) mod idempotency;
pub(crate) mod path;
pub(crate) mod planning;
pub(crate) mod queues;
pub(crate) mod reads;
pub(crate) mod record;
mod seating;
pub(crate) mod slots;

use crate::facts::QueueViews;
use crate::tables::Tables;
use crate::{OpenOptions, Signal, StoreError};
use jiff::{SignedDuration, Timestamp};
use ringback_callbacks::clock::Chance;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What every verb needs besides the tables.
pub(crate) struct House {
    pub chance: Arc<dyn Chance>,
    pub views: QueueViews,
    pub options: OpenOptions,
}

impl House {
    pub fn new(options: OpenOptions, chance: Arc<dyn Chance>) -> House {
        House {
            chance,
            views: QueueViews::new(Arc::clone(&options.almanac)),
            options,
        }
    }
}

impl fmt::Debug for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("House")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// What a job that writes works with.
pub(crate) struct Write<'t> {
    pub tables: &'t dyn Tables,
    /// Told to everybody after the commit.
    pub signals: Vec<Signal>,
    /// Set to ask only: all of this job's writing is undone, its answer is given all the same.
    pub discard: bool,
}

impl<'t> Write<'t> {
    pub fn on(tables: &'t dyn Tables) -> Write<'t> {
        Write {
            tables,
            signals: Vec::new(),
            discard: false,
        }
    }
}

/// As long before a moment; at the edge of time, its edge.
fn before(now: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    now.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

/// A limit for a page or a list: never nothing, never everything.
fn page(limit: usize) -> usize {
    limit.clamp(1, 1000)
}

fn missing(what: &'static str) -> StoreError {
    StoreError::NotFound(what)
}

fn conflict(field: &'static str, code: &'static str, detail: &str) -> StoreError {
    StoreError::Conflict {
        field: Some(field),
        code,
        detail: detail.to_owned(),
    }
}
