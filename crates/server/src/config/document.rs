//! The configuration file as text with places: every complaint can say file, line and key.

use serde::de::DeserializeOwned;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    pub place: Place,
    /// Section and key as they are written, e.g. `server.listen` or `routes[1].name`.
    pub key: String,
    pub reason: String,
}

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    File { path: PathBuf, line: Option<usize> },
    Environment(String),
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File {
                path,
                line: Some(line),
            } => write!(f, "{}, line {line}: ", path.display())?,
            Place::File { path, line: None } => write!(f, "{}: ", path.display())?,
            Place::Environment(name) => write!(f, "environment variable {name}: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "`{}` ", self.key)?;
        }
        f.write_str(&self.reason)
    }
}

/// A setting from the environment, e.g. `RINGBACK_SERVER__LISTEN`.
#[derive(Clone, Debug)]
pub struct Override {
    name: String,
    section: String,
    keys: Vec<String>,
    text: String,
}

impl Override {
    /// Variables with a double underscore are settings; `RINGBACK_URL` and its like belong to the client.
    pub fn collect(variables: impl Iterator<Item = (String, String)>) -> Vec<Override> {
        let mut found: Vec<Override> = variables
            .filter_map(|(name, text)| {
                let path = name.strip_prefix("RINGBACK_")?;
                if !path.contains("__") {
                    return None;
                }
                let mut parts = path.split("__").map(str::to_lowercase);
                let section = parts.next()?;
                Some(Override {
                    section,
                    keys: parts.collect(),
                    text,
                    name,
                })
            })
            .collect();
        // The environment has no order of its own; complaints should.
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }
}

/// A parsed file with its overrides, taken apart section by section. What is left at the end is unknown.
pub struct Document<'i> {
    path: &'i Path,
    text: &'i str,
    root: DeTable<'i>,
    overrides: &'i [Override],
    known: Vec<&'static str>,
    /// Those known sections that are plain tables.
    settable: Vec<&'static str>,
    complaints: Vec<Complaint>,
}

impl<'i> Document<'i> {
    pub fn parse(
        path: &'i Path,
        text: &'i str,
        overrides: &'i [Override],
    ) -> Result<Self, Complaint> {
        match DeTable::parse(text) {
            Ok(root) => Ok(Document {
                path,
                text,
                root: root.into_inner(),
                overrides,
                known: Vec::new(),
                settable: Vec::new(),
                complaints: Vec::new(),
            }),
            Err(error) => {
                let line = error.span().map(|span| line_of(text, span.start));
                let place = Place::File {
                    path: path.to_owned(),
                    line,
                };
                let reason = format!("this is not TOML: {}", error.message());
                Err(Complaint {
                    place,
                    key: String::new(),
                    reason,
                })
            }
        }
    }

    /// Reads a `[section]`; its defaults if it is absent or wrong (then there is a complaint).
    pub fn section<T: DeserializeOwned + Default>(&mut self, name: &'static str) -> Part<'i, T> {
        self.known.push(name);
        self.settable.push(name);
        let table = self.root.remove(name);
        let base = table.unwrap_or_else(|| Spanned::new(0..0, DeValue::Table(DeTable::new())));
        let all = self.overrides.iter().enumerate();
        // A value is first read as TOML (a number, true, a list), and if that does not suit the key, as
        // plain text: so nobody has to quote twice.
        let mut overrides: Vec<(usize, &'i Override, bool)> = all
            .filter(|(_, o)| o.section == name)
            .map(|(index, o)| (index, o, true))
            .collect();
        // Each round settles one override.
        for _ in 0..=overrides.len() {
            let mut table = base.clone();
            for (index, setting, literal) in &overrides {
                let mark = self.mark(*index);
                if let Err(reason) = insert(&mut table, setting, *literal, mark.clone()) {
                    self.complain(mark, String::new(), reason);
                    return Part {
                        value: T::default(),
                        source: base,
                    };
                }
            }
            let error = match T::deserialize(ValueDeserializer::from(table.clone())) {
                Ok(value) => {
                    return Part {
                        value,
                        source: table,
                    };
                }
                Err(error) => error,
            };
            let guilty = error.span().and_then(|span| self.override_at(&span));
            match overrides
                .iter_mut()
                .find(|(index, ..)| Some(*index) == guilty)
            {
                Some((_, setting, literal)) if *literal && is_scalar(&setting.text) => {
                    *literal = false
                }
                Some(_) | None => {
                    let span = error.span().unwrap_or(0..0);
                    let key = self.key_at(name, &span);
                    self.complain(span, key, plain(error.message()));
                    return Part {
                        value: T::default(),
                        source: table,
                    };
                }
            }
        }
        Part {
            value: T::default(),
            source: base,
        }
    }

    /// Reads a `[[list]]` of tables; those that are wrong are left out (and there are complaints).
    pub fn list<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(Spanned<DeValue<'i>>) -> Result<T, Misread>,
    ) -> Vec<Part<'i, T>> {
        self.known.push(name);
        let Some(list) = self.root.remove(name) else {
            return Vec::new();
        };
        let span = list.span();
        let DeValue::Array(items) = list.into_inner() else {
            self.complain(
                span,
                name.to_owned(),
                format!("must be a list: write each one under [[{name}]]"),
            );
            return Vec::new();
        };
        let mut parts = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            match read(item.clone()) {
                Ok(value) => parts.push(Part {
                    value,
                    source: item,
                }),
                Err(error) => {
                    let span = error.span.unwrap_or_else(|| item.span());
                    let key = self.key_at(&format!("{name}[{index}]"), &span);
                    self.complain(span, key, error.reason);
                }
            }
        }
        parts
    }

