//! Brings a database to the schema this program knows, and refuses one it does not know.

use super::faults::Fault;
use super::{divisions, locks, months};
use crate::{Result, StoreError};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// Released migrations are never edited: their checksums are kept in the database.
const MIGRATIONS: &[(&str, &str)] = &[
    (
        "0001_callbacks",
        include_str!("../../migrations/postgres/0001_callbacks.sql"),
    ),
    (
        "0002_route_parts",
        include_str!("../../migrations/postgres/0002_route_parts.sql"),
    ),
    (
        "0003_plain_plans",
        include_str!("../../migrations/postgres/0003_plain_plans.sql"),
    ),
    (
        "0004_local_editions",
        include_str!("../../migrations/postgres/0004_local_editions.sql"),
    ),
];

/// Many nodes may start at once: one brings the schema up to date and the others wait for it, and find it done.
pub(super) async fn migrate(client: &Client, now: Timestamp) -> Result<()> {
    run(client, MIGRATIONS, now).await
}

async fn run(client: &Client, migrations: &[(&str, &str)], now: Timestamp) -> Result<()> {
    plain(client, "BEGIN").await?;
    let outcome = raise(client, migrations, now).await;
    match outcome {
        Ok(()) => plain(client, "COMMIT").await,
        Err(error) => {
            // The first error says what is wrong; that undoing failed too adds nothing.
            let _ = client.batch_execute("ROLLBACK").await;
            Err(error)
        }
    }
}

async fn raise(client: &Client, migrations: &[(&str, &str)], now: Timestamp) -> Result<()> {
    plain(
        client,
        "SET LOCAL lock_timeout = '120s'; SET LOCAL statement_timeout = 0",
    )
    .await?;
    // Nobody needs leave to create anything to find out that nothing is to be done.
    plain(
        client,
        &format!("SELECT pg_advisory_xact_lock({})", locks::migrations()),
    )
    .await?;
    let version = version(client).await?;
    if version > migrations.len() {
        return Err(newer(version, migrations.len()));
    }
    if version == 0 {
        plain(
            client,
            "CREATE TABLE migrations (
                 version  INTEGER PRIMARY KEY,
                 name     TEXT NOT NULL,
                 -- SHA-256 of its text.
                 checksum TEXT NOT NULL
             )",
        )
        .await?;
    }
    for (index, (name, sql)) in migrations.iter().enumerate() {
        let number = i32::try_from(index + 1).unwrap_or(i32::MAX);
        let checksum = hex::encode(Sha256::digest(sql.as_bytes()));
        if index < version {
            let known = client
                .query_typed(
                    "SELECT checksum FROM migrations WHERE version = $1",
                    &[(&number, tokio_postgres::types::Type::INT4)],
                )
                .await
                .map_err(refused)?;
            if known.first().and_then(|row| row.try_get::<_, &str>(0).ok())
                != Some(checksum.as_str())
            {
                return Err(StoreError::Configuration(format!(
                    "migration {name} of the database is not the one this program knows"
                )));
            }
            continue;
        }
        plain(client, sql).await?;
        plain(
            client,
            &format!("INSERT INTO migrations (version, name, checksum) VALUES ({number}, '{name}', '{checksum}')"),
        )
        .await?;
    }
    if version < migrations.len() {
        for sql in months::rest() {
            plain(client, &sql).await?;
        }
        for month in months::ahead(now) {
            for (table, sql) in months::TABLES.iter().zip(months::statements(&month)) {
                make(client, &format!("{table}_{}", month.suffix), &sql).await?;
            }
        }
    }
    Ok(())
}

/// A month of which rows stand in the rest goes without a division, as it does when the house is kept: that is no reason
/// not to start.
async fn make(client: &Client, name: &str, sql: &str) -> Result<()> {
    plain(client, "SAVEPOINT month").await?;
    match client.batch_execute(sql).await {
        Ok(()) => {}
        Err(error) if error.code() == Some(&SqlState::CHECK_VIOLATION) => {
            plain(client, "ROLLBACK TO SAVEPOINT month").await?;
            divisions::tell_unprepared(name);
        }
        Err(error) => return Err(refused(error)),
    }
    plain(client, "RELEASE SAVEPOINT month").await
}

/// Whether the database has this program's schema, without touching it.
pub(super) async fn current(client: &Client) -> Result<()> {
    let (found, known) = (version(client).await?, MIGRATIONS.len());
    if found == known {
        return Ok(());
    }
    if found > known {
        return Err(newer(found, known));
    }
    Err(StoreError::Configuration(format!(
        "the database has schema {found}, this program knows {known}: `ringback serve` or `ringback migrate` of the \
         same version brings it there"
    )))
}

fn newer(found: usize, known: usize) -> StoreError {
    StoreError::Configuration(format!(
        "the database has schema {found}, this program knows {known} at most: use a newer program"
    ))
}

/// 0: an empty schema. One with tables of another program is left alone.
async fn version(client: &Client) -> Result<usize> {
    let rows = client
        .query_typed(
            "SELECT to_regclass('migrations') IS NOT NULL AND to_regclass('installation') IS NOT NULL,
                 (SELECT count(*) FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace
                     AND c.relkind IN ('r', 'p'))",
            &[],
        )
        .await
        .map_err(refused)?;
    let row = rows
        .first()
        .ok_or_else(|| StoreError::Failed("the database answers nothing".to_owned()))?;
    let (ours, tables): (bool, i64) = (
        row.try_get(0).map_err(refused)?,
        row.try_get(1).map_err(refused)?,
    );
    if !ours {
        if tables == 0 {
            return Ok(0);
        }
        return Err(StoreError::Configuration(
            "the database holds tables of another program: give Ringback a database (or a schema) of its own".to_owned(),
        ));
    }
    let rows = client
        .query_typed("SELECT coalesce(max(version), 0)::int FROM migrations", &[])
        .await
        .map_err(refused)?;
    let version: i32 = rows
        .first()
        .map_or(Ok(0), |row| row.try_get(0))
        .map_err(refused)?;
    Ok(usize::try_from(version).unwrap_or(0))
}

async fn plain(client: &Client, sql: &str) -> Result<()> {
    client.batch_execute(sql).await.map_err(refused)
}

/// What stands in the way of a schema is the operator's to mend, in plain words.
fn refused(error: tokio_postgres::Error) -> StoreError {
    if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
        let why = error.as_db_error().map_or("", |told| told.message());
        return StoreError::Configuration(format!(
            "the database's role may not make or read Ringback's tables ({why}): let the role own the database, or \
             GRANT CREATE, USAGE ON SCHEMA public to it"
        ));
    }
    Fault::from(error).into()
}
