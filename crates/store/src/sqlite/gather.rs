//! Reads the facts a decision may look at: queue, customer, and what is known of the number.

use super::customers::read_customer;
use super::faults::damaged;
use super::rows::{blob, missing, ms, time};
use crate::Result;
use crate::effects;
use crate::facts::{Gathered, NUMBER_CALLS_READ, NUMBER_DAY, QueueViews, Switches};
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::contact::Contact;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::guard::NumberFacts;
use ringback_callbacks::ids::{InteractionId, QueueId, TenantId};
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::queue::QueueView;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;
use uuid::Uuid;

/// Facts for a decision about a callback, under the rules of `queue`.
pub(super) fn facts(
    conn: &Connection,
    views: &QueueViews,
    callback: &Callback,
    queue: &QueueId,
    now: Timestamp,
    jitter: f64,
    command: Option<&Command>,
) -> Result<Gathered> {
    let tenant = &callback.interaction.tenant;
    let queue = queue_view(conn, views, tenant, queue)?.ok_or_else(|| missing("queue"))?;
    let mut customer = read_customer(conn, tenant, &callback.interaction.customer)?
        .ok_or_else(|| damaged("callbacks", "doc", "its customer is gone"))?;
    forbid_by_contact(conn, &mut customer, callback.contact())?;
    let number = number(
        conn,
        tenant,
        callback.interaction.id,
        callback.contact(),
        now,
    )?;
    let stretch = command.and_then(|command| effects::wanted(callback, command, &queue, now));
    let slots = match stretch {
        Some(stretch) => super::slots::facts(
            conn,
            &queue,
            &customer,
            stretch,
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
    conn: &Connection,
    customer: &mut Customer,
    contact: &Contact,
) -> Result<()> {
    let forbidden: Option<bool> = conn
        .prepare_cached(
            "SELECT customers.do_not_call FROM customer_contacts
             JOIN customers ON customers.tenant = customer_contacts.tenant AND customers.id = customer_contacts.customer
             WHERE customer_contacts.tenant = ?1 AND customer_contacts.contact = ?2",
        )?
        .query_row(params![customer.tenant.as_str(), contact.expose()], |row| row.get(0))
        .optional()?;
    customer.do_not_call |= forbidden.unwrap_or(false);
    Ok(())
}

pub(super) fn queue_view(
    conn: &Connection,
    views: &QueueViews,
    tenant: &TenantId,
    id: &QueueId,
) -> Result<Option<Arc<QueueView>>> {
    let found: Option<(String, Switches)> = conn
        .prepare_cached(
            "SELECT doc, dialling_paused, removed FROM queues WHERE tenant = ?1 AND id = ?2",
        )?
        .query_row(params![tenant.as_str(), id.as_str()], |row| {
            let switches = Switches {
                dialling_paused: row.get(1)?,
                removed: row.get(2)?,
            };
            Ok((row.get(0)?, switches))
        })
        .optional()?;
    Ok(found.map(|(doc, switches)| views.view(tenant, id, &doc, switches)))
}

/// Calls to a number in the last day, and the call going on with it. Letters are not calls; nor are
/// tries that never reached the customer's side because a trunk or the agent's own phone failed. One
/// that the customer picked up is a call, whatever failed afterwards.
pub(super) fn number(
    conn: &Connection,
    tenant: &TenantId,
    of: InteractionId,
    contact: &Contact,
    now: Timestamp,
) -> Result<NumberFacts> {
    if matches!(contact, Contact::Email(_)) {
        return Ok(NumberFacts::default());
    }
    let from = ms(now).saturating_sub(i64::try_from(NUMBER_DAY.as_millis()).unwrap_or(i64::MAX));
    let mut statement = conn.prepare_cached(
        "SELECT began_at FROM attempts
         WHERE tenant = ?1 AND contact = ?2 AND by_mail = 0 AND began_at > ?3
             AND (verdict IS NULL OR answered_at IS NOT NULL OR verdict NOT IN ('route_fault', 'agent_fault'))
         ORDER BY began_at DESC LIMIT ?4",
    )?;
    let mut rows = statement.query(params![
        tenant.as_str(),
        contact.expose(),
        from,
        i64::try_from(NUMBER_CALLS_READ).unwrap_or(i64::MAX)
    ])?;
    let mut placed_last_day = Vec::new();
    while let Some(row) = rows.next()? {
        placed_last_day.push(time(row.get(0)?, "attempts", "began_at")?);
    }
    placed_last_day.reverse();
    let in_call: Option<Vec<u8>> = conn
        .prepare_cached(
            "SELECT callback FROM attempts
             WHERE tenant = ?1 AND contact = ?2 AND ended_at IS NULL AND by_mail = 0 AND callback IS NOT ?3",
        )?
        .query_row(params![tenant.as_str(), contact.expose(), blob(&of.0)], |row| row.get(0))
        .optional()?;
    let in_call_with = in_call
        .map(|bytes| Uuid::from_slice(&bytes).map(InteractionId))
        .transpose()
        .map_err(|_| damaged("attempts", "callback", "not 16 bytes"))?;
    Ok(NumberFacts {
        placed_last_day,
        in_call_with,
    })
}
