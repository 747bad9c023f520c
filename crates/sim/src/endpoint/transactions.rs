//! Saying things until they are heard: answers again for repeated requests, final answers to INVITE until
//! they are acknowledged, our own requests until they are answered.

use super::{Desk, Key, REALM, T2, Timer, key_of};
use crate::message::{Message, param, user_of};
use crate::witness::HungUpBy;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

pub(super) struct Repeat {
    pub(super) bytes: Vec<u8>,
    pub(super) to: SocketAddr,
    pub(super) pause: Duration,
    pub(super) until: Instant,
    pub(super) about: About,
}

#[derive(Clone)]
pub(super) enum About {
    Answer,
    Bye(Key),
    Register,
}

const T1: Duration = Duration::from_millis(500);
const GIVE_UP: Duration = Duration::from_secs(32);
const MOST_ANSWERS: usize = 50_000;
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, PRACK";

impl Desk {
    pub(super) async fn repeat_answer(&mut self, key: Key, number: u32, now: Instant) {
        let Some(repeat) = self.unacknowledged.get_mut(&(key.clone(), number)) else {
            return;
        };
        if now >= repeat.until {
            self.unacknowledged.remove(&(key.clone(), number));
            // Nobody confirms that a call exists: it is ended.
            return self.hang_up(&key).await;
        }
        let _ = self.socket.send_to(&repeat.bytes, repeat.to).await;
        repeat.pause = (repeat.pause * 2).min(T2);
        let pause = repeat.pause;
        self.at(pause, Timer::RepeatAnswer(key, number));
    }

    pub(super) async fn repeat_request(&mut self, branch: String, now: Instant) {
        let Some(repeat) = self.asked.get_mut(&branch) else {
            return;
        };
        if now >= repeat.until {
            let about = repeat.about.clone();
            self.asked.remove(&branch);
            return match about {
                About::Answer => {}
                About::Bye(key) => self.finish(&key, Some(HungUpBy::ThisPhone)),
                About::Register => self.at(T2, Timer::Register),
            };
        }
        let _ = self.socket.send_to(&repeat.bytes, repeat.to).await;
        repeat.pause = (repeat.pause * 2).min(T2);
        let pause = repeat.pause;
        self.at(pause, Timer::RepeatRequest(branch));
    }

    /// Sends a request of ours until it is answered.
    pub(super) async fn ask(&mut self, request: Message, to: SocketAddr, about: About) {
        let (bytes, branch) = (request.to_bytes(), request.branch().to_owned());
        let _ = self.socket.send_to(&bytes, to).await;
        self.asked.insert(
            branch.clone(),
            Repeat {
                bytes,
                to,
                pause: T1,
                until: Instant::now() + GIVE_UP,
                about,
            },
        );
        self.at(T1, Timer::RepeatRequest(branch));
    }

    pub(super) async fn answer(&mut self, request: &Message, from: SocketAddr, code: u16) {
        let answer = self.dress(Message::answer(request, code, Some("none")), request, from);
        self.reply(request, from, answer).await;
    }

    /// A final answer to an INVITE that has no call.
    pub(super) async fn refuse(&mut self, invite: &Message, from: SocketAddr, code: u16) {
        let tag = format!("{:08x}", rand::random::<u32>());
        let mut answer = self.dress(Message::answer(invite, code, Some(&tag)), invite, from);
        if code == 407 {
            let nonce = &self.nonce;
            answer = answer.with(
                "proxy-authenticate",
                format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", qop=\"auth\", algorithm=MD5"),
            );
        }
        if code == 503 {
            answer = answer.with("retry-after", "1");
        }
        self.send_final(invite, from, answer).await;
    }

    /// Sends a final answer to an INVITE until it is acknowledged.
    pub(super) async fn send_final(&mut self, invite: &Message, from: SocketAddr, answer: Message) {
        let Some((number, _)) = invite.cseq() else {
            return;
        };
        let (bytes, to) = (answer.to_bytes(), return_path(invite, from));
        let key = key_of(invite);
        let until = Instant::now() + GIVE_UP;
        let repeat = Repeat {
            bytes,
            to,
            pause: T1,
            until,
            about: About::Answer,
        };
        self.unacknowledged.insert((key.clone(), number), repeat);
        self.at(T1, Timer::RepeatAnswer(key, number));
        self.reply(invite, from, answer).await;
    }

    pub(super) async fn reply(&mut self, request: &Message, from: SocketAddr, answer: Message) {
        let (bytes, to) = (answer.to_bytes(), return_path(request, from));
        let _ = self.socket.send_to(&bytes, to).await;
        self.remember(request, bytes, to);
    }

    pub(super) fn remember(&mut self, request: &Message, bytes: Vec<u8>, to: SocketAddr) {
        let key = repeat_key(request);
        if self.answered.insert(key.clone(), (bytes, to)).is_none() {
            self.answered_order.push_back(key);
        }
        if self.answered_order.len() > MOST_ANSWERS
            && let Some(oldest) = self.answered_order.pop_front()
        {
            self.answered.remove(&oldest);
        }
    }

    /// What every answer of ours carries.
    pub(super) fn dress(
        &self,
        mut answer: Message,
        request: &Message,
        from: SocketAddr,
    ) -> Message {
        if let Some(via) = request.header("via") {
            let via = via
                .replace(";rport;", ";")
                .trim_end_matches(";rport")
                .to_owned();
            answer.set_first(
                "via",
                format!("{via};received={};rport={}", from.ip(), from.port()),
            );
        }
        let user = user_of(request.uri());
        let contact = if user.is_empty() {
            format!("<sip:{}>", self.here)
        } else {
            format!("<sip:{user}@{}>", self.here)
        };
        answer.remove("contact");
        answer
            .with("contact", contact)
            .with("allow", ALLOW)
            .with("user-agent", "town telephone")
    }
}

pub(super) fn repeat_key(request: &Message) -> String {
    format!(
        "{} {} {}",
        request.branch(),
        request.method(),
        request.call_id()
    )
}

/// Where an answer goes (RFC 3581, and RFC 3261 for those who do not ask for it).
fn return_path(request: &Message, from: SocketAddr) -> SocketAddr {
    let via = request.header("via").unwrap_or_default();
    if param(via, "rport").is_some() {
        return from;
    }
    let sent_by = via
        .split_whitespace()
        .nth(1)
        .and_then(|host| host.split(';').next())
        .unwrap_or_default();
    let port = sent_by
        .rsplit_once(':')
        .map(|(_, port)| port.parse().unwrap_or(from.port()));
    SocketAddr::new(from.ip(), port.unwrap_or(5060))
}
