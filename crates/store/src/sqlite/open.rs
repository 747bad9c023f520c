//! Opens the file the way promises need it: write-ahead log, every commit synced, foreign keys on.

use super::writer::{Commit, OnFatal, Writer, WriterParts};
use super::{migrations, readers::Readers};
use crate::{OpenOptions, Result, Signal, StoreError};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;
use tokio::sync::broadcast;

/// The two ways into the database.
#[derive(Clone, Debug)]
pub(super) struct Ways {
    pub writer: Writer,
    /// `None` for a database in memory, which only the writer's connection can see.
    pub readers: Option<Readers>,
}

/// Another process (a key being made, a backup) may hold the file for a moment.
const BUSY: Duration = Duration::from_secs(5);
/// The log is cut back to this after a burst.
const LOG_KEPT: i64 = 64 * 1024 * 1024;
/// Pages in the log before it is folded into the file. A page that every commit changes is then folded in once for
/// many commits; a start after a crash reads 32 MiB of log.
const LOG_FOLDED: i64 = 8192;
/// The writer's page cache, in KiB: the upper levels of every tree, and what was booked lately.
const CACHE: i64 = 32 * 1024;
/// Statements kept compiled per connection; more than there are.
const STATEMENTS: usize = 400;

pub(super) fn open(
    path: &str,
    options: &OpenOptions,
    signals: broadcast::Sender<Signal>,
    commit: Commit,
    on_fatal: OnFatal,
) -> Result<Ways> {
    let in_memory = path == ":memory:";
    if options.read_only {
        return look(path, options, signals, commit, on_fatal);
    }
    let conn = if in_memory {
        Connection::open_in_memory()?
    } else {
        open_file(path)?
    };
    configure(&conn, options)?;
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    // The switch can quietly not take, e.g. after a failed sync; then nothing here would hold.
    if !in_memory && !mode.eq_ignore_ascii_case("wal") {
        return Err(StoreError::Configuration(format!(
            "the journal mode is {mode}, not wal"
        )));
    }
    conn.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;",
    )?;
    conn.pragma_update(None, "journal_size_limit", LOG_KEPT)?;
    conn.pragma_update(None, "wal_autocheckpoint", LOG_FOLDED)?;
    conn.pragma_update(None, "cache_size", -CACHE)?;
    // What a savepoint must be able to put back is kept in memory, not in a file.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    check(&conn, "synchronous", 2)?;
    check(&conn, "foreign_keys", 1)?;
    check(&conn, "secure_delete", 1)?;
    migrations::migrate(&conn)?;
    let readers = if in_memory {
        None
    } else {
        let connections = (0..options.readers.max(1))
            .map(|_| open_reader(path))
            .collect::<Result<Vec<_>>>()?;
        Some(Readers::new(connections))
    };
    let writer = Writer::start(WriterParts {
        conn,
        queue: options.write_queue,
        group: options.group,
        signals,
        commit,
        on_fatal,
    })?;
    Ok(Ways { writer, readers })
}

/// Only to look: another program, perhaps an older one, may be at work on the file just now.
fn look(
    path: &str,
    options: &OpenOptions,
    signals: broadcast::Sender<Signal>,
    commit: Commit,
    on_fatal: OnFatal,
) -> Result<Ways> {
    let open = || {
        open_reader(path).map_err(|error| {
            StoreError::Configuration(format!("there is no database that can be read: {error}"))
        })
    };
    let conn = open()?;
    migrations::current(&conn)?;
    let readers = (0..options.readers.max(1))
        .map(|_| open())
        .collect::<Result<Vec<_>>>()?;
    // The writer's thread has a connection that cannot write; no verb gets as far as that.
    let writer = Writer::start(WriterParts {
        conn,
        queue: options.write_queue,
        group: options.group,
        signals,
        commit,
        on_fatal,
    })?;
    Ok(Ways {
        writer,
        readers: Some(Readers::new(readers)),
    })
}

fn open_file(path: &str) -> Result<Connection> {
    let file = Path::new(path);
    keep_private(file)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(file, flags).map_err(|error| {
        StoreError::Configuration(format!("the database cannot be opened: {error}"))
    })
}

/// The file holds numbers and addresses: only its owner may read it. The log inherits its rights.
fn keep_private(file: &Path) -> Result<()> {
    let mut open = std::fs::OpenOptions::new();
    open.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    match open.open(file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Configuration(format!(
            "the database cannot be created: {error}"
        ))),
    }
}

pub(super) fn open_reader(path: &str) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    keep_statements(&conn)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// Compiled statements stay compiled. Without the guarantee of stable plans SQLite looks at the values bound to a LIMIT
/// and compiles the statement again each time one is bound: two fifths of what SQLite did for a booking.
fn keep_statements(conn: &Connection) -> Result<()> {
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

fn configure(conn: &Connection, options: &OpenOptions) -> Result<()> {
    keep_statements(conn)?;
    if let Some(temp) = &options.temp {
        let Some(text) = temp.to_str().filter(|_| temp.is_dir()) else {
            return Err(StoreError::Configuration(
                "the directory for temporary files does not exist".to_owned(),
            ));
        };
        conn.pragma_update(None, "temp_store_directory", text)?;
    }
    Ok(())
}

fn check(conn: &Connection, pragma: &str, wanted: i64) -> Result<()> {
    let found: i64 = conn.pragma_query_value(None, pragma, |row| row.get(0))?;
    if found == wanted {
        return Ok(());
    }
    Err(StoreError::Configuration(format!(
        "{pragma} is {found}, not {wanted}"
    )))
}
