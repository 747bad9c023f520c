//! One UDP socket that speaks SIP for one or many telephones.
//!
//! One task owns everything; it sleeps until a datagram, a command or the next timer. Transactions are
//! kept in the smallest way that is still right over UDP: answers are repeated for repeated requests,
//! final answers to INVITE until they are acknowledged, our own requests until they are answered.

use crate::call::{Call, Stage};
use crate::digest::{self, Login};
use crate::message::{Message, Start, user_of};
use crate::registration::{Next, Registration};
use crate::script::{Behaviour, Script, Talk};
use crate::witness::{Happening, HungUpBy, Witness};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Who answers at the socket.
pub enum Lines {
    /// One telephone, whatever user it is asked for by.
    One { name: String, script: Script },
    /// An exchange: each number its own, others 404.
    Many(HashMap<String, Script>),
}

pub struct Setup {
    pub bind: SocketAddr,
    pub lines: Lines,
    /// Callers have to prove this login, by 407.
    pub demands: Option<Login>,
    pub registration: Option<Registration>,
}

pub enum Command {
    Script { line: String, script: Script },
    OutOfOrder(bool),
    HangUp,
    Stop(oneshot::Sender<()>),
}

/// A running endpoint. Dropping it silences the socket at once, without a good-bye.
pub struct Endpoint {
    pub addr: SocketAddr,
    pub witness: Witness,
    /// Everything from the very first moment, for one who waits for the registrar's answer.
    pub from_start: broadcast::Receiver<Happening>,
    commands: mpsc::Sender<Command>,
    _alive: DropGuard,
}

impl Endpoint {
    pub async fn start(setup: Setup) -> io::Result<Endpoint> {
        let socket = UdpSocket::bind(setup.bind).await?;
        let addr = socket.local_addr()?;
        let witness = Witness::default();
        let from_start = witness.listen();
        let (commands, orders) = mpsc::channel(64);
        let alive = CancellationToken::new();
        let desk = Desk {
            socket,
            here: addr,
            lines: setup.lines,
            demands: setup.demands,
            nonce: format!("{:032x}", rand::random::<u128>()),
            registration: setup.registration,
            out_of_order: false,
            witness: witness.clone(),
            calls: HashMap::new(),
            answered: HashMap::new(),
            answered_order: VecDeque::new(),
            unacknowledged: HashMap::new(),
            asked: HashMap::new(),
            timers: BTreeMap::new(),
            next_timer: 0,
            stopping: None,
        };
        tokio::spawn(desk.run(orders, alive.clone()));
        Ok(Endpoint {
            addr,
            witness,
            from_start,
            commands,
            _alive: alive.drop_guard(),
        })
    }

    pub async fn command(&self, command: Command) {
        // The desk ends only when this handle is dropped or it was told to stop.
        let _ = self.commands.send(command).await;
    }

    /// Hangs up, unregisters and ends; gives a silent peer one second.
    pub async fn stop(&self) {
        let (done, wait) = oneshot::channel();
        self.command(Command::Stop(done)).await;
        let _ = wait.await;
    }
}

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const GIVE_UP: Duration = Duration::from_secs(32);
const GOOD_BYE: Duration = Duration::from_secs(1);
/// No call of a test lasts this long: whatever is left then is ended.
const LONGEST_CALL: Duration = Duration::from_secs(600);
const LAST_WORDS: Duration = Duration::from_millis(100);
const MOST_CALLS: usize = 20_000;
const MOST_ANSWERS: usize = 50_000;
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, PRACK";

/// Call-ID and the caller's tag.
type Key = (String, String);

fn key_of(request: &Message) -> Key {
    (
        request.call_id().to_owned(),
        request.caller_tag().to_owned(),
    )
}

enum Timer {
    /// The telephone has rung long enough.
    Act(Key),
    HangUp(Key),
    RepeatAnswer(Key, u32),
    RepeatRequest(String),
    Register,
    StopNow,
}

struct Repeat {
    bytes: Vec<u8>,
    to: SocketAddr,
    pause: Duration,
    until: Instant,
    about: About,
}

#[derive(Clone)]
enum About {
    Answer,
    Bye(Key),
    Register,
}

