//! Every refusal, in one form: RFC 9457 problem details with a stable type and, per field, what is wrong.

use crate::view::{SlotView, TimesView};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use ringback_callbacks::guard::Guard;
use ringback_callbacks::lifecycle::Refusal;
use ringback_callbacks::problem::{FieldProblem, Problems};
use ringback_callbacks::wire_time;
use ringback_scheduling::slots::NoPlace;
use ringback_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

pub const PROBLEM_JSON: &str = "application/problem+json";

macro_rules! codes {
    ($($name:ident => $code:literal, $status:ident, $title:literal, $help:literal;)+) => {
        /// What kind of refusal it is; the last part of the problem's `type`, never renamed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($name,)+ }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$name,)+];

            pub fn name(self) -> &'static str {
                match self { $(Code::$name => $code,)+ }
            }

            pub fn status(self) -> StatusCode {
                match self { $(Code::$name => StatusCode::$status,)+ }
            }

            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)+ }
            }

            /// What to do about it; the text of the page behind the problem's `type`.
            pub fn help(self) -> &'static str {
                match self { $(Code::$name => $help,)+ }
            }
        }
    };
}

codes! {
    InvalidJson => "invalid_json", BAD_REQUEST, "The body is not a JSON object",
        "Send one JSON object in UTF-8.";
    InvalidRequest => "invalid_request", BAD_REQUEST, "The request breaks one or more rules",
        "Every broken rule is listed under `errors` with its field. Mend all of them and send the request again.";
    Unauthorized => "unauthorized", UNAUTHORIZED, "A valid API key is needed",
        "Send `Authorization: Bearer rbk_…` with a key made by `ringback keys`, neither expired nor revoked.";
    Forbidden => "forbidden", FORBIDDEN, "The API key does not allow this",
        "Use a key with one of the scopes that the operation names.";
    NotFound => "not_found", NOT_FOUND, "There is nothing here",
        "Check the id and the path. What belongs to another tenant looks exactly the same.";
    MethodNotAllowed => "method_not_allowed", METHOD_NOT_ALLOWED, "The method is not possible here",
        "The `Allow` header lists the methods that are.";
    RequestTimeout => "request_timeout", REQUEST_TIMEOUT, "The body did not arrive in time",
        "Send the body without long pauses. Nothing was stored.";
    Conflict => "conflict", CONFLICT, "Something that already exists stands against it",
        "`detail` and `errors` say what. Change the request or what it conflicts with.";
    NotNow => "not_now", CONFLICT, "The callback's state does not allow this now",
        "Read the callback again: it has moved on. `detail` names its state.";
    OfferGone => "offer_gone", CONFLICT, "The offer is not open any more",
        "It timed out, was answered, or belongs to another agent. Wait for the next offer.";
    SlotUnavailable => "slot_unavailable", CONFLICT, "No slot can be had at this time",
        "`errors` says why (full, notice, horizon, per_day, per_customer, not_permitted, no_slot). `alternatives` lists the nearest free slots: book one of those, or hold it first.";
    Guarded => "guarded", CONFLICT, "A guard forbids this callback",
        "`guard` names the rule (closed, do-not-call, …). Choose another time or contact, or change the rule.";
    Duplicate => "duplicate", CONFLICT, "The number has an open callback in this queue",
        "The queue takes one request per number. `callback` is where the open one is read and changed, for keys that may read it.";
    Full => "full", CONFLICT, "There is no room in this window",
        "`promises` are times that would be given now. Book one of them, or a longer window.";
    Unplanned => "unplanned", CONFLICT, "The queue has no staff plan",
        "Only a queue whose `capacity` is a staff plan can be asked this. Give it one, or do without.";
    IntakePaused => "intake_paused", CONFLICT, "The queue takes no requests just now",
        "A supervisor paused the queue's intake. Try another queue, or later.";
    Fenced => "fenced", CONFLICT, "Another node took the callback over",
        "Read the callback again.";
    RevisionMismatch => "revision_mismatch", PRECONDITION_FAILED, "It was changed meanwhile",
        "Read it again, take the new `ETag`, and decide anew.";
    TooLarge => "too_large", PAYLOAD_TOO_LARGE, "The body is too large",
        "JSON bodies may have 1 MiB, bodies of interactions 25 MiB.";
    UnsupportedMediaType => "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body has a type that is not taken here",
        "Send `Content-Type: application/json` (or, for a PATCH, `application/merge-patch+json`), or the body's own MIME type where bodies are PUT.";
    IdempotencyMismatch => "idempotency_mismatch", UNPROCESSABLE_ENTITY, "The idempotency key was used for another request",
        "Use a fresh `Idempotency-Key` for each new request, and the same key only to repeat the same request.";
    RateLimited => "rate_limited", TOO_MANY_REQUESTS, "Too many requests from this address",
        "Wait as long as `Retry-After` says.";
    Internal => "internal", INTERNAL_SERVER_ERROR, "The server made a mistake",
        "It is logged under the request id in `instance`; please report it.";
    Overloaded => "overloaded", SERVICE_UNAVAILABLE, "The server is at its limit",
        "Nothing was done. Wait as long as `Retry-After` says and send the request again.";
    StorageFull => "storage_full", SERVICE_UNAVAILABLE, "There is no space left to store it",
        "Nothing was stored. The operator has to make space.";
    OutcomeUnknown => "outcome_unknown", SERVICE_UNAVAILABLE, "It may or may not be stored",
        "Repeat the request with the same `Idempotency-Key`: it is then carried out once, whatever became of the first.";
    Stopping => "stopping", SERVICE_UNAVAILABLE, "The server is stopping",
        "Nothing was done. Wait as long as `Retry-After` says and send the request again.";
}

