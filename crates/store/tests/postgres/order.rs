//! Followers of events read in one order without gaps, although transactions commit in another order than they began.

use crate::town::*;
use crate::{connect, database};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use ringback_store::Store;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Client;
use uuid::Uuid;

/// A transaction of another node, which has written an event and goes on.
struct Stalled {
    client: Client,
    /// The place of its event in the order.
    seq: i64,
    commits: bool,
}

impl Stalled {
    /// Writes an event as the store does, and stops there.
    async fn begin(url: &str, commits: bool) -> Stalled {
        let client = connect(url).await;
        client.batch_execute("BEGIN").await.unwrap();
        let row = client
            .query_one(
                "INSERT INTO events (tenant, seq, callback, number, at, kind, actor, detail, hash)
                 SELECT 'default', ((pg_current_xact_id()::text::bigint + seq_offset) << 20) + 1, $1, 1, 0, 'accepted',
                     'system', '{}', 'none' FROM installation RETURNING seq",
                &[&Uuid::now_v7()],
            )
            .await
            .unwrap();
        Stalled {
            client,
            seq: row.get(0),
            commits,
        }
    }

    async fn end(self) -> Option<i64> {
        let word = if self.commits { "COMMIT" } else { "ROLLBACK" };
        self.client.batch_execute(word).await.unwrap();
        self.commits.then_some(self.seq)
    }
}

/// Reads on from where it stands, a few at a time.
struct Follower {
    store: Arc<dyn Store>,
    limit: usize,
    read: Vec<i64>,
}

impl Follower {
    fn new(store: &Arc<dyn Store>, limit: usize) -> Follower {
        Follower {
            store: Arc::clone(store),
            limit,
            read: Vec::new(),
        }
    }

    async fn follow(&mut self) {
        loop {
            let after = self.read.last().copied().unwrap_or(0);
            let events = self
                .store
                .events_after(&tenant(), after, self.limit)
                .await
                .unwrap();
            self.read.extend(events.iter().map(|event| event.seq));
            if events.len() < self.limit {
                return;
            }
        }
    }

    /// Until it has read so many: what was committed a moment ago comes into the order when everything that began
    /// before it has ended, in whichever database of the cluster.
    async fn follow_to(&mut self, number: usize) {
        for _ in 0..3000 {
            self.follow().await;
            if self.read.len() >= number {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} of {number} events within a minute", self.read.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_beyond_a_stalled_transaction() {
    let town = postgres().await;
    town.staffed().await;
    let other = Town::open(town.url.clone(), Ground::Elsewhere).await;
    let mut followers = [
        Follower::new(&town.store, 3),
        Follower::new(&other.store, 100),
    ];
    let mut dice = StdRng::seed_from_u64(11);
    let mut last = 0;
    let mut expected = Vec::new();
    for round in 0..6 {
        // Some begin, and between them the store commits.
        let mut stalled = Vec::new();
        for number in 0..4 {
            stalled.push(Stalled::begin(&town.url, (number + round) % 3 != 0).await);
            for _ in 0..dice.random_range(1..4) {
                last += 1;
                town.book("billing", voice(last), monday()).await;
            }
        }
        // They end in another order than they began in.
        stalled.shuffle(&mut dice);
        while let Some(one) = stalled.pop() {
            let before = stalled
                .iter()
                .map(|stalled| stalled.seq)
                .chain([one.seq])
                .min()
                .unwrap();
            for follower in &mut followers {
                follower.follow().await;
                assert!(
                    follower.read.iter().all(|seq| *seq < before),
                    "round {round}: nothing beyond {before}"
                );
                let end = follower.store.last_event().await.unwrap();
                assert!(end < before, "the end is where all is complete");
            }
            expected.extend(one.end().await);
        }
        let there = database(&town).sql("SELECT count(*) FROM events");
        let there: usize = there.parse().unwrap();
        for follower in &mut followers {
            follower.follow_to(there).await;
        }
    }
    let all = database(&town).sql("SELECT seq FROM events ORDER BY seq");
    let all: Vec<i64> = all.lines().map(|seq| seq.parse().unwrap()).collect();
    // Each once, in one order, the same for both.
    assert_eq!(followers[0].read, all);
    assert_eq!(followers[1].read, all);
    assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(expected.len() > 10 && expected.iter().all(|seq| all.contains(seq)));
    assert_eq!(all.len(), expected.len() + last as usize);
}

/// A backup restored into a database that counts its transactions from a lower number, or an installation that was
/// moved here with a long record: what happens now comes behind all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_goes_on_behind_what_was_brought_along() {
    let town = postgres().await;
    let far = 5_000_000_i64 << 20;
    database(&town).sql(&format!(
        "INSERT INTO events (tenant, seq, callback, number, at, kind, actor, detail, hash)
         VALUES ('default', {far}, gen_random_uuid(), 1, 0, 'accepted', 'system', '{{}}', 'none')"
    ));
    // The offset is the installation's: the last event may be anybody's.
    let farthest = far + (7 << 20);
    for (tenant, seq) in [
        ("another", far - 1),
        ("beyond", far + 1),
        ("zebra", farthest),
    ] {
        database(&town).sql(&format!(
            "INSERT INTO events (tenant, seq, callback, number, at, kind, actor, detail, hash)
             VALUES ('{tenant}', {seq}, gen_random_uuid(), 1, 0, 'accepted', 'system', '{{}}', 'none')"
        ));
    }
    let town = town.reopened().await;
    town.staffed().await;
    for last in 1..4 {
        town.book("billing", voice(last), monday()).await;
    }
    let events = town.followed(4).await;
    assert_eq!(events[0].seq, far);
    assert!(events[1].seq > farthest);
    assert!(events.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    // Every other node goes by the same offset, and a second start raises it no further.
    let offset = || database(&town).sql("SELECT seq_offset FROM installation");
    let raised = offset();
    let other = Town::open(town.url.clone(), Ground::Elsewhere).await;
    assert_eq!(offset(), raised);
    let mut follower = Follower::new(&other.store, 100);
    follower.follow_to(4).await;
    assert_eq!(follower.read.len(), 4);
}

/// Whoever opens the store while others write, a younger one done and an older one not, leaves the order as it is: they
/// go by the offset that they have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_amid_others_raises_nothing() {
    let town = postgres().await;
    town.staffed().await;
    let stalled = Stalled::begin(&town.url, true).await;
    for last in 1..4 {
        town.book("billing", voice(last), monday()).await;
    }
    let offset = || database(&town).sql("SELECT seq_offset FROM installation");
    let before = offset();
    let other = Town::open(town.url.clone(), Ground::Elsewhere).await;
    assert_eq!(offset(), before);
    let mut follower = Follower::new(&other.store, 100);
    follower.follow().await;
    assert!(
        follower.read.is_empty(),
        "what the stalled one wrote comes first"
    );
    let seq = stalled.end().await.unwrap();
    follower.follow_to(4).await;
    assert_eq!(follower.read[0], seq);
}
