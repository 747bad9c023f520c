//! How a leg failed, in words a caller can decide by: what the peer said, or what we saw ourselves.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message;

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCause {
    /// The peer sent a final status; see `code`.
    Status,
    /// It rang (or at least something answered 1xx) and nobody took it; we cancelled.
    RingTimeout,
    /// No response at all.
    TransactionTimeout,
    /// The connection was refused, lost, or ICMP said nobody is there.
    Refused,
    /// The TLS handshake or the certificate failed.
    Tls,
    /// The name does not resolve.
    Dns,
    /// The peer's message or session description cannot be used.
    Malformed,
    /// A challenge we may not or cannot answer, or an answer that was not accepted.
    AuthFailed,
    /// We were told to stop.
    Stopped,
    /// The other party hung up before the two were joined.
    HungUp,
    /// Our own limit or fault.
    Internal,
}

/// One leg's failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegFailure {
    /// The final SIP status, when there was one.
    pub code: Option<u16>,
    /// The peer's words (printable, cut to 80 characters) or ours.
    pub reason_phrase: String,
    /// `Reason: Q.850;cause=`.
    pub q850: Option<u16>,
    pub retry_after: Option<Duration>,
    pub cause: FailureCause,
    /// The peer had sent a ringing response before.
    pub rang: bool,
}

impl LegFailure {
    pub(crate) fn of(cause: FailureCause, words: &str) -> LegFailure {
        LegFailure {
            code: None,
            reason_phrase: words.to_owned(),
            q850: None,
            retry_after: None,
            cause,
            rang: false,
        }
    }

    pub(crate) fn from_response(
        response: &rsipstack::sip::Response,
        cause: FailureCause,
    ) -> LegFailure {
        let code = response.status_code.code();
        LegFailure {
            code: Some(code),
            reason_phrase: printable(
                response
                    .reason_phrase()
                    .unwrap_or(response.status_code.text()),
            ),
            q850: message::header_all(&response.headers, "Reason")
                .iter()
                .find_map(|v| q850_cause(v)),
            retry_after: message::header(&response.headers, "Retry-After").and_then(retry_after),
            cause,
            rang: false,
        }
    }

    /// Whether the route, not the person, failed: the next target may be tried. Never after a ring.
    pub fn is_route_failure(&self) -> bool {
        if self.rang {
            return false;
        }
        match self.cause {
            FailureCause::TransactionTimeout
            | FailureCause::Refused
            | FailureCause::Tls
            | FailureCause::Dns
            | FailureCause::Malformed
            | FailureCause::AuthFailed => true,
            FailureCause::Status => matches!(self.code, Some(401 | 403 | 407 | 500 | 502 | 503)),
            FailureCause::RingTimeout
            | FailureCause::Stopped
            | FailureCause::HungUp
            | FailureCause::Internal => false,
        }
    }

    /// Whether another address of the same target could do better.
    pub(crate) fn is_hop_failure(&self) -> bool {
        !self.rang
            && (matches!(
                self.cause,
                FailureCause::TransactionTimeout | FailureCause::Refused | FailureCause::Tls
            ) || (self.cause == FailureCause::Status && self.code == Some(503)))
    }
}

/// Reads `Q.850 ;cause=16 ;text="…"`.
pub(crate) fn q850_cause(reason: &str) -> Option<u16> {
    message::split_list(reason).iter().find_map(|one| {
        let mut parts = one.split(';');
        if !parts.next()?.trim().eq_ignore_ascii_case("Q.850") {
            return None;
        }
        parts.find_map(|p| {
            let (name, value) = p.split_once('=')?;
            if !name.trim().eq_ignore_ascii_case("cause") {
                return None;
            }
            value
                .trim()
                .trim_matches('"')
                .parse()
                .ok()
                .filter(|c| *c <= 127)
        })
    })
}

/// Reads `120 (busy);duration=60`; anything over a day is cut to a day.
pub(crate) fn retry_after(value: &str) -> Option<Duration> {
    let digits: String = value
        .trim()
        .chars()
        .take_while(char::is_ascii_digit)
        .take(9)
        .collect();
    digits
        .parse::<u64>()
        .ok()
        .map(|s| Duration::from_secs(s.min(86_400)))
}

fn printable(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_reason_headers() {
        for (header, cause) in [
            ("Q.850;cause=17;text=\"User busy\"", Some(17)),
            ("SIP;cause=200, Q.850 ; cause = 34", Some(34)),
            ("Q.850;text=\"a, b\";cause=1", Some(1)),
            ("SIP;cause=486", None),
            ("Q.850;cause=900", None),
            ("Q.850", None),
            ("", None),
        ] {
            assert_eq!(q850_cause(header), cause, "{header:?}");
        }
    }

    #[test]
    fn reads_retry_after() {
        assert_eq!(
            retry_after("120 (in a meeting);duration=3600"),
            Some(Duration::from_secs(120))
        );
        assert_eq!(
            retry_after("99999999999"),
            Some(Duration::from_secs(86_400))
        );
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn a_ring_ends_the_search_for_routes() {
        let mut failure = LegFailure::of(FailureCause::Status, "Service Unavailable");
        failure.code = Some(503);
        assert!(failure.is_route_failure());
        failure.rang = true;
        assert!(!failure.is_route_failure());
        for (code, route) in [
            (486, false),
            (404, false),
            (603, false),
            (480, false),
            (403, true),
            (502, true),
        ] {
            let mut failure = LegFailure::of(FailureCause::Status, "");
            failure.code = Some(code);
            assert_eq!(failure.is_route_failure(), route, "{code}");
        }
    }
}
