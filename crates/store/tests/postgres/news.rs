//! News between nodes when the connection they are heard by is gone, or somebody else has the node's name.

use crate::town::*;
use crate::{connect, database};
use ringback_callbacks::agent::Presence;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::ids::AgentId;
use ringback_sim::postgres::{Ground as Soil, shared};
use ringback_store::{OpenOptions, Signal};
use serde_json::json;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio_postgres::Client;

/// Nobody waits longer than this for something that is bound to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node by the name of `one`, and another that only visits.
async fn two_nodes() -> (Town, Town) {
    let (url, ground) = a_database().await;
    let one = Town::open_with(url, ground, named(), 7).await;
    let two = Town::open_with(
        one.url.clone(),
        Ground::Elsewhere,
        OpenOptions::default(),
        23,
    )
    .await;
    (one, two)
}

fn named() -> OpenOptions {
    OpenOptions {
        node: Some("one".to_owned()),
        ..OpenOptions::default()
    }
}

async fn hears(news: &mut Receiver<Signal>, what: &str, is_it: impl Fn(&Signal) -> bool) {
    let heard = tokio::time::timeout(PATIENCE, async {
        while !is_it(&news.recv().await.expect("news")) {}
    });
    heard
        .await
        .unwrap_or_else(|_| panic!("{what} is never heard"));
}

async fn hears_of(news: &mut Receiver<Signal>, callback: &Callback) {
    let id = callback.interaction.id;
    let is_it =
        |signal: &Signal| matches!(signal, Signal::Callback { id: told, .. } if *told == id);
    hears(news, "the callback", is_it).await;
}

/// Each books until the other has heard of it.
async fn hear_each_other(one: &Town, two: &Town) {
    for (from, to) in [(one, two), (two, one)] {
        let mut news = to.store.signals();
        let booked = from.book("billing", voice(9), monday()).await;
        hears_of(&mut news, &booked).await;
    }
}

