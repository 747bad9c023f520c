//! Time and chance for tests: a clock turned by hand, and chance that repeats itself from a seed.

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use ringback_callbacks::clock::{Chance, Clock};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use uuid::Uuid;

/// A clock that stands still until it is turned. Clones show the same time.
#[derive(Clone)]
pub struct ManualClock {
    face: Arc<Mutex<Face>>,
}

struct Face {
    now: Timestamp,
    /// By the moment they wait for, then by who came first.
    sleepers: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
    next: u64,
    /// Grows whenever somebody reads the clock or begins or ends a wait: see [`ManualClock::settled`].
    touched: u64,
}

impl ManualClock {
    pub fn new(now: Timestamp) -> Self {
        let face = Face {
            now,
            sleepers: BTreeMap::new(),
            next: 0,
            touched: 0,
        };
        ManualClock {
            face: Arc::new(Mutex::new(face)),
        }
    }

    /// Starts at a moment written as RFC 3339. Panics on anything else: it is for tests.
    pub fn at(text: &str) -> Self {
        match text.parse() {
            Ok(now) => Self::new(now),
            Err(error) => panic!("{text} is not a moment: {error}"),
        }
    }

    /// The earliest moment anybody waits for.
    pub fn next_sleeper(&self) -> Option<Timestamp> {
        self.face().sleepers.keys().next().map(|(at, _)| *at)
    }

    pub fn sleepers(&self) -> usize {
        self.face().sleepers.len()
    }

    /// Turns the clock to `to`, stopping at every moment somebody waits for, in order, and letting
    /// those who woke finish before the clock moves on. Never turns back.
    pub async fn advance_to(&self, to: Timestamp) {
        self.settled().await;
        while let Some(next) = self.next_sleeper().filter(|next| *next <= to) {
            self.set(next.max(self.peek()));
            self.settled().await;
        }
        if to > self.peek() {
            self.set(to);
            self.settled().await;
        }
    }

    pub async fn advance(&self, by: Duration) {
        let to = self.peek().checked_add(by).unwrap_or(Timestamp::MAX);
        self.advance_to(to).await;
    }

    /// Jumps, also backwards, as a wall clock does when somebody corrects it. Wakes whoever is due.
    pub fn set(&self, now: Timestamp) {
        let due = {
            let mut face = self.face();
            face.now = now;
            let later = face.sleepers.split_off(&(now, u64::MAX));
            std::mem::replace(&mut face.sleepers, later)
        };
        for sleeper in due.into_values() {
            // A sleeper that was dropped meanwhile has nobody to wake.
            let _ = sleeper.send(());
        }
    }

    /// Waits until nobody has touched the clock for a few milliseconds of real time: a task that works
    /// reads it again and again, and one on another thread (a database's writer) cannot be seen otherwise.
    /// Gives up after two seconds, so that a loop which never rests cannot hang a test.
    pub async fn settled(&self) {
        let begun = std::time::Instant::now();
        let mut seen = self.face().touched;
        let mut quiet = 0;
        while quiet < QUIET_ROUNDS && begun.elapsed() < LONGEST_SETTLING {
            for _ in 0..16 {
                tokio::task::yield_now().await;
            }
            // Real time, on a thread: the runtime's own timers may be paused in a test.
            let _ = tokio::task::spawn_blocking(|| std::thread::sleep(ROUND)).await;
            let touched = self.face().touched;
            quiet = if touched == seen { quiet + 1 } else { 0 };
            seen = touched;
        }
    }

    /// Looks without leaving a trace.
    fn peek(&self) -> Timestamp {
        self.face().now
    }

    fn face(&self) -> MutexGuard<'_, Face> {
        self.face.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const ROUND: Duration = Duration::from_millis(1);
const QUIET_ROUNDS: u32 = 3;
const LONGEST_SETTLING: Duration = Duration::from_secs(2);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let mut face = self.face();
        face.touched += 1;
        face.now
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut face = self.face();
        face.touched += 1;
        if at <= face.now {
            return Box::pin(tokio::task::yield_now());
        }
        let (wake, woken) = oneshot::channel();
        let key = (at, face.next);
        face.next += 1;
        face.sleepers.insert(key, wake);
        drop(face);
        let wait = Wait {
            clock: self.clone(),
            key,
        };
        Box::pin(async move {
            let _ = woken.await;
            drop(wait);
        })
    }
}

