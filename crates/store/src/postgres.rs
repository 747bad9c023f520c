//! The PostgreSQL twin: many equal nodes on one database. A few writers commit what has gathered, a few readers stand
//! beside them, and a herald carries news between the nodes.

mod columns;
mod crew;
mod divisions;
mod faults;
mod flush;
mod herald;
pub(crate) mod landing;
mod lane;
mod load;
mod locks;
mod memory;
mod migrations;
pub(crate) mod months;
mod readers;
mod session;
mod set;
mod tables;
mod target;
mod writer;

use crate::tables::{Kind, Tables};
use crate::twin::{Doors, Twin};
use crate::verbs::{House, Write};
use crate::{OpenOptions, Result, Signal, StoreError};
use crew::Crew;
use faults::Fault;
use herald::{Herald, Line, Record};
use jiff::Timestamp;
use readers::Readers;
use ringback_callbacks::clock::Chance;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use target::Target;
use tokio::sync::{broadcast, mpsc};
use tokio_postgres::Client;
use tokio_postgres::types::Type;
use writer::{Writer, WriterParts};

/// Signals a slow listener may fall behind before it is told that it lagged.
const SIGNALS: usize = 4096;
/// The oldest version whose partitions and transaction numbers do what is asked of them here.
const OLDEST: i32 = 140_000;

pub(crate) struct Postgres {
    /// Taken away when the store is closed: the threads behind them end when their line is empty.
    doors: Mutex<Option<(Writer, Readers)>>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    crew: Arc<Crew>,
    herald: Mutex<Option<tokio::task::JoinHandle<()>>>,
    signals: broadcast::Sender<Signal>,
    target: Arc<Target>,
    said: divisions::Said,
}

pub(crate) async fn open(
    url: &str,
    options: OpenOptions,
    chance: Arc<dyn Chance>,
) -> Result<Twin<Postgres>> {
    let target = Arc::new(Target::parse(url)?);
    let (offset, end) = prepare(&target, options.read_only).await?;
    if !options.read_only && !herald::is_heard(&target).await? {
        target.found_pooled();
        tracing::warn!(
            "LISTEN does not work here: a pooler lends connections by the transaction; other nodes' news are read by the clock"
        );
    }
    // Taken before anything is claimed under it; a pooled connection cannot keep it.
    let first = match &options.node {
        Some(node) if !target.is_pooled() => Some(Line::open_as(&target, node).await.map_err(
            |fault| match fault {
                Fault::Refused(why) => StoreError::Configuration(why),
                Fault::Raced(_)
                | Fault::Taken(_)
                | Fault::Locked(_)
                | Fault::Full
                | Fault::ReadOnly
                | Fault::Lost(_) => fault.into(),
            },
        )?),
        Some(_) | None => None,
    };
    let (signals, _) = broadcast::channel(SIGNALS);
    let (news, ear) = mpsc::unbounded_channel();
    let told = signals.clone();
    let crew = Arc::<Crew>::default();
    let (writer, mut threads) = Writer::start(&WriterParts {
        target: Arc::clone(&target),
        crew: Arc::clone(&crew),
        lanes: options.writers,
        queue: options.write_queue,
        group: options.group,
        offset,
        tell: Arc::new(move |committed: Vec<Signal>| {
            if committed.is_empty() {
                return;
            }
            for signal in &committed {
                // No receiver is no fault.
                let _ = told.send(signal.clone());
            }
            let _ = news.send(committed);
        }),
    })
    .map_err(|error| StoreError::Failed(format!("the writers cannot be started: {error}")))?;
    let (readers, reading) = Readers::start(&target, &crew, options.readers, offset)
        .map_err(|error| StoreError::Failed(format!("the readers cannot be started: {error}")))?;
    threads.extend(reading);
    let mut herald = None;
    if !options.read_only {
        let record = Record::new(signals.clone(), offset, end);
        let of_ours = Herald::new(Arc::clone(&target), record, options.node.clone(), ear);
        herald = Some(tokio::spawn(of_ours.run(first)));
    }
    let doors = Postgres {
        doors: Mutex::new(Some((writer, readers))),
        threads: Mutex::new(threads),
        crew,
        herald: Mutex::new(herald),
        signals,
        target,
        said: divisions::Said::default(),
    };
    Ok(Twin::new(doors, House::new(options, chance)))
}

/// Whether the database can be worked with; brings its schema up to date. Answers the offset in the order of events, and
/// where their record ends.
async fn prepare(target: &Target, read_only: bool) -> Result<(i64, i64)> {
    let client = ready(target, read_only).await?;
    if landing::is_begun(&client).await? {
        return Err(StoreError::Configuration(landing::UNFINISHED.to_owned()));
    }
    let offset = offset(&client, !read_only).await?;
    Ok((offset, herald::end(&client, offset).await?))
}

