//! Placing one leg: target after target, address after address, until somebody answers or a person says no.

use std::{sync::Arc, time::Duration};

use rsipstack::sip::{Method, Request, Response};
use tokio::{
    sync::{broadcast, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    call::{self, BridgeCall, BridgeEvent, By, Credentials, LegRecord, LegState, Party, Target},
    config::Transport,
    dialog::Dialog,
    digest,
    engine::{self, Inner},
    failure::{FailureCause, LegFailure},
    invites::fold,
    leg::Leg,
    message,
    sdp::{Origin, Sdp},
    session_timer,
    transaction::{ClientTx, Received},
    transport::Flow,
};

/// What is placed, for whom, and until when.
pub(crate) struct Dial<'a> {
    pub(crate) engine: &'a Arc<Inner>,
    pub(crate) call: &'a BridgeCall,
    pub(crate) side: By,
    pub(crate) party: &'a Party,
    /// The offer of the INVITE; `None` asks the phone for one.
    pub(crate) offer: Option<Sdp>,
    /// The offer is the inactive one of our own, written for the flow's address.
    pub(crate) held: bool,
    pub(crate) ring: Duration,
    pub(crate) events: &'a mpsc::Sender<BridgeEvent>,
    pub(crate) give_up: CancellationToken,
    /// Counts INVITE dialogs of this party, so that every Call-ID is new.
    pub(crate) number: &'a mut u32,
    /// The first target to try.
    pub(crate) start_at: usize,
}

/// Why nobody was reached, and at which target it ended.
pub(crate) struct NotReached {
    pub(crate) failure: LegFailure,
    pub(crate) target: usize,
}

enum Ended {
    Final(Received),
    RingTimeout,
    Silent,
    Refused,
    Stopped,
    Lost,
}

const MAX_ROUNDS: usize = 5;

