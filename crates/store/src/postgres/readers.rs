//! A few threads that answer reads. A read that would wait too long in line is told to come back. They end when the last
//! door is gone and the line is empty.

use super::crew::{Crew, Duty};
use super::lane::Lane;
use super::tables::PgTables;
use super::target::Target;
use crate::tables::Tables;
use crate::{Result, StoreError};
use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Mutex, mpsc, oneshot};

/// Reads that may wait for a connection before callers are told to come back.
const WAITING: usize = 4096;

/// Work on the tables, or on the reason why there are none.
type Read = Box<dyn FnOnce(Result<&dyn Tables>) + Send>;

#[derive(Clone)]
pub(super) struct Readers {
    reads: mpsc::Sender<Read>,
}

impl Readers {
    pub fn start(
        target: &Arc<Target>,
        crew: &Arc<Crew>,
        lanes: usize,
        offset: i64,
    ) -> std::io::Result<(Readers, Vec<std::thread::JoinHandle<()>>)> {
        let (reads, inbox) = mpsc::channel::<Read>(WAITING);
        let inbox = Arc::new(Mutex::new(inbox));
        let mut threads = Vec::new();
        for number in 0..lanes.max(1) {
            let (inbox, target) = (Arc::clone(&inbox), Arc::clone(target));
            let crew = Arc::clone(crew);
            let thread = std::thread::Builder::new().name(format!("store-reader-{number}"));
            threads.push(
                thread.spawn(move || match Lane::new(target, Duty::Reads, crew) {
                    Ok(lane) => run(lane, &inbox, offset),
                    Err(error) => tracing::error!(error = %error, "a reader cannot be started"),
                })?,
            );
        }
        Ok((Readers { reads }, threads))
    }

    pub async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Tables) -> Result<T> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let read: Read = Box::new(move |tables| {
            // Nobody listens any more if the caller has gone away.
            let _ = sender.send(tables.and_then(work));
        });
        self.reads.try_send(read).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Closed(_) => StoreError::Closed,
        })?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

fn run(mut lane: Lane, inbox: &Mutex<mpsc::Receiver<Read>>, offset: i64) {
    loop {
        lane.stand_back();
        let read = match lane.await_work(async { inbox.lock().await.recv().await }) {
            Some(Some(read)) => read,
            Some(None) => return,
            None => continue,
        };
        let ready = lane.ready();
        let lost = match (ready, lane.session()) {
            (Ok(()), Some(session)) => {
                let tables = PgTables::new(
                    session,
                    false,
                    lane.begin(),
                    offset,
                    &lane.slotted,
                    None,
                    false,
                );
                let panicked =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(Ok(&tables))))
                        .is_err();
                if panicked {
                    tracing::error!("a read panicked");
                }
                // Whatever it had open on the connection goes with it.
                panicked
                    || tables
                        .fault
                        .borrow()
                        .as_ref()
                        .is_some_and(super::faults::Fault::ends_the_session)
            }
            (Err(fault), _) => {
                read(Err(fault.error()));
                false
            }
            (Ok(()), None) => {
                read(Err(StoreError::Failed("there is no connection".to_owned())));
                false
            }
        };
        if lost {
            lane.drop_session();
        }
    }
}
