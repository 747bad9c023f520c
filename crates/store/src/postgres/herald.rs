//! Tells the other nodes what this one has committed, and hears what they have: NOTIFY and LISTEN.
//!
//! Nothing rests on it: whoever waits for work looks by the clock as well. News are told after the commit, outside
//! its transaction, gathered for a moment, because a NOTIFY inside one makes the commits of all nodes queue up. Where
//! LISTEN does not work (a pooler that lends connections by the transaction), or while it is lost, the record of
//! events is read instead, once a second.

use super::target::Target;
use crate::rows::ms;
use crate::{Signal, Then};
use jiff::Timestamp;
use ringback_callbacks::ids::{AgentId, InteractionId, QueueId, TenantId};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client};
use uuid::Uuid;

const CHANNEL: &str = "ringback";
/// PostgreSQL takes messages below 8,000 bytes.
const LONGEST: usize = 7_500;
/// What comes in so quick succession is told together.
const TOGETHER: Duration = Duration::from_millis(3);
/// How often the record is read where nobody tells.
const READING: Duration = Duration::from_secs(1);
/// How often it is noted how far the record has been told.
const NOTING: Duration = Duration::from_secs(30);
/// How often a node tries to take its name before it gives up.
const NAME_TRIES: u32 = 5;
/// Before a lost connection is made anew.
const REST: Duration = Duration::from_secs(1);
/// How long is waited at the end for the connection to be closed.
pub(super) const PARTING: Duration = Duration::from_secs(2);
/// Events read in one go.
const BITE: i64 = 1000;
/// How long a message to oneself may take before LISTEN is taken for broken.
const PROBED: Duration = Duration::from_millis(1500);

pub(super) struct Herald {
    pub target: Arc<Target>,
    /// This run of this node: its own news come back to it and are passed over.
    pub boot: Uuid,
    pub offset: i64,
    pub signals: broadcast::Sender<Signal>,
    /// The node's name, which no other may have; `None` for who only visits.
    pub node: Option<String>,
    /// The connection that was made at the start.
    pub first: Option<Line>,
    /// What was committed here.
    pub news: mpsc::UnboundedReceiver<Vec<Signal>>,
}

/// A connection to hear by.
pub(super) struct Line {
    client: Client,
    ear: mpsc::UnboundedReceiver<AsyncMessage>,
    /// Ends when the connection is closed.
    driver: tokio::task::JoinHandle<()>,
}

impl Line {
    /// Connects, takes the node's name, and listens.
    pub async fn open(target: &Target, node: Option<&str>) -> Result<Line, super::faults::Fault> {
        let (heard, ear) = mpsc::unbounded_channel();
        let (client, connection) = target.connect_and_hear(Some(heard)).await?;
        let driver = tokio::spawn(connection);
        if let Some(node) = node {
            // An earlier run of the same node may have been cut off a moment ago.
            let mut left = NAME_TRIES;
            while !is_ours(&client, node).await? {
                left -= 1;
                if left == 0 {
                    return Err(super::faults::Fault::Refused(format!(
                        "another node named `{node}` is at work on this database: give each node a name of its own \
                         ([server] node)"
                    )));
                }
                tokio::time::sleep(REST).await;
            }
        }
        client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
        Ok(Line {
            client,
            ear,
            driver,
        })
    }
}

