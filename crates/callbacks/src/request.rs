//! What a client may ask for: parsed once, every broken rule reported, unknown and server-set fields refused.

use crate::callback::{ContactStep, Window};
use crate::contact::{Contact, ResponseType};
use crate::ids::{CustomerId, HoldId, InteractionId, QueueId};
use crate::interaction::BodyKind;
use crate::problem::Problems;
use crate::queue::QueueRules;
use crate::window::{LocalWindow, Said};
use crate::wire_time::{self, plus};
use jiff::Timestamp;
use ringback_scheduling::Zone;
use serde_json::{Map, Value};

mod fields;

use fields::Fields;
pub use fields::{MAX_CONTACTS, is_mime, udata_fits};

/// Fields of the resource that only the server sets.
pub const SERVER_SET: [&str; 21] = [
    "callback_status",
    "attempts",
    "dn",
    "location",
    "callback_server_id",
    "call_result",
    "interaction_id",
    "status",
    "entity_type",
    "creator_app_id",
    "start_date",
    "end_date",
    "next_attempt_at",
    "revision",
    "promise",
    "promise_now",
    "slot",
    "state",
    "held",
    "merged",
    "local_window",
];

/// A good request, not yet a callback: the store finds its customer, the life cycle its first state.
#[derive(Clone, Debug)]
pub struct NewCallback {
    pub queue: QueueId,
    pub window: Window,
    /// The window as it was said, where that was in local time.
    pub local: Option<LocalWindow>,
    pub contacts: Vec<ContactStep>,
    pub customer: Option<CustomerId>,
    pub customer_name: Option<String>,
    pub time_zone: Option<String>,
    pub any_hour: bool,
    pub priority: u8,
    pub callback_type: Option<i32>,
    pub kind: String,
    pub sub_type: Option<String>,
    pub media_type: String,
    pub parent: Option<InteractionId>,
    pub thread: Option<String>,
    pub external_id: Option<String>,
    pub owner: Option<i64>,
    pub timeshift: Option<i32>,
    pub category: Option<String>,
    pub allow_children: bool,
    pub subject: Option<String>,
    pub udata: Option<Map<String, Value>>,
    pub bodies: Vec<NewBody>,
    /// The callback this one supersedes.
    pub replaces: Option<InteractionId>,
    /// A place in a slot that was kept for it.
    pub hold: Option<HoldId>,
    /// The place in the queue of the open callback it takes over; set by the store, never by a client.
    pub place: Option<Place>,
    /// What the queue's planner says; set by the server, never by a client.
    pub admission: Admission,
}

/// A place in a queue that passes from one callback to the one that takes it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Since when the customer has waited for an agent, if they did.
    pub since: Option<Timestamp>,
    pub priority: u8,
    pub owner: Option<i64>,
    /// The end of what was promised.
    pub deadline: Timestamp,
}

/// What the queue's planner says to a booking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admission {
    /// The queue has no plan: its own rules give the promise.
    #[default]
    Unplanned,
    /// There is room, and this is promised: the first try begins between these moments, both counted.
    Promised { from: Timestamp, to: Timestamp },
    /// There is no room in the window.
    Full,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBody {
    pub kind: BodyKind,
    pub mime: String,
    pub bytes: Vec<u8>,
}

/// Which queue a request names, read before its rules can be looked up.
pub fn queue_of(request: &Map<String, Value>) -> Result<Option<QueueId>, Problems> {
    match request.get("queue") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => QueueId::parse(text).map(Some).map_err(|_| {
            Problems::one(
                "queue",
                "queue",
                "must be a queue id: lower-case letters, digits, '-' and '_', at most 64",
            )
        }),
        Some(_) => Err(Problems::one("queue", "type", "must be a string")),
    }
}

