//! The talk: each side's changes are carried to the other, and either side's goodbye ends both.

use std::time::Duration;

use rsipstack::sip::{Method, Response};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    call::{BridgeEvent, By},
    failure::{FailureCause, LegFailure},
    leg::{Concluded, Leg, LegEvent},
    message,
    sdp::Sdp,
    transaction::ServerTx,
};

/// What became of a change asked of one leg.
pub(crate) enum Renegotiated {
    Agreed(Response),
    Failed(LegFailure),
    /// One of the two hung up meanwhile (its BYE is answered).
    Gone(By),
    Stopped,
}

/// How often both sides may ask at once before we call it a failure.
const MAX_GLARES: u32 = 3;
/// How long a phone may take to send the ACK that carries its answer.
const ACK_WAIT: Duration = Duration::from_secs(10);

/// Holds the joined call until somebody, or something, ends it.
pub(crate) async fn talk(
    first: &mut Leg,
    second: &mut Leg,
    events: &mpsc::Sender<BridgeEvent>,
    stop: &CancellationToken,
    until: Instant,
) -> By {
    loop {
        let (event, from_first) = tokio::select! {
            event = first.next() => (event, true),
            event = second.next() => (event, false),
            () = stop.cancelled() => return By::Us,
            () = tokio::time::sleep_until(until) => return By::MaxTalk,
        };
        let mut request = match event {
            LegEvent::Request(request) => request,
            LegEvent::Expired => return By::SessionTimer,
        };
        let by = if from_first { By::First } else { By::Second };
        if request.method() == Method::Bye {
            request.answer(200);
            return by;
        }
        drop(events.try_send(BridgeEvent::Reinvite { by }));
        let (from, to) = if from_first {
            (&mut *first, &mut *second)
        } else {
            (&mut *second, &mut *first)
        };
        // Boxed: most talks never need it, and all would keep room for it.
        let ended = Box::pin(carry(from, to, request, stop)).await;
        if let Some(by) = ended {
            return by;
        }
    }
}

/// Sends an offer to `leg` and waits for its answer, while both phones may still hang up.
pub(crate) async fn renegotiate(
    leg: &mut Leg,
    other: &mut Leg,
    method: Method,
    body: Option<&str>,
    stop: &CancellationToken,
) -> Renegotiated {
    let until = Instant::now() + leg.engine.config.timers.renegotiate;
    for _ in 0..=MAX_GLARES {
        let mut offering = match leg.offer(method, body).await {
            Ok(offering) => offering,
            Err(failure) => return Renegotiated::Failed(failure),
        };
        let concluded = loop {
            let received = tokio::select! {
                received = offering.result() => received,
                gone = busy(leg, other) => { offering.kill(); return Renegotiated::Gone(gone) }
                () = stop.cancelled() => { offering.kill(); return Renegotiated::Stopped }
                () = tokio::time::sleep_until(until) => {
                    offering.kill();
                    return Renegotiated::Failed(LegFailure::of(FailureCause::TransactionTimeout, "no answer"));
                }
            };
            match leg.conclude(offering, received) {
                Concluded::Again(again) => offering = again,
                other => break other,
            }
        };
        match concluded {
            Concluded::Agreed(response) => return Renegotiated::Agreed(response),
            Concluded::Failed(failure) => return Renegotiated::Failed(failure),
            Concluded::Glare | Concluded::Again(_) => {}
        }
        // We chose the Call-ID, so ours is the longer wait (RFC 3261 §14.1).
        let pause = Duration::from_millis(rand::random_range(2100..=4000));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            gone = busy(leg, other) => return Renegotiated::Gone(gone),
            () = stop.cancelled() => return Renegotiated::Stopped,
        }
    }
    let mut failure = LegFailure::of(FailureCause::Status, "both sides kept asking at once");
    failure.code = Some(491);
    Renegotiated::Failed(failure)
}

/// Answers both phones while an exchange is under way: goodbyes at once, changes with "not now". Returns
/// when one is gone.
async fn busy(a: &mut Leg, b: &mut Leg) -> By {
    loop {
        let (event, side) = tokio::select! {
            event = a.next() => (event, a.side),
            event = b.next() => (event, b.side),
        };
        match event {
            LegEvent::Expired => return By::SessionTimer,
            LegEvent::Request(mut request) if request.method() == Method::Bye => {
                request.answer(200);
                return side;
            }
            LegEvent::Request(mut request) => request.answer(491),
        }
    }
}

