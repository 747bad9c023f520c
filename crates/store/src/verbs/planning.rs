//! What the planner reads at its start, and what it has learned.

use crate::Result;
use crate::rows::{callback_of, queue_of, unreadable, unwritable};
use crate::tables::Tables;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::ids::{InteractionId, QueueId, TenantId};
use ringback_callbacks::queue::Queue;
use serde_json::Value;

/// Queues of all tenants, read at most.
const LISTED: usize = 100_000;

pub(crate) fn every_queue(tables: &dyn Tables) -> Result<Vec<Queue>> {
    let docs = tables.queue_docs(None, LISTED)?;
    // A queue that cannot be read is not dialled by anybody; the others go on.
    Ok(docs.iter().filter_map(|doc| queue_of(doc).ok()).collect())
}

pub(crate) fn open_in_queue(
    tables: &dyn Tables,
    tenant: &TenantId,
    queue: &QueueId,
    after: Option<InteractionId>,
    limit: usize,
) -> Result<Vec<Callback>> {
    let docs = tables.open_docs(tenant, queue, after, limit)?;
    // One that cannot be read is set aside by the clock; it must not keep the others from being planned.
    let read = docs.iter().filter_map(|doc| match callback_of(doc) {
        Ok(callback) => Some(callback),
        Err(error) => {
            tracing::error!(error = %error, "a callback cannot be read and is not planned");
            None
        }
    });
    Ok(read.collect())
}

pub(crate) fn learned(
    tables: &dyn Tables,
    tenant: &TenantId,
    queue: &QueueId,
) -> Result<Option<Value>> {
    tables
        .learned(tenant, queue)?
        .map(|doc| serde_json::from_str(&doc).map_err(|error| unreadable("learned", "doc", &error)))
        .transpose()
}

pub(crate) fn put_learned(
    tables: &dyn Tables,
    tenant: &TenantId,
    queue: &QueueId,
    figures: &Value,
) -> Result<()> {
    let doc = serde_json::to_string(figures).map_err(unwritable)?;
    tables.write_learned(tenant, queue, &doc)
}
