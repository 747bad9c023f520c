//! Answers kept with what they speak of, to be given again for the same key.

use super::House;
use crate::rows::{unreadable, unwritable};
use crate::tables::{AnswerRow, NewAnswer, Tables};
use crate::{Idempotent, Result, StoreError, StoredAnswer};
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::ids::TenantId;
use ringback_callbacks::wire_time::plus;

/// The answer given for this key before, if it was for the same request. An answer past its time is as good as none.
pub(crate) fn seen(
    tables: &dyn Tables,
    tenant: &TenantId,
    application: i64,
    key: &str,
    expected: &[u8; 32],
    now: Timestamp,
) -> Result<Option<StoredAnswer>> {
    let Some(AnswerRow {
        fingerprint,
        answer,
    }) = tables.answer(tenant, application, key, now)?
    else {
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
    tables: &dyn Tables,
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
    tables.write_answer(NewAnswer {
        tenant,
        application,
        key: &key,
        fingerprint,
        answer: text,
        expires_at: plus(now, house.options.idempotency_kept),
    })?;
    Ok(answer)
}
