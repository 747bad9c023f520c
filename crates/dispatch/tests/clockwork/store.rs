//! A store whose verbs run to their end while the one thread of a test waits, so that the clock is not turned on while a
//! writer's thread is still at work.

use crate::through::{Through, Way};
use jiff::Timestamp;
use ringback_callbacks::ids::TenantId;
use ringback_store::*;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub struct Prompt {
    inner: Arc<dyn Store>,
    sharing: Mutex<Option<Sharing>>,
    time: Mutex<Option<Time>>,
    applying: Mutex<Option<Applying>>,
    looking: Mutex<Option<Looking>>,
    prunes_for_ever: AtomicBool,
}

/// What other nodes leave of the routes.
type Sharing = Box<dyn FnMut(&ShareOrder) -> Result<Option<Vec<u32>>> + Send>;

/// What is wrong with a command; `None`: nothing.
type Applying = Box<dyn FnMut(&ApplyOrder) -> Option<StoreError> + Send>;

/// What is seen where windows in local time are looked at.
type Looking = Box<dyn FnMut() -> Result<WindowsSeen> + Send>;

/// What a database's clock shows.
type Time = Box<dyn Fn() -> Timestamp + Send>;

impl Prompt {
    pub fn of(inner: Arc<dyn Store>) -> Arc<Through<Prompt>> {
        Arc::new(Through(Prompt {
            inner,
            sharing: Mutex::default(),
            time: Mutex::default(),
            applying: Mutex::default(),
            looking: Mutex::default(),
            prunes_for_ever: AtomicBool::new(false),
        }))
    }

    /// From now on there are other nodes, and this is how it is answered what they leave of the routes.
    pub fn shares(
        &self,
        answer: impl FnMut(&ShareOrder) -> Result<Option<Vec<u32>>> + Send + 'static,
    ) {
        *locked(&self.sharing) = Some(Box::new(answer));
    }

    /// From now on these commands fail.
    pub fn refuses(&self, fault: impl FnMut(&ApplyOrder) -> Option<StoreError> + Send + 'static) {
        *locked(&self.applying) = Some(Box::new(fault));
    }

    /// From now on this is seen where windows in local time are looked at.
    pub fn sees(&self, windows: impl FnMut() -> Result<WindowsSeen> + Send + 'static) {
        *locked(&self.looking) = Some(Box::new(windows));
    }

    /// From now on no pruning comes to its end.
    pub fn prunes_for_ever(&self) {
        self.prunes_for_ever.store(true, Ordering::SeqCst);
    }

    /// From now on the database has a clock, which shows this.
    pub fn shows(&self, time: impl Fn() -> Timestamp + Send + 'static) {
        *locked(&self.time) = Some(Box::new(time));
    }
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Unconstrained: the runtime holds up a task that has done much, and here nobody could let it go on.
fn prompt<T>(work: impl Future<Output = T>) -> T {
    futures::executor::block_on(tokio::task::unconstrained(work))
}

impl Way for Prompt {
    fn store(&self) -> &dyn Store {
        self.inner.as_ref()
    }

    async fn reads<T: Send>(
        &self,
        _verb: &'static str,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        prompt(work)
    }

    async fn apply(&self, order: ApplyOrder) -> Result<Applied> {
        let fault = locked(&self.applying)
            .as_mut()
            .and_then(|fault| fault(&order));
        match fault {
            Some(fault) => Err(fault),
            None => prompt(self.inner.apply(order)),
        }
    }

    async fn look_at_windows(
        &self,
        tenant: &TenantId,
        after: Option<RulesMark>,
        limit: usize,
    ) -> Result<WindowsSeen> {
        match &mut *locked(&self.looking) {
            Some(windows) => windows(),
            None => prompt(self.inner.look_at_windows(tenant, after, limit)),
        }
    }

    async fn share_routes(&self, order: ShareOrder) -> Result<Option<Vec<u32>>> {
        match &mut *locked(&self.sharing) {
            Some(answer) => answer(&order),
            None => Ok(None),
        }
    }

    async fn prune(&self, now: Timestamp) -> Result<u64> {
        if self.prunes_for_ever.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        prompt(self.inner.prune(now))
    }

    async fn clock(&self) -> Result<Option<Timestamp>> {
        Ok(locked(&self.time).as_ref().map(|time| time()))
    }
}
