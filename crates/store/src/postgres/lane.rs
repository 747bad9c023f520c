//! A thread with a runtime and a connection of its own, which is made anew when it was lost.

use super::crew::{Crew, Duty};
use super::faults::Fault;
use super::session::Session;
use super::tables::Slotted;
use super::target::Target;
use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// After a failed connect nobody is kept waiting for another try before this has passed.
const REST: Duration = Duration::from_millis(300);
/// How soon a thread looks again whether the other duties have their first connection.
const TURN: Duration = Duration::from_millis(10);

pub(super) struct Lane {
    pub runtime: Rc<Runtime>,
    target: Arc<Target>,
    session: Option<Session>,
    failed: Option<(Instant, Fault)>,
    duty: Duty,
    crew: Arc<Crew>,
    /// Whether it counts among the connected of its duty.
    counted: bool,
    /// Queues with slots that this connection has seen.
    pub slotted: RefCell<Slotted>,
}

impl Lane {
    pub fn new(target: Arc<Target>, duty: Duty, crew: Arc<Crew>) -> std::io::Result<Lane> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Lane {
            runtime: Rc::new(runtime),
            target,
            session: None,
            failed: None,
            duty,
            crew,
            counted: false,
            slotted: RefCell::default(),
        })
    }

    /// The connection, made anew if it was lost.
    pub fn ready(&mut self) -> Result<(), Fault> {
        if self.session.as_ref().is_some_and(Session::is_lost) {
            self.session = None;
        }
        if self.session.is_some() {
            return Ok(());
        }
        if let Some((at, fault)) = &self.failed
            && at.elapsed() < REST
        {
            return Err(fault.clone());
        }
        match Session::connect(&self.runtime, &self.target) {
            Ok(session) => {
                self.session = Some(session);
                self.failed = None;
                Ok(())
            }
            Err(fault) => {
                let fault = told(&self.target, &fault);
                self.failed = Some((Instant::now(), fault.clone()));
                Err(fault)
            }
        }
    }

    /// A thread whose connection cannot be had leaves the work to those that have one. If nobody has, it takes the work
    /// all the same, so that callers are told.
    pub fn stand_back(&mut self) {
        if self.counted && self.crew.has_to_spare(self.duty) {
            self.session = None;
        }
        if self.counted && self.session.as_ref().is_none_or(Session::is_lost) {
            self.session = None;
            self.counted = false;
            self.crew.parted(self.duty);
        }
        while !self.counted {
            let rest = if !self.crew.claim(self.duty) {
                TURN
            } else if self.ready().is_ok() {
                self.crew.connected(self.duty);
                self.counted = true;
                return;
            } else {
                self.crew.refused(self.duty);
                REST
            };
            if self.crew.is_deserted(self.duty) || self.crew.is_closing() {
                return;
            }
            std::thread::sleep(rest);
        }
    }

    /// Waits for work. `None`: there is no connection, and it is time to try for one again, with or without work; until
    /// this duty has one, others that have theirs do without a second.
    pub fn await_work<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.runtime.block_on(async {
            if self.counted {
                return Some(work.await);
            }
            tokio::time::timeout(REST, work).await.ok()
        })
    }

    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    pub fn begin(&self) -> &'static str {
        self.target.begin()
    }

    /// The connection is not to be used again.
    pub fn drop_session(&mut self) {
        self.session = None;
    }
}

/// A failed connect, with where it went.
pub(super) fn told(target: &Target, fault: &Fault) -> Fault {
    match fault {
        Fault::Lost(why) => Fault::Lost(format!(
            "the database at {} cannot be reached: {why}",
            target.describe()
        )),
        Fault::Refused(why) => Fault::Refused(format!(
            "the database at {} refuses: {why}",
            target.describe()
        )),
        Fault::Raced(_) | Fault::Taken(_) | Fault::Locked(_) | Fault::Full | Fault::ReadOnly => {
            fault.clone()
        }
    }
}
