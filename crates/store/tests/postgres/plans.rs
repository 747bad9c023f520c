//! Statements are planned once, and often while their tables are empty: they must find their rows by the right index
//! all the same. One that runs through a list instead works, and takes longer with every callback stored.

use crate::database;
use crate::town::*;
use serde_json::json;
use std::collections::BTreeSet;

/// By what a booking and a call find their rows: keys, what is due, who waits, seats, and holds.
const FOUND_BY: [&str; 19] = [
    "api_keys",
    "agents_free",
    "agents_pkey",
    "attempts_pkey",
    "callback_contacts_pkey",
    "callbacks_claim_until_idx",
    "callbacks_pkey",
    "callbacks_tenant_queue_by_mail_rank_since_id_idx",
    "callbacks_tenant_queue_seat_idx",
    "callbacks_wakes_at_idx",
    "customer_contacts_pkey",
    "customers_pkey",
    // A start asks for the last event of each tenant.
    "events_tenant_seq_idx",
    "idempotency_pkey",
    "queues_pkey",
    "recent_calls_pkey",
    "slot_counts_pkey",
    "slot_holds_at",
    "slot_places_pkey",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_found_by_their_keys_from_the_first_day() {
    let town = postgres().await;
    let mut rules = dn_rules(5);
    rules.capacity = serde_json::from_value(json!({ "per_slot": 5 })).unwrap();
    town.queue("billing", rules).await;
    // The worst that can be said of a table: that it is known to be empty.
    database(&town).sql("VACUUM ANALYZE");
    for last in 0..20 {
        let booked = town.order("billing", voice(last), monday()).await;
        let booked = ringback_store::AcceptOrder {
            idempotent: asked(5, &format!("order-{last}"), 1),
            ..booked
        };
        town.store.accept(booked).await.unwrap();
    }
    let tomorrow = with(
        voice(50),
        json!({ "start_time": later(86_400).to_string(), "end_time": later(86_400 + 3600).to_string() }),
    );
    town.book("billing", tomorrow, monday()).await;
    let mut called = 0;
    while called < 20 {
        let claimed = town.claim("one", later(60)).await.callbacks;
        assert!(!claimed.is_empty(), "{called} were called");
        for callback in claimed {
            let dialling = town.begin(&callback, later(61)).await.unwrap();
            town.settle(&dialling, reached(), later(62)).await;
            called += 1;
        }
    }
    // A start among all of that.
    let town = town.reopened().await;
    town.store.close().await;
    // A connection tells what it did when it ends.
    let database = database(&town);
    let mut tries = 0;
    while database.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()") != "0" {
        tries += 1;
        assert!(tries < 100, "connections outlive their store");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let used = database.sql(
        "SELECT DISTINCT regexp_replace(indexrelname, '_\\d{4}_\\d{2}|_rest', '') FROM pg_stat_user_indexes
         WHERE idx_scan > 0 AND relname !~ '^(migrations|installation)' ORDER BY 1",
    );
    let used: BTreeSet<&str> = used.lines().collect();
    for needed in ["callbacks_pkey", "attempts_pkey", "recent_calls_pkey"] {
        assert!(used.contains(needed), "{needed} is not used: {used:?}");
    }
    let known = BTreeSet::from(FOUND_BY);
    let strange: Vec<_> = used.difference(&known).collect();
    assert!(strange.is_empty(), "found by running through {strange:?}");
    // A key finds one row, or none. Who runs through the table by it finds all of them each time.
    let walked = database.sql(
        "SELECT indexrelname, idx_scan, idx_tup_read FROM pg_stat_user_indexes
         WHERE relname ~ '^(callbacks|attempts|interactions|events)_\\d' AND indexrelname ~ '_(pkey|seq_idx)$'",
    );
    let walked: Vec<&str> = walked
        .lines()
        .filter(|line| {
            let mut parts = line
                .split('|')
                .skip(1)
                .map(|part| part.parse::<u64>().unwrap());
            let (scans, rows) = (parts.next().unwrap(), parts.next().unwrap());
            rows > 2 * scans
        })
        .collect();
    assert!(walked.is_empty(), "looks, and rows run through: {walked:?}");
}
