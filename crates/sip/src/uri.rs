//! A SIP address that cannot be wrong: built from checked parts, so nothing typed by a person can
//! add a header, a parameter or a second line.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::Transport;

/// Why a URI was refused. The offending text is not repeated: it may be a person's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    #[error("not a sip: or sips: address")]
    Scheme,
    #[error("the user part has a character that is not allowed, or is too long")]
    User,
    #[error("the host is neither a name nor an address")]
    Host,
    #[error("the port is not a number from 1 to 65535")]
    Port,
    #[error("a parameter is not known here; only transport=udp, tcp or tls and lr are")]
    Parameter,
}

/// `sip:user@host:port;transport=x`, and nothing more.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SipUri {
    secure: bool,
    user: Option<String>,
    host: String,
    port: Option<u16>,
    transport: Option<Transport>,
}

impl SipUri {
    /// A URI for `user` at `host`. The user may be digits, `+` and a few harmless ASCII marks.
    pub fn new(user: Option<&str>, host: &str) -> Result<SipUri, UriError> {
        if let Some(user) = user {
            check_user(user)?;
        }
        Ok(SipUri {
            secure: false,
            user: user.map(str::to_owned),
            host: check_host(host)?,
            port: None,
            transport: None,
        })
    }

    pub fn with_port(mut self, port: u16) -> Result<SipUri, UriError> {
        if port == 0 {
            return Err(UriError::Port);
        }
        self.port = Some(port);
        Ok(self)
    }

    pub fn with_transport(mut self, transport: Transport) -> SipUri {
        self.transport = Some(transport);
        self
    }

    pub fn secure(mut self) -> SipUri {
        self.secure = true;
        self
    }

    /// The same server, asked for another user.
    pub fn with_user(mut self, user: Option<&str>) -> Result<SipUri, UriError> {
        if let Some(user) = user {
            check_user(user)?;
        }
        self.user = user.map(str::to_owned);
        Ok(self)
    }

    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> Option<u16> {
        self.port
    }

    pub fn transport(&self) -> Option<Transport> {
        self.transport
    }

    pub fn is_secure(&self) -> bool {
        self.secure
    }
}

impl FromStr for SipUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<SipUri, UriError> {
        let (scheme, rest) = text.split_once(':').ok_or(UriError::Scheme)?;
        let secure = if scheme.eq_ignore_ascii_case("sip") {
            false
        } else if scheme.eq_ignore_ascii_case("sips") {
            true
        } else {
            return Err(UriError::Scheme);
        };
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let (address, parameters) = match rest.split_once(';') {
            Some((address, parameters)) => (address, parameters),
            None => (rest, ""),
        };
        let (host, port) = split_port(address)?;
        let mut uri = SipUri::new(user, host)?;
        uri.secure = secure;
        if let Some(port) = port {
            uri = uri.with_port(port)?;
        }
        for parameter in parameters.split(';').filter(|p| !p.is_empty()) {
            match parameter.split_once('=') {
                Some((name, word)) if name.eq_ignore_ascii_case("transport") => {
                    uri.transport = Some(Transport::from_word(word).ok_or(UriError::Parameter)?);
                }
                Some(_) => return Err(UriError::Parameter),
                None if parameter.eq_ignore_ascii_case("lr") => {}
                None => return Err(UriError::Parameter),
            }
        }
        Ok(uri)
    }
}

impl fmt::Display for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if let Some(transport) = self.transport {
            write!(f, ";transport={}", transport.uri_word())?;
        }
        Ok(())
    }
}

impl fmt::Debug for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The user part is a person's number more often than not.
        let user = if self.user.is_some() { "***@" } else { "" };
        write!(f, "sip:{user}{}", self.host)
    }
}

impl Serialize for SipUri {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SipUri {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SipUri, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
pub(crate) fn split_port(address: &str) -> Result<(&str, Option<u16>), UriError> {
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, tail) = rest.split_once(']').ok_or(UriError::Host)?;
        match tail.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if tail.is_empty() => (host, None),
            None => return Err(UriError::Host),
        }
    } else {
        match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        }
    };
    let port = match port {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => Some(
            digits
                .parse::<u16>()
                .ok()
                .filter(|p| *p != 0)
                .ok_or(UriError::Port)?,
        ),
        Some(_) => return Err(UriError::Port),
        None => None,
    };
    Ok((host, port))
}

fn check_user(user: &str) -> Result<(), UriError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()+&=$/".contains(&b);
    if user.is_empty() || user.len() > 128 || !user.bytes().all(allowed) {
        return Err(UriError::User);
    }
    Ok(())
}

fn check_host(host: &str) -> Result<String, UriError> {
    let bare = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let name = bare.strip_suffix('.').unwrap_or(bare);
    // A last label of digits only would be read as a broken IPv4 address by somebody.
    let numeric_tail = name
        .rsplit('.')
        .next()
        .is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    if name.is_empty() || name.len() > 253 || numeric_tail || !name.split('.').all(label) {
        return Err(UriError::Host);
    }
    Ok(name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_and_writes_the_forms_we_use() {
        for (text, written) in [
            (
                "sip:+33123456789@sip.example.org",
                "sip:+33123456789@sip.example.org",
            ),
            ("SIP:101@192.0.2.1:5070", "sip:101@192.0.2.1:5070"),
            (
                "sips:bob@Example.org;transport=TLS",
                "sips:bob@example.org;transport=tls",
            ),
            (
                "sip:[2001:db8::1]:5060;transport=tcp",
                "sip:[2001:db8::1]:5060;transport=tcp",
            ),
            ("sip:proxy.example.org;lr", "sip:proxy.example.org"),
        ] {
            let uri: SipUri = text.parse().unwrap();
            assert_eq!(uri.to_string(), written);
        }
    }

    #[test]
    fn refuses_what_could_smuggle() {
        for (text, error) in [
            ("tel:+33123", UriError::Scheme),
            ("sip:a b@example.org", UriError::User),
            ("sip:a\r\nX: y@example.org", UriError::User),
            ("sip:a%0d%0a@example.org", UriError::User),
            ("sip:a@exa mple.org", UriError::Host),
            ("sip:a@1.2.3.999", UriError::Host),
            ("sip:a@example.org:0", UriError::Port),
            ("sip:a@example.org:70000", UriError::Port),
            ("sip:a@example.org;maddr=10.0.0.1", UriError::Parameter),
            ("sip:a@example.org;transport=sctp", UriError::Parameter),
            ("sip:a@example.org?Subject=x", UriError::Host),
            ("sip:@example.org", UriError::User),
        ] {
            assert_eq!(text.parse::<SipUri>().unwrap_err(), error, "{text:?}");
        }
    }

    #[test]
    fn debug_hides_the_number() {
        let uri: SipUri = "sip:+33123456789@example.org".parse().unwrap();
        assert!(!format!("{uri:?}").contains("33123"));
    }

    proptest! {
        #[test]
        fn nothing_parses_into_more_than_one_line(text in "\\PC*|sip:[ -~\\r\\n]{0,40}@[ -~\\r\\n]{0,40}") {
            if let Ok(uri) = text.parse::<SipUri>() {
                let written = uri.to_string();
                prop_assert!(written.bytes().all(|b| b.is_ascii_graphic()));
                prop_assert!(!written.contains(['<', '>', '"', ',', '?']));
                prop_assert_eq!(written.parse::<SipUri>().unwrap(), uri);
            }
        }
    }
}
