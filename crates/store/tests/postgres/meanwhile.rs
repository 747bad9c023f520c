//! What one node decides while another one's transaction, which is about to change what the decision rests on, goes on:
//! the decision waits for it, or is made anew.

use crate::nodes::{PATIENCE, beside};
use crate::town::*;
use crate::{connect, database, stand_still};
use jiff::Timestamp;
use ringback_callbacks::agent::Agent;
use ringback_callbacks::event::Actor;
use ringback_callbacks::ids::{AgentId, InteractionId};
use ringback_callbacks::interaction::BodyKind;
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::wire_time;
use ringback_store::{
    AnyInteraction, Applied, ApplyOrder, BodyOrder, ClaimOrder, HeldClaim, Result, Store,
    StoreError,
};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use uuid::Uuid;

/// A transaction of the test's own, in which this has been done and which goes on.
async fn holding(town: &Town, sql: &str) -> Client {
    let client = connect(&town.url).await;
    client.batch_execute("BEGIN").await.unwrap();
    client.batch_execute(sql).await.unwrap();
    client
}

async fn end(client: Client, word: &str) {
    client.batch_execute(word).await.unwrap();
}

/// Whatever moves the callback next meets an event that somebody else is about to write, and stands still there with
/// everything that it has locked.
async fn stalling(town: &Town, id: InteractionId) -> Client {
    let events = town.store.events(&tenant(), id, 0, 100).await;
    let next = events.expect("events").len() + 1;
    let event = format!(
        "INSERT INTO events (tenant, seq, callback, number, at, kind, actor, detail, hash)
         VALUES ('default', 1, '{}', {next}, 0, 'assigned', 'system', '{{}}', 'none')",
        id.0
    );
    holding(town, &event).await
}

/// A callback that has come due and that nobody has been given yet.
async fn waiting(town: &Town, last: u32, now: Timestamp) -> InteractionId {
    let booked = town.book("billing", voice(last), now).await;
    let no_place = ClaimOrder {
        places: 0,
        ..claim_order("one", now)
    };
    town.store.claim_due(no_place).await.expect("it waits now");
    assert_eq!(town.get(&booked).await.state.name(), "queued");
    booked.interaction.id
}

fn put(town: &Town, agent: Agent, expected: Option<u64>) -> JoinHandle<Result<Agent>> {
    let store: Arc<dyn Store> = Arc::clone(&town.store);
    tokio::spawn(async move { store.put_agent(agent, expected).await })
}

fn remove(town: &Town, id: i64) -> JoinHandle<Result<bool>> {
    let store: Arc<dyn Store> = Arc::clone(&town.store);
    tokio::spawn(async move { store.remove_agent(&tenant(), AgentId(id)).await })
}

fn pass_on(town: &Town, callback: InteractionId, agent: i64) -> JoinHandle<Result<Applied>> {
    let store: Arc<dyn Store> = Arc::clone(&town.store);
    let agent = AgentId(agent);
    let command = Command::TransferToAgent { agent };
    let order = ApplyOrder::system(tenant(), callback, command, later(5));
    tokio::spawn(async move { store.apply(order).await })
}

