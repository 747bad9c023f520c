//! The published resource: 37 fields in the reference's order, then our own.

use super::SlotTimeView;
use super::date;
use super::interaction::BodyUrls;
use crate::ApiSettings;
use ringback_callbacks::callback::{Callback, ContactStep, HeldBack};
use ringback_callbacks::ids::AgentId;
use ringback_callbacks::state::State;
use ringback_callbacks::window::LocalWindow;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A callback: the stored request and all that became of it. Fields that do not apply are absent.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Callback)]
pub struct CallbackView {
    /// Where the request is in its life: 0 UNKNOWN, 1 RECEIVED, 2 TIMER, 3 QUEUED, 4 DISTRIBUTED,
    /// 5 SUBMITTED_TO_AGT, 6 REJECTED_BY_AGT, 7 CANCELED_BY_AGT, 8 PROCESSED_BY_AGT, 9 FINAL,
    /// 10 NOT_QUEUED, 11 ERROR, 12 REPLACED, 13 AGT_TRANSFER, 14 ENDTIME_EXPIRED. Set by the server.
    pub callback_status: i32,
    /// The way the customer wants to be answered: `Voice`, `VoIP` or `Email`.
    pub desired_response_type: &'static str,
    /// Earliest moment at which the callback may be started.
    #[schema(format = DateTime)]
    pub start_time: String,
    /// Last moment at which it may be executed; past it the request has expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub end_time: Option<String>,
    /// The window as it was said, where that was in local time. Set by the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub local_window: Option<LocalWindowView>,
    /// Where to reach the customer, in canonical form: E.164, `sip:…`, or an e-mail address.
    pub customer_number: String,
    /// Attempts made so far that counted. Set by the server.
    pub attempts: u32,
    /// Directory number to which the request was sent. Set by the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub dn: Option<String>,
    /// The switch (route) that `dn` belongs to. Set by the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub location: Option<String>,
    /// Which server handled the request. Set by the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub callback_server_id: Option<String>,
    /// Outcome of the latest attempt, by its published number (0 to 53). Set by the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub call_result: Option<i32>,
    /// Kind of callback; any integer, without meaning here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub callback_type: Option<i32>,

    /// The customer.
    pub customer_id: String,
    /// Globally unique id of this interaction. Set by the server.
    pub interaction_id: String,
    /// 0 NEW, 1 PENDING, 2 IN_PROCESS, 3 STOPPED. Set by the server.
    pub status: i32,
    /// Always 5 (CALLBACK). Set by the server.
    pub entity_type: i32,
    /// Direction or kind: `Inbound`, `Outbound`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The application's own refinement of `type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sub_type: Option<String>,
    /// Medium; normally `callback`.
    pub media_type: String,
    /// Interaction that this one came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub parent_id: Option<String>,
    /// Thread it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub thread_id: Option<String>,
    /// Key in some other system.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub external_id: Option<String>,
    /// The person who owns it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub owner_id: Option<i64>,
    /// The application that created it, by its key. Set by the server.
    pub creator_app_id: i64,
    /// When it was created. Set by the server.
    #[schema(format = DateTime)]
    pub start_date: String,
    /// When it ended. Set by the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub end_date: Option<String>,
    /// Minutes to add to UTC to get local time where and when it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub timeshift: Option<i32>,
    /// Category given by the queue's keyword rules or by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub category_id: Option<String>,
    /// Whether other interactions may name it as their parent.
    pub allow_children: bool,
    /// Free subject line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub subject: Option<String>,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub stopped_reason: Option<String>,
    /// URL of the plain-text body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub text: Option<String>,
    /// URL of the structured body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub structured_text: Option<String>,
    /// MIME type of the structured body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub structured_text_mime: Option<String>,
    /// URL of the binary body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub binary_content: Option<String>,
    /// MIME type of the binary body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub binary_content_mime: Option<String>,
    /// Size of the binary body in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub binary_content_size: Option<u64>,
    /// Key/value data attached by the application, one level.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Object)]
    pub udata: Option<Map<String, Value>>,

