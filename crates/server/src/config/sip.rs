//! `[sip]`: our own SIP end: sockets, certificates, and the registrar for agents' phones.

use super::secret::Secret;
use ringback_channels::sip::DirectRoute;
use ringback_scheduling::Span;
use ringback_sip::{Algorithm, Listen, RegistrarConfig, SipConfig, Timers, TlsFiles, Transport};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sip {
    /// Sockets, each `udp:`, `tcp:` or `tls:` and an address with port. None: no SIP at all, and no voice or
    /// VoIP callbacks. Port 0 takes a free one.
    pub listen: Vec<SipSocket>,
    /// Name or address under which phones and trunks reach us, when it is not the one we listen on
    /// (behind NAT, or when listening on 0.0.0.0).
    pub public_host: Option<String>,
    /// What we call ourselves in `User-Agent`.
    pub user_agent: String,
    /// After this long without a refresh a call counts as dead and both legs are ended (RFC 4028; a length
    /// of time, 90 seconds to 2 hours).
    pub session_expires: Span,
    /// Calls at one time over all routes (1 to 100000).
    pub max_calls: usize,
    /// TCP and TLS connections from outside held at one time (1 to 100000).
    pub max_connections: usize,
    /// Name servers to ask instead of the system's, each an address with port.
    pub name_servers: Vec<SocketAddr>,
    /// Certificates. Needed to listen on `tls:`; `ca` alone is enough to call over TLS.
    pub tls: Option<Tls>,
    /// Lets agents' phones register with Ringback. Without it agents are reached through a PBX or by SIP URI.
    pub registrar: Option<Registrar>,
    /// Calls straight to a customer's own SIP address, the route `direct`.
    pub direct: DirectRoute,
}

/// `[sip.tls]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM file with our certificate and its chain.
    pub cert: Option<PathBuf>,
    /// PEM file with its private key.
    pub key: Option<PathBuf>,
    /// PEM file with the authorities that peers are checked against, in place of the system's.
    pub ca: Option<PathBuf>,
}

/// `[sip.registrar]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registrar {
    /// Realm in the challenge; phones compute their digest over it.
    pub realm: String,
    /// Shortest registration accepted (a length of time).
    pub min_expires: Span,
    /// Longest registration given (a length of time).
    pub max_expires: Span,
    /// Phones one user may have registered at a time (1 to 100).
    pub max_contacts: usize,
    /// Digest algorithms in the order they are offered: `SHA-256`, `MD5`. Some older phones (baresip 1.0 among them)
    /// need `["MD5"]` alone.
    pub algorithms: Vec<Algorithm>,
    /// Phones that may register, each `{ name = "…", password = "…" }` or `{ name = "…", password_file = "…" }`.
    pub users: Vec<PhoneUser>,
}

/// One entry of `users` in `[sip.registrar]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhoneUser {
    /// User name; an agent whose `dn` is this name is rung on the phone registered under it.
    pub name: String,
    /// Password of the phone.
    #[serde(default)]
    pub password: Option<Secret>,
    /// File whose first line is the password, so that it need not stand here.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

impl Default for Sip {
    fn default() -> Self {
        let engine = SipConfig::default();
        Sip {
            listen: Vec::new(),
            public_host: None,
            user_agent: engine.user_agent,
            session_expires: Span::from_mins(30),
            max_calls: engine.max_calls,
            max_connections: engine.max_connections,
            name_servers: Vec::new(),
            tls: None,
            registrar: None,
            direct: DirectRoute::default(),
        }
    }
}

impl Default for Registrar {
    fn default() -> Self {
        Registrar {
            realm: "ringback".to_owned(),
            min_expires: Span::from_secs(60),
            max_expires: Span::from_hours(1),
            max_contacts: 4,
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
            users: Vec::new(),
        }
    }
}

impl Sip {
    /// Reads password files and makes paths whole. Complaints name the key.
    pub fn resolve(&mut self, base: &Path, complain: &mut dyn FnMut(&str, String)) {
        if let Some(tls) = &mut self.tls {
            for path in [&mut tls.cert, &mut tls.key, &mut tls.ca]
                .into_iter()
                .flatten()
            {
                *path = base.join(&path);
            }
        }
        let Some(registrar) = &mut self.registrar else {
            return;
        };
        for (index, user) in registrar.users.iter_mut().enumerate() {
            let key = format!("registrar.users[{index}]");
            match (&user.password, &user.password_file) {
                (Some(_), None) => {}
                (None, Some(path)) => match Secret::read(&base.join(path)) {
                    Ok(secret) => user.password = Some(secret),
                    Err(reason) => complain(&format!("{key}.password_file"), reason),
                },
                (Some(_), Some(_)) => complain(
                    &key,
                    "has both password and password_file; write one".to_owned(),
                ),
                (None, None) => complain(&key, "needs a password or a password_file".to_owned()),
            }
        }
    }

