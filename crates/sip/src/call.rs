//! The words of third-party call control: what a caller of this crate asks for, what is told while it
//! happens, and how it ended.

use std::{
    fmt,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{config::Transport, failure::LegFailure, uri::SipUri};

/// A call between two people, placed by us.
#[derive(Clone)]
pub struct BridgeCall {
    /// Becomes part of both Call-IDs, From tags and branches: letters, digits, `-`, `_` and `.` only.
    pub id: String,
    /// Dialled first: the agent, or for customer-first the customer.
    pub first: Party,
    pub second: Party,
    pub flow: Flow,
    pub ring_first: Duration,
    pub ring_second: Duration,
    pub max_talk: Duration,
    /// Sent with both INVITEs. Names are tokens, values have no control characters; others are left out.
    pub headers: Vec<(String, String)>,
}

/// How the two legs are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// The first phone gets an inactive offer and waits. Falls back to `FlowIv` by itself when the first
    /// phone refuses that with 488 or 606.
    HeldOffer,
    /// RFC 3725 flow IV: no offer from us at all, for phones that do not take `inactive`.
    FlowIv,
}

/// One of the two people.
#[derive(Clone)]
pub struct Party {
    /// `agent` or `customer`; repeated in events and records.
    pub name: &'static str,
    /// Tried in order; the next one only after a route failure, never after a ring or a person's answer.
    pub targets: Vec<Target>,
}

/// One way to reach a party.
#[derive(Clone)]
pub struct Target {
    /// Our name for the route, for events.
    pub route: String,
    pub uri: SipUri,
    pub trunk: Trunk,
    /// Set by `SipEngine::contact_of`: the way a registered phone opened to us.
    pub via_contact: Option<ContactFlow>,
}

impl Trunk {
    /// Where a request to an address is sent first.
    pub(crate) fn first_stop(&self, uri: &SipUri) -> String {
        self.outbound_proxy.as_ref().unwrap_or(uri).to_string()
    }
}

impl Target {
    pub fn new(route: &str, uri: SipUri, trunk: Trunk) -> Target {
        Target {
            route: route.to_owned(),
            uri,
            trunk,
            via_contact: None,
        }
    }
}

/// The address a registered phone was last heard from; kept opaque.
#[derive(Clone)]
pub struct ContactFlow {
    pub(crate) flow: crate::transport::Flow,
    /// The registered Contact, used as Request-URI as it is.
    pub(crate) uri: String,
}

/// How to behave towards a trunk or PBX.
#[derive(Clone, Default)]
pub struct Trunk {
    /// Requests go there first (loose route), and on to the target's address from there.
    pub outbound_proxy: Option<SipUri>,
    /// Used when neither proxy nor target URI names a transport.
    pub transport: Option<Transport>,
    pub credentials: Option<Credentials>,
    /// From; `sip:ringback@<our address>` if missing.
    pub from: Option<SipUri>,
    pub from_display: Option<String>,
    /// P-Asserted-Identity.
    pub asserted_identity: Option<SipUri>,
    /// Ask for RFC 4028 session timers.
    pub session_timer: bool,
    /// Where `ping` sends OPTIONS; otherwise the outbound proxy, otherwise the host of `from`.
    pub ping_uri: Option<SipUri>,
}

/// What to answer a challenge with.
#[derive(Clone)]
pub struct Credentials {
    pub user: String,
    pub password: String,
    /// Only challenges of this realm are answered. `None`: whatever realm the trunk itself names.
    pub realm: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

/// Who ended a talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    First,
    Second,
    Us,
    SessionTimer,
    MaxTalk,
}

/// Held by whoever keeps a record, and dropped once it is kept: until then the INVITE it announces does
/// not leave (for as long as [`Timers::record`](crate::Timers::record) allows).
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Never sent on: that every copy of it is gone is the message.
    _held: mpsc::Sender<()>,
}

