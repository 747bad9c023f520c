//! Lists of callbacks and interactions, newest first.

use super::{all, at_most, blob, text, text_or_none};
use crate::rows::{any_of, callback_of, ms};
use crate::{AnyInteraction, CallbackQuery, Cursor, InteractionQuery, Result, effects};
use ringback_callbacks::callback::Callback;
use ringback_callbacks::ids::{InteractionId, QueueId, TenantId};
use ringback_callbacks::interaction::EntityType;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};
use std::cmp::Reverse;

/// A query put together from what was asked; values are always bound, never written into the text.
#[derive(Default)]
struct Asked {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Asked {
    fn add(&mut self, condition: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        self.conditions
            .push(condition.replace('?', &format!("?{}", self.values.len())));
    }

    fn one_of(&mut self, column: &str, numbers: &[i32]) {
        if numbers.is_empty() {
            return;
        }
        let mut places = Vec::new();
        for number in numbers {
            self.values.push(Value::from(*number));
            places.push(format!("?{}", self.values.len()));
        }
        self.conditions
            .push(format!("{column} IN ({})", places.join(", ")));
    }

    fn older_than(&mut self, created: &str, id: &str, after: Option<Cursor>) {
        let Some(after) = after else { return };
        self.values.push(Value::from(after.created_ms));
        let at = self.values.len();
        self.values
            .push(Value::from(after.id.0.as_bytes().to_vec()));
        self.conditions
            .push(format!("({created}, {id}) < (?{at}, ?{})", at + 1));
    }

    fn find<T>(
        self,
        conn: &Connection,
        sql: &str,
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = conn.prepare_cached(sql)?;
        let mut found = statement.query(params_from_iter(self.values))?;
        let mut items = Vec::new();
        while let Some(row) = found.next()? {
            items.push(read(row)?);
        }
        Ok(items)
    }

    /// Interactions of any kind, newest first.
    fn newest(
        self,
        conn: &Connection,
        docs: &str,
        tables: &str,
        lead: &str,
        limit: usize,
    ) -> Result<Vec<AnyInteraction>> {
        let sql = format!(
            "SELECT {docs} FROM {tables} WHERE {} ORDER BY {lead}.created_at DESC, {lead}.id DESC LIMIT {}",
            self.conditions.join(" AND "),
            at_most(limit)
        );
        let found = self.find(conn, &sql, |row| {
            any_of(text_or_none(row, 0)?, text_or_none(row, 1)?)
        })?;
        Ok(found.into_iter().flatten().collect())
    }

    fn bytes(&mut self, condition: &str, id: InteractionId) {
        self.add(condition, id.0.as_bytes().to_vec());
    }
}

/// Numbers of a filter beyond this would only be repetitions.
const STATUSES: usize = 32;

pub(super) fn callbacks(
    conn: &Connection,
    query: &CallbackQuery,
    limit: usize,
) -> Result<Vec<Callback>> {
    let mut asked = Asked::default();
    let by_common = query.customer.is_some()
        || query.thread.is_some()
        || query.parent.is_some()
        || query.external_id.is_some()
        || query.owner.is_some();
    // The table whose index narrows most is read first, and gives the order.
    let (tables, lead, lead_id) = if query.contact.is_some() {
        (
            "callback_contacts k CROSS JOIN callbacks c ON c.tenant = k.tenant AND c.id = k.callback
             CROSS JOIN interactions i ON i.tenant = c.tenant AND i.id = c.id",
            "k",
            "k.callback",
        )
    } else if by_common {
        (
            "interactions i CROSS JOIN callbacks c ON c.tenant = i.tenant AND c.id = i.id",
            "i",
            "i.id",
        )
    } else {
        ("callbacks c", "c", "c.id")
    };
    asked.add(
        &format!("{lead}.tenant = ?"),
        query.tenant.as_str().to_owned(),
    );
    if let Some(contact) = &query.contact {
        asked.add("k.contact = ?", contact.clone());
        // A plan may name a contact twice; the callback is listed once.
        asked.conditions.push(
            "k.step = (SELECT min(step) FROM callback_contacts s
                WHERE s.tenant = k.tenant AND s.contact = k.contact AND s.created_at = k.created_at
                    AND s.callback = k.callback)"
                .to_owned(),
        );
    }
    if let Some(customer) = &query.customer {
        asked.add("i.customer = ?", customer.as_str().to_owned());
    }
    if let Some(thread) = &query.thread {
        asked.add("i.thread = ?", thread.clone());
    }
    if let Some(parent) = query.parent {
        asked.bytes("i.parent = ?", parent);
    }
    if let Some(external_id) = &query.external_id {
        asked.add("i.external_id = ?", external_id.clone());
    }
    if let Some(owner) = query.owner {
        asked.add("i.owner = ?", owner);
    }
    if let Some(queue) = &query.queue {
        asked.add("c.queue = ?", queue.as_str().to_owned());
    }
    if let Some(agent) = query.agent {
        asked.add("c.agent = ?", agent.0);
    }
    asked.one_of(
        "c.callback_status",
        &query.callback_status[..query.callback_status.len().min(STATUSES)],
    );
    asked.one_of(
        "c.status",
        &query.status[..query.status.len().min(STATUSES)],
    );
    for (condition, at) in [
        ("c.start_time >= ?", query.start_from),
        ("c.start_time < ?", query.start_before),
        ("c.created_at >= ?", query.created_from),
        ("c.created_at < ?", query.created_before),
    ] {
        if let Some(at) = at {
            asked.add(condition, ms(at));
        }
    }
    for word in query
        .text
        .as_deref()
        .map(effects::search_words)
        .unwrap_or_default()
    {
        asked.add("instr(c.search, ?) > 0", word);
    }
    asked.older_than(&format!("{lead}.created_at"), lead_id, query.after);
    let sql = format!(
        "SELECT c.doc FROM {tables} WHERE {} ORDER BY {lead}.created_at DESC, {lead_id} DESC LIMIT {}",
        asked.conditions.join(" AND "),
        at_most(limit)
    );
    asked.find(conn, &sql, |row| callback_of(text(row, 0)?))
}

