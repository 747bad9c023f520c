//! The planner of this node: a desk for every queue with a staff plan, kept current with what is committed.
//!
//! It decides nothing by itself: `ringback_scheduling::plan::Desk` does, the same that the simulator asks. Here the
//! desk is fed (open callbacks at the start, then every commit that is signalled), asked for bookings by the API
//! (through [`Outlook`]), and asked by the wheel whom to dial. A queue without a staff plan is not known here.

mod asked;
mod figures;
mod line;
mod live;

use figures::Figures;
use jiff::Timestamp;
use line::{Line, Prospect};
use ringback_callbacks::agent::{Agent, Presence};
use ringback_callbacks::callback::Callback;
use ringback_callbacks::ids::{AgentId, InteractionId, QueueId, TenantId};
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::planning as day;
use ringback_callbacks::queue::{Delivery, Queue, QueueView};
use ringback_scheduling::Almanac;
use ringback_scheduling::plan::{Second, View};
use ringback_store::{ApplyOrder, Picks, Result, Signal, Store};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

/// Callbacks read at one time when a queue is restored.
const PAGE: usize = 500;
/// Learned figures are stored at most this often, seconds: what a crash loses of them is learned again.
const KEEP_EVERY: Second = 30;

/// Kept by every node; nodes never talk to each other about it, because they read the same store.
pub struct Planner {
    store: Arc<dyn Store>,
    /// Holidays that queues may name.
    almanac: Arc<Almanac>,
    /// What was committed and is not taken in yet. One at a time takes it in.
    signals: tokio::sync::Mutex<Unheard>,
    rooms: Mutex<Rooms>,
    /// Something was told that no commit signals: the wheel looks.
    pub(crate) news: Notify,
}

struct Unheard {
    signals: Receiver<Signal>,
    /// Everything has to be read: at the start, and after a failure or too many signals.
    everything: bool,
}

#[derive(Default)]
struct Rooms {
    lines: BTreeMap<(TenantId, QueueId), Line>,
    agents: BTreeMap<(TenantId, AgentId), Agent>,
    /// The planned queue in which a callback stands.
    queue_of: HashMap<(TenantId, InteractionId), QueueId>,
    kept: Option<Second>,
}

/// What the wheel is to do.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    pub picks: Vec<Picks>,
    pub wake: Option<Timestamp>,
}

impl fmt::Debug for Planner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planner").finish_non_exhaustive()
    }
}

/// What one commit after another has touched, each thing once.
#[derive(Default)]
struct Touched {
    queues: BTreeSet<(TenantId, QueueId)>,
    agents: BTreeSet<(TenantId, AgentId)>,
    callbacks: BTreeMap<(TenantId, InteractionId), QueueId>,
    everything: bool,
}

impl Planner {
    /// Hears every commit from now on; what was committed before is read at the first look.
    pub fn new(store: Arc<dyn Store>, almanac: Arc<Almanac>) -> Arc<Planner> {
        let signals = store.signals();
        Arc::new(Planner {
            store,
            almanac,
            signals: tokio::sync::Mutex::new(Unheard {
                signals,
                everything: true,
            }),
            rooms: Mutex::default(),
            news: Notify::new(),
        })
    }

    /// A poisoned map only means that somebody panicked between two whole changes; the next restart reads anew.
    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a queue is planned, as far as was taken in.
    pub fn plans(&self, tenant: &TenantId, queue: &QueueId) -> bool {
        let key = (tenant.clone(), queue.clone());
        self.rooms().lines.contains_key(&key)
    }