struct Desk {
    socket: UdpSocket,
    here: SocketAddr,
    lines: Lines,
    demands: Option<Login>,
    nonce: String,
    registration: Option<Registration>,
    out_of_order: bool,
    witness: Witness,
    calls: HashMap<Key, Call>,
    /// The last answer by branch and method, for repeated requests.
    answered: HashMap<String, (Vec<u8>, SocketAddr)>,
    answered_order: VecDeque<String>,
    /// Final answers to INVITE, until ACK.
    unacknowledged: HashMap<(Key, u32), Repeat>,
    /// Our own requests by branch, until answered.
    asked: HashMap<String, Repeat>,
    timers: BTreeMap<(Instant, u64), Timer>,
    next_timer: u64,
    stopping: Option<oneshot::Sender<()>>,
}

impl Desk {
    async fn run(mut self, mut orders: mpsc::Receiver<Command>, alive: CancellationToken) {
        self.register(false).await;
        let mut buffer = vec![0u8; 65_536];
        loop {
            let wake = self.timers.keys().next().map(|(at, _)| *at);
            tokio::select! {
                () = alive.cancelled() => return,
                Some(order) = orders.recv() => self.obey(order).await,
                // An error here speaks of a datagram sent earlier, not of the socket.
                received = self.socket.recv_from(&mut buffer) => if let Ok((length, from)) = received {
                    match Message::parse(&buffer[..length]) {
                        Some(message) => self.take(message, from).await,
                        None => if !buffer[..length].iter().all(u8::is_ascii_whitespace) { self.witness.not_sip() },
                    }
                },
                () = sleep_until(wake) => self.ring_timers().await,
            }
            if self.stopping.is_some() && self.calls.is_empty() && self.asked.is_empty() {
                break;
            }
        }
        if let Some(done) = self.stopping.take() {
            let _ = done.send(());
        }
    }

    async fn obey(&mut self, order: Command) {
        match order {
            Command::Script { line, script } => match &mut self.lines {
                Lines::One { script: own, .. } => *own = script,
                Lines::Many(lines) => {
                    lines.insert(line, script);
                }
            },
            Command::OutOfOrder(yes) => self.out_of_order = yes,
            Command::HangUp => self.hang_up_all().await,
            Command::Stop(done) => {
                self.stopping = Some(done);
                self.hang_up_all().await;
                self.register(true).await;
                self.at(GOOD_BYE, Timer::StopNow);
            }
        }
    }

    async fn take(&mut self, message: Message, from: SocketAddr) {
        match &message.start {
            Start::Response { code } => {
                let code = *code;
                self.hear_answer(&message, code).await;
            }
            Start::Request { method, .. } => {
                if method == "ACK" {
                    return self.acknowledged(&message).await;
                }
                // An empty answer means: heard, and silent on purpose.
                if let Some((bytes, to)) = self.answered.get(&repeat_key(&message)) {
                    if !bytes.is_empty() {
                        let _ = self.socket.send_to(bytes, to).await;
                    }
                    return;
                }
                match method.as_str() {
                    "INVITE" if message.to_tag().is_some() => self.reinvite(message, from).await,
                    "INVITE" => self.invite(message, from).await,
                    "UPDATE" => self.update(message, from).await,
                    "CANCEL" => self.cancel(message, from).await,
                    "BYE" => self.bye(message, from).await,
                    "OPTIONS" if self.out_of_order => self.answer(&message, from, 503).await,
                    "OPTIONS" | "INFO" | "PRACK" => self.answer(&message, from, 200).await,
                    _ => self.answer(&message, from, 405).await,
                }
            }
        }
    }

