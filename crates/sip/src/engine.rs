//! The engine: one SIP endpoint, started once, shared by every call.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rsipstack::{
    sip::Method,
    transaction::{
        Endpoint, EndpointBuilder, endpoint::EndpointInnerRef, endpoint::EndpointOption,
    },
};
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    bridge,
    call::{self, BridgeCall, BridgeEnd, BridgeEvent, LegRecord, Party, Target, Trunk},
    config::{Listen, SipConfig},
    dialog::Dialog,
    failure::{FailureCause, LegFailure},
    front_door::{Dialogs, FrontDoor, Hinge, Marker},
    invites::InviteBook,
    orphan::{self, OrphanEnd},
    registrar::{Registrar, Registration, RegistrationChange},
    srv::{Destination, Resolver},
    transaction::{ClientTx, ServerTx},
    transport::{Flow, StartError, Transports},
    uri::{SipUri, split_port},
};

/// A handle to the running engine; cheap to clone.
#[derive(Clone)]
pub struct SipEngine {
    pub(crate) inner: Arc<Inner>,
}

/// What every leg works with.
pub(crate) struct Inner {
    pub(crate) config: SipConfig,
    pub(crate) endpoint: EndpointInnerRef,
    pub(crate) transports: Transports,
    pub(crate) resolver: Resolver,
    pub(crate) book: InviteBook,
    pub(crate) dialogs: Dialogs,
    pub(crate) registrar: Option<Arc<Registrar>>,
    pub(crate) room: Semaphore,
    pub(crate) stop: CancellationToken,
}

impl SipEngine {
    /// Binds the sockets and starts serving.
    pub async fn start(config: SipConfig) -> Result<SipEngine, StartError> {
        // Installed already is as good as installed now.
        drop(rustls::crypto::ring::default_provider().install_default());
        let stop = CancellationToken::new();
        let book = InviteBook::default();
        let dialogs = Dialogs::default();
        let registrar = config
            .registrar
            .clone()
            .map(|c| Arc::new(Registrar::new(c)));
        let door = FrontDoor::new(book.clone(), dialogs.clone(), registrar.clone());
        let endpoint = endpoint(&config, &door, &stop);
        door.attach(Arc::downgrade(&endpoint.inner));
        let transports = Transports::start(&config, endpoint.inner.clone(), stop.clone()).await;
        let transports = transports.inspect_err(|_| stop.cancel())?;
        let incoming = endpoint
            .incoming_transactions()
            .map_err(|_| StartError::Stack)?;
        let inner = Arc::new(Inner {
            resolver: Resolver::new(&config.name_servers, config.timers.dns),
            room: Semaphore::new(config.max_calls),
            endpoint: endpoint.inner.clone(),
            config,
            transports,
            book,
            dialogs,
            registrar,
            stop,
        });
        tokio::spawn(async move { endpoint.serve().await });
        tokio::spawn(receive(inner.clone(), incoming));
        Ok(SipEngine { inner })
    }

    /// The sockets we listen on, with their real ports.
    pub fn local_addrs(&self) -> Vec<Listen> {
        self.inner.transports.local()
    }

    /// The record of a call's first INVITE as [`bridge`](SipEngine::bridge) will tell it, before anything leaves: what
    /// is stored with the attempt need not be stored once more while a customer waits. `None` where it cannot be
    /// said, or only after asking somebody.
    pub async fn foresee(&self, id: &str, first: &Party, flow: call::Flow) -> Option<LegRecord> {
        crate::dial::foresee(&self.inner, id, first, flow).await
    }

    /// Calls the first party, then the second, joins them, and stays until both legs are gone.
    pub async fn bridge(
        &self,
        call: BridgeCall,
        events: mpsc::Sender<BridgeEvent>,
        stop: CancellationToken,
    ) -> BridgeEnd {
        bridge::run(&self.inner, call, events, stop).await
    }

    /// OPTIONS to the trunk: any answer below 500 (and 501, 505) proves it alive.
    pub async fn ping(&self, trunk: &Trunk) -> Result<Duration, LegFailure> {
        self.inner.ping(trunk).await
    }

