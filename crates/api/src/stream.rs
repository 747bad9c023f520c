//! Server-sent events: a feed that writes, a client that reads, and an end for every way it can go wrong.

use crate::ApiState;
use crate::error::Problem;
use crate::gate::load::stream_place;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use ringback_store::Signal;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Events a client may be behind before the feed waits for it.
const BUFFER: usize = 64;
/// A client that takes nothing for this long is cut; it comes back with its `Last-Event-ID`.
const SLOWEST: Duration = Duration::from_secs(30);
/// Comments that keep proxies from closing a quiet stream, and find out that a client has gone.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A feed looks again after this even if no signal came.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// The writing end of a stream.
pub struct Outlet(mpsc::Sender<Event>);

/// The client has gone, or is too slow.
#[derive(Debug)]
pub struct Gone;

impl Outlet {
    pub async fn send(&self, event: Event) -> Result<(), Gone> {
        self.0.send_timeout(event, SLOWEST).await.map_err(|_| Gone)
    }

    /// Sends `data` as JSON.
    pub async fn send_json(
        &self,
        id: Option<String>,
        kind: &str,
        data: &impl serde::Serialize,
    ) -> Result<(), Gone> {
        let Ok(event) = Event::default().event(kind).json_data(data) else {
            return Err(Gone);
        };
        self.send(match id {
            Some(id) => event.id(id),
            None => event,
        })
        .await
    }
}

/// Opens a stream. It ends when `feed` does, when the client goes or is too slow, and when the server stops.
pub fn open<F>(state: &ApiState, feed: impl FnOnce(Outlet) -> F) -> Result<Response, Problem>
where
    F: Future<Output = ()> + Send + 'static,
{
    let place = stream_place(state)?;
    let (sender, receiver) = mpsc::channel(BUFFER);
    let client = sender.clone();
    let stopping = state.stopping.clone();
    let metrics = state.metrics.clone();
    let feed = feed(Outlet(sender));
    tokio::spawn(async move {
        let _place = place;
        metrics.stream_opened();
        tokio::select! {
            () = feed => {}
            () = client.closed() => {}
            () = stopping.cancelled() => {}
        }
        metrics.stream_closed();
    });
    let events = ReceiverStream::new(receiver).map(Ok::<_, Infallible>);
    Ok(Sse::new(events)
        .keep_alive(KeepAlive::new().interval(HEARTBEAT))
        .into_response())
}

/// Where the client left off: `Last-Event-ID`, as browsers send it when they come back.
pub fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    match headers.get("last-event-id").map(|value| {
        value
            .to_str()
            .ok()
            .and_then(|text| text.trim().parse::<i64>().ok())
    }) {
        None => Ok(None),
        Some(Some(id)) if id >= 0 => Ok(Some(id)),
        Some(_) => Err(Problem::field(
            "Last-Event-ID",
            "format",
            "must be the id of an event of this stream",
        )),
    }
}

/// Waits until something that `matters` was committed, or it is time to look anyway. `Err`: the store is closed.
pub async fn next_change(
    signals: &mut broadcast::Receiver<Signal>,
    matters: impl Fn(&Signal) -> bool,
) -> Result<(), Gone> {
    next_change_within(LOOK_AGAIN, signals, matters).await
}

/// The same for a feed that looks again after `patience` even if no signal came.
pub async fn next_change_within(
    patience: Duration,
    signals: &mut broadcast::Receiver<Signal>,
    matters: impl Fn(&Signal) -> bool,
) -> Result<(), Gone> {
    let deadline = tokio::time::Instant::now() + patience.min(LOOK_AGAIN);
    loop {
        match tokio::time::timeout_at(deadline, signals.recv()).await {
            Err(_) | Ok(Err(RecvError::Lagged(_))) => return Ok(()),
            Ok(Err(RecvError::Closed)) => return Err(Gone),
            Ok(Ok(signal)) if matters(&signal) => {
                // What else is waiting was committed before we read: one look serves all of it.
                while let Ok(_) | Err(broadcast::error::TryRecvError::Lagged(_)) =
                    signals.try_recv()
                {}
                return Ok(());
            }
            Ok(Ok(_)) => {}
        }
    }
}
