//! Job queues that one might pick instead, measured by their own drivers on the same PostgreSQL.
//!
//! The drivers (`script/peers`) write one JSON object a line; here they are only read and set beside ours.

use super::report::number;
use super::setback::Setback;
use serde::{Deserialize, Serialize};
use std::path::Path;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    pub peer: String,
    /// Jobs stored one by one by one client, each answered after its commit.
    pub enqueue_per_second: Option<f64>,
    /// No-op jobs that are due already.
    pub dispatch_per_second: Option<f64>,
    /// From the moment a job was scheduled for to its start.
    pub late_p50_ms: Option<f64>,
    pub late_p99_ms: Option<f64>,
    /// CPU seconds per minute of its own process, and of all of PostgreSQL.
    pub idle_cpu: Option<f64>,
    pub idle_database_cpu: Option<f64>,
    /// What it does not do, or how it was set.
    pub note: Option<String>,
}

impl Peer {
    pub const HEADS: [&'static str; 8] = [
        "who",
        "enqueue/s, one by one",
        "dispatch/s",
        "late p50 ms",
        "late p99 ms",
        "idle CPU s/min",
        "database's",
        "",
    ];

    pub fn cells(&self) -> Vec<String> {
        let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
        vec![
            self.peer.clone(),
            shown(self.enqueue_per_second),
            shown(self.dispatch_per_second),
            shown(self.late_p50_ms),
            shown(self.late_p99_ms),
            shown(self.idle_cpu),
            shown(self.idle_database_cpu),
            self.note.clone().unwrap_or_default(),
        ]
    }

    /// How much more than this peer we do, or how much less late we are: above one is in our favour.
    pub fn against(&self, ours: &Peer) -> Peer {
        let more = |ours: Option<f64>, theirs: Option<f64>| {
            ours.zip(theirs)
                .map(|(ours, theirs)| ours / theirs.max(0.001))
        };
        Peer {
            peer: format!("Ringback ÷ {}", self.peer),
            enqueue_per_second: more(ours.enqueue_per_second, self.enqueue_per_second),
            dispatch_per_second: more(ours.dispatch_per_second, self.dispatch_per_second),
            late_p50_ms: more(self.late_p50_ms, ours.late_p50_ms),
            late_p99_ms: more(self.late_p99_ms, ours.late_p99_ms),
            idle_cpu: more(self.idle_cpu, ours.idle_cpu),
            idle_database_cpu: more(self.idle_database_cpu, ours.idle_database_cpu),
            note: Some("times in our favour".to_owned()),
        }
    }
}

pub fn read(path: &Path) -> Result<Vec<Peer>, Setback> {
    let text = std::fs::read_to_string(path)
        .map_err(Setback::while_doing("the peers' figures cannot be read"))?;
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            serde_json::from_str(line).map_err(Setback::while_doing(
                "the peers' figures are not as expected",
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_in_our_favour_where_they_are_above_one() {
        let peer = |enqueue, late| Peer {
            peer: "other".to_owned(),
            enqueue_per_second: Some(enqueue),
            dispatch_per_second: None,
            late_p50_ms: Some(late),
            late_p99_ms: None,
            idle_cpu: None,
            idle_database_cpu: None,
            note: None,
        };
        let ratio = peer(1000.0, 20.0).against(&peer(3000.0, 2.0));
        assert_eq!(ratio.enqueue_per_second, Some(3.0));
        assert_eq!(ratio.late_p50_ms, Some(10.0));
        assert_eq!(ratio.dispatch_per_second, None);
    }
}
