//! Telephone numbers: E.164 rebuilt from what was parsed, and which of them may be dialled at all.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use rlibphonenumber::{PHONE_NUMBER_UTIL, ParseError, PhoneNumberFormat, PhoneNumberType};
use serde::{Deserialize, Deserializer, Serialize};

use super::region::Region;
use super::{ContactError, HIDDEN, holds_hidden_characters};

/// A telephone number of the public network, valid by its country's plan when it was read. Nothing
/// that was typed survives but digits.
#[derive(Clone)]
pub struct PhoneNumber {
    /// `+` and 4 to 15 ASCII digits.
    e164: String,
    /// Looked up when somebody asks: most numbers that are read back from the database are only shown.
    standing: OnceLock<Standing>,
}

/// What the number plans say of a number.
#[derive(Clone, Copy)]
struct Standing {
    /// None for satellites and other networks of no country.
    region: Option<Region>,
    kind: NumberType,
    geographic: bool,
    country_code: u16,
}

impl Standing {
    /// Of a number that no plan knows any more.
    const UNKNOWN: Standing = Standing {
        region: None,
        kind: NumberType::Unknown,
        geographic: false,
        country_code: 0,
    };

    /// `None` if the number is not valid: it belongs to no region, or to no type of its region.
    fn of(number: &rlibphonenumber::PhoneNumber) -> Option<Standing> {
        let kind = PHONE_NUMBER_UTIL.get_number_type(number);
        if kind == PhoneNumberType::Unknown {
            return None;
        }
        Some(Standing {
            region: PHONE_NUMBER_UTIL
                .get_region_for_number(number)
                .and_then(Region::from_library),
            kind: NumberType::from_library(kind),
            geographic: PHONE_NUMBER_UTIL
                .is_number_geographical_by_country_code_and_type(kind, number.country_code),
            country_code: u16::try_from(number.country_code).unwrap_or(0),
        })
    }

    /// The plan of a country is a set of patterns, and matching them costs more than reading the rest of a callback. A
    /// callback is read at each of its steps, mostly soon after one another.
    fn remembered(e164: &str) -> Standing {
        static READ: LazyLock<Mutex<HashMap<String, Standing>>> = LazyLock::new(Mutex::default);
        if let Some(standing) = locked(&READ).get(e164) {
            return *standing;
        }
        let standing = Standing::of_e164(e164);
        let mut read = locked(&READ);
        if read.len() >= NUMBERS_KEPT {
            read.clear();
        }
        read.insert(e164.to_owned(), standing);
        standing
    }

    /// Of E.164 that was stored: unknown if it is not what the library would make of it today.
    fn of_e164(e164: &str) -> Standing {
        let read = || {
            let number = PHONE_NUMBER_UTIL.parse(e164, None).ok()?;
            let standing = Standing::of(&number)?;
            (PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164) == e164).then_some(standing)
        };
        plainly_written(e164)
            .and_then(|number| Standing::of(&number))
            .or_else(read)
            .unwrap_or(Standing::UNKNOWN)
    }
}

impl PartialEq for PhoneNumber {
    fn eq(&self, other: &PhoneNumber) -> bool {
        self.e164 == other.e164
    }
}

impl Eq for PhoneNumber {}

impl Hash for PhoneNumber {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.e164.hash(state);
    }
}

impl PhoneNumber {
    /// Reads national and international forms, vanity letters, full-width and other digits, and
    /// `tel:` URIs. Refuses extensions, since nobody could dial them, and everything that does not
    /// look like one number and nothing else.
    pub fn parse(text: &str, default_region: Option<&str>) -> Result<PhoneNumber, ContactError> {
        // Length first: nothing below sees a text that is not short.
        if text.len() > LONGEST_TEXT {
            return Err(ContactError::TooLong {
                limit: LONGEST_TEXT,
            });
        }
        let text = text.trim_matches(' ');
        if text.is_empty() {
            return Err(ContactError::Empty);
        }
        if holds_hidden_characters(text) {
            return Err(ContactError::Character);
        }
        refuse_what_surrounds_a_number(text)?;
        let region = match default_region {
            None => None,
            Some(code) => Some(Region::parse(code).map_err(|_| ContactError::DefaultRegion)?),
        };
        if let Some(number) = plainly_written(text)
            && let Some(standing) = Standing::of(&number)
        {
            return Ok(PhoneNumber {
                e164: text.to_owned(),
                standing: OnceLock::from(standing),
            });
        }
        let number = PHONE_NUMBER_UTIL
            .parse(text, region.and_then(Region::to_library))
            .map_err(|error| explain(error, region.is_some()))?;
        if number.extension.as_ref().is_some_and(|ext| !ext.is_empty()) {
            return Err(ContactError::Extension);
        }
        let standing = Standing::of(&number).ok_or(ContactError::NotValid)?;
        let e164 = PHONE_NUMBER_UTIL
            .format(&number, PhoneNumberFormat::E164)
            .into_owned();
        if !is_e164(&e164) {
            return Err(ContactError::NotValid);
        }
        Ok(PhoneNumber {
            e164,
            standing: OnceLock::from(standing),
        })
    }

