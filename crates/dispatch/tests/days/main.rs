//! Whole days of the whole system, each from one seed: store, dispatcher, channels, several nodes, people,
//! and misfortunes between any two steps. See `day.rs` for what happens and `watch.rs` for what must hold.
//!
//! `RINGBACK_DAYS=5000` lives more days than the 200 of every test run; `RINGBACK_DAY_SEED=17` lives one.

mod day;
mod dice;
mod ghosts;
mod people;
mod phones;
mod plan;
mod store;
mod story;
#[path = "../support/through.rs"]
mod through;
mod wall;
mod watch;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};

/// Days that once went wrong. They are lived first, for ever.
const REMEMBERED: &[u64] = &[];

const DAYS: u64 = 200;

thread_local! {
    /// Panics on this thread: a task that panics is caught by the runtime, and would not be noticed.
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// Lives one day and says what was wrong with it.
fn faults_of(seed: u64) -> (Vec<String>, Option<day::Report>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.with(|panics| panics.set(panics.get() + 1));
            usual(info);
        }));
    });
    PANICS.with(|panics| panics.set(0));
    let lived = catch_unwind(AssertUnwindSafe(|| day::live(seed)));
    let mut faults = Vec::new();
    let panics = PANICS.with(Cell::get);
    if panics > 0 {
        faults.push(format!("{panics} panics"));
    }
    match lived {
        Ok(report) => {
            faults.extend(report.breaches.iter().cloned());
            (faults, Some(report))
        }
        Err(_) => {
            faults.push("the day broke off".to_owned());
            (faults, None)
        }
    }
}

fn story_of(seed: u64, faults: &[String]) -> String {
    let shown: Vec<&str> = faults.iter().take(12).map(String::as_str).collect();
    format!(
        "day {seed} broke {} promises:\n  {}\nalone: RINGBACK_DAY_SEED={seed} cargo test -p ringback-dispatch --test days\n",
        faults.len(),
        shown.join("\n  ")
    )
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number, not {text}")),
    )
}

#[test]
fn days_with_faults_break_nothing() {
    let seeds: Vec<u64> = match setting("RINGBACK_DAY_SEED") {
        Some(seed) => vec![seed],
        None => {
            let days = setting("RINGBACK_DAYS").unwrap_or(DAYS);
            REMEMBERED.iter().copied().chain(0..days).collect()
        }
    };
    let next = AtomicU64::new(0);
    let broken = Mutex::new(Vec::new());
    let sums = Mutex::new([0u64; 5]);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::SeqCst) as usize) {
                    let (faults, report) = faults_of(*seed);
                    if !faults.is_empty() {
                        let story = story_of(*seed, &faults);
                        eprint!("{story}");
                        broken
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(*seed);
                    }
                    if let Some(report) = report {
                        let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
                        sums[0] += report.booked as u64;
                        sums[1] += report.rung as u64;
                        sums[2] += report.events as u64;
                        sums[3] += report.boots;
                        sums[4] += report.asked;
                    }
                }
            });
        }
    });
    let [booked, rung, events, boots, asked] = *sums.lock().unwrap_or_else(PoisonError::into_inner);
    println!(
        "{} days: {booked} booked, {rung} rung, {events} events, {boots} starts of nodes, {asked} questions to the store",
        seeds.len()
    );
    let broken = broken.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(broken.is_empty(), "days that broke a promise: {broken:?}");
    // Days on which nothing happens would prove nothing.
    assert!(
        booked >= 5 * seeds.len() as u64 && rung * 4 >= booked,
        "the days are too quiet"
    );
}

#[test]
fn the_same_seed_is_the_same_day() {
    for seed in [1, 2, 3, 5, 8, 13, 21, 34] {
        let (one, two) = (day::live(seed), day::live(seed));
        assert_eq!(
            (one.events, one.asked, one.digest),
            (two.events, two.asked, two.digest),
            "day {seed} was lived twice, and not alike"
        );
    }
    assert_ne!(day::live(1).digest, day::live(2).digest);
}
