//! The whole server in process under a clock turned by hand: HTTP in, scripted channels out, and a day
//! passes in moments.

#[path = "day/ailing.rs"]
mod ailing;
#[path = "day/planned.rs"]
mod planned;
#[path = "../../dispatch/tests/support/through.rs"]
mod through;
#[path = "day/town.rs"]
mod town;
#[path = "day/trouble.rs"]
mod trouble;
#[path = "day/twin.rs"]
mod twin;

use ringback_channels::fake::Script;
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;
use town::Town;

const MONDAY: &str = "2026-03-09T14:00:00Z";

#[tokio::test]
async fn booked_rung_talked_and_done() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    let id = town
        .book(json!({ "customer_number": "+12125550123" }))
        .await;
    town.pass(60).await;
    let callback = town.callback(&id).await;
    assert_eq!(callback["state"], "wrap_up", "{callback}");
    town.pass(60).await;
    let callback = town.callback(&id).await;
    assert_eq!(callback["state"], "done");
    assert_eq!(
        (&callback["callback_status"], &callback["status"]),
        (&json!(9), &json!(3))
    );
    assert_eq!(
        (&callback["attempts"], &callback["call_result"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(callback["promise"]["state"], "kept");
    let kinds = town.event_kinds(&id).await;
    let expected = [
        "accepted",
        "queued",
        "assigned",
        "attempt_begun",
        "answered",
        "ringing",
        "answered",
        "connected",
        "attempt_ended",
        "promise_kept",
        "wrap_up",
        "done",
    ];
    assert_eq!(kinds, expected);
    town.end().await;
}

#[tokio::test]
async fn a_busy_customer_is_tried_again_five_minutes_later() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    town.calls.script("+12125550123", [Script::busy()]);
    let id = town
        .book(json!({ "customer_number": "+12125550123" }))
        .await;
    town.pass(200).await;
    assert_eq!(town.calls.placed().len(), 1);
    assert_eq!(town.callback(&id).await["state"], "scheduled");
    town.pass(600).await;
    let placed = town.calls.placed();
    assert_eq!(placed.len(), 2);
    let gap = placed[1].at.as_second() - placed[0].at.as_second();
    assert!((300..=302).contains(&gap), "tried again after {gap} s");
    assert_eq!(town.callback(&id).await["state"], "done");
    town.end().await;
}

#[tokio::test]
async fn what_is_booked_at_night_waits_for_the_morning() {
    let town = Town::new("2026-03-10T03:00:00Z").await; // Monday 23:00 in New York
    town.agents(1).await;
    let id = town
        .book(json!({ "customer_number": "+12125550123" }))
        .await;
    assert_eq!(town.callback(&id).await["held"]["guard"], "closed");
    town.pass(9 * 3600 - 1).await;
    assert_eq!(town.calls.placed().len(), 0);
    town.pass(300).await;
    let placed = town.calls.placed();
    assert_eq!(placed.len(), 1);
    assert_eq!(
        placed[0].at.to_string(),
        "2026-03-10T12:00:00Z",
        "08:00 in New York"
    );
    town.end().await;
}

#[tokio::test]
async fn no_answer_until_the_window_ends() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    town.calls
        .otherwise(Script::no_answer(Duration::from_secs(45)));
    let id = town
        .book(json!({ "customer_number": "+12125550123", "end_time": "2026-03-09T14:40:00Z" }))
        .await;
    town.pass(3600).await;
    let callback = town.callback(&id).await;
    assert_eq!(
        (&callback["state"], &callback["callback_status"]),
        (&json!("expired"), &json!(14))
    );
    assert_eq!(callback["attempts"], 2);
    assert_eq!(callback["stopped_reason"], "end_time passed");
    town.end().await;
}

#[tokio::test]
async fn never_more_calls_than_agents_and_never_two_to_one_number() {
    let town = Town::under(json!({ "duplicates": "allow" }), MONDAY).await;
    town.agents(3).await;
    for n in 0..30 {
        town.book(json!({ "customer_number": format!("+1212555{:04}", 100 + n / 2) }))
            .await;
    }
    let mut most = 0;
    for _ in 0..600 {
        town.pass(5).await;
        most = most.max(town.calls.live());
        let talking = town.in_the_air().await;
        let numbers: HashSet<&String> = talking.iter().collect();
        assert_eq!(numbers.len(), talking.len(), "one number twice in the air");
    }
    assert!((1..=3).contains(&most), "{most} at once with three agents");
    let placed = town.calls.placed();
    let attempts: HashSet<_> = placed.iter().map(|placed| placed.attempt).collect();
    assert_eq!(attempts.len(), placed.len(), "an attempt was placed twice");
    assert_eq!(placed.len(), 30);
    town.end().await;
}