    /// Complains about a value that was read but means something impossible.
    pub fn complain(&mut self, span: Range<usize>, key: String, reason: String) {
        let complaint = match self.override_at(&span) {
            // The variable's name says which key it is.
            Some(index) => Complaint {
                place: Place::Environment(self.overrides[index].name.clone()),
                key: String::new(),
                reason,
            },
            None => {
                let line = Some(line_of(self.text, span.start));
                Complaint {
                    place: Place::File {
                        path: self.path.to_owned(),
                        line,
                    },
                    key,
                    reason,
                }
            }
        };
        self.complaints.push(complaint);
    }

    /// What is left over is unknown. Ends the reading.
    pub fn finish(mut self) -> Result<(), Vec<Complaint>> {
        let sections = self
            .known
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        for (key, _) in std::mem::take(&mut self.root) {
            let reason = format!("is not a section of this file; there are {sections}");
            self.complain(key.span(), key.into_inner().into_owned(), reason);
        }
        for (index, setting) in self.overrides.iter().enumerate() {
            if !self.settable.contains(&setting.section.as_str()) {
                let sections = self.settable.join(", ");
                let reason = format!(
                    "sets something in a section that does not exist or is a list; there are {sections}"
                );
                self.complain(self.mark(index), String::new(), reason);
            }
        }
        if self.complaints.is_empty() {
            Ok(())
        } else {
            Err(self.complaints)
        }
    }

    /// Overrides get places behind the end of the text, so that an error's place tells which one it was.
    fn mark(&self, index: usize) -> Range<usize> {
        let at = self.text.len() + 1 + index;
        at..at
    }

    fn override_at(&self, span: &Range<usize>) -> Option<usize> {
        span.start
            .checked_sub(self.text.len() + 1)
            .filter(|index| *index < self.overrides.len())
    }

    /// The key on the line of a place: `section.key`, or the section when the line holds none.
    fn key_at(&self, section: &str, span: &Range<usize>) -> String {
        let start = span.start.min(self.text.len());
        let from = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = self.text[from..].lines().next().unwrap_or("").trim();
        match line.split_once('=') {
            Some((key, _)) if !line.starts_with('[') && !line.starts_with('#') => {
                format!("{section}.{}", key.trim())
            }
            Some(_) | None => section.to_owned(),
        }
    }
}

/// A value with the text it came from.
pub struct Part<'i, T> {
    pub value: T,
    source: Spanned<DeValue<'i>>,
}

impl<T> Part<'_, T> {
    /// Where `path` (`hours.opening_hours`, `categories[2].keywords`) stands; the nearest table that
    /// holds it, if it is absent itself.
    pub fn place_of(&self, path: &str) -> Range<usize> {
        let mut here = &self.source;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match step.strip_suffix(']') {
                Some(index) => index
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| here.get_ref().get(index)),
                None => here.get_ref().get(step),
            };
            match next {
                Some(found) => here = found,
                None => break,
            }
        }
        here.span()
    }
}

/// Why a table of a list could not be read.
#[derive(Debug)]
pub struct Misread {
    /// Where; the whole table if unknown.
    pub span: Option<Range<usize>>,
    pub reason: String,
}

impl From<toml::de::Error> for Misread {
    fn from(error: toml::de::Error) -> Self {
        Misread {
            span: error.span(),
            reason: plain(error.message()),
        }
    }
}

