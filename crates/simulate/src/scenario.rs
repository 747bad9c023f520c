//! A day as it is written down: what becomes known and when, and the truth behind it.
//!
//! Two texts of JSON lines. The public one opens with the header and then tells, in order of `at`,
//! what a server comes to know; the truth holds what only the judge may know.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::{Date, DateTime};
use ringback_scheduling::Zone;
use serde::{Deserialize, Serialize};

/// A moment: whole seconds of the Unix epoch.
pub type Second = i64;

/// A pair of moments. In `open` and `dialable` the second one is outside; in windows and promises
/// both are inside.
pub type Interval = (Second, Second);

/// The name of a request or of a live call; cheap to clone.
pub type Id = Arc<str>;

/// A telephone number, only ever compared with another.
pub type Number = Arc<str>;

/// What is known of the day beforehand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Header {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub seed: u64,
    /// Nothing is woken at or after this moment.
    pub t1: Second,
    /// The centre's zone.
    pub tz: Zone,
    /// The day itself, on the centre's calendar; permitted hours count from the day before it to
    /// the day after.
    pub date: Date,
    /// Opening hours.
    pub open: Vec<Interval>,
    /// Planned agents, each figure from its moment on.
    pub agents_plan: Vec<(Second, u32)>,
    /// Expected live calls per hour, each figure from its moment on.
    pub inbound_forecast: Vec<(Second, f64)>,
    /// Mean handling of a live call, seconds.
    pub inbound_aht: f64,
    /// Mean talk of a callback, seconds.
    pub callback_talk: f64,
    /// Mean wrap-up of a callback, seconds.
    pub callback_wrap: f64,
    pub ring: RingTimes,
    pub reach_prior: ReachPrior,
    /// Hours in which a number may be dialled, on the called party's clock: `["08:00", "21:00"]`.
    pub legal_local: (String, String),
    /// An as-soon-as-possible request expects its call within this of the first moment it may be
    /// dialled, seconds.
    pub asap_patience: Second,
    /// Dials per request at most.
    pub max_attempts: u32,
    /// Seconds between two dials of one request at least.
    pub min_gap: Second,
    /// The longest promise for which somebody who waits for the call keeps the phone at hand,
    /// seconds.
    pub attention: Second,
    /// A moved promise begins at least this many seconds ahead.
    pub notice: Second,
    /// Share of the live calls to be answered within `sl_seconds`.
    pub sl_target: f64,
    pub sl_seconds: Second,
    /// Share of the live calls that may give up.
    pub abandon_target: f64,
}

/// Seconds for which an attempt holds the agent before its result is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingTimes {
    pub answer: Second,
    pub busy: Second,
    pub no_answer: Second,
    pub machine: Second,
    pub invalid: Second,
    pub failed: Second,
}

/// Expected shares of the phone's states: answers, answers if the call was promised for now, busy,
/// does not pick up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReachPrior {
    /// In the first half hour after an as-soon-as-possible booking.
    pub fresh: [f64; 4],
    /// In the customer's window.
    pub inside: [f64; 4],
    /// Outside it.
    pub outside: [f64; 4],
}

/// What a customer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// At a time the customer named.
    Window,
    /// The same, a quarter of an hour.
    Point,
    /// As soon as possible.
    Asap,
}

/// A booking, as the server sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    pub id: Id,
    /// When it is made.
    pub at: Second,
    pub number: Number,
    #[serde(default)]
    pub channel: String,
    pub kind: Kind,
    /// The customer's zone.
    pub tz: Zone,
    /// The window on the customer's clock; nothing for [`Kind::Asap`].
    pub local_start: Option<DateTime>,
    pub local_end: Option<DateTime>,
}

/// The state of a customer's phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phone {
    Answer,
    /// Picks up only inside the promise in force, if that is short enough to wait for.
    IfPromised,
    Busy,
    NoAnswer,
    Machine,
    Invalid,
}

/// What is true of a request, and not known to the server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestTruth {
    pub id: Id,
    /// The customer's window; both ends count.
    pub start: Second,
    pub end: Second,
    pub dialable: Vec<Interval>,
    /// The phone's states, in order; outside them nobody picks up.
    pub states: Vec<(Second, Second, Phone)>,
    /// Attempts, counted from 1, which the network loses.
    pub flukes: Vec<u32>,
    pub talk: Second,
    pub wrap: Second,
    pub duplicate_of: Option<Id>,
}

/// What is true of a live call.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct CallTruth {
    /// Seconds for which it holds an agent.
    pub handle: Second,
    /// Seconds after which the caller gives up.
    pub patience: Second,
}

/// A request with the truth about it.
#[derive(Clone, Debug)]
pub struct Booking {
    pub request: Request,
    pub truth: RequestTruth,
    /// When the customer takes it back.
    pub cancel: Option<Second>,
}

/// A live call with the truth about it.
#[derive(Clone, Debug)]
pub struct LiveCall {
    pub id: Id,
    pub at: Second,
    pub truth: CallTruth,
}

/// What happens at a moment; requests and calls by their place in the scenario's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// From now on the agents 0…n-1 are on shift.
    Agents(u32),
    Cancel(usize),
    Request(usize),
    Inbound(usize),
}

