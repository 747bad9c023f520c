//! A channel that follows a script, and a clock turned by hand: for whole-server tests in which a day
//! passes in milliseconds. Nothing leaves the process.

use crate::route::{self, Permit, Places, Route, RouteLimits, RouteUse};
use crate::{Channel, Order, Progress, RouteHealth, Unready};
use async_trait::async_trait;
use jiff::Timestamp;
use ringback_callbacks::clock::Clock;
use ringback_callbacks::contact::ResponseType;
use ringback_callbacks::ids::AttemptId;
use ringback_callbacks::outcome::{CallResult, Outcome, PlatformCode, Verdict};
use ringback_callbacks::wire_time::plus;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How one attempt shall go: steps in order, each so long after the one before, then the outcome.
#[derive(Clone, Debug)]
pub struct Script {
    pub steps: Vec<(Duration, Progress)>,
    /// How long after the last step it ends.
    pub then: Duration,
    pub outcome: Outcome,
}

impl Script {
    /// Ends with this outcome after this long, and nothing before it.
    pub fn ends(after: Duration, outcome: Outcome) -> Script {
        Script {
            steps: Vec::new(),
            then: after,
            outcome,
        }
    }

    /// Rings, is answered, talks.
    pub fn talks(ring: Duration, talk: Duration) -> Script {
        let steps = vec![
            (Duration::ZERO, Progress::Answered { party: "agent" }),
            (Duration::ZERO, Progress::Ringing { party: "customer" }),
            (ring, Progress::Answered { party: "customer" }),
            (
                Duration::ZERO,
                Progress::Connected {
                    route: Some(ROUTE.to_owned()),
                },
            ),
        ];
        let mut outcome = ended(CallResult::OK, Verdict::Reached, Some(200), "OK");
        outcome.talk_ms = Some(u64::try_from(talk.as_millis()).unwrap_or(u64::MAX));
        Script {
            steps,
            then: talk,
            outcome,
        }
    }

    pub fn busy() -> Script {
        Script::ends(
            Duration::from_secs(1),
            ended(CallResult::BUSY, Verdict::Busy, Some(486), "Busy Here"),
        )
    }

    pub fn no_answer(ring: Duration) -> Script {
        let steps = vec![(Duration::ZERO, Progress::Ringing { party: "customer" })];
        let outcome = ended(
            CallResult::NO_ANSWER,
            Verdict::NoAnswer,
            Some(487),
            "Request Terminated",
        );
        Script {
            steps,
            then: ring,
            outcome,
        }
    }

    pub fn invalid() -> Script {
        let outcome = ended(
            CallResult::SIT_INVALID_NUM,
            Verdict::Invalid,
            Some(404),
            "Not Found",
        );
        Script::ends(Duration::from_secs(1), outcome)
    }

    pub fn route_fault() -> Script {
        let outcome = ended(
            CallResult::ALL_TRUNKS_BUSY,
            Verdict::RouteFault,
            Some(503),
            "Service Unavailable",
        );
        Script::ends(Duration::from_millis(100), outcome)
    }

    /// The agent's phone is not answered; the customer is not rung.
    pub fn agent_fault() -> Script {
        let outcome = ended(
            CallResult::AGENT_CALLBACK_ERROR,
            Verdict::AgentFault,
            Some(480),
            "Unavailable",
        );
        Script::ends(Duration::from_secs(20), outcome)
    }
}

/// One attempt as it was placed.
#[derive(Clone, Debug)]
pub struct Placed {
    pub attempt: AttemptId,
    pub number: u32,
    /// In clear: tests compare it.
    pub contact: String,
    pub at: Timestamp,
    /// Of a letter: the earlier attempt whose Message-ID it bears.
    pub repeats: Option<AttemptId>,
}

