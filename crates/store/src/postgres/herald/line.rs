//! A connection to hear by, and the node's name that is held with it.

use super::super::faults::Fault;
use super::super::locks;
use super::super::target::Target;
use super::{CHANNEL, REST};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Row};
use uuid::Uuid;

/// How often a node that starts tries to take its name before it gives up. An earlier run whose machine went without a
/// word is noticed by then: see [`Target::be_missed`].
const NAME_TRIES: u32 = 20;
/// An answer that takes longer than this will not come.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a message to oneself may take before LISTEN is taken for broken.
const PROBED: Duration = Duration::from_millis(1500);

pub(in crate::postgres) struct Line {
    pub(super) client: Client,
    pub(super) ear: mpsc::UnboundedReceiver<AsyncMessage>,
    /// Ends when the connection is closed.
    pub(super) driver: tokio::task::JoinHandle<()>,
    /// Whether the node has its name by it, if it has one.
    pub(super) is_named: bool,
    /// Whether somebody else had the name when it was asked for.
    pub(super) was_refused: bool,
}

impl Line {
    pub(super) async fn open(target: &Target) -> Result<Line, Fault> {
        in_time(async {
            let (heard, ear) = mpsc::unbounded_channel();
            let (client, connection) = target.connect_and_hear(Some(heard)).await?;
            let driver = tokio::spawn(connection);
            target.be_missed(&client).await?;
            Ok::<_, Fault>(Line {
                client,
                ear,
                driver,
                is_named: false,
                was_refused: false,
            })
        })
        .await
    }

    /// For a node that starts: listens, and has the name that no other may have.
    pub async fn open_as(target: &Target, node: &str) -> Result<Line, Fault> {
        let mut line = Line::open(target).await?;
        line.listen().await?;
        for number in 1..=NAME_TRIES {
            if line.take_name(node).await? {
                return Ok(line);
            }
            if number == 1 {
                tracing::info!(
                    node,
                    "another session has this node's name, perhaps one of an earlier run; waiting for it to end"
                );
            }
            tokio::time::sleep(REST).await;
        }
        Err(Fault::Refused(format!(
            "another node named `{node}` is at work on this database: give each node a name of its own ([server] node)"
        )))
    }

    pub(super) async fn listen(&self) -> Result<(), Fault> {
        let listen = format!("LISTEN {CHANNEL}");
        in_time(self.client.batch_execute(&listen)).await
    }

    /// Whether the name is this node's now.
    pub(super) async fn take_name(&mut self, node: &str) -> Result<bool, Fault> {
        let rows = ask(
            &self.client,
            "SELECT pg_try_advisory_lock($1)",
            &[(&locks::node(node), Type::INT8)],
        )
        .await?;
        self.is_named = rows.first().is_some_and(|row| row.get(0));
        self.was_refused |= !self.is_named;
        Ok(self.is_named)
    }

    /// When this has returned the node's name is free.
    pub(super) async fn close(self) {
        drop(self.client);
        let _ = tokio::time::timeout(super::PARTING, self.driver).await;
    }
}

/// Rows, or that the database does not answer: a connection may be dead without a word.
pub(super) async fn ask(
    client: &Client,
    sql: &str,
    values: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Vec<Row>, Fault> {
    in_time(client.query_typed(sql, values)).await
}

async fn in_time<T, E>(answer: impl Future<Output = Result<T, E>>) -> Result<T, Fault>
where
    Fault: From<E>,
{
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(Fault::from),
        Err(_) => Err(Fault::Lost("the database does not answer".to_owned())),
    }
}

/// Whether a message to oneself arrives; if not, a pooler stands between.
pub(in crate::postgres) async fn is_heard(target: &Target) -> Result<bool, Fault> {
    let (heard, mut ear) = mpsc::unbounded_channel();
    let (client, connection) = target.connect_and_hear(Some(heard)).await?;
    tokio::spawn(connection);
    let (other, connection) = target.connect().await?;
    tokio::spawn(connection);
    let channel = format!("ringback_{}", Uuid::now_v7().simple());
    client.batch_execute(&format!("LISTEN {channel}")).await?;
    other.batch_execute(&format!("NOTIFY {channel}")).await?;
    let wait = tokio::time::timeout(PROBED, async {
        while let Some(message) = ear.recv().await {
            if matches!(&message, AsyncMessage::Notification(told) if told.channel() == channel) {
                return true;
            }
        }
        false
    });
    Ok(wait.await.unwrap_or(false))
}
