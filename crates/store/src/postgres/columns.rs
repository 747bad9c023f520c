//! What a row means: its columns by place or name, and the records that are read back from them.

use crate::rows::{count, customer_id, damaged, queue_id, tenant_of, time, unreadable, unsigned};
use crate::{Result, StoreError};
use jiff::Timestamp;
use ringback_callbacks::agent::{Agent, Presence};
use ringback_callbacks::attempt::Attempt;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::ids::{AgentId, AttemptId, InteractionId};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

/// A column, by its place.
pub(super) fn get<'r, T: FromSql<'r>>(row: &'r Row, column: usize) -> Result<T> {
    row.try_get(column).map_err(broken)
}

/// A column, by its name.
pub(super) fn named<'r, T: FromSql<'r>>(row: &'r Row, column: &str) -> Result<T> {
    row.try_get(column).map_err(broken)
}

fn broken(error: tokio_postgres::Error) -> StoreError {
    StoreError::Failed(format!("a row has not the expected columns: {error}"))
}

pub(super) const CUSTOMER: &str =
    "tenant, id, name, time_zone, do_not_call, created_at, revision, contacts";

pub(super) fn customer_of(row: &Row, at: usize) -> Result<Customer> {
    Ok(Customer {
        tenant: tenant_of(get::<&str>(row, at)?, "customers")?,
        id: customer_id(get::<&str>(row, at + 1)?, "customers")?,
        name: get(row, at + 2)?,
        time_zone: get(row, at + 3)?,
        do_not_call: get(row, at + 4)?,
        created_at: time(get(row, at + 5)?, "customers", "created_at")?,
        revision: unsigned(get(row, at + 6)?, "customers", "revision")?,
        contacts: get(row, at + 7)?,
    })
}

pub(super) const AGENT: &str =
    "tenant, id, name, dn, route, presence, auto_accept, engaged, idle_since, revision, queues";

pub(super) fn agent_of(row: &Row) -> Result<Agent> {
    let queues: Vec<String> = named(row, "queues")?;
    Ok(Agent {
        tenant: tenant_of(named::<&str>(row, "tenant")?, "agents")?,
        id: AgentId(named(row, "id")?),
        name: named(row, "name")?,
        dn: named(row, "dn")?,
        route: named(row, "route")?,
        queues: queues
            .iter()
            .map(|name| queue_id(name))
            .collect::<Result<_>>()?,
        presence: Presence::parse(named(row, "presence")?)
            .ok_or_else(|| damaged("agents", "presence", "no such presence"))?,
        auto_accept: named(row, "auto_accept")?,
        engaged: named::<Option<Uuid>>(row, "engaged")?.map(InteractionId),
        idle_since: time(named(row, "idle_since")?, "agents", "idle_since")?,
        revision: unsigned(named(row, "revision")?, "agents", "revision")?,
    })
}

pub(super) const ATTEMPT: &str =
    "a.tenant, a.id, a.callback, a.number, a.channel, a.route, a.agent, a.dn, a.contact,
    a.by_mail, a.fence, a.began_at, a.answered_at, a.ended_at, a.counted, a.outcome, a.legs";

pub(super) fn attempt_of(row: &Row) -> Result<(Attempt, bool)> {
    let at = |column: &'static str| -> Result<Option<Timestamp>> {
        named::<Option<i64>>(row, column)?
            .map(|at| time(at, "attempts", column))
            .transpose()
    };
    let outcome: Option<&str> = named(row, "outcome")?;
    let attempt = Attempt {
        tenant: tenant_of(named::<&str>(row, "tenant")?, "attempts")?,
        id: AttemptId(named(row, "id")?),
        callback: InteractionId(named(row, "callback")?),
        number: u32::try_from(count(i64::from(named::<i32>(row, "number")?))).unwrap_or(u32::MAX),
        channel: named(row, "channel")?,
        route: named(row, "route")?,
        agent: named::<Option<i64>>(row, "agent")?.map(AgentId),
        dn: named(row, "dn")?,
        contact: named(row, "contact")?,
        fence: unsigned(named(row, "fence")?, "attempts", "fence")?,
        began_at: time(named(row, "began_at")?, "attempts", "began_at")?,
        answered_at: at("answered_at")?,
        ended_at: at("ended_at")?,
        counted: named(row, "counted")?,
        outcome: outcome
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| unreadable("attempts", "outcome", &error))?,
        legs: serde_json::from_str(named(row, "legs")?)
            .map_err(|error| unreadable("attempts", "legs", &error))?,
    };
    Ok((attempt, named(row, "by_mail")?))
}
