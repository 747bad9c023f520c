//! Brings a database to the schema this program knows, and refuses one it does not know.

use crate::{Result, StoreError};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

/// `RBK1`: marks the file as Ringback's, so that no other program's database is ever migrated.
const APPLICATION_ID: i32 = 0x5242_4b31;

/// Released migrations are never edited: their checksums are kept in the database.
const MIGRATIONS: &[(&str, &str)] = &[
    (
        "0001_callbacks",
        include_str!("../../migrations/sqlite/0001_callbacks.sql"),
    ),
    (
        "0002_local_editions",
        include_str!("../../migrations/sqlite/0002_local_editions.sql"),
    ),
];

pub(super) fn migrate(conn: &Connection) -> Result<()> {
    run(conn, MIGRATIONS)
}

/// Whether the database has this program's schema, without touching it.
pub(super) fn current(conn: &Connection) -> Result<()> {
    belongs_to_us(conn)?;
    let (found, known) = (version(conn)?, MIGRATIONS.len());
    if usize::try_from(found).is_ok_and(|found| found == known) {
        return Ok(());
    }
    Err(StoreError::Configuration(format!(
        "the database has schema {found}, this program knows {known}: `ringback serve` or `ringback migrate` of the \
         same version brings it there"
    )))
}

fn run(conn: &Connection, migrations: &[(&str, &str)]) -> Result<()> {
    belongs_to_us(conn)?;
    // The version is read inside the transaction that may raise it: two programs may start at once.
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let outcome = raise(conn, migrations);
    match outcome {
        Ok(()) => conn.execute_batch("COMMIT").map_err(StoreError::from),
        Err(error) => {
            // The first error says what is wrong; that undoing failed too adds nothing.
            let _ = conn.execute_batch("ROLLBACK");
            Err(error)
        }
    }
}

fn raise(conn: &Connection, migrations: &[(&str, &str)]) -> Result<()> {
    let version = usize::try_from(version(conn)?).unwrap_or(usize::MAX);
    if version > migrations.len() {
        return Err(StoreError::Configuration(format!(
            "the database has schema {version}, this program knows {} at most: use a newer program",
            migrations.len()
        )));
    }
    conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (
             version  INTEGER PRIMARY KEY,
             name     TEXT NOT NULL,
             -- SHA-256 of its text.
             checksum TEXT NOT NULL
         ) STRICT",
    )?;
    for (index, (name, sql)) in migrations.iter().enumerate() {
        let number = i64::try_from(index + 1).unwrap_or(i64::MAX);
        let checksum = hex::encode(Sha256::digest(sql.as_bytes()));
        if index < version {
            let known: Option<String> = conn
                .query_row(
                    "SELECT checksum FROM migrations WHERE version = ?1",
                    [number],
                    |row| row.get(0),
                )
                .optional()?;
            if known.as_deref() != Some(checksum.as_str()) {
                return Err(StoreError::Configuration(format!(
                    "migration {name} of the database is not the one this program knows"
                )));
            }
            continue;
        }
        conn.execute_batch(sql)?;
        conn.execute(
            "INSERT INTO migrations (version, name, checksum) VALUES (?1, ?2, ?3)",
            params![number, name, checksum],
        )?;
        conn.pragma_update(None, "user_version", number)?;
    }
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(())
}

pub(super) fn version(conn: &Connection) -> Result<u32> {
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(u32::try_from(version).unwrap_or(u32::MAX))
}

fn belongs_to_us(conn: &Connection) -> Result<()> {
    let id: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if id == APPLICATION_ID || (id == 0 && tables == 0) {
        return Ok(());
    }
    Err(StoreError::Configuration(
        "the file is a database of another program".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Connection {
        Connection::open_in_memory().unwrap()
    }

    #[test]
    fn twice_is_once() {
        let conn = memory();
        migrate(&conn).unwrap();
        migrate(&conn).unwrap();
        assert_eq!(version(&conn).unwrap() as usize, MIGRATIONS.len());
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let conn = memory();
        migrate(&conn).unwrap();
        conn.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(migrate(&conn), Err(StoreError::Configuration(_))));
    }

    #[test]
    fn an_edited_migration_is_refused() {
        let conn = memory();
        run(&conn, &[("0001_a", "CREATE TABLE a (x INTEGER) STRICT")]).unwrap();
        let edited = run(&conn, &[("0001_a", "CREATE TABLE a (x TEXT) STRICT")]);
        assert!(matches!(edited, Err(StoreError::Configuration(_))));
    }

    #[test]
    fn a_failing_migration_leaves_nothing() {
        let conn = memory();
        let first = ("0001_a", "CREATE TABLE a (x INTEGER) STRICT");
        run(&conn, &[first]).unwrap();
        assert!(
            run(
                &conn,
                &[
                    first,
                    (
                        "0002_b",
                        "CREATE TABLE b (x INTEGER) STRICT; SELECT nonsense;"
                    )
                ]
            )
            .is_err()
        );
        assert_eq!(version(&conn).unwrap(), 1);
        let tables: i64 = conn
            .query_row(
                "SELECT count(*) FROM sqlite_schema WHERE name = 'b'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(tables, 0);
        run(
            &conn,
            &[first, ("0002_b", "CREATE TABLE b (x INTEGER) STRICT")],
        )
        .unwrap();
        assert_eq!(version(&conn).unwrap(), 2);
    }

    #[test]
    fn a_stranger_is_left_alone() {
        let conn = memory();
        conn.execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(matches!(migrate(&conn), Err(StoreError::Configuration(_))));
    }
}
