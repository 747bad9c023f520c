//! Callbacks, and the common part of interactions of every kind.

use super::{all, at_most, blob, one, text, text_or_none};
use crate::effects::{self, StateColumns};
use crate::rows::{any_of, callback_of, damaged, int, ms, unwritable, uuid_of};
use crate::tables::InteractionRow;
use crate::{AnyInteraction, Result, RulesMark};
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::ids::{InteractionId, QueueId, TenantId};
use ringback_callbacks::interaction::Interaction;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, params, params_from_iter};
use std::fmt::Write as _;
use uuid::Uuid;

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

/// Writes the whole callback: its document and every column made from it. Of a row that is there already only the
/// columns that have changed are named, and those that [`set_aside`] moves: SQLite takes an entry out of its index and puts it back for every column that
/// an UPDATE names, whether or not its value is another.
pub(super) fn write(
    conn: &Connection,
    before: Option<&Callback>,
    callback: &Callback,
) -> Result<()> {
    let interaction = &callback.interaction;
    match before {
        None => write_row(conn, INSERT_ROW, interaction, None)?,
        Some(before) if shared(&before.interaction) != shared(interaction) => {
            write_row(conn, WRITE_ROW, interaction, None)?;
        }
        Some(_) => {}
    }
    let doc = serde_json::to_string(callback).map_err(unwritable)?;
    let written = match before {
        None => insert(conn, callback, &doc)?,
        Some(before) => update(conn, before, callback, &doc)?,
    };
    if written != 1 {
        return Err(damaged("callbacks", "id", "the row to be changed is gone"));
    }
    if before.is_none_or(|before| before.contacts != callback.contacts) {
        write_contacts(conn, before, callback)?;
    }
    Ok(())
}

fn insert(conn: &Connection, callback: &Callback, doc: &str) -> Result<usize> {
    let state = StateColumns::of(&callback.state);
    let columns = columns(callback, &state);
    let mut statement = conn.prepare_cached(
        "INSERT INTO callbacks (tenant, id, doc, search, queue, state, callback_status, status, created_at,
             start_time, end_time, rank, priority, by_mail, wakes_at, since, transferred_to, agent, seat, claim_node,
             claim_boot, claim_until, fence, attempt, ended_at, revision, local_edition)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
             ?23, ?24, ?25, ?26, ?27)",
    )?;
    let search = effects::search_text(&callback.interaction);
    let values = key(callback)
        .into_iter()
        .chain([doc, search.as_str()].map(of_text))
        .chain(columns.map(|(_, value)| value));
    Ok(statement.execute(params_from_iter(values.map(ToSqlOutput::Borrowed)))?)
}

fn update(conn: &Connection, before: &Callback, after: &Callback, doc: &str) -> Result<usize> {
    let (had, has) = (
        StateColumns::of(&before.state),
        StateColumns::of(&after.state),
    );
    let changed: Vec<_> = columns(before, &had)
        .into_iter()
        .zip(columns(after, &has))
        // A callback set aside has other times in its index than in its document.
        .filter(|(had, has)| had != has || matches!(has.0, "wakes_at" | "claim_until"))
        .map(|(_, has)| has)
        .collect();
    let search =
        (before.interaction != after.interaction).then(|| effects::search_text(&after.interaction));
    let search = search.as_deref().map(|search| ("search", of_text(search)));
    let mut sql = "UPDATE callbacks SET doc = ?3".to_owned();
    let mut values = Vec::from(key(after));
    values.push(of_text(doc));
    for (name, value) in changed.into_iter().chain(search) {
        values.push(value);
        // The names stand in this file; values are bound.
        let _ = write!(sql, ", {name} = ?{}", values.len());
    }
    sql.push_str(" WHERE tenant = ?1 AND id = ?2");
    let values = values.into_iter().map(ToSqlOutput::Borrowed);
    Ok(conn
        .prepare_cached(&sql)?
        .execute(params_from_iter(values))?)
}