    /// The queue it waits in.
    pub queue: String,
    /// After this many failed tries at `customer_number` the next contact is taken up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub after_failures: Option<u32>,
    /// Further contacts, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<ContactView>,
    /// The contact in use: 0 is `customer_number`, 1 the first of `contacts`. Only where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub current_contact: Option<usize>,
    /// IANA time zone the customer stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub time_zone: Option<String>,
    /// The customer asked for that very hour, so the guard of their night is lifted.
    pub any_hour: bool,
    /// 0 (lowest) to 100.
    pub priority: u8,
    /// The promise given at booking, and what became of it.
    pub promise: PromiseView,
    /// The window the customer goes by now: the promise, or what was told since. Absent once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub promise_now: Option<PromiseNowView>,
    /// The slot of the queue in which it has a place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub slot: Option<SlotTimeView>,
    /// When it is due next, while it waits for a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub next_attempt_at: Option<String>,
    /// Inner state: `received`, `scheduled`, `queued`, `transferred`, `offered`, `assigned`, `dialling`,
    /// `talking`, `wrap_up`, `done`, `cancelled`, `exhausted`, `refused`, `failed`, `replaced`, `expired`.
    pub state: &'static str,
    /// What holds it back just now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub held: Option<HeldView>,
    /// The agent who is offered it, has it in hand, or to whom it was passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub agent_id: Option<i64>,
    /// The open offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub offer: Option<OfferNote>,
    /// A cancellation arrived while a call was being placed; it ends with that call.
    pub cancel_requested: bool,
    /// The last attempt may have got through although nobody can say.
    pub may_have_reached: bool,
    /// What the agent said at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub disposition: Option<String>,
    /// The callback that took its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub replaced_by: Option<String>,
    /// In the answer to a booking only: no new callback was made, because the number has this one open in the
    /// queue; it has taken in what was new.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub merged: Option<bool>,
    /// Grows with every change; also the `ETag`.
    pub revision: u64,
}

/// One further way of reaching the customer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Contact)]
pub struct ContactView {
    /// `Voice`, `VoIP` or `Email`.
    pub desired_response_type: &'static str,
    /// The contact in canonical form.
    pub customer_number: String,
    /// After this many failed tries the next contact is taken up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub after_failures: Option<u32>,
    /// Failed tries so far.
    pub failures: u32,
}

/// The window told at booking, and what became of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Promise)]
pub struct PromiseView {
    /// Contact will be made at or after this.
    #[schema(format = DateTime)]
    pub from: String,
    /// Contact will be made by this.
    #[schema(format = DateTime)]
    pub to: String,
    /// `open`, then `kept` (the first attempt that counted began in time), `late` (it began after that),
    /// `broken` (there was none), or `released` by the customer's own wish.
    pub state: &'static str,
    /// When the first attempt that counted began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub first_attempt_at: Option<String>,
    /// When a person was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub reached_at: Option<String>,
    /// Whether that first attempt began inside this promise. Absent while it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub first_attempt_in_time: Option<bool>,
    /// Whether a person was reached inside the customer's own window. Absent while it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reached_in_window: Option<bool>,
    /// Both: reached, and first dialled when it was said. Absent while it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub kept_as_told: Option<bool>,
    /// Since when this open promise is not expected to be kept, where the queue has a staff plan. Absent while it is
    /// expected to be kept, and once it is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub at_risk_since: Option<String>,
}

/// The window the customer goes by now.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PromiseNow)]
pub struct PromiseNowView {
    /// Contact will be made at or after this.
    #[schema(format = DateTime)]
    pub from: String,
    /// Contact will be made by this.
    #[schema(format = DateTime)]
    pub to: String,
    /// Why it is not the promise of the booking: `retry`, `late`, `held`. Absent if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub moved: Option<&'static str>,
    /// When it was moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub moved_at: Option<String>,
}

/// What holds a callback back.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Held)]
pub struct HeldView {
    /// The guard: `closed`, `holiday`, `customers_night`, `number_daily_limit`, `number_in_call`, `route`, `paused`, …
    pub guard: &'static str,
    /// Since when.
    #[schema(format = DateTime)]
    pub since: String,
    /// Until when, as far as is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub until: Option<String>,
}

