//! A bare UDP socket that speaks SIP by hand, for peers no decent phone would be.

use std::{net::SocketAddr, time::Duration};

use tokio::net::UdpSocket;

use super::phone::header;

pub struct Wire {
    pub socket: UdpSocket,
    pub port: u16,
}

impl Wire {
    pub async fn new() -> Wire {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        Wire { socket, port }
    }

    pub async fn send(&self, to: u16, text: &str) {
        self.socket
            .send_to(text.as_bytes(), ("127.0.0.1", to))
            .await
            .unwrap();
    }

    /// The next message; `None` when nothing comes within `wait`.
    pub async fn receive(&self, wait: Duration) -> Option<(String, SocketAddr)> {
        let mut buffer = vec![0; 65_536];
        let (length, from) = tokio::time::timeout(wait, self.socket.recv_from(&mut buffer))
            .await
            .ok()?
            .unwrap();
        Some((
            String::from_utf8_lossy(&buffer[..length]).into_owned(),
            from,
        ))
    }

    /// The next message that begins so; others are passed over.
    pub async fn expect(&self, start: &str) -> (String, SocketAddr) {
        for _ in 0..50 {
            let (message, from) = self
                .receive(Duration::from_secs(10))
                .await
                .unwrap_or_else(|| panic!("{start} never came"));
            if message.starts_with(start) {
                return (message, from);
            }
        }
        panic!("{start} never came");
    }

    /// A request outside any dialog.
    pub fn request(&self, method: &str, to: u16, number: u32, lines: &str) -> String {
        self.request_as(method, to, number, lines, "someone")
    }

    pub fn request_as(
        &self,
        method: &str,
        to: u16,
        number: u32,
        lines: &str,
        user: &str,
    ) -> String {
        let port = self.port;
        format!(
            "{method} sip:127.0.0.1:{to} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{method}{number}p{port};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@127.0.0.1>;tag=wire{port}\r\nTo: <sip:{user}@127.0.0.1>\r\n\
             Call-ID: wire-{port}-{method}\r\nCSeq: {number} {method}\r\n{lines}Content-Length: 0\r\n\r\n"
        )
    }
}

/// A response to a message as text.
pub fn reply(request: &str, status: &str, tag: &str, lines: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        let value = header(request, name).unwrap();
        let tag = if name == "To" && !value.contains("tag=") && !tag.is_empty() {
            format!(";tag={tag}")
        } else {
            String::new()
        };
        text.push_str(&format!("{name}: {value}{tag}\r\n"));
    }
    format!("{text}{lines}Content-Length: 0\r\n\r\n")
}