pub(super) fn interactions(
    conn: &Connection,
    query: &InteractionQuery,
    limit: usize,
) -> Result<Vec<AnyInteraction>> {
    let of_everybody = query.customer.is_none()
        && query.thread.is_none()
        && query.parent.is_none()
        && query.external_id.is_none();
    if of_everybody {
        return newest(conn, query, limit);
    }
    let mut asked = Asked::default();
    asked.add("i.tenant = ?", query.tenant.as_str().to_owned());
    if let Some(customer) = &query.customer {
        asked.add("i.customer = ?", customer.as_str().to_owned());
    }
    if let Some(thread) = &query.thread {
        asked.add("i.thread = ?", thread.clone());
    }
    if let Some(parent) = query.parent {
        asked.bytes("i.parent = ?", parent);
    }
    if let Some(external_id) = &query.external_id {
        asked.add("i.external_id = ?", external_id.clone());
    }
    if let Some(entity_type) = query.entity_type {
        asked.add("i.entity_type = ?", entity_type.0);
    }
    asked.older_than("i.created_at", "i.id", query.after);
    let tables = "interactions i LEFT JOIN callbacks c ON c.tenant = i.tenant AND c.id = i.id";
    asked.newest(conn, "i.doc, c.doc", tables, "i", limit)
}

/// Callbacks and interactions of other kinds have an index each: both are read, and put into one order.
fn newest(
    conn: &Connection,
    query: &InteractionQuery,
    limit: usize,
) -> Result<Vec<AnyInteraction>> {
    let asked_of = |table: &str| {
        let mut asked = Asked::default();
        asked.add(
            &format!("{table}.tenant = ?"),
            query.tenant.as_str().to_owned(),
        );
        asked.older_than(
            &format!("{table}.created_at"),
            &format!("{table}.id"),
            query.after,
        );
        asked
    };
    let mut found = Vec::new();
    if query
        .entity_type
        .is_none_or(|kind| kind == EntityType::CALLBACK)
    {
        found.extend(asked_of("c").newest(conn, "NULL, c.doc", "callbacks c", "c", limit)?);
    }
    if query.entity_type != Some(EntityType::CALLBACK) {
        let mut asked = asked_of("i");
        asked.conditions.push("i.entity_type <> 5".to_owned());
        if let Some(entity_type) = query.entity_type {
            asked.add("i.entity_type = ?", entity_type.0);
        }
        found.extend(asked.newest(conn, "i.doc, NULL", "interactions i", "i", limit)?);
    }
    found.sort_by_key(|any| {
        let interaction = any.interaction();
        Reverse((ms(interaction.created_at), interaction.id))
    });
    found.truncate(limit);
    Ok(found)
}

pub(super) fn open_docs(
    conn: &Connection,
    tenant: &TenantId,
    queue: &QueueId,
    after: Option<InteractionId>,
    limit: usize,
) -> Result<Vec<String>> {
    let after = after.map_or_else(Vec::new, |id| blob(&id.0).to_vec());
    all(
        conn,
        "SELECT doc FROM callbacks
         WHERE tenant = ?1 AND queue = ?2 AND ended_at IS NULL AND id > ?3 ORDER BY id LIMIT ?4",
        params![tenant.as_str(), queue.as_str(), after, at_most(limit)],
        |row| Ok(row.get(0)?),
    )
}
