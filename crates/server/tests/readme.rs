//! The README's quick start, run as it stands: every `sh` block, in order, by a real shell with curl,
//! against the real program with the example configuration (on free ports).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The ```sh blocks of the README, joined.
fn quick_start() -> String {
    let readme = fs::read_to_string(root().join("README.md")).expect("the README");
    let mut script = String::new();
    let mut inside = false;
    for line in readme.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => {
                // The address is this test's own; each command's answer ends its line.
                if line.starts_with("export RINGBACK_URL") {
                    continue;
                }
                let told = if line.starts_with("ID=") {
                    line.to_owned()
                } else {
                    line.replace("curl -s ", "curl -s -w '\\n%{http_code}\\n' ")
                };
                script.push_str(&told);
                script.push('\n');
            }
            _ => {}
        }
    }
    script
}

#[test]
fn the_quick_start_works_as_it_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let example = fs::read_to_string(root().join("ringback.example.toml")).expect("the example");
    let config = example
        .replace("127.0.0.1:8070", "127.0.0.1:0")
        .replace("udp:127.0.0.1:5070", "udp:127.0.0.1:0")
        .replace("tcp:127.0.0.1:5070", "tcp:127.0.0.1:0");
    fs::write(folder.path().join("ringback.toml"), config).expect("written");
    let child = Command::new(env!("CARGO_BIN_EXE_ringback"))
        .args(["serve", "--config", "ringback.toml"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let _server = Server(child);
    let listen = folder.path().join("ringback-data/listen");
    let begun = Instant::now();
    let address = loop {
        match fs::read_to_string(&listen) {
            Ok(address) if !address.trim().is_empty() => break address.trim().to_owned(),
            Ok(_) | Err(_) => {
                assert!(
                    begun.elapsed() < Duration::from_secs(60),
                    "the server does not start"
                );
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    };
    let url = if address.starts_with("http") {
        address
    } else {
        format!("http://{address}")
    };
    let script = quick_start();
    assert!(
        script.matches("curl").count() >= 8,
        "the README has a quick start"
    );
    let output = Command::new("sh")
        .args(["-eu", "-c", &script])
        .env("RINGBACK_URL", url)
        .env("no_proxy", "127.0.0.1")
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let statuses: Vec<&str> = said
        .lines()
        .filter(|line| line.len() == 3 && line.chars().all(|c| c.is_ascii_digit()))
        .collect();
    assert_eq!(
        statuses,
        ["201", "200", "200", "200", "200", "400", "200", "200"],
        "{said}"
    );
    for expected in [
        "\"category_id\":\"heating\"",
        "\"promise\"",
        "\"guard\"",
        "unknown_field",
        "\"state\":\"cancelled\"",
    ] {
        assert!(said.contains(expected), "{expected} in:\n{said}");
    }
}
