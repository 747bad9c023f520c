//! The figures as a table: one row per scenario and server, means over seeds.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Job, Run};

type Column = (&'static str, usize, fn(&Run) -> f64);

/// Heading, digits after the point, value. Times are in minutes, decisions in microseconds.
const MEANS: [Column; 16] = [
    ("kept", 3, |run| run.figures.kept),
    ("told", 3, |run| run.figures.kept_as_told),
    ("decl", 3, |run| run.figures.declined),
    ("brokn", 4, |run| run.figures.broken),
    ("hit", 3, |run| run.figures.promise_hit),
    ("IS", 1, |run| run.figures.interval_score),
    ("width", 1, |run| run.figures.width_min),
    ("mae", 1, |run| run.figures.mae_min),
    ("asap", 1, |run| run.figures.asap_wait_mean),
    ("a/conn", 2, |run| run.figures.attempts_per_conn),
    ("idle", 3, |run| run.figures.idle_while_due),
    ("busy", 3, |run| run.figures.busy),
    ("sl", 3, |run| run.figures.inbound_sl),
    ("aband", 3, |run| run.figures.abandon),
    ("viol", 1, |run| run.figures.violations as f64),
    ("secs", 2, |run| run.seconds),
];

/// Of these the worst seed is shown.
const WORST: [Column; 4] = [
    ("req99", 0, |run| f64::from(run.times.request_p99)),
    ("reqmx", 0, |run| f64::from(run.times.request_max)),
    ("dsp99", 0, |run| f64::from(run.times.dispatch_p99)),
    ("dspmx", 0, |run| f64::from(run.times.dispatch_max)),
];

pub fn print(jobs: &[Job], runs: &BTreeMap<String, Run>) {
    let rows: BTreeSet<(&str, &str)> = jobs
        .iter()
        .map(|job| (job.scenario.as_str(), job.server.as_str()))
        .collect();
    print!("{:11} {:8} {:>5}", "scenario", "server", "gate");
    for (name, ..) in MEANS.iter().chain(&WORST) {
        print!(" {name:>6}");
    }
    println!();
    for (scenario, server) in rows {
        let runs: Vec<&Run> = jobs
            .iter()
            .filter(|job| job.scenario == scenario && job.server == server)
            .filter_map(|job| runs.get(&job.key()))
            .collect();
        let passed = runs.iter().filter(|run| run.gates.passed()).count();
        let gate = format!("{passed}/{}", runs.len());
        print!("{scenario:11} {server:8} {gate:>5}");
        for (_, digits, value) in MEANS {
            let sum: f64 = runs.iter().map(|run| value(run)).sum();
            print!(" {:>6.digits$}", sum / runs.len().max(1) as f64);
        }
        for (_, digits, value) in WORST {
            let worst = runs.iter().map(|run| value(run)).fold(0.0, f64::max);
            print!(" {worst:>6.digits$}");
        }
        println!();
    }
}