/// Takes a key out of a table, so that the rest can be read by those who do not know it.
pub fn take<'i>(
    table: &mut Spanned<DeValue<'i>>,
    key: &str,
) -> Result<Spanned<DeValue<'i>>, Misread> {
    let taken = match table.get_mut() {
        DeValue::Table(inside) => inside.remove(key),
        DeValue::Array(_)
        | DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => None,
    };
    taken.ok_or_else(|| Misread {
        span: None,
        reason: format!("lacks the key `{key}`"),
    })
}

fn insert<'i>(
    table: &mut Spanned<DeValue<'i>>,
    setting: &'i Override,
    literal: bool,
    mark: Range<usize>,
) -> Result<(), String> {
    let Some((last, path)) = setting
        .keys
        .split_last()
        .filter(|(last, _)| !last.is_empty())
    else {
        return Err("names no key".to_owned());
    };
    let mut here = table.get_mut();
    for key in path {
        let DeValue::Table(inside) = here else {
            return Err(format!("`{key}` is not inside a table"));
        };
        let key = Spanned::new(mark.clone(), key.as_str().into());
        let empty = Spanned::new(mark.clone(), DeValue::Table(DeTable::new()));
        here = inside.entry(key).or_insert(empty).get_mut();
    }
    let DeValue::Table(inside) = here else {
        return Err(format!("`{last}` is not inside a table"));
    };
    let parsed = if literal {
        DeValue::parse(&setting.text).ok()
    } else {
        None
    };
    let mut value = match parsed {
        Some(value) => value.into_inner(),
        None => DeValue::String(setting.text.as_str().into()),
    };
    relocate(&mut value, &mark);
    // The key's place must be the override's too, also where the file has the key already.
    inside.remove(last.as_str());
    inside.insert(
        Spanned::new(mark.clone(), last.as_str().into()),
        Spanned::new(mark, value),
    );
    Ok(())
}

/// Whether a text would do as plain text too. A list or a table is never meant so.
fn is_scalar(text: &str) -> bool {
    DeValue::parse(text).map_or(true, |value| {
        !value.get_ref().is_array() && !value.get_ref().is_table()
    })
}

/// Gives everything inside a value one place.
fn relocate(value: &mut DeValue<'_>, mark: &Range<usize>) {
    match value {
        DeValue::Array(items) => {
            for item in items.iter_mut() {
                relocate(item.get_mut(), mark);
                *item = Spanned::new(mark.clone(), item.get_ref().clone());
            }
        }
        DeValue::Table(table) => {
            for (_, item) in table.iter_mut() {
                relocate(item.get_mut(), mark);
                *item = Spanned::new(mark.clone(), item.get_ref().clone());
            }
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
}

/// Line of a byte, from 1.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// The parser's sentence in words for people. The wrong value itself is not repeated: it may be a secret.
fn plain(message: &str) -> String {
    let message = message.trim();
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return match rest.split_once(", expected ") {
            Some((name, known)) => {
                let known = known.trim_start_matches("one of ");
                format!("has no key {name}; the keys here are {known}")
            }
            None => format!("has no key {}", rest.split(',').next().unwrap_or(rest)),
        };
    }
    if let Some(name) = message.strip_prefix("missing field ") {
        return format!("lacks the key {name}");
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        return match rest.split_once(", expected ") {
            Some((name, known)) => format!(
                "cannot be {name}; it must be {}",
                known.trim_start_matches("one of ")
            ),
            None => format!("cannot be {rest}"),
        };
    }
    for beginning in ["invalid type: ", "invalid value: "] {
        if let Some((found, expected)) = message
            .strip_prefix(beginning)
            .and_then(|rest| rest.split_once(", expected "))
        {
            let found = [
                "string",
                "integer",
                "floating point",
                "boolean",
                "map",
                "sequence",
            ]
            .iter()
            .find(|kind| found.starts_with(**kind))
            .map_or("something else", |kind| words_of(kind));
            return format!("must be {}, not {found}", words_of(expected.trim()));
        }
    }
    message.replace('\n', " ")
}

fn words_of(kind: &str) -> &str {
    match kind {
        "a string" | "string" | "a borrowed string" => "text in quotes",
        "integer" | "i64" | "i32" => "a whole number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "floating point" | "f64" => "a number",
        "a boolean" | "boolean" => "true or false",
        "a sequence" | "sequence" => "a list in [ ]",
        "a map" | "map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}
