//! What a server costs that has much to wait for and nothing to do.

use super::catalogue::Place;
use super::ground::{Database, Server, connect};
use super::process;
use super::setback::Setback;
use std::time::{Duration, Instant};

/// After a start, a load or a burst of reading there is tidying up.
const REST: Duration = Duration::from_secs(5);

/// CPU seconds per minute.
pub struct Idle {
    pub server: f64,
    /// Of all of PostgreSQL's processes.
    pub database: Option<f64>,
}

pub async fn measure(
    server: &Server,
    database: &Database,
    time: Duration,
) -> Result<Idle, Setback> {
    let postmaster = match database.place {
        Place::Postgres => Some(postmaster(database).await?),
        Place::Sqlite | Place::Machine => None,
    };
    tokio::time::sleep(REST.min(time)).await;
    let of_database = || postmaster.map(process::cpu_of_family).transpose();
    let began = Instant::now();
    let (server_before, database_before) = (process::cpu(server.pid)?, of_database()?);
    tokio::time::sleep(time).await;
    let (server_after, database_after) = (process::cpu(server.pid)?, of_database()?);
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let pair = database_before.zip(database_after);
    Ok(Idle {
        server: (server_after - server_before) / minutes,
        database: pair.map(|(before, after)| (after - before) / minutes),
    })
}

/// The first of PostgreSQL's processes, if it runs on this machine.
async fn postmaster(database: &Database) -> Result<u32, Setback> {
    let failed = Setback::while_doing("PostgreSQL does not tell its process");
    let client = connect(&database.url).await?;
    let row = client
        .query_one("SELECT pg_backend_pid()", &[])
        .await
        .map_err(failed)?;
    let backend: i32 = row.get(0);
    let backend = u32::try_from(backend).unwrap_or_default();
    process::parent(backend)
        .map_err(|_| Setback::Absent("the database runs on another machine".to_owned()))
}