impl Dial<'_> {
    /// Rings the party. The leg that comes back is answered but not yet acknowledged.
    pub(crate) async fn run(mut self) -> Result<Box<Leg>, NotReached> {
        let party = self.party;
        let mut last = NotReached {
            failure: LegFailure::of(FailureCause::Internal, "there is no target to call"),
            target: 0,
        };
        for (index, target) in party.targets.iter().enumerate().skip(self.start_at) {
            match self.target(target).await {
                Ok(mut leg) => {
                    leg.route = target.route.clone();
                    return Ok(leg);
                }
                Err(failure) => {
                    let next = failure.is_route_failure();
                    if next {
                        let (route, failure) = (target.route.clone(), Box::new(failure.clone()));
                        self.tell(BridgeEvent::RouteFailed {
                            party: party.name,
                            route,
                            failure,
                        });
                    }
                    last = NotReached {
                        failure,
                        target: index,
                    };
                    if !next || self.give_up.is_cancelled() {
                        return Err(last);
                    }
                }
            }
        }
        Err(last)
    }

    async fn target(&mut self, target: &Target) -> Result<Box<Leg>, LegFailure> {
        if let Some(contact) = &target.via_contact {
            return self.hop(target, contact.flow.clone(), true).await;
        }
        let first = target.trunk.first_stop(&target.uri);
        let mut failure = LegFailure::of(FailureCause::Dns, "the name does not resolve");
        for hop in self.engine.hops_of(&first, &target.trunk).await {
            failure = match self.engine.transports.open(&hop).await {
                Ok(flow) => match self.hop(target, flow, false).await {
                    Ok(leg) => return Ok(leg),
                    Err(failure) => failure,
                },
                Err(failure) => failure,
            };
            if !failure.is_hop_failure() || self.give_up.is_cancelled() {
                break;
            }
        }
        Err(failure)
    }

    /// One address: INVITE, challenges and timer negotiation included.
    async fn hop(
        &mut self,
        target: &Target,
        flow: Flow,
        pinned: bool,
    ) -> Result<Box<Leg>, LegFailure> {
        let mut leg = self.new_leg(target, flow, pinned);
        let body = self.offer.as_ref().map(|offer| leg.origin.write(offer));
        leg.layout = self.offer.clone();
        if self.held {
            let offer = Sdp::held_offer(leg.flow.media_host());
            leg.layout = Some(offer);
        }
        let body = if self.held {
            leg.layout.clone().map(|o| leg.origin.write(&o))
        } else {
            body
        };
        leg.last_sent.clone_from(&body);
        let mut proof: Vec<(String, String)> = Vec::new();
        let mut min_se = None;
        let ring_until = Instant::now() + self.ring;
        let mut rang = false;
        let mut answered_challenges: Vec<(String, String)> = Vec::new();
        for _ in 0..MAX_ROUNDS {
            let cseq = leg.dialog.next_cseq();
            let mut lines = self.invite_lines(target, &leg, min_se);
            lines.extend(proof.iter().cloned());
            let request = leg
                .dialog
                .request(Method::Invite, cseq, &leg.flow, lines, body.as_deref())
                .map_err(|_| {
                    LegFailure::of(FailureCause::Malformed, "the address cannot be called")
                })?;
            leg.invite_proof.clone_from(&proof);
            leg.record = record(
                self.party.name,
                &leg.dialog,
                &leg.flow,
                cseq,
                body.is_some(),
            );
            let mut refusals = self.engine.transports.refusals();
            self.engine
                .book
                .open(&leg.dialog, cseq, &leg.flow, body.is_some(), false);
            leg.track(cseq);
            // Recorded before it leaves: after a crash somebody must know whom to hang up.
            if !leg.record_kept().await {
                return Err(LegFailure::of(
                    FailureCause::Stopped,
                    "nobody records this call",
                ));
            }
            if self.give_up.is_cancelled() {
                return Err(LegFailure::of(
                    FailureCause::Stopped,
                    "stopped before dialling",
                ));
            }
            let mut tx = ClientTx::start(&self.engine.endpoint, request.clone(), &leg.flow)
                .map_err(|_| {
                    LegFailure::of(FailureCause::Internal, "the request cannot be sent")
                })?;
            let (ended, alive) = self
                .wait(&mut tx, &mut leg, &mut refusals, ring_until, &mut rang)
                .await;
            let received = match ended {
                Ended::Final(received) => received,
                Ended::RingTimeout => {
                    let code = self.cancel(tx, &leg, request, alive).await;
                    let mut failure =
                        LegFailure::of(FailureCause::RingTimeout, "nobody answered in time");
                    (failure.code, failure.rang) = (code, rang);
                    return Err(failure);
                }
                Ended::Stopped => {
                    self.cancel(tx, &leg, request, alive).await;
                    return Err(LegFailure::of(
                        FailureCause::Stopped,
                        "stopped while calling",
                    ));
                }
                Ended::Silent => {
                    self.cancel(tx, &leg, request, alive).await;
                    return Err(LegFailure::of(
                        FailureCause::TransactionTimeout,
                        "no response at all",
                    ));
                }
                Ended::Refused => {
                    tx.kill();
                    return Err(LegFailure::of(
                        FailureCause::Refused,
                        "nobody listens there",
                    ));
                }
                Ended::Lost => {
                    return Err(LegFailure::of(
                        FailureCause::Internal,
                        "the exchange ended early",
                    ));
                }
            };
            if received.is_local() {
                let cause = if received.code() == 503 {
                    FailureCause::Refused
                } else {
                    FailureCause::TransactionTimeout
                };
                let mut failure = LegFailure::of(cause, "no response");
                failure.rang = rang;
                return Err(failure);
            }
            match received.code() {
                200..=299 => {
                    leg.answered(received.response, cseq);
                    // Recorded before it is acknowledged: until then the phone repeats its answer, so that
                    // after a crash either the record or the phone tells of the call. Nobody recording is a
                    // reason to stop, but an answered leg must be ended properly first.
                    let _kept = leg.record_kept().await;
                    self.tell(BridgeEvent::Answered {
                        party: self.party.name,
                    });
                    return Ok(leg);
                }
                401 | 407 => {
                    match self.prove(target, &leg, &received, &request, &mut answered_challenges) {
                        Some(line) => {
                            proof.retain(|(name, _)| *name != line.0);
                            proof.push(line);
                        }
                        None => {
                            return Err(with_ring(
                                LegFailure::from_response(
                                    &received.response,
                                    FailureCause::AuthFailed,
                                ),
                                rang,
                            ));
                        }
                    }
                }
                422 if min_se.is_none() => {
                    let asked = message::header(&received.response.headers, "Min-SE")
                        .and_then(session_timer::parse);
                    match asked {
                        Some(asked) => min_se = Some(asked.interval),
                        None => {
                            return Err(with_ring(
                                LegFailure::from_response(&received.response, FailureCause::Status),
                                rang,
                            ));
                        }
                    }
                }
                _ => {
                    return Err(with_ring(
                        LegFailure::from_response(&received.response, FailureCause::Status),
                        rang,
                    ));
                }
            }
        }
        Err(LegFailure::of(
            FailureCause::AuthFailed,
            "the peer kept asking",
        ))
    }

    /// Waits for the final response; also says whether any provisional one was heard.
    async fn wait(
        &mut self,
        tx: &mut ClientTx,
        leg: &mut Leg,
        refusals: &mut broadcast::Receiver<std::net::SocketAddr>,
        ring_until: Instant,
        rang: &mut bool,
    ) -> (Ended, bool) {
        let silent_at = Instant::now() + self.engine.config.timers.silence;
        let closed = leg.flow.closed();
        let udp = leg.flow.transport == Transport::Udp;
        let mut alive = false;
        let mut reliable = Reliable::default();
        loop {
            tokio::select! {
                received = tx.next() => match received {
                    None => return (Ended::Lost, alive),
                    Some(received) if received.code() >= 200 => return (Ended::Final(received), alive),
                    Some(received) => {
                        alive = true;
                        self.provisional(&received.response, leg, &mut reliable, rang).await;
                    }
                },
                () = tokio::time::sleep_until(ring_until) => {
                    return (if alive { Ended::RingTimeout } else { Ended::Silent }, alive);
                }
                () = tokio::time::sleep_until(silent_at), if !alive => return (Ended::Silent, alive),
                () = self.give_up.cancelled() => return (Ended::Stopped, alive),
                refused = refusals.recv(), if udp && !alive => {
                    if refused.is_ok_and(|a| a == leg.flow.remote) {
                        return (Ended::Refused, alive);
                    }
                }
                () = closed.cancelled(), if !alive => return (Ended::Refused, alive),
            }
        }
    }

    async fn provisional(
        &mut self,
        response: &Response,
        leg: &mut Leg,
        reliable: &mut Reliable,
        rang: &mut bool,
    ) {
        let party = self.party.name;
        let code = response.status_code.code();
        if code == 100 {
            self.tell(BridgeEvent::Trying { party });
            return;
        }
        *rang = true;
        if let Some(tag) = message::to_tag(&response.headers)
            && leg.record.to_tag.as_ref() != Some(&tag)
        {
            let mut early = leg.dialog.clone();
            early.learn(response);
            leg.record.to_tag = Some(tag);
            leg.record.state = LegState::Early;
            leg.record.remote_target = Some(early.remote_target);
            leg.record.route_set = early.route_set;
            let _told = leg.tell_record().await;
        }
        self.tell(BridgeEvent::Ringing { party, code });
        if message::sdp_body(&response.headers, &response.body).is_some() {
            self.tell(BridgeEvent::EarlyMedia { party });
        }
        if let Some(prack) = reliable.prack(response, leg) {
            // Its answer changes nothing for us: if it is lost the peer repeats the provisional.
            drop(ClientTx::start(&self.engine.endpoint, prack, &leg.flow));
        }
    }

    /// Cancels, and gives the peer a moment to confirm; what takes longer goes on in the background.
    async fn cancel(&self, tx: ClientTx, leg: &Leg, invite: Request, alive: bool) -> Option<u16> {
        self.engine
            .book
            .give_up(&leg.dialog.call_id, leg.dialog.cseq);
        let undertaker = tokio::spawn(cancel(
            self.engine.clone(),
            tx,
            leg.flow.clone(),
            invite,
            alive,
        ));
        let wait = self.engine.config.timers.farewell;
        tokio::time::timeout(wait, undertaker)
            .await
            .ok()
            .and_then(Result::ok)
            .flatten()
    }

    /// The answer to a challenge, if this challenge may be answered at all: it must come from the trunk we
    /// called, for the realm the credentials are for, and not say that our answer was wrong.
    fn prove(
        &self,
        target: &Target,
        leg: &Leg,
        received: &Received,
        request: &Request,
        answered: &mut Vec<(String, String)>,
    ) -> Option<(String, String)> {
        let credentials = target.trunk.credentials.as_ref()?;
        if leg.flow.transport == Transport::Udp && received.source != Some(leg.flow.remote) {
            return None;
        }
        let (line, seen) = proof(credentials, received, request, 1)?;
        if answered.contains(&seen.0) && !seen.1 {
            return None;
        }
        answered.push(seen.0);
        Some(line)
    }

    fn new_leg(&mut self, target: &Target, flow: Flow, pinned: bool) -> Box<Leg> {
        let word = match self.side {
            By::Second => "second",
            By::First | By::Us | By::SessionTimer | By::MaxTalk => "first",
        };
        let id = &self.call.id;
        let suffix = if *self.number == 0 {
            String::new()
        } else {
            format!(".{}", self.number)
        };
        *self.number += 1;
        let dialog = new_dialog(id, &format!("{word}{suffix}"), target, &flow);
        let origin = Origin::new(u64::from(fold(&dialog.call_id)), flow.media_host());
        Box::new(Leg::new(
            self.engine.clone(),
            self.side,
            self.party.name,
            target.trunk.clone(),
            dialog,
            flow,
            pinned,
            origin,
            self.events.clone(),
        ))
    }

    fn invite_lines(
        &self,
        target: &Target,
        leg: &Leg,
        min_se: Option<Duration>,
    ) -> Vec<(String, String)> {
        let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let timers = target.trunk.session_timer;
        let mut supported = Vec::new();
        if self.offer.is_some() || self.held {
            // Only with an offer in hand: a reliable provisional answer to an empty INVITE would bring an
            // offer that its PRACK had to answer before anybody is there.
            supported.push("100rel");
        }
        if timers {
            supported.push("timer");
        }
        let mut lines = vec![
            line("Contact", &leg.flow.contact()),
            line("User-Agent", &self.engine.config.user_agent),
            line("Allow", crate::front_door::ALLOW),
            line("X-Ringback-Attempt", &self.call.id),
        ];
        if !supported.is_empty() {
            lines.push(line("Supported", &supported.join(", ")));
        }
        if timers {
            let wanted = self
                .engine
                .config
                .session_expires
                .max(min_se.unwrap_or_default());
            lines.push(line("Session-Expires", &wanted.as_secs().to_string()));
            lines.push(line(
                "Min-SE",
                &min_se
                    .unwrap_or(Duration::from_secs(90))
                    .as_secs()
                    .to_string(),
            ));
        }
        if let Some(identity) = &target.trunk.asserted_identity {
            lines.push(line("P-Asserted-Identity", &format!("<{identity}>")));
        }
        let extra = self
            .call
            .headers
            .iter()
            .filter(|(n, v)| call::is_extra_header(n, v));
        lines.extend(extra.take(32).cloned());
        lines
    }

    /// Tells what is nice to know; a full channel loses it rather than holding up the call.
    fn tell(&self, event: BridgeEvent) {
        drop(self.events.try_send(event));
    }
}

