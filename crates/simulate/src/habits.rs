//! What customers and their phones usually do: the truth about a day, where nobody has recorded it.
//!
//! A phone is in one of four states, which follow each other as in the planner's own model of it
//! (`ringback_scheduling::plan::Phone`): the customer answers, answers if the call was promised for now, is on the
//! phone, or is away. What was seen of a phone stays as it was seen; between the moments at which it was, chance fills in.

use ringback_scheduling::plan::Phone as Model;

use crate::chance::Chance;
use crate::resolve::Resolved;
use crate::scenario::{Header, Kind, Phone, Request, RequestTruth, Second};

/// How long an as-soon-as-possible request keeps its customer near the phone, seconds.
const FRESH: Second = 1800;
/// How long after its window a phone is still followed, seconds.
const AFTERWARDS: Second = 4 * 3600;
/// No state of a phone is told apart that lasts less, seconds.
const SHORTEST: Second = 20;
/// Attempts that the network can lose; nobody is tried more often.
const TRIES: u32 = 8;

/// The habits of a queue's customers. Shares are of 1, times in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Habits {
    /// The phone in the window: shares of its states and how long they last.
    pub phone: Model,
    /// Shares of its states in the first half hour after an as-soon-as-possible booking.
    pub fresh: [f64; 4],
    /// Shares of its states outside the window.
    pub outside: [f64; 4],
    /// Share of the phones with a machine that answers when nobody does.
    pub machine: f64,
    /// Share of the numbers that do not exist.
    pub invalid: f64,
    /// Mean talk.
    pub talk: f64,
    /// Standard deviation of the talk, as a share of its mean.
    pub talk_spread: f64,
    /// Wrap-up after it.
    pub wrap: Second,
    /// Share of the requests that are taken back.
    pub cancel: f64,
    /// Share of the customers who ask twice.
    pub twice: f64,
}

/// What a dial met at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub at: Second,
    pub phone: Phone,
}

/// A request and what is known of it.
#[derive(Clone, Debug)]
pub struct Known<'r> {
    pub request: &'r Request,
    pub resolved: &'r Resolved,
    /// What dials met, in order.
    pub seen: &'r [Seen],
    /// Attempts, counted from 1, which the network lost.
    pub lost: Option<Vec<u32>>,
    /// Talk, if there was a call.
    pub talk: Option<Second>,
}

impl<'r> Known<'r> {
    /// Nothing but the request itself.
    pub fn only(request: &'r Request, resolved: &'r Resolved) -> Known<'r> {
        Known {
            request,
            resolved,
            seen: &[],
            lost: None,
            talk: None,
        }
    }
}

const ANSWER: usize = 0;
const PROMISED: usize = 1;
const BUSY: usize = 2;
const AWAY: usize = 3;

impl Habits {
    /// What is usual, on top of what the day's header says: talk, wrap-up and how well phones are answered.
    pub fn usual(header: &Header) -> Habits {
        Habits {
            phone: Model::with_shares(header.reach_prior.inside),
            fresh: header.reach_prior.fresh,
            outside: header.reach_prior.outside,
            machine: 0.45,
            invalid: 0.015,
            talk: header.callback_talk,
            talk_spread: 0.7,
            wrap: header.callback_wrap as Second,
            cancel: 0.05,
            twice: 0.02,
        }
    }

    /// The truth about a request: what is known of it, and chance for the rest. The streams are those of `number`.
    pub fn truth(&self, known: &Known<'_>, seed: u64, number: u64) -> RequestTruth {
        let mut phone = Chance::of(seed, "phone", number);
        let mut talk = Chance::of(seed, "talk", number);
        let mut network = Chance::of(seed, "network", number);
        let Resolved {
            start,
            end,
            dialable,
        } = known.resolved;
        let drawn = talk.length(self.talk, self.talk_spread).max(15.0) as Second;
        let lost = (1..=TRIES)
            .filter(|_| network.happens(self.phone.lost))
            .collect();
        RequestTruth {
            id: known.request.id.clone(),
            start: *start,
            end: *end,
            dialable: dialable.clone(),
            states: self.states(known, &mut phone),
            flukes: known.lost.clone().unwrap_or(lost),
            talk: known.talk.unwrap_or(drawn),
            wrap: self.wrap,
            duplicate_of: None,
        }
    }

