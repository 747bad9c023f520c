//! Calls over real UDP sockets against small phones that remember every message they saw.

mod support;

#[allow(dead_code, reason = "the phone can do more than is asked of it here")]
#[path = "../../sip/tests/support/phone.rs"]
mod phone;

use phone::{Manner, Phone, body, header};
use ringback_callbacks::contact::ResponseType;
use ringback_callbacks::ids::AgentId;
use ringback_callbacks::outcome::{CallResult, Outcome, Verdict};
use ringback_callbacks::queue::LegOrder;
use ringback_channels::sip::{SipChannel, SipChannelConfig};
use ringback_channels::{Channel, Near, Order, Places, Progress, Unready};
use ringback_sip::{Listen, SipConfig, SipEngine, Transport};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{PATIENCE, clock};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const NUMBER: &str = "+14155550123";

#[tokio::test]
async fn an_agent_and_a_customer_talk() {
    let (agent, customer) = (Phone::start(Manner::default()).await, hangs_up().await);
    let mut trunk = route("trunk", customer.port);
    trunk["from"] = json!("sip:own@example.com");
    trunk["caller_id"] = json!("both");
    let channel = channel(&[trunk]).await;
    let mut order = call_over(&["trunk"], &agent);
    order.caller_id = Some("+15550100".to_owned());
    let id = order.attempt.to_string();
    let prepared = channel.prepare(&order, &Places::unlimited()).await;
    let (outcome, told) = place(&channel, order).await;
    assert_eq!(
        (outcome.result, outcome.verdict),
        (CallResult::OK, Verdict::Reached)
    );
    assert_eq!(outcome.platform.text, "hung up by the customer");
    assert_eq!(outcome.route.as_deref(), Some("trunk"));
    assert!(outcome.talk_ms.is_some_and(|ms| ms < 60_000), "{outcome:?}");

    let steps: Vec<&str> = told.iter().filter_map(name_of).collect();
    assert_eq!(
        steps,
        [
            "agent rings",
            "agent answers",
            "customer rings",
            "customer answers",
            "connected over trunk"
        ]
    );
    let invite = first(&customer, "INVITE");
    assert!(
        invite.starts_with(&format!(
            "INVITE sip:+14155550123@127.0.0.1:{} SIP/2.0",
            customer.port
        )),
        "{invite}"
    );
    assert!(
        header(&invite, "From").is_some_and(|from| from.contains("<sip:+15550100@example.com>")),
        "{invite}"
    );
    assert_eq!(
        header(&invite, "P-Asserted-Identity"),
        Some("<sip:+15550100@example.com>")
    );
    assert_eq!(header(&invite, "X-Ringback-Attempt"), Some(id.as_str()));
    // Known outside by what was stored before anything left.
    for (phone, party) in [(&agent, "agent"), (&customer, "customer")] {
        let call_id = prepared["call_ids"][party]
            .as_str()
            .expect("a Call-ID")
            .to_owned();
        let invite = first(phone, "INVITE");
        assert!(
            header(&invite, "Call-ID").is_some_and(|id| id.starts_with(&call_id)),
            "{party}: {invite}"
        );
    }
    assert!(body(&first(&agent, "INVITE")).contains("inactive"));
    let records = last_legs(&told)["records"]
        .as_object()
        .expect("records")
        .clone();
    assert_eq!(records.len(), 2);
    let health = &channel.routes()[0];
    assert!(health.up && health.active == 0, "{health:?}");
}

