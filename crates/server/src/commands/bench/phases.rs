//! The bench's order: what is measured on which database, in which turn, and for how long.

use super::catalogue::{CONNECTIONS, Place};
use super::ground::{Database, House, Server, put_queue};
use super::growth::{Stage, dearest};
use super::load::{Known, load, make_queues};
use super::prototype::{self, Prototype};
use super::report::Report;
use super::setback::Setback;
use super::spread::{Spread, ms};
use super::wire::{Load, Maker, Met, Until, drive};
use super::{BenchArgs, booking, calls, dispatch, idle, lateness, limits, reads, town};
use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Extent {
    rounds: usize,
    /// Of each figure in a round.
    time: Duration,
    burst: u64,
    growing_burst: u64,
    pending: u64,
    growth: Vec<u64>,
    /// Callbacks in the queue whose slots are read.
    booked: u64,
    reads: u64,
    late: u64,
    idle: Duration,
    calls: u64,
    talk: Duration,
}

/// What the targets ask for.
const LARGE: u64 = 10_000_000;
const PENDING: u64 = 500_000;
const BOOKED: u64 = 100_000;
/// A load that takes longer is given up: the rest of the bench is not to wait for it.
const LOADING: Duration = Duration::from_secs(1800);
/// The queue whose slots are read has as many booked as could be booked in this time.
const BOOKING_OUT: Duration = Duration::from_secs(120);

impl Extent {
    pub fn of(args: &BenchArgs) -> Extent {
        let mut extent = if args.quick {
            Extent {
                rounds: 1,
                time: Duration::from_millis(200),
                burst: 100,
                growing_burst: 50,
                pending: 400,
                growth: vec![200, 800],
                booked: 100,
                reads: 100,
                late: 100,
                idle: Duration::from_secs(1),
                calls: 10,
                talk: Duration::from_secs(4),
            }
        } else {
            Extent {
                rounds: 3,
                time: Duration::from_secs(2),
                burst: 20_000,
                growing_burst: 5000,
                pending: PENDING,
                growth: vec![10_000, 100_000, 1_000_000],
                booked: BOOKED,
                reads: 2000,
                late: 4000,
                idle: Duration::from_secs(60),
                calls: 2200,
                talk: Duration::from_secs(45),
            }
        };
        if let Some(pending) = args.pending {
            extent.pending = pending;
        }
        if !args.growth.is_empty() {
            extent.growth.clone_from(&args.growth);
        }
        if args.large {
            extent.growth.push(LARGE);
        }
        extent.growth.sort_unstable();
        extent.growth.dedup();
        extent
    }
}

/// One database's turn.
pub struct Ground<'a> {
    pub house: &'a House,
    pub directory: &'a Path,
    pub extent: &'a Extent,
}

impl Ground<'_> {
    fn place(&self) -> Place {
        self.house.place()
    }

    /// Standard output is the report; how far it has come goes to standard error.
    fn say(&self, what: &str) {
        eprintln!("{}: {what} …", self.place());
    }
}

