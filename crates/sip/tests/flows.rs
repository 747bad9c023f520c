//! The two flows between two well-behaved phones, and everything either of them may do.

mod support;

use std::time::Duration;

use ringback_sip::{BridgeEndKind, BridgeEvent, By, FailureCause, Flow, LegState};
use support::{
    call, engine,
    phone::{Manner, Phone, body, header},
    run, target,
};

fn talked(kind: &BridgeEndKind) -> By {
    match kind {
        BridgeEndKind::Talked { hung_up_by, .. } => *hung_up_by,
        other => panic!("not a talk: {other:?}"),
    }
}

#[tokio::test]
async fn held_offer_joins_two_phones() {
    let engine = engine().await;
    let agent = Phone::start(Manner::default()).await;
    let customer = Phone::start(Manner {
        hangs_up_after: Some(Duration::from_millis(400)),
        ..Manner::default()
    })
    .await;
    let (end, events) = run(
        &engine,
        call("a-1", target(agent.port), target(customer.port)),
    )
    .await;
    assert_eq!(talked(&end.kind), By::Second);
    assert!(end.bridged_at.is_some());
    let seen = agent.seen();
    let first = seen.iter().find(|m| m.starts_with("INVITE")).unwrap();
    assert!(body(first).contains("a=inactive"), "{first}");
    assert_eq!(header(first, "X-Ringback-Attempt"), Some("a-1"));
    assert!(header(first, "Call-ID").unwrap().starts_with("a-1.first@"));
    let offered = customer
        .seen()
        .into_iter()
        .find(|m| m.starts_with("INVITE"))
        .unwrap();
    assert!(body(&offered).contains(&format!("m=audio {} ", 30_000 + agent.port % 1000)));
    assert!(body(&offered).contains("a=sendrecv") && !body(&offered).contains("inactive"));
    let joining = seen
        .iter()
        .filter(|m| m.starts_with("INVITE"))
        .nth(1)
        .unwrap();
    assert!(body(joining).contains(&format!("m=audio {} ", 30_000 + customer.port % 1000)));
    // The origin stays ours and counts up.
    let origin = |m: &str| {
        body(m)
            .lines()
            .find(|l| l.starts_with("o="))
            .unwrap()
            .to_owned()
    };
    let words = |o: &str| o.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (words(&origin(first)), words(&origin(joining)));
    assert_eq!(before[1], after[1]);
    assert_eq!(
        before[2].parse::<u64>().unwrap() + 1,
        after[2].parse::<u64>().unwrap()
    );
    // The customer is not asked a second time, and the agent is told goodbye.
    assert_eq!(customer.count("INVITE"), 1);
    assert_eq!(agent.count("BYE"), 1);
    assert_eq!(customer.count("BYE"), 0);
    let records: Vec<_> = events
        .iter()
        .filter_map(|e| match e {
            BridgeEvent::Leg(record, _) => Some((record.party.clone(), record.state)),
            _ => None,
        })
        .collect();
    for party in ["agent", "customer"] {
        let states: Vec<_> = records
            .iter()
            .filter(|(p, _)| p == party)
            .map(|(_, s)| *s)
            .collect();
        assert_eq!(
            states,
            [
                LegState::Inviting,
                LegState::Early,
                LegState::Confirmed,
                LegState::Ended
            ]
        );
    }
}

#[tokio::test]
async fn flow_iv_puts_the_answer_into_the_ack() {
    let engine = engine().await;
    let agent = Phone::start(Manner {
        video: true,
        ..Manner::default()
    })
    .await;
    let customer = Phone::start(Manner::default()).await;
    let mut call = call("b-1", target(agent.port), target(customer.port));
    call.flow = Flow::FlowIv;
    call.max_talk = Duration::from_millis(300);
    let (end, _) = run(&engine, call).await;
    assert_eq!(talked(&end.kind), By::MaxTalk);
    let first = agent
        .seen()
        .into_iter()
        .find(|m| m.starts_with("INVITE"))
        .unwrap();
    assert_eq!(body(&first), "");
    let held = agent
        .seen()
        .into_iter()
        .find(|m| m.starts_with("ACK"))
        .unwrap();
    assert!(body(&held).contains("a=inactive") && body(&held).contains("m=video 0"));
    let answer = customer
        .seen()
        .into_iter()
        .find(|m| m.starts_with("ACK"))
        .unwrap();
    assert!(body(&answer).contains(&format!("m=audio {} ", 30_000 + agent.port % 1000)));
    assert!(
        !body(&answer).contains("m=video"),
        "as many lines as were offered: {answer}"
    );
    for phone in [&agent, &customer] {
        assert_eq!(phone.count("BYE"), 1);
    }
}

