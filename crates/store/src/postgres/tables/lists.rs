//! Lists, newest first, and events in commit order.

use super::super::columns::{CUSTOMER, customer_of, get, named};
use super::super::session::Value;
use super::PgTables;
use crate::rows::{any_of, callback_of, int, kind_of, ms, tenant_of, time, unreadable};
use crate::{
    AnyInteraction, CallbackQuery, Cursor, CustomerQuery, InteractionQuery, Result, RulesMark,
    effects,
};
use ringback_callbacks::callback::Callback;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::event::Event;
use ringback_callbacks::ids::{CustomerId, InteractionId, QueueId, TenantId};
use tokio_postgres::Row;
use uuid::Uuid;

/// Numbers of a filter beyond this would only be repetitions.
const STATUSES: usize = 32;

/// Places of one transaction in the order of events.
const PLACES: u32 = 20;

/// A query put together from what was asked; values are always bound, never written into the text.
#[derive(Default)]
struct Asked {
    conditions: Vec<String>,
    values: Vec<Box<dyn Value>>,
}

impl Asked {
    fn add(&mut self, condition: &str, value: impl Value + 'static) {
        self.values.push(Box::new(value));
        self.conditions
            .push(condition.replace('?', &format!("${}", self.values.len())));
    }

    /// Interactions of a tenant; names the condition of the index of all of them.
    fn within(&mut self, tenant: &TenantId) {
        self.add("i.tenant = ?", tenant.to_string());
        self.conditions.push("i.created_at >= 0".to_owned());
    }

    fn older_than(&mut self, created: &str, id: &str, after: Option<Cursor>) {
        let Some(after) = after else { return };
        self.values.push(Box::new(after.created_ms));
        let at = self.values.len();
        self.values.push(Box::new(after.id.0));
        self.conditions
            .push(format!("({created}, {id}) < (${at}, ${})", at + 1));
    }

    fn values(&self) -> Vec<&dyn Value> {
        self.values.iter().map(|value| &**value).collect()
    }

    fn common(
        &mut self,
        customer: Option<&CustomerId>,
        thread: Option<&String>,
        parent: Option<InteractionId>,
        external_id: Option<&String>,
    ) {
        if let Some(customer) = customer {
            self.add("i.customer = ?", customer.to_string());
        }
        if let Some(thread) = thread {
            self.add("i.thread = ?", thread.clone());
        }
        if let Some(parent) = parent {
            self.add("i.parent = ?", parent.0);
        }
        if let Some(external_id) = external_id {
            self.add("i.external_id = ?", external_id.clone());
        }
    }
}

