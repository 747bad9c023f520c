//! One configured use of a channel: how fast it may be used, and whether it is well.
//!
//! Arithmetic only, on a clock that is handed in; who pings and who dials is the channel's business.

use crate::order::{RouteHealth, Unready};
use jiff::Timestamp;
use ringback_callbacks::clock::Clock;
use ringback_callbacks::wire_time::plus;
use ringback_scheduling::limits::{Pace, PaceError, PaceRate};
use ringback_scheduling::shares::Holding;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much a route may be used.
#[derive(Clone, Copy, Debug)]
pub struct RouteLimits {
    per_second: f64,
    rate: PaceRate,
    concurrent: u32,
}

impl RouteLimits {
    /// A second's worth may go at once after a rest, so that a route of 10 calls per second is not
    /// held to one every 100 ms to the millisecond.
    pub fn new(per_second: f64, concurrent: u32) -> Result<RouteLimits, LimitError> {
        if !(1..=100_000).contains(&concurrent) {
            return Err(LimitError::Concurrent);
        }
        // The rate is checked by `PaceRate`; the burst only has to be in its range.
        let burst = per_second.clamp(1.0, 10_000.0) as u32;
        Ok(RouteLimits {
            per_second,
            rate: PaceRate::new(per_second, burst)?,
            concurrent,
        })
    }

    /// The part of both that belongs to so many of the concurrent calls; `None` if that is nothing.
    fn part(&self, calls: u32) -> Option<RouteLimits> {
        if calls >= self.concurrent {
            return Some(*self);
        }
        let per_second = self.per_second * f64::from(calls) / f64::from(self.concurrent);
        RouteLimits::new(per_second, calls).ok()
    }
}

/// How a route is used from here, for whoever shares its limits out among several nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteUse {
    pub route: String,
    /// Concurrent calls that all nodes together may have.
    pub limit: u32,
    /// Calls that are on it from here.
    pub used: u32,
    /// Calls that would be on it if they could, those that are included.
    pub wanted: u32,
    /// No call can be begun on it from here for a while: what is not in use is of no use here.
    pub closed: bool,
}

/// Limits that make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    #[error("`concurrent` must be from 1 to 100000")]
    Concurrent,
    #[error("{0}")]
    Pace(#[from] PaceError),
}

