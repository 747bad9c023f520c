//! The database that an installation is moved into: rows arrive in batches, each with the mark of how far the move has
//! come, and nobody starts on it before the marks are gone.

use super::columns::{get, named};
use super::faults::Fault;
use super::lane::told;
use super::months::{self, Month};
use super::tables::event_of;
use super::target::Target;
use super::{locks, offset};
use crate::moving::plan::{Cell, Kind, TABLES, Table};
use crate::rows::{callback_of, count, int};
use crate::sqlite::source::End;
use crate::{Result, StoreError};
use jiff::Timestamp;
use ringback_callbacks::event::Event;
use serde_json::{Value, json};
use std::pin::pin;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

/// Said to whoever opens a database that an installation is still being moved into.
pub(super) const UNFINISHED: &str = "an installation is being moved into this database and is not whole yet: run \
    `ringback migrate --from …` again until it says so, or empty the database";

pub(crate) struct Landing {
    client: Client,
}

/// How far a table has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub rows: u64,
    /// Key of the last row.
    pub last: Option<Vec<Cell>>,
    pub whole: bool,
}

/// A row as it stands here.
pub(crate) struct Arrived {
    pub cells: Vec<Cell>,
    /// Of the table of events: the event it is.
    pub event: Option<Event>,
}

impl Landing {
    pub async fn open(url: &str) -> Result<Landing> {
        let target = Target::parse(url)?;
        super::raise(&target).await?;
        let (client, connection) = target
            .connect()
            .await
            .map_err(|fault| told(&target, &fault))?;
        tokio::spawn(connection);
        // A batch is large; nobody else waits for what it locks.
        let setup = "SET statement_timeout = 0; SET lock_timeout = '30s';
             SET idle_in_transaction_session_timeout = '60s';
             SELECT set_config('synchronous_commit', 'on', false)
                 WHERE current_setting('synchronous_commit') IN ('off', 'local')";
        client.batch_execute(setup).await.map_err(Fault::from)?;
        Ok(Landing { client })
    }

    /// The source that a move was begun with, and how far each table has come; `None` if none was begun.
    pub async fn marks(&self) -> Result<Option<(String, Vec<Mark>)>> {
        if !is_begun(&self.client).await? {
            return Ok(None);
        }
        let rows = self
            .rows("SELECT name, source, number, last, whole FROM moving", &[])
            .await?;
        let mut source = String::new();
        let mut marks = vec![Mark::default(); TABLES.len()];
        for row in &rows {
            let name: &str = get(row, 0)?;
            source = get(row, 1)?;
            let Some(place) = TABLES.iter().position(|table| table.name == name) else {
                return Err(StoreError::Configuration(
                    "the move was begun by another version of this program: go on with that one"
                        .to_owned(),
                ));
            };
            let last: Option<&str> = get(row, 3)?;
            marks[place] = Mark {
                rows: count(get(row, 2)?),
                last: last
                    .map(|last| key_read(&TABLES[place], last))
                    .transpose()?,
                whole: get(row, 4)?,
            };
        }
        Ok(Some((source, marks)))
    }

    /// A table that is not empty.
    pub async fn holds_something(&self) -> Result<Option<&'static str>> {
        for name in TABLES
            .iter()
            .map(|table| table.name)
            .chain(["recent_calls", "slot_counts"])
        {
            let rows = self
                .rows(&format!("SELECT EXISTS (SELECT 1 FROM {name})"), &[])
                .await?;
            if rows.first().map_or(Ok(false), |row| get(row, 0))? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Whether the record here goes on from where the source's ends.
    pub async fn has(&self, end: &End) -> Result<bool> {
        let rows = self
            .rows(
                "SELECT EXISTS (SELECT 1 FROM events WHERE tenant = $1 AND callback = $2 AND number = $3 AND hash = $4)",
                &[
                    (&end.tenant, Type::TEXT),
                    (&end.callback, Type::UUID),
                    (&end.number, Type::INT4),
                    (&end.hash, Type::TEXT),
                ],
            )
            .await?;
        rows.first().map_or(Ok(false), |row| get(row, 0))
    }

    /// Makes the months and the marks, in one transaction.
    pub async fn begin(&mut self, source: &str, months: &[Month]) -> Result<Vec<Mark>> {
        let flight = self.client.transaction().await.map_err(Fault::from)?;
        let mut setup = vec![
            format!("SELECT pg_advisory_xact_lock({})", locks::migrations()),
            // Number of rows that have arrived, and the key of the last of them.
            "CREATE TABLE moving (
                 name   TEXT PRIMARY KEY,
                 source TEXT NOT NULL,
                 number BIGINT NOT NULL,
                 last   TEXT,
                 whole  BOOLEAN NOT NULL
             )"
            .to_owned(),
        ];
        for month in months {
            setup.extend(months::statements(month));
        }
        for sql in setup {
            flight.batch_execute(&sql).await.map_err(Fault::from)?;
        }
        for table in TABLES {
            flight
                .execute_typed(
                    "INSERT INTO moving (name, source, number, whole) VALUES ($1, $2, 0, false)",
                    &[(&table.name, Type::TEXT), (&source, Type::TEXT)],
                )
                .await
                .map_err(Fault::from)?;
        }
        flight.commit().await.map_err(Fault::from)?;
        Ok(vec![Mark::default(); TABLES.len()])
    }

