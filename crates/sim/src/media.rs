//! The sound of one call: RTP out every 20 ms while the two are connected, and a count of what comes in.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// An open media port. Dropping it closes it.
pub struct Media {
    local: SocketAddr,
    peer: watch::Sender<Option<SocketAddr>>,
    counts: Arc<Mutex<Counts>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub sent: u64,
    pub received: BTreeMap<SocketAddr, u64>,
}

impl Media {
    /// Opens a port at once, without a runtime's help: a call that rings has to name it.
    pub fn open(ip: IpAddr) -> io::Result<Media> {
        let socket = std::net::UdpSocket::bind((ip, 0))?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        let local = socket.local_addr()?;
        let (peer, watched) = watch::channel(None);
        let counts = Arc::new(Mutex::new(Counts::default()));
        let task = tokio::spawn(speak_and_listen(socket, watched, counts.clone()));
        Ok(Media {
            local,
            peer,
            counts,
            task,
        })
    }

    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Speaks to this address from now on, or to nobody.
    pub fn connect(&self, peer: Option<SocketAddr>) {
        self.peer.send_replace(peer);
    }

    pub fn counts(&self) -> Counts {
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const PACKET_EVERY: Duration = Duration::from_millis(20);
/// 20 ms of PCMU at 8000 Hz.
const SAMPLES: u32 = 160;
const MOST_SOURCES: usize = 64;

async fn speak_and_listen(
    socket: UdpSocket,
    mut peer: watch::Receiver<Option<SocketAddr>>,
    counts: Arc<Mutex<Counts>>,
) {
    let source: u32 = rand::random();
    let (mut sequence, mut stamp): (u16, u32) = (rand::random(), rand::random());
    let mut tick = tokio::time::interval(PACKET_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut buffer = [0u8; 2048];
    loop {
        let to = *peer.borrow_and_update();
        tokio::select! {
            changed = peer.changed() => if changed.is_err() { return },
            _ = tick.tick(), if to.is_some() => {
                let Some(to) = to else { continue };
                // A peer whose port is closed already answers by ICMP: no reason to stop.
                if socket.send_to(&packet(sequence, stamp, source), to).await.is_ok() {
                    counts.lock().unwrap_or_else(PoisonError::into_inner).sent += 1;
                }
                sequence = sequence.wrapping_add(1);
                stamp = stamp.wrapping_add(SAMPLES);
            }
            received = socket.recv_from(&mut buffer) => {
                let Ok((length, from)) = received else { return };
                let is_pcmu = length > 12 && buffer[0] >> 6 == 2 && buffer[1] & 0x7f == 0;
                let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
                if is_pcmu && (counts.received.contains_key(&from) || counts.received.len() < MOST_SOURCES) {
                    *counts.received.entry(from).or_default() += 1;
                }
            }
        }
    }
}

fn packet(sequence: u16, stamp: u32, source: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 0x00];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&stamp.to_be_bytes());
    packet.extend_from_slice(&source.to_be_bytes());
    packet.extend(std::iter::repeat_n(0xff, SAMPLES as usize));
    packet
}
