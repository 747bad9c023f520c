//! The months of the large tables: those to come are made in time, those whose time is over are dropped whole.
//!
//! Every step is short, because followers of events read no further than the oldest transaction that goes on; and
//! every step may be taken twice, because other nodes do the same at the same moment.

use super::faults::Fault;
use super::locks;
use super::months::{self, Month};
use super::target::Target;
use crate::rows::{count, int, ms};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

/// Whoever changes a division waits no longer than this for others, and holds up nobody for longer: shorter than
/// PostgreSQL takes to look for a circle of waiting.
const WAIT: &str =
    "SET LOCAL lock_timeout = '500ms'; SET LOCAL idle_in_transaction_session_timeout = '5s'";
/// How often a month is tried to be dropped in one round, when others are at work on the tables.
const TRIES: u32 = 8;
/// Between two tries.
const REST: Duration = Duration::from_millis(200);
/// Rows deleted in one transaction.
const BITE: u64 = 2000;
/// Bodies deleted in one transaction; one may have a hundred chunks.
const BODIES: u64 = 20;
/// Months dropped in one round; the rest are left to the next.
const MONTHS: usize = 12;

/// What was said once already: it is not said again every hour.
pub(super) type Said = Mutex<HashSet<String>>;

/// Makes the months ahead, and drops those in which everything ended so long ago. Answers how many rows went.
pub(super) async fn keep(
    target: &Target,
    now: Timestamp,
    keep_ended: Option<Duration>,
    said: &Said,
) -> Result<u64, Fault> {
    let (mut client, connection) = target.connect().await?;
    tokio::spawn(connection);
    for month in months::ahead(now) {
        make(&mut client, &month, said).await?;
    }
    let Some(kept) = keep_ended else {
        return Ok(0);
    };
    let kept = SignedDuration::try_from(kept).unwrap_or(SignedDuration::MAX);
    let cutoff = now.saturating_sub(kept).unwrap_or(Timestamp::MIN);
    let mut gone = 0;
    let mut dropped = 0;
    for month in months_there(&client).await? {
        if dropped < MONTHS && month.to <= months::first_id_at(cutoff) {
            let rows = let_go(&mut client, &month, ms(cutoff)).await?;
            dropped += usize::from(rows.is_some());
            gone += rows.unwrap_or(0);
        }
    }
    Ok(gone)
}

