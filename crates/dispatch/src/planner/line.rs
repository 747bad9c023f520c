//! One planned queue: a desk for each day that has callbacks, fed with what was committed.

use super::figures::Figures;
use super::live::LiveBook;
use ringback_callbacks::attempt::Attempt;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::contact::Contact;
use ringback_callbacks::ids::InteractionId;
use ringback_callbacks::outcome::Verdict;
use ringback_callbacks::planning::{self as day, QueuePlan, Whom, at, day_of, up, window_of};
use ringback_callbacks::queue::QueueView;
use ringback_callbacks::state::State;
use ringback_scheduling::plan::{
    Answer, Ask, Desk, Ended, Interval, Job, Learned, Orders, Second, Tuning, View,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Days on which room is looked for, for one booking.
pub const DAYS_SEARCHED: usize = 14;
/// A next try told for so short before its window ends is meant for that end, seconds.
const AT_THE_END: Second = 60;
/// Promises are looked at this often, seconds.
const WATCH_EVERY: Second = 30;
/// A promise is out of danger when it is expected to be kept by this much, seconds.
const CLEARLY: Second = 60;
/// Other times offered where there is no room.
const ALTERNATIVES: usize = 3;

pub struct Line {
    pub view: QueueView,
    plan: QueuePlan,
    /// Desks of further days are made after this one.
    pattern: Desk<InteractionId>,
    /// By the midnight at which the day begins.
    days: BTreeMap<Second, Desk<InteractionId>>,
    placed: HashMap<InteractionId, Placed>,
    pub figures: Figures,
    /// Learned since it was last stored.
    pub unsaved: bool,
    pub live: LiveBook,
    pub there: u32,
    looked: Option<(Second, View)>,
    /// Callbacks whose record says that their promise is in danger.
    risky: BTreeSet<InteractionId>,
    watched: Option<Second>,
}

/// A promise whose prospects have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prospect {
    pub id: InteractionId,
    pub at_risk: bool,
    /// What is expected instead; `None`: not before its window ends, as things stand.
    pub expected: Option<Interval>,
}

/// What was taken in of one callback.
#[derive(Clone, Copy, Debug)]
struct Placed {
    day: Second,
    /// Number of the last attempt whose end was taken in.
    attempts: u32,
    /// The customer of the attempt after that is on the line, and the desk knows.
    answered: bool,
}

/// Whether there is room for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Promised {
        day: Second,
        promise: Interval,
    },
    Full,
    /// No moment of the window is right for a dial.
    Never,
}

impl Line {
    /// `None` for a queue without a staff plan: it goes by its own rules.
    pub fn of(view: QueueView) -> Option<Line> {
        let plan = view.plan()?.clone();
        let pattern = Desk::new(plan.rules.clone(), Tuning::default());
        let fresh = pattern.learned().clone();
        Some(Line {
            view,
            plan,
            pattern,
            days: BTreeMap::new(),
            placed: HashMap::new(),
            figures: Figures::new(fresh),
            unsaved: false,
            live: LiveBook::default(),
            there: 0,
            looked: None,
            risky: BTreeSet::new(),
            watched: None,
        })
    }

    /// What learning starts from.
    pub fn fresh(&self) -> Learned {
        self.pattern.learned().clone()
    }

    pub fn has_live(&self) -> bool {
        self.plan.staff.live().is_some()
    }

    pub fn knows(&self, id: InteractionId) -> bool {
        self.placed.contains_key(&id)
    }

    // ── days ─────────────────────────────────────────────────────────────────────────────────────

    /// The desk of a day, with what was learned up to now.
    fn desk(&mut self, midnight: Second) -> &mut Desk<InteractionId> {
        let (view, plan, zone, pattern) = (&self.view, &self.plan, &self.plan.zone, &self.pattern);
        let desk = self.days.entry(midnight).or_insert_with(|| {
            let (from, to) = day_of(zone, midnight);
            pattern.another_day(day::rules(view, &plan.staff, (from, to)))
        });
        desk.learn(self.figures.learned.clone());
        desk
    }

    /// Today's desk. Callbacks of days that are over are taken along.
    fn today(&mut self, now: Second) -> Second {
        let (today, _) = day_of(&self.plan.zone, now);
        let over: Vec<Second> = self.days.range(..today).map(|(day, _)| *day).collect();
        if over.is_empty() && self.days.contains_key(&today) {
            return today;
        }
        if !self.days.contains_key(&today) {
            self.live = LiveBook::default();
            let there = self.there;
            self.desk(today).staff(now, there);
        }
        for day in over {
            let Some(desk) = self.days.remove(&day) else {
                continue;
            };
            let left: Vec<(InteractionId, Job)> =
                desk.jobs().map(|(id, job)| (id, job.clone())).collect();
            for (id, job) in left {
                self.put(now, id, job);
            }
        }
        today
    }

