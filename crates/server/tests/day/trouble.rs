//! Days on which something fails at the wrong moment: nobody is rung twice, nobody is kept for ever.

use crate::ailing::Ailment;
use crate::town::Town;
use crate::{MONDAY, json};
use async_trait::async_trait;
use ringback_callbacks::contact::ResponseType;
use ringback_callbacks::outcome::{CallResult, Outcome, PlatformCode, Verdict};
use ringback_channels::fake::Script;
use ringback_channels::route::RouteLimits;
use ringback_channels::{Channel, Order, Places, Progress, Receipt, RouteHealth, Unready};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const ADA: &str = "+12125550123";
const LETTER: &str = "ada@example.com";

fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

async fn call(town: &Town) -> String {
    town.book(json!({ "customer_number": ADA })).await
}

async fn letter(town: &Town) -> String {
    town.book(json!({ "desired_response_type": "Email", "customer_number": LETTER }))
        .await
}

async fn write(town: &Town, id: &str) {
    let reply = json!({ "agent_id": 1, "subject": "Your question", "text": "Yes, we can." });
    town.post(&format!("/v1/callbacks/{id}/reply"), reply, 200)
        .await;
}

// ── the clock and the store ──────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_store_that_is_gone_for_longer_than_a_lease_ends_no_call() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    town.calls
        .otherwise(Script::talks(Duration::from_secs(2), minutes(10)));
    let id = call(&town).await;
    town.pass(10).await;
    town.ailing.fails("everything", Ailment::Gone);
    town.pass(45).await;
    town.ailing.recovers();
    town.pass(15).await;
    assert_eq!(
        town.calls.orphans(),
        Vec::<Value>::new(),
        "its own call is no orphan"
    );
    assert_eq!(town.calls.live(), 1, "they still talk");
    assert_eq!(town.callback(&id).await["state"], "talking");
    town.pass(700).await;
    let callback = town.callback(&id).await;
    assert_eq!(
        (&callback["state"], &callback["call_result"]),
        (&json!("done"), &json!(0))
    );
    assert_eq!(town.calls.placed().len(), 1);
    town.end().await;
}

#[tokio::test]
async fn what_ended_while_the_store_was_gone_is_settled_truly() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    let id = call(&town).await;
    town.pass(10).await;
    town.ailing.fails("everything", Ailment::Gone);
    town.pass(60).await;
    assert_eq!(town.calls.live(), 0, "they have hung up");
    town.ailing.recovers();
    town.pass(15).await;
    let callback = town.callback(&id).await;
    assert_eq!(
        (&callback["state"], &callback["call_result"]),
        (&json!("wrap_up"), &json!(0))
    );
    town.pass(7200).await;
    assert_eq!(
        town.calls.placed().len(),
        1,
        "who was reached is left alone"
    );
    town.end().await;
}

#[tokio::test]
async fn a_clock_set_forward_ends_no_call() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    town.calls
        .otherwise(Script::talks(Duration::from_secs(2), minutes(180)));
    let id = call(&town).await;
    town.pass(10).await;
    town.jump_forward(3600).await;
    town.pass(120).await;
    assert_eq!(town.calls.orphans(), Vec::<Value>::new());
    assert_eq!(town.calls.live(), 1);
    assert_eq!(town.callback(&id).await["state"], "talking");
    town.end().await;
}

#[tokio::test]
async fn a_store_that_was_away_for_all_is_no_reason_to_end_the_other_nodes_calls() {
    let mut town = Town::new(MONDAY).await;
    town.agents(1).await;
    town.calls
        .otherwise(Script::talks(Duration::from_secs(2), minutes(180)));
    let id = call(&town).await;
    town.start_another().await;
    town.pass(60).await;
    // Longer than a lease; and the node that talks is the last to have the store back.
    town.ailing.fails("everything", Ailment::Gone);
    town.pass(90).await;
    town.ailing.recovers();
    town.ailing.fails("renew", Ailment::Gone);
    town.pass(15).await;
    town.ailing.recovers();
    town.pass(120).await;
    assert_eq!(town.calls.orphans(), Vec::<Value>::new());
    assert_eq!(town.calls.live(), 1);
    assert_eq!(town.callback(&id).await["state"], "talking");
    town.end().await;
}

