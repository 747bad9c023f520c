//! Reads the facts a decision may look at: queue, customer, and what is known of the number.

use super::slots::Said;
use super::{before, missing, slots};
use crate::Result;
use crate::effects;
use crate::facts::{Gathered, NUMBER_DAY, QueueViews, Switches};
use crate::rows::damaged;
use crate::tables::Tables;
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::contact::Contact;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::guard::NumberFacts;
use ringback_callbacks::ids::{InteractionId, QueueId, TenantId};
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::queue::QueueView;
use std::sync::Arc;

/// Facts for a decision about a callback, under the rules of `queue`.
pub(super) fn facts(
    tables: &dyn Tables,
    views: &QueueViews,
    callback: &Callback,
    queue: &QueueId,
    now: Timestamp,
    jitter: f64,
    command: Option<&Command>,
) -> Result<Gathered> {
    let tenant = &callback.interaction.tenant;
    let queue = queue_view(tables, views, tenant, queue)?.ok_or_else(|| missing("queue"))?;
    let mut customer = tables
        .customer(tenant, &callback.interaction.customer)?
        .ok_or_else(|| damaged("callbacks", "doc", "its customer is gone"))?;
    forbid_by_contact(tables, &mut customer, callback.contact())?;
    let number = number(
        tables,
        tenant,
        callback.interaction.id,
        callback.contact(),
        now,
    )?;
    let stretch = command.and_then(|command| effects::wanted(callback, command, &queue, now));
    let said = Said::of(match command {
        Some(Command::Reschedule { local, .. }) => local.is_some(),
        Some(Command::Snooze { .. }) => false,
        // Whatever else takes a place may do so by the local time that the callback has or is given.
        Some(_) | None => true,
    });
    let slots = match stretch {
        Some(stretch) => slots::facts(
            tables,
            &queue,
            &customer,
            stretch,
            said,
            now,
            &[callback.interaction.id],
        )?,
        None => None,
    };
    Ok(Gathered {
        queue,
        customer,
        number,
        almanac: views.almanac(),
        jitter,
        slots,
    })
}

/// A wish not to be called holds for the number, whichever customer's name a request puts beside it.
pub(super) fn forbid_by_contact(
    tables: &dyn Tables,
    customer: &mut Customer,
    contact: &Contact,
) -> Result<()> {
    if customer.do_not_call || customer.contacts.iter().any(|own| own == contact.expose()) {
        return Ok(());
    }
    let Some(owner) = tables.owner_of(&customer.tenant, contact.expose())? else {
        return Ok(());
    };
    if owner != customer.id {
        let other = tables.customer(&customer.tenant, &owner)?;
        customer.do_not_call = other.is_some_and(|other| other.do_not_call);
    }
    Ok(())
}

pub(super) fn queue_view(
    tables: &dyn Tables,
    views: &QueueViews,
    tenant: &TenantId,
    id: &QueueId,
) -> Result<Option<Arc<QueueView>>> {
    let found = tables.queue(tenant, id)?;
    Ok(found.map(|row| {
        let switches = Switches {
            dialling_paused: row.dialling_paused,
            removed: row.removed,
        };
        views.view(tenant, id, &row.doc, switches)
    }))
}

/// Calls to a number in the last day, and the call going on with it. Letters are not calls.
pub(super) fn number(
    tables: &dyn Tables,
    tenant: &TenantId,
    of: InteractionId,
    contact: &Contact,
    now: Timestamp,
) -> Result<NumberFacts> {
    if matches!(contact, Contact::Email(_)) {
        return Ok(NumberFacts::default());
    }
    tables.number(tenant, of, contact, before(now, NUMBER_DAY))
}
