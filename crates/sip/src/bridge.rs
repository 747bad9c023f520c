//! Third-party call control (RFC 3725): call one, call the other, make them hear each other.

use std::{sync::Arc, time::SystemTime};

use rsipstack::sip::Method;
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    call::{self, BridgeCall, BridgeEnd, BridgeEndKind, BridgeEvent, By, Flow},
    dial::{Dial, NotReached},
    engine::Inner,
    failure::{FailureCause, LegFailure},
    leg::{self, Leg, LegEvent},
    message, relay,
    relay::{Renegotiated, renegotiate},
    sdp::Sdp,
};

/// Runs a call from the first INVITE to the last BYE.
pub(crate) async fn run(
    engine: &Arc<Inner>,
    call: BridgeCall,
    events: mpsc::Sender<BridgeEvent>,
    stop: CancellationToken,
) -> BridgeEnd {
    let mut end = BridgeEnd {
        kind: BridgeEndKind::Stopped,
        route_of_first: None,
        route_of_second: None,
        bridged_at: None,
    };
    let refused = |words| BridgeEndKind::FirstFailed(LegFailure::of(FailureCause::Internal, words));
    if !call::is_clean_id(&call.id) {
        end.kind = refused("the id cannot stand in a Call-ID");
        return end;
    }
    let Ok(_place) = engine.room.try_acquire() else {
        end.kind = refused("too many calls at once");
        return end;
    };
    let mut bridge = Bridge {
        engine,
        call: &call,
        events: &events,
        stop: &stop,
        farewells: Vec::new(),
    };
    end.kind = bridge
        .call(
            &mut end.route_of_first,
            &mut end.route_of_second,
            &mut end.bridged_at,
        )
        .await;
    leg::farewell(bridge.farewells, engine.config.timers.farewell).await;
    end
}

struct Bridge<'a> {
    engine: &'a Arc<Inner>,
    call: &'a BridgeCall,
    events: &'a mpsc::Sender<BridgeEvent>,
    stop: &'a CancellationToken,
    farewells: Vec<JoinHandle<()>>,
}