#[tokio::test]
async fn a_node_that_had_nothing_to_do_rescues_as_soon_as_one_that_had() {
    let mut town = Town::new(MONDAY).await;
    town.crash().await;
    // It claims nothing itself, so that nothing but another's claim gives it a reason to look.
    town.settings.max_claims = 0;
    town.start_again().await;
    town.agents(1).await;
    let id = town.book(json!({ "customer_number": ADA })).await;
    town.pass(200).await;
    assert_eq!(town.claimed_elsewhere().await, 1);
    town.pass(30 + 5).await;
    assert_eq!(town.callback(&id).await["state"], "queued");
    town.end().await;
}

#[tokio::test]
async fn a_clock_that_was_set_back_loses_no_call_to_who_goes_by_the_right_one() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    town.calls
        .otherwise(Script::talks(Duration::from_secs(2), minutes(180)));
    call(&town).await;
    town.pass(10).await;
    let right = town.clock_ahead(45);
    town.ailing.goes_by(town.clock_ahead(45));
    town.pass(60).await;
    assert_eq!(town.lapsed_at(right()).await, 0);
    town.end().await;
}

#[tokio::test]
async fn nobody_is_rung_under_a_claim_that_ran_out_meanwhile() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    town.calls
        .otherwise(Script::talks(Duration::from_secs(2), minutes(3)));
    // The process is stopped between the record and the first ring, and cannot say that it goes on.
    town.ailing.once_begun(town.leap(60));
    town.ailing.fails("renew", Ailment::Gone);
    let id = call(&town).await;
    town.pass(5).await;
    assert_eq!(town.calls.placed().len(), 0);
    town.ailing.recovers();
    town.pass(60).await;
    assert_eq!(town.calls.placed().len(), 0);
    // What became of the attempt nobody knows for certain, and policy decides.
    let kinds = town.event_kinds(&id).await;
    assert!(kinds.contains(&"rescued".to_owned()), "{kinds:?}");
    town.pass(31 * 60).await;
    assert_eq!(town.calls.placed().len(), 1);
    town.end().await;
}

#[tokio::test]
async fn a_stop_that_the_lease_can_be_lengthened_after_keeps_nobody_from_being_rung() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    town.calls
        .otherwise(Script::talks(Duration::from_secs(2), minutes(3)));
    town.ailing.once_begun(town.leap(60));
    let id = call(&town).await;
    town.pass(5).await;
    assert_eq!(town.calls.placed().len(), 1);
    assert_eq!(town.callback(&id).await["state"], "talking");
    town.end().await;
}

#[tokio::test]
async fn the_second_phone_is_not_rung_after_the_lease_ran_out_and_a_call_that_is_up_goes_on() {
    for (receipt, live) in [
        (Receipt::before_a_ring(()), 0),
        // It tells of what has happened: a call that is up goes on without the store.
        (Receipt::of(()), 1),
    ] {
        let town = Town::new(MONDAY).await;
        town.agents(1).await;
        let mut script = Script::ends(minutes(10), Script::busy().outcome);
        let legs = Progress::Legs(json!({ "call_id": "x" }), receipt);
        script.steps = vec![(Duration::from_secs(60), legs)];
        town.calls.script(ADA, [script]);
        call(&town).await;
        town.pass(5).await;
        town.ailing.fails("everything", Ailment::Gone);
        town.pass(70).await;
        assert_eq!(town.calls.live(), live);
        town.ailing.recovers();
        town.pass(5).await;
        town.end().await;
    }
}

#[tokio::test]
async fn a_leg_that_cannot_be_recorded_because_the_claim_is_lost_is_not_dialled() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    let outcome = Script::busy().outcome;
    let mut script = Script::ends(Duration::from_secs(10), outcome);
    let legs = Progress::Legs(json!({ "call_id": "x" }), Receipt::default());
    script.steps = vec![
        (Duration::ZERO, legs),
        (
            Duration::from_secs(1),
            Progress::Ringing { party: "customer" },
        ),
    ];
    town.calls.script(ADA, [script]);
    town.ailing.fails("note_legs", Ailment::Fenced);
    let id = call(&town).await;
    town.pass(3).await;
    let kinds = town.event_kinds(&id).await;
    assert!(kinds.contains(&"attempt_begun".to_owned()), "{kinds:?}");
    assert!(!kinds.contains(&"ringing".to_owned()), "{kinds:?}");
    assert_eq!(town.calls.live(), 0);
    town.end().await;
}