/// RFC 3262: which reliable provisional responses were acknowledged already.
#[derive(Default)]
struct Reliable {
    last: Option<(String, u32)>,
}

impl Reliable {
    fn prack(&mut self, response: &Response, leg: &mut Leg) -> Option<Request> {
        if !message::lists(&response.headers, "Require", "100rel") {
            return None;
        }
        let number: u32 = message::header(&response.headers, "RSeq")?.parse().ok()?;
        let tag = message::to_tag(&response.headers)?;
        if self
            .last
            .as_ref()
            .is_some_and(|(t, n)| *t == tag && number <= *n)
        {
            return None;
        }
        self.last = Some((tag, number));
        let (invite, _) = message::cseq(&response.headers)?;
        let cseq = leg.dialog.next_cseq();
        let mut early = leg.dialog.clone();
        early.learn(response);
        let rack = vec![("RAck".to_owned(), format!("{number} {invite} INVITE"))];
        early
            .request(Method::PRack, cseq, &leg.flow, rack, None)
            .ok()
    }
}

/// Sends the CANCEL as soon as it may be sent, and sees the INVITE to its end. Returns the final status.
async fn cancel(
    engine: Arc<Inner>,
    mut tx: ClientTx,
    flow: Flow,
    invite: Request,
    mut alive: bool,
) -> Option<u16> {
    let t1 = engine.config.timers.t1;
    let until = Instant::now() + t1 * 70;
    let mut sent = false;
    let code = loop {
        if alive && !sent {
            sent = true;
            if let Some(request) = cancel_of(&invite) {
                drop(ClientTx::start(&engine.endpoint, request, &flow));
            }
        }
        // Before a provisional response a CANCEL may overtake its INVITE, so it waits for one.
        match tokio::time::timeout_at(until, tx.next()).await {
            Ok(Some(received)) if received.code() >= 200 => {
                break (!received.is_local()).then(|| received.code());
            }
            Ok(Some(_)) => alive = true,
            Ok(None) | Err(_) => break None,
        }
    };
    tx.kill();
    code
}

