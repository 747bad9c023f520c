//! A small but correct phone over one UDP socket: it answers, acknowledges, hangs up, and remembers every
//! message it saw, so that a test can ask what really went over the wire.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{net::UdpSocket, sync::mpsc, time::Instant};

/// How the phone behaves when it is called.
#[derive(Clone)]
pub struct Manner {
    /// Final status of the INVITE.
    pub status: u16,
    /// Ringing time before it.
    pub rings: Duration,
    /// Hangs up this long after its ACK.
    pub hangs_up_after: Option<Duration>,
    /// Refuses an inactive offer with 488, as some phones do.
    pub refuses_inactive: bool,
    /// Refuses the second INVITE (the one that would join the call).
    pub refuses_reinvite: Option<u16>,
    /// Listens for media on another port after the first re-INVITE.
    pub moves: bool,
    /// Answers this many re-INVITEs with 491 first.
    pub glares: u32,
    /// Does not act on a CANCEL, and answers all the same.
    pub deaf_to_cancel: bool,
    /// Says nothing at all.
    pub silent: bool,
    /// Offers (in a body-less INVITE) and answers with this many media lines more.
    pub video: bool,
    /// Extra lines of every 2xx.
    pub lines: String,
}

impl Default for Manner {
    fn default() -> Manner {
        Manner {
            status: 200,
            rings: Duration::from_millis(50),
            hangs_up_after: None,
            refuses_inactive: false,
            refuses_reinvite: None,
            moves: false,
            glares: 0,
            deaf_to_cancel: false,
            silent: false,
            video: false,
            lines: String::new(),
        }
    }
}

/// A running phone.
pub struct Phone {
    pub port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    orders: mpsc::UnboundedSender<Order>,
}

enum Order {
    Send {
        method: String,
        body: Option<String>,
        lines: String,
    },
}

impl Phone {
    pub async fn start(manner: Manner) -> Phone {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (orders, todo) = mpsc::unbounded_channel();
        let set = Set {
            socket,
            port,
            manner,
            seen: seen.clone(),
            call: None,
            cseq: 1,
            version: 1,
        };
        tokio::spawn(set.serve(todo));
        Phone { port, seen, orders }
    }

    /// Sends a request inside the call (`BYE`, `INVITE`, `UPDATE`, `REFER` …).
    pub fn send(&self, method: &str, body: Option<&str>, lines: &str) {
        let order = Order::Send {
            method: method.to_owned(),
            body: body.map(str::to_owned),
            lines: lines.to_owned(),
        };
        self.orders.send(order).unwrap();
    }

