//! One answered leg: what it has been told and has told us, its timer, and the requests both ways.

use std::{sync::Arc, time::Duration};

use rsipstack::sip::{Method, Request, Response};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use crate::{
    call::{BridgeEvent, By, LegRecord, LegState, Receipt, Trunk},
    config::Transport,
    dial,
    dialog::Dialog,
    engine::Inner,
    failure::{FailureCause, LegFailure},
    front_door, message,
    sdp::{Origin, Sdp},
    session_timer::{self, Refresher, SessionTimer},
    srv::Hop,
    transaction::{ClientTx, Received, ServerTx},
    transport::{Flow, is_open},
};

pub(crate) struct Leg {
    pub(crate) engine: Arc<Inner>,
    pub(crate) side: By,
    pub(crate) route: String,
    pub(crate) dialog: Dialog,
    pub(crate) flow: Flow,
    pub(crate) origin: Origin,
    /// The last description exchanged, whose media lines the next one must keep in place.
    pub(crate) layout: Option<Sdp>,
    pub(crate) last_sent: Option<String>,
    pub(crate) last_heard: Option<Sdp>,
    pub(crate) record: LegRecord,
    pub(crate) invite_proof: Vec<(String, String)>,
    /// The 2xx to our INVITE.
    pub(crate) answer: Option<Response>,
    trunk: Trunk,
    /// The way was opened by the phone itself: never look elsewhere for it.
    pinned: bool,
    trunk_address: std::net::IpAddr,
    inbound: mpsc::Receiver<Box<ServerTx>>,
    events: mpsc::Sender<BridgeEvent>,
    timer: Option<SessionTimer>,
    refresh: Option<Offering>,
    peer_updates: bool,
    unacknowledged: Option<u32>,
    tracked: Vec<u32>,
}

/// What a leg wants of its bridge.
#[allow(
    clippy::large_enum_variant,
    reason = "made and taken apart in one turn of a loop"
)]
pub(crate) enum LegEvent {
    /// BYE, or an INVITE or UPDATE that changes the session; not yet answered.
    Request(ServerTx),
    /// The session timer ran out, or the peer no longer knows the dialog.
    Expired,
}

/// A re-INVITE or UPDATE under way.
pub(crate) struct Offering {
    tx: ClientTx,
    request: Request,
    method: Method,
    pub(crate) cseq: u32,
    body: Option<String>,
    proven: bool,
}

/// What became of it.
pub(crate) enum Concluded {
    /// 2xx; an INVITE still waits for its ACK.
    Agreed(Response),
    /// Sent again with an answer to a challenge.
    Again(Offering),
    /// 491: both sides asked at once.
    Glare,
    Failed(LegFailure),
}