/// The CANCEL of an INVITE: same branch, URI, From, To, Call-ID, number and routes.
pub(crate) fn cancel_of(invite: &Request) -> Option<Request> {
    let kept = ["Via", "From", "To", "Call-ID", "Max-Forwards", "Route"];
    let mut lines: Vec<(String, String)> = invite
        .headers
        .iter()
        .filter(|h| kept.iter().any(|k| k.eq_ignore_ascii_case(h.name())))
        .map(|h| (h.name().to_owned(), h.value().to_owned()))
        .collect();
    let (number, _) = message::cseq(&invite.headers)?;
    lines.push(("CSeq".to_owned(), format!("{number} CANCEL")));
    message::request(Method::Cancel, &invite.uri.to_string(), &lines, None).ok()
}

type Seen = ((String, String), bool);

/// The Authorization line for a challenge; also which realm it was for, and whether only our nonce was old.
pub(crate) fn proof(
    credentials: &Credentials,
    received: &Received,
    request: &Request,
    count: u32,
) -> Option<((String, String), Seen)> {
    let (asks, answers) = match received.code() {
        401 => ("WWW-Authenticate", "Authorization"),
        407 => ("Proxy-Authenticate", "Proxy-Authorization"),
        _ => return None,
    };
    let challenge = digest::best_challenge(&received.response.headers, asks)?;
    if credentials
        .realm
        .as_ref()
        .is_some_and(|realm| *realm != challenge.realm)
    {
        return None;
    }
    let cnonce = hex::encode(rand::random::<[u8; 8]>());
    let (method, uri) = (request.method.to_string(), request.uri.to_string());
    let value = digest::answer(
        &challenge,
        &credentials.user,
        &credentials.password,
        &method,
        &uri,
        count,
        &cnonce,
    );
    let seen = (
        (answers.to_owned(), challenge.realm.clone()),
        challenge.stale,
    );
    Some(((answers.to_owned(), value), seen))
}

