//! What a callback waits in: hours, agents or a DN, routes and rules.

use crate::contact::{DialRules, ResponseType};
use crate::ids::{QueueId, TenantId};
use crate::planning::QueuePlan;
use crate::problem::Problems;
use crate::wire_time::stored;
use jiff::Timestamp;
use ringback_scheduling::Almanac;
use ringback_scheduling::duration::Span;
use ringback_scheduling::hours::{Hours, HoursConfig};
use ringback_scheduling::permitted::PermittedHours;
use ringback_scheduling::retry::RetryTable;
use ringback_scheduling::slots::{BookingRules, SlotPlan};
use ringback_scheduling::staffing::CapacityRules;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, OnceLock};

/// A queue as it is stored: its rules, and the two switches a supervisor throws in a hurry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    pub tenant: TenantId,
    pub id: QueueId,
    pub rules: QueueRules,
    pub intake_paused: bool,
    pub dialling_paused: bool,
    /// A removed queue takes and dials nothing; callbacks left in it are refused for good.
    pub removed: bool,
    #[serde(with = "stored")]
    pub created_at: Timestamp,
    pub revision: u64,
}

/// Everything about a queue that an administrator writes. Unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueRules {
    /// Shown to people.
    pub name: String,
    /// When the queue is open.
    pub hours: HoursConfig,
    /// When customers may be rung, on their own clock.
    #[serde(default)]
    pub customer_hours: PermittedHours,
    /// Who stands at our end: agents, or a DN of the PBX.
    #[serde(default)]
    pub delivery: Delivery,
    /// Who is rung first.
    #[serde(default)]
    pub leg_order: LegOrder,
    /// Which numbers may be dialled. Nothing listed: nothing is dialled.
    #[serde(default)]
    pub dial: DialRules,
    /// VoIP callbacks to loopback and private addresses; off, because a public form must not reach inside.
    #[serde(default)]
    pub allow_private_addresses: bool,
    /// Route names in order, by response type.
    #[serde(default)]
    pub routes: Routes,
    /// Caller id shown to customers, E.164; the route's own if absent.
    #[serde(default)]
    pub caller_id: Option<String>,
    /// How long the agent's phone may ring.
    #[serde(default = "defaults::ring_agent")]
    pub ring_agent: Span,
    /// How long the customer's phone may ring; at least 25 s, because answers cluster at 18 to 22 s.
    #[serde(default = "defaults::ring_customer")]
    pub ring_customer: Span,
    /// A call that lasts longer is ended.
    #[serde(default = "defaults::max_talk")]
    pub max_talk: Span,
    /// How long an agent may look at an offer.
    #[serde(default = "defaults::offer")]
    pub offer: Span,
    /// Time for the paperwork after a call; `0s`: none.
    #[serde(default = "defaults::wrap_up")]
    pub wrap_up: Span,
    /// How long an agent may write the answer of an e-mail callback.
    #[serde(default = "defaults::reply")]
    pub reply: Span,
    /// When to try again, by how the last try ended.
    #[serde(default)]
    pub retry: RetryTable,
    /// A second request for a number that has an open callback in this queue: `merge` adds it to that one,
    /// `join` lets it take over and keep the place in the queue, `refuse` turns it away, `allow` stores both.
    #[serde(default)]
    pub duplicates: Duplicates,
    /// Calls placed to one number in any 24 hours, over all queues of the tenant.
    #[serde(default = "defaults::calls_per_number")]
    pub calls_per_number_per_day: u32,
    /// The promise given when the request names no `end_time`: contact within this of the first allowed moment.
    #[serde(default = "defaults::promise_within")]
    pub promise_within: Span,
    /// After a try that failed the customer is told when the next comes: a window of this length (1m to 30m).
    #[serde(default = "defaults::attention")]
    pub attention: Span,
    /// A time told anew begins no sooner than this, so that the customer can hear of it first.
    #[serde(default = "defaults::notice")]
    pub notice: Span,
    /// A request without `end_time` expires this long after `start_time`.
    #[serde(default = "defaults::default_window")]
    pub default_window: Span,
    /// Keyword rules that set the category, first rule first.
    #[serde(default)]
    pub categories: Vec<CategoryRule>,
    /// What concerns e-mail callbacks only.
    #[serde(default)]
    pub email: EmailRules,
    /// How many callbacks the queue can carry; without it bookings have no limit and there are no slots.
    #[serde(default)]
    pub capacity: Option<CapacityRules>,
    /// How slots are cut and sold; needs `capacity`.
    #[serde(default)]
    pub booking: Option<BookingRules>,
}

#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Delivery {
    /// Ringback's own roster and presence.
    #[default]
    Agents,
    /// A queue or extension of the PBX; Ringback paces by `max_concurrent`.
    Dn {
        dn: String,
        location: String,
        max_concurrent: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegOrder {
    /// No silent calls: a person is on the line before the customer's phone rings.
    #[default]
    AgentFirst,
    CustomerFirst,
}

/// What becomes of a request for a number that has an open callback in the queue already. One need is rung
/// once: merging is the default, because it loses neither the promise given nor what is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// The open callback is answered, and takes in what is new.
    #[default]
    Merge,
    /// The new request takes over, at the old one's place in the queue.
    Join,
    /// The new request is turned away.
    Refuse,
    /// Both are stored.
    Allow,
}

