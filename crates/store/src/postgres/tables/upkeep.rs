//! What is deleted by the clock, and what `doctor` asks.

use super::super::columns::{get, named};
use super::PgTables;
use super::lists::event_of;
use crate::Result;
use crate::rows::{count, int, ms, tenant_of, time, unsigned};
use crate::tables::{Census, Link, Strays};
use jiff::Timestamp;
use ringback_callbacks::ids::{AgentId, InteractionId};
use uuid::Uuid;

/// Rows read at a time on a walk through a whole table.
const STRIDE: i64 = 2000;

impl PgTables<'_> {
    pub(super) fn drop_expired(
        &self,
        now: Timestamp,
        held_after: Timestamp,
        limit: usize,
    ) -> Result<u64> {
        let (now, limit) = (ms(now), int(limit as u64));
        let day = i64::try_from(crate::facts::NUMBER_DAY.as_millis()).unwrap_or(i64::MAX);
        let before = now.saturating_sub(day);
        let mut gone = 0;
        for (sql, moment) in [
            (
                "DELETE FROM idempotency k USING (SELECT tenant, application, key FROM idempotency
                     WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED) AS old
                 WHERE k.tenant = old.tenant AND k.application = old.application AND k.key = old.key RETURNING 1",
                now,
            ),
            (
                "DELETE FROM slot_places p USING (SELECT tenant, holder FROM slot_places
                     WHERE expires_at > 0 AND expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED) AS old
                 WHERE p.tenant = old.tenant AND p.holder = old.holder RETURNING 1",
                ms(held_after),
            ),
            (
                "DELETE FROM recent_calls c USING (SELECT tenant, contact, attempt FROM recent_calls
                     WHERE NOT in_call AND began_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED) AS old
                 WHERE c.tenant = old.tenant AND c.contact = old.contact AND c.attempt = old.attempt RETURNING 1",
                before,
            ),
        ] {
            gone += self.write(sql, &[&moment, &limit])?.len() as u64;
        }
        Ok(gone)
    }

    pub(super) fn read_clock(&self) -> Result<Timestamp> {
        let rows = self.ask(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
            &[],
        )?;
        let at = rows.first().map_or(Ok(0), |row| get(row, 0))?;
        time(at, "clock", "now")
    }

    /// Settings under which what is promised elsewhere does not hold, or holds differently.
    pub(super) fn list_remarks(&self) -> Result<Vec<String>> {
        let rows = self.ask(
            "SELECT current_setting('server_version'), current_setting('fsync') = 'on',
                 current_setting('full_page_writes') = 'on', current_setting('synchronous_standby_names') <> ''",
            &[],
        )?;
        let mut remarks = Vec::new();
        let Some(row) = rows.first() else {
            return Ok(remarks);
        };
        let replicated = if get(row, 3)? {
            "with synchronous stand-bys"
        } else {
            "without a synchronous stand-by"
        };
        remarks.push(format!("PostgreSQL {}, {replicated}", get::<&str>(row, 0)?));
        if !get::<bool>(row, 1)? {
            remarks.push("fsync is off: a power cut loses what was promised".to_owned());
        }
        if !get::<bool>(row, 2)? {
            remarks.push("full_page_writes is off: a power cut may damage the database".to_owned());
        }
        if self.begin != "BEGIN" {
            remarks.push(
                "a pooler lends connections by the transaction, so LISTEN does not work: other nodes' news are read \
                 by the clock, a second late; connect directly, or by a pooler in session mode"
                    .to_owned(),
            );
        }
        Ok(remarks)
    }

    /// What the columns of one table say against those of another, where a foreign key would have watched.
    pub(super) fn check_columns(&self) -> Result<Vec<String>> {
        let mut faults = Vec::new();
        for (what, sql) in [
            (
                "callbacks have no row of common fields",
                "SELECT count(*) FROM callbacks c WHERE NOT EXISTS (SELECT 1 FROM interactions i
                     WHERE i.tenant = c.tenant AND i.id = c.id)",
            ),
            (
                "interactions say that they are callbacks, and are none",
                "SELECT count(*) FROM interactions i WHERE i.entity_type = 5 AND NOT EXISTS (SELECT 1 FROM callbacks c
                     WHERE c.tenant = i.tenant AND c.id = i.id)",
            ),
            (
                "interactions belong to no customer",
                "SELECT count(*) FROM interactions i WHERE NOT EXISTS (SELECT 1 FROM customers c
                     WHERE c.tenant = i.tenant AND c.id = i.customer)",
            ),
            (
                "callbacks wait in a queue that is not there",
                "SELECT count(*) FROM callbacks c WHERE NOT EXISTS (SELECT 1 FROM queues q
                     WHERE q.tenant = c.tenant AND q.id = c.queue)",
            ),
            (
                "attempts belong to no callback",
                "SELECT count(*) FROM attempts a WHERE NOT EXISTS (SELECT 1 FROM callbacks c
                     WHERE c.tenant = a.tenant AND c.id = a.callback)",
            ),
            (
                "contacts belong to no customer",
                "SELECT count(*) FROM customer_contacts k WHERE NOT EXISTS (SELECT 1 FROM customers c
                     WHERE c.tenant = k.tenant AND c.id = k.customer AND k.contact = ANY(c.contacts))",
            ),
            (
                "calls are said to go on although their attempt has ended, or the other way round",
                "SELECT count(*) FROM recent_calls r LEFT JOIN attempts a ON a.tenant = r.tenant AND a.id = r.attempt
                 WHERE r.in_call IS DISTINCT FROM (a.id IS NOT NULL AND a.ended_at IS NULL)",
            ),
            (
                "slots count other places than are taken",
                "SELECT count(*) FROM (SELECT tenant, queue, starts_at, count(*) AS taken FROM slot_places
                     WHERE customer IS NOT NULL GROUP BY tenant, queue, starts_at) AS p
                 FULL JOIN slot_counts s ON s.tenant = p.tenant AND s.queue = p.queue AND s.starts_at = p.starts_at
                 WHERE coalesce(p.taken, 0) <> coalesce(s.booked, 0)",
            ),
        ] {
            let rows = self.ask(sql, &[])?;
            let number: i64 = rows.first().map_or(Ok(0), |row| get(row, 0))?;
            if number > 0 {
                faults.push(format!("{number} {what}"));
            }
        }
        Ok(faults)
    }

    pub(super) fn each_event(
        &self,
        visit: &mut dyn FnMut(Result<Link>) -> Result<()>,
    ) -> Result<()> {
        let mut last = (String::new(), Uuid::nil(), 0_i32);
        loop {
            let rows = self.ask(
                "SELECT * FROM events WHERE (tenant, callback, number) > ($1, $2, $3)
                 ORDER BY tenant, callback, number LIMIT $4",
                &[&last.0.as_str(), &last.1, &last.2, &STRIDE],
            )?;
            for row in &rows {
                last = (
                    named(row, "tenant")?,
                    named(row, "callback")?,
                    named(row, "number")?,
                );
                let salt = named(row, "salt")?;
                visit(event_of(row).map(|event| Link { event, salt }))?;
            }
            // What the visitor read on the walk is not kept: a whole database does not fit.
            self.forget();
            if int(rows.len() as u64) < STRIDE {
                return Ok(());
            }
        }
    }

    pub(super) fn each_callback(&self, visit: &mut dyn FnMut(Census) -> Result<()>) -> Result<()> {
        let mut last = (String::new(), Uuid::nil());
        loop {
            let rows = self.ask(
                "SELECT c.tenant, c.id, c.state, c.revision, c.fence,
                     (SELECT count(*) FROM events e WHERE e.tenant = c.tenant AND e.callback = c.id) AS events,
                     (SELECT count(*) FROM attempts a WHERE a.tenant = c.tenant AND a.callback = c.id AND a.number > 0) AS attempts,
                     (SELECT count(*) FROM attempts a WHERE a.tenant = c.tenant AND a.callback = c.id AND a.number > 0
                         AND a.ended_at IS NULL AND a.id IS DISTINCT FROM c.attempt) AS stray_attempts,
                     p.queue AS place_queue, p.starts_at
                 FROM callbacks c LEFT JOIN slot_places p ON p.tenant = c.tenant AND p.holder = c.id
                 WHERE (c.tenant, c.id) > ($1, $2) ORDER BY c.tenant, c.id LIMIT $3",
                &[&last.0.as_str(), &last.1, &STRIDE],
            )?;
            for row in &rows {
                last = (named(row, "tenant")?, named(row, "id")?);
                let queue: Option<String> = named(row, "place_queue")?;
                let start: Option<i64> = named(row, "starts_at")?;
                let place = match (queue, start) {
                    (Some(queue), Some(start)) => {
                        Some((queue, time(start, "slot_places", "starts_at")?))
                    }
                    (_, _) => None,
                };
                visit(Census {
                    tenant: tenant_of(&last.0, "callbacks")?,
                    id: InteractionId(last.1),
                    events: count(named(row, "events")?),
                    attempts: count(named(row, "attempts")?),
                    stray_attempts: count(named(row, "stray_attempts")?),
                    state: named(row, "state")?,
                    revision: unsigned(named(row, "revision")?, "callbacks", "revision")?,
                    fence: unsigned(named(row, "fence")?, "callbacks", "fence")?,
                    place,
                })?;
            }
            self.forget();
            if int(rows.len() as u64) < STRIDE {
                return Ok(());
            }
        }
    }

    pub(super) fn find_strays(&self) -> Result<Strays> {
        let agents = self.ask(
            "SELECT a.id FROM agents a WHERE a.engaged IS NOT NULL AND NOT EXISTS (SELECT 1 FROM callbacks c
                 WHERE c.tenant = a.tenant AND c.id = a.engaged AND c.agent = a.id)
             UNION ALL
             SELECT c.agent FROM callbacks c WHERE c.agent IS NOT NULL AND NOT EXISTS (SELECT 1 FROM agents a
                 WHERE a.tenant = c.tenant AND a.id = c.agent AND a.engaged = c.id)",
            &[],
        )?;
        let number = |sql: &str| -> Result<u64> {
            let rows = self.ask(sql, &[])?;
            rows.first().map_or(Ok(0), |row| Ok(count(get(row, 0)?)))
        };
        Ok(Strays {
            agents: agents.iter().map(|row| Ok(AgentId(get(row, 0)?))).collect::<Result<_>>()?,
            places: number(
                "SELECT count(*) FROM slot_places p WHERE p.expires_at IS NULL AND NOT EXISTS (SELECT 1 FROM callbacks c
                     WHERE c.tenant = p.tenant AND c.id = p.holder)",
            )?,
            uploads: number(
                "SELECT count(*) FROM uploads u WHERE u.finished AND NOT EXISTS (SELECT 1 FROM bodies b
                     WHERE b.tenant = u.tenant AND b.upload = u.id)",
            )?,
        })
    }
}
