//! One day of a whole system, from one seed: store, nodes, channels, people and misfortunes on one thread
//! and on tokio's paused time, so that the same seed is the same day to the last event.

use crate::dice::Dice;
use crate::ghosts::Ghosts;
use crate::people::People;
use crate::phones::{Exchange, Town};
use crate::plan::Plan;
use crate::store::{Trouble, Troubled};
use crate::wall::{Faults, Life, NodeClock, Wall};
use crate::watch::Watch;
use ringback_callbacks::agent::Presence;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::contact::Contact;
use ringback_callbacks::ids::{AgentId, InteractionId, NodeId, TenantId};
use ringback_callbacks::state::State;
use ringback_callbacks::wire_time::plus;
use ringback_channels::Channels;
use ringback_dispatch::{Dispatcher, Settings, Unobserved};
use ringback_sim::clock::SeededChance;
use ringback_store::{CallbackQuery, OpenOptions, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// What became of a day.
pub struct Report {
    /// The same seed gives the same digest.
    pub digest: u64,
    pub events: i64,
    pub asked: u64,
    pub booked: usize,
    pub rung: usize,
    /// Runs of nodes, the first of each included.
    pub boots: u64,
    /// What must never be; empty after a good day.
    pub breaches: Vec<String>,
}

/// Lives one day.
pub fn live(seed: u64) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        // What the store's thread has woken always comes before what was woken here. By default its turn
        // comes at every 31st tick, and a thread that the machine held up for a moment costs a tick.
        .global_queue_interval(1)
        .build()
        .expect("a runtime");
    runtime.block_on(async { Day::dawn(seed).await.pass().await })
}

struct Day {
    dice: Dice,
    raw: Arc<dyn Store>,
    wall: Arc<Wall>,
    watch: Arc<Watch>,
    people: Arc<People>,
    nodes: Arc<Nodes>,
}

/// How long nothing new goes wrong before the day is judged.
const EVENING: Duration = Duration::from_secs(45 * 60);
/// What looks wrong must look wrong for so long.
const PATIENCE: Duration = Duration::from_secs(300);

impl Day {
    async fn dawn(seed: u64) -> Day {
        let dice = Dice::new(seed);
        let plan = Plan::drawn(&dice.child());
        let chance = Arc::new(SeededChance::new(dice.next()));
        let sqlite = ringback_store::open("sqlite::memory:", OpenOptions::default(), chance)
            .await
            .expect("a store");
        let raw = Troubled::prompt(sqlite);
        for queue in &plan.queues {
            let queue = queue.queue(plan.begins);
            queue
                .rules
                .check(&Default::default(), plan.begins)
                .expect("good rules");
            raw.put_queue(queue, None).await.expect("a queue");
        }
        for agent in &plan.agents {
            raw.put_agent(agent.agent(plan.begins), None)
                .await
                .expect("an agent");
        }
        let wall = Wall::new(plan.begins);
        let town = Town::new(dice.child());
        let faults = Faults::new(dice.child(), plan.rates);
        let watch = Watch::new(raw.clone(), plan, town);
        let ghosts = Arc::new(Ghosts::default());
        let nodes = Arc::new(Nodes {
            raw: raw.clone(),
            wall: wall.clone(),
            faults: faults.clone(),
            watch: watch.clone(),
            ghosts: ghosts.clone(),
            dice: dice.child(),
            running: Mutex::default(),
            kept: Mutex::default(),
            boots: AtomicU64::new(0),
        });
        let desk = Trouble {
            life: Life::new(),
            faults,
            watch: watch.clone(),
            ghosts,
        };
        let people = Arc::new(People {
            store: Troubled::with(raw.clone(), desk),
            watch: watch.clone(),
            wall: wall.clone(),
            chance: Arc::new(SeededChance::new(dice.next())),
            dice: dice.child(),
            evening: AtomicBool::new(false),
            answered: Mutex::default(),
        });
        Day {
            dice,
            raw,
            wall,
            watch,
            people,
            nodes,
        }
    }