impl PgTables<'_> {
    pub(super) fn find_callbacks(
        &self,
        query: &CallbackQuery,
        limit: usize,
    ) -> Result<Vec<Callback>> {
        let mut asked = Asked::default();
        asked.within(&query.tenant);
        asked.conditions.push("i.entity_type = 5".to_owned());
        if let Some(contact) = &query.contact {
            asked.add(
                "(i.tenant, i.id) IN (SELECT k.tenant, k.callback FROM callback_contacts k
                     WHERE k.tenant = i.tenant AND k.contact = ?)",
                contact.clone(),
            );
        }
        asked.common(
            query.customer.as_ref(),
            query.thread.as_ref(),
            query.parent,
            query.external_id.as_ref(),
        );
        if let Some(owner) = query.owner {
            asked.add("i.owner = ?", owner);
        }
        if let Some(queue) = &query.queue {
            asked.add("i.queue = ?", queue.to_string());
        }
        if let Some(agent) = query.agent {
            asked.add("c.agent = ?", agent.0);
        }
        for (column, numbers) in [
            ("c.callback_status", &query.callback_status),
            ("c.status", &query.status),
        ] {
            if !numbers.is_empty() {
                let numbers = numbers[..numbers.len().min(STATUSES)].to_vec();
                asked.add(&format!("{column} = ANY(?)"), numbers);
            }
        }
        for (condition, at) in [
            ("c.start_time >= ?", query.start_from),
            ("c.start_time < ?", query.start_before),
            ("i.created_at >= ?", query.created_from),
            ("i.created_at < ?", query.created_before),
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
            asked.add("strpos(i.search, ?) > 0", word);
        }
        asked.older_than("i.created_at", "i.id", query.after);
        let sql = format!(
            "SELECT c.doc FROM interactions i JOIN callbacks c ON c.tenant = i.tenant AND c.id = i.id
             WHERE {} ORDER BY i.created_at DESC, i.id DESC LIMIT {limit}",
            asked.conditions.join(" AND ")
        );
        let rows = self.ask(&sql, &asked.values())?;
        rows.iter()
            .map(|row| callback_of(get::<&str>(row, 0)?))
            .collect()
    }

    pub(super) fn find_interactions(
        &self,
        query: &InteractionQuery,
        limit: usize,
    ) -> Result<Vec<AnyInteraction>> {
        let mut asked = Asked::default();
        asked.within(&query.tenant);
        asked.common(
            query.customer.as_ref(),
            query.thread.as_ref(),
            query.parent,
            query.external_id.as_ref(),
        );
        if let Some(entity_type) = query.entity_type {
            asked.add("i.entity_type = ?", entity_type.0);
        }
        asked.older_than("i.created_at", "i.id", query.after);
        let sql = format!(
            "SELECT i.doc, c.doc FROM interactions i LEFT JOIN callbacks c ON c.tenant = i.tenant AND c.id = i.id
             WHERE {} ORDER BY i.created_at DESC, i.id DESC LIMIT {limit}",
            asked.conditions.join(" AND ")
        );
        let rows = self.ask(&sql, &asked.values())?;
        let mut items = Vec::new();
        for row in &rows {
            items.extend(any_of(get(row, 0)?, get(row, 1)?)?);
        }
        Ok(items)
    }

    pub(super) fn find_customers(
        &self,
        query: &CustomerQuery,
        limit: usize,
    ) -> Result<Vec<Customer>> {
        let after = query.after.as_ref().map_or("", CustomerId::as_str);
        let text = query.text.as_ref().map(|text| text.to_lowercase());
        let sql = format!(
            "SELECT {CUSTOMER} FROM customers
             WHERE tenant = $1 AND id > $2 AND ($3::text IS NULL OR strpos(search, $3) > 0) ORDER BY id LIMIT $4"
        );
        let rows = self.ask(
            &sql,
            &[&query.tenant.as_str(), &after, &text, &int(limit as u64)],
        )?;
        rows.iter().map(|row| customer_of(row, 0)).collect()
    }

    pub(super) fn find_open(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        after: Option<InteractionId>,
        limit: usize,
    ) -> Result<Vec<String>> {
        let rows = self.ask(
            "SELECT doc FROM callbacks
             WHERE tenant = $1 AND queue = $2 AND ended_at IS NULL AND id > $3 ORDER BY id LIMIT $4",
            &[
                &tenant.as_str(),
                &queue.as_str(),
                &after.map_or(Uuid::nil(), |after| after.0),
                &int(limit as u64),
            ],
        )?;
        rows.iter().map(super::callbacks::doc_of).collect()
    }

    pub(super) fn find_other_editions(
        &self,
        tenant: &TenantId,
        edition: &str,
        after: Option<&RulesMark>,
        limit: usize,
    ) -> Result<Vec<(RulesMark, String)>> {
        let (after, id) = after.map_or(("", Uuid::nil()), |(edition, id)| (edition.as_str(), id.0));
        // Its own edition is stepped over, however many have it.
        let rows = self.ask(
            "SELECT local_edition, id, doc FROM callbacks
             WHERE tenant = $1 AND ended_at IS NULL AND local_edition < $2 AND (local_edition, id) > ($3, $4)
             UNION ALL
             SELECT local_edition, id, doc FROM callbacks
             WHERE tenant = $1 AND ended_at IS NULL AND local_edition > $2 AND (local_edition, id) > ($3, $4)
             ORDER BY 1, 2 LIMIT $5",
            &[&tenant.as_str(), &edition, &after, &id, &int(limit as u64)],
        )?;
        let read = |row| Ok(((get(row, 0)?, InteractionId(get(row, 1)?)), get(row, 2)?));
        rows.iter().map(read).collect()
    }

    pub(super) fn note_editions(
        &self,
        tenant: &TenantId,
        confirmed: &[(&Callback, Option<&str>)],
    ) -> Result<()> {
        let ids: Vec<Uuid> = confirmed
            .iter()
            .map(|(callback, _)| callback.interaction.id.0)
            .collect();
        let revisions: Vec<i64> = confirmed
            .iter()
            .map(|(callback, _)| int(callback.revision))
            .collect();
        let editions: Vec<Option<&str>> = confirmed.iter().map(|(_, edition)| *edition).collect();
        self.write(
            "UPDATE callbacks c SET local_edition = u.edition
             FROM (SELECT * FROM unnest($2::uuid[], $3::bigint[], $4::text[]) LIMIT cardinality($2::uuid[]))
                 AS u(id, revision, edition)
             WHERE c.tenant = $1 AND c.id = u.id AND c.revision = u.revision",
            &[&tenant.as_str(), &ids, &revisions, &editions],
        )?;
        Ok(())
    }

    pub(super) fn find_events(
        &self,
        tenant: &TenantId,
        callback: InteractionId,
        after: u32,
        limit: usize,
    ) -> Result<Vec<Event>> {
        let after = i32::try_from(after).unwrap_or(i32::MAX);
        let rows = self.ask(
            "SELECT * FROM events WHERE tenant = $1 AND callback = $2 AND number > $3 ORDER BY number LIMIT $4",
            &[&tenant.as_str(), &callback.0, &after, &int(limit as u64)],
        )?;
        rows.iter().map(event_of).collect()
    }

    /// Transactions commit in another order than they are numbered. What stands before the oldest one that goes on
    /// is complete; a follower reads up to there, and finds the rest when it asks again.
    pub(super) fn follow_events(
        &self,
        tenant: &TenantId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Event>> {
        let sql = format!(
            "SELECT * FROM events WHERE tenant = $1 AND seq > $2
                 AND seq < (pg_snapshot_xmin(pg_current_snapshot())::text::bigint + $3) << {PLACES}
             ORDER BY seq LIMIT $4"
        );
        let rows = self.ask(
            &sql,
            &[&tenant.as_str(), &after, &self.offset, &int(limit as u64)],
        )?;
        rows.iter().map(event_of).collect()
    }

    pub(super) fn end_of_events(&self) -> Result<i64> {
        let sql = format!(
            "WITH RECURSIVE tenants AS (
                 (SELECT tenant FROM events ORDER BY tenant LIMIT 1)
                 UNION ALL
                 SELECT (SELECT e.tenant FROM events e WHERE e.tenant > t.tenant ORDER BY e.tenant LIMIT 1)
                 FROM tenants t WHERE t.tenant IS NOT NULL)
             SELECT coalesce(max(last.seq), 0) FROM tenants t CROSS JOIN LATERAL (
                 SELECT e.seq FROM events e WHERE e.tenant = t.tenant
                     AND e.seq < (pg_snapshot_xmin(pg_current_snapshot())::text::bigint + $1) << {PLACES}
                 ORDER BY e.seq DESC LIMIT 1) AS last"
        );
        let rows = self.ask(&sql, &[&self.offset])?;
        rows.first().map_or(Ok(0), |row| get(row, 0))
    }
}

pub(in crate::postgres) fn event_of(row: &Row) -> Result<Event> {
    let personal: Option<&str> = named(row, "personal")?;
    Ok(Event {
        seq: named(row, "seq")?,
        tenant: tenant_of(named::<&str>(row, "tenant")?, "events")?,
        callback: InteractionId(named(row, "callback")?),
        number: u32::try_from(named::<i32>(row, "number")?).unwrap_or(0),
        at: time(named(row, "at")?, "events", "at")?,
        kind: kind_of(named(row, "kind")?)?,
        actor: named(row, "actor")?,
        detail: serde_json::from_str(named(row, "detail")?)
            .map_err(|error| unreadable("events", "detail", &error))?,
        personal: personal
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| unreadable("events", "personal", &error))?,
        personal_hash: named(row, "personal_hash")?,
        hash: named(row, "hash")?,
    })
}
