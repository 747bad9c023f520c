//! The demonstration, as somebody who cloned the repository sees it: it plays, it checks itself, and with
//! `--keep` the lines it prints can be copied and work.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const RINGBACK: &str = env!("CARGO_BIN_EXE_ringback");
/// Three times what it takes on a machine that is not busy.
const PATIENCE: Duration = Duration::from_secs(90);

async fn ended(child: Child) -> Output {
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    output.expect("it ends in time").expect("it ran")
}

#[tokio::test]
async fn everything_happens_as_expected() {
    let begun = Instant::now();
    let child = Command::new(RINGBACK)
        .arg("demo")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let output = ended(child.expect("started")).await;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaints}");
    assert_eq!(
        complaints, "",
        "nothing is logged that a visitor would have to understand"
    );
    assert!(said.contains("Everything happened as expected"), "{said}");
    assert_eq!(
        (said.matches('✓').count(), said.matches('✗').count()),
        (16, 0),
        "{said}"
    );
    assert!(!said.contains('\u{1b}'), "no colours outside a terminal");
    // The trunk's login and whole numbers are nobody's business, even here.
    assert!(!said.contains("7946"), "{said}");
    assert!(begun.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_town_that_stays_up_takes_callbacks_and_ends_when_told() {
    let mut town = Command::new(RINGBACK)
        .args(["demo", "--keep"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(town.stdout.take().expect("its words")).lines();
    let find_line = async {
        while let Some(line) = lines.next_line().await.expect("readable") {
            if line.contains("callbacks --url") {
                return line;
            }
        }
        panic!("the line to copy never came");
    };
    let line = tokio::time::timeout(PATIENCE, find_line)
        .await
        .expect("in time");
    // The rest of its words must be read, or the town would wait for us.
    let listening = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });

    // Exactly as it stands there, by a shell.
    let copied = Command::new("sh")
        .args(["-c", &line])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let booked = ended(copied.expect("a shell")).await;
    let said = String::from_utf8_lossy(&booked.stdout);
    assert!(booked.status.success(), "{line}\n{said}");
    assert!(said.contains("they can speak with each other"), "{said}");

    let pid = town.id().expect("still up").to_string();
    let told = Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .await
        .expect("kill");
    assert!(told.success());
    let status = tokio::time::timeout(PATIENCE, town.wait())
        .await
        .expect("in time")
        .expect("it ran");
    assert!(status.success());
    listening.await.expect("read to the end");
}
