//! Days of our own making: arrivals, windows, phones, talk times and live calls, all from one seed.
//!
//! A [`Recipe`] is a queue's rules with what is usual there. The same recipe and seed always make the same day, and
//! a customer's luck depends on the seed and the customer's number alone.

use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::{Timestamp, ToSpan};
use ringback_scheduling::Zone;

use crate::chance::Chance;
use crate::habits::{Habits, Known};
use crate::resolve::{ResolveError, Resolved, Windows, intersect};
use crate::scenario::{
    Booking, CallTruth, Happening, Header, Interval, Kind, LiveCall, Request, Scenario, Second,
};

/// What makes a day.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// What the server is told beforehand; staff and live load are the plan.
    pub header: Header,
    /// Work asked for, callbacks and live calls together, as a share of the planned staff's time.
    pub load: f64,
    pub habits: Habits,
    pub wishes: Wishes,
    pub live: LiveHabits,
    /// The customers' zones, each with its weight.
    pub zones: Vec<(Zone, f64)>,
}

/// What customers ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Wishes {
    /// Share of the requests for as soon as possible.
    pub asap: f64,
    /// Share of the requests for a quarter of an hour.
    pub point: f64,
    /// Lengths of the other windows, minutes, each with its weight.
    pub lengths: Vec<(i64, f64)>,
    /// How long before the window it is asked for in the mean, minutes.
    pub lead: f64,
    /// Share of the requests made in the hour and a half before the centre opens.
    pub early: f64,
}

/// Calls that come in by themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LiveHabits {
    /// Standard deviation of their handling, as a share of its mean.
    pub spread: f64,
    /// Mean patience of those who wait, seconds.
    pub patience: f64,
    /// By how much the day's load misses the forecast: standard deviation, as a share of it.
    pub surprise: f64,
}

impl Default for Wishes {
    fn default() -> Wishes {
        Wishes {
            asap: 0.45,
            point: 0.10,
            lengths: vec![(15, 0.15), (30, 0.25), (60, 0.35), (120, 0.15), (240, 0.10)],
            lead: 150.0,
            early: 0.10,
        }
    }
}

impl Default for LiveHabits {
    fn default() -> LiveHabits {
        LiveHabits {
            spread: 0.8,
            patience: 300.0,
            surprise: 0.08,
        }
    }
}

/// Why no day can be made of a recipe.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GenerateError {
    #[error("{0}")]
    Resolve(#[from] ResolveError),
    #[error("open: the centre is never open on {date}")]
    NeverOpen { date: jiff::civil::Date },
    #[error("agents_plan: nobody is there while the centre is open")]
    Nobody,
    #[error("load: must be a number above 0, at most 10")]
    Load,
    #[error(
        "load: the live calls alone are {least:.2} of the staff's time, so it must be more than that"
    )]
    TooLittle { least: f64 },
    #[error("load: makes more than {MOST_REQUESTS} requests")]
    TooMuch,
    #[error("open: {at} is no moment")]
    Moment { at: Second },
}

/// A day of more requests is a slip of the keyboard.
pub const MOST_REQUESTS: usize = 100_000;
const MOST_LIVE_CALLS: usize = 1_000_000;
/// How long before opening the first requests come, seconds.
const EARLY: Second = 5400;
/// Nobody asks in the last minutes of the day, seconds.
const LATE: Second = 2700;
/// Windows begin on these, minutes.
const QUARTER: i64 = 15;
/// A wish that no moment of the day can meet is wished anew so many times; then it is left out.
const WISHES: usize = 8;

/// Makes a day.
pub fn generate(recipe: &Recipe, seed: u64) -> Result<Scenario, GenerateError> {
    let mut header = recipe.header.clone();
    header.seed = seed;
    let (Some(first), Some(last)) = (header.open.first(), header.open.last()) else {
        return Err(GenerateError::NeverOpen { date: header.date });
    };
    let day = (first.0, last.1);
    let staffed = pieces(&header.agents_plan, &header.open);
    if staffed.iter().all(|piece| piece.weight <= 0.0) {
        return Err(GenerateError::Nobody);
    }
    let count = recipe.requests(&staffed)?;
    let mut scenario = Scenario {
        header,
        bookings: Vec::new(),
        calls: Vec::new(),
        happenings: Vec::new(),
    };
    scenario.staff();
    scenario.live_calls(&recipe.live, seed);
    let mut customers = Customers {
        recipe,
        seed,
        day,
        staffed,
        windows: Windows::new(&scenario.header)?,
    };
    for number in 0..count {
        for booking in customers.bookings(number as u64)? {
            scenario.add(booking);
        }
    }
    scenario.in_order();
    Ok(scenario)
}

/// A stretch of time with a weight per second.
struct Piece {
    from: Second,
    to: Second,
    weight: f64,
}

/// Steps as stretches within spans.
fn pieces<V: Copy + Into<f64>>(steps: &[(Second, V)], spans: &[Interval]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (place, (at, value)) in steps.iter().enumerate() {
        let until = steps.get(place + 1).map_or(Second::MAX, |next| next.0);
        for (from, to) in intersect(spans, &[(*at, until)]) {
            let weight = (*value).into();
            pieces.push(Piece { from, to, weight });
        }
    }
    pieces.sort_unstable_by_key(|piece| piece.from);
    pieces
}

