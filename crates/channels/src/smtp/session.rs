//! One conversation with a relay, step by step, because what an error means depends on when it came.

use super::config::{Relay, Security};
use super::message::Letter;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::{Error, response::Response};
use std::error::Error as _;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::slice::Chunks;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Where in the conversation something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Connecting, greeting, EHLO, and TLS where it comes first.
    Connect,
    Starttls,
    Login,
    Sender,
    Recipient,
    Data,
    /// The message was handed over completely.
    Message,
}

impl Step {
    pub(super) fn name(self) -> &'static str {
        match self {
            Step::Connect => "connecting",
            Step::Starttls => "starting TLS",
            Step::Login => "logging in",
            Step::Sender => "naming the sender",
            Step::Recipient => "naming the recipient",
            Step::Data => "sending the message",
            Step::Message => "after the message",
        }
    }
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Reply { code: u16, words: String },
    Broken(String),
    TimedOut,
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Accepted {
        code: u16,
        words: String,
    },
    Failed {
        step: Step,
        fault: Fault,
    },
    /// The whole message went out and no answer came: it may have arrived.
    Unanswered {
        message_id: String,
    },
    /// The relay cannot carry this message.
    Unable(&'static str),
    Stopped,
}

/// A connection that is ready for a message.
pub(super) struct Session {
    connection: AsyncSmtpConnection,
}

impl Session {
    pub(super) async fn open(relay: &Relay, stop: &CancellationToken) -> Result<Session, Ending> {
        let connection = match relay.security {
            Security::None => plain(relay, stop, true).await?.0,
            Security::Starttls => started(relay, stop).await?,
            Security::Tls => {
                let server = (relay.host.as_str(), relay.port);
                let tls = relay.tls.clone();
                let connect = AsyncSmtpConnection::connect_tokio1(
                    server,
                    Some(relay.timeout),
                    &relay.helo,
                    tls,
                    None,
                );
                step(
                    Step::Connect,
                    connect,
                    relay.timeout.saturating_mul(2),
                    stop,
                )
                .await?
            }
        };
        let mut session = Session { connection };
        if let Some(credentials) = &relay.credentials {
            let login = session.connection.auth(DEFAULT_MECHANISMS, credentials);
            step(Step::Login, login, relay.timeout, stop).await?;
        }
        Ok(session)
    }

    /// Whether a connection kept from the last message still lives.
    pub(super) async fn is_alive(&mut self, relay: &Relay) -> bool {
        let patience = relay.timeout.min(Duration::from_secs(5));
        timeout(patience, self.connection.test_connected())
            .await
            .unwrap_or(false)
    }

    /// Delivers one message. After anything but `Accepted` the connection is of no more use.
    pub(super) async fn deliver(
        &mut self,
        letter: &Letter,
        relay: &Relay,
        stop: &CancellationToken,
    ) -> Ending {
        match self.hand_over(letter, relay, stop).await {
            Ok(response) => Ending::Accepted {
                code: response.code().into(),
                words: words(&response),
            },
            Err(ending) => ending,
        }
    }

    /// Says goodbye; the relay need not listen.
    pub(super) async fn close(mut self) {
        drop(timeout(Duration::from_secs(2), self.connection.quit()).await);
    }