/// Reads a booking. `rules` are the queue's; `now` stands in for an absent `start_time`.
pub fn parse_new(
    request: &Map<String, Value>,
    queue: QueueId,
    rules: &QueueRules,
    now: Timestamp,
) -> Result<NewCallback, Problems> {
    let mut f = Fields::new(request);
    f.take("queue");
    f.refuse_server_set();

    let contacts = f.contacts(rules);
    let time_zone = f.time_zone("time_zone");
    let (window, local) = window(&mut f, time_zone.as_deref(), rules, now);
    let new = NewCallback {
        queue,
        window,
        local,
        contacts: contacts.unwrap_or_default(),
        customer: f.parsed("customer_id", |text| {
            CustomerId::parse(text)
                .map_err(|_| "must have 1 to 16 letters, digits, '-', '_' or '.'")
        }),
        customer_name: f.line("customer_name", 200),
        time_zone,
        any_hour: f.boolean("any_hour").unwrap_or(false),
        priority: f.integer("priority", 0, 100).map_or(50, |n| n as u8),
        callback_type: f
            .integer("callback_type", 0, i64::from(i32::MAX))
            .map(|n| n as i32),
        kind: f.line("type", 64).unwrap_or_else(|| "Inbound".to_owned()),
        sub_type: f.line("sub_type", 64),
        media_type: f
            .line("media_type", 64)
            .unwrap_or_else(|| "callback".to_owned()),
        parent: f.id("parent_id"),
        thread: f.line("thread_id", 128),
        external_id: f.line("external_id", 256),
        owner: f.integer("owner_id", 0, i64::MAX),
        timeshift: f.integer("timeshift", -26 * 60, 26 * 60).map(|n| n as i32),
        category: f.line("category_id", 64),
        allow_children: f.boolean("allow_children").unwrap_or(true),
        subject: f.line("subject", 1000),
        udata: f.udata(),
        bodies: f.bodies(),
        replaces: f.id("replaces"),
        place: None,
        hold: f.parsed("hold", |text| {
            text.parse()
                .map_err(|_| "must be the id of a hold (a UUID)")
        }),
        admission: Admission::Unplanned,
    };
    f.refuse_unknown();
    f.finish().map(|()| new)
}

/// The window of a booking, said as instants or as wall times on the customer's clock.
fn window(
    f: &mut Fields<'_>,
    time_zone: Option<&str>,
    rules: &QueueRules,
    now: Timestamp,
) -> (Window, Option<LocalWindow>) {
    let said_start = f.moment("start_time", time_zone);
    let said_end = f.moment("end_time", time_zone);
    let instant = |said| match said {
        Some(Said::Instant(at)) => Some(at),
        Some(Said::Wall(_)) | None => None,
    };
    let start = instant(said_start).unwrap_or(wire_time::truncate(now));
    let default_end = plus(start.max(now), rules.default_window.as_duration());
    let mut window = Window {
        start,
        end: Some(instant(said_end).unwrap_or(default_end)),
        end_given: said_end.is_some(),
    };
    let local = time_zone.and_then(|zone| LocalWindow::of(zone, said_start, said_end));
    // A wall time that runs backwards is a mistake, whatever a gap would make of it.
    let backwards = match (said_start, said_end) {
        (Some(Said::Wall(start)), Some(Said::Wall(end))) => end <= start,
        (Some(_) | None, Some(_) | None) => false,
    };
    // The decision finds the instants again by the rules handed to it; here they are only looked at.
    if let Some(local) = &local
        && let Some(tz) = Zone::parse(&local.zone).ok()
    {
        match local.resolve(tz.tz(), window) {
            Some(resolved) => window = resolved,
            None => f.problem("start_time", "range", "is out of range"),
        }
    }
    if backwards || (window.end_given && window.end.is_some_and(|end| end <= window.start)) {
        f.problem("end_time", "order", "must be later than start_time");
    }
    if window.end.is_some_and(|end| end <= now) {
        f.problem("end_time", "past", "has already passed");
    }
    if window.start > plus(now, fields::HORIZON) {
        f.problem("start_time", "range", "is more than two years away");
    }
    (window, local)
}

/// A change of some fields. The outer `Option`: whether the field was named; the inner: `null` clears it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    pub contacts: Option<Vec<ContactStep>>,
    pub start: Option<Timestamp>,
    pub end: Option<Option<Timestamp>>,
    pub time_zone: Option<Option<String>>,
    pub any_hour: Option<bool>,
    pub priority: Option<u8>,
    pub callback_type: Option<Option<i32>>,
    pub kind: Option<String>,
    pub sub_type: Option<Option<String>>,
    pub media_type: Option<String>,
    pub thread: Option<Option<String>>,
    pub external_id: Option<Option<String>>,
    pub owner: Option<Option<i64>>,
    pub timeshift: Option<Option<i32>>,
    pub category: Option<Option<String>>,
    pub allow_children: Option<bool>,
    pub subject: Option<Option<String>>,
    pub udata: Option<Option<Map<String, Value>>>,
}