    /// Takes in everything that was committed before this call: whoever sees an answer of the store may build on it.
    pub async fn catch_up(&self, now: Timestamp) -> Result<()> {
        let mut unheard = self.signals.lock().await;
        let mut touched = Touched {
            everything: unheard.everything,
            ..Touched::default()
        };
        loop {
            match unheard.signals.try_recv() {
                Ok(Signal::Callback {
                    tenant, id, queue, ..
                }) => {
                    touched.callbacks.insert((tenant, id), queue);
                }
                Ok(Signal::Agent { tenant, id }) => {
                    touched.agents.insert((tenant, id));
                }
                Ok(Signal::Queue { tenant, id }) => {
                    touched.queues.insert((tenant, id));
                }
                Err(TryRecvError::Lagged(_)) => touched.everything = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        // Until it is taken in nothing of it may be forgotten.
        unheard.everything = true;
        if touched.everything {
            self.restore(now).await?;
        } else {
            self.take_in(touched, now).await?;
        }
        unheard.everything = false;
        Ok(())
    }

    async fn restore(&self, now: Timestamp) -> Result<()> {
        let queues = self.store.every_queue().await?;
        *self.rooms() = Rooms::default();
        for queue in queues {
            self.take_queue(queue, now).await?;
        }
        Ok(())
    }

    async fn take_in(&self, touched: Touched, now: Timestamp) -> Result<()> {
        for (tenant, id) in touched.queues {
            if let Some(queue) = self.store.queue(&tenant, &id).await? {
                self.take_queue(queue, now).await?;
            }
        }
        if self.rooms().lines.is_empty() {
            return Ok(());
        }
        for (tenant, id) in touched.agents {
            let agent = self.store.agent(&tenant, id).await?;
            let mut rooms = self.rooms();
            match agent {
                Some(agent) => rooms.agents.insert((tenant, id), agent),
                None => rooms.agents.remove(&(tenant, id)),
            };
        }
        for ((tenant, id), queue) in touched.callbacks {
            let concerns_us = {
                let rooms = self.rooms();
                rooms.lines.contains_key(&(tenant.clone(), queue))
                    || rooms.queue_of.contains_key(&(tenant.clone(), id))
            };
            if concerns_us && let Some(callback) = self.store.callback(&tenant, id).await? {
                self.take_callback(&callback, now).await?;
            }
        }
        self.rooms().tell_staff(now.as_second());
        Ok(())
    }

    /// A queue whose rules are new: planned from now on, or anew, or not any more.
    async fn take_queue(&self, queue: Queue, now: Timestamp) -> Result<()> {
        let key = (queue.tenant.clone(), queue.id.clone());
        let same_rules = {
            let mut rooms = self.rooms();
            match rooms.lines.get_mut(&key) {
                Some(line) if line.view.queue.rules == queue.rules => {
                    // Only a switch was thrown.
                    line.view.queue = queue.clone();
                    true
                }
                _ => false,
            }
        };
        if same_rules && !queue.removed {
            return Ok(());
        }
        {
            let mut rooms = self.rooms();
            rooms.lines.remove(&key);
            rooms
                .queue_of
                .retain(|(tenant, _), at| (tenant, &*at) != (&key.0, &key.1));
        }
        let line = (!queue.removed)
            .then(|| Line::of(QueueView::new(queue, &self.almanac)))
            .flatten();
        let Some(mut line) = line else {
            return Ok(());
        };
        if let Some(stored) = self.store.learned(&key.0, &key.1).await? {
            match serde_json::from_value::<Figures>(stored) {
                Ok(stored) => line.figures = Figures::restored(stored, line.fresh()),
                Err(error) => {
                    tracing::warn!(queue.id = %key.1, error = %error, "learned figures cannot be read; learning begins anew");
                }
            }
        }
        let agents = self.store.agents(&key.0).await?;
        {
            let mut rooms = self.rooms();
            for agent in agents {
                rooms.agents.insert((agent.tenant.clone(), agent.id), agent);
            }
            rooms.lines.insert(key.clone(), line);
            rooms.tell_staff(now.as_second());
        }
        let mut after = None;
        loop {
            let page = self
                .store
                .open_in_queue(&key.0, &key.1, after, PAGE)
                .await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.interaction.id);
            for callback in page {
                self.take_callback(&callback, now).await?;
            }
        }
    }

    async fn take_callback(&self, callback: &Callback, now: Timestamp) -> Result<()> {
        let tenant = &callback.interaction.tenant;
        let id = callback.interaction.id;
        let customer = self
            .store
            .customer(tenant, &callback.interaction.customer)
            .await?;
        let zone = customer.and_then(|customer| customer.time_zone);
        let asks = {
            let rooms = self.rooms();
            rooms
                .line_of(tenant, id)
                .is_some_and(|line| line.wants_attempts(callback))
        };
        let attempts = if asks {
            self.store.attempts(tenant, id).await?
        } else {
            Vec::new()
        };
        let mut rooms = self.rooms();
        let key = (tenant.clone(), id);
        // It may have gone to another queue.
        if let Some(before) = rooms.queue_of.get(&key).cloned()
            && before != callback.queue
        {
            rooms.queue_of.remove(&key);
            if let Some(line) = rooms.lines.get_mut(&(tenant.clone(), before)) {
                line.forget(id);
            }
        }
        let place = (tenant.clone(), callback.queue.clone());
        let Some(line) = rooms.lines.get_mut(&place) else {
            return Ok(());
        };
        line.note(now.as_second(), callback, &attempts, zone.as_deref());
        if line.knows(id) {
            rooms.queue_of.insert(key, callback.queue.clone());
        } else {
            rooms.queue_of.remove(&key);
        }
        Ok(())
    }

    // ── what the wheel asks ──────────────────────────────────────────────────────────────────────

    /// Whom to dial now, in every planned queue.
    pub(crate) fn orders(&self, now: Timestamp) -> Orders {
        let now = now.as_second();
        let mut rooms = self.rooms();
        let mut orders = Orders::default();
        let keys: Vec<(TenantId, QueueId)> = rooms.lines.keys().cloned().collect();
        for key in keys {
            let view = rooms.view(now, &key);
            let Some(line) = rooms.lines.get_mut(&key) else {
                continue;
            };
            let mut picks = Picks {
                tenant: key.0,
                queue: key.1,
                callbacks: Vec::new(),
            };
            if !line.view.queue.dialling_paused {
                let decided = line.dispatch(now, view);
                picks.callbacks = decided.dial;
                let wake = decided.wake.map(day::at);
                orders.wake = [orders.wake, wake].into_iter().flatten().min();
            }
            orders.picks.push(picks);
        }
        orders
    }

    /// What became of the picks: those that nobody took wait again.
    pub(crate) fn claimed(&self, picks: &[Picks], claimed: &[Callback]) {
        if picks.iter().all(|picks| picks.callbacks.is_empty()) {
            return;
        }
        let taken: BTreeSet<InteractionId> = claimed
            .iter()
            .map(|callback| callback.interaction.id)
            .collect();
        let mut rooms = self.rooms();
        for picks in picks {
            let key = (picks.tenant.clone(), picks.queue.clone());
            let Some(line) = rooms.lines.get_mut(&key) else {
                continue;
            };
            for id in picks.callbacks.iter().filter(|id| !taken.contains(id)) {
                line.put_back(*id);
            }
        }
    }

    /// Tells of promises that have come into danger, or out of it.
    pub(crate) async fn watch(&self, now: Timestamp) -> Result<()> {
        let changed: Vec<(TenantId, Prospect)> = {
            let mut rooms = self.rooms();
            let lines = rooms.lines.iter_mut();
            lines
                .flat_map(|((tenant, _), line)| {
                    let prospects = line.watch(now.as_second());
                    prospects
                        .into_iter()
                        .map(|prospect| (tenant.clone(), prospect))
                })
                .collect()
        };
        for (tenant, prospect) in changed {
            let command = Command::WatchPromise {
                at_risk: prospect.at_risk,
                expected: prospect
                    .expected
                    .map(|(from, to)| (day::at(from), day::at(to))),
            };
            let order = ApplyOrder::system(tenant, prospect.id, command, now);
            match self.store.apply(order).await {
                Ok(_) => {}
                Err(error) if crate::faults::may_pass(&error) => return Err(error),
                // It moved on meanwhile, or cannot be written: that is told elsewhere.
                Err(error) => {
                    tracing::debug!(callback.id = %prospect.id, error = %error, "a promise's prospects were not recorded");
                }
            }
        }
        Ok(())
    }

    /// Stores what was learned, now and then; at once with `all`.
    pub(crate) async fn keep(&self, now: Timestamp, all: bool) -> Result<()> {
        let unsaved: Vec<_> = {
            let mut rooms = self.rooms();
            let now = now.as_second();
            if !all && rooms.kept.is_some_and(|kept| now - kept < KEEP_EVERY) {
                return Ok(());
            }
            rooms.kept = Some(now);
            rooms
                .lines
                .iter_mut()
                .filter_map(|(key, line)| {
                    std::mem::take(&mut line.unsaved).then(|| (key.clone(), line.figures.clone()))
                })
                .collect()
        };
        for ((tenant, queue), figures) in unsaved {
            let doc = serde_json::to_value(figures).unwrap_or_default();
            if let Err(error) = self.store.put_learned(&tenant, &queue, doc).await {
                if let Some(line) = self.rooms().lines.get_mut(&(tenant, queue)) {
                    line.unsaved = true;
                }
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Rooms {
    fn line_of(&self, tenant: &TenantId, id: InteractionId) -> Option<&Line> {
        let queue = self.queue_of.get(&(tenant.clone(), id))?;
        self.lines.get(&(tenant.clone(), queue.clone()))
    }

    /// Agents of a queue who are on duty, and how many of these are free.
    fn duty(&self, tenant: &TenantId, queue: &QueueId) -> (u32, u32, u32) {
        let (mut there, mut free, mut engaged) = (0, 0, 0);
        for ((of, _), agent) in &self.agents {
            if of != tenant || !agent.queues.contains(queue) {
                continue;
            }
            let on_duty = matches!(agent.presence, Presence::Ready | Presence::Busy)
                || agent.engaged.is_some();
            there += u32::from(on_duty);
            free += u32::from(agent.is_free());
            engaged += u32::from(agent.engaged.is_some());
        }
        (there, free, engaged)
    }

    fn tell_staff(&mut self, now: Second) {
        let keys: Vec<(TenantId, QueueId)> = self.lines.keys().cloned().collect();
        for key in keys {
            let (there, ..) = self.duty(&key.0, &key.1);
            if let Some(line) = self.lines.get_mut(&key) {
                let there = match &line.view.rules().delivery {
                    Delivery::Agents => there,
                    Delivery::Dn { max_concurrent, .. } => *max_concurrent,
                };
                line.staff(now, there);
            }
        }
    }

    /// What is to be seen in a queue now.
    fn view(&self, now: Second, key: &(TenantId, QueueId)) -> View {
        let (there, free, engaged) = self.duty(&key.0, &key.1);
        let mut view = View {
            idle: free,
            agents: there,
            queue: 0,
            oldest_live: None,
        };
        let Some(line) = self.lines.get(key) else {
            return view;
        };
        if let Delivery::Dn { max_concurrent, .. } = &line.view.rules().delivery {
            view.agents = *max_concurrent;
            view.idle = max_concurrent.saturating_sub(line.in_hand());
        }
        if let Some(report) = line.live.fresh(now) {
            view.queue = report.waiting;
            view.oldest_live = line.live.oldest(now);
            if let Delivery::Agents = &line.view.rules().delivery {
                let at_live = report.agents_busy;
                view.idle = free.min(there.saturating_sub(engaged).saturating_sub(at_live));
            }
        }
        view
    }
}
