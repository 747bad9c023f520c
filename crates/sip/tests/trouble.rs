//! Peers that are dead, wrong, hostile or only difficult; none of them may hold up anybody else.

mod support;

use std::time::{Duration, Instant};

use ringback_sip::{
    BridgeEndKind, BridgeEvent, Credentials, FailureCause, LegFailure, SipConfig, SipEngine,
    SipUri, Target, TlsFiles, Transport, Trunk,
};
use support::{
    call, certificates, config, engine,
    phone::{Manner, Phone, header},
    run, target, uri,
    wire::{Wire, reply},
};

fn failure(kind: &BridgeEndKind) -> &LegFailure {
    match kind {
        BridgeEndKind::FirstFailed(failure) | BridgeEndKind::SecondFailed(failure) => failure,
        other => panic!("not a failure: {other:?}"),
    }
}

fn to(port: u16, transport: Transport) -> Target {
    Target::new("trunk", uri("someone", port, transport), Trunk::default())
}

fn credentials(realm: Option<&str>) -> Option<Credentials> {
    let realm = realm.map(str::to_owned);
    Some(Credentials {
        user: "agent".to_owned(),
        password: "s3cret".to_owned(),
        realm,
    })
}

#[tokio::test]
async fn a_closed_port_is_noticed_at_once() {
    let files = certificates(&["127.0.0.1"]);
    let engine = SipEngine::start(config(Some(&files))).await.unwrap();
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        // Bound and let go again: nobody listens there.
        let closed = match transport {
            Transport::Udp => std::net::UdpSocket::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap(),
            Transport::Tcp | Transport::Tls => std::net::TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap(),
        };
        let agent = Phone::start(Manner::default()).await;
        let customer = Phone::start(Manner::default()).await;
        let mut call = call(
            &format!("closed-{transport:?}"),
            target(agent.port),
            to(closed.port(), transport),
        );
        call.second.targets.push(target(customer.port));
        call.max_talk = Duration::from_millis(100);
        let started = Instant::now();
        let (end, events) = run(&engine, call).await;
        assert!(
            started.elapsed() < Duration::from_secs(8),
            "{transport:?}: {:?}",
            started.elapsed()
        );
        assert!(
            matches!(end.kind, BridgeEndKind::Talked { .. }),
            "{:?}",
            end.kind
        );
        let cause = events.iter().find_map(|e| match e {
            BridgeEvent::RouteFailed { failure, .. } => Some(failure.cause),
            _ => None,
        });
        assert_eq!(cause, Some(FailureCause::Refused), "{transport:?}");
    }
}

#[tokio::test]
async fn tls_is_verified_by_authority_and_by_name() {
    let right = certificates(&["127.0.0.1"]);
    let other = certificates(&["127.0.0.1"]);
    let misnamed = certificates(&["sip.example.org"]);
    let server = |c: &support::Certificates| SipEngine::start(config(Some(c)));
    let port = |e: &SipEngine| {
        e.local_addrs()
            .iter()
            .find(|l| l.transport == Transport::Tls)
            .unwrap()
            .addr
            .port()
    };
    let trusting = |ca: &support::Certificates| {
        let tls = Some(TlsFiles {
            ca: Some(ca.ca.clone()),
            ..TlsFiles::default()
        });
        SipEngine::start(SipConfig {
            tls,
            ..config(None)
        })
    };
    for (server, trusted, good) in [
        (
            server(&right).await.unwrap(),
            trusting(&right).await.unwrap(),
            true,
        ),
        (
            server(&right).await.unwrap(),
            trusting(&other).await.unwrap(),
            false,
        ),
        (
            server(&misnamed).await.unwrap(),
            trusting(&misnamed).await.unwrap(),
            false,
        ),
    ] {
        let trunk = Trunk {
            ping_uri: Some(uri("x", port(&server), Transport::Tls)),
            ..Trunk::default()
        };
        match trusted.ping(&trunk).await {
            Ok(_) => assert!(good),
            Err(failure) => {
                assert!(!good, "{failure:?}");
                assert_eq!(failure.cause, FailureCause::Tls);
            }
        }
    }
}