async fn is_ours(client: &Client, node: &str) -> Result<bool, super::faults::Fault> {
    let rows = client
        .query_typed(
            "SELECT pg_try_advisory_lock($1)",
            &[(&super::locks::node(node), Type::INT8)],
        )
        .await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

impl Herald {
    /// Until the store is closed.
    pub async fn run(mut self) {
        let mut seen = None;
        loop {
            let ended = if self.target.is_pooled() {
                self.read_along(&mut seen).await
            } else {
                self.listen(&mut seen).await
            };
            match ended {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(error = %error, "the other nodes' news are not heard; the record is read by the clock")
                }
            }
            // News of ours meanwhile are found by the others in the record.
            tokio::time::sleep(REST).await;
            while self.news.try_recv().is_ok() {}
            if self.news.is_closed() && self.news.is_empty() {
                return;
            }
        }
    }

    async fn listen(&mut self, seen: &mut Option<i64>) -> Result<(), super::faults::Fault> {
        let Line {
            client,
            mut ear,
            driver,
        } = match self.first.take() {
            Some(line) => line,
            None => Line::open(&self.target, self.node.as_deref()).await?,
        };
        // What was told before this node listened.
        self.catch_up(&client, seen).await?;
        let mut noting = tokio::time::interval(NOTING);
        loop {
            tokio::select! {
                // From here the record is read, should the connection be lost.
                _ = noting.tick() => *seen = Some(self.end(&client).await?),
                news = self.news.recv() => match news {
                    Some(news) => self.tell(&client, news).await?,
                    None => {
                        // The node's name is free when its store is closed.
                        drop(client);
                        let _ = tokio::time::timeout(PARTING, driver).await;
                        return Ok(());
                    }
                },
                message = ear.recv() => match message {
                    Some(AsyncMessage::Notification(told)) => self.hear(told.payload()),
                    Some(_) => {}
                    None => return Err(super::faults::Fault::Lost("the connection to hear by is gone".to_owned())),
                },
            }
        }
    }

    async fn read_along(&mut self, seen: &mut Option<i64>) -> Result<(), super::faults::Fault> {
        let (client, connection) = self.target.connect().await?;
        tokio::spawn(connection);
        loop {
            self.catch_up(&client, seen).await?;
            let wait = tokio::time::sleep(READING);
            tokio::pin!(wait);
            loop {
                tokio::select! {
                    () = &mut wait => break,
                    // Nobody can be told: the others read the record too.
                    news = self.news.recv() => if news.is_none() {
                        return Ok(());
                    },
                }
            }
        }
    }

    /// Passes on what was recorded since the last time; the first time, only where the record ends.
    async fn catch_up(
        &self,
        client: &Client,
        seen: &mut Option<i64>,
    ) -> Result<(), super::faults::Fault> {
        let end = self.end(client).await?;
        let Some(mut after) = *seen else {
            *seen = Some(end);
            return Ok(());
        };
        loop {
            let rows = client
                .query_typed(
                    "SELECT e.tenant, e.callback, e.seq, c.queue
                     FROM (SELECT DISTINCT tenant FROM queues) AS t
                     CROSS JOIN LATERAL (SELECT * FROM events WHERE events.tenant = t.tenant AND seq > $1 AND seq <= $2
                         ORDER BY seq LIMIT $3) AS e
                     JOIN callbacks c ON c.tenant = e.tenant AND c.id = e.callback ORDER BY e.seq LIMIT $3",
                    &[(&after, Type::INT8), (&end, Type::INT8), (&BITE, Type::INT8)],
                )
                .await?;
            for row in &rows {
                after = row.get(2);
                let (tenant, queue) = (TenantId::parse(row.get(0)), QueueId::parse(row.get(3)));
                if let (Ok(tenant), Ok(queue)) = (tenant, queue) {
                    let id = InteractionId(row.get(1));
                    let _ = self.signals.send(Signal::Callback {
                        tenant,
                        id,
                        queue,
                        then: Then::Look,
                    });
                }
            }
            if i64::try_from(rows.len()).unwrap_or(0) < BITE {
                break;
            }
        }
        *seen = Some(end);
        Ok(())
    }

    /// Behind everything that is committed and in order.
    async fn end(&self, client: &Client) -> Result<i64, super::faults::Fault> {
        let rows = client
            .query_typed(
                "SELECT ((pg_snapshot_xmin(pg_current_snapshot())::text::bigint + $1) << 20) - 1",
                &[(&self.offset, Type::INT8)],
            )
            .await?;
        Ok(rows.first().map_or(0, |row| row.get(0)))
    }

    async fn tell(
        &mut self,
        client: &Client,
        first: Vec<Signal>,
    ) -> Result<(), super::faults::Fault> {
        let mut signals = first;
        tokio::time::sleep(TOGETHER).await;
        while signals.len() < 4096
            && let Ok(more) = self.news.try_recv()
        {
            signals.extend(more);
        }
        signals.dedup();
        for message in messages(self.boot, &signals) {
            client
                .query_typed(
                    "SELECT pg_notify($1, $2)",
                    &[(&CHANNEL, Type::TEXT), (&message, Type::TEXT)],
                )
                .await?;
        }
        Ok(())
    }

    fn hear(&self, message: &str) {
        for signal in heard(self.boot, message) {
            // No receiver is no fault.
            let _ = self.signals.send(signal);
        }
    }
}

