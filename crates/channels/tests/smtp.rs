//! E-mail against a real SMTP server in a process of its own: every answer a relay can give, read back
//! by somebody else's parser.

mod support;

use ringback_callbacks::contact::ResponseType;
use ringback_callbacks::outcome::{Outcome, Verdict};
use ringback_channels::smtp::{SmtpChannel, SmtpRoute};
use ringback_channels::{Channel, Mail, Order, Places, Progress, Unready};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use support::{PATIENCE, clock};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_message_arrives_as_it_was_written() {
    let relay = Relay::start(json!({"mode": "plain"}));
    let channel = channel(&[relay.route("relay")]);
    let mut order = mail_to("ok@example.org", &["relay"]);
    order.mail = Some(Mail {
        from: Some("Heizung Müller <service@example.com>".to_owned()),
        subject: "Ihr Rückruf: 🔧 \"Kessel\"".to_owned(),
        text: "Guten Tag,\n.\n..\nwir kommen. Grüße\n".to_owned(),
        html: Some("<p>Grüße</p>".to_owned()),
        automatic: true,
        in_reply_to: Some("<42@example.org>".to_owned()),
        repeats: None,
    });
    let prepared = channel.prepare(&order, &Places::unlimited()).await;
    let id = format!("<{}@example.com>", order.attempt);
    let outcome = send(&channel, order).await;
    assert_eq!(
        (outcome.verdict, outcome.platform.code),
        (Verdict::Reached, Some(250))
    );
    assert_eq!(outcome.platform.text, "2.0.0 Ok: queued as 4F2A1C");
    assert_eq!(outcome.route.as_deref(), Some("relay"));

    let message = relay.message();
    assert_eq!(prepared["message_id"], json!(id));
    assert_eq!(message["headers"]["message-id"], json!(id));
    assert_eq!(message["headers"]["subject"], "Ihr Rückruf: 🔧 \"Kessel\"");
    assert_eq!(
        message["headers"]["from"],
        "Heizung Müller <service@example.com>"
    );
    assert_eq!(message["headers"]["to"], "ok@example.org");
    assert_eq!(message["headers"]["in-reply-to"], "<42@example.org>");
    assert_eq!(message["headers"]["references"], "<42@example.org>");
    assert_eq!(message["headers"]["auto-submitted"], "auto-replied");
    assert!(
        message["headers"]["date"]
            .as_str()
            .is_some_and(|date| date.ends_with("+0000")),
        "{message}"
    );
    assert_eq!(message["type"], "multipart/alternative");
    assert_eq!(
        lines(&message["plain"]),
        ["Guten Tag,", ".", "..", "wir kommen. Grüße"]
    );
    assert_eq!(lines(&message["html"]), ["<p>Grüße</p>"]);
    assert_eq!(message["defects"], json!([]));
    assert_eq!(
        (&message["sender"], &message["recipients"]),
        (&json!("service@example.com"), &json!(["ok@example.org"]))
    );
}

#[tokio::test]
async fn a_plain_answer_has_no_marks_of_a_machine() {
    let relay = Relay::start(json!({"mode": "plain"}));
    let channel = channel(&[relay.route("relay")]);
    assert_eq!(
        send(&channel, mail_to("ok@example.org", &["relay"]))
            .await
            .verdict,
        Verdict::Reached
    );
    let message = relay.message();
    assert_eq!(message["type"], "text/plain");
    assert_eq!(message["html"], Value::Null);
    for absent in [
        "auto-submitted",
        "in-reply-to",
        "references",
        "reply-to",
        "bcc",
    ] {
        assert_eq!(message["headers"][absent], Value::Null, "{absent}");
    }
}

