//! Every message passes here before the stack makes any state for it: answers to INVITEs we remember,
//! requests of our own dialogs and proven registrations go in; everybody else gets a short answer and is
//! forgotten.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, OnceLock, Weak},
    time::{Duration, Instant},
};

use rsipstack::{
    sip::{Header, Method, Request, Response, SipMessage},
    transaction::endpoint::{EndpointInner, MessageInspector, TransportEventInspector},
    transport::{SipAddr, SipConnection, TransportEvent},
};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    invites::{InviteBook, Verdict, fold},
    message,
    registrar::Registrar,
    transaction::{self, ClientTx, LOCAL_MARK, SOURCE_MARK, ServerTx},
    transport::Flow,
};

/// The methods we take inside a dialog.
pub(crate) const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, PRACK, INFO";

type OpenDialogs = HashMap<(String, String), mpsc::Sender<Box<ServerTx>>>;

/// Our dialogs, by Call-ID and our tag.
#[derive(Clone, Default)]
pub(crate) struct Dialogs {
    open: Arc<Mutex<OpenDialogs>>,
}

impl Dialogs {
    /// Opens a door for requests of one dialog.
    pub(crate) fn open(&self, call_id: &str, local_tag: &str) -> mpsc::Receiver<Box<ServerTx>> {
        let (sender, receiver) = mpsc::channel(16);
        self.lock()
            .insert((call_id.to_owned(), local_tag.to_owned()), sender);
        receiver
    }

    pub(crate) fn close(&self, call_id: &str, local_tag: &str) {
        self.lock()
            .remove(&(call_id.to_owned(), local_tag.to_owned()));
    }

