//! What can be wrong with opening hours, and in which field.

use std::fmt;

use jiff::civil::Date;

use crate::zone::ZoneError;

/// Hours that cannot be used: which field, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoursError {
    field: String,
    fault: HoursFault,
}

impl HoursError {
    pub(super) fn new(field: impl Into<String>, fault: HoursFault) -> HoursError {
        HoursError {
            field: field.into(),
            fault,
        }
    }

    /// The path of the field inside the hours, like `exceptions[2].opening_hours`.
    pub fn field(&self) -> &str {
        &self.field
    }

    pub fn fault(&self) -> &HoursFault {
        &self.fault
    }
}

impl fmt::Display for HoursError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A message with a caret needs lines of its own, or the caret points nowhere.
        let glue = match self.fault {
            HoursFault::Syntax { .. } => "\n",
            HoursFault::Zone(_)
            | HoursFault::TooLong { .. }
            | HoursFault::TooMany { .. }
            | HoursFault::Unsupported(_)
            | HoursFault::NeverOpen
            | HoursFault::DuplicateDate(_)
            | HoursFault::Disagree { .. }
            | HoursFault::UntilBeforeDate { .. }
            | HoursFault::TooManyDays { .. }
            | HoursFault::DateOutOfRange(_)
            | HoursFault::ExceptionForm
            | HoursFault::HolidayRuleWithoutHolidays
            | HoursFault::HolidaysWithoutRule
            | HoursFault::SchoolHolidays
            | HoursFault::ReopensHoliday { .. }
            | HoursFault::UnknownCountry(_)
            | HoursFault::CountryWithoutHolidays(_)
            | HoursFault::UnknownRegion { .. }
            | HoursFault::RegionWithoutCountry
            | HoursFault::UnknownList { .. } => " ",
        };
        write!(f, "{}:{glue}{}", self.field, self.fault)
    }
}

impl std::error::Error for HoursError {}

/// Why hours cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoursFault {
    #[error("{0}")]
    Zone(#[from] ZoneError),
    /// The parser's message, with the text and a caret under the place.
    #[error("not opening hours in OpenStreetMap syntax:\n{message}")]
    Syntax { message: String },
    #[error("too long: at most {limit} characters")]
    TooLong { limit: usize },
    #[error("too many: at most {limit}")]
    TooMany { limit: usize },
    #[error("not supported: {0}")]
    Unsupported(&'static str),
    #[error("never open in the next two years")]
    NeverOpen,
    #[error("{0} is named twice")]
    DuplicateDate(Date),
    /// Two exceptions that say different hours for one day, both told in words.
    #[error("{one} and {other} disagree about {date}: leave one of them out")]
    Disagree {
        date: Date,
        one: String,
        other: String,
    },
    #[error("{until} is before {date}")]
    UntilBeforeDate { date: Date, until: Date },
    #[error("too many days: at most {limit}; put what lasts longer into opening_hours")]
    TooManyDays { limit: usize },
    #[error("{0} is out of range: years 1970 to 2200")]
    DateOutOfRange(Date),
    #[error(
        "must be times only, like 10:00-14:00 or 10:00-12:00,13:00-15:00, or left out for a closed day"
    )]
    ExceptionForm,
    #[error(
        "has a rule for public holidays (PH), but no holidays are given: set holidays.country, holidays.dates or holidays.lists"
    )]
    HolidayRuleWithoutHolidays,
    #[error(
        "holidays are given, but opening_hours says nothing about them: add \"; PH off\" at its end"
    )]
    HolidaysWithoutRule,
    #[error(
        "has a rule for school holidays (SH), and there is no source for them: use dated exceptions"
    )]
    SchoolHolidays,
    #[error(
        "the rule \"{rule}\" comes after a rule that closes holidays, and later rules win: it would open on holidays. Put \"PH off\" last, or use a dated exception"
    )]
    ReopensHoliday { rule: String },
    #[error("{0:?} is not an ISO 3166 country code in capitals, like FR")]
    UnknownCountry(String),
    #[error("no holidays of {0} are known here: list them in holidays.dates")]
    CountryWithoutHolidays(String),
    #[error(
        "no holidays of region {region:?} of {country} are known here: list them in holidays.dates"
    )]
    UnknownRegion { country: String, region: String },
    /// `known` tells in words which lists there are.
    #[error("no list of holidays {name:?} was read at the start ([holidays]); {known}")]
    UnknownList { name: String, known: String },
    #[error("a region needs its country: set holidays.country")]
    RegionWithoutCountry,
}
