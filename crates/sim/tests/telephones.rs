//! Telephones called from a plain socket, byte by byte: every answer is checked as it stands on the wire.

use ringback_sim::phone::{Phone, PhoneOptions};
use ringback_sim::script::{Behaviour, Script, Talk};
use ringback_sim::trunk::{Trunk, TrunkOptions};
use ringback_sim::witness::{Happening, HungUpBy, Witness};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::broadcast;

const PATIENCE: Duration = Duration::from_secs(20);

/// A caller who has nothing but a socket.
struct Caller {
    socket: UdpSocket,
    peer: SocketAddr,
    call_id: String,
}

impl Caller {
    async fn to(peer: SocketAddr, call_id: &str) -> Caller {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        Caller {
            socket,
            peer,
            call_id: call_id.to_owned(),
        }
    }

    fn here(&self) -> SocketAddr {
        self.socket.local_addr().expect("an address")
    }

    fn request(
        &self,
        method: &str,
        user: &str,
        to_tag: &str,
        (cseq, branch): (u32, &str),
        extra: &str,
        body: &str,
    ) -> String {
        let (peer, here, call_id) = (self.peer, self.here(), &self.call_id);
        let to_tag = if to_tag.is_empty() {
            String::new()
        } else {
            format!(";tag={to_tag}")
        };
        format!(
            "{method} sip:{user}@{peer} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:me@{here}>;tag=mine\r\nTo: <sip:{user}@{peer}>{to_tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:me@{here}>\r\n{extra}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    async fn send(&self, text: &str) {
        self.socket
            .send_to(text.as_bytes(), self.peer)
            .await
            .expect("sent");
    }

    async fn hear(&self) -> String {
        let mut buffer = vec![0u8; 65_536];
        let received = tokio::time::timeout(PATIENCE, self.socket.recv_from(&mut buffer)).await;
        let (length, _) = received.expect("an answer in time").expect("received");
        String::from_utf8(buffer[..length].to_vec()).expect("text")
    }

    /// The next message that begins like this; repetitions of others are passed over.
    async fn hear_one(&self, start: &str) -> String {
        for _ in 0..50 {
            let message = self.hear().await;
            if message.starts_with(start) {
                return message;
            }
        }
        panic!("{start} never came");
    }
}

fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let wanted = format!("{}:", name.to_ascii_lowercase());
    message
        .split("\r\n")
        .find(|line| line.to_ascii_lowercase().starts_with(&wanted))
        .map(|line| line[wanted.len()..].trim())
        .unwrap_or_default()
}

fn tag(value: &str) -> String {
    value.split(";tag=").nth(1).expect("a tag").to_owned()
}

fn offer(media: SocketAddr, direction: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio {1} RTP/AVP 0\r\na={direction}\r\n",
        media.ip(),
        media.port()
    )
}

