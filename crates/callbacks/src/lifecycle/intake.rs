//! Acceptance: a good request becomes a callback with its first place on the clock.

use super::{Refusal, Step, Work};
use crate::callback::{Callback, Promise, Tries};
use crate::event::{Actor, EventKind};
use crate::guard::Facts;
use crate::ids::{CustomerId, InteractionId, TenantId};
use crate::interaction::{Bodies, BodyInfo, BodyKind, EntityType, Interaction};
use crate::request::{Admission, NewBody, NewCallback};
use crate::state::{DueReason, State};
use crate::wire_time;
use jiff::Timestamp;
use serde_json::json;

/// What the store writes for a new callback.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub step: Step,
    pub bodies: Vec<NewBody>,
}

/// Decides on a booking, with the same guards that will be asked at every dial.
pub fn accept(
    tenant: TenantId,
    id: InteractionId,
    customer: CustomerId,
    new: NewCallback,
    actor: &Actor,
    facts: &Facts<'_>,
    now: Timestamp,
) -> Result<Accepted, Refusal> {
    if facts.queue.queue.intake_paused {
        return Err(Refusal::IntakePaused);
    }
    let now = wire_time::truncate(now);
    let creator_app = match actor {
        Actor::Application(id) => *id,
        Actor::System | Actor::Agent(_) | Actor::Customer | Actor::Operator => 0,
    };
    let plain = new
        .bodies
        .iter()
        .find(|body| body.kind == BodyKind::PlainText);
    let text = plain.and_then(|body| std::str::from_utf8(&body.bytes).ok());
    let by_rule = facts.queue.rules().categorise(new.subject.as_deref(), text);
    let mut bodies = Bodies::default();
    for body in &new.bodies {
        bodies.set(
            body.kind,
            Some(BodyInfo {
                mime: body.mime.clone(),
                size: body.bytes.len() as u64,
            }),
        );
    }
    let callback = Callback {
        interaction: Interaction {
            tenant,
            id,
            customer,
            entity_type: EntityType::CALLBACK,
            kind: new.kind,
            sub_type: new.sub_type,
            media_type: new.media_type,
            parent: new.parent,
            thread: new.thread,
            external_id: new.external_id,
            owner: new.owner,
            creator_app,
            created_at: now,
            ended_at: None,
            timeshift: new.timeshift,
            category_by_hand: new.category.is_some(),
            category: new.category.or(by_rule),
            allow_children: new.allow_children,
            subject: new.subject,
            stopped_reason: None,
            bodies,
            udata: new.udata,
        },
        queue: new.queue,
        window: new.window,
        local: new.local,
        contacts: new.contacts,
        current: 0,
        time_zone: new.time_zone,
        any_hour: new.any_hour,
        priority: new.priority,
        promise: Promise::open(new.window.start, new.window.start),
        told: None,
        slot: None,
        at_risk: None,
        callback_type: new.callback_type,
        state: State::Received,
        fence: 0,
        attempts: 0,
        placed: 0,
        tries: Tries::default(),
        last_result: None,
        last_attempt_at: None,
        connected_at: None,
        dn: None,
        location: None,
        server: None,
        place_since: None,
        held: None,
        stop: None,
        reply: None,
        may_have_reached: false,
        passed_by: Vec::new(),
        revision: 0,
        events: 0,
        last_hash: String::new(),
    };
    let mut work = Work::new(&callback, actor, facts, now);
    work.resolve_local()?;
    work.take_up_hold()?;
    work.place_again(DueReason::Booked)?;
    match new.place {
        // A place that is kept for it is its own, however full the plan is.
        None if new.hold.is_some() && new.admission == Admission::Full => {}
        None => work.admit(&new.admission)?,
        // It takes over a place that was given already: there is room.
        Some(place) => {
            if new.admission != Admission::Full {
                work.admit(&new.admission)?;
            }
            work.take_place(&place);
        }
    }
    let promise = work.after.promise;
    let number = callback.contact().expose().to_owned();
    let masked = callback.contact().to_string();
    let detail = json!({
        "queue": callback.queue.to_string(),
        "response_type": callback.response_type().as_str(),
        "contact": masked,
        "start_time": wire_time::write(work.after.window.start),
        "end_time": work.after.window.end.map(wire_time::write),
        "promise_from": wire_time::write(promise.from),
        "promise_to": wire_time::write(promise.to),
        "slot": work.after.slot.map(|slot| wire_time::write(slot.start)),
    });
    work.say(EventKind::Accepted, detail);
    if let Some(event) = work.events.last_mut() {
        event.personal = Some(json!({ "customer_number": number }));
    }
    work.say_held();
    Ok(Accepted {
        step: work.finish(),
        bodies: new.bodies,
    })
}

impl Work<'_> {
    /// Puts the planner's promise in the place of the one that the rules alone would give. Hours and the
    /// customer's night still bind: a promise never begins before the first moment at which a dial is allowed.
    fn admit(&mut self, admission: &Admission) -> Result<(), Refusal> {
        let (from, to) = match admission {
            Admission::Unplanned => return Ok(()),
            Admission::Full => return Err(Refusal::Full),
            Admission::Promised { from, to } => (*from, *to),
        };
        let promise = &mut self.after.promise;
        promise.from = promise.from.max(wire_time::truncate(from));
        promise.to = promise.from.max(wire_time::truncate(to));
        if let State::Scheduled { due, .. } = &mut self.after.state {
            *due = promise.from.max(*due);
        }
        Ok(())
    }
}