impl Bridge<'_> {
    /// What comes before the talk is boxed: it needs ten times the room, and gives it back when the talk begins.
    async fn call(
        &mut self,
        route_of_first: &mut Option<String>,
        route_of_second: &mut Option<String>,
        bridged_at: &mut Option<SystemTime>,
    ) -> BridgeEndKind {
        let (mut first, flow) = match Box::pin(self.first()).await {
            Ok(first) => first,
            Err(failure) if failure.cause == FailureCause::Stopped => {
                return BridgeEndKind::Stopped;
            }
            Err(failure) => return BridgeEndKind::FirstFailed(failure),
        };
        *route_of_first = Some(first.route.clone());
        // The offer for the second party: what the first one answered, or nothing in flow IV.
        let offer = match flow {
            Flow::HeldOffer => first.last_heard.as_ref().map(|sdp| sdp.released()),
            Flow::FlowIv => None,
        };
        let mut second = match Box::pin(self.second(&mut first, offer.clone())).await {
            Ok(second) => second,
            Err(end) => {
                self.release(first, matches!(end, Missed::FirstGone(_)));
                return match end {
                    Missed::FirstGone(failure) => BridgeEndKind::NotConnected(failure),
                    Missed::Failed(failure) if failure.cause == FailureCause::Stopped => {
                        BridgeEndKind::Stopped
                    }
                    Missed::Failed(failure) => BridgeEndKind::SecondFailed(failure),
                };
            }
        };
        *route_of_second = Some(second.route.clone());
        match Box::pin(self.join(&mut first, &mut second, offer)).await {
            Joined::Yes => {}
            Joined::Gone { by, failure } => {
                self.release(first, by == Some(By::First));
                self.release(second, by == Some(By::Second));
                return match failure.cause {
                    FailureCause::Stopped => BridgeEndKind::Stopped,
                    _ => BridgeEndKind::NotConnected(failure),
                };
            }
        }
        *bridged_at = Some(SystemTime::now());
        let started = Instant::now();
        self.tell(BridgeEvent::Bridged);
        let until = started + self.call.max_talk;
        let by = relay::talk(&mut first, &mut second, self.events, self.stop, until).await;
        self.tell(BridgeEvent::HungUp { by });
        let talk = started.elapsed();
        self.release(first, by == By::First);
        self.release(second, by == By::Second);
        BridgeEndKind::Talked {
            talk,
            hung_up_by: by,
        }
    }

    /// The first leg, answered, acknowledged and held.
    async fn first(&mut self) -> Result<(Box<Leg>, Flow), LegFailure> {
        let mut number = 0;
        let mut flow = self.call.flow;
        let mut reached = self.dial_first(flow, &mut number, 0).await;
        if let Err(missed) = &reached
            && flow == Flow::HeldOffer
            && matches!(missed.failure.code, Some(488 | 606))
        {
            flow = Flow::FlowIv;
            let start_at = missed.target;
            reached = self.dial_first(flow, &mut number, start_at).await;
        }
        let mut leg = reached.map_err(|missed| missed.failure)?;
        leg.settle_route().await;
        let Some(sdp) = leg.answer_sdp().filter(Sdp::has_open_stream) else {
            self.release(leg, false);
            return Err(LegFailure::of(
                FailureCause::Malformed,
                "the answer has no usable session description",
            ));
        };
        match flow {
            Flow::HeldOffer => leg.acknowledge(None),
            Flow::FlowIv => {
                let held = sdp.held_answer(leg.flow.media_host());
                let body = leg.origin.write(&held);
                leg.acknowledge(Some(&body));
            }
        }
        leg.layout = Some(sdp.clone());
        leg.last_heard = Some(sdp);
        Ok((leg, flow))
    }

    async fn dial_first(
        &mut self,
        flow: Flow,
        number: &mut u32,
        start_at: usize,
    ) -> Result<Box<Leg>, NotReached> {
        let dial = Dial {
            engine: self.engine,
            call: self.call,
            side: By::First,
            party: &self.call.first,
            offer: None,
            held: flow == Flow::HeldOffer,
            ring: self.call.ring_first,
            events: self.events,
            give_up: self.stop.child_token(),
            number,
            start_at,
        };
        dial.run().await
    }

    /// Rings the second party while the first one waits, and may lose patience.
    async fn second(&mut self, first: &mut Leg, offer: Option<Sdp>) -> Result<Box<Leg>, Missed> {
        let give_up = self.stop.child_token();
        let mut number = 0;
        let dial = Dial {
            engine: self.engine,
            call: self.call,
            side: By::Second,
            party: &self.call.second,
            offer,
            held: false,
            ring: self.call.ring_second,
            events: self.events,
            give_up: give_up.clone(),
            number: &mut number,
            start_at: 0,
        };
        let dial = dial.run();
        tokio::pin!(dial);
        let mut gone = None;
        let reached = loop {
            tokio::select! {
                reached = &mut dial => break reached,
                event = first.next(), if gone.is_none() => {
                    gone = waiting(first, event);
                    if let Some(failure) = &gone {
                        give_up.cancel();
                        if failure.cause == FailureCause::HungUp {
                            self.tell(BridgeEvent::HungUp { by: By::First });
                        }
                    }
                }
            }
        };
        match (reached, gone) {
            (Ok(second), Some(failure)) => {
                self.release(second, false);
                Err(Missed::FirstGone(failure))
            }
            (Err(_), Some(failure)) => Err(Missed::FirstGone(failure)),
            (Ok(mut second), None) => {
                second.settle_route().await;
                Ok(second)
            }
            (Err(missed), None) => Err(Missed::Failed(missed.failure)),
        }
    }

    /// Gives each the other's description. A failure here ends both legs.
    async fn join(&mut self, first: &mut Leg, second: &mut Leg, offer: Option<Sdp>) -> Joined {
        let Some(heard) = second.answer_sdp().filter(Sdp::has_open_stream) else {
            return Joined::failed(LegFailure::of(
                FailureCause::Malformed,
                "the answer has no usable session description",
            ));
        };
        let delayed = offer.is_none();
        if !delayed {
            second.acknowledge(None);
        }
        second.layout = Some(heard.clone());
        second.last_heard = Some(heard.clone());
        let for_first = if delayed {
            heard.clone()
        } else {
            heard.released()
        };
        let (fitted, from) = for_first.fitted(first.layout.as_ref());
        let body = first.origin.write(&fitted);
        let response =
            match renegotiate(first, second, Method::Invite, Some(&body), self.stop).await {
                Renegotiated::Agreed(response) => response,
                Renegotiated::Failed(failure) => return Joined::failed(failure),
                Renegotiated::Gone(by) => return Joined::gone(by),
                Renegotiated::Stopped => {
                    return Joined::failed(LegFailure::of(FailureCause::Stopped, "stopped"));
                }
            };
        first.acknowledge(None);
        let answer = message::sdp_body(&response.headers, &response.body).and_then(Sdp::parse);
        let Some(answer) = answer.filter(Sdp::has_open_stream) else {
            return Joined::failed(LegFailure::of(
                FailureCause::Malformed,
                "the answer has no usable session description",
            ));
        };
        first.layout = Some(answer.clone());
        first.last_heard = Some(answer.clone());
        let for_second = answer.unfitted(&for_first, &from);
        if delayed {
            let body = second.origin.write(&for_second);
            second.acknowledge(Some(&body));
            return Joined::Yes;
        }
        // The second phone was told where the held first one listens; if that has moved, tell it.
        let told = offer.map(|o| o.endpoints()).unwrap_or_default();
        if told != for_second.endpoints() {
            return self.tell_again(first, second, &for_second).await;
        }
        Joined::Yes
    }

    async fn tell_again(&mut self, first: &mut Leg, second: &mut Leg, sdp: &Sdp) -> Joined {
        let (fitted, _) = sdp.fitted(second.layout.as_ref());
        let body = second.origin.write(&fitted);
        match renegotiate(second, first, Method::Invite, Some(&body), self.stop).await {
            Renegotiated::Agreed(response) => {
                second.acknowledge(None);
                let answer =
                    message::sdp_body(&response.headers, &response.body).and_then(Sdp::parse);
                if let Some(answer) = answer {
                    second.last_heard = Some(answer);
                }
                Joined::Yes
            }
            Renegotiated::Failed(failure) => Joined::failed(failure),
            Renegotiated::Gone(by) => Joined::gone(by),
            Renegotiated::Stopped => {
                Joined::failed(LegFailure::of(FailureCause::Stopped, "stopped"))
            }
        }
    }

    /// Lets go of a leg: in the background, so that two slow peers are not waited for one after the other.
    fn release(&mut self, leg: Box<Leg>, gone: bool) {
        let farewell = if gone {
            tokio::spawn(leg.finish())
        } else {
            leg.hang_up()
        };
        self.farewells.push(farewell);
    }

    fn tell(&self, event: BridgeEvent) {
        drop(self.events.try_send(event));
    }
}

