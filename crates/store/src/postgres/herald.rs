//! Tells the other nodes what this one has committed, and hears what they have: NOTIFY and LISTEN.
//!
//! Whoever waits for work looks by the clock as well; whoever carries a call learns by this alone that it was cancelled at
//! another node. So news may come late, but none is lost. They are told after the commit, outside its transaction, gathered
//! for a moment, because a NOTIFY inside one makes the commits of all nodes queue up. A connection that is gone is made
//! anew every second: what others committed meanwhile is read from the record of events, and what was committed here is
//! kept, and told when there is somebody to tell it by. Where LISTEN does not work (a pooler that lends connections by
//! the transaction) the record is read once a second.
//!
//! A node has its name by the same connection, but needs none to hear and to tell: while its own lost connection still has
//! the name, because the server has not noticed, it goes on without.

mod line;
mod news;
mod record;

pub(super) use line::{Line, is_heard};
pub(super) use record::{Record, end};

use super::faults::Fault;
use super::target::Target;
use crate::Signal;
use line::ask;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client};
use uuid::Uuid;

const CHANNEL: &str = "ringback";
/// What comes in so quick succession is told together.
const TOGETHER: Duration = Duration::from_millis(3);
/// How often the record is read where nobody tells.
const READING: Duration = Duration::from_secs(1);
/// How often it is noted how far the record has been told. A connection that is dead without a word is found out by it.
const NOTING: Duration = Duration::from_secs(10);
/// Before a lost connection is made anew, and before a name that somebody has is tried for again.
const REST: Duration = Duration::from_secs(1);
/// How long is waited at the end for the connection to be closed.
pub(super) const PARTING: Duration = Duration::from_secs(2);
/// News that are kept while they cannot be told; the others look into the record for what goes beyond.
const KEPT: usize = 65_536;

pub(super) struct Herald {
    target: Arc<Target>,
    /// This run of this node: its own news come back to it and are passed over.
    boot: Uuid,
    record: Record,
    /// The node's name, which no other may have; `None` for who only visits.
    node: Option<String>,
    /// What was committed here.
    news: mpsc::UnboundedReceiver<Vec<Signal>>,
    /// What of it was not told yet.
    untold: Vec<Signal>,
    /// Where the record ended before the first of the news that were too many to be kept.
    dropped_since: Option<i64>,
    /// What was last complained of, which is not said again every second.
    complaint: Option<String>,
}

impl Herald {
    pub fn new(
        target: Arc<Target>,
        record: Record,
        node: Option<String>,
        news: mpsc::UnboundedReceiver<Vec<Signal>>,
    ) -> Herald {
        Herald {
            target,
            boot: Uuid::now_v7(),
            record,
            node,
            news,
            untold: Vec::new(),
            dropped_since: None,
            complaint: None,
        }
    }

    /// Until the store is closed. `first` is the connection that was made at the start.
    pub async fn run(mut self, first: Option<Line>) {
        let mut line = first;
        loop {
            let ended = if self.target.is_pooled() {
                self.read_along().await
            } else {
                self.listen(line.take()).await
            };
            match ended {
                Ok(()) => return,
                Err(fault) => self.complain(&fault),
            }
            if self
                .keep_meanwhile(tokio::time::sleep(REST))
                .await
                .is_none()
            {
                return;
            }
        }
    }

    async fn listen(&mut self, line: Option<Line>) -> Result<(), Fault> {
        let mut line = match line {
            Some(line) => line,
            None => {
                let target = Arc::clone(&self.target);
                match self.keep_meanwhile(Line::open(&target)).await {
                    Some(opened) => opened?,
                    None => return Ok(()),
                }
            }
        };
        // Where nothing is heard the record is read all the same: each time, that is every second.
        let listening = line.listen().await;
        self.record.catch_up(&line.client).await?;
        self.tell(&line.client).await?;
        listening?;
        if self.complaint.take().is_some() {
            tracing::info!("the other nodes' news are heard again");
        }
        let (mut noting, mut naming) = (every(NOTING), every(REST));
        loop {
            let wants_name = self.node.is_some() && !line.is_named;
            tokio::select! {
                _ = noting.tick() => self.record.note(&line.client).await?,
                _ = naming.tick(), if wants_name => self.take_name(&mut line).await?,
                news = self.news.recv() => match news {
                    Some(news) => {
                        self.gather(news).await;
                        self.tell(&line.client).await?;
                    }
                    None => {
                        line.close().await;
                        return Ok(());
                    }
                },
                message = line.ear.recv() => match message {
                    Some(AsyncMessage::Notification(told)) => self.hear(&line.client, told.payload()).await?,
                    Some(_) => {}
                    None => return Err(Fault::Lost("the connection to hear by is gone".to_owned())),
                },
            }
        }
    }

