//! Jobs that write: what has gathered is one transaction, and each job is answered after its commit.
//!
//! A few threads take from one line of jobs, so that one group is worked on while another waits for the disk; one more
//! has a line for what must not wait behind them. When a
//! group is lost to another writer, its jobs are run again one by one, each in a transaction of its own: each is
//! answered for itself, and fails alone.

use super::crew::{Crew, Duty};
use super::faults::Fault;
use super::lane::Lane;
use super::memory::Memory;
use super::tables::PgTables;
use super::target::Target;
use crate::tables::{Kind, Needs, Tables};
use crate::verbs::Write;
use crate::{Result, Signal, StoreError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Mutex, mpsc, oneshot};

/// How often a job is run when others are always faster.
const TRIES: usize = 12;

/// Jobs of a group that wait for a lock in vain, one after the other, before the rest is told to come back.
const LOCKED: usize = 2;

/// Told of every commit, before the jobs' callers are.
pub(super) type Tell = Arc<dyn Fn(Vec<Signal>) + Send + Sync>;

#[derive(Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Box<dyn Job>>,
    urgent: mpsc::Sender<Box<dyn Job>>,
}

pub(super) struct WriterParts {
    pub target: Arc<Target>,
    pub crew: Arc<Crew>,
    pub lanes: usize,
    /// Jobs that may wait before callers are told to come back.
    pub queue: usize,
    /// Jobs in one transaction at most.
    pub group: usize,
    pub offset: i64,
    pub tell: Tell,
}

/// A piece of work with somebody waiting for its answer.
trait Job: Send {
    fn kind(&self) -> &Kind;
    fn run(&mut self, tables: &dyn Tables) -> Ran;
    /// With the fault because of which it came to nothing, or with its own result.
    fn answer(self: Box<Self>, lost: Option<&Fault>);
}

struct Ran {
    keep: bool,
    signals: Vec<Signal>,
}

struct Task<T, F> {
    kind: Kind,
    work: F,
    result: Option<Result<T>>,
    sender: oneshot::Sender<Result<T>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send + 'static,
    F: FnMut(&mut Write<'_>) -> Result<T> + Send + 'static,
{
    fn kind(&self) -> &Kind {
        &self.kind
    }

    fn run(&mut self, tables: &dyn Tables) -> Ran {
        // Of a run that was lost nothing may be answered, also if this one breaks off.
        self.result = None;
        let mut write = Write::on(tables);
        let result = (self.work)(&mut write);
        let keep = result.is_ok() && !write.discard;
        let signals = std::mem::take(&mut write.signals);
        self.result = Some(result);
        Ran { keep, signals }
    }

    fn answer(self: Box<Self>, lost: Option<&Fault>) {
        let result = match (lost, self.result) {
            (Some(fault), _) => Err(fault.error()),
            (None, Some(result)) => result,
            (None, None) => Err(StoreError::Failed(
                "the write broke off; nothing of it was kept".to_owned(),
            )),
        };
        // Nobody listens any more if the caller has gone away: the work is done all the same.
        let _ = self.sender.send(result);
    }
}

impl Writer {
    pub fn start(
        parts: &WriterParts,
    ) -> std::io::Result<(Writer, Vec<std::thread::JoinHandle<()>>)> {
        let (jobs, inbox) = mpsc::channel(parts.queue.max(1));
        let (urgent, first_inbox) = mpsc::channel(parts.queue.max(1));
        let inbox = Arc::new(Mutex::new(inbox));
        let memory = Arc::<Memory>::default();
        let mut threads = Vec::new();
        let lines = std::iter::once((Duty::Urgent, Arc::new(Mutex::new(first_inbox)))).chain(
            std::iter::repeat_n((Duty::Writes, inbox), parts.lanes.max(1)),
        );
        for (number, (duty, inbox)) in lines.enumerate() {
            let desk = Desk {
                inbox,
                group: parts.group.max(1),
                offset: parts.offset,
                tell: Arc::clone(&parts.tell),
                memory: Arc::clone(&memory),
                next: None,
            };
            let (target, crew) = (Arc::clone(&parts.target), Arc::clone(&parts.crew));
            let thread = std::thread::Builder::new().name(format!("store-writer-{number}"));
            threads.push(thread.spawn(move || match Lane::new(target, duty, crew) {
                Ok(lane) => desk.run(lane),
                Err(error) => tracing::error!(error = %error, "a writer cannot be started"),
            })?);
        }
        Ok((Writer { jobs, urgent }, threads))
    }

    /// Runs a job and answers after the commit that holds it.
    pub async fn write<T, F>(&self, kind: Kind, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Write<'_>) -> Result<T> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let line = match &kind {
            Kind::Urgent(_) => &self.urgent,
            Kind::Batched(_) | Kind::Alone => &self.jobs,
        };
        let job = Box::new(Task {
            kind,
            work,
            result: None,
            sender,
        });
        line.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Closed(_) => StoreError::Closed,
        })?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

/// One writer's place at the line.
struct Desk {
    inbox: Arc<Mutex<mpsc::Receiver<Box<dyn Job>>>>,
    group: usize,
    offset: i64,
    tell: Tell,
    memory: Arc<Memory>,
    /// Taken from the line already.
    next: Option<Box<dyn Job>>,
}

impl Desk {
    /// Ends when the last door to the line is closed and the line is empty.
    fn run(mut self, mut lane: Lane) {
        loop {
            lane.stand_back();
            let first = match self.next.take() {
                Some(job) => job,
                None => match lane.await_work(async { self.inbox.lock().await.recv().await }) {
                    Some(Some(job)) => job,
                    Some(None) => return,
                    None => continue,
                },
            };
            let jobs = self.gather(first);
            self.work(&mut lane, jobs);
        }
    }