#[tokio::test]
async fn a_ping_tells_alive_from_dead() {
    let engine = engine().await;
    let peer = Wire::new().await;
    let trunk = Trunk {
        ping_uri: Some(uri("x", peer.port, Transport::Udp)),
        ..Trunk::default()
    };
    for (status, alive) in [
        ("200 OK", true),
        ("404 Not Found", true),
        ("503 Service Unavailable", false),
    ] {
        let asking = engine.clone();
        let trunk = trunk.clone();
        let asked = tokio::spawn(async move { asking.ping(&trunk).await });
        let (options, from) = peer.expect("OPTIONS").await;
        peer.send(from.port(), &reply(&options, status, "t", ""))
            .await;
        assert_eq!(asked.await.unwrap().is_ok(), alive, "{status}");
    }
}

#[tokio::test]
async fn strangers_get_short_answers_and_no_state() {
    let engine = engine().await;
    let us = engine.local_addrs()[0].addr.port();
    let wire = Wire::new().await;
    let in_dialog = "sip:a@127.0.0.1>;tag=none";
    for (method, code) in [
        ("OPTIONS", 200),
        ("INVITE", 403),
        ("MESSAGE", 405),
        ("SUBSCRIBE", 405),
        ("NOTIFY", 405),
        ("REFER", 405),
        ("PUBLISH", 405),
        ("BYE", 481),
        ("UPDATE", 481),
        ("INFO", 481),
        ("CANCEL", 481),
        ("REGISTER", 405),
        ("FROBNICATE", 405),
    ] {
        wire.send(us, &wire.request(method, us, 1, "")).await;
        let (answer, _) = wire.expect("SIP/2.0").await;
        assert!(
            answer.starts_with(&format!("SIP/2.0 {code} ")),
            "{method}: {answer}"
        );
    }
    wire.send(
        us,
        &wire
            .request("INVITE", us, 2, "")
            .replace("To: <sip:someone@127.0.0.1>", &format!("To: <{in_dialog}")),
    )
    .await;
    let (answer, _) = wire.expect("SIP/2.0").await;
    assert!(answer.starts_with("SIP/2.0 481 "), "{answer}");
    // Rubbish is survived, and an ACK to nothing answered by nothing.
    for rubbish in [
        "",
        "\r\n\r\n",
        "hello",
        "INVITE\r\n\r\n",
        "SIP/2.0 200 OK\r\n\r\n",
        "INVITE sip:x SIP/2.0\r\nVia: x\r\n\r\n",
        "ACK sip:x SIP/2.0\r\n\r\n",
        "\u{0}\u{1}\u{2}",
        "INVITE sip:a@b SIP/2.0\r\nContent-Length: 99999999999\r\n\r\n",
    ] {
        wire.send(us, rubbish).await;
    }
    wire.send(us, &wire.request("OPTIONS", us, 3, "")).await;
    assert!(wire.expect("SIP/2.0 200").await.0.contains("Allow:"));
}

#[tokio::test]
async fn credentials_go_only_to_the_trunk_and_its_realm() {
    let engine = engine().await;
    for (id, realm, challenge) in [
        (
            "leak-a",
            Some("trunk"),
            "WWW-Authenticate: Digest realm=\"elsewhere\", nonce=\"n\", qop=\"auth\"\r\n",
        ),
        (
            "leak-b",
            None,
            "WWW-Authenticate: Digest realm=\"trunk\", nonce=\"n\", algorithm=SHA-512-256, qop=\"auth\"\r\n",
        ),
        (
            "leak-c",
            None,
            "WWW-Authenticate: Basic realm=\"trunk\"\r\n",
        ),
    ] {
        let trunk = Wire::new().await;
        let agent = Target::new(
            "t",
            uri("x", trunk.port, Transport::Udp),
            Trunk {
                credentials: credentials(realm),
                ..Trunk::default()
            },
        );
        let (engine, other) = (engine.clone(), target(9));
        let running = tokio::spawn(async move { run(&engine, call(id, agent, other)).await });
        let (invite, from) = trunk.expect("INVITE").await;
        trunk
            .send(
                from.port(),
                &reply(&invite, "401 Unauthorized", "t", challenge),
            )
            .await;
        trunk.expect("ACK").await;
        let (end, _) = running.await.unwrap();
        assert_eq!(failure(&end.kind).cause, FailureCause::AuthFailed);
        assert_eq!(failure(&end.kind).code, Some(401));
        assert!(
            trunk.receive(Duration::from_millis(100)).await.is_none(),
            "nothing more is said"
        );
    }
}

