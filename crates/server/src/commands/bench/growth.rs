//! The same figures at each size of a database that grows.

use super::catalogue::Place;
use serde_json::{Value, json};

#[derive(Clone, Debug)]
pub struct Stage {
    pub place: Place,
    pub stored: u64,
    /// Per second.
    pub bookings: Option<f64>,
    pub dispatch: Option<f64>,
    /// p99 in milliseconds.
    pub get: Option<f64>,
    pub customer: Option<f64>,
    pub page: Option<f64>,
    /// Seconds.
    pub start: Option<f64>,
}

impl Stage {
    pub const HEADS: [&'static str; 8] = [
        "database",
        "stored",
        "bookings/s",
        "dispatch/s",
        "get ms",
        "customer ms",
        "page ms",
        "start s",
    ];

    pub fn new(place: Place, stored: u64) -> Stage {
        Stage {
            place,
            stored,
            bookings: None,
            dispatch: None,
            get: None,
            customer: None,
            page: None,
            start: None,
        }
    }

    pub fn measured(&self) -> [(&'static str, Option<f64>); 6] {
        [
            ("bookings", self.bookings),
            ("dispatch", self.dispatch),
            ("get", self.get),
            ("customer", self.customer),
            ("page", self.page),
            ("start", self.start),
        ]
    }

    /// The same as what one of them costs: rates are turned round, so that more is dearer everywhere.
    pub fn costs(&self) -> [(&'static str, Option<f64>); 6] {
        self.measured().map(|(name, value)| match name {
            "bookings" | "dispatch" => (
                name,
                value.filter(|rate| *rate > 0.0).map(|rate| 1.0 / rate),
            ),
            _ => (name, value),
        })
    }

    pub fn json(&self) -> Value {
        let mut stage = json!({"place": self.place.name(), "stored": self.stored});
        for (name, value) in self.measured() {
            stage[name] = json!(value);
        }
        stage
    }
}

/// The figure of the hot path that became dearest from the first stage to the last, by how much, and how much log n
/// grew meanwhile. A start is not the hot path.
pub fn dearest(stages: &[&Stage]) -> Option<(&'static str, f64, f64)> {
    let (first, last) = (stages.first()?, stages.last()?);
    if last.stored <= first.stored || first.stored < 2 {
        return None;
    }
    let grown = first.costs().into_iter().zip(last.costs());
    let (name, most) = grown
        .filter(|((name, _), _)| *name != "start")
        .filter_map(|((name, before), (_, after))| Some((name, after? / before?)))
        .max_by(|one, other| one.1.total_cmp(&other.1))?;
    let log = (last.stored as f64).ln() / (first.stored as f64).ln();
    Some((name, most, log))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dearest_growth_is_found_among_rates_and_times() {
        let mut small = Stage::new(Place::Sqlite, 1000);
        small.bookings = Some(9000.0);
        small.get = Some(1.0);
        small.start = Some(0.1);
        let mut large = Stage::new(Place::Sqlite, 1_000_000);
        large.bookings = Some(3000.0);
        large.get = Some(1.5);
        large.start = Some(9.0);
        let (name, most, log) = dearest(&[&small, &large]).expect("two stages");
        assert_eq!((name, most.round(), log.round()), ("bookings", 3.0, 2.0));
        assert!(dearest(&[&small]).is_none());
    }
}
