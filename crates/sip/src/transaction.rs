//! The stack's transactions as plain channels: each one is driven to its end by a task of its own, so
//! that nobody who stops listening leaves a half-done exchange behind.

use std::{net::SocketAddr, time::Duration};

use rsipstack::{
    sip::{Header, Headers, Method, Request, Response, SipMessage, StatusCode},
    transaction::{
        Transaction,
        endpoint::EndpointInnerRef,
        key::{TransactionKey, TransactionRole},
        transaction::{TransactionEvent, TransactionEventSender},
    },
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    message,
    transport::{self, Flow},
};

/// Marks on received messages, put there by our own front door and never by a peer.
pub(crate) const LOCAL_MARK: &str = "X-Ringback-Local";
pub(crate) const SOURCE_MARK: &str = "X-Ringback-Source";

/// A response, and where it came from; `None` when the stack made it itself (timeout, lost connection).
pub(crate) struct Received {
    pub(crate) response: Response,
    pub(crate) source: Option<SocketAddr>,
}

impl Received {
    pub(crate) fn code(&self) -> u16 {
        self.response.status_code.code()
    }

    pub(crate) fn is_local(&self) -> bool {
        message::header(&self.response.headers, LOCAL_MARK).is_some()
    }
}

/// A request under way. Dropping it does not stop the exchange; `kill` does.
pub(crate) struct ClientTx {
    /// Boxed, like all that waits in a channel here: each keeps room for thirty-two, however few come.
    responses: mpsc::Receiver<Box<Received>>,
    kill: CancellationToken,
}

impl ClientTx {
    /// Sends the request. What comes of it arrives through `next`.
    pub(crate) fn start(
        endpoint: &EndpointInnerRef,
        request: Request,
        flow: &Flow,
    ) -> Result<ClientTx, message::BadMessage> {
        let key = TransactionKey::from_request(&request, TransactionRole::Client)
            .map_err(|_| message::BadMessage)?;
        let connection = Some(flow.connection.clone());
        let mut transaction = Transaction::new_client(key, request, endpoint.clone(), connection);
        transaction.destination = Some(flow.destination());
        let (sender, responses) = mpsc::channel(64);
        let kill = CancellationToken::new();
        let killed = kill.clone();
        tokio::spawn(async move {
            // `receive` must not be dropped half-way while the exchange is to go on; it is dropped here
            // only when the whole transaction is.
            tokio::select! {
                () = killed.cancelled() => {}
                () = drive_client(&mut transaction, sender) => {}
            }
        });
        Ok(ClientTx { responses, kill })
    }

    /// The next response; `None` when the exchange is over.
    pub(crate) async fn next(&mut self) -> Option<Received> {
        self.responses.recv().await.map(|received| *received)
    }

    /// The final response of a request that has no interesting provisional ones.
    pub(crate) async fn last(&mut self) -> Option<Received> {
        while let Some(received) = self.next().await {
            if received.code() >= 200 {
                return Some(received);
            }
        }
        None
    }

    /// Stops retransmitting and listening.
    pub(crate) fn kill(&self) {
        self.kill.cancel();
    }
}

async fn drive_client(transaction: &mut Transaction, sender: mpsc::Sender<Box<Received>>) {
    if transaction.send().await.is_err() {
        return;
    }
    while let Some(received) = transaction.receive().await {
        let SipMessage::Response(response) = received else {
            continue;
        };
        let source = message::header(&response.headers, SOURCE_MARK).and_then(|s| s.parse().ok());
        let last = response.status_code.code() >= 200;
        let received = Box::new(Received { response, source });
        if last {
            // The receiver may have left; the exchange is still finished properly.
            drop(sender.send(received).await);
        } else {
            // A flood of provisional responses is not worth waiting for: drop what does not fit.
            drop(sender.try_send(received));
        }
    }
}

/// A request from a peer, waiting for our answer. Dropped without one, it is answered 500.
pub(crate) struct ServerTx {
    pub(crate) request: Request,
    pub(crate) source: Option<SocketAddr>,
    pub(crate) transport: crate::config::Transport,
    pub(crate) connection: Option<rsipstack::transport::SipConnection>,
    endpoint: EndpointInnerRef,
    answers: TransactionEventSender,
    followups: mpsc::Receiver<Box<Request>>,
    answered: bool,
}

impl ServerTx {
    pub(crate) fn new(mut transaction: Transaction, endpoint: EndpointInnerRef) -> ServerTx {
        let request = transaction.original.clone();
        let answers = transaction.tu_sender.clone();
        let connection = transaction.connection.clone();
        let transport = connection
            .as_ref()
            .map_or(crate::config::Transport::Udp, transport::our_transport);
        let source = message::header(&request.headers, SOURCE_MARK).and_then(|s| s.parse().ok());
        let (sender, followups) = mpsc::channel(4);
        tokio::spawn(async move {
            while let Some(received) = transaction.receive().await {
                if let SipMessage::Request(request) = received {
                    // Only an ACK or a CANCEL can follow; more than four are repeats.
                    drop(sender.try_send(Box::new(request)));
                }
            }
        });
        ServerTx {
            request,
            source,
            transport,
            connection,
            endpoint,
            answers,
            followups,
            answered: false,
        }
    }

    pub(crate) fn method(&self) -> Method {
        self.request.method
    }

    pub(crate) fn answer(&mut self, code: u16) {
        self.answer_with(code, &[], None);
    }

    /// Sends a response with extra header lines and an optional session description.
    pub(crate) fn answer_with(&mut self, code: u16, lines: &[(&str, String)], sdp: Option<&str>) {
        if self.answered {
            return;
        }
        self.answered = code >= 200;
        let response = response(&self.endpoint, &self.request, code, lines, sdp);
        // A transaction that is already gone has nobody left to answer.
        drop(self.answers.send(TransactionEvent::Respond(response)));
    }

    /// The ACK of our final response, or a CANCEL; `None` when the transaction is over or time is up.
    pub(crate) async fn followup(&mut self, wait: Duration) -> Option<Request> {
        tokio::time::timeout(wait, self.followups.recv())
            .await
            .ok()
            .flatten()
            .map(|request| *request)
    }
}

impl Drop for ServerTx {
    fn drop(&mut self) {
        self.answer(500);
    }
}

/// A response to `request` with our extra lines.
pub(crate) fn response(
    endpoint: &EndpointInnerRef,
    request: &Request,
    code: u16,
    lines: &[(&str, String)],
    sdp: Option<&str>,
) -> Response {
    let body = sdp.map(|s| s.as_bytes().to_vec());
    let mut response = endpoint.make_response(request, StatusCode::from(code), body);
    for (name, value) in lines {
        response
            .headers
            .push(Header::Other((*name).to_owned(), value.clone()));
    }
    if sdp.is_some() {
        response
            .headers
            .push(Header::ContentType("application/sdp".into()));
    }
    response
}

/// Puts a mark of ours on a received message, after taking off any a peer put there.
pub(crate) fn mark(headers: &mut Headers, name: &str, value: &str) {
    unmark(headers);
    headers.push(Header::Other(name.to_owned(), value.to_owned()));
}

pub(crate) fn unmark(headers: &mut Headers) {
    headers.retain(|h| {
        !h.name().eq_ignore_ascii_case(LOCAL_MARK) && !h.name().eq_ignore_ascii_case(SOURCE_MARK)
    });
}
