//! What was measured, as a table and as JSON.

use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub struct Report {
    quick: bool,
    cores: usize,
    dir: PathBuf,
    pub bookings: Vec<Rate>,
    pub dialling: Option<Delays>,
    pub resident_at_rest: Option<u64>,
    pub resident_when_waiting: Option<u64>,
    pub waiting: u32,
}

/// Bookings with a number of clients.
pub struct Rate {
    clients: usize,
    per_second: f64,
    latency: Spread,
}

pub struct Delays {
    pub count: u32,
    pub to_agent: Spread,
    pub to_customer: Spread,
}

/// Half, 19 of 20, and 99 of 100 took no longer than this.
#[derive(Clone, Copy, Default)]
pub struct Spread {
    p50: Duration,
    p95: Duration,
    p99: Duration,
}

impl Rate {
    pub fn new(clients: usize, took: Duration, latencies: Vec<Duration>) -> Rate {
        let per_second = latencies.len() as f64 / took.as_secs_f64().max(f64::MIN_POSITIVE);
        Rate {
            clients,
            per_second,
            latency: Spread::of(latencies),
        }
    }
}

impl Spread {
    pub fn of(mut all: Vec<Duration>) -> Spread {
        all.sort();
        // Nearest rank: always something that was really measured.
        let at = |percent: usize| {
            all.get((all.len() * percent).div_ceil(100).saturating_sub(1))
                .copied()
                .unwrap_or_default()
        };
        Spread {
            p50: at(50),
            p95: at(95),
            p99: at(99),
        }
    }

    fn json(self) -> Value {
        json!({"p50_ms": ms(self.p50), "p95_ms": ms(self.p95), "p99_ms": ms(self.p99)})
    }

    fn columns(self) -> String {
        format!(
            "{:>9.1} {:>9.1} {:>9.1}",
            ms(self.p50),
            ms(self.p95),
            ms(self.p99)
        )
    }
}

impl Report {
    pub fn new(dir: &Path, quick: bool) -> Report {
        Report {
            quick,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            dir: dir.to_owned(),
            bookings: Vec::new(),
            dialling: None,
            resident_at_rest: None,
            resident_when_waiting: None,
            waiting: 0,
        }
    }

    pub fn table(&self) -> String {
        let mut text = String::new();
        let line = |text: &mut String, words: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{words}");
        };
        line(
            &mut text,
            format!(
                "ringback {} on {} cores, database in {}",
                env!("CARGO_PKG_VERSION"),
                self.cores,
                self.dir.display()
            ),
        );
        for caveat in self.caveats() {
            line(&mut text, format!("  note: {caveat}"));
        }
        line(
            &mut text,
            format!(
                "\n{:<34}{:>10} {:>7} {:>9} {:>9} {:>9}",
                "bookings over HTTP", "per second", "ratio", "p50 ms", "p95 ms", "p99 ms"
            ),
        );
        for rate in &self.bookings {
            let who = if rate.clients == 1 {
                "1 client".to_owned()
            } else {
                format!("{} clients", rate.clients)
            };
            line(
                &mut text,
                format!(
                    "  {who:<32}{:>10.0} {:>7.1} {}",
                    rate.per_second,
                    self.ratio(rate),
                    rate.latency.columns()
                ),
            );
        }
        if let Some(delays) = &self.dialling {
            let what = format!("due to INVITE, {} callbacks", delays.count);
            line(
                &mut text,
                format!(
                    "\n{what:<52} {:>9} {:>9} {:>9}",
                    "p50 ms", "p95 ms", "p99 ms"
                ),
            );
            line(
                &mut text,
                format!(
                    "  {:<50} {}",
                    "at the agent's telephone",
                    delays.to_agent.columns()
                ),
            );
            line(
                &mut text,
                format!(
                    "  {:<50} {}",
                    "at the customer's (after the agent answered)",
                    delays.to_customer.columns()
                ),
            );
        }
        line(
            &mut text,
            format!(
                "\n{:<52} {:>9}",
                "memory (this process, its clients included)", "MiB"
            ),
        );
        line(
            &mut text,
            format!("  {:<50} {:>9}", "at rest", mib(self.resident_at_rest)),
        );
        let waiting = format!("with {} callbacks waiting", self.waiting);
        line(
            &mut text,
            format!("  {waiting:<50} {:>9}", mib(self.resident_when_waiting)),
        );
        text
    }

    pub fn json(&self) -> Value {
        let bookings: Vec<Value> = self
            .bookings
            .iter()
            .map(|rate| {
                json!({
                    "clients": rate.clients, "per_second": rounded(rate.per_second),
                    "ratio_to_one_client": rounded(self.ratio(rate)), "latency": rate.latency.json(),
                })
            })
            .collect();
        let dialling = self.dialling.as_ref().map(|delays| {
            json!({
                "callbacks": delays.count, "due_to_agent_invite": delays.to_agent.json(),
                "due_to_customer_invite": delays.to_customer.json(),
            })
        });
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "quick": self.quick,
            "cores": self.cores,
            "caveats": self.caveats(),
            "bookings": bookings,
            "dialling": dialling,
            "memory": {
                "resident_at_rest_kb": self.resident_at_rest,
                "resident_when_waiting_kb": self.resident_when_waiting,
                "waiting": self.waiting,
            },
        })
    }

    /// How much more than one client alone.
    fn ratio(&self, rate: &Rate) -> f64 {
        let one = self.bookings.first().map_or(0.0, |first| first.per_second);
        if one > 0.0 {
            rate.per_second / one
        } else {
            0.0
        }
    }

    /// What keeps these figures from being records.
    fn caveats(&self) -> Vec<&'static str> {
        let mut caveats = vec![
            "clients, telephones and server share this machine and this process: compare ratios, not records",
            "each answer waits for the disk; on a disk in memory that costs nothing, and proves nothing",
        ];
        if cfg!(debug_assertions) {
            caveats.push("a debug build, several times slower than a release build");
        }
        if self.quick {
            caveats.push("measured for moments only");
        }
        caveats
    }
}

/// Resident memory of this process; unknown where there is no `/proc`.
pub fn resident_kb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?
        .trim()
        .strip_suffix(" kB")?
        .parse()
        .ok()
}

fn ms(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1000.0)
}

fn rounded(figure: f64) -> f64 {
    (figure * 10.0).round() / 10.0
}

fn mib(kb: Option<u64>) -> String {
    kb.map_or_else(
        || "unknown".to_owned(),
        |kb| format!("{:.1}", kb as f64 / 1024.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_nearest_ranks() {
        let ms = Duration::from_millis;
        let spread = Spread::of((1..=200).rev().map(ms).collect());
        assert_eq!(
            (spread.p50, spread.p95, spread.p99),
            (ms(100), ms(190), ms(198))
        );
        let one = Spread::of(vec![ms(7)]);
        assert_eq!((one.p50, one.p99), (ms(7), ms(7)));
        assert_eq!(Spread::of(Vec::new()).p99, Duration::ZERO);
    }

    #[test]
    fn ratios_are_to_one_client() {
        let mut report = Report::new(Path::new("/somewhere"), true);
        for (clients, count) in [(1, 100), (16, 950)] {
            report.bookings.push(Rate::new(
                clients,
                Duration::from_secs(1),
                vec![Duration::from_millis(1); count],
            ));
        }
        assert_eq!(report.json()["bookings"][1]["ratio_to_one_client"], 9.5);
        let table = report.table();
        assert!(
            table.contains("16 clients") && table.contains("9.5"),
            "{table}"
        );
    }
}
