//! A process that dies in mid-call leaves legs behind; its successor, on the same port, ends them.

mod support;

use std::{net::SocketAddr, time::Duration};

use ringback_sip::{
    BridgeEvent, LegRecord, Listen, OrphanOutcome, SipConfig, SipEngine, Transport,
};
use support::{
    call, config,
    phone::{Manner, Phone, header},
    target,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

fn on_port(port: u16) -> SipConfig {
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    SipConfig {
        listen: vec![Listen {
            transport: Transport::Udp,
            addr,
        }],
        ..config(None)
    }
}

/// Starts a bridge in a runtime of its own, kills that runtime when `dead` says so, and returns the port
/// and what had been recorded by then.
async fn crash(
    agent: &Phone,
    customer: &Phone,
    dead: impl Fn(&[LegRecord]) -> bool,
) -> (u16, Vec<LegRecord>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (events, mut told) = mpsc::channel(256);
    let (bound, port) = tokio::sync::oneshot::channel();
    let mut call = call("orphan-1", target(agent.port), target(customer.port));
    call.max_talk = Duration::from_secs(60);
    call.ring_second = Duration::from_secs(60);
    runtime.spawn(async move {
        let engine = SipEngine::start(on_port(0)).await.unwrap();
        bound.send(engine.local_addrs()[0].addr.port()).unwrap();
        engine.bridge(call, events, CancellationToken::new()).await
    });
    let port = port.await.unwrap();
    let mut records: Vec<LegRecord> = Vec::new();
    while !dead(&records) {
        let event = tokio::time::timeout(Duration::from_secs(10), told.recv())
            .await
            .unwrap()
            .unwrap();
        if let BridgeEvent::Leg(record, _) = event {
            records.retain(|r| r.call_id != record.call_id);
            records.push(*record);
        }
    }
    if customer.count("ACK") == 0 {
        // Let the phone see all that was sent before the end.
        customer
            .wait_for("the INVITE", |m| m.starts_with("INVITE"))
            .await;
    }
    tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(5)))
        .await
        .unwrap();
    (port, records)
}

#[tokio::test]
async fn a_phone_left_ringing_is_cancelled() {
    let agent = Phone::start(Manner::default()).await;
    let customer = Phone::start(Manner {
        rings: Duration::from_secs(60),
        ..Manner::default()
    })
    .await;
    let early = |records: &[LegRecord]| {
        records
            .iter()
            .any(|r| r.party == "customer" && r.to_tag.is_some())
    };
    let (port, records) = crash(&agent, &customer, early).await;
    assert_eq!(
        customer.count("CANCEL") + agent.count("BYE"),
        0,
        "the crash itself says nothing"
    );
    // What was stored goes through JSON, as it will in the database.
    let stored = serde_json::to_string(&records).unwrap();
    let engine = SipEngine::start(on_port(port)).await.unwrap();
    let mut ends = engine
        .end_orphans(serde_json::from_str(&stored).unwrap())
        .await;
    ends.sort_by(|a, b| a.call_id.cmp(&b.call_id));
    let outcomes: Vec<OrphanOutcome> = ends.iter().map(|e| e.outcome).collect();
    assert_eq!(outcomes, [OrphanOutcome::HungUp, OrphanOutcome::Cancelled]);
    agent
        .wait_for("the goodbye", |m| m.starts_with("BYE"))
        .await;
    let cancel = customer
        .wait_for("the cancel", |m| m.starts_with("CANCEL"))
        .await;
    let invite = customer
        .wait_for("the invite", |m| m.starts_with("INVITE"))
        .await;
    for name in ["Via", "From", "To", "Call-ID"] {
        assert_eq!(header(&cancel, name), header(&invite, name), "{name}");
    }
    // The 487 is acknowledged although no transaction remembers the INVITE.
    let ack = customer
        .wait_for("the ACK of the 487", |m| m.starts_with("ACK"))
        .await;
    let branch = |m: &str| {
        header(m, "Via")
            .unwrap()
            .split("branch=")
            .nth(1)
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(branch(&ack), branch(&invite));
}

#[tokio::test]
async fn a_talk_left_behind_is_hung_up_on_both_sides() {
    let agent = Phone::start(Manner::default()).await;
    let customer = Phone::start(Manner::default()).await;
    let answered = |records: &[LegRecord]| {
        records
            .iter()
            .filter(|r| r.state == ringback_sip::LegState::Confirmed)
            .count()
            == 2
    };
    let (port, records) = crash(&agent, &customer, answered).await;
    let engine = SipEngine::start(on_port(port)).await.unwrap();
    let ends = engine.end_orphans(records).await;
    assert!(
        ends.iter().all(|e| e.outcome == OrphanOutcome::HungUp),
        "{ends:?}"
    );
    for phone in [&agent, &customer] {
        assert_eq!(phone.count("BYE"), 1);
    }
}

#[tokio::test]
async fn somebody_who_answers_after_the_crash_is_hung_up() {
    let agent = Phone::start(Manner::default()).await;
    let customer = Phone::start(Manner {
        rings: Duration::from_millis(1500),
        deaf_to_cancel: true,
        ..Manner::default()
    })
    .await;
    let early = |records: &[LegRecord]| {
        records
            .iter()
            .any(|r| r.party == "customer" && r.to_tag.is_some())
    };
    let (port, records) = crash(&agent, &customer, early).await;
    let engine = SipEngine::start(on_port(port)).await.unwrap();
    engine.end_orphans(records).await;
    customer
        .wait_for("the ACK of the late answer", |m| m.starts_with("ACK"))
        .await;
    customer
        .wait_for("the goodbye after it", |m| m.starts_with("BYE"))
        .await;
}

#[tokio::test]
async fn legs_nobody_knows_are_reported_gone_or_unreachable() {
    let agent = Phone::start(Manner::default()).await;
    let customer = Phone::start(Manner {
        silent: true,
        ..Manner::default()
    })
    .await;
    let inviting = |records: &[LegRecord]| records.iter().any(|r| r.party == "customer");
    let (port, mut records) = crash(&agent, &customer, inviting).await;
    records.retain(|r| r.party == "customer");
    let engine = SipEngine::start(on_port(port)).await.unwrap();
    let started = std::time::Instant::now();
    let ends = engine.end_orphans(records).await;
    assert_eq!(ends[0].outcome, OrphanOutcome::Unreachable);
    assert!(started.elapsed() < Duration::from_secs(20));
}