/// A dialog that is about to be: everything in it follows from the call, the target and the way to it.
fn new_dialog(id: &str, word: &str, target: &Target, flow: &Flow) -> Dialog {
    let local_tag = format!("{id}-{word}");
    let call_id = format!("{id}.{word}@{}", engine::host_of(flow));
    let display = target
        .trunk
        .from_display
        .as_deref()
        .map(|d| format!("{} ", call::quoted(d)));
    let request_uri = target
        .via_contact
        .as_ref()
        .map_or_else(|| target.uri.to_string(), |c| c.uri.clone());
    let proxy = target
        .trunk
        .outbound_proxy
        .iter()
        .filter(|_| target.via_contact.is_none());
    Dialog {
        from: format!(
            "{}<{}>;tag={local_tag}",
            display.unwrap_or_default(),
            engine::from_uri(&target.trunk, flow)
        ),
        to: format!("<{}>", target.uri),
        remote_tag: None,
        remote_target: request_uri,
        route_set: proxy.map(|p| format!("{p};lr")).collect(),
        cseq: 0,
        remote_cseq: None,
        branch_stem: local_tag.clone(),
        call_id,
        local_tag,
    }
}

/// A name that takes longer to resolve is looked up when it is called.
const FORESIGHT: Duration = Duration::from_millis(50);

/// The record of the first INVITE of a call, as it will be unless something changes before it leaves. Nothing leaves,
/// and no connection is opened for it. `None`: it cannot be said.
pub(crate) async fn foresee(
    engine: &Arc<Inner>,
    id: &str,
    party: &Party,
    flow: call::Flow,
) -> Option<LegRecord> {
    let target = party.targets.first()?;
    let way = match &target.via_contact {
        Some(contact) => contact.flow.clone(),
        None => {
            let first = target.trunk.first_stop(&target.uri);
            let hops = engine.hops_of(&first, &target.trunk);
            let hops = tokio::time::timeout(FORESIGHT, hops).await.ok()?;
            let hop = hops.first().filter(|hop| hop.transport == Transport::Udp)?;
            engine.transports.open(hop).await.ok()?
        }
    };
    let mut dialog = new_dialog(id, "first", target, &way);
    let cseq = dialog.next_cseq();
    let offered = flow == call::Flow::HeldOffer;
    Some(record(party.name, &dialog, &way, cseq, offered))
}

fn record(party: &str, dialog: &Dialog, flow: &Flow, cseq: u32, offered: bool) -> LegRecord {
    LegRecord {
        party: party.to_owned(),
        call_id: dialog.call_id.clone(),
        from_tag: dialog.local_tag.clone(),
        to_tag: None,
        cseq,
        branch: dialog.branch(Method::Invite, cseq),
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
        offered,
        state: LegState::Inviting,
    }
}

fn with_ring(mut failure: LegFailure, rang: bool) -> LegFailure {
    failure.rang = rang;
    failure
}