    async fn invite(&mut self, invite: Message, from: SocketAddr) {
        let user = user_of(invite.uri()).to_owned();
        let attempt = invite.header("x-ringback-attempt").map(str::to_owned);
        let turned = |code| Happening::TurnedAway {
            line: user.clone(),
            code,
            attempt: attempt.clone(),
        };
        if self.out_of_order || self.calls.len() >= MOST_CALLS || self.stopping.is_some() {
            self.witness.tell(turned(503));
            return self.refuse(&invite, from, 503).await;
        }
        if let Some(login) = &self.demands {
            let proof = invite.header("proxy-authorization");
            if !proof
                .is_some_and(|proof| digest::proves(proof, login, REALM, &self.nonce, "INVITE"))
            {
                self.witness.tell(turned(407));
                return self.refuse(&invite, from, 407).await;
            }
        }
        if let Some(unknown) = invite
            .all("require")
            .find(|option| !["timer", "100rel"].contains(option))
        {
            let answer = self
                .dress(Message::answer(&invite, 420, Some("none")), &invite, from)
                .with("unsupported", unknown);
            return self.send_final(&invite, from, answer).await;
        }
        let (line, behaviour) = match &mut self.lines {
            Lines::One { name, script } => (name.clone(), Some(script)),
            Lines::Many(lines) => {
                let script = lines.get_mut(&user);
                (user.clone(), script)
            }
        };
        let Some(script) = behaviour else {
            self.witness.tell(turned(404));
            return self.refuse(&invite, from, 404).await;
        };
        // A person has one ear: a second call does not use up the script.
        let engaged = self.calls.values().any(|call| call.line == line);
        let behaviour = if engaged {
            Behaviour::busy()
        } else {
            script.next()
        };
        self.witness
            .rang(&line, invite.call_id(), attempt.as_deref());
        let key = key_of(&invite);
        match &behaviour {
            Behaviour::Silent => {
                self.witness.closed();
                self.remember(&invite, Vec::new(), from);
            }
            Behaviour::Refuse { code, after, .. } if after.is_zero() => {
                self.witness.closed();
                self.witness.tell(Happening::Refused {
                    line,
                    call_id: invite.call_id().to_owned(),
                    code: *code,
                });
                self.refuse(&invite, from, *code).await;
            }
            Behaviour::Answer { after, .. } | Behaviour::Refuse { after, .. } => {
                let after = *after;
                if self.ring(&line, behaviour, invite, from).await {
                    self.at(after, Timer::Act(key));
                }
            }
            Behaviour::RingForever => {
                self.ring(&line, behaviour, invite, from).await;
            }
        }
    }

    /// Begins to ring. False when there was no port left for the sound.
    async fn ring(
        &mut self,
        line: &str,
        behaviour: Behaviour,
        invite: Message,
        from: SocketAddr,
    ) -> bool {
        let key = key_of(&invite);
        let Ok(call) = Call::new(line, behaviour, invite.clone(), from, self.here) else {
            self.witness.closed();
            self.refuse(&invite, from, 500).await;
            return false;
        };
        let ringing = self.dress(
            Message::answer(&invite, 180, Some(&call.local_tag)),
            &invite,
            from,
        );
        self.calls.insert(key.clone(), call);
        self.at(LONGEST_CALL, Timer::HangUp(key));
        self.reply(&invite, from, ringing).await;
        true
    }

    /// The telephone has rung for as long as its script says: answer or refuse.
    async fn act(&mut self, key: &Key) {
        let Some(call) = self
            .calls
            .get_mut(key)
            .filter(|call| call.stage == Stage::Ringing)
        else {
            return;
        };
        let (invite, from) = (call.invite.clone(), call.source);
        match call.behaviour {
            Behaviour::Answer { .. } => {
                let offer = invite.body.is_empty();
                if !offer && !call.hear(&invite.body) {
                    let answer = Message::answer(&invite, 488, Some(&call.local_tag));
                    self.finish(key, None);
                    let answer = self.dress(answer, &invite, from);
                    return self.send_final(&invite, from, answer).await;
                }
                call.stage = Stage::Answered;
                let description = call.describe(offer);
                let answer = Message::answer(&invite, 200, Some(&call.local_tag));
                call.connect();
                self.witness.tell(Happening::Answered {
                    line: call.line.clone(),
                    call_id: call.call_id.clone(),
                });
                let answer = self
                    .dress(answer, &invite, from)
                    .with_body("application/sdp", description);
                self.send_final(&invite, from, answer).await;
            }
            Behaviour::Refuse { code, .. } => {
                let happening = Happening::Refused {
                    line: call.line.clone(),
                    call_id: call.call_id.clone(),
                    code,
                };
                let answer = Message::answer(&invite, code, Some(&call.local_tag));
                self.witness.tell(happening);
                self.finish(key, None);
                let answer = self.dress(answer, &invite, from);
                self.send_final(&invite, from, answer).await;
            }
            Behaviour::RingForever | Behaviour::Silent => {}
        }
    }

