//! Fills a database through the store's own door: every row was validated, promised, chained and committed as any
//! booking is. Only HTTP is left out, and what is asked for a second time (no idempotency keys).

use super::setback::Setback;
use super::town;
use crate::clock::{SystemChance, SystemClock};
use ringback_callbacks::clock::{Chance, Clock};
use ringback_callbacks::event::Actor;
use ringback_callbacks::ids::{CustomerId, InteractionId, TenantId};
use ringback_callbacks::queue::Queue;
use ringback_callbacks::request;
use ringback_store::{AcceptOrder, Acceptance, Store, StoreError};
use serde_json::Value;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Bookings in the air at one time: a few groups of the writer's.
const AT_ONCE: usize = 512;
/// Callbacks remembered of each load, to be asked for later.
const REMEMBERED: u64 = 5000;

/// A stored callback that can be asked for.
#[derive(Clone, Debug)]
pub struct Known {
    pub id: InteractionId,
    pub customer: CustomerId,
}

pub struct Loaded {
    pub per_second: f64,
    /// Fewer than wanted if the time was up.
    pub count: u64,
    pub known: Vec<Known>,
}

type Maker = Arc<dyn Fn(u64) -> (String, Value) + Send + Sync>;

/// Books every index of the range, or as many as there is time for.
pub async fn load(
    store: &Arc<dyn Store>,
    queues: &[Queue],
    range: Range<u64>,
    make: Maker,
    limit: Duration,
) -> Result<Loaded, Setback> {
    let count = range.end.saturating_sub(range.start);
    let stride = (count / REMEMBERED).max(1);
    let queues: Arc<HashMap<String, Queue>> = Arc::new(
        queues
            .iter()
            .map(|queue| (queue.id.to_string(), queue.clone()))
            .collect(),
    );
    let next = Arc::new(AtomicU64::new(range.start));
    let began = Instant::now();
    let mut work = JoinSet::new();
    for _ in 0..AT_ONCE.min(usize::try_from(count).unwrap_or(AT_ONCE)) {
        let (store, queues, next, make) =
            (store.clone(), queues.clone(), next.clone(), make.clone());
        work.spawn(async move {
            let (mut known, mut done) = (Vec::new(), 0);
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= range.end || began.elapsed() > limit {
                    return Ok((known, done));
                }
                let one = book(store.as_ref(), &queues, make(index)).await?;
                done += 1;
                if index % stride == 0 {
                    known.push(one);
                }
            }
        });
    }
    let (mut known, mut count) = (Vec::new(), 0);
    while let Some(ended) = work.join_next().await {
        let some: Result<(Vec<Known>, u64), Setback> =
            ended.map_err(Setback::while_doing("the load broke"))?;
        let (some, done) = some?;
        known.extend(some);
        count += done;
    }
    Ok(Loaded {
        per_second: count as f64 / began.elapsed().as_secs_f64(),
        count,
        known,
    })
}

async fn book(
    store: &dyn Store,
    queues: &HashMap<String, Queue>,
    (queue, body): (String, Value),
) -> Result<Known, Setback> {
    let queue = queues
        .get(&queue)
        .ok_or_else(|| Setback::Broken(format!("queue {queue} was not made")))?;
    let Value::Object(body) = body else {
        return Err(Setback::Broken("a booking must be an object".to_owned()));
    };
    loop {
        let now = SystemClock.now();
        let new = request::parse_new(&body, queue.id.clone(), &queue.rules, now)
            .map_err(|problems| Setback::Broken(format!("a booking is wrong: {problems:?}")))?;
        let order = AcceptOrder {
            tenant: TenantId::default(),
            id: InteractionId(SystemChance.uuid()),
            new,
            actor: Actor::Application(1),
            now,
            idempotent: None,
            dry_run: false,
        };
        match store.accept(order).await {
            Ok(Acceptance::New(callback, _) | Acceptance::Merged(callback, _)) => {
                return Ok(Known {
                    id: callback.interaction.id,
                    customer: callback.interaction.customer.clone(),
                });
            }
            Ok(Acceptance::Repeated(_)) => {
                return Err(Setback::Broken(
                    "a booking was taken for another".to_owned(),
                ));
            }
            Err(StoreError::Busy) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => return Err(Setback::Broken(format!("a booking was refused: {error}"))),
        }
    }
}

/// The queues that bookings are spread over, and the one whose slots are read.
pub async fn make_queues(store: &dyn Store) -> Result<Vec<Queue>, Setback> {
    let mut queues = Vec::new();
    for index in 0..town::SPREAD {
        let id = town::spread_queue(index);
        queues.push(super::ground::put_queue(store, &id, town::with_slots()).await?);
        let id = town::plain_queue(index);
        queues.push(super::ground::put_queue(store, &id, town::plain()).await?);
    }
    for id in [town::BOOKED, "hot"] {
        queues.push(super::ground::put_queue(store, id, town::with_slots()).await?);
    }
    Ok(queues)
}
