//! `[http]`: limits of the connections themselves. What requests may do is in `[api]`.

use ringback_scheduling::Span;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Connections held at one time; more wait in the system's own queue until one ends.
    pub max_connections: usize,
    /// How long a client may take to send the head of a request, and how long a connection may stay idle
    /// between requests (a length of time, 1 to 300 seconds).
    pub header_timeout: Span,
    /// Largest head of a request in bytes (8192 to 1048576).
    pub max_header_bytes: usize,
    /// How long running requests may go on after the first SIGTERM (a length of time, at most 5 minutes).
    /// Event streams are ended at once: their clients come back with `Last-Event-ID`.
    pub finish_limit: Span,
}

impl Default for Http {
    fn default() -> Self {
        Http {
            max_connections: 4096,
            header_timeout: Span::from_secs(15),
            max_header_bytes: 64 * 1024,
            finish_limit: Span::from_secs(15),
        }
    }
}

impl Http {
    pub fn check(&self, complain: &mut dyn FnMut(&str, String)) {
        if !(1..=1_000_000).contains(&self.max_connections) {
            complain(
                "max_connections",
                "must be between 1 and 1000000".to_owned(),
            );
        }
        if !(1..=300).contains(&self.header_timeout.as_secs()) {
            complain("header_timeout", "must be between 1s and 5m".to_owned());
        }
        if !(8 * 1024..=1024 * 1024).contains(&self.max_header_bytes) {
            complain(
                "max_header_bytes",
                "must be between 8192 and 1048576".to_owned(),
            );
        }
        if self.finish_limit.as_secs() > 300 {
            complain("finish_limit", "must be at most 5m".to_owned());
        }
    }
}
