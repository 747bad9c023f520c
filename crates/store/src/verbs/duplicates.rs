//! A booking for a number that has an open callback in the queue: found, and added to it, inside the
//! transaction that accepts. What it has read of a contact nobody else changes meanwhile, so two requests at the same
//! moment are one after the other.

use super::path::carry_out;
use super::{House, Write, bodies, customers, gather, missing};
use crate::tables::Tables;
use crate::{Result, StoreError};
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::duplicate::{self, Answer};
use ringback_callbacks::event::Actor;
use ringback_callbacks::guard::Guard;
use ringback_callbacks::ids::{InteractionId, TenantId};
use ringback_callbacks::interaction::{Bodies, BodyKind};
use ringback_callbacks::lifecycle::{Command, Refusal};
use ringback_callbacks::queue::Duplicates;
use ringback_callbacks::request::{NewBody, NewCallback};

/// Open callbacks of one number looked at; only a queue that allowed doubles before has more than one.
const LOOKED_AT: usize = 16;

/// Two texts are put into one only as long as that is still something an agent reads.
const LONGEST_TEXT: u64 = 1024 * 1024;

/// What stands between two texts.
const BETWEEN: &[u8] = b"\n\n---\n\n";

/// The oldest open callback that the request meets, and what the queue's rule makes of it.
pub(super) fn meet(
    tables: &dyn Tables,
    tenant: &TenantId,
    rule: Duplicates,
    new: &NewCallback,
) -> Result<Option<(Callback, Answer)>> {
    if rule == Duplicates::Allow {
        return Ok(None);
    }
    for step in &new.contacts {
        for open in tables.open_for(tenant, &new.queue, step.contact.expose(), LOOKED_AT)? {
            // Whoever names the callback to be replaced has decided already.
            if new.replaces == Some(open.interaction.id) {
                continue;
            }
            match duplicate::answer(rule, &open) {
                Answer::Apart => {}
                answer @ (Answer::Merge | Answer::Join | Answer::Refuse) => {
                    return Ok(Some((open, answer)));
                }
            }
        }
    }
    Ok(None)
}

/// Adds the request to the open callback, with its bodies and what it tells of the customer's contacts.
pub(super) fn merge(
    write: &mut Write<'_>,
    house: &House,
    open: Callback,
    mut new: NewCallback,
    actor: &Actor,
    now: Timestamp,
) -> Result<Callback> {
    let tables = write.tables;
    let tenant = open.interaction.tenant.clone();
    let id = open.interaction.id;
    let mut customer = tables
        .customer(&tenant, &open.interaction.customer)?
        .ok_or_else(|| missing("customer"))?;
    let mut asked_for = customer.clone();
    for step in &new.contacts {
        gather::forbid_by_contact(tables, &mut asked_for, &step.contact)?;
    }
    if asked_for.do_not_call {
        return Err(StoreError::Refused(Refusal::Guarded(Guard::DoNotCall)));
    }
    let told: Vec<String> = new
        .contacts
        .iter()
        .map(|step| step.contact.expose().to_owned())
        .collect();
    let learned =
        customers::learn_contacts(tables, &mut customer, told.iter().map(String::as_str))?;
    let mut changed = learned > 0;
    if customer.name.is_none() && new.customer_name.is_some() {
        customer.name.clone_from(&new.customer_name);
        changed = true;
    }
    if changed {
        customer.revision += 1;
        customers::keep(tables, &customer, learned)?;
    }
    let (taken, left) = fit_bodies(tables, &tenant, id, &open.interaction.bodies, new.bodies)?;
    bodies::store_small(tables, house, &tenant, id, &taken, now)?;
    new.bodies = taken;
    let command = Command::Merge {
        new: Box::new(new),
        left,
    };
    carry_out(write, house, open, command, actor, now)
}

/// The bodies as they will be stored, and the kinds for which there was no room: a second text is put
/// behind the first, and of the others the first stays.
fn fit_bodies(
    tables: &dyn Tables,
    tenant: &TenantId,
    id: InteractionId,
    stored: &Bodies,
    told: Vec<NewBody>,
) -> Result<(Vec<NewBody>, Vec<BodyKind>)> {
    let (mut taken, mut left) = (Vec::new(), Vec::new());
    for mut body in told {
        match stored.get(body.kind) {
            None => taken.push(body),
            Some(first)
                if body.kind == BodyKind::PlainText
                    && first.mime == body.mime
                    && first.size + (body.bytes.len() + BETWEEN.len()) as u64 <= LONGEST_TEXT =>
            {
                let mut text = Vec::new();
                let mut index = 0;
                while let Some(chunk) = tables.body_chunk(tenant, id, body.kind, index)? {
                    text.extend(chunk);
                    index += 1;
                }
                text.extend_from_slice(BETWEEN);
                text.append(&mut body.bytes);
                body.bytes = text;
                taken.push(body);
            }
            Some(_) => left.push(body.kind),
        }
    }
    Ok((taken, left))
}
