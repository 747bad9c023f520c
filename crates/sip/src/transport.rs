//! Sockets and connections: listening, dialling with verified TLS, reusing what is open, and saying at
//! once when nobody is there.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use rsipstack::{
    sip::transport::Transport as StackTransport,
    transaction::endpoint::EndpointInnerRef,
    transport::{
        SipAddr, SipConnection, tcp::TcpConnection, tls::TlsConnection, udp::UdpConnection,
    },
};
use rustls::{RootCertStore, client::WebPkiServerVerifier, client::danger::ServerCertVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, broadcast},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Listen, SipConfig, TlsFiles, Transport},
    failure::{FailureCause, LegFailure},
    srv::Hop,
    udp_socket::{self, Socket},
};

/// Why the engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {transport:?} {addr}")]
    Listen {
        transport: Transport,
        addr: SocketAddr,
        source: std::io::Error,
    },
    #[error("cannot read {file}: {reason}")]
    Tls { file: String, reason: String },
    #[error("nothing to listen on: a SIP engine needs at least one address")]
    NoListener,
    #[error("the SIP stack did not start")]
    Stack,
}

/// A way to a peer: the connection, the address, and how we name ourselves on it.
#[derive(Clone)]
pub(crate) struct Flow {
    pub(crate) connection: SipConnection,
    pub(crate) transport: Transport,
    pub(crate) remote: SocketAddr,
    /// `host:port` for Via and Contact.
    pub(crate) sent_by: String,
    /// The name the connection was verified for, when we dialled it.
    pub(crate) name: String,
}

impl Flow {
    /// Where the stack must send to.
    pub(crate) fn destination(&self) -> SipAddr {
        SipAddr {
            r#type: Some(stack_transport(self.transport)),
            addr: self.remote.into(),
        }
    }

    pub(crate) fn contact(&self) -> String {
        match self.transport {
            Transport::Udp => format!("<sip:ringback@{}>", self.sent_by),
            Transport::Tcp | Transport::Tls => {
                format!(
                    "<sip:ringback@{};transport={}>",
                    self.sent_by,
                    self.transport.uri_word()
                )
            }
        }
    }

    pub(crate) fn via(&self, branch: &str) -> String {
        format!(
            "SIP/2.0/{} {};branch={branch};rport",
            self.transport.via_word(),
            self.sent_by
        )
    }

    /// Cancelled when a stream connection is gone; never for UDP.
    pub(crate) fn closed(&self) -> CancellationToken {
        match (self.transport, self.connection.cancel_token()) {
            (Transport::Tcp | Transport::Tls, Some(token)) => token,
            (Transport::Tcp | Transport::Tls, None) | (Transport::Udp, _) => {
                CancellationToken::new()
            }
        }
    }

    /// The address to put into session descriptions we write ourselves.
    pub(crate) fn media_host(&self) -> IpAddr {
        let host = self
            .sent_by
            .rsplit_once(':')
            .map_or(self.sent_by.as_str(), |(h, _)| h);
        let named = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok();
        named
            .or_else(|| udp_socket::local_address_towards(self.remote))
            .unwrap_or(IpAddr::from([127, 0, 0, 1]))
    }
}

/// All sockets of one engine.
pub(crate) struct Transports {
    endpoint: EndpointInnerRef,
    listeners: Vec<(Listen, Option<SipConnection>)>,
    public_host: Option<String>,
    verifier: Option<Arc<dyn ServerCertVerifier>>,
    connect_wait: Duration,
    dialled: Mutex<HashMap<(Transport, SocketAddr, String), SipConnection>>,
    refused: broadcast::Sender<SocketAddr>,
    stop: CancellationToken,
}

