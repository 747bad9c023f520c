//! A stranger's SIP calls the town: SIPp proves its login to the exchange and talks to a customer.

use ringback_sim::script::{Behaviour, Talk};
use ringback_sim::trunk::{Trunk, TrunkOptions};
use ringback_sim::witness::Happening;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

#[tokio::test]
async fn sipp_calls_the_town_with_a_login() {
    let answer = Behaviour::answer(Duration::from_millis(100), Talk::UntilHungUp);
    let options = TrunkOptions::default()
        .line("4930111", answer)
        .demanding("ringback", "open");
    let trunk = Trunk::start(options).await.expect("an exchange");
    let mut happenings = trunk.witness().listen();
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sipp/caller.xml");
    let quiet = tempfile();
    let run = tokio::process::Command::new("sipp")
        .arg(trunk.addr().to_string())
        .args([
            "-sf",
            &scenario.to_string_lossy(),
            "-s",
            "4930111",
            "-i",
            "127.0.0.1",
            "-m",
            "3",
            "-l",
            "1",
        ])
        .args(["-timeout", "30s", "-timeout_error", "-nostdin"])
        .current_dir(&quiet)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let run = tokio::time::timeout(Duration::from_secs(60), run)
        .await
        .expect("SIPp ends in time")
        .expect("SIPp is installed; if not, script/test installs it (Debian: sip-tester)");
    assert!(
        run.status.success(),
        "SIPp failed: {}",
        String::from_utf8_lossy(&run.stderr)
    );
    let rings = trunk.witness().rings_by_attempt();
    assert_eq!(
        (rings.len(), rings.values().sum::<u32>()),
        (3, 3),
        "a challenged call is no ring: {rings:?}"
    );
    // The record of a call is written a moment after its end.
    for _ in 0..3 {
        let record = async {
            while !matches!(
                happenings.recv().await.expect("the exchange is on"),
                Happening::Media(_)
            ) {}
        };
        tokio::time::timeout(Duration::from_secs(20), record)
            .await
            .expect("every call leaves a record");
    }
    let media = trunk.witness().media();
    assert_eq!(media.len(), 3);
    assert!(media.iter().all(|call| call.sent > 0), "{media:?}");
    assert_eq!(
        (trunk.witness().open_calls(), trunk.witness().malformed()),
        (0, 0)
    );
}

/// A directory of this test's own, because SIPp leaves files where it stands.
fn tempfile() -> std::path::PathBuf {
    let directory = std::env::temp_dir().join(format!("ringback-sim-sipp-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    directory
}
