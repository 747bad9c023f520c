//! All figures of a run, each row of the catalogue with its state: as a table for people, as Markdown, as JSON.

use super::catalogue::{Place, ROWS, Row, Target};
use super::growth::Stage;
use super::peers::Peer;
use super::spread::median;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

#[derive(Debug, Default)]
pub struct Report {
    quick: bool,
    rounds: BTreeMap<(Place, &'static str), Vec<f64>>,
    notes: BTreeMap<(Place, &'static str), String>,
    /// Measured under easier circumstances than the target's.
    at_less: BTreeSet<(Place, &'static str)>,
    pub growth: Vec<Stage>,
    pub peers: Vec<Peer>,
    pub caveats: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Reached,
    /// Reached, but with less stored, waiting or up than the target asks for: it may be missed with all of it.
    ReachedAtLess,
    Missed,
    /// There is nothing to reach.
    Told,
    NotMeasured,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Reached => "reached",
            State::ReachedAtLess => "reached at less",
            State::Missed => "missed",
            State::Told => "reported",
            State::NotMeasured => "not measured",
        }
    }
}

/// A row of the catalogue at one place, as it was measured.
pub struct Figure {
    pub place: Place,
    pub row: &'static Row,
    pub target: Target,
    pub value: Option<f64>,
    pub limit: Option<(&'static Row, f64)>,
    pub ratio: Option<f64>,
    /// 1 is on the target, more is better.
    pub reach: Option<f64>,
    pub state: State,
    pub note: Option<String>,
}

impl Report {
    pub fn new(quick: bool, caveats: Vec<String>) -> Report {
        Report {
            quick,
            caveats,
            ..Report::default()
        }
    }

    /// One round's figure; the median of all rounds is told.
    pub fn add(&mut self, place: Place, id: &'static str, value: f64) {
        self.rounds.entry((place, id)).or_default().push(value);
    }

    /// Under which circumstances it was measured, or why it was not.
    pub fn note(&mut self, place: Place, id: &'static str, words: impl Into<String>) {
        self.notes.insert((place, id), words.into());
    }

    /// The target asks for more than was there when this was measured.
    pub fn at_less(&mut self, place: Place, id: &'static str) {
        self.at_less.insert((place, id));
    }

    pub fn value(&self, place: Place, id: &str) -> Option<f64> {
        let rounds = |place| {
            let row = ROWS.iter().find(|row| row.id == id)?;
            self.rounds.get(&(place, row.id)).cloned().and_then(median)
        };
        rounds(place).or_else(|| rounds(Place::Machine))
    }

    pub fn figures(&self) -> Vec<Figure> {
        let mut figures = Vec::new();
        for place in Place::ALL {
            for row in ROWS {
                if let Some(target) = row.target(place) {
                    figures.push(self.figure(place, row, target));
                }
            }
        }
        figures
    }

    fn figure(&self, place: Place, row: &'static Row, target: Target) -> Figure {
        let value = self.value(place, row.id);
        let limit = row
            .limit(place)
            .and_then(|limit| Some((limit, self.value(place, limit.id)?)));
        let ratio = match (value, limit) {
            (Some(value), Some((_, limit))) if limit > 0.0 => Some(value / limit),
            (Some(_) | None, Some(_) | None) => None,
        };
        let reach = value.and_then(|value| target.reach(value, ratio));
        let state = match (value, target, reach) {
            (None, _, _) => State::NotMeasured,
            (Some(_), Target::Report, _) => State::Told,
            (Some(_), _, Some(reach)) if reach >= 1.0 => {
                if self.at_less.contains(&(place, row.id)) {
                    State::ReachedAtLess
                } else {
                    State::Reached
                }
            }
            (Some(_), _, Some(_)) => State::Missed,
            (Some(_), _, None) => State::NotMeasured,
        };
        Figure {
            place,
            row,
            target,
            value,
            limit,
            ratio,
            reach,
            state,
            note: self.notes.get(&(place, row.id)).cloned(),
        }
    }

