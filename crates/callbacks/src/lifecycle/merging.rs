//! A second request for the same number: added to the open callback, or put at its place.

use super::*;
use crate::callback::ContactStep;
use crate::duplicate::{self, Answer};
use crate::interaction::Bodies;
use crate::queue::Duplicates;
use crate::request::{MAX_CONTACTS, Place, udata_fits};

impl Work<'_> {
    /// Takes in what the request tells that was not known; what the first request said stays.
    pub(super) fn merge(&mut self, new: NewCallback, left: &[BodyKind]) -> Result<(), Refusal> {
        if self.facts.queue.queue.intake_paused {
            return Err(Refusal::IntakePaused);
        }
        if duplicate::answer(Duplicates::Merge, self.before) != Answer::Merge {
            return self.not_now();
        }
        if let Err(held) = guard::permanent(&self.after, self.facts) {
            return Err(Refusal::Guarded(held.guard()));
        }
        let number = new.contacts.first().map(|step| step.contact.clone());
        let mut fields = Vec::new();
        let wider = duplicate::widened(&self.after.window, &new.window);
        if let Some(wider) = wider {
            let earlier = wider.start < self.after.window.start;
            self.after.window = wider;
            self.widen_local(new.local.clone());
            // An hour the customer asks for lifts their night only together with the hour itself.
            self.after.any_hour |= new.any_hour;
            fields.push("window");
            if earlier {
                self.come_forward()?;
            }
        }
        if new.priority > self.after.priority {
            self.after.priority = new.priority;
            fields.push("priority");
        }
        if self.after.time_zone.is_none() && new.time_zone.is_some() {
            self.after.time_zone = new.time_zone;
            fields.push("time_zone");
        }
        if add_contacts(&mut self.after.contacts, new.contacts) {
            fields.push("contacts");
        }
        let interaction = &mut self.after.interaction;
        if add_subject(&mut interaction.subject, new.subject) {
            fields.push("subject");
        }
        for (name, known, told) in [
            ("sub_type", &mut interaction.sub_type, new.sub_type),
            ("external_id", &mut interaction.external_id, new.external_id),
            ("category_id", &mut interaction.category, new.category),
            ("thread_id", &mut interaction.thread, new.thread),
        ] {
            if known.is_none() && told.is_some() {
                *known = told;
                fields.push(name);
            }
        }
        if interaction.owner.is_none() && new.owner.is_some() {
            interaction.owner = new.owner;
            fields.push("owner_id");
        }
        if add_udata(&mut interaction.udata, new.udata) {
            fields.push("udata");
        }
        fields.extend(add_bodies(&mut interaction.bodies, &new.bodies));
        let left: Vec<&str> = left.iter().map(|kind| kind.name()).collect();
        let masked = number.as_ref().map(Contact::to_string);
        let window = wider.map(|wider| {
            json!({ "from": wire_time::write(wider.start), "to": wider.end.map(wire_time::write) })
        });
        self.say(
            EventKind::Merged,
            json!({ "fields": fields, "left": left, "contact": masked, "window": window }),
        );
        if let (Some(event), Some(number)) = (self.events.last_mut(), number) {
            event.personal = Some(json!({ "customer_number": number.expose() }));
        }
        Ok(())
    }

    /// The customer may now be called earlier. Nothing is moved once a try was made: then the retry table
    /// has the word; nor what somebody put off by hand.
    fn come_forward(&mut self) -> Result<(), Refusal> {
        // Who has a place in a slot is called then: earlier ones are other people's.
        if self.after.slot.is_some() {
            return Ok(());
        }
        let State::Scheduled { due, reason } = self.before.state.clone() else {
            return Ok(());
        };
        match reason {
            DueReason::Booked | DueReason::Held(_) if self.before.placed == 0 => {}
            DueReason::Booked | DueReason::Held(_) | DueReason::Retry | DueReason::Snoozed => {
                return Ok(());
            }
        }
        let told = self.before.promise_now();
        self.place_again(DueReason::Booked)?;
        if let State::Scheduled { due: sooner, .. } = self.after.state
            && sooner < due
        {
            self.say_moved(told, MoveReason::Merged);
            return Ok(());
        }
        // Nothing earlier is allowed: what was promised stays as it is.
        self.after.state.clone_from(&self.before.state);
        self.after.held = self.before.held;
        self.after.promise = self.before.promise;
        self.after.told = self.before.told;
        Ok(())
    }

    /// Stands where the callback stood that it takes over: as long in line, as urgent, and promised no
    /// later, as far as its own window allows.
    pub(super) fn take_place(&mut self, place: &Place) {
        self.after.place_since = place.since;
        self.after.priority = self.after.priority.max(place.priority);
        self.after.interaction.owner = self.after.interaction.owner.or(place.owner);
        let promise = &mut self.after.promise;
        if place.deadline > promise.from {
            promise.to = promise.to.min(place.deadline);
        }
    }
}

/// Adds ways of reaching the customer that the plan does not have yet.
fn add_contacts(plan: &mut Vec<ContactStep>, told: Vec<ContactStep>) -> bool {
    let before = plan.len();
    for step in told {
        if plan.len() < MAX_CONTACTS && plan.iter().all(|known| known.contact != step.contact) {
            plan.push(step);
        }
    }
    plan.len() > before
}

/// Both subjects in one line, if there is room.
fn add_subject(known: &mut Option<String>, told: Option<String>) -> bool {
    const LONGEST: usize = 1000;
    let Some(told) = told else { return false };
    match known {
        None => {
            *known = Some(told);
            true
        }
        Some(known) if known.contains(&told) => false,
        Some(known) if known.chars().count() + told.chars().count() + 3 <= LONGEST => {
            known.push_str(" / ");
            known.push_str(&told);
            true
        }
        Some(_) => false,
    }
}

/// What an application attached last is newest. Past the limits of a request nothing is taken.
fn add_udata(
    known: &mut Option<serde_json::Map<String, Value>>,
    told: Option<serde_json::Map<String, Value>>,
) -> bool {
    let Some(told) = told.filter(|told| !told.is_empty()) else {
        return false;
    };
    let mut both = known.clone().unwrap_or_default();
    both.extend(told);
    if Some(&both) == known.as_ref() || !udata_fits(&both) {
        return false;
    }
    *known = Some(both);
    true
}

fn add_bodies(bodies: &mut Bodies, told: &[crate::request::NewBody]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for body in told {
        bodies.set(
            body.kind,
            Some(BodyInfo {
                mime: body.mime.clone(),
                size: body.bytes.len() as u64,
            }),
        );
        names.push(body.kind.name());
    }
    names
}