#[tokio::test]
async fn cancelling_while_it_rings_hangs_up() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    town.calls
        .otherwise(Script::no_answer(Duration::from_secs(45)));
    let id = town
        .book(json!({ "customer_number": "+12125550123" }))
        .await;
    town.pass(5).await;
    assert_eq!(town.calls.live(), 1);
    town.post(
        &format!("/v1/callbacks/{id}/cancel"),
        json!({ "reason": "found it myself" }),
        200,
    )
    .await;
    town.rest().await;
    assert_eq!(town.calls.live(), 0);
    let callback = town.callback(&id).await;
    assert_eq!(
        (&callback["state"], &callback["call_result"]),
        (&json!("cancelled"), &json!(52))
    );
    town.end().await;
}

#[tokio::test]
async fn an_offer_is_declined_then_taken_by_another() {
    let town = Town::new(MONDAY).await;
    town.desk_agents(2).await;
    let id = town
        .book(json!({ "customer_number": "+12125550123" }))
        .await;
    town.rest().await;
    let (first, offer) = town.offer().await;
    town.post(
        &format!("/v1/agents/{first}/offers/{offer}/decline"),
        json!({}),
        200,
    )
    .await;
    town.rest().await;
    let (second, offer) = town.offer().await;
    assert_ne!(
        first, second,
        "the one who declined is not asked again while another is free"
    );
    town.post(
        &format!("/v1/agents/{second}/offers/{offer}/accept"),
        json!({}),
        200,
    )
    .await;
    town.pass(40).await;
    assert_eq!(town.callback(&id).await["state"], "wrap_up");
    town.post(
        &format!("/v1/callbacks/{id}/dispose"),
        json!({ "disposition": "solved" }),
        200,
    )
    .await;
    let callback = town.callback(&id).await;
    assert_eq!(
        (&callback["state"], &callback["attempts"]),
        (&json!("done"), &json!(1))
    );
    town.end().await;
}

#[tokio::test]
async fn silence_sets_the_agent_away_and_the_next_is_asked() {
    let town = Town::new(MONDAY).await;
    town.desk_agents(2).await;
    town.book(json!({ "customer_number": "+12125550123" }))
        .await;
    town.rest().await;
    let (first, _) = town.offer().await;
    town.pass(21).await;
    let (second, _) = town.offer().await;
    assert_ne!(first, second);
    assert_eq!(
        town.get(&format!("/v1/agents/{first}")).await["presence"],
        "away"
    );
    town.end().await;
}

#[tokio::test]
async fn a_letter_is_written_by_an_agent_and_sent() {
    let town = Town::new(MONDAY).await;
    town.desk_agents(1).await;
    let id = town
        .book(json!({ "desired_response_type": "Email", "customer_number": "ada@example.com" }))
        .await;
    town.rest().await;
    let (agent, offer) = town.offer().await;
    town.post(
        &format!("/v1/agents/{agent}/offers/{offer}/accept"),
        json!({}),
        200,
    )
    .await;
    town.pass(120).await;
    assert!(
        town.mails.placed().is_empty(),
        "nothing is sent before it is written"
    );
    let reply = json!({ "agent_id": agent.parse::<i64>().unwrap(), "subject": "Your question", "text": "Yes, we can." });
    town.post(&format!("/v1/callbacks/{id}/reply"), reply, 200)
        .await;
    town.pass(60).await;
    assert_eq!(town.mails.placed().len(), 1);
    town.end().await;
}

#[tokio::test]
async fn a_crash_in_mid_call_is_unknown_and_tried_again_after_the_gap() {
    let mut town = Town::new(MONDAY).await;
    town.agents(1).await;
    town.calls
        .script("+12125550123", [Script::no_answer(Duration::from_secs(45))]);
    let id = town
        .book(json!({ "customer_number": "+12125550123" }))
        .await;
    town.pass(10).await;
    assert_eq!(town.calls.live(), 1);
    town.crash().await;
    assert_eq!(town.calls.live(), 0, "the calls died with the node");
    town.start_again().await;
    town.pass(1).await;
    assert_eq!(
        town.calls.orphans().len(),
        1,
        "what was left ringing was ended"
    );
    let callback = town.callback(&id).await;
    assert_eq!(
        (&callback["state"], &callback["call_result"]),
        (&json!("scheduled"), &json!(28))
    );
    assert_eq!(callback["may_have_reached"], true);
    town.pass(1700).await;
    assert_eq!(town.calls.placed().len(), 1, "not before the gap");
    town.pass(200).await;
    assert_eq!(town.calls.placed().len(), 2);
    assert_ne!(
        town.calls.placed()[0].attempt,
        town.calls.placed()[1].attempt
    );
    town.end().await;
}

