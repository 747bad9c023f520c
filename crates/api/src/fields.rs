//! Reading a small JSON object or a query string field by field, collecting every broken rule.

use crate::error::Problem;
use jiff::Timestamp;
use ringback_callbacks::ids::AgentId;
use ringback_callbacks::problem::Problems;
use ringback_callbacks::window::Said;
use ringback_callbacks::wire_time;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// What a text is parsed with: a value, or the sentence that says what it must be.
pub type Parsed<T> = Result<T, &'static str>;

pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    read: BTreeSet<String>,
    problems: Problems,
    /// Query strings know only text: numbers and truth values are read from it.
    from_text: bool,
}

impl<'a> Fields<'a> {
    /// A body.
    pub fn new(object: &'a Map<String, Value>) -> Self {
        Fields {
            object,
            read: BTreeSet::new(),
            problems: Problems::default(),
            from_text: false,
        }
    }

    /// A query string; see [`crate::extract::InQuery`].
    pub fn of_query(object: &'a Map<String, Value>) -> Self {
        Fields {
            from_text: true,
            ..Fields::new(object)
        }
    }

    pub fn problem(&mut self, field: &str, code: &'static str, detail: impl Into<String>) {
        self.problems.add(field, code, detail);
    }

    /// Marks a field as known without reading it here.
    pub fn pass(&mut self, name: &str) {
        self.read.insert(name.to_owned());
    }

    pub fn has(&self, name: &str) -> bool {
        self.object.get(name).is_some_and(|value| !value.is_null())
    }

    /// `null` and absent are the same; see [`Fields::nullable`].
    pub fn value(&mut self, name: &str) -> Option<&'a Value> {
        self.pass(name);
        self.object.get(name).filter(|value| !value.is_null())
    }

    pub fn text(&mut self, name: &str) -> Option<&'a str> {
        match self.value(name)? {
            Value::String(text) => Some(text),
            Value::Array(_) if self.from_text => {
                self.problem(name, "repeated", "may be given once only");
                None
            }
            _ => {
                self.problem(name, "type", "must be a string");
                None
            }
        }
    }

    /// One line of 1 to `max` characters without control characters.
    pub fn line(&mut self, name: &str, max: usize) -> Option<String> {
        let text = self.text(name)?;
        if text.is_empty() || text.chars().count() > max {
            self.problem(name, "length", format!("must have 1 to {max} characters"));
            return None;
        }
        if text.chars().any(char::is_control) {
            self.problem(
                name,
                "control_character",
                "must be one line without control characters",
            );
            return None;
        }
        Some(text.to_owned())
    }

    pub fn parsed<T>(&mut self, name: &str, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        let text = self.text(name)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(detail) => {
                self.problem(name, "format", detail);
                None
            }
        }
    }

    /// Several values of one query parameter.
    pub fn each<T>(&mut self, name: &str, parse: impl Fn(&str) -> Parsed<T>) -> Vec<T> {
        let texts: Vec<&str> = match self.value(name) {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(text)) => vec![text],
            Some(_) | None => Vec::new(),
        };
        let parts: Vec<&str> = texts.iter().flat_map(|text| text.split(',')).collect();
        if parts.len() > 64 {
            self.problem(name, "length", "at most 64 values");
            return Vec::new();
        }
        let mut values = Vec::new();
        for part in parts {
            match parse(part) {
                Ok(value) => values.push(value),
                Err(detail) => self.problem(name, "format", detail),
            }
        }
        values
    }

    pub fn integer(&mut self, name: &str, low: i64, high: i64) -> Option<i64> {
        let number = match self.value(name)? {
            Value::String(text) if self.from_text => text.parse().ok(),
            value => value.as_i64(),
        };
        match number {
            Some(n) if (low..=high).contains(&n) => Some(n),
            Some(_) => {
                self.problem(name, "range", format!("must be between {low} and {high}"));
                None
            }
            None => {
                self.problem(name, "type", "must be an integer");
                None
            }
        }
    }

    pub fn agent(&mut self, name: &str) -> Option<AgentId> {
        self.integer(name, 0, i64::MAX).map(AgentId)
    }

    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.value(name)? {
            Value::Bool(yes) => Some(*yes),
            _ => {
                self.problem(name, "type", "must be true or false");
                None
            }
        }
    }

    pub fn time(&mut self, name: &str) -> Option<Timestamp> {
        self.parsed(name, |text| {
            wire_time::read(text)
                .ok_or("must be an RFC 3339 date and time with zone, e.g. 2026-03-09T14:05:00.000Z")
        })
    }

    /// An instant, or a wall time where `time_zone` says on whose clock.
    pub fn moment(&mut self, name: &str, time_zone: Option<&str>) -> Option<Said> {
        let said = self.parsed(name, |text| {
            Said::read(text).ok_or(
                "must be an RFC 3339 date and time, e.g. 2026-03-09T14:05:00.000Z, or a local one without \
                 offset beside time_zone, e.g. 2026-03-09T14:05",
            )
        })?;
        if matches!(said, Said::Wall(_)) && time_zone.is_none() {
            self.problem(
                name,
                "time_zone",
                "is a local time: say its time_zone, or add an offset",
            );
            return None;
        }
        Some(said)
    }

    /// `Some(None)` when the field is `null`.
    pub fn nullable<T>(
        &mut self,
        name: &str,
        read: impl Fn(&mut Self, &str) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.object.get(name)?.is_null() {
            self.pass(name);
            return Some(None);
        }
        read(self, name).map(Some)
    }

    pub fn require<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        // A value that is there but wrong was reported when it was read.
        if value.is_none() && !self.has(name) {
            self.problem(name, "required", "is required");
        }
        value
    }

    /// Refuses what was not read, and reports everything found.
    pub fn finish(mut self) -> Result<(), Problem> {
        let what = if self.from_text {
            "is not a parameter of this operation"
        } else {
            "is not a field of this request"
        };
        for name in self.object.keys() {
            if !self.read.contains(name) {
                self.problems.add(shown(name), "unknown_field", what);
            }
        }
        self.problems.into_result().map_err(Problem::invalid)
    }
}

/// A name of the client's own making, fit to be shown.
pub fn shown(name: &str) -> String {
    let printable: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    if printable.is_empty() {
        "(no name)".to_owned()
    } else {
        printable
    }
}
