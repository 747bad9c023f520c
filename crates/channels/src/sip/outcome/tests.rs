//! Every row of the table, and that no row of RFC 3261 is missing.

use super::*;

fn status(code: u16, q850: Option<u16>) -> LegFailure {
    LegFailure {
        code: Some(code),
        reason_phrase: "Some Reason".to_owned(),
        q850,
        retry_after: None,
        cause: FailureCause::Status,
        rang: false,
    }
}

fn of(cause: FailureCause) -> LegFailure {
    LegFailure {
        code: None,
        reason_phrase: "words".to_owned(),
        q850: None,
        retry_after: None,
        cause,
        rang: false,
    }
}

fn known(leg_order: LegOrder) -> Circumstances {
    Circumstances {
        leg_order,
        near_is_dn: false,
        near_has_route: false,
        customer_rang: false,
        customer_answered: false,
    }
}

fn end(kind: BridgeEndKind) -> BridgeEnd {
    BridgeEnd {
        kind,
        route_of_first: Some("first".to_owned()),
        route_of_second: Some("second".to_owned()),
        bridged_at: None,
    }
}

#[test]
fn the_rows_everybody_asks_for() {
    use Verdict::{Busy, Declined, Invalid, NoAnswer, RouteFault};
    for (codes, verdict, counts) in [
        (&[486, 600][..], Busy, true),
        (&[408, 480, 487], NoAnswer, true),
        (&[404, 410, 484, 604], Invalid, true),
        (&[603, 607, 608], Declined, true),
        (
            &[503, 502, 500, 504, 401, 403, 407, 488, 606, 415, 400],
            RouteFault,
            false,
        ),
        (&[300, 302, 380], NoAnswer, true),
        (&[301], Invalid, true),
        // Unlisted codes are read as the x00 of their class.
        (&[399], NoAnswer, true),
        (&[499, 599], RouteFault, false),
        (&[699], Busy, true),
    ] {
        for code in codes {
            let outcome = of_customer(&status(*code, None));
            assert_eq!(outcome.verdict, verdict, "{code}");
            assert_eq!(outcome.verdict.counts(), counts, "{code}");
            assert_eq!(
                outcome.platform,
                PlatformCode::new("sip", Some(i32::from(*code)), "Some Reason")
            );
        }
    }
}

#[test]
fn results_are_the_published_numbers() {
    for (code, result) in [
        (486, 6),
        (600, 6),
        (408, 7),
        (480, 7),
        (487, 7),
        (404, 11),
        (484, 11),
        (410, 12),
        (604, 12),
        (603, 5),
        (503, 10),
        (500, 43),
        (502, 43),
        (403, 41),
        (407, 41),
        (488, 38),
        (302, 22),
    ] {
        assert_eq!(
            of_customer(&status(code, None)).result,
            CallResult(result),
            "{code}"
        );
    }
}

#[test]
fn every_final_status_of_rfc_3261_has_a_row_of_its_own() {
    let all = [
        300, 301, 302, 305, 380, 400, 401, 402, 403, 404, 405, 406, 407, 408, 410, 413, 414, 415,
        416, 420, 421, 423, 480, 481, 482, 483, 484, 485, 486, 487, 488, 491, 493, 500, 501, 502,
        503, 504, 505, 513, 600, 603, 604, 606,
    ];
    for code in all {
        assert!(find(STATUS, code).is_some(), "{code}");
    }
    // And none has two, of which the second would be dead.
    for table in [STATUS, Q850] {
        let mut codes: Vec<u16> = table
            .iter()
            .flat_map(|(codes, ..)| codes.iter().copied())
            .collect();
        let rows = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), rows);
    }
}