    /// A job that wants a transaction of its own, or as many of the others as have gathered.
    fn gather(&mut self, first: Box<dyn Job>) -> Vec<Box<dyn Job>> {
        let mut jobs = vec![first];
        if matches!(jobs[0].kind(), Kind::Alone) {
            return jobs;
        }
        // Where another writer stands waiting at the line, it is empty.
        let Ok(mut inbox) = self.inbox.try_lock() else {
            return jobs;
        };
        while jobs.len() < self.group {
            match inbox.try_recv() {
                Ok(job) if matches!(job.kind(), Kind::Alone) => {
                    self.next = Some(job);
                    break;
                }
                Ok(job) => jobs.push(job),
                Err(_) => break,
            }
        }
        jobs
    }

    fn work(&self, lane: &mut Lane, mut jobs: Vec<Box<dyn Job>>) {
        if let Err(fault) = lane.ready() {
            return refuse(jobs, &fault);
        }
        if jobs.len() > 1 {
            match self.attempt(lane, &mut jobs, true) {
                Ok(signals) => {
                    (self.tell)(signals);
                    return refuse_none(jobs);
                }
                Err(fault) if fault.ends_the_session() => {
                    lane.drop_session();
                    return refuse(jobs, &fault);
                }
                // One of them is the reason: each for itself.
                Err(_) => {}
            }
        }
        let mut locked = 0;
        while !jobs.is_empty() {
            if locked == LOCKED {
                // The lock is on more than a row, and each would wait for it as long.
                return refuse(jobs, &Fault::Locked("a lock is kept".to_owned()));
            }
            if let Some(Fault::Locked(_)) = self.work_alone(lane, jobs.remove(0)) {
                locked += 1;
            }
        }
    }

    /// Answers the job, and the fault because of which it came to nothing.
    fn work_alone(&self, lane: &mut Lane, job: Box<dyn Job>) -> Option<Fault> {
        let mut jobs = vec![job];
        let mut number = 1;
        let fault = loop {
            if let Err(fault) = lane.ready() {
                break fault;
            }
            match self.attempt(lane, &mut jobs, number == 1) {
                Ok(signals) => {
                    (self.tell)(signals);
                    refuse_none(jobs);
                    return None;
                }
                Err(fault) if fault.may_be_run_again() && number < TRIES => {
                    tracing::debug!(why = %fault, number, "a write was lost to another and is run again");
                    number += 1;
                }
                Err(fault) => break fault,
            }
        };
        if fault.ends_the_session() {
            lane.drop_session();
        }
        if matches!(fault, Fault::Raced(_) | Fault::Locked(_)) {
            tracing::warn!(why = %fault, tries = number, "a write came to nothing; its caller may come back");
        }
        refuse(jobs, &fault);
        Some(fault)
    }

    /// One transaction for all of them; nothing of it stays if it fails.
    fn attempt(
        &self,
        lane: &Lane,
        jobs: &mut [Box<dyn Job>],
        trusting: bool,
    ) -> std::result::Result<Vec<Signal>, Fault> {
        let Some(session) = lane.session() else {
            return Err(Fault::Lost("there is no connection".to_owned()));
        };
        let (begin, slotted) = (lane.begin(), &lane.slotted);
        let memory = Some(self.memory.as_ref());
        let tables = PgTables::new(session, true, begin, self.offset, slotted, memory, trusting);
        let done = run(&tables, jobs);
        let fault = tables.fault.borrow_mut().take();
        let fault = match (done, fault) {
            (Ok(Done::Commit(signals)), None) => return Ok(signals),
            (Ok(Done::Discard), None) => None,
            (_, Some(fault)) => Some(fault),
            (Err(error), None) => Some(Fault::Refused(error.to_string())),
        };
        if !fault.as_ref().is_some_and(Fault::ends_the_session)
            && let Err(error) = session.plain("ROLLBACK")
        {
            return Err(fault.unwrap_or(error));
        }
        fault.map_or(Ok(Vec::new()), Err)
    }
}

enum Done {
    Commit(Vec<Signal>),
    /// The only job of the transaction wants nothing kept.
    Discard,
}

fn run(tables: &PgTables<'_>, jobs: &mut [Box<dyn Job>]) -> Result<Done> {
    let needs: Vec<&Needs> = jobs
        .iter()
        .filter_map(|job| match job.kind() {
            Kind::Batched(needs) | Kind::Urgent(needs) => Some(needs),
            Kind::Alone => None,
        })
        .collect();
    tables.begin_with(&needs)?;
    let alone = jobs.len() == 1;
    let mut signals = Vec::new();
    for job in jobs {
        let mark = tables.mark()?;
        let ran = catch_unwind(AssertUnwindSafe(|| job.run(tables)));
        if tables.fault.borrow().is_some() {
            // Told by whoever asked; nothing more can be done in this transaction.
            return Ok(Done::Discard);
        }
        match ran {
            Ok(mut ran) if ran.keep => {
                tables.keep(mark)?;
                signals.append(&mut ran.signals);
            }
            _ if alone => return Ok(Done::Discard),
            Ok(_) => tables.undo(mark)?,
            Err(_) => {
                tracing::error!("a write panicked and was undone");
                tables.undo(mark)?;
            }
        }
    }
    tables.commit()?;
    Ok(Done::Commit(signals))
}

fn refuse(jobs: Vec<Box<dyn Job>>, fault: &Fault) {
    for job in jobs {
        job.answer(Some(fault));
    }
}

fn refuse_none(jobs: Vec<Box<dyn Job>>) {
    for job in jobs {
        job.answer(None);
    }
}
