//! The server that is measured, and the telephones around it.

use crate::config::Config;
use crate::wiring;
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use ringback_sim::script::{Behaviour, Talk};
use ringback_sim::trunk::{Trunk, TrunkOptions};
use serde_json::{Value, json};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub const QUEUE: &str = "bench";
/// Enough that nobody has to wait for one.
const AGENTS: u32 = 40;

/// Why nothing could be measured, in plain words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Setback(pub String);

pub struct Ground {
    pub desk: Trunk,
    pub town: Trunk,
    server: wiring::Server,
    http: reqwest::Client,
    directory: Directory,
}

impl Ground {
    /// Starts everything; `numbers` have telephones that are answered at once.
    pub async fn lay(parent: &Path, numbers: &[String]) -> Result<Ground, Setback> {
        let moment = Duration::from_millis(10);
        let desk = (1..=AGENTS).fold(TrunkOptions::default(), |desk, agent| {
            desk.line(
                &extension(agent),
                Behaviour::answer(moment, Talk::UntilHungUp),
            )
        });
        let desk = Trunk::start(desk)
            .await
            .map_err(|error| Setback(format!("no socket for a telephone: {error}")))?;
        let town = numbers
            .iter()
            .fold(TrunkOptions::default(), |town, number| {
                town.line(
                    number,
                    Behaviour::answer(moment, Talk::For(Duration::from_millis(100))),
                )
            });
        let town = Trunk::start(town)
            .await
            .map_err(|error| Setback(format!("no socket for a telephone: {error}")))?;

        let directory = Directory::make(parent)?;
        let file = directory.0.join("ringback.toml");
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ndata = \"data\"\n\n\
             [api]\nopen_on_loopback = true\nrequests_per_second = 0\n\n[sip]\nlisten = [\"udp:127.0.0.1:0\"]\n\n{}\n{}",
            route("desk", &desk),
            route("town", &town)
        );
        let config = Config::parse(&file, &text, &[], Timestamp::now())
            .map_err(|error| Setback(error.to_string()))?;
        let server = wiring::start(config)
            .await
            .map_err(|error| Setback(error.to_string()))?;
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .build()
            .map_err(|error| Setback(format!("no HTTP client: {error}")))?;
        let ground = Ground {
            desk,
            town,
            server,
            http,
            directory,
        };
        ground.open_queue().await?;
        Ok(ground)
    }

    /// A client with connections of its own, as separate programs have.
    pub fn client(&self) -> Client {
        Client {
            base: format!("http://{}", self.server.address),
            http: self.http.clone(),
        }
    }

    pub async fn clear(self) {
        // Nobody is on the line any more, and what waits is thrown away with the directory.
        let hurry = CancellationToken::new();
        hurry.cancel();
        self.server.stop(hurry).await;
        self.desk.stop().await;
        self.town.stop().await;
        drop(self.directory);
    }

    async fn open_queue(&self) -> Result<(), Setback> {
        let queue = json!({
            "name": "Bench",
            "hours": {"opening_hours": "24/7", "time_zone": "UTC"},
            "delivery": {"kind": "agents"},
            "dial": {"regions": ["US"]},
            "routes": {"voice": ["town"], "voip": [], "email": []},
            "wrap_up": "0s",
            // A long run comes back to its first numbers.
            "duplicates": "allow",
        });
        self.put(&format!("/v1/queues/{QUEUE}"), &queue).await?;
        for agent in 1..=AGENTS {
            let person = json!({
                "name": format!("Agent {agent}"),
                "dn": extension(agent),
                "route": "desk",
                "queues": [QUEUE],
                "auto_accept": true,
            });
            self.put(&format!("/v1/agents/{agent}"), &person).await?;
            self.put(
                &format!("/v1/agents/{agent}/presence"),
                &json!({"presence": "ready"}),
            )
            .await?;
        }
        Ok(())
    }

    async fn put(&self, path: &str, body: &Value) -> Result<(), Setback> {
        let (status, answer) = self.client().send(Method::PUT, path, body).await?;
        if status.is_success() {
            Ok(())
        } else {
            Err(Setback(format!("{path} was refused: {status} {answer}")))
        }
    }
}

#[derive(Clone)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

impl Client {
    /// Books one callback for that moment.
    pub async fn book(&self, number: &str, start: Timestamp) -> Result<Value, Setback> {
        let request = json!({
            "queue": QUEUE,
            "customer_number": number,
            "desired_response_type": "Voice",
            "any_hour": true,
            "start_time": start.to_string(),
            "subject": "A question about the last bill",
        });
        let (status, body) = self.send(Method::POST, "/v1/callbacks", &request).await?;
        if status == StatusCode::CREATED {
            Ok(body)
        } else {
            Err(Setback(format!("a booking was answered {status}: {body}")))
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<(StatusCode, Value), Setback> {
        let failed = |error: reqwest::Error| Setback(format!("no answer: {error}"));
        let answer = self
            .http
            .request(method, format!("{}{path}", self.base))
            .json(body)
            .send()
            .await
            .map_err(failed)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(failed)?;
        Ok((
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        ))
    }
}

/// A valid number of New York, another for each `index` below a million.
pub fn number(index: u32) -> String {
    format!("+1212{}", 5_000_000 + index % 1_000_000)
}

fn extension(agent: u32) -> String {
    format!("agent{agent}")
}

fn route(name: &str, trunk: &Trunk) -> String {
    format!(
        "[[routes]]\nkind = \"sip\"\nname = \"{name}\"\nuri = \"sip:{}\"\nping = \"0s\"\n\
         calls_per_second = 1000.0\nconcurrent = 1000\n",
        trunk.addr()
    )
}

/// Removed when dropped, however the measurement ends.
struct Directory(PathBuf);

impl Directory {
    fn make(parent: &Path) -> Result<Directory, Setback> {
        let path = parent.join(format!("ringback-bench-{:016x}", rand::random::<u64>()));
        // Not recursive: a directory that is there already is somebody else's.
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| Setback(format!("{} cannot be made: {error}", path.display())))?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!(
                "ringback bench: {} could not be removed: {error}",
                self.0.display()
            );
        }
    }
}
