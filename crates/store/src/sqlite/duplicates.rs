//! A booking for a number that has an open callback in the queue: found, and added to it, inside the
//! transaction that accepts. There is one writer, so two requests at the same moment are one after the other.

use super::path::carry_out;
use super::rows;
use super::writer::Write;
use super::{House, bodies, customers, gather};
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
use rusqlite::{Connection, params};

/// Open callbacks of one number looked at; only a queue that allowed doubles before has more than one.
const LOOKED_AT: usize = 16;

/// Two texts are put into one only as long as that is still something an agent reads.
const LONGEST_TEXT: u64 = 1024 * 1024;

/// What stands between two texts.
const BETWEEN: &[u8] = b"\n\n---\n\n";

/// The oldest open callback that the request meets, and what the queue's rule makes of it.
pub(super) fn meet(
    conn: &Connection,
    tenant: &TenantId,
    rule: Duplicates,
    new: &NewCallback,
) -> Result<Option<(Callback, Answer)>> {
    if rule == Duplicates::Allow {
        return Ok(None);
    }
    for step in &new.contacts {
        for open in open_for(conn, tenant, new, step.contact.expose())? {
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

fn open_for(
    conn: &Connection,
    tenant: &TenantId,
    new: &NewCallback,
    contact: &str,
) -> Result<Vec<Callback>> {
    let mut statement = conn.prepare_cached(
        "SELECT DISTINCT callbacks.doc, contacts.created_at, contacts.callback
         FROM callback_contacts AS contacts CROSS JOIN callbacks
             ON callbacks.tenant = contacts.tenant AND callbacks.id = contacts.callback
         WHERE contacts.tenant = ?1 AND contacts.contact = ?2 AND callbacks.queue = ?3
             AND callbacks.ended_at IS NULL
         ORDER BY contacts.created_at, contacts.callback LIMIT ?4",
    )?;
    let mut found = statement.query(params![
        tenant.as_str(),
        contact,
        new.queue.as_str(),
        rows::int(LOOKED_AT as u64)
    ])?;
    let mut open = Vec::new();
    while let Some(row) = found.next()? {
        open.push(rows::callback_of(&row.get::<_, String>(0)?)?);
    }
    Ok(open)
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
    let conn = write.conn;
    let tenant = open.interaction.tenant.clone();
    let id = open.interaction.id;
    let mut customer = customers::read_customer(conn, &tenant, &open.interaction.customer)?
        .ok_or_else(|| rows::missing("customer"))?;
    let mut asked_for = customer.clone();
    for step in &new.contacts {
        gather::forbid_by_contact(conn, &mut asked_for, &step.contact)?;
    }
    if asked_for.do_not_call {
        return Err(StoreError::Refused(Refusal::Guarded(Guard::DoNotCall)));
    }
    let told: Vec<String> = new
        .contacts
        .iter()
        .map(|step| step.contact.expose().to_owned())
        .collect();
    let mut changed =
        customers::learn_contacts(conn, &mut customer, told.iter().map(String::as_str))?;
    if customer.name.is_none() && new.customer_name.is_some() {
        customer.name.clone_from(&new.customer_name);
        changed = true;
    }
    if changed {
        customer.revision += 1;
        customers::write_customer(conn, &customer)?;
    }
    let (taken, left) = fit_bodies(conn, &tenant, id, &open.interaction.bodies, new.bodies)?;
    bodies::store_small(conn, house, &tenant, id, &taken, now)?;
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
    conn: &Connection,
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
                while let Some(chunk) = bodies::read_chunk(conn, tenant, id, body.kind, index)? {
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
