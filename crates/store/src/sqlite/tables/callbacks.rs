//! Callbacks, and the common part of interactions of every kind.

use super::{all, at_most, blob, one, text, text_or_none};
use crate::effects::{self, StateColumns};
use crate::rows::{any_of, callback_of, damaged, int, ms, unwritable};
use crate::tables::InteractionRow;
use crate::{AnyInteraction, Result};
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::ids::{InteractionId, QueueId, TenantId};
use ringback_callbacks::interaction::Interaction;
use rusqlite::{Connection, named_params, params};

pub(super) fn read(
    conn: &Connection,
    tenant: &TenantId,
    id: InteractionId,
) -> Result<Option<Callback>> {
    one(
        conn,
        "SELECT doc FROM callbacks WHERE tenant = ?1 AND id = ?2",
        params![tenant.as_str(), blob(&id.0)],
        |row| callback_of(text(row, 0)?),
    )
}

/// Writes the whole callback: its document and every column made from it.
pub(super) fn write(
    conn: &Connection,
    before: Option<&Callback>,
    callback: &Callback,
) -> Result<()> {
    let tenant = callback.interaction.tenant.as_str();
    if before.is_none_or(|before| before.interaction != callback.interaction) {
        write_row(conn, &callback.interaction, None)?;
    }
    let sql = if before.is_none() {
        INSERT_CALLBACK
    } else {
        UPDATE_CALLBACK
    };
    let (callback_status, status) = callback.state.wire();
    let columns = StateColumns::of(&callback.state);
    let claim = callback.state.claim();
    let doc = serde_json::to_string(callback).map_err(unwritable)?;
    let id = blob(&callback.interaction.id.0);
    let written = conn.prepare_cached(sql)?.execute(named_params! {
        ":tenant": tenant,
        ":id": id,
        ":queue": callback.queue.as_str(),
        ":state": callback.state.name(),
        ":callback_status": callback_status,
        ":status": status,
        ":created_at": ms(callback.interaction.created_at),
        ":start_time": ms(callback.window.start),
        ":end_time": callback.window.end.map(ms),
        ":rank": ms(callback.rank()),
        ":priority": callback.priority,
        ":by_mail": effects::by_mail(callback),
        ":wakes_at": callback.wakes_at().map(ms),
        ":since": columns.since.map(ms),
        ":transferred_to": columns.transferred_to.map(|agent| agent.0),
        ":agent": callback.state.engages().map(|agent| agent.0),
        ":seat": columns.seat,
        ":claim_node": claim.map(|claim| claim.node.name.as_str()),
        ":claim_boot": claim.map(|claim| blob(&claim.node.boot)),
        ":claim_until": claim.map(|claim| ms(claim.until)),
        ":fence": int(callback.fence),
        ":attempt": columns.attempt.as_ref().map(|attempt| blob(&attempt.0)),
        ":ended_at": callback.interaction.ended_at.map(ms),
        ":revision": int(callback.revision),
        ":search": effects::search_text(&callback.interaction),
        ":doc": doc,
    })?;
    if written != 1 {
        return Err(damaged("callbacks", "id", "the row to be changed is gone"));
    }
    if before.is_none_or(|before| before.contacts != callback.contacts) {
        write_contacts(conn, before.is_some(), callback)?;
    }
    Ok(())
}

const INSERT_CALLBACK: &str = "
    INSERT INTO callbacks (tenant, id, queue, state, callback_status, status, created_at, start_time, end_time,
        rank, priority, by_mail, wakes_at, since, transferred_to, agent, seat, claim_node, claim_boot,
        claim_until, fence, attempt, ended_at, revision, search, doc)
    VALUES (:tenant, :id, :queue, :state, :callback_status, :status, :created_at, :start_time, :end_time,
        :rank, :priority, :by_mail, :wakes_at, :since, :transferred_to, :agent, :seat, :claim_node, :claim_boot,
        :claim_until, :fence, :attempt, :ended_at, :revision, :search, :doc)";

const UPDATE_CALLBACK: &str = "
    UPDATE callbacks SET queue = :queue, state = :state, callback_status = :callback_status, status = :status,
        created_at = :created_at, start_time = :start_time, end_time = :end_time, rank = :rank,
        priority = :priority, by_mail = :by_mail, wakes_at = :wakes_at, since = :since,
        transferred_to = :transferred_to, agent = :agent, seat = :seat, claim_node = :claim_node,
        claim_boot = :claim_boot, claim_until = :claim_until, fence = :fence, attempt = :attempt,
        ended_at = :ended_at, revision = :revision, search = :search, doc = :doc
    WHERE tenant = :tenant AND id = :id";

