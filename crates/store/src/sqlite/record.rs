//! Interactions of other kinds, recorded so that callbacks can hang on them; and what a parent allows.

use super::faults::{unreadable, unwritable};
use super::path::conflict;
use super::rows::{self, blob, int, ms};
use super::writer::Write;
use super::{House, customers};
use crate::events::Chain;
use crate::{AnyInteraction, RecordOrder, RecordedInteraction, Result};
use ringback_callbacks::customer::Customer;
use ringback_callbacks::event::{EventKind, NewEvent};
use ringback_callbacks::ids::{InteractionId, TenantId};
use ringback_callbacks::interaction::{EntityType, Interaction};
use rusqlite::{Connection, OptionalExtension, params};

/// What a new interaction takes from its parent.
pub(super) struct Family {
    pub thread: Option<String>,
}

/// A parent must exist and allow children. A child without a thread of its own joins its parent's.
pub(super) fn family(
    conn: &Connection,
    tenant: &TenantId,
    parent: Option<InteractionId>,
    thread: Option<String>,
) -> Result<Family> {
    let Some(parent) = parent else {
        return Ok(Family { thread });
    };
    let found: Option<(bool, Option<String>)> = conn
        .prepare_cached(
            "SELECT allow_children, thread FROM interactions WHERE tenant = ?1 AND id = ?2",
        )?
        .query_row(params![tenant.as_str(), blob(&parent.0)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((allows, of_parent)) = found else {
        return Err(conflict(
            "parent_id",
            "not_found",
            "there is no such interaction",
        ));
    };
    if !allows {
        return Err(conflict(
            "parent_id",
            "no_children",
            "this interaction takes no children",
        ));
    }
    Ok(Family {
        thread: thread.or(of_parent).or_else(|| Some(parent.to_string())),
    })
}

pub(super) fn record(
    write: &mut Write<'_>,
    house: &House,
    order: RecordOrder,
) -> Result<Interaction> {
    let RecordOrder {
        mut interaction,
        status,
        actor,
        now,
    } = order;
    let conn = write.conn;
    let tenant = interaction.tenant.clone();
    if interaction.entity_type == EntityType::CALLBACK {
        return Err(conflict(
            "entity_type",
            "callback",
            "callbacks are booked, not recorded",
        ));
    }
    if rows::is_known(conn, &tenant, interaction.id)? {
        return Err(conflict(
            "interaction_id",
            "exists",
            "an interaction of this id exists already",
        ));
    }
    interaction.thread =
        family(conn, &tenant, interaction.parent, interaction.thread.take())?.thread;
    if customers::read_customer(conn, &tenant, &interaction.customer)?.is_none() {
        customers::write_customer(
            conn,
            &Customer {
                tenant: tenant.clone(),
                id: interaction.customer.clone(),
                name: None,
                contacts: Vec::new(),
                time_zone: None,
                do_not_call: false,
                created_at: now,
                revision: 1,
            },
        )?;
    }
    let id = interaction.id;
    let event =
        NewEvent::new(EventKind::Recorded, &actor).with("entity_type", interaction.entity_type.0);
    let recorded = RecordedInteraction {
        interaction,
        status,
        revision: 1,
    };
    write_recorded(conn, &recorded)?;
    let sealed = Chain::default().seal(id, vec![event], now, house.chance.as_ref());
    rows::insert_events(conn, &tenant, id, &sealed)?;
    Ok(recorded.interaction)
}

pub(super) fn write_recorded(conn: &Connection, recorded: &RecordedInteraction) -> Result<()> {
    let doc = serde_json::to_string(recorded).map_err(unwritable)?;
    rows::write_interaction(conn, &recorded.interaction, Some(&doc))
}

/// An interaction of any kind, as its row has it: one of the two documents is there.
pub(super) fn any_of(
    recorded: Option<String>,
    callback: Option<String>,
) -> Result<Option<AnyInteraction>> {
    if let Some(doc) = callback {
        return Ok(Some(AnyInteraction::Callback(Box::new(rows::callback_of(
            &doc,
        )?))));
    }
    recorded
        .map(|doc| serde_json::from_str::<RecordedInteraction>(&doc))
        .transpose()
        .map(|found| found.map(|other| AnyInteraction::Other(Box::new(other))))
        .map_err(|error| unreadable("interactions", "doc", &error))
}

pub(super) fn read_any(
    conn: &Connection,
    tenant: &TenantId,
    id: InteractionId,
) -> Result<Option<AnyInteraction>> {
    let found: Option<(Option<String>, Option<String>)> = conn
        .prepare_cached(
            "SELECT interactions.doc, callbacks.doc FROM interactions
             LEFT JOIN callbacks ON callbacks.tenant = interactions.tenant AND callbacks.id = interactions.id
             WHERE interactions.tenant = ?1 AND interactions.id = ?2",
        )?
        .query_row(params![tenant.as_str(), blob(&id.0)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    found.map_or(Ok(None), |(recorded, callback)| any_of(recorded, callback))
}

/// Used by the prune of uploads and the lists: one page of interactions is one query.
pub(super) fn cursor(interaction: &Interaction) -> crate::Cursor {
    crate::Cursor {
        created_ms: ms(interaction.created_at),
        id: interaction.id,
    }
}

/// The `LIMIT` that also tells whether there is more.
pub(super) fn one_more(limit: usize) -> i64 {
    int(limit as u64).saturating_add(1)
}
