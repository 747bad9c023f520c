//! The stage of the SIPp tests: one server, a SIPp for every part, and one booking.

use crate::harness::{
    Client, Peer, Server, copy_of, customer_number, dn_queue, free_port, free_port_block,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Longer than any scenario takes, a silent peer's 32 s included, on a machine with other things to do.
pub const LIMIT: Duration = Duration::from_secs(90);
const QUEUE: &str = "desk";

/// One SIPp: which scenario it plays, and as whom.
#[derive(Clone)]
pub struct Part {
    route: &'static str,
    scenario: &'static str,
    calls: u32,
    answer: (u16, String),
}

impl Part {
    /// The switch with the agents behind it.
    pub fn agent(scenario: &'static str) -> Part {
        Part {
            route: "desk-pbx",
            scenario,
            calls: 1,
            answer: (200, "OK".to_owned()),
        }
    }

    /// A trunk with the customer behind it.
    pub fn trunk(route: &'static str, scenario: &'static str) -> Part {
        Part {
            route,
            ..Part::agent(scenario)
        }
    }

    pub fn calls(self, calls: u32) -> Part {
        Part { calls, ..self }
    }

    pub fn answering(self, code: u16, reason: &str) -> Part {
        Part {
            answer: (code, reason.to_owned()),
            ..self
        }
    }
}

pub struct Playing {
    pub name: &'static str,
    peer: Peer,
    messages: PathBuf,
}

impl Playing {
    fn start(part: &Part, port: u16, dir: &Path) -> Playing {
        let dir = dir.join(part.route);
        std::fs::create_dir(&dir).expect("a directory");
        let words = [
            ("@CODE@", part.answer.0.to_string()),
            ("@REASON@", part.answer.1.clone()),
        ];
        let words: Vec<(&str, &str)> = words
            .iter()
            .map(|(word, value)| (*word, value.as_str()))
            .collect();
        let scenario = copy_of(&format!("sipp/{}.xml", part.scenario), &dir, &words);
        let messages = dir.join("messages.log");
        let mut command = Command::new("sipp");
        command
            .args([
                "-i",
                "127.0.0.1",
                "-nostdin",
                "-timeout",
                "120",
                "-timeout_error",
            ])
            .arg("-sf")
            .arg(&scenario)
            .args([
                "-p",
                &port.to_string(),
                "-mp",
                &free_port_block(4).to_string(),
                "-m",
                &part.calls.to_string(),
            ])
            .args(["-trace_msg", "-message_file"])
            .arg(&messages)
            .current_dir(&dir);
        let peer = Peer::start(
            &format!("SIPp ({})", part.scenario),
            &mut command,
            &dir.join("sipp.log"),
        );
        Playing {
            name: part.scenario,
            peer,
            messages,
        }
    }

    /// Everything it sent and received.
    pub fn messages(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.messages).unwrap_or_default()).into_owned()
    }
}

/// A server, the SIPps around it, and one booking.
pub struct Call {
    pub id: String,
    pub parts: Vec<Playing>,
    pub server: Server,
    /// Last, so that logs can still be read while the others are dropped.
    _dir: TempDir,
}

impl Call {
    pub async fn set_up(parts: &[Part], rules: Value) -> Call {
        Call::set_up_with(parts, rules, "").await
    }

    pub async fn set_up_with(parts: &[Part], rules: Value, more_config: &str) -> Call {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = more_config.to_owned();
        let mut playing = Vec::new();
        for part in parts {
            let port = free_port();
            config.push_str(&format!(
                "\n[[routes]]\nkind = \"sip\"\nname = \"{}\"\nuri = \"sip:127.0.0.1:{port}\"\nping = \"0s\"\n\
                 user = \"trunk-user\"\npassword = \"trunk-secret\"\nrealm = \"rig.example\"\n",
                part.route
            ));
            playing.push(Playing::start(part, port, dir.path()));
        }
        let server = Server::start(&config).await;
        let trunks: Vec<&str> = parts
            .iter()
            .map(|part| part.route)
            .filter(|route| *route != "desk-pbx")
            .collect();
        server
            .client
            .put_queue(QUEUE, dn_queue("desk-pbx", &trunks, rules))
            .await;
        Call {
            id: String::new(),
            parts: playing,
            server,
            _dir: dir,
        }
    }

    pub fn client(&self) -> &Client {
        &self.server.client
    }

    pub async fn book_and_wait(&mut self) -> Value {
        let request = json!({
            "queue": QUEUE, "customer_number": customer_number(7), "desired_response_type": "Voice", "any_hour": true,
        });
        self.id = self.client().book(request).await;
        self.client().ended(&self.id, LIMIT).await
    }

    pub async fn attempts(&self) -> Vec<Value> {
        self.client().attempts(&self.id).await
    }

    pub async fn only_attempt(&self) -> Value {
        let mut attempts = self.attempts().await;
        assert_eq!(attempts.len(), 1, "{attempts:#?}");
        attempts.remove(0)
    }

    /// SIPp ends with 0 when all its calls went by the scenario.
    pub fn everybody_saw_what_they_expected(&mut self) {
        for part in &mut self.parts {
            let status = part.peer.wait(Duration::from_secs(40));
            assert!(
                status.is_some_and(|status| status.success()),
                "SIPp ({}) ended with {status:?}\n{}\n{}",
                part.name,
                part.messages(),
                part.peer.log()
            );
        }
    }
}