#[tokio::test]
async fn a_cancellation_is_not_forgotten_while_the_store_cannot_be_read() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    town.calls.otherwise(Script::no_answer(minutes(10)));
    let id = call(&town).await;
    town.pass(5).await;
    town.ailing.fails("callback", Ailment::Gone);
    town.post(&format!("/v1/callbacks/{id}/cancel"), json!({}), 200)
        .await;
    town.pass(5).await;
    assert_eq!(town.calls.live(), 1, "an unreadable row hangs up on nobody");
    town.ailing.recovers();
    town.pass(5).await;
    assert_eq!(town.calls.live(), 0);
    assert_eq!(town.callback(&id).await["state"], "cancelled");
    town.end().await;
}

#[tokio::test]
async fn an_attempt_that_can_never_be_recorded_lets_its_agent_go() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    town.ailing.fails("begin", Ailment::Forbidden);
    let id = call(&town).await;
    town.pass(5).await;
    let callback = town.callback(&id).await;
    assert_eq!(callback["state"], "scheduled", "{callback}");
    assert_eq!(callback["held"]["guard"], "number_in_call");
    assert_eq!(town.get("/v1/agents/1").await["engaged_with"], Value::Null);
    town.ailing.recovers();
    town.pass(90).await;
    assert_eq!(town.calls.placed().len(), 1);
    town.end().await;
}

#[tokio::test]
async fn agents_who_cannot_be_read_do_not_make_the_clockwork_spin() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    town.ailing.fails("agent", Ailment::Gone);
    let id = call(&town).await;
    town.pass(60).await;
    let kinds = town.event_kinds(&id).await;
    assert!(kinds.len() < 60, "{} events in a minute", kinds.len());
    town.ailing.recovers();
    town.pass(20).await;
    assert_eq!(town.calls.placed().len(), 1);
    town.end().await;
}

// ── routes and channels ──────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_route_that_stays_full_keeps_no_agent_and_lets_the_window_end() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    town.calls
        .set_unready(Unready::Wait(Duration::from_secs(1)));
    let id = town
        .book(json!({ "customer_number": ADA, "end_time": "2026-03-09T14:10:00Z" }))
        .await;
    town.pass(4).await;
    let callback = town.callback(&id).await;
    assert_eq!(callback["held"]["guard"], "route", "{callback}");
    town.pass(600).await;
    assert_eq!(town.callback(&id).await["state"], "expired");
    town.end().await;
}

#[tokio::test]
async fn a_crowd_due_at_one_moment_goes_over_a_slow_route_and_nobody_is_lost() {
    let rules = json!({
        "delivery": { "kind": "dn", "dn": "agents", "location": "fake", "max_concurrent": 200 },
        "retry": {
            "spread": 0.0,
            "route_fault": { "after": "1s", "times": 3 }, "deferred": { "after": "1s", "times": 3 },
        },
    });
    let town = Town::under(rules, MONDAY).await;
    town.calls
        .limit(RouteLimits::new(4.0, 100).expect("sensible limits"));
    let mut ids = Vec::new();
    for number in 0..30 {
        let id = town
            .book(json!({
                "customer_number": format!("+1212555{:04}", 2000 + number), "start_time": "2026-03-09T14:05:00Z",
            }))
            .await;
        ids.push(id);
    }
    town.pass(303).await;
    let mut held = 0;
    for id in &ids {
        held += usize::from(town.callback(id).await["held"]["guard"] == "route");
    }
    assert!(held > 0, "whoever found no room is held, and says why");
    town.pass(60).await;
    // What is recorded is what rang: nobody's tries were used up by a full route.
    let placed = town.calls.placed();
    assert_eq!(placed.len(), ids.len());
    for id in &ids {
        let callback = town.callback(id).await;
        assert_eq!(
            (&callback["state"], &callback["attempts"]),
            (&json!("done"), &json!(1)),
            "{callback}"
        );
        let attempts = town.get(&format!("/v1/callbacks/{id}/attempts")).await;
        assert_eq!(
            attempts["items"].as_array().map(Vec::len),
            Some(1),
            "{attempts}"
        );
    }
    // A second's worth may go after a rest, and then one at a time;
    for first in &placed {
        let within = placed
            .iter()
            .filter(|one| one.at >= first.at && one.at.duration_since(first.at).as_millis() < 1000)
            .count();
        assert!(within <= 8, "{within} within a second");
    }
    town.end().await;
}

