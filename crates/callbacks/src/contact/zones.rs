//! The time zones a telephone number may be in, by Google's table of prefixes.
//!
//! Numbers of a place have the zones of the place, other numbers those of the whole country.
//! People take their mobile numbers with them, so this is a list of possibilities and never an
//! answer; whoever dials must find it permitted in all of them.

use std::sync::LazyLock;

use super::number::{NumberType, PhoneNumber};

/// IANA names of the zones the number may be in; empty if nothing is known.
pub fn zones_of(number: &PhoneNumber) -> &'static [&'static str] {
    match number.number_type() {
        NumberType::Unknown => return &[],
        NumberType::FixedLine
        | NumberType::Mobile
        | NumberType::FixedLineOrMobile
        | NumberType::TollFree
        | NumberType::PremiumRate
        | NumberType::SharedCost
        | NumberType::Voip
        | NumberType::Personal
        | NumberType::Pager
        | NumberType::UniversalAccess
        | NumberType::Voicemail => {}
    }
    if number.is_geographic() {
        TABLE.longest_prefix(number.dialled_digits())
    } else {
        TABLE.longest_prefix(&number.country_code().to_string())
    }
}

/// Made by `script/number_zones.py`; see the head of the file for its source and licence.
static DATA: &str = include_str!("../../data/number_zones.txt");

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(DATA));

struct Table {
    sets: Vec<Vec<&'static str>>,
    /// Prefixes in the order of their text, each with the number of its set.
    prefixes: Vec<(&'static str, usize)>,
}

impl Table {
    /// Lines that make no sense are left out: a number without a zone is a number nobody dials
    /// by its own clock, and a test reads the whole file.
    fn read(data: &'static str) -> Table {
        let mut table = Table {
            sets: Vec::new(),
            prefixes: Vec::new(),
        };
        for line in data.lines() {
            if line.starts_with('#') {
                continue;
            }
            if let Some(zones) = line.strip_prefix('=') {
                table.sets.push(zones.split_whitespace().collect());
            } else if let Some((prefix, set)) = line.split_once(' ')
                && let Ok(set) = set.parse()
            {
                table.prefixes.push((prefix, set));
            }
        }
        table
    }

    fn longest_prefix(&self, digits: &str) -> &[&'static str] {
        for length in (1..=digits.len()).rev() {
            let Some(prefix) = digits.get(..length) else {
                continue;
            };
            if let Ok(at) = self.prefixes.binary_search_by_key(&prefix, |(p, _)| p)
                && let Some((_, set)) = self.prefixes.get(at)
                && let Some(zones) = self.sets.get(*set)
            {
                return zones;
            }
        }
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table_is_read_and_every_zone_exists() {
        let lines = DATA.lines().filter(|l| !l.starts_with('#')).count();
        assert_eq!(TABLE.sets.len() + TABLE.prefixes.len(), lines);
        assert!(TABLE.prefixes.len() > 3_000);
        assert!(TABLE.prefixes.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (prefix, set) in &TABLE.prefixes {
            assert!(prefix.bytes().all(|b| b.is_ascii_digit()), "{prefix}");
            assert!(*set < TABLE.sets.len(), "{prefix}");
        }
        for zone in TABLE.sets.iter().flatten() {
            assert!(jiff::tz::TimeZone::get(zone).is_ok(), "{zone}");
        }
    }

    #[test]
    fn cases_as_googles_own_library_answers_them() {
        // number, first zone, how many; compared with phonenumbers 9.0.43
        let cases: [(&str, &str, usize); 24] = [
            ("+14155550123", "America/Los_Angeles", 1),
            ("+12125550123", "America/New_York", 1),
            ("+18005550123", "America/Adak", 42),
            ("+442079460018", "Europe/London", 1),
            ("+447911123456", "Europe/Guernsey", 4),
            ("+33142685300", "Europe/Paris", 1),
            ("+33612345678", "Europe/Paris", 1),
            ("+81312345678", "Asia/Tokyo", 1),
            ("+61291234567", "Australia/Sydney", 1),
            ("+61412345678", "Australia/Adelaide", 8),
            ("+5511961234567", "America/Sao_Paulo", 1),
            ("+551134567890", "America/Sao_Paulo", 1),
            ("+74951234567", "Europe/Moscow", 1),
            ("+77012345678", "Asia/Almaty", 16),
            ("+862112345678", "Asia/Shanghai", 1),
            ("+8613812345678", "Asia/Shanghai", 1),
            ("+525512345678", "America/Mexico_City", 1),
            ("+5491123456789", "America/Argentina/Buenos_Aires", 1),
            ("+911123456789", "Asia/Kolkata", 1),
            ("+870773111632", "", 0),
            ("+80012345678", "", 0),
            ("+6834567", "Pacific/Niue", 1),
            ("+18765551234", "America/Adak", 42),
            ("+390669812345", "Europe/Vatican", 1),
        ];
        for (number, first, count) in cases {
            let number = PhoneNumber::parse(number, None).unwrap();
            let zones = zones_of(&number);
            assert_eq!(zones.len(), count, "{} {zones:?}", number.expose());
            assert_eq!(
                zones.first().copied().unwrap_or(""),
                first,
                "{}",
                number.expose()
            );
        }
    }

    #[test]
    fn a_number_no_plan_knows_has_no_zones() {
        let number = PhoneNumber::from_stored("+14155550").unwrap();
        assert!(zones_of(&number).is_empty());
    }
}
