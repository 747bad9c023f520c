//! What the clockwork lets others measure.

use ringback_callbacks::outcome::Verdict;
use std::time::Duration;

/// Called as things happen; must return at once.
pub trait Observer: Send + Sync + 'static {
    /// An attempt is recorded and about to leave; `late` is how long after the moment it was due.
    fn attempt_began(&self, channel: &str, late: Duration);
    fn attempt_ended(&self, channel: &str, verdict: Verdict);
    /// Callbacks carried by this node.
    fn carried(&self, count: usize);
    fn rescued(&self, count: usize);
    /// The store failed in the clockwork's own work (not in a client's request).
    fn store_failed(&self);
}

/// For those who do not measure.
#[derive(Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn attempt_began(&self, _channel: &str, _late: Duration) {}
    fn attempt_ended(&self, _channel: &str, _verdict: Verdict) {}
    fn carried(&self, _count: usize) {}
    fn rescued(&self, _count: usize) {}
    fn store_failed(&self) {}
}
