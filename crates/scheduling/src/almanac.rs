//! What is known of the calendar besides the rules themselves: which edition of the rules of local
//! time is in use, and the operator's own lists of holidays. Read once and handed in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::hours::in_range;

/// Handed to whoever reads local times or holidays.
#[derive(Clone)]
pub struct Almanac {
    edition: String,
    zones: Zones,
    lists: BTreeMap<String, HolidayList>,
}

type Zones = Arc<dyn Fn(&str) -> Option<TimeZone> + Send + Sync>;

impl Almanac {
    /// `edition` names the rules of local time, like `2026b`.
    pub fn new(edition: impl Into<String>) -> Almanac {
        Almanac {
            edition: edition.into(),
            zones: Arc::new(|name| TimeZone::get(name).ok()),
            lists: BTreeMap::new(),
        }
    }

    /// Reads zones from somewhere else than the machine's database (or the built-in copy).
    pub fn with_zones(
        mut self,
        zones: impl Fn(&str) -> Option<TimeZone> + Send + Sync + 'static,
    ) -> Almanac {
        self.zones = Arc::new(zones);
        self
    }

    /// Adds a list of holidays under the name by which queues refer to it.
    pub fn with_list(mut self, name: impl Into<String>, list: HolidayList) -> Almanac {
        self.lists.insert(name.into(), list);
        self
    }

    /// The edition of the rules of local time.
    pub fn edition(&self) -> &str {
        &self.edition
    }

    /// The rules of one zone, by its IANA name.
    pub fn zone(&self, name: &str) -> Option<TimeZone> {
        (self.zones)(name)
    }

    pub fn list(&self, name: &str) -> Option<&HolidayList> {
        self.lists.get(name)
    }

    /// Names of all lists, in order.
    pub fn list_names(&self) -> impl Iterator<Item = &str> {
        self.lists.keys().map(String::as_str)
    }
}

impl Default for Almanac {
    fn default() -> Self {
        Almanac::new("unknown")
    }
}

impl fmt::Debug for Almanac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Almanac")
            .field("edition", &self.edition)
            .field("lists", &self.lists.keys())
            .finish_non_exhaustive()
    }
}

/// An operator's own list of holidays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HolidayList {
    days: BTreeMap<Date, String>,
}

/// Why a list of holidays cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct HolidayListError {
    /// From 1.
    pub line: usize,
    pub reason: String,
}

const MOST_DAYS: usize = 5_000;
const LONGEST_LINE: usize = 300;

impl HolidayList {
    /// Reads lines like `2026-12-24 Christmas Eve`. Empty lines and lines that begin with `#` are
    /// passed over; the name may be left out.
    pub fn parse(bytes: &[u8]) -> Result<HolidayList, HolidayListError> {
        let fault = |line: usize, reason: String| HolidayListError { line, reason };
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let good = &bytes[..error.valid_up_to()];
            let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
            fault(line, "is not UTF-8 text".to_owned())
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut days: BTreeMap<Date, String> = BTreeMap::new();
        let mut lines: BTreeMap<Date, usize> = BTreeMap::new();
        for (index, written) in text.lines().enumerate() {
            let line = index + 1;
            if written.len() > LONGEST_LINE {
                let reason = format!("is longer than {LONGEST_LINE} bytes");
                return Err(fault(line, reason));
            }
            let written = written.trim();
            if written.is_empty() || written.starts_with('#') {
                continue;
            }
            let (day, name) = written
                .split_once(char::is_whitespace)
                .unwrap_or((written, ""));
            let date = plain_date(day).ok_or_else(|| {
                fault(
                    line,
                    format!("{day:?} is not a date like 2026-12-24, followed by a name"),
                )
            })?;
            if let Some(first) = lines.insert(date, line) {
                return Err(fault(
                    line,
                    format!("{date} stands on line {first} already"),
                ));
            }
            days.insert(date, name.trim().to_owned());
            if days.len() > MOST_DAYS {
                return Err(fault(line, format!("more than {MOST_DAYS} days")));
            }
        }
        Ok(HolidayList { days })
    }

    /// The days, in order, each with its name (which may be empty).
    pub fn days(&self) -> impl Iterator<Item = (Date, &str)> {
        self.days.iter().map(|(date, name)| (*date, name.as_str()))
    }
}

/// Only `YYYY-MM-DD`: other forms that a parser might take are likelier to be slips.
fn plain_date(text: &str) -> Option<Date> {
    let form = text.len() == 10
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let date: Date = form.then(|| text.parse().ok())??;
    in_range(date).then_some(date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn a_list_in_plain_lines() {
        let text = "\u{feff}# Ours\r\n\r\n2026-12-24  Christmas Eve\r\n2026-07-03\n  2027-01-02 Stocktaking";
        let list = HolidayList::parse(text.as_bytes()).unwrap();
        let days: Vec<_> = list.days().collect();
        assert_eq!(
            days,
            [
                (date(2026, 7, 3), ""),
                (date(2026, 12, 24), "Christmas Eve"),
                (date(2027, 1, 2), "Stocktaking"),
            ]
        );
        assert_eq!(HolidayList::parse(b"").unwrap(), HolidayList::default());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let long = format!("# {}", "x".repeat(400));
        // text, line, part of the reason
        let cases: [(&[u8], usize, &str); 9] = [
            (b"24.12.2026 Eve", 1, "not a date"),
            (b"# ok\n\n2026-13-01 Month", 3, "not a date"),
            (b"2026-02-30", 1, "not a date"),
            (b"Christmas 2026-12-24", 1, "not a date"),
            (b"20261224 Eve", 1, "not a date"),
            (b"9999-01-01 Far", 1, "not a date"),
            (
                b"2026-12-24 a\n2026-12-25 b\n2026-12-24 c",
                3,
                "on line 1 already",
            ),
            (b"2026-12-24 a\n\xff\xfe", 2, "not UTF-8"),
            (long.as_bytes(), 1, "longer than 300"),
        ];
        for (text, line, reason) in cases {
            let error = HolidayList::parse(text).unwrap_err();
            assert_eq!(error.line, line, "{error}");
            assert!(error.reason.contains(reason), "{error}");
        }
    }
}