    async fn reinvite(&mut self, request: Message, from: SocketAddr) {
        let key = key_of(&request);
        let Some(call) = self
            .calls
            .get_mut(&key)
            .filter(|call| request.to_tag() == Some(&call.local_tag))
        else {
            return self.refuse(&request, from, 481).await;
        };
        if call.stage != Stage::Answered {
            return self.refuse(&request, from, 491).await;
        }
        call.follow(&request);
        let offer = request.body.is_empty();
        if !offer && !call.hear(&request.body) {
            return self.refuse(&request, from, 488).await;
        }
        let description = call.describe(offer);
        let answer = Message::answer(&request, 200, None);
        self.connect(&key);
        let answer = self
            .dress(answer, &request, from)
            .with_body("application/sdp", description);
        self.send_final(&request, from, answer).await;
    }

    async fn update(&mut self, request: Message, from: SocketAddr) {
        let key = key_of(&request);
        let Some(call) = self.calls.get_mut(&key) else {
            return self.answer(&request, from, 481).await;
        };
        call.follow(&request);
        let answer = Message::answer(&request, 200, None);
        if request.body.is_empty() {
            let answer = self.dress(answer, &request, from);
            return self.reply(&request, from, answer).await;
        }
        if !call.hear(&request.body) {
            return self.answer(&request, from, 488).await;
        }
        let description = call.describe(false);
        self.connect(&key);
        let answer = self
            .dress(answer, &request, from)
            .with_body("application/sdp", description);
        self.reply(&request, from, answer).await;
    }

    async fn cancel(&mut self, request: Message, from: SocketAddr) {
        let key = key_of(&request);
        let ringing = self
            .calls
            .get(&key)
            .filter(|call| call.invite.branch() == request.branch());
        let Some(call) = ringing else {
            return self.answer(&request, from, 481).await;
        };
        let (stage, invite, source) = (call.stage, call.invite.clone(), call.source);
        let gone = Message::answer(&invite, 487, Some(&call.local_tag));
        let happening = Happening::Cancelled {
            line: call.line.clone(),
            call_id: call.call_id.clone(),
        };
        self.answer(&request, from, 200).await;
        if stage == Stage::Ringing {
            self.witness.tell(happening);
            self.finish(&key, None);
            let gone = self.dress(gone, &invite, source);
            self.send_final(&invite, source, gone).await;
        }
    }

    async fn bye(&mut self, request: Message, from: SocketAddr) {
        let key = key_of(&request);
        let known = self
            .calls
            .get(&key)
            .is_some_and(|call| request.to_tag() == Some(&call.local_tag));
        self.answer(&request, from, if known { 200 } else { 481 })
            .await;
        if known {
            self.finish(&key, Some(HungUpBy::OtherSide));
        }
    }

    async fn acknowledged(&mut self, ack: &Message) {
        let key = key_of(ack);
        let Some((number, _)) = ack.cseq() else {
            return;
        };
        self.unacknowledged.remove(&(key.clone(), number));
        let Some(call) = self
            .calls
            .get_mut(&key)
            .filter(|call| call.stage == Stage::Answered)
        else {
            return;
        };
        call.acknowledged = true;
        if !ack.body.is_empty() {
            call.hear(&ack.body);
        }
        self.connect(&key);
    }

    /// Lets sound flow, and starts the talk's clock when the two can first hear each other.
    fn connect(&mut self, key: &Key) {
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        let Some(with) = call.connect() else { return };
        let (line, call_id, talk) = (call.line.clone(), call.call_id.clone(), call.talk());
        self.witness.tell(Happening::Talking {
            line,
            call_id,
            with,
        });
        match talk {
            Talk::For(time) => self.at(time, Timer::HangUp(key.clone())),
            Talk::UntilHungUp => {}
        }
    }

    async fn hang_up_all(&mut self) {
        let keys: Vec<Key> = self.calls.keys().cloned().collect();
        for key in keys {
            self.hang_up(&key).await;
        }
    }

    async fn hang_up(&mut self, key: &Key) {
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        match call.stage {
            Stage::Leaving => {}
            Stage::Ringing => {
                let (invite, from, tag) =
                    (call.invite.clone(), call.source, call.local_tag.clone());
                self.finish(key, None);
                let answer = self.dress(Message::answer(&invite, 480, Some(&tag)), &invite, from);
                self.send_final(&invite, from, answer).await;
            }
            Stage::Answered => {
                call.stage = Stage::Leaving;
                call.connect();
                let (bye, to) = call.request("BYE", self.here);
                self.ask(bye, to, About::Bye(key.clone())).await;
            }
        }
    }

