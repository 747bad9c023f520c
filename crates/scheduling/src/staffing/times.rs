//! Days of the week and times of the day as people write them in a plan.

use std::str::FromStr;

use jiff::civil::DateTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::zone::MINUTES_PER_DAY;

/// Days of the week: `Mo-Fr`, `Sa,Su`, `Fr-Mo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Days {
    text: String,
    /// From Monday on.
    set: [bool; 7],
}

const NAMES: [&str; 7] = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"];

/// Not days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be days of the week like Mo-Fr or Sa,Su (Mo, Tu, We, Th, Fr, Sa, Su)")]
pub struct DaysError;

impl Days {
    /// Numbers of the days, Monday being 0.
    pub fn numbers(&self) -> impl Iterator<Item = usize> {
        let set = self.set;
        (0..7).filter(move |day| set[*day])
    }
}

impl FromStr for Days {
    type Err = DaysError;

    fn from_str(text: &str) -> Result<Self, DaysError> {
        // Seven days and what parts them need no more.
        if text.len() > 64 {
            return Err(DaysError);
        }
        let number = |name: &str| {
            let found = NAMES.iter().position(|known| *known == name.trim());
            found.ok_or(DaysError)
        };
        let mut set = [false; 7];
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            let length = (last + 7 - first) % 7;
            for step in 0..=length {
                set[(first + step) % 7] = true;
            }
        }
        Ok(Days {
            text: text.to_owned(),
            set,
        })
    }
}

impl Serialize for Days {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A time on the clock on the wall, in minutes since midnight: `00:00` to `24:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MinuteOfDay(pub(super) u16);

/// Not a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a time of day from 00:00 to 24:00, like 09:30")]
pub struct MinuteOfDayError;

impl FromStr for MinuteOfDay {
    type Err = MinuteOfDayError;

    fn from_str(text: &str) -> Result<Self, MinuteOfDayError> {
        let (hours, minutes) = text.split_once(':').ok_or(MinuteOfDayError)?;
        let number = |digits: &str| {
            let good = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
            let number = digits.parse::<u16>().ok().filter(|_| good);
            number.ok_or(MinuteOfDayError)
        };
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        let total = hours * 60 + minutes;
        if minutes > 59 || total > MINUTES_PER_DAY {
            return Err(MinuteOfDayError);
        }
        Ok(MinuteOfDay(total))
    }
}

impl Serialize for MinuteOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:02}:{:02}", self.0 / 60, self.0 % 60))
    }
}

impl<'de> Deserialize<'de> for MinuteOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A date and a time on the wall, like `2026-12-24T10:00`; the zone is the queue's.
pub(super) mod wall {
    use super::{DateTime, Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(wall: &DateTime, s: S) -> Result<S::Ok, S::Error> {
        wall.serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<DateTime, D::Error> {
        let text = String::deserialize(d)?;
        let wall: Option<DateTime> = text.parse().ok();
        wall.filter(|wall| (1970..=2200).contains(&wall.year()))
            .ok_or_else(|| {
                serde::de::Error::custom(
                    "must be a date and a time of day without a zone, like 2026-12-24T10:00",
                )
            })
    }
}