#[tokio::test]
async fn a_challenge_from_another_address_gets_nothing() {
    let engine = engine().await;
    let (trunk, stranger) = (Wire::new().await, Wire::new().await);
    let with = Trunk {
        credentials: credentials(Some("trunk")),
        ..Trunk::default()
    };
    let agent = Target::new("t", uri("x", trunk.port, Transport::Udp), with);
    let other = target(9);
    let asking = engine.clone();
    let running = tokio::spawn(async move { run(&asking, call("leak-2", agent, other)).await });
    let (invite, from) = trunk.expect("INVITE").await;
    let challenge = "Proxy-Authenticate: Digest realm=\"trunk\", nonce=\"n\", qop=\"auth\"\r\n";
    stranger
        .send(
            from.port(),
            &reply(&invite, "407 Proxy Authentication Required", "t", challenge),
        )
        .await;
    let (end, _) = running.await.unwrap();
    assert_eq!(failure(&end.kind).cause, FailureCause::AuthFailed);
    for wire in [&trunk, &stranger] {
        while let Some((message, _)) = wire.receive(Duration::from_millis(100)).await {
            assert!(!message.contains("Authorization"), "{message}");
        }
    }
}

#[tokio::test]
async fn wrong_credentials_end_after_one_try() {
    let engine = engine().await;
    let trunk = Wire::new().await;
    let with = Trunk {
        credentials: credentials(None),
        ..Trunk::default()
    };
    let agent = Target::new("t", uri("x", trunk.port, Transport::Udp), with);
    let running =
        tokio::spawn(async move { run(&engine, call("wrong-1", agent, target(9))).await });
    let challenge = "WWW-Authenticate: Digest realm=\"trunk\", nonce=\"n\", qop=\"auth\"\r\n";
    for proven in [false, true] {
        let (invite, from) = trunk.expect("INVITE").await;
        assert_eq!(header(&invite, "Authorization").is_some(), proven);
        trunk
            .send(
                from.port(),
                &reply(&invite, "401 Unauthorized", "t", challenge),
            )
            .await;
    }
    let (end, _) = running.await.unwrap();
    assert_eq!(failure(&end.kind).cause, FailureCause::AuthFailed);
}