    /// After a crash: ends whatever these legs left at the peers.
    pub async fn end_orphans(&self, legs: Vec<LegRecord>) -> Vec<OrphanEnd> {
        orphan::end(&self.inner, legs).await
    }

    /// The phones a user has registered.
    pub fn registered(&self, user: &str) -> Vec<Registration> {
        self.inner
            .registrar
            .as_ref()
            .map_or_else(Vec::new, |r| r.registered(user))
    }

    /// Tells of every change of registrations; `None` without a registrar.
    pub fn on_registration(&self) -> Option<broadcast::Receiver<RegistrationChange>> {
        self.inner.registrar.as_ref().map(|r| r.changes())
    }

    /// A target that rings a registered user's latest phone.
    pub fn contact_of(&self, user: &str) -> Option<Target> {
        self.inner
            .registrar
            .as_ref()
            .and_then(|r| r.contact_of(user))
    }

    /// Stops receiving and sending. Calls under way should have been stopped before.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        // The serving tasks end at their next turn; give them one.
        tokio::task::yield_now().await;
    }
}

impl Inner {
    /// The branch, Contact and session description host all follow from the flow; this only finds the flow.
    pub(crate) async fn hops_of(&self, uri: &str, trunk: &Trunk) -> Vec<crate::srv::Hop> {
        match destination(uri) {
            Some(mut to) => {
                to.transport = to.transport.or(trunk.transport);
                self.resolver.hops(&to).await
            }
            None => Vec::new(),
        }
    }

    async fn ping(&self, trunk: &Trunk) -> Result<Duration, LegFailure> {
        let asked = trunk
            .ping_uri
            .clone()
            .or_else(|| trunk.outbound_proxy.clone());
        let host_of_from = || trunk.from.clone().and_then(|f| f.with_user(None).ok());
        let uri = asked.or_else(host_of_from).ok_or_else(|| {
            LegFailure::of(FailureCause::Internal, "the trunk names no address to ask")
        })?;
        let first = trunk.first_stop(&uri);
        let hops = self.hops_of(&first, trunk).await;
        let mut failure = LegFailure::of(FailureCause::Dns, "the name does not resolve");
        for hop in hops {
            match self.ping_hop(&uri, trunk, &hop).await {
                Ok(time) => return Ok(time),
                Err(other) => failure = other,
            }
        }
        Err(failure)
    }

    async fn ping_hop(
        &self,
        uri: &SipUri,
        trunk: &Trunk,
        hop: &crate::srv::Hop,
    ) -> Result<Duration, LegFailure> {
        let started = Instant::now();
        let mut refusals = self.transports.refusals();
        let flow = self.transports.open(hop).await?;
        let id = uuid::Uuid::now_v7().simple().to_string();
        let dialog = Dialog {
            call_id: format!("{id}.ping@{}", host_of(&flow)),
            local_tag: id.clone(),
            remote_tag: None,
            from: format!("<{}>;tag={id}", from_uri(trunk, &flow)),
            to: format!("<{uri}>"),
            remote_target: uri.to_string(),
            route_set: Vec::new(),
            cseq: 1,
            remote_cseq: None,
            branch_stem: id,
        };
        let lines = vec![
            ("Contact".to_owned(), flow.contact()),
            ("User-Agent".to_owned(), self.config.user_agent.clone()),
        ];
        let request = dialog
            .request(Method::Options, 1, &flow, lines, None)
            .map_err(|_| LegFailure::of(FailureCause::Malformed, "the address cannot be asked"))?;
        let mut tx = ClientTx::start(&self.endpoint, request, &flow)
            .map_err(|_| LegFailure::of(FailureCause::Internal, "the request cannot be sent"))?;
        let closed = flow.closed();
        let received = loop {
            tokio::select! {
                received = tx.last() => break received,
                refused = refusals.recv() => {
                    if refused.is_ok_and(|a| a == flow.remote) {
                        tx.kill();
                        return Err(LegFailure::of(FailureCause::Refused, "nobody listens there"));
                    }
                }
                () = closed.cancelled() => {
                    tx.kill();
                    return Err(LegFailure::of(FailureCause::Refused, "the connection was lost"));
                }
            }
        };
        match received {
            Some(r) if r.is_local() && r.code() == 503 => Err(LegFailure::of(
                FailureCause::Refused,
                "the connection was lost",
            )),
            Some(r) if !r.is_local() && (r.code() < 500 || matches!(r.code(), 501 | 505)) => {
                Ok(started.elapsed())
            }
            Some(r) if !r.is_local() => {
                Err(LegFailure::from_response(&r.response, FailureCause::Status))
            }
            Some(_) | None => Err(LegFailure::of(
                FailureCause::TransactionTimeout,
                "no answer",
            )),
        }
    }
}