    async fn hand_over(
        &mut self,
        letter: &Letter,
        relay: &Relay,
        stop: &CancellationToken,
    ) -> Result<Response, Ending> {
        let mut parameters = Vec::new();
        if letter.international {
            if !self
                .connection
                .server_info()
                .supports_feature(Extension::SmtpUtfEight)
            {
                return Err(Ending::Unable(
                    "the relay does not know SMTPUTF8, which this address needs",
                ));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !letter.bytes.is_ascii() {
            if !self
                .connection
                .server_info()
                .supports_feature(Extension::EightBitMime)
            {
                return Err(Ending::Unable(
                    "the relay does not know 8BITMIME, which this message needs",
                ));
            }
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let connection = &mut self.connection;
        let sender = connection.command(Mail::new(Some(letter.sender.clone()), parameters));
        step(Step::Sender, sender, relay.timeout, stop).await?;
        let recipient = connection.command(Rcpt::new(letter.recipient.clone(), Vec::new()));
        step(Step::Recipient, recipient, relay.timeout, stop).await?;
        step(Step::Data, connection.command(Data), relay.timeout, stop).await?;
        self.message(letter, relay).await
    }

    /// From here on nothing stops us: half a message is worth less than a whole one, and a stop between
    /// the last byte and the answer would make an accepted message an unknown one.
    async fn message(&mut self, letter: &Letter, relay: &Relay) -> Result<Response, Ending> {
        // The library writes the final dot only after it has seen the end of the pieces.
        let whole = AtomicBool::new(false);
        let pieces = Pieces {
            rest: letter.bytes.chunks(PIECE),
            whole: &whole,
        };
        let sending = self.connection.message_iter(pieces);
        let answer = timeout(relay.data_timeout, sending).await;
        let whole = whole.load(Ordering::Relaxed);
        match answer {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => match fault(&error) {
                fault @ Fault::Reply { .. } if whole => Err(Ending::Failed {
                    step: Step::Message,
                    fault,
                }),
                fault @ (Fault::Reply { .. } | Fault::Broken(_) | Fault::TimedOut) if !whole => {
                    Err(Ending::Failed {
                        step: Step::Data,
                        fault,
                    })
                }
                Fault::Reply { .. } | Fault::Broken(_) | Fault::TimedOut => Err(unanswered(letter)),
            },
            Err(_) if whole => Err(unanswered(letter)),
            Err(_) => Err(Ending::Failed {
                step: Step::Data,
                fault: Fault::TimedOut,
            }),
        }
    }
}

const PIECE: usize = 16 * 1024;

/// The message piece by piece; notes that the last one was taken.
struct Pieces<'a> {
    rest: Chunks<'a, u8>,
    whole: &'a AtomicBool,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let piece = self.rest.next();
        if piece.is_none() {
            self.whole.store(true, Ordering::Relaxed);
        }
        piece
    }
}

fn unanswered(letter: &Letter) -> Ending {
    Ending::Unanswered {
        message_id: letter.message_id.clone(),
    }
}

/// A plain connection, greeted.
async fn plain(
    relay: &Relay,
    stop: &CancellationToken,
    whole: bool,
) -> Result<(AsyncSmtpConnection, Arc<AtomicBool>), Ending> {
    let free = Arc::new(AtomicBool::new(whole));
    let pass = free.clone();
    let connect = async {
        let stream = tcp(relay)
            .await
            .map_err(|error| Fault::Broken(error.to_string()))?;
        let stream = Guarded { stream, free: pass };
        let greeted =
            AsyncSmtpConnection::connect_with_transport(Box::new(stream), &relay.helo).await;
        greeted.map_err(|error| fault(&error))
    };
    let connected = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(Ending::Stopped),
        connected = timeout(relay.timeout.saturating_mul(2), connect) => connected,
    };
    match connected {
        Ok(Ok(connection)) => Ok((connection, free)),
        Ok(Err(fault)) => Err(Ending::Failed {
            step: Step::Connect,
            fault,
        }),
        Err(_) => Err(Ending::Failed {
            step: Step::Connect,
            fault: Fault::TimedOut,
        }),
    }
}

/// A connection turned into a protected one. A relay that does not offer it is not used.
async fn started(relay: &Relay, stop: &CancellationToken) -> Result<AsyncSmtpConnection, Ending> {
    let failed = |words: &str| Ending::Failed {
        step: Step::Starttls,
        fault: Fault::Broken(words.to_owned()),
    };
    let (mut connection, free) = plain(relay, stop, false).await?;
    let tls = relay
        .tls
        .clone()
        .ok_or_else(|| failed("TLS is not set up"))?;
    step(
        Step::Starttls,
        connection.starttls(tls, &relay.helo),
        relay.timeout,
        stop,
    )
    .await?;
    if !connection.is_encrypted() {
        return Err(failed("the connection is not protected"));
    }
    free.store(true, Ordering::Relaxed);
    Ok(connection)
}

/// The first address that answers.
async fn tcp(relay: &Relay) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host((relay.host.as_str(), relay.port))
        .await?
        .take(MOST_ADDRESSES)
    {
        match timeout(relay.timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "no answer in time"),
        }
    }
    Err(last)
}

const MOST_ADDRESSES: usize = 8;

async fn step<T>(
    step: Step,
    work: impl Future<Output = Result<T, Error>>,
    patience: Duration,
    stop: &CancellationToken,
) -> Result<T, Ending> {
    let failed = |fault| Err(Ending::Failed { step, fault });
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Ending::Stopped),
        done = timeout(patience, work) => match done {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => failed(fault(&error)),
            Err(_) => failed(Fault::TimedOut),
        },
    }
}

fn fault(error: &Error) -> Fault {
    let cause = error.source().map(ToString::to_string);
    match error.status() {
        Some(code) => Fault::Reply {
            code: code.into(),
            words: cause.unwrap_or_default(),
        },
        None if error.is_timeout() => Fault::TimedOut,
        None => Fault::Broken(cause.unwrap_or_else(|| error.to_string())),
    }
}

fn words(response: &Response) -> String {
    response.message().collect::<Vec<_>>().join(" ")
}

/// A connection of which, until it is set free, no byte is read that was not asked for.
///
/// Whatever an attacker on the way appends to the answer to STARTTLS would otherwise wait in the
/// library's buffer and be taken for words spoken under TLS. Read one byte at a time, it stays in
/// the socket, and the handshake fails on it.
#[derive(Debug)]
struct Guarded {
    stream: TcpStream,
    free: Arc<AtomicBool>,
}

impl AsyncTokioStream for Guarded {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.free.load(Ordering::Relaxed) || buffer.remaining() == 0 {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let mut byte = [0u8; 1];
        let mut one = ReadBuf::new(&mut byte);
        let read = Pin::new(&mut self.stream).poll_read(context, &mut one);
        if let Poll::Ready(Ok(())) = read {
            buffer.put_slice(one.filled());
        }
        read
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
