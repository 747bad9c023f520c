//! The calls that come in by themselves: what was reported of them, and the forecast where nothing was.

use ringback_callbacks::ids::InteractionId;
use ringback_callbacks::planning::at;
use ringback_scheduling::plan::{Desk, Second};
use ringback_store::{LiveReport, LiveSource};

/// A report older than this says nothing about now, seconds.
const FRESH: Second = 120;
/// One report counts no more calls than this: a slip in a counter must not keep the planner busy.
const MOST: u32 = 20_000;

/// What one day's desk was told of live calls.
#[derive(Clone, Debug, Default)]
pub struct LiveBook {
    last: Option<(Second, LiveReport)>,
    arrived: u32,
    in_time: u32,
    late: u32,
    gave_up: u32,
    /// Until when arrivals are known or assumed.
    until: Option<Second>,
    /// Part of a call that the forecast still owes.
    owed: f64,
}

impl LiveBook {
    /// The last report, if it still says something about now.
    pub fn fresh(&self, now: Second) -> Option<&LiveReport> {
        self.last
            .as_ref()
            .filter(|(told, _)| now - told <= FRESH)
            .map(|(_, report)| report)
    }

    pub fn source(&self, now: Second, has_live: bool) -> LiveSource {
        match (has_live, self.fresh(now)) {
            (false, _) => LiveSource::None,
            (true, Some(_)) => LiveSource::Reported,
            (true, None) => LiveSource::Forecast,
        }
    }

    /// Where nothing is reported the forecast is taken for what happened: calls as expected, answered in time.
    pub fn assume(&mut self, desk: &mut Desk<InteractionId>, now: Second) {
        let Some(live) = &desk.rules().live else {
            return;
        };
        let open = desk.rules().open.first().map_or(now, |span| span.0);
        let since = self.until.unwrap_or(open).min(now);
        let known_until = match &self.last {
            Some((told, _)) if now - told <= FRESH => now,
            Some((told, _)) => since.max(told + FRESH).min(now),
            None => since,
        };
        self.owed += live.forecast.sum(known_until, now) / 3600.0;
        self.until = Some(now);
        let calls = (self.owed.max(0.0) as u32).min(MOST);
        self.owed -= f64::from(calls);
        arrivals(desk, calls, known_until, now);
        self.arrived += calls;
        self.in_time += calls;
        desk.live_unwatched(calls);
        for _ in 0..calls {
            desk.live_answered(0);
        }
    }

    /// Takes in a report: the desk is told of what is new in it.
    pub fn report(&mut self, desk: &mut Desk<InteractionId>, now: Second, report: LiveReport) {
        let within = desk.rules().live.as_ref().map_or(0, |live| live.within);
        let begun_anew = self
            .last
            .as_ref()
            .is_some_and(|(_, last)| report.arrived < last.arrived);
        if begun_anew {
            // The telephone system was started again and counts from nought.
            (self.arrived, self.in_time, self.late, self.gave_up) = (0, 0, 0, 0);
        }
        let open = desk.rules().open.first().map_or(now, |span| span.0);
        let since = self.until.unwrap_or(open).min(now);
        if self.fresh(now).is_none() {
            // Who was busy with these calls was not seen.
            let known = self.in_time + self.late;
            desk.live_unwatched(report.answered.saturating_sub(known).min(MOST));
        }
        let calls = new_in(&mut self.arrived, report.arrived);
        arrivals(desk, calls, since, now);
        for _ in 0..new_in(&mut self.in_time, report.answered_in_time) {
            desk.live_answered(0);
        }
        let late = report.answered.saturating_sub(report.answered_in_time);
        for _ in 0..new_in(&mut self.late, late) {
            desk.live_answered(within + 1);
        }
        for _ in 0..new_in(&mut self.gave_up, report.abandoned) {
            desk.live_gave_up();
        }
        self.until = Some(now);
        self.owed = 0.0;
        self.last = Some((now, report));
    }

    /// Since when the oldest waiting call waits.
    pub fn oldest(&self, now: Second) -> Option<Second> {
        let since = self.fresh(now)?.oldest_waiting_since?;
        Some(since.min(at(now)).as_second())
    }
}

/// What a counter has gained; what was assumed beyond it is made up for by what comes.
fn new_in(known: &mut u32, counter: u32) -> u32 {
    let gained = counter.saturating_sub(*known).min(MOST);
    *known = (*known).max(counter);
    gained
}

/// Calls of which only the number is known came evenly.
fn arrivals(desk: &mut Desk<InteractionId>, calls: u32, from: Second, to: Second) {
    for call in 1..=i64::from(calls) {
        desk.live_arrived(from + (to - from) * call / i64::from(calls));
    }
}
