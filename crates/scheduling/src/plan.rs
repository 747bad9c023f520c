//! The planner: which bookings to take, what to promise, whom to ring now and when to try again.
//!
//! Everything here is a function of what it was told: rules, staff, what happened, and the moment handed in. The server
//! and the simulator call the same functions.

mod desk;
mod job;
mod learned;
mod live;
mod reach;
mod retry;
mod rules;
mod sweep;
mod tuning;

pub use desk::{Answer, Basis, Desk, Orders, View};
pub use job::{Ask, Ended, Job};
pub use learned::{Learned, Mean};
pub use live::{Budget, Live, Outlook, idle, reserve};
pub use reach::{Phone, Reach};
pub use retry::{Again, retry};
pub use rules::{Interval, LiveRules, RingTimes, Rules, Second, Steps};
pub use sweep::{Fit, Supply, Task, sweep, sweep_noting};
pub use tuning::Tuning;

#[cfg(test)]
mod tests;