/// A route as the channel keeps it.
pub struct Route {
    name: String,
    channel: &'static str,
    limits: RouteLimits,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl Route {
    pub fn new(
        name: &str,
        channel: &'static str,
        limits: RouteLimits,
        clock: Arc<dyn Clock>,
    ) -> Arc<Route> {
        let state = Mutex::new(State {
            holding: Holding::of(limits.concurrent),
            ..State::default()
        });
        Arc::new(Route {
            name: name.to_owned(),
            channel,
            limits,
            clock,
            state,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why no call may be placed, where that is because the route is down.
    pub fn down(&self) -> Option<Unready> {
        self.state().down(self.clock.now())
    }

    /// A place for one call and its part of the calls per second. Both are given back when the permit is
    /// dropped; the second only if the call was never placed ([`Permit::spend`]).
    pub fn reserve(self: &Arc<Self>) -> Result<Permit, Unready> {
        let now = self.clock.now();
        let mut state = self.state();
        let limits = self.look(&mut state, now)?;
        if let Err(at) = state.pace.take(&limits.rate, now) {
            state.paced = true;
            let wait = until(now, at);
            // Small parts are slow, and are not kept: parts are dealt out anew every second.
            return Err(Unready::Wait(if self.is_part(&limits) {
                wait.min(WHEN_FULL)
            } else {
                wait
            }));
        }
        state.came(now);
        Ok(self.permit(&mut state, now, Fare::Paid))
    }

    /// A place kept in case the routes before this one fail. It takes part in the limit of concurrent
    /// calls, but a call per second is used up only when it is spent.
    pub fn stand_by(self: &Arc<Self>) -> Result<Permit, Unready> {
        let now = self.clock.now();
        let mut state = self.state();
        self.look(&mut state, now)?;
        Ok(self.permit(&mut state, now, Fare::Owed))
    }

    /// When somebody who found no room and goes away should come again. Turns are dealt out at the route's
    /// own pace, so that those who come again find room one after the other, and not a crowd.
    pub fn turn(&self) -> Duration {
        let now = self.clock.now();
        let mut state = self.state();
        let Some(limits) = self.part(&state) else {
            state.goes_until(plus(now, WHEN_SHUT));
            return WHEN_SHUT;
        };
        let earliest = if state.active < limits.concurrent {
            now
        } else {
            plus(now, WHEN_SHUT)
        };
        // Turns given out long ahead come from a clock that was set back, or from a crowd that has gone.
        let latest = plus(now, LONGEST_TURN);
        let before = state.last_turn.unwrap_or(earliest).max(earliest);
        // A part that is small at the moment will have grown by then.
        let slowest = self.limits.rate.interval() * PARTS;
        let turn = before
            .saturating_add(limits.rate.interval().min(slowest))
            .unwrap_or(Timestamp::MAX)
            .min(latest);
        state.last_turn = Some(turn);
        state.goes_until(turn);
        until(now, turn)
    }

    /// The limits within which a call may be made now, apart from the pace.
    fn look(&self, state: &mut State, now: Timestamp) -> Result<RouteLimits, Unready> {
        if let Some(down) = state.down(now) {
            return Err(down);
        }
        let part = self.part(state);
        match part.filter(|_| state.holding.has_room(state.active)) {
            Some(part) => Ok(part),
            None if state.hears_soon(now) && state.active < state.holding.granted() => {
                Err(Unready::Wait(WHEN_ASKING))
            }
            None => {
                state.turned_away = state.turned_away.saturating_add(1);
                Err(Unready::Wait(WHEN_FULL))
            }
        }
    }

    /// This node's part of the limits; nothing at all while other nodes hold everything.
    fn part(&self, state: &State) -> Option<RouteLimits> {
        self.limits.part(state.holding.granted())
    }

    /// Whether other nodes have some of it.
    fn is_part(&self, limits: &RouteLimits) -> bool {
        limits.concurrent < self.limits.concurrent
    }

    /// What is in use from here, and what more is wanted: calls that were turned away since this was asked last, or that
    /// went away before and are to come again. Were these forgotten, their place would be gone again when they come.
    ///
    /// Until [`Route::grant`] no call is begun: what is not in use may be another node's before this one hears of it.
    pub fn demand(&self) -> RouteUse {
        let now = self.clock.now();
        let mut state = self.state();
        let used = state.active;
        state.holding.ask(used);
        state.asked_at = Some(now);
        let (turned_away, paced) = (
            std::mem::take(&mut state.turned_away),
            std::mem::take(&mut state.paced),
        );
        // Calls per second go along with concurrent calls: who is short of them wants all there is.
        let wanted = if paced {
            self.limits.concurrent
        } else {
            let waiting = turned_away.max(state.gone_away(now));
            used.saturating_add(waiting)
        };
        RouteUse {
            route: self.name.clone(),
            limit: self.limits.concurrent,
            used,
            wanted: wanted.min(self.limits.concurrent).max(used),
            closed: state.closed(now),
        }
    }

    /// From now on so many concurrent calls, and the same part of the calls per second, may be made from here. `None`:
    /// nobody says how many, and what was in use when that was asked is all that is certain.
    pub fn grant(&self, calls: Option<u32>) {
        let now = self.clock.now();
        let mut state = self.state();
        state.asked_at = None;
        let gained = match calls {
            Some(calls) => state.holding.told(calls.min(self.limits.concurrent)),
            None => {
                state.holding.unanswered();
                false
            }
        };
        if gained && let Some(part) = self.part(&state) {
            // What is gained was another's a moment ago, who may have just used it up.
            state.pace = Pace::emptied(&part.rate, now);
        }
    }

    /// The route failed a call or a ping. It is left alone for 1, 2, 4 … 60 s, and at least for as long
    /// as the peer asked (up to five minutes). `why` must hold nothing personal.
    pub fn failed(&self, why: &str, at_least: Option<Duration>) {
        let now = self.clock.now();
        let mut state = self.state();
        state.last_failure = Some(why.to_owned());
        let wish = at_least.unwrap_or_default().min(LONGEST_WISH);
        // Calls that were under way when it went down say nothing new: the wait grows once per wait.
        let (since, waits) = match &mut state.down {
            Some(down) if now < down.retry_at => {
                down.retry_at = down.retry_at.max(plus(now, wish));
                return;
            }
            Some(down) => (down.since, down.waits.saturating_add(1)),
            None => (now, 0),
        };
        let wait = FIRST_WAIT
            .saturating_mul(1 << waits.min(10))
            .min(LONGEST_WAIT)
            .max(wish);
        if state.down.is_none() {
            tracing::warn!(route.name = %self.name, route.failure = why, "route is down");
        }
        state.down = Some(Down {
            since,
            waits,
            retry_at: plus(now, wait),
            trial: false,
        });
    }

    /// A ping or a call went through.
    pub fn succeeded(&self) {
        let now = self.clock.now();
        let mut state = self.state();
        if state.down.take().is_some() {
            state.up_since = Some(now);
            tracing::info!(route.name = %self.name, "route is up again");
        }
    }

    /// When a route that is down wants to be looked at again.
    pub fn retry_at(&self) -> Option<Timestamp> {
        self.state().down.as_ref().map(|down| down.retry_at)
    }

    pub fn health(&self) -> RouteHealth {
        let state = self.state();
        RouteHealth {
            name: self.name.clone(),
            channel: self.channel,
            up: state.down.is_none(),
            since: state
                .down
                .as_ref()
                .map(|down| down.since)
                .or(state.up_since),
            active: state.active,
            last_failure: state.last_failure.clone(),
        }
    }

    fn permit(self: &Arc<Self>, state: &mut State, now: Timestamp, fare: Fare) -> Permit {
        state.active += 1;
        let trial = match &mut state.down {
            Some(down) if now >= down.retry_at => {
                down.trial = true;
                true
            }
            Some(_) | None => false,
        };
        Permit {
            route: self.clone(),
            trial,
            fare,
        }
    }

    /// A panic elsewhere must not take the route with it: every change below is whole by itself.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("name", &self.name)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

/// A place on a route.
#[derive(Debug)]
pub struct Permit {
    route: Arc<Route>,
    trial: bool,
    fare: Fare,
}

/// What a permit has to do with the calls per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fare {
    /// One is taken, and no call was placed for it yet.
    Paid,
    /// None is taken; placing the call takes it.
    Owed,
    /// The call was placed.
    Spent,
}

impl Permit {
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// Its call is placed now. Where the routes before this one failed the call cannot be taken back, so
    /// one too many is allowed to go.
    pub fn spend(&mut self) {
        match std::mem::replace(&mut self.fare, Fare::Spent) {
            Fare::Paid | Fare::Spent => {}
            Fare::Owed => {
                let now = self.route.clock.now();
                let mut state = self.route.state();
                let rate = self.route.part(&state).unwrap_or(self.route.limits).rate;
                if state.pace.take(&rate, now).is_err() {
                    tracing::debug!(route.name = %self.route.name, "a call from a failed route went over the pace");
                }
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.route.state();
        state.active = state.active.saturating_sub(1);
        match self.fare {
            Fare::Paid => {
                let rate = self.route.part(&state).unwrap_or(self.route.limits).rate;
                state.pace.give_back(&rate);
            }
            Fare::Owed | Fare::Spent => {}
        }
        if let (true, Some(down)) = (self.trial, &mut state.down) {
            down.trial = false;
        }
    }
}

/// The places of one order: on the first of its routes that had room, and on others in case that one fails.
/// Whoever holds them may place the call; dropped before that, everything is free again.
#[derive(Debug, Default)]
pub struct Places(Vec<Permit>);

impl Places {
    /// For a channel that has no limits.
    pub fn unlimited() -> Places {
        Places::default()
    }

    pub(crate) fn of(permit: Permit) -> Places {
        Places(vec![permit])
    }

    /// The route that is tried first.
    pub(crate) fn first(&self) -> Option<&str> {
        self.0.first().map(|permit| permit.route().name())
    }

    pub(crate) fn into_permits(self) -> Vec<Permit> {
        self.0
    }
}

/// Takes a place on the first of `routes` that has room, and lets every other that has room stand by. `None` in
/// the list is a route that is not configured here. Where none has room, the best there is to say of them.
pub fn reserve<'a>(
    routes: impl Iterator<Item = Option<&'a Arc<Route>>>,
) -> Result<Places, Unready> {
    let mut permits: Vec<Permit> = Vec::new();
    let mut best = Unready::NoRoute;
    for route in routes.flatten() {
        let permit = if permits.is_empty() {
            route.reserve()
        } else {
            route.stand_by()
        };
        match permit {
            Ok(permit) => permits.push(permit),
            Err(unready) => best = better(best, unready),
        }
    }
    if permits.is_empty() {
        return Err(best);
    }
    Ok(Places(permits))
}

/// The same with nobody standing by.
pub fn reserve_one<'a>(
    routes: impl Iterator<Item = Option<&'a Arc<Route>>>,
) -> Result<Places, Unready> {
    let mut best = Unready::NoRoute;
    for route in routes.flatten() {
        match route.reserve() {
            Ok(permit) => return Ok(Places::of(permit)),
            Err(unready) => best = better(best, unready),
        }
    }
    Err(best)
}

/// The next turn on any of `routes` that is not down.
pub fn turn<'a>(routes: impl Iterator<Item = Option<&'a Arc<Route>>>) -> Duration {
    routes
        .flatten()
        .find(|route| route.down().is_none())
        .map_or(WHEN_SHUT, |route| route.turn())
}

/// A short wait before a dead route before none.
fn better(one: Unready, other: Unready) -> Unready {
    match (one, other) {
        (Unready::Wait(a), Unready::Wait(b)) => Unready::Wait(a.min(b)),
        (Unready::Wait(a), Unready::Down(_) | Unready::NoRoute)
        | (Unready::Down(_) | Unready::NoRoute, Unready::Wait(a)) => Unready::Wait(a),
        (Unready::Down(a), Unready::Down(b)) => Unready::Down(a.min(b)),
        (Unready::Down(a), Unready::NoRoute) | (Unready::NoRoute, Unready::Down(a)) => {
            Unready::Down(a)
        }
        (Unready::NoRoute, Unready::NoRoute) => Unready::NoRoute,
    }
}

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A peer may ask for a longer rest, but not take a route out for the day.
const LONGEST_WISH: Duration = Duration::from_secs(300);
/// Nobody knows when a call will end; this is when to look again.
const WHEN_FULL: Duration = Duration::from_secs(1);
/// Parts are dealt out anew this very moment, as they are once a second. It takes some milliseconds.
const WHEN_ASKING: Duration = Duration::from_millis(10);
/// The same for who goes away meanwhile: coming sooner would give and take agents in a circle.
pub(crate) const WHEN_SHUT: Duration = Duration::from_secs(5);
/// Nobody is sent away for longer, since a crowd may go elsewhere meanwhile.
const LONGEST_TURN: Duration = Duration::from_secs(60);
/// Who went away and has not come by so long after their turn does not come any more: the turn came, the callback was
/// claimed, and an agent looked at it and took it.
const LONGEST_WAY: Duration = Duration::from_secs(20);
/// A route that is down for longer than this is not shared with those who use it. Until then the next question has been
/// answered, and the first call after the wait finds its place.
const SOON_UP: Duration = Duration::from_secs(2);
/// Turns are dealt out at no less than this part of the route's own pace, however little of it is here just now.
const PARTS: i32 = 4;

#[derive(Default)]
struct State {
    /// How many concurrent calls are this node's part.
    holding: Holding,
    /// When it was asked for anew, while there is no answer.
    asked_at: Option<Timestamp>,
    pace: Pace,
    /// The latest turn given to somebody who went away.
    last_turn: Option<Timestamp>,
    active: u32,
    /// Calls for which there was no room since somebody asked; one that asks again counts again.
    turned_away: u32,
    /// A call had to wait for the pace since somebody asked.
    paced: bool,
    /// Calls that went away for want of room and did not come again yet, …
    gone: u32,
    /// … and when none of them is waited for any more.
    gone_until: Option<Timestamp>,
    down: Option<Down>,
    up_since: Option<Timestamp>,
    last_failure: Option<String>,
}

struct Down {
    since: Timestamp,
    waits: u32,
    retry_at: Timestamp,
    /// After the wait one call at a time may find out whether the route is well again.
    trial: bool,
}

impl State {
    /// Whether an answer about parts is on its way, as far as it can be said.
    fn hears_soon(&self, now: Timestamp) -> bool {
        let asked = self.asked_at.filter(|_| self.holding.is_asking());
        asked.is_some_and(|asked| now < plus(asked, WHEN_FULL))
    }

    /// Somebody goes away, to come again at `turn`.
    fn goes_until(&mut self, turn: Timestamp) {
        self.gone = self.gone.saturating_add(1);
        let until = plus(turn, LONGEST_WAY);
        self.gone_until = Some(self.gone_until.map_or(until, |before| before.max(until)));
    }

    /// Somebody has got a place. Nobody knows whether they are one of those who went away; as many places are needed
    /// as there are of them.
    fn came(&mut self, now: Timestamp) {
        self.gone = self.gone_away(now).saturating_sub(1);
    }

    /// Those who went away and may still come.
    fn gone_away(&mut self, now: Timestamp) -> u32 {
        // Further ahead than any turn comes from a clock that was set back.
        let latest = plus(now, LONGEST_TURN + LONGEST_WAY);
        if self
            .gone_until
            .is_none_or(|until| now >= until || until > latest)
        {
            self.gone = 0;
            self.gone_until = None;
        }
        self.gone
    }

    /// It is down, and not only for a moment.
    fn closed(&self, now: Timestamp) -> bool {
        let down = self.down.as_ref();
        down.is_some_and(|down| down.retry_at > plus(now, SOON_UP))
    }

    fn down(&self, now: Timestamp) -> Option<Unready> {
        let down = self.down.as_ref()?;
        if now < down.retry_at {
            return Some(Unready::Down(until(now, down.retry_at)));
        }
        down.trial.then_some(Unready::Down(WHEN_FULL))
    }
}

/// Never nothing: a wait of zero would be asked again in a circle.
fn until(now: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now))
        .unwrap_or_default()
        .max(Duration::from_millis(1))
}

#[cfg(test)]
mod tests;