#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routes {
    /// Routes to telephones.
    #[serde(default)]
    pub voice: Vec<String>,
    /// Routes to SIP addresses; `direct` goes straight to the address itself.
    #[serde(default)]
    pub voip: Vec<String>,
    /// Mail relays.
    #[serde(default)]
    pub email: Vec<String>,
}

impl Routes {
    pub fn of(&self, kind: ResponseType) -> &[String] {
        match kind {
            ResponseType::Voice => &self.voice,
            ResponseType::VoIP => &self.voip,
            ResponseType::Email => &self.email,
        }
    }
}

/// Sets the category of a request whose subject or text holds one of the keywords (case does not matter).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryRule {
    /// The category that is set.
    pub category: String,
    /// Any one of these words or phrases does.
    pub keywords: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailRules {
    /// What is sent as the answer; without one an agent writes it.
    #[serde(default)]
    pub template: Option<EmailTemplate>,
    /// Sender; the route's own if absent.
    #[serde(default)]
    pub from: Option<String>,
    /// E-mail callbacks answered at one time when a template is sent.
    #[serde(default = "defaults::email_concurrent")]
    pub max_concurrent: u32,
}

impl Default for EmailRules {
    fn default() -> Self {
        EmailRules {
            template: None,
            from: None,
            max_concurrent: defaults::email_concurrent(),
        }
    }
}

/// `{{subject}}`, `{{customer_name}}`, `{{queue}}` and `{{interaction_id}}` are filled in; in `html` they are escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailTemplate {
    /// Subject, one line.
    pub subject: String,
    /// The message as plain text.
    pub text: String,
    /// The same as HTML, sent beside the text.
    #[serde(default)]
    pub html: Option<String>,
}

mod defaults {
    use super::Span;

    pub fn ring_agent() -> Span {
        Span::from_secs(20)
    }
    pub fn ring_customer() -> Span {
        Span::from_secs(45)
    }
    pub fn max_talk() -> Span {
        Span::from_secs(3600)
    }
    pub fn offer() -> Span {
        Span::from_secs(20)
    }
    pub fn wrap_up() -> Span {
        Span::from_secs(60)
    }
    pub fn reply() -> Span {
        Span::from_secs(1800)
    }
    pub fn calls_per_number() -> u32 {
        6
    }
    pub fn promise_within() -> Span {
        Span::from_secs(3600)
    }
    pub fn attention() -> Span {
        Span::from_secs(600)
    }
    pub fn notice() -> Span {
        Span::from_secs(60)
    }
    pub fn default_window() -> Span {
        Span::from_secs(24 * 3600)
    }
    pub fn email_concurrent() -> u32 {
        4
    }
}

/// A queue with its hours parsed once. `hours` is `None` when the stored rules cannot be read any more:
/// then nothing is dialled, and the guard says so.
#[derive(Clone, Debug)]
pub struct QueueView {
    pub queue: Queue,
    pub hours: Option<Arc<Hours>>,
    /// `None` where bookings have no limit.
    pub slots: Option<Arc<SlotPlan>>,
    /// Worked out when it is first asked for.
    plan: OnceLock<Option<Arc<QueuePlan>>>,
}

impl QueueView {
    /// `almanac` holds the lists of holidays that the rules may name; one that it lacks makes them unreadable.
    pub fn new(queue: Queue, almanac: &Almanac) -> Self {
        let hours = Hours::parse_with(&queue.rules.hours, almanac)
            .ok()
            .map(Arc::new);
        let rules = &queue.rules;
        let (hours, slots) = match (hours, &rules.capacity) {
            (Some(hours), Some(capacity)) => {
                let booking = rules.booking.clone().unwrap_or_default();
                match SlotPlan::parse(Arc::clone(&hours), capacity, &booking) {
                    Ok(slots) => (Some(hours), Some(Arc::new(slots))),
                    // What the queue can carry cannot be read: to book on would be to sell blindly.
                    Err(_) => (None, None),
                }
            }
            (hours, _) => (hours, None),
        };
        QueueView {
            slots,
            ..QueueView::with_hours(queue, hours)
        }
    }

    /// A queue of which somebody else says when it is open; `None`: nobody can say.
    pub fn with_hours(queue: Queue, hours: Option<Arc<Hours>>) -> Self {
        QueueView {
            queue,
            hours,
            slots: None,
            plan: OnceLock::new(),
        }
    }

    /// The staff plan, if the queue's capacity is one.
    pub fn plan(&self) -> Option<&QueuePlan> {
        self.plan
            .get_or_init(|| QueuePlan::of(self).map(Arc::new))
            .as_deref()
    }

    pub fn rules(&self) -> &QueueRules {
        &self.queue.rules
    }
}