#[tokio::test]
async fn a_route_that_is_down_for_no_time_at_all_is_not_asked_in_a_circle() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    town.calls.set_unready(Unready::Down(Duration::ZERO));
    let id = call(&town).await;
    town.pass(60).await;
    let kinds = town.event_kinds(&id).await;
    assert!(kinds.len() < 60, "{} events in a minute", kinds.len());
    town.end().await;
}

#[tokio::test]
async fn picking_up_to_silence_counts_as_a_call_to_the_number() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    let platform = PlatformCode::new("fake", Some(480), "Unavailable");
    let fault = Outcome::new(
        CallResult::AGENT_CALLBACK_ERROR,
        Verdict::RouteFault,
        platform,
    );
    let mut silence = Script::ends(Duration::from_secs(5), fault);
    silence.steps = vec![
        (Duration::ZERO, Progress::Ringing { party: "customer" }),
        (
            Duration::from_secs(3),
            Progress::Answered { party: "customer" },
        ),
    ];
    town.calls.otherwise(silence);
    let id = call(&town).await;
    town.pass(7 * 3600).await;
    assert_eq!(
        town.calls.placed().len(),
        6,
        "as many calls as a number gets in a day"
    );
    let callback = town.callback(&id).await;
    assert_eq!(callback["held"]["guard"], "number_daily_limit");
    assert_eq!(callback["attempts"], 0, "our fault is not the customer's");
    town.end().await;
}

/// Rings, and then falls over its own feet.
#[derive(Default)]
struct Broken {
    ended: AtomicUsize,
}

#[async_trait]
impl Channel for Broken {
    fn name(&self) -> &'static str {
        "sip"
    }

    fn serves(&self, response_type: ResponseType) -> bool {
        response_type == ResponseType::Voice
    }

    fn reserve(&self, _order: &Order) -> Result<Places, Unready> {
        Ok(Places::unlimited())
    }

    async fn prepare(&self, order: &Order, _: &Places) -> Value {
        json!({ "attempt": order.attempt })
    }

    async fn attempt(
        &self,
        order: Order,
        _places: Places,
        progress: mpsc::Sender<Progress>,
        _stop: CancellationToken,
    ) -> Outcome {
        drop(progress.send(Progress::Ringing { party: "customer" }).await);
        // A panic, but without the words and the trace, which take their time to be printed.
        std::panic::resume_unwind(Box::new(order.attempt));
    }

    async fn end_orphan(&self, _order_legs: Value) -> Option<Outcome> {
        self.ended.fetch_add(1, Ordering::SeqCst);
        None
    }

    fn routes(&self) -> Vec<RouteHealth> {
        Vec::new()
    }

    async fn shutdown(&self) {}
}

#[tokio::test]
async fn what_a_broken_channel_left_ringing_is_ended_before_anything_is_tried_again() {
    let mut town = Town::new(MONDAY).await;
    town.crash().await;
    let broken = Arc::new(Broken::default());
    town.channels.0 = vec![broken.clone()];
    town.start_again().await;
    town.agents(1).await;
    let id = call(&town).await;
    town.pass(45).await;
    let callback = town.callback(&id).await;
    assert_eq!(
        (&callback["state"], &callback["call_result"]),
        (&json!("scheduled"), &json!(28)),
        "{callback}"
    );
    let ended = broken.ended.load(Ordering::SeqCst);
    assert_eq!(ended, 1, "its legs were ended");
    assert!(
        town.event_kinds(&id).await.contains(&"rescued".to_owned()),
        "by rescue"
    );
    town.end().await;
}

// ── agents ───────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn an_agent_who_never_writes_does_not_hold_up_the_rest() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    let mail = letter(&town).await;
    town.pass(5).await;
    call(&town).await;
    town.pass(1800).await;
    assert_eq!(town.get("/v1/agents/1").await["presence"], "away");
    assert_eq!(town.callback(&mail).await["state"], "queued");
    town.everybody_ready().await;
    town.pass(5).await;
    assert_eq!(town.calls.placed().len(), 1, "now the call has its turn");
    town.end().await;
}

