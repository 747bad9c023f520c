//! Bodies that clients send, for the document. They are read field by field, so that every broken rule
//! can be told at once; a test keeps names here and there the same.

use serde::Serialize;
use utoipa::ToSchema;

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub struct PageView<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Hand it back as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
}

/// A list that needs no pages.
#[derive(Serialize, ToSchema)]
pub struct ListView<T> {
    /// The rows.
    pub items: Vec<T>,
}

/// A list of events that can be gone on with.
#[derive(Serialize, ToSchema)]
pub struct EventPageView<T> {
    /// The events, in order.
    pub items: Vec<T>,
    /// Hand it back as `after` for what follows.
    pub last: i64,
}

macro_rules! documented {
    ($($item:item)+) => { $(
        #[derive(ToSchema)]
        #[allow(dead_code, reason = "read field by field; here for the document")]
        $item
    )+ };
}

documented! {
    /// A request to be called back. Fields that only the server sets are refused, unknown ones too.
    pub struct BookingRequest {
        /// The queue it is to wait in; the server's `default_queue` if absent, or the only queue there is.
        #[schema(example = "service")]
        pub queue: Option<String>,
        /// `Voice`, `VoIP` or `Email`; case does not matter.
        #[schema(example = "Voice")]
        pub desired_response_type: String,
        /// Telephone number, SIP address or e-mail address, as the response type wants it.
        #[schema(example = "+14155550123")]
        pub customer_number: String,
        /// Earliest moment; now if absent. RFC 3339, or a local time without offset (`2026-03-09T09:00`) on the clock
        /// of `time_zone`: that is kept as it was said, so that new rules of local time never move the hour.
        #[schema(nullable)]
        pub start_time: Option<String>,
        /// Last moment, like `start_time`; by the queue's rules if absent.
        #[schema(nullable)]
        pub end_time: Option<String>,
        /// After this many failed tries at `customer_number` the next contact is taken up.
        #[schema(nullable, minimum = 1, maximum = 100)]
        pub after_failures: Option<u32>,
        /// Further contacts, in order; at most 7.
        #[schema(nullable)]
        pub contacts: Option<Vec<ContactRequest>>,
        /// The customer; found by number or made if absent.
        #[schema(nullable, max_length = 16)]
        pub customer_id: Option<String>,
        /// Their name, for a customer not known yet.
        #[schema(nullable, max_length = 200)]
        pub customer_name: Option<String>,
        /// IANA time zone the customer is in.
        #[schema(nullable, example = "America/Los_Angeles")]
        pub time_zone: Option<String>,
        /// The customer asks for that very hour, even at night.
        #[schema(nullable)]
        pub any_hour: Option<bool>,
        /// 0 (lowest) to 100; 50 if absent.
        #[schema(nullable, minimum = 0, maximum = 100)]
        pub priority: Option<u8>,
        /// A number of the application's own, 0 or more, without meaning here.
        #[schema(nullable, minimum = 0)]
        pub callback_type: Option<i32>,
        /// `Inbound` if absent.
        #[schema(nullable, rename = "type", max_length = 64)]
        pub kind: Option<String>,
        /// The application's own refinement of `type`.
        #[schema(nullable, max_length = 64)]
        pub sub_type: Option<String>,
        /// `callback` if absent.
        #[schema(nullable, max_length = 64)]
        pub media_type: Option<String>,
        /// Interaction that this one comes from; it must allow children.
        #[schema(nullable, format = Uuid)]
        pub parent_id: Option<String>,
        /// Thread; the parent's if absent.
        #[schema(nullable, max_length = 128)]
        pub thread_id: Option<String>,
        /// Key in some other system.
        #[schema(nullable, max_length = 256)]
        pub external_id: Option<String>,
        /// The person who owns it; it is offered to them first.
        #[schema(nullable, minimum = 0)]
        pub owner_id: Option<i64>,
        /// Minutes to add to UTC to get local time where and when it was created.
        #[schema(nullable, minimum = -1560, maximum = 1560)]
        pub timeshift: Option<i32>,
        /// Category; by the queue's keyword rules if absent.
        #[schema(nullable, max_length = 64)]
        pub category_id: Option<String>,
        /// True if absent.
        #[schema(nullable)]
        pub allow_children: Option<bool>,
        /// Free subject line.
        #[schema(nullable, max_length = 1000)]
        pub subject: Option<String>,
        /// Plain-text body itself; larger ones are PUT at their own URL.
        #[schema(nullable)]
        pub text: Option<String>,
        /// Structured body itself.
        #[schema(nullable)]
        pub structured_text: Option<String>,
        /// Its MIME type; needed with it.
        #[schema(nullable, example = "text/html")]
        pub structured_text_mime: Option<String>,
        /// Binary body in base64.
        #[schema(nullable)]
        pub binary_content: Option<String>,
        /// Its MIME type; needed with it.
        #[schema(nullable)]
        pub binary_content_mime: Option<String>,
        /// Its size in bytes before base64; needed with it.
        #[schema(nullable, minimum = 0)]
        pub binary_content_size: Option<u64>,
        /// Key/value data of your own: plain values, one level, at most 256 keys and 64 KiB.
        #[schema(nullable, value_type = Object)]
        pub udata: Option<serde_json::Value>,
        /// An open callback that this one takes the place of.
        #[schema(nullable, format = Uuid)]
        pub replaces: Option<String>,
        /// A hold that keeps a place for it. Without `start_time` and `end_time` the slot held is what is promised.
        #[schema(nullable, format = Uuid)]
        pub hold: Option<String>,
    }

    /// A further way of reaching the customer.
    pub struct ContactRequest {
        /// `Voice`, `VoIP` or `Email`.
        pub desired_response_type: String,
        /// The contact.
        pub customer_number: String,
        /// After this many failed tries the next contact is taken up.
        #[schema(nullable, minimum = 1, maximum = 100)]
        pub after_failures: Option<u32>,
    }

    /// A JSON merge patch: only what is named is changed; `null` takes an optional field away.
    pub struct ChangeRequest {
        /// See booking; named together with `customer_number` and `contacts` as a whole plan.
        #[schema(required = false)]
        pub desired_response_type: String,
        /// See booking.
        #[schema(required = false)]
        pub customer_number: String,
        /// See booking.
        #[schema(nullable, minimum = 1, maximum = 100)]
        pub after_failures: Option<u32>,
        /// See booking.
        #[schema(nullable)]
        pub contacts: Option<Vec<ContactRequest>>,
        /// Earliest moment.
        #[schema(required = false, format = DateTime)]
        pub start_time: String,
        /// Last moment.
        #[schema(nullable, format = DateTime)]
        pub end_time: Option<String>,
        /// IANA time zone.
        #[schema(nullable)]
        pub time_zone: Option<String>,
        /// The customer asks for that very hour.
        #[schema(required = false)]
        pub any_hour: bool,
        /// 0 to 100.
        #[schema(required = false, minimum = 0, maximum = 100)]
        pub priority: u8,
        /// Any integer.
        #[schema(nullable, minimum = 0)]
        pub callback_type: Option<i32>,
        /// Direction or kind.
        #[schema(required = false, rename = "type", max_length = 64)]
        pub kind: String,
        /// Refinement of `type`.
        #[schema(nullable, max_length = 64)]
        pub sub_type: Option<String>,
        /// Medium.
        #[schema(required = false, max_length = 64)]
        pub media_type: String,
        /// Thread.
        #[schema(nullable, max_length = 128)]
        pub thread_id: Option<String>,
        /// Key in some other system.
        #[schema(nullable, max_length = 256)]
        pub external_id: Option<String>,
        /// The person who owns it.
        #[schema(nullable, minimum = 0)]
        pub owner_id: Option<i64>,
        /// Minutes to add to UTC.
        #[schema(nullable, minimum = -1560, maximum = 1560)]
        pub timeshift: Option<i32>,
        /// Category; set by hand, rules leave it alone from then on.
        #[schema(nullable, max_length = 64)]
        pub category_id: Option<String>,
        /// Whether others may name it as parent.
        #[schema(required = false)]
        pub allow_children: bool,
        /// Subject line.
        #[schema(nullable, max_length = 1000)]
        pub subject: Option<String>,
        /// Replaces all key/value data.
        #[schema(nullable, value_type = Object)]
        pub udata: Option<serde_json::Value>,
    }

    /// Why and by whom a callback is cancelled.
    pub struct CancelRequest {
        /// `customer`, `operator` (if absent) or `agent`.
        #[schema(nullable)]
        pub by: Option<String>,
        /// With `agent`: which.
        #[schema(nullable, minimum = 0)]
        pub agent_id: Option<i64>,
        /// In the application's own words; becomes `stopped_reason`.
        #[schema(nullable, max_length = 500)]
        pub reason: Option<String>,
    }

    /// Which slot is to be kept.
    pub struct HoldRequest {
        /// A moment in the slot, normally its beginning, RFC 3339.
        #[schema(format = DateTime)]
        pub start_time: String,
    }

    /// A new window.
    pub struct RescheduleRequest {
        /// Earliest moment: RFC 3339, or a local time without offset on the clock of `time_zone`.
        pub start_time: String,
        /// Last moment, like `start_time`; by the queue's rules if absent.
        #[schema(nullable)]
        pub end_time: Option<String>,
        /// IANA zone of local times.
        #[schema(nullable, example = "America/Los_Angeles")]
        pub time_zone: Option<String>,
    }

    /// How long to put it off; one of the two.
    pub struct SnoozeRequest {
        /// Until this moment.
        #[schema(nullable, format = DateTime)]
        pub until: Option<String>,
        /// For so many minutes from now.
        #[schema(nullable, minimum = 1, maximum = 525600)]
        pub minutes: Option<u32>,
    }

    /// To whom it is passed; one of the two.
    pub struct TransferRequest {
        /// An agent.
        #[schema(nullable, minimum = 0)]
        pub agent_id: Option<i64>,
        /// A queue.
        #[schema(nullable)]
        pub queue: Option<String>,
    }

    /// How the conversation ended, in the agent's judgement.
    pub struct DisposeRequest {
        /// The agent who says so; the one who has it in hand if absent.
        #[schema(nullable, minimum = 0)]
        pub agent_id: Option<i64>,
        /// In the application's own words.
        #[schema(nullable, max_length = 200)]
        pub disposition: Option<String>,
        /// The published number (0 to 53); anything but a person reached counts as a failed try.
        #[schema(nullable, minimum = 0, maximum = 53)]
        pub call_result: Option<i32>,
    }

    /// The agent's answer to an e-mail callback.
    pub struct ReplyRequest {
        /// The agent who writes.
        #[schema(minimum = 0)]
        pub agent_id: i64,
        /// Subject line; the callback's own with `Re:` if absent.
        #[schema(nullable, max_length = 500)]
        pub subject: Option<String>,
        /// Plain text, at most 512 KiB.
        pub text: String,
        /// HTML beside it, at most 512 KiB.
        #[schema(nullable)]
        pub html: Option<String>,
    }

    /// An interaction of another kind, so that callbacks can hang on it.
    pub struct RecordRequest {
        /// The customer; one not known yet is made.
        #[schema(max_length = 16)]
        pub customer_id: String,
        /// 0 EMAIL_IN, 1 EMAIL_OUT, 2 CHAT, 3 PHONE_CALL, 6 COBROWSE, 7 INTERACTION.
        #[schema(minimum = 0, maximum = 7)]
        pub entity_type: i32,
        /// 0 NEW, 1 PENDING, 2 IN_PROCESS, 3 STOPPED (if absent).
        #[schema(nullable, minimum = 0, maximum = 3)]
        pub status: Option<i32>,
        /// `Inbound` if absent (`Outbound` for EMAIL_OUT).
        #[schema(nullable, rename = "type", max_length = 64)]
        pub kind: Option<String>,
        /// Refinement of `type`.
        #[schema(nullable, max_length = 64)]
        pub sub_type: Option<String>,
        /// Medium; by `entity_type` if absent, required with 7.
        #[schema(nullable, max_length = 64)]
        pub media_type: Option<String>,
        /// Interaction that this one comes from.
        #[schema(nullable, format = Uuid)]
        pub parent_id: Option<String>,
        /// Thread.
        #[schema(nullable, max_length = 128)]
        pub thread_id: Option<String>,
        /// Key in some other system.
        #[schema(nullable, max_length = 256)]
        pub external_id: Option<String>,
        /// The person who owns it.
        #[schema(nullable, minimum = 0)]
        pub owner_id: Option<i64>,
        /// Minutes to add to UTC.
        #[schema(nullable, minimum = -1560, maximum = 1560)]
        pub timeshift: Option<i32>,
        /// Category.
        #[schema(nullable, max_length = 64)]
        pub category_id: Option<String>,
        /// True if absent.
        #[schema(nullable)]
        pub allow_children: Option<bool>,
        /// Subject line.
        #[schema(nullable, max_length = 1000)]
        pub subject: Option<String>,
        /// Why it ended.
        #[schema(nullable, max_length = 500)]
        pub stopped_reason: Option<String>,
        /// Key/value data: plain values, one level.
        #[schema(nullable, value_type = Object)]
        pub udata: Option<serde_json::Value>,
    }

    /// A supervisor's switches. Both are thrown if none is named.
    pub struct SwitchRequest {
        /// Whether to pause (or resume) taking requests.
        #[schema(nullable)]
        pub intake: Option<bool>,
        /// Whether to pause (or resume) dialling.
        #[schema(nullable)]
        pub dialling: Option<bool>,
    }

    /// Where an agent stands.
    pub struct PresenceRequest {
        /// `ready`, `away`, `busy` or `offline`.
        pub presence: String,
    }

    /// Changes of a customer: only what is named; `null` takes it away.
    pub struct CustomerChangeRequest {
        /// Name.
        #[schema(nullable, max_length = 200)]
        pub name: Option<String>,
        /// IANA time zone.
        #[schema(nullable)]
        pub time_zone: Option<String>,
    }

    /// Whether a customer may be called.
    pub struct DoNotCallRequest {
        /// True: never again.
        pub do_not_call: bool,
    }
}

