//! One queue with many places, customers who book, and the node that calls them.

use crate::store::Prompt;
use crate::through::Through;
use jiff::Timestamp;
use ringback_callbacks::clock::Clock;
use ringback_callbacks::contact::ResponseType;
use ringback_callbacks::event::Actor;
use ringback_callbacks::ids::{InteractionId, NodeId, QueueId, TenantId};
use ringback_callbacks::queue::Queue;
use ringback_callbacks::request::parse_new;
use ringback_channels::Channels;
use ringback_channels::fake::{FakeChannel, Script};
use ringback_dispatch::{Dispatcher, Settings, Unobserved};
use ringback_sim::clock::{ManualClock, SeededChance};
use ringback_store::{AcceptOrder, Acceptance, OpenOptions, Store};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

pub struct Town {
    pub store: Arc<Through<Prompt>>,
    pub clock: ManualClock,
    pub calls: Arc<FakeChannel>,
    queue: Queue,
}

impl Town {
    pub async fn new() -> Town {
        let clock = ManualClock::at("2026-03-09T14:00:00Z");
        let store = ringback_store::open(
            "sqlite::memory:",
            OpenOptions::default(),
            Arc::new(SeededChance::new(1)),
        )
        .await
        .expect("a store");
        let store = Prompt::of(store);
        let calls = FakeChannel::new("sip", &[ResponseType::Voice], Arc::new(clock.clone()));
        calls.otherwise(Script::talks(
            Duration::from_secs(1),
            Duration::from_secs(5),
        ));
        let rules = json!({
            "name": "Billing",
            "hours": { "opening_hours": "24/7", "time_zone": "UTC" },
            "dial": { "regions": ["US"] },
            "delivery": { "kind": "dn", "dn": "6000", "location": "pbx", "max_concurrent": 1000 },
        });
        let queue = Queue {
            tenant: TenantId::default(),
            id: QueueId::parse("billing").expect("a queue's id"),
            rules: serde_json::from_value(rules).expect("rules"),
            intake_paused: false,
            dialling_paused: false,
            removed: false,
            created_at: clock.now(),
            revision: 0,
        };
        let queue = store.put_queue(queue, Some(0)).await.expect("a queue");
        Town {
            store,
            clock,
            calls,
            queue,
        }
    }

    /// Somebody wants to be called as soon as possible.
    pub async fn book(&self, number: u32) -> InteractionId {
        self.book_for(number, json!({})).await
    }

    /// Somebody wants to be called, with these fields in the request.
    pub async fn book_for(&self, number: u32, fields: Value) -> InteractionId {
        let now = self.clock.now();
        let mut request = json!({
            "desired_response_type": "Voice", "customer_number": contact(number), "any_hour": true,
        });
        for (key, value) in fields.as_object().expect("fields") {
            request[key] = value.clone();
        }
        let request = request.as_object().expect("an object");
        let order = AcceptOrder {
            tenant: TenantId::default(),
            id: InteractionId(Uuid::from_u64_pair(2, number.into())),
            new: parse_new(request, self.queue.id.clone(), &self.queue.rules, now)
                .expect("a request"),
            actor: Actor::Customer,
            now,
            idempotent: None,
            dry_run: false,
        };
        match self.store.accept(order).await.expect("accepted") {
            Acceptance::New(callback, _) => callback.interaction.id,
            Acceptance::Merged(..) | Acceptance::Repeated(_) => panic!("a new callback"),
        }
    }

    pub fn start(&self, settings: Settings) -> Dispatcher {
        self.start_with(Channels(vec![self.calls.clone()]), settings)
    }

    pub fn start_with(&self, channels: Channels, settings: Settings) -> Dispatcher {
        Dispatcher::start(
            self.store.clone(),
            channels,
            Arc::new(self.clock.clone()),
            Arc::new(SeededChance::new(2)),
            NodeId {
                name: "node-1".to_owned(),
                boot: Uuid::from_u128(1),
            },
            settings,
            Arc::new(Unobserved),
        )
    }

    /// When each of these numbers was called, in the order of the calls.
    pub fn called(&self, which: impl Fn(u32) -> bool) -> Vec<Timestamp> {
        let placed = self.calls.placed();
        let of = |contact: &str| contact[contact.len() - 4..].parse().expect("digits");
        placed
            .iter()
            .filter(|call| which(of(&call.contact)))
            .map(|call| call.at)
            .collect()
    }
}

fn contact(number: u32) -> String {
    format!("+1212555{number:04}")
}