fn key(callback: &Callback) -> [ValueRef<'_>; 2] {
    let interaction = &callback.interaction;
    [
        of_text(interaction.tenant.as_str()),
        ValueRef::Blob(blob(&interaction.id.0)),
    ]
}

/// The columns that follow from the callback, besides its key, its document and the words of the search.
fn columns<'c>(
    callback: &'c Callback,
    state: &'c StateColumns,
) -> [(&'static str, ValueRef<'c>); 23] {
    let claim = callback.state.claim();
    let (callback_status, status) = callback.state.wire();
    let number = ValueRef::Integer;
    let number_or_none = |number: Option<i64>| number.map_or(ValueRef::Null, ValueRef::Integer);
    let text_or_none = |text: Option<&'c str>| text.map_or(ValueRef::Null, of_text);
    let blob_or_none =
        |id: Option<&'c Uuid>| id.map_or(ValueRef::Null, |id| ValueRef::Blob(blob(id)));
    [
        ("queue", of_text(callback.queue.as_str())),
        ("state", of_text(callback.state.name())),
        ("callback_status", number(callback_status.into())),
        ("status", number(status.into())),
        ("created_at", number(ms(callback.interaction.created_at))),
        ("start_time", number(ms(callback.window.start))),
        ("end_time", number_or_none(callback.window.end.map(ms))),
        ("rank", number(ms(callback.rank()))),
        ("priority", number(callback.priority.into())),
        ("by_mail", number(effects::by_mail(callback).into())),
        ("wakes_at", number_or_none(callback.wakes_at().map(ms))),
        ("since", number_or_none(state.since.map(ms))),
        (
            "transferred_to",
            number_or_none(state.transferred_to.map(|agent| agent.0)),
        ),
        (
            "agent",
            number_or_none(callback.state.engages().map(|agent| agent.0)),
        ),
        ("seat", text_or_none(state.seat)),
        (
            "claim_node",
            text_or_none(claim.map(|claim| claim.node.name.as_str())),
        ),
        (
            "claim_boot",
            blob_or_none(claim.map(|claim| &claim.node.boot)),
        ),
        (
            "claim_until",
            number_or_none(claim.map(|claim| ms(claim.until))),
        ),
        ("fence", number(int(callback.fence))),
        (
            "attempt",
            blob_or_none(state.attempt.as_ref().map(|attempt| &attempt.0)),
        ),
        (
            "ended_at",
            number_or_none(callback.interaction.ended_at.map(ms)),
        ),
        ("revision", number(int(callback.revision))),
        (
            "local_edition",
            text_or_none(effects::local_edition(callback)),
        ),
    ]
}

fn of_text(text: &str) -> ValueRef<'_> {
    ValueRef::Text(text.as_bytes())
}

fn write_contacts(conn: &Connection, before: Option<&Callback>, after: &Callback) -> Result<()> {
    if let Some(before) = before {
        each_contact(
            conn,
            before,
            "DELETE FROM callback_contacts
             WHERE tenant = ?1 AND callback = ?2 AND step = ?3 AND contact = ?4 AND created_at = ?5",
        )?;
    }
    each_contact(
        conn,
        after,
        "INSERT INTO callback_contacts (tenant, callback, step, contact, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )
}

fn each_contact(conn: &Connection, callback: &Callback, sql: &str) -> Result<()> {
    let mut statement = conn.prepare_cached(sql)?;
    let interaction = &callback.interaction;
    for (index, step) in callback.contacts.iter().enumerate() {
        statement.execute(params![
            interaction.tenant.as_str(),
            blob(&interaction.id.0),
            int(index as u64),
            step.contact.expose(),
            ms(interaction.created_at)
        ])?;
    }
    Ok(())
}

/// A new row with the common columns of an interaction of any kind.
macro_rules! insert_row {
    ($more:literal) => {
        concat!(
            "INSERT INTO interactions (tenant, id, entity_type, customer, parent, thread, external_id, owner,
                 allow_children, created_at, doc)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            $more
        )
    };
}

const INSERT_ROW: &str = insert_row!("");

