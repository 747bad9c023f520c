//! A booking becomes a callback: customer found or made, everything written in one transaction.

use super::path::{carry_out, write_step};
use super::record::{Family, family};
use super::slots::Said;
use super::{House, Write, bodies, conflict, customers, duplicates, gather, idempotency, slots};
use crate::facts::Gathered;
use crate::tables::{Needs, Tables, Wish};
use crate::{AcceptOrder, Acceptance, Result, StoreError};
use jiff::Timestamp;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::duplicate::{self, Answer};
use ringback_callbacks::event::Actor;
use ringback_callbacks::guard::SlotFacts;
use ringback_callbacks::ids::{CustomerId, InteractionId, TenantId};
use ringback_callbacks::lifecycle::{self, Accepted, Command, Refusal};
use ringback_callbacks::problem::Problems;
use ringback_callbacks::queue::QueueView;
use ringback_callbacks::request::{Admission, NewCallback};
use std::sync::Arc;

/// What a booking looks at before it is decided.
pub(crate) fn needs(order: &AcceptOrder) -> Needs {
    let AcceptOrder {
        tenant, id, new, ..
    } = order;
    let key = |id: InteractionId| (tenant.clone(), id);
    Needs {
        queues: vec![(tenant.clone(), new.queue.clone())],
        contacts: new
            .contacts
            .iter()
            .map(|step| (tenant.clone(), step.contact.expose().to_owned()))
            .collect(),
        customers: new
            .customer
            .iter()
            .map(|customer| (tenant.clone(), customer.clone()))
            .collect(),
        callbacks: new.replaces.into_iter().map(key).collect(),
        held: Vec::new(),
        attempts: Vec::new(),
        interactions: new.parent.into_iter().map(key).collect(),
        made: vec![key(*id)],
        answers: order
            .idempotent
            .iter()
            .map(|asked| (tenant.clone(), asked.application, asked.key.clone()))
            .collect(),
        places: if new.hold.is_none() && new.admission == Admission::Unplanned {
            vec![Wish {
                queue: (tenant.clone(), new.queue.clone()),
                window: new.window,
                said: Said::of(new.local.is_some()),
            }]
        } else {
            Vec::new()
        },
        now: Some(order.now),
    }
}

pub(crate) fn accept(
    write: &mut Write<'_>,
    house: &House,
    order: AcceptOrder,
) -> Result<Acceptance> {
    let AcceptOrder {
        tenant,
        id,
        mut new,
        actor,
        now,
        idempotent,
        dry_run,
    } = order;
    let tables = write.tables;
    if let (Some(asked), false) = (&idempotent, dry_run)
        && let Some(answer) = idempotency::seen(
            tables,
            &tenant,
            asked.application,
            &asked.key,
            &asked.fingerprint,
            now,
        )?
    {
        return Ok(Acceptance::Repeated(answer));
    }
    let Some(first) = new.contacts.first() else {
        return Err(Refusal::Invalid(Problems::one(
            "contacts",
            "required",
            "must name at least one contact",
        ))
        .into());
    };
    if tables.interaction(&tenant, id)?.is_some() {
        return Err(conflict(
            "interaction_id",
            "exists",
            "an interaction of this id exists already",
        ));
    }
    let Family { thread } = family(tables, &tenant, new.parent, new.thread.take())?;
    new.thread = thread;
    let queue = gather::queue_view(tables, &house.views, &tenant, &new.queue)?
        .ok_or_else(|| conflict("queue", "not_found", "there is no such queue"))?;
    match duplicates::meet(tables, &tenant, queue.rules().duplicates, &new)? {
        None => {}
        Some((open, Answer::Join)) => {
            new.place = Some(duplicate::place_of(&open));
            new.replaces = new.replaces.or(Some(open.interaction.id));
        }
        Some((open, Answer::Refuse)) => {
            let of = open.interaction.id;
            return Err(Refusal::Duplicate { of }.into());
        }
        Some((open, Answer::Merge)) => {
            let replaces = new.replaces;
            let merged = duplicates::merge(write, house, open, new, &actor, now)?;
            if let Some(old) = replaces {
                replace(
                    write,
                    house,
                    &tenant,
                    old,
                    merged.interaction.id,
                    &actor,
                    now,
                )?;
            }
            if dry_run {
                write.discard = true;
                return Ok(Acceptance::Merged(Box::new(merged), None));
            }
            let answer = idempotent
                .map(|asked| {
                    idempotency::remember(write.tables, house, &tenant, asked, &merged, now)
                })
                .transpose()?;
            return Ok(Acceptance::Merged(Box::new(merged), answer));
        }
        Some((_, Answer::Apart)) => {}
    }
    let number = gather::number(tables, &tenant, id, &first.contact, now)?;
    let Found {
        customer,
        changed,
        learned,
    } = find_or_make(tables, house, &tenant, &new, now)?;
    let customer_id = customer.id.clone();
    let mut asked_for = customer.clone();
    gather::forbid_by_contact(tables, &mut asked_for, &first.contact)?;
    let slots = slots_for(tables, &tenant, &new, &queue, &asked_for, now)?;
    let facts = Gathered {
        queue,
        customer: asked_for,
        number,
        almanac: house.views.almanac(),
        jitter: house.chance.unit(),
        slots,
    };
    let replaces = new.replaces;
    let Accepted {
        step,
        bodies: contents,
    } = lifecycle::accept(
        tenant.clone(),
        id,
        customer_id,
        new,
        &actor,
        &facts.lend(),
        now,
    )
    .map_err(|refusal| slots::instead(write.tables, &facts.queue, refusal, now))?;
    // Nothing is written before it is decided: a refusal leaves nothing to undo.
    if changed {
        customers::keep(write.tables, &customer, learned)?;
    }
    let callback = write_step(write, house, None, step, now)?;
    bodies::store_small(write.tables, house, &tenant, id, &contents, now)?;
    if let Some(old) = replaces {
        replace(write, house, &tenant, old, id, &actor, now)?;
    }
    if dry_run {
        write.discard = true;
        return Ok(Acceptance::New(Box::new(callback), None));
    }
    let answer = idempotent
        .map(|asked| idempotency::remember(write.tables, house, &tenant, asked, &callback, now))
        .transpose()?;
    Ok(Acceptance::New(Box::new(callback), answer))
}