impl QueueRules {
    /// Every broken rule at once; run before a queue is stored.
    pub fn check(&self, almanac: &Almanac, now: Timestamp) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if self.name.trim().is_empty() || self.name.len() > 200 {
            problems.add("name", "length", "must have 1 to 200 characters");
        }
        match Hours::new(&self.hours, almanac, now) {
            Ok(hours) => self.check_slots(Arc::new(hours), now, &mut problems),
            Err(error) => problems.add(
                format!("hours.{}", error.field()),
                "hours",
                error.to_string(),
            ),
        }
        if let Delivery::Dn {
            dn,
            location,
            max_concurrent,
        } = &self.delivery
        {
            if !is_dn(dn) {
                problems.add(
                    "delivery.dn",
                    "dn",
                    "must be an extension, a user name or a SIP URI without spaces",
                );
            }
            if location.is_empty() || location.len() > 100 {
                problems.add(
                    "delivery.location",
                    "length",
                    "must name the route (switch) the DN belongs to",
                );
            }
            if !(1..=10_000).contains(max_concurrent) {
                problems.add(
                    "delivery.max_concurrent",
                    "range",
                    "must be between 1 and 10000",
                );
            }
        }
        for (field, span, low, high) in [
            ("ring_agent", self.ring_agent, 1, 180),
            ("ring_customer", self.ring_customer, 1, 180),
            ("max_talk", self.max_talk, 1, 4 * 3600),
            ("offer", self.offer, 1, 3600),
            ("wrap_up", self.wrap_up, 0, 3600),
            ("reply", self.reply, 1, 24 * 3600),
            ("promise_within", self.promise_within, 1, 30 * 24 * 3600),
            ("attention", self.attention, 60, 1800),
            ("notice", self.notice, 0, 1800),
            ("default_window", self.default_window, 1, 366 * 24 * 3600),
        ] {
            if !(low..=high).contains(&span.as_secs()) {
                problems.add(
                    field,
                    "range",
                    format!("must be between {low} and {high} seconds"),
                );
            }
        }
        if let Err(error) = self.retry.check() {
            problems.add("retry", "retry", error.to_string());
        }
        if !(1..=100).contains(&self.calls_per_number_per_day) {
            problems.add(
                "calls_per_number_per_day",
                "range",
                "must be between 1 and 100",
            );
        }
        for (index, rule) in self.categories.iter().enumerate() {
            if rule.category.is_empty() || rule.category.len() > 64 {
                problems.add(
                    format!("categories[{index}].category"),
                    "length",
                    "must have 1 to 64 characters",
                );
            }
            if rule.keywords.is_empty()
                || rule
                    .keywords
                    .iter()
                    .any(|k| k.trim().is_empty() || k.len() > 100)
            {
                problems.add(
                    format!("categories[{index}].keywords"),
                    "keywords",
                    "must hold words of 1 to 100 characters",
                );
            }
        }
        if self.categories.len() > 100 {
            problems.add("categories", "length", "at most 100 rules");
        }
        for (field, routes) in [
            ("routes.voice", &self.routes.voice),
            ("routes.voip", &self.routes.voip),
            ("routes.email", &self.routes.email),
        ] {
            if routes.len() > 16 || routes.iter().any(|r| r.is_empty() || r.len() > 100) {
                problems.add(
                    field,
                    "length",
                    "at most 16 routes, each with a name of 1 to 100 characters",
                );
            }
        }
        if let Some(template) = &self.email.template {
            if template.subject.is_empty()
                || template.subject.chars().any(char::is_control)
                || template.subject.len() > 500
            {
                problems.add(
                    "email.template.subject",
                    "subject",
                    "must be one line of 1 to 500 characters",
                );
            }
            if template.text.len() > 100_000
                || template.html.as_ref().is_some_and(|h| h.len() > 500_000)
            {
                problems.add(
                    "email.template",
                    "length",
                    "text at most 100000 bytes, html at most 500000",
                );
            }
        }
        problems.into_result()
    }

    /// What the queue can carry, and how it is sold.
    fn check_slots(&self, hours: Arc<Hours>, now: Timestamp, problems: &mut Problems) {
        let Some(capacity) = &self.capacity else {
            if self.booking.is_some() {
                problems.add(
                    "booking",
                    "capacity",
                    "needs capacity: without it there are no slots",
                );
            }
            return;
        };
        let booking = self.booking.clone().unwrap_or_default();
        if let Err(faults) = SlotPlan::new(hours, capacity, &booking, now) {
            for fault in faults {
                problems.add(fault.field, "capacity", fault.detail);
            }
        }
    }

    /// The category that the keyword rules give, first rule first.
    pub fn categorise(&self, subject: Option<&str>, text: Option<&str>) -> Option<String> {
        let words = format!("{}\n{}", subject.unwrap_or(""), text.unwrap_or("")).to_lowercase();
        self.categories
            .iter()
            .find(|rule| {
                rule.keywords
                    .iter()
                    .any(|keyword| words.contains(&keyword.to_lowercase()))
            })
            .map(|rule| rule.category.clone())
    }
}

/// A directory number is configuration, never request data; still, nothing may smuggle a header.
pub fn is_dn(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-_.@:;=*#[]".contains(c))
}
