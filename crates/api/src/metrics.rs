//! What is counted and measured on the HTTP side. The catalogue below is the one list of it.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use ringback_store::StateCount;
use std::fmt::Write;
use std::sync::Mutex;
use std::time::Duration;

use crate::operations::routes::RouteView;

/// One row of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// As it stands in `/metrics`.
    pub name: &'static str,
    pub kind: &'static str,
    pub unit: &'static str,
    pub labels: &'static str,
    pub meaning: &'static str,
}

/// Every metric of the HTTP side.
pub const CATALOGUE: &[Entry] = &[
    Entry {
        name: "ringback_http_requests_total",
        kind: "counter",
        unit: "requests",
        labels: "method, route, status",
        meaning: "Requests answered. `route` is the template, e.g. `/v1/callbacks/{id}`.",
    },
    Entry {
        name: "ringback_http_request_duration_seconds",
        kind: "histogram",
        unit: "seconds",
        labels: "method, route",
        meaning: "Time from the first byte of a request's head to the head of its answer.",
    },
    Entry {
        name: "ringback_http_refusals_total",
        kind: "counter",
        unit: "requests",
        labels: "reason",
        meaning: "Requests refused before a handler saw them: `unauthorized`, `forbidden`, `rate_limited`, `overloaded`.",
    },
    Entry {
        name: "ringback_http_streams",
        kind: "gauge",
        unit: "streams",
        labels: "–",
        meaning: "Event streams open now.",
    },
    Entry {
        name: "ringback_http_body_bytes_total",
        kind: "counter",
        unit: "bytes",
        labels: "direction",
        meaning: "Bytes of interactions' bodies taken in (`in`) and sent out (`out`).",
    },
    Entry {
        name: "ringback_callbacks",
        kind: "gauge",
        unit: "callbacks",
        labels: "queue, state",
        meaning: "Callbacks by queue and inner state, counted when asked.",
    },
    Entry {
        name: "ringback_route_up",
        kind: "gauge",
        unit: "0 or 1",
        labels: "route, channel",
        meaning: "Whether a route may be used just now.",
    },
    Entry {
        name: "ringback_route_active_calls",
        kind: "gauge",
        unit: "calls",
        labels: "route, channel",
        meaning: "Calls (or messages) on a route just now.",
    },
];

/// The catalogue as the page `docs/reference/metrics.md`.
pub fn catalogue_page() -> String {
    let mut page = String::from(
        "<!-- Generated from crates/api/src/metrics.rs; `UPDATE=1 cargo test -p ringback-api` writes it anew. -->\n\
         # Metrics of the HTTP side\n\n\
         `GET /metrics` answers in the OpenMetrics text format. It needs a key with the scope `admin`, unless \
         `open_metrics` is set.\n\n\
         | name | kind | unit | labels | meaning |\n| --- | --- | --- | --- | --- |\n",
    );
    for entry in CATALOGUE {
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            entry.name, entry.kind, entry.unit, entry.labels, entry.meaning
        );
    }
    page
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    method: String,
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DirectionLabels {
    direction: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabels {
    queue: String,
    state: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CarrierLabels {
    route: String,
    channel: String,
}

type Durations = Family<RouteLabels, Histogram, fn() -> Histogram>;

/// The registry and what is written to often.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Durations,
    refusals: Family<ReasonLabels, Counter>,
    streams: Gauge,
    body_bytes: Family<DirectionLabels, Counter>,
    callbacks: Family<StateLabels, Gauge>,
    route_up: Family<CarrierLabels, Gauge>,
    route_active: Family<CarrierLabels, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let metrics = Metrics {
            registry: Mutex::new(Registry::with_prefix("ringback")),
            requests: Family::default(),
            durations: Family::new_with_constructor(buckets),
            refusals: Family::default(),
            streams: Gauge::default(),
            body_bytes: Family::default(),
            callbacks: Family::default(),
            route_up: Family::default(),
            route_active: Family::default(),
        };
        metrics.register(|registry| {
            registry.register(
                "http_requests",
                "Requests answered",
                metrics.requests.clone(),
            );
            registry.register_with_unit(
                "http_request_duration",
                "Time from a request's head to the head of its answer",
                Unit::Seconds,
                metrics.durations.clone(),
            );
            registry.register(
                "http_refusals",
                "Requests refused before a handler saw them",
                metrics.refusals.clone(),
            );
            registry.register(
                "http_streams",
                "Event streams open now",
                metrics.streams.clone(),
            );
            registry.register_with_unit(
                "http_body",
                "Bytes of bodies taken in and sent out",
                Unit::Bytes,
                metrics.body_bytes.clone(),
            );
            registry.register(
                "callbacks",
                "Callbacks by queue and inner state",
                metrics.callbacks.clone(),
            );
            registry.register(
                "route_up",
                "Whether a route may be used just now",
                metrics.route_up.clone(),
            );
            registry.register(
                "route_active_calls",
                "Calls on a route just now",
                metrics.route_active.clone(),
            );
        });
        metrics
    }

    /// Lets other parts of the program add metrics of their own; names get the prefix `ringback_`.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self
            .registry
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()));
    }

    pub(crate) fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        // Methods are the client's own words; only the usual ones become labels.
        let method = match method {
            "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => method.to_owned(),
            _ => "other".to_owned(),
        };
        let route = route.to_owned();
        self.durations
            .get_or_create(&RouteLabels {
                method: method.clone(),
                route: route.clone(),
            })
            .observe(took.as_secs_f64());
        self.requests
            .get_or_create(&RequestLabels {
                method,
                route,
                status,
            })
            .inc();
    }

    pub(crate) fn refusal(&self, reason: &'static str) {
        self.refusals.get_or_create(&ReasonLabels { reason }).inc();
    }

    pub(crate) fn stream_opened(&self) {
        self.streams.inc();
    }

    pub(crate) fn stream_closed(&self) {
        self.streams.dec();
    }

    pub(crate) fn body_in(&self, bytes: u64) {
        self.body_bytes
            .get_or_create(&DirectionLabels { direction: "in" })
            .inc_by(bytes);
    }

    pub(crate) fn body_out(&self, bytes: u64) {
        self.body_bytes
            .get_or_create(&DirectionLabels { direction: "out" })
            .inc_by(bytes);
    }

    /// Everything as text, with the gauges that are counted when asked.
    pub(crate) fn text(&self, counts: &[StateCount], routes: &[RouteView]) -> String {
        self.callbacks.clear();
        for count in counts {
            let labels = StateLabels {
                queue: count.queue.to_string(),
                state: count.state.clone(),
            };
            // Two tenants may have a queue of the same name: they are counted together.
            self.callbacks
                .get_or_create(&labels)
                .inc_by(i64::try_from(count.count).unwrap_or(i64::MAX));
        }
        self.route_up.clear();
        self.route_active.clear();
        for route in routes {
            let labels = CarrierLabels {
                route: route.name.clone(),
                channel: route.channel.clone(),
            };
            self.route_up
                .get_or_create(&labels)
                .set(i64::from(route.up));
            self.route_active
                .get_or_create(&labels)
                .set(i64::from(route.active));
        }
        let mut text = String::new();
        let registry = self
            .registry
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if encode(&mut text, &registry).is_err() {
            tracing::error!("metrics could not be written");
        }
        text
    }
}

fn buckets() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    ])
}
