//! An assigned callback is placed: route ready, attempt recorded, channel at work, outcome settled.

use crate::carry::Carrier;
use crate::mail;
use jiff::Timestamp;
use ringback_callbacks::agent::Agent;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::contact::{Contact, ResponseType};
use ringback_callbacks::guard::Guard;
use ringback_callbacks::ids::AttemptId;
use ringback_callbacks::lifecycle::{self, Begin, Command};
use ringback_callbacks::outcome::Outcome;
use ringback_callbacks::queue::{Delivery, Queue};
use ringback_callbacks::state::{State, Target};
use ringback_callbacks::wire_time::plus;
use ringback_channels::{Channel, Near, Order, Places, Progress, Unready};
use ringback_store::StoreError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A route that is only pacing is waited for with the agent in hand; longer than this, they are let go.
const WAIT_FOR_ROUTE: Duration = Duration::from_secs(2);
/// How long a callback is put aside at least when a route has no room for it.
const LEAST_ASIDE: Duration = Duration::from_secs(1);
/// How long a callback is put aside at least when every route is down, or the store cannot be read: asking
/// sooner would give and take agents in a circle.
const PUT_ASIDE: Duration = Duration::from_secs(5);
/// Progress that may wait for the store before the channel waits for us.
const PROGRESS: usize = 16;

/// An attempt that is recorded and has a route: what the channel needs to place it.
struct Begun {
    channel: Arc<dyn Channel>,
    order: Order,
    places: Places,
}

/// Carries an `Assigned` callback on. Returns it in its next state if it is still ours, else `None`.
///
/// What comes before and after the attempt is boxed: thousands of calls may be in the air, and each would keep room for
/// what its beginning and its end need.
pub async fn place(carrier: &Carrier, callback: Box<Callback>) -> Option<Box<Callback>> {
    let begun = match Box::pin(begin(carrier, callback)).await {
        Ok(begun) => begun,
        Err(next) => return next,
    };
    let parts = &carrier.parts;
    let (channel, attempt) = (begun.channel.name(), begun.order.attempt);
    let outcome = run(carrier, begun).await?;
    parts.observer.attempt_ended(channel, outcome.verdict);
    tracing::info!(
        callback.id = %carrier.id, attempt.id = %attempt, attempt.outcome = outcome.verdict.name(),
        attempt.result = outcome.result.0, platform.scheme = %outcome.platform.scheme,
        platform.code = outcome.platform.code, "attempt ended"
    );
    let settle = Command::Settle {
        fence: carrier.fence,
        attempt,
        outcome,
    };
    Box::pin(carrier.tell(settle)).await
}

