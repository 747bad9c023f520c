//! Lists, newest first, and the reads that answer questions about one callback.

use super::record::{any_of, cursor, one_more};
use super::rows::{self, blob, count, ms, page};
use super::{House, agents, gather, seating};
use crate::seats::Seating;
use crate::{
    AnyInteraction, CallbackQuery, Cursor, GuardAnswer, InteractionQuery, Page, Result, effects,
};
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::event::Event;
use ringback_callbacks::guard;
use ringback_callbacks::ids::{InteractionId, TenantId};
use ringback_callbacks::state::{State, Target};
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

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

    fn bytes(&mut self, condition: &str, id: InteractionId) {
        self.add(condition, id.0.as_bytes().to_vec());
    }
}

/// Numbers of a filter beyond this would only be repetitions.
const STATUSES: usize = 32;

pub(super) fn callbacks(conn: &Connection, query: &CallbackQuery) -> Result<Page<Callback>> {
    let limit = page(query.limit);
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
                WHERE s.tenant = k.tenant AND s.callback = k.callback AND s.contact = k.contact)"
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
        one_more(limit)
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = statement.query(params_from_iter(asked.values))?;
    let mut items = Vec::new();
    while let Some(row) = found.next()? {
        items.push(rows::callback_of(&row.get::<_, String>(0)?)?);
    }
    Ok(paged(items, limit, |callback| {
        cursor(&callback.interaction)
    }))
}

pub(super) fn interactions(
    conn: &Connection,
    query: &InteractionQuery,
) -> Result<Page<AnyInteraction>> {
    let limit = page(query.limit);
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
    let sql = format!(
        "SELECT i.doc, c.doc FROM interactions i LEFT JOIN callbacks c ON c.tenant = i.tenant AND c.id = i.id
         WHERE {} ORDER BY i.created_at DESC, i.id DESC LIMIT {}",
        asked.conditions.join(" AND "),
        one_more(limit)
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = statement.query(params_from_iter(asked.values))?;
    let mut items = Vec::new();
    while let Some(row) = found.next()? {
        items.extend(any_of(row.get(0)?, row.get(1)?)?);
    }
    Ok(paged(items, limit, |any| cursor(any.interaction())))
}

fn paged<T>(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> Cursor) -> Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(cursor);
    Page { items, next }
}

pub(super) fn events(
    conn: &Connection,
    tenant: &TenantId,
    callback: InteractionId,
    after: u32,
    limit: usize,
) -> Result<Vec<Event>> {
    rows::events(
        conn,
        "tenant = ?1 AND callback = ?2 AND number > ?3 ORDER BY number LIMIT ?4",
        params![
            tenant.as_str(),
            blob(&callback.0),
            after,
            one_more(page(limit)) - 1
        ],
    )
}

pub(super) fn events_after(
    conn: &Connection,
    tenant: &TenantId,
    after: i64,
    limit: usize,
) -> Result<Vec<Event>> {
    rows::events(
        conn,
        "tenant = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
        params![tenant.as_str(), after, one_more(page(limit)) - 1],
    )
}

pub(super) fn last_event(conn: &Connection) -> Result<i64> {
    let last: Option<i64> = conn
        .prepare_cached("SELECT max(seq) FROM events")?
        .query_row([], |row| row.get(0))?;
    Ok(last.unwrap_or(0))
}

/// The guards asked again, now, with the same facts a dial would see.
pub(super) fn guard_now(
    conn: &Connection,
    house: &House,
    tenant: &TenantId,
    id: InteractionId,
    now: Timestamp,
) -> Result<Option<GuardAnswer>> {
    let Some(callback) = rows::read_callback(conn, tenant, id)? else {
        return Ok(None);
    };
    let facts = gather::facts(
        conn,
        &house.views,
        &callback,
        &callback.queue,
        now,
        0.0,
        None,
    )?;
    let held = guard::check(&callback, &facts.lend(), now).err();
    let free_seats = free_seats(conn, &callback, &facts.queue)?;
    let ahead = ahead(conn, &callback)?;
    Ok(Some(GuardAnswer {
        callback,
        held,
        free_seats,
        ahead,
    }))
}

fn free_seats(
    conn: &Connection,
    callback: &Callback,
    queue: &ringback_callbacks::queue::QueueView,
) -> Result<u64> {
    let tenant = &callback.interaction.tenant;
    if let State::Transferred { to, .. } = &callback.state {
        return Ok(u64::from(agents::is_free(conn, tenant, *to)?));
    }
    let left = |target: Target, places: u64| -> Result<u64> {
        Ok(places.saturating_sub(seating::taken(conn, tenant, &callback.queue, &target)?))
    };
    match Seating::of(queue, effects::by_mail(callback)) {
        Seating::Agent => agents::free_in_queue(conn, tenant, &callback.queue),
        Seating::Dn { places } => left(Target::Dn, places),
        Seating::Template { places } => left(Target::Template, places),
        Seating::Nobody => Ok(0),
    }
}

/// Waiting callbacks of its queue that would be served before it, were it in line now.
fn ahead(conn: &Connection, callback: &Callback) -> Result<u64> {
    let since = match &callback.state {
        State::Queued { since } | State::Transferred { since, .. } => ms(*since),
        State::Received | State::Scheduled { .. } => i64::MAX,
        State::Offered { .. }
        | State::Assigned { .. }
        | State::Dialling { .. }
        | State::Talking { .. }
        | State::WrapUp { .. }
        | State::Done { .. }
        | State::Cancelled { .. }
        | State::Exhausted { .. }
        | State::Refused { .. }
        | State::Failed { .. }
        | State::Replaced { .. }
        | State::Expired => return Ok(0),
    };
    let ahead: i64 = conn
        .prepare_cached(
            "SELECT count(*) FROM callbacks
             WHERE tenant = ?1 AND queue = ?2 AND state = 'queued' AND by_mail = ?3
                 AND (rank, since, id) < (?4, ?5, ?6)",
        )?
        .query_row(
            params![
                callback.interaction.tenant.as_str(),
                callback.queue.as_str(),
                effects::by_mail(callback),
                ms(callback.rank()),
                since,
                blob(&callback.interaction.id.0)
            ],
            |row| row.get(0),
        )?;
    Ok(count(ahead))
}
