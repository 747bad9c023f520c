//! Chance from a seed. Written out here, so that a seed means the same day for as long as this file stays.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// SplitMix64: eight bytes of state, good enough to decide who picks up the phone.
pub struct Dice(Mutex<u64>);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(Mutex::new(seed))
    }

    pub fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 ≤ n < `limit`.
    pub fn below(&self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// `low` ≤ n ≤ `high`.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in so many of a thousand.
    pub fn per_mille(&self, share: u64) -> bool {
        self.below(1000) < share
    }

    pub fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    pub fn one_of<T: Copy>(&self, from: &[T]) -> T {
        *self.pick(from)
    }

    pub fn seconds(&self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low * 1000, high * 1000))
    }

    /// Dice of their own for one part of the day, so that one part's draws do not move another's.
    pub fn child(&self) -> Dice {
        Dice::new(self.next())
    }
}