#[tokio::test]
async fn a_phone_that_refuses_inactive_gets_flow_iv() {
    let engine = engine().await;
    let agent = Phone::start(Manner {
        refuses_inactive: true,
        ..Manner::default()
    })
    .await;
    let customer = Phone::start(Manner::default()).await;
    let mut call = call("c-1", target(agent.port), target(customer.port));
    call.max_talk = Duration::from_millis(200);
    let (end, _) = run(&engine, call).await;
    assert_eq!(talked(&end.kind), By::MaxTalk);
    let ids: Vec<String> = agent
        .seen()
        .iter()
        .filter(|m| m.starts_with("INVITE"))
        .map(|m| {
            header(m, "Call-ID")
                .unwrap()
                .split('@')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(ids, ["c-1.first", "c-1.first.1", "c-1.first.1"]);
}

#[tokio::test]
async fn a_refused_reinvite_ends_both_legs() {
    let engine = engine().await;
    let agent = Phone::start(Manner {
        refuses_reinvite: Some(488),
        ..Manner::default()
    })
    .await;
    let customer = Phone::start(Manner::default()).await;
    let (end, _) = run(
        &engine,
        call("d-1", target(agent.port), target(customer.port)),
    )
    .await;
    match end.kind {
        BridgeEndKind::NotConnected(failure) => assert_eq!(failure.code, Some(488)),
        other => panic!("{other:?}"),
    }
    for phone in [&agent, &customer] {
        assert_eq!(phone.count("BYE"), 1);
    }
}

#[tokio::test]
async fn glare_is_tried_again() {
    let engine = engine().await;
    let agent = Phone::start(Manner {
        glares: 1,
        ..Manner::default()
    })
    .await;
    let customer = Phone::start(Manner::default()).await;
    let mut call = call("e-1", target(agent.port), target(customer.port));
    call.max_talk = Duration::from_millis(200);
    let (end, _) = run(&engine, call).await;
    assert_eq!(talked(&end.kind), By::MaxTalk);
    assert_eq!(agent.count("INVITE"), 3);
}

#[tokio::test]
async fn a_moved_phone_is_announced_to_the_other() {
    let engine = engine().await;
    let agent = Phone::start(Manner {
        moves: true,
        ..Manner::default()
    })
    .await;
    let customer = Phone::start(Manner::default()).await;
    let mut call = call("f-1", target(agent.port), target(customer.port));
    call.max_talk = Duration::from_millis(200);
    let (end, _) = run(&engine, call).await;
    assert_eq!(talked(&end.kind), By::MaxTalk);
    let last = customer
        .seen()
        .into_iter()
        .filter(|m| m.starts_with("INVITE"))
        .nth(1)
        .unwrap();
    assert!(body(&last).contains(&format!("m=audio {} ", 30_100 + agent.port % 1000)));
}

#[tokio::test]
async fn hold_and_resume_reach_the_other_phone() {
    let engine = engine().await;
    let agent = Phone::start(Manner::default()).await;
    let customer = Phone::start(Manner::default()).await;
    let mut call = call("g-1", target(agent.port), target(customer.port));
    call.max_talk = Duration::from_secs(20);
    let running = tokio::spawn(async move { run(&engine, call).await });
    agent
        .wait_for("the joining ACK", |m| {
            m.starts_with("ACK") && header(m, "CSeq") == Some("2 ACK")
        })
        .await;
    let hold = "v=0\r\no=phone 9 9 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                m=audio 40000 RTP/AVP 0\r\na=sendonly\r\n";
    customer.send("INVITE", Some(hold), "");
    let told = agent
        .wait_for("the hold", |m| {
            m.starts_with("INVITE") && m.contains("a=sendonly")
        })
        .await;
    assert!(body(&told).contains("o=ringback ") && body(&told).contains("m=audio 40000"));
    let answer = |m: &str| m.starts_with("SIP/2.0 200") && m.contains("2 INVITE");
    let answered = customer.wait_for("the answer", answer).await;
    assert!(body(&answered).contains("a=recvonly"), "{answered}");
    // Everything else a phone may ask for.
    agent.send("REFER", None, "Refer-To: <sip:elsewhere@127.0.0.1>\r\n");
    agent
        .wait_for("the refusal", |m| {
            m.starts_with("SIP/2.0 603") && m.contains("REFER")
        })
        .await;
    agent.send("OPTIONS", None, "");
    agent
        .wait_for("the options", |m| {
            m.starts_with("SIP/2.0 200") && m.contains("OPTIONS\r\n")
        })
        .await;
    agent.send("INFO", None, "");
    agent
        .wait_for("the info", |m| {
            m.starts_with("SIP/2.0 200") && m.contains("INFO\r\n")
        })
        .await;
    agent.send("MESSAGE", None, "");
    agent
        .wait_for("the 405", |m| {
            m.starts_with("SIP/2.0 405") && m.contains("MESSAGE\r\n")
        })
        .await;
    agent.send("UPDATE", Some(hold), "");
    agent
        .wait_for("the update", |m| {
            m.starts_with("SIP/2.0 200") && m.contains("UPDATE\r\n")
        })
        .await;
    agent.send("BYE", None, "");
    let (end, events) = running.await.unwrap();
    assert_eq!(talked(&end.kind), By::First);
    let by: Vec<By> = events
        .iter()
        .filter_map(|e| {
            if let BridgeEvent::Reinvite { by } = e {
                Some(*by)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(by, [By::Second, By::First]);
    assert_eq!(customer.count("BYE"), 1);
}

#[tokio::test]
async fn a_first_party_that_hangs_up_while_waiting_ends_the_ringing() {
    let engine = engine().await;
    let agent = Phone::start(Manner {
        hangs_up_after: Some(Duration::from_millis(300)),
        ..Manner::default()
    })
    .await;
    let customer = Phone::start(Manner {
        rings: Duration::from_secs(30),
        ..Manner::default()
    })
    .await;
    let (end, _) = run(
        &engine,
        call("h-1", target(agent.port), target(customer.port)),
    )
    .await;
    match end.kind {
        BridgeEndKind::NotConnected(failure) => assert_eq!(failure.cause, FailureCause::HungUp),
        other => panic!("{other:?}"),
    }
    assert_eq!(customer.count("CANCEL"), 1);
    assert_eq!(agent.count("BYE"), 0);
}

#[tokio::test]
async fn failures_say_whose_and_what() {
    let engine = engine().await;
    let agent = Phone::start(Manner {
        status: 486,
        ..Manner::default()
    })
    .await;
    let customer = Phone::start(Manner::default()).await;
    let (end, _) = run(
        &engine,
        call("i-1", target(agent.port), target(customer.port)),
    )
    .await;
    match end.kind {
        BridgeEndKind::FirstFailed(failure) => {
            assert_eq!((failure.code, failure.rang), (Some(486), true))
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        customer.count("INVITE"),
        0,
        "nobody is called for an agent who is busy"
    );
    let agent = Phone::start(Manner::default()).await;
    let customer = Phone::start(Manner {
        rings: Duration::from_secs(30),
        ..Manner::default()
    })
    .await;
    let mut slow = call("i-2", target(agent.port), target(customer.port));
    slow.ring_second = Duration::from_millis(400);
    let (end, _) = run(&engine, slow).await;
    match end.kind {
        BridgeEndKind::SecondFailed(failure) => {
            assert_eq!(failure.cause, FailureCause::RingTimeout);
            assert_eq!(failure.code, Some(487));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(agent.count("BYE"), 1);
}
