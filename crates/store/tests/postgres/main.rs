//! What is PostgreSQL's own: the shape of the schema, the order of events, two nodes on one database, what one of them
//! decides while the other one writes, the news between them, many that start at once, months that come and go, and by
//! what rows are found.

#[path = "../conformance/town.rs"]
#[allow(dead_code)]
mod town;

mod catalog;
mod meanwhile;
mod months;
mod news;
mod nodes;
mod order;
mod plans;
mod schema;

use ringback_sim::postgres::{Database, Ground as Soil, shared};
use std::time::Duration;
use tokio_postgres::{Client, NoTls};
use town::{Ground, Town};

/// An empty database.
pub fn nothing() -> Database {
    shared(Soil::QUICK).database()
}

/// The database under a town.
pub fn database(town: &Town) -> &Database {
    match &town.ground {
        Ground::Database(database) => database,
        Ground::Memory | Ground::Folder(_) | Ground::Elsewhere => panic!("a town on PostgreSQL"),
    }
}

/// A client of the test's own, beside the store.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(async move {
        // An error ends the connection; the test sees that by itself.
        let _ = connection.await;
    });
    client
}

/// Until so many transactions in the town's database wait for a lock of this kind: `transactionid` for another one to
/// end, `relation` for a table.
pub async fn stand_still(town: &Town, kind: &str, number: i64) {
    let watch = connect(&town.url).await;
    let waits = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = $1";
    for _ in 0..3000 {
        if watch
            .query_one(waits, &[&kind])
            .await
            .unwrap()
            .get::<_, i64>(0)
            >= number
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("fewer than {number} wait");
}
