//! A small registrar for agents' phones: digest with our own nonces, bindings in memory, each with the
//! address it was really heard from, so that phones behind a NAT can be rung.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::Mutex,
    time::{Duration, Instant},
};

use rsipstack::sip::Request;
use tokio::sync::broadcast;

use crate::{
    call::{ContactFlow, Target, Trunk},
    config::{RegistrarConfig, Transport},
    digest::{Guard, Verdict},
    message,
    transaction::ServerTx,
    transport::{Flow, Transports},
    uri::SipUri,
};

/// One phone that is registered now.
#[derive(Clone)]
pub struct Registration {
    pub user: String,
    pub contact: String,
    /// Where its REGISTER came from.
    pub source: SocketAddr,
    pub transport: Transport,
    pub expires_in: Duration,
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("user", &self.user)
            .field("transport", &self.transport)
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// A user's contacts changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationChange {
    pub user: String,
    /// How many contacts the user has now.
    pub contacts: usize,
}

struct Binding {
    contact: String,
    flow: Flow,
    expires: Instant,
    call_id: String,
    cseq: u32,
}

pub(crate) struct Registrar {
    config: RegistrarConfig,
    guard: Guard,
    bindings: Mutex<HashMap<String, Vec<Binding>>>,
    changed: broadcast::Sender<RegistrationChange>,
}

const NONCE_LIFE: Duration = Duration::from_secs(300);

impl Registrar {
    pub(crate) fn new(config: RegistrarConfig) -> Registrar {
        let guard = Guard::new(
            &config.realm,
            &config.algorithms,
            rand::random(),
            NONCE_LIFE,
        );
        let (changed, _) = broadcast::channel(256);
        Registrar {
            config,
            guard,
            bindings: Mutex::new(HashMap::new()),
            changed,
        }
    }

    pub(crate) fn changes(&self) -> broadcast::Receiver<RegistrationChange> {
        self.changed.subscribe()
    }

    /// Whether the request carries a nonce we made; checked before anything is remembered of it.
    pub(crate) fn recognises(&self, request: &Request) -> bool {
        message::header(&request.headers, "Authorization")
            .is_some_and(|v| self.guard.knows(v, Instant::now()))
    }

    pub(crate) fn challenge(&self, stale: bool) -> Vec<String> {
        self.guard.challenges(stale, rand::random(), Instant::now())
    }

    pub(crate) fn registered(&self, user: &str) -> Vec<Registration> {
        let now = Instant::now();
        let bindings = self.lock();
        let of_user = bindings
            .get(user)
            .into_iter()
            .flatten()
            .filter(|b| b.is_alive(now));
        of_user
            .map(|b| Registration {
                user: user.to_owned(),
                contact: b.contact.clone(),
                source: b.flow.remote,
                transport: b.flow.transport,
                expires_in: b.expires.saturating_duration_since(now),
            })
            .collect()
    }

    /// A target that rings the user's latest phone over the way it opened to us.
    pub(crate) fn contact_of(&self, user: &str) -> Option<Target> {
        let now = Instant::now();
        let bindings = self.lock();
        let latest = bindings
            .get(user)?
            .iter()
            .filter(|b| b.is_alive(now))
            .max_by_key(|b| b.expires)?;
        let uri = SipUri::new(Some(user), &latest.flow.remote.ip().to_string()).ok()?;
        let uri = uri.with_port(latest.flow.remote.port()).ok()?;
        let via_contact = ContactFlow {
            flow: latest.flow.clone(),
            uri: latest.contact.clone(),
        };
        Some(Target {
            route: "registered".to_owned(),
            uri,
            trunk: Trunk::default(),
            via_contact: Some(via_contact),
        })
    }

    /// Answers one REGISTER.
    pub(crate) fn handle(&self, mut tx: ServerTx, transports: &Transports) {
        match self.verify(&tx.request) {
            Ok(user) => self.bind(&user, &mut tx, transports),
            Err(Refusal::Challenge { stale }) => {
                let challenges = self.challenge(stale);
                let lines: Vec<_> = challenges
                    .into_iter()
                    .map(|c| ("WWW-Authenticate", c))
                    .collect();
                tx.answer_with(401, &lines, None);
            }
            Err(Refusal::NotYours) => tx.answer(403),
        }
    }

