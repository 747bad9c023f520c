//! Days of a queue with a staff plan: what is promised is narrower than what was asked for, and is kept; what does
//! not fit is said at once; a new run of the server knows all that the old one knew.

use crate::town::Town;
use ringback_channels::fake::Script;
use serde_json::{Value, json};
use std::time::Duration;

/// Ten in the morning in New York.
const MORNING: &str = "2026-03-09T14:00:00Z";

/// A queue of so many agents with calls of four minutes, and what else the plan says.
async fn town(agents: i64, change: Value) -> Town {
    let town = Town::new(MORNING).await;
    town.calls.otherwise(talks(200));
    let mut capacity = json!({
        "weekly": [{ "days": "Mo-Fr", "from": "08:00", "to": "18:00", "agents": agents }],
        "mean_talk": "200s", "mean_wrap": "60s", "reach": 0.8,
    });
    for (key, value) in change.as_object().expect("an object") {
        capacity[key] = value.clone();
    }
    let rules = json!({
        "name": "Billing",
        "hours": { "opening_hours": "Mo-Fr 08:00-18:00", "time_zone": "America/New_York" },
        "dial": { "regions": ["US"], "default_region": "US" },
        "routes": { "voice": ["fake"], "voip": ["fake"], "email": ["fake"] },
        "retry": { "spread": 0.0 },
        "capacity": capacity,
    });
    town.send("PUT", "/v1/queues/billing", rules, &[200]).await;
    town.agents(agents).await;
    town.rest().await;
    town
}

fn talks(seconds: u64) -> Script {
    Script::talks(Duration::from_secs(10), Duration::from_secs(seconds))
}

fn wish(n: usize, start: &str, end: &str) -> Value {
    json!({
        "queue": "billing", "desired_response_type": "Voice", "start_time": start, "end_time": end,
        "customer_number": format!("+1212555{:04}", 100 + n),
    })
}

fn moment(value: &Value) -> i64 {
    let text = value.as_str().expect("a date");
    text.parse::<jiff::Timestamp>().expect("a date").as_second()
}

/// The answers to as many bookings as it takes until one is turned away.
async fn fill(town: &Town, start: &str, end: &str) -> (Vec<Value>, Value) {
    let mut taken = Vec::new();
    for n in 0..200 {
        let (status, answer) = town
            .try_send("POST", "/v1/callbacks", wish(n, start, end))
            .await;
        match status {
            201 => taken.push(answer),
            409 => return (taken, answer),
            other => panic!("{other}: {answer}"),
        }
    }
    panic!("never full");
}

#[tokio::test]
async fn a_promise_is_narrower_than_the_window_and_is_kept() {
    let town = town(2, json!({})).await;
    let mut promises = Vec::new();
    for n in 0..12 {
        let body = wish(n, "2026-03-09T14:10:00Z", "2026-03-09T18:00:00Z");
        let answer = town.send("POST", "/v1/callbacks", body, &[201]).await;
        let promise = (
            moment(&answer["promise"]["from"]),
            moment(&answer["promise"]["to"]),
        );
        let length = promise.1 - promise.0;
        assert!(
            (0..=1800).contains(&length),
            "a promise of {length} s in a window of four hours"
        );
        promises.push((answer["customer_number"].clone(), promise));
        town.pass(20).await;
    }
    assert!(
        promises[11].1.0 > promises[0].1.0,
        "who comes later is promised a later time"
    );
    town.pass(3 * 3600).await;
    let placed = town.calls.placed();
    assert_eq!(placed.len(), 12);
    for (number, promise) in promises {
        let at = placed
            .iter()
            .find(|call| json!(call.contact) == number)
            .expect("called")
            .at
            .as_second();
        assert!(
            (promise.0..=promise.1).contains(&at),
            "{number} was promised {promise:?} and dialled at {at}"
        );
    }
    town.end().await;
}

