//! A thread with a runtime and a connection of its own, which is made anew when it was lost.

use super::faults::Fault;
use super::session::Session;
use super::tables::Slotted;
use super::target::Target;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// After a failed connect nobody is kept waiting for another try before this has passed.
const REST: Duration = Duration::from_millis(300);

/// What the threads of a kind know of each other.
#[derive(Debug, Default)]
pub(super) struct Fellows {
    /// How many have a connection.
    connected: AtomicUsize,
    closing: AtomicBool,
}

impl Fellows {
    /// Nobody waits for a connection any more.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }
}

pub(super) struct Lane {
    pub runtime: Rc<Runtime>,
    target: Arc<Target>,
    session: Option<Session>,
    failed: Option<(Instant, Fault)>,
    /// Whether it counts among the connected.
    counted: bool,
    /// Queues with slots that this connection has seen.
    pub slotted: RefCell<Slotted>,
}

impl Lane {
    pub fn new(target: Arc<Target>) -> std::io::Result<Lane> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Lane {
            runtime: Rc::new(runtime),
            target,
            session: None,
            failed: None,
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
    pub fn stand_back(&mut self, fellows: &Fellows) {
        loop {
            let ready = self.ready().is_ok();
            if ready != self.counted {
                self.counted = ready;
                if ready {
                    fellows.connected.fetch_add(1, Ordering::Relaxed);
                } else {
                    fellows.connected.fetch_sub(1, Ordering::Relaxed);
                }
            }
            let alone = fellows.connected.load(Ordering::Relaxed) == 0;
            if ready || alone || fellows.closing.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(REST);
        }
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
        Fault::Raced(_) | Fault::Full | Fault::ReadOnly => fault.clone(),
    }
}
