//! Nodes that start: one brings the schema up to date and the others find it; what is not known is left alone.

use crate::nothing;
use crate::town::*;
use ringback_store::{OpenOptions, Store};
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