enum Missed {
    /// The first party did not wait; it has hung up already (or its session has run out).
    FirstGone(LegFailure),
    Failed(LegFailure),
}

enum Joined {
    Yes,
    Gone { by: Option<By>, failure: LegFailure },
}

impl Joined {
    fn failed(failure: LegFailure) -> Joined {
        Joined::Gone { by: None, failure }
    }

    fn gone(by: By) -> Joined {
        Joined::Gone {
            by: Some(by),
            failure: LegFailure::of(FailureCause::HungUp, "hung up before being joined"),
        }
    }
}

/// What the first phone does while it waits for the second. `Some` when it is gone.
fn waiting(first: &mut Leg, event: LegEvent) -> Option<LegFailure> {
    let mut request = match event {
        LegEvent::Request(request) => request,
        LegEvent::Expired => {
            return Some(LegFailure::of(
                FailureCause::TransactionTimeout,
                "the session ran out",
            ));
        }
    };
    if request.method() == Method::Bye {
        request.answer(200);
        return Some(LegFailure::of(
            FailureCause::HungUp,
            "hung up while the other was called",
        ));
    }
    // A held phone that changes its session stays held; what it says now is what the second is joined to.
    let offer =
        message::sdp_body(&request.request.headers, &request.request.body).and_then(Sdp::parse);
    match offer {
        Some(offer) => {
            let answer = first
                .origin
                .write(&offer.held_answer(first.flow.media_host()));
            first.layout = Some(offer.clone());
            first.last_heard = Some(offer);
            first.accept(&mut request, Some(&answer));
        }
        None => request.answer(488),
    }
    None
}
