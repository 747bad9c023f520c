//! Places in slots, taken by callbacks and kept by holds.

use super::{all, blob, number, one, uuid};
use crate::Result;
use crate::rows::{count, ms, time};
use crate::tables::{NewHold, SlotCount};
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::ids::{CustomerId, HoldId, InteractionId, QueueId, TenantId};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use uuid::Uuid;

pub(super) fn taken(
    conn: &Connection,
    tenant: &TenantId,
    queue: &QueueId,
    (from, to): (Timestamp, Timestamp),
    held_after: Timestamp,
    leaves: &[Uuid],
) -> Result<Vec<SlotCount>> {
    let mut taken: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    let (tenant, queue, from, to) = (tenant.as_str(), queue.as_str(), ms(from), ms(to));
    let booked = all(
        conn,
        "SELECT starts_at, booked FROM slot_counts
         WHERE tenant = ?1 AND queue = ?2 AND starts_at >= ?3 AND starts_at < ?4",
        params![tenant, queue, from, to],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    for (start, booked) in booked {
        taken.entry(start).or_default().0 = booked;
    }
    let held: Vec<(i64, Uuid)> = all(
        conn,
        "SELECT starts_at, holder FROM slot_places
         WHERE tenant = ?1 AND queue = ?2 AND starts_at >= ?3 AND starts_at < ?4 AND expires_at > ?5",
        params![tenant, queue, from, to, ms(held_after)],
        |row| Ok((row.get(0)?, uuid(row, 1, "slot_places", "holder")?)),
    )?;
    for (start, holder) in held {
        if !leaves.contains(&holder) {
            taken.entry(start).or_default().1 += 1;
        }
    }
    for holder in leaves {
        let left = one(
            conn,
            "SELECT starts_at FROM slot_places
             WHERE tenant = ?1 AND holder = ?2 AND queue = ?3 AND expires_at IS NULL",
            params![tenant, blob(holder), queue],
            |row| Ok(row.get::<_, i64>(0)?),
        )?;
        if let Some(counted) = left.and_then(|start| taken.get_mut(&start)) {
            counted.0 -= 1;
        }
    }
    taken
        .into_iter()
        .map(|(start, (booked, held))| {
            Ok(SlotCount {
                start: time(start, "slot_counts", "starts_at")?,
                booked: places(count(booked)),
                held: places(count(held)),
            })
        })
        .collect()
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
    let tenant = callback.interaction.tenant.as_str();
    conn.prepare_cached(
        "INSERT INTO slot_places (tenant, holder, queue, starts_at, customer) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        tenant,
        blob(&callback.interaction.id.0),
        queue.as_str(),
        ms(start),
        callback.interaction.customer.as_str()
    ])?;
    conn.prepare_cached(
        "INSERT INTO slot_counts (tenant, queue, starts_at, booked) VALUES (?1, ?2, ?3, 1)
         ON CONFLICT (tenant, queue, starts_at) DO UPDATE SET booked = booked + 1",
    )?
    .execute(params![tenant, queue.as_str(), ms(start)])?;
    Ok(())
}

pub(super) fn give_place(
    conn: &Connection,
    tenant: &TenantId,
    callback: InteractionId,
) -> Result<()> {
    let given: Option<(String, i64)> = one(
        conn,
        "SELECT queue, starts_at FROM slot_places WHERE tenant = ?1 AND holder = ?2 AND expires_at IS NULL",
        params![tenant.as_str(), blob(&callback.0)],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let Some((queue, start)) = given else {
        return Ok(());
    };
    conn.prepare_cached("DELETE FROM slot_places WHERE tenant = ?1 AND holder = ?2")?
        .execute(params![tenant.as_str(), blob(&callback.0)])?;
    // The last one takes the row with it: a count is never nothing.
    for sql in [
        "DELETE FROM slot_counts WHERE tenant = ?1 AND queue = ?2 AND starts_at = ?3 AND booked <= 1",
        "UPDATE slot_counts SET booked = booked - 1 WHERE tenant = ?1 AND queue = ?2 AND starts_at = ?3",
    ] {
        let changed = conn
            .prepare_cached(sql)?
            .execute(params![tenant.as_str(), queue, start])?;
        if changed > 0 {
            break;
        }
    }
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
