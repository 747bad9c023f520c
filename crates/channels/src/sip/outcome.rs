//! What a SIP ending means: the one table from final status, Q.850 cause and fault to our outcome.
//!
//! The status decides where it says something about the person called (486, 404, 603 …). Where it is a
//! switch's catch-all (480, 500, 503 …) and the peer sent a Q.850 cause as well, the cause decides,
//! because it is what the far network said. Redirections are never followed: the number they lead to has
//! passed no guard.

use crate::masked::masked;
use ringback_callbacks::outcome::{CallResult, Outcome, PlatformCode, Verdict};
use ringback_callbacks::queue::LegOrder;
use ringback_sip::{BridgeEnd, BridgeEndKind, By, FailureCause, LegFailure};
use std::time::Duration;

/// What one kind of failure on the way to the customer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    pub result: CallResult,
    pub verdict: Verdict,
    /// Whether the route itself is unwell, and not only this call.
    pub route_down: bool,
}

/// What else is known of the call when it ends.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    pub leg_order: LegOrder,
    /// Our end is a queue or extension of a switch, not one of our agents.
    pub near_is_dn: bool,
    /// Our end is reached through a configured route, whose faults are not the agent's.
    pub near_has_route: bool,
    pub customer_rang: bool,
    pub customer_answered: bool,
}

/// The outcome of a whole call.
pub fn of_call(end: &BridgeEnd, known: Circumstances) -> Outcome {
    let customer_first = match known.leg_order {
        LegOrder::AgentFirst => false,
        LegOrder::CustomerFirst => true,
    };
    let route = if customer_first {
        &end.route_of_first
    } else {
        &end.route_of_second
    };
    let mut outcome = match &end.kind {
        BridgeEndKind::FirstFailed(failure) if customer_first => of_customer(failure),
        BridgeEndKind::SecondFailed(failure) if !customer_first => of_customer(failure),
        BridgeEndKind::FirstFailed(failure) | BridgeEndKind::SecondFailed(failure) => {
            of_near(failure, known)
        }
        BridgeEndKind::NotConnected(failure) => not_connected(failure, known),
        BridgeEndKind::Talked { talk, hung_up_by } => talked(*talk, *hung_up_by, customer_first),
        BridgeEndKind::Stopped => stopped(),
    };
    outcome.route.clone_from(route);
    outcome
}

/// A failure on the way to the customer.
pub fn of_customer(failure: &LegFailure) -> Outcome {
    let meaning = meaning(failure);
    Outcome::new(meaning.result, meaning.verdict, platform(failure))
}

/// A failure on the way to our own end. Under customer-first the customer has already picked up and heard
/// nobody: that is our fault and is put right soon, but not at once as when nobody was rung.
pub fn of_near(failure: &LegFailure, known: Circumstances) -> Outcome {
    let result = if known.near_is_dn {
        CallResult::GROUP_CALLBACK_ERROR
    } else {
        CallResult::AGENT_CALLBACK_ERROR
    };
    let route_failed = known.near_has_route && failure.is_route_failure();
    let verdict = if failure.cause == FailureCause::Stopped {
        Verdict::Stopped
    } else if known.customer_answered || route_failed || failure.cause == FailureCause::Internal {
        Verdict::RouteFault
    } else {
        Verdict::AgentFault
    };
    Outcome::new(result, verdict, platform(failure))
}

/// We ended it before the two were joined.
pub fn stopped() -> Outcome {
    let platform = PlatformCode::new(
        "ringback",
        None,
        "stopped by us before the two were connected",
    );
    Outcome::new(CallResult::DROPPED, Verdict::Stopped, platform)
}

/// What a failure on the way to the customer means.
pub fn meaning(failure: &LegFailure) -> Meaning {
    match failure.cause {
        FailureCause::Status => of_status(failure.code, failure.q850).0,
        // It rang for as long as the queue lets it ring.
        FailureCause::RingTimeout => NOT_ANSWERED,
        // Not a word from the peer: a dead trunk, whatever the stack calls it.
        FailureCause::TransactionTimeout => fault(CallResult::NO_PROGRESS, true),
        FailureCause::Refused | FailureCause::Tls | FailureCause::Dns => {
            fault(CallResult::NO_DIAL_TONE, true)
        }
        FailureCause::Malformed => fault(CallResult::SWITCH_ERROR, false),
        // The trunk will refuse every other call the same way.
        FailureCause::AuthFailed => fault(CallResult::DIAL_ERROR, true),
        FailureCause::Internal => fault(CallResult::NO_PORT_AVAILABLE, false),
        FailureCause::Stopped => Meaning {
            result: CallResult::DROPPED,
            verdict: Verdict::Stopped,
            route_down: false,
        },
        FailureCause::HungUp => Meaning {
            result: CallResult::ABANDONED,
            verdict: Verdict::NoAnswer,
            route_down: false,
        },
    }
}