/// What the telephone system sees of the calls that come in by themselves.
#[derive(ToSchema)]
#[allow(dead_code, reason = "read field by field; here for the document")]
pub struct LiveRequest {
    /// Calls waiting now.
    waiting: u32,
    /// Since when the one that waits longest does.
    #[schema(nullable = false, format = DateTime, value_type = Option<String>)]
    oldest_waiting_since: Option<String>,
    /// Calls that came in today.
    arrived: u32,
    /// Calls answered today, in time or late.
    answered: u32,
    /// Of these, within the seconds of the queue's target.
    answered_in_time: u32,
    /// Calls that gave up today.
    abandoned: u32,
    /// Agents in live calls now; 0 if absent.
    agents_busy: Option<u32>,
}

/// Changes to learned figures.
#[derive(ToSchema)]
#[allow(dead_code, reason = "read field by field; here for the document")]
pub struct LearnedRequest {
    figures: Vec<LearnedFigureChange>,
}

/// A change to one learned figure.
#[derive(ToSchema)]
#[allow(dead_code, reason = "read field by field; here for the document")]
pub struct LearnedFigureChange {
    #[schema(example = "handling_seconds")]
    name: String,
    /// Go by this from now on.
    #[schema(nullable = false)]
    value: Option<f64>,
    /// Learn it no further, or again.
    #[schema(nullable = false)]
    frozen: Option<bool>,
}
