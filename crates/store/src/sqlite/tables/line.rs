//! The clock's index, and the lines in which callbacks wait for seats.

use super::{all, at_most, blob, number, one, tenant_of, text, uuid};
use crate::rows::{ms, queue_id, time};
use crate::seats::{Waiting, seat_name};
use crate::tables::{Key, LineOf};
use crate::{Result, Soonest, Whose};
use jiff::Timestamp;
use ringback_callbacks::ids::{AgentId, InteractionId, NodeId, QueueId, TenantId};
use ringback_callbacks::state::Target;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

pub(super) fn due(conn: &Connection, now: Timestamp, limit: usize) -> Result<Vec<Key>> {
    all(
        conn,
        "SELECT tenant, id FROM callbacks WHERE wakes_at <= ?1 AND claim_until IS NULL ORDER BY wakes_at LIMIT ?2",
        params![ms(now), at_most(limit)],
        key_of,
    )
}

pub(super) fn lapsed(
    conn: &Connection,
    node: &NodeId,
    now: Timestamp,
    whose: Whose,
    limit: usize,
) -> Result<Vec<Key>> {
    all(
        conn,
        "SELECT tenant, id FROM callbacks WHERE claim_until <= ?1 AND (?5 OR claim_node = ?2)
         UNION SELECT tenant, id FROM callbacks
             WHERE claim_until IS NOT NULL AND claim_node = ?2 AND claim_boot <> ?3
         LIMIT ?4",
        params![
            ms(now),
            node.name,
            blob(&node.boot),
            at_most(limit),
            whose == Whose::Anybodys
        ],
        key_of,
    )
}

fn key_of(row: &Row<'_>) -> Result<Key> {
    Ok((
        tenant_of(row, 0, "callbacks")?,
        InteractionId(uuid(row, 1, "callbacks", "id")?),
    ))
}

pub(super) fn soonest(conn: &Connection) -> Result<Soonest> {
    let first = |sql, column| -> Result<Option<Timestamp>> {
        let at: Option<i64> = conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        at.map(|at| time(at, "callbacks", column)).transpose()
    };
    Ok(Soonest {
        due: first(
            "SELECT min(wakes_at) FROM callbacks WHERE wakes_at IS NOT NULL AND claim_until IS NULL",
            "wakes_at",
        )?,
        lapse: first(
            "SELECT min(claim_until) FROM callbacks WHERE claim_until IS NOT NULL",
            "claim_until",
        )?,
    })
}

/// A queue in which nobody waits costs one look-up, however many callbacks it has had.
pub(super) fn lines(conn: &Connection) -> Result<Vec<(TenantId, QueueId, bool)>> {
    all(
        conn,
        "SELECT queues.tenant, queues.id, kinds.by_mail
         FROM queues CROSS JOIN (SELECT 0 AS by_mail UNION ALL SELECT 1) AS kinds
         WHERE (queues.dialling_paused = 0 OR queues.removed = 1)
             AND EXISTS (SELECT 1 FROM callbacks
                 WHERE callbacks.tenant = queues.tenant AND callbacks.queue = queues.id
                     AND callbacks.state = 'queued' AND callbacks.by_mail = kinds.by_mail)",
        &[],
        |row| {
            Ok((
                tenant_of(row, 0, "queues")?,
                queue_id(text(row, 1)?)?,
                row.get(2)?,
            ))
        },
    )
}

pub(super) fn awaited(conn: &Connection) -> Result<Vec<(TenantId, AgentId)>> {
    all(
        conn,
        "SELECT tenant, id FROM agents
         WHERE presence = 'ready' AND engaged IS NULL
             AND EXISTS (SELECT 1 FROM callbacks
                 WHERE callbacks.tenant = agents.tenant AND callbacks.transferred_to = agents.id
                     AND callbacks.state = 'transferred')",
        &[],
        |row| Ok((tenant_of(row, 0, "agents")?, AgentId(row.get(1)?))),
    )
}

pub(super) fn next(
    conn: &Connection,
    tenant: &TenantId,
    line: &LineOf,
    after: Option<&Waiting>,
) -> Result<Option<Waiting>> {
    // Everybody stands behind this place.
    let front = Waiting {
        rank: i64::MIN,
        since: i64::MIN,
        id: InteractionId(Uuid::nil()),
    };
    let after = after.unwrap_or(&front);
    let (tenant, id) = (tenant.as_str(), blob(&after.id.0));
    match line {
        LineOf::Queue { queue, by_mail } => one(
            conn,
            "SELECT rank, since, id FROM callbacks
             WHERE tenant = ?1 AND state = 'queued' AND queue = ?2 AND by_mail = ?3
                 AND (rank, since, id) > (?4, ?5, ?6)
             ORDER BY rank, since, id LIMIT 1",
            params![tenant, queue.as_str(), by_mail, after.rank, after.since, id],
            waiting_of,
        ),
        LineOf::Agent(agent) => one(
            conn,
            "SELECT rank, since, id FROM callbacks
             WHERE tenant = ?1 AND state = 'transferred' AND transferred_to = ?2
                 AND (rank, since, id) > (?3, ?4, ?5)
                 AND NOT EXISTS (SELECT 1 FROM queues
                     WHERE queues.tenant = callbacks.tenant AND queues.id = callbacks.queue
                         AND queues.dialling_paused = 1 AND queues.removed = 0)
             ORDER BY rank, since, id LIMIT 1",
            params![tenant, agent.0, after.rank, after.since, id],
            waiting_of,
        ),
    }
}

pub(super) fn place(
    conn: &Connection,
    tenant: &TenantId,
    id: InteractionId,
) -> Result<Option<Waiting>> {
    one(
        conn,
        "SELECT rank, since, id FROM callbacks
         WHERE tenant = ?1 AND id = ?2 AND state = 'queued' AND by_mail = 0",
        params![tenant.as_str(), blob(&id.0)],
        waiting_of,
    )
}

fn waiting_of(row: &Row<'_>) -> Result<Waiting> {
    Ok(Waiting {
        rank: row.get(0)?,
        since: row.get(1)?,
        id: InteractionId(uuid(row, 2, "callbacks", "id")?),
    })
}

pub(super) fn ahead(
    conn: &Connection,
    tenant: &TenantId,
    queue: &QueueId,
    by_mail: bool,
    place: &Waiting,
) -> Result<u64> {
    number(
        conn,
        "SELECT count(*) FROM callbacks
         WHERE tenant = ?1 AND queue = ?2 AND state = 'queued' AND by_mail = ?3
             AND (rank, since, id) < (?4, ?5, ?6)",
        params![
            tenant.as_str(),
            queue.as_str(),
            by_mail,
            place.rank,
            place.since,
            blob(&place.id.0)
        ],
    )
}

pub(super) fn seated(
    conn: &Connection,
    tenant: &TenantId,
    queue: &QueueId,
    target: &Target,
) -> Result<u64> {
    number(
        conn,
        "SELECT count(*) FROM callbacks WHERE tenant = ?1 AND queue = ?2 AND seat = ?3",
        params![tenant.as_str(), queue.as_str(), seat_name(target)],
    )
}
