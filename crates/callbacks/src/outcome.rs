//! How an attempt ended: our `call_result` and the platform's own code, kept side by side.

use serde::{Deserialize, Serialize};

/// `call_result` by its published number. Unlisted numbers pass through unchanged on read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallResult(pub i32);

macro_rules! call_results {
    ($($name:ident = $number:literal),+ $(,)?) => {
        impl CallResult {
            $(pub const $name: CallResult = CallResult($number);)+

            /// The published name; `None` for a number that is not listed.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)+
                    _ => None,
                }
            }
        }
    };
}

call_results! {
    OK = 0, TRANSFERRED = 1, CONFERENCED = 2, GENERAL_ERROR = 3, SYSTEM_ERROR = 4, REMOTE_RELEASE = 5,
    BUSY = 6, NO_ANSWER = 7, SIT_DETECTED = 8, ANSWERING_MACHINE = 9, ALL_TRUNKS_BUSY = 10,
    SIT_INVALID_NUM = 11, SIT_VACANT = 12, SIT_OPER_INTERCEPT = 13, SIT_UNKNOWN = 14,
    SIT_NO_CIRCUIT = 15, SIT_REORDER = 16, SIT_FAX_DETECTED = 17, QUEUE_FULL = 18, CLEARED = 19,
    OVERFLOWED = 20, ABANDONED = 21, REDIRECTED = 22, FORWARDED = 23, CONSULT = 24, PICKEDUP = 25,
    DROPPED = 26, DROPPED_NO_ANSWER = 27, UNKNOWN = 28, COVERED = 29, CONVERSE_ON = 30, BRIDGED = 31,
    SILENCE = 32, ANSWER = 33, NU_TONE = 34, NO_DIAL_TONE = 35, NO_PROGRESS = 36, NO_RING_BACK = 37,
    NO_ESTABLISHED = 38, PAGER_DETECTED = 39, WRONG_PARTY = 40, DIAL_ERROR = 41, CALL_DROP_ERROR = 42,
    SWITCH_ERROR = 43, NO_PORT_AVAILABLE = 44, TRANSFER_ERROR = 45, STALE = 46,
    AGENT_CALLBACK_ERROR = 47, GROUP_CALLBACK_ERROR = 48, DEAFENED = 49, HELD = 50, DO_NOT_CALL = 51,
    CANCEL_RECORD = 52, WRONG_NUMBER = 53,
}

impl CallResult {
    /// The group a result belongs to when all that is known is the number: an agent's disposition, or
    /// a platform that reports results itself. Groups are the reference's (section 4.3).
    pub fn verdict(self) -> Verdict {
        match self.0 {
            0 | 33 => Verdict::Reached,
            6 => Verdict::Busy,
            10 | 15 | 16 | 18 | 35..=38 | 41..=45 => Verdict::RouteFault,
            7 | 21 | 26 | 27 | 32 => Verdict::NoAnswer,
            9 | 17 | 39 => Verdict::Machine,
            11 | 12 | 13 | 34 | 40 | 53 => Verdict::Invalid,
            51 => Verdict::DoNotCall,
            47 | 48 => Verdict::AgentFault,
            52 => Verdict::Stopped,
            _ => Verdict::Unknown,
        }
    }
}

/// What an outcome means for the callback. Every channel's table ends in one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A person spoke, or an accepted message was delivered.
    Reached,
    Busy,
    NoAnswer,
    /// A machine, a fax, silence: never a person.
    Machine,
    /// This contact will never work.
    Invalid,
    /// The far side took note and asks to be tried later (a mail server's 4xx).
    Deferred,
    /// The person refused the call.
    Declined,
    /// The carrier, the switch or our own relay failed: never counted against the customer.
    RouteFault,
    /// The agent's phone could not be reached or was not answered: the customer was not rung.
    AgentFault,
    /// The far end asks never to be called.
    DoNotCall,
    /// We stopped it ourselves: cancelled, or a graceful stop of the server.
    Stopped,
    /// Nobody can say: a crash in mid-call, or a peer that lost its answer.
    Unknown,
}

impl Verdict {
    /// Whether the attempt counts as a try at reaching the customer.
    pub fn counts(self) -> bool {
        match self {
            Verdict::Reached
            | Verdict::Busy
            | Verdict::NoAnswer
            | Verdict::Machine
            | Verdict::Invalid
            | Verdict::Deferred
            | Verdict::Declined
            | Verdict::DoNotCall
            | Verdict::Unknown => true,
            Verdict::RouteFault | Verdict::AgentFault | Verdict::Stopped => false,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Verdict::Reached => "reached",
            Verdict::Busy => "busy",
            Verdict::NoAnswer => "no_answer",
            Verdict::Machine => "machine",
            Verdict::Invalid => "invalid",
            Verdict::Deferred => "deferred",
            Verdict::Declined => "declined",
            Verdict::RouteFault => "route_fault",
            Verdict::AgentFault => "agent_fault",
            Verdict::DoNotCall => "do_not_call",
            Verdict::Stopped => "stopped",
            Verdict::Unknown => "unknown",
        }
    }
}

/// The platform's own word for it, unabridged but without anything personal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformCode {
    /// `sip`, `q850`, `smtp`, `ringback`.
    pub scheme: String,
    pub code: Option<i32>,
    /// The reason phrase or enhanced status; control characters removed, at most 200 characters.
    pub text: String,
}

impl PlatformCode {
    pub fn new(scheme: &str, code: Option<i32>, text: &str) -> Self {
        let text = text.chars().filter(|c| !c.is_control()).take(200).collect();
        PlatformCode {
            scheme: scheme.to_owned(),
            code,
            text,
        }
    }
}

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub result: CallResult,
    pub verdict: Verdict,
    pub platform: PlatformCode,
    /// How long both parties were connected, in milliseconds.
    pub talk_ms: Option<u64>,
    /// The route that carried (or last failed to carry) it.
    pub route: Option<String>,
}

impl Outcome {
    pub fn new(result: CallResult, verdict: Verdict, platform: PlatformCode) -> Self {
        Outcome {
            result,
            verdict,
            platform,
            talk_ms: None,
            route: None,
        }
    }

    /// After a crash in mid-call, when the peer cannot be asked.
    pub fn unknown(why: &str) -> Self {
        Outcome::new(
            CallResult::UNKNOWN,
            Verdict::Unknown,
            PlatformCode::new("ringback", None, why),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_follow_the_reference() {
        let table: &[(&[i32], Verdict)] = &[
            (&[0, 33], Verdict::Reached),
            (&[6], Verdict::Busy),
            (
                &[10, 15, 16, 18, 35, 36, 37, 38, 41, 42, 43, 44, 45],
                Verdict::RouteFault,
            ),
            (&[7, 21, 26, 27, 32], Verdict::NoAnswer),
            (&[9, 17, 39], Verdict::Machine),
            (&[11, 12, 13, 34, 40, 53], Verdict::Invalid),
            (&[51], Verdict::DoNotCall),
            (&[28, 1, 2, 19, 20, 22, 99, -1], Verdict::Unknown),
        ];
        for (numbers, verdict) in table {
            for number in *numbers {
                assert_eq!(CallResult(*number).verdict(), *verdict, "{number}");
            }
        }
    }

    #[test]
    fn all_54_numbers_have_names() {
        for number in 0..=53 {
            assert!(CallResult(number).name().is_some(), "{number}");
        }
        assert_eq!(CallResult(54).name(), None);
    }
}
