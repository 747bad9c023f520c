//! Moves an installation from SQLite to PostgreSQL: row by row, to be taken up again wherever it broke off, and
//! compared row by row at the end.
//!
//! Each batch of rows is one transaction of the target, with the mark of how far the move has come: a batch is there
//! with its mark, or neither is. While the marks are there no server starts on the target; they go when everything was
//! found to be the same on both sides.

pub(crate) mod plan;

use crate::postgres::landing::{Landing, Mark};
use crate::sqlite::source::Source;
use crate::{Result, StoreError};
use jiff::Timestamp;
use plan::{Cell, TABLES, Table};
use ringback_callbacks::event::{Event, verify_chain};
use sha2::{Digest, Sha256};

/// Chains whose ends are asked for at once.
const ENDS: usize = 500;

/// What is to be moved, and where to.
#[derive(Clone, Debug)]
pub struct MoveOrder {
    /// `sqlite:PATH`. No server may be at work on it: whoever asks for the move holds its lock.
    pub from: String,
    /// `postgres://…`: an empty database, or one to which this move was begun.
    pub to: String,
    pub now: Timestamp,
    /// Rows of one batch at most.
    pub batch: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveStep {
    Copying,
    Comparing,
}

/// How far the move has come; told after every batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveProgress {
    pub step: MoveStep,
    pub table: &'static str,
    /// Rows of all tables that are done in this step, of how many.
    pub done: u64,
    pub of: u64,
}

/// What was moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Rows of each table as they are on both sides, with the hash over all of them.
    pub tables: Vec<MovedTable>,
    /// Chains of events that were walked in the target.
    pub chains: u64,
    /// Rows that an earlier run had moved already.
    pub found: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedTable {
    pub name: &'static str,
    pub rows: u64,
    /// SHA-256 over every row, in the order of their keys.
    pub hash: String,
}

/// Moves everything. Run again after it broke off, it goes on; `None`: it was moved before, and nothing was done.
pub async fn move_installation(
    order: &MoveOrder,
    tell: &mut (dyn FnMut(MoveProgress) + Send),
) -> Result<Option<Moved>> {
    let path = order.from.strip_prefix("sqlite:").ok_or_else(|| {
        StoreError::Configuration("what is moved must be named as `sqlite:PATH`".to_owned())
    })?;
    if !order.to.starts_with("postgres:") && !order.to.starts_with("postgresql:") {
        return Err(StoreError::Configuration(
            "where it is moved to must be named as `postgres://…`".to_owned(),
        ));
    }
    let source = Source::open(path).await?;
    let mut landing = Landing::open(&order.to).await?;
    let end = source.end().await?;
    let marks = match landing.marks().await? {
        Some((begun, marks)) => {
            if begun != end.identity() {
                return Err(StoreError::Configuration(
                    "the move was begun with another source, or the source has changed since: empty the target and \
                     begin anew"
                        .to_owned(),
                ));
            }
            marks
        }
        None => {
            if let Some(table) = landing.holds_something().await? {
                if landing.has(&end).await? {
                    return Ok(None);
                }
                return Err(StoreError::Configuration(format!(
                    "the target holds other data already (table {table}): an installation is moved into an empty database"
                )));
            }
            landing
                .begin(&end.identity(), &months(&source).await?)
                .await?
        }
    };
    let found = marks.iter().map(|mark| mark.rows).sum();
    let counts = source.counts().await?;
    let of = counts.iter().sum();
    let mut done = found;
    for (table, mark) in TABLES.iter().zip(marks) {
        copy(&source, &mut landing, table, mark, order, &mut |rows| {
            done += rows;
            tell(MoveProgress {
                step: MoveStep::Copying,
                table: table.name,
                done,
                of,
            });
        })
        .await?;
    }
    landing.derive(order.now).await?;
    let mut moved = Moved {
        found,
        ..Moved::default()
    };
    let mut done = 0;
    for table in TABLES {
        let compared = compare(&source, &landing, table, order, &mut moved, &mut |rows| {
            done += rows;
            tell(MoveProgress {
                step: MoveStep::Comparing,
                table: table.name,
                done,
                of,
            });
        })
        .await?;
        moved.tables.push(compared);
    }
    landing.finish().await?;
    Ok(Some(moved))
}

