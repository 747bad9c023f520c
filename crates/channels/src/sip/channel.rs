//! The channel itself: hands the engine its calls, tells what happens, keeps the routes' health.

use super::config::{DIRECT, DirectRoute, RouteError, SipRoute, Way};
use super::legs::Legs;
use super::outcome::{self, Circumstances};
use super::pings;
use super::plan::{CUSTOMER, FLOW, Plan, Unplaceable, Ways};
use crate::Channel;
use crate::masked::masked;
use crate::order::{Near, Order, Progress, Receipt, RouteHealth, Unready};
use crate::route::{Permit, Places, Route, RouteUse};
use async_trait::async_trait;
use ringback_callbacks::clock::Clock;
use ringback_callbacks::contact::ResponseType;
use ringback_callbacks::outcome::{CallResult, Outcome, PlatformCode, Verdict};
use ringback_callbacks::queue::LegOrder;
use ringback_sip::{
    BridgeEnd, BridgeEndKind, BridgeEvent, FailureCause, LegFailure, LegState, SipEngine,
};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The routes of the channel; listening and registration belong to the engine.
#[derive(Clone, Debug, Default)]
pub struct SipChannelConfig {
    pub routes: Vec<SipRoute>,
    pub direct: DirectRoute,
}

/// Calls by SIP.
pub struct SipChannel {
    engine: SipEngine,
    ways: Ways,
    stop: CancellationToken,
}

/// Events that may wait for us. The engine drops what is merely nice to know when this is full.
const EVENTS: usize = 64;

impl SipChannel {
    /// Checks every route and begins to ping them.
    pub fn start(
        config: SipChannelConfig,
        engine: SipEngine,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<SipChannel>, RouteError> {
        let mut seen = HashSet::new();
        let mut ways = Vec::new();
        for route in &config.routes {
            let way = Way::new(route)?;
            if !seen.insert(way.name.clone()) {
                return Err(RouteError::Twice(way.name));
            }
            let route = Route::new(&way.name, NAME, way.limits, clock.clone());
            ways.push((way, route));
        }
        let direct = Route::new(DIRECT, NAME, config.direct.limits()?, clock.clone());
        let ways = Ways::new((config.direct, direct), ways);
        let stop = CancellationToken::new();
        for (way, route) in ways.ways() {
            tokio::spawn(pings::watch(
                engine.clone(),
                way.clone(),
                route.clone(),
                clock.clone(),
                stop.clone(),
            ));
        }
        Ok(Arc::new(SipChannel { engine, ways, stop }))
    }

    /// The call from the first INVITE to the last BYE.
    async fn call(
        &self,
        leg_order: LegOrder,
        legs: Legs,
        mut plan: Plan,
        progress: mpsc::Sender<Progress>,
        stop: CancellationToken,
    ) -> Outcome {
        if let Some(first) = plan.permits.first_mut() {
            first.spend();
        }
        let (events, mut told) = mpsc::channel(EVENTS);
        let stop = stop.child_token();
        let over = CancellationToken::new();
        let mut watch = Watch {
            ways: &self.ways,
            legs,
            routes: plan
                .permits
                .iter()
                .map(|permit| permit.route().name().to_owned())
                .collect(),
            permits: plan.permits.into_iter().map(Some).collect(),
            current: 0,
            progress,
            stop: stop.clone(),
            rang: false,
            answered: false,
        };
        let bridge = async {
            let end = self.engine.bridge(plan.call, events, stop).await;
            over.cancel();
            end
        };
        let listen = async {
            loop {
                tokio::select! {
                    biased;
                    event = told.recv() => match event {
                        Some(event) => watch.take(event).await,
                        None => break,
                    },
                    () = over.cancelled() => break,
                }
            }
            // Legs that are still being let go keep the channel open; what they say is of no more use.
            while let Ok(event) = told.try_recv() {
                watch.take(event).await;
            }
            watch
        };
        let (end, watch) = tokio::join!(bridge, listen);
        let known = Circumstances {
            leg_order,
            near_is_dn: plan.near_is_dn,
            near_has_route: plan.near_has_route,
            customer_rang: watch.rang,
            customer_answered: watch.answered,
        };
        watch.judge(&end, known.leg_order);
        let mut outcome = outcome::of_call(&end, known);
        outcome.route = outcome
            .route
            .or_else(|| watch.routes.get(watch.current).cloned());
        outcome
    }
}

#[async_trait]
impl Channel for SipChannel {
    fn name(&self) -> &'static str {
        NAME
    }

