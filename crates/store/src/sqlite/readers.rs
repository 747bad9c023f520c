//! A few read-only connections. A read that would wait too long in line is told to come back.

use crate::{Result, StoreError};
use rusqlite::Connection;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Reads that may wait for a connection before callers are told to come back.
const WAITING: usize = 4096;

#[derive(Clone, Debug)]
pub(crate) struct Readers {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    idle: Mutex<Vec<Connection>>,
    free: Semaphore,
    waiting: AtomicUsize,
}

impl Readers {
    pub fn new(connections: Vec<Connection>) -> Readers {
        let free = Semaphore::new(connections.len());
        Readers {
            pool: Arc::new(Pool {
                idle: Mutex::new(connections),
                free,
                waiting: AtomicUsize::new(0),
            }),
        }
    }

    /// Runs a read against one moment of the database.
    pub async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let place = Place::take(&self.pool)?;
        let permit = self
            .pool
            .free
            .acquire()
            .await
            .map_err(|_| StoreError::Closed)?;
        // The permit travels with the connection: a caller who goes away does not free it early.
        permit.forget();
        drop(place);
        let lent = Lent::take(&self.pool)?;
        tokio::task::spawn_blocking(move || lent.run(work))
            .await
            .unwrap_or_else(|_| Err(StoreError::Failed("the read broke off".to_owned())))
    }

    /// Later reads answer an error; connections close as they come back.
    pub fn close(&self) {
        self.pool.free.close();
        self.pool
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

/// A place in the line, given up whichever way waiting ends.
struct Place<'p>(&'p Pool);

impl<'p> Place<'p> {
    fn take(pool: &'p Pool) -> Result<Place<'p>> {
        if pool.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
            pool.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(StoreError::Busy);
        }
        Ok(Place(pool))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection on loan; it goes back even if the read panics.
struct Lent {
    conn: Option<Connection>,
    pool: Arc<Pool>,
}

impl Lent {
    fn take(pool: &Arc<Pool>) -> Result<Lent> {
        let conn = pool
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let lent = Lent {
            conn,
            pool: Arc::clone(pool),
        };
        if lent.conn.is_some() {
            Ok(lent)
        } else {
            Err(StoreError::Closed)
        }
    }

    fn run<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let Some(conn) = &self.conn else {
            return Err(StoreError::Closed);
        };
        // All statements of one read see the same moment.
        let snapshot = conn.unchecked_transaction()?;
        let result = work(&snapshot);
        snapshot.finish()?;
        result
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take()
            && !self.pool.free.is_closed()
        {
            self.pool
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(conn);
        }
        self.pool.free.add_permits(1);
    }
}
