//! Logs on standard error, and the clockwork's own metrics beside those of the API.

use crate::config::log::{Log, LogFormat};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;
use ringback_api::Metrics;
use ringback_callbacks::outcome::Verdict;
use ringback_dispatch::Observer;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// Libraries that write whole messages, numbers or customers' domains when they are let: kept quiet
/// whatever was asked for.
const QUIET: [&str; 9] = [
    "rlibphonenumber=off",
    "hickory_resolver=error",
    "hickory_proto=error",
    "hickory_net=error",
    ringback_sip::QUIET,
    // Each statement with its values: contacts, documents, hashes of keys.
    "tokio_postgres=warn",
    // The servers that mail and calls go to, and handshakes as they are read and written.
    "rustls=warn",
    // What is said to a mail server, whole letters with it. It is compiled without this today; a feature that another
    // crate asks for would change that.
    "lettre=warn",
    // The texts of refusals, which quote what was refused.
    "axum::rejection=off",
];

/// What is logged at `level`; `None` where that says nothing, or too much: what is asked for a span lets everything pass
/// that is written inside of it, by whichever library.
pub fn filter(level: &str) -> Option<EnvFilter> {
    if level.trim().is_empty() || level.contains('[') {
        return None;
    }
    let mentions_quiet = |part: &str| {
        let mut targets = QUIET.iter().filter_map(|quiet| quiet.split('=').next());
        targets.any(|target| part.starts_with(target))
    };
    let asked = level.split(',').map(str::trim);
    let asked = asked.filter(|part| !part.is_empty() && !mentions_quiet(part));
    let parts: Vec<&str> = asked.chain(QUIET).collect();
    EnvFilter::try_new(parts.join(",")).ok()
}

/// Starts logging. Called once; a second call changes nothing.
pub fn start(log: &Log) {
    let filter =
        filter(&log.level).unwrap_or_else(|| EnvFilter::new(format!("info,{}", QUIET.join(","))));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr())
                && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colour).try_init()
        }
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init(),
    };
    // Only tests and the demonstration come here twice, and the first wins.
    drop(started);
}

/// One row of the catalogue.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(test), allow(dead_code, reason = "the page is written by a test"))]
pub struct Entry {
    pub name: &'static str,
    pub kind: &'static str,
    pub unit: &'static str,
    pub labels: &'static str,
    pub meaning: &'static str,
}

/// Every metric of the clockwork. The rows of `GET /metrics` that are not here are in the API's own list.
pub const CATALOGUE: &[Entry] = &[
    Entry {
        name: "ringback_attempts_begun_total",
        kind: "counter",
        unit: "attempts",
        labels: "channel",
        meaning: "Attempts recorded and about to leave.",
    },
    Entry {
        name: "ringback_attempts_total",
        kind: "counter",
        unit: "attempts",
        labels: "channel, verdict",
        meaning: "Attempts ended, by what the ending means.",
    },
    Entry {
        name: "ringback_attempt_lateness_seconds",
        kind: "histogram",
        unit: "seconds",
        labels: "channel",
        meaning: "From the moment a callback was due to the moment its attempt was recorded; waiting for agents included.",
    },
    Entry {
        name: "ringback_carried",
        kind: "gauge",
        unit: "callbacks",
        labels: "–",
        meaning: "Callbacks this server carries just now: offered, being placed, or in a call.",
    },
    Entry {
        name: "ringback_rescues_total",
        kind: "counter",
        unit: "callbacks",
        labels: "–",
        meaning: "Callbacks taken over because a claim ran out or this server restarted.",
    },
    Entry {
        name: "ringback_store_failures_total",
        kind: "counter",
        unit: "failures",
        labels: "–",
        meaning: "Times the store failed in the clockwork's own work; requests of clients are not counted here.",
    },
];

/// What the catalogue says of a metric, without its full stop: the format adds one.
fn help(name: &str) -> &'static str {
    CATALOGUE
        .iter()
        .find(|entry| entry.name == name)
        .map_or("", |entry| entry.meaning.trim_end_matches('.'))
}

