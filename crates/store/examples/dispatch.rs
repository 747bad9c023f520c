//! Works through many callbacks that are due at one moment, as the dispatcher does but with nobody called, and says
//! how fast that was.
//!
//! `cargo run --profile profiling -p ringback-store --example dispatch -- [CALLBACKS] [AT A TIME] [URL]`. Each is
//! woken by the clock, given a place at the queue's DN, begun and settled; everything is durable.

#[path = "../tests/conformance/town.rs"]
#[allow(dead_code)]
mod town;

use ringback_callbacks::ids::AttemptId;
use ringback_store::{AcceptOrder, Applied, ApplyOrder, ClaimOrder, Store};
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;
use town::*;
use uuid::Uuid;

/// Numbers of New York, each a customer of its own.
const EXCHANGES: [&str; 4] = ["736", "563", "564", "868"];

/// Calls going on at a time at most: as many as a queue may have.
const PLACES: usize = 10_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| {
        let given = arguments.next();
        given.map_or(default, |text| text.parse().expect("a number"))
    };
    let (callbacks, at_a_time) = (number(20_000), number(1000));
    let town = match arguments.next() {
        Some(url) => Town::open(url, Ground::Elsewhere).await,
        None => sqlite_file().await,
    };
    town.queue("billing", dn_rules(10_000)).await;
    book(&town, callbacks).await;
    let begun = Instant::now();
    let mut running = JoinSet::new();
    let mut done = 0;
    let mut claims = 0;
    while done < callbacks {
        let room = at_a_time.saturating_sub(running.len());
        if room > at_a_time / 2 {
            let order = ClaimOrder {
                limit: 500,
                places: room.min(PLACES),
                ..claim_order("one", later(1))
            };
            let claimed = town.store.claim_due(order).await.expect("claims");
            claims += 1;
            for callback in claimed.callbacks {
                let store = Arc::clone(&town.store);
                running.spawn(async move { call(store.as_ref(), &callback).await });
            }
        }
        while running.len() > at_a_time / 2 {
            running.join_next().await;
            done += 1;
        }
        while running.try_join_next().is_some() {
            done += 1;
        }
        if done + running.len() == callbacks {
            while running.join_next().await.is_some() {
                done += 1;
            }
        }
    }
    let took = begun.elapsed();
    println!(
        "{callbacks} callbacks dispatched in {took:.2?} by {claims} claims: {:.0} a second",
        callbacks as f64 / took.as_secs_f64()
    );
    town.store.close().await;
}

/// One call that is over at once.
async fn call(store: &dyn Store, callback: &ringback_callbacks::callback::Callback) {
    let apply = |command| {
        let id = callback.interaction.id;
        store.apply(ApplyOrder::system(tenant(), id, command, later(1)))
    };
    let attempt = AttemptId(Uuid::now_v7());
    let dialling = match apply(begin(attempt, callback.fence)).await {
        Ok(Applied::Done(callback, _)) => callback,
        other => panic!("an attempt, not {other:?}"),
    };
    apply(settle(&dialling, reached())).await.expect("an end");
}

async fn book(town: &Town, callbacks: usize) {
    let mut running = JoinSet::new();
    for index in 0..callbacks {
        let exchange = EXCHANGES[index / 10_000 % EXCHANGES.len()];
        let request = json!({
            "customer_number": format!("+1212{exchange}{:04}", index % 10_000),
            "desired_response_type": "Voice",
            "customer_name": "Ada Lovelace",
            "subject": "An invoice that came twice",
            "udata": { "invoice": index, "page": "/invoices" },
        });
        let order = AcceptOrder {
            id: ringback_callbacks::ids::InteractionId(Uuid::now_v7()),
            ..town.order("billing", request, monday()).await
        };
        let store = Arc::clone(&town.store);
        if running.len() >= 1000 {
            running.join_next().await;
        }
        running.spawn(async move { store.accept(order).await.expect("a booking") });
    }
    while running.join_next().await.is_some() {}
}
