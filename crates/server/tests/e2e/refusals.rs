//! A database that cannot be used: each reason gets a sentence of its own, and a state that is defined. A server
//! that does not start leaves nothing half-done; one that runs refuses what it cannot keep, and recovers by itself.

use crate::harness::{Client, Host, Installation, Network, Server, eventually, free_port};
use crate::nodes::rig::{PASSWORD, ROLE, complaint, database, make_key, node_config};
use reqwest::{Method, StatusCode};
use ringback_sim::postgres::{self, Database, Ground};
use serde_json::json;
use std::process::Output;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const LOOPBACK: &str = "127.0.0.1";

/// `serve` over a database, which is expected to refuse.
fn refused(url: &str) -> String {
    let (output, told) = serve_once(url);
    assert!(!output.status.success(), "it started over {url}: {told}");
    assert!(!told.contains("panicked"), "{told}");
    told
}

fn serve_once(url: &str) -> (Output, String) {
    let output = Installation::new(None, &alone(url)).run(&["serve"]);
    let told = complaint(&output);
    // A password belongs into no message, wrong or right.
    for secret in [PASSWORD, "not-the-password"] {
        assert!(!told.contains(secret), "a password is told: {told}");
    }
    (output, told.to_lowercase())
}

/// A server on loopback without SIP.
fn alone(url: &str) -> String {
    format!(
        "[server]\nlisten = \"{LOOPBACK}:0\"\ndata = \"data\"\nnode = \"a\"\ndatabase = \"{url}\"\n\n\
         [api]\nopen_on_loopback = true\nrequests_per_second = 0\n\n[dispatch]\nlease = \"5s\"\n"
    )
}

fn url(database: &Database) -> String {
    database.url_as(ROLE, PASSWORD, LOOPBACK)
}

#[track_caller]
fn says(told: &str, any_of: &[&str]) {
    assert!(
        any_of.iter().any(|words| told.contains(words)),
        "none of {any_of:?} in: {told}"
    );
}

/// Tables that the program made, by anybody's schema.
fn tables(database: &Database) -> String {
    database.sql("SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")
}

#[test]
fn nobody_listens_at_the_address() {
    let port = free_port();
    let told = refused(&format!(
        "postgres://{ROLE}:{PASSWORD}@{LOOPBACK}:{port}/ringback"
    ));
    says(&told, &["refused", "cannot be reached", "connect"]);
    says(&told, &[&port.to_string()]);
}

#[test]
fn the_address_has_no_such_database() {
    let database = database();
    let told = refused(&url(&database).replace(&database.name, "no_such_thing"));
    says(&told, &["does not exist"]);
    says(&told, &["no_such_thing"]);
}

#[test]
fn the_host_has_no_address() {
    let told = refused(&format!(
        "postgres://{ROLE}:{PASSWORD}@database.invalid/ringback"
    ));
    says(&told, &["database.invalid", "resolve", "lookup", "name"]);
}

#[test]
fn the_password_is_wrong() {
    let database = database();
    let told = refused(&database.url_as(ROLE, "not-the-password", LOOPBACK));
    says(&told, &["password"]);
    says(&told, &[ROLE]);
}

#[test]
fn the_role_is_unknown() {
    let database = database();
    let told = refused(&database.url_as("nobody_here", "not-the-password", LOOPBACK));
    says(&told, &["password", "role", "nobody_here"]);
}

#[test]
fn the_role_may_not_create() {
    let database = database();
    let cluster = postgres::shared(Ground::DURABLE);
    cluster.role("bystander", PASSWORD, "NOCREATEDB");
    let told = refused(&database.url_as("bystander", PASSWORD, LOOPBACK));
    says(&told, &["permission", "right", "privilege"]);
    assert_eq!(tables(&database), "0", "nothing half-done");
}