/// A whole day with its truth.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub header: Header,
    /// In the order in which they become known.
    pub bookings: Vec<Booking>,
    /// In the order in which they become known.
    pub calls: Vec<LiveCall>,
    /// Everything that happens by itself, in the order in which it was written down.
    pub happenings: Vec<(Second, Happening)>,
}

/// Why two texts are not a scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    #[error("{text}, line {line}: {source}")]
    Line {
        /// `public` or `truth`.
        text: &'static str,
        line: usize,
        source: serde_json::Error,
    },
    #[error("the public text must open with a line of type header")]
    NoHeader,
    #[error("there is a second header in line {line} of the public text")]
    SecondHeader { line: usize },
    #[error("open: the centre is never open")]
    NeverOpen,
    #[error("id {id:?} occurs twice in the {text} text")]
    Twice { text: &'static str, id: Id },
    #[error("there is no truth about {id:?}")]
    NoTruth { id: Id },
    #[error("cancel: there is no request {id:?} before it")]
    NoSuchRequest { id: Id },
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum PublicLine {
    Header(Box<Header>),
    Agents { at: Second, n: u32 },
    Request(Box<Request>),
    Cancel { id: Id, at: Second },
    Inbound { id: Id, at: Second },
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum TruthLine {
    Header {},
    Request(Box<RequestTruth>),
    Inbound {
        id: Id,
        #[serde(flatten)]
        truth: CallTruth,
    },
}

impl Scenario {
    /// Reads the public text and the truth behind it.
    pub fn parse(public: &str, truth: &str) -> Result<Scenario, ScenarioError> {
        let mut truths = Truths::parse(truth)?;
        let mut lines = numbered::<PublicLine>("public", public);
        let first = lines.next().map(|(_, line)| line).transpose()?;
        let Some(PublicLine::Header(header)) = first else {
            return Err(ScenarioError::NoHeader);
        };
        if header.open.is_empty() {
            return Err(ScenarioError::NeverOpen);
        }
        let mut scenario = Scenario {
            header: *header,
            bookings: Vec::new(),
            calls: Vec::new(),
            happenings: Vec::new(),
        };
        let mut places: HashMap<Id, usize> = HashMap::new();
        for (number, line) in lines {
            scenario.take(number, line?, &mut places, &mut truths)?;
        }
        Ok(scenario)
    }

    fn take(
        &mut self,
        number: usize,
        line: PublicLine,
        places: &mut HashMap<Id, usize>,
        truths: &mut Truths,
    ) -> Result<(), ScenarioError> {
        let (at, happening) = match line {
            PublicLine::Header(_) => return Err(ScenarioError::SecondHeader { line: number }),
            PublicLine::Agents { at, n } => (at, Happening::Agents(n)),
            PublicLine::Request(request) => {
                let place = self.bookings.len();
                let id = request.id.clone();
                if places.insert(id.clone(), place).is_some() {
                    return Err(ScenarioError::Twice { text: "public", id });
                }
                let truth = truths
                    .requests
                    .remove(&id)
                    .ok_or(ScenarioError::NoTruth { id })?;
                let at = request.at;
                self.bookings.push(Booking {
                    request: *request,
                    truth,
                    cancel: None,
                });
                (at, Happening::Request(place))
            }
            PublicLine::Cancel { id, at } => {
                let place = *places.get(&id).ok_or(ScenarioError::NoSuchRequest { id })?;
                self.bookings[place].cancel = Some(at);
                (at, Happening::Cancel(place))
            }
            PublicLine::Inbound { id, at } => {
                // Taking the truth out makes a second call of the same id find none.
                let truth = truths
                    .calls
                    .remove(&id)
                    .ok_or_else(|| ScenarioError::NoTruth { id: id.clone() })?;
                let place = self.calls.len();
                self.calls.push(LiveCall { id, at, truth });
                (at, Happening::Inbound(place))
            }
        };
        self.happenings.push((at, happening));
        Ok(())
    }
}

struct Truths {
    requests: HashMap<Id, RequestTruth>,
    calls: HashMap<Id, CallTruth>,
}

impl Truths {
    fn parse(text: &str) -> Result<Truths, ScenarioError> {
        let mut truths = Truths {
            requests: HashMap::new(),
            calls: HashMap::new(),
        };
        for (_, line) in numbered::<TruthLine>("truth", text) {
            let (id, before) = match line? {
                TruthLine::Header {} => continue,
                TruthLine::Request(truth) => {
                    let id = truth.id.clone();
                    let before = truths.requests.insert(id.clone(), *truth).is_some();
                    (id, before)
                }
                TruthLine::Inbound { id, truth } => {
                    let before = truths.calls.insert(id.clone(), truth).is_some();
                    (id, before)
                }
            };
            if before {
                return Err(ScenarioError::Twice { text: "truth", id });
            }
        }
        Ok(truths)
    }
}

/// The lines that are not empty, with their numbers from 1.
fn numbered<'t, T: Deserialize<'t>>(
    text: &'static str,
    lines: &'t str,
) -> impl Iterator<Item = (usize, Result<T, ScenarioError>)> {
    lines
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(move |(index, line)| {
            let number = index + 1;
            let read = serde_json::from_str(line).map_err(|source| ScenarioError::Line {
                text,
                line: number,
                source,
            });
            (number, read)
        })
}