    async fn pass(self) -> Report {
        tokio::spawn(read_along(self.watch.clone(), self.people.clone()));
        for node in 0..self.watch.plan.nodes {
            tokio::spawn(self.nodes.clone().keep_alive(node));
        }
        let busy = self.watch.plan.busy_hours * 3600;
        for booking in 0..self.watch.plan.bookings {
            let after = self.dice.seconds(0, busy * 4 / 5);
            let customer = self.people.clone();
            tokio::spawn(customer.customer(format!("booking-{booking}"), self.dice.child(), after));
        }
        for agent in &self.watch.plan.agents {
            tokio::spawn(self.people.clone().shift(agent.id, self.dice.child()));
        }
        tokio::spawn(self.people.clone().supervise(self.dice.child()));
        let trouble = tokio::spawn(self.nodes.clone().trouble());
        tokio::time::sleep(Duration::from_secs(busy)).await;
        trouble.abort();
        self.evening().await;
        tokio::time::sleep(EVENING).await;
        self.judge().await;
        let known = self
            .people
            .answered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Report {
            digest: self.watch.digest(),
            events: self.watch.events(),
            asked: self.nodes.faults.asked.load(Ordering::SeqCst),
            booked: known.len(),
            rung: self.watch.town.rung(),
            boots: self.nodes.boots.load(Ordering::SeqCst),
            breaches: self.watch.breaches(),
        }
    }

    /// Nothing goes wrong any more, and everybody works.
    async fn evening(&self) {
        self.people.evening.store(true, Ordering::SeqCst);
        self.nodes.faults.cease();
        self.nodes.spare();
        let tenant = TenantId::default();
        for mut queue in self.raw.queues(&tenant).await.expect("queues") {
            queue.dialling_paused = false;
            self.raw.put_queue(queue, None).await.expect("a queue");
        }
        for agent in &self.watch.plan.agents {
            let now = self.wall.now();
            let ready = self
                .raw
                .set_presence(&tenant, agent.id, Presence::Ready, now);
            ready.await.expect("an agent");
        }
    }

    // ── the end of the day ───────────────────────────────────────────────────────────────────────

    async fn judge(&self) {
        let first = self.left_lying().await;
        tokio::time::sleep(PATIENCE).await;
        let second = self.left_lying().await;
        for (id, (revision, why)) in &second {
            if first.get(id).is_some_and(|(before, _)| before == revision) {
                self.watch.breach(format!("{id}: left lying, {why}"));
            }
        }
        // No event may be under way when rows and stories are compared.
        self.watch.catch_up().await;
        let callbacks = self.everything().await;
        for callback in &callbacks {
            self.watch.compare(callback);
        }
        self.nothing_lost(&callbacks);
        self.hands(&callbacks).await;
        match self.raw.examine().await {
            Ok(found) => found
                .faults
                .into_iter()
                .for_each(|fault| self.watch.breach(fault)),
            Err(error) => self.watch.breach(format!("examine: {error}")),
        }
    }

    async fn everything(&self) -> Vec<Callback> {
        let query = CallbackQuery {
            limit: 1000,
            ..CallbackQuery::default()
        };
        self.raw.callbacks(query).await.expect("callbacks").items
    }

    /// Every booking that was answered is there, and none is there twice. One that was added to an older
    /// request is that request.
    fn nothing_lost(&self, callbacks: &[Callback]) {
        let mut stored: BTreeMap<String, Vec<InteractionId>> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for callback in callbacks {
            let key = callback.interaction.external_id.clone().unwrap_or_default();
            stored.entry(key).or_default().push(callback.interaction.id);
            ids.insert(callback.interaction.id);
        }
        let answered = self
            .people
            .answered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (key, id) in answered.iter() {
            let own = stored.get(key);
            if !ids.contains(id) || own.is_some_and(|found| found != &[*id]) {
                self.watch
                    .breach(format!("{key}: answered {id}, stored {own:?}"));
            }
        }
        for (key, found) in &stored {
            if found.len() > 1 {
                self.watch
                    .breach(format!("{key} is stored {} times", found.len()));
            }
        }
    }