const WRITE_ROW: &str = insert_row!(
    " ON CONFLICT (tenant, id) DO UPDATE SET thread = excluded.thread, external_id = excluded.external_id,
          owner = excluded.owner, allow_children = excluded.allow_children, doc = excluded.doc"
);

/// `doc` only if it is not a callback.
fn write_row(
    conn: &Connection,
    sql: &str,
    interaction: &Interaction,
    doc: Option<&str>,
) -> Result<()> {
    conn.prepare_cached(sql)?.execute(params![
        interaction.tenant.as_str(),
        blob(&interaction.id.0),
        interaction.entity_type.0,
        interaction.customer.as_str(),
        interaction.parent.as_ref().map(|parent| blob(&parent.0)),
        interaction.thread,
        interaction.external_id,
        interaction.owner,
        interaction.allow_children,
        ms(interaction.created_at),
        doc,
    ])?;
    Ok(())
}

/// What [`WRITE_ROW`] may change of a callback's row.
fn shared(interaction: &Interaction) -> (Option<&str>, Option<&str>, Option<i64>, bool) {
    (
        interaction.thread.as_deref(),
        interaction.external_id.as_deref(),
        interaction.owner,
        interaction.allow_children,
    )
}

pub(super) fn write_interaction(
    conn: &Connection,
    interaction: &Interaction,
    doc: &str,
) -> Result<()> {
    write_row(conn, WRITE_ROW, interaction, Some(doc))
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

pub(super) fn other_editions(
    conn: &Connection,
    tenant: &TenantId,
    edition: &str,
    after: Option<&RulesMark>,
    limit: usize,
) -> Result<Vec<(RulesMark, String)>> {
    let (after, id) = after.map_or(("", Vec::new()), |(edition, id)| {
        (edition.as_str(), blob(&id.0).to_vec())
    });
    // Its own edition is stepped over, however many have it.
    all(
        conn,
        "SELECT local_edition, id, doc FROM callbacks
         WHERE tenant = ?1 AND ended_at IS NULL AND local_edition < ?2 AND (local_edition, id) > (?3, ?4)
         UNION ALL
         SELECT local_edition, id, doc FROM callbacks
         WHERE tenant = ?1 AND ended_at IS NULL AND local_edition > ?2 AND (local_edition, id) > (?3, ?4)
         ORDER BY 1, 2 LIMIT ?5",
        params![tenant.as_str(), edition, after, id, at_most(limit)],
        |row| {
            let id = uuid_of(&row.get::<_, Vec<u8>>(1)?, "callbacks", "id")?;
            Ok(((row.get(0)?, InteractionId(id)), row.get(2)?))
        },
    )
}

pub(super) fn confirm_editions(
    conn: &Connection,
    tenant: &TenantId,
    confirmed: &[(&Callback, Option<&str>)],
) -> Result<()> {
    let mut statement = conn.prepare_cached(
        "UPDATE callbacks SET local_edition = ?4 WHERE tenant = ?1 AND id = ?2 AND revision = ?3",
    )?;
    for (callback, edition) in confirmed {
        let id = blob(&callback.interaction.id.0);
        statement.execute(params![
            tenant.as_str(),
            id,
            int(callback.revision),
            edition
        ])?;
    }
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
        // A plan may name a contact twice. DISTINCT would build a table for every booking to find that out.
        "SELECT callbacks.doc
         FROM callback_contacts AS contacts CROSS JOIN callbacks
             ON callbacks.tenant = contacts.tenant AND callbacks.id = contacts.callback
         WHERE contacts.tenant = ?1 AND contacts.contact = ?2 AND callbacks.queue = ?3
             AND callbacks.ended_at IS NULL
             AND NOT EXISTS (SELECT 1 FROM callback_contacts AS first
                 WHERE first.tenant = contacts.tenant AND first.contact = contacts.contact
                     AND first.created_at = contacts.created_at AND first.callback = contacts.callback
                     AND first.step < contacts.step)
         ORDER BY contacts.created_at, contacts.callback LIMIT ?4",
        params![tenant.as_str(), contact, queue.as_str(), at_most(limit)],
        |row| callback_of(text(row, 0)?),
    )
}