#[tokio::test]
async fn a_trunk_gets_proxy_identity_timer_and_what_it_asks_for() {
    let engine = engine().await;
    let trunk = Wire::new().await;
    let with = Trunk {
        outbound_proxy: Some(uri("proxy", trunk.port, Transport::Udp)),
        from: Some("sip:+33999@ours.example".parse::<SipUri>().unwrap()),
        from_display: Some("Our \"Shop\"\r\nX: y".to_owned()),
        asserted_identity: Some("sip:+33888@ours.example".parse().unwrap()),
        session_timer: true,
        ..Trunk::default()
    };
    let agent = Target::new("t", "sip:+331@far.example".parse().unwrap(), with);
    let mut call = call("trunk-1", agent, target(9));
    call.headers = vec![
        ("X-Queue".to_owned(), "billing".to_owned()),
        ("X-Bad".to_owned(), "a\r\nVia: b".to_owned()),
        ("Via".to_owned(), "SIP/2.0/UDP evil".to_owned()),
    ];
    let running = tokio::spawn(async move { run(&engine, call).await });
    let (invite, from) = trunk.expect("INVITE sip:+331@far.example SIP/2.0").await;
    assert_eq!(
        header(&invite, "Route"),
        Some(format!("<sip:proxy@127.0.0.1:{};lr>", trunk.port).as_str())
    );
    assert_eq!(
        header(&invite, "From").unwrap().split(";tag").next(),
        Some("\"Our ShopX: y\" <sip:+33999@ours.example>")
    );
    assert_eq!(
        header(&invite, "P-Asserted-Identity"),
        Some("<sip:+33888@ours.example>")
    );
    assert_eq!(header(&invite, "X-Queue"), Some("billing"));
    assert_eq!(header(&invite, "X-Bad"), None);
    assert_eq!(invite.matches("Via:").count(), 1);
    assert_eq!(header(&invite, "Session-Expires"), Some("1800"));
    trunk
        .send(
            from.port(),
            &reply(
                &invite,
                "422 Session Interval Too Small",
                "t",
                "Min-SE: 3600\r\n",
            ),
        )
        .await;
    trunk.expect("ACK").await;
    let (again, _) = trunk.expect("INVITE").await;
    assert_eq!(header(&again, "Session-Expires"), Some("3600"));
    assert_eq!(header(&again, "Min-SE"), Some("3600"));
    assert_eq!(header(&again, "Call-ID"), header(&invite, "Call-ID"));
    trunk
        .send(
            from.port(),
            &reply(
                &again,
                "302 Moved",
                "t2",
                "Contact: <sip:+449@evil.example>\r\n",
            ),
        )
        .await;
    let (end, _) = running.await.unwrap();
    // A redirect is an answer like any other refusal: nobody else's number is dialled for it.
    assert_eq!(failure(&end.kind).code, Some(302));
}

#[tokio::test]
async fn an_absurd_description_is_no_call() {
    let engine = engine().await;
    let peer = Wire::new().await;
    let agent = target(peer.port);
    let running =
        tokio::spawn(async move { run(&engine, call("absurd-1", agent, target(9))).await });
    let (invite, from) = peer.expect("INVITE").await;
    let contact = format!("Contact: <sip:x@127.0.0.1:{}>\r\n", peer.port);
    peer.send(from.port(), &reply(&invite, "200 OK", "t", &contact))
        .await;
    peer.expect("ACK").await;
    let (bye, from) = peer.expect("BYE").await;
    peer.send(from.port(), &reply(&bye, "200 OK", "", "")).await;
    let (end, _) = running.await.unwrap();
    assert_eq!(failure(&end.kind).cause, FailureCause::Malformed);
}

