//! One call at one telephone, seen from the side that is rung.

use crate::media::Media;
use crate::message::{Message, socket_of, uri_of};
use crate::script::{Behaviour, Talk};
use crate::sdp::{self, Description, Direction};
use crate::witness::MediaRecord;
use std::io;
use std::net::SocketAddr;

pub struct Call {
    pub line: String,
    pub call_id: String,
    pub attempt: Option<String>,
    pub behaviour: Behaviour,
    pub stage: Stage,
    /// The request that began it: what answers are made from.
    pub invite: Message,
    /// Where it came from.
    pub source: SocketAddr,
    pub local_tag: String,
    /// The other side has confirmed our answer.
    pub acknowledged: bool,
    /// Both could hear each other at least once.
    pub talked: bool,
    media: Media,
    peer: Option<Description>,
    remote_target: String,
    route_set: Vec<String>,
    session: u64,
    version: u64,
    cseq: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Ringing,
    Answered,
    /// Our BYE is out.
    Leaving,
}

impl Call {
    /// Takes in an INVITE that begins a call. A body that cannot be read counts as none.
    pub fn new(
        line: &str,
        behaviour: Behaviour,
        invite: Message,
        source: SocketAddr,
        here: SocketAddr,
    ) -> io::Result<Call> {
        let mut call = Call {
            line: line.to_owned(),
            call_id: invite.call_id().to_owned(),
            attempt: invite.header("x-ringback-attempt").map(str::to_owned),
            behaviour,
            stage: Stage::Ringing,
            source,
            local_tag: format!("{:016x}", rand::random::<u64>()),
            acknowledged: false,
            talked: false,
            media: Media::open(here.ip())?,
            peer: None,
            remote_target: String::new(),
            route_set: invite.all("record-route").map(str::to_owned).collect(),
            session: rand::random::<u32>().into(),
            version: 0,
            cseq: 0,
            invite,
        };
        let invite = call.invite.clone();
        call.follow(&invite);
        call.peer = Description::parse(&invite.body);
        Ok(call)
    }

    /// The other side names its address anew with every INVITE and UPDATE.
    pub fn follow(&mut self, request: &Message) {
        if let Some(contact) = request.header("contact") {
            self.remote_target = uri_of(contact).to_owned();
        }
    }

    /// Takes a description of the other side. False when it cannot be read.
    pub fn hear(&mut self, body: &str) -> bool {
        let Some(description) = Description::parse(body) else {
            return false;
        };
        self.peer = Some(description);
        true
    }

    /// Our description: the answer to what was heard last, or an offer of everything.
    pub fn describe(&mut self, offer: bool) -> String {
        self.version += 1;
        let (direction, streams) = match &self.peer {
            Some(peer) if !offer => (peer.direction.mirrored(), peer.streams),
            Some(_) | None => (Direction::SendRecv, 1),
        };
        sdp::write(
            self.media.local(),
            direction,
            streams,
            self.session,
            self.version,
        )
    }

    /// Lets sound flow as far as was agreed. Answers the other's media address at the moment the two can
    /// first hear each other.
    pub fn connect(&mut self) -> Option<SocketAddr> {
        let peer = self.peer.as_ref().filter(|_| self.stage == Stage::Answered);
        let speaks =
            peer.filter(|peer| matches!(peer.direction, Direction::SendRecv | Direction::RecvOnly));
        self.media.connect(speaks.and_then(|peer| peer.media));
        let both = peer
            .filter(|peer| peer.direction == Direction::SendRecv)
            .and_then(|peer| peer.media)?;
        if self.talked || !self.acknowledged {
            return None;
        }
        self.talked = true;
        Some(both)
    }

    pub fn talk(&self) -> Talk {
        match self.behaviour {
            Behaviour::Answer { talk, .. } => talk,
            Behaviour::Refuse { .. } | Behaviour::RingForever | Behaviour::Silent => {
                Talk::UntilHungUp
            }
        }
    }

    /// A request of ours inside the dialog, and where to send it.
    pub fn request(&mut self, method: &str, here: SocketAddr) -> (Message, SocketAddr) {
        self.cseq += 1;
        let first = self
            .route_set
            .first()
            .map_or(self.remote_target.as_str(), |route| uri_of(route));
        // Names cannot be looked up here: then the way the call came in is as good.
        let to = socket_of(first).unwrap_or(self.source);
        let from = self.invite.header("to").unwrap_or_default();
        let mut request = Message::request(method, &self.remote_target).with(
            "via",
            format!(
                "SIP/2.0/UDP {here};branch=z9hG4bK{:016x};rport",
                rand::random::<u64>()
            ),
        );
        for route in &self.route_set {
            request = request.with("route", route.clone());
        }
        let request = request
            .with("max-forwards", "70")
            .with("from", format!("{from};tag={}", self.local_tag))
            .with("to", self.invite.header("from").unwrap_or_default())
            .with("call-id", self.call_id.clone())
            .with("cseq", format!("{} {method}", self.cseq));
        (request, to)
    }

    pub fn fall_silent(&self) {
        self.media.connect(None);
    }

    /// The sound so far, for the record.
    pub fn media_record(&self) -> MediaRecord {
        let counts = self.media.counts();
        MediaRecord {
            line: self.line.clone(),
            attempt: self.attempt.clone(),
            local: self.media.local(),
            sent: counts.sent,
            received: counts.received,
        }
    }
}
