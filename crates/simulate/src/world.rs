//! The world, second by second: agents, live calls, and customers' phones.
//!
//! Order inside one second: agents; results and ends of calls; cancellations; bookings; live calls
//! that come; live calls that are given up; then dispatch. In dispatch the server is asked first
//! what to dial; then the oldest waiting live call goes to the idle agent of the lowest number; and
//! so on until nothing starts. A dial takes the idle agent of the lowest number.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use serde::Serialize;

use crate::scenario::{Happening, Id, Interval, Phone, RequestTruth, Scenario, Second};
use crate::server::{Answer, Dispatch, Move, Outcome, Server, View};

/// A rule that a server can break. What it asked for was then not done (a wrong "merged" excepted,
/// which cannot be undone), but it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    BeforeBooking,
    AfterCancel,
    NotAccepted,
    OutsideOpeningHours,
    OutsidePermittedHours,
    TooManyAttempts,
    TooSoon,
    AlreadyConnected,
    NumberInCall,
    DoubleCall,
    NoAgentFree,
    BadPromise,
    BadMerge,
    AgentInTwoCalls,
    AgentNotOnShift,
}

impl Rule {
    /// The rule in words, as evaluations print it.
    pub fn name(self) -> &'static str {
        match self {
            Rule::BeforeBooking => "before booking",
            Rule::AfterCancel => "after cancel",
            Rule::NotAccepted => "not accepted",
            Rule::OutsideOpeningHours => "outside opening hours",
            Rule::OutsidePermittedHours => "outside permitted hours",
            Rule::TooManyAttempts => "too many attempts",
            Rule::TooSoon => "too soon after the last attempt",
            Rule::AlreadyConnected => "already connected",
            Rule::NumberInCall => "number already in a call",
            Rule::DoubleCall => "double call",
            Rule::NoAgentFree => "no agent free",
            Rule::BadPromise => "bad promise",
            Rule::BadMerge => "bad merge",
            Rule::AgentInTwoCalls => "agent in two calls",
            Rule::AgentNotOnShift => "agent not on shift",
        }
    }
}

/// One dial that was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub at: Second,
    pub outcome: Outcome,
    /// When its agent is free again.
    pub freed: Second,
}

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub struct Followed {
    /// The answer to the booking; nothing before it.
    pub answer: Option<Answer>,
    /// The promise in force.
    pub told: Option<Interval>,
    pub attempts: Vec<Attempt>,
    pub cancelled: Option<Second>,
    pub connected: Option<Second>,
}

/// What became of a live call.
#[derive(Clone, Copy, Debug, Default)]
pub struct LiveEnd {
    pub answered: Option<Second>,
    pub abandoned: Option<Second>,
}

/// A stretch of an agent's time.
#[derive(Clone, Debug)]
pub struct Stretch {
    pub agent: usize,
    pub from: Second,
    pub to: Second,
    /// The request or the live call.
    pub id: Id,
}

/// One line of the record of decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Decision {
    Promise {
        id: Id,
        at: Second,
        status: &'static str,
        start: Option<Second>,
        end: Option<Second>,
    },
    Attempt {
        id: Id,
        at: Second,
        agent: Option<usize>,
        n: u32,
        result: Outcome,
        connected: Option<Second>,
        freed: Second,
        #[serde(skip_serializing_if = "Option::is_none")]
        rule: Option<&'static str>,
    },
}

/// Everything that came of a day.
#[derive(Clone, Debug, Default)]
pub struct Day {
    /// By the place of the request in the scenario.
    pub requests: Vec<Followed>,
    /// By the place of the call in the scenario.
    pub calls: Vec<LiveEnd>,
    /// Promises moved after the booking.
    pub moves: usize,
    /// What the agents did, in the order in which it began.
    pub busy: Vec<Stretch>,
    /// Agents on shift, each figure from its moment on.
    pub staff: Vec<(Second, u32)>,
    pub violations: Vec<(Second, Id, Rule)>,
    /// In the order in which they were made.
    pub decisions: Vec<Decision>,
}

/// What comes at a moment; the number in front is the order inside a second.
#[derive(Clone, Copy)]
enum Event {
    Agents(u32),
    Result {
        place: usize,
        n: u32,
        outcome: Outcome,
    },
    /// `place` of the request; nothing after a live call.
    Freed {
        agent: usize,
        place: Option<usize>,
    },
    Cancel(usize),
    Request(usize),
    Inbound(usize),
    Abandon(usize),
    Wake,
}

impl Event {
    fn order(self) -> u8 {
        match self {
            Event::Agents(_) => 0,
            Event::Result { .. } | Event::Freed { .. } => 1,
            Event::Cancel(_) => 2,
            Event::Request(_) => 3,
            Event::Inbound(_) => 4,
            Event::Abandon(_) => 5,
            Event::Wake => 6,
        }
    }
}