/// Feeds the registry that `GET /metrics` writes out.
#[derive(Debug)]
pub struct Measures {
    begun: Family<ChannelLabel, Counter>,
    ended: Family<EndLabels, Counter>,
    lateness: Family<ChannelLabel, Histogram, fn() -> Histogram>,
    carried: Gauge,
    rescues: Counter,
    store_failures: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ChannelLabel {
    channel: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EndLabels {
    channel: String,
    verdict: &'static str,
}

impl Measures {
    pub fn new(metrics: &Metrics) -> Measures {
        let measures = Measures {
            begun: Family::default(),
            ended: Family::default(),
            lateness: Family::new_with_constructor(lateness_buckets),
            carried: Gauge::default(),
            rescues: Counter::default(),
            store_failures: Counter::default(),
        };
        metrics.register(|registry| {
            registry.register(
                "attempts_begun",
                help("ringback_attempts_begun_total"),
                measures.begun.clone(),
            );
            registry.register(
                "attempts",
                help("ringback_attempts_total"),
                measures.ended.clone(),
            );
            let lateness = help("ringback_attempt_lateness_seconds");
            registry.register_with_unit(
                "attempt_lateness",
                lateness,
                Unit::Seconds,
                measures.lateness.clone(),
            );
            registry.register(
                "carried",
                help("ringback_carried"),
                measures.carried.clone(),
            );
            registry.register(
                "rescues",
                help("ringback_rescues_total"),
                measures.rescues.clone(),
            );
            registry.register(
                "store_failures",
                help("ringback_store_failures_total"),
                measures.store_failures.clone(),
            );
        });
        measures
    }
}

impl Observer for Measures {
    fn attempt_began(&self, channel: &str, late: Duration) {
        let label = ChannelLabel {
            channel: channel.to_owned(),
        };
        self.lateness
            .get_or_create(&label)
            .observe(late.as_secs_f64());
        self.begun.get_or_create(&label).inc();
    }

    fn attempt_ended(&self, channel: &str, verdict: Verdict) {
        self.ended
            .get_or_create(&EndLabels {
                channel: channel.to_owned(),
                verdict: verdict.name(),
            })
            .inc();
    }

    fn carried(&self, count: usize) {
        self.carried.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn rescued(&self, count: usize) {
        self.rescues.inc_by(count as u64);
    }

    fn store_failed(&self) {
        self.store_failures.inc();
    }
}

fn lateness_buckets() -> Histogram {
    Histogram::new([
        0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn the_page_of_metrics_is_fresh() {
        let mut page = String::from(
            "<!-- Generated from crates/server/src/telemetry.rs; `UPDATE=1 cargo test -p ringback` writes it anew. -->\n\
             # Metrics of the clockwork\n\n\
             They stand beside those of the HTTP side (`metrics.md`) in the answer of `GET /metrics`.\n\n\
             | name | kind | unit | labels | meaning |\n| --- | --- | --- | --- | --- |\n",
        );
        for e in CATALOGUE {
            writeln!(
                page,
                "| `{}` | {} | {} | {} | {} |",
                e.name, e.kind, e.unit, e.labels, e.meaning
            )
            .unwrap();
        }
        crate::config::reference::compare("docs/reference/metrics-clockwork.md", &page);
    }

    #[test]
    fn talkative_libraries_stay_quiet_whatever_is_asked() {
        for level in [
            "info",
            "trace",
            "rsipstack=trace",
            "debug, rsipstack::transport=trace",
            "rsipstack=info,info",
            "rlibphonenumber=trace,hickory_proto::xfer=debug",
            "tokio_postgres::query=debug,tokio_postgres=trace",
            "rustls::client=trace, lettre=debug",
            "axum::rejection=trace,axum=trace",
        ] {
            let text = filter(level).unwrap().to_string();
            let mut said: Vec<&str> = text.split(',').collect();
            for quiet in QUIET {
                let place = said.iter().position(|part| *part == quiet);
                let place = place.unwrap_or_else(|| panic!("{quiet} for {level}: {text}"));
                said.remove(place);
            }
            // Nothing else is said of any of them, nor of a part of one.
            for quiet in QUIET {
                let library = quiet.split('=').next().unwrap();
                assert!(
                    !said.iter().any(|part| part.starts_with(library)),
                    "{level}: {text}"
                );
            }
        }
    }

    #[test]
    fn nothing_is_asked_for_a_span() {
        for level in [
            "info,[request]=trace",
            "[{number}]=debug",
            "rsipstack[transaction]=trace",
            "ringback_dispatch[call{id=1,end=2}]=trace,info",
            " ",
            "loud=very",
        ] {
            assert!(filter(level).is_none(), "{level}");
        }
        assert!(filter("info,ringback_dispatch=debug").is_some());
    }

    #[test]
    fn every_metric_of_the_clockwork_is_in_the_catalogue() {
        let metrics = Metrics::new();
        let mut registry_text = String::new();
        let measures = Measures::new(&metrics);
        measures.attempt_began("sip", Duration::from_millis(20));
        measures.attempt_ended("sip", Verdict::Busy);
        measures.carried(3);
        measures.rescued(2);
        measures.store_failed();
        metrics.register(|registry| {
            prometheus_client::encoding::text::encode(&mut registry_text, registry).unwrap();
        });
        for entry in CATALOGUE {
            assert!(
                registry_text.contains(entry.name),
                "{} is not measured:\n{registry_text}",
                entry.name
            );
        }
        assert!(
            registry_text.contains(r#"ringback_attempts_total{channel="sip",verdict="busy"} 1"#),
            "{registry_text}"
        );
    }
}