    pub(crate) fn find(&self, request: &Request) -> Option<mpsc::Sender<Box<ServerTx>>> {
        let call_id = message::call_id(&request.headers)?.to_owned();
        let tag = message::to_tag(&request.headers)?;
        self.lock().get(&(call_id, tag)).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, OpenDialogs> {
        self.open
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The door itself.
pub(crate) struct FrontDoor {
    book: InviteBook,
    dialogs: Dialogs,
    registrar: Option<Arc<Registrar>>,
    endpoint: OnceLock<Weak<EndpointInner>>,
    /// Answers being written to slow streams; when all places are taken, strangers go unanswered.
    slow: Arc<Semaphore>,
    strangers: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

const STRANGER_WINDOW: Duration = Duration::from_secs(1);
const STRANGER_REQUESTS: u32 = 200;
const STRANGER_ADDRESSES: usize = 4096;

impl FrontDoor {
    pub(crate) fn new(
        book: InviteBook,
        dialogs: Dialogs,
        registrar: Option<Arc<Registrar>>,
    ) -> Arc<FrontDoor> {
        Arc::new(FrontDoor {
            book,
            dialogs,
            registrar,
            endpoint: OnceLock::new(),
            slow: Arc::new(Semaphore::new(64)),
            strangers: Mutex::new(HashMap::new()),
        })
    }

    pub(crate) fn attach(&self, endpoint: Weak<EndpointInner>) {
        // Set once, at start; a second engine has a door of its own.
        drop(self.endpoint.set(endpoint));
    }

    /// Whether the response goes on to its transaction.
    fn admit_response(&self, response: &Response) -> bool {
        let invite =
            message::cseq(&response.headers).is_some_and(|(_, m)| m.eq_ignore_ascii_case("INVITE"));
        if !invite {
            return true;
        }
        match response.status_code.code() {
            200..=299 => match self.book.on_success(response) {
                Verdict::Deliver | Verdict::Unknown => true,
                Verdict::Wait => false,
                Verdict::Repeat(stored) => {
                    let (ack, flow) = *stored;
                    send(ack, flow);
                    false
                }
                Verdict::End { ack, bye, flow } => {
                    self.end_answer(*ack, *bye, *flow);
                    true
                }
            },
            300.. => {
                if let Some((ack, flow)) = self.book.on_refusal(response) {
                    send(ack, flow);
                }
                true
            }
            _ => true,
        }
    }

    fn end_answer(&self, ack: Request, bye: Request, flow: Flow) {
        let Some(endpoint) = self.endpoint.get().and_then(Weak::upgrade) else {
            return;
        };
        tokio::spawn(async move {
            send_now(ack, &flow).await;
            if let Ok(mut bye) = ClientTx::start(&endpoint, bye, &flow) {
                bye.last().await;
            }
        });
    }

    /// Whether the request goes on; if not, it has been answered or deserves no answer.
    fn admit_request(
        &self,
        request: &Request,
        connection: &SipConnection,
        from: SocketAddr,
    ) -> bool {
        let known_call = message::call_id(&request.headers).is_some_and(|c| self.book.knows(c));
        let ours = self.dialogs.find(request).is_some();
        match request.method {
            Method::Ack => return ours || known_call,
            Method::Cancel if ours || known_call => return true,
            _ if ours => return true,
            _ => {}
        }
        if !self.has_time_for(from.ip()) {
            return false;
        }
        let in_dialog = message::to_tag(&request.headers).is_some();
        let allow = ("Allow", ALLOW.to_owned());
        match request.method {
            Method::Register => return self.admit_registration(request, connection, from),
            Method::Cancel => self.reply(request, connection, from, 481, &[]),
            _ if in_dialog => self.reply(request, connection, from, 481, &[]),
            Method::Options => {
                let lines = [allow, ("Accept", "application/sdp".to_owned())];
                self.reply(request, connection, from, 200, &lines);
            }
            // Nobody calls a callback server.
            Method::Invite => self.reply(request, connection, from, 403, &[]),
            Method::Ack => {}
            Method::Bye | Method::PRack | Method::Update | Method::Info => {
                self.reply(request, connection, from, 481, &[]);
            }
            Method::Message
            | Method::Notify
            | Method::Publish
            | Method::Refer
            | Method::Subscribe => {
                self.reply(request, connection, from, 405, &[allow]);
            }
        }
        false
    }

    /// A registration goes in once it shows a nonce of ours; until then it is only challenged.
    fn admit_registration(
        &self,
        request: &Request,
        connection: &SipConnection,
        from: SocketAddr,
    ) -> bool {
        let Some(registrar) = &self.registrar else {
            self.reply(
                request,
                connection,
                from,
                405,
                &[("Allow", ALLOW.to_owned())],
            );
            return false;
        };
        if registrar.recognises(request) {
            return true;
        }
        let challenges = registrar.challenge(false);
        let lines: Vec<(&str, String)> = challenges
            .into_iter()
            .map(|c| ("WWW-Authenticate", c))
            .collect();
        self.reply(request, connection, from, 401, &lines);
        false
    }

    fn reply(
        &self,
        request: &Request,
        connection: &SipConnection,
        from: SocketAddr,
        code: u16,
        lines: &[(&str, String)],
    ) {
        let Some(endpoint) = self.endpoint.get().and_then(Weak::upgrade) else {
            return;
        };
        let Ok(place) = self.slow.clone().try_acquire_owned() else {
            return;
        };
        let mut response = transaction::response(&endpoint, request, code, lines, None);
        add_to_tag(&mut response);
        let destination = response_address(&response, from);
        let connection = connection.clone();
        tokio::spawn(async move {
            // A peer that does not read its own answers loses them, and nobody else waits.
            let sending = connection.send(response.into(), Some(&destination));
            drop(tokio::time::timeout(Duration::from_secs(5), sending).await);
            drop(place);
        });
    }

    fn has_time_for(&self, address: IpAddr) -> bool {
        let now = Instant::now();
        let mut strangers = self
            .strangers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if strangers.len() >= STRANGER_ADDRESSES {
            strangers
                .retain(|_, (since, _)| now.saturating_duration_since(*since) < STRANGER_WINDOW);
            if strangers.len() >= STRANGER_ADDRESSES {
                return false;
            }
        }
        let (since, count) = strangers.entry(address).or_insert((now, 0));
        if now.saturating_duration_since(*since) >= STRANGER_WINDOW {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= STRANGER_REQUESTS
    }
}

/// The door as the stack holds it.
pub(crate) struct Hinge(pub(crate) Arc<FrontDoor>);

#[async_trait::async_trait]
impl TransportEventInspector for Hinge {
    async fn handle(&self, event: TransportEvent) -> Option<TransportEvent> {
        let TransportEvent::Incoming(mut received, connection, address) = event else {
            return Some(event);
        };
        let from = address.get_socketaddr().ok()?;
        let admitted = match &mut received {
            SipMessage::Response(response) => {
                transaction::mark(&mut response.headers, SOURCE_MARK, &from.to_string());
                self.0.admit_response(response)
            }
            SipMessage::Request(request) => {
                transaction::mark(&mut request.headers, SOURCE_MARK, &from.to_string());
                self.0.admit_request(request, &connection, from)
            }
        };
        admitted.then_some(TransportEvent::Incoming(received, connection, address))
    }
}

/// Marks the responses the stack makes up itself: a peer's 408 and our own timeout are not the same thing.
pub(crate) struct Marker;

impl MessageInspector for Marker {
    fn before_send(&self, message: SipMessage, _: Option<&SipAddr>) -> SipMessage {
        message
    }

    fn after_received(&self, mut message: SipMessage, from: Option<&SipAddr>) -> SipMessage {
        if from.is_none() {
            match &mut message {
                SipMessage::Response(response) => {
                    transaction::mark(&mut response.headers, LOCAL_MARK, "1")
                }
                SipMessage::Request(_) => {}
            }
        }
        message
    }
}

/// Sends a request that has no transaction (an ACK) without making the caller wait for a slow stream.
pub(crate) fn send(request: Request, flow: Flow) {
    tokio::spawn(async move { send_now(request, &flow).await });
}

pub(crate) async fn send_now(request: Request, flow: &Flow) {
    let destination = flow.destination();
    let sending = flow.connection.send(request.into(), Some(&destination));
    match tokio::time::timeout(Duration::from_secs(5), sending).await {
        Ok(Ok(())) => {}
        // The peer repeats its 2xx, and we this; on a dead stream neither helps.
        Ok(Err(_)) | Err(_) => tracing::debug!("an ACK could not be sent"),
    }
}

/// The answer to a request whose method the parser does not know, made from its own lines. `None` for
/// anything that is not such a request.
pub(crate) fn unknown_method_answer(bytes: &[u8], from: SocketAddr) -> Option<String> {
    let head = bytes.split(|b| *b == b'\n').next()?;
    let line = std::str::from_utf8(head).ok()?.trim_end();
    let mut words = line.split(' ');
    let (method, _uri, version) = (words.next()?, words.next()?, words.next()?);
    let token =
        !method.is_empty() && method.len() <= 32 && method.bytes().all(|b| b.is_ascii_uppercase());
    if !token || version != "SIP/2.0" || words.next().is_some() || method.parse::<Method>().is_ok()
    {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let mut answer = "SIP/2.0 405 Method Not Allowed\r\n".to_owned();
    let mut seen = 0;
    for line in text
        .split("\r\n")
        .skip(1)
        .take_while(|l| !l.is_empty())
        .take(64)
    {
        let name = line
            .split(':')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let copied = matches!(
            name.as_str(),
            "via" | "v" | "from" | "f" | "to" | "t" | "call-id" | "i" | "cseq"
        );
        if !copied {
            continue;
        }
        answer.push_str(line);
        if matches!(name.as_str(), "via" | "v") && seen == 0 {
            seen = 1;
            answer.push_str(&format!(";received={}", from.ip()));
        }
        answer.push_str("\r\n");
    }
    (seen == 1).then(|| format!("{answer}Allow: {ALLOW}\r\nContent-Length: 0\r\n\r\n"))
}

/// Where a response to a request without a transaction goes: where it came from if the peer asked for
/// that (RFC 3581), else the port it named.
fn response_address(response: &Response, from: SocketAddr) -> SipAddr {
    let via = message::header(&response.headers, "Via").unwrap_or_default();
    let first = via.split(',').next().unwrap_or_default();
    let wants_rport = first
        .split(';')
        .any(|p| p.trim().to_ascii_lowercase().starts_with("rport"));
    let named = first
        .split(';')
        .next()
        .and_then(|p| p.split_ascii_whitespace().last());
    let port = named
        .and_then(|n| crate::uri::split_port(n).ok())
        .map(|(_, port)| port.unwrap_or(5060));
    let port = if wants_rport {
        from.port()
    } else {
        port.unwrap_or(from.port())
    };
    SocketAddr::new(from.ip(), port).into()
}

fn add_to_tag(response: &mut Response) {
    if message::to_tag(&response.headers).is_some() {
        return;
    }
    // The same request always gets the same tag, so a repeated one gets the same answer.
    let seed = message::call_id(&response.headers).unwrap_or_default();
    let tag = format!(";tag=rb-{:08x}", fold(seed));
    for header in response.headers.iter_mut() {
        if let Header::To(to) = header {
            *to = format!("{}{tag}", to.value()).into();
        }
    }
}
