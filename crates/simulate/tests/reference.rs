//! The world does exactly what the benchmark's does: the reference policies, played here, make the
//! same decisions in the same order and get the same figures.
//!
//! The recorded days are small and unkind: a morning of 4 agents with customers hard to reach, and
//! the night on which clocks go back.

#[path = "../examples/suite/reference.rs"]
mod reference;

use ringback_simulate::{Day, Figures, Scenario, World, gates, measure};
use serde_json::Value;

struct Recorded {
    name: &'static str,
    public: &'static str,
    truth: &'static str,
    plus: bool,
    decisions: &'static str,
    figures: &'static str,
}

macro_rules! recorded {
    ($day:literal, $policy:literal, $plus:literal) => {
        Recorded {
            name: concat!($day, " ", $policy),
            public: include_str!(concat!("data/", $day, ".pub.jsonl")),
            truth: include_str!(concat!("data/", $day, ".truth.jsonl")),
            plus: $plus,
            decisions: include_str!(concat!("data/", $day, ".", $policy, ".decisions.jsonl")),
            figures: include_str!(concat!("data/", $day, ".", $policy, ".figures.json")),
        }
    };
}

fn recorded() -> [Recorded; 4] {
    [
        recorded!("morning", "edf", false),
        recorded!("morning", "edf+", true),
        recorded!("change", "edf", false),
        recorded!("change", "edf+", true),
    ]
}

impl Recorded {
    fn play(&self) -> (Scenario, Day) {
        let scenario = Scenario::parse(self.public, self.truth).unwrap();
        let day = World::new(&scenario).run(&mut reference::Edf::new(self.plus));
        (scenario, day)
    }
}

#[test]
fn every_decision_is_the_recorded_one() {
    for recorded in recorded() {
        let (_, day) = recorded.play();
        let mut lines = recorded.decisions.lines();
        for (place, decision) in day.decisions.iter().enumerate() {
            let expected: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
            let decision = serde_json::to_value(decision).unwrap();
            assert_eq!(decision, expected, "{} decision {place}", recorded.name);
        }
        assert_eq!(lines.next(), None, "{}", recorded.name);
    }
}

#[test]
fn every_figure_is_the_recorded_one() {
    for recorded in recorded() {
        let (scenario, day) = recorded.play();
        let mut figures = measure(&scenario, &day);
        for kept in figures.groups.values_mut() {
            *kept = (*kept * 1e4).round() / 1e4;
        }
        let expected: Figures = serde_json::from_str(recorded.figures).unwrap();
        let (figures, expected) = (numbers(&figures), numbers(&expected));
        assert_eq!(figures.len(), expected.len(), "{}", recorded.name);
        for ((name, figure), (_, expected)) in figures.iter().zip(&expected) {
            let off = (figure - expected).abs();
            let name = format!("{} {name}: {figure}, not {expected}", recorded.name);
            assert!(off <= 1e-9 * expected.abs().max(1.0), "{name}");
        }
    }
}

/// All numbers of the figures by name, those inside groups as well.
fn numbers(figures: &Figures) -> Vec<(String, f64)> {
    fn walk(name: &str, value: &Value, into: &mut Vec<(String, f64)>) {
        match value {
            Value::Object(members) => {
                for (member, value) in members {
                    walk(&format!("{name}.{member}"), value, into);
                }
            }
            other => into.push((name.to_owned(), other.as_f64().unwrap())),
        }
    }
    let mut all = Vec::new();
    walk("", &serde_json::to_value(figures).unwrap(), &mut all);
    assert!(all.len() > 24, "{all:?}");
    all
}

#[test]
fn a_day_played_twice_is_the_same_day() {
    for recorded in recorded() {
        assert_eq!(recorded.play().1.decisions, recorded.play().1.decisions);
    }
}

#[test]
fn each_gate_closes_by_itself() {
    let recorded = &recorded()[0];
    let (scenario, day) = recorded.play();
    let header = &scenario.header;
    let mut figures = measure(&scenario, &day);
    figures.inbound_sl = header.sl_target - 0.005;
    figures.abandon = header.abandon_target + 0.005;
    assert!(gates(&scenario, &figures).passed());
    let mut late = figures.clone();
    late.inbound_sl -= 0.001;
    assert!(!gates(&scenario, &late).inbound);
    let mut lost = figures.clone();
    lost.abandon += 0.001;
    assert!(!gates(&scenario, &lost).abandon);
    figures.violations = 1;
    assert!(!gates(&scenario, &figures).rules);
}