    fn verify(&self, request: &Request) -> Result<String, Refusal> {
        let value = message::header(&request.headers, "Authorization")
            .ok_or(Refusal::Challenge { stale: false })?;
        let user = Guard::claimed_user(value).ok_or(Refusal::Challenge { stale: false })?;
        // An unknown user is checked like a known one, so that the two cannot be told apart by time.
        let (known, password) = match self.config.users.get(&user) {
            Some(password) => (true, password.as_str()),
            None => (false, ""),
        };
        let uri = request.uri.to_string();
        match self
            .guard
            .check(value, password, "REGISTER", &uri, Instant::now())
        {
            Verdict::Good if known => {}
            Verdict::Stale if known => return Err(Refusal::Challenge { stale: true }),
            Verdict::Good | Verdict::Stale | Verdict::Bad => {
                return Err(Refusal::Challenge { stale: false });
            }
        }
        let address = message::header(&request.headers, "To").and_then(message::address_uri);
        let named = address.as_deref().and_then(user_of);
        if named == Some(user.as_str()) {
            Ok(user)
        } else {
            Err(Refusal::NotYours)
        }
    }

    fn bind(&self, user: &str, tx: &mut ServerTx, transports: &Transports) {
        let headers = &tx.request.headers;
        let (Some(call_id), Some((cseq, _))) = (message::call_id(headers), message::cseq(headers))
        else {
            return tx.answer(400);
        };
        let call_id = call_id.to_owned();
        let contacts: Vec<String> = message::header_all(headers, "Contact")
            .iter()
            .flat_map(|v| message::split_list(v))
            .collect();
        let default = message::header(headers, "Expires").and_then(|v| v.parse::<u64>().ok());
        let now = Instant::now();
        let mut wanted = Vec::new();
        for contact in &contacts {
            let seconds = message::address_param(contact, "expires")
                .and_then(|v| v.parse().ok())
                .or(default);
            let span = seconds
                .map_or(self.config.max_expires, Duration::from_secs)
                .min(self.config.max_expires);
            if contact.trim() == "*" {
                if contacts.len() != 1 || default != Some(0) {
                    return tx.answer(400);
                }
                continue;
            }
            if !span.is_zero() && span < self.config.min_expires {
                let least = self.config.min_expires.as_secs().to_string();
                return tx.answer_with(423, &[("Min-Expires", least)], None);
            }
            match message::address_uri(contact).filter(|u| crate::dialog::is_sip(u)) {
                Some(uri) => wanted.push((uri, span)),
                None => return tx.answer(400),
            }
        }
        let (Some(source), Some(connection)) = (tx.source, tx.connection.clone()) else {
            return tx.answer(500);
        };
        let flow = transports.flow(connection, tx.transport, source, source.ip().to_string());
        let mut bindings = self.lock();
        let of_user = bindings.entry(user.to_owned()).or_default();
        of_user.retain(|b| b.is_alive(now));
        if of_user
            .iter()
            .any(|b| b.call_id == call_id && b.cseq >= cseq && !wanted.is_empty())
        {
            // An older REGISTER of the same phone, overtaken on the way.
            drop(bindings);
            return tx.answer(500);
        }
        if contacts.iter().any(|c| c.trim() == "*") {
            of_user.clear();
        }
        for (contact, span) in wanted {
            of_user.retain(|b| b.contact != contact);
            if !span.is_zero() {
                let (call_id, flow) = (call_id.clone(), flow.clone());
                of_user.push(Binding {
                    contact,
                    flow,
                    expires: now + span,
                    call_id,
                    cseq,
                });
            }
        }
        // A phone that moved without signing off leaves old contacts behind: the oldest make room.
        while of_user.len() > self.config.max_contacts.max(1) {
            of_user.remove(0);
        }
        let lines: Vec<(&str, String)> = of_user
            .iter()
            .map(|b| {
                let left = b.expires.saturating_duration_since(now).as_secs();
                ("Contact", format!("<{}>;expires={left}", b.contact))
            })
            .collect();
        let count = of_user.len();
        if count == 0 {
            bindings.remove(user);
        }
        drop(bindings);
        tx.answer_with(200, &lines, None);
        // Nobody listening is fine.
        drop(self.changed.send(RegistrationChange {
            user: user.to_owned(),
            contacts: count,
        }));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<Binding>>> {
        self.bindings
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

enum Refusal {
    Challenge { stale: bool },
    NotYours,
}

impl Binding {
    fn is_alive(&self, now: Instant) -> bool {
        self.expires > now && crate::transport::is_open_or_datagram(&self.flow)
    }
}

fn user_of(uri: &str) -> Option<&str> {
    let rest = uri.split_once(':')?.1;
    rest.split_once('@').map(|(user, _)| user)
}