impl Receipt {
    pub(crate) fn new() -> (Receipt, mpsc::Receiver<()>) {
        let (held, gone) = mpsc::channel(1);
        (Receipt { _held: held }, gone)
    }
}

/// What happens while a bridge is made and held.
#[derive(Clone, Debug)]
pub enum BridgeEvent {
    /// The identity of a leg as it now stands. Sent before each INVITE leaves, and the engine waits until
    /// the channel took it and the receipt was dropped; a closed channel ends the call, because an INVITE
    /// nobody recorded must not leave.
    Leg(Box<LegRecord>, Receipt),
    Trying {
        party: &'static str,
    },
    Ringing {
        party: &'static str,
        code: u16,
    },
    EarlyMedia {
        party: &'static str,
    },
    Answered {
        party: &'static str,
    },
    RouteFailed {
        party: &'static str,
        route: String,
        failure: Box<LegFailure>,
    },
    Bridged,
    /// One side changed the session (hold, resume, codec) and it was carried to the other.
    Reinvite {
        by: By,
    },
    HungUp {
        by: By,
    },
}

/// How a bridge ended.
#[derive(Clone, Debug)]
pub struct BridgeEnd {
    pub kind: BridgeEndKind,
    pub route_of_first: Option<String>,
    pub route_of_second: Option<String>,
    pub bridged_at: Option<SystemTime>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BridgeEndKind {
    FirstFailed(LegFailure),
    SecondFailed(LegFailure),
    /// Both answered or were being called, but they were never joined.
    NotConnected(LegFailure),
    Talked {
        talk: Duration,
        hung_up_by: By,
    },
    Stopped,
}

/// Where a leg stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegState {
    Inviting,
    Early,
    Confirmed,
    Ended,
}

/// Everything needed to end a leg after a restart.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegRecord {
    pub party: String,
    pub call_id: String,
    pub from_tag: String,
    pub to_tag: Option<String>,
    pub cseq: u32,
    pub branch: String,
    pub request_uri: String,
    /// From with its tag.
    pub from: String,
    /// To without a tag.
    pub to: String,
    pub destination: SocketAddr,
    pub transport: Transport,
    /// The name a TLS certificate must carry.
    pub server_name: String,
    /// How we named ourselves in Via.
    pub sent_by: String,
    /// The Route lines of the INVITE, which its CANCEL repeats.
    pub invite_routes: Vec<String>,
    /// The route set of the dialog, nearest first.
    pub route_set: Vec<String>,
    pub remote_target: Option<String>,
    /// The INVITE carried a session description.
    pub offered: bool,
    pub state: LegState,
}

impl fmt::Debug for LegRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The addresses are people's numbers.
        f.debug_struct("LegRecord")
            .field("party", &self.party)
            .field("call_id", &self.call_id)
            .field("cseq", &self.cseq)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Whether an id can stand in Call-IDs, tags and branches as it is.
pub(crate) fn is_clean_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 100
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// A display name without anything that could leave its quotes.
pub(crate) fn quoted(name: &str) -> String {
    let safe: String = name
        .chars()
        .filter(|c| !c.is_control() && *c != '"' && *c != '\\')
        .take(80)
        .collect();
    format!("\"{safe}\"")
}

/// Whether an extra header may be sent: a token for a name that is not ours to set, a one-line value.
pub(crate) fn is_extra_header(name: &str, value: &str) -> bool {
    const OURS: [&str; 26] = [
        "via",
        "v",
        "from",
        "f",
        "to",
        "t",
        "call-id",
        "i",
        "cseq",
        "contact",
        "m",
        "route",
        "record-route",
        "max-forwards",
        "content-length",
        "l",
        "content-type",
        "c",
        "authorization",
        "proxy-authorization",
        "supported",
        "k",
        "require",
        "session-expires",
        "x",
        "allow",
    ];
    let token = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    token
        && name.len() <= 64
        && value.len() <= 512
        && !value.bytes().any(|b| b < 0x20 || b == 0x7f)
        && !OURS.contains(&name.to_ascii_lowercase().as_str())
}
