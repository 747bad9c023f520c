//! Queues, what was learned about them, and the keys of applications.

use super::super::columns::{get, named};
use super::super::locks;
use super::PgTables;
use crate::rows::{count, damaged, int, ms, queue_id, tenant_of, time};
use crate::tables::QueueRow;
use crate::{ApiKey, Result, Scope, StateCount};
use jiff::Timestamp;
use ringback_callbacks::ids::{QueueId, TenantId};
use ringback_callbacks::queue::Queue;
use tokio_postgres::Row;
use uuid::Uuid;

impl PgTables<'_> {
    pub(super) fn read_queue(&self, tenant: &TenantId, id: &QueueId) -> Result<Option<QueueRow>> {
        let key = (tenant.clone(), id.clone());
        self.have(|wanted, tables| wanted.queue(tables, key.clone()))?;
        let set = self.set.borrow();
        Ok(set.queues.get(&key).and_then(|row| row.as_deref().cloned()))
    }

    pub(super) fn list_queues(
        &self,
        tenant: Option<&TenantId>,
        limit: usize,
    ) -> Result<Vec<String>> {
        let rows = self.ask(
            "SELECT doc FROM queues WHERE $1::text IS NULL OR tenant = $1 ORDER BY tenant, id LIMIT $2",
            &[&tenant.map(TenantId::as_str), &int(limit as u64)],
        )?;
        rows.iter().map(super::callbacks::doc_of).collect()
    }

    pub(super) fn put_queue(&self, queue: &Queue, doc: &str) -> Result<()> {
        self.write(
            "WITH written AS (
                 INSERT INTO queues (tenant, id, intake_paused, dialling_paused, removed, created_at, revision, doc)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (tenant, id) DO UPDATE SET intake_paused = excluded.intake_paused,
                     dialling_paused = excluded.dialling_paused, removed = excluded.removed,
                     revision = excluded.revision, doc = excluded.doc
                 WHERE queues.revision = excluded.revision - 1
                 RETURNING 1)
             SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM written) THEN changed_meanwhile() END",
            &[
                &queue.tenant.as_str(),
                &queue.id.as_str(),
                &queue.intake_paused,
                &queue.dialling_paused,
                &queue.removed,
                &ms(queue.created_at),
                &int(queue.revision),
                &doc,
            ],
        )
        .map(drop)
    }

    pub(super) fn count_states(
        &self,
        tenant: &TenantId,
        id: &QueueId,
    ) -> Result<Vec<(String, u64)>> {
        let rows = self.ask(
            "SELECT state, count(*) FROM callbacks WHERE tenant = $1 AND queue = $2 AND ended_at IS NULL
             GROUP BY state ORDER BY state",
            &[&tenant.as_str(), &id.as_str()],
        )?;
        rows.iter()
            .map(|row| Ok((get(row, 0)?, count(get(row, 1)?))))
            .collect()
    }

    pub(super) fn count_all_states(&self) -> Result<Vec<StateCount>> {
        let rows = self.ask(
            "SELECT queue, state, count(*) FROM callbacks WHERE ended_at IS NULL GROUP BY queue, state
             ORDER BY queue, state",
            &[],
        )?;
        rows.iter()
            .map(|row| {
                let queue = queue_id(get::<&str>(row, 0)?)?;
                Ok(StateCount {
                    queue,
                    state: get(row, 1)?,
                    count: count(get(row, 2)?),
                })
            })
            .collect()
    }

    pub(super) fn read_learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
    ) -> Result<Option<String>> {
        let rows = self.ask(
            "SELECT doc FROM learned WHERE tenant = $1 AND queue = $2",
            &[&tenant.as_str(), &queue.as_str()],
        )?;
        rows.first().map(super::callbacks::doc_of).transpose()
    }

    pub(super) fn put_learned(&self, tenant: &TenantId, queue: &QueueId, doc: &str) -> Result<()> {
        self.write(
            "INSERT INTO learned (tenant, queue, doc) VALUES ($1, $2, $3)
             ON CONFLICT (tenant, queue) DO UPDATE SET doc = excluded.doc",
            &[&tenant.as_str(), &queue.as_str(), &doc],
        )
        .map(drop)
    }

    pub(super) fn put_key(&self, key: &ApiKey) -> Result<()> {
        // No index over all tenants keeps two keys from being the same; this does.
        self.lock(vec![locks::key(&key.hash)])?;
        let twins = self.ask(
            "SELECT 1 FROM api_keys WHERE hash = $1 AND (tenant, id) <> ($2, $3)",
            &[&key.hash.as_slice(), &key.tenant.as_str(), &key.id],
        )?;
        if !twins.is_empty() {
            return Err(crate::StoreError::Conflict {
                field: None,
                code: "constraint",
                detail: "there is such a key already".to_owned(),
            });
        }
        let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.name()).collect();
        self.write(
            "INSERT INTO api_keys (tenant, id, name, hash, application, scopes, created_at, expires_at, revoked_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, application = excluded.application,
                 scopes = excluded.scopes, expires_at = excluded.expires_at, revoked_at = excluded.revoked_at",
            &[
                &key.tenant.as_str(),
                &key.id,
                &key.name.as_str(),
                &key.hash.as_slice(),
                &key.application,
                &scopes,
                &ms(key.created_at),
                &key.expires_at.map(ms),
                &key.revoked_at.map(ms),
            ],
        )
        .map(drop)
    }

    pub(super) fn find_key(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>> {
        let rows = self.ask(
            "SELECT * FROM api_keys WHERE hash = $1",
            &[&hash.as_slice()],
        )?;
        rows.first().map(key_of).transpose()
    }

    pub(super) fn list_keys(&self, limit: usize) -> Result<Vec<ApiKey>> {
        let rows = self.ask(
            "SELECT * FROM api_keys ORDER BY tenant, created_at, id LIMIT $1",
            &[&int(limit as u64)],
        )?;
        rows.iter().map(key_of).collect()
    }

    pub(super) fn end_key(&self, id: Uuid, now: Timestamp) -> Result<bool> {
        let rows = self.write(
            "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING 1",
            &[&id, &ms(now)],
        )?;
        Ok(!rows.is_empty())
    }
}

fn key_of(row: &Row) -> Result<ApiKey> {
    let at = |column: &'static str| -> Result<Option<Timestamp>> {
        named::<Option<i64>>(row, column)?
            .map(|at| time(at, "api_keys", column))
            .transpose()
    };
    let hash: Vec<u8> = named(row, "hash")?;
    let scopes: Vec<String> = named(row, "scopes")?;
    Ok(ApiKey {
        tenant: tenant_of(named::<&str>(row, "tenant")?, "api_keys")?,
        id: named(row, "id")?,
        name: named(row, "name")?,
        hash: hash
            .try_into()
            .map_err(|_| damaged("api_keys", "hash", "not 32 bytes"))?,
        application: named(row, "application")?,
        scopes: scopes
            .iter()
            .map(|name| {
                Scope::parse(name).ok_or_else(|| damaged("api_keys", "scopes", "no such scope"))
            })
            .collect::<Result<_>>()?,
        created_at: time(named(row, "created_at")?, "api_keys", "created_at")?,
        expires_at: at("expires_at")?,
        revoked_at: at("revoked_at")?,
    })
}
