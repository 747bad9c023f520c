//! What others have committed, read where nobody told it: the record of events, and the rows of queues and agents, whose
//! changes leave no events.

use super::super::faults::Fault;
use super::line::ask;
use crate::{Signal, Then};
use ringback_callbacks::ids::{AgentId, InteractionId, QueueId, TenantId};
use tokio::sync::broadcast;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

/// Events read in one go.
const BITE: i64 = 1000;

/// Events behind a place, in their order. An event of an interaction that is no callback has no queue, and counts all
/// the same: whether there are more is seen by how many came.
const EVENTS: &str = "
    SELECT e.tenant, e.callback, e.seq, c.queue
    FROM (SELECT each.tenant, each.callback, each.seq
        FROM (SELECT DISTINCT tenant FROM queues) AS t
        CROSS JOIN LATERAL (SELECT tenant, callback, seq FROM events
            WHERE events.tenant = t.tenant AND seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3) AS each
        ORDER BY each.seq LIMIT $3) AS e
    LEFT JOIN callbacks c ON c.tenant = e.tenant AND c.id = e.callback ORDER BY e.seq";

/// Rows that were written by a transaction of this number or a later one. Rows have the lower half of the number, which
/// goes round: what is compared is how long ago it was.
const QUEUES: &str = "SELECT tenant, id FROM queues WHERE age(xmin) BETWEEN 0 AND age($1::xid)";
const AGENTS: &str = "SELECT tenant, id FROM agents WHERE age(xmin) BETWEEN 0 AND age($1::xid)";

pub(in crate::postgres) struct Record {
    pub signals: broadcast::Sender<Signal>,
    /// Of the order of events.
    offset: i64,
    /// What stands up to here has been passed on, or told by whoever committed it.
    pub seen: i64,
    /// Where the record ended when that was last noted.
    noted: i64,
}

impl Record {
    /// From `end` on.
    pub fn new(signals: broadcast::Sender<Signal>, offset: i64, end: i64) -> Record {
        Record {
            signals,
            offset,
            seen: end,
            noted: end,
        }
    }

    /// Others tell what they commit: what had been committed the last time this was noted has been told by now, if it
    /// ever will be.
    pub async fn note(&mut self, client: &Client) -> Result<(), Fault> {
        let end = end(client, self.offset).await?;
        self.seen = self.noted;
        self.noted = end;
        Ok(())
    }

    /// Passes on what was committed since the last time and is complete.
    pub async fn read_on(&mut self, client: &Client) -> Result<(), Fault> {
        let end = end(client, self.offset).await?;
        self.pass_on(client, self.seen.min(end), end).await?;
        (self.seen, self.noted) = (end, end);
        Ok(())
    }

    /// The same up to whatever is committed by now, for one who will be told what is committed from here on: also what
    /// stands behind a transaction that goes on and is no news any more when that ends.
    pub async fn catch_up(&mut self, client: &Client) -> Result<(), Fault> {
        let end = end(client, self.offset).await?;
        // A database that was replaced by one of its stand-bys may be behind what it had told.
        self.pass_on(client, self.seen.min(end), i64::MAX).await?;
        (self.seen, self.noted) = (end, end);
        Ok(())
    }

    async fn pass_on(&self, client: &Client, after: i64, to: i64) -> Result<(), Fault> {
        let transaction = ((after + 1) >> 20) - self.offset;
        let transaction = (transaction & i64::from(u32::MAX)).to_string();
        for row in ask(client, QUEUES, &[(&transaction, Type::TEXT)]).await? {
            let (tenant, id) = (TenantId::parse(row.get(0)), QueueId::parse(row.get(1)));
            if let (Ok(tenant), Ok(id)) = (tenant, id) {
                self.tell(Signal::Queue { tenant, id });
            }
        }
        for row in ask(client, AGENTS, &[(&transaction, Type::TEXT)]).await? {
            if let Ok(tenant) = TenantId::parse(row.get(0)) {
                let id = AgentId(row.get(1));
                self.tell(Signal::Agent { tenant, id });
            }
        }
        let mut after = after;
        loop {
            let values = [
                (
                    &after as &(dyn tokio_postgres::types::ToSql + Sync),
                    Type::INT8,
                ),
                (&to, Type::INT8),
                (&BITE, Type::INT8),
            ];
            let rows = ask(client, EVENTS, &values).await?;
            rows.iter()
                .filter_map(changed)
                .for_each(|signal| self.tell(signal));
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = last.get(2);
            if i64::try_from(rows.len()).unwrap_or(0) < BITE {
                return Ok(());
            }
        }
    }

    fn tell(&self, signal: Signal) {
        // No receiver is no fault.
        let _ = self.signals.send(signal);
    }
}

fn changed(row: &Row) -> Option<Signal> {
    let queue: Option<&str> = row.get(3);
    Some(Signal::Callback {
        tenant: TenantId::parse(row.get(0)).ok()?,
        id: InteractionId(row.get(1)),
        queue: QueueId::parse(queue?).ok()?,
        then: Then::Look,
    })
}

/// Behind everything that is committed and in order.
pub(in crate::postgres) async fn end(client: &Client, offset: i64) -> Result<i64, Fault> {
    let rows = ask(
        client,
        "SELECT ((pg_snapshot_xmin(pg_current_snapshot())::text::bigint + $1) << 20) - 1",
        &[(&offset, Type::INT8)],
    )
    .await?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}