#[tokio::test]
async fn a_customers_no_is_theirs() {
    for (status, result, verdict) in [
        (486, CallResult::BUSY, Verdict::Busy),
        (480, CallResult::NO_ANSWER, Verdict::NoAnswer),
        (404, CallResult::SIT_INVALID_NUM, Verdict::Invalid),
        (603, CallResult::REMOTE_RELEASE, Verdict::Declined),
    ] {
        let agent = Phone::start(Manner::default()).await;
        let customer = Phone::start(Manner {
            status,
            ..Manner::default()
        })
        .await;
        let other = Phone::start(Manner::default()).await;
        let channel = channel(&[route("trunk", customer.port), route("other", other.port)]).await;
        let (outcome, _) = place(&channel, call_over(&["trunk", "other"], &agent)).await;
        assert_eq!(
            (outcome.result, outcome.verdict),
            (result, verdict),
            "{status}"
        );
        assert_eq!(
            (outcome.platform.scheme.as_str(), outcome.platform.code),
            ("sip", Some(i32::from(status)))
        );
        assert_eq!(outcome.route.as_deref(), Some("trunk"));
        assert!(
            other.seen().is_empty(),
            "{status}: nobody is tried twice over another route"
        );
        assert!(
            channel
                .routes()
                .iter()
                .all(|route| route.up && route.active == 0),
            "{status}"
        );
        agent
            .wait_for("the end of the agent's leg", |m| m.starts_with("BYE"))
            .await;
    }
}

#[tokio::test]
async fn a_dead_route_passes_to_the_next() {
    let closed = closed_port().await;
    let agent = Phone::start(Manner::default()).await;
    let (overloaded, working) = (refuser("503 Service Unavailable").await, hangs_up().await);
    let all = [
        route("closed", closed),
        route("overloaded", overloaded),
        route("working", working.port),
    ];
    let channel = channel(&all).await;
    let (outcome, told) = place(
        &channel,
        call_over(&["closed", "overloaded", "working"], &agent),
    )
    .await;
    assert_eq!(
        (outcome.verdict, outcome.route.as_deref()),
        (Verdict::Reached, Some("working")),
        "{outcome:?}"
    );
    let failed: Vec<(String, Option<i32>)> = told
        .iter()
        .filter_map(|report| match report {
            Progress::RouteFailed {
                party: "customer",
                route,
                code,
                ..
            } => Some((route.clone(), *code)),
            Progress::RouteFailed { .. }
            | Progress::Legs(..)
            | Progress::Ringing { .. }
            | Progress::Answered { .. }
            | Progress::Connected { .. } => None,
        })
        .collect();
    assert_eq!(
        failed,
        [
            ("closed".to_owned(), None),
            ("overloaded".to_owned(), Some(503))
        ]
    );
    let health: Vec<(bool, u32)> = channel
        .routes()
        .iter()
        .map(|route| (route.up, route.active))
        .collect();
    assert_eq!(health[..3], [(false, 0), (false, 0), (true, 0)]);
    assert_eq!(working.count("INVITE"), 1);
}

#[tokio::test]
async fn no_route_left_is_a_fault_and_not_a_try() {
    let agent = Phone::start(Manner::default()).await;
    let overloaded = refuser("503 Service Unavailable").await;
    let channel = channel(&[route("trunk", overloaded)]).await;
    let order = call_over(&["trunk"], &agent);
    let (outcome, _) = place(&channel, order.clone()).await;
    assert_eq!(
        (outcome.result, outcome.verdict),
        (CallResult::ALL_TRUNKS_BUSY, Verdict::RouteFault)
    );
    assert!(!outcome.verdict.counts());
    assert!(matches!(channel.reserve(&order), Err(Unready::Down(_))));
    let (again, told) = place(&channel, order.clone()).await;
    assert_eq!(
        (again.verdict, told.len()),
        (Verdict::RouteFault, 0),
        "nothing leaves over a route that is down"
    );
    let elsewhere = Order {
        routes: vec!["unheard-of".to_owned()],
        ..order.clone()
    };
    assert_eq!(channel.reserve(&elsewhere).err(), Some(Unready::NoRoute));
    assert_eq!(
        channel
            .reserve(&Order {
                routes: Vec::new(),
                ..order
            })
            .err(),
        Some(Unready::NoRoute)
    );
}

#[tokio::test]
async fn ringing_ends_when_the_queue_says() {
    let agent = Phone::start(Manner::default()).await;
    let customer = Phone::start(Manner {
        rings: PATIENCE,
        ..Manner::default()
    })
    .await;
    let channel = channel(&[route("trunk", customer.port)]).await;
    let mut order = call_over(&["trunk"], &agent);
    order.ring_customer = Duration::from_secs(1);
    let (outcome, _) = place(&channel, order).await;
    assert_eq!(
        (outcome.result, outcome.verdict),
        (CallResult::NO_ANSWER, Verdict::NoAnswer),
        "{outcome:?}"
    );
    assert_eq!(customer.count("CANCEL"), 1);
}

