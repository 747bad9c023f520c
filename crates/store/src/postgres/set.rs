//! The working set of one transaction: rows that were read, rows that are to be written, and the way back.
//!
//! Verbs of many jobs run one after the other over the same set; what they write is gathered here and goes to the
//! database in a few statements at the end. A job that fails takes back its own part and leaves the others'.

use super::memory::About;
use crate::events::Sealed;
use crate::tables::{AnswerRow, InteractionRow, QueueRow};
use ringback_callbacks::agent::Agent;
use ringback_callbacks::attempt::Attempt;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::ids::{AgentId, AttemptId, CustomerId, InteractionId, QueueId, TenantId};
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::rc::Rc;
use uuid::Uuid;

/// Rows of one table by their keys, with what they were before each change.
#[derive(Debug)]
pub(super) struct Shelf<K, V> {
    rows: HashMap<K, V>,
    journal: Vec<(K, Option<V>)>,
}

impl<K, V> Default for Shelf<K, V> {
    fn default() -> Self {
        Shelf {
            rows: HashMap::new(),
            journal: Vec::new(),
        }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Shelf<K, V> {
    pub fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key)
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.rows.keys()
    }

    pub fn has(&self, key: &K) -> bool {
        self.rows.contains_key(key)
    }

    /// What the database says. What is here already was read in this transaction, or written by it: it stays.
    pub fn load(&mut self, key: K, row: V) {
        self.rows.entry(key).or_insert(row);
    }

    /// What the database says now, whatever was read before: the row has just been locked.
    pub fn reload(&mut self, key: K, row: V) {
        self.rows.insert(key, row);
    }

    pub fn put(&mut self, key: K, row: V) {
        let before = self.rows.insert(key.clone(), row);
        self.journal.push((key, before));
    }

    fn undo(&mut self, mark: usize) {
        while self.journal.len() > mark {
            if let Some((key, before)) = self.journal.pop() {
                match before {
                    Some(row) => self.rows.insert(key, row),
                    None => self.rows.remove(&key),
                };
            }
        }
    }

    /// Keys written since the last flush, each once, in order.
    fn written(&self) -> Vec<K>
    where
        K: Ord,
    {
        let mut keys: Vec<K> = self.journal.iter().map(|(key, _)| key.clone()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn settle(&mut self) {
        self.journal.clear();
    }
}

/// How a row stands to what the database has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fresh {
    Same,
    New,
    Changed,
}

#[derive(Clone, Debug)]
pub(super) struct CallbackRow {
    /// `None`: there is no such callback.
    pub callback: Option<Rc<Callback>>,
    /// How often it had been written when it was read.
    pub writes: i64,
    pub fresh: Fresh,
    /// The row of its common fields is to be written as well.
    pub common: bool,
    /// Its contacts are to be written as well.
    pub contacts: bool,
    /// The contacts that stand in the database and have changed.
    pub old_contacts: Option<Rc<Vec<String>>>,
}

#[derive(Clone, Debug)]
pub(super) struct CustomerRow {
    pub customer: Option<Rc<Customer>>,
    /// The revision it had in the database; 0: it was not there.
    pub stored: u64,
}

#[derive(Clone, Debug)]
pub(super) struct AttemptRow {
    pub attempt: Option<Rc<Attempt>>,
    pub fresh: Fresh,
    pub by_mail: bool,
    pub legs: bool,
}

#[derive(Clone, Debug)]
pub(super) struct AgentRow {
    pub agent: Option<Rc<Agent>>,
    /// What they had in hand when the row was read.
    pub engaged: Option<InteractionId>,
    /// When they became idle, if that was here.
    pub idle_since: Option<i64>,
    pub away: bool,
}

/// One call to a number in the last day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub attempt: AttemptId,
    pub callback: InteractionId,
    pub began_at: i64,
    pub in_call: bool,
    pub rang: bool,
}

/// A place in a slot as it will be.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub queue: QueueId,
    pub start: i64,
    pub customer: CustomerId,
}

/// What is taken of a queue's slots, as far as it was asked about.
#[derive(Clone, Debug, Default)]
pub(super) struct SlotBook {
    /// Stretches that were read.
    pub read: Vec<(i64, i64)>,
    pub booked: BTreeMap<i64, i64>,
    /// Beginning, end of the hold, holder.
    pub holds: Vec<(i64, i64, Uuid)>,
    /// Written here and not yet in the database.
    pub deltas: BTreeMap<i64, i64>,
}

#[derive(Clone, Debug)]
pub(super) struct EventRow {
    pub tenant: TenantId,
    pub of: InteractionId,
    pub event: Rc<Sealed>,
}

