//! The witness of the crash test: telephones that live in the test's own process, survive the server's death,
//! and count what they saw. Nothing of the server's code is used here, so that a fault cannot hide itself.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// What a telephone does with a call. Times are from the INVITE, or from the ACK for hanging up.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    Answer {
        after: Duration,
        hang_up: Option<Duration>,
    },
    Refuse(u16),
    RingForever,
}

/// All telephones behind one socket.
pub struct Witness {
    pub port: u16,
    book: Arc<Mutex<Book>>,
    serving: tokio::task::JoinHandle<()>,
}

/// What was seen of one call.
#[derive(Clone, Debug)]
pub struct Seen {
    pub call_id: String,
    pub began: Instant,
    pub phase: &'static str,
}

#[derive(Default)]
struct Book {
    legs: HashMap<String, Leg>,
    /// INVITEs that began a call, by the attempt they named. Retransmissions are not counted.
    rings: BTreeMap<String, u32>,
    nameless: u32,
    confused: Vec<String>,
}

struct Leg {
    began: Instant,
    phase: Phase,
    invite: String,
    far: SocketAddr,
    branch: String,
    manner: Manner,
    /// The last response to an INVITE, by the CSeq it answers; sent again while it is not acknowledged.
    answered: Option<(u32, String)>,
    acknowledged: bool,
    again_at: Option<Instant>,
    pause: Duration,
    first_sent: Option<Instant>,
    hang_up_at: Option<Instant>,
    bye: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Ringing,
    Answered,
    /// A BYE of ours is on its way.
    Leaving,
    Over,
}

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// 64 × T1: how long an answer is sent again before the caller counts as gone (RFC 3261, 13.3.1.4).
const PATIENCE: Duration = Duration::from_secs(32);
const SDP: &str = "v=0\r\no=witness 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                   m=audio 40000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n";

impl Witness {
    /// `manner` is chosen by the user part of the request URI.
    pub async fn start(manner: impl Fn(&str) -> Manner + Send + 'static) -> Witness {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let port = socket.local_addr().expect("an address").port();
        let book = Arc::new(Mutex::new(Book::default()));
        let serving = tokio::spawn(serve(socket, port, book.clone(), manner));
        Witness {
            port,
            book,
            serving,
        }
    }

    pub fn rings(&self) -> BTreeMap<String, u32> {
        self.book().rings.clone()
    }

    pub fn calls(&self) -> usize {
        self.book().legs.len()
    }

    /// INVITEs without an attempt's id, and messages that fit nothing.
    pub fn oddities(&self) -> Vec<String> {
        let book = self.book();
        let mut odd = book.confused.clone();
        if book.nameless > 0 {
            odd.push(format!("{} INVITEs without an attempt's id", book.nameless));
        }
        odd
    }

    /// Calls still ringing or talking that began before then.
    pub fn open_since_before(&self, moment: Instant) -> Vec<Seen> {
        let book = self.book();
        let legs = book
            .legs
            .iter()
            .filter(|(_, leg)| leg.began < moment && leg.phase != Phase::Over);
        legs.map(|(call_id, leg)| leg.seen(call_id)).collect()
    }

    pub fn open(&self) -> usize {
        self.book()
            .legs
            .values()
            .filter(|leg| leg.phase != Phase::Over)
            .count()
    }

    /// When the first call after that moment began.
    pub fn first_since(&self, moment: Instant) -> Option<Instant> {
        self.book()
            .legs
            .values()
            .map(|leg| leg.began)
            .filter(|began| *began >= moment)
            .min()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Leg {
    fn seen(&self, call_id: &str) -> Seen {
        Seen {
            call_id: call_id.to_owned(),
            began: self.began,
            phase: match self.phase {
                Phase::Ringing => "ringing",
                Phase::Answered if self.acknowledged => "talking",
                Phase::Answered => "answered, not acknowledged",
                Phase::Leaving => "hanging up",
                Phase::Over => "over",
            },
        }
    }
}

/// Messages to be sent, with their destinations.
type Outbox = Vec<(SocketAddr, String)>;

async fn serve(
    socket: UdpSocket,
    port: u16,
    book: Arc<Mutex<Book>>,
    manner: impl Fn(&str) -> Manner + Send,
) {
    let mut buffer = vec![0; 65_536];
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let mut outbox = Outbox::new();
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                // An error here is an ICMP for something sent to a server that is dead just now.
                let Ok((length, from)) = received else { continue };
                let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
                take(&mut book, &message, from, port, &manner, &mut outbox);
            }
            _ = tick.tick() => {
                let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
                pass_time(&mut book, port, &mut outbox);
            }
        }
        for (to, message) in outbox {
            // Lost like any datagram, if it is; the timers send it again.
            let _ = socket.send_to(message.as_bytes(), to).await;
        }
    }
}

