//! Keys of applications, by their hash.

use super::faults::{damaged, unreadable, unwritable};
use super::rows::{blob, ms, tenant_of, time, uuid};
use crate::{ApiKey, Result, Scope};
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

const KEY: &str = "tenant, id, name, hash, application, scopes, created_at, expires_at, revoked_at";
/// Keys listed at most.
const LISTED: i64 = 10_000;

pub(super) fn put(conn: &Connection, key: &ApiKey) -> Result<()> {
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
    let sql = format!("SELECT {KEY} FROM api_keys WHERE hash = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([hash.as_slice()])?;
    rows.next()?.map(key_of).transpose()
}

pub(super) fn list(conn: &Connection) -> Result<Vec<ApiKey>> {
    let sql = format!("SELECT {KEY} FROM api_keys ORDER BY tenant, created_at, id LIMIT ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([LISTED])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(key_of(row)?);
    }
    Ok(keys)
}

/// A key stays revoked from the first time on.
pub(super) fn revoke(conn: &Connection, id: Uuid, now: Timestamp) -> Result<bool> {
    let revoked = conn
        .prepare_cached("UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL")?
        .execute(params![blob(&id), ms(now)])?;
    Ok(revoked > 0)
}

fn key_of(row: &Row<'_>) -> Result<ApiKey> {
    let at = |column: usize, name| -> Result<Option<Timestamp>> {
        row.get::<_, Option<i64>>(column)?
            .map(|at| time(at, "api_keys", name))
            .transpose()
    };
    let hash: Vec<u8> = row.get(3)?;
    let scopes: String = row.get(5)?;
    let names: Vec<String> =
        serde_json::from_str(&scopes).map_err(|error| unreadable("api_keys", "scopes", &error))?;
    Ok(ApiKey {
        tenant: tenant_of(row, 0, "api_keys")?,
        id: uuid(row, 1, "api_keys", "id")?,
        name: row.get(2)?,
        hash: hash
            .try_into()
            .map_err(|_| damaged("api_keys", "hash", "not 32 bytes"))?,
        application: row.get(4)?,
        scopes: names
            .iter()
            .map(|name| {
                Scope::parse(name).ok_or_else(|| damaged("api_keys", "scopes", "no such scope"))
            })
            .collect::<Result<_>>()?,
        created_at: time(row.get(6)?, "api_keys", "created_at")?,
        expires_at: at(7, "expires_at")?,
        revoked_at: at(8, "revoked_at")?,
    })
}