#[tokio::test]
async fn stopping_in_order_lets_the_call_finish() {
    let mut town = Town::new(MONDAY).await;
    town.agents(1).await;
    let id = town
        .book(json!({ "customer_number": "+12125550123" }))
        .await;
    let other = town
        .book(json!({ "customer_number": "+12125550124" }))
        .await;
    town.pass(5).await;
    town.drain(Duration::from_secs(120)).await;
    assert_eq!(
        town.callback(&id).await["state"],
        "wrap_up",
        "the call was finished and settled"
    );
    assert_eq!(
        town.callback(&other).await["state"],
        "queued",
        "nothing new was begun"
    );
    assert_eq!(town.calls.placed().len(), 1);
    town.end().await;
}

#[tokio::test]
async fn stopping_past_the_limit_hangs_up_and_settles() {
    let mut town = Town::new(MONDAY).await;
    town.agents(1).await;
    town.calls
        .otherwise(Script::no_answer(Duration::from_secs(600)));
    let id = town
        .book(json!({ "customer_number": "+12125550123" }))
        .await;
    town.pass(5).await;
    town.drain(Duration::from_secs(10)).await;
    let callback = town.callback(&id).await;
    assert_eq!(callback["state"], "scheduled");
    assert_eq!(
        callback["attempts"], 0,
        "hanging up for our own sake is not a try"
    );
    town.end().await;
}

#[tokio::test]
async fn a_clock_set_back_rings_nobody_twice() {
    let town = Town::new(MONDAY).await;
    town.agents(2).await;
    let id = town
        .book(json!({ "customer_number": "+12125550123" }))
        .await;
    town.pass(100).await;
    assert_eq!(town.calls.placed().len(), 1);
    town.jump_back(3600).await;
    town.pass(7200).await;
    assert_eq!(town.calls.placed().len(), 1);
    assert_eq!(town.callback(&id).await["state"], "done");
    town.end().await;
}

#[tokio::test]
async fn pausing_holds_and_resuming_lets_go() {
    let town = Town::new(MONDAY).await;
    town.agents(1).await;
    town.post("/v1/queues/billing/pause", json!({ "dialling": true }), 200)
        .await;
    let id = town
        .book(json!({ "customer_number": "+12125550123" }))
        .await;
    town.pass(300).await;
    assert_eq!(town.calls.placed().len(), 0);
    let why = town.get(&format!("/v1/callbacks/{id}/why")).await;
    assert_eq!(why["guard"], "paused", "{why}");
    town.post(
        "/v1/queues/billing/resume",
        json!({ "dialling": true }),
        200,
    )
    .await;
    town.pass(90).await;
    assert_eq!(town.calls.placed().len(), 1);
    town.end().await;
}

#[tokio::test]
async fn a_day_of_a_hundred_callbacks() {
    let town = Town::new("2026-03-09T12:00:00Z").await; // 08:00 in New York
    town.agents(5).await;
    let mut ids = Vec::new();
    for n in 0..100u32 {
        let number = format!("+1646555{:04}", n);
        let script = match n % 10 {
            0 | 1 => vec![Script::busy()],
            2 => vec![
                Script::no_answer(Duration::from_secs(30)),
                Script::no_answer(Duration::from_secs(30)),
            ],
            3 => vec![Script::route_fault(), Script::route_fault()],
            4 => vec![Script::invalid()],
            5 => vec![Script::agent_fault()],
            _ => vec![],
        };
        town.calls.script(&number, script);
        ids.push(town.book(json!({ "customer_number": number })).await);
        if n % 10 == 9 {
            town.pass(120).await;
            town.everybody_ready().await;
        }
    }
    for _ in 0..60 {
        town.pass(600).await;
        town.everybody_ready().await;
    }
    let mut done = 0;
    for id in &ids {
        let callback = town.callback(id).await;
        assert_eq!(callback["status"], 3, "{callback}");
        done += usize::from(callback["state"] == "done");
    }
    assert_eq!(done, 90, "all but the ten whose number does not exist");
    let placed = town.calls.placed();
    let unique: HashSet<_> = placed.iter().map(|placed| placed.attempt).collect();
    assert_eq!(unique.len(), placed.len());
    town.end().await;
}
