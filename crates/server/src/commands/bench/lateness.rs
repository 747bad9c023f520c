//! From the moment a callback is due to the first packet of its INVITE, as the peer's socket saw it.
//!
//! The peer is a thread with a UDP socket that looks at its clock and answers every INVITE 486 Busy Here.

use super::ground::{Database, Server, connect};
use super::limits::{ROW, sqlite_rows};
use super::setback::Setback;
use super::spread::Spread;
use super::town;
use super::wire::{Load, Until, drive, request};
use crate::clock::SystemClock;
use jiff::{SignedDuration, Timestamp};
use ringback_callbacks::clock::Clock;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub const QUEUE: &str = "late";
/// 200 are due in a second.
const APART: SignedDuration = SignedDuration::from_millis(5);
/// How long after the last one is due the last INVITE may come.
const PATIENCE: Duration = Duration::from_secs(30);

type Seen = Arc<Mutex<HashMap<String, Timestamp>>>;

/// A telephone exchange that is always busy.
pub struct Peer {
    pub address: SocketAddr,
    seen: Seen,
    over: Arc<AtomicBool>,
}

impl Peer {
    pub fn start() -> Result<Peer, Setback> {
        let failed = Setback::while_doing("no socket for the peer");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(&failed)?;
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .map_err(&failed)?;
        let address = socket.local_addr().map_err(&failed)?;
        let (seen, over) = (Seen::default(), Arc::new(AtomicBool::new(false)));
        let (thread_seen, thread_over) = (seen.clone(), over.clone());
        std::thread::spawn(move || listen(&socket, &thread_seen, &thread_over));
        Ok(Peer {
            address,
            seen,
            over,
        })
    }

    fn count(&self) -> usize {
        self.seen().len()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, HashMap<String, Timestamp>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn listen(socket: &UdpSocket, seen: &Seen, over: &AtomicBool) {
    let mut packet = [0u8; 8192];
    while !over.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut packet) else {
            continue;
        };
        let now = Timestamp::now();
        let Ok(text) = std::str::from_utf8(&packet[..length]) else {
            continue;
        };
        let Some(who) = invited(text) else { continue };
        if let Some(answer) = busy(text) {
            // A lost answer is asked for again.
            drop(socket.send_to(answer.as_bytes(), from));
        }
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Only the first packet counts.
        seen.entry(who.to_owned()).or_insert(now);
    }
}

/// Whom an INVITE is for; `None` for everything else. What is not SIP is taken as the name itself.
fn invited(text: &str) -> Option<&str> {
    let uri = text.strip_prefix("INVITE sip:")?;
    uri.split(['@', ' ', ';']).next()
}

fn busy(invite: &str) -> Option<String> {
    let mut answer = String::from("SIP/2.0 486 Busy Here\r\n");
    for line in invite.split("\r\n").skip(1) {
        let name = line.split(':').next().unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "via" | "v" | "from" | "f" | "call-id" | "i" | "cseq" => {
                answer.push_str(line);
                answer.push_str("\r\n");
            }
            "to" | "t" => {
                answer.push_str(line);
                answer.push_str(";tag=bench\r\n");
            }
            "" => break,
            _ => {}
        }
    }
    answer.push_str("Content-Length: 0\r\n\r\n");
    answer.contains("Via").then_some(answer)
}

/// Books `count` callbacks over HTTP, each due at a moment of its own, and waits until the peer saw all of them.
pub async fn measure(server: &Server, peer: &Peer, count: u64) -> Result<Spread, Setback> {
    // All are booked before the first is due.
    let ahead = Duration::from_millis(3000 + count / 2);
    let first = whole_ms(Timestamp::now()) + SignedDuration::try_from(ahead).unwrap_or_default();
    let moment = move |index: u64| first + APART * i32::try_from(index).unwrap_or(i32::MAX);
    let load = Load {
        address: server.address,
        connections: 16,
        until: Until::Count(count),
        expected: 201,
        maker: Arc::new(move |index| {
            let body = town::due(QUEUE, moment(index), index);
            request("POST", "/v1/callbacks", "", &body.to_string())
        }),
    };
    drive(load).await?;
    if Timestamp::now() >= first {
        return Err(Setback::Broken(
            "the first callback was due before all were booked".to_owned(),
        ));
    }
    let last = moment(count);
    let before = Timestamp::now().duration_until(last).unsigned_abs();
    wait_for(peer, count, before + PATIENCE).await?;
    spread(peer, count, town::number, moment)
}