impl Leg {
    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of a leg, named once, where it is made"
    )]
    pub(crate) fn new(
        engine: Arc<Inner>,
        side: By,
        party: &'static str,
        trunk: Trunk,
        dialog: Dialog,
        flow: Flow,
        pinned: bool,
        origin: Origin,
        events: mpsc::Sender<BridgeEvent>,
    ) -> Leg {
        let inbound = engine.dialogs.open(&dialog.call_id, &dialog.local_tag);
        let record = LegRecord {
            party: party.to_owned(),
            call_id: dialog.call_id.clone(),
            from_tag: dialog.local_tag.clone(),
            to_tag: None,
            cseq: 0,
            branch: String::new(),
            request_uri: dialog.remote_target.clone(),
            from: dialog.from.clone(),
            to: dialog.to.clone(),
            destination: flow.remote,
            transport: flow.transport,
            server_name: flow.name.clone(),
            sent_by: flow.sent_by.clone(),
            invite_routes: dialog.route_set.clone(),
            route_set: dialog.route_set.clone(),
            remote_target: None,
            offered: false,
            state: LegState::Inviting,
        };
        Leg {
            engine,
            side,
            route: String::new(),
            trunk_address: flow.remote.ip(),
            dialog,
            flow,
            origin,
            layout: None,
            last_sent: None,
            last_heard: None,
            record,
            invite_proof: Vec::new(),
            answer: None,
            trunk,
            pinned,
            inbound,
            events,
            timer: None,
            refresh: None,
            peer_updates: false,
            unacknowledged: None,
            tracked: Vec::new(),
        }
    }

    /// Remembers that the book holds this INVITE, to have it forgotten in time.
    pub(crate) fn track(&mut self, cseq: u32) {
        self.tracked.push(cseq);
    }

    /// Hands the record to whoever keeps it; false when nobody does any more.
    pub(crate) async fn tell_record(&self) -> bool {
        let (receipt, _gone) = Receipt::new();
        self.events
            .send(BridgeEvent::Leg(Box::new(self.record.clone()), receipt))
            .await
            .is_ok()
    }

    /// The same, and waits until it is kept: for what must not leave the house unrecorded.
    pub(crate) async fn record_kept(&self) -> bool {
        let (receipt, mut gone) = Receipt::new();
        let event = BridgeEvent::Leg(Box::new(self.record.clone()), receipt);
        if self.events.send(event).await.is_err() {
            return false;
        }
        let patience = self.engine.config.timers.record;
        if !patience.is_zero() && tokio::time::timeout(patience, gone.recv()).await.is_err() {
            // The attempt itself is recorded; a keeper this slow must not leave people in silence.
            tracing::warn!("a leg's record was not kept in time");
        }
        true
    }

    /// Takes in the 2xx.
    pub(crate) fn answered(&mut self, response: Response, cseq: u32) {
        self.dialog.learn(&response);
        self.unacknowledged = Some(cseq);
        self.record.to_tag.clone_from(&self.dialog.remote_tag);
        self.record.remote_target = Some(self.dialog.remote_target.clone());
        self.record.route_set.clone_from(&self.dialog.route_set);
        self.record.cseq = self.dialog.cseq;
        self.record.state = LegState::Confirmed;
        self.peer_updates = message::lists(&response.headers, "Allow", "UPDATE");
        self.take_timer(&response);
        self.answer = Some(response);
    }

    /// The description in the 2xx, if it is usable.
    pub(crate) fn answer_sdp(&self) -> Option<Sdp> {
        let answer = self.answer.as_ref()?;
        message::sdp_body(&answer.headers, &answer.body).and_then(Sdp::parse)
    }

    /// Finds the way for requests inside the dialog: Route and Contact may lead elsewhere than the INVITE.
    pub(crate) async fn settle_route(&mut self) {
        let reliable = self.flow.transport != Transport::Udp;
        if self.pinned || (reliable && is_open(&self.flow.connection)) {
            return;
        }
        let hops = self
            .engine
            .hops_of(self.dialog.next_hop(), &self.trunk)
            .await;
        for hop in hops {
            if let Ok(flow) = self.engine.transports.open(&hop).await {
                self.flow = flow;
                return;
            }
        }
        // Nothing better is known than the way that worked so far.
        let hop = Hop {
            transport: self.flow.transport,
            address: self.flow.remote,
            name: self.flow.name.clone(),
        };
        if let Ok(flow) = self.engine.transports.open(&hop).await {
            self.flow = flow;
        }
    }

    /// Acknowledges the 2xx that waits for it. The ACK is in the book before it is on the wire.
    pub(crate) fn acknowledge(&mut self, body: Option<&str>) {
        let Some(cseq) = self.unacknowledged.take() else {
            return;
        };
        if let Some(body) = body {
            self.last_sent = Some(body.to_owned());
        }
        let ack = self.dialog.request(
            Method::Ack,
            cseq,
            &self.flow,
            self.invite_proof.clone(),
            body,
        );
        let Ok(ack) = ack else { return };
        let tag = self.dialog.remote_tag.clone().unwrap_or_default();
        self.engine.book.acknowledge(
            &self.dialog.call_id,
            cseq,
            &tag,
            ack.clone(),
            self.flow.clone(),
        );
        front_door::send(ack, self.flow.clone());
    }

    /// Waits for the peer; refreshes and expires the session meanwhile. May be dropped at any time.
    pub(crate) async fn next(&mut self) -> LegEvent {
        loop {
            let refresh_at = self
                .timer
                .and_then(|t| t.refresh_at())
                .filter(|_| self.refresh.is_none());
            let expires_at = self.timer.map(|t| t.expires_at());
            tokio::select! {
                request = self.inbound.recv() => match request {
                    Some(request) => {
                        if let Some(request) = self.screen(*request) {
                            return LegEvent::Request(request);
                        }
                    }
                    None => return LegEvent::Expired,
                },
                // Boxed: it comes once in many minutes, and every leg in a talk would keep room for it.
                () = sleep_until(refresh_at) => Box::pin(self.start_refresh()).await,
                received = refreshed(&mut self.refresh) => {
                    if !self.finish_refresh(received) {
                        return LegEvent::Expired;
                    }
                }
                () = sleep_until(expires_at) => return LegEvent::Expired,
            }
        }
    }

    /// Sends an offer (or asks for one, without a body) inside the dialog.
    pub(crate) async fn offer(
        &mut self,
        method: Method,
        body: Option<&str>,
    ) -> Result<Offering, LegFailure> {
        self.ensure_open().await;
        self.start_offer(method, body.map(str::to_owned), Vec::new())
            .ok_or_else(|| LegFailure::of(FailureCause::Internal, "the request cannot be sent"))
    }

    /// Digests what came back for an offer; `None` is a transaction that ended without a word.
    pub(crate) fn conclude(&mut self, offering: Offering, received: Option<Received>) -> Concluded {
        let Some(received) = received else {
            return Concluded::Failed(LegFailure::of(
                FailureCause::TransactionTimeout,
                "no answer",
            ));
        };
        let code = received.code();
        if received.is_local() {
            return Concluded::Failed(LegFailure::of(
                FailureCause::TransactionTimeout,
                "no answer",
            ));
        }
        match code {
            200..=299 => {
                let response = received.response;
                let contact =
                    message::header(&response.headers, "Contact").and_then(message::address_uri);
                if let Some(contact) = contact.filter(|c| crate::dialog::is_sip(c)) {
                    self.dialog.remote_target = contact;
                }
                self.take_timer(&response);
                if offering.method == Method::Invite {
                    self.unacknowledged = Some(offering.cseq);
                }
                if let Some(body) = offering.body {
                    self.last_sent = Some(body);
                }
                Concluded::Agreed(response)
            }
            401 | 407 if !offering.proven => match self.prove(&received, &offering.request) {
                Some(proof) => {
                    match self.start_offer(offering.method, offering.body, vec![proof]) {
                        Some(again) => Concluded::Again(again),
                        None => Concluded::Failed(LegFailure::of(
                            FailureCause::Internal,
                            "the request cannot be sent",
                        )),
                    }
                }
                None => Concluded::Failed(LegFailure::from_response(
                    &received.response,
                    FailureCause::AuthFailed,
                )),
            },
            491 => Concluded::Glare,
            _ => Concluded::Failed(LegFailure::from_response(
                &received.response,
                FailureCause::Status,
            )),
        }
    }

    /// Whether the peer's Allow lists UPDATE.
    pub(crate) fn takes_update(&self) -> bool {
        self.peer_updates
    }

    /// Answers a request of the peer that changed the session.
    pub(crate) fn accept(&mut self, request: &mut ServerTx, sdp: Option<&str>) {
        let mut lines = vec![
            ("Contact", self.flow.contact()),
            ("Allow", front_door::ALLOW.to_owned()),
        ];
        if let Some((value, timer)) = self.timer_for_answer(&request.request) {
            lines.push(("Supported", "timer".to_owned()));
            lines.push(("Require", "timer".to_owned()));
            lines.push(("Session-Expires", value));
            self.timer = Some(timer);
        }
        if let Some(sdp) = sdp {
            self.last_sent = Some(sdp.to_owned());
        }
        request.answer_with(200, &lines, sdp);
    }

    /// Hangs up, and goes on listening until the peer has confirmed. The leg is gone afterwards.
    pub(crate) fn hang_up(mut self: Box<Leg>) -> JoinHandle<()> {
        tokio::spawn(async move {
            // A 2xx we never acknowledged must be, before it can be hung up.
            let refusal = self
                .unanswered_offer()
                .map(|o| self.origin.write(&o.refusal(self.flow.media_host())));
            self.acknowledge(refusal.as_deref());
            self.ensure_open().await;
            self.bye().await;
            self.finish().await;
        })
    }

    /// The peer hung up: nothing is left to send.
    pub(crate) async fn finish(mut self: Box<Leg>) {
        self.record.state = LegState::Ended;
        // The call is over either way; a closed channel has nobody to tell.
        let _told = self.tell_record().await;
    }

    fn unanswered_offer(&self) -> Option<Sdp> {
        // Only the first INVITE can have been sent without an offer and still wait for its answer here.
        self.unacknowledged.filter(|_| !self.record.offered)?;
        self.answer_sdp()
    }

    async fn bye(&mut self) {
        let mut proof = Vec::new();
        for _ in 0..2 {
            let cseq = self.dialog.next_cseq();
            let Ok(request) =
                self.dialog
                    .request(Method::Bye, cseq, &self.flow, proof.clone(), None)
            else {
                return;
            };
            let Ok(mut tx) = ClientTx::start(&self.engine.endpoint, request.clone(), &self.flow)
            else {
                return;
            };
            let received = loop {
                tokio::select! {
                    received = tx.last() => break received,
                    crossing = self.inbound.recv() => match crossing {
                        // Both hang up at once.
                        Some(mut crossing) if crossing.method() == Method::Bye => crossing.answer(200),
                        Some(mut other) => other.answer(481),
                        None => break tx.last().await,
                    },
                }
            };
            match received {
                Some(received) if proof.is_empty() && matches!(received.code(), 401 | 407) => {
                    match self.prove(&received, &request) {
                        Some(line) => proof.push(line),
                        None => return,
                    }
                }
                Some(_) | None => return,
            }
        }
    }

    /// The answer to a challenge inside the dialog: only towards the address of the trunk itself, because a
    /// Contact can lead anywhere and a stranger's challenge must get nothing.
    fn prove(&self, received: &Received, request: &Request) -> Option<(String, String)> {
        let credentials = self.trunk.credentials.as_ref()?;
        let source = received.source?;
        if self.flow.remote.ip() != self.trunk_address || source.ip() != self.trunk_address {
            return None;
        }
        dial::proof(credentials, received, request, 1).map(|(line, _)| line)
    }

    fn start_offer(
        &mut self,
        method: Method,
        body: Option<String>,
        proof: Vec<(String, String)>,
    ) -> Option<Offering> {
        let cseq = self.dialog.next_cseq();
        let proven = !proof.is_empty();
        let mut lines = vec![
            ("Contact".to_owned(), self.flow.contact()),
            ("Allow".to_owned(), front_door::ALLOW.to_owned()),
        ];
        if let Some(timer) = self.timer {
            let role = if timer.we_refresh {
                Refresher::Uac
            } else {
                Refresher::Uas
            };
            let value = format!("{};refresher={}", timer.interval.as_secs(), role.word());
            lines.push(("Supported".to_owned(), "timer".to_owned()));
            lines.push(("Session-Expires".to_owned(), value));
        }
        lines.extend(proof.iter().cloned());
        let request = self
            .dialog
            .request(method, cseq, &self.flow, lines, body.as_deref())
            .ok()?;
        if method == Method::Invite {
            self.engine
                .book
                .open(&self.dialog, cseq, &self.flow, body.is_some(), false);
            self.track(cseq);
            self.invite_proof = proof;
        }
        let tx = ClientTx::start(&self.engine.endpoint, request.clone(), &self.flow).ok()?;
        Some(Offering {
            tx,
            request,
            method,
            cseq,
            body,
            proven,
        })
    }

    async fn start_refresh(&mut self) {
        self.ensure_open().await;
        let offering = if self.peer_updates {
            self.start_offer(Method::Update, None, Vec::new())
        } else {
            self.start_offer(Method::Invite, self.last_sent.clone(), Vec::new())
        };
        self.refresh = offering;
        if let Some(timer) = &mut self.timer {
            timer.sent(std::time::Instant::now());
        }
    }

    /// False when the peer says there is no such call any more.
    fn finish_refresh(&mut self, received: Option<Received>) -> bool {
        let Some(offering) = self.refresh.take() else {
            return true;
        };
        match self.conclude(offering, received) {
            Concluded::Agreed(_) => {
                self.acknowledge(None);
                true
            }
            Concluded::Again(again) => {
                self.refresh = Some(again);
                true
            }
            Concluded::Glare => true,
            Concluded::Failed(failure) => {
                // Any other refusal leaves the session running until it expires.
                failure.cause != FailureCause::TransactionTimeout
                    && !matches!(failure.code, Some(408 | 481))
            }
        }
    }

    /// Answers what needs no decision; returns what does.
    fn screen(&mut self, mut request: ServerTx) -> Option<ServerTx> {
        let headers = &request.request.headers;
        let tag = message::from_tag(headers);
        if self.dialog.remote_tag.is_some() && self.dialog.remote_tag != tag {
            request.answer(481);
            return None;
        }
        let number = message::cseq(headers).map(|(n, _)| n);
        match (number, self.dialog.remote_cseq) {
            (Some(number), Some(last)) if number <= last => {
                request.answer(500);
                return None;
            }
            (Some(number), _) => self.dialog.remote_cseq = Some(number),
            (None, _) => {
                request.answer(400);
                return None;
            }
        }
        let contact = message::header(headers, "Contact").and_then(message::address_uri);
        match request.method() {
            Method::Bye => return Some(request),
            Method::Invite | Method::Update => {
                if let Some(contact) = contact.filter(|c| crate::dialog::is_sip(c)) {
                    self.dialog.remote_target = contact;
                }
                return self.screen_offer(request);
            }
            Method::Options => {
                request.answer_with(200, &[("Allow", front_door::ALLOW.to_owned())], None);
            }
            Method::Info => {
                let kind = message::header(headers, "Content-Type")
                    .unwrap_or_default()
                    .to_ascii_lowercase();
                let known = kind.is_empty()
                    || [
                        "application/dtmf",
                        "application/dtmf-relay",
                        "application/media_control+xml",
                    ]
                    .contains(&kind.as_str());
                request.answer(if known { 200 } else { 415 });
            }
            // Where this call goes is not the phones' to change.
            Method::Refer => request.answer(603),
            Method::PRack | Method::Cancel | Method::Ack => request.answer(481),
            Method::Message
            | Method::Notify
            | Method::Publish
            | Method::Register
            | Method::Subscribe => {
                request.answer_with(405, &[("Allow", front_door::ALLOW.to_owned())], None);
            }
        }
        None
    }

    /// A refresh that repeats the session is answered here; a change goes to the bridge.
    fn screen_offer(&mut self, mut request: ServerTx) -> Option<ServerTx> {
        let body = &request.request.body;
        let offer = message::sdp_body(&request.request.headers, body).and_then(Sdp::parse);
        if request.method() == Method::Update && body.is_empty() {
            self.accept(&mut request, None);
            return None;
        }
        let repeated = match (&offer, &self.last_heard) {
            (Some(offer), Some(last)) => offer.origin().is_some() && offer == last,
            (_, _) => false,
        };
        if repeated && self.unacknowledged.is_none() {
            let sdp = self.last_sent.clone();
            self.accept(&mut request, sdp.as_deref());
            return None;
        }
        Some(request)
    }

    /// Sets the timer from a 2xx of the peer.
    fn take_timer(&mut self, response: &Response) {
        let Some(value) = message::header(&response.headers, "Session-Expires") else {
            if let Some(timer) = &mut self.timer {
                timer.restart(std::time::Instant::now());
            }
            return;
        };
        let Some(expires) = session_timer::parse(value) else {
            return;
        };
        let we_refresh = match expires.refresher {
            Some(Refresher::Uac) | None => true,
            Some(Refresher::Uas) => false,
        };
        self.timer = Some(SessionTimer::start(
            expires.interval,
            we_refresh,
            std::time::Instant::now(),
        ));
    }

    /// Session-Expires for our answer to the peer's request, and the timer it starts.
    fn timer_for_answer(&mut self, request: &Request) -> Option<(String, SessionTimer)> {
        let asked =
            message::header(&request.headers, "Session-Expires").and_then(session_timer::parse);
        let Some(asked) = asked else {
            if let Some(timer) = &mut self.timer {
                timer.restart(std::time::Instant::now());
            }
            return None;
        };
        let refresher = asked.refresher.unwrap_or(Refresher::Uac);
        let we_refresh = refresher == Refresher::Uas;
        let value = format!(
            "{};refresher={}",
            asked.interval.as_secs(),
            refresher.word()
        );
        Some((
            value,
            SessionTimer::start(asked.interval, we_refresh, std::time::Instant::now()),
        ))
    }

    async fn ensure_open(&mut self) {
        if self.flow.transport != Transport::Udp && !is_open(&self.flow.connection) {
            self.settle_route().await;
        }
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        self.engine
            .dialogs
            .close(&self.dialog.call_id, &self.dialog.local_tag);
        for cseq in &self.tracked {
            // Whoever still answers this INVITE is acknowledged and hung up for a while.
            self.engine.book.give_up(&self.dialog.call_id, *cseq);
            self.engine.book.close_after(
                &self.dialog.call_id,
                *cseq,
                self.engine.config.timers.aftercare,
            );
        }
    }
}

impl Offering {
    /// The final response; may be dropped and asked again.
    pub(crate) async fn result(&mut self) -> Option<Received> {
        self.tx.last().await
    }

    pub(crate) fn kill(&self) {
        self.tx.kill();
    }
}

async fn refreshed(refresh: &mut Option<Offering>) -> Option<Received> {
    match refresh {
        Some(offering) => offering.result().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<std::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(Instant::from_std(at)).await,
        None => std::future::pending().await,
    }
}

/// A bounded wait for a leg to be gone.
pub(crate) async fn farewell(legs: Vec<JoinHandle<()>>, wait: Duration) {
    let all = async {
        for leg in legs {
            // A panic in a farewell is already reported by the runtime; the other leg still counts.
            drop(leg.await);
        }
    };
    drop(tokio::time::timeout(wait, all).await);
}