    /// For a terminal.
    pub fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "ringback {}", env!("CARGO_PKG_VERSION"));
        for caveat in &self.caveats {
            let _ = writeln!(text, "  note: {caveat}");
        }
        let mut place = None;
        for figure in self.figures() {
            if place != Some(figure.place) {
                place = Some(figure.place);
                let title = figure.place.title();
                let _ = writeln!(
                    text,
                    "\n{title:<58} {:>12} {:>12} {:>8}  {:<10} state",
                    "figure", "limit", "ratio", "target"
                );
            }
            let limit = figure
                .limit
                .map_or_else(String::new, |(_, limit)| number(limit));
            let ratio = figure.ratio.map_or_else(String::new, decimals);
            let _ = writeln!(
                text,
                "  {:<56} {:>12} {limit:>12} {ratio:>8}  {:<10} {}{}",
                figure.row.name,
                figure.shown(),
                figure.wanted(),
                figure.state.name(),
                figure
                    .note
                    .map_or_else(String::new, |note| format!(" ({note})")),
            );
        }
        text.push_str(&self.growth_lines(false));
        text.push_str(&self.peer_lines(false));
        text
    }

    /// For README: what has a target, growth, peers.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for caveat in &self.caveats {
            let _ = writeln!(text, "- {caveat}");
        }
        let _ = writeln!(
            text,
            "\n| | figure | measured | compared with | ratio | target | state |\n|---|---|---|---|---|---|---|"
        );
        for figure in self.figures() {
            if figure.target == Target::Report {
                continue;
            }
            let limit = figure.limit.map_or_else(String::new, |(row, limit)| {
                format!("{} {} ({})", number(limit), row.unit, row.name)
            });
            let ratio = figure.ratio.map_or_else(String::new, decimals);
            let mark = match figure.state {
                State::Reached => "✓ reached",
                State::ReachedAtLess => "✓ reached at less",
                State::Missed => "✗ missed",
                State::Told => "",
                State::NotMeasured => "not measured",
            };
            let note = figure
                .note
                .as_ref()
                .map_or_else(String::new, |note| format!(" ({note})"));
            let _ = writeln!(
                text,
                "| {} | {}{note} | {} | {limit} | {ratio} | {} | {mark} |",
                figure.place.title(),
                figure.row.name,
                figure.shown(),
                figure.wanted(),
            );
        }
        text.push_str(&self.growth_lines(true));
        text.push_str(&self.peer_lines(true));
        text
    }

    fn growth_lines(&self, markdown: bool) -> String {
        let rows = self.growth.iter().map(|stage| {
            let mut cells = vec![stage.place.title().to_owned(), stage.stored.to_string()];
            cells.extend(
                stage
                    .measured()
                    .iter()
                    .map(|(_, value)| value.map_or_else(|| "–".to_owned(), number)),
            );
            cells
        });
        let heads = Stage::HEADS.map(str::to_owned).to_vec();
        grid("Growth", heads, rows.collect(), markdown)
    }

    fn peer_lines(&self, markdown: bool) -> String {
        let rows = self.peers.iter().map(|peer| peer.cells()).collect();
        let heads = Peer::HEADS.map(str::to_owned).to_vec();
        grid("Job queues on the same PostgreSQL", heads, rows, markdown)
    }

    pub fn json(&self) -> Value {
        let figures: Vec<Value> = self
            .figures()
            .iter()
            .map(|figure| {
                json!({
                    "place": figure.place.name(), "id": figure.row.id, "name": figure.row.name,
                    "unit": figure.row.unit, "value": figure.value.map(rounded),
                    "rounds": self.rounds.get(&(figure.place, figure.row.id))
                        .map(|rounds| rounds.iter().copied().map(rounded).collect::<Vec<_>>()),
                    "limit": figure.limit.map(|(row, limit)| json!({"id": row.id, "value": rounded(limit)})),
                    "ratio": figure.ratio.map(rounded), "target": figure.wanted(),
                    "reach": figure.reach.map(rounded), "state": figure.state.name(), "note": figure.note,
                })
            })
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "quick": self.quick,
            "caveats": self.caveats,
            "figures": figures,
            "growth": self.growth.iter().map(Stage::json).collect::<Vec<_>>(),
            "peers": self.peers,
        })
    }
}

