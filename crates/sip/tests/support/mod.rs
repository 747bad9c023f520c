//! What the tests call with: a well-behaved little phone, certificates, and an engine for tests.

#![allow(dead_code, reason = "each test program uses its own part of this")]

pub mod phone;
pub mod wire;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use ringback_sip::{
    BridgeCall, BridgeEnd, BridgeEvent, Flow, Listen, Party, SipConfig, SipEngine, SipUri, Target,
    Timers, TlsFiles, Transport, Trunk,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A certificate authority and one server certificate for 127.0.0.1, in files.
pub struct Certificates {
    pub folder: tempfile::TempDir,
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

pub fn certificates(names: &[&str]) -> Certificates {
    let folder = tempfile::tempdir().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let ca_cert = params.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(params, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let cert = rcgen::CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    Certificates {
        ca: write("ca.pem", ca_cert.pem()),
        cert: write("cert.pem", cert.pem()),
        key: write("key.pem", key.serialize_pem()),
        folder,
    }
}

/// Listens on loopback with all three transports when there are certificates, else with two.
pub fn config(certificates: Option<&Certificates>) -> SipConfig {
    let on = |transport| Listen {
        transport,
        addr: SocketAddr::from(([127, 0, 0, 1], 0)),
    };
    let mut listen = vec![on(Transport::Udp), on(Transport::Tcp)];
    if certificates.is_some() {
        listen.push(on(Transport::Tls));
    }
    SipConfig {
        listen,
        tls: certificates.map(|c| TlsFiles {
            cert: Some(c.cert.clone()),
            key: Some(c.key.clone()),
            ca: Some(c.ca.clone()),
        }),
        timers: Timers {
            farewell: Duration::from_secs(3),
            ..Timers::default()
        },
        ..SipConfig::default()
    }
}

pub async fn engine() -> SipEngine {
    SipEngine::start(config(None)).await.unwrap()
}

pub fn uri(user: &str, port: u16, transport: Transport) -> SipUri {
    let uri = SipUri::new(Some(user), "127.0.0.1")
        .unwrap()
        .with_port(port)
        .unwrap();
    match transport {
        Transport::Udp => uri,
        Transport::Tcp | Transport::Tls => uri.with_transport(transport),
    }
}

pub fn party(name: &'static str, target: Target) -> Party {
    Party {
        name,
        targets: vec![target],
    }
}

pub fn call(id: &str, first: Target, second: Target) -> BridgeCall {
    BridgeCall {
        id: id.to_owned(),
        first: party("agent", first),
        second: party("customer", second),
        flow: Flow::HeldOffer,
        ring_first: Duration::from_secs(10),
        ring_second: Duration::from_secs(10),
        max_talk: Duration::from_secs(3),
        headers: Vec::new(),
    }
}

pub fn target(port: u16) -> Target {
    Target::new(
        "route",
        uri("someone", port, Transport::Udp),
        Trunk::default(),
    )
}

/// Runs a bridge and keeps what was told. Bounded, so that a hang is a failure and not a stuck test.
pub async fn run(engine: &SipEngine, call: BridgeCall) -> (BridgeEnd, Vec<BridgeEvent>) {
    run_until(engine, call, CancellationToken::new()).await
}

pub async fn run_until(
    engine: &SipEngine,
    call: BridgeCall,
    stop: CancellationToken,
) -> (BridgeEnd, Vec<BridgeEvent>) {
    let (events, mut told) = mpsc::channel(256);
    let end = tokio::time::timeout(Duration::from_secs(90), engine.bridge(call, events, stop));
    let end = end.await.expect("the bridge must end by itself");
    let mut heard = Vec::new();
    while let Ok(event) = told.try_recv() {
        heard.push(event);
    }
    (end, heard)
}

/// A port for a program we start. It lies below the range the system hands out by itself, so nobody's
/// ephemeral socket takes it between our look and the program's bind.
pub fn port_for_program() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 180) as u16 * 64;
    for _ in 0..1000 {
        let port = 20_500 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let free = std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok()
            && std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free {
            return port;
        }
    }
    panic!("no free port between 20500 and 32500");
}