    /// An agent has at most one callback in hand, and knows which.
    async fn hands(&self, callbacks: &[Callback]) {
        let mut full: BTreeMap<AgentId, InteractionId> = BTreeMap::new();
        for callback in callbacks {
            if let Some(agent) = callback.state.engages()
                && let Some(other) = full.insert(agent, callback.interaction.id)
            {
                self.watch
                    .breach(format!("agent {agent} has {other} in hand too"));
            }
        }
        for agent in self.raw.agents(&TenantId::default()).await.expect("agents") {
            if agent.engaged != full.get(&agent.id).copied() {
                let id = agent.id;
                self.watch.breach(format!(
                    "agent {id} holds {:?}, not what the rows say",
                    agent.engaged
                ));
            }
        }
    }

    /// What waits although nothing keeps it waiting, with its revision.
    async fn left_lying(&self) -> BTreeMap<InteractionId, (u64, String)> {
        let mut lying = BTreeMap::new();
        let callbacks = self.everything().await;
        // Nodes carry only so much, however many seats are free.
        let carried = callbacks
            .iter()
            .filter(|one| one.state.claim().is_some())
            .count();
        let plan = &self.watch.plan;
        let room = carried < plan.nodes * plan.max_claims;
        for callback in callbacks {
            if let Some(why) = self.lies(&callback, room).await {
                lying.insert(callback.interaction.id, (callback.revision, why));
            }
        }
        lying
    }

    async fn lies(&self, callback: &Callback, room: bool) -> Option<String> {
        let now = self.wall.now();
        let state = callback.state.name();
        if !callback.state.is_ended() {
            let overdue = match callback.wakes_at() {
                Some(at) => plus(at, Duration::from_secs(30)) < now,
                // Nothing will ever look at it again.
                None => true,
            };
            if overdue {
                return Some(format!("{state} and overdue"));
            }
        }
        match &callback.state {
            State::Dialling { attempt, .. } | State::Talking { attempt, .. } => {
                let by_mail = matches!(callback.contact(), Contact::Email(_));
                let silent = !by_mail && !self.watch.town.is_live(*attempt);
                silent.then(|| format!("{state} with no phone off the hook"))
            }
            State::Queued { .. } | State::Transferred { .. } => {
                let tenant = TenantId::default();
                let id = callback.interaction.id;
                let answer = self.raw.guard_now(&tenant, id, now).await.ok().flatten()?;
                let free = match &callback.state {
                    State::Transferred { to, .. } => {
                        let agent = self.raw.agent(&tenant, *to).await.ok().flatten();
                        agent.is_some_and(|agent| agent.is_free())
                    }
                    _ => answer.free_seats > 0,
                };
                let passed: BTreeSet<AgentId> =
                    callback.passed_by.iter().map(|p| p.agent).collect();
                (room && free && answer.held.is_none() && passed.is_empty())
                    .then(|| format!("{state} with {} free seats", answer.free_seats))
            }
            _ => None,
        }
    }
}

/// Reads what is written, as screens do, and lets people react.
async fn read_along(watch: Arc<Watch>, people: Arc<People>) {
    let mut signals = watch.raw.signals();
    loop {
        // Whoever lags reads from where they stopped all the same.
        drop(signals.recv().await);
        while signals.try_recv().is_ok() {}
        for event in watch.catch_up().await {
            people.notice(&event);
        }
    }
}

