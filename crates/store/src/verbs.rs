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
pub(crate) mod windows;

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
    /// What the last of them tells may not be passed over, whatever becomes of the callback in the same transaction.
    lasting: bool,
    /// Set to ask only: all of this job's writing is undone, its answer is given all the same.
    pub discard: bool,
}

impl<'t> Write<'t> {
    pub fn on(tables: &'t dyn Tables) -> Write<'t> {
        Write {
            tables,
            signals: Vec::new(),
            lasting: false,
            discard: false,
        }
    }

    /// What has become of a callback. Two steps of it in one transaction are one piece of news: that it came due is
    /// none once it is claimed.
    pub fn tell_of(&mut self, signal: Signal, lasting: bool) {
        if let (Some(Signal::Callback { tenant, id, .. }), false) =
            (self.signals.last(), self.lasting)
            && matches!(&signal, Signal::Callback { tenant: of, id: next, .. } if of == tenant && next == id)
        {
            self.signals.pop();
        }
        self.signals.push(signal);
        self.lasting = lasting;
    }

    /// Where the news stand, to take back what is told after.
    pub fn news(&self) -> News {
        News {
            told: self.signals.len(),
            last: self.signals.last().cloned(),
            lasting: self.lasting,
        }
    }

    pub fn take_back(&mut self, news: News) {
        let News {
            told,
            last,
            lasting,
        } = news;
        self.signals.truncate(told.saturating_sub(1));
        self.signals.extend(last);
        self.lasting = lasting;
    }
}

/// See [`Write::news`].
pub(crate) struct News {
    told: usize,
    last: Option<Signal>,
    lasting: bool,
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
