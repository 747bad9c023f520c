//! Sets calls up at a pace and holds them, between two SIPps on this machine:
//! `cargo run --profile profiling -p ringback-sip --example hold -- 2000 150`
//! (calls to hold, calls set up in a second). Prints how many were joined, how long that took, and the memory.

use ringback_sip::{
    BridgeCall, BridgeEndKind, BridgeEvent, Flow, Listen, Party, SipConfig, SipEngine, SipUri,
    Target, Timers, Transport, Trunk,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

const AGENTS: u16 = 20_301;
const CUSTOMERS: u16 = 20_311;
/// How long everybody is held after the last call was begun.
const HOLD: Duration = Duration::from_secs(10);

fn sipp(name: &str, port: u16, calls: usize) -> Child {
    let scenario = format!("{}/tests/sipp/{name}.xml", env!("CARGO_MANIFEST_DIR"));
    Command::new("sipp")
        .args(["-sf", &scenario, "-i", "127.0.0.1", "-nostdin"])
        .args(["-p", &port.to_string(), "-mp", &(port + 4).to_string()])
        .args(["-m", &calls.to_string(), "-l", &(2 * calls).to_string()])
        .args(["-timeout", "300s", "-buff_size", "4194304"])
        .current_dir(std::env::temp_dir())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("SIPp is installed")
}

fn party(name: &'static str, port: u16) -> Party {
    let uri = SipUri::new(Some("someone"), "127.0.0.1")
        .and_then(|uri| uri.with_port(port))
        .expect("a URI");
    Party {
        name,
        targets: vec![Target::new("route", uri, Trunk::default())],
    }
}

#[tokio::main]
async fn main() {
    let mut words = std::env::args().skip(1).map(|word| word.parse::<usize>());
    let calls = words.next().map_or(200, |count| count.expect("a number"));
    let pace = words.next().map_or(150, |pace| pace.expect("a number"));
    let mut phones = [
        sipp("agent", AGENTS, calls),
        sipp("customer_answer", CUSTOMERS, calls),
    ];
    tokio::time::sleep(Duration::from_secs(1)).await;
    let engine = SipEngine::start(SipConfig {
        listen: vec![Listen {
            transport: Transport::Udp,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        }],
        timers: Timers::default(),
        ..SipConfig::default()
    })
    .await
    .expect("an engine");
    let engine = Arc::new(engine);
    let joined = Arc::new(Mutex::new(Vec::new()));
    let enough = CancellationToken::new();
    let began = Instant::now();
    let mut ends = tokio::task::JoinSet::new();
    for number in 0..calls {
        let due = began + Duration::from_secs_f64(number as f64 / pace as f64);
        tokio::time::sleep_until(due.into()).await;
        let call = BridgeCall {
            id: format!("hold-{number}"),
            first: party("agent", AGENTS),
            second: party("customer", CUSTOMERS),
            flow: Flow::HeldOffer,
            ring_first: Duration::from_secs(30),
            ring_second: Duration::from_secs(30),
            max_talk: Duration::from_secs(3600),
            headers: Vec::new(),
        };
        let (engine, joined, enough) = (engine.clone(), joined.clone(), enough.clone());
        ends.spawn(async move {
            let (events, mut told) = mpsc::channel(64);
            let started = Instant::now();
            let hear = tokio::spawn(async move {
                while let Some(event) = told.recv().await {
                    if let BridgeEvent::Bridged = event {
                        joined.lock().await.push(started.elapsed());
                    }
                }
            });
            let end = engine.bridge(call, events, enough).await;
            let _ = hear.await;
            match end.kind {
                BridgeEndKind::Talked { .. } => "talked".to_owned(),
                other => format!("{other:?}"),
            }
        });
    }
    let begun = began.elapsed();
    tokio::time::sleep(HOLD).await;
    let mut took = joined.lock().await.clone();
    took.sort();
    let rank = |percent: usize| took.get(took.len() * percent / 100).or(took.last());
    println!(
        "{} of {calls} joined; begun in {begun:?}; begun to joined: half {:?}, 99 of 100 {:?}",
        took.len(),
        rank(50),
        rank(99)
    );
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("VmRSS")) {
        println!("{line}");
    }
    enough.cancel();
    let mut kinds = BTreeMap::new();
    while let Some(end) = ends.join_next().await {
        *kinds.entry(end.expect("a call")).or_insert(0) += 1;
    }
    println!("{kinds:#?}");
    for phone in &mut phones {
        let _ = phone.kill().await;
    }
    engine.shutdown().await;
}
