//! SIPp as many telephones on a host of their own, and what its record of messages says was rung, by whom and when.

use super::{Host, Peer, copy_of};
use jiff::civil::DateTime;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// As many telephones as are called, all playing one scenario, until they are dropped.
pub struct Phones {
    peer: Peer,
    messages: PathBuf,
}

impl Phones {
    /// Takes the port that is named, and four from `media` on.
    pub fn start(
        name: &str,
        host: &Host,
        port: u16,
        media: u16,
        scenario: &str,
        dir: &Path,
    ) -> Phones {
        let dir = dir.join(name);
        std::fs::create_dir(&dir).expect("a directory");
        let scenario = copy_of(scenario, &dir, &[]);
        let messages = dir.join("messages.log");
        let mut command = host.command("sipp");
        command
            .args(["-i", &host.address, "-nostdin", "-sf"])
            .arg(&scenario)
            .args(["-p", &port.to_string(), "-mp", &media.to_string()])
            .args(["-trace_msg", "-message_file"])
            .arg(&messages)
            .current_dir(&dir);
        let peer = Peer::start(
            &format!("SIPp ({name})"),
            &mut command,
            &dir.join("sipp.log"),
        );
        let phones = Phones { peer, messages };
        phones.await_ready(&host.address, port);
        phones
    }

    /// Everything it sent and received so far.
    pub fn tally(&self) -> Tally {
        let log = std::fs::read(&self.messages).unwrap_or_default();
        Tally::of(&String::from_utf8_lossy(&log))
    }

    /// Asks with OPTIONS until something answers, which SIPp does whatever its scenario.
    fn await_ready(&self, address: &str, port: u16) {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .expect("a limit");
        let until = Instant::now() + Duration::from_secs(30);
        let mut number = 0;
        loop {
            number += 1;
            let ping = format!(
                "OPTIONS sip:ping@{address}:{port} SIP/2.0\r\n\
                 Via: SIP/2.0/UDP 192.0.2.1:9;rport;branch=z9hG4bK-ping-{port}-{number}\r\n\
                 From: <sip:test@192.0.2.1>;tag=t\r\nTo: <sip:ping@{address}>\r\n\
                 Call-ID: ping-{port}-{number}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
            );
            // Refused while nobody listens yet: the next round says more.
            let _ = socket.send_to(ping.as_bytes(), (address, port));
            let mut answer = [0; 2048];
            if socket.recv_from(&mut answer).is_ok() || !self.tally().is_empty() {
                return;
            }
            assert!(
                Instant::now() < until,
                "SIPp on {address}:{port} is silent: {}",
                self.peer.log()
            );
        }
    }
}

/// What was seen on the telephones' side.
#[derive(Debug, Default)]
pub struct Tally {
    /// INVITEs that began a call, by the attempt they named; the same one sent again is not counted.
    rings: BTreeMap<String, BTreeSet<String>>,
    pub nameless: u32,
    /// By Call-ID.
    calls: HashMap<String, Call>,
    messages: u32,
}

/// One call, from its INVITE to its BYE.
#[derive(Clone, Debug)]
pub struct Call {
    pub attempt: String,
    /// The address of the node that rang.
    pub node: String,
    pub began: DateTime,
    /// When either side first said goodbye, or the call was refused or called off.
    pub ended: Option<DateTime>,
}

impl Tally {
    fn of(log: &str) -> Tally {
        let mut tally = Tally::default();
        for block in log
            .split("-----------------------------------------------")
            .skip(1)
        {
            let mut lines = block.lines();
            let at = lines
                .next()
                .and_then(|line| line.trim().replace(' ', "T").parse().ok());
            let Some(at) = at else { continue };
            let received = lines.next().is_some_and(|line| line.contains("received"));
            if let Some(start) = block.find("\n\n") {
                tally.take(at, received, block[start..].trim_start());
            }
        }
        tally
    }

    fn take(&mut self, at: DateTime, received: bool, message: &str) {
        self.messages += 1;
        let field = |name: &str| header(message, name).unwrap_or_default();
        let call_id = field("Call-ID");
        let cseq = field("CSeq");
        let begins = received
            && message.starts_with("INVITE ")
            && !header(message, "To").is_some_and(|to| to.contains("tag="));
        if begins {
            let branch = field("Via").split("branch=").nth(1).unwrap_or_default();
            let branch = branch.split([';', ',', ' ']).next().unwrap_or_default();
            let Some(attempt) = header(message, "X-Ringback-Attempt") else {
                self.nameless += 1;
                return;
            };
            let rings = self.rings.entry(attempt.to_owned()).or_default();
            rings.insert(format!("{call_id} {branch}"));
            let node = call_id.rsplit('@').next().unwrap_or_default().to_owned();
            self.calls.entry(call_id.to_owned()).or_insert(Call {
                attempt: attempt.to_owned(),
                node,
                began: at,
                ended: None,
            });
            return;
        }
        let over = message.starts_with("BYE ")
            || message.starts_with("CANCEL ")
            || (!received && cseq.ends_with("INVITE") && is_refusal(message));
        if over && let Some(call) = self.calls.get_mut(call_id) {
            call.ended.get_or_insert(at);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// How often each attempt rang.
    pub fn rings(&self) -> BTreeMap<String, u32> {
        self.rings
            .iter()
            .map(|(attempt, rings)| (attempt.clone(), rings.len() as u32))
            .collect()
    }

    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.values()
    }

    /// Calls that a node began.
    pub fn rung_by(&self, node: &Host) -> usize {
        self.calls()
            .filter(|call| call.node == node.address)
            .count()
    }

    /// Attempts of a node whose call is still up.
    pub fn open_by(&self, node: &Host) -> BTreeSet<String> {
        let open = self
            .calls()
            .filter(|call| call.node == node.address && call.ended.is_none());
        open.map(|call| call.attempt.clone()).collect()
    }

    /// The most calls that were up at one moment.
    pub fn most_at_once(&self) -> usize {
        let mut turns: Vec<(DateTime, i32)> = Vec::new();
        for call in self.calls.values() {
            turns.push((call.began, 1));
            if let Some(ended) = call.ended {
                turns.push((ended, -1));
            }
        }
        // Who leaves at the very moment another comes has left.
        turns.sort();
        let mut up = 0;
        turns
            .into_iter()
            .map(|(_, turn)| {
                up += turn;
                up
            })
            .max()
            .map_or(0, |most| most.max(0) as usize)
    }

    /// The most calls that began within any one second.
    pub fn most_in_a_second(&self) -> usize {
        let mut began: Vec<DateTime> = self.calls.values().map(|call| call.began).collect();
        began.sort();
        let second = jiff::SignedDuration::from_secs(1);
        (0..began.len())
            .map(|first| {
                let within = began[first..]
                    .iter()
                    .take_while(|at| at.duration_since(began[first]) < second);
                within.count()
            })
            .max()
            .unwrap_or(0)
    }
}

fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message
        .lines()
        .take_while(|line| !line.trim().is_empty())
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

fn is_refusal(message: &str) -> bool {
    let status = message
        .strip_prefix("SIP/2.0 ")
        .and_then(|rest| rest.get(..3));
    status
        .and_then(|status| status.parse::<u16>().ok())
        .is_some_and(|status| status >= 300)
}