    pub fn check(&self, complain: &mut dyn FnMut(&str, String)) {
        if !(90..=7200).contains(&self.session_expires.as_secs()) {
            complain("session_expires", "must be between 90s and 2h".to_owned());
        }
        for (key, value) in [
            ("max_calls", self.max_calls),
            ("max_connections", self.max_connections),
        ] {
            if !(1..=100_000).contains(&value) {
                complain(key, "must be between 1 and 100000".to_owned());
            }
        }
        if self.user_agent.chars().any(char::is_control) || self.user_agent.len() > 200 {
            complain(
                "user_agent",
                "must be one line of at most 200 characters".to_owned(),
            );
        }
        if self
            .public_host
            .as_deref()
            .is_some_and(|host| !is_host(host))
        {
            complain(
                "public_host",
                "must be a host name or an IP address, without port".to_owned(),
            );
        }
        let tls_listens = self
            .listen
            .iter()
            .any(|socket| socket.0.transport == Transport::Tls);
        let has_pair = self
            .tls
            .as_ref()
            .is_some_and(|tls| tls.cert.is_some() && tls.key.is_some());
        if tls_listens && !has_pair {
            complain(
                "listen",
                "has a tls: socket, which needs cert and key in [sip.tls]".to_owned(),
            );
        }
        for (key, path) in self.tls.iter().flat_map(|t| {
            [
                ("tls.cert", &t.cert),
                ("tls.key", &t.key),
                ("tls.ca", &t.ca),
            ]
        }) {
            if let Some(path) = path
                && let Err(error) = std::fs::File::open(path)
            {
                complain(key, format!("cannot read {}: {error}", path.display()));
            }
        }
        if let Some(registrar) = &self.registrar {
            registrar.check(complain);
            if self.listen.is_empty() {
                complain(
                    "registrar",
                    "needs a socket in listen: phones must find us".to_owned(),
                );
            }
        }
    }

    /// What the engine is started with; `None` when there is nothing to listen on.
    pub fn engine(&self) -> Option<SipConfig> {
        if self.listen.is_empty() {
            return None;
        }
        Some(SipConfig {
            listen: self.listen.iter().map(|socket| socket.0).collect(),
            public_host: self.public_host.clone(),
            user_agent: self.user_agent.clone(),
            tls: self.tls.as_ref().map(|tls| TlsFiles {
                cert: tls.cert.clone(),
                key: tls.key.clone(),
                ca: tls.ca.clone(),
            }),
            registrar: self.registrar.as_ref().map(Registrar::engine),
            session_expires: self.session_expires.as_duration(),
            max_calls: self.max_calls,
            max_connections: self.max_connections,
            name_servers: self.name_servers.clone(),
            timers: Timers {
                // Somebody may be on the line while a dead route is found out: five INVITEs are enough.
                silence: Duration::from_secs(10),
                // An INVITE leaves when its record is on the disk.
                record: Duration::from_secs(2),
                ..Timers::default()
            },
        })
    }
}

impl Registrar {
    fn check(&self, complain: &mut dyn FnMut(&str, String)) {
        let mut names = BTreeSet::new();
        for (index, user) in self.users.iter().enumerate() {
            let key = format!("registrar.users[{index}].name");
            if user.name.is_empty()
                || user.name.len() > 64
                || !user
                    .name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
            {
                complain(
                    &key,
                    "must have 1 to 64 letters, digits, '-', '_', '.' or '+'".to_owned(),
                );
            }
            if !names.insert(&user.name) {
                complain(&key, "is given twice".to_owned());
            }
        }
        if self.realm.is_empty()
            || self.realm.contains(['"', '\\'])
            || self.realm.chars().any(char::is_control)
        {
            complain(
                "registrar.realm",
                "must be a word or name without quotes".to_owned(),
            );
        }
        if self.min_expires > self.max_expires {
            complain(
                "registrar.min_expires",
                "must not be longer than max_expires".to_owned(),
            );
        }
        if !(1..=100).contains(&self.max_contacts) {
            complain(
                "registrar.max_contacts",
                "must be between 1 and 100".to_owned(),
            );
        }
        if self.algorithms.is_empty() {
            complain("registrar.algorithms", "must name at least one".to_owned());
        }
    }

    fn engine(&self) -> RegistrarConfig {
        RegistrarConfig {
            realm: self.realm.clone(),
            users: self
                .users
                .iter()
                .filter_map(|user| {
                    Some((
                        user.name.clone(),
                        user.password.as_ref()?.expose().to_owned(),
                    ))
                })
                .collect(),
            min_expires: self.min_expires.as_duration(),
            max_expires: self.max_expires.as_duration(),
            max_contacts: self.max_contacts,
            algorithms: self.algorithms.clone(),
        }
    }
}

/// A socket as it is written: `udp:127.0.0.1:5060`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SipSocket(pub Listen);

impl Serialize for SipSocket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!(
            "{}:{}",
            self.0.transport.uri_word(),
            self.0.addr
        ))
    }
}

impl<'de> Deserialize<'de> for SipSocket {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let socket = text.split_once(':').and_then(|(word, addr)| {
            Some(Listen {
                transport: Transport::from_word(word)?,
                addr: addr.parse().ok()?,
            })
        });
        let wrong = || {
            serde::de::Error::custom(
                "must be udp:, tcp: or tls: and an address with port, like udp:0.0.0.0:5060",
            )
        };
        socket.map(SipSocket).ok_or_else(wrong)
    }
}

fn is_host(text: &str) -> bool {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<std::net::IpAddr>().is_ok()
        || (!text.is_empty()
            && text.len() <= 253
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.'))
}
