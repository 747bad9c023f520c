//! The one thread that owns the only write connection.
//!
//! Jobs are closures; each gets a savepoint, and what has gathered is committed as one group, so that
//! many callers share one fsync. Nobody is answered before the commit that holds their work is done.

use super::faults::{Lost, is_input_output};
use crate::{Result, Signal, StoreError};
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use tokio::sync::{broadcast, oneshot};

/// Called once when what is on the disk cannot be known any more. The process is expected not to return.
pub(crate) type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

/// Ends the process: recovery after a restart decides what was written, not a guess.
pub(crate) fn exit_at_once() -> OnFatal {
    // 74 is EX_IOERR of sysexits.h.
    Arc::new(|_| std::process::exit(74))
}

/// How a group is committed; tests hand in one that fails.
pub(crate) type Commit = Box<dyn FnMut(&Connection) -> rusqlite::Result<()> + Send>;

pub(crate) fn commit() -> Commit {
    Box::new(|conn| conn.execute_batch("COMMIT"))
}

/// The door to the thread. When the last one is dropped the thread commits what it has and ends.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    jobs: SyncSender<Message>,
}

/// What a job says besides its answer.
#[derive(Default)]
pub(crate) struct Told {
    /// Told to everybody after the commit.
    pub signals: Vec<Signal>,
    /// Set to ask only: all of this job's writing is undone, its answer is given all the same.
    pub discard: bool,
}

/// A piece of work with somebody waiting for its answer.
trait Job: Send {
    fn run(self: Box<Self>, conn: &Connection) -> Ran;
    /// It will not be run.
    fn refuse(self: Box<Self>, lost: &Lost);
}

struct Task<T, F> {
    work: F,
    sender: oneshot::Sender<Result<T>>,
}

type Answer = Box<dyn FnOnce(Option<&Lost>) + Send>;

/// A job that has run and waits for the commit.
struct Ran {
    keep: bool,
    /// The fault it met, if that was the database's.
    fault: Option<Lost>,
    signals: Vec<Signal>,
    answer: Answer,
}

impl<T, F> Job for Task<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Connection, &mut Told) -> Result<T> + Send + 'static,
{
    fn run(self: Box<Self>, conn: &Connection) -> Ran {
        let Task { work, sender } = *self;
        let mut told = Told::default();
        let result = work(conn, &mut told);
        let Told { signals, discard } = told;
        let keep = result.is_ok() && !discard;
        let fault = result.as_ref().err().and_then(Lost::met);
        let answer: Answer = Box::new(move |lost| {
            // Nobody listens any more if the caller has gone away: the work is done all the same.
            let _ = sender.send(match lost {
                Some(lost) => Err(lost.error()),
                None => result,
            });
        });
        Ran {
            keep,
            fault,
            signals,
            answer,
        }
    }

    fn refuse(self: Box<Self>, lost: &Lost) {
        let _ = self.sender.send(Err(lost.error()));
    }
}

enum Message {
    Job(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

pub(crate) struct WriterParts {
    pub conn: Connection,
    pub queue: usize,
    pub group: usize,
    pub signals: broadcast::Sender<Signal>,
    pub commit: Commit,
    pub on_fatal: OnFatal,
}

impl Writer {
    pub fn start(parts: WriterParts) -> Result<Writer> {
        let (jobs, inbox) = sync_channel(parts.queue.max(1));
        let thread = Thread {
            conn: parts.conn,
            inbox,
            group: parts.group.max(1),
            signals: parts.signals,
            commit: parts.commit,
            on_fatal: parts.on_fatal,
        };
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || thread.run())
            .map_err(|error| {
                StoreError::Failed(format!("the writer cannot be started: {error}"))
            })?;
        Ok(Writer { jobs })
    }

    /// Runs a job and answers after the commit that holds it.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &mut Told) -> Result<T> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let job = Box::new(Task { work, sender });
        self.jobs
            .try_send(Message::Job(job))
            .map_err(|error| match error {
                TrySendError::Full(_) => StoreError::Busy,
                TrySendError::Disconnected(_) => StoreError::Closed,
            })?;
        answer.await.unwrap_or_else(|_| {
            Err(StoreError::Failed(
                "the write broke off; nothing of it was kept".to_owned(),
            ))
        })
    }

