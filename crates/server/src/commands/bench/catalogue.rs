//! Every row of the bench: what it is called, what it is compared with, what is to be reached.
//!
//! The rows stand here once, so that a figure that could not be measured is still in the table, and says so.

use std::fmt;

/// A database, or the machine itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    Machine,
    Sqlite,
    Postgres,
}

impl Place {
    pub const ALL: [Place; 3] = [Place::Machine, Place::Sqlite, Place::Postgres];

    pub fn name(self) -> &'static str {
        match self {
            Place::Machine => "machine",
            Place::Sqlite => "sqlite",
            Place::Postgres => "postgres",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Place::Machine => "This machine",
            Place::Sqlite => "SQLite",
            Place::Postgres => "PostgreSQL",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is to be reached. Ratios are to the limit measured in the same run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// Only told.
    Report,
    AtLeast(f64),
    AtMost(f64),
    RatioAtLeast(f64),
    RatioAtMost(f64),
}

impl Target {
    /// How far a figure is from its target: 1 is on it, more is better. `None` where nothing is to be reached, or what
    /// it is compared with is missing.
    pub fn reach(self, value: f64, ratio: Option<f64>) -> Option<f64> {
        // Faster than any clock can tell is as good as the smallest step that is written.
        let under = |most: f64, is: f64| most / is.max(0.001);
        match self {
            Target::Report => None,
            Target::AtLeast(least) => Some(value / least),
            Target::AtMost(most) => Some(under(most, value)),
            Target::RatioAtLeast(least) => ratio.map(|ratio| ratio / least),
            Target::RatioAtMost(most) => ratio.map(|ratio| under(most, ratio)),
        }
    }
}

/// One row, for each place that has it.
#[derive(Debug)]
pub struct Row {
    pub id: &'static str,
    pub name: &'static str,
    pub unit: &'static str,
    /// The row it is compared with, for each place that has one. A row of the machine serves every place.
    pub limits: &'static [(Place, &'static str)],
    pub targets: &'static [(Place, Target)],
}

use Place::{Machine, Postgres, Sqlite};
use Target::{AtLeast, AtMost, RatioAtLeast, RatioAtMost, Report};

const REPORT_BOTH: &[(Place, Target)] = &[(Sqlite, Report), (Postgres, Report)];
const REPORT_MACHINE: &[(Place, Target)] = &[(Machine, Report)];
const REPORT_POSTGRES: &[(Place, Target)] = &[(Postgres, Report)];

/// The yardstick of durable work: what the same database commits a row at a time.
const SINGLE_COMMITS: &[(Place, &str)] = &[(Sqlite, "commit-1"), (Postgres, "commit-16")];

const fn row(
    id: &'static str,
    name: &'static str,
    unit: &'static str,
    limits: &'static [(Place, &'static str)],
    targets: &'static [(Place, Target)],
) -> Row {
    Row {
        id,
        name,
        unit,
        limits,
        targets,
    }
}

impl Row {
    pub fn target(&self, place: Place) -> Option<Target> {
        let found = self.targets.iter().find(|(at, _)| *at == place);
        found.map(|(_, target)| *target)
    }

    pub fn limit(&self, place: Place) -> Option<&'static Row> {
        let (_, id) = self.limits.iter().find(|(at, _)| *at == place)?;
        row_of(id)
    }
}

pub fn row_of(id: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.id == id)
}

pub const CONNECTIONS: [usize; 3] = [1, 16, 64];

