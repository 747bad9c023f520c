//! `ringback bench` measures everything it promises to, and the figures hang together. No figure is judged.

use serde_json::Value;
use std::process::Command;

#[test]
fn quick_bench_measures_everything() {
    let output = Command::new(env!("CARGO_BIN_EXE_ringback"))
        .args(["bench", "--quick", "--json"])
        .output()
        .expect("the program can be run");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value =
        serde_json::from_slice(&output.stdout).expect("JSON and nothing else on standard output");
    println!("{report:#}");
    let bookings = report["bookings"].as_array().expect("bookings");
    assert_eq!(
        bookings
            .iter()
            .map(|rate| rate["clients"].as_u64())
            .collect::<Vec<_>>(),
        [Some(1), Some(16), Some(64)]
    );
    for rate in bookings {
        assert!(
            rate["per_second"]
                .as_f64()
                .is_some_and(|figure| figure > 0.0),
            "{rate}"
        );
        assert_spread(&rate["latency"]);
    }
    assert_spread(&report["dialling"]["due_to_agent_invite"]);
    assert_spread(&report["dialling"]["due_to_customer_invite"]);
    for key in ["resident_at_rest_kb", "resident_when_waiting_kb"] {
        assert!(
            report["memory"][key].as_u64().is_some_and(|kb| kb > 1000),
            "{key}: {report}"
        );
    }
}

fn assert_spread(spread: &Value) {
    let at = |key: &str| {
        spread[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{key} in {spread}"))
    };
    let (p50, p95, p99) = (at("p50_ms"), at("p95_ms"), at("p99_ms"));
    assert!(p50 > 0.0 && p50 <= p95 && p95 <= p99, "{spread}");
}
