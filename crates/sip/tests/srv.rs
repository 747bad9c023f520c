//! A trunk known by name only: its SRV records are tried in order, and a dead server passes to the next.

mod support;

use std::{net::SocketAddr, time::Duration};

use ringback_sip::{BridgeEndKind, SipConfig, SipEngine, SipUri, Target, Trunk};
use support::{
    call, config,
    phone::{Manner, Phone},
    run, target,
};
use tokio::net::UdpSocket;

/// A name server with three answers: two SRV records for `trunk.test`, and one address for all hosts.
async fn name_server(services: Vec<(u16, &'static str, u16)>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            socket
                .send_to(&answer(&buffer[..length], &services), from)
                .await
                .unwrap();
        }
    });
    address
}

fn answer(question: &[u8], services: &[(u16, &str, u16)]) -> Vec<u8> {
    let mut end = 12;
    let mut name = Vec::new();
    while question[end] != 0 {
        let length = usize::from(question[end]);
        name.push(String::from_utf8_lossy(&question[end + 1..end + 1 + length]).to_lowercase());
        end += length + 1;
    }
    let kind = u16::from_be_bytes([question[end + 1], question[end + 2]]);
    end += 5;
    let records: Vec<Vec<u8>> = match (kind, name.join(".").as_str()) {
        (33, "_sip._udp.trunk.test") => services
            .iter()
            .map(|(p, host, port)| srv(*p, host, *port))
            .collect(),
        (1, "dead.trunk.test" | "live.trunk.test" | "plain.test") => vec![vec![127, 0, 0, 1]],
        _ => Vec::new(),
    };
    let mut text = question[..2].to_vec();
    text.extend([0x81, 0x80, 0, 1]);
    text.extend(u16::try_from(records.len()).unwrap().to_be_bytes());
    text.extend([0, 0, 0, 0]);
    text.extend(&question[12..end]);
    for record in records {
        text.extend([0xc0, 12]);
        text.extend(kind.to_be_bytes());
        text.extend([0, 1, 0, 0, 0, 60]);
        text.extend(u16::try_from(record.len()).unwrap().to_be_bytes());
        text.extend(record);
    }
    text
}

fn srv(priority: u16, host: &str, port: u16) -> Vec<u8> {
    let mut data = [priority.to_be_bytes(), [0, 1], port.to_be_bytes()].concat();
    for label in host.split('.') {
        data.push(u8::try_from(label.len()).unwrap());
        data.extend(label.as_bytes());
    }
    data.push(0);
    data
}

fn named(host: &str) -> Target {
    Target::new(
        "named",
        SipUri::new(Some("someone"), host).unwrap(),
        Trunk::default(),
    )
}

#[tokio::test]
async fn the_next_server_is_tried_when_the_first_is_dead() {
    let phone = Phone::start(Manner::default()).await;
    let closed = std::net::UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let services = vec![
        (20, "live.trunk.test", phone.port),
        (10, "dead.trunk.test", closed),
    ];
    let server = name_server(services).await;
    let engine = SipEngine::start(SipConfig {
        name_servers: vec![server],
        ..config(None)
    })
    .await
    .unwrap();
    let agent = Phone::start(Manner::default()).await;
    let mut call = call("srv-1", target(agent.port), named("trunk.test"));
    call.max_talk = Duration::from_millis(100);
    let (end, _) = run(&engine, call).await;
    assert!(
        matches!(end.kind, BridgeEndKind::Talked { .. }),
        "{:?}",
        end.kind
    );
    // The second try is a dialog of its own.
    let invite = phone
        .wait_for("the call", |m| {
            m.starts_with("INVITE sip:someone@trunk.test")
        })
        .await;
    assert!(invite.contains("Call-ID: srv-1.second.1@"), "{invite}");
}

#[tokio::test]
async fn a_name_without_services_is_an_address_and_an_unknown_one_a_failure() {
    let phone = Phone::start(Manner {
        status: 486,
        ..Manner::default()
    })
    .await;
    let server = name_server(Vec::new()).await;
    let engine = SipEngine::start(SipConfig {
        name_servers: vec![server],
        ..config(None)
    })
    .await
    .unwrap();
    let mut first = named("plain.test");
    first.uri = first.uri.with_port(phone.port).unwrap();
    for (id, first, code) in [
        ("srv-2", first, Some(486)),
        ("srv-3", named("nowhere.test"), None),
    ] {
        let (end, _) = run(&engine, call(id, first, target(9))).await;
        match end.kind {
            BridgeEndKind::FirstFailed(failure) => {
                assert_eq!(failure.code, code);
                assert_eq!(
                    failure.cause == ringback_sip::FailureCause::Dns,
                    code.is_none(),
                    "{failure:?}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}