#[tokio::test]
async fn a_stop_ends_the_ringing() {
    let agent = Phone::start(Manner::default()).await;
    let customer = Phone::start(Manner {
        rings: PATIENCE,
        ..Manner::default()
    })
    .await;
    let channel = channel(&[route("trunk", customer.port)]).await;
    let stop = CancellationToken::new();
    let stopping = async {
        customer
            .wait_for("the call", |m| m.starts_with("INVITE"))
            .await;
        stop.cancel();
    };
    let attempt = support::attempt(&channel, call_over(&["trunk"], &agent), stop.clone());
    let ((outcome, _), ()) = tokio::join!(attempt, stopping);
    assert_eq!(
        (outcome.verdict, outcome.verdict.counts()),
        (Verdict::Stopped, false),
        "{outcome:?}"
    );
    customer
        .wait_for("the end of the ringing", |m| m.starts_with("CANCEL"))
        .await;
    agent
        .wait_for("the end of the agent's leg", |m| m.starts_with("BYE"))
        .await;
    assert_eq!(channel.routes()[0].active, 0);
}

#[tokio::test]
async fn an_agent_who_does_not_answer_spares_the_customer() {
    let customer = Phone::start(Manner::default()).await;
    let busy = Phone::start(Manner {
        status: 486,
        ..Manner::default()
    })
    .await;
    let channel = channel(&[route("trunk", customer.port), route("pbx", busy.port)]).await;
    let (outcome, _) = place(&channel, call_over(&["trunk"], &busy)).await;
    assert_eq!(
        (outcome.result, outcome.verdict),
        (CallResult::AGENT_CALLBACK_ERROR, Verdict::AgentFault)
    );
    // The same by a DN of a PBX, and by a user who is not registered.
    let mut order = call_over(&["trunk"], &busy);
    order.near = Near::Dn {
        dn: "600".to_owned(),
        location: "pbx".to_owned(),
    };
    let (outcome, _) = place(&channel, order.clone()).await;
    assert_eq!(
        (outcome.result, outcome.verdict),
        (CallResult::GROUP_CALLBACK_ERROR, Verdict::AgentFault)
    );
    let asked = busy
        .seen()
        .into_iter()
        .filter(|m| m.starts_with("INVITE sip:600@127.0.0.1"))
        .count();
    assert_eq!(asked, 1);
    order.near = Near::Agent {
        id: AgentId(7),
        dn: "anna".to_owned(),
        route: None,
    };
    let (outcome, _) = place(&channel, order.clone()).await;
    assert_eq!(
        (outcome.result, outcome.verdict),
        (CallResult::AGENT_CALLBACK_ERROR, Verdict::AgentFault)
    );
    order.near = Near::Dn {
        dn: "600".to_owned(),
        location: "unheard-of".to_owned(),
    };
    assert_eq!(channel.reserve(&order).err(), Some(Unready::NoRoute));
    assert!(customer.seen().is_empty());
}

#[tokio::test]
async fn a_dead_pbx_is_not_the_agents_fault() {
    let closed = closed_port().await;
    let customer = Phone::start(Manner::default()).await;
    let channel = channel(&[route("trunk", customer.port), route("pbx", closed)]).await;
    let mut order = call_over(&["trunk"], &customer);
    order.near = Near::Agent {
        id: AgentId(7),
        dn: "101".to_owned(),
        route: Some("pbx".to_owned()),
    };
    let (outcome, _) = place(&channel, order.clone()).await;
    assert_eq!(
        (outcome.result, outcome.verdict),
        (CallResult::AGENT_CALLBACK_ERROR, Verdict::RouteFault)
    );
    assert!(
        matches!(channel.reserve(&order), Err(Unready::Down(_))),
        "and nobody is dialled for nothing"
    );
    assert!(customer.seen().is_empty());
}

