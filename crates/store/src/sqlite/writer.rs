//! The one thread that owns the only write connection.
//!
//! Jobs are closures; what has gathered is committed as one group, so that many callers share one fsync. Nobody is
//! answered before the commit that holds their work is done.
//!
//! A job that fails takes nobody with it. A savepoint for each would see to that, but it makes SQLite copy every page
//! that the job touches, for a failure that hardly ever comes after the first write. So a group is run without them;
//! if one of its jobs did write and must be undone, the group is undone as a whole and run again, each job in a
//! savepoint of its own.

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

/// How a job is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// Nothing of it can be undone apart from the rest of its group.
    Plain,
    /// In a savepoint, and free to make more of them.
    Savepoints,
}

/// A piece of work with somebody waiting for its answer. It may be run a second time, from its beginning.
trait Job: Send {
    fn run(&mut self, conn: &Connection, care: Care) -> Ran;
    /// After the commit; or why it was not made.
    fn answer(self: Box<Self>, lost: Option<&Lost>);
}

struct Task<T, F> {
    work: F,
    sender: oneshot::Sender<Result<T>>,
    /// What it came to when it was run last.
    result: Option<Result<T>>,
}

/// What the thread has to know of a job that has run.
struct Ran {
    keep: bool,
    /// The fault it met, if that was the database's.
    fault: Option<Lost>,
    signals: Vec<Signal>,
}

/// A job that waits for the commit.
struct Waits {
    job: Box<dyn Job>,
    ran: Ran,
}

impl<T, F> Job for Task<T, F>
where
    T: Send + 'static,
    F: FnMut(&Connection, Care, &mut Told) -> Result<T> + Send + 'static,
{
    fn run(&mut self, conn: &Connection, care: Care) -> Ran {
        self.result = None;
        let mut told = Told::default();
        let result = (self.work)(conn, care, &mut told);
        let Told { signals, discard } = told;
        let ran = Ran {
            keep: result.is_ok() && !discard,
            fault: result.as_ref().err().and_then(Lost::met),
            signals,
        };
        self.result = Some(result);
        ran
    }

    fn answer(self: Box<Self>, lost: Option<&Lost>) {
        let Task { sender, result, .. } = *self;
        let answer = match (lost, result) {
            (Some(lost), _) => Err(lost.error()),
            (None, Some(result)) => result,
            (None, None) => Err(broke_off()),
        };
        // Nobody listens any more if the caller has gone away: the work is done all the same.
        let _ = sender.send(answer);
    }
}