    /// A call is over: its record is written.
    fn finish(&mut self, key: &Key, hung_up: Option<HungUpBy>) {
        let Some(call) = self.calls.remove(key) else {
            return;
        };
        self.witness.closed();
        if let Some(by) = hung_up {
            self.witness.tell(Happening::HungUp {
                line: call.line.clone(),
                call_id: call.call_id.clone(),
                by,
            });
            call.fall_silent();
            let witness = self.witness.clone();
            tokio::spawn(async move {
                // What the other said before it hung up may still be on its way.
                tokio::time::sleep(LAST_WORDS).await;
                witness.media_ended(call.media_record());
            });
        }
    }

    async fn register(&mut self, remove: bool) {
        let here = self.here;
        if let Some(registration) = &mut self.registration {
            let (request, to) = (registration.begin(here, remove), registration.registrar());
            self.ask(request, to, About::Register).await;
        }
    }

    async fn hear_answer(&mut self, answer: &Message, code: u16) {
        if code < 200 {
            return;
        }
        let Some(request) = self.asked.remove(answer.branch()) else {
            return;
        };
        match request.about {
            About::Answer => {}
            About::Bye(key) => self.finish(&key, Some(HungUpBy::ThisPhone)),
            About::Register => {
                let here = self.here;
                let Some(registration) = &mut self.registration else {
                    return;
                };
                let line = registration.line().to_owned();
                match registration.heard(answer, here) {
                    Next::Send(again) => {
                        let to = registration.registrar();
                        self.ask(again, to, About::Register).await;
                    }
                    Next::Done { expires, again } => {
                        self.witness.tell(Happening::Registered { line, expires });
                        if let Some(again) = again {
                            self.at(again, Timer::Register);
                        }
                    }
                    Next::Failed { code, again } => {
                        self.witness
                            .tell(Happening::RegistrationFailed { line, code });
                        self.at(again, Timer::Register);
                    }
                    Next::Nothing => {}
                }
            }
        }
    }

