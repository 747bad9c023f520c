//! The SQLite twin: one file, one writer that commits what has gathered, a few readers beside it.

mod faults;
mod migrations;
mod open;
mod readers;
pub(crate) mod source;
mod tables;
mod writer;

use crate::tables::{Kind, Tables};
use crate::twin::{Doors, Twin};
use crate::verbs::{House, Write};
use crate::{OpenOptions, Result, Signal, StoreError};
use ringback_callbacks::clock::Chance;
use std::sync::Arc;
use tables::SqliteTables;
use tokio::sync::broadcast;
use writer::Care;

/// Signals a slow listener may fall behind before it is told that it lagged.
const SIGNALS: usize = 4096;

/// The ways into the file.
pub(crate) struct SqliteDoors {
    ways: open::Ways,
    signals: broadcast::Sender<Signal>,
}

pub(crate) async fn open(
    path: &str,
    options: OpenOptions,
    chance: Arc<dyn Chance>,
) -> Result<Twin<SqliteDoors>> {
    let path = path.to_owned();
    let (signals, _) = broadcast::channel(SIGNALS);
    let told = signals.clone();
    let house = House::new(options.clone(), chance);
    // Opening reads the log of the last run and may migrate: not work for a thread that serves others.
    let ways = tokio::task::spawn_blocking(move || {
        open::open(
            &path,
            &options,
            told,
            writer::commit(),
            writer::exit_at_once(),
        )
    })
    .await
    .map_err(|_| StoreError::Failed("opening the database broke off".to_owned()))??;
    Ok(Twin::new(SqliteDoors { ways, signals }, house))
}

impl Doors for SqliteDoors {
    const ONE_WRITER: bool = true;

    async fn write<T: Send + 'static>(
        &self,
        _kind: Kind,
        mut job: impl FnMut(&mut Write<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.ways
            .writer
            .write(move |conn, care, told| {
                let tables = SqliteTables::on(conn, care);
                let mut write = Write::on(&tables);
                let answer = job(&mut write);
                told.signals = write.signals;
                told.discard = write.discard;
                answer
            })
            .await
    }

    async fn read<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&dyn Tables) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match &self.ways.readers {
            Some(readers) => {
                readers
                    .read(move |conn| work(&SqliteTables::on(conn, Care::Plain)))
                    .await
            }
            None => {
                self.ways
                    .writer
                    .write(move |conn, care, _| work(&SqliteTables::on(conn, care)))
                    .await
            }
        }
    }

    fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }

    async fn close(&self) {
        if let Some(readers) = &self.ways.readers {
            readers.close();
        }
        self.ways.writer.close().await;
    }
}
