//! The planner in the seat of the server: the same [`Desk`] that plans a real queue, fed by the line protocol.

use std::collections::HashMap;

use ringback_scheduling::plan::{
    Answer as Planned, Ask, Desk, Ended, LiveRules, Phone, RingTimes, Rules, Steps, Tuning,
    View as Seen,
};

use crate::resolve::Windows;
use crate::scenario::{Header, Id, Kind, Number, Request, Second};
use crate::server::{Answer, Dispatch, Move, Outcome, Server, View};

/// A server that plans with a [`Desk`].
#[derive(Debug, Default)]
pub struct PlannedServer {
    tuning: Tuning,
    day: Option<Today>,
    /// Requests by name, and their names and numbers by place.
    places: HashMap<Id, u32>,
    requests: Vec<(Id, Number)>,
    /// The accepted request that is open for a number.
    by_number: HashMap<Number, u32>,
}

#[derive(Debug)]
struct Today {
    desk: Desk<u32>,
    windows: Windows,
}

impl PlannedServer {
    pub fn new(tuning: Tuning) -> PlannedServer {
        PlannedServer {
            tuning,
            ..PlannedServer::default()
        }
    }

    /// The planner, once the day has begun.
    pub fn desk(&self) -> Option<&Desk<u32>> {
        self.day.as_ref().map(|day| &day.desk)
    }

    fn place(&mut self, id: &Id) -> Option<u32> {
        self.places.get(id).copied()
    }

    fn close(&mut self, place: u32) {
        let number = &self.requests[place as usize].1;
        if self.by_number.get(number) == Some(&place) {
            self.by_number.remove(number);
        }
    }
}

/// A queue's rules from the header of a day.
pub fn rules(header: &Header) -> Rules {
    Rules {
        open: header.open.clone(),
        staff: Steps::new(
            header
                .agents_plan
                .iter()
                .map(|(at, n)| (*at, f64::from(*n)))
                .collect(),
        ),
        live: Some(LiveRules {
            forecast: Steps::new(header.inbound_forecast.clone()),
            handling: header.inbound_aht,
            target: header.sl_target,
            within: header.sl_seconds,
            abandon: header.abandon_target,
        }),
        talk: header.callback_talk,
        wrap: header.callback_wrap,
        ring: RingTimes {
            answered: header.ring.answer as f64,
            busy: header.ring.busy as f64,
            no_answer: header.ring.no_answer as f64,
            machine: header.ring.machine as f64,
            invalid: header.ring.invalid as f64,
            failed: header.ring.failed as f64,
        },
        phone: Phone::with_shares(header.reach_prior.inside),
        max_attempts: header.max_attempts,
        min_gap: header.min_gap,
        attention: header.attention,
        notice: header.notice,
    }
}

impl Server for PlannedServer {
    fn header(&mut self, header: &Header) {
        // Hours that cannot be read leave no day: then nothing is promised and nothing is dialled.
        self.day = Windows::new(header).ok().map(|windows| Today {
            desk: Desk::new(rules(header), self.tuning.clone()),
            windows,
        });
    }

    fn agents(&mut self, now: Second, n: u32) {
        if let Some(day) = &mut self.day {
            day.desk.staff(now, n);
        }
    }

    fn request(&mut self, now: Second, request: &Request) -> Answer {
        let Some(day) = &mut self.day else {
            return Answer::Declined;
        };
        if let Some(open) = self.by_number.get(&request.number) {
            // Who took the request back while the phone was ringing has nothing open that a new one could join, and
            // cannot be rung before that call is over: an honest no.
            let taken_back = day.desk.job(*open).is_none();
            return if taken_back {
                Answer::Declined
            } else {
                Answer::Merged
            };
        }
        let Ok(window) = day.windows.of(request) else {
            return Answer::Declined;
        };
        let ask = Ask {
            booked_at: now,
            window: (window.start, window.end),
            dialable: window.dialable,
            asap: request.kind == Kind::Asap,
        };
        let place = u32::try_from(self.requests.len()).unwrap_or(u32::MAX);
        match day.desk.book(now, place, ask) {
            Planned::Promised((start, end)) => {
                self.places.insert(request.id.clone(), place);
                self.requests
                    .push((request.id.clone(), request.number.clone()));
                self.by_number.insert(request.number.clone(), place);
                Answer::Accepted { start, end }
            }
            Planned::Full | Planned::Never => Answer::Declined,
        }
    }

    fn cancel(&mut self, _now: Second, id: &Id) {
        let Some(place) = self.place(id) else { return };
        let Some(day) = &mut self.day else { return };
        let ringing = day
            .desk
            .job(place)
            .is_some_and(|job| job.busy_since.is_some());
        day.desk.cancel(place);
        // A phone that is still ringing is not rung a second time: the number is free when that is over.
        if !ringing {
            self.close(place);
        }
    }

    fn dispatch(&mut self, now: Second, view: View) -> Dispatch {
        let Some(day) = &mut self.day else {
            return Dispatch::default();
        };
        let orders = day.desk.dispatch(
            now,
            Seen {
                idle: view.idle,
                agents: view.n,
                queue: view.queue,
                oldest_live: view.oldest_inbound_at,
            },
        );
        let name = |place: u32| self.requests[place as usize].0.clone();
        Dispatch {
            dial: orders.dial.into_iter().map(name).collect(),
            moves: orders
                .told
                .into_iter()
                .map(|(place, (start, end))| Move {
                    id: name(place),
                    start,
                    end,
                })
                .collect(),
            wake: orders.wake,
        }
    }

    fn result(&mut self, now: Second, id: &Id, _n: u32, outcome: Outcome) {
        let Some(place) = self.place(id) else { return };
        let Some(day) = &mut self.day else { return };
        let ended = match outcome {
            Outcome::Answered => Ended::Answered,
            Outcome::Busy => Ended::Busy,
            Outcome::NoAnswer => Ended::NoAnswer,
            Outcome::Machine => Ended::Machine,
            Outcome::Invalid => Ended::Invalid,
            Outcome::Failed => Ended::Failed,
            Outcome::Refused => {
                day.desk.cancel(place);
                self.close(place);
                return;
            }
        };
        day.desk.result(now, place, ended);
        if ended != Ended::Answered && day.desk.job(place).is_none() {
            self.close(place);
        }
    }

    fn done(&mut self, now: Second, id: &Id) {
        let Some(place) = self.place(id) else { return };
        if let Some(day) = &mut self.day {
            day.desk.done(now, place);
            if day.desk.job(place).is_none() {
                self.close(place);
            }
        }
    }

    fn inbound(&mut self, now: Second, _id: &Id) {
        if let Some(day) = &mut self.day {
            day.desk.live_arrived(now);
        }
    }

    fn inbound_answered(&mut self, _now: Second, _id: &Id, wait: Second) {
        if let Some(day) = &mut self.day {
            day.desk.live_answered(wait);
        }
    }

    fn inbound_abandoned(&mut self, _now: Second, _id: &Id, _wait: Second) {
        if let Some(day) = &mut self.day {
            day.desk.live_gave_up();
        }
    }

    fn end(&mut self) {}
}