    fn serves(&self, response_type: ResponseType) -> bool {
        match response_type {
            ResponseType::Voice | ResponseType::VoIP => true,
            ResponseType::Email => false,
        }
    }

    fn reserve(&self, order: &Order) -> Result<Places, Unready> {
        self.ways.reserve(order)
    }

    fn turn(&self, order: &Order) -> Duration {
        self.ways.turn(order)
    }

    async fn prepare(&self, order: &Order, places: &Places) -> Value {
        let mut legs = Legs::new(order);
        if let Some(first) = self.ways.first(order, places, &self.engine) {
            let id = order.attempt.to_string();
            let foreseen = self.engine.foresee(&id, &first, FLOW).await;
            if let Some(record) = foreseen {
                legs.note(record);
            }
        }
        legs.to_json()
    }

    async fn attempt(
        &self,
        mut order: Order,
        places: Places,
        progress: mpsc::Sender<Progress>,
        stop: CancellationToken,
    ) -> Outcome {
        if stop.is_cancelled() {
            return outcome::stopped();
        }
        match self.ways.plan(&order, places, &self.engine) {
            Ok(plan) => {
                let legs = Legs::from_json(order.legs.take()).unwrap_or_else(|| Legs::new(&order));
                // The order ends here, not with the call: a talk may be long, and there may be thousands.
                let leg_order = order.leg_order;
                drop(order);
                self.call(leg_order, legs, plan, progress, stop).await
            }
            Err(unplaceable) => not_placed(&unplaceable, &order.near),
        }
    }

    async fn end_orphan(&self, order_legs: Value) -> Option<Outcome> {
        Legs::from_json(order_legs)?.end(&self.engine).await
    }

    fn routes(&self) -> Vec<RouteHealth> {
        self.ways.routes().map(|route| route.health()).collect()
    }

    fn demand(&self) -> Vec<RouteUse> {
        self.ways.routes().map(|route| route.demand()).collect()
    }

    fn grant(&self, route: &str, calls: Option<u32>) {
        if let Some(route) = self.ways.routes().find(|found| found.name() == route) {
            route.grant(calls);
        }
    }

    async fn shutdown(&self) {
        self.stop.cancel();
        self.engine.shutdown().await;
    }
}

const NAME: &str = "sip";

/// Nothing left this machine. Our end's absence is the agent's; the rest is ours.
fn not_placed(why: &Unplaceable, near: &Near) -> Outcome {
    let (result, verdict, words) = match (why, near) {
        (Unplaceable::Near(words), Near::Agent { .. }) => {
            (CallResult::AGENT_CALLBACK_ERROR, Verdict::AgentFault, words)
        }
        // A DN that cannot be called is a fault of the configuration: asking again at once would not help.
        (Unplaceable::Near(words), Near::Dn { .. }) => {
            (CallResult::GROUP_CALLBACK_ERROR, Verdict::RouteFault, words)
        }
        (Unplaceable::Near(words), Near::Nobody) => {
            (CallResult::DIAL_ERROR, Verdict::RouteFault, words)
        }
        (Unplaceable::NoRoute(words), _) => {
            (CallResult::NO_PORT_AVAILABLE, Verdict::RouteFault, words)
        }
    };
    Outcome::new(result, verdict, PlatformCode::new("ringback", None, words))
}

/// Follows one call: passes on what happens, and keeps its places on the routes.
struct Watch<'a> {
    ways: &'a Ways,
    legs: Legs,
    /// The customer's routes in the order they are tried, and the places held on them.
    routes: Vec<String>,
    permits: Vec<Option<Permit>>,
    /// Which of them the customer's leg is on.
    current: usize,
    progress: mpsc::Sender<Progress>,
    stop: CancellationToken,
    rang: bool,
    answered: bool,
}