    /// Writes out what is gathered, folds the log into the file, and ends the thread.
    pub async fn close(&self) {
        let (sender, closed) = oneshot::channel();
        let mut message = Message::Close(sender);
        // A full inbox empties by itself; the thread is never stuck behind us.
        loop {
            match self.jobs.try_send(message) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) => {
                    message = back;
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
        let _ = closed.await;
    }
}

struct Thread {
    conn: Connection,
    inbox: Receiver<Message>,
    group: usize,
    signals: broadcast::Sender<Signal>,
    commit: Commit,
    on_fatal: OnFatal,
}

/// What became of one job.
enum After {
    Ran(Ran),
    Broke,
    /// SQLite undid everything since BEGIN, with all earlier jobs of the group.
    Undone(Option<Ran>),
}

/// Whether the thread goes on.
enum Then {
    GoOn,
    Close(oneshot::Sender<()>),
    Stop,
}

impl Thread {
    fn run(mut self) {
        while let Ok(message) = self.inbox.recv() {
            let then = match message {
                Message::Job(first) => self.run_group(first),
                Message::Close(done) => Then::Close(done),
            };
            match then {
                Then::GoOn => {}
                Then::Stop => return,
                Then::Close(done) => {
                    let Thread { conn, inbox, .. } = self;
                    // Later jobs find the door shut, not a queue that nobody reads.
                    drop(inbox);
                    let _ = conn.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);");
                    drop(conn);
                    let _ = done.send(());
                    return;
                }
            }
        }
    }

    /// Runs a first job and what has gathered behind it, commits, and answers.
    fn run_group(&mut self, first: Box<dyn Job>) -> Then {
        if let Err(error) = self.conn.execute_batch("BEGIN IMMEDIATE") {
            // Another process writes (a backup, a key being made): this caller comes back.
            let lost = Lost::why(&error);
            if lost != Lost::Busy {
                tracing::error!(error = %error, "a group of writes cannot be begun");
            }
            first.refuse(&lost);
            return Then::GoOn;
        }
        let mut group = Vec::new();
        let mut close = None;
        let mut next = Some(first);
        while let Some(job) = next.take() {
            match self.run_job(job) {
                Ok(After::Ran(ran)) => group.push(ran),
                // It panicked; its caller learns by the dropped answer.
                Ok(After::Broke) => {}
                Ok(After::Undone(ran)) => return self.forget(group, ran, close),
                Err(error) => return self.lose(group, &error, close),
            }
            if group.len() >= self.group {
                break;
            }
            match self.inbox.try_recv() {
                Ok(Message::Job(job)) => next = Some(job),
                Ok(Message::Close(done)) => close = Some(done),
                Err(_) => {}
            }
        }
        if let Err(error) = (self.commit)(&self.conn) {
            return self.lose(group, &error, close);
        }
        for ran in &mut group {
            if ran.keep {
                for signal in ran.signals.drain(..) {
                    // No receiver is no fault.
                    let _ = self.signals.send(signal);
                }
            }
        }
        for ran in group {
            (ran.answer)(None);
        }
        close.map_or(Then::GoOn, Then::Close)
    }

    /// One job in its savepoint.
    fn run_job(&self, job: Box<dyn Job>) -> rusqlite::Result<After> {
        self.conn.prepare_cached("SAVEPOINT job")?.execute([])?;
        let ran = match catch_unwind(AssertUnwindSafe(|| job.run(&self.conn))) {
            Ok(ran) => Some(ran),
            Err(_) => {
                tracing::error!("a write panicked and was undone");
                None
            }
        };
        // A full disk may make SQLite undo everything since BEGIN, earlier jobs included.
        if self.conn.is_autocommit() {
            return Ok(After::Undone(ran));
        }
        if !ran.as_ref().is_some_and(|ran| ran.keep) {
            self.conn.prepare_cached("ROLLBACK TO job")?.execute([])?;
        }
        self.conn.prepare_cached("RELEASE job")?.execute([])?;
        Ok(ran.map_or(After::Broke, After::Ran))
    }

    /// SQLite itself has undone the group because of what the last job met.
    fn forget(
        &self,
        group: Vec<Ran>,
        last: Option<Ran>,
        close: Option<oneshot::Sender<()>>,
    ) -> Then {
        let lost = last
            .as_ref()
            .and_then(|ran| ran.fault.clone())
            .unwrap_or_else(|| Lost::Failed("the database undid a group of writes".to_owned()));
        tracing::error!(?lost, jobs = group.len(), "a group of writes was undone");
        for ran in group.into_iter().chain(last) {
            (ran.answer)(Some(&lost));
        }
        close.map_or(Then::GoOn, Then::Close)
    }

    /// The group was not committed: all of it is undone and everyone is told.
    fn lose(
        &mut self,
        group: Vec<Ran>,
        error: &rusqlite::Error,
        close: Option<oneshot::Sender<()>>,
    ) -> Then {
        if is_input_output(error) {
            tracing::error!(error = %error, "input/output error in a commit: what is on the disk is not known, ending");
            (self.on_fatal)(&error.to_string());
            for ran in group {
                (ran.answer)(Some(&Lost::Failed(error.to_string())));
            }
            return Then::Stop;
        }
        tracing::error!(error = %error, jobs = group.len(), "a group of writes was not committed");
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(error = %error, "a group of writes cannot be undone");
        }
        let lost = Lost::why(error);
        for ran in group {
            (ran.answer)(Some(&lost));
        }
        close.map_or(Then::GoOn, Then::Close)
    }
}

#[cfg(test)]
mod tests;