fn media_of(answer: &str) -> SocketAddr {
    let port = answer
        .split("m=audio ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .expect("a port");
    format!("127.0.0.1:{port}").parse().expect("an address")
}

async fn wait_for(
    happenings: &mut broadcast::Receiver<Happening>,
    what: impl Fn(&Happening) -> bool,
) -> Happening {
    let wait = async {
        loop {
            let happening = happenings.recv().await.expect("the telephone is on");
            if what(&happening) {
                return happening;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("it happens in time")
}

fn rings(witness: &Witness, attempt: &str) -> u32 {
    witness
        .rings_by_attempt()
        .get(attempt)
        .copied()
        .unwrap_or(0)
}

#[tokio::test]
async fn a_held_call_is_answered_then_joined_then_ended() {
    let talk = Talk::UntilHungUp;
    let phone = Phone::start(PhoneOptions::new(
        "anna",
        Behaviour::answer(Duration::from_millis(50), talk),
    ))
    .await
    .expect("a phone");
    let mut happenings = phone.witness().listen();
    let caller = Caller::to(phone.addr(), "held@test").await;
    let sound = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let mine = sound.local_addr().expect("an address");

    let extra = "X-Ringback-Attempt: a1\r\nRecord-Route: <sip:127.0.0.1:1;lr>\r\nContent-Type: application/sdp\r\n";
    caller
        .send(&caller.request(
            "INVITE",
            "anna",
            "",
            (1, "1"),
            extra,
            &offer(mine, "inactive"),
        ))
        .await;
    let ringing = caller.hear_one("SIP/2.0 180").await;
    assert_eq!(header(&ringing, "record-route"), "<sip:127.0.0.1:1;lr>");
    let answered = caller.hear_one("SIP/2.0 200").await;
    assert!(answered.contains("a=inactive"), "{answered}");
    let to_tag = tag(header(&answered, "to"));
    assert_eq!(tag(header(&ringing, "to")), to_tag);

    // Without an ACK the answer comes again.
    let repeated = caller.hear_one("SIP/2.0 200").await;
    assert_eq!(repeated, answered);
    caller
        .send(&caller.request("ACK", "anna", &to_tag, (1, "2"), "", ""))
        .await;

    let sdp = "Content-Type: application/sdp\r\n";
    caller
        .send(&caller.request(
            "INVITE",
            "anna",
            &to_tag,
            (2, "3"),
            sdp,
            &offer(mine, "sendrecv"),
        ))
        .await;
    let joined = caller.hear_one("SIP/2.0 200 OK\r\n").await;
    assert!(joined.contains("a=sendrecv"), "{joined}");
    assert_eq!(header(&joined, "cseq"), "2 INVITE");
    let version = |message: &str| {
        message
            .split("o=- ")
            .nth(1)
            .map(|rest| rest.split(' ').nth(1).map(str::to_owned))
    };
    assert_ne!(
        version(&joined),
        version(&answered),
        "a changed description carries a new version"
    );
    caller
        .send(&caller.request("ACK", "anna", &to_tag, (2, "4"), "", ""))
        .await;

    let mut packet = [0u8; 400];
    let (length, from) = tokio::time::timeout(PATIENCE, sound.recv_from(&mut packet))
        .await
        .expect("sound")
        .expect("received");
    assert_eq!(
        (length, packet[0], packet[1], from),
        (172, 0x80, 0, media_of(&joined))
    );
    sound.send_to(&packet[..length], from).await.expect("sent");
    sound.send_to(b"not sound", from).await.expect("sent");

    wait_for(&mut happenings, |happening| {
        matches!(happening, Happening::Talking { .. })
    })
    .await;
    assert_eq!(phone.witness().open_calls(), 1);
    caller
        .send(&caller.request("BYE", "anna", &to_tag, (3, "5"), "", ""))
        .await;
    caller.hear_one("SIP/2.0 200").await;
    let Happening::Media(media) = wait_for(&mut happenings, |happening| {
        matches!(happening, Happening::Media(_))
    })
    .await
    else {
        panic!("media was asked for")
    };
    assert_eq!(
        media.received.get(&mine),
        Some(&1),
        "only what is sound is counted"
    );
    assert_eq!(media.attempt.as_deref(), Some("a1"));
    assert!(media.sent >= 1);
    assert_eq!(
        (rings(phone.witness(), "a1"), phone.witness().open_calls()),
        (1, 0)
    );
}

#[tokio::test]
async fn a_phone_that_hangs_up_says_so() {
    let talk = Talk::For(Duration::from_millis(60));
    let phone = Phone::start(PhoneOptions::new(
        "anna",
        Behaviour::answer(Duration::ZERO, talk),
    ))
    .await
    .expect("a phone");
    let mut happenings = phone.witness().listen();
    let caller = Caller::to(phone.addr(), "bye@test").await;
    // No offer: the phone makes one, and the ACK answers it.
    caller
        .send(&caller.request("INVITE", "anna", "", (1, "1"), "", ""))
        .await;
    let answered = caller.hear_one("SIP/2.0 200").await;
    assert!(answered.contains("a=sendrecv") && answered.contains("m=audio "));
    let to_tag = tag(header(&answered, "to"));
    let sdp = "Content-Type: application/sdp\r\n";
    caller
        .send(&caller.request(
            "ACK",
            "anna",
            &to_tag,
            (1, "2"),
            sdp,
            &offer(caller.here(), "sendrecv"),
        ))
        .await;
    let mut buffer = vec![0u8; 4096];
    let bye = loop {
        let (length, _) = tokio::time::timeout(PATIENCE, caller.socket.recv_from(&mut buffer))
            .await
            .expect("a BYE in time")
            .expect("received");
        if buffer.starts_with(b"BYE ") {
            break String::from_utf8(buffer[..length].to_vec()).expect("text");
        }
    };
    assert!(
        bye.starts_with(&format!("BYE sip:me@{} SIP/2.0\r\n", caller.here())),
        "{bye}"
    );
    assert_eq!(tag(header(&bye, "from")), to_tag);
    assert_eq!(tag(header(&bye, "to")), "mine");
    caller
        .send(&format!(
            "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: bye@test\r\nCSeq: {}\r\nContent-Length: 0\r\n\r\n",
            header(&bye, "via"),
            header(&bye, "from"),
            header(&bye, "to"),
            header(&bye, "cseq")
        ))
        .await;
    wait_for(&mut happenings, |happening| {
        matches!(
            happening,
            Happening::HungUp {
                by: HungUpBy::ThisPhone,
                ..
            }
        )
    })
    .await;
    // What comes later belongs to no call.
    caller
        .send(&caller.request("BYE", "anna", &to_tag, (9, "9"), "", ""))
        .await;
    caller.hear_one("SIP/2.0 481").await;
}

#[tokio::test]
async fn refusals_come_again_until_acknowledged_and_are_counted_once() {
    for (behaviour, code) in [
        (Behaviour::busy(), 486),
        (Behaviour::decline(), 603),
        (Behaviour::not_found(), 404),
        (Behaviour::unavailable(), 480),
        (
            Behaviour::Refuse {
                code: 603,
                reason: "Decline",
                after: Duration::from_millis(30),
            },
            603,
        ),
    ] {
        let phone = Phone::start(PhoneOptions::new("anna", behaviour))
            .await
            .expect("a phone");
        let caller = Caller::to(phone.addr(), "refused@test").await;
        let extra = "X-Ringback-Attempt: a1\r\n";
        let invite = caller.request(
            "INVITE",
            "anna",
            "",
            (1, "1"),
            extra,
            &offer(caller.here(), "inactive"),
        );
        caller.send(&invite).await;
        let start = format!("SIP/2.0 {code}");
        let first = caller.hear_one(&start).await;
        caller.send(&invite).await;
        assert_eq!(
            caller.hear_one(&start).await,
            first,
            "a repeated request gets the same answer"
        );
        assert_eq!(
            caller.hear_one(&start).await,
            first,
            "it comes again by itself"
        );
        caller
            .send(&caller.request("ACK", "anna", &tag(header(&first, "to")), (1, "1"), "", ""))
            .await;
        assert_eq!(
            (rings(phone.witness(), "a1"), phone.witness().open_calls()),
            (1, 0)
        );
    }
}

#[tokio::test]
async fn a_phone_that_rings_can_be_cancelled() {
    let phone = Phone::start(PhoneOptions::new("anna", Behaviour::RingForever))
        .await
        .expect("a phone");
    let mut happenings = phone.witness().listen();
    let caller = Caller::to(phone.addr(), "cancelled@test").await;
    caller
        .send(&caller.request(
            "INVITE",
            "anna",
            "",
            (1, "1"),
            "",
            &offer(caller.here(), "inactive"),
        ))
        .await;
    caller.hear_one("SIP/2.0 180").await;
    caller
        .send(&caller.request("CANCEL", "anna", "", (1, "other"), "", ""))
        .await;
    caller.hear_one("SIP/2.0 481").await;
    caller
        .send(&caller.request("CANCEL", "anna", "", (1, "1"), "", ""))
        .await;
    let ok = caller.hear_one("SIP/2.0 200").await;
    assert_eq!(header(&ok, "cseq"), "1 CANCEL");
    let gone = caller.hear_one("SIP/2.0 487").await;
    assert_eq!(header(&gone, "cseq"), "1 INVITE");
    caller
        .send(&caller.request("ACK", "anna", &tag(header(&gone, "to")), (1, "1"), "", ""))
        .await;
    wait_for(&mut happenings, |happening| {
        matches!(happening, Happening::Cancelled { .. })
    })
    .await;
    assert_eq!(phone.witness().open_calls(), 0);
}

#[tokio::test]
async fn an_exchange_knows_its_numbers_and_its_moods() {
    let script = Script::new([Behaviour::busy(), Behaviour::RingForever]);
    let trunk = Trunk::start(TrunkOptions::default().line("+4930111", script))
        .await
        .expect("an exchange");
    let caller = Caller::to(trunk.addr(), "town@test").await;
    let invite = |user: &str, number: u32, branch: &str| {
        caller.request(
            "INVITE",
            user,
            "",
            (number, branch),
            "X-Ringback-Attempt: a1\r\n",
            &offer(caller.here(), "inactive"),
        )
    };
    let ack = |user: &str, answer: &str, number: u32, branch: &str| {
        caller.request(
            "ACK",
            user,
            &tag(header(answer, "to")),
            (number, branch),
            "",
            "",
        )
    };
    let unknown = {
        caller.send(&invite("+4930222", 1, "1")).await;
        caller.hear_one("SIP/2.0 404").await
    };
    caller.send(&ack("+4930222", &unknown, 1, "1")).await;
    trunk.out_of_order(true).await;
    caller.send(&invite("+4930111", 2, "2")).await;
    let broken = caller.hear_one("SIP/2.0 503").await;
    assert_eq!(header(&broken, "retry-after"), "1");
    caller.send(&ack("+4930111", &broken, 2, "2")).await;
    caller
        .send(&caller.request("OPTIONS", "", "", (3, "3"), "", ""))
        .await;
    assert_eq!(
        header(&caller.hear_one("SIP/2.0 503").await, "cseq"),
        "3 OPTIONS"
    );
    trunk.out_of_order(false).await;
    assert_eq!(
        trunk.witness().rings_of("+4930111"),
        0,
        "neither was a ring"
    );
    caller.send(&invite("+4930111", 4, "4")).await;
    let busy = caller.hear_one("SIP/2.0 486").await;
    caller.send(&ack("+4930111", &busy, 4, "4")).await;
    caller.send(&invite("+4930111", 5, "5")).await;
    caller.hear_one("SIP/2.0 180").await;
    // Engaged: another call to the same number.
    let other = Caller::to(trunk.addr(), "other@test").await;
    other
        .send(&other.request(
            "INVITE",
            "+4930111",
            "",
            (1, "6"),
            "",
            &offer(other.here(), "inactive"),
        ))
        .await;
    other.hear_one("SIP/2.0 486").await;
    assert_eq!(trunk.witness().rings_of("+4930111"), 3);
    other
        .send(&other.request("OPTIONS", "x", "", (2, "7"), "", ""))
        .await;
    assert_eq!(
        header(&other.hear_one("SIP/2.0 200").await, "cseq"),
        "2 OPTIONS"
    );
    other
        .send(&other.request("REFER", "x", "", (3, "8"), "", ""))
        .await;
    other.hear_one("SIP/2.0 405").await;
    other.send("this is no SIP at all").await;
    other
        .send(&other.request("OPTIONS", "x", "", (4, "9"), "", ""))
        .await;
    other.hear_one("SIP/2.0 200").await;
    assert_eq!(trunk.witness().malformed(), 1);
}

/// A registrar that says its lines, and checks the proof by its own arithmetic.
#[tokio::test]
async fn a_phone_registers_with_digest_refreshes_and_leaves() {
    use md5::{Digest, Md5};
    let registrar = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let addr = registrar.local_addr().expect("an address");
    let options = PhoneOptions::new("anna", Behaviour::busy()).registered_at(addr, "secret");
    let mut phone = Phone::start(options).await.expect("a phone");
    let mut happenings = phone.witness().listen();
    let hear = async || {
        let mut buffer = vec![0u8; 4096];
        let received = tokio::time::timeout(PATIENCE, registrar.recv_from(&mut buffer)).await;
        let (length, from) = received.expect("in time").expect("received");
        (
            String::from_utf8(buffer[..length].to_vec()).expect("text"),
            from,
        )
    };
    let answer = async |request: &str, to: SocketAddr, code: &str, extra: &str| {
        let text = format!(
            "SIP/2.0 {code} x\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=r\r\nCall-ID: {}\r\nCSeq: {}\r\n{extra}Content-Length: 0\r\n\r\n",
            header(request, "via"),
            header(request, "from"),
            header(request, "to"),
            header(request, "call-id"),
            header(request, "cseq")
        );
        registrar.send_to(text.as_bytes(), to).await.expect("sent");
    };
    let hash = |text: &str| hex::encode(Md5::digest(text.as_bytes()));

    let (first, from) = hear().await;
    assert!(
        first.starts_with(&format!("REGISTER sip:{addr} SIP/2.0")),
        "{first}"
    );
    assert_eq!(header(&first, "authorization"), "");
    answer(
        &first,
        from,
        "401",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n",
    )
    .await;
    let (second, from) = loop {
        let (request, from) = hear().await;
        if !header(&request, "authorization").is_empty() {
            break (request, from);
        }
    };
    let proof = header(&second, "authorization");
    let field = |name: &str| {
        let rest = proof.split(&format!(" {name}=")).nth(1).expect("the field");
        rest.split(',')
            .next()
            .expect("a value")
            .trim_matches('"')
            .to_owned()
    };
    let expected = hash(&format!(
        "{}:n:{}:{}:auth:{}",
        hash("anna:r:secret"),
        field("nc"),
        field("cnonce"),
        hash(&format!("REGISTER:sip:{addr}"))
    ));
    assert_eq!(field("response"), expected);
    let contact = header(&second, "contact").to_owned();
    assert_eq!(contact, format!("<sip:anna@{}>", phone.addr()));
    answer(
        &second,
        from,
        "200",
        &format!("Contact: <sip:x@1.2.3.4>;expires=9, {contact};expires=1\r\n"),
    )
    .await;
    assert!(phone.registered(PATIENCE).await);
    wait_for(&mut happenings, |happening| {
        matches!(happening, Happening::Registered { expires: 1, .. })
    })
    .await;

    // A second was granted: it comes again before that is over, and asks for nothing when it leaves.
    let (again, from) = hear().await;
    assert_eq!(header(&again, "expires"), "300");
    answer(&again, from, "423", "Min-Expires: 600\r\n").await;
    let (longer, from) = hear().await;
    assert_eq!(header(&longer, "expires"), "600");
    answer(&longer, from, "200", "Expires: 600\r\n").await;
    wait_for(&mut happenings, |happening| {
        matches!(happening, Happening::Registered { expires: 600, .. })
    })
    .await;
    let leaving = tokio::spawn(phone.stop());
    let (last, from) = hear().await;
    assert_eq!(header(&last, "expires"), "0");
    answer(&last, from, "200", "").await;
    tokio::time::timeout(PATIENCE, leaving)
        .await
        .expect("in time")
        .expect("left");
}
