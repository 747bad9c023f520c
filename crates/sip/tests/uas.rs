//! Every scenario of the strict little UAS in `rigs/sip_uas.py`, over UDP, TCP and TLS: it checks what we
//! really send, by a second reading of the RFCs that is not ours.

mod support;

use std::{process::Stdio, time::Duration};

use ringback_sip::{
    BridgeEnd, BridgeEndKind, By, Credentials, FailureCause, Flow, SipEngine, Target, Transport,
    Trunk,
};
use sha2::{Digest, Sha256};
use support::{
    Certificates, call, certificates, config,
    phone::{Manner, Phone},
    port_for_program, run, target, uri,
};
use tokio::{process::Command, task::JoinSet, time::Instant};

#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    flow: Flow,
    ring: Duration,
    talk: Duration,
    ends: fn(&BridgeEndKind) -> bool,
}

const fn scenario(
    name: &'static str,
    ring_ms: u64,
    talk_ms: u64,
    ends: fn(&BridgeEndKind) -> bool,
) -> Scenario {
    let (ring, talk) = (
        Duration::from_millis(ring_ms),
        Duration::from_millis(talk_ms),
    );
    Scenario {
        name,
        flow: Flow::HeldOffer,
        ring,
        talk,
        ends,
    }
}

fn talked(kind: &BridgeEndKind) -> bool {
    matches!(
        kind,
        BridgeEndKind::Talked {
            hung_up_by: By::MaxTalk,
            ..
        }
    )
}

fn expired(kind: &BridgeEndKind) -> bool {
    matches!(
        kind,
        BridgeEndKind::Talked {
            hung_up_by: By::SessionTimer,
            ..
        }
    )
}

fn rang_out(kind: &BridgeEndKind) -> bool {
    matches!(kind, BridgeEndKind::SecondFailed(f) if f.cause == FailureCause::RingTimeout)
}

fn silent(kind: &BridgeEndKind) -> bool {
    matches!(kind, BridgeEndKind::SecondFailed(f) if f.cause == FailureCause::TransactionTimeout)
}

