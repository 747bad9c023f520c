//! The store as a node sees it: it fails before the commit or after it, takes its time, and the node may
//! die on either side of it.
//!
//! Every verb runs to its end while this one thread waits, so that the writer's own thread cannot make
//! two runs of the same day differ.

use crate::ghosts::Ghosts;
use crate::through::{Through, Way};
use crate::wall::{Faults, Life};
use crate::watch::Watch;
use jiff::Timestamp;
use ringback_callbacks::lifecycle::Command;
use ringback_store::*;
use std::future::Future;
use std::sync::Arc;

pub struct Troubled {
    /// The prompt one, if this one is troubled.
    raw: Arc<dyn Store>,
    /// `None`: everything works.
    trouble: Option<Trouble>,
}

pub struct Trouble {
    pub life: Arc<Life>,
    pub faults: Arc<Faults>,
    pub watch: Arc<Watch>,
    pub ghosts: Arc<Ghosts>,
}

impl Troubled {
    /// The store itself, prompt and faultless.
    pub fn prompt(raw: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Through(Troubled { raw, trouble: None }))
    }

    pub fn with(raw: Arc<dyn Store>, trouble: Trouble) -> Arc<dyn Store> {
        Arc::new(Through(Troubled {
            raw,
            trouble: Some(trouble),
        }))
    }
}

/// Unconstrained: the runtime holds up a task that has done much, and here nobody could let it go on.
fn prompt<T>(work: impl Future<Output = T>) -> T {
    futures::executor::block_on(tokio::task::unconstrained(work))
}

impl Way for Troubled {
    fn store(&self) -> &dyn Store {
        self.raw.as_ref()
    }

    async fn reads<T: Send>(
        &self,
        _verb: &'static str,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let Some(trouble) = &self.trouble else {
            return prompt(work);
        };
        trouble.life.step().await;
        trouble.faults.before().await?;
        let answer = work.await;
        trouble.life.step().await;
        answer
    }

    async fn writes<T: Send>(
        &self,
        _verb: &'static str,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let Some(trouble) = &self.trouble else {
            return prompt(work);
        };
        trouble.life.step().await;
        trouble.faults.before().await?;
        // While the answer was on its way the node may have died or stood still.
        trouble.life.step().await;
        let answer = work.await;
        if let Err(StoreError::Failed(why)) = &answer {
            trouble
                .watch
                .breach(format!("the store failed by itself: {why}"));
        }
        trouble.life.step().await;
        trouble.faults.after().await?;
        answer
    }

    async fn apply(&self, order: ApplyOrder) -> Result<Applied> {
        let Some(trouble) = &self.trouble else {
            return self.reads("apply", self.raw.apply(order)).await;
        };
        let (command, now) = (order.command.clone(), order.now);
        let (tenant, id) = (order.tenant.clone(), order.callback);
        let work = async {
            let applied = self.raw.apply(order).await;
            if let Ok(Applied::Done(callback, _)) = &applied {
                if let Command::BeginAttempt { begin, .. } = &command {
                    trouble.watch.begun(callback, begin.attempt, now).await;
                }
                trouble.ghosts.remember(tenant, id, command);
            }
            applied
        };
        self.writes("apply", work).await
    }

    async fn clock(&self) -> Result<Option<Timestamp>> {
        // It has none, and asking is no step at which anything could happen: the day is not to wait for a thread that
        // it does not know of.
        Ok(None)
    }
}