#[test]
fn the_database_takes_no_writes() {
    let database = database();
    // Asked from outside: a session in it would not be allowed to change it back.
    let read_only = |on: &str| {
        postgres::shared(Ground::DURABLE).sql(&format!(
            "ALTER DATABASE {} SET default_transaction_read_only = {on}",
            database.name
        ))
    };
    // Before the first start, and over a schema that is there already.
    read_only("on");
    says(
        &refused(&url(&database)),
        &["read-only", "read only", "standby", "replica"],
    );
    assert_eq!(tables(&database), "0", "nothing half-done");
    read_only("off");
    migrated(&database);
    read_only("on");
    says(
        &refused(&url(&database)),
        &["read-only", "read only", "standby", "replica"],
    );
}

#[test]
fn the_schema_is_newer_than_the_program() {
    let database = database();
    migrated(&database);
    // Wherever the program keeps the number of its schema, the next release will have a greater one.
    let table = database.sql(
        "SELECT format('%I.%I', table_schema, table_name) || ' ' || quote_ident(column_name) FROM information_schema.columns \
         WHERE table_schema NOT IN ('pg_catalog', 'information_schema') \
         AND (table_name LIKE '%migration%' OR table_name LIKE '%schema%') \
         AND column_name IN ('version', 'number', 'schema_version') ORDER BY 1 LIMIT 1",
    );
    let (table, column) = table
        .split_once(' ')
        .expect("a table that holds the schema's version");
    let row = database.sql(&format!(
        "SELECT to_jsonb(t) FROM {table} t ORDER BY {column} DESC LIMIT 1"
    ));
    let row: serde_json::Value = serde_json::from_str(&row).expect("a row");
    let newer = row[column].as_i64().expect("a number") + 1000;
    database.sql(&format!(
        "INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object('{column}', {newer}))).* \
         FROM {table} t ORDER BY {column} DESC LIMIT 1 ON CONFLICT DO NOTHING; \
         UPDATE {table} SET {column} = {newer} WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {column} = {newer})"
    ));
    let told = refused(&url(&database));
    says(&told, &["newer"]);
    says(&told, &[&newer.to_string()]);
}

/// Pools must not take what they need and die of what they do not get: with some connections it runs, with too few
/// it says so.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_has_no_connection_left() {
    let database = database();
    migrated(&database);
    let limit = |most: i32| {
        database.sql(&format!(
            "ALTER DATABASE {} CONNECTION LIMIT {most}",
            database.name
        ))
    };
    limit(0);
    says(
        &refused(&url(&database)),
        &[
            "too many connections",
            "connection limit",
            "max_connections",
        ],
    );
    // Room for a few: it works, if slowly, and what it cannot serve it refuses in order.
    limit(4);
    let installation = Installation::new(None, &alone(&url(&database)));
    let mut server = Server::launch(installation, Client::new(String::new()));
    server.await_ready().await;
    put_queue(&server.client).await;
    let bookings = (0..60).map(|number| {
        let client = server.client.clone();
        tokio::spawn(async move {
            let request = booking(number);
            let answer = client
                .ask(Method::POST, "/v1/callbacks", &[], Some(&request))
                .await;
            answer.expect("an answer").0
        })
    });
    let bookings: Vec<_> = bookings.collect();
    let (mut good, mut refused) = (0, 0);
    for booking in bookings {
        match booking.await.expect("a client comes to its end") {
            StatusCode::CREATED => good += 1,
            StatusCode::SERVICE_UNAVAILABLE => refused += 1,
            other => panic!("a good booking was answered {other}"),
        }
    }
    println!("60 at once over four connections: {good} accepted, {refused} told to come again");
    assert!(good > 0, "nothing was accepted");
    let held = database.sql(&format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = '{ROLE}'"
    ));
    assert!(
        held.parse::<u32>().is_ok_and(|held| held <= 4),
        "it holds {held} connections"
    );
    assert!(server.process().has_ended().is_none(), "it still runs");
    limit(-1);
    let (status, answer) = server
        .client
        .ask(Method::POST, "/v1/callbacks", &[], Some(&booking(100)))
        .await
        .expect("an answer");
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}