/// What is known of a telephone number.
#[derive(Default)]
struct Line {
    /// End of its last call.
    busy_until: Option<Second>,
    /// Its last connection.
    connected: Option<Second>,
    /// The requests made with it so far.
    requests: Vec<usize>,
}

/// A day under way.
pub struct World<'s> {
    scenario: &'s Scenario,
    day: Day,
    places: HashMap<&'s str, usize>,
    lines: HashMap<&'s str, Line>,
    /// Agents on shift.
    n: usize,
    /// By agent; those who have gone home may still be in a call.
    in_call: Vec<bool>,
    /// Live calls waiting, the oldest first.
    queue: VecDeque<usize>,
    events: Vec<Event>,
    heap: BinaryHeap<Reverse<(Second, u8, usize)>>,
}

impl<'s> World<'s> {
    pub fn new(scenario: &'s Scenario) -> World<'s> {
        let mut world = World {
            scenario,
            day: Day {
                requests: vec![Followed::default(); scenario.bookings.len()],
                calls: vec![LiveEnd::default(); scenario.calls.len()],
                ..Day::default()
            },
            places: HashMap::new(),
            lines: HashMap::new(),
            n: 0,
            in_call: Vec::new(),
            queue: VecDeque::new(),
            events: Vec::new(),
            heap: BinaryHeap::new(),
        };
        for (place, booking) in scenario.bookings.iter().enumerate() {
            world.places.insert(&booking.request.id, place);
        }
        for (at, happening) in &scenario.happenings {
            let event = match *happening {
                Happening::Agents(n) => Event::Agents(n),
                Happening::Cancel(place) => Event::Cancel(place),
                Happening::Request(place) => Event::Request(place),
                Happening::Inbound(call) => Event::Inbound(call),
            };
            world.push(*at, event);
        }
        world
    }

    /// Plays the whole day to a server.
    pub fn run(mut self, server: &mut dyn Server) -> Day {
        server.header(&self.scenario.header);
        let mut asked: Option<Second> = None;
        while let Some(Reverse((now, _, _))) = self.heap.peek() {
            let now = *now;
            while let Some(Reverse((at, _, index))) = self.heap.peek().copied() {
                if at != now {
                    break;
                }
                self.heap.pop();
                self.happen(now, self.events[index], server);
            }
            let wake = self.dispatch(now, server);
            if let Some(wake) = wake
                && wake > now
                && wake < self.scenario.header.t1
                && asked.is_none_or(|last| wake != last || last <= now)
            {
                self.push(wake, Event::Wake);
                asked = Some(wake);
            }
        }
        server.end();
        self.day
    }

    fn push(&mut self, at: Second, event: Event) {
        self.heap
            .push(Reverse((at, event.order(), self.events.len())));
        self.events.push(event);
    }

    fn happen(&mut self, now: Second, event: Event, server: &mut dyn Server) {
        let scenario = self.scenario;
        let id = |place: usize| &scenario.bookings[place].request.id;
        match event {
            Event::Agents(n) => {
                self.n = n as usize;
                self.in_call.resize(self.in_call.len().max(self.n), false);
                self.day.staff.push((now, n));
                server.agents(now, n);
            }
            Event::Result { place, n, outcome } => {
                server.result(now, id(place), n, outcome);
                if outcome == Outcome::Answered {
                    self.day.requests[place].connected.get_or_insert(now);
                }
            }
            Event::Freed { agent, place } => {
                self.in_call[agent] = false;
                if let Some(place) = place {
                    server.done(now, id(place));
                }
            }
            Event::Cancel(place) => {
                if self.day.requests[place].connected.is_none() {
                    self.day.requests[place].cancelled = Some(now);
                    server.cancel(now, id(place));
                }
            }
            Event::Request(place) => self.book(now, place, server),
            Event::Inbound(call) => {
                self.queue.push_back(call);
                let live = &scenario.calls[call];
                self.push(now + live.truth.patience, Event::Abandon(call));
                server.inbound(now, &live.id);
            }
            Event::Abandon(call) => {
                if self.day.calls[call].answered.is_none() {
                    self.day.calls[call].abandoned = Some(now);
                    self.queue.retain(|waiting| *waiting != call);
                    let live = &scenario.calls[call];
                    server.inbound_abandoned(now, &live.id, now - live.at);
                }
            }
            Event::Wake => {}
        }
    }

    /// Asks and starts until nothing more starts; gives the wake asked for last.
    fn dispatch(&mut self, now: Second, server: &mut dyn Server) -> Option<Second> {
        loop {
            let oldest = self.queue.front();
            let view = View {
                idle: self.idle() as u32,
                n: self.n as u32,
                queue: self.queue.len() as u32,
                oldest_inbound_at: oldest.map(|call| self.scenario.calls[*call].at),
            };
            let Dispatch { dial, moves, wake } = server.dispatch(now, view);
            for moved in &moves {
                self.move_promise(now, moved);
            }
            let mut started = false;
            for id in &dial {
                started |= self.dial(now, id, server);
            }
            if let Some(agent) = self.lowest_idle()
                && let Some(call) = self.queue.pop_front()
            {
                self.answer_live(now, call, agent, server);
                started = true;
            }
            if !started {
                return wake;
            }
        }
    }

    fn idle(&self) -> usize {
        self.in_call[..self.n].iter().filter(|busy| !**busy).count()
    }

    fn lowest_idle(&self) -> Option<usize> {
        self.in_call[..self.n].iter().position(|busy| !busy)
    }

    fn violate(&mut self, now: Second, id: &Id, rule: Rule) {
        self.day.violations.push((now, id.clone(), rule));
    }

    fn book(&mut self, now: Second, place: usize, server: &mut dyn Server) {
        let request = &self.scenario.bookings[place].request;
        let mut answer = server.request(now, request);
        match answer {
            Answer::Accepted { start, end } if !(now <= start && start <= end) => {
                self.violate(now, &request.id, Rule::BadPromise);
                answer = Answer::Declined;
            }
            Answer::Merged if !self.may_merge(now, &request.number) => {
                self.violate(now, &request.id, Rule::BadMerge);
            }
            Answer::Accepted { .. } | Answer::Merged | Answer::Declined => {}
        }
        let line = self.lines.entry(&request.number).or_default();
        line.requests.push(place);
        let (status, told) = match answer {
            Answer::Accepted { start, end } => ("accepted", Some((start, end))),
            Answer::Declined => ("declined", None),
            Answer::Merged => ("merged", None),
        };
        let followed = &mut self.day.requests[place];
        followed.answer = Some(answer);
        followed.told = told;
        self.day.decisions.push(Decision::Promise {
            id: request.id.clone(),
            at: now,
            status,
            start: told.map(|told| told.0),
            end: told.map(|told| told.1),
        });
    }

    /// Whether another request of the number is accepted and open, or was answered by the call that
    /// is still going on.
    fn may_merge(&self, now: Second, number: &str) -> bool {
        let Some(line) = self.lines.get(number) else {
            return false;
        };
        let in_call = line.busy_until.is_some_and(|until| until >= now);
        line.requests.iter().any(|place| {
            let other = &self.day.requests[*place];
            other.told.is_some()
                && other.cancelled.is_none()
                && (other.connected.is_none() || in_call)
        })
    }

    fn move_promise(&mut self, now: Second, moved: &Move) {
        let Move { id, start, end } = moved;
        let notice = self.scenario.header.notice;
        let place = self.places.get(&**id).copied().filter(|place| {
            let followed = &self.day.requests[*place];
            followed.told.is_some()
                && followed.cancelled.is_none()
                && now + notice <= *start
                && start <= end
        });
        let Some(place) = place else {
            self.violate(now, id, Rule::BadPromise);
            return;
        };
        self.day.requests[place].told = Some((*start, *end));
        self.day.moves += 1;
        self.day.decisions.push(Decision::Promise {
            id: id.clone(),
            at: now,
            status: "accepted",
            start: Some(*start),
            end: Some(*end),
        });
    }

    /// The first rule that dialling now would break.
    fn objection(&self, now: Second, place: usize) -> Option<Rule> {
        let header = &self.scenario.header;
        let booking = &self.scenario.bookings[place];
        let followed = &self.day.requests[place];
        let attempts = &followed.attempts;
        let last = attempts.last();
        let line = self.lines.get(&*booking.request.number);
        if followed.answer.is_none() {
            return Some(Rule::BeforeBooking);
        }
        if followed.cancelled.is_some() {
            return Some(Rule::AfterCancel);
        }
        if followed.told.is_none() {
            return Some(Rule::NotAccepted);
        }
        if !within(now, &header.open) {
            return Some(Rule::OutsideOpeningHours);
        }
        if !within(now, &booking.truth.dialable) {
            return Some(Rule::OutsidePermittedHours);
        }
        if attempts.len() >= header.max_attempts as usize {
            return Some(Rule::TooManyAttempts);
        }
        if last.is_some_and(|last| now - last.at < header.min_gap) {
            return Some(Rule::TooSoon);
        }
        let answered = last.is_some_and(|last| last.outcome == Outcome::Answered);
        if followed.connected.is_some() || answered {
            return Some(Rule::AlreadyConnected);
        }
        let line = line?;
        if line.busy_until.is_some_and(|until| until > now) {
            return Some(Rule::NumberInCall);
        }
        if line.connected.is_some_and(|at| at > booking.request.at) {
            return Some(Rule::DoubleCall);
        }
        None
    }

    fn dial(&mut self, now: Second, id: &Id, server: &mut dyn Server) -> bool {
        let place = self.places.get(&**id).copied();
        let objection = match place {
            Some(place) => self.objection(now, place),
            None => Some(Rule::BeforeBooking),
        };
        match (objection, place, self.lowest_idle()) {
            (None, Some(place), Some(agent)) => {
                self.begin(now, place, agent);
                true
            }
            (objection, _, _) => {
                let rule = objection.unwrap_or(Rule::NoAgentFree);
                self.violate(now, id, rule);
                self.day.decisions.push(Decision::Attempt {
                    id: id.clone(),
                    at: now,
                    agent: None,
                    n: 0,
                    result: Outcome::Refused,
                    connected: None,
                    freed: now,
                    rule: Some(rule.name()),
                });
                server.result(now, id, 0, Outcome::Refused);
                false
            }
        }
    }

    fn begin(&mut self, now: Second, place: usize, agent: usize) {
        let header = &self.scenario.header;
        let booking = &self.scenario.bookings[place];
        let (request, truth) = (&booking.request, &booking.truth);
        let followed = &mut self.day.requests[place];
        let n = followed.attempts.len() as u32 + 1;
        let outcome = luck(truth, n, now, followed.told, header.attention);
        let answered = outcome == Outcome::Answered;
        let ring = match outcome {
            Outcome::Answered => header.ring.answer,
            Outcome::Busy => header.ring.busy,
            Outcome::NoAnswer => header.ring.no_answer,
            Outcome::Machine => header.ring.machine,
            Outcome::Invalid => header.ring.invalid,
            Outcome::Failed => header.ring.failed,
            Outcome::Refused => 0,
        };
        let known = now + ring;
        let freed = known + if answered { truth.talk + truth.wrap } else { 0 };
        followed.attempts.push(Attempt {
            at: now,
            outcome,
            freed,
        });
        let line = self.lines.entry(&request.number).or_default();
        line.busy_until = Some(freed);
        if answered {
            line.connected = line.connected.max(Some(known));
        }
        self.occupy(agent, now, freed, &request.id);
        self.push(known, Event::Result { place, n, outcome });
        let place = Some(place);
        self.push(freed, Event::Freed { agent, place });
        self.day.decisions.push(Decision::Attempt {
            id: request.id.clone(),
            at: now,
            agent: Some(agent),
            n,
            result: outcome,
            connected: answered.then_some(known),
            freed,
            rule: None,
        });
    }

    fn answer_live(&mut self, now: Second, call: usize, agent: usize, server: &mut dyn Server) {
        let live = &self.scenario.calls[call];
        self.day.calls[call].answered = Some(now);
        let freed = now + live.truth.handle;
        self.occupy(agent, now, freed, &live.id);
        self.push(freed, Event::Freed { agent, place: None });
        server.inbound_answered(now, &live.id, now - live.at);
    }

    fn occupy(&mut self, agent: usize, from: Second, to: Second, id: &Id) {
        self.in_call[agent] = true;
        self.day.busy.push(Stretch {
            agent,
            from,
            to,
            id: id.clone(),
        });
    }
}

/// The outcome of a dial: a pure function of the request, the number of the attempt, the moment and
/// the promise in force, so that every server meets the same customers.
fn luck(
    truth: &RequestTruth,
    n: u32,
    now: Second,
    told: Option<Interval>,
    attention: Second,
) -> Outcome {
    let next = truth.states.partition_point(|state| state.0 <= now);
    let phone = match next.checked_sub(1).map(|index| truth.states[index]) {
        Some((_, to, phone)) if now < to => phone,
        _ => Phone::NoAnswer,
    };
    if phone == Phone::Invalid {
        return Outcome::Invalid;
    }
    if truth.flukes.contains(&n) {
        return Outcome::Failed;
    }
    match phone {
        Phone::Answer => Outcome::Answered,
        Phone::IfPromised => match told {
            Some((from, to)) if from <= now && now <= to && to - from <= attention => {
                Outcome::Answered
            }
            _ => Outcome::NoAnswer,
        },
        Phone::Busy => Outcome::Busy,
        Phone::NoAnswer => Outcome::NoAnswer,
        Phone::Machine => Outcome::Machine,
        Phone::Invalid => Outcome::Invalid,
    }
}

fn within(moment: Second, spans: &[Interval]) -> bool {
    spans.iter().any(|span| span.0 <= moment && moment < span.1)
}