fn area(pieces: &[Piece]) -> f64 {
    pieces
        .iter()
        .map(|piece| piece.weight * (piece.to - piece.from) as f64)
        .sum()
}

/// The moment before which `share` of the pieces' area lies.
fn moment_of(pieces: &[Piece], share: f64) -> Second {
    let mut left = share * area(pieces);
    for piece in pieces {
        let own = piece.weight * (piece.to - piece.from) as f64;
        if left < own {
            return piece.from + (left / piece.weight) as Second;
        }
        left -= own;
    }
    pieces.last().map_or(0, |piece| piece.to - 1)
}

impl Recipe {
    /// Requests that make up the load, those included that nobody can keep.
    fn requests(&self, staffed: &[Piece]) -> Result<usize, GenerateError> {
        if !(self.load > 0.0 && self.load <= 10.0) {
            return Err(GenerateError::Load);
        }
        let header = &self.header;
        let capacity = area(staffed);
        let forecast = pieces(&header.inbound_forecast, &header.open);
        let live = area(&forecast) / 3600.0 * header.inbound_aht / capacity;
        if self.load <= live {
            return Err(GenerateError::TooLittle { least: live });
        }
        let handling = header.ring.answer as f64 + header.callback_talk + header.callback_wrap;
        // Some can never be kept, whoever tries: taken back, no such number, never near the phone.
        let away = self.habits.phone.shares[AWAY].powi(2);
        let keepable = (1.0 - self.habits.cancel) * (1.0 - self.habits.invalid) * (1.0 - away);
        let count = ((self.load - live) * capacity / handling / keepable.max(0.05)).round();
        if count > MOST_REQUESTS as f64 {
            return Err(GenerateError::TooMuch);
        }
        Ok(count.max(1.0) as usize)
    }
}

const AWAY: usize = 3;

/// Those who ask, on one day.
struct Customers<'r> {
    recipe: &'r Recipe,
    seed: u64,
    /// First opening, last closing.
    day: Interval,
    /// When they ask: as the staff is planned, which follows the load.
    staffed: Vec<Piece>,
    windows: Windows,
}

impl Customers<'_> {
    /// The request of one customer, and the second one of somebody who asks twice.
    fn bookings(&mut self, number: u64) -> Result<Vec<Booking>, GenerateError> {
        let habits = &self.recipe.habits;
        let Some((request, resolved)) = self.wish(number)? else {
            return Ok(Vec::new());
        };
        let truth = habits.truth(&Known::only(&request, &resolved), self.seed, number);
        let cancel = habits.cancelled(request.at, resolved.end, self.seed, number);
        let first = Booking {
            request,
            truth,
            cancel,
        };
        let mut chance = Chance::of(self.seed, "twice", number);
        let again = first.request.at + chance.whole(20, 1200);
        if !chance.happens(habits.twice) || again >= first.truth.end - 300 {
            return Ok(vec![first]);
        }
        let request = Request {
            id: format!("{}d", first.request.id).into(),
            at: again,
            ..first.request.clone()
        };
        let resolved = self.windows.of(&request)?;
        let mut truth = first.truth.clone();
        truth.id = request.id.clone();
        truth.duplicate_of = Some(first.request.id.clone());
        (truth.start, truth.end) = (resolved.start, resolved.end);
        truth.dialable = resolved.dialable;
        let cancel = None;
        let second = Booking {
            request,
            truth,
            cancel,
        };
        Ok(vec![first, second])
    }

    /// What a customer asks for, and when; nothing if no moment of the day can meet it.
    fn wish(&mut self, number: u64) -> Result<Option<(Request, Resolved)>, GenerateError> {
        let mut chance = Chance::of(self.seed, "wish", number);
        for _ in 0..WISHES {
            let request = self.request(number, &mut chance)?;
            let resolved = self.windows.of(&request)?;
            let from = resolved.start.max(request.at);
            if !intersect(&resolved.dialable, &[(from, resolved.end + 1)]).is_empty() {
                return Ok(Some((request, resolved)));
            }
        }
        Ok(None)
    }

    fn request(&self, number: u64, chance: &mut Chance) -> Result<Request, GenerateError> {
        let wishes = &self.recipe.wishes;
        let (opens, closes) = self.day;
        let early = chance.happens(wishes.early);
        let share = chance.unit();
        let at = if early {
            opens - EARLY + (share * EARLY as f64) as Second
        } else {
            moment_of(&self.staffed, share)
        };
        let mut at = at.min((closes - LATE).max(opens));
        let weights: Vec<f64> = self.recipe.zones.iter().map(|zone| zone.1).collect();
        let zone = match self.recipe.zones.get(chance.pick(&weights)) {
            Some((zone, _)) => zone.clone(),
            None => self.recipe.header.tz.clone(),
        };
        let window = (1.0 - wishes.asap - wishes.point).max(0.0);
        let kinds = [Kind::Asap, Kind::Point, Kind::Window];
        let kind = kinds[chance.pick(&[wishes.asap, wishes.point, window])];
        let lengths: Vec<f64> = wishes.lengths.iter().map(|length| length.1).collect();
        let length = chance.pick(&lengths);
        let minutes = match kind {
            Kind::Asap => 0,
            Kind::Point => QUARTER,
            Kind::Window => wishes.lengths.get(length).map_or(60, |length| length.0),
        };
        let lead = (QUARTER * 60) as f64 + chance.waiting(wishes.lead * 60.0);
        let anywhere = chance.unit();
        let (local_start, local_end) = if kind == Kind::Asap {
            (None, None)
        } else {
            let earliest = at.max(opens);
            let latest = (closes - minutes * 60).max(earliest);
            let wished = at + lead as Second;
            let start = if wished > latest {
                earliest + (anywhere * (latest - earliest) as f64) as Second
            } else {
                self.while_open(wished.max(earliest))
            };
            let start = quarter(start.min(latest), &zone)?;
            at = at.min(moment(start, &zone)? - 60);
            let end = start.checked_add(minutes.minutes());
            (Some(start), end.ok())
        };
        Ok(Request {
            id: format!("r{number:05}").into(),
            at,
            number: format!("+999{number:08}").into(),
            channel: "web".to_owned(),
            kind,
            tz: zone,
            local_start,
            local_end,
        })
    }

    /// The moment itself if the centre is open, else its next opening.
    fn while_open(&self, moment: Second) -> Second {
        let spans = &self.recipe.header.open;
        spans
            .iter()
            .find(|span| moment < span.1)
            .map_or(moment, |span| span.0.max(moment))
    }
}