#[tokio::test]
async fn a_letter_sent_again_after_a_doubt_is_the_same_letter() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    let doubt = Script::ends(Duration::from_secs(1), Outcome::unknown("no answer"));
    let later = Script::ends(Duration::from_secs(1), Script::route_fault().outcome);
    town.mails.script(LETTER, [doubt, later]);
    let id = letter(&town).await;
    town.pass(5).await;
    write(&town, &id).await;
    town.pass(2000).await;
    let placed = town.mails.placed();
    assert_eq!(placed.len(), 3);
    let first = Some(placed[0].attempt);
    assert_eq!(
        [placed[0].repeats, placed[1].repeats, placed[2].repeats],
        [None, first, first]
    );
    let attempts: HashSet<_> = placed.iter().map(|placed| placed.attempt).collect();
    assert_eq!(attempts.len(), 3, "each try has its own record");
    town.end().await;
}

#[tokio::test]
async fn an_agent_who_goes_home_in_mid_offer_stays_home() {
    let town = Town::new(MONDAY).await;
    town.desk_agents(1).await;
    let id = call(&town).await;
    town.rest().await;
    town.offer().await;
    town.presence(1, "offline").await;
    town.pass(120).await;
    assert_eq!(town.callback(&id).await["state"], "queued");
    let agent = town.get("/v1/agents/1").await;
    assert_eq!(agent["presence"], "offline");
    assert_eq!(agent["engaged_with"], Value::Null);
    town.end().await;
}

#[tokio::test]
async fn an_agent_who_declines_everything_does_not_make_the_wheel_spin() {
    let mut town = Town::new(MONDAY).await;
    town.crash().await;
    town.settings.batch = 4;
    town.start_again().await;
    town.desk_agents(1).await;
    let mut ids = Vec::new();
    for n in 0..7 {
        let number = format!("+1212555{:04}", 100 + n);
        ids.push(town.book(json!({ "customer_number": number })).await);
    }
    town.rest().await;
    for _ in 0..6 {
        let (agent, offer) = town.offer().await;
        let path = format!("/v1/agents/{agent}/offers/{offer}/decline");
        town.post(&path, json!({}), 200).await;
        town.rest().await;
    }
    // The seventh is on offer now. Cancelling is heard by a wheel that turns, not by one that spins.
    town.post(&format!("/v1/callbacks/{}/cancel", ids[6]), json!({}), 200)
        .await;
    town.pass(61).await;
    town.offer().await;
    town.end().await;
}

#[tokio::test]
async fn a_callback_passed_on_while_it_is_offered_leaves_the_first_agent_free() {
    let town = Town::new(MONDAY).await;
    town.desk_agents(2).await;
    let id = call(&town).await;
    town.rest().await;
    let (first, _) = town.offer().await;
    let second = if first == "1" { 2 } else { 1 };
    let to = json!({ "agent_id": second });
    town.post(&format!("/v1/callbacks/{id}/transfer"), to, 200)
        .await;
    town.rest().await;
    let (asked, offer) = town.offer().await;
    assert_eq!(asked, second.to_string());
    let agent = town.get(&format!("/v1/agents/{first}")).await;
    assert_eq!(agent["engaged_with"], Value::Null);
    let path = format!("/v1/agents/{asked}/offers/{offer}/accept");
    town.post(&path, json!({}), 200).await;
    town.pass(40).await;
    assert_eq!(town.calls.placed().len(), 1);
    town.end().await;
}

// ── stopping, and two nodes ──────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn stopping_takes_back_what_is_on_offer() {
    let mut town = Town::new(MONDAY).await;
    town.desk_agents(1).await;
    let id = call(&town).await;
    town.rest().await;
    town.offer().await;
    town.drain(Duration::from_secs(60)).await;
    assert_eq!(town.callback(&id).await["state"], "queued");
    let agent = town.get("/v1/agents/1").await;
    assert_eq!(
        (&agent["presence"], &agent["engaged_with"]),
        (&json!("ready"), &Value::Null)
    );
    town.end().await;
}

#[tokio::test]
async fn a_queue_removed_in_mid_call_ends_with_the_call() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    town.calls
        .otherwise(Script::no_answer(Duration::from_secs(45)));
    let id = call(&town).await;
    town.pass(5).await;
    town.send("DELETE", "/v1/queues/billing", json!({}), &[200, 204])
        .await;
    town.pass(3600).await;
    let callback = town.callback(&id).await;
    assert_eq!(callback["state"], "refused", "{callback}");
    assert_eq!(town.calls.placed().len(), 1);
    town.end().await;
}

