//! SIPp as agent and as customer: somebody else's endpoints, over real UDP sockets.

mod support;

use std::{
    process::{Output, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use ringback_sip::{
    BridgeCall, BridgeEnd, BridgeEndKind, BridgeEvent, By, Credentials, FailureCause, LegFailure,
    SipEngine, Target, Timers, Transport, Trunk,
};
use support::{call, config, engine, port_for_program, run, uri};
use tokio::{
    process::{Child, Command},
    time::Instant,
};

/// One SIPp, playing one scenario for one call.
struct Sipp {
    name: &'static str,
    port: u16,
    child: Child,
    _folder: tempfile::TempDir,
}

/// Below the system's range for ports of its own choice; each SIPp takes three.
static MEDIA: AtomicU16 = AtomicU16::new(0);

impl Sipp {
    async fn start(name: &'static str) -> Sipp {
        let port = port_for_program();
        let base = 12_000 + (std::process::id() % 1000) as u16 * 8;
        let media = base + MEDIA.fetch_add(8, Ordering::Relaxed);
        let folder = tempfile::tempdir().unwrap();
        let scenario = format!("{}/tests/sipp/{name}.xml", env!("CARGO_MANIFEST_DIR"));
        let child = Command::new("sipp")
            .args([
                "-sf",
                &scenario,
                "-i",
                "127.0.0.1",
                "-p",
                &port.to_string(),
                "-mp",
                &media.to_string(),
            ])
            .args([
                "-m",
                "1",
                "-nostdin",
                "-timeout",
                "40s",
                "-timeout_error",
                "-trace_err",
            ])
            .args(["-error_file", "errors.log"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("SIPp is missing: run script/test, which installs what the tests need");
        let sipp = Sipp {
            name,
            port,
            child,
            _folder: folder,
        };
        sipp.listening().await;
        sipp
    }

    async fn listening(&self) {
        let entry = format!(":{:04X}", self.port);
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let open = std::fs::read_to_string("/proc/net/udp").unwrap();
            if open.lines().any(|l| {
                l.split_whitespace()
                    .nth(1)
                    .is_some_and(|a| a.ends_with(&entry))
            }) {
                return;
            }
            assert!(Instant::now() < until, "{} never listened", self.name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn target(&self) -> Target {
        Target::new(
            self.name,
            uri("someone", self.port, Transport::Udp),
            Trunk::default(),
        )
    }

    /// SIPp's own verdict.
    async fn content(self) -> Result<(), String> {
        let folder = self._folder;
        let output = tokio::time::timeout(Duration::from_secs(50), self.child.wait_with_output());
        let output: Output = output.await.expect("SIPp must end").unwrap();
        let errors = std::fs::read_to_string(folder.path().join("errors.log")).unwrap_or_default();
        let said = String::from_utf8_lossy(&output.stderr);
        let report = || format!("{} objects: {}\n{errors}\n{said}", self.name, output.status);
        if output.status.success() {
            Ok(())
        } else {
            Err(report())
        }
    }
}

/// One bridge between two SIPps; both must be content.
async fn between(
    engine: &SipEngine,
    agent: &'static str,
    customer: &'static str,
    change: impl FnOnce(&mut BridgeCall),
) -> (BridgeEnd, Vec<BridgeEvent>) {
    let (agent, customer) = tokio::join!(Sipp::start(agent), Sipp::start(customer));
    let mut call = call(
        &format!("sipp-{}", customer.name),
        agent.target(),
        customer.target(),
    );
    call.max_talk = Duration::from_millis(1200);
    change(&mut call);
    let result = run(engine, call).await;
    let verdicts = tokio::join!(agent.content(), customer.content());
    assert_eq!(verdicts, (Ok(()), Ok(())), "{:?}", result.0.kind);
    result
}

fn by(end: &BridgeEnd) -> By {
    match &end.kind {
        BridgeEndKind::Talked { hung_up_by, .. } => *hung_up_by,
        other => panic!("not a talk: {other:?}"),
    }
}

fn failure(end: &BridgeEnd) -> &LegFailure {
    match &end.kind {
        BridgeEndKind::SecondFailed(failure) => failure,
        other => panic!("not a failure of the second: {other:?}"),
    }
}

#[tokio::test]
async fn answered() {
    let (end, _) = between(&engine().await, "agent", "customer_answer", |_| {}).await;
    assert_eq!(by(&end), By::MaxTalk);
    assert_eq!(end.route_of_second.as_deref(), Some("customer_answer"));
}

#[tokio::test]
async fn goodbye_from_the_agent() {
    let (end, _) = between(&engine().await, "agent_bye", "customer_answer", |c| {
        c.max_talk *= 10
    })
    .await;
    assert_eq!(by(&end), By::First);
}

#[tokio::test]
async fn goodbye_from_the_customer() {
    let (end, _) = between(&engine().await, "agent", "customer_bye", |c| {
        c.max_talk *= 10
    })
    .await;
    assert_eq!(by(&end), By::Second);
}

#[tokio::test]
async fn customer_first_is_only_another_order() {
    let (end, _) = between(&engine().await, "agent", "customer_answer", |call| {
        std::mem::swap(&mut call.first.name, &mut call.second.name);
    })
    .await;
    assert_eq!(by(&end), By::MaxTalk);
}

#[tokio::test]
async fn refusals() {
    for (customer, code, q850, rang) in [
        ("customer_486", 486, Some(17), true),
        ("customer_480", 480, None, true),
        ("customer_404", 404, Some(1), false),
        ("customer_603", 603, None, true),
        ("customer_503", 503, None, false),
    ] {
        let (end, _) = between(&engine().await, "agent_held", customer, |_| {}).await;
        let failure = failure(&end);
        assert_eq!(
            (failure.code, failure.q850, failure.rang),
            (Some(code), q850, rang),
            "{customer}"
        );
        assert_eq!(failure.cause, FailureCause::Status);
        assert_eq!(
            failure.retry_after,
            (code == 503).then(|| Duration::from_secs(120))
        );
    }
}

#[tokio::test]
async fn a_faulty_route_passes_to_the_next() {
    let second = Sipp::start("customer_answer").await;
    let next = second.target();
    let (end, events) = between(&engine().await, "agent", "customer_503", |call| {
        call.second.targets.push(next);
    })
    .await;
    second.content().await.unwrap();
    assert_eq!(by(&end), By::MaxTalk);
    assert_eq!(end.route_of_second.as_deref(), Some("customer_answer"));
    let failed = events.iter().find_map(|e| match e {
        BridgeEvent::RouteFailed {
            party,
            route,
            failure,
        } => Some((*party, route.clone(), failure.code)),
        _ => None,
    });
    assert_eq!(
        failed,
        Some(("customer", "customer_503".to_owned(), Some(503)))
    );
}

#[tokio::test]
async fn a_busy_customer_is_not_tried_on_another_route() {
    let unused = support::phone::Phone::start(support::phone::Manner::default()).await;
    let next = support::target(unused.port);
    let (end, _) = between(&engine().await, "agent_held", "customer_486", |call| {
        call.second.targets.push(next);
    })
    .await;
    assert_eq!(failure(&end).code, Some(486));
    assert_eq!(unused.count("INVITE"), 0);
}

#[tokio::test]
async fn no_answer_is_cancelled() {
    let (end, _) = between(&engine().await, "agent_held", "customer_noanswer", |call| {
        call.ring_second = Duration::from_millis(800);
    })
    .await;
    assert_eq!(failure(&end).cause, FailureCause::RingTimeout);
    assert_eq!(failure(&end).code, Some(487));
}

#[tokio::test]
async fn an_answer_that_crosses_the_cancel_is_hung_up() {
    let (end, _) = between(&engine().await, "agent_held", "customer_late200", |call| {
        call.ring_second = Duration::from_millis(800);
    })
    .await;
    assert_eq!(failure(&end).cause, FailureCause::RingTimeout);
}

#[tokio::test]
async fn a_trunk_that_wants_proof_gets_it() {
    for customer in ["customer_401", "customer_407"] {
        let (end, _) = between(&engine().await, "agent", customer, |call| {
            call.second.targets[0].trunk.credentials = Some(Credentials {
                user: "agent".to_owned(),
                password: "s3cret".to_owned(),
                realm: Some("trunk".to_owned()),
            });
        })
        .await;
        assert_eq!(by(&end), By::MaxTalk);
    }
}

#[tokio::test]
async fn a_reinvite_of_the_customer_reaches_the_agent() {
    let (end, events) = between(
        &engine().await,
        "agent_reinvited",
        "customer_reinvite",
        |c| c.max_talk *= 2,
    )
    .await;
    assert_eq!(by(&end), By::MaxTalk);
    assert!(
        events
            .iter()
            .any(|e| matches!(e, BridgeEvent::Reinvite { by: By::Second }))
    );
}

#[tokio::test]
async fn early_media_is_reported() {
    let (end, events) = between(&engine().await, "agent", "customer_183", |_| {}).await;
    assert_eq!(by(&end), By::MaxTalk);
    let seen = |wanted: fn(&BridgeEvent) -> bool| events.iter().any(wanted);
    assert!(seen(|e| matches!(
        e,
        BridgeEvent::EarlyMedia { party: "customer" }
    )));
    assert!(seen(|e| matches!(
        e,
        BridgeEvent::Ringing {
            party: "customer",
            code: 183
        }
    )));
}

#[tokio::test]
async fn a_silent_peer_is_a_route_failure() {
    let timers = Timers {
        silence: Duration::from_secs(2),
        farewell: Duration::from_millis(200),
        ..Timers::default()
    };
    let engine = SipEngine::start(ringback_sip::SipConfig {
        timers,
        ..config(None)
    })
    .await
    .unwrap();
    let (end, _) = between(&engine, "agent_held", "customer_silent", |_| {}).await;
    assert_eq!(failure(&end).cause, FailureCause::TransactionTimeout);
    assert!(failure(&end).is_route_failure());
}