/// A refusal on its way out.
#[derive(Clone, Debug)]
pub struct Problem {
    pub code: Code,
    pub detail: String,
    pub errors: Vec<FieldProblem>,
    pub guard: Option<Guard>,
    /// What there is instead of what was asked; boxed, because refusals are passed along a long way.
    pub instead: Box<Instead>,
    pub retry_after: Option<u64>,
    /// The challenge of a 401 or 403.
    pub challenge: Option<String>,
}

/// What there is instead of what was asked.
#[derive(Clone, Debug, Default)]
pub struct Instead {
    /// Where the callback is read that stands against it.
    pub callback: Option<String>,
    /// The first moment at which it would be allowed.
    pub next: Option<Timestamp>,
    /// Free slots that could be had.
    pub alternatives: Vec<SlotView>,
    /// Times that would be promised.
    pub promises: Vec<TimesView>,
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Problem {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            guard: None,
            instead: Box::default(),
            retry_after: None,
            challenge: None,
        }
    }

    pub fn not_found(what: &str) -> Self {
        Problem::new(Code::NotFound, format!("There is no such {what}."))
    }

    pub fn invalid(problems: Problems) -> Self {
        let detail = match problems.0.len() {
            1 => "One rule is broken.".to_owned(),
            n => format!("{n} rules are broken."),
        };
        Problem {
            errors: problems.0,
            ..Problem::new(Code::InvalidRequest, detail)
        }
    }

    fn no_place(why: NoPlace, alternatives: Vec<SlotView>) -> Self {
        Problem {
            errors: Problems::one("start_time", why.name(), why.sentence()).0,
            instead: Box::new(Instead {
                alternatives,
                ..Instead::default()
            }),
            ..Problem::new(Code::SlotUnavailable, why.sentence())
        }
    }

    /// One broken rule.
    pub fn field(field: &str, code: &'static str, detail: impl Into<String>) -> Self {
        Problem::invalid(Problems::one(field, code, detail))
    }

    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// For a status that something below us set without a problem of its own.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => {
                Problem::new(Code::Unauthorized, "A valid API key is needed.")
            }
            StatusCode::FORBIDDEN => {
                Problem::new(Code::Forbidden, "The API key does not allow this.")
            }
            StatusCode::NOT_FOUND => Problem::new(Code::NotFound, "There is nothing at this path."),
            StatusCode::METHOD_NOT_ALLOWED => Problem::new(
                Code::MethodNotAllowed,
                "This method is not possible here; see the Allow header.",
            ),
            StatusCode::REQUEST_TIMEOUT => {
                Problem::new(Code::RequestTimeout, "The request did not arrive in time.")
            }
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(Code::TooLarge, "The body is too large."),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::new(
                Code::UnsupportedMediaType,
                "The body's Content-Type is not taken here.",
            ),
            StatusCode::TOO_MANY_REQUESTS => {
                Problem::new(Code::RateLimited, "Too many requests.").retry_after(1)
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                Problem::new(Code::Overloaded, "The server is at its limit.").retry_after(1)
            }
            status if status.is_client_error() => {
                Problem::new(Code::InvalidRequest, "The request cannot be understood.")
            }
            _ => Problem::new(
                Code::Internal,
                "The server made a mistake; it is logged under this request's id.",
            ),
        }
    }

    /// The body, with the request's id.
    pub fn body(&self, instance: &str) -> String {
        let view = ProblemView {
            kind: format!("/problems/{}", self.code.name()),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: &self.detail,
            instance,
            errors: self
                .errors
                .iter()
                .map(|error| FieldError {
                    field: &error.field,
                    code: error.code,
                    detail: &error.detail,
                })
                .collect(),
            guard: self.guard.map(Guard::name),
            callback: self.instead.callback.as_deref(),
            next: self.instead.next.map(wire_time::write),
            alternatives: &self.instead.alternatives,
            promises: &self.instead.promises,
        };
        serde_json::to_string(&view)
            .unwrap_or_else(|_| r#"{"type":"/problems/internal","status":500}"#.to_owned())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.code.status(), self.body("")).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = self
            .challenge
            .as_deref()
            .and_then(|text| HeaderValue::from_str(text).ok())
        {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        // The outermost layer writes the body anew, when it knows the request's id.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Problems> for Problem {
    fn from(problems: Problems) -> Self {
        Problem::invalid(problems)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotNow { state } => Problem::new(
                Code::NotNow,
                format!("This is not possible while the callback is {state}."),
            ),
            Refusal::Fenced => Problem::new(Code::Fenced, "The claim is not held any more."),
            Refusal::OfferGone => Problem::new(
                Code::OfferGone,
                "The offer timed out, was answered, or is not this agent's.",
            ),
            Refusal::Guarded(guard) => Problem {
                guard: Some(guard),
                ..Problem::new(Code::Guarded, guard.sentence())
            },
            Refusal::NoMoment { guard, field, next } => {
                let when = match next {
                    Some(next) => format!(
                        "The first moment at which it would be is {}.",
                        wire_time::write(next)
                    ),
                    None => "There is none in the next weeks.".to_owned(),
                };
                let detail = format!(
                    "No moment of the window is allowed. {} {when}",
                    guard.sentence()
                );
                Problem {
                    errors: Problems::one(field, "no_moment", detail.clone()).0,
                    guard: Some(guard),
                    instead: Box::new(Instead {
                        next,
                        ..Instead::default()
                    }),
                    ..Problem::new(Code::Guarded, detail)
                }
            }
            Refusal::Invalid(problems) => Problem::invalid(problems),
            Refusal::Duplicate { .. } => Problem::new(
                Code::Duplicate,
                "There is an open callback for this number in the queue already.",
            ),
            // The store answers with the slots that are free instead; see below.
            Refusal::NoPlace(unplaced) => Problem::no_place(unplaced.why, Vec::new()),
            Refusal::Full => Problem::new(
                Code::Full,
                "The queue has no room for another callback in this window.",
            ),
            Refusal::IntakePaused => {
                Problem::new(Code::IntakePaused, "The queue takes no requests just now.")
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(what) => Problem::not_found(what),
            StoreError::Refused(refusal) => refusal.into(),
            StoreError::RevisionConflict { current } => Problem::new(
                Code::RevisionMismatch,
                format!("The revision is now {current}."),
            ),
            StoreError::IdempotencyMismatch => Problem::new(
                Code::IdempotencyMismatch,
                "This Idempotency-Key came with another request before.",
            ),
            StoreError::Conflict {
                field,
                code,
                detail,
            } => {
                let mut problem = Problem::new(Code::Conflict, detail.clone());
                if let Some(field) = field {
                    problem.errors = Problems::one(field, code, detail).0;
                }
                problem
            }
            StoreError::NoPlace {
                why,
                alternatives,
                zone,
            } => Problem::no_place(why, SlotView::list(&alternatives, &zone)),
            StoreError::Busy => Problem::new(
                Code::Overloaded,
                "Too much is waiting to be written. Nothing was done.",
            )
            .retry_after(1),
            StoreError::Full => Problem::new(
                Code::StorageFull,
                "No space is left for the database. Nothing was stored.",
            )
            .retry_after(30),
            StoreError::Failed(cause) => {
                tracing::error!(error = %cause, "the store failed in a request");
                Problem::new(
                    Code::OutcomeUnknown,
                    "The database failed; the request may or may not be stored. Repeat it with the same Idempotency-Key.",
                )
                .retry_after(5)
            }
            StoreError::Damaged {
                table,
                column,
                detail,
            } => {
                tracing::error!(table, column, error = %detail, "a damaged row was met in a request");
                Problem::new(
                    Code::Internal,
                    "A stored record cannot be read; it is logged under this request's id.",
                )
            }
            StoreError::Configuration(cause) => {
                tracing::error!(error = %cause, "the store is configured wrongly");
                Problem::new(
                    Code::Internal,
                    "The server made a mistake; it is logged under this request's id.",
                )
            }
            StoreError::Closed => {
                Problem::new(Code::Stopping, "The server is stopping. Nothing was done.")
                    .retry_after(5)
            }
        }
    }
}

/// Problem details (RFC 9457). `type` never changes its meaning; `errors` lists every broken rule at once.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemView<'a> {
    /// Which kind of problem: `/problems/` and a stable word. The page behind it says what to do.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words; the same for all problems of this type.
    pub title: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, in a sentence. Never repeats personal data.
    pub detail: &'a str,
    /// The request's id, under which the server's log tells of it.
    pub instance: &'a str,
    /// Every broken rule, each with its field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError<'a>>,
    /// The guard that forbids it, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub guard: Option<&'a str>,
    /// URL of the open callback that stands against it, if the key may read callbacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub callback: Option<&'a str>,
    /// Where no moment of the window is allowed: the first one after its start that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub next: Option<String>,
    /// With `slot_unavailable`: the nearest free slots, in order of time.
    #[serde(skip_serializing_if = "<[SlotView]>::is_empty")]
    #[schema(required = false, value_type = Vec<SlotView>)]
    pub alternatives: &'a [SlotView],
    /// With `full`: times that would be promised instead, the nearest first.
    #[serde(skip_serializing_if = "<[TimesView]>::is_empty")]
    #[schema(required = false, value_type = Vec<TimesView>)]
    pub promises: &'a [TimesView],
}

/// One broken rule.
#[derive(Serialize, ToSchema)]
pub struct FieldError<'a> {
    /// Dotted path of the field, e.g. `contacts[1].customer_number`.
    pub field: &'a str,
    /// A stable word for programs.
    pub code: &'a str,
    /// A sentence for people.
    pub detail: &'a str,
}