#[test]
fn a_cause_speaks_where_the_status_does_not() {
    use Verdict::{Busy, Declined, Invalid, NoAnswer, RouteFault};
    for (code, cause, verdict, scheme) in [
        (503, 17, Busy, "q850"),
        (500, 18, NoAnswer, "q850"),
        (500, 19, NoAnswer, "q850"),
        (480, 16, NoAnswer, "q850"),
        (480, 1, Invalid, "q850"),
        (480, 28, Invalid, "q850"),
        (480, 34, RouteFault, "q850"),
        (480, 38, RouteFault, "q850"),
        (480, 41, RouteFault, "q850"),
        (480, 42, RouteFault, "q850"),
        (403, 21, Declined, "q850"),
        // A cause nobody knows, and statuses that speak for themselves.
        (503, 126, RouteFault, "sip"),
        (486, 34, Busy, "sip"),
        (404, 16, Invalid, "sip"),
        (603, 16, Declined, "sip"),
        (487, 34, NoAnswer, "sip"),
    ] {
        let outcome = of_customer(&status(code, Some(cause)));
        assert_eq!(outcome.verdict, verdict, "{code} with {cause}");
        assert_eq!(outcome.platform.scheme, scheme, "{code} with {cause}");
        let raw = if scheme == "q850" { cause } else { code };
        assert_eq!(outcome.platform.code, Some(i32::from(raw)));
        let other = if scheme == "q850" {
            format!("SIP {code}")
        } else {
            format!("cause {cause}")
        };
        assert!(
            outcome.platform.text.contains(&other),
            "{}",
            outcome.platform.text
        );
    }
}

#[test]
fn faults_without_a_status() {
    for (cause, result, verdict, down) in [
        (FailureCause::RingTimeout, 7, Verdict::NoAnswer, false),
        (
            FailureCause::TransactionTimeout,
            36,
            Verdict::RouteFault,
            true,
        ),
        (FailureCause::Refused, 35, Verdict::RouteFault, true),
        (FailureCause::Tls, 35, Verdict::RouteFault, true),
        (FailureCause::Dns, 35, Verdict::RouteFault, true),
        (FailureCause::AuthFailed, 41, Verdict::RouteFault, true),
        (FailureCause::Malformed, 43, Verdict::RouteFault, false),
        (FailureCause::Internal, 44, Verdict::RouteFault, false),
        (FailureCause::Stopped, 26, Verdict::Stopped, false),
        (FailureCause::HungUp, 21, Verdict::NoAnswer, false),
    ] {
        let expected = Meaning {
            result: CallResult(result),
            verdict,
            route_down: down,
        };
        assert_eq!(meaning(&of(cause)), expected, "{cause:?}");
    }
}

#[test]
fn only_some_failures_take_the_route_down() {
    for (code, down) in [
        (503, true),
        (500, true),
        (407, true),
        (403, false),
        (486, false),
        (404, false),
        (488, false),
    ] {
        assert_eq!(meaning(&status(code, None)).route_down, down, "{code}");
    }
    assert!(
        !meaning(&status(503, Some(17))).route_down,
        "a busy person behind a poor gateway"
    );
}

#[test]
fn our_own_end_is_not_the_customer() {
    let agent = known(LegOrder::AgentFirst);
    let dn = Circumstances {
        near_is_dn: true,
        near_has_route: true,
        ..agent
    };
    let behind_pbx = Circumstances {
        near_has_route: true,
        ..agent
    };
    let too_late = Circumstances {
        leg_order: LegOrder::CustomerFirst,
        customer_answered: true,
        ..agent
    };
    for (failure, known, result, verdict) in [
        (status(486, None), agent, 47, Verdict::AgentFault),
        (
            of(FailureCause::RingTimeout),
            agent,
            47,
            Verdict::AgentFault,
        ),
        (of(FailureCause::Refused), agent, 47, Verdict::AgentFault),
        // Our own limit on calls is nothing the agent could help.
        (of(FailureCause::Internal), agent, 47, Verdict::RouteFault),
        (
            of(FailureCause::Refused),
            behind_pbx,
            47,
            Verdict::RouteFault,
        ),
        (status(503, None), behind_pbx, 47, Verdict::RouteFault),
        (status(480, None), behind_pbx, 47, Verdict::AgentFault),
        (status(486, None), dn, 48, Verdict::AgentFault),
        (status(503, None), dn, 48, Verdict::RouteFault),
        (
            of(FailureCause::TransactionTimeout),
            dn,
            48,
            Verdict::RouteFault,
        ),
        // The customer had picked up: not at once again.
        (status(486, None), too_late, 47, Verdict::RouteFault),
    ] {
        let kind = match known.leg_order {
            LegOrder::AgentFirst => BridgeEndKind::FirstFailed(failure),
            LegOrder::CustomerFirst => BridgeEndKind::SecondFailed(failure),
        };
        let outcome = of_call(&end(kind.clone()), known);
        assert_eq!(
            (outcome.result, outcome.verdict),
            (CallResult(result), verdict),
            "{kind:?} {known:?}"
        );
        assert!(!outcome.verdict.counts());
    }
}

