//! The channel itself: relays in order, connections kept for the next message.

use super::config::{Relay, RelayError, SmtpRoute};
use super::message::{self, Letter};
use super::outcome::{self, Meaning};
use super::session::{Ending, Fault, Session, Step};
use crate::Channel;
use crate::order::{Order, Progress, RouteHealth, Unready};
use crate::route::{self, Places, Route, RouteUse};
use async_trait::async_trait;
use jiff::Timestamp;
use ringback_callbacks::clock::Clock;
use ringback_callbacks::contact::{Contact, ResponseType};
use ringback_callbacks::outcome::{Outcome, Verdict};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Answers by e-mail.
pub struct SmtpChannel {
    ways: Vec<Way>,
    clock: Arc<dyn Clock>,
}

struct Way {
    relay: Relay,
    route: Arc<Route>,
    /// Connections that wait for the next message, and since when.
    idle: Mutex<Vec<(Session, Timestamp)>>,
}

const NAME: &str = "smtp";
/// Relays close what is idle for minutes; a connection about to be closed is no bargain.
const LONGEST_IDLE: Duration = Duration::from_secs(30);

impl SmtpChannel {
    /// Checks every relay. Nothing is connected before there is a message.
    pub fn start(
        routes: &[SmtpRoute],
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<SmtpChannel>, RelayError> {
        let mut seen = HashSet::new();
        let mut ways = Vec::new();
        for route in routes {
            let relay = Relay::new(route)?;
            if !seen.insert(relay.name.clone()) {
                return Err(RelayError::Twice(relay.name));
            }
            let route = Route::new(&relay.name, NAME, relay.limits, clock.clone());
            ways.push(Way {
                relay,
                route,
                idle: Mutex::default(),
            });
        }
        Ok(Arc::new(SmtpChannel { ways, clock }))
    }

    fn way(&self, name: &str) -> Option<&Way> {
        self.ways.iter().find(|way| way.relay.name == name)
    }

    fn ways_of(&self, order: &Order) -> Vec<&Way> {
        order
            .routes
            .iter()
            .filter_map(|name| self.way(name))
            .collect()
    }

    fn routes_of<'a>(&'a self, order: &'a Order) -> impl Iterator<Item = Option<&'a Arc<Route>>> {
        order
            .routes
            .iter()
            .map(|name| self.way(name).map(|way| &way.route))
    }

    /// The message. One Message-ID and one sender for the attempt, whichever relay takes it: those of
    /// the first.
    fn letter(&self, order: &Order) -> Result<Letter, &'static str> {
        let (Contact::Email(to), Some(mail)) = (&order.contact, &order.mail) else {
            return Err("the order holds no message to a mailbox");
        };
        let ways = self.ways_of(order);
        let first = ways.first().ok_or("no relay is configured")?;
        let from = message::sender(mail, &first.relay.from)?;
        message::write(order, mail, to, &from, self.clock.now())
    }
}

