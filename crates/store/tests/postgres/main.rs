//! What is PostgreSQL's own: the shape of the schema, the order of events, two nodes on one database, many that start
//! at once, months that come and go, and by what rows are found.

#[path = "../conformance/town.rs"]
#[allow(dead_code)]
mod town;

mod catalog;
mod months;
mod nodes;
mod order;
mod plans;
mod schema;

use ringback_sim::postgres::{Database, Ground as Soil, shared};
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
