//! One UDP socket that speaks SIP for one or many telephones.
//!
//! One task owns everything; it sleeps until a datagram, a command or the next timer. Transactions are
//! kept in the smallest way that is still right over UDP (`transactions`); what a telephone does when it
//! is called is in `calls`.

mod calls;
mod transactions;

use crate::call::Call;
use crate::digest::Login;
use crate::message::{Message, Start};
use crate::registration::{Next, Registration};
use crate::script::Script;
use crate::witness::{Happening, HungUpBy, Witness};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use transactions::{About, Repeat, repeat_key};

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
            engaged: HashSet::new(),
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

const T2: Duration = Duration::from_secs(4);
const GOOD_BYE: Duration = Duration::from_secs(1);
/// No call of a test lasts this long: whatever is left then is ended.
const LONGEST_CALL: Duration = Duration::from_secs(600);

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
    /// Lines that ring or talk just now.
    engaged: HashSet<String>,
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
                    self.engaged.clear();
                    self.asked.clear();
                }
            }
        }
    }

    fn at(&mut self, after: Duration, timer: Timer) {
        self.timers
            .insert((Instant::now() + after, self.next_timer), timer);
        self.next_timer += 1;
    }
}

pub const REALM: &str = "town";

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