/// The next quarter of an hour on a clock.
fn quarter(at: Second, zone: &Zone) -> Result<DateTime, GenerateError> {
    let error = |_| GenerateError::Moment { at };
    let wall = zone
        .tz()
        .to_datetime(Timestamp::from_second(at).map_err(error)?);
    let past = i64::from(wall.minute()) % QUARTER * 60 + i64::from(wall.second());
    let missing = (QUARTER * 60 - past) % (QUARTER * 60);
    wall.checked_add(missing.seconds()).map_err(error)
}

fn moment(wall: DateTime, zone: &Zone) -> Result<Second, GenerateError> {
    let zoned = zone.tz().to_zoned(wall);
    zoned
        .map(|zoned| zoned.timestamp().as_second())
        .map_err(|_| GenerateError::Moment { at: 0 })
}

impl Scenario {
    /// The staff that is there: as it was planned.
    pub(crate) fn staff(&mut self) {
        let plan = self.header.agents_plan.clone();
        for (at, n) in plan {
            self.happenings.push((at, Happening::Agents(n)));
        }
        if let Some(closes) = self.header.open.last().map(|span| span.1) {
            let planned_on = self.header.agents_plan.iter().any(|step| step.0 > closes);
            if !planned_on {
                self.happenings.push((closes, Happening::Agents(0)));
            }
        }
    }

    /// Live calls as the forecast has them, but for the day's surprise.
    pub(crate) fn live_calls(&mut self, habits: &LiveHabits, seed: u64) {
        let mut chance = Chance::of(seed, "live", 0);
        let surprise = (habits.surprise * chance.normal()).exp();
        for piece in pieces(&self.header.inbound_forecast, &self.header.open) {
            let rate = piece.weight * surprise / 3600.0;
            if !(rate.is_finite() && rate > 0.0) {
                continue;
            }
            let mut at = piece.from as f64 + chance.waiting(1.0 / rate);
            while at < piece.to as f64 && self.calls.len() < MOST_LIVE_CALLS {
                self.live_call(at as Second, habits, seed);
                at += chance.waiting(1.0 / rate);
            }
        }
    }

    pub(crate) fn live_call(&mut self, at: Second, habits: &LiveHabits, seed: u64) {
        let place = self.calls.len();
        let mut own = Chance::of(seed, "live call", place as u64);
        let handle = own.length(self.header.inbound_aht, habits.spread);
        let patience = own.waiting(habits.patience);
        self.happenings.push((at, Happening::Inbound(place)));
        self.calls.push(LiveCall {
            id: Arc::from(format!("i{place:05}")),
            at,
            truth: CallTruth {
                handle: (handle as Second).max(10),
                patience: (patience as Second).max(5),
            },
        });
    }

    pub(crate) fn add(&mut self, booking: Booking) {
        let place = self.bookings.len();
        self.happenings
            .push((booking.request.at, Happening::Request(place)));
        if let Some(at) = booking.cancel {
            self.happenings.push((at, Happening::Cancel(place)));
        }
        self.bookings.push(booking);
    }

    /// What happens, in order of time.
    pub(crate) fn in_order(&mut self) {
        self.happenings.sort_by_key(|(at, happening)| {
            let order = match happening {
                Happening::Agents(_) => 0,
                Happening::Cancel(_) => 1,
                Happening::Request(_) => 2,
                Happening::Inbound(_) => 3,
            };
            (*at, order)
        });
    }
}