impl Transports {
    /// Binds everything configured. TCP and TLS connections are accepted from now on.
    pub(crate) async fn start(
        config: &SipConfig,
        endpoint: EndpointInnerRef,
        stop: CancellationToken,
    ) -> Result<Transports, StartError> {
        if config.listen.is_empty() {
            return Err(StartError::NoListener);
        }
        let (refused, _) = broadcast::channel(256);
        let files = config.tls.clone().unwrap_or_default();
        let room = Arc::new(Semaphore::new(config.max_connections));
        let mut listeners = Vec::new();
        for listen in &config.listen {
            let failed = |source| StartError::Listen {
                transport: listen.transport,
                addr: listen.addr,
                source,
            };
            let bound = match listen.transport {
                Transport::Udp => {
                    let socket = Socket::bind(listen.addr, refused.clone(), stop.clone())
                        .await
                        .map_err(failed)?;
                    let addr = socket.address().map_err(failed)?;
                    let udp = UdpConnection::from_socket(
                        Arc::new(socket),
                        None,
                        Some(stop.child_token()),
                    )
                    .await
                    .map_err(|_| StartError::Stack)?;
                    let connection = SipConnection::Udp(udp);
                    endpoint.transport_layer.add_transport(connection.clone());
                    (
                        Listen {
                            transport: Transport::Udp,
                            addr,
                        },
                        Some(connection),
                    )
                }
                Transport::Tcp | Transport::Tls => {
                    let acceptor = match listen.transport {
                        Transport::Tls => Some(acceptor(&files)?),
                        Transport::Tcp | Transport::Udp => None,
                    };
                    let listener = TcpListener::bind(listen.addr).await.map_err(failed)?;
                    let addr = listener.local_addr().map_err(failed)?;
                    let gate = Gate {
                        listener,
                        acceptor,
                        endpoint: endpoint.clone(),
                        room: room.clone(),
                        wait: config.timers.connect,
                        stop: stop.clone(),
                    };
                    tokio::spawn(gate.accept());
                    (
                        Listen {
                            transport: listen.transport,
                            addr,
                        },
                        None,
                    )
                }
            };
            listeners.push(bound);
        }
        Ok(Transports {
            endpoint,
            listeners,
            public_host: config.public_host.clone(),
            verifier: verifier(&files)?,
            connect_wait: config.timers.connect,
            dialled: Mutex::new(HashMap::new()),
            refused,
            stop,
        })
    }

    pub(crate) fn local(&self) -> Vec<Listen> {
        self.listeners.iter().map(|(l, _)| *l).collect()
    }

    /// Addresses ICMP reports as not there, as they are reported.
    pub(crate) fn refusals(&self) -> broadcast::Receiver<SocketAddr> {
        self.refused.subscribe()
    }

    /// A way to this address: the open connection if there is one, else a new one. A refusal is known now,
    /// not after 32 seconds.
    pub(crate) async fn open(&self, hop: &Hop) -> Result<Flow, LegFailure> {
        let connection = match hop.transport {
            Transport::Udp => self.udp_for(hop.address)?,
            Transport::Tcp | Transport::Tls => self.stream_to(hop).await?,
        };
        Ok(self.flow(connection, hop.transport, hop.address, hop.name.clone()))
    }

    /// The way back over a connection a peer opened to us.
    pub(crate) fn flow(
        &self,
        connection: SipConnection,
        transport: Transport,
        remote: SocketAddr,
        name: String,
    ) -> Flow {
        let sent_by = self.sent_by(&connection, transport, remote);
        Flow {
            connection,
            transport,
            remote,
            sent_by,
            name,
        }
    }

    fn udp_for(&self, remote: SocketAddr) -> Result<SipConnection, LegFailure> {
        let fitting = self
            .listeners
            .iter()
            .filter(|(l, _)| l.transport == Transport::Udp && l.addr.is_ipv4() == remote.is_ipv4())
            .find_map(|(_, connection)| connection.clone());
        fitting.ok_or_else(|| {
            LegFailure::of(
                FailureCause::Internal,
                "no UDP socket for this kind of address",
            )
        })
    }

