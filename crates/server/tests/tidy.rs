//! House rules as a test: who may import whom, no left-over markers, generated pages fresh.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            into.push(path);
        }
    }
}

fn all_rust_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    rust_files(&root().join("crates"), &mut files);
    assert!(files.len() > 50, "the walk must find the code");
    files
}

fn dependencies(krate: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(root().join("crates").join(krate).join("Cargo.toml"))
        .expect("a manifest");
    let table: toml::Table = manifest.parse().expect("a manifest is TOML");
    let section = table
        .get("dependencies")
        .and_then(toml::Value::as_table)
        .expect("dependencies");
    section.keys().cloned().collect()
}

#[test]
fn arrows_point_one_way() {
    let allowed: [(&str, &[&str]); 9] = [
        ("scheduling", &[]),
        ("callbacks", &["scheduling"]),
        ("store", &["callbacks", "scheduling"]),
        ("sip", &[]),
        ("channels", &["callbacks", "scheduling", "sip"]),
        (
            "dispatch",
            &["callbacks", "scheduling", "store", "channels"],
        ),
        ("api", &["callbacks", "scheduling", "store"]),
        ("sim", &["callbacks", "scheduling"]),
        ("simulate", &["scheduling"]),
    ];
    for (krate, may) in allowed {
        for dependency in dependencies(krate) {
            if let Some(ours) = dependency.strip_prefix("ringback-") {
                assert!(may.contains(&ours), "{krate} must not import {ours}");
            }
        }
    }
}

#[test]
fn pure_crates_reach_for_nothing() {
    let forbidden = [
        "tokio",
        "rusqlite",
        "axum",
        "reqwest",
        "lettre",
        "rand",
        "async-trait",
        "hyper",
        "rsipstack",
    ];
    for krate in ["scheduling", "callbacks", "simulate"] {
        let dependencies = dependencies(krate);
        for name in forbidden {
            assert!(
                !dependencies.contains(name),
                "{krate} must not depend on {name}"
            );
        }
        let mut files = Vec::new();
        rust_files(&root().join("crates").join(krate).join("src"), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).expect("readable");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for door in [
                "std::net",
                "std::fs",
                "std::env",
                "SystemTime",
                "Instant::now",
                "Timestamp::now",
                "Zoned::now",
            ] {
                assert!(
                    !code.contains(door),
                    "{} reaches for {door}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn only_the_sip_crate_names_the_stack() {
    for file in all_rust_files() {
        let path = file.to_string_lossy().replace('\\', "/");
        if path.contains("/crates/sip/") || path.ends_with("tidy.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("readable");
        assert!(
            !text.contains("use rsipstack"),
            "{path} names the stack crate"
        );
    }
}

#[test]
fn no_verb_knows_a_database() {
    let mut files = Vec::new();
    rust_files(&root().join("crates/store/src/verbs"), &mut files);
    assert!(!files.is_empty(), "the verbs have moved");
    for file in files {
        let text = fs::read_to_string(&file).expect("readable");
        for name in ["rusqlite", "sqlite", "postgres", "SELECT ", "INSERT "] {
            assert!(!text.contains(name), "{} names {name}", file.display());
        }
    }
}

#[test]
fn no_markers_are_left_over() {
    let markers = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[ig", "nore"),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("dbg", "!("),
    ];
    for file in all_rust_files() {
        let text = fs::read_to_string(&file).expect("readable");
        for marker in markers {
            assert!(!text.contains(marker), "{} holds {marker}", file.display());
        }
    }
}

#[test]
fn every_file_says_its_role_first() {
    for file in all_rust_files() {
        let text = fs::read_to_string(&file).expect("readable");
        assert!(
            text.starts_with("//!"),
            "{} must open with a sentence on its role",
            file.display()
        );
    }
}

#[test]
fn the_event_catalogue_is_fresh() {
    use ringback_callbacks::event::EventKind;
    let mut page = String::from(
        "# Events\n\nEvery change of a callback leaves an event in the same transaction. Each carries the SHA-256 of the one\n\
         before it; `ringback doctor` verifies the chains. This page is generated from the code.\n\n| kind | meaning |\n| --- | --- |\n",
    );
    for kind in EventKind::ALL {
        page.push_str(&format!(
            "| `{}` | {} |\n",
            kind.name(),
            kind.meaning().trim()
        ));
    }
    fresh("docs/reference/events.md", &page);
}

/// Compares a generated page with the one that is checked in; `UPDATE=1` writes it.
fn fresh(name: &str, page: &str) {
    let path = root().join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, page).expect("writable");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "{name} is stale: run `UPDATE=1 cargo test -p ringback --test tidy`"
    );
}
