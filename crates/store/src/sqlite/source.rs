//! The file that an installation is moved from, read only, as it was at one moment.

use super::{migrations, open};
use crate::moving::plan::{Cell, Kind, TABLES, Table};
use crate::rows::{count, damaged, unreadable, uuid_of};
use crate::{Result, StoreError};
use rusqlite::types::{ToSql, ToSqlOutput, Value};
use rusqlite::{Connection, Row, params_from_iter};
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

pub(crate) struct Source {
    conn: Arc<Mutex<Connection>>,
}

/// Where the record ends: by this a source is known again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    pub tenant: String,
    pub callback: Uuid,
    pub number: i32,
    pub seq: i64,
    pub hash: String,
}

impl End {
    pub fn identity(&self) -> String {
        format!("{} {}", self.seq, self.hash)
    }
}

impl Source {
    pub async fn open(path: &str) -> Result<Source> {
        let path = path.to_owned();
        let conn = tokio::task::spawn_blocking(move || -> Result<Connection> {
            let conn = open::open_reader(&path).map_err(|error| {
                StoreError::Configuration(format!("there is no database that can be read: {error}"))
            })?;
            migrations::current(&conn)?;
            // One moment for everything that is read from here on.
            conn.execute_batch("BEGIN")?;
            Ok(conn)
        })
        .await
        .map_err(broke_off)??;
        Ok(Source {
            conn: Arc::new(Mutex::new(conn)),
        })
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let conn = Arc::clone(&self.conn);
        tokio::task::spawn_blocking(move || {
            work(&conn.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await
        .map_err(broke_off)?
    }

    pub async fn end(&self) -> Result<End> {
        self.ask(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT tenant, callback, number, seq, hash FROM events ORDER BY seq DESC LIMIT 1",
            )?;
            let mut rows = statement.query([])?;
            let Some(row) = rows.next()? else {
                return Ok(End::default());
            };
            Ok(End {
                tenant: row.get(0)?,
                callback: uuid_of(&row.get::<_, Vec<u8>>(1)?, "events", "callback")?,
                number: row.get(2)?,
                seq: row.get(3)?,
                hash: row.get(4)?,
            })
        })
        .await
    }

    /// Rows of each table that is moved.
    pub async fn counts(&self) -> Result<Vec<u64>> {
        self.ask(|conn| {
            let number = |table: &Table| -> Result<u64> {
                let sql = if table.distinct {
                    let key = names(table, table.key);
                    format!(
                        "SELECT count(*) FROM (SELECT DISTINCT {key} FROM {})",
                        from(table)
                    )
                } else {
                    format!("SELECT count(*) FROM {}", table.name)
                };
                Ok(count(conn.query_row(&sql, [], |row| row.get(0))?))
            };
            TABLES.iter().map(number).collect()
        })
        .await
    }

    /// The first id of an interaction or an attempt in a stretch, of whichever tenant.
    pub async fn least_id(&self, first: Uuid, before: Uuid) -> Result<Option<Uuid>> {
        self.ask(move |conn| {
            let mut least: Option<Vec<u8>> = None;
            for table in ["interactions", "attempts"] {
                let sql = format!(
                    "WITH RECURSIVE tenants(tenant) AS (
                         SELECT min(tenant) FROM {table}
                         UNION ALL
                         SELECT (SELECT min(t.tenant) FROM {table} AS t WHERE t.tenant > tenants.tenant) FROM tenants
                         WHERE tenants.tenant IS NOT NULL)
                     SELECT min((SELECT min(t.id) FROM {table} AS t
                         WHERE t.tenant = tenants.tenant AND t.id >= ?1 AND t.id < ?2))
                     FROM tenants WHERE tenant IS NOT NULL"
                );
                let found: Option<Vec<u8>> = conn.prepare_cached(&sql)?.query_row(
                    [first.as_bytes().as_slice(), before.as_bytes().as_slice()],
                    |row| row.get(0),
                )?;
                least = match (least, found) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
            }
            least
                .map(|id| uuid_of(&id, "interactions", "id"))
                .transpose()
        })
        .await
    }

