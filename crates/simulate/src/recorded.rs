//! A day that did happen, to be lived again under other circumstances.
//!
//! The record knows who asked for what and when, what each dial met, and how long they talked. It does not know what a
//! phone would have done at a moment at which nobody dialled it: that is drawn from the habits, with a seed, and
//! tied to what was seen. Whoever was refused left no record.

use serde::Serialize;

use crate::generate::LiveHabits;
use crate::habits::{Habits, Known, Seen};
use crate::resolve::{ResolveError, Windows};
use crate::scenario::{Booking, Header, Phone, Request, Scenario, Second};
use crate::server::Outcome;

/// What the record knows of a day.
#[derive(Clone, Debug)]
pub struct Record {
    /// Rules, plan and forecast of the day.
    pub header: Header,
    pub callbacks: Vec<RecordedCallback>,
}

/// One callback of the record.
#[derive(Clone, Debug)]
pub struct RecordedCallback {
    pub request: Request,
    /// When the customer took it back.
    pub cancelled: Option<Second>,
    /// Dials at the customer, in order.
    pub dials: Vec<RecordedDial>,
}

/// A dial and what it met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedDial {
    pub at: Second,
    /// Nothing if nobody knows, after a crash in mid-call.
    pub outcome: Option<Outcome>,
    /// How long they talked, seconds.
    pub talk: Option<Second>,
}

/// How much of a rebuilt day is record, and how much is chance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drawn {
    pub callbacks: usize,
    /// Callbacks whose window held no moment for a call: left out.
    pub left_out: usize,
    /// Dials whose result the rehearsal is tied to.
    pub dials: usize,
    /// Callbacks that were never dialled: their phones are all chance.
    pub never_dialled: usize,
    /// Callbacks of which the length of the talk is chance.
    pub talk_drawn: usize,
    /// Live calls, which no record holds one by one.
    pub live_calls: usize,
}

/// The day again.
pub fn rebuild(
    record: &Record,
    habits: &Habits,
    live: &LiveHabits,
    seed: u64,
) -> Result<(Scenario, Drawn), ResolveError> {
    let mut header = record.header.clone();
    header.seed = seed;
    let mut windows = Windows::new(&header)?;
    let mut scenario = Scenario {
        header,
        bookings: Vec::new(),
        calls: Vec::new(),
        happenings: Vec::new(),
    };
    let mut drawn = Drawn::default();
    scenario.staff();
    scenario.live_calls(live, seed);
    drawn.live_calls = scenario.calls.len();
    for (number, callback) in record.callbacks.iter().enumerate() {
        let request = &callback.request;
        let resolved = windows.of(request)?;
        if resolved.dialable.is_empty() {
            drawn.left_out += 1;
            continue;
        }
        let seen = callback.seen();
        drawn.callbacks += 1;
        drawn.dials += seen.len();
        drawn.never_dialled += usize::from(callback.dials.is_empty());
        drawn.talk_drawn += usize::from(callback.talk().is_none());
        let known = Known {
            request,
            resolved: &resolved,
            seen: &seen,
            lost: (!callback.dials.is_empty()).then(|| callback.lost()),
            talk: callback.talk(),
        };
        scenario.add(Booking {
            request: request.clone(),
            truth: habits.truth(&known, seed, number as u64),
            cancel: callback.cancelled.map(|at| at.max(request.at)),
        });
    }
    scenario.in_order();
    Ok((scenario, drawn))
}

impl RecordedCallback {
    fn seen(&self) -> Vec<Seen> {
        let mut seen: Vec<Seen> = self
            .dials
            .iter()
            .filter_map(|dial| {
                let phone = match dial.outcome? {
                    Outcome::Answered => Phone::Answer,
                    Outcome::Busy => Phone::Busy,
                    Outcome::NoAnswer => Phone::NoAnswer,
                    Outcome::Machine => Phone::Machine,
                    Outcome::Invalid => Phone::Invalid,
                    // These say nothing about the customer's phone.
                    Outcome::Failed | Outcome::Refused => return None,
                };
                Some(Seen { at: dial.at, phone })
            })
            .collect();
        seen.sort_by_key(|seen| seen.at);
        seen.dedup_by_key(|seen| seen.at);
        seen
    }

    fn lost(&self) -> Vec<u32> {
        (1..)
            .zip(&self.dials)
            .filter(|(_, dial)| dial.outcome == Some(Outcome::Failed))
            .map(|(number, _)| number)
            .collect()
    }

    fn talk(&self) -> Option<Second> {
        self.dials
            .iter()
            .filter(|dial| dial.outcome == Some(Outcome::Answered))
            .find_map(|dial| dial.talk)
    }
}
