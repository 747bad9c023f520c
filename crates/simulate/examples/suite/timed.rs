//! A server with a stop-watch: how long one decision takes.
//!
//! It counts the time of the thread, not of the wall: on a busy machine the wall's time says how
//! long the thread was kept waiting, which is not the server's doing.

use nix::time::{ClockId, clock_gettime};
use ringback_simulate::{Answer, Dispatch, Header, Id, Outcome, Request, Second, Server, View};
use serde::Serialize;

/// Passes everything on and notes how long the answers took.
pub struct Timed<'s> {
    server: &'s mut dyn Server,
    /// Microseconds each.
    requests: Vec<f32>,
    dispatches: Vec<f32>,
}

/// Microseconds of work for one decision.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Times {
    pub request_p99: f32,
    pub request_max: f32,
    pub dispatch_p99: f32,
    pub dispatch_max: f32,
}

impl<'s> Timed<'s> {
    pub fn new(server: &'s mut dyn Server) -> Timed<'s> {
        Timed {
            server,
            requests: Vec::new(),
            dispatches: Vec::new(),
        }
    }

    pub fn times(mut self) -> Times {
        self.requests.sort_by(f32::total_cmp);
        self.dispatches.sort_by(f32::total_cmp);
        let p99 = |times: &[f32]| times.get(times.len() * 99 / 100).copied();
        let max = |times: &[f32]| times.last().copied();
        Times {
            request_p99: p99(&self.requests).unwrap_or(0.0),
            request_max: max(&self.requests).unwrap_or(0.0),
            dispatch_p99: p99(&self.dispatches).unwrap_or(0.0),
            dispatch_max: max(&self.dispatches).unwrap_or(0.0),
        }
    }
}

/// Microseconds of work of this thread so far.
fn worked() -> f64 {
    let clock = ClockId::CLOCK_THREAD_CPUTIME_ID;
    let time = clock_gettime(clock).expect("the clock of a thread can always be read");
    time.tv_sec() as f64 * 1e6 + time.tv_nsec() as f64 / 1e3
}

fn since(began: f64) -> f32 {
    (worked() - began) as f32
}

impl Server for Timed<'_> {
    fn header(&mut self, header: &Header) {
        self.server.header(header);
    }

    fn agents(&mut self, now: Second, n: u32) {
        self.server.agents(now, n);
    }

    fn request(&mut self, now: Second, request: &Request) -> Answer {
        let began = worked();
        let answer = self.server.request(now, request);
        self.requests.push(since(began));
        answer
    }

    fn cancel(&mut self, now: Second, id: &Id) {
        self.server.cancel(now, id);
    }

    fn dispatch(&mut self, now: Second, view: View) -> Dispatch {
        let began = worked();
        let dispatch = self.server.dispatch(now, view);
        self.dispatches.push(since(began));
        dispatch
    }

    fn result(&mut self, now: Second, id: &Id, n: u32, outcome: Outcome) {
        self.server.result(now, id, n, outcome);
    }

    fn done(&mut self, now: Second, id: &Id) {
        self.server.done(now, id);
    }

    fn inbound(&mut self, now: Second, id: &Id) {
        self.server.inbound(now, id);
    }

    fn inbound_answered(&mut self, now: Second, id: &Id, wait: Second) {
        self.server.inbound_answered(now, id, wait);
    }

    fn inbound_abandoned(&mut self, now: Second, id: &Id, wait: Second) {
        self.server.inbound_abandoned(now, id, wait);
    }

    fn end(&mut self) {
        self.server.end();
    }
}
