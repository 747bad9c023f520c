//! The raw limits of this machine: what a disk and a database do when nothing is thought about.

use super::ground::{Database, connect};
use super::setback::Setback;
use super::spread::{Spread, ms};
use rusqlite::Connection;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// As large as a small booking.
pub const ROW: usize = 600;

/// Appends of 4 KiB, each synced, per second.
pub async fn synced_appends(directory: &Path, time: Duration) -> Result<f64, Setback> {
    let path = directory.join("appends");
    blocking(move || {
        let failed = Setback::while_doing("a file cannot be written");
        let mut file = std::fs::File::create(&path).map_err(&failed)?;
        let page = [7u8; 4096];
        let began = Instant::now();
        let mut appends = 0u32;
        while began.elapsed() < time {
            file.write_all(&page).map_err(&failed)?;
            file.sync_data().map_err(&failed)?;
            appends += 1;
        }
        let rate = f64::from(appends) / began.elapsed().as_secs_f64();
        std::fs::remove_file(&path).map_err(&failed)?;
        Ok(rate)
    })
    .await
}

/// Commits of one row, one after the other.
pub struct Commits {
    pub per_second: f64,
    pub p50_ms: f64,
}

/// A table of rows to commit into, opened as the store opens its file.
pub fn sqlite_rows(path: &Path) -> Result<Connection, Setback> {
    let failed = Setback::while_doing("a database cannot be made");
    let conn = Connection::open(path).map_err(&failed)?;
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE IF NOT EXISTS bench_rows (id INTEGER PRIMARY KEY, doc TEXT NOT NULL);",
    )
    .map_err(&failed)?;
    Ok(conn)
}

pub async fn sqlite_commits(directory: &Path, time: Duration) -> Result<Commits, Setback> {
    let path = directory.join("commits.db");
    blocking(move || {
        let conn = sqlite_rows(&path)?;
        let failed = Setback::while_doing("a row cannot be committed");
        let mut insert = conn
            .prepare("INSERT INTO bench_rows (doc) VALUES (?1)")
            .map_err(&failed)?;
        let doc = "x".repeat(ROW);
        let began = Instant::now();
        let mut times = Vec::new();
        while began.elapsed() < time {
            let one = Instant::now();
            insert.execute([&doc]).map_err(&failed)?;
            times.push(one.elapsed());
        }
        Ok(Commits {
            per_second: times.len() as f64 / began.elapsed().as_secs_f64(),
            p50_ms: ms(Spread::of(times).p50),
        })
    })
    .await
}

pub async fn postgres_table(database: &Database) -> Result<(), Setback> {
    let client = connect(&database.url).await?;
    let made = client
        .batch_execute("CREATE TABLE bench_rows (id bigserial PRIMARY KEY, doc text NOT NULL)")
        .await;
    made.map_err(Setback::while_doing("a table cannot be made"))
}

/// `pgbench` with one insert as its script, transactions per second.
pub async fn pgbench(
    database: &Database,
    directory: &Path,
    clients: usize,
    time: Duration,
) -> Result<f64, Setback> {
    let script = directory.join("insert.sql");
    let statement = format!("INSERT INTO bench_rows (doc) VALUES (repeat('x', {ROW}));\n");
    std::fs::write(&script, statement).map_err(Setback::while_doing("no script for pgbench"))?;
    let output = Command::new("pgbench")
        .args(["--no-vacuum", "--protocol=prepared", "--file"])
        .arg(&script)
        .args(["--client", &clients.to_string()])
        .args(["--jobs", &clients.min(2).to_string()])
        .args(["--time", &time.as_secs().max(1).to_string()])
        .arg(&database.url)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| Setback::Absent(format!("pgbench cannot be run: {error}")))?;
    let told = String::from_utf8_lossy(&output.stdout);
    tps(&told).ok_or_else(|| {
        let error = String::from_utf8_lossy(&output.stderr);
        Setback::Broken(format!("pgbench: {}", error.trim()))
    })
}

fn tps(told: &str) -> Option<f64> {
    let line = told.lines().find_map(|line| line.strip_prefix("tps = "))?;
    line.split(' ').next()?.parse().ok()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Setback> + Send + 'static,
) -> Result<T, Setback> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(Setback::while_doing("a measurement broke"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_found_in_what_pgbench_tells() {
        let told =
            "latency average = 0.8 ms\ntps = 18765.432100 (without initial connection time)\n";
        assert_eq!(tps(told), Some(18765.4321));
        assert_eq!(tps("nothing"), None);
    }
}