/// An open offer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OfferNote)]
pub struct OfferNote {
    /// Id by which it is accepted or declined.
    pub offer_id: String,
    /// The agent who is asked.
    pub agent_id: i64,
    /// It is open until then.
    #[schema(format = DateTime)]
    pub until: String,
}

/// What a booking would become.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Validation)]
pub struct ValidationView {
    /// Always true; a bad request is answered with a problem.
    pub valid: bool,
    /// The number has an open callback in the queue, which would take the request in; what follows is what it
    /// would be then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub merged: Option<bool>,
    /// The promise that would be given.
    pub promise: PromiseView,
    /// When it would be due.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub next_attempt_at: Option<String>,
    /// What would hold it back at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub held: Option<HeldView>,
    /// The contact as it was understood.
    pub customer_number: String,
    /// How the customer would be answered.
    pub desired_response_type: &'static str,
    /// The end of the window, given or by the queue's rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub end_time: Option<String>,
    /// The category that the queue's rules would give.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub category_id: Option<String>,
}

/// Wall times kept as they were said; `start_time` and `end_time` are the instants they mean.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = LocalWindow)]
pub struct LocalWindowView {
    /// What the clock on the wall reads at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "2026-03-09T09:00:00")]
    pub start: Option<String>,
    /// What it reads at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub end: Option<String>,
    /// IANA zone of that clock.
    pub time_zone: String,
    /// Edition of the rules of local time by which the instants were found.
    pub tzdb: String,
}

impl LocalWindowView {
    fn new(local: &LocalWindow) -> Self {
        LocalWindowView {
            start: local.start.map(|wall| wall.to_string()),
            end: local.end.map(|wall| wall.to_string()),
            time_zone: local.zone.clone(),
            tzdb: local.edition.clone(),
        }
    }
}

impl CallbackView {
    pub fn new(callback: &Callback, settings: &ApiSettings) -> Self {
        let interaction = &callback.interaction;
        let (callback_status, status) = callback.state.wire();
        let urls = BodyUrls::new(interaction, settings);
        // `contacts` is never empty: kept by request.rs. The request's first contact stays the resource's
        // `customer_number`, whichever is in use, so that what was written is what is read.
        let (first, further) = callback
            .contacts
            .split_first()
            .map_or((None, &[][..]), |(first, rest)| (Some(first), rest));
        CallbackView {
            callback_status,
            desired_response_type: first.map_or("", |step| step.response_type.as_str()),
            start_time: date(callback.window.start),
            end_time: callback.window.end.map(date),
            local_window: callback.local.as_ref().map(LocalWindowView::new),
            customer_number: first
                .map_or_else(String::new, |step| step.contact.expose().to_owned()),
            attempts: callback.attempts,
            dn: callback.dn.clone(),
            location: callback.location.clone(),
            callback_server_id: callback.server.clone(),
            call_result: callback.last_result.map(|result| result.0),
            callback_type: callback.callback_type,
            customer_id: interaction.customer.to_string(),
            interaction_id: interaction.id.to_string(),
            status,
            entity_type: interaction.entity_type.0,
            kind: interaction.kind.clone(),
            sub_type: interaction.sub_type.clone(),
            media_type: interaction.media_type.clone(),
            parent_id: interaction.parent.map(|id| id.to_string()),
            thread_id: interaction.thread.clone(),
            external_id: interaction.external_id.clone(),
            owner_id: interaction.owner,
            creator_app_id: interaction.creator_app,
            start_date: date(interaction.created_at),
            end_date: interaction.ended_at.map(date),
            timeshift: interaction.timeshift,
            category_id: interaction.category.clone(),
            allow_children: interaction.allow_children,
            subject: interaction.subject.clone(),
            stopped_reason: interaction.stopped_reason.clone(),
            text: urls.text,
            structured_text: urls.structured_text,
            structured_text_mime: urls.structured_text_mime,
            binary_content: urls.binary_content,
            binary_content_mime: urls.binary_content_mime,
            binary_content_size: urls.binary_content_size,
            udata: interaction.udata.clone(),
            queue: callback.queue.to_string(),
            after_failures: first.and_then(|step| step.after_failures),
            contacts: further.iter().map(ContactView::new).collect(),
            current_contact: (!further.is_empty()).then_some(callback.current),
            time_zone: callback.time_zone.clone(),
            any_hour: callback.any_hour,
            priority: callback.priority,
            promise: PromiseView::new(callback),
            promise_now: PromiseNowView::new(callback),
            slot: callback.slot.map(SlotTimeView::new),
            next_attempt_at: due(&callback.state),
            state: callback.state.name(),
            held: callback.held.as_ref().map(HeldView::new),
            agent_id: agent(&callback.state).map(|agent| agent.0),
            offer: offer(&callback.state),
            cancel_requested: callback.stop.is_some(),
            may_have_reached: callback.may_have_reached,
            disposition: disposition(&callback.state),
            replaced_by: replaced_by(&callback.state),
            merged: None,
            revision: callback.revision,
        }
    }
}