    /// Everything received so far, in order.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub fn count(&self, start: &str) -> usize {
        self.seen().iter().filter(|m| m.starts_with(start)).count()
    }

    /// Waits until a message that fits has come; fails after ten seconds with all that did.
    pub async fn wait_for(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(message) = self.seen().into_iter().find(|m| fits(m)) {
                return message;
            }
            assert!(
                Instant::now() < until,
                "{what} never came; seen: {:#?}",
                self.seen()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The value of a header in a message as text.
pub fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message
        .split("\r\n\r\n")
        .next()?
        .split("\r\n")
        .skip(1)
        .find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
}

pub fn body(message: &str) -> &str {
    message.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

struct Set {
    socket: UdpSocket,
    port: u16,
    manner: Manner,
    seen: Arc<Mutex<Vec<String>>>,
    call: Option<(String, SocketAddr)>,
    cseq: u32,
    version: u32,
}

impl Set {
    async fn serve(mut self, mut todo: mpsc::UnboundedReceiver<Order>) {
        let mut buffer = vec![0; 65_536];
        let mut hang_up_at: Option<Instant> = None;
        let mut answer_at: Option<(Instant, String, SocketAddr)> = None;
        let mut joined = 0;
        loop {
            let due = answer_at.as_ref().map(|(at, _, _)| *at);
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    let Ok((length, from)) = received else { continue };
                    let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    self.seen.lock().unwrap().push(message.clone());
                    if self.manner.silent {
                        continue;
                    }
                    match message.split(' ').next().unwrap() {
                        "INVITE" if header(&message, "To").unwrap().contains("tag=") => {
                            joined += 1;
                            self.reinvited(&message, from, joined).await;
                        }
                        "INVITE" if answer_at.is_none() && self.call.is_none() => {
                            self.reply(&message, from, 180, None).await;
                            answer_at = Some((Instant::now() + self.manner.rings, message, from));
                        }
                        "ACK" => {
                            if let (Some(after), None) = (self.manner.hangs_up_after, hang_up_at) {
                                hang_up_at = Some(Instant::now() + after);
                            }
                        }
                        "CANCEL" => {
                            self.reply(&message, from, 200, None).await;
                            let waiting = answer_at.take_if(|_| !self.manner.deaf_to_cancel);
                            if let Some((_, invite, _)) = waiting {
                                self.reply(&invite, from, 487, None).await;
                            }
                        }
                        "BYE" => {
                            self.reply(&message, from, 200, None).await;
                            hang_up_at = None;
                        }
                        "UPDATE" => {
                            let sdp = (!body(&message).is_empty()).then(|| self.sdp(0, "sendrecv"));
                            self.reply(&message, from, 200, sdp.as_deref()).await;
                        }
                        "SIP/2.0" if message.starts_with("SIP/2.0 200") => self.acknowledge(&message, from).await,
                        _ => {}
                    }
                }
                () = sleep(due) => {
                    let (_, invite, from) = answer_at.take().unwrap();
                    self.answer(&invite, from).await;
                }
                () = sleep(hang_up_at) => {
                    hang_up_at = None;
                    self.send("BYE", None, "").await;
                }
                order = todo.recv() => match order {
                    Some(Order::Send { method, body, lines }) => self.send(&method, body.as_deref(), &lines).await,
                    None => return,
                },
            }
        }
    }

    async fn answer(&mut self, invite: &str, from: SocketAddr) {
        if self.manner.refuses_inactive && body(invite).contains("a=inactive") {
            return self.reply(invite, from, 488, None).await;
        }
        if self.manner.status != 200 {
            return self.reply(invite, from, self.manner.status, None).await;
        }
        self.call = Some((invite.to_owned(), from));
        let direction = if body(invite).contains("a=inactive") {
            "inactive"
        } else {
            "sendrecv"
        };
        let sdp = self.sdp(0, direction);
        self.reply(invite, from, 200, Some(&sdp)).await;
    }

    async fn reinvited(&mut self, invite: &str, from: SocketAddr, times: u32) {
        if self.manner.glares > 0 {
            self.manner.glares -= 1;
            return self.reply(invite, from, 491, None).await;
        }
        if let Some(status) = self.manner.refuses_reinvite {
            return self.reply(invite, from, status, None).await;
        }
        let moved = if self.manner.moves && times == 1 {
            100
        } else {
            0
        };
        let offered = body(invite);
        let direction = match () {
            () if offered.contains("a=sendonly") => "recvonly",
            () if offered.contains("a=inactive") => "inactive",
            () => "sendrecv",
        };
        let sdp = self.sdp(moved, direction);
        self.reply(invite, from, 200, Some(&sdp)).await;
    }

    fn sdp(&mut self, shift: u16, direction: &str) -> String {
        self.version += 1;
        let port = 30_000 + self.port % 1000 + shift;
        let mut sdp = format!(
            "v=0\r\no=phone 1 {} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na={direction}\r\n",
            self.version
        );
        if self.manner.video {
            sdp.push_str("m=video 0 RTP/AVP 96\r\n");
        }
        sdp
    }

    async fn reply(&self, request: &str, to: SocketAddr, status: u16, sdp: Option<&str>) {
        let mut text = format!("SIP/2.0 {status} Test\r\n");
        for line in request
            .split("\r\n\r\n")
            .next()
            .unwrap()
            .split("\r\n")
            .skip(1)
        {
            let name = line.split(':').next().unwrap().to_ascii_lowercase();
            match name.as_str() {
                "to" if !line.contains("tag=") && status != 100 => {
                    text.push_str(&format!("{line};tag=phone{}\r\n", self.port));
                }
                "via" | "from" | "to" | "call-id" | "cseq" => text.push_str(&format!("{line}\r\n")),
                _ => {}
            }
        }
        text.push_str(&format!("Contact: <sip:phone@127.0.0.1:{}>\r\n", self.port));
        if status == 200 {
            text.push_str(&self.manner.lines);
        }
        let sdp = sdp.unwrap_or_default();
        if !sdp.is_empty() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{sdp}", sdp.len()));
        self.socket.send_to(text.as_bytes(), to).await.unwrap();
    }

    async fn send(&mut self, method: &str, body: Option<&str>, lines: &str) {
        let Some((invite, to)) = self.call.clone() else {
            panic!("the phone is in no call")
        };
        self.cseq += 1;
        let text = self.request(&invite, method, self.cseq, body, lines);
        self.socket.send_to(text.as_bytes(), to).await.unwrap();
    }

    /// ACK for the 2xx of a re-INVITE this phone sent.
    async fn acknowledge(&self, response: &str, to: SocketAddr) {
        let Some((number, "INVITE")) = header(response, "CSeq").and_then(|c| c.split_once(' '))
        else {
            return;
        };
        let Some((invite, _)) = &self.call else {
            return;
        };
        let ack = self.request(invite, "ACK", number.parse().unwrap(), None, "");
        self.socket.send_to(ack.as_bytes(), to).await.unwrap();
    }

    fn request(
        &self,
        invite: &str,
        method: &str,
        cseq: u32,
        body: Option<&str>,
        lines: &str,
    ) -> String {
        let contact = header(invite, "Contact").unwrap().trim_matches(['<', '>']);
        let body = body.unwrap_or_default();
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{method}{cseq}p{port};rport\r\n\
             Max-Forwards: 70\r\nFrom: {to};tag=phone{port}\r\nTo: {from}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:phone@127.0.0.1:{port}>\r\n{lines}{kind}\
             Content-Length: {length}\r\n\r\n{body}",
            port = self.port,
            to = header(invite, "To").unwrap(),
            from = header(invite, "From").unwrap(),
            call_id = header(invite, "Call-ID").unwrap(),
            length = body.len(),
        )
    }
}

async fn sleep(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
