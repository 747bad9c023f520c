//! A store that fails when it is told to, in front of one that works.

use crate::through::{Through, Way};
use jiff::Timestamp;
use ringback_callbacks::lifecycle::{Command, Refusal};
use ringback_store::*;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

/// How a verb fails.
#[derive(Clone, Copy, Debug)]
pub enum Ailment {
    /// The database is gone for a while.
    Gone,
    /// The claim is another's.
    Fenced,
    /// A rule between rows forbids it, today and tomorrow.
    Forbidden,
}

pub struct Ailing {
    inner: Arc<dyn Store>,
    ailments: Mutex<HashMap<&'static str, Ailment>>,
    begun: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    clock: Mutex<Option<Arc<dyn Fn() -> Timestamp + Send + Sync>>>,
}

impl Ailing {
    pub fn of(inner: Arc<dyn Store>) -> Arc<Through<Ailing>> {
        Arc::new(Through(Ailing {
            inner,
            ailments: Mutex::default(),
            begun: Mutex::default(),
            clock: Mutex::default(),
        }))
    }

    /// The database has a clock of its own.
    pub fn goes_by(&self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) {
        let mut own = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        *own = Some(Arc::new(clock));
    }

    /// What comes between the next record of an attempt and whoever waits for it.
    pub fn once_begun(&self, then: impl FnOnce() + Send + 'static) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        *begun = Some(Box::new(then));
    }

    /// From now on this verb fails. `begin` is the recording of an attempt, `everything` is every verb.
    pub fn fails(&self, verb: &'static str, ailment: Ailment) {
        let mut ailments = self.ailments.lock().unwrap_or_else(PoisonError::into_inner);
        ailments.insert(verb, ailment);
    }

    pub fn recovers(&self) {
        let mut ailments = self.ailments.lock().unwrap_or_else(PoisonError::into_inner);
        ailments.clear();
    }

    fn asked(&self, verb: &str) -> Result<()> {
        let ailments = self.ailments.lock().unwrap_or_else(PoisonError::into_inner);
        match ailments.get(verb).or_else(|| ailments.get("everything")) {
            None => Ok(()),
            Some(Ailment::Gone) => Err(StoreError::Failed("the database is gone".to_owned())),
            Some(Ailment::Fenced) => Err(StoreError::Refused(Refusal::Fenced)),
            Some(Ailment::Forbidden) => Err(StoreError::Conflict {
                field: None,
                code: "number_in_call",
                detail: "another call with this number is going on".to_owned(),
            }),
        }
    }
}

impl Way for Ailing {
    fn store(&self) -> &dyn Store {
        self.inner.as_ref()
    }

    async fn reads<T: Send>(
        &self,
        verb: &'static str,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.asked(verb)?;
        work.await
    }

    async fn apply(&self, order: ApplyOrder) -> Result<Applied> {
        let begins = matches!(order.command, Command::BeginAttempt { .. });
        if begins {
            self.asked("begin")?;
        }
        self.asked("apply")?;
        let applied = self.inner.apply(order).await;
        if begins {
            let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(then) = begun.take() {
                then();
            }
        }
        applied
    }

    async fn clock(&self) -> Result<Option<Timestamp>> {
        self.asked("clock")?;
        let own = self
            .clock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match own {
            Some(own) => Ok(Some(own())),
            None => self.inner.clock().await,
        }
    }
}