/// The nodes of a day, and what befalls them.
struct Nodes {
    raw: Arc<dyn Store>,
    wall: Arc<Wall>,
    faults: Arc<Faults>,
    watch: Arc<Watch>,
    ghosts: Arc<Ghosts>,
    dice: Dice,
    running: Mutex<BTreeMap<usize, Arc<Life>>>,
    /// Runs that are over are kept, as a dead process keeps nothing but also undoes nothing.
    kept: Mutex<Vec<Dispatcher>>,
    boots: AtomicU64,
}

impl Nodes {
    /// Starts a node, and starts it again whenever it dies.
    async fn keep_alive(self: Arc<Self>, node: usize) {
        loop {
            let life = self.start(node);
            life.died.notified().await;
            tokio::time::sleep(self.dice.seconds(0, 150)).await;
        }
    }

    fn start(&self, node: usize) -> Arc<Life> {
        let boot = self.boots.fetch_add(1, Ordering::SeqCst) + 1;
        let life = Life::new();
        let trouble = Trouble {
            life: life.clone(),
            faults: self.faults.clone(),
            watch: self.watch.clone(),
            ghosts: self.ghosts.clone(),
        };
        let exchange = |by_mail| {
            Arc::new(Exchange {
                town: self.watch.town.clone(),
                life: life.clone(),
                watch: self.watch.clone(),
                by_mail,
            })
        };
        let clock = NodeClock {
            wall: self.wall.clone(),
            life: life.clone(),
            faults: self.faults.clone(),
        };
        let plan = &self.watch.plan;
        let dispatcher = Dispatcher::start(
            Troubled::with(self.raw.clone(), trouble),
            Channels(vec![exchange(false), exchange(true)]),
            Arc::new(clock),
            Arc::new(SeededChance::new(self.dice.next())),
            NodeId {
                name: format!("node-{node}"),
                boot: Uuid::from_u128(u128::from(boot)),
            },
            Settings {
                local_time_of: None,
                lease: Duration::from_secs(plan.lease),
                max_claims: plan.max_claims,
                batch: plan.batch,
                longest_sleep: Duration::from_secs(600),
                catch_up_per_second: 10,
            },
            Arc::new(Unobserved),
        );
        self.lock(&self.kept).push(dispatcher);
        self.lock(&self.running).insert(node, life.clone());
        life
    }

    fn lock<'a, T>(&self, what: &'a Mutex<T>) -> std::sync::MutexGuard<'a, T> {
        what.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody who still lives will die.
    fn spare(&self) {
        for life in self.lock(&self.running).values() {
            life.dies_in(i64::MAX as u64);
        }
    }

    async fn trouble(self: Arc<Self>) {
        let every = self.watch.plan.trouble_every * 60;
        if every == 0 {
            return;
        }
        loop {
            tokio::time::sleep(self.dice.seconds(1, every)).await;
            let node = self.dice.below(self.watch.plan.nodes as u64) as usize;
            let life = self.lock(&self.running).get(&node).cloned();
            match self.dice.below(10) {
                0..=2 => {
                    if let Some(life) = life {
                        life.dies_in(self.dice.between(1, 40));
                    }
                }
                3 => {
                    if let Some(life) = life {
                        life.freezes(self.dice.seconds(5, 600));
                    }
                }
                4 => {
                    let by = self.dice.between(1, 7_200_000) as i64;
                    self.wall
                        .step(if self.dice.per_mille(500) { by } else { -by });
                }
                5 => {
                    let by = self.dice.between(1, 90_000) as i64;
                    self.wall
                        .step(if self.dice.per_mille(500) { by } else { -by });
                }
                6 => tokio::time::advance(self.dice.seconds(10, 3600)).await,
                7 => self.faults.gone_for(self.dice.seconds(1, 180)),
                _ => {
                    for _ in 0..self.dice.between(1, 6) {
                        if let Some(order) = self.ghosts.double(&self.dice, self.wall.now()) {
                            drop(self.raw.apply(order).await);
                        }
                        tokio::time::sleep(self.dice.seconds(0, 20)).await;
                    }
                }
            }
        }
    }
}