impl Changes {
    /// Names of the changed fields, for the event.
    pub fn names(&self) -> Vec<&'static str> {
        [
            ("contacts", self.contacts.is_some()),
            ("start_time", self.start.is_some()),
            ("end_time", self.end.is_some()),
            ("time_zone", self.time_zone.is_some()),
            ("any_hour", self.any_hour.is_some()),
            ("priority", self.priority.is_some()),
            ("callback_type", self.callback_type.is_some()),
            ("type", self.kind.is_some()),
            ("sub_type", self.sub_type.is_some()),
            ("media_type", self.media_type.is_some()),
            ("thread_id", self.thread.is_some()),
            ("external_id", self.external_id.is_some()),
            ("owner_id", self.owner.is_some()),
            ("timeshift", self.timeshift.is_some()),
            ("category_id", self.category.is_some()),
            ("allow_children", self.allow_children.is_some()),
            ("subject", self.subject.is_some()),
            ("udata", self.udata.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, changed)| changed.then_some(name))
        .collect()
    }

    /// Whether anything that decides when or whom to call is changed.
    pub fn moves_the_call(&self) -> bool {
        self.contacts.is_some()
            || self.start.is_some()
            || self.end.is_some()
            || self.time_zone.is_some()
            || self.any_hour.is_some()
    }
}

/// Reads a PATCH (a JSON merge patch of the resource).
pub fn parse_changes(
    request: &Map<String, Value>,
    rules: &QueueRules,
) -> Result<Changes, Problems> {
    let mut f = Fields::new(request);
    f.refuse_server_set();
    for field in [
        "queue",
        "customer_id",
        "customer_name",
        "parent_id",
        "replaces",
        "hold",
    ] {
        if f.take(field).is_some() {
            f.problem(field, "fixed", "cannot be changed once the callback exists");
        }
    }
    for field in [
        "text",
        "structured_text",
        "structured_text_mime",
        "binary_content",
        "binary_content_mime",
        "binary_content_size",
    ] {
        if f.take(field).is_some() {
            f.problem(
                field,
                "fixed",
                "bodies are changed by PUT at their own URLs",
            );
        }
    }
    let names_contact = ["contacts", "customer_number", "desired_response_type"]
        .iter()
        .any(|name| f.has(name));
    let changes = Changes {
        contacts: if names_contact {
            f.contacts(rules)
        } else {
            None
        },
        start: f.patch_time("start_time", false).flatten(),
        end: f.patch_time("end_time", true),
        time_zone: f.nullable("time_zone", Fields::time_zone),
        any_hour: f.boolean("any_hour"),
        priority: f.integer("priority", 0, 100).map(|n| n as u8),
        callback_type: f.nullable("callback_type", |f, name| {
            f.integer(name, 0, i64::from(i32::MAX)).map(|n| n as i32)
        }),
        kind: f.line("type", 64),
        sub_type: f.nullable("sub_type", |f, name| f.line(name, 64)),
        media_type: f.line("media_type", 64),
        thread: f.nullable("thread_id", |f, name| f.line(name, 128)),
        external_id: f.nullable("external_id", |f, name| f.line(name, 256)),
        owner: f.nullable("owner_id", |f, name| f.integer(name, 0, i64::MAX)),
        timeshift: f.nullable("timeshift", |f, name| {
            f.integer(name, -26 * 60, 26 * 60).map(|n| n as i32)
        }),
        category: f.nullable("category_id", |f, name| f.line(name, 64)),
        allow_children: f.boolean("allow_children"),
        subject: f.nullable("subject", |f, name| f.line(name, 1000)),
        udata: f.nullable("udata", |f, _| f.udata()),
    };
    f.refuse_unknown();
    f.finish().map(|()| changes)
}

/// A single contact, as the first step of a plan; used by command lines and tests.
pub fn contact_step(response_type: ResponseType, contact: Contact) -> ContactStep {
    ContactStep {
        response_type,
        contact,
        after_failures: None,
        failures: 0,
    }
}
