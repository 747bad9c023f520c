//! `kill -9` at random moments under load. The telephones are the witness: they outlive the server, count every
//! INVITE by the attempt it names, and know who is still on the line.
//!
//! `RINGBACK_SEED` repeats the moments of an earlier run, `RINGBACK_KILLS` sets how many there are.

use crate::books::{Stored, check_bookings, check_rings};
use crate::harness::{Server, Setup, dn_queue, free_port};
use crate::intake::{Intake, Plan};
use crate::witness::{Manner, Witness};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};

const KILLS: u32 = 30;
/// Kills stop after this long, however slow the machine.
const KILLING: Duration = Duration::from_secs(150);
const CLIENTS: u32 = 4;
/// Each client books at most this often: 80 a second in all.
const PACE: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_nothing_rings_twice() {
    let seed = number_from("RINGBACK_SEED").unwrap_or_else(rand::random);
    let kills = number_from("RINGBACK_KILLS").map_or(KILLS, |n| n as u32);
    println!("seed {seed}: repeat with RINGBACK_SEED={seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let mut town = Town::build().await;
    let intake = Intake::start(Plan {
        queue: "load",
        nodes: vec![town.server.client.clone()],
        clients: CLIENTS,
        pace: PACE,
    });

    let began = Instant::now();
    let mut rounds = 0;
    let mut first_dials = Vec::new();
    let mut last_start = began;
    while rounds < kills && began.elapsed() < KILLING {
        // Some kills fall into the start itself, among the rescues; most into the work.
        let alive = Duration::from_millis(chance.random_range(50..2500));
        let early = chance.random_ratio(1, 4);
        if early {
            tokio::time::sleep(alive / 2).await;
        } else {
            town.server.await_ready().await;
            tokio::time::sleep(alive).await;
        }
        if let Some(dialled) = town.customers.first_since(last_start) {
            first_dials.push(dialled - last_start);
        }
        town.server.kill();
        rounds += 1;
        last_start = Instant::now();
        town.server.launch_again();
    }
    town.server.await_ready().await;
    let ready = Instant::now();
    println!(
        "{rounds} kills in {:.0?}; {} bookings acknowledged so far",
        began.elapsed(),
        intake.acknowledged()
    );
    assert!(
        rounds >= kills.min(30) || began.elapsed() >= KILLING,
        "only {rounds} kills"
    );
    let diary = intake.finish().await;

    // (d) Ten seconds after the last start nobody is left on a line that an earlier run opened.
    let left = town.after_ten_seconds(last_start.max(ready)).await;
    assert!(
        left.is_empty(),
        "orphans 10 s after the last start: {left:#?}"
    );

    // Calls end, nothing new is begun; then the books are compared.
    town.server
        .client
        .send(
            Method::POST,
            "/v1/queues/load/pause",
            json!({"dialling": true}),
        )
        .await;
    town.lines_fall_silent().await;
    let stored = Stored::read(&town.server.client).await;
    // (a) Nothing that was acknowledged is lost.
    check_bookings(&diary, &stored);
    // (b) No attempt rang twice; (c) every attempt that rang is recorded.
    for (who, witness) in [("agents", &town.agents), ("customers", &town.customers)] {
        check_rings(who, &witness.rings(), &witness.oddities(), &stored);
    }
    town.server.assert_healthy();

    first_dials.sort();
    let at = |part: usize| {
        first_dials
            .get((first_dials.len().max(1) - 1) * part / 100)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "{} callbacks, {} attempts recorded; customers rung {}, agents rung {}; start to first dial p50 {:.0?} p95 {:.0?} ({} of {rounds} runs dialled)",
        stored.callbacks.len(),
        stored.attempts.len(),
        town.customers.calls(),
        town.agents.calls(),
        at(50),
        at(95),
        first_dials.len(),
    );
    assert!(
        town.customers.calls() > rounds as usize,
        "too little was dialled for the test to mean anything"
    );
}

struct Town {
    agents: Witness,
    customers: Witness,
    server: Server,
}

impl Town {
    async fn build() -> Town {
        let agents = Witness::start(|_| Manner::Answer {
            after: Duration::from_millis(20),
            hang_up: None,
        })
        .await;
        let customers = Witness::start(customer).await;
        // Fixed ports: clients and telephones find the next run where the last one was.
        let (http, sip) = (free_port(), free_port());
        let rest = format!(
            "[dispatch]\nlease = \"10s\"\n\n\
             [[routes]]\nkind = \"sip\"\nname = \"desk\"\nuri = \"sip:127.0.0.1:{}\"\nping = \"0s\"\n\
             calls_per_second = 1000.0\nconcurrent = 1000\n\n\
             [[routes]]\nkind = \"sip\"\nname = \"town\"\nuri = \"sip:127.0.0.1:{}\"\nping = \"0s\"\n\
             calls_per_second = 1000.0\nconcurrent = 1000\n",
            agents.port, customers.port
        );
        let setup = Setup {
            http: &format!("127.0.0.1:{http}"),
            sip: &format!("udp:127.0.0.1:{sip}"),
            rest: &rest,
        };
        let server = Server::start_with(setup).await;
        let rules = json!({
            "delivery": {"kind": "dn", "dn": "agents", "location": "desk", "max_concurrent": 40},
            "ring_customer": "2s",
            "max_talk": "2s",
        });
        server
            .client
            .put_queue("load", dn_queue("desk", &["town"], rules))
            .await;
        Town {
            agents,
            customers,
            server,
        }
    }

    /// Waits until ten seconds have gone since `start`, and says who is still on a line opened before it.
    async fn after_ten_seconds(&self, start: Instant) -> Vec<String> {
        tokio::time::sleep_until((start + Duration::from_secs(10)).into()).await;
        let mut left = Vec::new();
        for (who, witness) in [("agent", &self.agents), ("customer", &self.customers)] {
            for seen in witness.open_since_before(start) {
                left.push(format!(
                    "{who} {} ({}), {:.1?} old",
                    seen.call_id,
                    seen.phase,
                    seen.began.elapsed()
                ));
            }
        }
        left
    }

    async fn lines_fall_silent(&self) {
        let until = Instant::now() + Duration::from_secs(45);
        while self.agents.open() + self.customers.open() > 0 {
            assert!(
                Instant::now() < until,
                "lines still open: {:#?} {:#?}",
                self.agents.open_since_before(Instant::now()),
                self.customers.open_since_before(Instant::now())
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What a customer does follows from the last digit of the number.
fn customer(user: &str) -> Manner {
    let digit = user.bytes().last().map_or(0, |b| b.saturating_sub(b'0'));
    let ms = Duration::from_millis;
    match digit {
        0..=2 => Manner::Answer {
            after: ms(60),
            hang_up: Some(ms(150)),
        },
        3..=5 => Manner::Answer {
            after: ms(300),
            hang_up: Some(ms(700)),
        },
        6 => Manner::Refuse(486),
        7 => Manner::RingForever,
        8 => Manner::Refuse(404),
        // Stays on the line until somebody hangs up.
        _ => Manner::Answer {
            after: ms(100),
            hang_up: None,
        },
    }
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