fn take(
    book: &mut Book,
    message: &str,
    from: SocketAddr,
    port: u16,
    manner: &impl Fn(&str) -> Manner,
    outbox: &mut Outbox,
) {
    if message.trim().is_empty() {
        return;
    }
    let (Some(call_id), Some(cseq)) =
        (header(message, "Call-ID").map(str::to_owned), cseq(message))
    else {
        book.confused.push(format!("no SIP: {:.60}", message));
        return;
    };
    let method = message.split(' ').next().unwrap_or_default().to_owned();
    if method == "SIP/2.0" {
        // The only requests these telephones send are BYEs: any final answer ends the call.
        if !message.starts_with("SIP/2.0 1")
            && let Some(leg) = book.legs.get_mut(&call_id)
        {
            leg.phase = Phase::Over;
            leg.bye = None;
        }
        return;
    }
    let inside = header(message, "To").is_some_and(|to| to.contains("tag="));
    match method.as_str() {
        "OPTIONS" => outbox.push((from, response(message, 200, "", port))),
        "INVITE" if !inside => begin(book, message, &call_id, cseq, from, manner, port, outbox),
        _ => {
            let Some(leg) = book.legs.get_mut(&call_id) else {
                if method != "ACK" {
                    outbox.push((from, response(message, 481, "", port)));
                }
                return;
            };
            within(leg, &method, message, cseq, from, port, outbox);
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "one call, in one place")]
fn begin(
    book: &mut Book,
    message: &str,
    call_id: &str,
    cseq: u32,
    from: SocketAddr,
    manner: &impl Fn(&str) -> Manner,
    port: u16,
    outbox: &mut Outbox,
) {
    let branch = branch(message);
    if let Some(leg) = book.legs.get(call_id)
        && leg.branch == branch
    {
        // A retransmission: the last word is said again, and nothing is counted.
        let word = leg
            .answered
            .clone()
            .map_or_else(|| response(message, 180, "", port), |(_, text)| text);
        outbox.push((from, word));
        return;
    }
    let attempt = header(message, "X-Ringback-Attempt").map(str::to_owned);
    match &attempt {
        Some(attempt) => *book.rings.entry(attempt.clone()).or_default() += 1,
        None => book.nameless += 1,
    }
    let user = message
        .split(' ')
        .nth(1)
        .and_then(|uri| uri.strip_prefix("sip:"))
        .and_then(|uri| uri.split('@').next());
    let manner = manner(user.unwrap_or_default());
    let mut leg = Leg {
        began: Instant::now(),
        phase: Phase::Ringing,
        invite: message.to_owned(),
        far: from,
        branch,
        manner,
        answered: None,
        acknowledged: false,
        again_at: None,
        pause: T1,
        first_sent: None,
        hang_up_at: None,
        bye: None,
    };
    match manner {
        Manner::Refuse(code) => {
            leg.say(cseq, response(message, code, "", port), outbox, Phase::Over)
        }
        Manner::Answer { .. } | Manner::RingForever => {
            outbox.push((from, response(message, 180, "", port)))
        }
    }
    book.legs.insert(call_id.to_owned(), leg);
}

fn within(
    leg: &mut Leg,
    method: &str,
    message: &str,
    cseq: u32,
    from: SocketAddr,
    port: u16,
    outbox: &mut Outbox,
) {
    leg.far = from;
    match method {
        "ACK" => {
            if leg
                .answered
                .as_ref()
                .is_some_and(|(number, _)| *number == cseq)
            {
                leg.again_at = None;
                leg.acknowledged = true;
                if let (
                    Manner::Answer {
                        hang_up: Some(after),
                        ..
                    },
                    None,
                    Phase::Answered,
                ) = (leg.manner, leg.hang_up_at, leg.phase)
                {
                    leg.hang_up_at = Some(Instant::now() + after);
                }
            }
        }
        "INVITE" => match &leg.answered {
            Some((number, text)) if *number == cseq => outbox.push((from, text.clone())),
            Some(_) | None if leg.phase == Phase::Answered => {
                let text = response(message, 200, SDP, port);
                leg.say(cseq, text, outbox, Phase::Answered);
            }
            Some(_) | None => outbox.push((from, response(message, 481, "", port))),
        },
        "CANCEL" if leg.phase == Phase::Over => {
            outbox.push((from, response(message, 481, "", port)))
        }
        // A phone that has answered says 200 as well, and means nothing by it (RFC 3261, 9.2).
        "CANCEL" => {
            outbox.push((from, response(message, 200, "", port)));
            if leg.phase == Phase::Ringing {
                let invite = leg.invite.clone();
                let number = self::cseq(&invite).unwrap_or_default();
                leg.say(
                    number,
                    response(&invite, 487, "", port),
                    outbox,
                    Phase::Over,
                );
            }
        }
        "BYE" => {
            outbox.push((from, response(message, 200, "", port)));
            leg.phase = Phase::Over;
            leg.again_at = None;
            leg.hang_up_at = None;
            leg.bye = None;
        }
        "UPDATE" => outbox.push((from, response(message, 200, "", port))),
        _ => outbox.push((from, response(message, 405, "", port))),
    }
}

fn pass_time(book: &mut Book, port: u16, outbox: &mut Outbox) {
    let now = Instant::now();
    for leg in book.legs.values_mut() {
        if let (Phase::Ringing, Manner::Answer { after, .. }) = (leg.phase, leg.manner)
            && now >= leg.began + after
        {
            let invite = leg.invite.clone();
            let number = cseq(&invite).unwrap_or_default();
            leg.say(
                number,
                response(&invite, 200, SDP, port),
                outbox,
                Phase::Answered,
            );
        }
        if leg.hang_up_at.is_some_and(|at| now >= at) && leg.phase == Phase::Answered {
            leg.hang_up_at = None;
            leg.phase = Phase::Leaving;
            let bye = bye(&leg.invite, port);
            outbox.push((leg.far, bye.clone()));
            leg.bye = Some(bye);
            leg.pause = T1;
            leg.first_sent = Some(now);
            leg.again_at = Some(now + T1);
        }
        if leg.again_at.is_some_and(|at| now >= at) {
            leg.send_again(now, outbox);
        }
    }
}

impl Leg {
    fn say(&mut self, cseq: u32, text: String, outbox: &mut Outbox, then: Phase) {
        outbox.push((self.far, text.clone()));
        self.answered = Some((cseq, text));
        self.acknowledged = false;
        self.phase = then;
        self.pause = T1;
        self.first_sent = Some(Instant::now());
        self.again_at = Some(Instant::now() + T1);
    }

    fn send_again(&mut self, now: Instant, outbox: &mut Outbox) {
        if self.first_sent.is_none_or(|first| now > first + PATIENCE) {
            // Nobody is there any more. An unacknowledged answer is given up, and so is a BYE.
            self.again_at = None;
            if self.phase == Phase::Leaving {
                self.phase = Phase::Over;
            }
            return;
        }
        match (&self.bye, &self.answered) {
            (Some(bye), _) => outbox.push((self.far, bye.clone())),
            (None, Some((_, text))) => outbox.push((self.far, text.clone())),
            (None, None) => {}
        }
        self.pause = (self.pause * 2).min(T2);
        self.again_at = Some(now + self.pause);
    }
}

fn response(request: &str, status: u16, body: &str, port: u16) -> String {
    let mut text = format!("SIP/2.0 {status} Witness\r\n");
    for line in head(request).skip(1) {
        let name = line
            .split(':')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        match name.as_str() {
            "to" if !line.contains("tag=") => text.push_str(&format!("{line};tag=w{port}\r\n")),
            "via" | "from" | "to" | "call-id" | "cseq" | "record-route" => {
                text.push_str(&format!("{line}\r\n"))
            }
            _ => {}
        }
    }
    text.push_str(&format!("Contact: <sip:witness@127.0.0.1:{port}>\r\n"));
    if !body.is_empty() {
        text.push_str("Content-Type: application/sdp\r\n");
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text
}

fn bye(invite: &str, port: u16) -> String {
    let field = |name| header(invite, name).unwrap_or_default();
    let contact = field("Contact")
        .split(['<', '>'])
        .nth(1)
        .unwrap_or_default();
    format!(
        "BYE {contact} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKw{id};rport\r\nMax-Forwards: 70\r\n\
         From: {to};tag=w{port}\r\nTo: {from}\r\nCall-ID: {id}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        id = field("Call-ID"),
        to = field("To"),
        from = field("From"),
    )
}

fn head(message: &str) -> impl Iterator<Item = &str> {
    message
        .split("\r\n\r\n")
        .next()
        .unwrap_or_default()
        .split("\r\n")
}

fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    head(message).skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found
            .trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim())
    })
}

fn cseq(message: &str) -> Option<u32> {
    header(message, "CSeq")?.split(' ').next()?.parse().ok()
}

fn branch(message: &str) -> String {
    let via = header(message, "Via").unwrap_or_default();
    via.split(';')
        .find_map(|part| part.trim().strip_prefix("branch="))
        .unwrap_or_default()
        .to_owned()
}
