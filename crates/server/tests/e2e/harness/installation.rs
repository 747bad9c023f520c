//! A configuration in a directory that goes away with it, and the built program run over it, here or on a host of
//! the test's network.

use super::{Host, Peer};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// No command of the program may take longer than this.
const LONGEST: Duration = Duration::from_secs(90);

pub struct Installation {
    dir: TempDir,
    host: Option<Host>,
    variables: Vec<(String, String)>,
}

impl Installation {
    pub fn new(host: Option<&Host>, config: &str) -> Installation {
        let dir = tempfile::Builder::new()
            .prefix("ringback-e2e-")
            .tempdir()
            .expect("a directory");
        std::fs::write(dir.path().join("ringback.toml"), config)
            .expect("the configuration can be written");
        Installation {
            dir,
            host: host.cloned(),
            variables: Vec::new(),
        }
    }

    /// A variable of the environment that everything started from here has.
    pub fn with(mut self, name: &str, value: &str) -> Installation {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The program with these arguments and the configuration of this installation.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_ringback");
        let mut command = match &self.host {
            Some(host) => host.command(program),
            None => Command::new(program),
        };
        command
            .args(arguments)
            .arg("--config")
            .arg(self.dir.path().join("ringback.toml"))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end, with everything it said.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let out = self.dir.path().join("said.out");
        let err = self.dir.path().join("said.err");
        let file = |path: &Path| std::fs::File::create(path).expect("a file can be made");
        let mut child = self
            .command(arguments)
            .stdout(file(&out))
            .stderr(file(&err))
            .spawn()
            .expect("the program can be run");
        let until = std::time::Instant::now() + LONGEST;
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child of ours can be asked") {
                break status;
            }
            if std::time::Instant::now() > until {
                // It is killed first, so that a failing test leaves nothing behind.
                let _ = child.kill();
                let _ = child.wait();
                panic!(
                    "ringback {arguments:?} did not end in {LONGEST:?}:\n{}\n{}",
                    std::fs::read_to_string(&out).unwrap_or_default(),
                    std::fs::read_to_string(&err).unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        Output {
            status,
            stdout: std::fs::read(&out).unwrap_or_default(),
            stderr: std::fs::read(&err).unwrap_or_default(),
        }
    }

    /// Starts the server for the `start`-th time.
    pub fn launch(&self, start: u32) -> Peer {
        Peer::start(
            "the server",
            &mut self.command(&["serve"]),
            &self.dir.path().join(format!("server-{start}.log")),
        )
    }
}
