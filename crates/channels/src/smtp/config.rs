//! A mail relay as an administrator writes it, and what it means to a session.

use crate::route::{LimitError, RouteLimits};
use crate::sip::config::is_name;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use ringback_scheduling::duration::Span;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A mail relay: `[[routes]]` with `kind = "smtp"`. Unknown keys are refused.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpRoute {
    /// What queues call it, and the resource's `location`.
    pub name: String,
    /// Name or address of the relay.
    pub host: String,
    /// 587 for `starttls`, 465 for `tls`, 25 for `none` if absent.
    #[serde(default)]
    pub port: Option<u16>,
    /// `starttls`, `tls` or `none`; `none` only on this machine unless `allow_plaintext` is set.
    #[serde(default)]
    pub security: Security,
    /// Lets `none` be used beyond this machine: everything, passwords included, can be read on the way.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// User, if the relay asks for one.
    #[serde(default)]
    pub user: Option<String>,
    /// Its password.
    #[serde(default)]
    pub password: Option<String>,
    /// File that holds the password, and nothing else, in place of `password`.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Sender, like `Example Heating <support@example.com>`; a queue may have its own.
    pub from: String,
    /// How we name ourselves to the relay; this machine's name if absent.
    #[serde(default)]
    pub helo: Option<String>,
    /// Certificates (PEM) to trust in place of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Connections at one time, and kept for the next message.
    #[serde(default = "defaults::pool")]
    pub pool: u32,
    /// Messages handed over per second.
    #[serde(default = "defaults::messages_per_second")]
    pub messages_per_second: f64,
    /// Longest wait for a connection and for each answer.
    #[serde(default = "defaults::timeout")]
    pub timeout: Span,
    /// Longest wait while the message itself is handed over: relays check and store it before they answer.
    #[serde(default = "defaults::data_timeout")]
    pub data_timeout: Span,
}

/// How the connection is protected. A protected one is never given up for a plain one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    None,
    #[default]
    Starttls,
    Tls,
}

/// What is wrong with a relay's settings. Holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error("route `{0}`: the name must have 1 to 100 letters, digits or - _ .")]
    Name(String),
    #[error("route `{0}` is configured twice")]
    Twice(String),
    #[error("route `{name}`: `{field}` {problem}")]
    Field {
        name: String,
        field: &'static str,
        problem: &'static str,
    },
    #[error("route `{name}`: the file of `{field}` cannot be read: {error}")]
    File {
        name: String,
        field: &'static str,
        error: std::io::Error,
    },
    #[error("route `{name}`: {error}")]
    Limits { name: String, error: LimitError },
}

impl SmtpRoute {
    /// What would keep it from starting; asked before anything else is started.
    pub fn check(&self) -> Result<(), RelayError> {
        Relay::new(self).map(drop)
    }
}

/// A relay checked once, so that sending cannot fail for its settings.
pub(super) struct Relay {
    pub(super) name: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    /// Present unless the connection is plain.
    pub(super) tls: Option<TlsParameters>,
    pub(super) credentials: Option<Credentials>,
    pub(super) from: Mailbox,
    pub(super) helo: ClientId,
    pub(super) limits: RouteLimits,
    pub(super) pool: usize,
    pub(super) timeout: Duration,
    pub(super) data_timeout: Duration,
}

impl Relay {
    pub(super) fn new(route: &SmtpRoute) -> Result<Relay, RelayError> {
        let wrong = |field, problem| RelayError::Field {
            name: route.name.clone(),
            field,
            problem,
        };
        if !is_name(&route.name) {
            return Err(RelayError::Name(route.name.clone()));
        }
        if !is_host(&route.host) {
            return Err(wrong("host", "must be a host name or an IP address"));
        }
        let plain = route.security == Security::None;
        if plain && !route.allow_plaintext && !is_this_machine(&route.host) {
            return Err(wrong(
                "security",
                "may be `none` only to this machine, or with `allow_plaintext = true`",
            ));
        }
        let from = route
            .from
            .parse()
            .map_err(|_| wrong("from", "must be an address, alone or as `Name <address>`"))?;
        let helo = match &route.helo {
            Some(name) if is_host(name) => ClientId::Domain(name.clone()),
            Some(_) => return Err(wrong("helo", "must be a host name")),
            None => ClientId::default(),
        };
        if route.timeout.is_zero() || route.data_timeout.is_zero() {
            return Err(wrong("timeout", "and `data_timeout` must not be nought"));
        }
        let default_port = match route.security {
            Security::None => 25,
            Security::Starttls => 587,
            Security::Tls => 465,
        };
        let limits = RouteLimits::new(route.messages_per_second, route.pool).map_err(|error| {
            RelayError::Limits {
                name: route.name.clone(),
                error,
            }
        })?;
        Ok(Relay {
            name: route.name.clone(),
            host: route.host.clone(),
            port: route.port.unwrap_or(default_port),
            security: route.security,
            tls: if plain { None } else { Some(tls(route)?) },
            credentials: credentials(route)?,
            from,
            helo,
            limits,
            pool: usize::try_from(route.pool).unwrap_or(usize::MAX),
            timeout: route.timeout.as_duration(),
            data_timeout: route.data_timeout.as_duration(),
        })
    }
}

