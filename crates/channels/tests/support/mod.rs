//! What the tests against real peers share: a clock that is the system's, orders, and a listener.
#![allow(dead_code, reason = "each test file uses its own part")]

use jiff::Timestamp;
use ringback_callbacks::clock::Clock;
use ringback_callbacks::contact::{Contact, ResponseType};
use ringback_callbacks::ids::{AttemptId, InteractionId, TenantId};
use ringback_callbacks::outcome::Outcome;
use ringback_callbacks::queue::LegOrder;
use ringback_channels::{Channel, Near, Order, Progress};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(90);

pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let rest = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
        Box::pin(tokio::time::sleep(rest))
    }
}

pub fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

pub fn order(kind: ResponseType, contact: &str, routes: &[&str]) -> Order {
    Order {
        tenant: TenantId::default(),
        callback: InteractionId(Uuid::now_v7()),
        attempt: AttemptId(Uuid::now_v7()),
        number: 1,
        near: Near::Nobody,
        contact: Contact::from_stored(kind, contact).expect("a contact"),
        routes: routes.iter().map(|name| (*name).to_owned()).collect(),
        leg_order: LegOrder::AgentFirst,
        ring_agent: Duration::from_secs(20),
        ring_customer: Duration::from_secs(20),
        max_talk: Duration::from_secs(60),
        caller_id: None,
        mail: None,
        legs: serde_json::Value::Null,
    }
}

/// Places the order and collects what was told.
pub async fn attempt(
    channel: &Arc<impl Channel>,
    order: Order,
    stop: CancellationToken,
) -> (Outcome, Vec<Progress>) {
    let (sender, mut reports) = mpsc::channel(16);
    let listen = async {
        let mut told = Vec::new();
        while let Some(report) = reports.recv().await {
            told.push(report);
        }
        told
    };
    // Without a place nothing may leave, which the tests see by the peers.
    let places = channel.reserve(&order).unwrap_or_default();
    let both = async { tokio::join!(channel.attempt(order, places, sender, stop), listen) };
    tokio::time::timeout(PATIENCE, both)
        .await
        .expect("an attempt always ends")
}
