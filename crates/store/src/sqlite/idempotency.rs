//! Answers kept with what they speak of, to be given again for the same key.

use super::House;
use super::faults::{unreadable, unwritable};
use super::rows::ms;
use crate::{Idempotent, Result, StoreError, StoredAnswer};
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::ids::TenantId;
use ringback_callbacks::wire_time::plus;
use rusqlite::{Connection, OptionalExtension, params};

/// The answer given for this key before, if it was for the same request. An answer past its time is as good as none.
pub(super) fn seen(
    conn: &Connection,
    tenant: &TenantId,
    application: i64,
    key: &str,
    expected: &[u8; 32],
    now: Timestamp,
) -> Result<Option<StoredAnswer>> {
    let found: Option<(Vec<u8>, String)> = conn
        .prepare_cached(
            "SELECT fingerprint, answer FROM idempotency
             WHERE tenant = ?1 AND application = ?2 AND key = ?3 AND expires_at > ?4",
        )?
        .query_row(params![tenant.as_str(), application, key, ms(now)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((fingerprint, answer)) = found else {
        return Ok(None);
    };
    if fingerprint != expected {
        return Err(StoreError::IdempotencyMismatch);
    }
    serde_json::from_str(&answer)
        .map(Some)
        .map_err(|error| unreadable("idempotency", "answer", &error))
}

/// Makes the answer from the callback as it is about to be committed, and keeps it.
pub(super) fn remember(
    conn: &Connection,
    house: &House,
    tenant: &TenantId,
    asked: Idempotent,
    callback: &Callback,
    now: Timestamp,
) -> Result<StoredAnswer> {
    let Idempotent {
        application,
        key,
        fingerprint,
        render,
    } = asked;
    let answer = render(callback);
    let text = serde_json::to_string(&answer).map_err(unwritable)?;
    conn.prepare_cached(
        "INSERT OR REPLACE INTO idempotency (tenant, application, key, fingerprint, answer, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        tenant.as_str(),
        application,
        key,
        fingerprint.as_slice(),
        text,
        ms(plus(now, house.options.idempotency_kept))
    ])?;
    Ok(answer)
}

/// Forgets up to `limit` answers that are past their time.
pub(super) fn prune(conn: &Connection, now: Timestamp, limit: usize) -> Result<u64> {
    let gone = conn
        .prepare_cached(
            "DELETE FROM idempotency WHERE rowid IN
                 (SELECT rowid FROM idempotency WHERE expires_at <= ?1 LIMIT ?2)",
        )?
        .execute(params![ms(now), super::rows::int(limit as u64)])?;
    Ok(gone as u64)
}
