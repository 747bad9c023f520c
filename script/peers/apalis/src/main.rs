//! apalis on the bench's PostgreSQL. It schedules jobs by whole seconds, so lateness is told against those.

use apalis::prelude::*;
use apalis_sql::Config;
use apalis_sql::postgres::{PgPool, PostgresStorage};
use serde::{Deserialize, Serialize};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Job {
    name: String,
    subject: String,
    /// Milliseconds since 1970; 0: nobody asks how late it is.
    due: u64,
}

static DONE: AtomicU64 = AtomicU64::new(0);
static LATE: Mutex<Vec<u64>> = Mutex::new(Vec::new());

async fn work(job: Job) -> Result<(), Error> {
    if job.due > 0 {
        LATE.lock().expect("no panic").push(now().saturating_sub(job.due));
    }
    DONE.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("not yet")
}

fn job(due: u64) -> Job {
    Job { name: "Ada".to_owned(), subject: "A question about the last bill".to_owned(), due }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let quick = std::env::var("PEERS_QUICK").is_ok_and(|quick| quick == "yes");
    let (enqueue_for, burst, late, pending, idle_for) =
        if quick { (300, 200, 100, 500, 1) } else { (5000, 20_000, 2000, 100_000, 30) };
    let pool = PgPool::connect(&std::env::var("PEERS_URL")?).await?;
    PostgresStorage::setup(&pool).await?;
    let config = Config::new("noop").set_poll_interval(Duration::from_millis(50)).set_buffer_size(500);
    let storage: PostgresStorage<Job> = PostgresStorage::new_with_config(pool.clone(), config);
    let tomorrow = i64::try_from(now() / 1000)? + 86_400;

    let mut one = storage.clone();
    let (began, mut count) = (Instant::now(), 0u32);
    while began.elapsed() < Duration::from_millis(enqueue_for) {
        one.schedule(job(0), tomorrow).await?;
        count += 1;
    }
    let enqueue = f64::from(count) / began.elapsed().as_secs_f64();

    fill(&storage, pending, move |_| tomorrow, |_| job(0)).await;
    let past = i64::try_from(now() / 1000)? - 10;
    fill(&storage, burst, move |_| past, |_| job(0)).await;
    sqlx::query("VACUUM ANALYZE").execute(&pool).await?;

    let began = Instant::now();
    let worker = WorkerBuilder::new("bench").concurrency(100).backend(storage.clone()).build_fn(work);
    let monitor = tokio::spawn(Monitor::new().register(worker).run());
    until(|| DONE.load(Ordering::Relaxed) >= burst).await;
    let dispatch = burst as f64 / began.elapsed().as_secs_f64();

    let first = now() / 1000 + 4;
    let due = move |index: u64| first + index / 200;
    fill(
        &storage,
        late,
        move |index| i64::try_from(due(index)).expect("a time"),
        move |index| job(due(index) * 1000),
    )
    .await;
    until(|| LATE.lock().expect("no panic").len() as u64 >= late).await;
    let (own, database) = idle(idle_for).await?;
    monitor.abort();

    let mut late = LATE.lock().expect("no panic").clone();
    late.sort_unstable();
    let percentile = |percent: usize| late[(late.len() * percent).div_ceil(100).max(1) - 1];
    println!(
        "{}",
        serde_json::json!({
            "peer": "apalis", "enqueue_per_second": enqueue, "dispatch_per_second": dispatch,
            "late_p50_ms": percentile(50), "late_p99_ms": percentile(99),
            "idle_cpu": own, "idle_database_cpu": database,
            "note": "a library call, no HTTP; whole seconds, polled for; a job's row is kept, no history",
        })
    );
    Ok(())
}

/// Schedules so many, sixteen at a time.
async fn fill(
    storage: &PostgresStorage<Job>,
    count: u64,
    on: impl Fn(u64) -> i64 + Clone + Send + 'static,
    make: impl Fn(u64) -> Job + Clone + Send + 'static,
) {
    const TASKS: u64 = 16;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let (mut storage, on, make) = (storage.clone(), on.clone(), make.clone());
        tasks.spawn(async move {
            let mut index = task;
            while index < count {
                storage.schedule(make(index), on(index)).await.expect("a stored job");
                index += TASKS;
            }
        });
    }
    tasks.join_all().await;
}

async fn until(done: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(300);
    while !done() {
        assert!(Instant::now() < limit, "it took too long");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// CPU seconds per minute of this process and of PostgreSQL.
async fn idle(seconds: u64) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let postmaster: u32 = std::env::var("PEERS_POSTMASTER")?.parse()?;
    tokio::time::sleep(Duration::from_secs(seconds.min(5))).await;
    let (own, database) = (times(std::process::id())?.1, family(postmaster)?);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let minutes = seconds as f64 / 60.0;
    Ok((
        (times(std::process::id())?.1 - own) / minutes,
        (family(postmaster)? - database) / minutes,
    ))
}

/// Parent, own seconds, seconds of children that have ended.
fn times(pid: u32) -> Result<(u32, f64, f64), Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').ok_or("a strange line")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let seconds = |at: usize| fields[at].parse::<f64>().map(|ticks| ticks / 100.0);
    Ok((fields[1].parse()?, seconds(11)? + seconds(12)?, seconds(13)? + seconds(14)?))
}

fn family(postmaster: u32) -> Result<f64, Box<dyn std::error::Error>> {
    let (_, own, ended) = times(postmaster)?;
    let mut sum = own + ended;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        // One that ends meanwhile is counted by its parent.
        if let Some((parent, own, _)) = pid.and_then(|pid| times(pid).ok())
            && parent == postmaster
        {
            sum += own;
        }
    }
    Ok(sum)
}