#[tokio::test]
async fn what_does_not_fit_is_told_at_once_with_times_that_do() {
    let town = town(1, json!({})).await;
    let (start, end) = ("2026-03-09T15:00:00Z", "2026-03-09T16:00:00Z");
    let (taken, refused) = fill(&town, start, end).await;
    assert!(
        (4..=14).contains(&taken.len()),
        "{} in an hour",
        taken.len()
    );
    assert_eq!(refused["type"], "/problems/full");
    let instead = refused["promises"].as_array().expect("alternatives");
    assert!(!instead.is_empty(), "{refused}");
    // A trial gives the same answer and takes nothing; one of the other times is really free.
    let trial = wish(300, start, end);
    let (status, answer) = town.try_send("POST", "/v1/callbacks/validate", trial).await;
    assert_eq!((status, &answer["type"]), (409, &json!("/problems/full")));
    let (from, to) = (&instead[0]["from"], &instead[0]["to"]);
    for _ in 0..2 {
        let trial = wish(301, from.as_str().unwrap(), to.as_str().unwrap());
        town.send("POST", "/v1/callbacks/validate", trial, &[200])
            .await;
    }
    let booked = wish(301, from.as_str().unwrap(), to.as_str().unwrap());
    town.send("POST", "/v1/callbacks", booked, &[201]).await;
    // A place that is given back is free again.
    let id = taken[0]["interaction_id"].as_str().unwrap();
    town.post(&format!("/v1/callbacks/{id}/cancel"), json!({}), 200)
        .await;
    town.send("POST", "/v1/callbacks", wish(302, start, end), &[201])
        .await;
    town.send("POST", "/v1/callbacks", wish(303, start, end), &[409])
        .await;
    town.end().await;
}

#[tokio::test]
async fn the_last_place_is_sold_once() {
    let town = town(1, json!({})).await;
    let (start, end) = ("2026-03-09T15:00:00Z", "2026-03-09T16:00:00Z");
    let (taken, _) = fill(&town, start, end).await;
    let id = taken[1]["interaction_id"].as_str().unwrap();
    town.post(&format!("/v1/callbacks/{id}/cancel"), json!({}), 200)
        .await;
    let asks = (0..8).map(|n| town.try_send("POST", "/v1/callbacks", wish(400 + n, start, end)));
    let answers = futures::future::join_all(asks).await;
    let sold = answers.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!(sold, 1, "{answers:?}");
    town.end().await;
}

#[tokio::test]
async fn live_calls_keep_their_agents() {
    let live = json!({
        "forecast": [{ "days": "Mo-Fr", "from": "08:00", "to": "18:00", "calls_per_hour": 40.0 }],
        "handling": "3m", "target": 0.8, "within": "20s", "abandon": 0.05,
    });
    let town = town(6, json!({ "live": live })).await;
    let report = |waiting: u32, busy: u32| {
        json!({ "waiting": waiting, "arrived": 200, "answered": 190, "answered_in_time": 110, "abandoned": 4,
                "agents_busy": busy })
    };
    town.send("POST", "/v1/queues/billing/live", report(2, 3), &[204])
        .await;
    for n in 0..10 {
        let body = wish(n, "2026-03-09T14:00:00Z", "2026-03-09T18:00:00Z");
        town.send("POST", "/v1/callbacks", body, &[201]).await;
    }
    town.pass(10).await;
    assert_eq!(
        town.calls.placed().len(),
        0,
        "somebody waits on the line, and today too many have waited too long already"
    );
    let estimate = town.get("/v1/queues/billing/estimate").await;
    assert_eq!(estimate["rests_on"]["live"], "reported", "{estimate}");
    assert!(estimate["rests_on"]["live_share"].as_f64().unwrap() > 0.2);
    // The line is clear: callbacks go out, but not to every last agent.
    town.send("POST", "/v1/queues/billing/live", report(0, 0), &[204])
        .await;
    town.pass(30).await;
    let busy = town.in_the_air().await.len();
    assert!((1..6).contains(&busy), "{busy} of 6 agents were taken");
    // Nothing is heard any more: the forecast stands in, and the estimate says so.
    town.pass(200).await;
    let estimate = town.get("/v1/queues/billing/estimate").await;
    assert_eq!(estimate["rests_on"]["live"], "forecast");
    town.end().await;
}

#[tokio::test]
async fn a_new_run_knows_the_plan_of_the_old_one() {
    let mut town = town(1, json!({})).await;
    let (start, end) = ("2026-03-09T15:00:00Z", "2026-03-09T16:00:00Z");
    let (taken, _) = fill(&town, start, end).await;
    town.crash().await;
    town.start_again().await;
    town.send("POST", "/v1/callbacks", wish(500, start, end), &[409])
        .await;
    town.pass(3 * 3600).await;
    // Everybody is reached in their own window; of an hour that was sold to the last place one may be called late.
    let mut late = 0;
    for answer in &taken {
        let id = answer["interaction_id"].as_str().unwrap();
        let callback = town.callback(id).await;
        let promise = &callback["promise"];
        assert_eq!(promise["reached_in_window"], true, "{callback}");
        late += usize::from(promise["state"] != "kept");
    }
    assert!(late <= 1, "{late} of {} were late", taken.len());
    town.end().await;
}

