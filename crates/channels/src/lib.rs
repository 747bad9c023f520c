//! Ways of reaching a person. A channel takes an order and returns an outcome: busy and unanswered are
//! results, not errors. Each channel owns its wire words; here are only ours.

pub mod order;
pub mod route;
pub mod sip;
pub mod smtp;

pub mod fake;
mod masked;

pub use order::{Mail, Near, Order, Progress, Receipt, RouteHealth, Unready};
pub use route::{Places, RouteUse};

use async_trait::async_trait;
use ringback_callbacks::contact::ResponseType;
use ringback_callbacks::outcome::Outcome;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

#[async_trait]
pub trait Channel: Send + Sync + 'static {
    /// `sip`, `smtp`, …
    fn name(&self) -> &'static str;

    /// Whether this channel serves a response type at all.
    fn serves(&self, response_type: ResponseType) -> bool;

    /// Places for an order on its routes, or why there are none. Cheap, and taken before the attempt is
    /// recorded: a dead or full route holds the callback back and is not a try.
    fn reserve(&self, order: &Order) -> Result<Places, Unready>;

    /// When a callback that found no room should come again, if it is not kept waiting here.
    fn turn(&self, _order: &Order) -> Duration {
        route::WHEN_SHUT
    }

    /// The identifiers under which the attempt will be known outside, made before anything leaves, so
    /// that they are stored with the attempt and a restarted node can end what it left. They come back in
    /// [`Order::legs`].
    async fn prepare(&self, order: &Order, places: &Places) -> Value;

    /// Places the order on the places taken for it, and stays until it is over. Progress goes out in order; `stop` ends it early.
    /// Always returns: every wait inside has a limit.
    async fn attempt(
        &self,
        order: Order,
        places: Places,
        progress: mpsc::Sender<Progress>,
        stop: CancellationToken,
    ) -> Outcome;

    /// After a crash: ends whatever these identifiers left at the peers, and says what was learned.
    /// `None`: nobody can say.
    async fn end_orphan(&self, order_legs: Value) -> Option<Outcome>;

    fn routes(&self) -> Vec<RouteHealth>;

    /// How its routes are used from here, for sharing their limits with other nodes. Nothing: it has none. Until the
    /// answer is given to [`Channel::grant`], no call is begun on them.
    fn demand(&self) -> Vec<RouteUse> {
        Vec::new()
    }

    /// So many concurrent calls on a route may be made from here, and the same part of its calls per second. `None`:
    /// there is no answer, and but for what was in use at the question all may be another's.
    fn grant(&self, _route: &str, _calls: Option<u32>) {}

    /// Stops background work (pings, listeners).
    async fn shutdown(&self);
}

/// The channels of one server, found by response type.
#[derive(Clone, Default)]
pub struct Channels(pub Vec<Arc<dyn Channel>>);

impl Channels {
    pub fn serving(&self, response_type: ResponseType) -> Option<Arc<dyn Channel>> {
        self.0
            .iter()
            .find(|channel| channel.serves(response_type))
            .cloned()
    }

    pub fn named(&self, name: &str) -> Option<Arc<dyn Channel>> {
        self.0
            .iter()
            .find(|channel| channel.name() == name)
            .cloned()
    }
}
