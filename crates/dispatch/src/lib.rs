//! The clockwork between store and channels: claims what is due, carries it out, settles it.
//!
//! The wheel (`wheel`) sleeps until the next due moment or a signal; every claimed callback is carried
//! (`carry`) by a task of its own, so that a slow peer never delays another call; leases are lengthened
//! while a call lasts (`lease`); a route that other nodes use too is used in part (`share`); after a start what became due meanwhile is taken up at a pace (`catch_up`); what an earlier run left is cleaned up and rescued (`rescue`).

mod carry;
mod catch_up;
mod clocks;
mod contact;
mod faults;
mod lease;
mod mail;
mod observer;
mod place;
mod planner;
mod prune;
mod rescue;
mod share;
mod wheel;
mod windows;

pub use clocks::Apart;
pub use observer::{Observer, Unobserved};
pub use planner::Planner;
pub use windows::resolve_windows;

use jiff::Timestamp;
use ringback_callbacks::clock::{Chance, Clock};
use ringback_callbacks::ids::{InteractionId, NodeId, TenantId};
use ringback_channels::Channels;
use ringback_store::{HeldClaim, KnownQueues, Store};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a claim holds without being lengthened. A dead node's callbacks wait this long at most.
    pub lease: Duration,
    /// Callbacks this node carries at one time.
    pub max_claims: usize,
    /// Callbacks touched in one claiming transaction.
    pub batch: usize,
    /// Callbacks taken up in a second after a start or a leap of the clock, until what became due meanwhile
    /// is done.
    pub catch_up_per_second: u32,
    /// The clock is read again at least this often, so that a jump of the wall clock is noticed.
    pub longest_sleep: Duration,
    /// Whose windows said in local time are resolved again before anything is dialled.
    pub local_time_of: Option<TenantId>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            lease: Duration::from_secs(30),
            max_claims: 2000,
            batch: 256,
            catch_up_per_second: 10,
            longest_sleep: Duration::from_secs(30),
            local_time_of: None,
        }
    }
}

/// What the parts share.
pub(crate) struct Parts {
    pub store: Arc<dyn Store>,
    pub channels: Channels,
    pub clock: Arc<dyn Clock>,
    pub chance: Arc<dyn Chance>,
    pub node: NodeId,
    pub settings: Settings,
    pub observer: Arc<dyn Observer>,
    pub planner: Arc<Planner>,
    /// No new claims; offers and unbegun assignments go back.
    pub draining: CancellationToken,
    /// Calls are ended now.
    pub stopping: CancellationToken,
    /// Background loops end.
    pub ended: CancellationToken,
    /// This node's clock and the database's do not agree: nothing is begun.
    pub out_of_step: AtomicBool,
    /// A place became free while all were taken.
    pub room: Notify,
    pub queues: KnownQueues,
    /// In order, so that two runs of the same day go alike.
    held: Mutex<BTreeMap<(TenantId, InteractionId), Held>>,
}

struct Held {
    fence: u64,
    /// When the lease ends, as far as this node knows; it may have been lengthened further.
    until: Timestamp,
    changed: Arc<Notify>,
    /// Set when the claim is lost: the task must stop placing and settle nothing.
    lost: CancellationToken,
}

impl Parts {
    /// A poisoned map only means that a task panicked between two whole changes: its content is sound.
    fn held(&self) -> MutexGuard<'_, BTreeMap<(TenantId, InteractionId), Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn carried(&self) -> usize {
        self.held().len()
    }

    pub fn claims(&self) -> Vec<HeldClaim> {
        self.claims_until(Timestamp::MAX)
    }

    /// What is carried under a lease that ends at `end` or before.
    pub fn claims_until(&self, end: Timestamp) -> Vec<HeldClaim> {
        self.held()
            .iter()
            .filter(|(_, held)| held.until <= end)
            .map(|((tenant, callback), held)| HeldClaim {
                tenant: tenant.clone(),
                callback: *callback,
                fence: held.fence,
            })
            .collect()
    }

    /// Whether a lease has run out as far as this node knows: somebody may take the claim over, or has.
    pub fn has_run_out(&self, claim: &HeldClaim) -> bool {
        let key = (claim.tenant.clone(), claim.callback);
        let held = self.held();
        let until = held
            .get(&key)
            .filter(|held| held.fence == claim.fence)
            .map(|held| held.until);
        until.is_none_or(|until| until <= self.clock.now())
    }

    /// Tells the task that carries a callback to look at it again.
    pub fn nudge(&self, tenant: &TenantId, id: InteractionId) {
        if let Some(held) = self.held().get(&(tenant.clone(), id)) {
            held.changed.notify_one();
        }
    }

    pub fn nudge_all(&self) {
        for held in self.held().values() {
            held.changed.notify_one();
        }
    }
}