#[tokio::test]
async fn the_customer_may_come_first() {
    let agent = Phone::start(Manner {
        status: 486,
        ..Manner::default()
    })
    .await;
    let customer = Phone::start(Manner::default()).await;
    let channel = channel(&[route("trunk", customer.port)]).await;
    let mut order = call_over(&["trunk"], &agent);
    order.leg_order = LegOrder::CustomerFirst;
    let (outcome, told) = place(&channel, order).await;
    let steps: Vec<&str> = told.iter().filter_map(name_of).collect();
    assert_eq!(steps[..2], ["customer rings", "customer answers"]);
    // They picked up and heard nobody: our fault, and not to be repeated at once.
    assert_eq!(
        (outcome.result, outcome.verdict),
        (CallResult::AGENT_CALLBACK_ERROR, Verdict::RouteFault)
    );
    assert_eq!(outcome.route.as_deref(), Some("trunk"));
}

#[tokio::test]
async fn legs_that_cannot_be_joined_are_not_connected() {
    let agent = Phone::start(Manner {
        refuses_reinvite: Some(488),
        ..Manner::default()
    })
    .await;
    let customer = Phone::start(Manner::default()).await;
    let channel = channel(&[route("trunk", customer.port)]).await;
    let (outcome, _) = place(&channel, call_over(&["trunk"], &agent)).await;
    assert_eq!(
        (outcome.result, outcome.verdict),
        (CallResult::NO_ESTABLISHED, Verdict::RouteFault)
    );
    customer.wait_for("goodbye", |m| m.starts_with("BYE")).await;
}

#[tokio::test]
async fn voip_goes_straight_or_through_a_proxy() {
    let (agent, customer) = (Phone::start(Manner::default()).await, hangs_up().await);
    let proxy = hangs_up().await;
    let channel = channel(&[route("proxy", proxy.port)]).await;
    let address = format!("sip:anna@127.0.0.1:{}", customer.port);
    let mut order = support::order(ResponseType::VoIP, &address, &[]);
    order.near = near(&agent);
    let (outcome, _) = place(&channel, order).await;
    assert_eq!(
        (outcome.verdict, outcome.route.as_deref()),
        (Verdict::Reached, Some("direct"))
    );
    assert!(first(&customer, "INVITE").starts_with(&format!("INVITE {address} SIP/2.0")));

    let agent = Phone::start(Manner::default()).await;
    let mut order = support::order(ResponseType::VoIP, "sip:anna@elsewhere.example", &["proxy"]);
    order.near = near(&agent);
    let (outcome, _) = place(&channel, order).await;
    assert_eq!(
        (outcome.verdict, outcome.route.as_deref()),
        (Verdict::Reached, Some("proxy"))
    );
    let invite = first(&proxy, "INVITE");
    assert!(
        invite.starts_with("INVITE sip:anna@elsewhere.example SIP/2.0"),
        "{invite}"
    );
    assert!(
        header(&invite, "Route").is_some_and(|route| route.contains(&proxy.port.to_string())),
        "{invite}"
    );
}

#[tokio::test]
async fn a_route_takes_no_more_calls_than_it_may() {
    let agent = Phone::start(Manner::default()).await;
    let customer = Phone::start(Manner {
        rings: PATIENCE,
        ..Manner::default()
    })
    .await;
    let mut trunk = route("trunk", customer.port);
    trunk["concurrent"] = json!(1);
    let channel = channel(&[trunk]).await;
    let order = call_over(&["trunk"], &agent);
    assert!(channel.reserve(&order).is_ok());
    let stop = CancellationToken::new();
    let looking = async {
        customer
            .wait_for("the call", |m| m.starts_with("INVITE"))
            .await;
        assert!(matches!(channel.reserve(&order), Err(Unready::Wait(_))));
        let (second, told) = place(&channel, call_over(&["trunk"], &agent)).await;
        assert_eq!((second.verdict, told.len()), (Verdict::RouteFault, 0));
        stop.cancel();
    };
    tokio::join!(
        support::attempt(&channel, order.clone(), stop.clone()),
        looking
    );
    assert!(channel.reserve(&order).is_ok());
    assert_eq!(customer.count("INVITE"), 1);
}