    /// Puts a job into the desk of the day on which it is due.
    fn put(&mut self, now: Second, id: InteractionId, job: Job) {
        let (day, _) = day_of(&self.plan.zone, job.due.max(now));
        let before = self.placed.get(&id).copied();
        if let Some(before) = before
            && before.day != day
            && let Some(desk) = self.days.get_mut(&before.day)
        {
            desk.cancel(id);
        }
        self.desk(day).put(id, job);
        let placed = self.placed.entry(id).or_insert(Placed {
            day,
            attempts: 0,
            answered: false,
        });
        placed.day = day;
    }

    pub fn forget(&mut self, id: InteractionId) {
        self.risky.remove(&id);
        if let Some(placed) = self.placed.remove(&id)
            && let Some(desk) = self.days.get_mut(&placed.day)
        {
            desk.cancel(id);
        }
    }

    pub fn staff(&mut self, now: Second, there: u32) {
        let today = self.today(now);
        if self.there != there {
            self.there = there;
            self.looked = None;
            self.desk(today).staff(now, there);
        }
    }

    // ── what was committed ───────────────────────────────────────────────────────────────────────

    /// Whether the attempts of a callback hold something that was not taken in yet.
    pub fn wants_attempts(&self, callback: &Callback) -> bool {
        self.placed
            .get(&callback.interaction.id)
            .is_some_and(|placed| callback.placed > placed.attempts)
    }

    /// Takes in a callback as it stands, with the attempts it has had. `zone` is the customer's, if it was stated.
    pub fn note(
        &mut self,
        now: Second,
        callback: &Callback,
        attempts: &[Attempt],
        zone: Option<&str>,
    ) {
        self.looked = None;
        let id = callback.interaction.id;
        if callback.at_risk.is_some() {
            self.risky.insert(id);
        } else {
            self.risky.remove(&id);
        }
        let known = self.placed.get(&id).copied();
        if let Some(known) = known {
            self.take_in(now, callback, attempts, known);
        }
        let Some(job) = self.job_of(now, callback, zone) else {
            self.forget(id);
            return;
        };
        self.put(now, id, job);
        if known.is_none()
            && let Some(placed) = self.placed.get_mut(&id)
        {
            // What happened before this run was learned then.
            let live = matches!(
                callback.state,
                State::Dialling { .. } | State::Talking { .. }
            );
            placed.attempts = callback.placed - u32::from(live && callback.placed > 0);
            placed.answered = matches!(callback.state, State::WrapUp { .. });
        }
    }

    /// Ends of attempts that the desk has not heard of.
    fn take_in(&mut self, now: Second, callback: &Callback, attempts: &[Attempt], known: Placed) {
        let id = callback.interaction.id;
        let mut placed = known;
        let day = known.day;
        if matches!(callback.state, State::Talking { .. }) && !placed.answered {
            placed.answered = true;
            self.desk(day).result(now, id, Ended::Answered);
            self.follow(day);
        }
        for attempt in attempts {
            let (Some(ended_at), Some(outcome)) = (attempt.ended_at, &attempt.outcome) else {
                continue;
            };
            if attempt.number <= placed.attempts {
                continue;
            }
            placed.attempts = attempt.number;
            let Some(ended) = ended_of(outcome.verdict) else {
                placed.answered = false;
                continue;
            };
            if ended == Ended::Answered {
                if !placed.answered {
                    placed.answered = true;
                    let since = attempt.answered_at.unwrap_or(ended_at).as_second();
                    self.desk(day).result(since, id, Ended::Answered);
                }
            } else {
                placed.answered = false;
                self.desk(day).result(ended_at.as_second(), id, ended);
            }
            self.follow(day);
        }
        if placed.answered
            && let Some(ended_at) = callback.interaction.ended_at
        {
            self.desk(day).done(ended_at.as_second(), id);
            self.follow(day);
        }
        self.placed.insert(id, placed);
    }

    fn follow(&mut self, day: Second) {
        if let Some(desk) = self.days.get(&day) {
            self.figures.follow(desk.learned().clone());
            self.unsaved = true;
        }
    }

