//! The people of a day: customers who book and change their minds, agents who take, decline, write, go
//! and come back, and a supervisor with two switches.

use crate::dice::Dice;
use crate::plan::{AgentPlan, Number};
use crate::story::{number, text};
use crate::wall::Wall;
use crate::watch::Watch;
use ringback_callbacks::agent::Presence;
use ringback_callbacks::callback::Reply;
use ringback_callbacks::clock::Chance;
use ringback_callbacks::event::{Actor, Event, EventKind};
use ringback_callbacks::ids::{AgentId, InteractionId, OfferId, QueueId, TenantId};
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::outcome::CallResult;
use ringback_callbacks::request::parse_new;
use ringback_callbacks::state::{Canceller, State};
use ringback_callbacks::wire_time::{self, plus};
use ringback_store::{
    AcceptOrder, Acceptance, ApplyOrder, Idempotent, Store, StoreError, StoredAnswer,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub struct People {
    /// As the API's node sees it.
    pub store: Arc<dyn Store>,
    pub watch: Arc<Watch>,
    pub wall: Arc<Wall>,
    pub chance: Arc<dyn Chance>,
    pub dice: Dice,
    /// The day is over: nobody wants anything new, and all agents work as they should.
    pub evening: AtomicBool,
    /// Bookings that were answered, by their idempotency key.
    pub answered: Mutex<BTreeMap<String, InteractionId>>,
}

fn tenant() -> TenantId {
    TenantId::default()
}

/// Whether the answer leaves open what happened.
fn unsure(error: &StoreError) -> bool {
    matches!(error, StoreError::Failed(_) | StoreError::Busy)
}

impl People {
    fn evening(&self) -> bool {
        self.evening.load(Ordering::SeqCst)
    }

    // ── customers ────────────────────────────────────────────────────────────────────────────────

    /// One person's day: books, and perhaps thinks again.
    pub async fn customer(self: Arc<Self>, key: String, dice: Dice, after: Duration) {
        tokio::time::sleep(after).await;
        let number = dice.pick(&self.watch.plan.numbers).clone();
        let Some(id) = self.book(&key, &dice, &number).await else {
            return;
        };
        for _ in 0..dice.below(3) {
            let pause = match dice.below(3) {
                0 => dice.seconds(0, 3),
                1 => dice.seconds(0, 300),
                _ => dice.seconds(300, 4 * 3600),
            };
            tokio::time::sleep(pause).await;
            if self.evening() {
                return;
            }
            self.think_again(id, &dice, &number).await;
        }
    }

    async fn book(&self, key: &str, dice: &Dice, number: &Number) -> Option<InteractionId> {
        let plan = &self.watch.plan;
        let by_mail = number.kind == "Email";
        let queue = dice.pick(&plan.queues);
        if by_mail && !queue.takes_mail {
            return None;
        }
        let request = self.request(key, dice, number, queue.takes_mail);
        let request = request.as_object().expect("an object");
        // A form that is sent again because nobody knows whether the first was taken.
        for _ in 0..1000 {
            let now = self.wall.now();
            let new = parse_new(request, queue.id.clone(), &queue.rules, now).ok()?;
            let render = |callback: &ringback_callbacks::callback::Callback| StoredAnswer {
                status: 201,
                headers: Vec::new(),
                body: callback.interaction.id.to_string(),
            };
            let order = AcceptOrder {
                tenant: tenant(),
                id: InteractionId(self.chance.uuid()),
                new,
                actor: Actor::Application(1),
                now,
                idempotent: Some(Idempotent {
                    application: 1,
                    key: key.to_owned(),
                    fingerprint: [0; 32],
                    render: Arc::new(render),
                }),
                dry_run: false,
            };
            let id = match self.store.accept(order).await {
                Ok(Acceptance::New(callback, _) | Acceptance::Merged(callback, _)) => {
                    callback.interaction.id
                }
                Ok(Acceptance::Repeated(answer)) => answer.body.parse().expect("an id"),
                Err(error) if unsure(&error) => {
                    tokio::time::sleep(dice.seconds(1, 10)).await;
                    continue;
                }
                Err(StoreError::Refused(_) | StoreError::Conflict { .. }) => return None,
                Err(error) => {
                    self.watch.breach(format!("booking: {error}"));
                    return None;
                }
            };
            let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
            answered.insert(key.to_owned(), id);
            return Some(id);
        }
        None
    }

    fn request(&self, key: &str, dice: &Dice, number: &Number, mail: bool) -> Value {
        let now = self.wall.now();
        let mut body = json!({
            "customer_number": number.contact,
            "desired_response_type": number.kind,
            "external_id": key,
            "priority": dice.pick(&[50, 50, 50, 0, 90, 100]),
        });
        if dice.per_mille(400) {
            let start = plus(now, dice.seconds(0, 5 * 3600));
            body["start_time"] = json!(wire_time::write(start));
            if dice.per_mille(500) {
                let end = plus(start, dice.seconds(60, 6 * 3600));
                body["end_time"] = json!(wire_time::write(end));
            }
        }
        if dice.per_mille(200) {
            let zone = dice.one_of(&[
                "Europe/Paris",
                "America/Chicago",
                "Australia/Lord_Howe",
                "Asia/Kolkata",
            ]);
            body["time_zone"] = json!(zone);
        }
        if dice.per_mille(150) {
            body["any_hour"] = json!(true);
        }
        if dice.per_mille(200) {
            body["owner_id"] = json!(dice.between(1, 4));
        }
        if dice.per_mille(250) {
            let mut next = dice.pick(&self.watch.plan.numbers);
            if next.kind == "Email" && !mail {
                next = number;
            }
            body["after_failures"] = json!(dice.between(1, 2));
            body["contacts"] =
                json!([{ "customer_number": next.contact, "desired_response_type": next.kind }]);
        }
        body
    }

    async fn think_again(&self, id: InteractionId, dice: &Dice, number: &Number) {
        let now = self.wall.now();
        let command = match dice.below(12) {
            0..=2 => Command::Cancel {
                by: Canceller::Customer,
                reason: None,
            },
            3..=4 => {
                let start = plus(now, dice.seconds(0, 4 * 3600));
                let end = dice
                    .per_mille(500)
                    .then(|| plus(start, dice.seconds(60, 4 * 3600)));
                Command::Reschedule {
                    start,
                    end,
                    local: None,
                }
            }
            5..=6 => Command::Snooze {
                until: plus(now, dice.seconds(1, 2 * 3600)),
            },
            7..=8 => Command::TransferToAgent {
                agent: dice.pick(&self.watch.plan.agents).id,
            },
            9..=10 => {
                let queue = dice.pick(&self.watch.plan.queues);
                if !queue.takes_mail {
                    return;
                }
                Command::TransferToQueue {
                    queue: queue.id.clone(),
                }
            }
            _ => return self.never_again(number).await,
        };
        self.say(id, command, Actor::Customer).await;
    }

    /// "Do not call me", said by telephone: it holds for whoever's contact it is.
    async fn never_again(&self, number: &Number) {
        let Ok(Some(mut customer)) = self
            .watch
            .raw
            .customer_by_contact(&tenant(), &number.contact)
            .await
        else {
            return;
        };
        customer.do_not_call = true;
        if self.watch.raw.put_customer(customer, None).await.is_ok() {
            self.watch.forbid(std::slice::from_ref(&number.contact));
        }
    }

    /// A wish, said again until somebody answers for certain.
    async fn say(&self, id: InteractionId, command: Command, actor: Actor) {
        for _ in 0..20 {
            let order = ApplyOrder {
                actor: actor.clone(),
                ..ApplyOrder::system(tenant(), id, command.clone(), self.wall.now())
            };
            match self.store.apply(order).await {
                Ok(_) | Err(StoreError::Refused(_) | StoreError::Conflict { .. }) => return,
                Err(error) if unsure(&error) => tokio::time::sleep(Duration::from_secs(2)).await,
                Err(error) => return self.watch.breach(format!("{command:?}: {error}")),
            }
        }
    }

    // ── agents ───────────────────────────────────────────────────────────────────────────────────

    /// Somebody saw an event on their screen.
    pub fn notice(self: &Arc<Self>, event: &Event) {
        let deed: Option<Deed> = match event.kind {
            EventKind::Offered => self.asked(event),
            EventKind::Assigned | EventKind::OfferAccepted => {
                number(event, "agent").map(|agent| Deed::Write(AgentId(agent)))
            }
            EventKind::WrapUp => {
                (self.evening() || self.dice.per_mille(600)).then(|| self.disposition())
            }
            _ => None,
        };
        let Some(deed) = deed else { return };
        let wait = match &deed {
            Deed::Say(..) => self.dice.seconds(0, 25),
            Deed::Write(_) => self.dice.seconds(20, 1500),
        };
        let (people, id) = (self.clone(), event.callback);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            match deed {
                Deed::Say(command, agent) => people.say(id, command, Actor::Agent(agent)).await,
                Deed::Write(agent) => people.write(id, agent).await,
            }
        });
    }

    fn asked(&self, event: &Event) -> Option<Deed> {
        let id = number(event, "agent")?;
        let offer: OfferId = text(event, "offer").parse().ok()?;
        let agent = AgentId(id);
        let plan: &AgentPlan = self
            .watch
            .plan
            .agents
            .iter()
            .find(|plan| plan.id == agent)?;
        if self.evening() || self.dice.per_mille(plan.takes) {
            return Some(Deed::Say(Command::AcceptOffer { offer, agent }, id));
        }
        self.dice
            .per_mille(plan.declines)
            .then_some(Deed::Say(Command::DeclineOffer { offer, agent }, id))
    }

    fn disposition(&self) -> Deed {
        let result = match self.dice.below(8) {
            0 => Some(CallResult::ANSWERING_MACHINE),
            1 => Some(CallResult::NO_ANSWER),
            2 => Some(CallResult::WRONG_NUMBER),
            3 => Some(CallResult::CANCEL_RECORD),
            4 => Some(CallResult::OK),
            _ => None,
        };
        let command = Command::Dispose {
            disposition: Some("as it was".to_owned()),
            result,
        };
        Deed::Say(command, 1)
    }

    async fn write(&self, id: InteractionId, agent: AgentId) {
        let Ok(Some(callback)) = self.watch.raw.callback(&tenant(), id).await else {
            return;
        };
        let waits = matches!(callback.state, State::Assigned { .. })
            && callback.contact().expose().contains("person")
            && !callback.contact().expose().starts_with("sip");
        if !waits || (!self.evening() && self.dice.per_mille(200)) {
            return;
        }
        let reply = Reply {
            subject: "Your question".to_owned(),
            text: "Yes, we can.".to_owned(),
            html: None,
        };
        self.say(
            id,
            Command::WriteReply { agent, reply },
            Actor::Agent(agent.0),
        )
        .await;
    }

    /// One agent's comings and goings.
    pub async fn shift(self: Arc<Self>, agent: AgentId, dice: Dice) {
        loop {
            tokio::time::sleep(dice.seconds(60, 1800)).await;
            let presence = match dice.below(10) {
                _ if self.evening() => Presence::Ready,
                0 => Presence::Offline,
                1 => Presence::Busy,
                2 => Presence::Away,
                _ => Presence::Ready,
            };
            let now = self.wall.now();
            drop(
                self.store
                    .set_presence(&tenant(), agent, presence, now)
                    .await,
            );
        }
    }

    // ── the supervisor ───────────────────────────────────────────────────────────────────────────

    pub async fn supervise(self: Arc<Self>, dice: Dice) {
        loop {
            tokio::time::sleep(dice.seconds(600, 3 * 3600)).await;
            if self.evening() {
                return;
            }
            let id = dice.pick(&self.watch.plan.queues).id.clone();
            let pause = dice.seconds(60, 1200);
            self.switch(&id, true).await;
            tokio::time::sleep(pause).await;
            self.switch(&id, false).await;
        }
    }

    async fn switch(&self, id: &QueueId, paused: bool) {
        let Ok(Some(mut queue)) = self.watch.raw.queue(&tenant(), id).await else {
            return;
        };
        queue.dialling_paused = paused;
        drop(self.watch.raw.put_queue(queue, None).await);
    }
}

enum Deed {
    Say(Command, i64),
    Write(AgentId),
}
