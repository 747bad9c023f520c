//! A program that stands on the other side, ended by its process id however the test ends.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub struct Peer {
    name: String,
    child: Child,
    log: PathBuf,
    asks_first: bool,
}

impl Peer {
    /// Starts a program with its output in a file. A missing program names the way to install it.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Peer {
        let output = File::create(log).expect("the log can be made");
        let errors = output.try_clone().expect("the log can be shared");
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn().unwrap_or_else(|error| {
            panic!("{name} cannot be started ({error}); script/test installs what the end-to-end tests need")
        });
        Peer {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            asks_first: false,
        }
    }

    /// At the end it is asked to go (SIGTERM) before it is killed: it has children to take with it.
    pub fn asked_first(mut self) -> Peer {
        self.asks_first = true;
        self
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours can be asked")
    }

    /// Waits for the program to end by itself; `None` when it did not.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.has_ended() {
                return Some(status);
            }
            if Instant::now() >= until {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn signal(&self, signal: &str) {
        let done = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.id().to_string())
            .status();
        assert!(
            done.is_ok_and(|status| status.success()),
            "{} could not be sent {signal}",
            self.name
        );
    }

    /// `kill -9`, and no zombie left.
    pub fn kill(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if self.asks_first && self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            // A child that has not been waited for keeps its process id: this can be nobody else.
            let _ = Command::new("kill").arg(self.id().to_string()).status();
            self.wait(Duration::from_secs(5));
        }
        self.kill();
        if std::thread::panicking() {
            eprintln!(
                "--- {}: end of its log ---\n{}",
                self.name,
                tail(&self.log(), 60)
            );
        }
    }
}

/// The last lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
