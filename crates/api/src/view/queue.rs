//! Queues as clients see them, and the shape of their rules for the document.

use super::date;
use ringback_callbacks::queue::{Queue, QueueRules};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What callbacks wait in.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Queue)]
pub struct QueueView {
    /// Id, as callbacks name it.
    pub queue: String,
    /// Everything an administrator writes; the same form that PUT takes.
    #[schema(value_type = QueueRulesBody)]
    pub rules: QueueRules,
    /// No requests are taken just now.
    pub intake_paused: bool,
    /// Nothing is dialled just now.
    pub dialling_paused: bool,
    /// It takes and dials nothing any more.
    pub removed: bool,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// How many callbacks it has, by inner state; only where one queue is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub counts: Option<QueueCounts>,
    /// Grows with every change of rules or switches; also the `ETag`.
    pub revision: u64,
}

/// Callbacks by inner state, e.g. `{"scheduled": 12, "queued": 3}`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(transparent)]
pub struct QueueCounts(pub BTreeMap<String, u64>);

impl QueueView {
    pub fn new(queue: &Queue, counts: Option<Vec<(String, u64)>>) -> Self {
        QueueView {
            queue: queue.id.to_string(),
            rules: queue.rules.clone(),
            intake_paused: queue.intake_paused,
            dialling_paused: queue.dialling_paused,
            removed: queue.removed,
            created_at: date(queue.created_at),
            counts: counts.map(|counts| QueueCounts(counts.into_iter().collect())),
            revision: queue.revision,
        }
    }
}

/// The shapes below document `ringback_callbacks::queue::QueueRules`, which no HTTP crate may describe
/// itself; a test keeps their fields the same.
macro_rules! documented {
    ($($item:item)+) => { $(
        #[derive(ToSchema)]
        #[allow(dead_code, reason = "read by ringback_callbacks; here for the document")]
        $item
    )+ };
}

