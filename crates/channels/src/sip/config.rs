//! A SIP route as an administrator writes it, and what it means to the engine.

use crate::route::{LimitError, RouteLimits};
use ringback_callbacks::contact::PhoneNumber;
use ringback_scheduling::duration::Span;
use ringback_sip::{Credentials, SipUri, Target, Transport, Trunk};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// A trunk or PBX: `[[routes]]` with `kind = "sip"`. Unknown keys are refused.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SipRoute {
    /// What queues and agents call it, and the resource's `location`. `direct` and `registrar` are taken.
    pub name: String,
    /// Address of the trunk or PBX, like `sip:trunk.example.com` or `sip:192.0.2.7:5080;transport=tcp`.
    /// A name without a port is looked up by SRV.
    pub uri: SipUri,
    /// Host of request URIs when it is not that of `uri`; requests are then sent to `uri` as outbound proxy.
    #[serde(default)]
    pub domain: Option<String>,
    /// Another server that requests go through on their way to `uri`.
    #[serde(default)]
    pub proxy: Option<SipUri>,
    /// `udp`, `tcp` or `tls`, when neither `uri` nor `proxy` says; by DNS, else UDP, if absent.
    #[serde(default)]
    pub transport: Option<Transport>,
    /// Digest user. Without it, challenges are not answered.
    #[serde(default)]
    pub user: Option<String>,
    /// Its password.
    #[serde(default)]
    pub password: Option<String>,
    /// File that holds the password, and nothing else, in place of `password`.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Only challenges of this realm are answered.
    #[serde(default)]
    pub realm: Option<String>,
    /// Our own address on this trunk, like `sip:+15550100@trunk.example.com`.
    #[serde(default)]
    pub from: Option<SipUri>,
    /// Name shown beside the number.
    #[serde(default)]
    pub from_display: Option<String>,
    /// Where a queue's caller id goes.
    #[serde(default)]
    pub caller_id: CallerId,
    /// Digits or marks before the number, for a PBX that wants a 0 or 9 to get a line.
    #[serde(default)]
    pub dial_prefix: String,
    /// Whether numbers are dialled as `+14155550123` (RFC 3966) or as `14155550123`.
    #[serde(default = "yes")]
    pub plus: bool,
    /// Ask for session timers (RFC 4028), so that a peer that vanished in mid-call is noticed.
    #[serde(default = "yes")]
    pub session_timer: bool,
    /// Customers called per second.
    #[serde(default = "defaults::calls_per_second")]
    pub calls_per_second: f64,
    /// Calls to customers at one time.
    #[serde(default = "defaults::concurrent")]
    pub concurrent: u32,
    /// How often it is asked (OPTIONS) whether it is there; `0s`: never.
    #[serde(default = "defaults::ping")]
    pub ping: Span,
}

/// How a queue's own caller id is told to the trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallerId {
    /// Not at all: the trunk shows its own number.
    #[default]
    Own,
    /// As the user part of From.
    From,
    /// As P-Asserted-Identity, with `from` as it is configured.
    Asserted,
    /// In both.
    Both,
}

/// Calls straight to a customer's own SIP address: `[sip.direct]`. The route's name is `direct`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DirectRoute {
    /// Our address as customers see it; made from the listening address if absent.
    pub from: Option<SipUri>,
    /// Name shown beside our address.
    pub from_display: Option<String>,
    /// Ask for session timers (RFC 4028), so that a peer that vanished in mid-call is noticed.
    pub session_timer: bool,
    /// Customers called per second.
    pub calls_per_second: f64,
    /// Calls to customers at one time.
    pub concurrent: u32,
}

impl Default for DirectRoute {
    fn default() -> Self {
        DirectRoute {
            from: None,
            from_display: None,
            session_timer: true,
            calls_per_second: defaults::calls_per_second(),
            concurrent: defaults::concurrent(),
        }
    }
}

/// Name of the route to a customer's own SIP address.
pub const DIRECT: &str = "direct";
/// Name of the way to phones that have registered with us.
pub const REGISTRAR: &str = "registrar";

/// What is wrong with a route's settings. Holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    #[error(
        "route `{0}`: the name must have 1 to 100 letters, digits or - _ . and be neither `direct` nor `registrar`"
    )]
    Name(String),
    #[error("route `{0}` is configured twice")]
    Twice(String),
    #[error("route `{name}`: `{field}` {problem}")]
    Field {
        name: String,
        field: &'static str,
        problem: &'static str,
    },
    #[error("route `{name}`: the password file cannot be read: {error}")]
    PasswordFile { name: String, error: std::io::Error },
    #[error("route `{name}`: {error}")]
    Limits { name: String, error: LimitError },
}

impl SipRoute {
    /// What would keep it from starting; asked before anything else is started.
    pub fn check(&self) -> Result<(), RouteError> {
        Way::new(self).map(drop)
    }
}

/// A route checked once, so that placing a call cannot fail for its settings.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) name: String,
    pub(super) limits: RouteLimits,
    pub(super) ping: Span,
    trunk: Trunk,
    /// Request URIs are this with another user.
    server: SipUri,
    /// Set when the server itself must be named as proxy for a foreign request URI.
    uri: SipUri,
    caller_id: CallerId,
    prefix: String,
    plus: bool,
}