fn current<T: std::fmt::Debug>(result: Result<T>) -> u64 {
    match result {
        Err(StoreError::RevisionConflict { current }) => current,
        other => panic!("a revision conflict, not {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_agent_who_is_changed_elsewhere_is_not_written_over() {
    let town = postgres().await;
    let agent = town.agent(1, &["billing"], false).await;
    let ours = Agent {
        name: "Ours".to_owned(),
        ..agent.clone()
    };
    let theirs = "UPDATE agents SET name = 'Theirs', revision = revision + 1";

    let other = holding(&town, theirs).await;
    let late = put(&town, ours.clone(), Some(1));
    stand_still(&town, "transactionid", 1).await;
    end(other, "COMMIT").await;
    assert_eq!(current(late.await.unwrap()), 2);
    let now = town.agent_now(1).await;
    assert_eq!((now.name.as_str(), now.revision), ("Theirs", 2));

    // What did not come about is in nobody's way.
    let other = holding(&town, theirs).await;
    let first = put(&town, ours.clone(), Some(2));
    stand_still(&town, "transactionid", 1).await;
    end(other, "ROLLBACK").await;
    assert_eq!(first.await.unwrap().expect("a change").revision, 3);

    // Who names no revision comes behind it.
    let other = holding(&town, theirs).await;
    let last = put(&town, ours, None);
    stand_still(&town, "transactionid", 1).await;
    end(other, "COMMIT").await;
    assert_eq!(last.await.unwrap().expect("a change").revision, 5);
    assert_eq!(town.agent_now(1).await.name, "Ours");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_agent_is_made_once() {
    let town = postgres().await;
    let agent = town.agent(1, &["billing"], false).await;
    let new = Agent {
        id: AgentId(2),
        name: "Ours".to_owned(),
        ..agent
    };
    let theirs = "INSERT INTO agents (tenant, id, name, dn, route, presence, auto_accept, engaged, idle_since, revision,
             queues)
         SELECT tenant, 2, 'Theirs', dn, route, presence, auto_accept, engaged, idle_since, 1, queues FROM agents";
    let other = holding(&town, theirs).await;
    let late = put(&town, new, Some(0));
    stand_still(&town, "transactionid", 1).await;
    end(other, "COMMIT").await;
    assert_eq!(current(late.await.unwrap()), 1);
    assert_eq!(town.agent_now(2).await.name, "Theirs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_does_not_bring_a_removed_agent_back() {
    let town = postgres().await;
    let agent = town.agent(1, &["billing"], false).await;
    let other = holding(&town, "DELETE FROM agents").await;
    let late = put(&town, agent, Some(1));
    stand_still(&town, "transactionid", 1).await;
    end(other, "COMMIT").await;
    assert_eq!(current(late.await.unwrap()), 0);
    assert_eq!(town.store.agents(&tenant()).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_agent_who_is_being_given_a_callback_is_not_removed() {
    let one = postgres().await;
    one.staffed().await;
    let two = beside(&one).await;
    let booked = waiting(&one, 1, later(1)).await;

    let stalled = stalling(&one, booked).await;
    let store = Arc::clone(&one.store);
    let claim = tokio::spawn(async move { store.claim_due(claim_order("one", later(2))).await });
    stand_still(&one, "transactionid", 1).await;
    let removal = remove(&two, 1);
    stand_still(&one, "transactionid", 2).await;
    end(stalled, "ROLLBACK").await;

    let claimed = claim.await.unwrap().expect("a claim");
    assert_eq!(claimed.callbacks.len(), 1);
    let removed = removal.await.unwrap();
    assert_eq!(conflict(removed), (None, "agent_engaged"));
    let engaged = one.agent_now(1).await.engaged;
    assert_eq!(engaged, Some(booked));
    one.is_healthy().await;
    two.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_agent_to_whom_a_callback_is_being_passed_on_is_not_removed() {
    let one = postgres().await;
    one.staffed().await;
    let two = beside(&one).await;
    one.book("billing", voice(1), monday()).await;
    let held = one.claim_one(later(1)).await;
    one.agent(2, &["billing"], false).await;

    let stalled = stalling(&one, held.interaction.id).await;
    let transfer = pass_on(&one, held.interaction.id, 2);
    stand_still(&one, "transactionid", 1).await;
    let removal = remove(&two, 2);
    stand_still(&one, "transactionid", 2).await;
    end(stalled, "ROLLBACK").await;

    transfer.await.unwrap().expect("a transfer");
    let removed = removal.await.unwrap();
    assert_eq!(conflict(removed), (None, "agent_awaited"));
    assert_eq!(
        one.claim_one(later(6)).await.state.engages(),
        Some(AgentId(2))
    );
    one.is_healthy().await;
    two.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_passed_on_to_an_agent_who_is_being_removed() {
    let one = postgres().await;
    one.staffed().await;
    one.book("billing", voice(1), monday()).await;
    let held = one.claim_one(later(1)).await;
    one.agent(2, &["billing"], false).await;

    let other = holding(&one, "DELETE FROM agents WHERE id = 2").await;
    let transfer = pass_on(&one, held.interaction.id, 2);
    stand_still(&one, "transactionid", 1).await;
    end(other, "COMMIT").await;
    let passed = transfer.await.unwrap();
    assert_eq!(conflict(passed), (Some("agent_id"), "not_found"));
    assert_eq!(one.get(&held).await, held);
    one.is_healthy().await;
}

/// A claim has locked everybody who is free, and may be waiting for a number that the transfer has: if the transfer waited
/// for it, the two would wait for each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_transfer_waits_for_no_claim() {
    let one = postgres().await;
    one.staffed().await;
    let two = beside(&one).await;
    one.book("billing", voice(1), monday()).await;
    let held = one.claim_one(later(1)).await;
    one.agent(2, &["billing"], false).await;
    let next = waiting(&one, 2, later(2)).await;

    let stalled = stalling(&one, next).await;
    let store = Arc::clone(&one.store);
    let claim = tokio::spawn(async move { store.claim_due(claim_order("one", later(3))).await });
    stand_still(&one, "transactionid", 1).await;
    let passed = tokio::time::timeout(PATIENCE, pass_on(&two, held.interaction.id, 2));
    let passed = passed.await.expect("nobody is waited for");
    passed.unwrap().expect("a transfer");
    end(stalled, "ROLLBACK").await;
    assert_eq!(claim.await.unwrap().expect("a claim").callbacks.len(), 1);
    one.is_healthy().await;
    two.store.close().await;
}

/// The bytes of a body have arrived, and take its place.
fn finish(
    town: &Town,
    id: InteractionId,
    kind: BodyKind,
    upload: Uuid,
) -> JoinHandle<Result<AnyInteraction>> {
    let store: Arc<dyn Store> = Arc::clone(&town.store);
    tokio::spawn(async move {
        store
            .append_body(&tenant(), upload, 0, vec![7; 10], later(1))
            .await?;
        let order = BodyOrder {
            tenant: tenant(),
            id,
            kind,
            mime: "text/plain".to_owned(),
            size: 10,
            upload,
            actor: Actor::Application(5),
            now: later(2),
        };
        store.finish_body(order).await
    })
}

/// Whoever puts the plain text of this interaction in its place meets somebody who is doing the same, and stands still
/// there; what it decides by it has read.
async fn stalling_text(town: &Town, id: InteractionId) -> Client {
    let kind = BodyKind::PlainText.name();
    let body = format!(
        "INSERT INTO bodies (tenant, interaction, kind, upload) VALUES ('default', '{}', '{kind}', gen_random_uuid())",
        id.0
    );
    holding(town, &body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_bodies_of_a_recorded_call_are_both_kept() {
    let one = postgres().await;
    let two = beside(&one).await;
    let call = one.recorded(None).await.id;
    let stalled = stalling_text(&one, call).await;
    let text = finish(&one, call, BodyKind::PlainText, Uuid::from_u128(1));
    stand_still(&one, "transactionid", 1).await;
    let bytes = finish(&two, call, BodyKind::BinaryContent, Uuid::from_u128(2));
    stand_still(&one, "transactionid", 2).await;
    end(stalled, "ROLLBACK").await;
    text.await.unwrap().expect("a body");
    bytes.await.unwrap().expect("a body");

    let found = one.store.interaction(&tenant(), call).await.unwrap();
    let Some(AnyInteraction::Other(found)) = found else {
        panic!("a recorded call, not {found:?}")
    };
    let bodies = &found.interaction.bodies;
    assert!(bodies.plain_text.is_some() && bodies.binary_content.is_some());
    assert_eq!(found.revision, 3);
    for kind in [BodyKind::PlainText, BodyKind::BinaryContent] {
        let chunk = two.store.read_body(&tenant(), call, kind, 0).await.unwrap();
        assert_eq!(chunk, Some(vec![7; 10]), "{kind:?}");
    }
    one.is_healthy().await;
    two.store.close().await;
}

/// A lease is lengthened without an event, whose number would show that somebody else has written.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_body_does_not_shorten_a_lease_again() {
    let one = postgres().await;
    one.staffed().await;
    let two = beside(&one).await;
    one.book("billing", voice(1), monday()).await;
    let held = one.claim_one(later(1)).await;
    let id = held.interaction.id;
    let stalled = stalling_text(&one, id).await;
    let text = finish(&one, id, BodyKind::PlainText, Uuid::from_u128(1));
    stand_still(&one, "transactionid", 1).await;
    let claim = HeldClaim {
        tenant: tenant(),
        callback: id,
        fence: held.fence,
    };
    let lost = two.store.renew(&node("one"), later(300), vec![claim]).await;
    assert_eq!(lost.expect("a renewal"), []);
    end(stalled, "ROLLBACK").await;

    text.await.unwrap().expect("a body");
    let now = one.get(&held).await;
    assert!(now.interaction.bodies.plain_text.is_some());
    let claim = now.state.claim().expect("a claim");
    assert_eq!(claim.until, later(300));
    one.is_healthy().await;
    two.store.close().await;
}

/// Two who move callbacks between the same slots, each the other way, count in the same order: neither has what the other
/// waits for.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slots_are_counted_in_one_order() {
    let town = postgres().await;
    let slots = json!({ "capacity": { "per_slot": 3 }, "booking": {} });
    town.queue("billing", rules(slots)).await;
    let [earlier, later_on] = [at("2026-03-10T15:00:00Z"), at("2026-03-12T15:00:00Z")];
    let within = |start: Timestamp| {
        let end = wire_time::plus(start, Duration::from_secs(900));
        json!({ "start_time": start.to_string(), "end_time": end.to_string() })
    };
    for (last, start) in [(1, earlier), (2, later_on)] {
        let request = with(voice(last), within(start));
        town.book("billing", request, monday()).await;
    }
    let row = |start: Timestamp, how: &str| {
        let start = start.as_millisecond();
        format!("SELECT booked FROM slot_counts WHERE starts_at = {start} FOR UPDATE {how}")
    };
    for (last, from, to) in [(3, earlier, later_on), (4, later_on, earlier)] {
        let request = with(voice(last), within(from));
        let booked = town.book("billing", request, monday()).await;
        let other = holding(&town, &row(earlier, "")).await;
        let moving = Command::Reschedule {
            start: to,
            end: Some(wire_time::plus(to, Duration::from_secs(900))),
            local: None,
        };
        let order = ApplyOrder::system(tenant(), booked.interaction.id, moving, monday());
        let store = Arc::clone(&town.store);
        let moved = tokio::spawn(async move { store.apply(order).await });
        stand_still(&town, "transactionid", 1).await;
        let free = other.batch_execute(&row(later_on, "NOWAIT")).await;
        free.expect("the later slot is not counted before the earlier one");
        end(other, "ROLLBACK").await;
        moved.await.unwrap().expect("a move");
    }
    let counted = database(&town).sql("SELECT booked FROM slot_counts ORDER BY starts_at");
    assert_eq!(counted, "2\n2");
    town.is_healthy().await;
}
