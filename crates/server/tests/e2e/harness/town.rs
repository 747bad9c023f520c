//! Queues and numbers for the tests, and waiting with a limit.

use serde_json::{Value, json};
use std::fmt::Display;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A valid number of New York, another for each `index` below 1,000,000.
pub fn customer_number(index: u32) -> String {
    format!("+1212{}", 5_000_000 + index % 1_000_000)
}

/// A queue whose near end is one extension of a switch; `rules` overrides what it names (whole keys).
pub fn dn_queue(location: &str, routes: &[&str], rules: Value) -> Value {
    let queue = json!({
        "name": "End to end",
        "hours": {"opening_hours": "24/7", "time_zone": "UTC"},
        "delivery": {"kind": "dn", "dn": "agents", "location": location, "max_concurrent": 50},
        "dial": {"regions": ["US", "GB"]},
        "allow_private_addresses": true,
        "routes": {"voice": routes, "voip": [], "email": []},
        "ring_agent": "10s",
        "ring_customer": "10s",
        "max_talk": "60s",
        "wrap_up": "0s",
        "retry": {
            "busy": {"after": "1s", "times": 2},
            "no_answer": {"after": "1s", "times": 0},
            "deferred": {"after": "1s", "times": 3},
            "route_fault": {"after": "1s", "times": 3},
            "unknown": {"after": "1s", "times": 2},
            "spread": 0.0
        }
    });
    merged(queue, rules)
}

/// A queue that answers e-mail callbacks by a template.
pub fn template_queue(routes: &[&str], rules: Value) -> Value {
    let queue = json!({
        "name": "Letters",
        "hours": {"opening_hours": "24/7", "time_zone": "UTC"},
        "routes": {"voice": [], "voip": [], "email": routes},
        "retry": {"deferred": {"after": "1s", "times": 3}, "route_fault": {"after": "1s", "times": 5}, "spread": 0.0},
        "email": {
            "from": "help@example.com",
            "template": {
                "subject": "Your question: {{subject}}",
                "text": "Dear {{customer_name}},\n\nwe have read your question.\n",
                "html": "<p>Dear {{customer_name}},</p><p>we have read your question.</p>"
            }
        }
    });
    merged(queue, rules)
}

/// Asks again and again until there is something, and fails with what was last seen.
pub async fn eventually<T, E: Display, F: Future<Output = Result<T, E>>>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> F,
) -> T {
    let until = Instant::now() + limit;
    loop {
        match ask().await {
            Ok(found) => return found,
            Err(seen) => assert!(
                Instant::now() < until,
                "{what} did not happen in {limit:?}; last seen: {seen}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A file from the tests' own folder, copied with some words replaced.
pub fn copy_of(name: &str, into: &Path, words: &[(&str, &str)]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/e2e")
        .join(name);
    let mut text = std::fs::read_to_string(&source)
        .unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    for (word, value) in words {
        text = text.replace(word, value);
    }
    let target = into.join(source.file_name().expect("a file has a name"));
    std::fs::write(&target, text).expect("a copy can be written");
    target
}

fn merged(mut base: Value, over: Value) -> Value {
    let (Value::Object(base_map), Value::Object(over)) = (&mut base, over) else {
        panic!("rules are objects")
    };
    for (key, value) in over {
        base_map.insert(key, value);
    }
    base
}
