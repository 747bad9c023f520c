//! Bodies in chunks. Written past the working set: they are large, and nobody reads them in the same breath.

use super::super::columns::get;
use super::PgTables;
use crate::Result;
use crate::rows::{count, int, ms};
use crate::tables::Upload;
use jiff::Timestamp;
use ringback_callbacks::ids::{InteractionId, TenantId};
use ringback_callbacks::interaction::BodyKind;
use uuid::Uuid;

impl PgTables<'_> {
    pub(super) fn read_upload(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Upload>> {
        let rows = self.ask(
            "SELECT chunks, bytes, finished FROM uploads WHERE tenant = $1 AND id = $2",
            &[&tenant.as_str(), &id],
        )?;
        rows.first()
            .map(|row| {
                Ok(Upload {
                    chunks: u32::try_from(count(i64::from(get::<i32>(row, 0)?)))
                        .unwrap_or(u32::MAX),
                    bytes: count(get(row, 1)?),
                    finished: get(row, 2)?,
                })
            })
            .transpose()
    }

    pub(super) fn put_upload(&self, tenant: &TenantId, id: Uuid, now: Timestamp) -> Result<()> {
        self.write(
            "INSERT INTO uploads (tenant, id, touched_at, chunks, bytes, finished) VALUES ($1, $2, $3, 0, 0, false)",
            &[&tenant.as_str(), &id, &ms(now)],
        )
        .map(drop)
    }

    pub(super) fn put_chunk(
        &self,
        tenant: &TenantId,
        upload: Uuid,
        index: u32,
        bytes: &[u8],
        total: u64,
        now: Timestamp,
    ) -> Result<()> {
        let number = i32::try_from(index).unwrap_or(i32::MAX);
        self.write(
            "WITH chunk AS (INSERT INTO body_chunks (tenant, upload, number, bytes) VALUES ($1, $2, $3, $4))
             UPDATE uploads SET chunks = $3 + 1, bytes = $5, touched_at = $6 WHERE tenant = $1 AND id = $2",
            &[&tenant.as_str(), &upload, &number, &bytes, &int(total), &ms(now)],
        )
        .map(drop)
    }

    pub(super) fn place_body(
        &self,
        tenant: &TenantId,
        id: InteractionId,
        kind: BodyKind,
        upload: Uuid,
    ) -> Result<()> {
        self.write(
            "UPDATE uploads SET finished = true WHERE tenant = $1 AND id = $2",
            &[&tenant.as_str(), &upload],
        )?;
        let before = self.ask(
            "SELECT upload FROM bodies WHERE tenant = $1 AND interaction = $2 AND kind = $3 FOR UPDATE",
            &[&tenant.as_str(), &id.0, &kind.name()],
        )?;
        self.write(
            "INSERT INTO bodies (tenant, interaction, kind, upload) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant, interaction, kind) DO UPDATE SET upload = excluded.upload",
            &[&tenant.as_str(), &id.0, &kind.name(), &upload],
        )?;
        match before.first() {
            Some(row) => self.drop_upload(tenant, get(row, 0)?),
            None => Ok(()),
        }
    }

    pub(super) fn drop_upload(&self, tenant: &TenantId, id: Uuid) -> Result<()> {
        self.write(
            "WITH gone AS (DELETE FROM body_chunks WHERE tenant = $1 AND upload = $2)
             DELETE FROM uploads WHERE tenant = $1 AND id = $2",
            &[&tenant.as_str(), &id],
        )
        .map(drop)
    }

    pub(super) fn read_chunk(
        &self,
        tenant: &TenantId,
        id: InteractionId,
        kind: BodyKind,
        index: u32,
    ) -> Result<Option<Vec<u8>>> {
        let number = i32::try_from(index).unwrap_or(i32::MAX);
        let rows = self.ask(
            "SELECT k.bytes FROM bodies b
             JOIN body_chunks k ON k.tenant = b.tenant AND k.upload = b.upload AND k.number = $4
             WHERE b.tenant = $1 AND b.interaction = $2 AND b.kind = $3",
            &[&tenant.as_str(), &id.0, &kind.name(), &number],
        )?;
        rows.first().map(|row| get(row, 0)).transpose()
    }

    pub(super) fn drop_broken_off(&self, before: Timestamp, limit: usize) -> Result<u64> {
        let rows = self.write(
            "WITH broken AS (
                 SELECT tenant, id FROM uploads WHERE NOT finished AND touched_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED),
             chunks AS (DELETE FROM body_chunks k USING broken b WHERE k.tenant = b.tenant AND k.upload = b.id)
             DELETE FROM uploads u USING broken b WHERE u.tenant = b.tenant AND u.id = b.id RETURNING 1",
            &[&ms(before), &int(limit as u64)],
        )?;
        Ok(rows.len() as u64)
    }
}