#[derive(Clone, Debug)]
pub(super) struct AnswerToKeep {
    pub fingerprint: [u8; 32],
    pub answer: Rc<str>,
    pub expires_at: i64,
}

#[derive(Clone, Debug)]
pub(super) struct AnswerSeen {
    pub row: Option<Rc<AnswerRow>>,
    pub keep: Option<AnswerToKeep>,
}

pub(super) type QueueKey = (TenantId, QueueId);
pub(super) type ContactKey = (TenantId, String);
pub(super) type CallbackKey = (TenantId, InteractionId);

#[derive(Debug, Default)]
pub(super) struct Set {
    pub queues: Shelf<QueueKey, Option<Rc<QueueRow>>>,
    pub callbacks: Shelf<CallbackKey, CallbackRow>,
    /// Callbacks whose document cannot be read, and why.
    pub damaged: HashMap<CallbackKey, String>,
    /// Interactions of any kind, as far as their children ask.
    pub interactions: Shelf<CallbackKey, Option<InteractionRow>>,
    pub customers: Shelf<(TenantId, CustomerId), CustomerRow>,
    /// Whose contact it is.
    pub contacts: Shelf<ContactKey, Option<CustomerId>>,
    pub attempts: Shelf<(TenantId, AttemptId), AttemptRow>,
    pub calls: Shelf<ContactKey, Rc<Vec<Call>>>,
    /// Callbacks that name a contact and were open when asked about, oldest first.
    pub open: Shelf<ContactKey, Rc<Vec<InteractionId>>>,
    pub agents: Shelf<(TenantId, AgentId), AgentRow>,
    pub answers: Shelf<(TenantId, i64, String), AnswerSeen>,
    pub places: Shelf<CallbackKey, Option<Place>>,
    pub slots: HashMap<QueueKey, SlotBook>,
    /// Queue, slot and difference of every place that was taken or given back.
    counted: Vec<(QueueKey, i64, i64)>,
    pub events: Vec<EventRow>,
    /// Callbacks that the clock leaves alone for a while, and until when.
    pub aside: Vec<(CallbackKey, i64)>,
    /// Events of this transaction that are in the database already.
    pub numbered: i64,
    /// Statements that went to the database before the end: they cannot be taken back alone.
    pub sent: bool,
    marks: Vec<Heights>,
}

/// How high each journal was.
#[derive(Clone, Copy, Debug)]
struct Heights {
    callbacks: usize,
    interactions: usize,
    customers: usize,
    contacts: usize,
    attempts: usize,
    calls: usize,
    open: usize,
    agents: usize,
    answers: usize,
    places: usize,
    counted: usize,
    events: usize,
    aside: usize,
    sent: bool,
}

impl Set {
    fn heights(&self) -> Heights {
        Heights {
            callbacks: self.callbacks.journal.len(),
            interactions: self.interactions.journal.len(),
            customers: self.customers.journal.len(),
            contacts: self.contacts.journal.len(),
            attempts: self.attempts.journal.len(),
            calls: self.calls.journal.len(),
            open: self.open.journal.len(),
            agents: self.agents.journal.len(),
            answers: self.answers.journal.len(),
            places: self.places.journal.len(),
            counted: self.counted.len(),
            events: self.events.len(),
            aside: self.aside.len(),
            sent: self.sent,
        }
    }

    /// Whether it is known what is taken of a queue's slots that begin in a stretch.
    pub fn has_read(&self, queue: &QueueKey, from: i64, to: i64) -> bool {
        self.slots.get(queue).is_some_and(|book| {
            let mut read = book.read.iter();
            read.any(|(begin, end)| *begin <= from && to <= *end)
        })
    }

    /// A place more or less in a slot.
    pub fn count_slot(&mut self, queue: &QueueKey, start: i64, delta: i64) {
        self.tally(queue, start, delta);
        self.counted.push((queue.clone(), start, delta));
    }

    fn tally(&mut self, queue: &QueueKey, start: i64, delta: i64) {
        let book = self.slots.entry(queue.clone()).or_default();
        *book.booked.entry(start).or_default() += delta;
        *book.deltas.entry(start).or_default() += delta;
    }

    pub fn mark(&mut self) -> usize {
        let heights = Heights {
            sent: self.sent,
            ..self.heights()
        };
        // From here on it is asked whether anything was sent since.
        self.sent = false;
        self.marks.push(heights);
        self.marks.len() - 1
    }

