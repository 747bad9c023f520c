//! What the engine is told at start: where to listen, whom to trust, how patient to be.

use std::{collections::HashMap, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

/// How SIP messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    /// The word used in Via headers.
    pub fn via_word(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        }
    }

    /// The word used in URI parameters.
    pub fn uri_word(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }

    /// The port meant when a URI names none.
    pub fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
        }
    }

    /// Reads a URI or Via word; anything unknown is `None`.
    pub fn from_word(word: &str) -> Option<Transport> {
        [Transport::Udp, Transport::Tcp, Transport::Tls]
            .into_iter()
            .find(|t| t.uri_word().eq_ignore_ascii_case(word))
    }
}

/// One socket to listen on. Port 0 asks the system for a free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    pub transport: Transport,
    pub addr: SocketAddr,
}

/// PEM files for TLS. Certificate and key are needed to listen; the CA file replaces the system's roots
/// when we verify peers.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub ca: Option<PathBuf>,
}

/// Digest algorithms, weakest first so that `max` picks the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    #[serde(rename = "MD5")]
    Md5,
    #[serde(rename = "SHA-256")]
    Sha256,
}

/// The small registrar for agents' phones.
#[derive(Clone)]
pub struct RegistrarConfig {
    pub realm: String,
    /// User name to password.
    pub users: HashMap<String, String>,
    pub min_expires: Duration,
    pub max_expires: Duration,
    /// Contacts one user may have at a time.
    pub max_contacts: usize,
    /// Offered in this order. Some older phones (baresip 1.0 among them) fail when any offer is
    /// not MD5: give those `[Md5]` alone.
    pub algorithms: Vec<Algorithm>,
}

impl Default for RegistrarConfig {
    fn default() -> Self {
        RegistrarConfig {
            realm: "ringback".to_owned(),
            users: HashMap::new(),
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(3600),
            max_contacts: 4,
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
        }
    }
}

impl fmt::Debug for RegistrarConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistrarConfig")
            .field("realm", &self.realm)
            .field("users", &self.users.len())
            .finish_non_exhaustive()
    }
}

/// Every wait of the engine, so that tests can be quick and slow networks patient.
#[derive(Clone, Copy, Debug)]
pub struct Timers {
    /// RFC 3261 T1; retransmissions and transaction timeouts follow from it.
    pub t1: Duration,
    /// How long an INVITE may stay without any response before its route counts as dead.
    pub silence: Duration,
    /// How long `bridge` waits for a cancelled or hung-up leg before it leaves the rest to the background.
    pub farewell: Duration,
    /// Opening a TCP connection or a TLS session.
    pub connect: Duration,
    /// A DNS answer.
    pub dns: Duration,
    /// A re-INVITE or UPDATE to be answered.
    pub renegotiate: Duration,
    /// How long late answers of ended or orphaned legs are still looked after.
    pub aftercare: Duration,
    /// How long an INVITE waits until its record is kept (see [`Receipt`](crate::Receipt)); nought: not at all.
    pub record: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Timers {
            t1: Duration::from_millis(500),
            silence: Duration::from_secs(32),
            farewell: Duration::from_secs(4),
            connect: Duration::from_secs(5),
            dns: Duration::from_secs(5),
            renegotiate: Duration::from_secs(20),
            aftercare: Duration::from_secs(40),
            record: Duration::ZERO,
        }
    }
}

/// Everything the engine needs to start.
#[derive(Clone, Debug)]
pub struct SipConfig {
    pub listen: Vec<Listen>,
    /// Name or address peers reach us at, when it is not the one we are bound to.
    pub public_host: Option<String>,
    pub user_agent: String,
    pub tls: Option<TlsFiles>,
    pub registrar: Option<RegistrarConfig>,
    pub timers: Timers,
    pub session_expires: Duration,
    /// Bridges under way at once; more are refused.
    pub max_calls: usize,
    /// Inbound TCP and TLS connections held at once.
    pub max_connections: usize,
    /// Name servers to ask instead of the system's.
    pub name_servers: Vec<SocketAddr>,
}

impl Default for SipConfig {
    fn default() -> Self {
        SipConfig {
            listen: Vec::new(),
            public_host: None,
            user_agent: concat!("Ringback/", env!("CARGO_PKG_VERSION")).to_owned(),
            tls: None,
            registrar: None,
            timers: Timers::default(),
            session_expires: Duration::from_secs(1800),
            max_calls: 4000,
            max_connections: 1024,
            name_servers: Vec::new(),
        }
    }
}
