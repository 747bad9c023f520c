//! A burst that is due at one moment, carried by the real clockwork through a channel that does nothing: claim, begin,
//! settle and all their events are durable, and nothing else takes time.

use super::ground::Database;
use super::load::load;
use super::setback::Setback;
use super::town;
use crate::clock::{SystemChance, SystemClock};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use ringback_callbacks::clock::{Chance, Clock};
use ringback_callbacks::contact::ResponseType;
use ringback_callbacks::ids::NodeId;
use ringback_callbacks::outcome::{CallResult, Outcome, PlatformCode, Verdict};
use ringback_channels::{Channel, Channels, Order, Places, Progress, RouteHealth, Unready};
use ringback_dispatch::{Dispatcher, Observer, Settings};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub const QUEUE: &str = "burst";
/// A burst that takes longer than this is broken, not slow.
const PATIENCE: Duration = Duration::from_secs(180);

/// Books `count` callbacks for one moment and lets so many nodes carry them; settled callbacks per second. `booking` is
/// how long booking them may take: the burst is due after that.
pub async fn burst(
    database: &Database,
    nodes: usize,
    count: u64,
    booking: Duration,
) -> Result<f64, Setback> {
    let store = database.open().await?;
    let queue = super::ground::put_queue(store.as_ref(), QUEUE, town::plain()).await?;
    let due = Timestamp::now() + SignedDuration::try_from(booking).unwrap_or_default();
    // Numbers of their own, so that no row of an earlier burst is in the way.
    let first = rand::random::<u64>() % 1_000_000;
    let make = Arc::new(move |index| (QUEUE.to_owned(), town::due(QUEUE, due, first + index)));
    load(&store, &[queue], 0..count, make, PATIENCE).await?;
    if Timestamp::now() >= due {
        return Err(Setback::Late);
    }
    let ended = Arc::new(Ended::default());
    let mut stores = vec![store];
    while stores.len() < nodes {
        stores.push(database.open().await?);
    }
    let dispatchers: Vec<Dispatcher> = stores
        .iter()
        .enumerate()
        .map(|(number, store)| {
            let node = NodeId {
                name: format!("node-{number}"),
                boot: SystemChance.uuid(),
            };
            Dispatcher::start(
                store.clone(),
                Channels(vec![Arc::new(Null)]),
                Arc::new(SystemClock),
                Arc::new(SystemChance),
                node,
                Settings::default(),
                ended.clone(),
            )
        })
        .collect();
    SystemClock.sleep_until(due).await;
    let began = Instant::now();
    let all_settled = async {
        // An attempt that has ended is carried until it is settled.
        while ended.0.load(Ordering::Relaxed) < count
            || dispatchers
                .iter()
                .any(|dispatcher| dispatcher.carried() > 0)
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let settled = tokio::time::timeout(PATIENCE, all_settled).await;
    let took = began.elapsed();
    for dispatcher in &dispatchers {
        dispatcher.stop_now().await;
    }
    for store in stores {
        store.close().await;
    }
    settled.map_err(|_| {
        let done = ended.0.load(Ordering::Relaxed);
        Setback::Broken(format!("only {done} of {count} were settled"))
    })?;
    Ok(count as f64 / took.as_secs_f64())
}

/// Reaches everybody at once.
struct Null;

#[async_trait]
impl Channel for Null {
    fn name(&self) -> &'static str {
        "null"
    }

    fn serves(&self, response_type: ResponseType) -> bool {
        response_type == ResponseType::Voice
    }

    fn reserve(&self, _order: &Order) -> Result<Places, Unready> {
        Ok(Places::unlimited())
    }

    async fn prepare(&self, order: &Order, _: &Places) -> Value {
        json!({"attempt": order.attempt})
    }

    async fn attempt(
        &self,
        _order: Order,
        _places: Places,
        _progress: mpsc::Sender<Progress>,
        _stop: CancellationToken,
    ) -> Outcome {
        Outcome::new(
            CallResult::OK,
            Verdict::Reached,
            PlatformCode::new("null", Some(200), "OK"),
        )
    }

    async fn end_orphan(&self, _order_legs: Value) -> Option<Outcome> {
        None
    }

    fn routes(&self) -> Vec<RouteHealth> {
        Vec::new()
    }

    async fn shutdown(&self) {}
}

/// Counts attempts that have ended.
#[derive(Default)]
struct Ended(AtomicU64);

impl Observer for Ended {
    fn attempt_began(&self, _channel: &str, _late: Duration) {}

    fn attempt_ended(&self, _channel: &str, _verdict: Verdict) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn carried(&self, _count: usize) {}
    fn rescued(&self, _count: usize) {}
    fn store_failed(&self) {}
}