    /// Writes rows with the mark behind them. Nothing is written if the mark is not the one that is known.
    pub async fn write(
        &mut self,
        table: &Table,
        rows: &[Vec<Cell>],
        before: &Mark,
        after: &Mark,
    ) -> Result<()> {
        let kinds: Vec<Type> = table
            .columns
            .iter()
            .map(|column| column.kind.sql())
            .collect();
        let copy = format!(
            "COPY {} ({}) FROM STDIN BINARY",
            table.name,
            names(table, table.columns.len())
        );
        let flight = self.client.transaction().await.map_err(Fault::from)?;
        let last = after.last.as_deref().map(key_written);
        let marked = flight
            .execute_typed(
                "UPDATE moving SET number = $3, last = $4, whole = $5 WHERE name = $1 AND number = $2 AND NOT whole",
                &[
                    (&table.name, Type::TEXT),
                    (&int(before.rows), Type::INT8),
                    (&int(after.rows), Type::INT8),
                    (&last, Type::TEXT),
                    (&after.whole, Type::BOOL),
                ],
            )
            .await
            .map_err(Fault::from)?;
        if marked != 1 {
            return Err(StoreError::Failed(
                "another `ringback migrate` is at work on the target".to_owned(),
            ));
        }
        let sink = flight
            .copy_in::<_, bytes::Bytes>(&copy)
            .await
            .map_err(Fault::from)?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &kinds));
        for row in rows {
            writer.as_mut().write_raw(row).await.map_err(Fault::from)?;
        }
        writer.finish().await.map_err(Fault::from)?;
        flight.commit().await.map_err(Fault::from)?;
        Ok(())
    }

    /// Up to `limit` rows behind the key that is named, in the order of keys.
    pub async fn read(
        &self,
        table: &'static Table,
        after: Option<&[Cell]>,
        limit: usize,
    ) -> Result<Vec<Arrived>> {
        let key = names(table, table.key);
        let values: Vec<(&(dyn ToSql + Sync), Type)> = after
            .unwrap_or_default()
            .iter()
            .zip(table.columns)
            .map(|(cell, column)| {
                let value: &(dyn ToSql + Sync) = cell;
                (value, column.kind.sql())
            })
            .collect();
        let behind = if values.is_empty() {
            String::new()
        } else {
            let places: Vec<String> = (1..=values.len())
                .map(|number| format!("${number}"))
                .collect();
            format!("WHERE ({key}) > ({})", places.join(", "))
        };
        let sql = format!(
            "SELECT {} FROM {} {behind} ORDER BY {key} LIMIT {limit}",
            names(table, table.columns.len()),
            table.name
        );
        let rows = self.rows(&sql, &values).await?;
        rows.iter().map(|row| arrived(table, row)).collect()
    }

    /// Whether every chain ends where its callback says it does.
    pub async fn check_ends(&self, ends: &[Event]) -> Result<()> {
        if ends.is_empty() {
            return Ok(());
        }
        let tenants: Vec<&str> = ends.iter().map(|end| end.tenant.as_str()).collect();
        let callbacks: Vec<Uuid> = ends.iter().map(|end| end.callback.0).collect();
        let rows = self
            .rows(
                "SELECT c.doc FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS u(tenant, id, place)
                 LEFT JOIN callbacks c ON c.tenant = u.tenant AND c.id = u.id ORDER BY u.place",
                &[(&tenants, Type::TEXT_ARRAY), (&callbacks, Type::UUID_ARRAY)],
            )
            .await?;
        for (row, end) in rows.iter().zip(ends) {
            // Interactions of other kinds have events too, and are told about by `doctor`.
            let Some(doc) = get::<Option<&str>>(row, 0)? else {
                continue;
            };
            if callback_of(doc)?.last_hash != end.hash {
                return Err(StoreError::Failed(format!(
                    "the chain of {} does not end where its callback says",
                    end.callback
                )));
            }
        }
        Ok(())
    }

    /// Makes what follows from the rest: the calls of the last day, and how many places of each slot are taken.
    pub async fn derive(&mut self, now: Timestamp) -> Result<()> {
        let day = i64::try_from(crate::facts::NUMBER_DAY.as_millis()).unwrap_or(i64::MAX);
        let since = crate::rows::ms(now).saturating_sub(day);
        let flight = self.client.transaction().await.map_err(Fault::from)?;
        // An earlier run may have come this far.
        flight
            .batch_execute("DELETE FROM recent_calls; DELETE FROM slot_counts")
            .await
            .map_err(Fault::from)?;
        flight
            .execute_typed(
                "INSERT INTO recent_calls (tenant, contact, attempt, callback, began_at, in_call, rang)
                 SELECT tenant, contact, id, callback, began_at, ended_at IS NULL,
                     verdict IS NULL OR answered_at IS NOT NULL OR verdict NOT IN ('route_fault', 'agent_fault')
                 FROM attempts WHERE NOT by_mail AND (ended_at IS NULL OR began_at > $1)",
                &[(&since, Type::INT8)],
            )
            .await
            .map_err(Fault::from)?;
        flight
            .execute_typed(
                "INSERT INTO slot_counts (tenant, queue, starts_at, booked)
                 SELECT tenant, queue, starts_at, count(*) FROM slot_places WHERE customer IS NOT NULL
                 GROUP BY tenant, queue, starts_at",
                &[],
            )
            .await
            .map_err(Fault::from)?;
        flight.commit().await.map_err(Fault::from)?;
        Ok(())
    }

    /// Lets the events that come go behind those that were moved, and takes the marks away: from here on it is an
    /// installation like any other.
    pub async fn finish(&mut self) -> Result<()> {
        offset(&self.client, true).await?;
        self.client
            .batch_execute("DROP TABLE moving")
            .await
            .map_err(Fault::from)?;
        Ok(())
    }

    async fn rows(&self, sql: &str, values: &[(&(dyn ToSql + Sync), Type)]) -> Result<Vec<Row>> {
        let rows = self.client.query_typed(sql, values).await;
        Ok(rows.map_err(Fault::from)?)
    }
}

