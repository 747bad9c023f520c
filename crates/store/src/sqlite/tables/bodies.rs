//! Bodies in chunks, and the uploads they are made of.

use super::{blob, one, uuid};
use crate::Result;
use crate::rows::{count, int, ms};
use crate::tables::Upload;
use jiff::Timestamp;
use ringback_callbacks::ids::{InteractionId, TenantId};
use ringback_callbacks::interaction::BodyKind;
use rusqlite::{Connection, params};
use uuid::Uuid;

pub(super) fn upload(conn: &Connection, tenant: &TenantId, id: Uuid) -> Result<Option<Upload>> {
    one(
        conn,
        "SELECT chunks, bytes, finished FROM uploads WHERE tenant = ?1 AND id = ?2",
        params![tenant.as_str(), blob(&id)],
        |row| {
            Ok(Upload {
                chunks: row.get(0)?,
                bytes: count(row.get(1)?),
                finished: row.get(2)?,
            })
        },
    )
}

pub(super) fn begin_upload(
    conn: &Connection,
    tenant: &TenantId,
    id: Uuid,
    now: Timestamp,
) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO uploads (tenant, id, touched_at, chunks, bytes, finished) VALUES (?1, ?2, ?3, 0, 0, 0)",
    )?
    .execute(params![tenant.as_str(), blob(&id), ms(now)])?;
    Ok(())
}

pub(super) fn add_chunk(
    conn: &Connection,
    tenant: &TenantId,
    upload: Uuid,
    index: u32,
    bytes: &[u8],
    total: u64,
    now: Timestamp,
) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO body_chunks (tenant, upload, number, bytes) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![tenant.as_str(), blob(&upload), index, bytes])?;
    conn.prepare_cached(
        "UPDATE uploads SET chunks = ?3, bytes = ?4, touched_at = ?5 WHERE tenant = ?1 AND id = ?2",
    )?
    .execute(params![
        tenant.as_str(),
        blob(&upload),
        i64::from(index) + 1,
        int(total),
        ms(now)
    ])?;
    Ok(())
}

/// The bytes of the body before it are gone for good.
pub(super) fn put(
    conn: &Connection,
    tenant: &TenantId,
    id: InteractionId,
    kind: BodyKind,
    upload: Uuid,
) -> Result<()> {
    conn.prepare_cached("UPDATE uploads SET finished = 1 WHERE tenant = ?1 AND id = ?2")?
        .execute(params![tenant.as_str(), blob(&upload)])?;
    let old = one(
        conn,
        "SELECT upload FROM bodies WHERE tenant = ?1 AND interaction = ?2 AND kind = ?3",
        params![tenant.as_str(), blob(&id.0), kind.name()],
        |row| uuid(row, 0, "bodies", "upload"),
    )?;
    conn.prepare_cached(
        "INSERT OR REPLACE INTO bodies (tenant, interaction, kind, upload) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        tenant.as_str(),
        blob(&id.0),
        kind.name(),
        blob(&upload)
    ])?;
    match old {
        Some(old) => delete(conn, tenant, old),
        None => Ok(()),
    }
}

pub(super) fn delete(conn: &Connection, tenant: &TenantId, upload: Uuid) -> Result<()> {
    conn.prepare_cached("DELETE FROM body_chunks WHERE tenant = ?1 AND upload = ?2")?
        .execute(params![tenant.as_str(), blob(&upload)])?;
    conn.prepare_cached("DELETE FROM uploads WHERE tenant = ?1 AND id = ?2")?
        .execute(params![tenant.as_str(), blob(&upload)])?;
    Ok(())
}

pub(super) fn chunk(
    conn: &Connection,
    tenant: &TenantId,
    id: InteractionId,
    kind: BodyKind,
    index: u32,
) -> Result<Option<Vec<u8>>> {
    one(
        conn,
        "SELECT body_chunks.bytes FROM bodies
         JOIN body_chunks ON body_chunks.tenant = bodies.tenant AND body_chunks.upload = bodies.upload AND body_chunks.number = ?4
         WHERE bodies.tenant = ?1 AND bodies.interaction = ?2 AND bodies.kind = ?3",
        params![tenant.as_str(), blob(&id.0), kind.name(), index],
        |row| Ok(row.get(0)?),
    )
}