fn write_contacts(conn: &Connection, has_some: bool, callback: &Callback) -> Result<()> {
    let tenant = callback.interaction.tenant.as_str();
    let id = blob(&callback.interaction.id.0);
    if has_some {
        conn.prepare_cached("DELETE FROM callback_contacts WHERE tenant = ?1 AND callback = ?2")?
            .execute(params![tenant, id])?;
    }
    let mut insert = conn.prepare_cached(
        "INSERT INTO callback_contacts (tenant, callback, step, contact, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let created = ms(callback.interaction.created_at);
    for (index, step) in callback.contacts.iter().enumerate() {
        insert.execute(params![
            tenant,
            id,
            int(index as u64),
            step.contact.expose(),
            created
        ])?;
    }
    Ok(())
}

/// The common columns of an interaction of any kind; `doc` only if it is not a callback.
fn write_row(conn: &Connection, interaction: &Interaction, doc: Option<&str>) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO interactions (tenant, id, entity_type, customer, parent, thread, external_id, owner,
             allow_children, created_at, doc)
         VALUES (:tenant, :id, :entity_type, :customer, :parent, :thread, :external_id, :owner,
             :allow_children, :created_at, :doc)
         ON CONFLICT (tenant, id) DO UPDATE SET thread = excluded.thread, external_id = excluded.external_id,
             owner = excluded.owner, allow_children = excluded.allow_children, doc = excluded.doc",
    )?
    .execute(named_params! {
        ":tenant": interaction.tenant.as_str(),
        ":id": blob(&interaction.id.0),
        ":entity_type": interaction.entity_type.0,
        ":customer": interaction.customer.as_str(),
        ":parent": interaction.parent.as_ref().map(|parent| blob(&parent.0)),
        ":thread": interaction.thread,
        ":external_id": interaction.external_id,
        ":owner": interaction.owner,
        ":allow_children": interaction.allow_children,
        ":created_at": ms(interaction.created_at),
        ":doc": doc,
    })?;
    Ok(())
}

pub(super) fn write_interaction(
    conn: &Connection,
    interaction: &Interaction,
    doc: &str,
) -> Result<()> {
    write_row(conn, interaction, Some(doc))
}

pub(super) fn set_aside(
    conn: &Connection,
    tenant: &TenantId,
    id: InteractionId,
    at: Timestamp,
) -> Result<()> {
    conn.prepare_cached(
        "UPDATE callbacks SET wakes_at = ?3, claim_until = CASE WHEN claim_until IS NULL THEN NULL ELSE ?3 END
         WHERE tenant = ?1 AND id = ?2 AND ended_at IS NULL",
    )?
    .execute(params![tenant.as_str(), blob(&id.0), ms(at)])?;
    Ok(())
}

pub(super) fn interaction(
    conn: &Connection,
    tenant: &TenantId,
    id: InteractionId,
) -> Result<Option<InteractionRow>> {
    one(
        conn,
        "SELECT allow_children, thread FROM interactions WHERE tenant = ?1 AND id = ?2",
        params![tenant.as_str(), blob(&id.0)],
        |row| {
            Ok(InteractionRow {
                allow_children: row.get(0)?,
                thread: row.get(1)?,
            })
        },
    )
}

pub(super) fn any_interaction(
    conn: &Connection,
    tenant: &TenantId,
    id: InteractionId,
) -> Result<Option<AnyInteraction>> {
    let found = one(
        conn,
        "SELECT interactions.doc, callbacks.doc FROM interactions
         LEFT JOIN callbacks ON callbacks.tenant = interactions.tenant AND callbacks.id = interactions.id
         WHERE interactions.tenant = ?1 AND interactions.id = ?2",
        params![tenant.as_str(), blob(&id.0)],
        |row| any_of(text_or_none(row, 0)?, text_or_none(row, 1)?),
    )?;
    Ok(found.flatten())
}

pub(super) fn open_for(
    conn: &Connection,
    tenant: &TenantId,
    queue: &QueueId,
    contact: &str,
    limit: usize,
) -> Result<Vec<Callback>> {
    all(
        conn,
        "SELECT DISTINCT callbacks.doc, contacts.created_at, contacts.callback
         FROM callback_contacts AS contacts CROSS JOIN callbacks
             ON callbacks.tenant = contacts.tenant AND callbacks.id = contacts.callback
         WHERE contacts.tenant = ?1 AND contacts.contact = ?2 AND callbacks.queue = ?3
             AND callbacks.ended_at IS NULL
         ORDER BY contacts.created_at, contacts.callback LIMIT ?4",
        params![tenant.as_str(), contact, queue.as_str(), at_most(limit)],
        |row| callback_of(text(row, 0)?),
    )
}