impl Way {
    pub(super) fn new(route: &SipRoute) -> Result<Way, RouteError> {
        let wrong = |field, problem| RouteError::Field {
            name: route.name.clone(),
            field,
            problem,
        };
        if !is_name(&route.name) || [DIRECT, REGISTRAR].contains(&route.name.as_str()) {
            return Err(RouteError::Name(route.name.clone()));
        }
        if route.uri.user().is_some() {
            return Err(wrong("uri", "must name the server alone, without a user"));
        }
        if !route
            .dial_prefix
            .bytes()
            .all(|b| b.is_ascii_digit() || b"*+".contains(&b))
            || route.dial_prefix.len() > 20
        {
            return Err(wrong("dial_prefix", "must be at most 20 digits, * or +"));
        }
        let server = match &route.domain {
            Some(domain) => SipUri::new(None, domain)
                .map_err(|_| wrong("domain", "must be a host name or address"))?,
            None => route.uri.clone(),
        };
        let behind = route.domain.is_some().then(|| route.uri.clone());
        let trunk = Trunk {
            outbound_proxy: route.proxy.clone().or(behind),
            transport: route.transport,
            credentials: credentials(route)?,
            from: route.from.clone(),
            from_display: route.from_display.clone(),
            session_timer: route.session_timer,
            ping_uri: Some(route.uri.clone()),
            ..Trunk::default()
        };
        let limits =
            RouteLimits::new(route.calls_per_second, route.concurrent).map_err(|error| {
                RouteError::Limits {
                    name: route.name.clone(),
                    error,
                }
            })?;
        Ok(Way {
            name: route.name.clone(),
            limits,
            ping: route.ping,
            trunk,
            server,
            uri: route.uri.clone(),
            caller_id: route.caller_id,
            prefix: route.dial_prefix.clone(),
            plus: route.plus,
        })
    }

    pub(super) fn trunk(&self) -> &Trunk {
        &self.trunk
    }

    /// The target for a telephone number: nothing but the prefix and the parsed digits reach the URI.
    pub(super) fn number(&self, number: &PhoneNumber, caller_id: Option<&str>) -> Option<Target> {
        let plus = if self.plus { "+" } else { "" };
        let user = format!("{}{plus}{}", self.prefix, number.dialled_digits());
        let uri = self.server.clone().with_user(Some(&user)).ok()?;
        Some(Target::new(&self.name, uri, self.showing(caller_id)))
    }

    /// The target for an extension or queue of the PBX.
    pub(super) fn extension(&self, dn: &str) -> Option<Target> {
        let uri = self.server.clone().with_user(Some(dn)).ok()?;
        Some(Target::new(&self.name, uri, self.trunk.clone()))
    }

    /// The target for somebody else's address, sent through this route as a proxy.
    pub(super) fn address(&self, uri: SipUri, caller_id: Option<&str>) -> Target {
        let mut trunk = self.showing(caller_id);
        trunk.outbound_proxy = trunk.outbound_proxy.or_else(|| Some(self.uri.clone()));
        Target::new(&self.name, uri, trunk)
    }

    fn showing(&self, caller_id: Option<&str>) -> Trunk {
        let mut trunk = self.trunk.clone();
        let host = trunk.from.as_ref().unwrap_or(&self.server).clone();
        let Some(shown) = caller_id.and_then(|id| host.with_user(Some(id)).ok()) else {
            return trunk;
        };
        match self.caller_id {
            CallerId::Own => {}
            CallerId::From => trunk.from = Some(shown),
            CallerId::Asserted => trunk.asserted_identity = Some(shown),
            CallerId::Both => {
                trunk.from = Some(shown.clone());
                trunk.asserted_identity = Some(shown);
            }
        }
        trunk
    }
}

impl DirectRoute {
    /// Whether its limits make sense.
    pub fn check(&self) -> Result<(), RouteError> {
        self.limits().map(drop)
    }

    pub(super) fn trunk(&self) -> Trunk {
        Trunk {
            from: self.from.clone(),
            from_display: self.from_display.clone(),
            session_timer: self.session_timer,
            ..Trunk::default()
        }
    }

    pub(super) fn limits(&self) -> Result<RouteLimits, RouteError> {
        RouteLimits::new(self.calls_per_second, self.concurrent).map_err(|error| {
            RouteError::Limits {
                name: DIRECT.to_owned(),
                error,
            }
        })
    }
}

impl fmt::Debug for SipRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SipRoute")
            .field("name", &self.name)
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for DirectRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectRoute")
            .field("concurrent", &self.concurrent)
            .finish_non_exhaustive()
    }
}

/// Names appear in logs, metrics and the API.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn credentials(route: &SipRoute) -> Result<Option<Credentials>, RouteError> {
    let wrong = |field, problem| RouteError::Field {
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
            let text = std::fs::read_to_string(file).map_err(|error| RouteError::PasswordFile {
                name: route.name.clone(),
                error,
            })?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        (None, None) => None,
    };
    match (&route.user, password) {
        (Some(user), Some(password)) => Ok(Some(Credentials {
            user: user.clone(),
            password,
            realm: route.realm.clone(),
        })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(wrong("user", "needs `password` or `password_file`")),
        (None, Some(_)) => Err(wrong("password", "needs `user`")),
    }
}

fn yes() -> bool {
    true
}

mod defaults {
    use super::Span;

    pub fn calls_per_second() -> f64 {
        10.0
    }
    pub fn concurrent() -> u32 {
        100
    }
    pub fn ping() -> Span {
        Span::from_secs(30)
    }
}

#[cfg(test)]
mod tests;