/// Carries an INVITE or UPDATE of one phone to the other. `Some` when the call is over.
async fn carry(
    from: &mut Leg,
    to: &mut Leg,
    mut request: ServerTx,
    stop: &CancellationToken,
) -> Option<By> {
    let body = message::sdp_body(&request.request.headers, &request.request.body);
    let offer = match body {
        Some(text) => match Sdp::parse(text) {
            Some(offer) => Some(offer),
            None => {
                request.answer(488);
                return None;
            }
        },
        None if request.request.body.is_empty() => None,
        None => {
            request.answer(415);
            return None;
        }
    };
    match offer {
        Some(offer) => carry_offer(from, to, request, offer, stop).await,
        None => carry_question(from, to, request, stop).await,
    }
}

async fn carry_offer(
    from: &mut Leg,
    to: &mut Leg,
    mut request: ServerTx,
    offer: Sdp,
    stop: &CancellationToken,
) -> Option<By> {
    let (fitted, lines) = offer.fitted(to.layout.as_ref());
    let body = to.origin.write(&fitted);
    let method = if request.method() == Method::Update && to.takes_update() {
        Method::Update
    } else {
        Method::Invite
    };
    let response = match renegotiate(to, from, method, Some(&body), stop).await {
        Renegotiated::Agreed(response) => response,
        other => return refuse(&mut request, other),
    };
    to.acknowledge(None);
    let Some(answer) = message::sdp_body(&response.headers, &response.body).and_then(Sdp::parse)
    else {
        request.answer(488);
        return None;
    };
    let for_from = answer.unfitted(&offer, &lines);
    to.layout = Some(answer.clone());
    to.last_heard = Some(answer);
    from.layout = Some(offer.clone());
    from.last_heard = Some(offer);
    let body = from.origin.write(&for_from);
    from.accept(&mut request, Some(&body));
    None
}

/// An INVITE without an offer: the other phone is asked for one, and the asker answers it in its ACK.
async fn carry_question(
    from: &mut Leg,
    to: &mut Leg,
    mut request: ServerTx,
    stop: &CancellationToken,
) -> Option<By> {
    let response = match renegotiate(to, from, Method::Invite, None, stop).await {
        Renegotiated::Agreed(response) => response,
        other => return refuse(&mut request, other),
    };
    let Some(offer) = message::sdp_body(&response.headers, &response.body).and_then(Sdp::parse)
    else {
        to.acknowledge(None);
        request.answer(488);
        return None;
    };
    let (fitted, lines) = offer.fitted(from.layout.as_ref());
    let body = from.origin.write(&fitted);
    from.accept(&mut request, Some(&body));
    let ack = request.followup(ACK_WAIT).await;
    let answer = ack.and_then(|a| message::sdp_body(&a.headers, &a.body).and_then(Sdp::parse));
    let Some(answer) = answer else {
        // Both stand in the middle of an exchange nobody can finish: the call cannot go on.
        let refusal = to.origin.write(&offer.refusal(to.flow.media_host()));
        to.acknowledge(Some(&refusal));
        return Some(By::Us);
    };
    let for_to = answer.unfitted(&offer, &lines);
    let body = to.origin.write(&for_to);
    to.acknowledge(Some(&body));
    to.layout = Some(offer.clone());
    to.last_heard = Some(offer);
    from.layout = Some(answer.clone());
    from.last_heard = Some(answer);
    None
}

/// Tells the asker that the other did not agree; `Some` when the other is not there any more.
fn refuse(request: &mut ServerTx, outcome: Renegotiated) -> Option<By> {
    match outcome {
        Renegotiated::Agreed(_) => None,
        Renegotiated::Failed(failure) => {
            let lost = matches!(failure.code, Some(408 | 481))
                || failure.cause == FailureCause::TransactionTimeout;
            request.answer(match failure.code {
                Some(491) => 491,
                Some(606) => 606,
                Some(_) | None if lost => 500,
                Some(_) | None => 488,
            });
            lost.then_some(By::Us)
        }
        Renegotiated::Gone(by) => {
            request.answer(487);
            Some(by)
        }
        Renegotiated::Stopped => {
            request.answer(487);
            Some(By::Us)
        }
    }
}