#[async_trait]
impl Channel for SmtpChannel {
    fn name(&self) -> &'static str {
        NAME
    }

    fn serves(&self, response_type: ResponseType) -> bool {
        match response_type {
            ResponseType::Email => true,
            ResponseType::Voice | ResponseType::VoIP => false,
        }
    }

    /// One place: the relays after it are tried only once it has failed, and need no place before that.
    fn reserve(&self, order: &Order) -> Result<Places, Unready> {
        route::reserve_one(self.routes_of(order))
    }

    fn turn(&self, order: &Order) -> Duration {
        route::turn(self.routes_of(order))
    }

    async fn prepare(&self, order: &Order, _: &Places) -> Value {
        let ways = self.ways_of(order);
        let message_id = order.mail.as_ref().and_then(|mail| {
            let from = message::sender(mail, &ways.first()?.relay.from).ok()?;
            Some(message::message_id(order.attempt, mail, &from))
        });
        json!({ "attempt": order.attempt, "message_id": message_id, "routes": order.routes })
    }

    async fn attempt(
        &self,
        order: Order,
        places: Places,
        progress: mpsc::Sender<Progress>,
        stop: CancellationToken,
    ) -> Outcome {
        let letter = match self.letter(&order) {
            Ok(letter) => letter,
            Err(words) => return outcome::not_sent(words),
        };
        let mut last = outcome::not_sent("there is no place on a relay");
        let mut place = places.into_permits().pop();
        let reserved = place.as_ref().map(|place| place.route().name().to_owned());
        let others = order
            .routes
            .iter()
            .filter(|name| reserved.as_ref() != Some(*name));
        for name in reserved.iter().chain(others) {
            let Some(way) = self.way(name) else { continue };
            if stop.is_cancelled() {
                return outcome::stopped();
            }
            let mut place = match place.take() {
                Some(place) => place,
                None => match way.route.reserve() {
                    Ok(place) => place,
                    Err(_) => continue,
                },
            };
            place.spend();
            let Meaning {
                mut outcome,
                route_down,
            } = outcome::of(&way.send(&letter, self.clock.as_ref(), &stop).await);
            outcome.route = Some(way.relay.name.clone());
            if route_down {
                way.route.failed(&outcome.platform.text, None);
            } else if outcome.platform.code.is_some() {
                way.route.succeeded();
            }
            // Another relay may do better where the fault is this one's, or where it lacks an extension.
            let unable = outcome.verdict == Verdict::Invalid && outcome.platform.code.is_none();
            if outcome.verdict != Verdict::RouteFault && !unable {
                return outcome;
            }
            let failed = Progress::RouteFailed {
                party: "customer",
                route: way.relay.name.clone(),
                code: outcome.platform.code,
                text: outcome.platform.text.clone(),
            };
            drop(progress.send(failed).await);
            last = outcome;
        }
        last
    }

    /// A relay cannot be asked what became of a message.
    async fn end_orphan(&self, _order_legs: Value) -> Option<Outcome> {
        None
    }

    fn routes(&self) -> Vec<RouteHealth> {
        self.ways.iter().map(|way| way.route.health()).collect()
    }

    fn demand(&self) -> Vec<RouteUse> {
        self.ways.iter().map(|way| way.route.demand()).collect()
    }

    fn grant(&self, route: &str, calls: Option<u32>) {
        if let Some(way) = self.ways.iter().find(|way| way.route.name() == route) {
            way.route.grant(calls);
        }
    }

    async fn shutdown(&self) {
        for way in &self.ways {
            let idle = std::mem::take(&mut *way.idle());
            for (session, _) in idle {
                session.close().await;
            }
        }
    }
}

impl Way {
    async fn send(&self, letter: &Letter, clock: &dyn Clock, stop: &CancellationToken) -> Ending {
        if let Some(mut session) = self.kept(clock).await {
            let ending = session.deliver(letter, &self.relay, stop).await;
            if !is_closed_before_use(&ending) {
                return self.keep(session, ending, clock).await;
            }
        }
        match Session::open(&self.relay, stop).await {
            Ok(mut session) => {
                let ending = session.deliver(letter, &self.relay, stop).await;
                self.keep(session, ending, clock).await
            }
            Err(ending) => ending,
        }
    }

    /// A connection from an earlier message that still lives.
    async fn kept(&self, clock: &dyn Clock) -> Option<Session> {
        loop {
            let (mut session, since) = self.idle().pop()?;
            let idle = Duration::try_from(clock.now().duration_since(since)).unwrap_or_default();
            if idle < LONGEST_IDLE && session.is_alive(&self.relay).await {
                return Some(session);
            }
        }
    }

    async fn keep(&self, session: Session, ending: Ending, clock: &dyn Clock) -> Ending {
        let well = matches!(ending, Ending::Accepted { .. });
        if well && self.idle().len() < self.relay.pool {
            self.idle().push((session, clock.now()));
        } else if well
            || matches!(
                ending,
                Ending::Failed {
                    fault: Fault::Reply { .. },
                    ..
                } | Ending::Unable(_)
            )
        {
            session.close().await;
        }
        ending
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Session, Timestamp)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A kept connection that the relay closed just as we began: a new one may be tried without any doubt,
/// because no recipient had been named yet.
fn is_closed_before_use(ending: &Ending) -> bool {
    match ending {
        Ending::Failed {
            step: Step::Sender,
            fault: Fault::Broken(_) | Fault::TimedOut,
        } => true,
        Ending::Failed {
            step: Step::Sender,
            fault: Fault::Reply { code, .. },
        } => *code == 421,
        Ending::Failed { .. }
        | Ending::Accepted { .. }
        | Ending::Unanswered { .. }
        | Ending::Unable(_)
        | Ending::Stopped => false,
    }
}