const SCENARIOS: [Scenario; 20] = [
    scenario("plain", 10_000, 800, talked),
    scenario("cancel", 1500, 800, rang_out),
    scenario("cancel407", 2500, 800, rang_out),
    scenario("cancel100", 1500, 800, rang_out),
    scenario("cancelrace", 1500, 800, rang_out),
    scenario("cancel0", 1500, 800, silent),
    scenario("lostack", 10_000, 2500, talked),
    scenario("fork", 10_000, 3000, talked),
    scenario("rr", 10_000, 800, talked),
    scenario("auth407", 10_000, 800, talked),
    scenario("authsha", 10_000, 800, talked),
    scenario("noresp", 45_000, 800, silent),
    scenario("nocontact", 10_000, 800, talked),
    scenario("compact", 10_000, 800, talked),
    Scenario {
        flow: Flow::FlowIv,
        ..scenario("delayed", 10_000, 800, talked)
    },
    Scenario {
        flow: Flow::FlowIv,
        ..scenario("delayedlost", 10_000, 3000, talked)
    },
    scenario("prack", 10_000, 800, talked),
    scenario("timer", 10_000, 6500, talked),
    scenario("timeruas", 10_000, 15_000, expired),
    scenario("reinvite_in", 10_000, 3000, talked),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_over_every_transport() {
    tokio::join!(
        all_over(Transport::Udp),
        all_over(Transport::Tcp),
        all_over(Transport::Tls)
    );
}

/// All scenarios at once on one engine: a slow or silent peer must not disturb the others.
async fn all_over(transport: Transport) {
    let files = std::sync::Arc::new(certificates(&["127.0.0.1"]));
    let engine = SipEngine::start(config(Some(&files))).await.unwrap();
    let mut running = JoinSet::new();
    for scenario in SCENARIOS {
        let (engine, files) = (engine.clone(), files.clone());
        running.spawn(async move { one(&engine, &files, scenario, transport).await });
    }
    let mut wrong = Vec::new();
    while let Some(result) = running.join_next().await {
        if let Err(report) = result.unwrap() {
            wrong.push(report);
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} scenarios failed\n{}",
        wrong.len(),
        SCENARIOS.len(),
        wrong.join("\n")
    );
}

async fn one(
    engine: &SipEngine,
    files: &Certificates,
    scenario: Scenario,
    transport: Transport,
) -> Result<(), String> {
    let port = port_for_program();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rigs/sip_uas.py");
    let uas = Command::new("python3")
        .args([script, scenario.name, &port.to_string(), word(transport)])
        .env("UAS_CERT", &files.cert)
        .env("UAS_KEY", &files.key)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("python3 must be installed: run script/test");
    listening(port, transport).await;
    let agent = Phone::start(Manner::default()).await;
    let trunk = Trunk {
        credentials: Some(Credentials {
            user: "agent".to_owned(),
            password: "s3cret".to_owned(),
            realm: Some("trunk".to_owned()),
        }),
        session_timer: true,
        ..Trunk::default()
    };
    let customer = Target::new("trunk", uri("someone", port, transport), trunk);
    let mut call = call(
        &format!("{}-{}", scenario.name, word(transport)),
        target(agent.port),
        customer,
    );
    (call.flow, call.ring_second, call.max_talk) = (scenario.flow, scenario.ring, scenario.talk);
    let (end, _): (BridgeEnd, _) = run(engine, call).await;
    let output = tokio::time::timeout(Duration::from_secs(60), uas.wait_with_output());
    let output = output
        .await
        .map_err(|_| format!("{}: the script did not end", scenario.name))?
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let report = |why: &str| {
        Err(format!(
            "{} over {transport:?}: {why}\n{said}\n{:?}",
            scenario.name, end.kind
        ))
    };
    if scenario.name == "noresp" && transport != Transport::Udp {
        // The script counts retransmissions, which only an unreliable transport has.
        return if said.contains("INVITE sent 1 times") {
            Ok(())
        } else {
            report("repeated on a stream")
        };
    }
    if said.contains("FAIL") || !said.contains("PASS") || said.contains("Traceback") {
        return report("the script objects");
    }
    if scenario.name == "authsha" && !sha_256_is_right(&said) {
        return report("wrong digest");
    }
    if !(scenario.ends)(&end.kind) {
        return report("ended in another way");
    }
    Ok(())
}

/// Checks the digest itself, which the script only prints.
fn sha_256_is_right(said: &str) -> bool {
    let Some(line) = said.lines().find(|l| l.contains("Digest username")) else {
        return false;
    };
    let field = |name: &str| {
        let start = line
            .find(&format!(" {name}="))
            .unwrap_or_else(|| panic!("{name} in {line}"))
            + name.len()
            + 2;
        line[start..]
            .split(',')
            .next()
            .unwrap()
            .trim()
            .trim_matches('"')
            .to_owned()
    };
    let hash = |text: String| hex::encode(Sha256::digest(text.as_bytes()));
    let secret = hash("agent:trunk:s3cret".to_owned());
    let request = hash(format!("INVITE:{}", field("uri")));
    let expected = hash(format!(
        "{secret}:n1:{}:{}:auth:{request}",
        field("nc"),
        field("cnonce")
    ));
    field("algorithm") == "SHA-256" && field("response") == expected
}

fn word(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
    }
}

/// Waits until the script listens, without connecting: it would take the first connection for ours.
async fn listening(port: u16, transport: Transport) {
    let table = if transport == Transport::Udp {
        "/proc/net/udp"
    } else {
        "/proc/net/tcp"
    };
    let entry = format!(":{port:04X} ");
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let open = std::fs::read_to_string(table).unwrap();
        if open.lines().any(|l| {
            l.split_whitespace()
                .nth(1)
                .is_some_and(|a| format!("{a} ").ends_with(&entry))
        }) {
            return;
        }
        assert!(Instant::now() < until, "the script never listened");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
