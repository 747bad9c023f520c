//! SIP addresses of customers: a user, a host, a port and a transport, and nothing else.
//!
//! A SIP URI can carry header fields, parameters and escapes that end up in requests to third
//! parties. None of them survives: the canonical form is built from the parts that were checked.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;

use super::{ContactError, HIDDEN, holds_hidden_characters, is_host_name};

/// Where a VoIP callback goes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VoipAddress {
    uri: String,
    user: Option<String>,
    host: VoipHost,
    port: Option<u16>,
    transport: Option<VoipTransport>,
    secure: bool,
}

/// The host of a SIP address. A name may of course *resolve* to anything; whoever connects has to
/// look at the address it got.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum VoipHost {
    Name(String),
    Ip(IpAddr),
}

/// The transports an address may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VoipTransport {
    Udp,
    Tcp,
    Tls,
}

impl VoipAddress {
    /// Reads `sip:` and `sips:` URIs, `user@host`, host names and IP addresses.
    pub fn parse(text: &str) -> Result<VoipAddress, ContactError> {
        if text.len() > LONGEST_TEXT {
            return Err(ContactError::TooLong {
                limit: LONGEST_TEXT,
            });
        }
        let text = text.trim_matches(' ');
        if text.is_empty() {
            return Err(ContactError::Empty);
        }
        if holds_hidden_characters(text) || !text.is_ascii() || text.contains([' ', '<', '>', '"'])
        {
            return Err(ContactError::Character);
        }
        let (secure, rest) = scheme(text)?;
        if rest.contains('?') {
            return Err(ContactError::SipHeaders);
        }
        let (address, parameters) = match rest.split_once(';') {
            Some((address, parameters)) => (address, Some(parameters)),
            None => (rest, None),
        };
        let (user, host_port) = match address.rsplit_once('@') {
            Some((user, host_port)) => (Some(checked_user(user)?), host_port),
            None => (None, address),
        };
        let (host, port) = host_and_port(host_port)?;
        let transport = parameters.map(transport).transpose()?;
        if secure && transport == Some(VoipTransport::Udp) {
            return Err(ContactError::SipParameter);
        }
        let mut address = VoipAddress {
            uri: String::new(),
            user,
            host,
            port,
            transport,
            secure,
        };
        address.uri = address.written();
        Ok(address)
    }

    /// The canonical URI in clear, like `sip:anna@example.com:5080;transport=tcp`.
    pub fn expose(&self) -> &str {
        &self.uri
    }

    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    pub fn host(&self) -> &VoipHost {
        &self.host
    }

    pub fn port(&self) -> Option<u16> {
        self.port
    }

    pub fn transport(&self) -> Option<VoipTransport> {
        self.transport
    }

    /// Whether the address is a `sips:` one.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether the address is one of a private network, of this machine, or a name that only
    /// means something inside a network. A public form must not reach there.
    pub fn is_private(&self) -> bool {
        match &self.host {
            VoipHost::Ip(ip) => is_private(*ip),
            VoipHost::Name(name) => {
                let last = name.rsplit('.').next().unwrap_or(name);
                let single_label = !name.contains('.');
                let inner = [
                    "localhost",
                    "local",
                    "internal",
                    "lan",
                    "home",
                    "intranet",
                    "corp",
                ];
                single_label || inner.contains(&last) || name.ends_with(".home.arpa")
            }
        }
    }

    fn written(&self) -> String {
        let scheme = if self.secure { "sips:" } else { "sip:" };
        let mut uri = String::from(scheme);
        if let Some(user) = &self.user {
            uri.push_str(user);
            uri.push('@');
        }
        match &self.host {
            VoipHost::Name(name) => uri.push_str(name),
            VoipHost::Ip(IpAddr::V4(ip)) => uri.push_str(&ip.to_string()),
            VoipHost::Ip(IpAddr::V6(ip)) => uri.push_str(&format!("[{ip}]")),
        }
        if let Some(port) = self.port {
            uri.push_str(&format!(":{port}"));
        }
        if let Some(transport) = self.transport {
            uri.push_str(";transport=");
            uri.push_str(transport.as_str());
        }
        uri
    }
}

impl VoipTransport {
    pub const fn as_str(self) -> &'static str {
        match self {
            VoipTransport::Udp => "udp",
            VoipTransport::Tcp => "tcp",
            VoipTransport::Tls => "tls",
        }
    }
}

impl fmt::Display for VoipAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "sips:" } else { "sip:" };
        match &self.user {
            // With a user, the host is a provider's; without, it is the person's own address.
            Some(user) => {
                let first: String = user.chars().take(1).collect();
                match &self.host {
                    VoipHost::Name(name) => write!(f, "{scheme}{first}{HIDDEN}@{name}"),
                    VoipHost::Ip(_) => write!(f, "{scheme}{first}{HIDDEN}@{HIDDEN}"),
                }
            }
            None => write!(f, "{scheme}{HIDDEN}"),
        }
    }
}

impl fmt::Debug for VoipAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for VoipHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

const LONGEST_TEXT: usize = 400;
const LONGEST_USER: usize = 64;

