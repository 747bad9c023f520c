//! Two days of the promise bench, played by the planner: the gates, and floors a little under what it reaches.
//!
//! The days in `data` are seed 1 of the bench's scenarios of the same name, as the bench writes them.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use ringback_scheduling::plan::Tuning;
use ringback_simulate::planned::PlannedServer;
use ringback_simulate::{Scenario, World, gates, measure};

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    let file = std::fs::File::open(&path).expect("a fixture");
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn promises_hold_on_two_days_of_the_bench() {
    // Name, least kept as told, highest interval score in minutes.
    for (name, told, score) in [("small-0.8", 0.91, 18.0), ("base-1.0", 0.83, 22.0)] {
        let public = text(&format!("{name}.s01.pub.jsonl.gz"));
        let truth = text(&format!("{name}.s01.truth.jsonl.gz"));
        let scenario = Scenario::parse(&public, &truth).unwrap();
        let day = World::new(&scenario).run(&mut PlannedServer::new(Tuning::default()));
        let figures = measure(&scenario, &day);
        assert!(gates(&scenario, &figures).passed(), "{name}: {figures:#?}");
        assert!(figures.kept_as_told >= told, "{name}: {figures:#?}");
        assert!(figures.interval_score <= score, "{name}: {figures:#?}");
        assert!(figures.promise_hit >= 0.95, "{name}: {figures:#?}");
        assert!(figures.broken <= 0.01, "{name}: {figures:#?}");
    }
}
