//! The server and the simulator plan by the same functions: one scripted day goes the same way through both, to the
//! second. Here the whole server with its clockwork and store, there the simulator's seat with nothing but the planner.
//!
//! Compared are the promises, whom the agents were given in which order, when each phone was dialled, and the times told
//! for the tries after the first. Left out is one thing that the server does not decide: which of two calls begun in
//! the same second reaches the switch first, since each is carried by a task of its own.

use crate::town::Town;
use ringback_channels::fake::Script;
use ringback_simulate::planned::PlannedServer;
use ringback_simulate::scenario::{Header, Request, Second};
use ringback_simulate::server::{Answer, Outcome, Server, View};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Ten in the morning in New York.
const START: &str = "2026-03-09T14:00:00Z";
const HOURS: Second = 4;
const AGENTS: u32 = 3;
const RING: Second = 10;
const TALK: Second = 200;
const WRAP: Second = 60;
const RINGS_OUT: Second = 45;
const BUSY_AFTER: Second = 1;
const REACH: f64 = 0.8;

/// Who books when (seconds from the start), for which minutes of the morning, and what their phone does.
const BOOKINGS: [(Second, (i64, i64), &[Outcome]); 14] = [
    (3, (5, 95), &[Outcome::Answered]),
    (8, (5, 35), &[Outcome::NoAnswer, Outcome::Answered]),
    (21, (10, 130), &[Outcome::Answered]),
    (40, (6, 66), &[Outcome::Busy, Outcome::Answered]),
    (41, (60, 120), &[Outcome::Answered]),
    (
        77,
        (60, 120),
        &[Outcome::NoAnswer, Outcome::Busy, Outcome::Answered],
    ),
    (110, (60, 67), &[Outcome::Answered]),
    (
        150,
        (20, 200),
        &[Outcome::NoAnswer, Outcome::NoAnswer, Outcome::Answered],
    ),
    (190, (100, 160), &[Outcome::Answered]),
    // More than there are agents, in a few minutes.
    (200, (60, 80), &[Outcome::NoAnswer, Outcome::Answered]),
    (201, (60, 75), &[Outcome::Answered]),
    (230, (60, 66), &[Outcome::Answered]),
    // A try again that is told up to the end of the window, and one that is best made at that end.
    (240, (210, 226), &[Outcome::Busy, Outcome::Answered]),
    (250, (225, 232), &[Outcome::NoAnswer, Outcome::Answered]),
];

/// What a customer sees of a day.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    promises: Vec<(Second, Second)>,
    /// Whom an agent was given, in order.
    order: Vec<String>,
    /// When they were dialled, by number.
    dials: BTreeMap<String, Vec<Second>>,
    /// The window told for each next try, by number; both ends count.
    told: BTreeMap<String, Vec<(Second, Second)>>,
}

fn start() -> Second {
    let start: jiff::Timestamp = START.parse().expect("a date");
    start.as_second()
}

fn number(booking: usize) -> String {
    format!("+1212555{:04}", 100 + booking)
}

fn at(second: Second) -> String {
    jiff::Timestamp::from_second(second)
        .expect("a date")
        .to_string()
}

fn moment(date: &Value) -> Second {
    let text = date.as_str().expect("a date");
    text.parse::<jiff::Timestamp>().expect("a date").as_second()
}

async fn through_the_server() -> Seen {
    let town = Town::new(START).await;
    let rules = json!({
        "name": "Billing",
        "hours": { "opening_hours": "Mo-Fr 08:00-18:00", "time_zone": "America/New_York" },
        "dial": { "regions": ["US"], "default_region": "US" },
        "routes": { "voice": ["fake"], "voip": [], "email": [] },
        "wrap_up": format!("{WRAP}s"),
        "retry": {
            "busy": { "after": "5m", "times": 5 }, "no_answer": { "after": "5m", "times": 5 },
            "machine": { "after": "5m", "times": 5 }, "max_attempts": 6, "spread": 0.0,
        },
        "capacity": {
            "weekly": [{ "days": "Mo-Fr", "from": "08:00", "to": "18:00", "agents": AGENTS }],
            "mean_talk": format!("{TALK}s"), "mean_wrap": format!("{WRAP}s"), "reach": REACH,
            "live": {
                "forecast": [{ "days": "Mo-Fr", "from": "08:00", "to": "18:00", "calls_per_hour": 0.0 }],
                "handling": "3m", "target": 0.8, "within": "20s", "abandon": 0.05,
            },
        },
    });
    town.send("PUT", "/v1/queues/billing", rules, &[200]).await;
    for (index, (_, _, phone)) in BOOKINGS.iter().enumerate() {
        let scripts = phone.iter().map(|outcome| match outcome {
            Outcome::Answered => talks(),
            Outcome::Busy => Script::busy(),
            _ => Script::no_answer(Duration::from_secs(RINGS_OUT as u64)),
        });
        town.calls.script(&number(index), scripts);
    }
    town.agents(i64::from(AGENTS)).await;
    town.rest().await;
    let (mut seen, mut ids, mut passed) = (Seen::default(), Vec::new(), 0);
    for (index, (when, (from, to), _)) in BOOKINGS.iter().enumerate() {
        town.pass((when - passed) as u64).await;
        passed = *when;
        let body = json!({
            "queue": "billing", "desired_response_type": "Voice", "customer_number": number(index),
            "time_zone": "America/New_York", "start_time": at(start() + from * 60),
            // The simulator counts the end itself, the API does not.
            "end_time": at(start() + to * 60 + 1),
        });
        let answer = town.send("POST", "/v1/callbacks", body, &[201]).await;
        ids.push(answer["interaction_id"].as_str().expect("an id").to_owned());
        let promise = &answer["promise"];
        seen.promises
            .push((moment(&promise["from"]), moment(&promise["to"])));
    }
    town.pass((HOURS * 3600 - passed) as u64).await;
    for call in town.calls.placed() {
        let dials = seen.dials.entry(call.contact).or_default();
        dials.push(call.at.as_second());
    }
    let events = town.get("/v1/events?limit=1000").await;
    for event in events["items"].as_array().expect("events") {
        let id = event["interaction_id"].as_str().expect("an id");
        let booking = ids.iter().position(|known| known == id).expect("ours");
        match event["kind"].as_str() {
            Some("assigned") => seen.order.push(number(booking)),
            Some("promise_moved") => {
                let new = &event["detail"]["new"];
                // The window's own end is the first moment that does not count.
                let last = start() + BOOKINGS[booking].1.1 * 60;
                let told = (moment(&new["from"]), moment(&new["to"]).min(last));
                seen.told.entry(number(booking)).or_default().push(told);
            }
            _ => {}
        }
    }
    town.end().await;
    seen
}