/// Limits and bookings, turn by turn.
pub async fn rounds(ground: &Ground<'_>, report: &mut Report) -> Result<(), Setback> {
    let first_day = town::first_day(Timestamp::now())?;
    let ours = ground.house.fresh().await?;
    let store = ours.open().await?;
    make_queues(store.as_ref()).await?;
    store.close().await;
    let server = Server::start(ground.directory, &ours, None).await?;
    let raw = ground.house.fresh().await?;
    if raw.place == Place::Postgres {
        limits::postgres_table(&raw).await?;
    }
    let hello = Prototype::start(None).await?;
    let least = ground.house.fresh().await?;
    let least_server = Prototype::start(Some(&least.url)).await?;
    let (spread_out, hot) = (booking::spread_out(first_day), booking::hot(first_day));

    // Connections are opened and code is warm before anything counts.
    let warm = Duration::from_millis(300).min(ground.extent.time);
    for (address, maker) in [
        (hello.address, prototype::bookings()),
        (least_server.address, prototype::bookings()),
        (server.address, spread_out.clone()),
        (server.address, hot.clone()),
    ] {
        booking::rate(address, 16, warm, maker).await?;
    }
    let place = ground.place();
    for round in 1..=ground.extent.rounds {
        ground.say(&format!("limits and bookings, round {round}"));
        let time = ground.extent.time;
        let raw_p50 = commits(ground, &raw, report).await?;
        for connections in CONNECTIONS {
            let turn = async |address, maker: Maker| -> Result<Met, Setback> {
                booking::rate(address, connections, time, maker).await
            };
            let met = turn(hello.address, prototype::bookings()).await?;
            report.add(
                Place::Machine,
                with_number("hello", connections),
                met.per_second,
            );
            let met = turn(least_server.address, prototype::bookings()).await?;
            report.add(place, with_number("prototype", connections), met.per_second);
            let met = turn(server.address, spread_out.clone()).await?;
            report.add(place, with_number("book", connections), met.per_second);
            let spread = Spread::of(met.times);
            if connections == 1 {
                report.add(place, "added", (ms(spread.p50) - raw_p50).max(0.0));
            }
            if connections == 64 {
                for id in ["book-64-prototype", "book-64-hello"] {
                    report.add(place, id, met.per_second);
                }
                report.add(place, "book-64-p50", ms(spread.p50));
                report.add(place, "book-64-p95", ms(spread.p95));
                report.add(place, "book-64-p99", ms(spread.p99));
                let met = turn(server.address, hot.clone()).await?;
                report.add(place, "hot", met.per_second);
                report.add(place, "hot-p99", ms(Spread::of(met.times).p99));
            }
        }
    }
    server.stop().await?;
    drop((hello, least_server));
    ours.clear().await?;
    raw.clear().await?;
    least.clear().await
}

/// The database's raw commits; returns the middle one's time in milliseconds.
async fn commits(ground: &Ground<'_>, raw: &Database, report: &mut Report) -> Result<f64, Setback> {
    let (place, time) = (ground.place(), ground.extent.time);
    let appends = limits::synced_appends(ground.directory, time).await?;
    report.add(Place::Machine, "fsync", appends);
    let p50 = match raw.place {
        Place::Sqlite | Place::Machine => {
            let commits = limits::sqlite_commits(ground.directory, time).await?;
            report.add(place, "commit-1", commits.per_second);
            commits.p50_ms
        }
        Place::Postgres => {
            let mut one = 0.0;
            for clients in CONNECTIONS {
                let rate = limits::pgbench(raw, ground.directory, clients, time).await?;
                report.add(place, with_number("commit", clients), rate);
                if clients == 1 {
                    one = 1000.0 / rate;
                }
            }
            one
        }
    };
    report.add(place, "commit-p50", p50);
    Ok(p50)
}

/// The row of the catalogue for so many connections.
fn with_number(what: &str, connections: usize) -> &'static str {
    let id = format!("{what}-{connections}");
    super::catalogue::row_of(&id).map_or("", |row| row.id)
}

