//! Bodies in chunks. An upload is nobody's until it is put in a body's place, in one transaction with its event.

use super::faults::damaged;
use super::path::{carry_out, conflict};
use super::rows::{blob, count, int, ms};
use super::writer::Write;
use super::{House, record};
use crate::{AnyInteraction, BODY_CHUNK, BodyOrder, Result, StoreError};
use jiff::Timestamp;
use ringback_callbacks::ids::{InteractionId, TenantId};
use ringback_callbacks::interaction::{BodyInfo, BodyKind};
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::request::NewBody;
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;
use uuid::Uuid;

/// An upload nobody touched for this long has broken off.
const BROKEN_OFF: Duration = Duration::from_secs(24 * 3600);

struct Upload {
    chunks: i64,
    bytes: u64,
    finished: bool,
}

pub(super) fn append(
    conn: &Connection,
    upload: Uuid,
    index: u32,
    bytes: &[u8],
    now: Timestamp,
) -> Result<()> {
    if bytes.len() > BODY_CHUNK {
        return Err(body_conflict("chunk_size", "a chunk has at most 256 KiB"));
    }
    let known = read_upload(conn, upload)?;
    if known.is_none() {
        conn.prepare_cached("INSERT INTO uploads (id, touched_at, chunks, bytes, finished) VALUES (?1, ?2, 0, 0, 0)")?
            .execute(params![blob(&upload), ms(now)])?;
    }
    let Upload {
        chunks,
        bytes: so_far,
        finished,
    } = known.unwrap_or(Upload {
        chunks: 0,
        bytes: 0,
        finished: false,
    });
    if finished || chunks != i64::from(index) {
        return Err(body_conflict(
            "chunk_order",
            "chunks come one after the other, and none after the last",
        ));
    }
    let total = so_far + bytes.len() as u64;
    if total > BodyKind::MAX_SIZE {
        return Err(body_conflict("too_large", "a body has at most 25 MiB"));
    }
    conn.prepare_cached("INSERT INTO body_chunks (upload, number, bytes) VALUES (?1, ?2, ?3)")?
        .execute(params![blob(&upload), index, bytes])?;
    conn.prepare_cached(
        "UPDATE uploads SET chunks = ?2, bytes = ?3, touched_at = ?4 WHERE id = ?1",
    )?
    .execute(params![blob(&upload), chunks + 1, int(total), ms(now)])?;
    Ok(())
}

pub(super) fn finish(
    write: &mut Write<'_>,
    house: &House,
    order: BodyOrder,
) -> Result<AnyInteraction> {
    let BodyOrder {
        tenant,
        id,
        kind,
        mime,
        size,
        upload,
        actor,
        now,
    } = order;
    let conn = write.conn;
    let found = record::read_any(conn, &tenant, id)?.ok_or(StoreError::NotFound("interaction"))?;
    let arrived = match read_upload(conn, upload)? {
        Some(upload) if upload.finished => {
            return Err(body_conflict("finished", "this upload is a body already"));
        }
        Some(upload) => upload.bytes,
        // An empty body has no chunk that could have begun the upload.
        None => {
            conn.prepare_cached("INSERT INTO uploads (id, touched_at, chunks, bytes, finished) VALUES (?1, ?2, 0, 0, 0)")?
                .execute(params![blob(&upload), ms(now)])?;
            0
        }
    };
    if arrived != size {
        return Err(body_conflict("size", "not all of the body has arrived"));
    }
    put_in_place(conn, &tenant, id, kind, upload)?;
    let info = BodyInfo { mime, size };
    match found {
        AnyInteraction::Callback(callback) => {
            let after = carry_out(
                write,
                house,
                *callback,
                Command::StoreBody { kind, info },
                &actor,
                now,
            )?;
            Ok(AnyInteraction::Callback(Box::new(after)))
        }
        AnyInteraction::Other(mut other) => {
            other.interaction.bodies.set(kind, Some(info));
            other.revision += 1;
            record::write_recorded(conn, &other)?;
            Ok(AnyInteraction::Other(other))
        }
    }
}

