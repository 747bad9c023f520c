//! E-mail addresses by RFC 5321 and RFC 6531: an address and nothing else.

use std::fmt;

use email_address::{Error, Options};

use super::{ContactError, HIDDEN, holds_hidden_characters, is_host_name};

/// An address that mail can be sent to. The part before the @ is kept as it was written, since
/// only its own server may say whether case matters; the domain is in small letters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress {
    address: String,
    at: usize,
}

impl EmailAddress {
    pub fn parse(text: &str) -> Result<EmailAddress, ContactError> {
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
        if text.ends_with('>') {
            return Err(ContactError::DisplayName);
        }
        // Options that leave out literals (`anna@[10.0.0.1]`): a form must not choose a machine.
        let options = Options::default()
            .with_required_tld()
            .without_display_text()
            .without_domain_literal();
        email_address::EmailAddress::parse_with_options(text, options).map_err(explain)?;
        let (local, domain) = text.rsplit_once('@').ok_or(ContactError::NotAnEmail)?;
        if local.len() > LONGEST_LOCAL {
            return Err(ContactError::LocalPartTooLong);
        }
        // Unusual spaces are the same trap as hidden characters; a plain one may stand in quotes.
        if local.chars().any(|c| c.is_whitespace() && c != ' ') {
            return Err(ContactError::Character);
        }
        let domain = domain.to_lowercase();
        refuse_wrong_domain(&domain)?;
        let address = format!("{local}@{domain}");
        // Small letters can be longer than capitals outside ASCII.
        if address.len() > LONGEST_TEXT {
            return Err(ContactError::TooLong {
                limit: LONGEST_TEXT,
            });
        }
        Ok(EmailAddress {
            at: local.len(),
            address,
        })
    }

    /// The address in clear.
    pub fn expose(&self) -> &str {
        &self.address
    }

    pub fn local_part(&self) -> &str {
        &self.address[..self.at]
    }

    pub fn domain(&self) -> &str {
        &self.address[self.at + 1..]
    }

    /// Whether the address can only go to a server that knows SMTPUTF8.
    pub fn needs_smtputf8(&self) -> bool {
        !self.address.is_ascii()
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first: String = self.local_part().chars().take(1).collect();
        write!(f, "{first}{HIDDEN}@{}", self.domain())
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// RFC 5321 §4.5.3.1.3: a path has 256 octets, of which two are the brackets.
const LONGEST_TEXT: usize = 254;
const LONGEST_LOCAL: usize = 64;

/// The address crate lets anything stand in a domain that may stand in a word, so the domain is
/// checked again, in the form that name servers see.
fn refuse_wrong_domain(domain: &str) -> Result<(), ContactError> {
    if domain.is_ascii() {
        let labels = domain.split('.').count();
        return if labels >= 2 && is_host_name(domain) {
            Ok(())
        } else {
            Err(ContactError::Domain)
        };
    }
    match url::Host::parse(domain) {
        Ok(url::Host::Domain(ascii)) if is_host_name(&ascii) => Ok(()),
        Ok(url::Host::Domain(_) | url::Host::Ipv4(_) | url::Host::Ipv6(_)) | Err(_) => {
            Err(ContactError::Domain)
        }
    }
}

fn explain(error: Error) -> ContactError {
    match error {
        Error::LocalPartTooLong => ContactError::LocalPartTooLong,
        Error::DomainEmpty
        | Error::DomainTooLong
        | Error::SubDomainEmpty
        | Error::SubDomainTooLong
        | Error::DomainTooFew
        | Error::DomainInvalidSeparator
        | Error::InvalidIPAddress
        | Error::UnsupportedDomainLiteral => ContactError::Domain,
        Error::UnsupportedDisplayName | Error::MissingDisplayName | Error::MissingEndBracket => {
            ContactError::DisplayName
        }
        Error::InvalidCharacter
        | Error::MissingSeparator
        | Error::LocalPartEmpty
        | Error::UnbalancedQuotes
        | Error::InvalidComment => ContactError::NotAnEmail,
    }
}