/// Whether a move into this database was begun and is not whole.
pub(super) async fn is_begun(client: &Client) -> Result<bool> {
    let rows = client
        .query_typed(
            "SELECT EXISTS (SELECT 1 FROM pg_class WHERE relname = 'moving'
                 AND relnamespace = current_schema()::regnamespace)",
            &[],
        )
        .await
        .map_err(Fault::from)?;
    rows.first().map_or(Ok(false), |row| get(row, 0))
}

fn names(table: &Table, columns: usize) -> String {
    let names: Vec<&str> = table.columns[..columns]
        .iter()
        .map(|column| column.name)
        .collect();
    names.join(", ")
}

fn arrived(table: &Table, row: &Row) -> Result<Arrived> {
    let mut cells = Vec::with_capacity(table.columns.len());
    for column in table.columns {
        let name = column.name;
        let cell = match column.kind {
            Kind::Int => named::<Option<i64>>(row, name)?.map(Cell::Int),
            Kind::Small => named::<Option<i32>>(row, name)?.map(Cell::Small),
            Kind::Bool => named::<Option<bool>>(row, name)?.map(Cell::Bool),
            Kind::Text => named::<Option<String>>(row, name)?.map(Cell::Text),
            Kind::Uuid => named::<Option<Uuid>>(row, name)?.map(Cell::Uuid),
            Kind::Bytes => named::<Option<Vec<u8>>>(row, name)?.map(Cell::Bytes),
            Kind::Texts => named::<Option<Vec<String>>>(row, name)?.map(Cell::Texts),
        };
        cells.push(cell.unwrap_or(Cell::Null));
    }
    let event = (table.name == "events")
        .then(|| event_of(row))
        .transpose()?;
    Ok(Arrived { cells, event })
}

/// A key as JSON.
fn key_written(key: &[Cell]) -> String {
    let parts = key.iter().map(|cell| match cell {
        Cell::Int(number) => json!(number),
        Cell::Small(number) => json!(number),
        Cell::Text(text) => json!(text),
        Cell::Uuid(id) => json!(id),
        // No key has these.
        Cell::Null | Cell::Bool(_) | Cell::Bytes(_) | Cell::Texts(_) => Value::Null,
    });
    Value::Array(parts.collect()).to_string()
}

fn key_read(table: &Table, text: &str) -> Result<Vec<Cell>> {
    let unreadable =
        || StoreError::Failed(format!("the mark of table {} cannot be read", table.name));
    let parts: Vec<Value> = serde_json::from_str(text).map_err(|_| unreadable())?;
    if parts.len() != table.key {
        return Err(unreadable());
    }
    let cells = parts.iter().zip(table.columns).map(|(part, column)| {
        let cell = match column.kind {
            Kind::Int => part.as_i64().map(Cell::Int),
            Kind::Small => part
                .as_i64()
                .and_then(|number| i32::try_from(number).ok())
                .map(Cell::Small),
            Kind::Text => part.as_str().map(|text| Cell::Text(text.to_owned())),
            Kind::Uuid => part
                .as_str()
                .and_then(|text| Uuid::parse_str(text).ok())
                .map(Cell::Uuid),
            Kind::Bool | Kind::Bytes | Kind::Texts => None,
        };
        cell.ok_or_else(unreadable)
    });
    cells.collect()
}