const NOT_ANSWERED: Meaning = Meaning {
    result: CallResult::NO_ANSWER,
    verdict: Verdict::NoAnswer,
    route_down: false,
};

const fn fault(result: CallResult, route_down: bool) -> Meaning {
    Meaning {
        result,
        verdict: Verdict::RouteFault,
        route_down,
    }
}

/// Rows of the table: codes, result, verdict, whether the route is unwell.
type Row = (&'static [u16], CallResult, Verdict, bool);

/// Final statuses. A code that is not here is read as the x00 of its class (RFC 3261, 8.1.3.2).
const STATUS: &[Row] = &[
    // Redirections. 301: moved for good, a person has to correct the number. 305 speaks of the route.
    (
        &[300, 302, 380],
        CallResult::REDIRECTED,
        Verdict::NoAnswer,
        false,
    ),
    (&[301], CallResult::REDIRECTED, Verdict::Invalid, false),
    (&[305], CallResult::DIAL_ERROR, Verdict::RouteFault, false),
    // The person.
    (&[486, 600], CallResult::BUSY, Verdict::Busy, false),
    (
        &[408, 480, 487],
        CallResult::NO_ANSWER,
        Verdict::NoAnswer,
        false,
    ),
    (
        &[603, 607, 608],
        CallResult::REMOTE_RELEASE,
        Verdict::Declined,
        false,
    ),
    // The number. 485: several people have it, and the peer cannot tell which is meant.
    (
        &[404, 484, 485],
        CallResult::SIT_INVALID_NUM,
        Verdict::Invalid,
        false,
    ),
    (&[410, 604], CallResult::SIT_VACANT, Verdict::Invalid, false),
    // The trunk will not serve us: credentials or contract. 403 may concern this number alone.
    (
        &[401, 402, 407],
        CallResult::DIAL_ERROR,
        Verdict::RouteFault,
        true,
    ),
    (&[403], CallResult::DIAL_ERROR, Verdict::RouteFault, false),
    // The trunk does not like the way we ask.
    (
        &[
            400, 405, 406, 411, 412, 413, 414, 415, 416, 417, 420, 421, 422, 423, 424, 428, 429,
            430, 433, 436, 437, 438, 439, 440, 469, 470, 489, 491, 493, 494,
        ],
        CallResult::DIAL_ERROR,
        Verdict::RouteFault,
        false,
    ),
    // The two phones or networks have nothing in common to speak by.
    (
        &[488, 606, 580],
        CallResult::NO_ESTABLISHED,
        Verdict::RouteFault,
        false,
    ),
    // Loops and lost dialogs in somebody's routing.
    (
        &[481, 482, 483],
        CallResult::SWITCH_ERROR,
        Verdict::RouteFault,
        false,
    ),
    // The trunk is unwell.
    (
        &[500, 502, 504],
        CallResult::SWITCH_ERROR,
        Verdict::RouteFault,
        true,
    ),
    (
        &[503],
        CallResult::ALL_TRUNKS_BUSY,
        Verdict::RouteFault,
        true,
    ),
    (
        &[501, 505, 513, 555],
        CallResult::SWITCH_ERROR,
        Verdict::RouteFault,
        false,
    ),
];

/// Statuses that say little by themselves; a Q.850 cause beside them says more.
const CATCH_ALL: &[u16] = &[400, 403, 480, 500, 502, 503, 504, 580];

/// Q.850 causes, by the network's own words. A cause that is not here leaves the decision to the status.
const Q850: &[Row] = &[
    // Unallocated number; number changed; invalid format.
    (
        &[1, 28],
        CallResult::SIT_INVALID_NUM,
        Verdict::Invalid,
        false,
    ),
    (&[22], CallResult::SIT_VACANT, Verdict::Invalid, false),
    (&[17], CallResult::BUSY, Verdict::Busy, false),
    // Normal clearing, no user responding, no answer, subscriber absent, normal unspecified.
    (
        &[16, 18, 19, 20, 31],
        CallResult::NO_ANSWER,
        Verdict::NoAnswer,
        false,
    ),
    (&[21], CallResult::REMOTE_RELEASE, Verdict::Declined, false),
    // No route, destination out of order, incompatible, barred.
    (
        &[2, 3, 27, 29, 50, 55, 57, 58, 63, 65, 69, 79, 88],
        CallResult::DIAL_ERROR,
        Verdict::RouteFault,
        false,
    ),
    // No circuit, network out of order, temporary failure, congestion, resources.
    (
        &[34, 38, 41, 42, 43, 44, 47, 49],
        CallResult::ALL_TRUNKS_BUSY,
        Verdict::RouteFault,
        true,
    ),
    // Timer expiry and protocol errors between switches.
    (
        &[95, 96, 97, 98, 99, 100, 101, 102, 111, 127],
        CallResult::SWITCH_ERROR,
        Verdict::RouteFault,
        false,
    ),
];

/// The meaning, and whether the Q.850 cause decided.
fn of_status(code: Option<u16>, cause: Option<u16>) -> (Meaning, bool) {
    // A status failure without a status does not happen; if it did, the peer would be to blame.
    let Some(code) = code else {
        return (fault(CallResult::SWITCH_ERROR, false), false);
    };
    if CATCH_ALL.contains(&code)
        && let Some(meaning) = cause.and_then(|cause| find(Q850, cause))
    {
        return (meaning, true);
    }
    let meaning = find(STATUS, code)
        .or_else(|| find(STATUS, code / 100 * 100))
        .unwrap_or(fault(CallResult::SWITCH_ERROR, false));
    (meaning, false)
}

fn find(table: &[Row], code: u16) -> Option<Meaning> {
    let (_, result, verdict, route_down) =
        table.iter().find(|(codes, ..)| codes.contains(&code))?;
    Some(Meaning {
        result: *result,
        verdict: *verdict,
        route_down: *route_down,
    })
}

/// Both answered, or one was being called while the other waited, and they never heard each other.
///
/// Whoever hung up first decides. The customer: abandoned. Our end while the customer's phone was
/// ringing: it rang for nothing, which counts, so that the next try keeps its distance. Our end before
/// anything rang: nobody was disturbed. Nobody, that is a failed re-INVITE: not established. That is
/// a fault of ours or of the phones and never the customer's, so it does not count; the limit of
/// calls per number and day still holds.
fn not_connected(failure: &LegFailure, known: Circumstances) -> Outcome {
    let near_hung_up =
        failure.cause == FailureCause::HungUp && known.leg_order == LegOrder::AgentFirst;
    let (result, verdict) = match failure.cause {
        FailureCause::HungUp if known.customer_answered && !near_hung_up => {
            (CallResult::ABANDONED, Verdict::NoAnswer)
        }
        FailureCause::HungUp if known.customer_answered => {
            (CallResult::NO_ESTABLISHED, Verdict::RouteFault)
        }
        FailureCause::HungUp if known.customer_rang => {
            (CallResult::DROPPED_NO_ANSWER, Verdict::NoAnswer)
        }
        FailureCause::HungUp if known.near_is_dn => {
            (CallResult::GROUP_CALLBACK_ERROR, Verdict::AgentFault)
        }
        FailureCause::HungUp => (CallResult::AGENT_CALLBACK_ERROR, Verdict::AgentFault),
        FailureCause::Stopped => (CallResult::DROPPED, Verdict::Stopped),
        FailureCause::Status
        | FailureCause::RingTimeout
        | FailureCause::TransactionTimeout
        | FailureCause::Refused
        | FailureCause::Tls
        | FailureCause::Dns
        | FailureCause::Malformed
        | FailureCause::AuthFailed
        | FailureCause::Internal => (CallResult::NO_ESTABLISHED, Verdict::RouteFault),
    };
    Outcome::new(result, verdict, platform(failure))
}

fn talked(talk: Duration, by: By, customer_first: bool) -> Outcome {
    let words = match (by, customer_first) {
        (By::First, true) | (By::Second, false) => "hung up by the customer",
        (By::First, false) | (By::Second, true) => "hung up by the agent",
        (By::Us, _) => "hung up by us",
        (By::SessionTimer, _) => "the session ran out: a peer vanished in mid-call",
        (By::MaxTalk, _) => "ended at the longest talk allowed",
    };
    let mut outcome = Outcome::new(
        CallResult::OK,
        Verdict::Reached,
        PlatformCode::new("sip", Some(200), words),
    );
    outcome.talk_ms = Some(u64::try_from(talk.as_millis()).unwrap_or(u64::MAX));
    outcome
}

/// The raw code: the Q.850 cause where it decided, else the status.
pub fn platform(failure: &LegFailure) -> PlatformCode {
    let words = masked(&failure.reason_phrase);
    let by_cause = failure.cause == FailureCause::Status && of_status(failure.code, failure.q850).1;
    match (failure.code, failure.q850) {
        (code, Some(cause)) if by_cause => {
            let status = code.map(|code| format!("SIP {code} ")).unwrap_or_default();
            PlatformCode::new("q850", Some(i32::from(cause)), &format!("{status}{words}"))
        }
        (code, Some(cause)) => PlatformCode::new(
            "sip",
            code.map(i32::from),
            &format!("{words} (Q.850 cause {cause})"),
        ),
        (code, None) => PlatformCode::new("sip", code.map(i32::from), &words),
    }
}

#[cfg(test)]
mod tests;
