//! Keys of applications, by their hash.

use super::{all, at_most, blob, one, tenant_of, text, time_or_none, uuid};
use crate::rows::{damaged, ms, scopes_of, time, unwritable};
use crate::{ApiKey, Result};
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

const KEY: &str = "tenant, id, name, hash, application, scopes, created_at, expires_at, revoked_at";

pub(super) fn write(conn: &Connection, key: &ApiKey) -> Result<()> {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.name()).collect();
    conn.prepare_cached(
        "INSERT INTO api_keys (tenant, id, name, hash, application, scopes, created_at, expires_at, revoked_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, application = excluded.application,
             scopes = excluded.scopes, expires_at = excluded.expires_at, revoked_at = excluded.revoked_at",
    )?
    .execute(params![
        key.tenant.as_str(),
        blob(&key.id),
        key.name,
        key.hash.as_slice(),
        key.application,
        serde_json::to_string(&scopes).map_err(unwritable)?,
        ms(key.created_at),
        key.expires_at.map(ms),
        key.revoked_at.map(ms),
    ])?;
    Ok(())
}

pub(super) fn by_hash(conn: &Connection, hash: &[u8; 32]) -> Result<Option<ApiKey>> {
    one(
        conn,
        &format!("SELECT {KEY} FROM api_keys WHERE hash = ?1"),
        &[&hash.as_slice()],
        key_of,
    )
}

pub(super) fn list(conn: &Connection, limit: usize) -> Result<Vec<ApiKey>> {
    all(
        conn,
        &format!("SELECT {KEY} FROM api_keys ORDER BY tenant, created_at, id LIMIT ?1"),
        &[&at_most(limit)],
        key_of,
    )
}

pub(super) fn revoke(conn: &Connection, id: Uuid, now: Timestamp) -> Result<bool> {
    let revoked = conn
        .prepare_cached("UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL")?
        .execute(params![blob(&id), ms(now)])?;
    Ok(revoked > 0)
}

fn key_of(row: &Row<'_>) -> Result<ApiKey> {
    let at = |column, name| time_or_none(row, column, "api_keys", name);
    let hash: Vec<u8> = row.get(3)?;
    Ok(ApiKey {
        tenant: tenant_of(row, 0, "api_keys")?,
        id: uuid(row, 1, "api_keys", "id")?,
        name: row.get(2)?,
        hash: hash
            .try_into()
            .map_err(|_| damaged("api_keys", "hash", "not 32 bytes"))?,
        application: row.get(4)?,
        scopes: scopes_of(text(row, 5)?)?,
        created_at: time(row.get(6)?, "api_keys", "created_at")?,
        expires_at: at(7, "expires_at")?,
        revoked_at: at(8, "revoked_at")?,
    })
}
