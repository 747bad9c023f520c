//! Clients that book at a steady pace, repeat with the same key whatever got no good answer, and write down what
//! they were told.

use crate::harness::{Client, customer_number};
use reqwest::{Method, StatusCode};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long one booking may be tried.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two tries of the same booking.
const AGAIN: Duration = Duration::from_millis(50);

/// Who books what, where and how fast.
#[derive(Clone)]
pub struct Plan {
    pub queue: &'static str,
    /// One per node. A booking that fails at one is repeated at the next.
    pub nodes: Vec<Client>,
    /// How many book side by side.
    pub clients: u32,
    /// Each books at most once in this time.
    pub pace: Duration,
}

/// What the clients wrote down.
#[derive(Default)]
pub struct Diary {
    pub keys: BTreeSet<String>,
    /// Keys with the id of the callback they were answered with.
    pub accepted: BTreeMap<String, String>,
    /// When a booking was accepted, one after the other.
    pub accepted_at: Vec<Instant>,
    pub contradictions: Vec<String>,
    /// Bookings that took more than one try.
    pub repeated: u32,
    /// Answers that made a client try again, with how often they came; no answer at all is `none`.
    pub setbacks: BTreeMap<String, u32>,
}

pub struct Intake {
    stop: Arc<AtomicBool>,
    diary: Arc<Mutex<Diary>>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Intake {
    pub fn start(plan: Plan) -> Intake {
        let stop = Arc::new(AtomicBool::new(false));
        let diary = Arc::new(Mutex::new(Diary::default()));
        let next = Arc::new(AtomicU32::new(0));
        let clients = (0..plan.clients)
            .map(|index| {
                let mut nodes = plan.nodes.clone();
                nodes.rotate_left(index as usize % plan.nodes.len());
                let clerk = Clerk {
                    queue: plan.queue,
                    nodes,
                    pace: plan.pace,
                    stop: stop.clone(),
                    diary: diary.clone(),
                    next: next.clone(),
                };
                tokio::spawn(clerk.work())
            })
            .collect();
        Intake {
            stop,
            diary,
            clients,
        }
    }

    pub fn acknowledged(&self) -> usize {
        open(&self.diary).accepted.len()
    }

    /// The first booking accepted after that moment.
    pub fn first_since(&self, moment: Instant) -> Option<Instant> {
        let diary = open(&self.diary);
        diary.accepted_at.iter().copied().find(|at| *at > moment)
    }

    /// No new bookings; those that are being tried come to their end.
    pub async fn finish(self) -> Diary {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.expect("a client came to its end");
        }
        std::mem::take(&mut *open(&self.diary))
    }
}

/// One of those who book.
struct Clerk {
    queue: &'static str,
    nodes: Vec<Client>,
    pace: Duration,
    stop: Arc<AtomicBool>,
    diary: Arc<Mutex<Diary>>,
    next: Arc<AtomicU32>,
}

impl Clerk {
    async fn work(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            let pause = tokio::time::sleep(self.pace);
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            self.book(number).await;
            pause.await;
        }
    }

    /// Tries until there is an answer: nobody knows whether what got none was stored.
    async fn book(&mut self, number: u32) {
        let key = format!("load-{number}");
        open(&self.diary).keys.insert(key.clone());
        let request = json!({
            "queue": self.queue, "customer_number": customer_number(number), "desired_response_type": "Voice",
            "any_hour": true, "external_id": key,
        });
        let until = Instant::now() + PATIENCE;
        let mut tries = 0;
        loop {
            let headers = [("Idempotency-Key", key.as_str())];
            let answer = self.nodes[0]
                .ask(Method::POST, "/v1/callbacks", &headers, Some(&request))
                .await;
            let setback = match answer {
                Ok((StatusCode::CREATED, body)) => {
                    let id = body["interaction_id"].as_str().unwrap_or_default();
                    let mut diary = open(&self.diary);
                    diary.repeated += u32::from(tries > 0);
                    diary.accepted_at.push(Instant::now());
                    if let Some(before) = diary.accepted.insert(key.clone(), id.to_owned()) {
                        diary
                            .contradictions
                            .push(format!("{key}: {before} and {id}"));
                    }
                    return;
                }
                Ok((status, body)) => {
                    let may_repeat = matches!(status.as_u16(), 409 | 429 | 500 | 503);
                    assert!(may_repeat, "a good booking was answered {status}: {body}");
                    format!(
                        "{} {}",
                        status.as_u16(),
                        body["code"].as_str().unwrap_or_default()
                    )
                }
                Err(_) => "none".to_owned(),
            };
            *open(&self.diary).setbacks.entry(setback).or_default() += 1;
            assert!(
                Instant::now() < until,
                "{key} got no answer in {PATIENCE:?}"
            );
            tries += 1;
            self.nodes.rotate_left(1);
            tokio::time::sleep(AGAIN).await;
        }
    }
}

fn open(diary: &Mutex<Diary>) -> MutexGuard<'_, Diary> {
    diary.lock().expect("no client panics with it")
}
