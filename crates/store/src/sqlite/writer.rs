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

/// What a job may do besides writing.
pub(crate) struct Write<'c> {
    pub conn: &'c Connection,
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
    F: FnOnce(&mut Write<'_>) -> Result<T> + Send + 'static,
{
    fn run(self: Box<Self>, conn: &Connection) -> Ran {
        let Task { work, sender } = *self;
        let mut write = Write { conn, signals: Vec::new(), discard: false };
        let result = work(&mut write);
        let Write { signals, discard, .. } = write;
        let keep = result.is_ok() && !discard;
        let fault = result.as_ref().err().and_then(Lost::met);
        let answer: Answer = Box::new(move |lost| {
            // Nobody listens any more if the caller has gone away: the work is done all the same.
            let _ = sender.send(match lost {
                Some(lost) => Err(lost.error()),
                None => result,
            });
        });
        Ran { keep, fault, signals, answer }
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
            .map_err(|error| StoreError::Failed(format!("the writer cannot be started: {error}")))?;
        Ok(Writer { jobs })
    }

    /// Runs a job and answers after the commit that holds it.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Write<'_>) -> Result<T> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let job = Box::new(Task { work, sender });
        self.jobs.try_send(Message::Job(job)).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Closed,
        })?;
        answer.await.unwrap_or_else(|_| Err(StoreError::Failed("the write broke off; nothing of it was kept".to_owned())))
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
    fn forget(&self, group: Vec<Ran>, last: Option<Ran>, close: Option<oneshot::Sender<()>>) -> Then {
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
    fn lose(&mut self, group: Vec<Ran>, error: &rusqlite::Error, close: Option<oneshot::Sender<()>>) -> Then {
        if is_input_output(error) {
            tracing::error!(error = %error, "input/output error in a commit: what is on the disk is not known, ending");
            (self.on_fatal)(&error.to_string());
            for ran in group {
                (ran.answer)(Some(&Lost::Failed(error.to_string())));
            }
            return Then::Stop;
        }
        tracing::error!(error = %error, jobs = group.len(), "a group of writes was not committed");
        if !self.conn.is_autocommit() {
            if let Err(error) = self.conn.execute_batch("ROLLBACK") {
                tracing::error!(error = %error, "a group of writes cannot be undone");
            }
        }
        let lost = Lost::why(error);
        for ran in group {
            (ran.answer)(Some(&lost));
        }
        close.map_or(Then::GoOn, Then::Close)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Desk {
        writer: Writer,
        commits: Arc<AtomicUsize>,
        fatal: Arc<Mutex<Vec<String>>>,
    }

    fn desk(queue: usize, fail: impl Fn(usize) -> Option<i32> + Send + 'static) -> Desk {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t (x INTEGER PRIMARY KEY, y TEXT) STRICT").unwrap();
        let commits = Arc::new(AtomicUsize::new(0));
        let fatal = Arc::new(Mutex::new(Vec::new()));
        let (counted, told) = (Arc::clone(&commits), Arc::clone(&fatal));
        let parts = WriterParts {
            conn,
            queue,
            group: 256,
            signals: broadcast::channel(16).0,
            commit: Box::new(move |conn| {
                let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
                match fail(number) {
                    Some(code) => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)),
                    None => conn.execute_batch("COMMIT"),
                }
            }),
            on_fatal: Arc::new(move |why| told.lock().unwrap().push(why.to_owned())),
        };
        Desk { writer: Writer::start(parts).unwrap(), commits, fatal }
    }

    async fn put(writer: &Writer, x: i64) -> Result<()> {
        writer
            .write(move |write| {
                write.conn.execute("INSERT INTO t (x) VALUES (?1)", [x])?;
                Ok(())
            })
            .await
    }

    async fn rows(writer: &Writer) -> Vec<i64> {
        writer
            .write(|write| {
                let mut statement = write.conn.prepare("SELECT x FROM t ORDER BY x")?;
                let rows = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
                Ok(rows)
            })
            .await
            .unwrap()
    }

    /// Holds the thread inside a job until let go, so that what gathers behind it is one group.
    fn gate(writer: &Writer) -> (std::sync::mpsc::Sender<()>, tokio::task::JoinHandle<Result<()>>, std::sync::mpsc::Receiver<()>) {
        let (open, wait) = std::sync::mpsc::channel::<()>();
        let (inside, entered) = std::sync::mpsc::channel::<()>();
        let writer = writer.clone();
        let held = tokio::spawn(async move {
            writer
                .write(move |_| {
                    inside.send(()).unwrap();
                    let _ = wait.recv();
                    Ok(())
                })
                .await
        });
        (open, held, entered)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_gathers_is_one_commit() {
        let desk = desk(1000, |_| None);
        let (open, held, entered) = gate(&desk.writer);
        tokio::task::spawn_blocking(move || entered.recv().unwrap()).await.unwrap();
        let mut waiting = Vec::new();
        for x in 0..200 {
            let (sender, answer) = oneshot::channel();
            let work = move |write: &mut Write<'_>| {
                write.conn.execute("INSERT INTO t (x) VALUES (?1)", [x])?;
                Ok(())
            };
            assert!(desk.writer.jobs.try_send(Message::Job(Box::new(Task { work, sender }))).is_ok());
            waiting.push(answer);
        }
        assert_eq!(desk.commits.load(Ordering::SeqCst), 0, "nobody is answered before the commit");
        open.send(()).unwrap();
        held.await.unwrap().unwrap();
        for answer in waiting {
            answer.await.unwrap().unwrap();
        }
        assert_eq!(desk.commits.load(Ordering::SeqCst), 1, "the gate and all behind it share one commit");
        assert_eq!(rows(&desk.writer).await.len(), 200);
    }

    fn probe() -> Task<(), impl FnOnce(&mut Write<'_>) -> Result<()> + Send + 'static> {
        Task { work: |_: &mut Write<'_>| Ok(()), sender: oneshot::channel().0 }
    }

    #[tokio::test]
    async fn a_failed_job_takes_nobody_with_it() {
        let desk = desk(10, |_| None);
        put(&desk.writer, 1).await.unwrap();
        let twice = put(&desk.writer, 1).await;
        assert!(matches!(twice, Err(StoreError::Conflict { code: "constraint", .. })));
        let half: Result<()> = desk
            .writer
            .write(|write| {
                write.conn.execute("INSERT INTO t (x) VALUES (2)", [])?;
                Err(StoreError::NotFound("anything"))
            })
            .await;
        assert!(matches!(half, Err(StoreError::NotFound("anything"))));
        let asked = desk
            .writer
            .write(|write| {
                write.conn.execute("INSERT INTO t (x) VALUES (3)", [])?;
                write.discard = true;
                Ok(7)
            })
            .await;
        assert_eq!(asked.unwrap(), 7);
        assert_eq!(rows(&desk.writer).await, [1]);
    }

    #[tokio::test]
    async fn a_panic_is_undone_and_survived() {
        let desk = desk(10, |_| None);
        let broke: Result<()> = desk
            .writer
            .write(|write| {
                write.conn.execute("INSERT INTO t (x) VALUES (1)", [])?;
                panic!("a bug");
            })
            .await;
        assert!(matches!(broke, Err(StoreError::Failed(_))));
        put(&desk.writer, 2).await.unwrap();
        assert_eq!(rows(&desk.writer).await, [2]);
    }

    #[tokio::test]
    async fn a_full_disk_is_told_and_survived() {
        let desk = desk(10, |number| (number == 1).then_some(ffi::SQLITE_FULL));
        assert!(matches!(put(&desk.writer, 1).await, Err(StoreError::Full)));
        put(&desk.writer, 2).await.unwrap();
        assert_eq!(rows(&desk.writer).await, [2]);
        assert!(desk.fatal.lock().unwrap().is_empty());
    }

    /// The real thing: SQLite itself says that there is no page left.
    #[tokio::test]
    async fn no_page_left() {
        let desk = desk(10, |_| None);
        desk.writer.write(|write| Ok(write.conn.pragma_update(None, "max_page_count", 20)?)).await.unwrap();
        let large = |x: i64| {
            desk.writer.write(move |write| {
                write.conn.execute("INSERT INTO t (x, y) VALUES (?1, ?2)", rusqlite::params![x, "y".repeat(20_000)])?;
                Ok(())
            })
        };
        let mut kept = 0;
        loop {
            match large(kept).await {
                Ok(()) => kept += 1,
                Err(error) => {
                    assert!(matches!(error, StoreError::Full), "{error}");
                    break;
                }
            }
            assert!(kept < 20, "it never filled up");
        }
        assert_eq!(rows(&desk.writer).await.len(), usize::try_from(kept).unwrap());
        desk.writer.write(|write| Ok(write.conn.pragma_update(None, "max_page_count", 1000)?)).await.unwrap();
        large(kept).await.expect("there is space again");
    }

    #[tokio::test]
    async fn an_input_output_error_in_a_commit_is_the_end() {
        let desk = desk(10, |number| (number == 2).then_some(ffi::SQLITE_IOERR_FSYNC));
        put(&desk.writer, 1).await.unwrap();
        assert!(matches!(put(&desk.writer, 2).await, Err(StoreError::Failed(_))));
        assert_eq!(desk.fatal.lock().unwrap().len(), 1, "told once");
        assert!(matches!(put(&desk.writer, 3).await, Err(StoreError::Closed | StoreError::Failed(_))));
        assert_eq!(desk.fatal.lock().unwrap().len(), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_full_inbox_says_busy() {
        let desk = desk(2, |_| None);
        let (open, held, entered) = gate(&desk.writer);
        tokio::task::spawn_blocking(move || entered.recv().unwrap()).await.unwrap();
        for _ in 0..2 {
            assert!(desk.writer.jobs.try_send(Message::Job(Box::new(probe()))).is_ok());
        }
        assert!(matches!(put(&desk.writer, 1).await, Err(StoreError::Busy)));
        open.send(()).unwrap();
        held.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn closing_keeps_what_was_gathered() {
        let desk = desk(10, |_| None);
        put(&desk.writer, 1).await.unwrap();
        desk.writer.close().await;
        assert!(matches!(put(&desk.writer, 2).await, Err(StoreError::Closed)));
        desk.writer.close().await;
    }
}