/// Dispatch of many that are due at one moment, each time on a fresh database.
pub async fn burst(ground: &Ground<'_>, report: &mut Report) -> Result<(), Setback> {
    let count = ground.extent.burst;
    let nodes: &[(usize, &'static str)] = match ground.place() {
        Place::Sqlite | Place::Machine => &[(1, "dispatch")],
        Place::Postgres => &[(1, "dispatch"), (2, "dispatch-2")],
    };
    for round in 1..=ground.extent.rounds {
        for (nodes, id) in nodes {
            ground.say(&format!(
                "{count} due at once, {nodes} node(s), round {round}"
            ));
            let rate = fresh_burst(ground, *nodes, count).await?;
            report.add(ground.place(), id, rate);
            report.note(ground.place(), id, format!("{count} due at once"));
        }
    }
    Ok(())
}

/// On a machine that books slowly it is tried again with more time for it.
async fn fresh_burst(ground: &Ground<'_>, nodes: usize, count: u64) -> Result<f64, Setback> {
    let mut last = Setback::Late;
    for slowness in [1, 4, 16] {
        let database = ground.house.fresh().await?;
        let booking = time_to_book(count) * slowness;
        let burst = dispatch::burst(&database, nodes, count, booking).await;
        database.clear().await?;
        match burst {
            Err(Setback::Late) => last = Setback::Late,
            Ok(_) | Err(Setback::Absent(_) | Setback::Broken(_)) => return burst,
        }
    }
    Err(last)
}

/// A thousand a second, and a moment to begin.
fn time_to_book(count: u64) -> Duration {
    Duration::from_millis(2000 + count)
}

/// Reading the slots of a queue in which many are booked.
pub async fn slots(ground: &Ground<'_>, report: &mut Report) -> Result<(), Setback> {
    let (place, wanted) = (ground.place(), ground.extent.booked);
    ground.say(&format!("a queue with {wanted} booked"));
    let first_day = town::first_day(Timestamp::now())?;
    let database = ground.house.fresh().await?;
    let store = database.open().await?;
    let queues = make_queues(store.as_ref()).await?;
    let make = Arc::new(move |index| town::booked(first_day, index));
    let loaded = load(&store, &queues, 0..wanted, make, BOOKING_OUT).await?;
    store.close().await;
    database.settle_down().await?;
    let server = Server::start(ground.directory, &database, None).await?;
    let p99 = reads::slots(&server, first_day, ground.extent.reads).await?;
    report.add(place, "slots-p99", p99);
    report.note(
        place,
        "slots-p99",
        format!("{} booked in the queue", loaded.count),
    );
    if loaded.count < BOOKED {
        report.at_less(place, "slots-p99");
    }
    report.add(place, "slots-load", loaded.per_second);
    server.stop().await?;
    database.clear().await
}

/// Everything that depends on how much is stored, on one database that grows.
pub async fn growth(ground: &Ground<'_>, report: &mut Report) -> Result<(), Setback> {
    let database = ground.house.fresh().await?;
    let store = database.open().await?;
    make_queues(store.as_ref()).await?;
    put_queue(store.as_ref(), lateness::QUEUE, town::plain()).await?;
    put_queue(
        store.as_ref(),
        calls::QUEUE,
        calls::rules(ground.extent.talk),
    )
    .await?;
    store.close().await;

    let mut sizes = ground.extent.growth.clone();
    sizes.push(ground.extent.pending);
    sizes.sort_unstable();
    sizes.dedup();
    let (mut stored, mut known) = (0, Vec::new());
    for size in sizes {
        ground.say(&format!("{size} stored"));
        fill(ground, &database, stored..size, &mut known, report).await?;
        stored = size;
        // First: what the other leaves behind (calls of a server that was stopped, tries that come due again) would be
        // worked on at the same time.
        if ground.extent.growth.contains(&size) {
            let stage = stage(ground, &database, size, &known).await?;
            keep(ground, stage, report);
        }
        if size == ground.extent.pending {
            pending(ground, &database, size, report).await?;
        }
    }
    let place = ground.place();
    let stages: Vec<&Stage> = report
        .growth
        .iter()
        .filter(|stage| stage.place == place)
        .collect();
    if let Some((name, most, log)) = dearest(&stages) {
        report.add(place, "growth", most);
        report.add(place, "growth-log", log);
        report.note(place, "growth", name);
    }
    database.clear().await
}

async fn fill(
    ground: &Ground<'_>,
    database: &Database,
    range: std::ops::Range<u64>,
    known: &mut Vec<Known>,
    report: &mut Report,
) -> Result<(), Setback> {
    if range.is_empty() {
        return Ok(());
    }
    let first_day = town::first_day(Timestamp::now())?;
    let wanted = range.end - range.start;
    let store = database.open().await?;
    let queues = make_queues(store.as_ref()).await?;
    let make = Arc::new(move |index| town::waiting(first_day, index));
    let loaded = load(&store, &queues, range, make, LOADING).await?;
    store.close().await;
    report.add(ground.place(), "load", loaded.per_second);
    if loaded.count < wanted {
        return Err(Setback::Broken(format!(
            "{wanted} could not be stored in {} minutes, only {}",
            LOADING.as_secs() / 60,
            loaded.count
        )));
    }
    known.extend(loaded.known);
    database.settle_down().await
}

/// One size of the growing database.
async fn stage(
    ground: &Ground<'_>,
    database: &Database,
    size: u64,
    known: &[Known],
) -> Result<Stage, Setback> {
    let first_day = town::first_day(Timestamp::now())?;
    let extent = ground.extent;
    let mut stage = Stage::new(ground.place(), size);
    let server = Server::start(ground.directory, database, None).await?;
    stage.start = Some(server.start.as_secs_f64());
    let reads = reads::measure(&server, known, extent.reads).await?;
    stage.get = Some(reads.get);
    stage.customer = Some(reads.customer);
    stage.page = Some(reads.page);
    let load = Load {
        address: server.address,
        connections: 64,
        until: Until::Time(extent.time),
        expected: 201,
        maker: booking::spread_out(first_day),
    };
    stage.bookings = Some(drive(load).await?.per_second);
    server.stop().await?;
    // What is left of a burst that was late would be dispatched with the next: there is one try, with time enough.
    let (count, booking) = (extent.growing_burst, time_to_book(extent.growing_burst) * 4);
    stage.dispatch = Some(dispatch::burst(database, 1, count, booking).await?);
    Ok(stage)
}

/// The figures of the largest stage are those of the table.
fn keep(ground: &Ground<'_>, stage: Stage, report: &mut Report) {
    let largest = ground.extent.growth.last() == Some(&stage.stored);
    if largest {
        let rows = [
            ("get-p99", stage.get),
            ("customer-p99", stage.customer),
            ("page-p99", stage.page),
            ("start", stage.start),
        ];
        for (id, value) in rows {
            if let Some(value) = value {
                report.add(stage.place, id, value);
                report.note(stage.place, id, format!("{} stored", stage.stored));
                if stage.stored < LARGE {
                    report.at_less(stage.place, id);
                }
            }
        }
    }
    report.growth.push(stage);
}

/// What is measured while many wait for another day.
async fn pending(
    ground: &Ground<'_>,
    database: &Database,
    size: u64,
    report: &mut Report,
) -> Result<(), Setback> {
    let (place, extent) = (ground.place(), ground.extent);
    if size < PENDING {
        for id in ["late-p50", "late-p99", "idle", "idle-database", "memory"] {
            report.at_less(place, id);
        }
    }
    let waiting = format!("{size} pending");
    ground.say(&format!("lateness with {waiting}"));
    let raw = ground.house.fresh().await?;
    let floor = if place == Place::Postgres {
        limits::postgres_table(&raw).await?;
        lateness::floor(Some(&raw), ground.directory, extent.late).await?
    } else {
        lateness::floor(None, ground.directory, extent.late).await?
    };
    raw.clear().await?;
    report.add(place, "floor-p50", ms(floor.p50));
    report.add(place, "floor-p99", ms(floor.p99));

    let peer = lateness::Peer::start()?;
    let server = Server::start(ground.directory, database, Some(peer.address)).await?;
    let late = lateness::measure(&server, &peer, extent.late).await?;
    for (id, time) in [("late-p50", late.p50), ("late-p99", late.p99)] {
        report.add(place, id, ms(time));
        report.note(place, id, waiting.clone());
    }
    ground.say(&format!("idle with {waiting}"));
    database.settle_down().await?;
    let idle = idle::measure(&server, database, extent.idle).await?;
    report.add(place, "idle", idle.server);
    report.note(place, "idle", waiting.clone());
    if let Some(cpu) = idle.database {
        report.add(place, "idle-database", cpu);
        report.note(place, "idle-database", waiting.clone());
    }
    server.stop().await?;

    ground.say(&format!("{} calls with {waiting}", extent.calls));
    let phones = match calls::Phones::start(ground.directory) {
        Ok(phones) => phones,
        Err(setback) => {
            for id in ["calls", "calls-rate", "memory"] {
                report.note(place, id, setback.to_string());
            }
            return Ok(());
        }
    };
    let server = Server::start(ground.directory, database, Some(phones.address)).await?;
    let held = calls::measure(&server, extent.calls, extent.talk).await?;
    report.add(place, "calls", held.most as f64);
    report.add(place, "calls-rate", held.per_second);
    report.add(place, "memory", held.memory as f64 / 1e6);
    if held.memory_at < calls::CALLS_OF_MEMORY {
        report.at_less(place, "memory");
    }
    report.note(
        place,
        "memory",
        format!("{waiting}, {} calls up", held.memory_at),
    );
    report.note(place, "calls", format!("{} booked", extent.calls));
    server.stop().await
}