/// What is taken of the queue's slots where the request wants one, and the place kept for it.
fn slots_for(
    tables: &dyn Tables,
    tenant: &TenantId,
    new: &NewCallback,
    queue: &Arc<QueueView>,
    customer: &Customer,
    now: Timestamp,
) -> Result<Option<SlotFacts>> {
    // Where a planner has answered, the plan is what is sold; slots are for those who keep one beforehand.
    if new.hold.is_none() && new.admission != Admission::Unplanned {
        return Ok(None);
    }
    let held = match new.hold {
        Some(hold) => Some(slots::take_hold(tables, tenant, hold, &new.queue, now)?),
        None => None,
    };
    let within = queue.rules().promise_within.as_duration();
    let wanted = held.map(|start| (start, start));
    let Some(wanted) = wanted.or_else(|| lifecycle::wanted(&new.window, within, now)) else {
        return Ok(None);
    };
    let leaves: Vec<InteractionId> = new.replaces.into_iter().collect();
    let said = Said::of(new.local.is_some());
    let facts = slots::facts(tables, queue, customer, wanted, said, now, &leaves)?;
    Ok(facts.map(|facts| SlotFacts { held, ..facts }))
}

/// Whom a request is for.
struct Found {
    customer: Customer,
    /// They are new, or the request told something new of them.
    changed: bool,
    /// So many of their contacts, the last ones, are new.
    learned: usize,
}

/// The customer named, or whose contact it is, or a new one, with what the request tells of them.
fn find_or_make(
    tables: &dyn Tables,
    house: &House,
    tenant: &TenantId,
    new: &NewCallback,
    now: Timestamp,
) -> Result<Found> {
    let contacts = || new.contacts.iter().map(|step| step.contact.expose());
    let mut found = match &new.customer {
        Some(id) => tables.customer(tenant, id)?,
        None => None,
    };
    if new.customer.is_none() {
        for contact in contacts() {
            found = customers::by_contact(tables, tenant, contact)?;
            if found.is_some() {
                break;
            }
        }
    }
    let is_new = found.is_none();
    let mut customer = match found {
        Some(known) => known,
        None => Customer {
            tenant: tenant.clone(),
            id: match &new.customer {
                Some(named) => named.clone(),
                None => unused_id(tables, house, tenant, now)?,
            },
            name: new.customer_name.clone(),
            contacts: Vec::new(),
            time_zone: None,
            do_not_call: false,
            created_at: now,
            revision: 1,
        },
    };
    let mut changed = is_new;
    if customer.name.is_none() && new.customer_name.is_some() {
        customer.name.clone_from(&new.customer_name);
        changed = true;
    }
    let learned = customers::learn_contacts(tables, &mut customer, contacts())?;
    changed |= learned > 0;
    if changed && !is_new {
        customer.revision += 1;
    }
    Ok(Found {
        customer,
        changed,
        learned,
    })
}

/// Two who come in the same millisecond may draw the same id, about once in 10^11 pairs: nobody becomes somebody else.
fn unused_id(
    tables: &dyn Tables,
    house: &House,
    tenant: &TenantId,
    now: Timestamp,
) -> Result<CustomerId> {
    for _ in 0..8 {
        let id = house.chance.customer_id(now);
        if tables.is_unused(tenant, &id)? {
            return Ok(id);
        }
    }
    Err(StoreError::Failed(
        "no unused customer id was drawn".to_owned(),
    ))
}

fn replace(
    write: &mut Write<'_>,
    house: &House,
    tenant: &TenantId,
    old: InteractionId,
    by: InteractionId,
    actor: &Actor,
    now: Timestamp,
) -> Result<()> {
    let before = write
        .tables
        .callback(tenant, old)?
        .ok_or_else(|| conflict("replaces", "not_found", "there is no such callback"))?;
    match carry_out(write, house, before, Command::Replace { by }, actor, now) {
        Ok(_) => Ok(()),
        Err(StoreError::Refused(Refusal::NotNow { state })) => Err(StoreError::Conflict {
            field: Some("replaces"),
            code: "not_now",
            detail: format!("a callback that is {state} cannot be replaced"),
        }),
        Err(error) => Err(error),
    }
}