/// Brings the schema up to date, whatever is in it.
async fn raise(target: &Target) -> Result<()> {
    ready(target, false).await.map(drop)
}

async fn ready(target: &Target, read_only: bool) -> Result<Client> {
    let (client, connection) = target
        .connect()
        .await
        .map_err(|fault| lane::told(target, &fault))?;
    tokio::spawn(connection);
    let rows = client
        .query_typed(
            "SELECT current_setting('server_version_num')::int, current_setting('server_version'),
                 pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'",
            &[],
        )
        .await
        .map_err(Fault::from)?;
    let row = rows
        .first()
        .ok_or_else(|| StoreError::Failed("the database answers nothing".to_owned()))?;
    let (number, version): (i32, String) = (row.get(0), row.get(1));
    if number < OLDEST {
        return Err(StoreError::Configuration(format!(
            "the database at {} is PostgreSQL {version}; Ringback needs 14 or newer",
            target.describe()
        )));
    }
    if read_only {
        migrations::current(&client).await?;
        return Ok(client);
    }
    let (stand_by, read_only): (bool, bool) = (row.get(2), row.get(3));
    if stand_by || read_only {
        let why = if stand_by {
            "a stand-by"
        } else {
            "set read-only"
        };
        return Err(StoreError::Configuration(format!(
            "the database at {} takes no writes: it is {why} (name all hosts and target_session_attrs=read-write)",
            target.describe()
        )));
    }
    migrations::migrate(&client, Timestamp::now()).await?;
    Ok(client)
}

/// The last event of all tenants, each looked up by the index that begins with the tenant: `max(seq)` would run through
/// every event there is.
///
/// Whatever is seen of them was written by transactions below the next number to be given out, so that nothing is raised
/// where all is well. The oldest that goes on will not do: events of younger ones may be there already, and nodes that
/// run go by the offset they have.
const RAISE: &str = "
    WITH RECURSIVE tenants AS (
        SELECT (SELECT e.tenant FROM events e ORDER BY e.tenant LIMIT 1) AS tenant
        UNION ALL SELECT (SELECT e.tenant FROM events e WHERE e.tenant > t.tenant ORDER BY e.tenant LIMIT 1)
        FROM tenants t WHERE t.tenant IS NOT NULL),
    last AS (
        SELECT max((SELECT e.seq FROM events e WHERE e.tenant = t.tenant ORDER BY e.seq DESC LIMIT 1)) AS seq
        FROM tenants t)
    UPDATE installation SET seq_offset = greatest(seq_offset,
        coalesce((SELECT seq FROM last) >> 20, 0) + 1 - pg_snapshot_xmax(pg_current_snapshot())::text::bigint)
    WHERE one = 1 RETURNING seq_offset";

/// A restored backup counts its transactions from a lower number than its events were given by: then the offset is
/// raised, so that the order goes on behind the last of them.
async fn offset(client: &Client, raise: bool) -> Result<i64> {
    let sql = if raise {
        RAISE
    } else {
        "SELECT seq_offset FROM installation WHERE one = 1"
    };
    let rows = client
        .query_typed(
            sql,
            &[] as &[(&(dyn tokio_postgres::types::ToSql + Sync), Type)],
        )
        .await
        .map_err(Fault::from)?;
    let row = rows
        .first()
        .ok_or_else(|| StoreError::Failed("the installation's row is gone".to_owned()))?;
    row.try_get(0)
        .map_err(|error| StoreError::Failed(error.to_string()))
}

impl Postgres {
    fn both(&self) -> Result<(Writer, Readers)> {
        let doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        doors.clone().ok_or(StoreError::Closed)
    }
}

impl Doors for Postgres {
    const ONE_WRITER: bool = false;

    async fn write<T: Send + 'static>(
        &self,
        kind: Kind,
        job: impl FnMut(&mut Write<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (writer, _) = self.both()?;
        writer.write(kind, job).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Tables) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (_, readers) = self.both()?;
        readers.read(work).await
    }

    async fn keep_house(&self, now: Timestamp, keep_ended: Option<Duration>) -> Result<u64> {
        Ok(divisions::keep(&self.target, now, keep_ended, &self.said).await?)
    }

    fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }

    async fn close(&self) {
        let doors = self
            .doors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.crew.close();
        drop(doors);
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A thread that panicked has told so; there is nothing left to write for it.
                let _ = thread.join();
            }
        })
        .await;
        let herald = self
            .herald
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(herald) = herald {
            // It ends by itself now that nobody has news any more; one that hangs at a dead connection is left.
            let _ = tokio::time::timeout(herald::PARTING, herald).await;
        }
    }
}