/// Everything up to the recorded attempt, or what the callback has become instead.
async fn begin(carrier: &Carrier, callback: Box<Callback>) -> Result<Begun, Option<Box<Callback>>> {
    let parts = &carrier.parts;
    let State::Assigned { target, since, .. } = &callback.state else {
        return Err(Some(callback));
    };
    if parts.draining.is_cancelled() {
        return Err(carrier.release(Guard::NoAgent, parts.clock.now()).await);
    }
    let target = target.clone();
    let late_since = *since;
    let now = parts.clock.now();
    let queue = parts
        .queues
        .find(parts.store.as_ref(), &carrier.tenant, &callback.queue, now)
        .await;
    let Some(queue) = queue.ok().flatten() else {
        return Err(carrier
            .release(
                Guard::RulesUnreadable,
                plus(parts.clock.now(), Duration::from_secs(60)),
            )
            .await);
    };
    let Some(channel) = parts.channels.serving(callback.response_type()) else {
        let fault = format!(
            "no channel is configured for {}",
            callback.response_type().as_str()
        );
        return Err(carrier
            .tell(Command::Fail {
                fence: carrier.fence,
                fault,
            })
            .await);
    };
    let agent = match target.agent() {
        Some(id) => match parts.store.agent(&carrier.tenant, id).await {
            Ok(Some(agent)) => Some(agent),
            Ok(None) => return Err(carrier.release(Guard::NoAgent, parts.clock.now()).await),
            Err(error) => return Err(put_aside(carrier, &error).await),
        },
        None => None,
    };
    if writes_first(&callback, &target) {
        return Err(await_reply(carrier, callback, &queue).await);
    }
    let attempt = AttemptId(parts.chance.uuid());
    let ordered = order_for(carrier, &callback, &queue, &target, agent.as_ref(), attempt).await;
    let order = match ordered {
        Ok(order) => order,
        Err(error) => return Err(put_aside(carrier, &error).await),
    };
    let patience = plus(parts.clock.now(), WAIT_FOR_ROUTE);
    // Taken before the attempt is recorded: of many that are due at once each knows whether it has room. Where the
    // attempt is not recorded after all, they are free again.
    let places = loop {
        let now = parts.clock.now();
        match channel.reserve(&order) {
            Ok(places) => break places,
            // A call that ends makes room long before the second is over; a wait of nothing would spin.
            Err(Unready::Wait(rest)) if plus(now, rest) <= patience => {
                let again = plus(now, rest.max(Duration::from_millis(10)));
                tokio::select! {
                    biased;
                    () = carrier.lost.cancelled() => return Err(None),
                    () = parts.draining.cancelled() => {}
                    () = carrier.changed.notified() => {}
                    () = parts.clock.sleep_until(again) => {}
                }
                let current = carrier.read().await.ok_or(None)?;
                if !matches!(current.state, State::Assigned { .. }) || parts.draining.is_cancelled()
                {
                    return Err(Some(current));
                }
            }
            Err(Unready::Wait(rest)) => {
                let until = plus(now, rest.max(channel.turn(&order)).max(LEAST_ASIDE));
                return Err(carrier.release(Guard::Route, until).await);
            }
            Err(Unready::Down(rest)) => {
                let until = plus(now, rest.max(PUT_ASIDE));
                return Err(carrier.release(Guard::Route, until).await);
            }
            Err(Unready::NoRoute) => {
                let fault = format!(
                    "no route is configured for {} in this queue",
                    callback.response_type().as_str()
                );
                return Err(carrier
                    .tell(Command::Fail {
                        fence: carrier.fence,
                        fault,
                    })
                    .await);
            }
        }
    };
    let legs = channel.prepare(&order, &places).await;
    let order = Order { legs, ..order };
    let begun = record(carrier, channel.as_ref(), &order, &callback)
        .await
        .ok_or(None)?;
    if !matches!(begun.state, State::Dialling { attempt: live, .. } if live == attempt) {
        return Err(Some(begun));
    }
    let now = parts.clock.now();
    let late = Duration::from_millis(
        u64::try_from(now.as_millisecond() - late_since.as_millisecond()).unwrap_or(0),
    );
    parts.observer.attempt_began(channel.name(), late);
    tracing::info!(
        callback.id = %carrier.id, attempt.id = %attempt, attempt.number = begun.placed,
        attempt.channel = channel.name(), "attempt begun"
    );
    // Between the record and the first ring lies no transaction: only the lease says that nobody else has the attempt.
    if !carrier.may_ring_still().await {
        tracing::warn!(callback.id = %carrier.id, attempt.id = %attempt, "the claim ran out before anybody was rung; nobody is");
        return Err(None);
    }
    let number = begun.placed;
    let order = Order { number, ..order };
    Ok(Begun {
        channel,
        order,
        places,
    })
}

/// E-mail callbacks answered by people wait for the people to write.
fn writes_first(callback: &Callback, target: &Target) -> bool {
    callback.response_type() == ResponseType::Email
        && target.agent().is_some()
        && callback.reply.is_none()
}

async fn await_reply(
    carrier: &Carrier,
    callback: Box<Callback>,
    queue: &Queue,
) -> Option<Box<Callback>> {
    let parts = &carrier.parts;
    // From now on, not from the claim: the agent has just taken it.
    let deadline = plus(parts.clock.now(), queue.rules.reply.as_duration());
    loop {
        tokio::select! {
            biased;
            () = carrier.lost.cancelled() => return None,
            () = parts.draining.cancelled() => {}
            () = carrier.changed.notified() => {}
            () = parts.clock.sleep_until(deadline) => {}
        }
        let current = carrier.read().await?;
        if current.reply.is_some() || !matches!(current.state, State::Assigned { .. }) {
            return Some(current);
        }
        if parts.draining.is_cancelled() {
            return carrier.release(Guard::NoAgent, parts.clock.now()).await;
        }
        if parts.clock.now() >= deadline {
            tracing::info!(callback.id = %callback.interaction.id, "no answer was written in time");
            return carrier
                .tell(Command::OfferTimedOut {
                    fence: carrier.fence,
                })
                .await;
        }
    }
}