    async fn stream_to(&self, hop: &Hop) -> Result<SipConnection, LegFailure> {
        let key = (hop.transport, hop.address, hop.name.clone());
        if let Some(open) = self.lock_dialled().get(&key).filter(|c| is_open(c)) {
            return Ok(open.clone());
        }
        let remote = SipAddr {
            r#type: Some(stack_transport(hop.transport)),
            addr: hop.address.into(),
        };
        let token = self.stop.child_token();
        let dial = async {
            match (hop.transport, &self.verifier) {
                (Transport::Tls, None) => Err(rsipstack::Error::Error(
                    "no trusted certificates".to_owned(),
                )),
                (Transport::Tls, Some(verifier)) => {
                    let config = rsipstack::transport::TlsConfig {
                        sni_hostname: Some(hop.name.clone()),
                        // The verifier below decides; this only keeps the stack from warning about roots.
                        ca_certs: Some(Vec::new()),
                        ..Default::default()
                    };
                    let verifier = Some(verifier.clone());
                    let tls = TlsConnection::connect(&remote, Some(&config), verifier, Some(token))
                        .await?;
                    Ok(SipConnection::Tls(tls))
                }
                (Transport::Tcp | Transport::Udp, _) => Ok(SipConnection::Tcp(
                    TcpConnection::connect(&remote, Some(token)).await?,
                )),
            }
        };
        let connection = match tokio::time::timeout(self.connect_wait, dial).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(dial_failure(hop.transport, &error)),
            Err(_late) => {
                return Err(LegFailure::of(
                    FailureCause::Refused,
                    "the connection took too long",
                ));
            }
        };
        self.endpoint
            .transport_layer
            .add_connection(connection.clone());
        let mut dialled = self.lock_dialled();
        dialled.retain(|_, c| is_open(c));
        dialled.insert(key, connection.clone());
        Ok(connection)
    }

    fn sent_by(
        &self,
        connection: &SipConnection,
        transport: Transport,
        remote: SocketAddr,
    ) -> String {
        let listening = self
            .listeners
            .iter()
            .find(|(l, _)| l.transport == transport && l.addr.is_ipv4() == remote.is_ipv4())
            .map(|(l, _)| l.addr);
        let bound = listening.or_else(|| connection.get_addr().get_socketaddr().ok());
        let port = bound.map_or(transport.default_port(), |a| a.port());
        let host = match (&self.public_host, bound) {
            (Some(public), _) => public.clone(),
            (None, Some(bound)) if !bound.ip().is_unspecified() => bracketed(bound.ip()),
            (None, _) => udp_socket::local_address_towards(remote)
                .map_or_else(|| "localhost".to_owned(), bracketed),
        };
        format!("{host}:{port}")
    }

    fn lock_dialled(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<(Transport, SocketAddr, String), SipConnection>> {
        self.dialled
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

pub(crate) fn is_open(connection: &SipConnection) -> bool {
    connection.cancel_token().is_none_or(|t| !t.is_cancelled())
}

pub(crate) fn our_transport(connection: &SipConnection) -> Transport {
    match connection.transport() {
        StackTransport::Tls | StackTransport::TlsSctp | StackTransport::Wss => Transport::Tls,
        StackTransport::Tcp | StackTransport::Sctp | StackTransport::Ws => Transport::Tcp,
        StackTransport::Udp => Transport::Udp,
    }
}

fn stack_transport(transport: Transport) -> StackTransport {
    match transport {
        Transport::Udp => StackTransport::Udp,
        Transport::Tcp => StackTransport::Tcp,
        Transport::Tls => StackTransport::Tls,
    }
}

fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// Tells a refused connection from a handshake that failed: the first is the network, the second is trust.
fn dial_failure(transport: Transport, error: &rsipstack::Error) -> LegFailure {
    if let rsipstack::Error::IoError(io) = error {
        let network = matches!(
            io.kind(),
            std::io::ErrorKind::ConnectionRefused
                | std::io::ErrorKind::ConnectionReset
                | std::io::ErrorKind::HostUnreachable
                | std::io::ErrorKind::NetworkUnreachable
                | std::io::ErrorKind::TimedOut
        );
        if network || transport != Transport::Tls {
            return LegFailure::of(FailureCause::Refused, "the connection was refused");
        }
    }
    match transport {
        Transport::Tls => LegFailure::of(FailureCause::Tls, "the TLS handshake failed"),
        Transport::Tcp | Transport::Udp => {
            LegFailure::of(FailureCause::Refused, "the connection failed")
        }
    }
}

/// One listening socket for streams.
struct Gate {
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    endpoint: EndpointInnerRef,
    room: Arc<Semaphore>,
    wait: Duration,
    stop: CancellationToken,
}

impl Gate {
    async fn accept(self) {
        let transport = if self.acceptor.is_some() {
            Transport::Tls
        } else {
            Transport::Tcp
        };
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, remote) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, ?transport, "accepting a SIP connection failed");
                    // Usually out of descriptors: let some close before trying again.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            // A full house closes the door at once rather than queueing strangers in memory.
            let Ok(place) = self.room.clone().try_acquire_owned() else {
                continue;
            };
            let (acceptor, endpoint, stop) = (
                self.acceptor.clone(),
                self.endpoint.clone(),
                self.stop.clone(),
            );
            let wait = self.wait;
            tokio::spawn(async move {
                let connection = match acceptor {
                    None => tcp(stream, &stop),
                    Some(acceptor) => tls(stream, remote, &acceptor, wait, &stop).await,
                };
                let Some(connection) = connection else { return };
                let token = connection.cancel_token();
                endpoint.transport_layer.add_connection(connection);
                if let Some(token) = token {
                    token.cancelled().await;
                }
                drop(place);
            });
        }
    }
}

