//! The configuration as an operator meets it: `ringback serve --check`, its report, its complaints, its exit code.

use std::path::Path;
use std::process::{Command, Output};

/// Runs `ringback` away from everybody's own settings.
fn ringback(dir: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringback"));
    command.current_dir(dir).args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RINGBACK_") {
            command.env_remove(name);
        }
    }
    command
        .envs(environment.iter().copied())
        .output()
        .expect("ringback runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_example_passes_its_check() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("r.toml"),
        include_str!("../../../ringback.example.toml"),
    )
    .unwrap();
    let output = ringback(dir.path(), &["serve", "--check", "--config", "r.toml"], &[]);
    let report = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for part in [
        "r.toml: good",
        "127.0.0.1:8070",
        "route           `trunk-a`: calls",
        "queue (seed)    `support`",
        "1m",
    ] {
        assert!(report.contains(part), "{part} is missing in:\n{report}");
    }
    // A check leaves nothing behind.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn without_a_file_the_defaults_hold_and_a_file_in_place_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let output = ringback(dir.path(), &["serve", "--check"], &[]);
    assert!(
        output.status.success() && text(&output.stdout).contains("defaults and environment: good")
    );
    std::fs::write(
        dir.path().join("ringback.toml"),
        "[server]\nlisten = \"127.0.0.1:4711\"\n",
    )
    .unwrap();
    let output = ringback(dir.path(), &["serve", "--check"], &[]);
    assert!(
        text(&output.stdout).contains("127.0.0.1:4711"),
        "{}",
        text(&output.stdout)
    );
    let output = ringback(
        dir.path(),
        &["serve", "--check"],
        &[("RINGBACK_SERVER__LISTEN", "127.0.0.1:4712")],
    );
    assert!(
        text(&output.stdout).contains("127.0.0.1:4712"),
        "{}",
        text(&output.stdout)
    );
    std::fs::write(
        dir.path().join("other.toml"),
        "[server]\nlisten = \"127.0.0.1:4713\"\n",
    )
    .unwrap();
    let output = ringback(
        dir.path(),
        &["serve", "--check"],
        &[("RINGBACK_CONFIG", "other.toml")],
    );
    assert!(
        text(&output.stdout).contains("127.0.0.1:4713"),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn a_bad_configuration_stops_every_command_with_file_line_and_key() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("bad.toml"),
        "[server]\nlissten = \"x\"\n\n[log]\nformat = \"xml\"\n",
    )
    .unwrap();
    for arguments in [
        &["serve", "--config", "bad.toml"][..],
        &["serve", "--check", "--config", "bad.toml"],
        &["migrate", "--config", "bad.toml"],
        &["keys", "list", "--config", "bad.toml"],
    ] {
        let output = ringback(dir.path(), arguments, &[]);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(
            errors.contains("bad.toml, line 2: `server.lissten` has no key"),
            "{arguments:?}: {errors}"
        );
        assert!(
            errors.contains("bad.toml, line 5: `log.format` cannot be `xml`"),
            "{arguments:?}: {errors}"
        );
    }
    // The doctor reports it among its findings.
    let output = ringback(
        dir.path(),
        &["doctor", "--json", "--config", "bad.toml"],
        &[],
    );
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let faults = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["state"] == "fault")
        .count();
    assert_eq!(
        (faults, &report["healthy"]),
        (2, &serde_json::json!(false)),
        "{report:#}"
    );
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing was made"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let output = ringback(dir.path(), &["serve", "--config", "nowhere.toml"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("nowhere.toml: cannot be read"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn wrong_variables_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let output = ringback(
        dir.path(),
        &["serve", "--check"],
        &[("RINGBACK_SERVER__LISSTEN", "hunter2")],
    );
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        errors.contains("environment variable RINGBACK_SERVER__LISSTEN: has no key `lissten`"),
        "{errors}"
    );
    assert!(!errors.contains("hunter2"), "{errors}");
}
