//! A telephone telling its registrar where it is.

use crate::digest::{Challenge, Login};
use crate::message::{Message, Start, param};
use std::net::SocketAddr;
use std::time::Duration;

pub struct Registration {
    registrar: SocketAddr,
    login: Login,
    /// Asked for; a registrar may insist on more.
    expires: u32,
    call_id: String,
    tag: String,
    cseq: u32,
    /// Credentials were sent and not yet judged: a second refusal is final.
    proving: bool,
    removing: bool,
}

/// What a registrar's answer means.
pub enum Next {
    /// Send this.
    Send(Message),
    /// Registered for that long (0: gone); come again after the pause.
    Done {
        expires: u32,
        again: Option<Duration>,
    },
    /// Refused; come again after the pause.
    Failed { code: u16, again: Duration },
    /// Not an answer to act on.
    Nothing,
}

impl Registration {
    pub fn new(registrar: SocketAddr, login: Login, expires: u32) -> Self {
        Registration {
            registrar,
            login,
            expires,
            call_id: format!("register-{:016x}", rand::random::<u64>()),
            tag: format!("{:08x}", rand::random::<u32>()),
            cseq: 0,
            proving: false,
            removing: false,
        }
    }

    pub fn registrar(&self) -> SocketAddr {
        self.registrar
    }

    pub fn line(&self) -> &str {
        &self.login.user
    }

    /// A first or repeated registration; with `remove`, the last.
    pub fn begin(&mut self, here: SocketAddr, remove: bool) -> Message {
        self.proving = false;
        self.removing = remove;
        self.request(here)
    }

    pub fn heard(&mut self, answer: &Message, here: SocketAddr) -> Next {
        let Start::Response { code } = answer.start else {
            return Next::Nothing;
        };
        match code {
            100..200 => Next::Nothing,
            200..300 => {
                let granted = granted(answer, here).unwrap_or(self.expires);
                let expires = if self.removing { 0 } else { granted };
                let again = (!self.removing)
                    .then(|| Duration::from_millis(u64::from(granted.max(1)) * 800));
                Next::Done { expires, again }
            }
            401 | 407 if !self.proving => {
                let (asked, answered) = if code == 401 {
                    ("www-authenticate", "authorization")
                } else {
                    ("proxy-authenticate", "proxy-authorization")
                };
                let Some(challenge) = answer.all(asked).find_map(Challenge::parse) else {
                    return Next::Failed {
                        code,
                        again: TRY_AGAIN,
                    };
                };
                self.proving = true;
                let request = self.request(here);
                let uri = request.uri().to_owned();
                let cnonce = format!("{:016x}", rand::random::<u64>());
                let proof = challenge.answer(&self.login, "REGISTER", &uri, &cnonce);
                Next::Send(request.with(answered, proof))
            }
            423 => match answer
                .header("min-expires")
                .and_then(|least| least.parse().ok())
            {
                Some(least) if least > self.expires => {
                    self.expires = least;
                    self.proving = false;
                    Next::Send(self.request(here))
                }
                _ => Next::Failed {
                    code,
                    again: TRY_AGAIN,
                },
            },
            _ => Next::Failed {
                code,
                again: TRY_AGAIN,
            },
        }
    }

    fn request(&mut self, here: SocketAddr) -> Message {
        self.cseq += 1;
        let (user, registrar) = (&self.login.user, self.registrar);
        let expires = if self.removing { 0 } else { self.expires };
        Message::request("REGISTER", &format!("sip:{registrar}"))
            .with(
                "via",
                format!(
                    "SIP/2.0/UDP {here};branch=z9hG4bK{:016x};rport",
                    rand::random::<u64>()
                ),
            )
            .with("max-forwards", "70")
            .with("from", format!("<sip:{user}@{registrar}>;tag={}", self.tag))
            .with("to", format!("<sip:{user}@{registrar}>"))
            .with("call-id", self.call_id.clone())
            .with("cseq", format!("{} REGISTER", self.cseq))
            .with("contact", format!("<sip:{user}@{here}>"))
            .with("expires", expires.to_string())
    }
}

const TRY_AGAIN: Duration = Duration::from_secs(2);

/// What was granted to our own contact, which may stand among others.
fn granted(answer: &Message, here: SocketAddr) -> Option<u32> {
    let ours = answer
        .all("contact")
        .find(|contact| contact.contains(&here.to_string()));
    let expires = ours
        .and_then(|contact| param(contact, "expires"))
        .or(answer.header("expires"))?;
    expires.parse().ok()
}