/// Back on the timer for a moment, because the store answers no question just now.
async fn put_aside(carrier: &Carrier, error: &StoreError) -> Option<Box<Callback>> {
    carrier.parts.observer.store_failed();
    tracing::error!(callback.id = %carrier.id, error = %error, "the store cannot be asked; put aside");
    let until = plus(carrier.parts.clock.now(), PUT_ASIDE);
    carrier.release(Guard::RulesUnreadable, until).await
}

async fn order_for(
    carrier: &Carrier,
    callback: &Callback,
    queue: &Queue,
    target: &Target,
    agent: Option<&Agent>,
    attempt: AttemptId,
) -> Result<Order, StoreError> {
    let rules = &queue.rules;
    let near = match (target, agent, &rules.delivery) {
        (Target::Agent(id), Some(agent), _) => Near::Agent {
            id: *id,
            dn: agent.dn.clone(),
            route: agent.route.clone(),
        },
        (Target::Dn, _, Delivery::Dn { dn, location, .. }) => Near::Dn {
            dn: dn.clone(),
            location: location.clone(),
        },
        (Target::Agent(_) | Target::Dn | Target::Template, _, _) => Near::Nobody,
    };
    let mail = match callback.contact() {
        Contact::Email(_) => Some(mail::compose(&carrier.parts, callback, queue).await?),
        Contact::Phone(_) | Contact::Voip(_) => None,
    };
    Ok(Order {
        tenant: carrier.tenant.clone(),
        callback: carrier.id,
        attempt,
        number: callback.placed + 1,
        near,
        contact: callback.contact().clone(),
        routes: rules.routes.of(callback.response_type()).to_vec(),
        leg_order: rules.leg_order,
        ring_agent: rules.ring_agent.as_duration(),
        ring_customer: rules.ring_customer.as_duration(),
        max_talk: rules.max_talk.as_duration(),
        caller_id: rules.caller_id.clone(),
        mail,
        legs: serde_json::Value::Null,
    })
}

/// Records the attempt. When the store fails it may still have been recorded: it is looked up by its
/// id before anything else is tried, so that no number is ever used twice.
async fn record(
    carrier: &Carrier,
    channel: &dyn Channel,
    order: &Order,
    callback: &Callback,
) -> Option<Box<Callback>> {
    let (dn, location) = match &order.near {
        Near::Agent { dn, route, .. } => (Some(dn.clone()), route.clone()),
        Near::Dn { dn, location } => (Some(dn.clone()), Some(location.clone())),
        Near::Nobody => (callback.dn.clone(), callback.location.clone()),
    };
    let begin = Begin {
        attempt: order.attempt,
        channel: channel.name().to_owned(),
        route: order.routes.first().cloned(),
        dn,
        location,
        server: carrier.parts.node.name.clone(),
        legs: order.legs.clone(),
    };
    // `try_tell` repeats the command after a failure: if the first had been stored, the repetition is
    // refused because the callback is dialling already, and the callback is read: it names our attempt.
    let command = Command::BeginAttempt {
        fence: carrier.fence,
        begin,
    };
    match carrier.try_tell(command).await {
        Ok(begun) => begun,
        // The index behind the guard, or a row that cannot be read. The agent is not kept for that.
        Err(error) => {
            tracing::error!(callback.id = %carrier.id, error = %error, "the attempt cannot be recorded");
            let until = plus(carrier.parts.clock.now(), Duration::from_secs(60));
            carrier.release(Guard::NumberInCall, until).await
        }
    }
}

/// Lets the channel work, writes down what it reports, and passes on a wish to stop. `None` if the channel
/// broke: then the lease runs out, and rescue ends what is left of the call before it says what became of it.
async fn run(carrier: &Carrier, begun: Begun) -> Option<Outcome> {
    let parts = &carrier.parts;
    let attempt = begun.order.attempt;
    let (sender, mut reports) = mpsc::channel(PROGRESS);
    let stop = parts.stopping.child_token();
    // Should this task break, the call it watches over is ended.
    let _hang_up = stop.clone().drop_guard();
    let work = {
        let stop = stop.clone();
        tokio::spawn(async move {
            let Begun {
                channel,
                order,
                places,
            } = begun;
            channel.attempt(order, places, sender, stop).await
        })
    };
    let mut reporting = true;
    // When to ask again whether somebody cancelled, because the store did not answer.
    let mut ask_again = None;
    while reporting {
        tokio::select! {
            biased;
            report = reports.recv() => match report {
                Some(report) => Box::pin(write_down(carrier, attempt, report, &stop)).await,
                None => reporting = false,
            },
            () = carrier.lost.cancelled(), if !stop.is_cancelled() => stop.cancel(),
            () = carrier.changed.notified() => ask_again = heed_wish(carrier, &stop).await,
            () = parts.clock.sleep_until(ask_again.unwrap_or(Timestamp::MAX)), if ask_again.is_some() => {
                ask_again = heed_wish(carrier, &stop).await;
            }
        }
    }
    match work.await {
        Ok(outcome) => Some(outcome),
        // What a panic says may name whom it was calling: it is not repeated here.
        Err(_) => {
            tracing::error!(callback.id = %carrier.id, attempt.id = %attempt, "the channel broke while the call was in the air");
            None
        }
    }
}