#[tokio::test]
async fn a_peer_that_never_confirms_the_goodbye_does_not_hold_us() {
    let engine = engine().await;
    let agent = Phone::start(Manner::default()).await;
    let customer = Wire::new().await;
    let asking = engine.clone();
    let mut call = call("deaf-1", target(agent.port), target(customer.port));
    call.max_talk = Duration::from_millis(200);
    let started = Instant::now();
    let running = tokio::spawn(async move { run(&asking, call).await });
    let (invite, from) = customer.expect("INVITE").await;
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    let lines = format!(
        "Contact: <sip:x@127.0.0.1:{}>\r\nContent-Type: application/sdp\r\n",
        customer.port
    );
    let answer = reply(&invite, "200 OK", "t", &lines).replace(
        "Content-Length: 0\r\n\r\n",
        &format!("Content-Length: {}\r\n\r\n{sdp}", sdp.len()),
    );
    customer.send(from.port(), &answer).await;
    customer.expect("BYE").await;
    let (end, _) = running.await.unwrap();
    assert!(matches!(end.kind, BridgeEndKind::Talked { .. }));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn too_many_calls_and_unclean_ids_are_refused() {
    let engine = SipEngine::start(SipConfig {
        max_calls: 0,
        ..config(None)
    })
    .await
    .unwrap();
    let (end, _) = run(&engine, call("ok", target(9), target(9))).await;
    assert_eq!(failure(&end.kind).cause, FailureCause::Internal);
    let engine = support::engine().await;
    let (end, events) = run(&engine, call("a\r\nb", target(9), target(9))).await;
    assert_eq!(failure(&end.kind).cause, FailureCause::Internal);
    assert!(events.is_empty());
}

#[tokio::test]
async fn stopping_cancels_what_rings() {
    let engine = engine().await;
    let agent = Phone::start(Manner::default()).await;
    let customer = Phone::start(Manner {
        rings: Duration::from_secs(60),
        ..Manner::default()
    })
    .await;
    let stop = tokio_util::sync::CancellationToken::new();
    let (asking, token) = (engine.clone(), stop.clone());
    let call = call("stop-1", target(agent.port), target(customer.port));
    let running = tokio::spawn(async move { support::run_until(&asking, call, token).await });
    customer
        .wait_for("the call", |m| m.starts_with("INVITE"))
        .await;
    stop.cancel();
    let (end, _) = running.await.unwrap();
    assert_eq!(end.kind, BridgeEndKind::Stopped);
    customer
        .wait_for("the cancel", |m| m.starts_with("CANCEL"))
        .await;
    agent
        .wait_for("the goodbye", |m| m.starts_with("BYE"))
        .await;
}

#[tokio::test]
async fn an_invite_nobody_records_never_leaves() {
    let engine = engine().await;
    let agent = Phone::start(Manner::default()).await;
    let (events, told) = tokio::sync::mpsc::channel(1);
    drop(told);
    let call = call("unrecorded-1", target(agent.port), target(9));
    let end = engine
        .bridge(call, events, tokio_util::sync::CancellationToken::new())
        .await;
    assert_eq!(end.kind, BridgeEndKind::Stopped);
    assert_eq!(agent.count("INVITE"), 0);
}

#[tokio::test]
async fn a_stream_that_closes_in_mid_invite_is_a_route_failure_at_once() {
    let engine = engine().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = tokio::spawn(async move {
        use tokio::io::AsyncReadExt;
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut some = [0; 64];
        stream.read(&mut some).await.unwrap()
    });
    let started = Instant::now();
    let (end, _) = run(
        &engine,
        call("closing-1", to(port, Transport::Tcp), target(9)),
    )
    .await;
    assert!(peer.await.unwrap() > 0);
    assert_eq!(failure(&end.kind).cause, FailureCause::Refused);
    assert!(started.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn a_peer_that_accepts_and_never_shakes_hands_is_given_up() {
    let files = certificates(&["127.0.0.1"]);
    let mut config = config(Some(&files));
    config.timers.connect = Duration::from_millis(300);
    let engine = SipEngine::start(config).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (end, _) = run(
        &engine,
        call("stalled-1", to(port, Transport::Tls), target(9)),
    )
    .await;
    assert_eq!(failure(&end.kind).cause, FailureCause::Refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_run_beside_silent_peers() {
    let engine = engine().await;
    let silent = Phone::start(Manner {
        silent: true,
        ..Manner::default()
    })
    .await;
    let mut running = tokio::task::JoinSet::new();
    for index in 0..60 {
        let engine = engine.clone();
        let dead = index % 6 == 0;
        let silent = silent.port;
        running.spawn(async move {
            let agent = Phone::start(Manner::default()).await;
            let customer = Phone::start(Manner::default()).await;
            let second = if dead {
                target(silent)
            } else {
                target(customer.port)
            };
            let mut call = call(&format!("many-{index}"), target(agent.port), second);
            call.ring_second = Duration::from_secs(if dead { 3 } else { 20 });
            call.max_talk = Duration::from_millis(300);
            let (end, _) = run(&engine, call).await;
            (dead, matches!(end.kind, BridgeEndKind::Talked { .. }))
        });
    }
    let mut talked = 0;
    while let Some(result) = running.join_next().await {
        let (dead, joined) = result.unwrap();
        assert_eq!(dead, !joined);
        talked += usize::from(joined);
    }
    assert_eq!(talked, 50);
}