/// The scripted channel.
pub struct FakeChannel {
    name: &'static str,
    kinds: Vec<ResponseType>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    scripts: HashMap<String, VecDeque<Script>>,
    otherwise: Script,
    unready: Option<Unready>,
    /// Without one there is always room.
    route: Option<Arc<Route>>,
    placed: Vec<Placed>,
    live: u32,
    orphans: Vec<Value>,
    learned: Option<Outcome>,
}

impl FakeChannel {
    /// Serves these kinds; attempts without a script ring two seconds and talk for thirty.
    pub fn new(
        name: &'static str,
        kinds: &[ResponseType],
        clock: Arc<dyn Clock>,
    ) -> Arc<FakeChannel> {
        let state = State {
            scripts: HashMap::new(),
            otherwise: Script::talks(Duration::from_secs(2), Duration::from_secs(30)),
            unready: None,
            route: None,
            placed: Vec::new(),
            live: 0,
            orphans: Vec::new(),
            learned: None,
        };
        Arc::new(FakeChannel {
            name,
            kinds: kinds.to_vec(),
            clock,
            state: Mutex::new(state),
        })
    }

    /// The next attempts to this contact (canonical form) go like this, in order.
    pub fn script(&self, contact: &str, scripts: impl IntoIterator<Item = Script>) {
        self.state()
            .scripts
            .entry(contact.to_owned())
            .or_default()
            .extend(scripts);
    }

    /// How attempts go that have no script of their own.
    pub fn otherwise(&self, script: Script) {
        self.state().otherwise = script;
    }

    /// From now on there is no place, and this is why.
    pub fn set_unready(&self, unready: Unready) {
        self.state().unready = Some(unready);
    }

    /// From now on its route has these limits.
    pub fn limit(&self, limits: RouteLimits) {
        let route = Route::new(ROUTE, self.name, limits, self.clock.clone());
        self.state().route = Some(route);
    }

    /// What asking the peer after a crash shall give.
    pub fn set_learned(&self, outcome: Option<Outcome>) {
        self.state().learned = outcome;
    }

    /// Every attempt placed so far, in order. An attempt id that stands here twice rang twice.
    pub fn placed(&self) -> Vec<Placed> {
        self.state().placed.clone()
    }

    /// The identifiers handed to [`Channel::end_orphan`] so far.
    pub fn orphans(&self) -> Vec<Value> {
        self.state().orphans.clone()
    }

    /// Attempts in the air.
    pub fn live(&self) -> u32 {
        self.state().live
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, order: &Order) -> Script {
        let at = self.clock.now();
        let contact = order.contact.expose().to_owned();
        let mut state = self.state();
        state.live += 1;
        let script = state
            .scripts
            .get_mut(&contact)
            .and_then(VecDeque::pop_front);
        state.placed.push(Placed {
            attempt: order.attempt,
            number: order.number,
            contact,
            at,
            repeats: order.mail.as_ref().and_then(|mail| mail.repeats),
        });
        script.unwrap_or_else(|| state.otherwise.clone())
    }
}

/// Counts an attempt as over even if its task is aborted.
struct Live<'a>(&'a FakeChannel);

impl Drop for Live<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.live = state.live.saturating_sub(1);
    }
}