/// Two nodes whose clocks are apart agree on nothing that has a time in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_is_told() {
    let network = Network::new(1);
    let database = database();
    let host: Host = network.host(0).clone();
    let url = database.url_as(ROLE, PASSWORD, &network.address());
    let config = node_config("a", &host.address, &url, "");
    let key = make_key(&Installation::new(Some(&host), &config));
    let installation = fast_clock(Installation::new(Some(&host), &config));
    let mut server = Server::launch(installation, Client::new(String::new()).with_key(&key));
    // It may refuse to run, or run and say so: either way the log has it, and the doctor finds it.
    eventually("the clock being told of", LIMIT, || async {
        let log = server.log().to_lowercase();
        if log.contains("clock") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    let log = server.log().to_lowercase();
    says(&log, &["apart", "ahead", "differ", "skew"]);
    let doctor = complaint(&server.command(&["doctor"])).to_lowercase();
    says(&doctor, &["clock"]);
    server.kill();
}

/// Five seconds ahead of the database's. Timers stay true: only the hour is wrong.
fn fast_clock(installation: Installation) -> Installation {
    let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
        .iter()
        .map(|folder| format!("{folder}/faketime/libfaketime.so.1"))
        .find(|path| std::path::Path::new(path).exists())
        .expect("libfaketime; script/test installs faketime");
    installation
        .with("LD_PRELOAD", &library)
        .with("FAKETIME", "+5s")
        .with("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

/// The database goes away under a running server and comes back.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_goes_and_comes_back() {
    let database = database();
    let installation = Installation::new(None, &alone(&url(&database)));
    let mut server = Server::launch(installation, Client::new(String::new()));
    server.await_ready().await;
    put_queue(&server.client).await;
    // Nobody may connect, and whoever is connected is thrown out: as in a restart of the database.
    let cluster = postgres::shared(Ground::DURABLE);
    cluster.sql(&format!(
        "ALTER DATABASE {} ALLOW_CONNECTIONS false",
        database.name
    ));
    cluster.sql(&format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{}'",
        database.name
    ));
    let headers = [("Idempotency-Key", "while-it-was-away")];
    let answer = server
        .client
        .patient()
        .post("/v1/callbacks", &headers, &booking(1))
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"), "{answer:?}");
    let (status, _) = server
        .client
        .patient()
        .ask(Method::GET, "/readyz", &[], None)
        .await
        .expect("an answer");
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let (status, _) = server
        .client
        .ask(Method::GET, "/healthz", &[], None)
        .await
        .expect("an answer");
    assert_eq!(
        status,
        StatusCode::OK,
        "a database that is away is no reason to be killed"
    );
    cluster.sql(&format!(
        "ALTER DATABASE {} ALLOW_CONNECTIONS true",
        database.name
    ));
    server.await_ready().await;
    let (status, answer) = server
        .client
        .ask(Method::POST, "/v1/callbacks", &headers, Some(&booking(1)))
        .await
        .expect("an answer");
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let (again, repeated) = server
        .client
        .ask(Method::POST, "/v1/callbacks", &headers, Some(&booking(1)))
        .await
        .expect("an answer");
    assert_eq!(
        (again, &repeated["interaction_id"]),
        (StatusCode::CREATED, &answer["interaction_id"])
    );
    server.assert_healthy();
}

/// Lets the program make its schema.
fn migrated(database: &Database) {
    make_key(&Installation::new(None, &alone(&url(database))));
    assert_ne!(tables(database), "0", "the schema is there");
}

async fn put_queue(client: &Client) {
    let queue = json!({
        "name": "Waiting", "hours": {"opening_hours": "24/7", "time_zone": "UTC"},
        "dial": {"regions": ["US"]},
    });
    client.put_queue("waiting", queue).await;
}

fn booking(number: u32) -> serde_json::Value {
    json!({
        "queue": "waiting", "customer_number": crate::harness::customer_number(number),
        "desired_response_type": "Voice", "any_hour": true,
    })
}
