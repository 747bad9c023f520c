//! Waiting costs nothing: thousands of callbacks for tomorrow, or due with nobody to take them, and no CPU.

use crate::harness::{Client, Server, customer_number, dn_queue};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const WAITING: u32 = 5_000;
const WATCHED: Duration = Duration::from_secs(5);
/// A tenth of one core.
const BUDGET: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_for_tomorrow_cost_no_cpu() {
    let server = Server::start(ROUTE).await;
    server
        .client
        .put_queue("waiting", dn_queue("town", &["town"], json!({})))
        .await;
    book(
        &server.client,
        Timestamp::now() + SignedDuration::from_hours(24),
    )
    .await;
    assert_idle(server, "for tomorrow").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn due_callbacks_without_an_agent_cost_no_cpu() {
    let server = Server::start(ROUTE).await;
    // Nobody serves the queue: everything is due, and nothing can be done.
    let rules = json!({"delivery": {"kind": "agents"}});
    server
        .client
        .put_queue("waiting", dn_queue("town", &["town"], rules))
        .await;
    book(&server.client, Timestamp::now()).await;
    assert_idle(server, "due, without an agent").await;
}

const ROUTE: &str =
    "[[routes]]\nkind = \"sip\"\nname = \"town\"\nuri = \"sip:127.0.0.1:9\"\nping = \"0s\"\n";

async fn book(client: &Client, start: Timestamp) {
    let next = Arc::new(AtomicU32::new(0));
    let clients = (0..16).map(|_| {
        let (client, next) = (client.clone(), next.clone());
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= WAITING {
                    return;
                }
                let request = json!({
                    "queue": "waiting", "customer_number": customer_number(number), "desired_response_type": "Voice",
                    "any_hour": true, "start_time": start.to_string(),
                });
                let (status, body) =
                    client.ask(Method::POST, "/v1/callbacks", &[], Some(&request)).await.expect("an answer");
                assert_eq!(status, StatusCode::CREATED, "{body}");
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("a client came to its end");
    }
}

async fn assert_idle(mut server: Server, what: &str) {
    // What the bookings themselves caused may still be on its way.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let process = server.process().id();
    let before = cpu_time(process);
    assert!(
        before > Duration::ZERO,
        "booking thousands must have cost something, or nothing is measured here"
    );
    tokio::time::sleep(WATCHED).await;
    let spent = cpu_time(process) - before;
    println!(
        "{WAITING} callbacks {what}: {spent:?} of CPU in {WATCHED:?}; {} kB resident",
        resident_kb(process)
    );
    assert!(
        spent < BUDGET,
        "{WAITING} callbacks {what} cost {spent:?} of CPU in {WATCHED:?}"
    );
}

/// User and system time of a process so far.
fn cpu_time(process: u32) -> Duration {
    let stat =
        std::fs::read_to_string(format!("/proc/{process}/stat")).expect("the server is alive");
    // The name may hold anything; what follows its closing bracket is in columns. 14 and 15 are ticks of 10 ms.
    let columns: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks: u64 = [11, 12]
        .iter()
        .map(|at| columns[*at].parse::<u64>().expect("a number"))
        .sum();
    Duration::from_millis(ticks * 10)
}

fn resident_kb(process: u32) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{process}/status")).expect("the server is alive");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}
