//! Attempts, and what they tell of a number.

use super::{all, at_most, blob, one, time_or_none, uuid};
use crate::facts::NUMBER_CALLS_READ;
use crate::rows::{int, ms, time, unreadable, unsigned, unwritable};
use crate::sqlite::faults::is_constraint;
use crate::{Result, StoreError};
use jiff::Timestamp;
use ringback_callbacks::attempt::Attempt;
use ringback_callbacks::contact::Contact;
use ringback_callbacks::guard::NumberFacts;
use ringback_callbacks::ids::{AgentId, AttemptId, InteractionId, TenantId};
use rusqlite::{Connection, Row, params};

pub(super) fn begin(conn: &Connection, attempt: &Attempt, by_mail: bool) -> Result<()> {
    match insert(conn, attempt, by_mail) {
        Ok(_) => Ok(()),
        // The guards look first; the index is there for the day when they are wrong.
        Err(error) if is_constraint(&error) => Err(StoreError::Conflict {
            field: None,
            code: "number_in_call",
            detail: "another call with this number is going on".to_owned(),
        }),
        Err(error) => Err(error.into()),
    }
}

fn insert(conn: &Connection, attempt: &Attempt, by_mail: bool) -> rusqlite::Result<usize> {
    conn.prepare_cached(
        "INSERT INTO attempts (tenant, id, callback, number, channel, route, agent, dn, contact, by_mail, fence,
             began_at, counted, legs)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, ?13)",
    )?
    .execute(params![
        attempt.tenant.as_str(),
        blob(&attempt.id.0),
        blob(&attempt.callback.0),
        attempt.number,
        attempt.channel,
        attempt.route,
        attempt.agent.map(|agent| agent.0),
        attempt.dn,
        attempt.contact,
        by_mail,
        int(attempt.fence),
        ms(attempt.began_at),
        attempt.legs.to_string(),
    ])
}

/// The ended part of an attempt's row.
pub(super) fn update(conn: &Connection, attempt: &Attempt) -> Result<()> {
    let outcome = attempt
        .outcome
        .as_ref()
        .map(serde_json::to_string)
        .transpose()
        .map_err(unwritable)?;
    conn.prepare_cached(
        "UPDATE attempts SET route = ?3, answered_at = ?4, ended_at = ?5, counted = ?6, verdict = ?7, outcome = ?8
         WHERE tenant = ?1 AND id = ?2",
    )?
    .execute(params![
        attempt.tenant.as_str(),
        blob(&attempt.id.0),
        attempt.route,
        attempt.answered_at.map(ms),
        attempt.ended_at.map(ms),
        attempt.counted,
        attempt.outcome.as_ref().map(|outcome| outcome.verdict.name()),
        outcome,
    ])?;
    Ok(())
}

pub(super) fn write_legs(
    conn: &Connection,
    tenant: &TenantId,
    attempt: AttemptId,
    legs: &serde_json::Value,
) -> Result<()> {
    conn.prepare_cached("UPDATE attempts SET legs = ?3 WHERE tenant = ?1 AND id = ?2")?
        .execute(params![tenant.as_str(), blob(&attempt.0), legs.to_string()])?;
    Ok(())
}

/// Tries that never reached the customer's side are not calls. One that the customer picked up is a call, whatever
/// failed afterwards.
pub(super) fn number(
    conn: &Connection,
    tenant: &TenantId,
    of: InteractionId,
    contact: &Contact,
    from: Timestamp,
) -> Result<NumberFacts> {
    let mut placed_last_day = all(
        conn,
        "SELECT began_at FROM attempts
         WHERE tenant = ?1 AND contact = ?2 AND by_mail = 0 AND began_at > ?3
             AND (verdict IS NULL OR answered_at IS NOT NULL OR verdict NOT IN ('route_fault', 'agent_fault'))
         ORDER BY began_at DESC LIMIT ?4",
        params![
            tenant.as_str(),
            contact.expose(),
            ms(from),
            at_most(NUMBER_CALLS_READ)
        ],
        |row| time(row.get(0)?, "attempts", "began_at"),
    )?;
    placed_last_day.reverse();
    let in_call_with = one(
        conn,
        "SELECT callback FROM attempts
         WHERE tenant = ?1 AND contact = ?2 AND ended_at IS NULL AND by_mail = 0 AND callback IS NOT ?3",
        params![tenant.as_str(), contact.expose(), blob(&of.0)],
        |row| Ok(InteractionId(uuid(row, 0, "attempts", "callback")?)),
    )?;
    Ok(NumberFacts {
        placed_last_day,
        in_call_with,
    })
}

const ATTEMPT: &str =
    "id, callback, number, channel, route, agent, dn, contact, fence, began_at, answered_at,
    ended_at, counted, outcome, legs";

pub(super) fn read(conn: &Connection, tenant: &TenantId, id: AttemptId) -> Result<Option<Attempt>> {
    one(
        conn,
        &format!("SELECT {ATTEMPT} FROM attempts WHERE tenant = ?1 AND id = ?2"),
        params![tenant.as_str(), blob(&id.0)],
        |row| attempt_of(row, tenant),
    )
}

pub(super) fn of_callback(
    conn: &Connection,
    tenant: &TenantId,
    callback: InteractionId,
) -> Result<Vec<Attempt>> {
    all(
        conn,
        &format!(
            "SELECT {ATTEMPT} FROM attempts WHERE tenant = ?1 AND callback = ?2 ORDER BY number"
        ),
        params![tenant.as_str(), blob(&callback.0)],
        |row| attempt_of(row, tenant),
    )
}

fn attempt_of(row: &Row<'_>, tenant: &TenantId) -> Result<Attempt> {
    let at = |column, name| time_or_none(row, column, "attempts", name);
    let outcome: Option<String> = row.get(13)?;
    let legs: String = row.get(14)?;
    Ok(Attempt {
        tenant: tenant.clone(),
        id: AttemptId(uuid(row, 0, "attempts", "id")?),
        callback: InteractionId(uuid(row, 1, "attempts", "callback")?),
        number: row.get(2)?,
        channel: row.get(3)?,
        route: row.get(4)?,
        agent: row.get::<_, Option<i64>>(5)?.map(AgentId),
        dn: row.get(6)?,
        contact: row.get(7)?,
        fence: unsigned(row.get(8)?, "attempts", "fence")?,
        began_at: time(row.get(9)?, "attempts", "began_at")?,
        answered_at: at(10, "answered_at")?,
        ended_at: at(11, "ended_at")?,
        counted: row.get(12)?,
        outcome: outcome
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| unreadable("attempts", "outcome", &error))?,
        legs: serde_json::from_str(&legs)
            .map_err(|error| unreadable("attempts", "legs", &error))?,
    })
}