impl Watch<'_> {
    async fn take(&mut self, event: BridgeEvent) {
        match event {
            // It was stored with the attempt.
            BridgeEvent::Leg(record, _) if self.legs.has(&record) => {}
            BridgeEvent::Leg(record, receipt) => {
                let receipt = match record.state {
                    LegState::Inviting => Receipt::before_a_ring(receipt),
                    LegState::Early | LegState::Confirmed | LegState::Ended => Receipt::of(receipt),
                };
                self.legs.note(*record);
                self.tell(Progress::Legs(self.legs.to_json(), receipt))
                    .await;
            }
            BridgeEvent::Trying { .. }
            | BridgeEvent::Reinvite { .. }
            | BridgeEvent::HungUp { .. } => {}
            BridgeEvent::Ringing { party, .. } => {
                self.ringing(party);
                self.tell(Progress::Ringing { party }).await;
            }
            // An announcement or a ring-back tone: for whoever waits it is the same as ringing.
            BridgeEvent::EarlyMedia { party } => self.ringing(party),
            BridgeEvent::Answered { party } => {
                if party == CUSTOMER {
                    self.answered = true;
                    self.settle_routes();
                }
                self.tell(Progress::Answered { party }).await;
            }
            BridgeEvent::RouteFailed {
                party,
                route,
                failure,
            } => self.route_failed(party, route, &failure).await,
            BridgeEvent::Bridged => {
                let route = self.routes.get(self.current).cloned();
                self.tell(Progress::Connected { route }).await;
            }
        }
    }

    fn ringing(&mut self, party: &'static str) {
        if party == CUSTOMER {
            self.rang = true;
            self.settle_routes();
        }
    }

    async fn route_failed(&mut self, party: &'static str, name: String, failure: &LegFailure) {
        if let Some(route) = self.ways.route(&name)
            && outcome::meaning(failure).route_down
        {
            route.failed(&in_words(failure), failure.retry_after);
        }
        if party == CUSTOMER && self.current + 1 < self.permits.len() {
            if let Some(place) = self.permits.get_mut(self.current) {
                *place = None;
            }
            self.current += 1;
            if let Some(Some(next)) = self.permits.get_mut(self.current) {
                next.spend();
            }
        }
        let platform = outcome::platform(failure);
        self.tell(Progress::RouteFailed {
            party,
            route: name,
            code: platform.code,
            text: platform.text,
        })
        .await;
    }

    /// The customer's phone rings: no other route will be needed, and this one works.
    fn settle_routes(&mut self) {
        for (index, place) in self.permits.iter_mut().enumerate() {
            if index != self.current {
                *place = None;
            }
        }
        if let Some(Some(place)) = self.permits.get(self.current) {
            place.route().succeeded();
        }
    }

    /// A person's answer without a ring (486 at once) proves the route as well as a ring does.
    fn judge(&self, end: &BridgeEnd, leg_order: LegOrder) {
        let failure = match (&end.kind, leg_order) {
            (BridgeEndKind::FirstFailed(failure), LegOrder::CustomerFirst)
            | (BridgeEndKind::SecondFailed(failure), LegOrder::AgentFirst) => failure,
            (BridgeEndKind::FirstFailed(_), LegOrder::AgentFirst)
            | (BridgeEndKind::SecondFailed(_), LegOrder::CustomerFirst)
            | (
                BridgeEndKind::NotConnected(_)
                | BridgeEndKind::Talked { .. }
                | BridgeEndKind::Stopped,
                _,
            ) => return,
        };
        if failure.cause == FailureCause::Status
            && !failure.is_route_failure()
            && let Some(Some(place)) = self.permits.get(self.current)
        {
            place.route().succeeded();
        }
    }

    /// Waits until it was taken. If nobody listens any more, the call is ended: a call of which
    /// nothing is recorded could not be ended after a crash.
    async fn tell(&mut self, progress: Progress) {
        if self.progress.send(progress).await.is_err() {
            self.stop.cancel();
        }
    }
}

fn in_words(failure: &LegFailure) -> String {
    let words = masked(&failure.reason_phrase);
    match failure.code {
        Some(code) => format!("{code} {words}"),
        None => words,
    }
}