    /// Up to `limit` rows behind the key that is named, in the order of keys.
    pub async fn read(
        &self,
        table: &'static Table,
        after: Option<&[Cell]>,
        limit: usize,
    ) -> Result<Vec<Vec<Cell>>> {
        let after = after.map(<[Cell]>::to_vec);
        self.ask(move |conn| {
            let sql = sentence(table, after.is_some(), limit);
            let mut statement = conn.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(after.unwrap_or_default()))?;
            let mut read = Vec::new();
            while let Some(row) = rows.next()? {
                read.push(cells(table, row)?);
            }
            Ok(read)
        })
        .await
    }
}

fn broke_off(error: tokio::task::JoinError) -> StoreError {
    StoreError::Failed(format!("reading the source broke off: {error}"))
}

fn from(table: &Table) -> String {
    if table.from.is_empty() {
        format!("{} AS t", table.name)
    } else {
        table.from.to_owned()
    }
}

fn names(table: &Table, columns: usize) -> String {
    let names = table.columns[..columns].iter().map(|column| {
        if column.from.is_empty() {
            format!("t.{}", column.name)
        } else {
            column.from.to_owned()
        }
    });
    names.collect::<Vec<_>>().join(", ")
}

fn sentence(table: &Table, goes_on: bool, limit: usize) -> String {
    let key = names(table, table.key);
    let behind = if goes_on {
        let places: Vec<String> = (1..=table.key).map(|number| format!("?{number}")).collect();
        format!("WHERE ({key}) > ({})", places.join(", "))
    } else {
        String::new()
    };
    let distinct = if table.distinct { "DISTINCT" } else { "" };
    format!(
        "SELECT {distinct} {} FROM {} {behind} ORDER BY {key} LIMIT {limit}",
        names(table, table.columns.len()),
        from(table)
    )
}

fn cells(table: &Table, row: &Row<'_>) -> Result<Vec<Cell>> {
    let mut cells = Vec::with_capacity(table.columns.len());
    for (place, column) in table.columns.iter().enumerate() {
        let value: Value = row.get(place)?;
        let cell = match (column.kind, value) {
            (_, Value::Null) => Cell::Null,
            (Kind::Int, Value::Integer(number)) => Cell::Int(number),
            (Kind::Small, Value::Integer(number)) => Cell::Small(
                i32::try_from(number)
                    .map_err(|_| damaged(table.name, column.name, "out of range"))?,
            ),
            (Kind::Bool, Value::Integer(number)) => Cell::Bool(number != 0),
            (Kind::Text, Value::Text(text)) => Cell::Text(text),
            (Kind::Bytes, Value::Blob(bytes)) => Cell::Bytes(bytes),
            (Kind::Uuid, Value::Blob(bytes)) => {
                Cell::Uuid(uuid_of(&bytes, table.name, column.name)?)
            }
            (Kind::Texts, Value::Text(doc)) => Cell::Texts(
                serde_json::from_str(&doc)
                    .map_err(|error| unreadable(table.name, column.name, &error))?,
            ),
            (_, Value::Integer(_) | Value::Real(_) | Value::Text(_) | Value::Blob(_)) => {
                return Err(damaged(table.name, column.name, "of another type"));
            }
        };
        cells.push(cell);
    }
    Ok(cells)
}

/// Keys are numbers, texts and ids.
impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Cell::Null => Ok(ToSqlOutput::from(rusqlite::types::Null)),
            Cell::Int(number) => Ok(ToSqlOutput::from(*number)),
            Cell::Small(number) => Ok(ToSqlOutput::from(*number)),
            Cell::Bool(flag) => Ok(ToSqlOutput::from(*flag)),
            Cell::Text(text) => Ok(ToSqlOutput::from(text.as_str())),
            Cell::Uuid(id) => Ok(ToSqlOutput::from(id.as_bytes().to_vec())),
            Cell::Bytes(bytes) => Ok(ToSqlOutput::from(bytes.as_slice())),
            Cell::Texts(texts) => Err(rusqlite::Error::ToSqlConversionFailure(
                format!("a list of {} is no key", texts.len()).into(),
            )),
        }
    }
}