    /// A callback as the desk sees it; `None` if the desk has no business with it (any more).
    fn job_of(&self, now: Second, callback: &Callback, zone: Option<&str>) -> Option<Job> {
        if matches!(callback.contact(), Contact::Email(_)) {
            return None;
        }
        let (due, busy) = match &callback.state {
            State::Received => (callback.interaction.created_at, false),
            State::Scheduled { due, .. } => (*due, false),
            State::Queued { since } => (*since, false),
            State::Offered { since, .. }
            | State::Assigned { since, .. }
            | State::Dialling { since, .. }
            | State::Talking { since, .. } => (*since, true),
            State::WrapUp { .. } => (at(now), true),
            // Waits for one certain agent, whatever the plan.
            State::Transferred { .. }
            | State::Done { .. }
            | State::Cancelled { .. }
            | State::Exhausted { .. }
            | State::Refused { .. }
            | State::Failed { .. }
            | State::Replaced { .. }
            | State::Expired => return None,
        };
        let id = callback.interaction.id;
        let before = self
            .placed
            .get(&id)
            .and_then(|placed| self.days.get(&placed.day)?.job(id));
        let whom = Whom {
            contact: Some(callback.contact()),
            zone: callback.time_zone.as_deref().or(zone),
            any_hour: callback.any_hour,
        };
        let window = window_of(&callback.window);
        let ask = self.ask(
            now,
            window,
            whom,
            callback.interaction.created_at.as_second(),
        );
        let promise = (
            callback.promise.from.as_second(),
            callback.promise.to.as_second(),
        );
        let told = told_of(callback, promise);
        let due = if callback.attempts == 0 {
            up(due).max(promise.0)
        } else {
            up(due)
        };
        let at_end =
            callback.attempts > 0 && ask.last().is_some_and(|last| told.0 + AT_THE_END > last);
        let in_hand = matches!(
            callback.state,
            State::Offered { .. }
                | State::Assigned { .. }
                | State::Dialling { .. }
                | State::Talking { .. }
        );
        Some(Job {
            ask,
            promise,
            told,
            tries: callback.attempts + u32::from(in_hand),
            due,
            last: before.and_then(|job| job.last).or_else(|| {
                matches!(callback.state, State::WrapUp { .. }).then_some((now, Ended::Answered))
            }),
            busy_since: busy.then(|| before.and_then(|job| job.busy_since).unwrap_or(now)),
            at_end,
        })
    }

    pub fn ask(&self, now: Second, window: Interval, whom: Whom<'_>, booked_at: Second) -> Ask {
        day::ask(&self.view, now, window, whom, booked_at)
    }

    // ── bookings ─────────────────────────────────────────────────────────────────────────────────

    /// Looks for room on the days of the window, the first of them first.
    pub fn room(&mut self, now: Second, ask: &Ask) -> Room {
        let today = self.today(now);
        self.assume_live(now);
        let mut answer = Room::Never;
        let mut moment = now.max(ask.window.0);
        for _ in 0..DAYS_SEARCHED {
            if moment > ask.window.1 {
                break;
            }
            let day = day_of(&self.plan.zone, moment);
            let part = day::part_of(ask, day);
            if let Some(last) = part.last() {
                let desk = self.desk(day.0);
                let opens = desk.rules().open.first().map_or(day.0, |span| span.0);
                let from = if day.0 == today {
                    now
                } else {
                    now.max(opens).min(last)
                };
                match desk.answer(from, &part) {
                    Answer::Promised(promise) => {
                        return Room::Promised {
                            day: day.0,
                            promise,
                        };
                    }
                    Answer::Full => answer = Room::Full,
                    Answer::Never => {}
                }
            }
            moment = day.1;
        }
        answer
    }

    /// Takes a place that [`Line::room`] found.
    pub fn take(
        &mut self,
        now: Second,
        id: InteractionId,
        ask: &Ask,
        day: Second,
        promise: Interval,
    ) {
        self.looked = None;
        let today = self.today(now);
        if day == today {
            // The desk counts what is asked of it today.
            let part = day::part_of(ask, day_of(&self.plan.zone, now));
            self.desk(day).book(now, id, part);
        }
        let job = Job {
            ask: ask.clone(),
            promise,
            told: promise,
            tries: 0,
            due: promise.0,
            last: None,
            busy_since: None,
            at_end: false,
        };
        self.put(now, id, job);
    }

    /// What would be promised at other times, the nearest first. `whole` has the moments at which the customer may
    /// be dialled at all.
    pub fn alternatives(&mut self, now: Second, asked: Interval, whole: &Ask) -> Vec<Interval> {
        let mut found: Vec<Interval> = Vec::new();
        let after = (asked.1 + 1, whole.window.1);
        let before = (now, asked.0 - 1);
        for (from, to) in [after, before] {
            let mut moment = from;
            while moment <= to && found.len() < ALTERNATIVES {
                let (_, next) = day_of(&self.plan.zone, moment);
                let ask = Ask {
                    window: (moment, to.min(next - 1)),
                    ..whole.clone()
                };
                if let Room::Promised { promise, .. } = self.room(now, &ask) {
                    found.push(promise);
                }
                moment = next;
            }
        }
        found.sort_by_key(|promise| (promise.0 - asked.1).max(asked.0 - promise.1));
        found
    }