#[tokio::test]
async fn a_node_that_carries_all_it_may_goes_on_as_soon_as_one_is_done() {
    let mut town = Town::new(MONDAY).await;
    town.crash().await;
    town.settings.max_claims = 1;
    town.start_again().await;
    town.agents(4).await;
    for n in 0..4 {
        town.book(json!({ "customer_number": format!("+1212555{:04}", 100 + n) }))
            .await;
    }
    town.pass(4 * 33).await;
    let placed = town.calls.placed();
    assert_eq!(placed.len(), 4, "one after the other without a pause");
    town.end().await;
}

#[tokio::test]
async fn two_nodes_on_one_store_ring_nobody_twice_and_one_rescues_the_other() {
    let mut town = Town::under(json!({ "duplicates": "allow" }), MONDAY).await;
    town.start_another().await;
    town.agents(6).await;
    town.calls
        .otherwise(Script::talks(Duration::from_secs(5), minutes(2)));
    let mut ids = Vec::new();
    for n in 0..20 {
        let number = format!("+1212555{:04}", 100 + n / 2);
        ids.push(town.book(json!({ "customer_number": number })).await);
    }
    for _ in 0..60 {
        town.pass(5).await;
        assert!(town.calls.live() <= 6);
        let talking = town.in_the_air().await;
        let numbers: HashSet<&String> = talking.iter().collect();
        assert_eq!(numbers.len(), talking.len(), "one number twice in the air");
    }
    let before = town.calls.orphans().len();
    assert_eq!(before, 0, "neither takes the other's calls while both live");
    town.crash_one().await;
    town.pass(60).await;
    for _ in 0..60 {
        town.pass(120).await;
        let talking = town.in_the_air().await;
        let numbers: HashSet<&String> = talking.iter().collect();
        assert_eq!(numbers.len(), talking.len(), "one number twice in the air");
    }
    for id in &ids {
        let callback = town.callback(id).await;
        assert_eq!(callback["state"], "done", "{callback}");
    }
    let placed = town.calls.placed();
    let attempts: HashSet<_> = placed.iter().map(|placed| placed.attempt).collect();
    assert_eq!(attempts.len(), placed.len(), "an attempt was placed twice");
    town.end().await;
}

/// After three hours down: what is still in time goes first and at a pace, what is late is told, and what is
/// too late is not dialled.
#[tokio::test]
async fn after_a_long_stop_what_is_still_wanted_is_caught_up_with() {
    let mut town = Town::new(MONDAY).await;
    town.settings.catch_up_per_second = 1;
    town.agents(6).await;
    town.crash().await;
    let book = |n: u32, more: serde_json::Value| {
        let mut body = json!({ "customer_number": format!("+1212555{:04}", 100 + n) });
        for (key, value) in more.as_object().expect("an object") {
            body[key] = value.clone();
        }
        body
    };
    // Booked as soon as possible, promised within the hour, wanted all day.
    let late = town.book(book(1, json!({}))).await;
    let lost = town
        .book(book(2, json!({ "end_time": "2026-03-09T16:00:00Z" })))
        .await;
    let mut in_time = Vec::new();
    for n in 3..7 {
        let window =
            json!({ "start_time": "2026-03-09T16:30:00Z", "end_time": "2026-03-09T17:30:00Z" });
        in_time.push(town.book(book(n, window)).await);
    }
    town.jump_forward(3 * 3600).await;
    town.start_again().await;
    town.pass(120).await;
    let placed = town.calls.placed();
    assert_eq!(placed.len(), 5, "all but the one whose window has passed");
    for pair in placed.windows(2) {
        let gap = pair[1].at.as_millisecond() - pair[0].at.as_millisecond();
        assert!(gap >= 900, "one a second, not after {gap} ms");
    }
    for id in &in_time {
        let callback = town.callback(id).await;
        assert_eq!(callback["promise"]["state"], "kept", "{callback}");
        assert!(
            !town
                .event_kinds(id)
                .await
                .contains(&"promise_moved".to_owned())
        );
    }
    let told = town.callback(&late).await;
    assert_eq!(told["promise"]["state"], "late");
    assert_eq!(told["promise"]["kept_as_told"], false);
    assert!(
        town.event_kinds(&late)
            .await
            .contains(&"promise_moved".to_owned())
    );
    let lost_kinds = town.event_kinds(&lost).await;
    assert_eq!(town.callback(&lost).await["state"], "expired");
    assert!(
        lost_kinds.contains(&"apology_due".to_owned()),
        "{lost_kinds:?}"
    );
    town.end().await;
}