impl ContactView {
    fn new(step: &ContactStep) -> Self {
        ContactView {
            desired_response_type: step.response_type.as_str(),
            customer_number: step.contact.expose().to_owned(),
            after_failures: step.after_failures,
            failures: step.failures,
        }
    }
}

impl PromiseView {
    pub fn new(callback: &Callback) -> Self {
        let promise = &callback.promise;
        let service = callback.service();
        PromiseView {
            from: date(promise.from),
            to: date(promise.to),
            state: promise.state.name(),
            first_attempt_at: promise.first_attempt_at.map(date),
            reached_at: promise.reached_at.map(date),
            first_attempt_in_time: service.first_attempt_in_time,
            reached_in_window: service.reached_in_window,
            kept_as_told: service.kept_as_told,
            at_risk_since: callback.at_risk.map(date),
        }
    }
}

impl PromiseNowView {
    fn new(callback: &Callback) -> Option<Self> {
        let (from, to) = callback.promise_now();
        (!callback.state.is_ended()).then(|| PromiseNowView {
            from: date(from),
            to: date(to),
            moved: callback.told.map(|told| told.reason.name()),
            moved_at: callback.told.map(|told| date(told.at)),
        })
    }
}

impl HeldView {
    pub fn new(held: &HeldBack) -> Self {
        HeldView {
            guard: held.guard.name(),
            since: date(held.since),
            until: held.until.map(date),
        }
    }
}

impl ValidationView {
    pub fn new(callback: &Callback) -> Self {
        ValidationView {
            valid: true,
            merged: None,
            promise: PromiseView::new(callback),
            next_attempt_at: due(&callback.state),
            held: callback.held.as_ref().map(HeldView::new),
            customer_number: callback.contact().expose().to_owned(),
            desired_response_type: callback.response_type().as_str(),
            end_time: callback.window.end.map(date),
            category_id: callback.interaction.category.clone(),
        }
    }
}

pub(super) fn offer(state: &State) -> Option<OfferNote> {
    match state {
        State::Offered {
            offer,
            agent,
            until,
            ..
        } => Some(OfferNote {
            offer_id: offer.to_string(),
            agent_id: agent.0,
            until: date(*until),
        }),
        State::Received
        | State::Scheduled { .. }
        | State::Queued { .. }
        | State::Transferred { .. }
        | State::Assigned { .. }
        | State::Dialling { .. }
        | State::Talking { .. }
        | State::WrapUp { .. }
        | State::Done { .. }
        | State::Cancelled { .. }
        | State::Exhausted { .. }
        | State::Refused { .. }
        | State::Failed { .. }
        | State::Replaced { .. }
        | State::Expired => None,
    }
}

fn due(state: &State) -> Option<String> {
    if let State::Scheduled { due, .. } = state {
        Some(date(*due))
    } else {
        None
    }
}

fn agent(state: &State) -> Option<AgentId> {
    if let State::Transferred { to, .. } = state {
        Some(*to)
    } else {
        state.engages()
    }
}

fn disposition(state: &State) -> Option<String> {
    if let State::Done { disposition } = state {
        disposition.clone()
    } else {
        None
    }
}

fn replaced_by(state: &State) -> Option<String> {
    if let State::Replaced { by } = state {
        Some(by.to_string())
    } else {
        None
    }
}