    /// Reads back E.164 from the database; see [`super::Contact::from_stored`].
    pub fn from_stored(e164: &str) -> Result<PhoneNumber, ContactError> {
        if !is_e164(e164) {
            return Err(ContactError::NotANumber);
        }
        Ok(PhoneNumber {
            e164: e164.to_owned(),
            standing: OnceLock::new(),
        })
    }

    fn standing(&self) -> &Standing {
        self.standing
            .get_or_init(|| Standing::remembered(&self.e164))
    }

    /// E.164 in clear, like `+14155550123`.
    pub fn expose(&self) -> &str {
        &self.e164
    }

    /// The digits of E.164 without the plus.
    pub fn dialled_digits(&self) -> &str {
        self.e164.strip_prefix('+').unwrap_or(&self.e164)
    }

    /// Whose number this is by the numbering plan; none for networks of no country.
    pub fn region(&self) -> Option<Region> {
        self.standing().region
    }

    pub fn number_type(&self) -> NumberType {
        self.standing().kind
    }

    /// Whether the number belongs to a place.
    pub(super) fn is_geographic(&self) -> bool {
        self.standing().geographic
    }

    pub(super) fn country_code(&self) -> u16 {
        self.standing().country_code
    }
}

/// Numbers whose plan is remembered: the calls of some minutes, in a few megabytes.
const NUMBERS_KEPT: usize = 16_384;

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.dialled_digits();
        // Enough to tell two numbers on one page apart, too little to ring either: `+14•••23`.
        let (head, rest) = digits.split_at(digits.len().min(2));
        let tail = &rest[rest.len().saturating_sub(2)..];
        write!(f, "+{head}{HIDDEN}{tail}")
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a number is for, by its country's plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberType {
    FixedLine,
    Mobile,
    /// In some countries the two cannot be told apart.
    FixedLineOrMobile,
    TollFree,
    PremiumRate,
    SharedCost,
    Voip,
    /// Follows a person from place to place, at a price (UK 070).
    Personal,
    Pager,
    /// One number of a company for all its places.
    UniversalAccess,
    Voicemail,
    Unknown,
}

impl NumberType {
    pub const fn as_str(self) -> &'static str {
        match self {
            NumberType::FixedLine => "fixed_line",
            NumberType::Mobile => "mobile",
            NumberType::FixedLineOrMobile => "fixed_line_or_mobile",
            NumberType::TollFree => "toll_free",
            NumberType::PremiumRate => "premium_rate",
            NumberType::SharedCost => "shared_cost",
            NumberType::Voip => "voip",
            NumberType::Personal => "personal",
            NumberType::Pager => "pager",
            NumberType::UniversalAccess => "universal_access",
            NumberType::Voicemail => "voicemail",
            NumberType::Unknown => "unknown",
        }
    }

    /// Numbers whose owner earns by being called. No rule can permit them.
    const fn earns(self) -> bool {
        match self {
            NumberType::PremiumRate | NumberType::SharedCost => true,
            NumberType::FixedLine
            | NumberType::Mobile
            | NumberType::FixedLineOrMobile
            | NumberType::TollFree
            | NumberType::Voip
            | NumberType::Personal
            | NumberType::Pager
            | NumberType::UniversalAccess
            | NumberType::Voicemail
            | NumberType::Unknown => false,
        }
    }

    const fn from_library(kind: PhoneNumberType) -> NumberType {
        match kind {
            PhoneNumberType::FixedLine => NumberType::FixedLine,
            PhoneNumberType::Mobile => NumberType::Mobile,
            PhoneNumberType::FixedLineOrMobile => NumberType::FixedLineOrMobile,
            PhoneNumberType::TollFree => NumberType::TollFree,
            PhoneNumberType::PremiumRate => NumberType::PremiumRate,
            PhoneNumberType::SharedCost => NumberType::SharedCost,
            PhoneNumberType::VoIP => NumberType::Voip,
            PhoneNumberType::PersonalNumber => NumberType::Personal,
            PhoneNumberType::Pager => NumberType::Pager,
            PhoneNumberType::UAN => NumberType::UniversalAccess,
            PhoneNumberType::VoiceMail => NumberType::Voicemail,
            PhoneNumberType::Unknown => NumberType::Unknown,
        }
    }
}

