//! `ringback bench`: how fast the real server is, beside the raw limits of the same machine in the same run.
//!
//! The server runs as a process of its own on a fresh database; so do a hello world and a minimal prototype. Their
//! rounds are interleaved (limit, ours, limit, ours, …), and medians are told. What each row means stands in
//! `docs/bench.md`; what is to be reached stands in `catalogue.rs`.

mod booking;
mod calls;
mod catalogue;
mod dispatch;
mod ground;
mod growth;
mod idle;
mod lateness;
mod limits;
mod load;
mod peers;
mod phases;
mod process;
mod prototype;
mod reads;
mod report;
mod setback;
mod spread;
mod svg;
mod town;
mod wire;

use catalogue::Place;
use clap::Args;
use ground::{Directory, House};
use peers::Peer;
use phases::Extent;
use report::Report;
use setback::Setback;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Where databases are made: sqlite:DIR, or postgres://… of a server on this machine whose user may create
    /// databases. May be repeated [default: sqlite: in --dir]
    #[arg(long, value_name = "URL", value_parser = House::parse)]
    database: Vec<House>,
    /// Measure for moments only, to see that everything can be measured
    #[arg(long)]
    quick: bool,
    /// Measure only these parts: rounds, burst, slots, growth
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,
    /// Callbacks that wait while lateness, idling, memory and calls are measured [default: 500000]
    #[arg(long, value_name = "N")]
    pending: Option<u64>,
    /// How many are stored when growth is measured [default: 10000,100000,1000000]
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    growth: Vec<u64>,
    /// Growth up to ten million
    #[arg(long)]
    large: bool,
    /// Write JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the figures into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write the table as Markdown to this file
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Figures of other job queues, as script/bench measures them, to be set beside these
    #[arg(long, value_name = "FILE")]
    peers: Option<PathBuf>,
    /// How long a cold build took, to be told with the rest
    #[arg(long, value_name = "SECONDS")]
    cold_build: Option<f64>,
    /// Where temporary files go: the disk is part of what is measured [default: the directory for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Be a hello world (`hello`) or the prototype on a database, for a bench that measures it
    #[arg(long, hide = true, value_name = "DATABASE")]
    prototype: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Limits and bookings
    Rounds,
    /// Dispatch of a burst
    Burst,
    /// Slots of a queue with many booked
    Slots,
    /// Everything else that depends on how much is stored
    Growth,
}

pub async fn run(args: BenchArgs) -> ExitCode {
    if let Some(database) = &args.prototype {
        return prototype::run(database).await;
    }
    match bench(&args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(setback) => {
            eprintln!("ringback bench: {setback}");
            ExitCode::FAILURE
        }
    }
}

/// False if something that should have been measured was not; the rest is told all the same.
async fn bench(args: &BenchArgs) -> Result<bool, Setback> {
    // Read before anything is measured: a run must not end with a file that cannot be read.
    let peers = args.peers.as_deref().map(peers::read).transpose()?;
    let mut report = Report::new(args.quick, caveats(args.quick));
    machine(&mut report, args)?;
    // Whatever was made for the bench is cleared away when it is broken off, too.
    let measured = tokio::select! {
        measured = measure(args, &mut report) => Some(measured?),
        _ = tokio::signal::ctrl_c() => None,
    };
    if measured.is_none() {
        report.caveats.push("broken off".to_owned());
    }
    if let Some(peers) = peers {
        set_beside(&mut report, peers);
    }
    print!("{}", report.table());
    let write = |path: &Option<PathBuf>, text: String| match path {
        Some(path) => put(path, &text),
        None => Ok(()),
    };
    write(&args.json, format!("{:#}\n", report.json()))?;
    write(&args.svg, svg::draw(&report))?;
    write(&args.markdown, report.markdown())?;
    Ok(measured == Some(true))
}

async fn measure(args: &BenchArgs, report: &mut Report) -> Result<bool, Setback> {
    let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let directory = Directory::make(&parent)?;
    let houses = if args.database.is_empty() {
        vec![House::Files(parent)]
    } else {
        args.database.clone()
    };
    let extent = Extent::of(args);
    let mut whole = true;
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    for house in &houses {
        let ground = phases::Ground {
            house,
            directory: directory.path(),
            extent: &extent,
        };
        if wanted(Part::Rounds) {
            let done = phases::rounds(&ground, report).await;
            whole &= took_place(report, house.place(), "rounds", done);
        }
        if wanted(Part::Burst) {
            let done = phases::burst(&ground, report).await;
            whole &= took_place(report, house.place(), "burst", done);
        }
        if wanted(Part::Slots) {
            let done = phases::slots(&ground, report).await;
            whole &= took_place(report, house.place(), "slots", done);
        }
        if wanted(Part::Growth) {
            let done = phases::growth(&ground, report).await;
            whole &= took_place(report, house.place(), "growth", done);
        }
    }
    Ok(whole)
}

fn machine(report: &mut Report, args: &BenchArgs) -> Result<(), Setback> {
    let size = std::env::current_exe().and_then(|program| program.metadata());
    let size = size.map_err(Setback::while_doing("the program cannot be looked at"))?;
    report.add(Place::Machine, "binary", size.len() as f64 / 1e6);
    if let Some(seconds) = args.cold_build {
        report.add(Place::Machine, "cold-build", seconds);
    }
    Ok(())
}

/// Tells what broke, and goes on: one figure that cannot be had is no reason to lose the others.
fn took_place(report: &mut Report, place: Place, part: &str, done: Result<(), Setback>) -> bool {
    match done {
        Ok(()) => true,
        Err(setback) => {
            eprintln!("ringback bench: {place}, {part}: {setback}");
            report.caveats.push(format!(
                "{place}, {part}: not all could be measured: {setback}"
            ));
            matches!(setback, Setback::Absent(_))
        }
    }
}

fn set_beside(report: &mut Report, peers: Vec<Peer>) {
    let value = |id| report.value(Place::Postgres, id);
    let ours = Peer {
        peer: "Ringback".to_owned(),
        enqueue_per_second: value("book-1"),
        dispatch_per_second: value("dispatch"),
        late_p50_ms: value("late-p50"),
        late_p99_ms: value("late-p99"),
        idle_cpu: value("idle"),
        idle_database_cpu: value("idle-database"),
        note: Some(
            "over HTTP, with validation, slot, events; dispatch commits claim, attempt and outcome"
                .to_owned(),
        ),
    };
    let ratios: Vec<Peer> = peers.iter().map(|peer| peer.against(&ours)).collect();
    report.peers.push(ours);
    report.peers.extend(peers);
    report.peers.extend(ratios);
}

fn put(path: &Path, text: &str) -> Result<(), Setback> {
    let what = format!("{} cannot be written", path.display());
    std::fs::write(path, text).map_err(Setback::while_doing(&what))
}

/// What keeps these figures from being records.
fn caveats(quick: bool) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut caveats = vec![format!(
        "server, clients, peers and database share {cores} cores: compare ratios, not records"
    )];
    if cfg!(debug_assertions) {
        caveats.push("a debug build, several times slower than a release build".to_owned());
    }
    if quick {
        caveats.push("measured for moments only".to_owned());
    }
    caveats
}