#[async_trait]
impl Channel for FakeChannel {
    fn name(&self) -> &'static str {
        self.name
    }

    fn serves(&self, response_type: ResponseType) -> bool {
        self.kinds.contains(&response_type)
    }

    fn reserve(&self, _order: &Order) -> Result<Places, Unready> {
        let state = self.state();
        match (state.unready, &state.route) {
            (Some(unready), _) => Err(unready),
            (None, Some(route)) => route::reserve_one(std::iter::once(Some(route))),
            (None, None) => Ok(Places::unlimited()),
        }
    }

    fn turn(&self, _order: &Order) -> Duration {
        let state = self.state();
        state
            .route
            .as_ref()
            .map_or(route::WHEN_SHUT, |route| route.turn())
    }

    async fn prepare(&self, order: &Order, _: &Places) -> Value {
        json!({ "attempt": order.attempt })
    }

    async fn attempt(
        &self,
        order: Order,
        places: Places,
        progress: mpsc::Sender<Progress>,
        stop: CancellationToken,
    ) -> Outcome {
        let mut permits = places.into_permits();
        permits.iter_mut().for_each(Permit::spend);
        let script = self.place(&order);
        let _live = Live(self);
        let mut due = self.clock.now();
        let mut connected = None;
        let talk_ms = script.outcome.talk_ms;
        for (after, step) in script.steps {
            due = plus(due, after);
            if !reach(self.clock.as_ref(), due, &stop).await {
                return stopped();
            }
            if matches!(step, Progress::Connected { .. }) {
                connected = Some(self.clock.now());
            }
            // A listener that has gone is the server's affair; the call goes on like a real one.
            drop(progress.send(step).await);
        }
        if reach(self.clock.as_ref(), plus(due, script.then), &stop).await {
            return Outcome {
                talk_ms,
                ..script.outcome
            };
        }
        match connected {
            // Hung up in mid-talk: they were reached all the same.
            Some(since) => {
                let talked = self.clock.now().as_millisecond() - since.as_millisecond();
                let talk_ms = Some(u64::try_from(talked).unwrap_or(0));
                Outcome {
                    talk_ms,
                    ..ended(CallResult::OK, Verdict::Reached, Some(200), "hung up by us")
                }
            }
            None => stopped(),
        }
    }

    async fn end_orphan(&self, order_legs: Value) -> Option<Outcome> {
        let mut state = self.state();
        state.orphans.push(order_legs);
        state.learned.clone()
    }

    fn routes(&self) -> Vec<RouteHealth> {
        let state = self.state();
        vec![RouteHealth {
            name: ROUTE.to_owned(),
            channel: self.name,
            up: match state.unready {
                None | Some(Unready::Wait(_)) => true,
                Some(Unready::Down(_) | Unready::NoRoute) => false,
            },
            since: None,
            active: state.live,
            last_failure: None,
        }]
    }

    fn demand(&self) -> Vec<RouteUse> {
        let state = self.state();
        state.route.iter().map(|route| route.demand()).collect()
    }

    fn grant(&self, route: &str, calls: Option<u32>) {
        let state = self.state();
        if let Some(route) = state.route.iter().find(|found| found.name() == route) {
            route.grant(calls);
        }
    }

    async fn shutdown(&self) {}
}

/// A clock that stands until somebody turns it.
pub struct HandClock {
    now: watch::Sender<Timestamp>,
}

impl HandClock {
    /// Set to an RFC 3339 time; a test's own mistake in it is a panic.
    pub fn at(text: &str) -> Arc<HandClock> {
        let now: Timestamp = text
            .parse()
            .unwrap_or_else(|_| panic!("{text} is not a time"));
        Arc::new(HandClock {
            now: watch::Sender::new(now),
        })
    }

    pub fn turn(&self, by: Duration) {
        self.now.send_modify(|now| *now = plus(*now, by));
    }

    /// As when somebody corrects it.
    pub fn set_back(&self, by: Duration) {
        self.now
            .send_modify(|now| *now = now.checked_sub(by).unwrap_or(Timestamp::MIN));
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut turned = self.now.subscribe();
        Box::pin(async move {
            // Fails only when the clock is gone, and with it everything that could wait for it.
            drop(turned.wait_for(|now| *now >= at).await);
        })
    }
}

/// The one route a fake has.
pub const ROUTE: &str = "fake";

/// Waits on the given clock; false when stopped first.
async fn reach(clock: &dyn Clock, due: Timestamp, stop: &CancellationToken) -> bool {
    while clock.now() < due {
        tokio::select! {
            biased;
            () = stop.cancelled() => return false,
            () = clock.sleep_until(due) => {}
        }
    }
    !stop.is_cancelled()
}