/// The months in which ids of the source were made, so that the target is divided like one that grew there.
async fn months(source: &Source) -> Result<Vec<crate::postgres::months::Month>> {
    let (mut from, before) = crate::postgres::months::range();
    let mut months = Vec::new();
    while let Some(id) = source.least_id(from, before).await? {
        let Some(month) = crate::postgres::months::holding(id) else {
            break;
        };
        from = month.to;
        months.push(month);
    }
    Ok(months)
}

async fn copy(
    source: &Source,
    landing: &mut Landing,
    table: &'static Table,
    mut mark: Mark,
    order: &MoveOrder,
    tell: &mut (dyn FnMut(u64) + Send),
) -> Result<()> {
    if mark.whole {
        return Ok(());
    }
    let bite = table.bite(order.batch);
    let mut rows = source.read(table, mark.last.as_deref(), bite).await?;
    loop {
        let whole = rows.len() < bite;
        let next = Mark {
            rows: mark.rows + rows.len() as u64,
            last: table.key_of(&rows).or_else(|| mark.last.clone()),
            whole,
        };
        // The next batch is read while this one is written.
        let reading = async {
            if whole {
                return Ok(Vec::new());
            }
            source.read(table, next.last.as_deref(), bite).await
        };
        let (written, read) = tokio::join!(landing.write(table, &rows, &mark, &next), reading);
        written?;
        tell(rows.len() as u64);
        mark = next;
        rows = read?;
        if whole {
            return Ok(());
        }
    }
}

/// Reads both sides to the end, row by row, and walks the chains of events that arrived.
async fn compare(
    source: &Source,
    landing: &Landing,
    table: &'static Table,
    order: &MoveOrder,
    moved: &mut Moved,
    tell: &mut (dyn FnMut(u64) + Send),
) -> Result<MovedTable> {
    let bite = table.bite(order.batch);
    let mut last: Option<Vec<Cell>> = None;
    let mut rows = 0_u64;
    let mut hash = Sha256::new();
    let mut chains = Chains::default();
    loop {
        let (sent, arrived) = tokio::try_join!(
            source.read(table, last.as_deref(), bite),
            landing.read(table, last.as_deref(), bite)
        )?;
        for (index, sent) in sent.iter().enumerate() {
            rows += 1;
            let here = arrived.get(index).map(|arrived| &arrived.cells);
            // Which row it is may be a number or an address: only its place in the order is told.
            if here != Some(sent) {
                return Err(differs(table, rows));
            }
            for cell in sent {
                cell.hash_into(&mut hash);
            }
        }
        if arrived.len() > sent.len() {
            return Err(differs(table, rows + 1));
        }
        let end = sent.len() < bite;
        last = table.key_of(&sent).or(last);
        tell(sent.len() as u64);
        for event in arrived.into_iter().filter_map(|row| row.event) {
            chains.take(event, landing).await?;
        }
        if end {
            moved.chains += chains.end(landing).await?;
            return Ok(MovedTable {
                name: table.name,
                rows,
                hash: hex::encode(hash.finalize()),
            });
        }
    }
}

fn differs(table: &Table, row: u64) -> StoreError {
    StoreError::Failed(format!(
        "what arrived is not what was sent: row {row} of table {} is another one in the target; empty the target and \
         begin anew",
        table.name
    ))
}

/// Walks chains of events as they come by, in the order of their callbacks.
#[derive(Default)]
struct Chains {
    chain: Vec<Event>,
    /// The last event of each chain that was walked, for a look at where its callback says it ends.
    ends: Vec<Event>,
    walked: u64,
}

impl Chains {
    async fn take(&mut self, event: Event, landing: &Landing) -> Result<()> {
        if self
            .chain
            .first()
            .is_some_and(|first| first.callback != event.callback || first.tenant != event.tenant)
        {
            self.walk()?;
            if self.ends.len() >= ENDS {
                landing.check_ends(&std::mem::take(&mut self.ends)).await?;
            }
        }
        self.chain.push(event);
        Ok(())
    }

    async fn end(&mut self, landing: &Landing) -> Result<u64> {
        self.walk()?;
        landing.check_ends(&std::mem::take(&mut self.ends)).await?;
        Ok(self.walked)
    }

    fn walk(&mut self) -> Result<()> {
        let mut chain = std::mem::take(&mut self.chain);
        let Some(last) = chain.last() else {
            return Ok(());
        };
        verify_chain(&chain).map_err(|_| {
            StoreError::Failed(format!(
                "the chain of events of {} is broken in the source already; `ringback doctor` tells more",
                last.callback
            ))
        })?;
        self.walked += 1;
        self.ends.extend(chain.pop());
        Ok(())
    }
}