#[tokio::test]
async fn what_was_learned_survives_and_can_be_seen_frozen_and_forgotten() {
    let mut town = town(2, json!({})).await;
    town.calls.otherwise(talks(600));
    let figure = |answer: &Value, name: &str| {
        let figures = answer["figures"].as_array().expect("figures");
        figures
            .iter()
            .find(|figure| figure["name"] == name)
            .expect("a figure")
            .clone()
    };
    let before = town.get("/v1/queues/billing/learned").await;
    let handling = figure(&before, "handling_seconds");
    assert_eq!(handling["value"], handling["prior"]);
    for n in 0..6 {
        let body = wish(n, "2026-03-09T14:00:00Z", "2026-03-09T20:00:00Z");
        town.send("POST", "/v1/callbacks", body, &[201]).await;
    }
    town.pass(5 * 3600).await;
    let learned = town.get("/v1/queues/billing/learned").await;
    let handling = figure(&learned, "handling_seconds");
    let (value, prior) = (
        handling["value"].as_f64().unwrap(),
        handling["prior"].as_f64().unwrap(),
    );
    assert!(value > prior + 30.0, "calls last longer: {handling}");
    town.crash().await;
    town.start_again().await;
    assert_eq!(town.get("/v1/queues/billing/learned").await, learned);
    // Frozen at a value of ours, it stays there whatever happens; a wrong one is refused.
    let freeze =
        json!({ "figures": [{ "name": "handling_seconds", "value": 100.0, "frozen": true }] });
    town.send("PUT", "/v1/queues/billing/learned", freeze, &[200])
        .await;
    let wrong = json!({ "figures": [{ "name": "handling_seconds", "value": -1 }] });
    let refused = town
        .send("PUT", "/v1/queues/billing/learned", wrong, &[400])
        .await;
    assert_eq!(refused["errors"][0]["field"], "figures", "{refused}");
    let body = wish(9, "2026-03-09T19:00:00Z", "2026-03-09T21:00:00Z");
    town.send("POST", "/v1/callbacks", body, &[201]).await;
    town.pass(2 * 3600).await;
    let learned = town.get("/v1/queues/billing/learned").await;
    let handling = figure(&learned, "handling_seconds");
    assert_eq!(
        (&handling["value"], &handling["frozen"]),
        (&json!(100.0), &json!(true))
    );
    let forgotten = town
        .send("DELETE", "/v1/queues/billing/learned", Value::Null, &[200])
        .await;
    let handling = figure(&forgotten, "handling_seconds");
    assert_eq!(
        (&handling["value"], &handling["frozen"]),
        (&handling["prior"], &json!(false))
    );
    town.end().await;
}

#[tokio::test]
async fn a_promise_in_danger_is_told_of_before_it_breaks_and_once() {
    let town = town(1, json!({})).await;
    let body = wish(1, "2026-03-09T16:00:00Z", "2026-03-09T17:00:00Z");
    let answer = town.send("POST", "/v1/callbacks", body, &[201]).await;
    let id = answer["interaction_id"].as_str().expect("an id").to_owned();
    town.pass(120).await;
    let why = town.get(&format!("/v1/callbacks/{id}/why")).await;
    let expected = (
        moment(&why["expected_attempt"]["from"]),
        moment(&why["expected_attempt"]["to"]),
    );
    let promise = (
        moment(&answer["promise"]["from"]),
        moment(&answer["promise"]["to"]),
    );
    assert!(
        expected.0 <= promise.1 && promise.0 <= expected.1,
        "{why} beside {answer}"
    );
    assert_eq!(why["rests_on"]["agents_there"], 1, "{why}");
    // The only agent goes home: for the next hour nobody is expected, and then some.
    town.pass(95 * 60).await;
    town.presence(1, "away").await;
    town.pass(120).await;
    let risks = |kinds: &[String]| {
        let told = ["promise_at_risk", "promise_safe"];
        kinds
            .iter()
            .filter(|kind| told.contains(&kind.as_str()))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(risks(&town.event_kinds(&id).await), ["promise_at_risk"]);
    let open = town.callback(&id).await;
    assert_eq!(open["promise"]["state"], "open", "{open}");
    assert!(open["promise"]["at_risk_since"].is_string(), "{open}");
    town.presence(1, "ready").await;
    town.pass(120).await;
    assert_eq!(
        risks(&town.event_kinds(&id).await),
        ["promise_at_risk", "promise_safe"]
    );
    let safe = town.callback(&id).await;
    assert_eq!(safe["promise"].get("at_risk_since"), None, "{safe}");
    town.pass(3600).await;
    let callback = town.callback(&id).await;
    assert_eq!(callback["promise"]["state"], "kept", "{callback}");
    town.end().await;
}