/// Whether the URI is `sips:`, and what follows the scheme.
fn scheme(text: &str) -> Result<(bool, &str), ContactError> {
    let Some((scheme, rest)) = text.split_once(':') else {
        return Ok((false, text));
    };
    if scheme.eq_ignore_ascii_case("sip") {
        return Ok((false, rest));
    }
    if scheme.eq_ignore_ascii_case("sips") {
        return Ok((true, rest));
    }
    // Not a scheme but the colon of `host:port`, of `user:password@host` or of an IPv6 address.
    // Known schemes of other worlds get the clearer answer.
    let foreign = [
        "tel", "http", "https", "mailto", "xmpp", "h323", "im", "ws", "wss",
    ];
    if foreign
        .iter()
        .any(|other| scheme.eq_ignore_ascii_case(other))
        || rest.starts_with("//")
    {
        return Err(ContactError::NotSip);
    }
    Ok((false, text))
}

fn checked_user(user: &str) -> Result<String, ContactError> {
    if user.contains(':') {
        return Err(ContactError::SipPassword);
    }
    // No escapes (%0d), and none of the characters that mean something to a PBX's dial plan or
    // dial string (& ; , / = * # !).
    let allowed =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+' | b'~');
    if user.is_empty() || user.len() > LONGEST_USER || !user.bytes().all(allowed) {
        return Err(ContactError::SipUser);
    }
    Ok(user.to_owned())
}

fn host_and_port(text: &str) -> Result<(VoipHost, Option<u16>), ContactError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']').ok_or(ContactError::Host)?;
        let ip: Ipv6Addr = inside.parse().map_err(|_| ContactError::Host)?;
        let port = match after {
            "" => None,
            _ => Some(port(after.strip_prefix(':').ok_or(ContactError::Host)?)?),
        };
        return Ok((VoipHost::Ip(reachable(IpAddr::V6(ip))?), port));
    }
    // An IPv6 address without brackets has no port.
    if text.bytes().filter(|b| *b == b':').count() > 1 {
        let ip: Ipv6Addr = text.parse().map_err(|_| ContactError::Host)?;
        return Ok((VoipHost::Ip(reachable(IpAddr::V6(ip))?), None));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, digits)) => (host, Some(port(digits)?)),
        None => (text, None),
    };
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Ok((VoipHost::Ip(reachable(IpAddr::V4(ip))?), port));
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if !is_host_name(&name) {
        return Err(ContactError::Host);
    }
    Ok((VoipHost::Name(name), port))
}

fn port(digits: &str) -> Result<u16, ContactError> {
    if digits.is_empty() || digits.len() > 5 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ContactError::Port);
    }
    match digits.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        Ok(_) | Err(_) => Err(ContactError::Port),
    }
}

/// Only one parameter is known, and it may be given once.
fn transport(parameters: &str) -> Result<VoipTransport, ContactError> {
    let (name, value) = parameters
        .split_once('=')
        .ok_or(ContactError::SipParameter)?;
    if !name.eq_ignore_ascii_case("transport") {
        return Err(ContactError::SipParameter);
    }
    [VoipTransport::Udp, VoipTransport::Tcp, VoipTransport::Tls]
        .into_iter()
        .find(|transport| transport.as_str().eq_ignore_ascii_case(value))
        .ok_or(ContactError::SipParameter)
}

/// The same address if a person can be at it.
fn reachable(ip: IpAddr) -> Result<IpAddr, ContactError> {
    let nowhere = match ip {
        IpAddr::V4(v4) => is_nowhere(v4),
        IpAddr::V6(v6) => {
            v6.is_unspecified() || v6.is_multicast() || embedded(v6).is_some_and(is_nowhere)
        }
    };
    if nowhere {
        return Err(ContactError::Unreachable);
    }
    Ok(ip)
}

/// "This network", multicast, broadcast and the reserved rest.
fn is_nowhere(v4: Ipv4Addr) -> bool {
    let first = v4.octets()[0];
    first == 0 || first >= 224
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            v6.is_loopback()
                || (first & 0xfe00) == 0xfc00 // unique local
                || (first & 0xffc0) == 0xfe80 // link local
                || (first & 0xffc0) == 0xfec0 // site local, as it once was
                || embedded(v6).is_some_and(is_private_v4)
        }
    }
}

fn is_private_v4(v4: Ipv4Addr) -> bool {
    let [a, b, ..] = v4.octets();
    v4.is_loopback()
        || v4.is_private()
        || v4.is_link_local()
        || (a == 100 && (64..128).contains(&b)) // behind a carrier's NAT
        || (a == 198 && (18..20).contains(&b)) // benchmarks
        || (a == 192 && b == 0 && v4.octets()[2] == 0) // protocol assignments
}

/// The IPv4 address inside an IPv6 one: mapped, compatible, NAT64, 6to4.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = v6.segments();
    let joined = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(joined(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(joined(high, low)),
        [0x2002, high, low, ..] => Some(joined(high, low)),
        // ::1 and :: are addresses of their own.
        [0, 0, 0, 0, 0, 0, high, low] if (high, low) > (0, 1) => Some(joined(high, low)),
        _ => None,
    }
}
