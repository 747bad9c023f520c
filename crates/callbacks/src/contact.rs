//! Where a customer can be reached: parsed once, into types that cannot be wrong.
//!
//! Only the canonical form ever leaves this module, and only through `expose`. Everything that
//! prints (`Display`, `Debug`, error messages) is masked, so that numbers and addresses do not get
//! into logs by accident.

pub mod email;
pub mod number;
pub mod region;
pub mod voip;
pub mod zones;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use email::EmailAddress;
pub use number::{DialRefusal, DialRules, NumberType, PhoneNumber};
pub use region::Region;
pub use voip::VoipAddress;

/// The way the customer wants to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResponseType {
    Voice,
    VoIP,
    Email,
}

impl ResponseType {
    pub const ALL: [ResponseType; 3] =
        [ResponseType::Voice, ResponseType::VoIP, ResponseType::Email];

    /// Reads the name in any case: old clients write `voip` and `EMAIL`.
    pub fn parse(text: &str) -> Option<ResponseType> {
        ResponseType::ALL
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(text))
    }

    /// The exact spelling of the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            ResponseType::Voice => "Voice",
            ResponseType::VoIP => "VoIP",
            ResponseType::Email => "Email",
        }
    }
}

impl fmt::Display for ResponseType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ResponseType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ResponseType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        ResponseType::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("must be Voice, VoIP or Email"))
    }
}

/// A way to reach the customer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Contact {
    Phone(PhoneNumber),
    Voip(VoipAddress),
    Email(EmailAddress),
}

impl Contact {
    /// Parses what a customer or an integrator wrote. `default_region` (like `US`) is the country
    /// of telephone numbers written without one.
    pub fn parse(
        response_type: ResponseType,
        text: &str,
        default_region: Option<&str>,
    ) -> Result<Contact, ContactError> {
        match response_type {
            ResponseType::Voice => PhoneNumber::parse(text, default_region).map(Contact::Phone),
            ResponseType::VoIP => VoipAddress::parse(text).map(Contact::Voip),
            ResponseType::Email => EmailAddress::parse(text).map(Contact::Email),
        }
    }

    /// Reads back a canonical form that [`Contact::expose`] gave. A number that was valid when it
    /// was stored and no longer is by newer number plans can still be read; it has lost its region
    /// and type, so that no dial rule permits it.
    pub fn from_stored(response_type: ResponseType, text: &str) -> Result<Contact, ContactError> {
        match response_type {
            ResponseType::Voice => PhoneNumber::from_stored(text).map(Contact::Phone),
            ResponseType::VoIP => VoipAddress::parse(text).map(Contact::Voip),
            ResponseType::Email => EmailAddress::parse(text).map(Contact::Email),
        }
    }

    pub const fn response_type(&self) -> ResponseType {
        match self {
            Contact::Phone(_) => ResponseType::Voice,
            Contact::Voip(_) => ResponseType::VoIP,
            Contact::Email(_) => ResponseType::Email,
        }
    }

    /// The canonical form in clear, for the wire and the database: E.164, `sip:…`, or the address.
    pub fn expose(&self) -> &str {
        match self {
            Contact::Phone(number) => number.expose(),
            Contact::Voip(address) => address.expose(),
            Contact::Email(address) => address.expose(),
        }
    }

    /// The digits to dial, if this is a telephone number.
    pub fn dialled_digits(&self) -> Option<&str> {
        match self {
            Contact::Phone(number) => Some(number.dialled_digits()),
            Contact::Voip(_) | Contact::Email(_) => None,
        }
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contact::Phone(number) => number.fmt(f),
            Contact::Voip(address) => address.fmt(f),
            Contact::Email(address) => address.fmt(f),
        }
    }
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contact::Phone(number) => number.fmt(f),
            Contact::Voip(address) => address.fmt(f),
            Contact::Email(address) => address.fmt(f),
        }
    }
}

/// Why a text is not a contact. Says nothing of what was written: it may be somebody's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ContactError {
    #[error("is empty")]
    Empty,
    #[error("is too long: at most {limit} bytes")]
    TooLong { limit: usize },
    #[error("holds a character that cannot stand here")]
    Character,

    #[error("is not a telephone number")]
    NotANumber,
    #[error(
        "has no country code: write it like +14155550123 (this queue assumes no country of its own)"
    )]
    NoCountry,
    #[error("has a country code that does not exist")]
    CountryCode,
    #[error("is too short for a telephone number")]
    TooShort,
    #[error(
        "is not a number that can be dialled in its country (short and emergency numbers included)"
    )]
    NotValid,
    #[error("has an extension, which cannot be dialled")]
    Extension,
    #[error("cannot be read: the default region is not an ISO 3166 code in capitals, like US")]
    DefaultRegion,

    #[error("is not a SIP address: write it like sip:anna@example.com, a host or an IP address")]
    NotSip,
    #[error("has a user part that is not allowed: letters, digits and - _ . + ~ only")]
    SipUser,
    #[error("holds a password, which does not belong here")]
    SipPassword,
    #[error("has a parameter other than transport=udp, tcp or tls")]
    SipParameter,
    #[error("has header fields (?…), which are not allowed")]
    SipHeaders,
    #[error("has a host that is neither a name nor an IP address")]
    Host,
    #[error(
        "has an address that nobody can be reached at (unspecified, multicast, broadcast or reserved)"
    )]
    Unreachable,
    #[error("has a port that is not from 1 to 65535")]
    Port,

    #[error("is not an e-mail address: write it like anna@example.com")]
    NotAnEmail,
    #[error("has a part before the @ that is longer than 64 bytes")]
    LocalPartTooLong,
    #[error("is a name with an address; write the address alone")]
    DisplayName,
    #[error("has a domain that is not a domain name")]
    Domain,
}

impl ContactError {
    /// A stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            ContactError::Empty => "empty",
            ContactError::TooLong { .. } => "too_long",
            ContactError::Character => "character",
            ContactError::NotANumber => "not_a_number",
            ContactError::NoCountry => "no_country",
            ContactError::CountryCode => "country_code",
            ContactError::TooShort => "too_short",
            ContactError::NotValid => "not_valid",
            ContactError::Extension => "extension",
            ContactError::DefaultRegion => "default_region",
            ContactError::NotSip => "not_sip",
            ContactError::SipUser => "sip_user",
            ContactError::SipPassword => "sip_password",
            ContactError::SipParameter => "sip_parameter",
            ContactError::SipHeaders => "sip_headers",
            ContactError::Host => "host",
            ContactError::Unreachable => "unreachable",
            ContactError::Port => "port",
            ContactError::NotAnEmail => "not_an_email",
            ContactError::LocalPartTooLong => "local_part_too_long",
            ContactError::DisplayName => "display_name",
            ContactError::Domain => "domain",
        }
    }
}

/// What stands for the hidden part of a contact.
const HIDDEN: &str = "•••";

/// Whether a text holds anything that could break a line, hide, or turn the reading order around.
fn holds_hidden_characters(text: &str) -> bool {
    text.chars().any(|c| {
        c.is_control()
            || matches!(c,
                '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
                | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
    })
}

/// A host name by RFC 1123: labels of letters, digits and inner hyphens. The last label must not
/// be a number, or the name could be read as an IP address (`0177.0.0.1`, `2130706433`).
fn is_host_name(name: &str) -> bool {
    if name.is_empty() || name.len() > 253 {
        return false;
    }
    let labels_are_right = name.split('.').all(|label| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    });
    let last = name.rsplit('.').next().unwrap_or(name);
    let numeric = last.bytes().all(|b| b.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    labels_are_right && !numeric
}

#[cfg(test)]
mod tests;