fn local_address(stream: &TcpStream, transport: Transport) -> Option<SipAddr> {
    let addr = stream.local_addr().ok()?.into();
    Some(SipAddr {
        r#type: Some(stack_transport(transport)),
        addr,
    })
}

fn tcp(stream: TcpStream, stop: &CancellationToken) -> Option<SipConnection> {
    let local = local_address(&stream, Transport::Tcp)?;
    TcpConnection::from_stream(stream, local, Some(stop.child_token()))
        .ok()
        .map(SipConnection::Tcp)
}

async fn tls(
    stream: TcpStream,
    remote: SocketAddr,
    acceptor: &TlsAcceptor,
    wait: Duration,
    stop: &CancellationToken,
) -> Option<SipConnection> {
    let local = local_address(&stream, Transport::Tls)?;
    let stream = tokio::time::timeout(wait, acceptor.accept(stream))
        .await
        .ok()?
        .ok()?;
    let remote = SipAddr {
        r#type: Some(StackTransport::Tls),
        addr: remote.into(),
    };
    let token = Some(stop.child_token());
    TlsConnection::from_server_stream(stream, local, remote, token)
        .await
        .ok()
        .map(SipConnection::Tls)
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, StartError> {
    let missing = |what: &str| StartError::Tls {
        file: what.to_owned(),
        reason: "not configured".to_owned(),
    };
    let cert = files
        .cert
        .as_ref()
        .ok_or_else(|| missing("the TLS certificate"))?;
    let key = files.key.as_ref().ok_or_else(|| missing("the TLS key"))?;
    let unreadable = |file: &std::path::Path, reason: &dyn std::fmt::Display| StartError::Tls {
        file: file.display().to_string(),
        reason: reason.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| unreadable(cert, &e))?;
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|e| unreadable(key, &e))?;
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|e| unreadable(cert, &e))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Peers are verified against the CA file alone, or else against the system's roots. Without either no TLS
/// call is placed: an unverified peer is worse than none.
fn verifier(files: &TlsFiles) -> Result<Option<Arc<dyn ServerCertVerifier>>, StartError> {
    let mut roots = RootCertStore::empty();
    match &files.ca {
        Some(file) => {
            let unreadable = |reason: String| StartError::Tls {
                file: file.display().to_string(),
                reason,
            };
            let certs = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|e| unreadable(e.to_string()))?;
            for cert in certs {
                roots.add(cert).map_err(|e| unreadable(e.to_string()))?;
            }
            if roots.is_empty() {
                return Err(unreadable("it holds no certificate".to_owned()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Ok(None);
    }
    let verifier = WebPkiServerVerifier::builder(Arc::new(roots)).build();
    let unusable = |e: rustls::client::VerifierBuilderError| StartError::Tls {
        file: "roots".to_owned(),
        reason: e.to_string(),
    };
    Ok(Some(verifier.map_err(unusable)?))
}

/// A stream must still be open; a UDP peer can always be sent to.
pub(crate) fn is_open_or_datagram(flow: &Flow) -> bool {
    match flow.transport {
        Transport::Udp => true,
        Transport::Tcp | Transport::Tls => is_open(&flow.connection),
    }
}