    /// When the customer takes the request back, if at all.
    pub fn cancelled(&self, at: Second, end: Second, seed: u64, number: u64) -> Option<Second> {
        let mut chance = Chance::of(seed, "cancel", number);
        let latest = (end - at).max(60) as f64;
        chance
            .happens(self.cancel)
            .then(|| at + ((chance.unit() * latest) as Second).max(30))
    }

    fn states(&self, known: &Known<'_>, chance: &mut Chance) -> Vec<(Second, Second, Phone)> {
        let from = known.request.at;
        let end = known.resolved.end;
        let to = end.max(from + FRESH) + AFTERWARDS;
        let unused = known.seen.is_empty() && chance.happens(self.invalid);
        if unused || known.seen.iter().any(|seen| seen.phone == Phone::Invalid) {
            return vec![(from, to, Phone::Invalid)];
        }
        let machine = chance.happens(self.machine);
        let shares = |moment: Second| {
            let asap = known.request.kind == Kind::Asap;
            let inside = known.resolved.start <= moment && moment <= end;
            if asap && moment < from + FRESH {
                self.fresh
            } else if inside {
                self.phone.shares
            } else {
                self.outside
            }
        };
        let mut states = Vec::new();
        if known.seen.is_empty() {
            let first = chance.pick(&shares(from));
            states = self.walk(first, from, to, 1, shares, chance);
        }
        // Each moment at which the phone was seen tells of the time around it, half the way to the next one. The
        // model is the same in both directions of time.
        for (place, seen) in known.seen.iter().enumerate() {
            let middle = |other: &Seen| (other.at + seen.at) / 2;
            let before = place
                .checked_sub(1)
                .map_or(from, |before| middle(&known.seen[before]));
            let after = known.seen.get(place + 1).map_or(to, middle);
            let state = state_of(seen.phone, self.phone.shares, chance);
            let mut back = self.walk(state, seen.at, before, -1, shares, chance);
            back.reverse();
            states.extend(back);
            states.extend(self.walk(state, seen.at, after, 1, shares, chance));
        }
        named(states, machine)
    }

    /// The phone's states from a moment on, or backwards from it (`way` −1). Spans are in the order of the walk, each
    /// with its earlier end first.
    fn walk(
        &self,
        mut state: usize,
        from: Second,
        to: Second,
        way: Second,
        shares: impl Fn(Second) -> [f64; 4],
        chance: &mut Chance,
    ) -> Vec<(Second, Second, usize)> {
        let mut spans = Vec::new();
        let mut moment = from;
        while (to - moment) * way > 0 {
            let lasts = chance.waiting(self.phone.dwell[state]) as Second;
            let until = moment + way * lasts.max(SHORTEST);
            let until = if (until - to) * way > 0 { to } else { until };
            spans.push((moment.min(until), moment.max(until), state));
            moment = until;
            let mut weights = shares(moment);
            for (weight, dwell) in weights.iter_mut().zip(self.phone.dwell) {
                *weight /= dwell.max(1.0);
            }
            state = chance.pick(&weights);
        }
        spans
    }
}

/// The state in which a dial found the phone. Who answered might have done so only because it was promised.
fn state_of(phone: Phone, shares: [f64; 4], chance: &mut Chance) -> usize {
    match phone {
        Phone::Answer => chance.pick(&shares[..=PROMISED]),
        Phone::IfPromised => PROMISED,
        Phone::Busy => BUSY,
        Phone::NoAnswer | Phone::Machine | Phone::Invalid => AWAY,
    }
}

/// States by name, neighbours that are the same made one.
fn named(states: Vec<(Second, Second, usize)>, machine: bool) -> Vec<(Second, Second, Phone)> {
    let mut named: Vec<(Second, Second, Phone)> = Vec::with_capacity(states.len());
    for (from, to, state) in states {
        let phone = match state {
            ANSWER => Phone::Answer,
            PROMISED => Phone::IfPromised,
            BUSY => Phone::Busy,
            _ if machine => Phone::Machine,
            _ => Phone::NoAnswer,
        };
        match named.last_mut() {
            Some(last) if last.2 == phone && last.1 == from => last.1 = to,
            _ => named.push((from, to, phone)),
        }
    }
    named
}
