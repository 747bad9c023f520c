//! The built server in a process of its own.

use super::{Client, Installation, Peer};
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

/// A debug build on a busy machine takes its time to start.
const READY: Duration = Duration::from_secs(60);

pub struct Server {
    process: Peer,
    starts: u32,
    pub client: Client,
    /// Last, so that the log can still be read while the process is ended.
    installation: Installation,
}

/// Where a server listens, and what else stands in its configuration file.
pub struct Setup<'a> {
    pub http: &'a str,
    pub sip: &'a str,
    /// Routes and other sections.
    pub rest: &'a str,
}

impl Server {
    /// Starts on loopback, on ports of the system's choice.
    pub async fn start(rest: &str) -> Server {
        Server::start_with(Setup {
            http: "127.0.0.1:0",
            sip: "udp:127.0.0.1:0",
            rest,
        })
        .await
    }

    pub async fn start_with(setup: Setup<'_>) -> Server {
        let Setup { http, sip, rest } = setup;
        let config = format!(
            "[server]\nlisten = \"{http}\"\ndata = \"data\"\nshutdown_limit = \"20s\"\n\n\
             [api]\nopen_on_loopback = true\nrequests_per_second = 0\n\n\
             [log]\nlevel = \"info,ringback_dispatch=debug\"\n\n\
             [sip]\nlisten = [\"{sip}\"]\n\n{rest}\n"
        );
        let installation = Installation::new(None, &config);
        let mut server = Server::launch(installation, Client::new(String::new()));
        server.await_ready().await;
        server
    }

    /// Starts an installation, without waiting for it to be ready.
    pub fn launch(installation: Installation, client: Client) -> Server {
        Server {
            process: installation.launch(1),
            starts: 1,
            client,
            installation,
        }
    }

    pub fn data(&self) -> PathBuf {
        self.installation.data()
    }

    pub fn process(&mut self) -> &mut Peer {
        &mut self.process
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts again over the same data, without waiting for it to be ready.
    pub fn launch_again(&mut self) {
        // What an earlier run wrote must not be taken for the new run's address. It may never have got so far.
        let _ = std::fs::remove_file(self.data().join("listen"));
        self.starts += 1;
        self.process = self.installation.launch(self.starts);
    }

    /// Runs another command of the program on the same configuration.
    pub fn command(&self, arguments: &[&str]) -> Output {
        self.installation.run(arguments)
    }

    /// `ringback doctor` finds no fault: every event chain verifies.
    pub fn assert_healthy(&self) {
        let output = self.command(&["doctor"]);
        assert!(
            output.status.success(),
            "doctor: {}\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    pub async fn await_ready(&mut self) {
        let until = Instant::now() + READY;
        let listen = self.data().join("listen");
        loop {
            if let Ok(address) = std::fs::read_to_string(&listen) {
                let client = self.client.at(format!("http://{}", address.trim()));
                let ready = client.ask(reqwest::Method::GET, "/readyz", &[], None).await;
                if ready.is_ok_and(|(status, _)| status.is_success()) {
                    self.client = client;
                    return;
                }
            }
            if let Some(status) = self.process.has_ended() {
                panic!("the server ended at once: {status}");
            }
            assert!(
                Instant::now() < until,
                "the server was not ready within {READY:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