/// Requests the front door let in.
async fn receive(inner: Arc<Inner>, mut incoming: rsipstack::transaction::TransactionReceiver) {
    loop {
        let transaction = tokio::select! {
            () = inner.stop.cancelled() => return,
            transaction = incoming.recv() => transaction,
        };
        let Some(transaction) = transaction else {
            return;
        };
        let mut tx = ServerTx::new(transaction, inner.endpoint.clone());
        match tx.method() {
            Method::Register => match &inner.registrar {
                Some(registrar) => registrar.handle(tx, &inner.transports),
                None => tx.answer(405),
            },
            Method::Invite
            | Method::Ack
            | Method::Bye
            | Method::Cancel
            | Method::Info
            | Method::Message
            | Method::Notify
            | Method::Options
            | Method::PRack
            | Method::Publish
            | Method::Refer
            | Method::Subscribe
            | Method::Update => match inner.dialogs.find(&tx.request) {
                // A leg that cannot keep up with its own peer answers 500 by dropping the request.
                Some(leg) => drop(leg.try_send(Box::new(tx))),
                None => tx.answer(481),
            },
        }
    }
}

fn endpoint(config: &SipConfig, door: &Arc<FrontDoor>, stop: &CancellationToken) -> Endpoint {
    let t1 = config.timers.t1;
    let option = EndpointOption {
        t1,
        t2: t1 * 8,
        t4: t1 * 10,
        t1x64: t1 * 64,
        // How long it may ring is ours to say, so the stack's own limit stays out of the way.
        timerc: Duration::from_secs(3600),
        // The ACK of a 2xx is ours: flow IV carries the answer in it.
        auto_ack_2xx: false,
        ..EndpointOption::default()
    };
    let endpoint = EndpointBuilder::new()
        .with_user_agent(&config.user_agent)
        .with_option(option)
        .with_cancel_token(stop.clone())
        .with_inspector(Box::new(Marker))
        .with_transport_inspector(Box::new(Hinge(door.clone())))
        .build();
    endpoint
        .inner
        .transport_layer
        .set_stream_idle_timeout(Duration::from_secs(600));
    endpoint
}

/// Where a URI from anybody (a Contact, a Route, our own configuration) leads.
pub(crate) fn destination(uri: &str) -> Option<Destination> {
    let (scheme, rest) = uri.split_once(':')?;
    let secure = scheme.eq_ignore_ascii_case("sips");
    if !secure && !scheme.eq_ignore_ascii_case("sip") {
        return None;
    }
    let rest = rest.split('?').next()?;
    let mut parts = rest.split(';');
    let address = parts.next()?;
    let address = address.rsplit_once('@').map_or(address, |(_, host)| host);
    let (host, port) = split_port(address).ok()?;
    // The host is checked like one of our own: it will be asked of DNS and put into a certificate check.
    let host = SipUri::new(None, host).ok()?.host().to_owned();
    let transport = parts.find_map(|p| {
        let (name, word) = p.split_once('=')?;
        if name.eq_ignore_ascii_case("transport") {
            crate::config::Transport::from_word(word)
        } else {
            None
        }
    });
    Some(Destination {
        host,
        port,
        transport,
        secure,
    })
}

pub(crate) fn from_uri(trunk: &Trunk, flow: &Flow) -> String {
    trunk.from.as_ref().map_or_else(
        || format!("sip:ringback@{}", host_of(flow)),
        ToString::to_string,
    )
}

/// The host we name ourselves by on this flow, without the port.
pub(crate) fn host_of(flow: &Flow) -> &str {
    flow.sent_by
        .rsplit_once(':')
        .map_or(flow.sent_by.as_str(), |(host, _)| host)
}