#[tokio::test]
async fn answers_of_a_relay_become_verdicts() {
    let relay = Relay::start(json!({"mode": "plain"}));
    let channel = channel(&[relay.route("relay")]);
    for (name, verdict, code) in [
        ("later", Verdict::Deferred, 451),
        ("nobody", Verdict::Invalid, 550),
        ("elsewhere", Verdict::RouteFault, 554),
        ("spam", Verdict::Invalid, 554),
        ("full", Verdict::Deferred, 452),
        ("ok", Verdict::Reached, 250),
    ] {
        let outcome = send(
            &channel,
            mail_to(&format!("{name}@example.org"), &["relay"]),
        )
        .await;
        assert_eq!(
            (outcome.verdict, outcome.platform.code),
            (verdict, Some(code)),
            "{name}"
        );
        assert!(
            !outcome.platform.text.contains('@'),
            "{name}: {}",
            outcome.platform.text
        );
        assert!(channel.routes()[0].up, "{name} says nothing of the relay");
    }
    let closing = send(&channel, mail_to("closing@example.org", &["relay"])).await;
    assert_eq!(
        (closing.verdict, closing.platform.code),
        (Verdict::RouteFault, Some(421))
    );
    assert!(!channel.routes()[0].up);
}

#[tokio::test]
async fn greylisting_is_passed_at_the_third_try() {
    let relay = Relay::start(json!({"mode": "plain"}));
    let channel = channel(&[relay.route("relay")]);
    let mut verdicts = Vec::new();
    for _ in 0..3 {
        verdicts.push(
            send(&channel, mail_to("grey@example.org", &["relay"]))
                .await
                .verdict,
        );
    }
    assert_eq!(
        verdicts,
        [Verdict::Deferred, Verdict::Deferred, Verdict::Reached]
    );
}

#[tokio::test]
async fn a_connection_lost_after_the_message_leaves_it_unknown() {
    let relay = Relay::start(json!({"mode": "plain"}));
    let other = Relay::start(json!({"mode": "plain"}));
    let channel = channel(&[relay.route("relay"), other.route("other")]);
    let order = mail_to("drop@example.org", &["relay", "other"]);
    let id = format!("<{}@example.com>", order.attempt);
    let outcome = send(&channel, order).await;
    assert_eq!(outcome.verdict, Verdict::Unknown);
    assert!(
        outcome.platform.text.contains(&id),
        "{}",
        outcome.platform.text
    );
    assert_eq!(
        relay.message()["headers"]["message-id"],
        json!(id),
        "it had arrived"
    );
    assert!(
        other.is_untouched(),
        "what may have arrived is not sent again"
    );
}

#[tokio::test]
async fn silence_after_the_message_leaves_it_unknown() {
    let relay = Relay::start(json!({"mode": "plain", "slow": 30}));
    let mut route = relay.route("relay");
    route["data_timeout"] = json!("1s");
    let channel = channel(&[route]);
    let outcome = send(&channel, mail_to("slow@example.org", &["relay"])).await;
    assert_eq!(outcome.verdict, Verdict::Unknown);
}

#[tokio::test]
async fn a_connection_lost_within_the_message_is_the_relays_fault() {
    let cut = Relay::start(json!({"mode": "cut"}));
    let channel = channel(&[cut.route("cut")]);
    let mut order = mail_to("ok@example.org", &["cut"]);
    if let Some(mail) = &mut order.mail {
        // Far more than the sockets' buffers hold, so that the loss shows before the end.
        mail.text = "All work and no play makes Jack a dull boy.\n".repeat(110_000);
    }
    let (outcome, told) = support::attempt(&channel, order, CancellationToken::new()).await;
    assert_eq!(outcome.verdict, Verdict::RouteFault, "{outcome:?}");
    assert!(
        outcome.platform.text.starts_with("sending the message"),
        "{outcome:?}"
    );
    assert!(
        matches!(&told[..], [Progress::RouteFailed { route, .. }] if route == "cut"),
        "the next one would be tried: {told:?}"
    );
    cut.wait_for("cut");
}