/// Which numbers a queue may dial. Nothing listed: nothing is dialled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DialRules {
    /// The regions (ISO 3166 codes) whose numbers may be dialled.
    pub regions: Vec<Region>,
    /// The types of number that may be dialled. Premium rate and shared cost cannot be listed.
    #[serde(deserialize_with = "types_that_do_not_earn")]
    pub types: Vec<NumberType>,
    /// The country of numbers written without one.
    pub default_region: Option<Region>,
}

impl Default for DialRules {
    fn default() -> Self {
        DialRules {
            regions: Vec::new(),
            types: vec![
                NumberType::FixedLine,
                NumberType::Mobile,
                NumberType::FixedLineOrMobile,
                NumberType::TollFree,
                NumberType::Voip,
            ],
            default_region: None,
        }
    }
}

impl DialRules {
    /// Whether this number may be dialled. Asked at booking and before every dial.
    pub fn permit(&self, number: &PhoneNumber) -> Result<(), DialRefusal> {
        let Standing { region, kind, .. } = *number.standing();
        let Some(region) = region else {
            return Err(DialRefusal::NoRegion);
        };
        if kind.earns() {
            return Err(DialRefusal::Earns(kind));
        }
        if !self.regions.contains(&region) {
            return Err(DialRefusal::Region(region));
        }
        if !self.types.contains(&kind) {
            return Err(DialRefusal::Type(kind));
        }
        Ok(())
    }
}

/// Why a number is not dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DialRefusal {
    /// A satellite or another network of no country, or a number no plan knows any more.
    NoRegion,
    /// Its region is not listed.
    Region(Region),
    /// Its type is not listed.
    Type(NumberType),
    /// Its owner earns by being called.
    Earns(NumberType),
}

impl DialRefusal {
    /// A stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            DialRefusal::NoRegion => "no_region",
            DialRefusal::Region(_) => "region_not_listed",
            DialRefusal::Type(_) => "type_not_listed",
            DialRefusal::Earns(_) => "type_never_dialled",
        }
    }
}

impl fmt::Display for DialRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DialRefusal::NoRegion => f.write_str(
                "belongs to no country (satellite or special network), which is never called",
            ),
            DialRefusal::Region(region) => {
                write!(f, "is a number of {region}, which this queue does not call")
            }
            DialRefusal::Type(kind) => write!(
                f,
                "is a number of type {}, which this queue does not call",
                kind.as_str()
            ),
            DialRefusal::Earns(kind) => write!(
                f,
                "is a number of type {}, which is never called",
                kind.as_str()
            ),
        }
    }
}

impl std::error::Error for DialRefusal {}

/// No way of writing a number is longer than this.
const LONGEST_TEXT: usize = 100;

fn types_that_do_not_earn<'de, D>(deserializer: D) -> Result<Vec<NumberType>, D::Error>
where
    D: Deserializer<'de>,
{
    let types = Vec::<NumberType>::deserialize(deserializer)?;
    if let Some(kind) = types.iter().find(|kind| kind.earns()) {
        return Err(serde::de::Error::custom(format!(
            "{} numbers are never dialled and cannot be listed",
            kind.as_str()
        )));
    }
    Ok(types)
}

fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (4..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

/// A number that is written as E.164 already, as the library would read it, without the library's reader:
/// that one is ready for any letter and costs twice as much as all that is asked of the number afterwards.
///
/// The reader takes a national prefix off, even behind a country code. In most plans that is a nought, or
/// nothing; where a number's own digits may be taken for a prefix, only the reader knows, and the answer
/// here is `None`. Whether the number is valid is not said.
fn plainly_written(e164: &str) -> Option<rlibphonenumber::PhoneNumber> {
    if !is_e164(e164) {
        return None;
    }
    let digits = &e164[1..];
    let (country_code, national) = (1..=LONGEST_COUNTRY_CODE).find_map(|length| {
        let (code, national) = digits.split_at_checked(length)?;
        let code: i32 = code.parse().ok()?;
        PHONE_NUMBER_UTIL
            .get_region_for_country_code(code)
            .map(|_| (code, national))
    })?;
    let first = national.chars().next()?;
    let doubtful = first == '0'
        || LIKE_A_PREFIX
            .iter()
            .any(|(code, firsts)| *code == country_code && firsts.contains(first));
    if doubtful {
        return None;
    }
    Some(rlibphonenumber::PhoneNumber {
        country_code,
        national_number: national.parse().ok()?,
        ..Default::default()
    })
}

const LONGEST_COUNTRY_CODE: usize = 3;

/// Plans whose national prefix (`nationalPrefixForParsing` in the library's data) may begin with another
/// digit than 0, with those digits. A test asks the library about numbers of every plan.
const LIKE_A_PREFIX: &[(i32, &str)] = &[
    (1, "1"),
    (7, "8"),
    (44, "1"),
    (54, "123456789"),
    (55, "9"),
    (61, "1"),
    (86, "1"),
    (261, "23456789"),
    (298, "1"),
    (352, "1"),
    (370, "8"),
    (375, "8"),
    (378, "89"),
    (423, "1"),
    (506, "1"),
    (672, "123456789"),
    (692, "1"),
    (993, "8"),
];

/// The library looks for a number inside a text, as a search in a letter would. A form field holds
/// a number and nothing else, so the text has to begin like one and be made of what numbers are
/// written with.
fn refuse_what_surrounds_a_number(text: &str) -> Result<(), ContactError> {
    let number = match text.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => {
            // Only the global form with no parameters: `;phone-context=` would let the writer
            // choose the country, and `;ext=` is an extension.
            let rest = &text[4..];
            if rest.contains(';') {
                let asks_for_extension = rest.to_ascii_lowercase().contains(";ext=");
                return Err(if asks_for_extension {
                    ContactError::Extension
                } else {
                    ContactError::NotANumber
                });
            }
            rest
        }
        Some(_) | None => text,
    };
    let begins_like_one = number
        .chars()
        .next()
        .is_some_and(|c| c.is_numeric() || matches!(c, '+' | '＋' | '(' | '（'));
    if !begins_like_one {
        return Err(ContactError::NotANumber);
    }
    let foreign = number.chars().any(|c| {
        let written_with = c.is_numeric()
            || c.is_ascii_alphabetic()
            || c.is_whitespace()
            || matches!(c,
                '+' | '＋' | '-' | '.' | '(' | ')' | '/' | '#' | ',' | ';' | '=' | '~' | '（' | '）'
                | '［' | '］' | '[' | ']' | '．' | '／' | '－' | '～'
                | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{30FC}' | '\u{2053}' | '\u{223C}'
                | 'Ａ'..='Ｚ' | 'ａ'..='ｚ');
        !written_with
    });
    if foreign {
        return Err(ContactError::Character);
    }
    Ok(())
}

fn explain(error: ParseError, has_default: bool) -> ContactError {
    match error {
        ParseError::InvalidCountryCode if has_default => ContactError::CountryCode,
        // Without a default, a national number fails in the same way as a wrong country code.
        ParseError::InvalidCountryCode => ContactError::NoCountry,
        ParseError::NotANumber(_) => ContactError::NotANumber,
        ParseError::TooShortAfterIdd | ParseError::TooShortNsn => ContactError::TooShort,
        ParseError::TooLongNsn => ContactError::NotValid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers around the examples of every plan and type: what is read without the library's reader is what
    /// the reader would have read.
    #[test]
    fn what_is_plainly_written_is_read_as_the_library_reads_it() {
        let kinds = [
            PhoneNumberType::FixedLine,
            PhoneNumberType::Mobile,
            PhoneNumberType::TollFree,
            PhoneNumberType::PremiumRate,
            PhoneNumberType::SharedCost,
            PhoneNumberType::VoIP,
            PhoneNumberType::PersonalNumber,
            PhoneNumberType::Pager,
            PhoneNumberType::UAN,
            PhoneNumberType::VoiceMail,
        ];
        // Knuth's generator: any digits do, as long as they are the same in every run.
        let mut seed = 20_u64;
        let mut digit = || {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % 10
        };
        let mut compared = 0;
        let mut plans = std::collections::BTreeSet::new();
        for region in PHONE_NUMBER_UTIL.get_supported_regions() {
            for kind in kinds {
                let Ok(example) =
                    PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, kind)
                else {
                    continue;
                };
                let example = PHONE_NUMBER_UTIL.format(&example, PhoneNumberFormat::E164);
                for changed in 0..4 {
                    // The example itself, then others that share less and less of its beginning.
                    let mut text = example.clone().into_owned();
                    for at in text.len() - changed * 2..text.len() {
                        text.replace_range(at..=at, &digit().to_string());
                    }
                    let Some(ours) = plainly_written(&text) else {
                        continue;
                    };
                    if Standing::of(&ours).is_none() {
                        // Then the library is asked anyway.
                        continue;
                    }
                    assert_eq!(
                        PHONE_NUMBER_UTIL.parse(&text, None).ok(),
                        Some(ours),
                        "{text}"
                    );
                    plans.insert(region.as_region_str().as_str().to_owned());
                    compared += 1;
                }
            }
        }
        assert!(
            compared > 2500 && plans.len() > 220,
            "{compared} of {}",
            plans.len()
        );
    }
}
