//! HTTP in, JSON out: the API of a callback server, one file per endpoint, every route in [`routes`].
//!
//! Handlers read a request, ask the store for one verb, and write the answer. They decide nothing about
//! callbacks themselves: rules live in `ringback_callbacks`, and the store asks them.

mod agents;
pub mod auth;
mod callbacks;
mod conditional;
mod customers;
mod document;
pub mod error;
mod events;
mod extract;
mod fields;
mod gate;
mod idempotency;
mod interactions;
pub mod metrics;
mod operations;
mod paging;
mod queues;
pub mod routes;
mod settings;
mod stream;
pub mod view;

pub use document::openapi;
pub use metrics::Metrics;
pub use operations::routes::RouteView;
pub use routes::router;
pub use settings::ApiSettings;

use ringback_callbacks::clock::{Chance, Clock};
use ringback_scheduling::Almanac;
use ringback_store::{KnownQueues, Outlook, Store};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// How operators' routes are doing, asked whenever somebody wants to know.
pub type RouteHealth = Arc<dyn Fn() -> Vec<RouteView> + Send + Sync>;

/// Everything handlers may reach for. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub chance: Arc<dyn Chance>,
    pub settings: Arc<ApiSettings>,
    pub metrics: Arc<Metrics>,
    pub route_health: RouteHealth,
    /// The rules of local time and the lists of holidays in use.
    pub almanac: Arc<Almanac>,
    /// Promises for queues with a staff plan; `None` where nobody plans.
    pub outlook: Option<Arc<dyn Outlook>>,
    /// Cancelled when the server begins to stop: readiness says so, and streams end.
    pub stopping: CancellationToken,
    pub(crate) rate: Arc<gate::rate::RateLimit>,
    pub(crate) known_queues: Arc<KnownQueues>,
    pub(crate) requests: Arc<Semaphore>,
    pub(crate) streams: Arc<Semaphore>,
}

impl ApiState {
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
        settings: ApiSettings,
    ) -> Self {
        ApiState {
            known_queues: Arc::new(KnownQueues::new(store.as_ref())),
            store,
            clock,
            chance,
            metrics: Arc::new(Metrics::new()),
            route_health: Arc::new(Vec::new),
            almanac: Arc::default(),
            outlook: None,
            stopping: CancellationToken::new(),
            rate: Arc::new(gate::rate::RateLimit::new(
                settings.requests_per_second,
                settings.burst,
            )),
            requests: gate::load::places(settings.concurrent_requests),
            streams: gate::load::places(settings.concurrent_streams),
            settings: Arc::new(settings),
        }
    }

    pub fn with_route_health(mut self, route_health: RouteHealth) -> Self {
        self.route_health = route_health;
        self
    }

    pub fn with_almanac(mut self, almanac: Arc<Almanac>) -> Self {
        self.almanac = almanac;
        self
    }

    pub fn with_outlook(mut self, outlook: Arc<dyn Outlook>) -> Self {
        self.outlook = Some(outlook);
        self
    }

    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    pub fn with_stopping(mut self, stopping: CancellationToken) -> Self {
        self.stopping = stopping;
        self
    }
}