impl fmt::Debug for SmtpRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpRoute")
            .field("name", &self.name)
            .field("host", &self.host)
            .field("security", &self.security)
            .finish_non_exhaustive()
    }
}

fn tls(route: &SmtpRoute) -> Result<TlsParameters, RelayError> {
    let wrong = |field, problem| RelayError::Field {
        name: route.name.clone(),
        field,
        problem,
    };
    let mut builder = TlsParameters::builder(route.host.clone());
    if let Some(file) = &route.ca_file {
        let pem = std::fs::read(file).map_err(|error| file_error(route, "ca_file", error))?;
        let trusted = Certificate::from_pem(&pem)
            .map_err(|_| wrong("ca_file", "holds no certificates in PEM form"))?;
        builder = builder
            .certificate_store(CertificateStore::None)
            .add_root_certificate(trusted);
    }
    builder
        .build()
        .map_err(|_| wrong("ca_file", "cannot be used to verify the relay"))
}

fn credentials(route: &SmtpRoute) -> Result<Option<Credentials>, RelayError> {
    let wrong = |field, problem| RelayError::Field {
        name: route.name.clone(),
        field,
        problem,
    };
    let password = match (&route.password, &route.password_file) {
        (Some(_), Some(_)) => {
            return Err(wrong("password", "and `password_file` exclude each other"));
        }
        (Some(password), None) => Some(password.clone()),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| file_error(route, "password_file", error))?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        (None, None) => None,
    };
    match (&route.user, password) {
        (Some(user), Some(password)) => Ok(Some(Credentials::new(user.clone(), password))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(wrong("user", "needs `password` or `password_file`")),
        (None, Some(_)) => Err(wrong("password", "needs `user`")),
    }
}

fn file_error(route: &SmtpRoute, field: &'static str, error: std::io::Error) -> RelayError {
    RelayError::File {
        name: route.name.clone(),
        field,
        error,
    }
}

fn is_host(host: &str) -> bool {
    let name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
    host.parse::<IpAddr>().is_ok()
        || (!host.is_empty() && host.len() <= 253 && host.chars().all(name))
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

mod defaults {
    use super::Span;

    pub fn pool() -> u32 {
        4
    }
    pub fn messages_per_second() -> f64 {
        10.0
    }
    pub fn timeout() -> Span {
        Span::from_secs(30)
    }
    pub fn data_timeout() -> Span {
        Span::from_secs(120)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn relay(mut settings: Value) -> Result<Relay, String> {
        for (key, value) in [
            ("name", "relay"),
            ("host", "mail.example.com"),
            ("from", "Acme <support@example.com>"),
        ] {
            settings[key] = settings.get(key).cloned().unwrap_or(json!(value));
        }
        let route: SmtpRoute =
            serde_json::from_value(settings).map_err(|error| error.to_string())?;
        Relay::new(&route).map_err(|error| error.to_string())
    }

    #[test]
    fn protection_is_the_default() {
        let plain = relay(json!({})).expect("a relay");
        assert_eq!(
            (plain.security, plain.port, plain.tls.is_some()),
            (Security::Starttls, 587, true)
        );
        for (settings, port) in [
            (json!({"security": "tls"}), 465),
            (json!({"security": "none", "host": "127.0.0.1"}), 25),
            (json!({"security": "none", "host": "::1"}), 25),
            (
                json!({"security": "none", "host": "LOCALHOST", "port": 2525}),
                2525,
            ),
            (json!({"security": "none", "allow_plaintext": true}), 25),
        ] {
            let made =
                relay(settings.clone()).unwrap_or_else(|error| panic!("{settings}: {error}"));
            assert_eq!(made.port, port, "{settings}");
        }
    }

    #[test]
    fn wrong_settings_are_refused_by_name() {
        for (settings, says) in [
            (json!({"security": "none"}), "allow_plaintext"),
            (json!({"name": ""}), "the name must"),
            (json!({"host": "a b"}), "`host`"),
            (json!({"from": "nobody"}), "`from`"),
            (json!({"from": "a@b.example\r\nBcc: x@y.example"}), "`from`"),
            (json!({"helo": "a\r\nb"}), "`helo`"),
            (json!({"user": "u"}), "`user` needs"),
            (json!({"password": "p"}), "`password` needs"),
            (
                json!({"user": "u", "password_file": "/nonexistent/file"}),
                "`password_file` cannot be read",
            ),
            (
                json!({"ca_file": "/nonexistent/file"}),
                "`ca_file` cannot be read",
            ),
            (json!({"pool": 0}), "concurrent"),
            (json!({"timeout": "0s"}), "nought"),
            (json!({"tls": true}), "unknown field `tls`"),
        ] {
            let error = relay(settings.clone())
                .err()
                .unwrap_or_else(|| panic!("{settings} was taken"));
            assert!(error.contains(says), "{settings}: {error}");
        }
    }
}