    /// Where LISTEN does not work. Others may hear all the same.
    async fn read_along(&mut self) -> Result<(), Fault> {
        let target = Arc::clone(&self.target);
        let connected = self.keep_meanwhile(target.connect()).await;
        let Some(connected) = connected else {
            return Ok(());
        };
        let (client, connection) = connected?;
        tokio::spawn(connection);
        let mut reading = every(READING);
        loop {
            tokio::select! {
                _ = reading.tick() => {
                    self.record.read_on(&client).await?;
                    self.tell(&client).await?;
                    self.complaint = None;
                }
                news = self.news.recv() => match news {
                    Some(news) => {
                        self.gather(news).await;
                        self.tell(&client).await?;
                    }
                    None => return Ok(()),
                },
            }
        }
    }

    async fn take_name(&self, line: &mut Line) -> Result<(), Fault> {
        let Some(node) = &self.node else {
            return Ok(());
        };
        let first = !line.was_refused;
        if line.take_name(node).await? {
            tracing::info!(node, "this node has its name again");
        } else if first {
            tracing::warn!(
                node,
                "another session has this node's name: the connection that was lost, until the server notices, or a \
                 second node of the same name"
            );
        }
        Ok(())
    }

    /// Waits for something and keeps what is committed meanwhile; `None` when the store is closed.
    async fn keep_meanwhile<T>(&mut self, wait: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(wait);
        loop {
            tokio::select! {
                done = &mut wait => return Some(done),
                news = self.news.recv() => self.keep(news?),
            }
        }
    }

    fn keep(&mut self, news: Vec<Signal>) {
        if self.untold.len() + news.len() <= KEPT {
            self.untold.extend(news);
        } else if self.dropped_since.is_none() {
            self.dropped_since = Some(self.record.seen);
        }
    }

    /// What comes in a moment is told with it.
    async fn gather(&mut self, first: Vec<Signal>) {
        self.keep(first);
        tokio::time::sleep(TOGETHER).await;
        while self.untold.len() < 4096
            && let Ok(more) = self.news.try_recv()
        {
            self.keep(more);
        }
    }

    /// What could not be told stays, and is told again as a whole.
    async fn tell(&mut self, client: &Client) -> Result<(), Fault> {
        self.untold.dedup();
        let mut messages = news::messages(self.boot, &self.untold);
        messages.extend(
            self.dropped_since
                .map(|place| news::read_since(self.boot, place)),
        );
        for message in messages {
            ask(
                client,
                "SELECT pg_notify($1, $2)",
                &[(&CHANNEL, Type::TEXT), (&message, Type::TEXT)],
            )
            .await?;
        }
        self.untold.clear();
        self.dropped_since = None;
        Ok(())
    }

    async fn hear(&mut self, client: &Client, message: &str) -> Result<(), Fault> {
        let heard = news::heard(self.boot, message);
        for signal in heard.signals {
            // No receiver is no fault.
            let _ = self.record.signals.send(signal);
        }
        if let Some(since) = heard.since {
            self.record.seen = self.record.seen.min(since);
            self.record.catch_up(client).await?;
        }
        Ok(())
    }

    fn complain(&mut self, fault: &Fault) {
        let fault = fault.to_string();
        if self.complaint.as_ref() != Some(&fault) {
            tracing::warn!(error = %fault, "the other nodes' news are not heard; what they were is read from the record when the connection is back");
        }
        self.complaint = Some(fault);
    }
}

