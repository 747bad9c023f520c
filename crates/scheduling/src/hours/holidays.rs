//! The days that `PH` stands for: of a country, of a part of it, and of one's own.

use std::str::FromStr;

use chrono::NaiveDate;
use compact_calendar::CompactCalendar;
use opening_hours::localization::Country;

use super::error::{HoursError, HoursFault};
use super::{HolidayConfig, in_range, rules};
use crate::almanac::Almanac;

/// All holidays of all sources, or `None` if there is no source at all.
pub(super) fn calendar(
    config: &HolidayConfig,
    almanac: &Almanac,
) -> Result<Option<CompactCalendar>, HoursError> {
    let mut calendar = CompactCalendar::default();
    add_own(&mut calendar, config)?;
    add_lists(&mut calendar, config, almanac)?;
    match (&config.country, &config.region) {
        (None, None) => {}
        (None, Some(_)) => {
            return Err(HoursError::new(
                "holidays.region",
                HoursFault::RegionWithoutCountry,
            ));
        }
        (Some(country), region) => add_known(&mut calendar, country, region.as_deref())?,
    }
    let no_source = config.country.is_none() && config.dates.is_empty() && config.lists.is_empty();
    Ok((!no_source).then_some(calendar))
}

const MOST_OWN: usize = 5_000;

fn add_own(calendar: &mut CompactCalendar, config: &HolidayConfig) -> Result<(), HoursError> {
    if config.dates.len() > MOST_OWN {
        let limit = MOST_OWN;
        return Err(HoursError::new(
            "holidays.dates",
            HoursFault::TooMany { limit },
        ));
    }
    for (index, date) in config.dates.iter().enumerate() {
        let field = || format!("holidays.dates[{index}]");
        let day = rules::to_chrono(*date)
            .filter(|_| in_range(*date))
            .ok_or_else(|| HoursError::new(field(), HoursFault::DateOutOfRange(*date)))?;
        if !calendar.insert(day) {
            return Err(HoursError::new(field(), HoursFault::DuplicateDate(*date)));
        }
    }
    Ok(())
}

fn add_lists(
    calendar: &mut CompactCalendar,
    config: &HolidayConfig,
    almanac: &Almanac,
) -> Result<(), HoursError> {
    if config.lists.len() > MOST_LISTS {
        let limit = MOST_LISTS;
        return Err(HoursError::new(
            "holidays.lists",
            HoursFault::TooMany { limit },
        ));
    }
    for (index, name) in config.lists.iter().enumerate() {
        let list = almanac.list(name).ok_or_else(|| {
            let known: Vec<&str> = almanac.list_names().collect();
            let fault = HoursFault::UnknownList {
                name: shortened(name),
                known: if known.is_empty() {
                    "there is none".to_owned()
                } else {
                    format!("there are {}", known.join(", "))
                },
            };
            HoursError::new(format!("holidays.lists[{index}]"), fault)
        })?;
        for (date, _) in list.days() {
            // The same day may stand in several lists.
            if let Some(day) = rules::to_chrono(date) {
                calendar.insert(day);
            }
        }
    }
    Ok(())
}

const MOST_LISTS: usize = 20;

fn add_known(
    calendar: &mut CompactCalendar,
    code: &str,
    region: Option<&str>,
) -> Result<(), HoursError> {
    let looks_like_a_code = code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase());
    if !looks_like_a_code {
        let fault = HoursFault::UnknownCountry(shortened(code));
        return Err(HoursError::new("holidays.country", fault));
    }
    let mut known = false;
    // A code the crate does not know may be a country all the same: India is missing.
    if let Ok(country) = Country::from_str(code) {
        for day in country.holidays().get_public().iter() {
            calendar.insert(day);
            known = true;
        }
    }
    if let Some(region) = region {
        let days = regional(code, region).ok_or_else(|| {
            let fault = HoursFault::UnknownRegion {
                country: code.to_owned(),
                region: shortened(region),
            };
            HoursError::new("holidays.region", fault)
        })?;
        for day in days {
            calendar.insert(day);
            known = true;
        }
    }
    if !known {
        let fault = HoursFault::CountryWithoutHolidays(code.to_owned());
        return Err(HoursError::new("holidays.country", fault));
    }
    Ok(())
}

/// Made by `script/regional_holidays.py`; see the head of the file for its source and licence.
static REGIONAL: &str = include_str!("../../data/regional_holidays.txt");

/// The holidays of a part of a country, those of all its parts included; `None` if it is not known.
fn regional(country: &str, region: &str) -> Option<Vec<NaiveDate>> {
    if region == SHARED {
        return None;
    }
    let mut found = false;
    let mut days = Vec::new();
    for line in REGIONAL.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        if words.next() != Some(country) {
            continue;
        }
        let name = words.next();
        let own = name == Some(region);
        if own || name == Some(SHARED) {
            found |= own;
            days.extend(words.flat_map(days_of_a_year));
        }
    }
    found.then_some(days)
}

/// The name of the line that all regions of a country share.
const SHARED: &str = "*";

/// The days of a word like `2026:0101,0403`.
fn days_of_a_year(word: &str) -> Vec<NaiveDate> {
    let Some((year, days)) = word.split_once(':') else {
        return Vec::new();
    };
    let Ok(year) = year.parse() else {
        return Vec::new();
    };
    days.split(',')
        .filter_map(|day| {
            let (month, day) = day.split_at_checked(2)?;
            NaiveDate::from_ymd_opt(year, month.parse().ok()?, day.parse().ok()?)
        })
        .collect()
}

fn shortened(text: &str) -> String {
    text.chars().take(20).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_table_is_read() {
        for line in REGIONAL.lines().filter(|line| !line.starts_with('#')) {
            for word in line.split(' ').skip(2) {
                let written = word.split(',').count();
                assert_eq!(days_of_a_year(word).len(), written, "{line}");
            }
        }
    }

    #[test]
    fn parts_of_countries() {
        let day = |y, m, d| NaiveDate::from_ymd_opt(y, m, d).unwrap();
        // country, region, day, whether it is a holiday
        let cases = [
            ("DE", "BY", day(2026, 1, 6), true),
            ("DE", "BE", day(2026, 1, 6), false),
            ("DE", "BE", day(2026, 3, 8), true),
            ("DE", "BE", day(2026, 10, 3), true),
            ("DE", "SN", day(2026, 11, 18), true),
            ("GB", "ENG", day(2027, 1, 1), true),
            ("GB", "SCT", day(2026, 11, 30), true),
            ("GB", "ENG", day(2026, 11, 30), false),
            ("GB", "NIR", day(2027, 3, 17), true),
            ("US", "TX", day(2026, 3, 2), true),
            ("US", "NY", day(2026, 3, 2), false),
            ("US", "NY", day(2026, 7, 4), true),
            ("CA", "QC", day(2026, 6, 24), true),
            ("CH", "GE", day(2026, 9, 10), true),
            ("CH", "ZH", day(2026, 8, 1), true),
            ("FR", "57", day(2026, 12, 26), true),
            ("AU", "VIC", day(2026, 11, 3), true),
        ];
        for (country, region, day, expected) in cases {
            let days = regional(country, region).unwrap();
            assert_eq!(days.contains(&day), expected, "{country}-{region} {day}");
        }
        for (country, region) in [
            ("DE", "XX"),
            ("DE", "*"),
            ("DE", ""),
            ("ES", "MD"),
            ("", "BY"),
        ] {
            assert_eq!(regional(country, region), None, "{country}-{region}");
        }
    }
}