/// By which session a node has its name, and the halves of the name's number.
const HOLDER: &str = "SELECT l.pid, l.classid, l.objid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND a.application_name = 'ringback' AND a.state = 'idle'
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// Asks until there is an answer.
async fn eventually(client: &Client, sql: &str) -> tokio_postgres::Row {
    for _ in 0..3000 {
        if let Some(row) = client.query_opt(sql, &[]).await.unwrap() {
            return row;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("there is never an answer to {sql}");
}

async fn holder(watch: &Client) -> (i32, i64) {
    let row = eventually(watch, HOLDER).await;
    let (high, low): (u32, u32) = (row.get(1), row.get(2));
    let number = (u64::from(high) << 32 | u64::from(low)).cast_signed();
    (row.get(0), number)
}

/// Ends the session by which node `one` hears, and lets nobody connect until the door is opened again.
struct Deaf {
    watch: Client,
    name: String,
}

impl Deaf {
    async fn made(one: &Town) -> Deaf {
        let watch = connect(&one.url).await;
        let (session, _) = holder(&watch).await;
        let name = database(one).name.clone();
        shared(Soil::QUICK).sql(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
        end(&watch, session).await;
        Deaf { watch, name }
    }

    fn over(self) {
        shared(Soil::QUICK).sql(&format!(
            "ALTER DATABASE {} ALLOW_CONNECTIONS true",
            self.name
        ));
    }
}

async fn end(watch: &Client, session: i32) {
    watch
        .execute("SELECT pg_terminate_backend($1)", &[&session])
        .await
        .unwrap();
    let gone =
        format!("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = {session})");
    eventually(watch, &gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_while_a_node_could_not_hear_is_told_afterwards() {
    let (one, two) = two_nodes().await;
    one.staffed().await;
    two.agent(2, &["billing"], false).await;
    hear_each_other(&one, &two).await;

    // Somebody's transaction goes on all the while: the record is complete only up to where it began.
    let stalled = connect(&one.url).await;
    let deaf = Deaf::made(&one).await;
    let mut heard_by_one = one.store.signals();
    let mut heard_by_two = two.store.signals();
    stalled
        .batch_execute("BEGIN; SELECT pg_current_xact_id()")
        .await
        .unwrap();
    let elsewhere = two.book("billing", voice(1), later(1)).await;
    two.store
        .set_presence(&tenant(), AgentId(2), Presence::Away, later(1))
        .await
        .unwrap();
    two.queue("sales", rules(json!({}))).await;
    let here = one.book("billing", voice(2), later(1)).await;
    one.agent(3, &["billing"], false).await;
    deaf.over();

    hears(
        &mut heard_by_one,
        "the queue",
        |signal| matches!(signal, Signal::Queue { id, .. } if *id == queue_id("sales")),
    )
    .await;
    hears(
        &mut heard_by_one,
        "the agent",
        |signal| matches!(signal, Signal::Agent { id, .. } if *id == AgentId(2)),
    )
    .await;
    hears_of(&mut heard_by_one, &elsewhere).await;
    hears_of(&mut heard_by_two, &here).await;
    hears(
        &mut heard_by_two,
        "the agent",
        |signal| matches!(signal, Signal::Agent { id, .. } if *id == AgentId(3)),
    )
    .await;
    drop(stalled);
    // And from here on as before.
    hear_each_other(&one, &two).await;
    one.is_healthy().await;
}

/// Most of what was recorded meanwhile is about interactions that are no callbacks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_is_found_behind_many_events_of_other_interactions() {
    let (one, two) = two_nodes().await;
    one.staffed().await;
    hear_each_other(&one, &two).await;
    let deaf = Deaf::made(&one).await;
    let mut news = one.store.signals();
    deaf.watch
        .batch_execute(
            "INSERT INTO events (tenant, seq, callback, number, at, kind, actor, detail, hash)
             SELECT 'default', ((pg_current_xact_id()::text::bigint + seq_offset) << 20) + n, gen_random_uuid(), 1, 0,
                 'accepted', 'system', '{}', 'none' FROM installation, generate_series(1, 2500) AS n",
        )
        .await
        .unwrap();
    let booked = two.book("billing", voice(1), monday()).await;
    deaf.over();
    hears_of(&mut news, &booked).await;
}

/// The server has not noticed that a node's connection is dead, or a second node of the name was started meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_name_somebody_has_hears_and_tells_all_the_same() {
    let (one, two) = two_nodes().await;
    one.staffed().await;
    hear_each_other(&one, &two).await;
    let watch = connect(&one.url).await;
    let (session, name) = holder(&watch).await;
    // Who waits for a lock has it before anybody who only tries.
    let taker = connect(&one.url).await;
    let taken = tokio::spawn(async move {
        taker
            .execute("SELECT pg_advisory_lock($1)", &[&name])
            .await
            .unwrap();
        taker
    });
    let waits = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually(&watch, waits).await;
    end(&watch, session).await;
    let taker = taken.await.unwrap();
    hear_each_other(&one, &two).await;
    // It is tried for again and again, and had when it is free.
    taker
        .execute("SELECT pg_advisory_unlock($1)", &[&name])
        .await
        .unwrap();
    let (again, same) = holder(&watch).await;
    assert_ne!(again, session);
    assert_eq!(same, name);
}

/// The machine of an earlier run went without a word, and the server notices a moment later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_waits_a_while_for_its_name() {
    let (one, two) = two_nodes().await;
    let watch = connect(&one.url).await;
    let (_, name) = holder(&watch).await;
    let (url, ground) = (one.url.clone(), one.ground);
    one.store.close().await;
    let dead = connect(&url).await;
    dead.execute("SELECT pg_advisory_lock($1)", &[&name])
        .await
        .unwrap();
    let starts = tokio::spawn(Town::open_with(url, ground, named(), 29));
    let asked = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
        AND query LIKE '%pg_try_advisory_lock%' AND state = 'idle' AND application_name = 'ringback'";
    eventually(&watch, asked).await;
    drop(dead);
    let one = starts.await.expect("it starts");
    assert_eq!(holder(&watch).await.1, name);
    one.staffed().await;
    hear_each_other(&one, &two).await;
}

/// A node that had more to tell than it could keep has the others look into the record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_told_to_reads_the_record() {
    let (one, two) = two_nodes().await;
    one.staffed().await;
    let booked = two.book("billing", voice(1), monday()).await;
    hear_each_other(&one, &two).await;
    let mut news = one.store.signals();
    let other = connect(&one.url).await;
    other
        .batch_execute("NOTIFY ringback, '{\"from\": \"another\", \"since\": 0}'")
        .await
        .unwrap();
    hears_of(&mut news, &booked).await;
}
