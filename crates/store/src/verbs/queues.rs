//! Queues: rules as a document, a supervisor's switches as columns.

use super::Write;
use crate::rows::{queue_of, unwritable};
use crate::tables::Tables;
use crate::{Result, Signal, StoreError};
use ringback_callbacks::ids::{QueueId, TenantId};
use ringback_callbacks::queue::Queue;
use ringback_callbacks::wire_time;

/// Queues listed at most.
const LISTED: usize = 10_000;

pub(crate) fn put(write: &mut Write<'_>, mut queue: Queue, expected: Option<u64>) -> Result<Queue> {
    let tables = write.tables;
    // Read from the columns: a queue whose document is damaged must be mendable by writing it anew.
    let stored = tables.queue(&queue.tenant, &queue.id)?;
    let current = stored.as_ref().map_or(0, |stored| stored.revision);
    if expected.is_some_and(|expected| expected != current) {
        return Err(StoreError::RevisionConflict { current });
    }
    if let Some(stored) = stored {
        queue.created_at = stored.created_at;
    }
    queue.created_at = wire_time::truncate(queue.created_at);
    queue.revision = current + 1;
    let doc = serde_json::to_string(&queue).map_err(unwritable)?;
    tables.write_queue(&queue, &doc)?;
    write.signals.push(Signal::Queue {
        tenant: queue.tenant.clone(),
        id: queue.id.clone(),
    });
    Ok(queue)
}

pub(crate) fn read(tables: &dyn Tables, tenant: &TenantId, id: &QueueId) -> Result<Option<Queue>> {
    let found = tables.queue(tenant, id)?;
    found.map(|found| queue_of(&found.doc)).transpose()
}

pub(crate) fn list(tables: &dyn Tables, tenant: &TenantId) -> Result<Vec<Queue>> {
    let docs = tables.queue_docs(Some(tenant), LISTED)?;
    docs.iter().map(|doc| queue_of(doc)).collect()
}