/// Whether a message to oneself arrives; if not, a pooler stands between.
pub(super) async fn is_heard(target: &Target) -> Result<bool, super::faults::Fault> {
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

fn messages(boot: Uuid, signals: &[Signal]) -> Vec<String> {
    let mut messages = Vec::new();
    let mut items: Vec<Value> = Vec::new();
    let mut length = 0;
    let mut close = |items: &mut Vec<Value>| {
        if !items.is_empty() {
            messages.push(json!({"from": boot, "news": std::mem::take(items)}).to_string());
        }
    };
    for signal in signals {
        let item = match signal {
            Signal::Callback {
                tenant,
                id,
                queue,
                then,
            } => {
                let rests_until = match then {
                    Then::Rest(until) => Some(ms(*until)),
                    // What the node that claimed it has only looked at is others' to claim.
                    Then::Look | Then::Claimed(_) => None,
                };
                json!([
                    tenant.as_str(),
                    "callback",
                    id.0,
                    queue.as_str(),
                    rests_until
                ])
            }
            Signal::Agent { tenant, id } => json!([tenant.as_str(), "agent", id.0]),
            Signal::Queue { tenant, id } => json!([tenant.as_str(), "queue", id.as_str()]),
        };
        let size = item.to_string().len() + 1;
        if length + size > LONGEST - 100 {
            close(&mut items);
            length = 0;
        }
        length += size;
        items.push(item);
    }
    close(&mut items);
    messages
}

fn heard(boot: Uuid, message: &str) -> Vec<Signal> {
    let Ok(told) = serde_json::from_str::<Value>(message) else {
        return Vec::new();
    };
    if told["from"] == json!(boot) {
        return Vec::new();
    }
    let news = told["news"].as_array().cloned().unwrap_or_default();
    news.iter().filter_map(signal_of).collect()
}

fn signal_of(item: &Value) -> Option<Signal> {
    let tenant = TenantId::parse(item[0].as_str()?).ok()?;
    match item[1].as_str()? {
        "callback" => Some(Signal::Callback {
            tenant,
            id: InteractionId(Uuid::parse_str(item[2].as_str()?).ok()?),
            queue: QueueId::parse(item[3].as_str()?).ok()?,
            // A node of an older version says nothing of it.
            then: item[4]
                .as_i64()
                .and_then(|at| Timestamp::from_millisecond(at).ok())
                .map_or(Then::Look, Then::Rest),
        }),
        "agent" => Some(Signal::Agent {
            tenant,
            id: AgentId(item[2].as_i64()?),
        }),
        "queue" => Some(Signal::Queue {
            tenant,
            id: QueueId::parse(item[2].as_str()?).ok()?,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_arrive_as_they_were_told() {
        let tenant = TenantId::parse("default").unwrap();
        let queue = QueueId::parse("support").unwrap();
        let mut signals = vec![
            Signal::Agent {
                tenant: tenant.clone(),
                id: AgentId(7),
            },
            Signal::Queue {
                tenant: tenant.clone(),
                id: queue.clone(),
            },
        ];
        for number in 0..500 {
            let id = InteractionId(Uuid::now_v7());
            signals.push(Signal::Callback {
                tenant: tenant.clone(),
                id,
                queue: queue.clone(),
                then: if number % 2 == 0 {
                    Then::Look
                } else {
                    Then::Rest(Timestamp::UNIX_EPOCH)
                },
            });
        }
        let (mine, other) = (Uuid::now_v7(), Uuid::now_v7());
        let messages = messages(mine, &signals);
        assert!(messages.len() > 1 && messages.iter().all(|message| message.len() < LONGEST));
        let arrived: Vec<Signal> = messages
            .iter()
            .flat_map(|message| heard(other, message))
            .collect();
        assert_eq!(arrived, signals);
        assert!(
            messages
                .iter()
                .all(|message| heard(mine, message).is_empty())
        );
        assert!(heard(other, "nonsense").is_empty());
    }
}