    /// Takes everything back to the mark; false if something of it is in the database already.
    pub fn undo(&mut self, mark: usize) -> bool {
        let sent = self.sent;
        let Some(heights) = self.marks.get(mark).copied() else {
            return false;
        };
        self.keep(mark);
        if sent {
            return false;
        }
        self.callbacks.undo(heights.callbacks);
        self.interactions.undo(heights.interactions);
        self.customers.undo(heights.customers);
        self.contacts.undo(heights.contacts);
        self.attempts.undo(heights.attempts);
        self.calls.undo(heights.calls);
        self.open.undo(heights.open);
        self.agents.undo(heights.agents);
        self.answers.undo(heights.answers);
        self.places.undo(heights.places);
        while self.counted.len() > heights.counted {
            if let Some((queue, start, delta)) = self.counted.pop() {
                self.tally(&queue, start, -delta);
            }
        }
        self.events.truncate(heights.events);
        self.aside.truncate(heights.aside);
        true
    }

    pub fn keep(&mut self, mark: usize) {
        while self.marks.len() > mark {
            if let Some(heights) = self.marks.pop() {
                self.sent |= heights.sent;
            }
        }
    }

    /// Whether anything waits to be written.
    pub fn is_clean(&self) -> bool {
        let Heights {
            callbacks,
            interactions,
            customers,
            contacts,
            attempts,
            calls,
            open,
            agents,
            answers,
            places,
            counted,
            events,
            aside,
            sent: _,
        } = self.heights();
        [
            callbacks,
            interactions,
            customers,
            contacts,
            attempts,
            calls,
            open,
            agents,
            answers,
            places,
            counted,
            events,
            aside,
        ]
        .iter()
        .all(|height| *height == 0)
    }

    /// Callbacks that wait to be written, with what they are about if a node has claimed them.
    pub fn claims(&self) -> Vec<(CallbackKey, Option<About>)> {
        let written = self.callbacks.written().into_iter();
        written
            .map(|key| {
                let row = self.callbacks.get(&key);
                let callback = row.and_then(|row| row.callback.as_ref());
                let claimed = callback.filter(|callback| callback.state.claim().is_some());
                let about = claimed.map(|callback| About::of(callback));
                (key, about)
            })
            .collect()
    }

    pub fn written(&self) -> Written {
        Written {
            callbacks: self.callbacks.written(),
            customers: self.customers.written(),
            contacts: self.contacts.written(),
            attempts: self.attempts.written(),
            agents: self.agents.written(),
            answers: self.answers.written(),
            places: self.places.written(),
            slots: {
                let mut queues: Vec<QueueKey> = self
                    .counted
                    .iter()
                    .map(|(queue, ..)| queue.clone())
                    .collect();
                queues.sort_unstable();
                queues.dedup();
                queues
            },
        }
    }

    /// Everything is in the database: rows are what they were read as.
    pub fn settle(&mut self) {
        self.sent = true;
        self.numbered += i64::try_from(self.events.len()).unwrap_or(0);
        for row in self.callbacks.rows.values_mut() {
            if row.fresh != Fresh::Same {
                row.writes += 1;
                row.fresh = Fresh::Same;
                row.common = false;
                row.contacts = false;
                row.old_contacts = None;
            }
        }
        for row in self.customers.rows.values_mut() {
            row.stored = row
                .customer
                .as_ref()
                .map_or(0, |customer| customer.revision);
        }
        for row in self.attempts.rows.values_mut() {
            row.fresh = Fresh::Same;
            row.legs = false;
        }
        for row in self.agents.rows.values_mut() {
            row.engaged = row.agent.as_ref().and_then(|agent| agent.engaged);
            row.idle_since = None;
            row.away = false;
        }
        for seen in self.answers.rows.values_mut() {
            seen.keep = None;
        }
        for book in self.slots.values_mut() {
            book.deltas.clear();
        }
        self.callbacks.settle();
        self.interactions.settle();
        self.customers.settle();
        self.contacts.settle();
        self.attempts.settle();
        self.calls.settle();
        self.open.settle();
        self.agents.settle();
        self.answers.settle();
        self.places.settle();
        self.counted.clear();
        self.events.clear();
        // Their rows were written past the set.
        for (key, _) in self.aside.drain(..) {
            self.callbacks.rows.remove(&key);
        }
        // Marks before this have nothing left above them that could be taken back: `sent` says so.
        let heights = self.heights();
        for mark in &mut self.marks {
            *mark = Heights {
                sent: mark.sent,
                ..heights
            };
        }
    }
}

/// Keys of what waits to be written.
pub(super) struct Written {
    pub callbacks: Vec<CallbackKey>,
    pub customers: Vec<(TenantId, CustomerId)>,
    pub contacts: Vec<ContactKey>,
    pub attempts: Vec<(TenantId, AttemptId)>,
    pub agents: Vec<(TenantId, AgentId)>,
    pub answers: Vec<(TenantId, i64, String)>,
    pub places: Vec<CallbackKey>,
    pub slots: Vec<QueueKey>,
}