/// All rows in the order of the table.
pub const ROWS: &[Row] = &[
    // The limits.
    row(
        "fsync",
        "appends of 4 KiB, each synced",
        "/s",
        &[],
        REPORT_MACHINE,
    ),
    row(
        "hello-1",
        "hello world of the HTTP stack, 1 connection",
        "/s",
        &[],
        REPORT_MACHINE,
    ),
    row(
        "hello-16",
        "hello world, 16 connections",
        "/s",
        &[],
        REPORT_MACHINE,
    ),
    row(
        "hello-64",
        "hello world, 64 connections",
        "/s",
        &[],
        REPORT_MACHINE,
    ),
    row(
        "commit-1",
        "single-row commits, 1 at a time",
        "/s",
        &[],
        REPORT_BOTH,
    ),
    row(
        "commit-16",
        "single-row commits, 16 clients (pgbench)",
        "/s",
        &[],
        REPORT_POSTGRES,
    ),
    row(
        "commit-64",
        "single-row commits, 64 clients (pgbench)",
        "/s",
        &[],
        REPORT_POSTGRES,
    ),
    row(
        "prototype-1",
        "minimal grouped prototype, 1 connection",
        "/s",
        &[],
        REPORT_BOTH,
    ),
    row(
        "prototype-16",
        "minimal grouped prototype, 16 connections",
        "/s",
        &[],
        REPORT_BOTH,
    ),
    row(
        "prototype-64",
        "minimal grouped prototype, 64 connections",
        "/s",
        &[],
        REPORT_BOTH,
    ),
    row("commit-p50", "one raw commit, p50", "ms", &[], REPORT_BOTH),
    row(
        "floor-p50",
        "floor of lateness: timer, one commit, one packet, p50",
        "ms",
        &[],
        REPORT_BOTH,
    ),
    row(
        "floor-p99",
        "floor of lateness, p99",
        "ms",
        &[],
        REPORT_BOTH,
    ),
    row(
        "growth-log",
        "log of the most stored to log of the least",
        "×",
        &[],
        REPORT_BOTH,
    ),
    // Bookings.
    row(
        "book-1",
        "durable bookings, 1 connection",
        "/s",
        &[(Sqlite, "prototype-1"), (Postgres, "prototype-1")],
        REPORT_BOTH,
    ),
    row(
        "book-16",
        "durable bookings, 16 connections",
        "/s",
        &[(Sqlite, "prototype-16"), (Postgres, "prototype-16")],
        REPORT_BOTH,
    ),
    row(
        "book-64",
        "durable bookings, 64 connections",
        "/s",
        SINGLE_COMMITS,
        &[(Sqlite, RatioAtLeast(2.0)), (Postgres, RatioAtLeast(0.6))],
    ),
    row(
        "book-64-prototype",
        "the same, against the prototype",
        "/s",
        &[(Sqlite, "prototype-64"), (Postgres, "prototype-64")],
        &[(Sqlite, RatioAtLeast(0.4)), (Postgres, Report)],
    ),
    row(
        "book-64-hello",
        "the same, against hello world",
        "/s",
        &[(Sqlite, "hello-64"), (Postgres, "hello-64")],
        REPORT_BOTH,
    ),
    row(
        "book-64-p50",
        "a booking among 64, p50",
        "ms",
        &[],
        REPORT_BOTH,
    ),
    row(
        "book-64-p95",
        "a booking among 64, p95",
        "ms",
        &[],
        REPORT_BOTH,
    ),
    row(
        "book-64-p99",
        "a booking among 64, p99",
        "ms",
        &[],
        REPORT_BOTH,
    ),
    row(
        "hot",
        "all 64 connections want one slot",
        "/s",
        &[(Sqlite, "book-64"), (Postgres, "book-64")],
        &[(Sqlite, RatioAtLeast(0.8)), (Postgres, RatioAtLeast(0.6))],
    ),
    row(
        "hot-p99",
        "a booking of that slot, p99",
        "ms",
        &[],
        REPORT_BOTH,
    ),
    row(
        "added",
        "one connection: added over the raw commit",
        "ms",
        &[(Sqlite, "commit-p50"), (Postgres, "commit-p50")],
        &[(Sqlite, AtMost(0.3)), (Postgres, AtMost(0.5))],
    ),
    // The clockwork.
    row(
        "late-p50",
        "due to first packet of the INVITE, p50",
        "ms",
        &[(Sqlite, "floor-p50"), (Postgres, "floor-p50")],
        &[(Sqlite, AtMost(1.5)), (Postgres, AtMost(4.0))],
    ),
    row(
        "late-p99",
        "due to first packet of the INVITE, p99",
        "ms",
        &[(Sqlite, "floor-p99"), (Postgres, "floor-p99")],
        &[(Sqlite, AtMost(10.0)), (Postgres, AtMost(20.0))],
    ),
    row(
        "dispatch",
        "dispatch of a burst through a null channel, one node",
        "/s",
        SINGLE_COMMITS,
        &[(Sqlite, AtLeast(20_000.0)), (Postgres, Report)],
    ),
    row(
        "dispatch-2",
        "dispatch of a burst through a null channel, two nodes",
        "/s",
        &[(Postgres, "commit-16")],
        &[(Postgres, AtLeast(12_000.0))],
    ),
    // Reads.
    row(
        "slots-p99",
        "slots of a day, queue with many booked, p99",
        "ms",
        &[],
        &[(Sqlite, AtMost(5.0)), (Postgres, AtMost(10.0))],
    ),
    row(
        "get-p99",
        "get one callback, p99",
        "ms",
        &[],
        &[(Sqlite, AtMost(5.0)), (Postgres, AtMost(10.0))],
    ),
    row(
        "customer-p99",
        "list of a customer, p99",
        "ms",
        &[],
        &[(Sqlite, AtMost(5.0)), (Postgres, AtMost(10.0))],
    ),
    row(
        "page-p99",
        "page of a queue, p99",
        "ms",
        &[],
        &[(Sqlite, AtMost(5.0)), (Postgres, AtMost(10.0))],
    ),
    // The house as a whole.
    row(
        "idle",
        "idle with many pending: CPU per minute, server",
        "s",
        &[],
        &[(Sqlite, AtMost(0.5)), (Postgres, AtMost(0.5))],
    ),
    row(
        "idle-database",
        "idle with many pending: CPU per minute, database",
        "s",
        &[],
        &[(Postgres, AtMost(0.5))],
    ),
    row(
        "memory",
        "memory with many pending and calls up",
        "MB",
        &[],
        &[(Sqlite, AtMost(150.0)), (Postgres, AtMost(150.0))],
    ),
    row(
        "calls",
        "concurrent calls held, both legs at SIPp",
        "calls",
        &[],
        &[(Sqlite, AtLeast(2000.0)), (Postgres, AtLeast(2000.0))],
    ),
    row(
        "calls-rate",
        "calls set up (200 due per second)",
        "/s",
        &[],
        &[(Sqlite, AtLeast(150.0)), (Postgres, AtLeast(150.0))],
    ),
    row(
        "start",
        "start to first answer",
        "s",
        &[],
        &[(Sqlite, AtMost(1.0)), (Postgres, AtMost(1.0))],
    ),
    row(
        "growth",
        "dearest growth from the least to the most stored",
        "×",
        &[(Sqlite, "growth-log"), (Postgres, "growth-log")],
        &[(Sqlite, RatioAtMost(1.0)), (Postgres, RatioAtMost(1.0))],
    ),
    row(
        "load",
        "bulk load through the store's own accept",
        "/s",
        &[],
        REPORT_BOTH,
    ),
    row(
        "slots-load",
        "the same, all in one queue with slots",
        "/s",
        &[],
        REPORT_BOTH,
    ),
    row("binary", "size of the program", "MB", &[], REPORT_MACHINE),
    row("cold-build", "cold release build", "s", &[], REPORT_MACHINE),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_row_is_named_once() {
        let ids: BTreeSet<_> = ROWS.iter().map(|row| row.id).collect();
        assert_eq!(ids.len(), ROWS.len());
        for row in ROWS {
            for (_, limit) in row.limits {
                assert!(ids.contains(limit), "{limit}");
            }
        }
        for connections in CONNECTIONS {
            for what in ["hello", "prototype", "book"] {
                assert!(ids.contains(format!("{what}-{connections}").as_str()));
            }
        }
    }

    #[test]
    fn one_is_on_the_target_and_more_is_better() {
        let table = [
            (AtLeast(200.0), 100.0, None, Some(0.5)),
            (AtMost(5.0), 2.5, None, Some(2.0)),
            (RatioAtLeast(0.4), 9.0, Some(0.2), Some(0.5)),
            (RatioAtLeast(0.4), 9.0, None, None),
            (RatioAtMost(1.0), 9.0, Some(2.0), Some(0.5)),
            (Report, 9.0, Some(2.0), None),
        ];
        for (target, value, ratio, reach) in table {
            assert_eq!(target.reach(value, ratio), reach, "{target:?}");
        }
    }
}
