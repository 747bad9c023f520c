//! `ringback bench` measures everything it can on SQLite, and every row is in the table, the JSON and the picture.
//! No figure is judged.

use serde_json::Value;
use std::process::Command;
use tempfile::TempDir;

/// What only a PostgreSQL, or who runs the bench, can give.
const NOT_HERE: [&str; 1] = ["cold-build"];

#[test]
fn quick_bench_measures_everything() {
    let dir = TempDir::new().expect("a directory");
    let file = |name: &str| dir.path().join(name);
    let output = Command::new(env!("CARGO_BIN_EXE_ringback"))
        .args(["bench", "--quick", "--dir"])
        .arg(dir.path())
        .arg("--json")
        .arg(file("bench.json"))
        .arg("--svg")
        .arg(file("bench.svg"))
        .arg("--markdown")
        .arg(file("bench.md"))
        .output()
        .expect("the program can be run");
    let (table, said) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}\n{table}");
    let read = |name: &str| std::fs::read_to_string(file(name)).expect("a file was written");
    let report: Value = serde_json::from_str(&read("bench.json")).expect("JSON");
    let (picture, markdown) = (read("bench.svg"), read("bench.md"));
    assert!(picture.starts_with("<svg ") && picture.trim_end().ends_with("</svg>"));

    let figures = report["figures"].as_array().expect("figures");
    assert!(figures.len() > 50, "{}", figures.len());
    for figure in figures {
        let name = figure["name"].as_str().expect("a name");
        assert!(table.contains(name), "{name} is in the table");
        if figure["target"]
            .as_str()
            .is_some_and(|target| !target.is_empty())
        {
            assert!(markdown.contains(name) && picture.contains(name), "{name}");
        }
        let place = figure["place"].as_str().expect("a place");
        let id = figure["id"].as_str().expect("an id");
        let state = figure["state"].as_str().expect("a state");
        let here = place != "postgres" && !NOT_HERE.contains(&id);
        assert_eq!(state != "not measured", here, "{figure}");
        if here {
            assert!(
                figure["value"].as_f64().is_some_and(|value| value >= 0.0),
                "{figure}"
            );
        }
    }
    let growth = report["growth"].as_array().expect("growth");
    assert_eq!(growth.len(), 2);
    // Nothing is left behind.
    let left: Vec<_> = std::fs::read_dir(dir.path())
        .expect("the directory")
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