#[tokio::test]
async fn pings_find_out_what_is_dead_and_what_is_back() {
    let port = closed_port().await;
    let mut trunk = route("trunk", port);
    trunk["ping"] = json!("1s");
    let channel = channel(&[trunk]).await;
    let up = |wanted: bool| {
        let channel = channel.clone();
        async move {
            let deadline = Instant::now() + PATIENCE;
            while channel.routes()[0].up != wanted {
                assert!(Instant::now() < deadline, "{:?}", channel.routes());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    up(false).await;
    assert!(
        channel.routes()[0]
            .last_failure
            .as_deref()
            .is_some_and(|why| why.starts_with("ping"))
    );
    // Whoever answers is there, even with a refusal.
    let answering = answerer(port, "404 Not Found").await;
    up(true).await;
    answering.abort();
    drop(answering.await);
    let _overloaded = answerer(port, "503 Service Unavailable").await;
    up(false).await;
    channel.shutdown().await;
}

#[test]
fn a_crash_leaves_no_phone_ringing() {
    let testing = tokio::runtime::Runtime::new().expect("a runtime");
    testing.block_on(async {
        let agent = Phone::start(Manner::default()).await;
        let customer = Phone::start(Manner {
            rings: PATIENCE,
            ..Manner::default()
        })
        .await;
        // A node of its own, which dies in mid-call.
        let node = tokio::runtime::Runtime::new().expect("a runtime");
        let (sender, mut reports) = mpsc::channel(16);
        let (trunk, order) = (route("trunk", customer.port), call_over(&["trunk"], &agent));
        let mut legs = node
            .spawn(async move {
                let channel = channel(&[trunk]).await;
                let places = channel.reserve(&order).expect("room");
                let legs = channel.prepare(&order, &places).await;
                tokio::spawn(async move {
                    channel
                        .attempt(order, places, sender, CancellationToken::new())
                        .await
                });
                legs
            })
            .await
            .expect("the node starts");
        customer
            .wait_for("the call", |m| m.starts_with("INVITE"))
            .await;
        // As the store would: the last identifiers that were told.
        while let Ok(Some(report)) =
            tokio::time::timeout(Duration::from_secs(1), reports.recv()).await
        {
            if let Progress::Legs(told, _) = report {
                legs = told;
            }
        }
        node.shutdown_background();
        assert_eq!((customer.count("CANCEL"), agent.count("BYE")), (0, 0));

        let next = channel(&[route("trunk", customer.port)]).await;
        let learned = tokio::time::timeout(PATIENCE, next.end_orphan(legs))
            .await
            .expect("it ends");
        let learned = learned.expect("the customer's phone said that it was still ringing");
        assert_eq!(
            (learned.result, learned.verdict),
            (CallResult::DROPPED_NO_ANSWER, Verdict::NoAnswer)
        );
        customer
            .wait_for("the end of the ringing", |m| m.starts_with("CANCEL"))
            .await;
        agent.wait_for("goodbye", |m| m.starts_with("BYE")).await;
        assert_eq!(next.end_orphan(json!({"nothing": "known"})).await, None);
    });
}

/// The first INVITE leaves as soon as the attempt is stored: its identifiers were stored with it.
#[tokio::test]
async fn what_was_stored_with_the_attempt_is_not_stored_again() {
    let mut stored = Vec::new();
    for foreseen in [false, true] {
        let (agent, customer) = (Phone::start(Manner::default()).await, hangs_up().await);
        let channel = channel(&[route("trunk", customer.port)]).await;
        let mut order = call_over(&["trunk"], &agent);
        let prepared = channel.prepare(&order, &Places::unlimited()).await;
        let id = order.attempt.to_string();
        if foreseen {
            order.legs = prepared.clone();
        }
        let (outcome, told) = place(&channel, order).await;
        assert_eq!(outcome.verdict, Verdict::Reached);
        let legs: Vec<&Value> = told
            .iter()
            .filter_map(|report| match report {
                Progress::Legs(legs, _) => Some(legs),
                _ => None,
            })
            .collect();
        let inviting = legs.iter().filter(|legs| **legs == &prepared).count();
        assert_eq!(inviting, usize::from(!foreseen), "{id}");
        stored.push(legs.len());
    }
    assert_eq!(stored[1], stored[0] - 1, "one less for each call");
}

async fn channel(routes: &[Value]) -> Arc<SipChannel> {
    let listen = vec![Listen {
        transport: Transport::Udp,
        addr: SocketAddr::from(([127, 0, 0, 1], 0)),
    }];
    let engine = SipEngine::start(SipConfig {
        listen,
        ..SipConfig::default()
    })
    .await
    .expect("an engine");
    let routes = routes
        .iter()
        .map(|route| serde_json::from_value(route.clone()).expect("a route"))
        .collect();
    SipChannel::start(
        SipChannelConfig {
            routes,
            ..SipChannelConfig::default()
        },
        engine,
        clock(),
    )
    .expect("good settings")
}

fn route(name: &str, port: u16) -> Value {
    json!({"name": name, "uri": format!("sip:127.0.0.1:{port}"), "ping": "0s"})
}

fn near(agent: &Phone) -> Near {
    Near::Agent {
        id: AgentId(7),
        dn: format!("sip:agent@127.0.0.1:{}", agent.port),
        route: None,
    }
}

fn call_over(routes: &[&str], agent: &Phone) -> Order {
    Order {
        near: near(agent),
        ..support::order(ResponseType::Voice, NUMBER, routes)
    }
}

async fn place(channel: &Arc<SipChannel>, order: Order) -> (Outcome, Vec<Progress>) {
    support::attempt(channel, order, CancellationToken::new()).await
}

async fn hangs_up() -> Phone {
    Phone::start(Manner {
        hangs_up_after: Some(Duration::from_millis(300)),
        ..Manner::default()
    })
    .await
}

fn first(phone: &Phone, method: &str) -> String {
    let seen = phone.seen();
    seen.into_iter()
        .find(|message| message.starts_with(method))
        .unwrap_or_else(|| panic!("no {method}"))
}

fn name_of(report: &Progress) -> Option<&'static str> {
    match report {
        Progress::Ringing { party: "agent" } => Some("agent rings"),
        Progress::Ringing { .. } => Some("customer rings"),
        Progress::Answered { party: "agent" } => Some("agent answers"),
        Progress::Answered { .. } => Some("customer answers"),
        Progress::Connected { route } => Some(if route.as_deref() == Some("trunk") {
            "connected over trunk"
        } else {
            "connected"
        }),
        Progress::Legs(..) | Progress::RouteFailed { .. } => None,
    }
}

fn last_legs(told: &[Progress]) -> Value {
    let legs = told.iter().rev().find_map(|report| match report {
        Progress::Legs(legs, _) => Some(legs.clone()),
        Progress::Ringing { .. }
        | Progress::Answered { .. }
        | Progress::RouteFailed { .. }
        | Progress::Connected { .. } => None,
    });
    legs.expect("identifiers were told")
}

/// A port on which nobody listens.
async fn closed_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    socket.local_addr().expect("its address").port()
}

/// A switch that refuses everything without ringing, on a port of its own.
async fn refuser(status: &'static str) -> u16 {
    let port = closed_port().await;
    // Lives as long as the runtime of the test.
    drop(answerer(port, status).await);
    port
}

/// Answers every request with one status.
async fn answerer(port: u16, status: &'static str) -> tokio::task::JoinHandle<()> {
    let socket = UdpSocket::bind(("127.0.0.1", port))
        .await
        .expect("the port is free");
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if request.starts_with("ACK") {
                continue;
            }
            let copied: String = ["Via", "From", "To", "Call-ID", "CSeq"]
                .iter()
                .filter_map(|name| Some(format!("{name}: {}\r\n", header(&request, name)?)))
                .collect();
            let answer = format!("SIP/2.0 {status}\r\n{copied}Content-Length: 0\r\n\r\n");
            drop(socket.send_to(answer.as_bytes(), from).await);
        }
    })
}
