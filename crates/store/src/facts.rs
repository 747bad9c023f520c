//! The facts a decision may look at, gathered in one transaction; shared by both twins.

use jiff::Timestamp;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::guard::{Facts, NumberFacts, SlotFacts};
use ringback_callbacks::ids::{QueueId, TenantId};
use ringback_callbacks::queue::{
    Delivery, EmailRules, LegOrder, Queue, QueueRules, QueueView, Routes,
};
use ringback_scheduling::Almanac;
use ringback_scheduling::duration::Span;
use ringback_scheduling::hours::HoursConfig;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How far back calls to a number are counted.
pub(crate) const NUMBER_DAY: Duration = Duration::from_secs(24 * 3600);

/// More calls than any queue may allow in a day: reading on would change no answer.
pub(crate) const NUMBER_CALLS_READ: usize = 256;

/// Facts with an owner, so that they can be lent to the pure core.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub queue: Arc<QueueView>,
    pub customer: Customer,
    pub number: NumberFacts,
    pub almanac: Arc<Almanac>,
    pub jitter: f64,
    pub slots: Option<SlotFacts>,
}

impl Gathered {
    pub fn lend(&self) -> Facts<'_> {
        Facts {
            queue: &self.queue,
            customer: &self.customer,
            number: &self.number,
            almanac: &self.almanac,
            jitter: self.jitter,
            slots: self.slots.as_ref(),
        }
    }
}

/// Queues with their hours parsed. An entry is good only for the very text it was made from, so a
/// change that was rolled back can never leave a wrong one behind.
#[derive(Debug)]
pub(crate) struct QueueViews {
    almanac: Arc<Almanac>,
    known: Mutex<HashMap<(TenantId, QueueId), Known>>,
}

#[derive(Debug)]
struct Known {
    doc: String,
    view: Arc<QueueView>,
}

/// Queues kept at most; past it everything is forgotten and parsed again, which is slow but right.
const VIEWS_KEPT: usize = 4096;

impl QueueViews {
    pub fn new(almanac: Arc<Almanac>) -> Self {
        QueueViews {
            almanac,
            known: Mutex::default(),
        }
    }

    /// What the views were made with.
    pub fn almanac(&self) -> Arc<Almanac> {
        Arc::clone(&self.almanac)
    }

    /// The view of a stored queue. A document that cannot be read gives a queue without hours, for
    /// which the guards allow nothing.
    pub fn view(
        &self,
        tenant: &TenantId,
        id: &QueueId,
        doc: &str,
        switches: Switches,
    ) -> Arc<QueueView> {
        let key = (tenant.clone(), id.clone());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = known.get(&key)
            && entry.doc == doc
        {
            return Arc::clone(&entry.view);
        }
        let view = match serde_json::from_str::<Queue>(doc) {
            Ok(queue) => QueueView::new(queue, &self.almanac),
            Err(error) => {
                tracing::error!(queue.id = %id, line = error.line(), column = error.column(), "queue cannot be read");
                unreadable(tenant, id, switches)
            }
        };
        let view = Arc::new(view);
        if known.len() >= VIEWS_KEPT {
            known.clear();
        }
        known.insert(
            key,
            Known {
                doc: doc.to_owned(),
                view: Arc::clone(&view),
            },
        );
        view
    }
}

/// What stands in columns of its own and so is known even when the document is not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Switches {
    pub dialling_paused: bool,
    pub removed: bool,
}

/// A queue whose rules cannot be read: no hours, so nothing is dialled, and intake closed.
fn unreadable(tenant: &TenantId, id: &QueueId, switches: Switches) -> QueueView {
    let rules = QueueRules {
        name: id.to_string(),
        hours: HoursConfig {
            opening_hours: "off".to_owned(),
            time_zone: "UTC".to_owned(),
            holidays: Default::default(),
            exceptions: Vec::new(),
        },
        customer_hours: Default::default(),
        delivery: Delivery::Agents,
        leg_order: LegOrder::AgentFirst,
        dial: Default::default(),
        allow_private_addresses: false,
        routes: Routes::default(),
        caller_id: None,
        ring_agent: Span::from_secs(20),
        ring_customer: Span::from_secs(45),
        max_talk: Span::from_secs(3600),
        offer: Span::from_secs(20),
        wrap_up: Span::from_secs(60),
        reply: Span::from_secs(1800),
        retry: Default::default(),
        duplicates: Default::default(),
        calls_per_number_per_day: 1,
        promise_within: Span::from_secs(3600),
        attention: Span::from_secs(600),
        notice: Span::from_secs(60),
        default_window: Span::from_secs(24 * 3600),
        categories: Vec::new(),
        email: EmailRules::default(),
        capacity: None,
        booking: None,
    };
    let queue = Queue {
        tenant: tenant.clone(),
        id: id.clone(),
        rules,
        intake_paused: true,
        dialling_paused: switches.dialling_paused,
        removed: switches.removed,
        created_at: Timestamp::UNIX_EPOCH,
        revision: 0,
    };
    QueueView::with_hours(queue, None)
}
