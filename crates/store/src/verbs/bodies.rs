//! Bodies in chunks. An upload is nobody's until it is put in a body's place, in one transaction with its event.

use super::path::carry_out;
use super::{House, Write, before, conflict, record};
use crate::tables::{BROKEN_OFF, Tables, Upload};
use crate::{AnyInteraction, BODY_CHUNK, BodyOrder, Result, StoreError};
use jiff::Timestamp;
use ringback_callbacks::ids::{InteractionId, TenantId};
use ringback_callbacks::interaction::{BodyInfo, BodyKind};
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::request::NewBody;
use uuid::Uuid;

pub(crate) fn append(
    tables: &dyn Tables,
    tenant: &TenantId,
    upload: Uuid,
    index: u32,
    bytes: &[u8],
    now: Timestamp,
) -> Result<()> {
    if bytes.len() > BODY_CHUNK {
        return Err(body_conflict("chunk_size", "a chunk has at most 256 KiB"));
    }
    let known = tables.upload(tenant, upload)?;
    if known.is_none() {
        tables.begin_upload(tenant, upload, now)?;
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
    if finished || chunks != index {
        return Err(body_conflict(
            "chunk_order",
            "chunks come one after the other, and none after the last",
        ));
    }
    let total = so_far + bytes.len() as u64;
    if total > BodyKind::MAX_SIZE {
        return Err(body_conflict("too_large", "a body has at most 25 MiB"));
    }
    tables.add_chunk(tenant, upload, index, bytes, total, now)
}

pub(crate) fn finish(
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
    let tables = write.tables;
    let found = tables
        .any_interaction(&tenant, id)?
        .ok_or(StoreError::NotFound("interaction"))?;
    let arrived = match tables.upload(&tenant, upload)? {
        Some(upload) if upload.finished => {
            return Err(body_conflict("finished", "this upload is a body already"));
        }
        Some(upload) => upload.bytes,
        // An empty body has no chunk that could have begun the upload.
        None => {
            tables.begin_upload(&tenant, upload, now)?;
            0
        }
    };
    if arrived != size {
        return Err(body_conflict("size", "not all of the body has arrived"));
    }
    tables.put_body(&tenant, id, kind, upload)?;
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
            record::write_recorded(tables, &other)?;
            Ok(AnyInteraction::Other(other))
        }
    }
}

/// The bodies that came with a booking; they passed the limit of the request itself.
pub(super) fn store_small(
    tables: &dyn Tables,
    house: &House,
    tenant: &TenantId,
    id: InteractionId,
    bodies: &[NewBody],
    now: Timestamp,
) -> Result<()> {
    for body in bodies {
        let upload = house.chance.uuid();
        tables.begin_upload(tenant, upload, now)?;
        for (index, chunk) in body.bytes.chunks(BODY_CHUNK).enumerate() {
            append(
                tables,
                tenant,
                upload,
                u32::try_from(index).unwrap_or(u32::MAX),
                chunk,
                now,
            )?;
        }
        tables.put_body(tenant, id, body.kind, upload)?;
    }
    Ok(())
}

/// Forgets an upload, unless it has become a body.
pub(crate) fn abandon(tables: &dyn Tables, tenant: &TenantId, upload: Uuid) -> Result<()> {
    match tables.upload(tenant, upload)? {
        Some(found) if !found.finished => tables.delete_upload(tenant, upload),
        Some(_) | None => Ok(()),
    }
}

/// Forgets up to `limit` uploads that broke off.
pub(crate) fn prune(tables: &dyn Tables, now: Timestamp, limit: usize) -> Result<u64> {
    tables.prune_uploads(before(now, BROKEN_OFF), limit)
}

fn body_conflict(code: &'static str, detail: &str) -> StoreError {
    conflict("body", code, detail)
}