#[test]
fn legs_swap_with_the_order() {
    let busy = status(486, None);
    let agent_first = of_call(
        &end(BridgeEndKind::SecondFailed(busy.clone())),
        known(LegOrder::AgentFirst),
    );
    assert_eq!(
        (agent_first.verdict, agent_first.route.as_deref()),
        (Verdict::Busy, Some("second"))
    );
    let customer_first = of_call(
        &end(BridgeEndKind::FirstFailed(busy)),
        known(LegOrder::CustomerFirst),
    );
    assert_eq!(
        (customer_first.verdict, customer_first.route.as_deref()),
        (Verdict::Busy, Some("first"))
    );
}

#[test]
fn talks_are_reached_and_say_who_hung_up() {
    for (order, by, words) in [
        (LegOrder::AgentFirst, By::First, "agent"),
        (LegOrder::AgentFirst, By::Second, "customer"),
        (LegOrder::CustomerFirst, By::First, "customer"),
        (LegOrder::CustomerFirst, By::Second, "agent"),
        (LegOrder::AgentFirst, By::Us, "us"),
        (LegOrder::AgentFirst, By::MaxTalk, "longest"),
        (LegOrder::AgentFirst, By::SessionTimer, "session"),
    ] {
        let kind = BridgeEndKind::Talked {
            talk: Duration::from_millis(61_500),
            hung_up_by: by,
        };
        let outcome = of_call(&end(kind), known(order));
        assert_eq!(
            (outcome.result, outcome.verdict),
            (CallResult::OK, Verdict::Reached)
        );
        assert_eq!(outcome.talk_ms, Some(61_500));
        assert!(
            outcome.platform.text.contains(words),
            "{by:?}: {}",
            outcome.platform.text
        );
    }
}

#[test]
fn not_connected_depends_on_who_let_go() {
    let agent_first = known(LegOrder::AgentFirst);
    let customer_first = known(LegOrder::CustomerFirst);
    let rang = |known: Circumstances| Circumstances {
        customer_rang: true,
        ..known
    };
    let answered = |known: Circumstances| Circumstances {
        customer_rang: true,
        customer_answered: true,
        ..known
    };
    for (failure, known, result, verdict) in [
        // A re-INVITE that failed.
        (
            status(488, None),
            answered(agent_first),
            38,
            Verdict::RouteFault,
        ),
        (
            of(FailureCause::TransactionTimeout),
            answered(agent_first),
            38,
            Verdict::RouteFault,
        ),
        // The agent lost patience.
        (
            of(FailureCause::HungUp),
            agent_first,
            47,
            Verdict::AgentFault,
        ),
        (
            of(FailureCause::HungUp),
            rang(agent_first),
            27,
            Verdict::NoAnswer,
        ),
        (
            of(FailureCause::HungUp),
            answered(agent_first),
            38,
            Verdict::RouteFault,
        ),
        // The customer did.
        (
            of(FailureCause::HungUp),
            answered(customer_first),
            21,
            Verdict::NoAnswer,
        ),
    ] {
        let outcome = of_call(&end(BridgeEndKind::NotConnected(failure.clone())), known);
        assert_eq!(
            (outcome.result, outcome.verdict),
            (CallResult(result), verdict),
            "{failure:?} {known:?}"
        );
    }
    let outcome = of_call(&end(BridgeEndKind::Stopped), agent_first);
    assert_eq!(
        (outcome.verdict, outcome.verdict.counts()),
        (Verdict::Stopped, false)
    );
}

#[test]
fn what_peers_say_is_masked() {
    let mut failure = status(404, None);
    failure.reason_phrase = "No user +14155550123".to_owned();
    assert_eq!(of_customer(&failure).platform.text, "No user +•••");
}