impl Figure {
    pub fn shown(&self) -> String {
        self.value
            .map_or_else(|| "–".to_owned(), |value| self.in_its_unit(&number(value)))
    }

    /// What is to be reached, by the figure itself or, marked by `×`, by its ratio to what it is compared with.
    pub fn wanted(&self) -> String {
        match self.target {
            Target::Report => String::new(),
            Target::AtLeast(least) => format!("≥ {}", self.in_its_unit(&least.to_string())),
            Target::AtMost(most) => format!("≤ {}", self.in_its_unit(&most.to_string())),
            Target::RatioAtLeast(least) => format!("≥ {least} ×"),
            Target::RatioAtMost(most) => format!("≤ {most} ×"),
        }
    }

    fn in_its_unit(&self, number: &str) -> String {
        let unit = self.row.unit;
        let gap = if unit.starts_with('/') { "" } else { " " };
        format!("{number}{gap}{unit}")
    }
}

fn grid(title: &str, heads: Vec<String>, rows: Vec<Vec<String>>, markdown: bool) -> String {
    let mut text = String::new();
    if rows.is_empty() {
        return text;
    }
    if markdown {
        let _ = writeln!(text, "\n**{title}**\n\n| {} |", heads.join(" | "));
        let _ = writeln!(text, "|{}", "---|".repeat(heads.len()));
        for row in rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        return text;
    }
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| {
            let cells = rows.iter().map(|row| row.get(column));
            let cells = cells.chain([heads.get(column)]).flatten();
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let _ = writeln!(text, "\n{title}");
    for row in std::iter::once(&heads).chain(&rows) {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:>width$}"))
            .collect();
        let _ = writeln!(text, "  {}", cells.join("  "));
    }
    text
}

/// Three digits that matter; whole numbers from a hundred on.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => decimals(value),
    }
}

fn decimals(value: f64) -> String {
    format!("{value:.2}")
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_follows_from_figure_limit_and_target() {
        let mut report = Report::default();
        for rate in [100.0, 900.0, 1000.0] {
            report.add(Place::Sqlite, "commit-1", rate);
        }
        report.add(Place::Sqlite, "book-64", 2000.0);
        report.add(Place::Sqlite, "hot", 1000.0);
        report.add(Place::Postgres, "book-64", 2000.0);
        let state = |place, id: &str| {
            let figures = report.figures();
            let found = figures
                .iter()
                .find(|figure| figure.place == place && figure.row.id == id);
            found.map(|figure| {
                (
                    figure.state,
                    figure.ratio.map(|ratio| (ratio * 10.0) as i32),
                )
            })
        };
        // The median of the limit is 900.
        assert_eq!(
            state(Place::Sqlite, "book-64"),
            Some((State::Reached, Some(22)))
        );
        assert_eq!(state(Place::Sqlite, "hot"), Some((State::Missed, Some(5))));
        assert_eq!(state(Place::Sqlite, "commit-1"), Some((State::Told, None)));
        // Without its limit a ratio says nothing.
        assert_eq!(
            state(Place::Postgres, "book-64"),
            Some((State::NotMeasured, None))
        );
        assert_eq!(
            state(Place::Postgres, "start"),
            Some((State::NotMeasured, None))
        );
    }

    #[test]
    fn every_row_is_in_every_form() {
        let report = Report::default();
        let (table, markdown) = (report.table(), report.markdown());
        let json = report.json();
        let listed = json["figures"].as_array().map_or(0, Vec::len);
        assert_eq!(
            listed,
            ROWS.iter().map(|row| row.targets.len()).sum::<usize>()
        );
        for row in ROWS {
            assert!(table.contains(row.name), "{}", row.name);
            let judged = row
                .targets
                .iter()
                .any(|(_, target)| *target != Target::Report);
            assert_eq!(
                markdown.contains(&format!("| {}", row.name)),
                judged,
                "{}",
                row.name
            );
        }
    }
}
