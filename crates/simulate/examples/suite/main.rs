//! Plays many days to a server and prints what came of them: one row per scenario, means over
//! seeds.
//!
//! `suite [--server plan,edf+] [--scenarios base-1.0,rush-0.9] [--seeds 1,2] [--json FILE]
//! [--decisions DIR] [--threads 2] DIR…` where each DIR holds `NAME.sNN.pub.jsonl` and
//! `NAME.sNN.truth.jsonl`.

mod reference;
mod table;
mod timed;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use std::{env, fs, thread};

use ringback_scheduling::plan::Tuning;
use ringback_simulate::planned::PlannedServer;
use ringback_simulate::{Figures, Gates, Scenario, Server, World, gates, measure};
use serde::Serialize;

use timed::{Timed, Times};

/// The servers that can be put to the test, by name.
fn server(name: &str) -> Option<Box<dyn Server>> {
    Some(match name {
        "edf" => Box::new(reference::Edf::new(false)),
        "edf+" => Box::new(reference::Edf::new(true)),
        "plan" => Box::new(PlannedServer::new(Tuning::default())),
        _ => return None,
    })
}

/// What came of one day with one server.
#[derive(Serialize)]
struct Run {
    #[serde(flatten)]
    figures: Figures,
    gates: Gates,
    seconds: f64,
    times: Times,
}

struct Job {
    /// Path without `.pub.jsonl`.
    base: PathBuf,
    scenario: String,
    seed: u64,
    server: String,
}

impl Job {
    fn key(&self) -> String {
        format!("{}|{}|{}", self.scenario, self.seed, self.server)
    }
}

struct Options {
    servers: Vec<String>,
    scenarios: Option<Vec<String>>,
    seeds: Option<Vec<u64>>,
    json: Option<PathBuf>,
    decisions: Option<PathBuf>,
    threads: usize,
    folders: Vec<PathBuf>,
}

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let options = Options::read()?;
    let jobs = jobs(&options)?;
    if jobs.is_empty() {
        return Err("no scenario files match".into());
    }
    let next = AtomicUsize::new(0);
    let runs: Mutex<BTreeMap<String, Run>> = Mutex::new(BTreeMap::new());
    let failures: Mutex<Vec<String>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match run(job, options.decisions.as_deref()) {
                        Ok(run) => {
                            runs.lock().expect("no panic").insert(job.key(), run);
                        }
                        Err(failure) => failures
                            .lock()
                            .expect("no panic")
                            .push(format!("{}: {failure}", job.base.display())),
                    }
                }
            });
        }
    });
    let runs = runs.into_inner()?;
    if let Some(path) = &options.json {
        fs::write(path, serde_json::to_string(&runs)?)?;
    }
    table::print(&jobs, &runs);
    let failures = failures.into_inner()?;
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\n").into())
    }
}

fn run(job: &Job, decisions: Option<&Path>) -> Result<Run, Failure> {
    let base = job.base.display();
    let public = fs::read_to_string(format!("{base}.pub.jsonl"))?;
    let truth = fs::read_to_string(format!("{base}.truth.jsonl"))?;
    let scenario = Scenario::parse(&public, &truth)?;
    let mut server = server(&job.server).ok_or_else(|| format!("no server {}", job.server))?;
    let mut timed = Timed::new(server.as_mut());
    let began = Instant::now();
    let day = World::new(&scenario).run(&mut timed);
    let seconds = began.elapsed().as_secs_f64();
    if let Some(folder) = decisions {
        let mut lines = String::new();
        for decision in &day.decisions {
            lines.push_str(&serde_json::to_string(decision)?);
            lines.push('\n');
        }
        let name = format!("{}.s{:02}.{}.jsonl", job.scenario, job.seed, job.server);
        fs::create_dir_all(folder)?;
        fs::write(folder.join(name), lines)?;
    }
    let figures = measure(&scenario, &day);
    Ok(Run {
        gates: gates(&scenario, &figures),
        figures,
        seconds,
        times: timed.times(),
    })
}

/// One job per file and server, long days first so that no thread is left with one at the end.
fn jobs(options: &Options) -> Result<Vec<Job>, Failure> {
    let mut jobs: Vec<(u64, Job)> = Vec::new();
    for folder in &options.folders {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(base) = name.strip_suffix(".pub.jsonl") else {
                continue;
            };
            let Some((scenario, seed)) = base.rsplit_once(".s") else {
                continue;
            };
            let seed: u64 = seed.parse()?;
            let wanted = options
                .scenarios
                .as_ref()
                .is_none_or(|wanted| wanted.iter().any(|name| name == scenario))
                && options
                    .seeds
                    .as_ref()
                    .is_none_or(|wanted| wanted.contains(&seed));
            if !wanted {
                continue;
            }
            for server in &options.servers {
                jobs.push((
                    entry.metadata()?.len(),
                    Job {
                        base: path.with_file_name(base),
                        scenario: scenario.to_owned(),
                        seed,
                        server: server.clone(),
                    },
                ));
            }
        }
    }
    jobs.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.key().cmp(&b.1.key())));
    Ok(jobs.into_iter().map(|job| job.1).collect())
}

impl Options {
    fn read() -> Result<Options, Failure> {
        let mut options = Options {
            servers: vec!["plan".to_owned()],
            scenarios: None,
            seeds: None,
            json: None,
            decisions: None,
            threads: 2,
            folders: Vec::new(),
        };
        let list = |text: String| text.split(',').map(str::to_owned).collect::<Vec<String>>();
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            if !argument.starts_with("--") {
                options.folders.push(argument.into());
                continue;
            }
            let value = arguments
                .next()
                .ok_or_else(|| format!("{argument} wants a value"))?;
            match argument.as_str() {
                "--server" => options.servers = list(value),
                "--scenarios" => options.scenarios = Some(list(value)),
                "--seeds" => {
                    let seeds = list(value);
                    let seeds = seeds.iter().map(|seed| seed.parse());
                    options.seeds = Some(seeds.collect::<Result<_, _>>()?);
                }
                "--json" => options.json = Some(value.into()),
                "--decisions" => options.decisions = Some(value.into()),
                "--threads" => options.threads = value.parse()?,
                _ => return Err(format!("there is no option {argument}").into()),
            }
        }
        if let Some(name) = options.servers.iter().find(|name| server(name).is_none()) {
            return Err(format!("there is no server {name}").into());
        }
        Ok(options)
    }
}