/// What nobody can be faster than: a timer, one commit, one packet, for as many and as often.
pub async fn floor(
    database: Option<&Database>,
    directory: &Path,
    count: u64,
) -> Result<Spread, Setback> {
    let peer = Peer::start()?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .map_err(Setback::while_doing("no socket for the floor"))?;
    let failed = Setback::while_doing("a row cannot be committed");
    let file = match database {
        Some(_) => None,
        None => Some(sqlite_rows(&directory.join("floor.db"))?),
    };
    let server = match database {
        Some(database) => Some(connect(&database.url).await?),
        None => None,
    };
    let statement = "INSERT INTO bench_rows (doc) VALUES ($1)";
    let doc = "x".repeat(ROW);
    let first = whole_ms(Timestamp::now()) + SignedDuration::from_millis(50);
    let moment = move |index: u64| first + APART * i32::try_from(index).unwrap_or(i32::MAX);
    for index in 0..count {
        // The same timer that the server waits by.
        SystemClock.sleep_until(moment(index)).await;
        if let Some(conn) = &file {
            // Here and not on a thread of its own: nothing else is to be done meanwhile.
            let mut insert = conn.prepare_cached(statement).map_err(&failed)?;
            insert.execute([&doc]).map_err(&failed)?;
        }
        if let Some(client) = &server {
            let done = client.execute(statement, &[&doc]).await;
            done.map_err(Setback::while_doing("a row cannot be committed"))?;
        }
        let packet = format!("INVITE sip:{index}@floor SIP/2.0\r\n\r\n");
        socket
            .send_to(packet.as_bytes(), peer.address)
            .map_err(Setback::while_doing("no packet leaves"))?;
    }
    wait_for(&peer, count, PATIENCE).await?;
    spread(&peer, count, |index| index.to_string(), moment)
}

async fn wait_for(peer: &Peer, count: u64, limit: Duration) -> Result<(), Setback> {
    let all = usize::try_from(count).unwrap_or(usize::MAX);
    let everybody = async {
        while peer.count() < all {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let rung = tokio::time::timeout(limit, everybody).await;
    rung.map_err(|_| Setback::Broken(format!("only {} of {count} were rung", peer.count())))
}

fn spread(
    peer: &Peer,
    count: u64,
    name: impl Fn(u64) -> String,
    moment: impl Fn(u64) -> Timestamp,
) -> Result<Spread, Setback> {
    let seen = peer.seen();
    let mut late = Vec::new();
    for index in 0..count {
        let name = name(index);
        let rang = seen
            .get(&name)
            .ok_or_else(|| Setback::Broken("somebody else was rung".to_owned()))?;
        let after = rang.duration_since(moment(index));
        if after.is_negative() {
            return Err(Setback::Broken("somebody was rung too early".to_owned()));
        }
        late.push(after.unsigned_abs());
    }
    Ok(Spread::of(late))
}

/// The store keeps milliseconds: a due moment between two of them would be another one there.
fn whole_ms(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:+12125000001@127.0.0.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z\r\n\
        From: <sip:a@b>;tag=1\r\nTo: <sip:+12125000001@127.0.0.1>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n\r\nbody: no";

    #[test]
    fn the_peer_knows_whom_it_is_asked_for_and_is_busy() {
        assert_eq!(invited(INVITE), Some("+12125000001"));
        assert_eq!(invited("ACK sip:x@y SIP/2.0\r\n"), None);
        let answer = busy(INVITE).expect("an answer");
        assert!(
            answer.starts_with("SIP/2.0 486 ") && answer.ends_with("Content-Length: 0\r\n\r\n")
        );
        assert!(answer.contains("To: <sip:+12125000001@127.0.0.1>;tag=bench\r\n"));
        assert!(!answer.contains("Max-Forwards") && !answer.contains("body"));
    }
}
