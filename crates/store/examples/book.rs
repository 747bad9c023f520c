//! Books many callbacks as fast as the store takes them and says how fast that was.
//!
//! `cargo run --profile profiling -p ringback-store --example book -- [BOOKINGS] [AT A TIME] [none|spread|hot] [URL]`:
//! in a queue without slots, spread over a week of slots, or all of them in one slot (10,000 at most). Under
//! `valgrind --tool=callgrind` the difference between two runs is what one booking costs.

#[path = "../tests/conformance/town.rs"]
#[allow(dead_code)]
mod town;

use ringback_callbacks::ids::InteractionId;
use ringback_store::{AcceptOrder, Acceptance};
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;
use town::*;
use uuid::Uuid;

/// Numbers of New York that the bookings go through, each a new customer.
const EXCHANGES: [&str; 4] = ["736", "563", "564", "868"];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| {
        let given = arguments.next();
        given.map_or(default, |text| text.parse().expect("a number"))
    };
    let (bookings, at_a_time) = (number(20_000), number(1000));
    let slots = arguments.next().unwrap_or_else(|| "none".to_owned());
    let town = match arguments.next() {
        Some(url) => Town::open(url, Ground::Elsewhere).await,
        None => sqlite_file().await,
    };
    let mut own = json!({ "duplicates": "merge" });
    if slots != "none" {
        own["capacity"] = json!({ "per_slot": 10_000 });
    }
    let rules = rules(own);
    town.queue("billing", rules).await;
    let mut orders = Vec::new();
    for index in 0..bookings {
        let exchange = EXCHANGES[index / 10_000 % EXCHANGES.len()];
        let mut request = json!({
            "customer_number": format!("+1212{exchange}{:04}", index % 10_000),
            "desired_response_type": "Voice",
            "customer_name": "Ada Lovelace",
            "subject": "An invoice that came twice",
            "udata": { "invoice": index, "page": "/invoices" },
        });
        // Quarters of an hour by day, over the week that follows.
        let slot = match slots.as_str() {
            "none" => None,
            "hot" => Some(0),
            _ => Some(index as u64 % 280),
        };
        if let Some(slot) = slot {
            let start = (1 + slot / 40) * 24 * 3600 + slot % 40 * 900;
            request["start_time"] = json!(later(start).to_string());
            request["end_time"] = json!(later(start + 900).to_string());
        }
        orders.push(AcceptOrder {
            id: InteractionId(Uuid::now_v7()),
            idempotent: asked(5, &format!("key-{index}"), 1),
            ..town.order("billing", request, monday()).await
        });
    }
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for mut order in orders {
        // As on a real day: ids made from the time of a booking lie together.
        order.now += begun.elapsed();
        let store = Arc::clone(&town.store);
        if running.len() >= at_a_time {
            running.join_next().await;
        }
        running.spawn(async move {
            match store.accept(order).await.expect("a booking") {
                Acceptance::New(..) | Acceptance::Merged(..) => {}
                Acceptance::Repeated(_) => panic!("a key came twice"),
            }
        });
    }
    while running.join_next().await.is_some() {}
    let took = begun.elapsed();
    println!(
        "{bookings} bookings in {took:.2?}: {:.0} a second",
        bookings as f64 / took.as_secs_f64()
    );
    town.store.close().await;
}
