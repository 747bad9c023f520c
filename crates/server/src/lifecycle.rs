//! From listening to the last commit: the HTTP server, the signals, and stopping in order.

use crate::config::http::Http;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// A listening HTTP server.
pub struct HttpServer {
    closing: CancellationToken,
    task: JoinHandle<GracefulShutdown>,
}

impl HttpServer {
    pub fn start(listener: TcpListener, router: Router, limits: &Http) -> HttpServer {
        let closing = CancellationToken::new();
        let task = tokio::spawn(accept(listener, router, limits.clone(), closing.clone()));
        HttpServer { closing, task }
    }

    /// Takes no more connections and lets requests finish for `limit`; what is left then is cut.
    pub async fn stop(self, limit: Duration) {
        self.closing.cancel();
        let Ok(graceful) = self.task.await else {
            return;
        };
        if tokio::time::timeout(limit, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("requests were still running when the limit ended; they are cut");
        }
    }
}

/// SIGTERM and SIGINT, in the order they come.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From here on these signals do not end the process by themselves.
    pub fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next one.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// When the system has no more file descriptors, asking again at once would only burn the processor.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(100);

async fn accept(
    listener: TcpListener,
    router: Router,
    limits: Http,
    closing: CancellationToken,
) -> GracefulShutdown {
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(limits.max_connections));
    loop {
        // Room is found before a connection is taken: the rest wait in the system's queue.
        let place = tokio::select! {
            place = room.clone().acquire_owned() => place,
            () = closing.cancelled() => break,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closing.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                continue;
            }
        };
        let connection = graceful.watch(serve(stream, peer, router.clone(), &limits));
        tokio::spawn(async move {
            // A client that breaks off is its own affair.
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, "connection ended early");
            }
            drop(place);
        });
    }
    graceful
}

type Connection = http1::Connection<TokioIo<TcpStream>, PerConnection>;

fn serve(stream: TcpStream, peer: SocketAddr, router: Router, limits: &Http) -> Connection {
    // Events must not wait for more bytes to fill a packet.
    drop(stream.set_nodelay(true));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout.as_duration())
        .max_buf_size(limits.max_header_bytes)
        .serve_connection(TokioIo::new(stream), PerConnection { router, peer })
}

/// The router with the address of the one who asks.
struct PerConnection {
    router: Router,
    peer: SocketAddr,
}

impl hyper::service::Service<Request<Incoming>> for PerConnection {
    type Response = axum::response::Response;
    type Error = std::convert::Infallible;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(self.peer));
        Box::pin(self.router.clone().oneshot(request))
    }
}