/// The bodies that came with a booking; they passed the limit of the request itself.
pub(super) fn store_small(
    conn: &Connection,
    house: &House,
    tenant: &TenantId,
    id: InteractionId,
    bodies: &[NewBody],
    now: Timestamp,
) -> Result<()> {
    for body in bodies {
        let upload = house.chance.uuid();
        conn.prepare_cached("INSERT INTO uploads (id, touched_at, chunks, bytes, finished) VALUES (?1, ?2, 0, 0, 0)")?
            .execute(params![blob(&upload), ms(now)])?;
        for (index, chunk) in body.bytes.chunks(BODY_CHUNK).enumerate() {
            append(
                conn,
                upload,
                u32::try_from(index).unwrap_or(u32::MAX),
                chunk,
                now,
            )?;
        }
        put_in_place(conn, tenant, id, body.kind, upload)?;
    }
    Ok(())
}

/// Makes a finished upload the body; the bytes of the one before it are gone for good.
fn put_in_place(
    conn: &Connection,
    tenant: &TenantId,
    id: InteractionId,
    kind: BodyKind,
    upload: Uuid,
) -> Result<()> {
    conn.prepare_cached("UPDATE uploads SET finished = 1 WHERE id = ?1")?
        .execute([blob(&upload)])?;
    let key = params![tenant.as_str(), blob(&id.0), kind.name()];
    let old: Option<Vec<u8>> = conn
        .prepare_cached(
            "SELECT upload FROM bodies WHERE tenant = ?1 AND interaction = ?2 AND kind = ?3",
        )?
        .query_row(key, |row| row.get(0))
        .optional()?;
    conn.prepare_cached(
        "INSERT OR REPLACE INTO bodies (tenant, interaction, kind, upload) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        tenant.as_str(),
        blob(&id.0),
        kind.name(),
        blob(&upload)
    ])?;
    if let Some(old) = old {
        forget(
            conn,
            &Uuid::from_slice(&old).map_err(|_| damaged("bodies", "upload", "not 16 bytes"))?,
        )?;
    }
    Ok(())
}

/// Forgets an upload, unless it has become a body.
pub(super) fn abandon(conn: &Connection, upload: Uuid) -> Result<()> {
    match read_upload(conn, upload)? {
        Some(found) if !found.finished => forget(conn, &upload),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn read_chunk(
    conn: &Connection,
    tenant: &TenantId,
    id: InteractionId,
    kind: BodyKind,
    index: u32,
) -> Result<Option<Vec<u8>>> {
    let chunk = conn
        .prepare_cached(
            "SELECT body_chunks.bytes FROM bodies
             JOIN body_chunks ON body_chunks.upload = bodies.upload AND body_chunks.number = ?4
             WHERE bodies.tenant = ?1 AND bodies.interaction = ?2 AND bodies.kind = ?3",
        )?
        .query_row(
            params![tenant.as_str(), blob(&id.0), kind.name(), index],
            |row| row.get(0),
        )
        .optional()?;
    Ok(chunk)
}

/// Forgets up to `limit` uploads that broke off.
pub(super) fn prune(conn: &Connection, now: Timestamp, limit: usize) -> Result<u64> {
    let before = ms(now).saturating_sub(i64::try_from(BROKEN_OFF.as_millis()).unwrap_or(i64::MAX));
    let broken: Vec<Vec<u8>> = conn
        .prepare_cached("SELECT id FROM uploads WHERE finished = 0 AND touched_at < ?1 LIMIT ?2")?
        .query_map(params![before, int(limit as u64)], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in &broken {
        forget(
            conn,
            &Uuid::from_slice(id).map_err(|_| damaged("uploads", "id", "not 16 bytes"))?,
        )?;
    }
    Ok(broken.len() as u64)
}

fn forget(conn: &Connection, upload: &Uuid) -> Result<()> {
    conn.prepare_cached("DELETE FROM body_chunks WHERE upload = ?1")?
        .execute([blob(upload)])?;
    conn.prepare_cached("DELETE FROM uploads WHERE id = ?1")?
        .execute([blob(upload)])?;
    Ok(())
}

fn read_upload(conn: &Connection, upload: Uuid) -> Result<Option<Upload>> {
    let found = conn
        .prepare_cached("SELECT chunks, bytes, finished FROM uploads WHERE id = ?1")?
        .query_row([blob(&upload)], |row| {
            Ok(Upload {
                chunks: row.get(0)?,
                bytes: count(row.get(1)?),
                finished: row.get(2)?,
            })
        })
        .optional()?;
    Ok(found)
}

fn body_conflict(code: &'static str, detail: &str) -> StoreError {
    conflict("body", code, detail)
}