fn talks() -> Script {
    Script::talks(
        Duration::from_secs(RING as u64),
        Duration::from_secs(TALK as u64),
    )
}

fn header() -> Header {
    let (open, close) = (start() - 2 * 3600, start() + 8 * 3600);
    let missed = 1.0 - REACH;
    let phone = [0.8 * REACH, 0.2 * REACH, 0.2 * missed, 0.8 * missed];
    let header: Value = json!({
        "t1": close, "tz": "America/New_York", "date": "2026-03-09", "open": [[open, close]],
        "agents_plan": [[open, AGENTS]], "inbound_forecast": [[open, 0.0]], "inbound_aht": 180.0,
        "callback_talk": TALK as f64, "callback_wrap": WRAP as f64,
        "ring": { "answer": 14, "busy": 5, "no_answer": RINGS_OUT, "machine": 15, "invalid": 5, "failed": 4 },
        "reach_prior": { "fresh": phone, "inside": phone, "outside": phone },
        "legal_local": ["08:00", "21:00"], "asap_patience": 3600, "max_attempts": 6, "min_gap": 300,
        "attention": 1800, "notice": 60, "sl_target": 0.8, "sl_seconds": 20, "abandon_target": 0.05,
    });
    serde_json::from_value(header).expect("a header")
}

fn through_the_simulator() -> Seen {
    let mut planner = PlannedServer::default();
    planner.header(&header());
    planner.agents(start(), AGENTS);
    let mut seen = Seen::default();
    let mut idle = AGENTS;
    // What comes: results and ends of calls, by second, in the order in which they were set in motion.
    let mut results: BTreeMap<Second, Vec<(usize, Outcome)>> = BTreeMap::new();
    let mut ends: BTreeMap<Second, Vec<usize>> = BTreeMap::new();
    let mut tries = [0_usize; BOOKINGS.len()];
    let name = |index: usize| -> std::sync::Arc<str> { number(index).into() };
    for now in start()..start() + HOURS * 3600 {
        for (index, outcome) in results.remove(&now).unwrap_or_default() {
            planner.result(now, &name(index), tries[index] as u32, outcome);
        }
        for index in ends.remove(&now).unwrap_or_default() {
            idle += 1;
            planner.done(now, &name(index));
        }
        for (index, (when, (from, to), _)) in BOOKINGS.iter().enumerate() {
            if start() + when != now {
                continue;
            }
            let local = |minutes: i64| {
                format!("2026-03-09T{:02}:{:02}:00", 10 + minutes / 60, minutes % 60)
            };
            let request: Request = serde_json::from_value(json!({
                "id": number(index), "at": now, "number": number(index), "kind": "window",
                "tz": "America/New_York", "local_start": local(*from), "local_end": local(*to),
            }))
            .expect("a request");
            match planner.request(now, &request) {
                Answer::Accepted { start, end } => seen.promises.push((start, end)),
                other => panic!("booking {index}: {other:?}"),
            }
        }
        let view = View {
            idle,
            n: AGENTS,
            queue: 0,
            oldest_inbound_at: None,
        };
        let orders = planner.dispatch(now, view);
        for told in orders.moves {
            let before = seen.told.entry(told.id.to_string()).or_default();
            before.push((told.start, told.end));
        }
        for id in orders.dial {
            let index = (0..BOOKINGS.len())
                .find(|index| number(*index) == *id)
                .expect("one of ours");
            let outcome = BOOKINGS[index].2[tries[index]];
            tries[index] += 1;
            idle -= 1;
            seen.order.push(id.to_string());
            seen.dials.entry(id.to_string()).or_default().push(now);
            let (known, free) = match outcome {
                Outcome::Answered => (RING, RING + TALK + WRAP),
                Outcome::Busy => (BUSY_AFTER, BUSY_AFTER),
                _ => (RINGS_OUT, RINGS_OUT),
            };
            results
                .entry(now + known)
                .or_default()
                .push((index, outcome));
            ends.entry(now + free).or_default().push(index);
        }
    }
    seen
}

#[tokio::test]
async fn the_server_and_the_simulator_plan_one_day_alike() {
    let (server, simulator) = (through_the_server().await, through_the_simulator());
    assert_eq!(server, simulator);
    // Nothing of it is trivial: everybody was tried as often as their phone wanted, and told of every try again.
    let tries: usize = BOOKINGS.iter().map(|(_, _, phone)| phone.len()).sum();
    assert_eq!(server.order.len(), tries);
    let told = server.told.values().map(Vec::len).sum::<usize>();
    assert_eq!(told, tries - BOOKINGS.len());
    // The last one's try again is meant for the very end of the window.
    let last = start() + 232 * 60;
    assert_eq!(server.told[&number(13)], [(last - 40, last)]);
}
