//! One try at reaching the customer, as clients see it.

use super::date;
use ringback_callbacks::attempt::Attempt;
use serde::Serialize;
use utoipa::ToSchema;

/// One try at reaching the customer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptView {
    /// Travels outwards as Call-ID or Message-ID.
    pub attempt_id: String,
    /// Numbered from 1.
    pub number: u32,
    /// `sip`, `smtp`, …
    pub channel: String,
    /// The route that carried it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub route: Option<String>,
    /// The agent at the near end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub agent_id: Option<i64>,
    /// Directory number of the near end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub dn: Option<String>,
    /// The contact tried.
    pub customer_number: String,
    /// When it began; it was recorded before the first packet left.
    #[schema(format = DateTime)]
    pub began_at: String,
    /// When the customer picked up; if that was not told apart, when both could speak with each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub answered_at: Option<String>,
    /// When it ended; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub ended_at: Option<String>,
    /// How it ended, by the published number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub call_result: Option<i32>,
    /// The published name of that number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub call_result_name: Option<&'static str>,
    /// What it means: `reached`, `busy`, `no_answer`, `machine`, `invalid`, `deferred`, `declined`,
    /// `route_fault`, `agent_fault`, `do_not_call`, `stopped`, `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub verdict: Option<&'static str>,
    /// Whether it counts against the customer's tries.
    pub counted: bool,
    /// The platform's own word for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub platform: Option<PlatformView>,
    /// How long both were connected, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub talk_ms: Option<u64>,
}

/// The other side's own code.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PlatformCode)]
pub struct PlatformView {
    /// `sip`, `q850`, `smtp`, `ringback`.
    pub scheme: String,
    /// E.g. 486.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub code: Option<i32>,
    /// Its phrase.
    pub text: String,
}

impl AttemptView {
    pub fn new(attempt: &Attempt) -> Self {
        let outcome = attempt.outcome.as_ref();
        AttemptView {
            attempt_id: attempt.id.to_string(),
            number: attempt.number,
            channel: attempt.channel.clone(),
            route: outcome
                .and_then(|outcome| outcome.route.clone())
                .or_else(|| attempt.route.clone()),
            agent_id: attempt.agent.map(|agent| agent.0),
            dn: attempt.dn.clone(),
            customer_number: attempt.contact.clone(),
            began_at: date(attempt.began_at),
            answered_at: attempt.answered_at.map(date),
            ended_at: attempt.ended_at.map(date),
            call_result: outcome.map(|outcome| outcome.result.0),
            call_result_name: outcome.and_then(|outcome| outcome.result.name()),
            verdict: outcome.map(|outcome| outcome.verdict.name()),
            counted: attempt.counted,
            platform: outcome.map(|outcome| PlatformView {
                scheme: outcome.platform.scheme.clone(),
                code: outcome.platform.code,
                text: outcome.platform.text.clone(),
            }),
            talk_ms: outcome.and_then(|outcome| outcome.talk_ms),
        }
    }
}