/// Makes the partitions of a month that are missing, each in a transaction of its own: whoever reads several of the
/// large tables takes them in an order of its own.
async fn make(client: &mut Client, month: &Month, said: &Said) -> Result<(), Fault> {
    for (table, sql) in months::TABLES.iter().zip(months::statements(month)) {
        let name = format!("{table}_{}", month.suffix);
        if is_there(client, &name).await? {
            continue;
        }
        let flight = client.transaction().await?;
        flight.batch_execute(WAIT).await?;
        let free = flight
            .query_typed(
                "SELECT pg_try_advisory_xact_lock($1)",
                &[(&locks::months(), Type::INT8)],
            )
            .await?;
        // Another node is at it.
        if !flag(&free)? {
            continue;
        }
        match flight.batch_execute(&sql).await {
            Ok(()) => flight.commit().await?,
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                tracing::debug!(
                    partition = name,
                    "a month is not made now: others are at work on the table"
                );
            }
            Err(error) if error.code() == Some(&SqlState::CHECK_VIOLATION) => {
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                if said.insert(name.clone()) {
                    tell_unprepared(&name);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

pub(super) fn tell_unprepared(partition: &str) {
    tracing::warn!(
        partition,
        "this month has no division of its own: rows of it stand in the rest already. Nothing is lost; they are found \
         there, and stay when months are dropped"
    );
}

/// Months that have a partition, the oldest first.
async fn months_there(client: &Client) -> Result<Vec<Month>, Fault> {
    let rows = client
        .query_typed(
            "SELECT DISTINCT substring(c.relname FROM '_(\\d{4}_\\d{2})$') FROM pg_inherits i
             JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = to_regclass('interactions') AND c.relname ~ '^interactions_\\d{4}_\\d{2}$'
             ORDER BY 1",
            &[],
        )
        .await?;
    let names = rows
        .iter()
        .filter_map(|row| row.try_get::<_, String>(0).ok());
    Ok(names.filter_map(|name| months::named(&name)).collect())
}

/// Drops a month whole, if everything in it ended before the cutoff and nothing outside speaks of it. `None`: it stays.
async fn let_go(client: &mut Client, month: &Month, cutoff: i64) -> Result<Option<u64>, Fault> {
    let tenants = tenants(client, month).await?;
    if let Some(why) = stays(client, month, cutoff, &tenants).await? {
        tracing::debug!(month = month.suffix, why, "a month stays");
        return Ok(None);
    }
    let callbacks = client
        .query_typed(
            "SELECT count(*) FROM callbacks WHERE id >= $1 AND id < $2",
            &within(month),
        )
        .await?;
    let mut gone = count(callbacks.first().map_or(Ok(0), |row| row.try_get(0))?);
    gone += contacts(client, month).await?;
    for tenant in &tenants {
        for (sql, bite) in DEPENDENTS {
            gone += delete(client, sql, tenant, month, *bite).await?;
        }
    }
    for number in 1..=TRIES {
        match unless_wanted(client, month, &tenants).await {
            Ok(true) => {
                tracing::info!(
                    month = month.suffix,
                    rows = gone,
                    "a month was dropped: everything in it ended longer ago than is kept"
                );
                return Ok(Some(gone));
            }
            Ok(false) => return Ok(None),
            Err(Fault::Raced(why) | Fault::Locked(why)) if number < TRIES => {
                tracing::debug!(month = month.suffix, why, number, "dropping is tried again");
                tokio::time::sleep(REST).await;
            }
            // An hour later nobody may be in the way.
            Err(Fault::Raced(why) | Fault::Locked(why)) => {
                tracing::debug!(month = month.suffix, why, "a month is not dropped now");
                return Ok(None);
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(None)
}

/// A last look at what may have come meanwhile, by the shortest ways, and the dropping: everybody else is kept away for
/// as long.
async fn unless_wanted(
    client: &mut Client,
    month: &Month,
    tenants: &[String],
) -> Result<bool, Fault> {
    let flight = client.transaction().await?;
    flight.batch_execute(WAIT).await?;
    flight
        .batch_execute(
            "LOCK TABLE ONLY interactions, ONLY callbacks, ONLY attempts, ONLY events IN ACCESS EXCLUSIVE MODE",
        )
        .await?;
    let child = flight
        .query_typed(CHILD_OUTSIDE, &among(month, &tenants))
        .await?;
    // What has ended stays ended; but ids of the month may have been written just now.
    let open = flight.query_typed(OPEN, &within(month)).await?;
    if flag(&child)? || flag(&open)? {
        return Ok(false);
    }
    let partitions: Vec<String> = months::TABLES
        .iter()
        .map(|table| format!("{table}_{}", month.suffix))
        .collect();
    flight
        .batch_execute(&format!("DROP TABLE IF EXISTS {}", partitions.join(", ")))
        .await?;
    flight.commit().await?;
    Ok(true)
}

/// Why a month cannot go: what is quickly found first.
async fn stays(
    client: &Client,
    month: &Month,
    cutoff: i64,
    tenants: &[String],
) -> Result<Option<&'static str>, Fault> {
    let since: [(&(dyn ToSql + Sync), Type); 3] = [
        (&month.from, Type::UUID),
        (&month.to, Type::UUID),
        (&cutoff, Type::INT8),
    ];
    if flag(&client.query_typed(OPEN, &within(month)).await?)? {
        return Ok(Some("a callback has not ended"));
    }
    let children = client
        .query_typed(CHILD_OUTSIDE, &among(month, &tenants))
        .await?;
    if flag(&children)? {
        return Ok(Some("an interaction outside hangs on one of it"));
    }
    if flag(&client.query_typed(TOO_YOUNG, &since).await?)? {
        return Ok(Some("not everything in it is old enough"));
    }
    if flag(&client.query_typed(OF_OTHERS, &within(month)).await?)? {
        return Ok(Some("an attempt in it belongs to a callback outside"));
    }
    Ok(None)
}

const OPEN: &str =
    "SELECT EXISTS (SELECT 1 FROM callbacks WHERE id >= $1 AND id < $2 AND ended_at IS NULL)";

const CHILD_OUTSIDE: &str = "
    SELECT EXISTS (SELECT 1 FROM interactions
        WHERE tenant = ANY($3) AND parent >= $1 AND parent < $2 AND NOT (id >= $1 AND id < $2))";

const TOO_YOUNG: &str = "
    SELECT EXISTS (SELECT 1 FROM callbacks WHERE id >= $1 AND id < $2 AND ended_at > $3)
        OR EXISTS (SELECT 1 FROM interactions WHERE id >= $1 AND id < $2 AND created_at > $3)";

/// A callback of an earlier month is still there, and was tried in this one.
const OF_OTHERS: &str = "
    SELECT EXISTS (SELECT 1 FROM attempts
        WHERE id >= $1 AND id < $2 AND NOT (callback >= $1 AND callback < $2))";

/// Rows of other tables that belong to what is dropped, a bite at a time: of one tenant, by its keys.
const DEPENDENTS: &[(&str, u64)] = &[
    (
        "WITH old AS (SELECT tenant, interaction, kind FROM bodies
             WHERE tenant = $1 AND interaction >= $2 AND interaction < $3 LIMIT $4),
         gone AS (DELETE FROM bodies b USING old WHERE b.tenant = old.tenant AND b.interaction = old.interaction
             AND b.kind = old.kind RETURNING b.tenant, b.upload),
         chunks AS (DELETE FROM body_chunks k USING gone WHERE k.tenant = gone.tenant AND k.upload = gone.upload),
         whole AS (DELETE FROM uploads u USING gone WHERE u.tenant = gone.tenant AND u.id = gone.upload)
         SELECT count(*) FROM gone",
        BODIES,
    ),
    (
        // Tries in a later month.
        "WITH old AS (SELECT tenant, id FROM attempts
             WHERE tenant = $1 AND callback >= $2 AND callback < $3 AND NOT (id >= $2 AND id < $3) LIMIT $4),
         gone AS (DELETE FROM attempts a USING old WHERE a.tenant = old.tenant AND a.id = old.id RETURNING 1)
         SELECT count(*) FROM gone",
        BITE,
    ),
    (
        "WITH old AS (SELECT tenant, holder FROM slot_places
             WHERE tenant = $1 AND holder >= $2 AND holder < $3 AND customer IS NOT NULL LIMIT $4),
         gone AS (DELETE FROM slot_places p USING old WHERE p.tenant = old.tenant AND p.holder = old.holder RETURNING 1)
         SELECT count(*) FROM gone",
        BITE,
    ),
    (
        "WITH old AS (SELECT tenant, contact, attempt FROM recent_calls
             WHERE tenant = $1 AND callback >= $2 AND callback < $3 LIMIT $4),
         gone AS (DELETE FROM recent_calls c USING old WHERE c.tenant = old.tenant AND c.contact = old.contact
             AND c.attempt = old.attempt RETURNING 1)
         SELECT count(*) FROM gone",
        BITE,
    ),
];

async fn delete(
    client: &Client,
    sql: &str,
    tenant: &str,
    month: &Month,
    bite: u64,
) -> Result<u64, Fault> {
    let mut gone = 0;
    loop {
        let rows = client
            .query_typed(
                sql,
                &[
                    (&tenant, Type::TEXT),
                    (&month.from, Type::UUID),
                    (&month.to, Type::UUID),
                    (&int(bite), Type::INT8),
                ],
            )
            .await?;
        let number = count(rows.first().map_or(Ok(0), |row| row.try_get(0))?);
        gone += number;
        if number == 0 {
            return Ok(gone);
        }
    }
}

/// Contacts are in the order of contacts: the whole table is walked, once for a month that goes.
async fn contacts(client: &Client, month: &Month) -> Result<u64, Fault> {
    let mut gone = 0;
    let mut last = (String::new(), String::new(), 0_i64, Uuid::nil());
    loop {
        let rows = client
            .query_typed(
                "WITH bite AS (SELECT tenant, contact, created_at, callback FROM callback_contacts
                     WHERE (tenant, contact, created_at, callback) > ($1, $2, $3, $4)
                     ORDER BY tenant, contact, created_at, callback LIMIT $7),
                 gone AS (DELETE FROM callback_contacts k USING bite WHERE k.tenant = bite.tenant
                     AND k.contact = bite.contact AND k.created_at = bite.created_at AND k.callback = bite.callback
                     AND k.callback >= $5 AND k.callback < $6 RETURNING 1)
                 SELECT tenant, contact, created_at, callback, (SELECT count(*) FROM gone) FROM bite
                 ORDER BY tenant DESC, contact DESC, created_at DESC, callback DESC LIMIT 1",
                &[
                    (&last.0, Type::TEXT),
                    (&last.1, Type::TEXT),
                    (&last.2, Type::INT8),
                    (&last.3, Type::UUID),
                    (&month.from, Type::UUID),
                    (&month.to, Type::UUID),
                    (&int(BITE), Type::INT8),
                ],
            )
            .await?;
        let Some(row) = rows.first() else {
            return Ok(gone);
        };
        last = (
            row.try_get(0)?,
            row.try_get(1)?,
            row.try_get(2)?,
            row.try_get(3)?,
        );
        gone += count(row.try_get(4)?);
    }
}

/// The tenants that have something in a month: each is found by the one before it.
async fn tenants(client: &Client, month: &Month) -> Result<Vec<String>, Fault> {
    let mut tenants: Vec<String> = Vec::new();
    loop {
        let after = tenants.last().map_or("", String::as_str);
        let rows = client
            .query_typed(
                "SELECT min(tenant) FROM interactions WHERE tenant > $1 AND id >= $2 AND id < $3",
                &[
                    (&after, Type::TEXT),
                    (&month.from, Type::UUID),
                    (&month.to, Type::UUID),
                ],
            )
            .await?;
        match rows.first().map_or(Ok(None), |row| row.try_get(0))? {
            Some(next) => tenants.push(next),
            None => return Ok(tenants),
        }
    }
}

async fn is_there(client: &Client, table: &str) -> Result<bool, Fault> {
    let rows = client
        .query_typed(
            "SELECT to_regclass($1) IS NOT NULL",
            &[(&table, Type::TEXT)],
        )
        .await?;
    flag(&rows)
}

fn within(month: &Month) -> [(&(dyn ToSql + Sync), Type); 2] {
    [(&month.from, Type::UUID), (&month.to, Type::UUID)]
}

fn among<'a>(month: &'a Month, tenants: &'a &'a [String]) -> [(&'a (dyn ToSql + Sync), Type); 3] {
    [
        (&month.from, Type::UUID),
        (&month.to, Type::UUID),
        (tenants, Type::TEXT_ARRAY),
    ]
}

fn flag(rows: &[Row]) -> Result<bool, Fault> {
    Ok(rows.first().map_or(Ok(false), |row| row.try_get(0))?)
}
