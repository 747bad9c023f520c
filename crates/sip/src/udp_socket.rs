//! A UDP socket that also listens for ICMP: a port nobody listens on is reported at once, instead of
//! looking like a slow phone for 32 seconds.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rsipstack::platform::net::UdpSocket as StackSocket;
use tokio::{net::UdpSocket, sync::broadcast};
use tokio_util::sync::CancellationToken;

use crate::front_door;

/// The socket as the stack sees it.
pub(crate) struct Socket {
    inner: Arc<UdpSocket>,
}

impl Socket {
    /// Binds, and starts reporting addresses that ICMP says are not there.
    pub(crate) async fn bind(
        address: SocketAddr,
        refused: broadcast::Sender<SocketAddr>,
        stop: CancellationToken,
    ) -> std::io::Result<Socket> {
        let inner = Arc::new(UdpSocket::bind(address).await?);
        watch_errors(inner.clone(), refused, stop);
        Ok(Socket { inner })
    }

    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

#[async_trait::async_trait]
impl StackSocket for Socket {
    async fn recv_from(&self, buffer: &mut [u8]) -> rsipstack::Result<(usize, SocketAddr)> {
        loop {
            match self.inner.recv_from(buffer).await {
                Ok((length, from)) => {
                    // The stack's parser knows a closed list of methods and drops the rest; the peer
                    // deserves a 405 rather than silence.
                    if let Some(answer) = front_door::unknown_method_answer(&buffer[..length], from)
                    {
                        // Losing this answer costs a retransmission, no more.
                        let _ = self.inner.send_to(answer.as_bytes(), from).await;
                        continue;
                    }
                    return Ok((length, from));
                }
                Err(error) if is_echo_of_icmp(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "receiving SIP over UDP failed");
                    // Nothing sensible can be read now; a short rest keeps a broken socket from spinning.
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn send_to(&self, bytes: &[u8], to: SocketAddr) -> rsipstack::Result<usize> {
        // A pending ICMP error of any earlier packet fails the next call once; it says nothing about this one.
        for _ in 0..3 {
            match self.inner.send_to(bytes, to).await {
                Err(error) if is_echo_of_icmp(&error) => {}
                other => return Ok(other?),
            }
        }
        Ok(self.inner.send_to(bytes, to).await?)
    }

    fn local_addr(&self) -> rsipstack::Result<SocketAddr> {
        Ok(self.inner.local_addr()?)
    }
}

/// The address our packets to `peer` leave from, for sockets bound to every address.
pub(crate) fn local_address_towards(peer: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if peer.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let probe = std::net::UdpSocket::bind(any).ok()?;
    // Connecting a UDP socket sends nothing; it only asks the routing table.
    probe.connect(peer).ok()?;
    probe.local_addr().ok().map(|a| a.ip())
}

fn is_echo_of_icmp(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::ConnectionReset
    )
}

#[cfg(target_os = "linux")]
fn watch_errors(
    socket: Arc<UdpSocket>,
    refused: broadcast::Sender<SocketAddr>,
    stop: CancellationToken,
) {
    use nix::sys::socket::{setsockopt, sockopt};

    let v4 = socket.local_addr().is_ok_and(|a| a.is_ipv4());
    let asked = if v4 {
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvErr, &true)
    };
    if let Err(error) = asked {
        tracing::warn!(%error, "the system does not report refused UDP packets: dead peers are noticed late");
        return;
    }
    tokio::spawn(async move {
        loop {
            let gone = tokio::select! {
                () = stop.cancelled() => return,
                gone = socket.async_io(tokio::io::Interest::ERROR, || next_error(&socket)) => gone,
            };
            match gone {
                // No call waiting for it is the usual case, and fine.
                Ok(Some(address)) => drop(refused.send(address)),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "reading UDP errors failed");
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                }
            }
        }
    });
}

#[cfg(not(target_os = "linux"))]
fn watch_errors(_: Arc<UdpSocket>, _: broadcast::Sender<SocketAddr>, _: CancellationToken) {
    // Elsewhere a refused UDP port is noticed by silence (`Timers::silence`).
}

/// The destination of one packet that ICMP says did not arrive, from the socket's error queue.
#[cfg(target_os = "linux")]
fn next_error(socket: &UdpSocket) -> std::io::Result<Option<SocketAddr>> {
    use std::{io::IoSliceMut, os::fd::AsRawFd};

    use nix::{
        errno::Errno,
        sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg},
    };

    let mut bytes = [0u8; 2048];
    let mut pieces = [IoSliceMut::new(&mut bytes)];
    let mut control = vec![0u8; 512];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut pieces, Some(&mut control), flags)
            .map_err(std::io::Error::from)?;
    let unreachable = message.cmsgs().map_err(std::io::Error::from)?.any(|c| {
        let errno = match c {
            ControlMessageOwned::Ipv4RecvErr(error, _) => error.ee_errno,
            ControlMessageOwned::Ipv6RecvErr(error, _) => error.ee_errno,
            _ => return false,
        };
        let errno = Errno::from_raw(i32::try_from(errno).unwrap_or(0));
        matches!(
            errno,
            Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH
        )
    });
    let address = message.address.and_then(|a| {
        let v4 = a
            .as_sockaddr_in()
            .map(|v4| SocketAddr::new(v4.ip().into(), v4.port()));
        v4.or_else(|| {
            a.as_sockaddr_in6()
                .map(|v6| SocketAddr::new(v6.ip().into(), v6.port()))
        })
    });
    Ok(address.filter(|_| unreachable))
}