fn ended(result: CallResult, verdict: Verdict, code: Option<i32>, text: &str) -> Outcome {
    let mut outcome = Outcome::new(result, verdict, PlatformCode::new("fake", code, text));
    outcome.route = Some(ROUTE.to_owned());
    outcome
}

fn stopped() -> Outcome {
    ended(
        CallResult::DROPPED,
        Verdict::Stopped,
        None,
        "stopped by us before anybody was connected",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::tests::order_to;

    const NUMBER: &str = "+14155550123";

    fn fake() -> (Arc<FakeChannel>, Arc<HandClock>) {
        let clock = HandClock::at("2026-03-10T12:00:00Z");
        (
            FakeChannel::new("sip", &[ResponseType::Voice], clock.clone()),
            clock,
        )
    }

    /// Turns the clock by seconds until the attempt is over; a script never takes an hour.
    async fn run(
        fake: &Arc<FakeChannel>,
        clock: &HandClock,
        stop_at: Option<u32>,
    ) -> (Outcome, Vec<String>) {
        let (sender, mut reports) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let (channel, token) = (fake.clone(), stop.clone());
        let work = tokio::spawn(async move {
            channel
                .attempt(order_to(NUMBER), Places::unlimited(), sender, token)
                .await
        });
        for second in 0..3600 {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            if work.is_finished() {
                break;
            }
            if stop_at == Some(second) {
                stop.cancel();
            }
            clock.turn(Duration::from_secs(1));
        }
        let outcome = work.await.expect("no panic");
        let mut told = Vec::new();
        while let Some(report) = reports.recv().await {
            told.push(
                format!("{report:?}")
                    .split([' ', '('])
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            );
        }
        (outcome, told)
    }

    #[tokio::test]
    async fn follows_its_script_on_the_given_clock() {
        let (fake, clock) = fake();
        fake.script(
            NUMBER,
            [
                Script::busy(),
                Script::talks(Duration::from_secs(5), Duration::from_secs(600)),
            ],
        );
        let (first, told) = run(&fake, &clock, None).await;
        assert_eq!((first.verdict, told.len()), (Verdict::Busy, 0));
        let before = clock.now();
        let (second, told) = run(&fake, &clock, None).await;
        assert_eq!(
            (second.verdict, second.talk_ms),
            (Verdict::Reached, Some(600_000))
        );
        assert_eq!(told, ["Answered", "Ringing", "Answered", "Connected"]);
        assert_eq!(clock.now().duration_since(before).as_secs(), 605);
        let (third, _) = run(&fake, &clock, None).await;
        assert_eq!(third.talk_ms, Some(30_000), "no script left");
        let placed = fake.placed();
        assert_eq!(placed.len(), 3);
        assert!(placed.iter().all(|one| one.contact == NUMBER));
        assert_ne!(placed[0].attempt, placed[1].attempt);
        assert_eq!(fake.live(), 0);
    }

    #[tokio::test]
    async fn stops_when_told() {
        let (fake, clock) = fake();
        fake.otherwise(Script::talks(
            Duration::from_secs(10),
            Duration::from_secs(60),
        ));
        let (ringing, _) = run(&fake, &clock, Some(3)).await;
        assert_eq!((ringing.verdict, ringing.talk_ms), (Verdict::Stopped, None));
        let (talking, _) = run(&fake, &clock, Some(25)).await;
        assert_eq!(talking.verdict, Verdict::Reached);
        assert!(
            talking
                .talk_ms
                .is_some_and(|ms| (10_000..60_000).contains(&ms)),
            "{talking:?}"
        );
    }

    #[tokio::test]
    async fn remembers_orphans() {
        let (fake, _clock) = fake();
        assert_eq!(fake.end_orphan(json!({"attempt": 1})).await, None);
        fake.set_learned(Some(Script::busy().outcome));
        assert_eq!(
            fake.end_orphan(json!({"attempt": 2}))
                .await
                .map(|o| o.verdict),
            Some(Verdict::Busy)
        );
        assert_eq!(fake.orphans().len(), 2);
    }
}