documented! {
    /// Everything about a queue that an administrator writes. Lengths of time are written like `90s`, `5m`, `1h30m`.
    #[schema(as = QueueRules)]
    pub struct QueueRulesBody {
        /// Shown to people.
        #[schema(example = "Customer service")]
        pub name: String,
        /// When the queue is open.
        pub hours: HoursBody,
        /// When customers may be rung, on their own clock. 08:00 to 21:00 if absent.
        #[schema(required = false)]
        pub customer_hours: CustomerHoursBody,
        /// Who answers: Ringback's own agents (if absent), or a directory number of the PBX.
        #[schema(required = false)]
        pub delivery: DeliveryBody,
        /// Who is rung first: `agent_first` (if absent) or `customer_first`.
        #[schema(required = false, value_type = String, example = "agent_first")]
        pub leg_order: String,
        /// Which numbers may be dialled. Nothing listed: nothing is dialled.
        #[schema(required = false)]
        pub dial: DialBody,
        /// Whether VoIP callbacks may go to loopback and private addresses.
        #[schema(required = false)]
        pub allow_private_addresses: bool,
        /// Names of routes in order, by response type.
        #[schema(required = false)]
        pub routes: RoutesBody,
        /// Caller id shown to customers, E.164; the route's own if absent.
        #[schema(nullable)]
        pub caller_id: Option<String>,
        /// How long the agent's phone rings. `20s` if absent.
        #[schema(required = false, example = "20s")]
        pub ring_agent: String,
        /// How long the customer's phone rings. `45s` if absent.
        #[schema(required = false, example = "45s")]
        pub ring_customer: String,
        /// Longest call. `1h` if absent.
        #[schema(required = false, example = "1h")]
        pub max_talk: String,
        /// How long an agent may look at an offer. `20s` if absent.
        #[schema(required = false, example = "20s")]
        pub offer: String,
        /// Time for the agent after a call. `1m` if absent.
        #[schema(required = false, example = "1m")]
        pub wrap_up: String,
        /// How long an agent may write an e-mail. `30m` if absent.
        #[schema(required = false, example = "30m")]
        pub reply: String,
        /// When and how often to try again, by how the last try ended.
        #[schema(required = false)]
        pub retry: RetryBody,
        /// A second request for a number that has an open callback in this queue: `merge` (if absent) adds it to
        /// that one, `join` lets it take over and keep the place, `refuse` turns it away, `allow` stores both.
        #[schema(required = false, value_type = String, example = "merge")]
        pub duplicates: String,
        /// Calls placed to one number in any 24 hours, over all queues. 6 if absent.
        #[schema(required = false)]
        pub calls_per_number_per_day: u32,
        /// The promise given when a request names no `end_time`. `1h` if absent.
        #[schema(required = false, example = "1h")]
        pub promise_within: String,
        /// After a try that failed the customer is told when the next comes: a window of this length. `10m` if absent.
        #[schema(required = false, example = "10m")]
        pub attention: String,
        /// A time told anew begins no sooner than this. `1m` if absent.
        #[schema(required = false, example = "1m")]
        pub notice: String,
        /// A request without `end_time` expires this long after `start_time`. `1d` if absent.
        #[schema(required = false, example = "1d")]
        pub default_window: String,
        /// Rules that set `category_id`; the first that fits wins.
        #[schema(required = false)]
        pub categories: Vec<CategoryBody>,
        /// How e-mail callbacks are answered.
        #[schema(required = false)]
        pub email: EmailBody,
        /// How many callbacks the queue can carry; without it bookings have no limit and there are no slots.
        #[schema(nullable)]
        pub capacity: Option<CapacityBody>,
        /// How slots are cut and sold; needs `capacity`.
        #[schema(nullable)]
        pub booking: Option<BookingBody>,
    }

    /// Opening hours.
    #[schema(as = Hours)]
    pub struct HoursBody {
        /// OpenStreetMap syntax; later rules win over earlier ones.
        #[schema(example = "Mo-Fr 09:00-17:00; PH off")]
        pub opening_hours: String,
        /// IANA zone in which the times are meant.
        #[schema(example = "Europe/Paris")]
        pub time_zone: String,
        /// The days that `PH` stands for.
        #[schema(required = false)]
        pub holidays: HolidaysBody,
        /// Days on which the rules do not hold.
        #[schema(required = false)]
        pub exceptions: Vec<ExceptionBody>,
    }

    /// Where public holidays come from; all sources add up.
    #[schema(as = Holidays)]
    pub struct HolidaysBody {
        /// The built-in holidays of a country, e.g. `FR`.
        #[schema(nullable)]
        pub country: Option<String>,
        /// A part of the country with holidays of its own.
        #[schema(nullable)]
        pub region: Option<String>,
        /// Holidays of one's own, e.g. `2026-12-24`.
        #[schema(required = false)]
        pub dates: Vec<String>,
        /// Names of lists of holidays that the operator keeps in files (`[holidays]` in the configuration).
        #[schema(required = false)]
        pub lists: Vec<String>,
    }

    /// Days on which the rules do not hold. Two that name the same day must say the same hours.
    #[schema(as = HoursException)]
    pub struct ExceptionBody {
        /// The day, e.g. `2026-12-24`, or the first of several.
        pub date: String,
        /// The last day of several, at most 366.
        #[schema(nullable)]
        pub until: Option<String>,
        /// Times like `10:00-14:00`; closed if absent.
        #[schema(nullable)]
        pub opening_hours: Option<String>,
        /// Why, for people.
        #[schema(nullable)]
        pub note: Option<String>,
    }

    /// From when until when on each day a person may be rung.
    #[schema(as = CustomerHours)]
    pub struct CustomerHoursBody {
        /// E.g. `08:00:00`.
        pub from: String,
        /// E.g. `21:00:00`; the end itself is too late.
        pub to: String,
    }

    /// Who answers.
    #[schema(as = Delivery)]
    pub struct DeliveryBody {
        /// `agents` or `dn`.
        pub kind: String,
        /// With `dn`: extension or queue of the PBX.
        #[schema(nullable)]
        pub dn: Option<String>,
        /// With `dn`: the route (switch) it belongs to.
        #[schema(nullable)]
        pub location: Option<String>,
        /// With `dn`: calls at one time.
        #[schema(nullable)]
        pub max_concurrent: Option<u32>,
    }

    /// Which numbers may be dialled.
    #[schema(as = DialRules)]
    pub struct DialBody {
        /// ISO 3166 codes, e.g. `["FR", "BE"]`.
        #[schema(required = false)]
        pub regions: Vec<String>,
        /// `fixed_line`, `mobile`, `fixed_line_or_mobile`, `toll_free`, `voip` (these if absent), `personal`,
        /// `pager`, `universal_access`, `voicemail`, `unknown`. Premium rate and shared cost cannot be listed.
        #[schema(required = false)]
        pub types: Vec<String>,
        /// The country of numbers written without one.
        #[schema(nullable)]
        pub default_region: Option<String>,
    }

    /// Names of routes in order.
    #[schema(as = Routes)]
    pub struct RoutesBody {
        /// For telephone numbers.
        #[schema(required = false)]
        pub voice: Vec<String>,
        /// For SIP addresses.
        #[schema(required = false)]
        pub voip: Vec<String>,
        /// For e-mail.
        #[schema(required = false)]
        pub email: Vec<String>,
    }

    /// When and how often to try again. What is left out is as by default.
    #[schema(as = RetryTable)]
    pub struct RetryBody {
        /// After busy.
        #[schema(required = false)]
        pub busy: RetryRuleBody,
        /// After no answer.
        #[schema(required = false)]
        pub no_answer: RetryRuleBody,
        /// After a machine, a fax or silence.
        #[schema(required = false)]
        pub machine: RetryRuleBody,
        /// After a mail server's "later".
        #[schema(required = false)]
        pub deferred: RetryRuleBody,
        /// After a fault of a carrier or a switch; not counted.
        #[schema(required = false)]
        pub route_fault: RetryRuleBody,
        /// After a crash in mid-call.
        #[schema(required = false)]
        pub unknown: RetryRuleBody,
        /// After the person refused the call.
        #[schema(required = false)]
        pub declined: RetryRuleBody,
        /// After a number that does not exist.
        #[schema(required = false)]
        pub invalid: RetryRuleBody,
        /// The most tries that count, whatever their endings.
        #[schema(required = false)]
        pub max_attempts: u32,
        /// Waits are drawn out by up to this part of themselves, so that not all are tried again at once.
        #[schema(required = false)]
        pub spread: f64,
    }

    /// One rule of the retry table.
    #[schema(as = RetryRule)]
    pub struct RetryRuleBody {
        /// How long to wait.
        #[schema(example = "5m")]
        pub after: String,
        /// How many further tries this kind of ending may cause.
        pub times: u32,
        /// With a limit, each further wait is twice the one before, up to this.
        #[schema(nullable)]
        pub grows_to: Option<String>,
    }

    /// Sets the category of a request whose subject or text holds one of the keywords.
    #[schema(as = CategoryRule)]
    pub struct CategoryBody {
        /// The category.
        pub category: String,
        /// Words; case does not matter.
        pub keywords: Vec<String>,
    }

    /// How e-mail callbacks are answered.
    #[schema(as = EmailRules)]
    pub struct EmailBody {
        /// Sent by the queue itself; absent: an agent writes.
        #[schema(nullable)]
        pub template: Option<TemplateBody>,
        /// Sender; the route's own if absent.
        #[schema(nullable)]
        pub from: Option<String>,
        /// Messages sent at one time. 4 if absent.
        #[schema(required = false)]
        pub max_concurrent: u32,
    }

    /// What a queue can carry: `per_slot`, or a staff plan (`weekly`, `steps`).
    #[schema(as = Capacity)]
    pub struct CapacityBody {
        /// Callbacks per slot, a plain number.
        #[schema(nullable)]
        pub per_slot: Option<u32>,
        /// Agents by the week, in the queue's zone; times that no row names have nobody.
        #[schema(required = false)]
        pub weekly: Vec<StaffRowBody>,
        /// Agents on certain dates; these win over the week.
        #[schema(required = false)]
        pub steps: Vec<StaffStepBody>,
        /// Mean talk of a callback. `4m` if absent.
        #[schema(required = false, example = "4m")]
        pub mean_talk: String,
        /// Mean time for the paperwork after it. `30s` if absent.
        #[schema(required = false, example = "30s")]
        pub mean_wrap: String,
        /// Share of the tries that reach the customer. 0.8 if absent.
        #[schema(required = false)]
        pub reach: f64,
        /// For agents who answer calls that come in by themselves as well.
        #[schema(nullable)]
        pub live: Option<LiveBody>,
    }

    /// Agents who are there in the same hours every week.
    #[schema(as = StaffRow)]
    pub struct StaffRowBody {
        /// Days like `Mo-Fr` or `Sa,Su`.
        #[schema(example = "Mo-Fr")]
        pub days: String,
        /// Time of day like `09:00`.
        #[schema(example = "09:00")]
        pub from: String,
        /// Time of day, up to `24:00`; at or before `from` it is on the day after.
        #[schema(example = "17:00")]
        pub to: String,
        /// How many.
        pub agents: u32,
    }

    /// Agents who are there on certain dates.
    #[schema(as = StaffStep)]
    pub struct StaffStepBody {
        /// Local date and time, like `2026-12-24T10:00`.
        pub from: String,
        /// Local date and time; the end no longer belongs to it.
        pub to: String,
        /// How many.
        pub agents: u32,
    }

    /// Calls that come in by themselves and share the agents.
    #[schema(as = LiveCalls)]
    pub struct LiveBody {
        /// Calls expected, by the week.
        pub forecast: Vec<ForecastRowBody>,
        /// Mean time one of them keeps an agent. `4m` if absent.
        #[schema(required = false, example = "4m")]
        pub handling: String,
        /// Share of the day's calls to be answered within `within`. 0.8 if absent.
        #[schema(required = false)]
        pub target: f64,
        /// How long those may wait. `20s` if absent.
        #[schema(required = false, example = "20s")]
        pub within: String,
        /// Share of the day's calls that may give up at most. 0.05 if absent.
        #[schema(required = false)]
        pub abandon: f64,
    }

    /// Calls expected in the same hours every week.
    #[schema(as = ForecastRow)]
    pub struct ForecastRowBody {
        /// Days like `Mo-Fr`.
        pub days: String,
        /// Time of day like `09:00`.
        pub from: String,
        /// Time of day, up to `24:00`; at or before `from` it is on the day after.
        pub to: String,
        /// How many an hour.
        pub calls_per_hour: f64,
    }

    /// How slots are cut and sold.
    #[schema(as = BookingRules)]
    pub struct BookingBody {
        /// Length of a slot, 5m to 4h; a day must hold a whole number of them. `15m` if absent.
        #[schema(required = false, example = "15m")]
        pub slot: String,
        /// How far ahead a slot may begin. `14d` if absent.
        #[schema(required = false, example = "14d")]
        pub horizon: String,
        /// How far ahead a slot must begin at least. Nothing if absent.
        #[schema(required = false, example = "30m")]
        pub notice: String,
        /// For how long a place is kept while a form is filled in. `5m` if absent.
        #[schema(required = false, example = "5m")]
        pub hold: String,
        /// The most places of a slot, however many the staff could carry.
        #[schema(nullable)]
        pub per_slot: Option<u32>,
        /// The most places of a day on the queue's clock.
        #[schema(nullable)]
        pub per_day: Option<u32>,
        /// The most open bookings of one customer.
        #[schema(nullable)]
        pub per_customer: Option<u32>,
    }

    /// `{{subject}}`, `{{customer_name}}`, `{{queue}}` and `{{interaction_id}}` are filled in.
    #[schema(as = EmailTemplate)]
    pub struct TemplateBody {
        /// Subject line.
        pub subject: String,
        /// Plain text.
        pub text: String,
        /// HTML beside it.
        #[schema(nullable)]
        pub html: Option<String>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;
    use utoipa::PartialSchema;

    fn documented(schema: impl Serialize) -> BTreeSet<String> {
        let value = serde_json::to_value(schema).unwrap();
        value["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    }

    fn written(value: &Value) -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn the_document_has_the_fields_of_the_rules() {
        let rules: QueueRules = serde_json::from_value(json!({
            "name": "all", "caller_id": "+33123456789",
            "hours": { "opening_hours": "24/7", "time_zone": "Europe/Paris",
                       "holidays": { "country": "FR", "region": "IDF", "dates": ["2026-12-24"], "lists": ["company"] },
                       "exceptions": [{ "date": "2026-12-24", "until": "2026-12-26", "opening_hours": "10:00-14:00", "note": "Eve" }] },
            "delivery": { "kind": "dn", "dn": "7000", "location": "pbx", "max_concurrent": 2 },
            "dial": { "default_region": "FR" },
            "retry": { "busy": { "after": "5m", "times": 3, "grows_to": "1h" } },
            "categories": [{ "category": "bills", "keywords": ["invoice"] }],
            "email": { "template": { "subject": "s", "text": "t", "html": "h" }, "from": "a@example.com" },
            "capacity": {
                "weekly": [{ "days": "Mo-Fr", "from": "09:00", "to": "17:00", "agents": 3 }],
                "steps": [{ "from": "2026-12-24T10:00", "to": "2026-12-24T14:00", "agents": 1 }],
                "live": { "forecast": [{ "days": "Mo", "from": "09:00", "to": "17:00", "calls_per_hour": 9.0 }] },
            },
            "booking": {},
        }))
        .unwrap();
        let value = serde_json::to_value(&rules).unwrap();
        let table = [
            (documented(QueueRulesBody::schema()), written(&value)),
            (documented(HoursBody::schema()), written(&value["hours"])),
            (
                documented(HolidaysBody::schema()),
                written(&value["hours"]["holidays"]),
            ),
            (
                documented(ExceptionBody::schema()),
                written(&value["hours"]["exceptions"][0]),
            ),
            (
                documented(CustomerHoursBody::schema()),
                written(&value["customer_hours"]),
            ),
            (
                documented(DeliveryBody::schema()),
                written(&value["delivery"]),
            ),
            (documented(DialBody::schema()), written(&value["dial"])),
            (documented(RoutesBody::schema()), written(&value["routes"])),
            (documented(RetryBody::schema()), written(&value["retry"])),
            (
                documented(RetryRuleBody::schema()),
                written(&value["retry"]["busy"]),
            ),
            (
                documented(CategoryBody::schema()),
                written(&value["categories"][0]),
            ),
            (documented(EmailBody::schema()), written(&value["email"])),
            (
                documented(CapacityBody::schema()),
                written(&value["capacity"]),
            ),
            (
                documented(StaffRowBody::schema()),
                written(&value["capacity"]["weekly"][0]),
            ),
            (
                documented(StaffStepBody::schema()),
                written(&value["capacity"]["steps"][0]),
            ),
            (
                documented(LiveBody::schema()),
                written(&value["capacity"]["live"]),
            ),
            (
                documented(ForecastRowBody::schema()),
                written(&value["capacity"]["live"]["forecast"][0]),
            ),
            (
                documented(BookingBody::schema()),
                written(&value["booking"]),
            ),
            (
                documented(TemplateBody::schema()),
                written(&value["email"]["template"]),
            ),
        ];
        for (documented, written) in table {
            assert_eq!(documented, written);
        }
    }
}