/// At once, and then with so much between.
fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OpenOptions, Store};
    use ringback_callbacks::ids::{AgentId, QueueId, TenantId};
    use ringback_callbacks::queue::Queue;
    use ringback_sim::clock::SeededChance;
    use ringback_sim::postgres::{Ground, shared};
    use serde_json::json;
    use tokio::sync::broadcast;

    fn agent(number: i64) -> Signal {
        Signal::Agent {
            tenant: TenantId::default(),
            id: AgentId(number),
        }
    }

    async fn hears(ear: &mut broadcast::Receiver<Signal>, signal: &Signal) {
        let heard = tokio::time::timeout(Duration::from_secs(30), async {
            while ear.recv().await.expect("news") != *signal {}
        });
        heard
            .await
            .unwrap_or_else(|_| panic!("{signal:?} is never heard"));
    }

    async fn put_queue(store: &dyn Store, id: &str) -> Signal {
        let rules =
            json!({ "name": "Any", "hours": { "opening_hours": "24/7", "time_zone": "UTC" } });
        let queue = Queue {
            tenant: TenantId::default(),
            id: QueueId::parse(id).unwrap(),
            rules: serde_json::from_value(rules).unwrap(),
            intake_paused: false,
            dialling_paused: false,
            removed: false,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            revision: 0,
        };
        let queue = store.put_queue(queue, None).await.expect("a queue");
        Signal::Queue {
            tenant: queue.tenant,
            id: queue.id,
        }
    }

    /// Behind a pooler that lends connections by the transaction nothing is heard. What others commit is read there, and
    /// those who can hear are told.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_cannot_hear_reads_and_tells() {
        let database = shared(Ground::QUICK).database();
        let chance = Arc::new(SeededChance::new(3));
        let store = crate::open(&database.url(), OpenOptions::default(), chance)
            .await
            .expect("a store");
        let target = Arc::new(Target::parse(&database.url()).unwrap());
        let (offset, end) = super::super::prepare(&target, false).await.unwrap();
        let mut line = Line::open(&target).await.unwrap();
        line.listen().await.unwrap();
        target.found_pooled();
        let (signals, mut read) = broadcast::channel(100);
        let (news, ear) = mpsc::unbounded_channel();
        let mut herald = Herald::new(target, Record::new(signals, offset, end), None, ear);
        // There was more than it could keep: the others are to look into the record.
        herald.dropped_since = Some(12 << 20);
        let mut told = store.signals();
        let herald = tokio::spawn(herald.run(None));
        let first = tokio::time::timeout(Duration::from_secs(30), line.ear.recv());
        let Some(AsyncMessage::Notification(first)) = first.await.expect("a message") else {
            panic!("the connection is lost");
        };
        let since = news::heard(Uuid::nil(), first.payload()).since;
        assert_eq!(since, Some(12 << 20));
        news.send(vec![agent(77)]).unwrap();
        hears(&mut told, &agent(77)).await;
        for id in ["one", "two"] {
            let queue = put_queue(store.as_ref(), id).await;
            hears(&mut read, &queue).await;
        }
        drop(news);
        let ended = tokio::time::timeout(PARTING, herald).await;
        ended.expect("it ends with the store").unwrap();
        store.close().await;
    }

    /// The name of a node whose machine has gone is free within seconds, not hours.
    #[tokio::test]
    async fn the_session_that_has_the_name_is_missed_soon() {
        let database = shared(Ground::QUICK).database();
        let target = Target::parse(&database.url()).unwrap();
        let line = Line::open_as(&target, "one").await.unwrap();
        let row = line.client.query_one("SHOW tcp_keepalives_idle", &[]).await;
        assert_eq!(row.unwrap().get::<_, &str>(0), "5");
    }

    #[test]
    fn what_is_kept_has_a_limit() {
        let target = Arc::new(Target::parse("postgres://nowhere/none").unwrap());
        let (signals, _) = broadcast::channel(1);
        let (_news, ear) = mpsc::unbounded_channel();
        let mut herald = Herald::new(target, Record::new(signals, 0, 12 << 20), None, ear);
        for _ in 0..KEPT / 1000 {
            herald.keep((0..1000).map(agent).collect());
        }
        assert_eq!(herald.dropped_since, None);
        herald.keep((0..1000).map(agent).collect());
        assert_eq!(herald.dropped_since, Some(12 << 20));
        // Later ones do not move the place.
        herald.record.seen = 13 << 20;
        herald.keep((0..1000).map(agent).collect());
        assert_eq!(herald.dropped_since, Some(12 << 20));
        assert!(herald.untold.len() <= KEPT);
    }
}