/// Ends the call if somebody wants that. Says when to ask again if the store does not answer: that is no
/// reason to hang up on people, nor to forget a cancellation.
async fn heed_wish(carrier: &Carrier, stop: &CancellationToken) -> Option<Timestamp> {
    match wants_stop(carrier).await {
        Ok(true) => stop.cancel(),
        Ok(false) => {}
        Err(error) => {
            carrier.parts.observer.store_failed();
            tracing::warn!(callback.id = %carrier.id, error = %error, "the callback cannot be read; asking again");
            return Some(plus(carrier.parts.clock.now(), Duration::from_secs(1)));
        }
    }
    None
}

async fn wants_stop(carrier: &Carrier) -> Result<bool, StoreError> {
    let store = &carrier.parts.store;
    let Some(callback) = store.callback(&carrier.tenant, carrier.id).await? else {
        return Ok(false);
    };
    let claim = callback.state.claim();
    let ours = claim.is_some_and(|claim| claim.fence == carrier.fence);
    Ok(!ours || callback.stop.is_some())
}

async fn write_down(
    carrier: &Carrier,
    attempt: AttemptId,
    report: Progress,
    stop: &CancellationToken,
) {
    let parts = &carrier.parts;
    let what = match report {
        Progress::Legs(legs, receipt) => {
            // A call that is up goes on without the store; a phone that does not ring yet need not.
            if receipt.is_before_a_ring() && !carrier.may_ring() {
                tracing::warn!(callback.id = %carrier.id, attempt.id = %attempt, "the claim has run out; nobody else is rung");
                stop.cancel();
                return;
            }
            let noted = parts
                .store
                .note_legs(&carrier.tenant, attempt, carrier.fence, legs)
                .await;
            match noted {
                Ok(()) => {}
                // Somebody else has the callback: whoever cleans up behind us does not know this leg, so
                // it must not come to be. The stop is there before the receipt lets the INVITE go.
                Err(StoreError::Refused(_)) => {
                    tracing::warn!(callback.id = %carrier.id, attempt.id = %attempt, "the claim was lost; the call is ended");
                    stop.cancel();
                }
                Err(error) => {
                    parts.observer.store_failed();
                    tracing::error!(callback.id = %carrier.id, error = %error, "dialog identifiers could not be stored");
                    // Asking took its time.
                    if receipt.is_before_a_ring() && !carrier.may_ring() {
                        stop.cancel();
                    }
                }
            }
            // Only now may the INVITE that they name leave.
            drop(receipt);
            return;
        }
        Progress::Ringing { party } => lifecycle::Progress::Ringing {
            party: party.to_owned(),
        },
        Progress::Answered { party } => lifecycle::Progress::Answered {
            party: party.to_owned(),
        },
        Progress::RouteFailed {
            party,
            route,
            code,
            text,
        } => lifecycle::Progress::RouteFailed {
            party: party.to_owned(),
            route,
            code,
            text,
        },
        Progress::Connected { route } => lifecycle::Progress::Connected { route },
    };
    let command = Command::Progress {
        fence: carrier.fence,
        attempt,
        what,
    };
    let order = ringback_store::ApplyOrder::system(
        carrier.tenant.clone(),
        carrier.id,
        command,
        parts.clock.now(),
    );
    // Progress is told once: a store that fails must not hold up the call, whose end is settled for certain.
    if let Err(error) = parts.store.apply(order).await {
        tracing::warn!(callback.id = %carrier.id, attempt.id = %attempt, error = %error, "progress was not recorded");
    }
}