/// Takes a sleeper off the list when its wait is over or given up.
struct Wait {
    clock: ManualClock,
    key: (Timestamp, u64),
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut face = self.clock.face();
        face.touched += 1;
        face.sleepers.remove(&self.key);
    }
}

/// Chance that is the same every time for the same seed.
pub struct SeededChance {
    state: Mutex<Seeded>,
}

struct Seeded {
    rng: StdRng,
    /// Ids must be roughly ordered by time, and the seed knows no time: each takes the next millisecond.
    millis: u64,
}

impl SeededChance {
    pub fn new(seed: u64) -> Self {
        SeededChance {
            state: Mutex::new(Seeded {
                rng: StdRng::seed_from_u64(seed),
                millis: 1_700_000_000_000,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, Seeded> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chance for SeededChance {
    fn uuid(&self) -> Uuid {
        let mut state = self.state();
        state.millis += 1;
        let mut random = [0u8; 10];
        state.rng.fill_bytes(&mut random);
        uuid::Builder::from_unix_timestamp_millis(state.millis, &random).into_uuid()
    }

    fn unit(&self) -> f64 {
        self.state().rng.random()
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.state().rng.fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    fn moment(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    #[tokio::test]
    async fn sleepers_wake_in_order_and_see_their_own_moment() {
        let clock = ManualClock::at("2026-01-01T00:00:00Z");
        let (tell, mut told) = mpsc::unbounded_channel();
        for hour in [3, 1, 2] {
            let clock = clock.clone();
            let tell = tell.clone();
            let at = moment(&format!("2026-01-01T0{hour}:00:00Z"));
            tokio::spawn(async move {
                clock.sleep_until(at).await;
                let _ = tell.send((hour, clock.now()));
            });
        }
        clock.settled().await;
        assert_eq!(clock.next_sleeper(), Some(moment("2026-01-01T01:00:00Z")));
        clock.advance_to(moment("2026-01-01T02:30:00Z")).await;
        assert_eq!(
            told.try_recv().ok(),
            Some((1, moment("2026-01-01T01:00:00Z")))
        );
        assert_eq!(
            told.try_recv().ok(),
            Some((2, moment("2026-01-01T02:00:00Z")))
        );
        assert!(told.try_recv().is_err(), "three o'clock has not come");
        assert_eq!(clock.now(), moment("2026-01-01T02:30:00Z"));
        clock.advance(Duration::from_secs(3600)).await;
        assert_eq!(told.try_recv().ok().map(|(hour, _)| hour), Some(3));
    }

    #[tokio::test]
    async fn a_sleeper_that_sleeps_again_is_met_on_the_way() {
        let clock = ManualClock::at("2026-01-01T00:00:00Z");
        let (tell, mut told) = mpsc::unbounded_channel();
        let ticking = clock.clone();
        tokio::spawn(async move {
            for _ in 0..24 {
                let next = ticking
                    .now()
                    .checked_add(Duration::from_secs(3600))
                    .expect("in range");
                ticking.sleep_until(next).await;
                let _ = tell.send(ticking.now());
            }
        });
        clock.advance_to(moment("2026-01-02T00:00:00Z")).await;
        let mut hours = 0;
        while told.try_recv().is_ok() {
            hours += 1;
        }
        assert_eq!(hours, 24);
    }

    #[tokio::test]
    async fn a_wait_given_up_leaves_nothing_behind() {
        let clock = ManualClock::at("2026-01-01T00:00:00Z");
        drop(clock.sleep_until(moment("2026-01-01T01:00:00Z")));
        assert_eq!(clock.sleepers(), 0);
        clock.sleep_until(moment("2025-01-01T00:00:00Z")).await;
    }

    #[test]
    fn the_same_seed_says_the_same() {
        let (one, two, other) = (
            SeededChance::new(7),
            SeededChance::new(7),
            SeededChance::new(8),
        );
        let ids: Vec<Uuid> = (0..5).map(|_| one.uuid()).collect();
        assert_eq!(ids, (0..5).map(|_| two.uuid()).collect::<Vec<_>>());
        assert!(ids.is_sorted());
        assert_ne!(ids[0], other.uuid());
        let unit = one.unit();
        assert!((0.0..1.0).contains(&unit));
    }
}