    async fn ring_timers(&mut self) {
        let now = Instant::now();
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                return;
            }
            match entry.remove() {
                Timer::Act(key) => self.act(&key).await,
                Timer::HangUp(key) => self.hang_up(&key).await,
                Timer::RepeatAnswer(key, number) => self.repeat_answer(key, number, now).await,
                Timer::RepeatRequest(branch) => self.repeat_request(branch, now).await,
                Timer::Register if self.stopping.is_none() => self.register(false).await,
                Timer::Register => {}
                Timer::StopNow => {
                    self.calls.clear();
                    self.asked.clear();
                }
            }
        }
    }

    async fn repeat_answer(&mut self, key: Key, number: u32, now: Instant) {
        let Some(repeat) = self.unacknowledged.get_mut(&(key.clone(), number)) else {
            return;
        };
        if now >= repeat.until {
            self.unacknowledged.remove(&(key.clone(), number));
            // Nobody confirms that a call exists: it is ended.
            return self.hang_up(&key).await;
        }
        let _ = self.socket.send_to(&repeat.bytes, repeat.to).await;
        repeat.pause = (repeat.pause * 2).min(T2);
        let pause = repeat.pause;
        self.at(pause, Timer::RepeatAnswer(key, number));
    }

    async fn repeat_request(&mut self, branch: String, now: Instant) {
        let Some(repeat) = self.asked.get_mut(&branch) else {
            return;
        };
        if now >= repeat.until {
            let about = repeat.about.clone();
            self.asked.remove(&branch);
            return match about {
                About::Answer => {}
                About::Bye(key) => self.finish(&key, Some(HungUpBy::ThisPhone)),
                About::Register => self.at(T2, Timer::Register),
            };
        }
        let _ = self.socket.send_to(&repeat.bytes, repeat.to).await;
        repeat.pause = (repeat.pause * 2).min(T2);
        let pause = repeat.pause;
        self.at(pause, Timer::RepeatRequest(branch));
    }

    /// Sends a request of ours until it is answered.
    async fn ask(&mut self, request: Message, to: SocketAddr, about: About) {
        let (bytes, branch) = (request.to_bytes(), request.branch().to_owned());
        let _ = self.socket.send_to(&bytes, to).await;
        self.asked.insert(
            branch.clone(),
            Repeat {
                bytes,
                to,
                pause: T1,
                until: Instant::now() + GIVE_UP,
                about,
            },
        );
        self.at(T1, Timer::RepeatRequest(branch));
    }

    async fn answer(&mut self, request: &Message, from: SocketAddr, code: u16) {
        let answer = self.dress(Message::answer(request, code, Some("none")), request, from);
        self.reply(request, from, answer).await;
    }

    /// A final answer to an INVITE that has no call.
    async fn refuse(&mut self, invite: &Message, from: SocketAddr, code: u16) {
        let tag = format!("{:08x}", rand::random::<u32>());
        let mut answer = self.dress(Message::answer(invite, code, Some(&tag)), invite, from);
        if code == 407 {
            let nonce = &self.nonce;
            answer = answer.with(
                "proxy-authenticate",
                format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", qop=\"auth\", algorithm=MD5"),
            );
        }
        if code == 503 {
            answer = answer.with("retry-after", "1");
        }
        self.send_final(invite, from, answer).await;
    }

    /// Sends a final answer to an INVITE until it is acknowledged.
    async fn send_final(&mut self, invite: &Message, from: SocketAddr, answer: Message) {
        let Some((number, _)) = invite.cseq() else {
            return;
        };
        let (bytes, to) = (answer.to_bytes(), return_path(invite, from));
        let key = key_of(invite);
        let until = Instant::now() + GIVE_UP;
        let repeat = Repeat {
            bytes,
            to,
            pause: T1,
            until,
            about: About::Answer,
        };
        self.unacknowledged.insert((key.clone(), number), repeat);
        self.at(T1, Timer::RepeatAnswer(key, number));
        self.reply(invite, from, answer).await;
    }

    async fn reply(&mut self, request: &Message, from: SocketAddr, answer: Message) {
        let (bytes, to) = (answer.to_bytes(), return_path(request, from));
        let _ = self.socket.send_to(&bytes, to).await;
        self.remember(request, bytes, to);
    }

    fn remember(&mut self, request: &Message, bytes: Vec<u8>, to: SocketAddr) {
        let key = repeat_key(request);
        if self.answered.insert(key.clone(), (bytes, to)).is_none() {
            self.answered_order.push_back(key);
        }
        if self.answered_order.len() > MOST_ANSWERS
            && let Some(oldest) = self.answered_order.pop_front()
        {
            self.answered.remove(&oldest);
        }
    }

    /// What every answer of ours carries.
    fn dress(&self, mut answer: Message, request: &Message, from: SocketAddr) -> Message {
        if let Some(via) = request.header("via") {
            let via = via
                .replace(";rport;", ";")
                .trim_end_matches(";rport")
                .to_owned();
            answer.set_first(
                "via",
                format!("{via};received={};rport={}", from.ip(), from.port()),
            );
        }
        let user = user_of(request.uri());
        let contact = if user.is_empty() {
            format!("<sip:{}>", self.here)
        } else {
            format!("<sip:{user}@{}>", self.here)
        };
        answer.remove("contact");
        answer
            .with("contact", contact)
            .with("allow", ALLOW)
            .with("user-agent", "town telephone")
    }

    fn at(&mut self, after: Duration, timer: Timer) {
        self.timers
            .insert((Instant::now() + after, self.next_timer), timer);
        self.next_timer += 1;
    }
}

pub const REALM: &str = "town";

fn repeat_key(request: &Message) -> String {
    format!(
        "{} {} {}",
        request.branch(),
        request.method(),
        request.call_id()
    )
}

/// Where an answer goes (RFC 3581, and RFC 3261 for those who do not ask for it).
fn return_path(request: &Message, from: SocketAddr) -> SocketAddr {
    let via = request.header("via").unwrap_or_default();
    if crate::message::param(via, "rport").is_some() {
        return from;
    }
    let sent_by = via
        .split_whitespace()
        .nth(1)
        .and_then(|host| host.split(';').next())
        .unwrap_or_default();
    let port = sent_by
        .rsplit_once(':')
        .map(|(_, port)| port.parse().unwrap_or(from.port()));
    SocketAddr::new(from.ip(), port.unwrap_or(5060))
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
