//! The clock on the wall over tokio's paused time, nodes that can die or stand still between any two
//! steps, and the faults that a store is asked through.

use crate::dice::Dice;
use jiff::{SignedDuration, Timestamp};
use ringback_callbacks::clock::Clock;
use ringback_store::StoreError;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What everybody's wall clock shows. Timers run on tokio's time, which never steps; the wall does.
pub struct Wall {
    base: Timestamp,
    origin: Instant,
    skew_ms: AtomicI64,
}

impl Wall {
    pub fn new(base: Timestamp) -> Arc<Wall> {
        Arc::new(Wall {
            base,
            origin: Instant::now(),
            skew_ms: AtomicI64::new(0),
        })
    }

    pub fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.origin.elapsed()).unwrap_or_default();
        let skew = SignedDuration::from_millis(self.skew_ms.load(Ordering::SeqCst));
        self.base
            .saturating_add(passed.saturating_add(skew))
            .unwrap_or(Timestamp::MAX)
    }

    /// Somebody sets the clock.
    pub fn step(&self, by_ms: i64) {
        self.skew_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

/// One run of one node. Everything it does to the world goes through [`Life::step`], and a node that is
/// dead never returns from there: to everybody else that is `kill -9` between two instructions.
pub struct Life {
    dead: AtomicBool,
    /// Steps until it dies.
    left: AtomicI64,
    frozen_until: Mutex<Option<Instant>>,
    pub died: Notify,
}

impl Life {
    pub fn new() -> Arc<Life> {
        Arc::new(Life {
            dead: AtomicBool::new(false),
            left: AtomicI64::new(i64::MAX),
            frozen_until: Mutex::new(None),
            died: Notify::new(),
        })
    }

    /// It dies at the so-manieth step from now.
    pub fn dies_in(&self, steps: u64) {
        self.left.store(steps as i64, Ordering::SeqCst);
    }

    /// It stands still, as a virtual machine that is moved does, and then goes on as if nothing had been.
    pub fn freezes(&self, span: Duration) {
        *self.frozen() = Some(Instant::now() + span);
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    pub async fn step(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 1 && !self.dead.swap(true, Ordering::SeqCst)
        {
            self.died.notify_one();
        }
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
        let until = *self.frozen();
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
    }

    fn frozen(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.frozen_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A node's view of the wall: timers that may be late, and none for the dead.
pub struct NodeClock {
    pub wall: Arc<Wall>,
    pub life: Arc<Life>,
    pub faults: Arc<Faults>,
}

/// As in the program: no wait is longer than this without a look at the wall. Longer than there, because
/// every look of an idle node costs the simulation time.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        self.wall.now()
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let left = at.duration_since(self.wall.now());
        let wait = if left.is_positive() {
            left.unsigned_abs().min(LONGEST_WAIT) + self.faults.late()
        } else {
            Duration::ZERO
        };
        let life = self.life.clone();
        Box::pin(async move {
            tokio::time::sleep(wait).await;
            if life.is_dead() {
                std::future::pending::<()>().await;
            }
        })
    }
}

/// How often what goes wrong, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// The store fails and has done nothing.
    pub before: u64,
    /// The store has done it, and the answer is lost.
    pub after: u64,
    /// An answer takes its time.
    pub slow: u64,
    /// A timer rings late.
    pub late: u64,
}

/// What goes wrong between a node and the rest.
pub struct Faults {
    dice: Dice,
    rates: Rates,
    on: AtomicBool,
    /// The store is gone for everybody until then.
    gone_until: Mutex<Option<Instant>>,
    pub asked: AtomicU64,
}

/// Nothing that rests asks the store so often in one day.
const MOST_ASKED: u64 = 400_000;

impl Faults {
    pub fn new(dice: Dice, rates: Rates) -> Arc<Faults> {
        Arc::new(Faults {
            dice,
            rates,
            on: AtomicBool::new(true),
            gone_until: Mutex::new(None),
            asked: AtomicU64::new(0),
        })
    }

    /// From now on nothing goes wrong any more.
    pub fn cease(&self) {
        self.on.store(false, Ordering::SeqCst);
    }

    pub fn gone_for(&self, span: Duration) {
        *self
            .gone_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + span);
    }

    fn happens(&self, share: u64) -> bool {
        self.on.load(Ordering::SeqCst) && self.dice.per_mille(share)
    }

    fn late(&self) -> Duration {
        if self.happens(self.rates.late) {
            let longest = if self.dice.per_mille(100) { 120 } else { 3 };
            self.dice.seconds(0, longest)
        } else {
            Duration::ZERO
        }
    }

    /// On the way to the store.
    pub async fn before(&self) -> Result<(), StoreError> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        assert!(asked < MOST_ASKED, "somebody spins");
        if self.happens(self.rates.slow) {
            let longest = if self.dice.per_mille(50) { 20 } else { 1 };
            tokio::time::sleep(self.dice.seconds(0, longest)).await;
        }
        let gone = *self
            .gone_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.on.load(Ordering::SeqCst) && gone.is_some_and(|until| Instant::now() < until) {
            return Err(StoreError::Failed("gone".to_owned()));
        }
        if self.happens(self.rates.before) {
            return Err(if self.dice.per_mille(300) {
                StoreError::Busy
            } else {
                StoreError::Failed("broken before the commit".to_owned())
            });
        }
        Ok(())
    }

    /// On the way back.
    pub async fn after(&self) -> Result<(), StoreError> {
        if self.happens(self.rates.slow) {
            tokio::time::sleep(self.dice.seconds(0, 1)).await;
        }
        if self.happens(self.rates.after) {
            return Err(StoreError::Failed("the answer was lost".to_owned()));
        }
        Ok(())
    }
}
