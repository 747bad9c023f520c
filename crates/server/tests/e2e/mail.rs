//! E-mail callbacks against a real SMTP server (aiosmtpd): delivered by template, put off and delivered later,
//! refused for good, and answered by an agent through the API.

use crate::harness::{
    Client, Peer, Server, copy_of, dn_queue, eventually, free_port, template_queue,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn template_is_delivered() {
    let office = Office::open().await;
    let id = office.book("anna@example.org", "Größe & <Farbe>").await;
    let ended = office.client().ended(&id, LIMIT).await;
    assert_eq!(ended["call_result"], 0, "{ended:#}");
    let attempts = office.client().attempts(&id).await;
    assert_eq!(attempts.len(), 1, "{attempts:#?}");
    assert_eq!(attempts[0]["verdict"], "reached");
    assert_eq!(
        (attempts[0]["channel"].clone(), attempts[0]["route"].clone()),
        (json!("smtp"), json!("relay"))
    );
    let letters = office.letters("anna@example.org");
    assert_eq!(letters.len(), 1, "one attempt, one letter: {letters:#?}");
    let letter = &letters[0];
    assert_eq!(letter.sender, "help@example.com");
    let head = letter.head();
    // The attempt's id travels outwards here too.
    let attempt = attempts[0]["attempt_id"].as_str().expect("an id");
    assert!(
        header(&head, "Message-ID").is_some_and(|value| value.contains(attempt)),
        "{head}"
    );
    assert!(
        header(&head, "To").is_some_and(|value| value.contains("anna@example.org")),
        "{head}"
    );
    assert!(
        header(&head, "From").is_some_and(|value| value.contains("help@example.com")),
        "{head}"
    );
    assert!(header(&head, "Date").is_some(), "{head}");
    assert!(
        header(&head, "Auto-Submitted").is_some_and(|value| value.starts_with("auto-")),
        "{head}"
    );
    assert!(
        header(&head, "Content-Type")
            .is_some_and(|value| value.starts_with("multipart/alternative")),
        "{head}"
    );
    assert!(head.is_ascii(), "a head must be ASCII on the wire: {head}");
    // What a mail program makes of it.
    let read = office.read(letter);
    assert_eq!(
        read["subject"], "Your question: Größe & <Farbe>",
        "{read:#}"
    );
    assert!(
        read["text"]
            .as_str()
            .is_some_and(|text| text.contains("Dear Anna,")),
        "{read:#}"
    );
    assert!(
        read["html"]
            .as_str()
            .is_some_and(|html| html.contains("<p>Dear Anna,</p>")),
        "{read:#}"
    );
    assert_eq!(read["defects"], json!([]), "{read:#}");
    // Nobody's address is in the log.
    assert!(!office.server.log().contains("anna@example.org"));
    office.server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn message_put_off_is_delivered_later() {
    let office = Office::open().await;
    let id = office.book("later@example.org", "Patience").await;
    let ended = office.client().ended(&id, LIMIT).await;
    assert_eq!(ended["call_result"], 0, "{ended:#}");
    let attempts = office.client().attempts(&id).await;
    assert_eq!(attempts.len(), 2, "{attempts:#?}");
    assert_eq!(
        (
            attempts[0]["verdict"].clone(),
            attempts[0]["platform"]["code"].clone()
        ),
        (json!("deferred"), json!(451))
    );
    assert_eq!(attempts[1]["verdict"], "reached");
    assert_eq!(office.answers("later@example.org"), [451, 250]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_address_is_final() {
    let office = Office::open().await;
    let id = office.book("never@example.org", "Nobody").await;
    let ended = office.client().ended(&id, LIMIT).await;
    let attempts = office.client().attempts(&id).await;
    assert_eq!(attempts.len(), 1, "{attempts:#?}");
    assert_eq!(
        (
            attempts[0]["verdict"].clone(),
            attempts[0]["platform"]["code"].clone()
        ),
        (json!("invalid"), json!(550))
    );
    assert_eq!(ended["call_result"], attempts[0]["call_result"]);
    assert_eq!(office.answers("never@example.org"), [550]);
}

#[tokio::test(flavor = "multi_thread")]
async fn relay_that_is_down_is_nobodys_fault() {
    let mut office = Office::open().await;
    office.close();
    let id = office.book("bert@example.org", "Later").await;
    let client = office.client().clone();
    client
        .callback_when(
            &id,
            "an attempt at a relay that is down",
            LIMIT,
            |callback| {
                callback["held"]["guard"].is_string() || callback["next_attempt_at"].is_string()
            },
        )
        .await;
    office.reopen();
    let ended = client.ended(&id, LIMIT).await;
    assert_eq!(ended["call_result"], 0, "{ended:#}");
    let attempts = client.attempts(&id).await;
    let last = attempts.last().expect("an attempt");
    assert_eq!(last["verdict"], "reached", "{attempts:#?}");
    for earlier in &attempts[..attempts.len() - 1] {
        assert_eq!(
            (earlier["verdict"].clone(), earlier["counted"].clone()),
            (json!("route_fault"), json!(false)),
            "{earlier:#}"
        );
    }
    assert_eq!(ended["attempts"], 1);
    assert_eq!(office.letters("bert@example.org").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_writes_the_answer() {
    let office = Office::open().await;
    let client = office.client();
    // No template: the answer is written by a person.
    let rules = dn_queue(
        "",
        &[],
        json!({
            "delivery": {"kind": "agents"},
            "routes": {"voice": [], "voip": [], "email": ["relay"]},
            "email": {"from": "help@example.com"},
            "offer": "60s", "reply": "5m",
        }),
    );
    client.put_queue("people", rules).await;
    client.put_agent(5, "1005", None, "people", false).await;
    let id = client
        .book(json!({
            "queue": "people", "customer_number": "clara@example.org", "desired_response_type": "Email",
            "subject": "Where is my parcel?", "any_hour": true,
        }))
        .await;
    let offers = client.get("/v1/agents/5/offers?wait=30").await;
    let offers = offers
        .get("items")
        .unwrap_or(&offers)
        .as_array()
        .expect("offers")
        .clone();
    assert_eq!(offers.len(), 1, "{offers:#?}");
    assert_eq!(offers[0]["callback"]["interaction_id"], id.as_str());
    let offer = offers[0]["offer_id"].as_str().expect("an id");
    client
        .send(
            Method::POST,
            &format!("/v1/agents/5/offers/{offer}/accept"),
            json!({}),
        )
        .await;
    let reply = json!({
        "agent_id": 5, "subject": "Your parcel", "text": "It is on its way.\r\n\r\n.\r\nA line with a dot above.\r\n",
        "html": "<p>It is <b>on its way</b>.</p>",
    });
    client
        .send(Method::POST, &format!("/v1/callbacks/{id}/reply"), reply)
        .await;
    client
        .callback_when(&id, "the letter", LIMIT, |callback| {
            callback["call_result"] == 0
        })
        .await;
    let letters = office.letters("clara@example.org");
    assert_eq!(letters.len(), 1, "{letters:#?}");
    assert!(
        header(&letters[0].head(), "Auto-Submitted").is_none(),
        "a person wrote it: {}",
        letters[0].head()
    );
    let read = office.read(&letters[0]);
    assert_eq!(read["subject"], "Your parcel");
    let text = read["text"].as_str().expect("a text").replace("\r\n", "\n");
    assert!(
        text.contains("\n.\n") && text.contains("A line with a dot above."),
        "{text:?}"
    );
    assert!(
        read["html"]
            .as_str()
            .is_some_and(|html| html.contains("<b>on its way</b>")),
        "{read:#}"
    );
    let attempts = client.attempts(&id).await;
    assert_eq!(
        (attempts.len(), attempts[0]["agent_id"].clone()),
        (1, json!(5)),
        "{attempts:#?}"
    );
}

/// A server, its mail relay, and a queue that answers by template.
struct Office {
    server: Server,
    relay: Option<Peer>,
    port: u16,
    runs: u32,
    dir: TempDir,
}

#[derive(Debug)]
struct Letter {
    sender: String,
    bytes: Vec<u8>,
}

impl Office {
    async fn open() -> Office {
        let dir = tempfile::tempdir().expect("a directory");
        let port = free_port();
        let server = Server::start(&format!(
            "[[routes]]\nkind = \"smtp\"\nname = \"relay\"\nhost = \"127.0.0.1\"\nport = {port}\n\
             security = \"none\"\nfrom = \"ringback@example.com\"\n"
        ))
        .await;
        let mut office = Office {
            server,
            relay: None,
            port,
            runs: 0,
            dir,
        };
        office.reopen();
        office.answers_the_telephone().await;
        office
            .client()
            .put_queue("letters", template_queue(&["relay"], json!({})))
            .await;
        office
    }

    fn reopen(&mut self) {
        self.runs += 1;
        let script = copy_of("smtp_server.py", self.dir.path(), &[]);
        let mut command = Command::new(python());
        command.arg(script).arg(self.port.to_string());
        let log = self.dir.path().join(format!("smtp-{}.log", self.runs));
        self.relay = Some(Peer::start("aiosmtpd", &mut command, &log));
    }

    fn close(&mut self) {
        self.relay = None;
    }

    async fn answers_the_telephone(&self) {
        eventually("aiosmtpd being ready", LIMIT, || async {
            let log = self.relay.as_ref().map(Peer::log).unwrap_or_default();
            if log.contains("\"ready\"") {
                Ok(())
            } else {
                Err(log)
            }
        })
        .await;
    }

    fn client(&self) -> &Client {
        &self.server.client
    }

    async fn book(&self, address: &str, subject: &str) -> String {
        self.client()
            .book(json!({
                "queue": "letters", "customer_number": address, "desired_response_type": "Email",
                "customer_name": "Anna", "subject": subject, "any_hour": true,
            }))
            .await
    }

    /// What the server said about a recipient, in order.
    fn told(&self, address: &str) -> Vec<Value> {
        let log = self.relay.as_ref().map(Peer::log).unwrap_or_default();
        log.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|told| told["recipient"] == address)
            .collect()
    }

    fn answers(&self, address: &str) -> Vec<u64> {
        self.told(address)
            .iter()
            .filter_map(|told| told["answer"].as_u64())
            .collect()
    }

    fn letters(&self, address: &str) -> Vec<Letter> {
        self.told(address)
            .iter()
            .filter_map(|told| {
                let bytes = hex::decode(told["message"].as_str()?).expect("hexadecimal");
                Some(Letter {
                    sender: told["sender"].as_str()?.to_owned(),
                    bytes,
                })
            })
            .collect()
    }

    /// Reads a letter with Python's own mail package: nothing of ours judges it.
    fn read(&self, letter: &Letter) -> Value {
        let file = self.dir.path().join("letter.eml");
        std::fs::write(&file, &letter.bytes).expect("a letter can be written");
        let script = "import email, email.policy, json, sys\n\
                      m = email.message_from_bytes(open(sys.argv[1], 'rb').read(), policy=email.policy.default)\n\
                      part = lambda kind: (lambda p: p and p.get_content())(m.get_body((kind,)))\n\
                      d = [str(x) for p in m.walk() for x in p.defects]\n\
                      print(json.dumps({'subject': m['subject'], 'text': part('plain'), 'html': part('html'), 'defects': d}))\n";
        let output = Command::new(python())
            .arg("-c")
            .arg(script)
            .arg(&file)
            .output()
            .expect("python runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

impl Letter {
    /// The head, with folded lines joined.
    fn head(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        head.replace("\r\n ", " ").replace("\r\n\t", " ")
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The Python that has aiosmtpd: the one `script/test` made, or the system's.
fn python() -> String {
    static FOUND: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    FOUND
        .get_or_init(|| {
            let named = std::env::var("RINGBACK_AIOSMTPD_PYTHON").ok();
            let mut candidates = named.into_iter().chain(["python3".to_owned()]);
            candidates
                .find(|python| {
                    let tried = Command::new(python).args(["-c", "import aiosmtpd"]).output();
                    tried.is_ok_and(|output| output.status.success())
                })
                .expect("a Python with aiosmtpd; script/test makes one and names it in RINGBACK_AIOSMTPD_PYTHON")
        })
        .clone()
}
