//! Nodes that start: one brings the schema up to date and the others find it; what is not known is left alone.

use crate::months::id_at;
use crate::nothing;
use crate::town::*;
use jiff::Timestamp;
use ringback_callbacks::ids::InteractionId;
use ringback_store::{OpenOptions, Store};
use sha2::{Digest, Sha256};
use std::sync::Arc;

async fn open(url: &str) -> ringback_store::Result<Arc<dyn Store>> {
    ringback_store::open(url, OpenOptions::default(), Dice::new(1)).await
}

async fn refusal(url: &str) -> String {
    match open(url).await {
        Err(error) => error.to_string(),
        Ok(_) => panic!("refused"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_nodes_start_at_once() {
    let database = nothing();
    let starts: Vec<_> = (0..8)
        .map(|number| {
            let url = database.url();
            tokio::spawn(async move {
                let options = OpenOptions {
                    readers: 1,
                    writers: 1,
                    node: Some(format!("node-{number}")),
                    ..OpenOptions::default()
                };
                ringback_store::open(&url, options, Dice::new(number)).await
            })
        })
        .collect();
    let mut stores = Vec::new();
    for start in starts {
        stores.push(start.await.unwrap().expect("a node"));
    }
    assert_eq!(
        database.sql("SELECT count(*) = max(version) AND count(*) > 0 FROM migrations"),
        "t",
        "each migration was run once"
    );
    for store in &stores {
        store.ping().await.unwrap();
    }
    for store in stores {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_migration_is_refused() {
    let (url, ground) = a_database().await;
    let Ground::Database(database) = &ground else {
        panic!("a database")
    };
    let before =
        database.sql("UPDATE migrations SET checksum = 'another' WHERE version = 1 RETURNING name");
    assert_eq!(before, "0001_callbacks");
    let told = refusal(&url).await;
    assert!(
        told.contains("0001_callbacks") && told.contains("is not the one this program knows"),
        "{told}"
    );
}

/// An installation of the first version, in which a month came that nobody had made: its rows stand in the rest, and it is
/// brought up to date all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_that_came_unprepared_is_no_reason_not_to_start() {
    const FIRST: &str = include_str!("../../migrations/postgres/0001_callbacks.sql");
    let database = nothing();
    let checksum = hex::encode(Sha256::digest(FIRST.as_bytes()));
    database.sql(&format!(
        "{FIRST};
         CREATE TABLE migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL);
         INSERT INTO migrations VALUES (1, '0001_callbacks', '{checksum}')"
    ));
    for table in ["interactions", "callbacks", "attempts", "events"] {
        database.sql(&format!(
            "CREATE TABLE {table}_rest PARTITION OF {table} DEFAULT"
        ));
    }
    let now = Timestamp::now();
    let (id, month) = (id_at(now, 1), now.strftime("%Y_%m"));
    database.sql(&format!(
        "INSERT INTO events (tenant, seq, callback, number, at, kind, actor, detail, hash)
         VALUES ('default', 1, '{id}', 1, 0, 'accepted', 'system', '{{}}', 'none')"
    ));

    let store = open(&database.url()).await.expect("a store");
    assert_eq!(
        database.sql("SELECT count(*) = max(version) AND count(*) > 1 FROM migrations"),
        "t",
        "it was brought up to date"
    );
    let of = InteractionId(id);
    let found = store.events(&tenant(), of, 0, 10).await.unwrap();
    assert_eq!(found.len(), 1, "it is found in the rest");
    // The other tables, and the months to come of this one, have their divisions.
    for table in ["interactions", "callbacks", "attempts", "events"] {
        let made = database.sql(&format!(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
             WHERE inhparent = '{table}'::regclass AND relname <> '{table}_rest'"
        ));
        let unprepared = format!("{table}_{month}");
        assert_eq!(made.contains(&unprepared), table != "events", "{made}");
        assert!(made.lines().count() >= 2, "{made}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_is_refused() {
    let (url, ground) = a_database().await;
    let Ground::Database(database) = &ground else {
        panic!("a database")
    };
    database.sql("INSERT INTO migrations (version, name, checksum) VALUES (99, 'later', '')");
    let told = refusal(&url).await;
    assert!(
        told.contains("schema 99") && told.contains("use a newer program"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_another_program_are_left_alone() {
    let database = nothing();
    database.sql("CREATE TABLE queues (theirs TEXT); INSERT INTO queues VALUES ('still here')");
    let told = refusal(&database.url()).await;
    assert!(told.contains("tables of another program"), "{told}");
    assert_eq!(database.sql("SELECT theirs FROM queues"), "still here");
    assert_eq!(
        database.sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"),
        "1"
    );
}
