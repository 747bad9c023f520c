//! Places in slots, taken by callbacks and kept by holds.

use super::{all, blob, number, one};
use crate::Result;
use crate::rows::{count, ms, time};
use crate::tables::{NewHold, SlotCount};
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::ids::{CustomerId, HoldId, InteractionId, QueueId, TenantId};
use rusqlite::{Connection, params};
use uuid::Uuid;

pub(super) fn taken(
    conn: &Connection,
    tenant: &TenantId,
    queue: &QueueId,
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
    leaves: &[Uuid],
) -> Result<Vec<SlotCount>> {
    let (one, two) = (leaves.first().map(blob), leaves.get(1).map(blob));
    all(
        conn,
        "SELECT starts_at, sum(expires_at IS NULL), sum(expires_at > ?5) FROM slot_places
         WHERE tenant = ?1 AND queue = ?2 AND starts_at >= ?3 AND starts_at < ?4
             AND holder IS NOT ?6 AND holder IS NOT ?7
         GROUP BY starts_at",
        params![
            tenant.as_str(),
            queue.as_str(),
            ms(from),
            ms(to),
            ms(now),
            one,
            two
        ],
        |row| {
            let held: Option<i64> = row.get(2)?;
            Ok(SlotCount {
                start: time(row.get(0)?, "slot_places", "starts_at")?,
                booked: places(count(row.get(1)?)),
                held: places(count(held.unwrap_or(0))),
            })
        },
    )
}

pub(super) fn places_of(
    conn: &Connection,
    tenant: &TenantId,
    queue: &QueueId,
    customer: &CustomerId,
    leaves: &[Uuid],
) -> Result<u32> {
    let (one, two) = (leaves.first().map(blob), leaves.get(1).map(blob));
    let open = number(
        conn,
        "SELECT count(*) FROM slot_places
         WHERE tenant = ?1 AND queue = ?2 AND customer = ?3 AND holder IS NOT ?4 AND holder IS NOT ?5",
        params![
            tenant.as_str(),
            queue.as_str(),
            customer.as_str(),
            one,
            two
        ],
    )?;
    Ok(places(open))
}

fn places(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub(super) fn take_place(
    conn: &Connection,
    callback: &Callback,
    queue: &QueueId,
    start: Timestamp,
) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO slot_places (tenant, holder, queue, starts_at, customer) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        callback.interaction.tenant.as_str(),
        blob(&callback.interaction.id.0),
        queue.as_str(),
        ms(start),
        callback.interaction.customer.as_str()
    ])?;
    Ok(())
}

pub(super) fn give_place(
    conn: &Connection,
    tenant: &TenantId,
    callback: InteractionId,
) -> Result<()> {
    conn.prepare_cached("DELETE FROM slot_places WHERE tenant = ?1 AND holder = ?2")?
        .execute(params![tenant.as_str(), blob(&callback.0)])?;
    Ok(())
}

pub(super) fn write_hold(conn: &Connection, hold: &NewHold<'_>) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO slot_places (tenant, holder, queue, starts_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        hold.tenant.as_str(),
        blob(&hold.id.0),
        hold.queue.as_str(),
        ms(hold.start),
        ms(hold.expires_at)
    ])?;
    Ok(())
}

pub(super) fn end_hold(
    conn: &Connection,
    tenant: &TenantId,
    hold: HoldId,
    queue: Option<&QueueId>,
    now: Timestamp,
) -> Result<Option<Timestamp>> {
    one(
        conn,
        "DELETE FROM slot_places
         WHERE tenant = ?1 AND holder = ?2 AND (?3 IS NULL OR queue = ?3) AND expires_at > ?4
         RETURNING starts_at",
        params![
            tenant.as_str(),
            blob(&hold.0),
            queue.map(QueueId::as_str),
            ms(now)
        ],
        |row| time(row.get(0)?, "slot_places", "starts_at"),
    )
}