#[tokio::test]
async fn dead_relays_are_passed_over_and_not_counted() {
    let silent = Relay::start(json!({"mode": "silent"}));
    let refusing = Relay::start(json!({"mode": "refuse"}));
    let working = Relay::start(json!({"mode": "plain"}));
    let closed = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        socket.local_addr().expect("its address").port()
    };
    let mut slow = silent.route("silent");
    slow["timeout"] = json!("1s");
    let closed = json!({"name": "closed", "host": "127.0.0.1", "port": closed, "security": "none", "from": FROM});
    let all = [
        slow,
        refusing.route("refusing"),
        closed,
        working.route("working"),
    ];
    let channel = channel(&all);
    let order = mail_to(
        "ok@example.org",
        &["silent", "refusing", "closed", "unheard-of", "working"],
    );
    let (outcome, told) = support::attempt(&channel, order, CancellationToken::new()).await;
    assert_eq!(
        (outcome.verdict, outcome.route.as_deref()),
        (Verdict::Reached, Some("working"))
    );
    let failed: Vec<(&str, Option<i32>)> = told
        .iter()
        .filter_map(|report| match report {
            Progress::RouteFailed { route, code, .. } => Some((route.as_str(), *code)),
            Progress::Legs(..)
            | Progress::Ringing { .. }
            | Progress::Answered { .. }
            | Progress::Connected { .. } => None,
        })
        .collect();
    assert_eq!(
        failed,
        [("silent", None), ("refusing", Some(554)), ("closed", None)]
    );
    let up: Vec<bool> = channel.routes().iter().map(|health| health.up).collect();
    assert_eq!(up, [false, false, false, true]);

    // Alone, each is a fault of the route.
    for name in ["refusing", "closed"] {
        let order = mail_to("ok@example.org", &[name]);
        let deadline = std::time::Instant::now() + PATIENCE;
        while channel.reserve(&order).is_err() {
            assert!(
                std::time::Instant::now() < deadline,
                "{name} is never tried again"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let outcome = send(&channel, order).await;
        assert_eq!(outcome.verdict, Verdict::RouteFault, "{name}: {outcome:?}");
        assert!(!outcome.verdict.counts());
    }
    assert_eq!(
        channel
            .reserve(&mail_to("ok@example.org", &["unheard-of"]))
            .err(),
        Some(Unready::NoRoute)
    );
    assert!(matches!(
        channel.reserve(&mail_to("ok@example.org", &["closed"])),
        Err(Unready::Down(_))
    ));
}

#[tokio::test]
async fn a_connection_serves_several_messages() {
    let relay = Relay::start(json!({"mode": "plain"}));
    let channel = channel(&[relay.route("relay")]);
    for _ in 0..3 {
        assert_eq!(
            send(&channel, mail_to("ok@example.org", &["relay"]))
                .await
                .verdict,
            Verdict::Reached
        );
    }
    let events = relay.events_until_messages(3);
    let greetings = events
        .iter()
        .filter(|event| event["event"] == "ehlo")
        .count();
    assert_eq!(greetings, 1, "{events:?}");
    channel.shutdown().await;
}

#[tokio::test]
async fn protected_and_logged_in() {
    let town = Certificates::new();
    for mode in ["starttls", "tls"] {
        let relay = Relay::start(
            json!({"mode": mode, "auth": true, "cert": town.cert(), "key": town.key()}),
        );
        let good = relay.protected("good", mode, &town, "s3cret");
        let wrong = relay.protected("wrong", mode, &town, "guess");
        let channel = channel(&[good, wrong]);
        let outcome = send(&channel, mail_to("ok@example.org", &["good"])).await;
        assert_eq!(outcome.verdict, Verdict::Reached, "{mode}: {outcome:?}");
        let events = relay.events_until_messages(1);
        let login = events
            .iter()
            .find(|event| event["event"] == "login")
            .expect("a login");
        assert_eq!(
            (&login["good"], &login["tls"]),
            (&json!(true), &json!(true)),
            "{mode}"
        );
        let message = events.last().expect("a message");
        assert_eq!(message["tls"], json!(true), "{mode}");

        let outcome = send(&channel, mail_to("ok@example.org", &["wrong"])).await;
        assert_eq!(
            (outcome.verdict, outcome.platform.code),
            (Verdict::RouteFault, Some(535)),
            "{mode}"
        );
        let printed = format!("{outcome:?} {:?}", channel.routes());
        assert!(!printed.contains("guess"), "{printed}");
    }
}

#[tokio::test]
async fn a_relay_nobody_vouches_for_gets_nothing() {
    let (ours, theirs) = (Certificates::new(), Certificates::new());
    for mode in ["starttls", "tls"] {
        let relay = Relay::start(
            json!({"mode": mode, "auth": true, "cert": theirs.cert(), "key": theirs.key()}),
        );
        let channel = channel(&[relay.protected("relay", mode, &ours, "s3cret")]);
        let outcome = send(&channel, mail_to("ok@example.org", &["relay"])).await;
        assert_eq!(outcome.verdict, Verdict::RouteFault, "{mode}: {outcome:?}");
        assert!(!relay.seen("login") && !relay.seen("message"), "{mode}");
    }
}

#[tokio::test]
async fn protection_is_never_given_up() {
    let town = Certificates::new();
    // It offers no STARTTLS (or somebody on the way has cut the offer out).
    let relay = Relay::start(json!({"mode": "plain"}));
    let channel = channel(&[relay.protected("relay", "starttls", &town, "s3cret")]);
    let outcome = send(&channel, mail_to("ok@example.org", &["relay"])).await;
    assert_eq!(outcome.verdict, Verdict::RouteFault, "{outcome:?}");
    assert!(!relay.seen("login") && !relay.seen("message") && !relay.seen("rcpt"));
}

#[tokio::test]
async fn words_slipped_in_before_tls_are_not_believed() {
    let town = Certificates::new();
    let relay = Relay::start(json!({"mode": "inject", "cert": town.cert(), "key": town.key()}));
    let channel = channel(&[relay.protected("relay", "starttls", &town, "s3cret")]);
    let outcome = send(&channel, mail_to("ok@example.org", &["relay"])).await;
    assert_eq!(outcome.verdict, Verdict::RouteFault, "{outcome:?}");
    assert!(
        outcome.platform.text.contains("starting TLS"),
        "{outcome:?}"
    );
    relay.wait_for("handshake failed");
}

#[tokio::test]
async fn international_addresses_need_a_relay_that_knows_them() {
    let old = Relay::start(json!({"mode": "plain", "utf8": false}));
    let new = Relay::start(json!({"mode": "plain"}));
    let channel = channel(&[old.route("old"), new.route("new")]);
    let outcome = send(&channel, mail_to("grüße@example.org", &["old", "new"])).await;
    assert_eq!(
        (outcome.verdict, outcome.route.as_deref()),
        (Verdict::Reached, Some("new"))
    );
    assert_eq!(new.message()["recipients"], json!(["grüße@example.org"]));
    let outcome = send(&channel, mail_to("grüße@example.org", &["old"])).await;
    assert_eq!(
        outcome.verdict,
        Verdict::Invalid,
        "asking again will not teach it: {outcome:?}"
    );
    assert!(!old.seen("rcpt"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_before_the_message_stops_it() {
    let silent = Relay::start(json!({"mode": "silent"}));
    let channel = channel(&[silent.route("silent")]);
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let attempt = support::attempt(&channel, mail_to("ok@example.org", &["silent"]), stop);
    let stopper = async {
        // Connected, and waiting for a greeting that does not come.
        tokio::task::block_in_place(|| silent.wait_for("connected"));
        stopping.cancel();
    };
    let ((outcome, _), ()) = tokio::join!(attempt, stopper);
    assert_eq!(
        (outcome.verdict, outcome.verdict.counts()),
        (Verdict::Stopped, false)
    );
    assert!(
        channel.routes()[0].up,
        "our own stop says nothing of the relay"
    );
}

const FROM: &str = "Support <support@example.com>";

fn channel(routes: &[Value]) -> Arc<SmtpChannel> {
    let routes: Vec<SmtpRoute> = routes
        .iter()
        .map(|route| serde_json::from_value(route.clone()).expect("a route"))
        .collect();
    SmtpChannel::start(&routes, clock()).expect("good settings")
}

fn mail_to(address: &str, routes: &[&str]) -> Order {
    let mut order = support::order(ResponseType::Email, address, routes);
    order.mail = Some(Mail {
        from: None,
        subject: "Your request".to_owned(),
        text: "We shall come on Monday.\n".to_owned(),
        html: None,
        automatic: false,
        in_reply_to: None,
        repeats: None,
    });
    order
}

async fn send(channel: &Arc<SmtpChannel>, order: Order) -> Outcome {
    support::attempt(channel, order, CancellationToken::new())
        .await
        .0
}

fn lines(text: &Value) -> Vec<&str> {
    text.as_str().expect("a body").lines().collect()
}

/// A relay in a process of its own, and what it has told so far.
struct Relay {
    child: Child,
    port: u64,
    events: mpsc::Receiver<Value>,
}

impl Relay {
    fn start(settings: Value) -> Relay {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rigs/relay.py");
        let mut child = Command::new(python())
            .args([script, &settings.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let out = child.stdout.take().expect("its output");
        let (sender, events) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let Ok(event) = serde_json::from_str(&line) else {
                    continue;
                };
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        let first: Value = events.recv_timeout(PATIENCE).expect("the relay starts");
        let port = first["port"].as_u64().expect("a port");
        Relay {
            child,
            port,
            events,
        }
    }

    fn route(&self, name: &str) -> Value {
        json!({"name": name, "host": "127.0.0.1", "port": self.port, "security": "none", "from": FROM})
    }

    fn protected(&self, name: &str, mode: &str, town: &Certificates, password: &str) -> Value {
        let security = if mode == "tls" { "tls" } else { "starttls" };
        json!({
            "name": name, "host": "localhost", "port": self.port, "security": security, "from": FROM,
            "ca_file": town.ca(), "user": "anna", "password": password, "timeout": "10s",
        })
    }

    /// The next message it took.
    fn message(&self) -> Value {
        self.wait_for("message")
    }

    fn wait_for(&self, what: &str) -> Value {
        self.until(|event| event["event"] == what)
            .pop()
            .expect("the last is the one")
    }

    fn events_until_messages(&self, count: usize) -> Vec<Value> {
        let mut messages = 0;
        self.until(|event| {
            messages += usize::from(event["event"] == "message");
            messages == count
        })
    }

    fn until(&self, mut enough: impl FnMut(&Value) -> bool) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let event = self
                .events
                .recv_timeout(PATIENCE)
                .expect("the relay saw it");
            let last = enough(&event);
            all.push(event);
            if last {
                return all;
            }
        }
    }

    /// Whether anything of the kind has been told. What the relay does before it answers us has been
    /// written by the time we have the answer; a moment is left for the pipe.
    fn seen(&self, what: &str) -> bool {
        while let Ok(event) = self.events.recv_timeout(Duration::from_millis(300)) {
            if event["event"] == what {
                return true;
            }
        }
        false
    }

    fn is_untouched(&self) -> bool {
        self.events
            .recv_timeout(Duration::from_millis(300))
            .is_err()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Python with aiosmtpd: `RINGBACK_AIOSMTPD_PYTHON`, or the one in the path.
fn python() -> String {
    let python = std::env::var("RINGBACK_AIOSMTPD_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python)
        .args(["-c", "import aiosmtpd"])
        .stderr(Stdio::null())
        .status();
    assert!(
        found.is_ok_and(|status| status.success()),
        "{python} has no aiosmtpd: run script/test, which installs it, or set RINGBACK_AIOSMTPD_PYTHON \
         to a Python that has it (pip install aiosmtpd)"
    );
    python
}

/// A certificate for `localhost`, and the authority that signed it.
struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    fn new() -> Certificates {
        let folder = tempfile::tempdir().expect("a folder");
        let authority_key = rcgen::KeyPair::generate().expect("a key");
        let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_cert = authority
            .self_signed(&authority_key)
            .expect("a certificate");
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let key = rcgen::KeyPair::generate().expect("a key");
        let cert = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
            .and_then(|parameters| parameters.signed_by(&key, &issuer))
            .expect("a certificate");
        for (name, pem) in [
            ("ca.pem", authority_cert.pem()),
            ("cert.pem", cert.pem()),
            ("key.pem", key.serialize_pem()),
        ] {
            std::fs::write(folder.path().join(name), pem).expect("written");
        }
        Certificates { folder }
    }

    fn ca(&self) -> String {
        self.path("ca.pem")
    }

    fn cert(&self) -> String {
        self.path("cert.pem")
    }

    fn key(&self) -> String {
        self.path("key.pem")
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }
}
