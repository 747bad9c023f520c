//! `[dispatch]`: how much this server carries at one time, and how long its claims hold.

use ringback_scheduling::Span;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dispatch {
    /// Callbacks carried at one time: offered, being placed, or in a call (1 to 100000).
    pub max_carried: usize,
    /// How long a claim holds without being lengthened (a length of time, 5 seconds to 10 minutes). After a
    /// crash of another server its callbacks wait this long at most.
    pub lease: Span,
    /// After a start, or when the clock leapt, what became due meanwhile is taken up at this pace: so many
    /// callbacks a second (1 to 1000).
    pub catch_up_per_second: u32,
}

impl Default for Dispatch {
    fn default() -> Self {
        Dispatch {
            max_carried: 2000,
            lease: Span::from_secs(30),
            catch_up_per_second: 10,
        }
    }
}

impl Dispatch {
    pub fn check(&self, complain: &mut dyn FnMut(&str, String)) {
        if !(1..=100_000).contains(&self.max_carried) {
            complain("max_carried", "must be between 1 and 100000".to_owned());
        }
        if !(1..=1000).contains(&self.catch_up_per_second) {
            complain(
                "catch_up_per_second",
                "must be between 1 and 1000".to_owned(),
            );
        }
        if !(5..=600).contains(&self.lease.as_secs()) {
            complain("lease", "must be between 5s and 10m".to_owned());
        }
    }
}