    // ── dispatch ─────────────────────────────────────────────────────────────────────────────────

    /// What to dial now. Asked twice in the same second about the same things, the desk is not bothered: a look is
    /// not an event.
    pub fn dispatch(&mut self, now: Second, view: View) -> Orders<InteractionId> {
        let today = self.today(now);
        self.assume_live(now);
        let seen = Some((now, view));
        if self.looked == seen {
            return Orders {
                dial: Vec::new(),
                told: Vec::new(),
                wake: Some(now + 1),
            };
        }
        self.looked = seen;
        self.desk(today).dispatch(now, view)
    }

    /// A pick that nobody could take.
    pub fn put_back(&mut self, id: InteractionId) {
        if let Some(placed) = self.placed.get(&id)
            && let Some(desk) = self.days.get_mut(&placed.day)
        {
            desk.put_back(id);
        }
    }

    /// Promises that have come into danger, or out of it, since they were last looked at; looked at now and then.
    pub fn watch(&mut self, now: Second) -> Vec<Prospect> {
        if self.watched.is_some_and(|last| now - last < WATCH_EVERY) {
            return Vec::new();
        }
        self.watched = Some(now);
        self.today(now);
        let mut changed = Vec::new();
        let days: Vec<Second> = self.days.keys().copied().collect();
        for day in days {
            let risky = std::mem::take(&mut self.risky);
            let desk = self.desk(day);
            let opens = desk.rules().open.first().map_or(day, |span| span.0);
            let from = now.max(opens);
            let begins = desk.outlook(from);
            for (id, job) in desk.jobs() {
                if job.busy_since.is_some() || job.tries > 0 || job.promise.1 <= now {
                    continue;
                }
                let begins = begins.get(&id).copied();
                let was = risky.contains(&id);
                // Out of danger only by a clear margin: nobody is to be told the one and the other by turns.
                let margin = if was { CLEARLY } else { 0 };
                let at_risk = begins.is_none_or(|begins| begins + margin > job.promise.1);
                if at_risk != was {
                    changed.push(Prospect {
                        id,
                        at_risk,
                        expected: desk.expect(from, id),
                    });
                }
            }
            self.risky = risky;
        }
        changed
    }

    fn assume_live(&mut self, now: Second) {
        let today = self.today(now);
        let mut live = std::mem::take(&mut self.live);
        live.assume(self.desk(today), now);
        self.live = live;
    }

    pub fn report(&mut self, now: Second, report: ringback_store::LiveReport) {
        let today = self.today(now);
        let mut live = std::mem::take(&mut self.live);
        live.report(self.desk(today), now, report);
        self.live = live;
        self.looked = None;
    }

    /// The desk of the day on which something is expected.
    pub fn desk_at(&mut self, now: Second, moment: Second) -> &Desk<InteractionId> {
        self.today(now);
        let (day, _) = day_of(&self.plan.zone, moment.max(now));
        self.desk(day)
    }

    /// The desk that has a callback.
    pub fn desk_of(&mut self, now: Second, id: InteractionId) -> Option<&Desk<InteractionId>> {
        self.today(now);
        let day = self.placed.get(&id)?.day;
        Some(self.desk(day))
    }

    /// Callbacks whose attempts are under way.
    pub fn in_hand(&self) -> u32 {
        let busy = self.days.values().flat_map(Desk::jobs);
        busy.filter(|(_, job)| job.busy_since.is_some()).count() as u32
    }
}

/// The promise in force: that of the booking until the customer is told another time. One that has passed is not
/// waited for any longer: then the window is all there is.
fn told_of(callback: &Callback, promise: Interval) -> Interval {
    callback
        .told
        .as_ref()
        .map_or(promise, |told| (told.from.as_second(), told.to.as_second()))
}

/// How an attempt ended, for the planner; `None` if it says nothing about the customer.
fn ended_of(verdict: Verdict) -> Option<Ended> {
    match verdict {
        Verdict::Reached => Some(Ended::Answered),
        // Somebody is there.
        Verdict::Busy | Verdict::Declined => Some(Ended::Busy),
        Verdict::NoAnswer => Some(Ended::NoAnswer),
        Verdict::Machine => Some(Ended::Machine),
        Verdict::Invalid => Some(Ended::Invalid),
        Verdict::Deferred
        | Verdict::RouteFault
        | Verdict::AgentFault
        | Verdict::DoNotCall
        | Verdict::Stopped
        | Verdict::Unknown => None,
    }
}