/// What a dispatcher works with and does not own.
pub struct Surroundings {
    pub store: Arc<dyn Store>,
    pub channels: Channels,
    pub clock: Arc<dyn Clock>,
    pub chance: Arc<dyn Chance>,
}

/// A running dispatcher.
pub struct Dispatcher {
    parts: Arc<Parts>,
    tasks: TaskTracker,
    loops: TaskTracker,
}

impl Dispatcher {
    /// Starts the clockwork. Left-overs of an earlier run are cleaned up before anything new is claimed.
    pub fn start(
        store: Arc<dyn Store>,
        channels: Channels,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
        node: NodeId,
        settings: Settings,
        observer: Arc<dyn Observer>,
    ) -> Dispatcher {
        let planner = Planner::new(store.clone(), Arc::default());
        let surroundings = Surroundings {
            store,
            channels,
            clock,
            chance,
        };
        Dispatcher::start_planned(surroundings, node, settings, observer, planner)
    }

    /// The same with a planner that others ask as well: the API promises what this clockwork is to keep.
    pub fn start_planned(
        surroundings: Surroundings,
        node: NodeId,
        settings: Settings,
        observer: Arc<dyn Observer>,
        planner: Arc<Planner>,
    ) -> Dispatcher {
        let Surroundings {
            store,
            channels,
            clock,
            chance,
        } = surroundings;
        let parts = Arc::new(Parts {
            queues: KnownQueues::new(store.as_ref()),
            store,
            channels,
            clock,
            chance,
            node,
            settings,
            observer,
            planner,
            draining: CancellationToken::new(),
            stopping: CancellationToken::new(),
            ended: CancellationToken::new(),
            out_of_step: AtomicBool::new(false),
            room: Notify::new(),
            held: Mutex::default(),
        });
        let tasks = TaskTracker::new();
        let loops = TaskTracker::new();
        loops.spawn(work(parts.clone(), tasks.clone()));
        loops.spawn(lease::keep(parts.clone()));
        loops.spawn(prune::now_and_then(parts.clone()));
        Dispatcher {
            parts,
            tasks,
            loops,
        }
    }

    /// Callbacks carried at this moment.
    pub fn carried(&self) -> usize {
        self.parts.carried()
    }

    /// Stops in order: nothing new is claimed, offers go back to their place, calls may finish for
    /// `limit`; then they are ended and settled.
    pub async fn drain(&self, limit: Duration) {
        self.parts.draining.cancel();
        self.parts.nudge_all();
        self.tasks.close();
        let deadline = ringback_callbacks::wire_time::plus(self.parts.clock.now(), limit);
        while self.parts.clock.now() < deadline {
            tokio::select! {
                biased;
                () = self.tasks.wait() => break,
                () = self.parts.stopping.cancelled() => break,
                () = self.parts.clock.sleep_until(deadline) => {}
            }
        }
        self.stop_now().await;
    }

    /// A second signal: calls are ended at once. What cannot be settled in a few seconds is left to
    /// rescue, which finds everything in the store.
    pub async fn stop_now(&self) {
        self.parts.draining.cancel();
        self.parts.stopping.cancel();
        self.parts.nudge_all();
        self.tasks.close();
        let settled = tokio::time::timeout(SETTLE_AT_STOP, self.tasks.wait()).await;
        if settled.is_err() {
            tracing::warn!(
                carried = self.carried(),
                "stopped before every call was settled; the next start rescues them"
            );
        }
        self.parts.ended.cancel();
        self.loops.close();
        self.loops.wait().await;
        let now = self.parts.clock.now();
        if let Err(error) = self.parts.planner.keep(now, true).await {
            tracing::warn!(error = %error, "what was learned last is not stored");
        }
    }

    /// Ends the wait of [`Dispatcher::drain`] from elsewhere.
    pub fn hurry(&self) {
        self.parts.stopping.cancel();
    }
}

/// Nothing is dialled before it is known what the hours that were agreed are by the rules of local time of now, and how
/// much of each route is ours.
async fn work(parts: Arc<Parts>, tasks: TaskTracker) {
    windows::again(&parts).await;
    match share::first(&parts).await {
        Some(good_until) => {
            let sharing = tokio::spawn(share::keep(parts.clone(), good_until));
            wheel::turn(parts, tasks).await;
            if let Err(error) = sharing.await {
                tracing::error!(error = %error, "sharing the routes' limits ended badly");
            }
        }
        None => wheel::turn(parts, tasks).await,
    }
}

/// After a failure of the store it is left alone for so long.
pub(crate) const REST: Duration = Duration::from_secs(1);

/// Hanging up takes a round trip or a few; a dead peer must not keep the program alive.
const SETTLE_AT_STOP: Duration = Duration::from_secs(5);