fn broke_off() -> StoreError {
    StoreError::Failed("the write broke off; nothing of it was kept".to_owned())
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
        F: FnMut(&Connection, Care, &mut Told) -> Result<T> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let job = Box::new(Task {
            work,
            sender,
            result: None,
        });
        self.jobs
            .try_send(Message::Job(job))
            .map_err(|error| match error {
                TrySendError::Full(_) => StoreError::Busy,
                TrySendError::Disconnected(_) => StoreError::Closed,
            })?;
        answer.await.unwrap_or_else(|_| Err(broke_off()))
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

/// Why a group cannot go on as it is. The job that broke it is in it.
enum Broken {
    /// A job has written and must be undone, which only the group as a whole can be.
    Spoiled,
    /// SQLite undid everything since BEGIN, with all earlier jobs of the group.
    Undone(Lost),
    Failed(rusqlite::Error),
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
            first.answer(Some(&lost));
            return Then::GoOn;
        }
        let (mut group, mut care, mut close) = (Vec::new(), Care::Plain, None);
        let mut next = Some(first);
        let mut outcome = Ok(());
        while let Some(job) = next.take() {
            outcome = self.take_in(&mut group, job, care);
            if matches!(outcome, Err(Broken::Spoiled)) {
                care = Care::Savepoints;
                outcome = self.run_again(&mut group);
            }
            if outcome.is_err() || group.len() >= self.group {
                break;
            }
            match self.inbox.try_recv() {
                Ok(Message::Job(job)) => next = Some(job),
                Ok(Message::Close(done)) => close = Some(done),
                Err(_) => {}
            }
        }
        let outcome = outcome.and_then(|()| (self.commit)(&self.conn).map_err(Broken::Failed));
        match outcome {
            Ok(()) => self.tell(group),
            Err(broken) => {
                if let Then::Stop = self.lose(group, broken) {
                    return Then::Stop;
                }
            }
        }
        close.map_or(Then::GoOn, Then::Close)
    }

    /// Runs one job as part of the group.
    fn take_in(
        &self,
        group: &mut Vec<Waits>,
        mut job: Box<dyn Job>,
        care: Care,
    ) -> std::result::Result<(), Broken> {
        let run = |sql| -> std::result::Result<(), Broken> {
            let ran = self
                .conn
                .prepare_cached(sql)
                .and_then(|mut statement| statement.execute([]));
            ran.map(drop).map_err(Broken::Failed)
        };
        let written = self.conn.total_changes();
        if care == Care::Savepoints {
            run("SAVEPOINT job")?;
        }
        let ran = catch_unwind(AssertUnwindSafe(|| job.run(&self.conn, care)));
        let ran = ran.unwrap_or_else(|_| {
            tracing::error!("a write panicked and was undone");
            Ran {
                keep: false,
                fault: None,
                signals: Vec::new(),
            }
        });
        let (keep, fault) = (ran.keep, ran.fault.clone());
        group.push(Waits { job, ran });
        // A full disk may make SQLite undo everything since BEGIN, earlier jobs included.
        if self.conn.is_autocommit() {
            return Err(Broken::Undone(fault.unwrap_or_else(|| {
                Lost::Failed("the database undid a group of writes".to_owned())
            })));
        }
        match care {
            Care::Plain if keep || self.conn.total_changes() == written => Ok(()),
            Care::Plain => Err(Broken::Spoiled),
            Care::Savepoints => {
                if !keep {
                    run("ROLLBACK TO job")?;
                }
                run("RELEASE job")
            }
        }
    }

    /// Undoes the group and runs it from its beginning, each job in its savepoint. If that breaks too, callers whose
    /// jobs were not come to learn by the dropped answer.
    fn run_again(&self, group: &mut Vec<Waits>) -> std::result::Result<(), Broken> {
        self.conn
            .execute_batch("ROLLBACK; BEGIN IMMEDIATE")
            .map_err(Broken::Failed)?;
        for waits in std::mem::take(group) {
            self.take_in(group, waits.job, Care::Savepoints)?;
        }
        Ok(())
    }

    /// After the commit.
    fn tell(&self, mut group: Vec<Waits>) {
        for waits in &mut group {
            if waits.ran.keep {
                for signal in waits.ran.signals.drain(..) {
                    // No receiver is no fault.
                    let _ = self.signals.send(signal);
                }
            }
        }
        for waits in group {
            waits.job.answer(None);
        }
    }

    /// The group was not committed: all of it is undone and everyone is told.
    fn lose(&mut self, group: Vec<Waits>, broken: Broken) -> Then {
        let (lost, then) = match broken {
            Broken::Failed(error) if is_input_output(&error) => {
                tracing::error!(error = %error, "input/output error in a commit: what is on the disk is not known, ending");
                (self.on_fatal)(&error.to_string());
                (Lost::Failed(error.to_string()), Then::Stop)
            }
            Broken::Failed(error) => {
                tracing::error!(error = %error, jobs = group.len(), "a group of writes was not committed");
                (Lost::why(&error), Then::GoOn)
            }
            Broken::Undone(lost) => {
                tracing::error!(?lost, jobs = group.len(), "a group of writes was undone");
                (lost, Then::GoOn)
            }
            Broken::Spoiled => {
                let lost = Lost::Failed("a write could not be undone alone".to_owned());
                (lost, Then::GoOn)
            }
        };
        if matches!(then, Then::GoOn)
            && !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(error = %error, "a group of writes cannot be undone");
        }
        for waits in group {
            waits.job.answer(Some(&lost));
        }
        then
    }
}

#[cfg(test)]
mod tests;
