//! A queue, a customer and callbacks to decide about.
#![allow(dead_code)]

use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::event::Actor;
use ringback_callbacks::guard::{Facts, NumberFacts, SlotFacts};
use ringback_callbacks::ids::*;
use ringback_callbacks::lifecycle::{self, Command, Refusal, Step};
use ringback_callbacks::queue::{Queue, QueueRules, QueueView};
use ringback_callbacks::request::{self, NewCallback};
use ringback_scheduling::Almanac;
use serde_json::{Map, Value, json};
use std::time::Duration;
use uuid::Uuid;

pub fn at(text: &str) -> Timestamp {
    ringback_callbacks::wire_time::read(text).expect("a time in a test")
}

/// Monday, 9 March 2026, 10:00 in New York.
pub fn monday() -> Timestamp {
    at("2026-03-09T14:00:00Z")
}

pub fn rules(change: Value) -> QueueRules {
    let mut rules = json!({
        "name": "Billing",
        "hours": { "opening_hours": "Mo-Fr 08:00-18:00", "time_zone": "America/New_York" },
        "dial": { "regions": ["US", "GB"], "default_region": "US" },
        "routes": { "voice": ["trunk"], "voip": ["direct"], "email": ["relay"] },
        "retry": { "spread": 0.0 },
    });
    merge(&mut rules, change);
    serde_json::from_value(rules).expect("rules in a test")
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

pub fn queue(rules: QueueRules) -> QueueView {
    QueueView::new(
        Queue {
            tenant: TenantId::default(),
            id: QueueId::parse("billing").unwrap(),
            rules,
            intake_paused: false,
            dialling_paused: false,
            removed: false,
            created_at: monday(),
            revision: 1,
        },
        &Almanac::default(),
    )
}

pub fn customer() -> Customer {
    Customer {
        tenant: TenantId::default(),
        id: CustomerId::parse("0000Ca7VJHXQ00A3").unwrap(),
        name: Some("Ada".into()),
        contacts: vec![],
        time_zone: Some("America/New_York".into()),
        do_not_call: false,
        created_at: monday(),
        revision: 1,
    }
}

pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => panic!("an object"),
    }
}

pub fn booking(queue: &QueueView, change: Value, now: Timestamp) -> NewCallback {
    let mut body =
        json!({ "desired_response_type": "Voice", "customer_number": "+1 212 555 0123" });
    merge(&mut body, change);
    request::parse_new(&object(body), queue.queue.id.clone(), queue.rules(), now)
        .expect("a good booking")
}

pub fn id(n: u128) -> InteractionId {
    InteractionId(Uuid::from_u128(n))
}

pub fn node() -> NodeId {
    NodeId {
        name: "one".into(),
        boot: Uuid::from_u128(7),
    }
}

/// One callback with the world around it, driven by commands.
pub struct World {
    pub queue: QueueView,
    pub customer: Customer,
    pub number: NumberFacts,
    /// Changed by tests in which the rules of local time change.
    pub almanac: Almanac,
    pub slots: SlotFacts,
    pub now: Timestamp,
    pub callback: Callback,
    pub steps: Vec<Step>,
}

impl World {
    pub fn book(rule_change: Value, body_change: Value) -> World {
        World::try_book(rule_change, body_change, monday()).expect("an accepted booking")
    }

    pub fn try_book(
        rule_change: Value,
        body_change: Value,
        now: Timestamp,
    ) -> Result<World, Refusal> {
        World::try_book_by(Almanac::default(), rule_change, body_change, now)
    }

    pub fn try_book_by(
        almanac: Almanac,
        rule_change: Value,
        body_change: Value,
        now: Timestamp,
    ) -> Result<World, Refusal> {
        let queue = queue(rules(rule_change));
        let customer = customer();
        let number = NumberFacts::default();
        let new = booking(&queue, body_change, now);
        let slots = SlotFacts::default();
        let accepted = {
            let facts = Facts {
                queue: &queue,
                customer: &customer,
                number: &number,
                almanac: &almanac,
                jitter: 0.0,
                slots: Some(&slots),
            };
            lifecycle::accept(
                TenantId::default(),
                id(1),
                customer.id.clone(),
                new,
                &Actor::Customer,
                &facts,
                now,
            )?
        };
        let callback = accepted.step.after.clone();
        Ok(World {
            queue,
            customer,
            number,
            almanac,
            slots,
            now,
            callback,
            steps: vec![accepted.step],
        })
    }

    pub fn act(&mut self, command: Command) -> Result<(), Refusal> {
        let facts = Facts {
            queue: &self.queue,
            customer: &self.customer,
            number: &self.number,
            almanac: &self.almanac,
            jitter: 0.0,
            slots: Some(&self.slots),
        };
        let step = lifecycle::step(&self.callback, command, &Actor::System, &facts, self.now)?;
        self.callback = step.after.clone();
        self.steps.push(step);
        Ok(())
    }

    pub fn later(&mut self, seconds: u64) {
        self.now = ringback_callbacks::wire_time::plus(self.now, Duration::from_secs(seconds));
    }

    pub fn state(&self) -> &'static str {
        self.callback.state.name()
    }

    pub fn last_events(&self) -> Vec<&'static str> {
        self.steps
            .last()
            .map(|step| step.events.iter().map(|event| event.kind.name()).collect())
            .unwrap_or_default()
    }

    pub fn fence(&self) -> u64 {
        self.callback.fence
    }
}
