//! A directory with a configuration, and perhaps a server that runs on it: what every test here begins with.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Far more than anything here takes on an idle machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A directory with a configuration, and perhaps a server that runs on it.
pub struct Place {
    pub dir: TempDir,
    pub child: Option<Child>,
    url: String,
}

/// A queue that answers by template and one that calls through a route where nobody listens.
pub const QUEUES: &str = r#"
[[queues]]
id = "mail"
name = "Mail"
hours = { opening_hours = "24/7", time_zone = "Europe/London" }
routes = { email = ["relay"] }
wrap_up = "0s"
[queues.retry]
deferred = { after = "1s", times = 1 }
[queues.email.template]
subject = "Re: {{subject}}"
text = "Dear {{customer_name}}"

[[queues]]
id = "support"
name = "Support"
hours = { opening_hours = "24/7", time_zone = "Europe/London" }
dial = { regions = ["GB"], default_region = "GB" }
"#;

impl Place {
    pub fn new(config: &str) -> Place {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("r.toml"), config).unwrap();
        Place {
            dir,
            child: None,
            url: String::new(),
        }
    }

    /// A server without keys that answers loopback; mail goes to `relay`.
    pub fn open(relay: Option<SocketAddr>, more: &str) -> Place {
        let mut place = Place::prepared(relay, more);
        place.start();
        place
    }

    /// The same before it is started.
    pub fn prepared(relay: Option<SocketAddr>, more: &str) -> Place {
        let relay = relay.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9)));
        Place::new(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ndata = \"data\"\n{more}\n[api]\nopen_on_loopback = true\n\
             [[routes]]\nkind = \"smtp\"\nname = \"relay\"\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n\
             from = \"Example <support@example.com>\"\n{QUEUES}",
            relay.port()
        ))
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringback"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RINGBACK_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.dir.path())
            .args(arguments)
            .env("RINGBACK_CONFIG", "r.toml")
            .env("RINGBACK_URL", &self.url);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("ringback runs")
    }

    /// Runs a command that must succeed, and gives its standard output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(arguments)).expect("JSON")
    }

    pub fn listen_file(&self) -> PathBuf {
        self.dir.path().join("data/listen")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Starts the server and waits for its address.
    pub fn start(&mut self) {
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let mut child = self
            .command(&["serve"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("ringback runs");
        let file = self.listen_file();
        let found = wait_for(|| {
            if let Some(status) = child.try_wait().unwrap() {
                return Some(Err(status));
            }
            let address = std::fs::read_to_string(&file).ok()?;
            Some(Ok(address.trim().to_owned()))
        });
        match found {
            Some(Ok(address)) => self.url = format!("http://{address}"),
            Some(Err(status)) => panic!("the server ended with {status}:\n{}", self.log()),
            None => panic!("the server does not listen:\n{}", self.log()),
        }
        self.child = Some(child);
    }

    pub fn address(&self) -> SocketAddr {
        self.url.trim_start_matches("http://").parse().unwrap()
    }

    pub fn signal(&self, name: &str) {
        let pid = self
            .child
            .as_ref()
            .expect("a running server")
            .id()
            .to_string();
        assert!(
            Command::new("kill")
                .args([&format!("-{name}"), &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    pub fn wait(&mut self) -> ExitStatus {
        let child = self.child.as_mut().expect("a running server");
        let status = wait_for(|| child.try_wait().unwrap()).expect("the server ends");
        self.child = None;
        status
    }

    /// Books, and gives the id.
    pub fn book(&self, arguments: &[&str]) -> String {
        let all: Vec<&str> = ["callbacks", "book", "--json"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        self.json(&all)["interaction_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Asks again and again until there is an answer or the limit has passed.
pub fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One request by hand: status and body.
pub fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    (
        status,
        answer
            .split_once("\r\n\r\n")
            .map_or(String::new(), |(_, body)| body.to_owned()),
    )
}
