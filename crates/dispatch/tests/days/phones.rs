//! The town's telephones and mailboxes. They ring whether or not the node that rang them still lives,
//! and they are the witness: who was rung, when, for which attempt, and how often.

use crate::dice::Dice;
use crate::wall::Life;
use crate::watch::Watch;
use async_trait::async_trait;
use ringback_callbacks::contact::ResponseType;
use ringback_callbacks::ids::{AttemptId, QueueId};
use ringback_callbacks::outcome::{CallResult, Outcome, PlatformCode, Verdict};
use ringback_channels::{Channel, Near, Order, Places, Progress, Receipt, RouteHealth, Unready};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What a ringing customer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Busy,
    NoAnswer,
    Machine,
    Invalid,
    Declined,
    NeverAgain,
    RouteFault,
    /// They talk, and the switch forgets to say so.
    Lost,
    Talks,
}

/// A telephone that keeps ringing with nobody to hang up gives up by itself after this long.
const RINGS_AT_MOST: Duration = Duration::from_secs(180);

struct Call {
    contact: String,
    agent: Option<i64>,
    dn: Option<QueueId>,
    /// When the near phone stops, and the customer's; in tokio's time.
    near_until: Option<Instant>,
    far_until: Option<Instant>,
    answered: bool,
    talked: bool,
    hung_up: Arc<Notify>,
}

impl Call {
    fn is_live(&self, now: Instant) -> bool {
        [self.near_until, self.far_until]
            .iter()
            .flatten()
            .any(|until| now < *until)
    }
}

/// The telephones of one day.
pub struct Town {
    dice: Dice,
    calls: Mutex<BTreeMap<AttemptId, Call>>,
    /// Every letter that was handed to the post, with its attempt.
    letters: Mutex<BTreeMap<AttemptId, String>>,
    /// How many of a thousand people talk when they are rung.
    reached: u64,
}

impl Town {
    pub fn new(dice: Dice) -> Arc<Town> {
        let reached = dice.between(200, 900);
        Arc::new(Town {
            dice,
            calls: Mutex::default(),
            letters: Mutex::default(),
            reached,
        })
    }

    fn calls(&self) -> MutexGuard<'_, BTreeMap<AttemptId, Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn rung(&self) -> usize {
        let calls = self.calls();
        calls
            .values()
            .filter(|call| call.far_until.is_some())
            .count()
    }

    pub fn is_live(&self, attempt: AttemptId) -> bool {
        let now = Instant::now();
        self.calls()
            .get(&attempt)
            .is_some_and(|call| call.is_live(now))
    }

    /// Whether a person was spoken to, or a letter was taken.
    pub fn talked(&self, attempt: AttemptId) -> bool {
        let letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.contains_key(&attempt) || self.calls().get(&attempt).is_some_and(|call| call.talked)
    }

    fn manner(&self) -> Manner {
        if self.dice.per_mille(self.reached) {
            return Manner::Talks;
        }
        match self.dice.below(20) {
            0..=4 => Manner::Busy,
            5..=11 => Manner::NoAnswer,
            12..=13 => Manner::Machine,
            14 => Manner::Invalid,
            15 => Manner::Declined,
            16..=17 => Manner::RouteFault,
            18 => Manner::Lost,
            _ => Manner::NeverAgain,
        }
    }

    fn hang_up(&self, attempt: AttemptId) {
        let now = Instant::now();
        if let Some(call) = self.calls().get_mut(&attempt) {
            for until in [&mut call.near_until, &mut call.far_until]
                .into_iter()
                .flatten()
            {
                *until = (*until).min(now);
            }
            call.hung_up.notify_one();
        }
    }
}

/// One node's way to the town.
pub struct Exchange {
    pub town: Arc<Town>,
    pub life: Arc<Life>,
    pub watch: Arc<Watch>,
    pub by_mail: bool,
}

#[async_trait]
impl Channel for Exchange {
    fn name(&self) -> &'static str {
        if self.by_mail { "post" } else { "town" }
    }

    fn serves(&self, response_type: ResponseType) -> bool {
        (response_type == ResponseType::Email) == self.by_mail
    }

    fn reserve(&self, _order: &Order) -> Result<Places, Unready> {
        match self.town.dice.below(200) {
            0 => Err(Unready::Down(self.town.dice.seconds(0, 60))),
            1..=3 => Err(Unready::Wait(self.town.dice.seconds(0, 5))),
            _ => Ok(Places::unlimited()),
        }
    }

    async fn prepare(&self, order: &Order, _: &Places) -> Value {
        json!({ "attempt": order.attempt })
    }

    async fn attempt(
        &self,
        order: Order,
        _places: Places,
        progress: mpsc::Sender<Progress>,
        stop: CancellationToken,
    ) -> Outcome {
        self.life.step().await;
        if stop.is_cancelled() {
            return stopped();
        }
        if self.by_mail {
            return self.send(&order).await;
        }
        let call = OneCall {
            exchange: self,
            order: &order,
            progress,
            stop,
            hung_up: Arc::new(Notify::new()),
        };
        let outcome = call.run().await;
        self.life.step().await;
        self.town.hang_up(order.attempt);
        outcome
    }

    async fn end_orphan(&self, order_legs: Value) -> Option<Outcome> {
        self.life.step().await;
        let attempt = serde_json::from_value(order_legs["attempt"].clone()).ok()?;
        if self.by_mail {
            return None;
        }
        let learned = {
            let calls = self.town.calls();
            let call = calls.get(&attempt);
            let live = call.is_some_and(|call| call.is_live(Instant::now()));
            match call {
                None => Some(stopped()),
                Some(call) if call.far_until.is_none() => Some(stopped()),
                Some(call) if live && !call.answered => {
                    Some(ended(CallResult::DROPPED_NO_ANSWER, Verdict::NoAnswer))
                }
                Some(_) => None,
            }
        };
        self.town.hang_up(attempt);
        let longest = if self.town.dice.per_mille(200) { 50 } else { 1 };
        tokio::time::sleep(self.town.dice.seconds(0, longest)).await;
        self.life.step().await;
        // The peer may not know, or its answer may be lost.
        learned.filter(|_| self.town.dice.per_mille(500))
    }

    fn routes(&self) -> Vec<RouteHealth> {
        Vec::new()
    }

    async fn shutdown(&self) {}
}

impl Exchange {
    async fn send(&self, order: &Order) -> Outcome {
        self.watch.placed(order, true).await;
        let manner = self.town.manner();
        if matches!(manner, Manner::Talks | Manner::Lost) {
            let mut letters = self
                .town
                .letters
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            letters.insert(order.attempt, order.contact.expose().to_owned());
        }
        tokio::time::sleep(self.town.dice.seconds(0, 20)).await;
        self.life.step().await;
        match manner {
            Manner::Talks => ended(CallResult::OK, Verdict::Reached),
            Manner::Busy | Manner::NoAnswer => ended(CallResult::NO_ANSWER, Verdict::Deferred),
            Manner::Invalid => ended(CallResult::SIT_INVALID_NUM, Verdict::Invalid),
            Manner::Lost => Outcome::unknown("no answer"),
            Manner::Machine | Manner::Declined | Manner::NeverAgain | Manner::RouteFault => {
                ended(CallResult::ALL_TRUNKS_BUSY, Verdict::RouteFault)
            }
        }
    }
}

/// One call being set up, agent first or customer first.
struct OneCall<'a> {
    exchange: &'a Exchange,
    order: &'a Order,
    progress: mpsc::Sender<Progress>,
    stop: CancellationToken,
    hung_up: Arc<Notify>,
}

/// How a wait ended.
enum Woken {
    InTime,
    Stopped,
    HungUp,
}

impl OneCall<'_> {
    async fn run(&self) -> Outcome {
        let (town, order) = (&self.exchange.town, self.order);
        // The near phone.
        if !self.announce().await {
            return stopped();
        }
        self.exchange.watch.near_rings(order);
        self.open();
        if let Near::Agent { .. } = order.near {
            let picks_up = !town.dice.per_mille(40);
            let wait = if picks_up {
                town.dice.seconds(0, 8)
            } else {
                order.ring_agent
            };
            match self.wait(wait).await {
                Woken::InTime if picks_up => self.tell(Progress::Answered { party: "agent" }).await,
                Woken::InTime => {
                    return ended(CallResult::AGENT_CALLBACK_ERROR, Verdict::AgentFault);
                }
                Woken::Stopped | Woken::HungUp => return stopped(),
            }
        }
        // The customer's.
        if !self.announce().await {
            return stopped();
        }
        let manner = town.manner();
        if manner == Manner::RouteFault {
            self.wait(Duration::from_millis(200)).await;
            return ended(CallResult::ALL_TRUNKS_BUSY, Verdict::RouteFault);
        }
        self.ring(manner).await
    }

    async fn ring(&self, manner: Manner) -> Outcome {
        let (town, order) = (&self.exchange.town, self.order);
        self.exchange.watch.placed(order, false).await;
        self.change(|call| call.far_until = Some(Instant::now() + RINGS_AT_MOST));
        self.tell(Progress::Ringing { party: "customer" }).await;
        let ring = match manner {
            Manner::NoAnswer => order.ring_customer,
            Manner::Busy | Manner::Invalid => town.dice.seconds(0, 3),
            _ => town.dice.seconds(1, 24),
        };
        match self.wait(ring).await {
            Woken::InTime => {}
            Woken::Stopped => return stopped(),
            Woken::HungUp => return ended(CallResult::NO_ANSWER, Verdict::NoAnswer),
        }
        match manner {
            Manner::Busy => return ended(CallResult::BUSY, Verdict::Busy),
            Manner::NoAnswer => return ended(CallResult::NO_ANSWER, Verdict::NoAnswer),
            Manner::Machine => return ended(CallResult::ANSWERING_MACHINE, Verdict::Machine),
            Manner::Invalid => return ended(CallResult::SIT_INVALID_NUM, Verdict::Invalid),
            Manner::Declined => return ended(CallResult::DROPPED, Verdict::Declined),
            Manner::NeverAgain => return ended(CallResult::DO_NOT_CALL, Verdict::DoNotCall),
            Manner::RouteFault | Manner::Lost | Manner::Talks => {}
        }
        let talk = town.dice.seconds(5, 900);
        self.change(|call| {
            call.answered = true;
            call.talked = true;
            let until = Instant::now() + talk;
            call.far_until = Some(until);
            call.near_until = call.near_until.map(|_| until);
        });
        self.tell(Progress::Answered { party: "customer" }).await;
        self.tell(Progress::Connected {
            route: Some("town".to_owned()),
        })
        .await;
        self.wait(talk).await;
        if manner == Manner::Lost {
            return Outcome::unknown("no answer");
        }
        let mut outcome = ended(CallResult::OK, Verdict::Reached);
        outcome.talk_ms = Some(u64::try_from(talk.as_millis()).unwrap_or(u64::MAX));
        outcome
    }

    /// As the SIP channel does before every INVITE: what will leave is stored first, and whoever finds
    /// the claim lost says stop before the receipt is dropped.
    async fn announce(&self) -> bool {
        self.exchange.life.step().await;
        let (held, dropped) = oneshot::channel::<()>();
        let legs = json!({ "attempt": self.order.attempt });
        if self
            .progress
            .send(Progress::Legs(legs, Receipt::before_a_ring(held)))
            .await
            .is_err()
        {
            return false;
        }
        let _ = dropped.await;
        !self.stop.is_cancelled()
    }

    async fn tell(&self, progress: Progress) {
        self.exchange.life.step().await;
        if self.progress.send(progress).await.is_err() {
            self.stop.cancel();
        }
    }

    async fn wait(&self, span: Duration) -> Woken {
        let woken = tokio::select! {
            biased;
            () = self.stop.cancelled() => Woken::Stopped,
            () = self.hung_up.notified() => Woken::HungUp,
            () = tokio::time::sleep(span) => Woken::InTime,
        };
        self.exchange.life.step().await;
        woken
    }

    /// The near phone rings.
    fn open(&self) {
        let (agent, dn) = match &self.order.near {
            Near::Agent { id, .. } => (Some(id.0), None),
            Near::Dn { .. } => (None, self.exchange.watch.queue_of(self.order.callback)),
            Near::Nobody => (None, None),
        };
        let call = Call {
            contact: self.order.contact.expose().to_owned(),
            agent,
            dn,
            near_until: Some(Instant::now() + RINGS_AT_MOST),
            far_until: None,
            answered: false,
            talked: false,
            hung_up: self.hung_up.clone(),
        };
        self.exchange.town.calls().insert(self.order.attempt, call);
    }

    fn change(&self, change: impl FnOnce(&mut Call)) {
        if let Some(call) = self.exchange.town.calls().get_mut(&self.order.attempt) {
            change(call);
        }
    }
}

/// What else is in the air besides one attempt: for the rules between calls.
pub struct Others {
    pub same_number: Option<AttemptId>,
    pub same_agent: Option<AttemptId>,
    pub same_dn: usize,
}

impl Town {
    pub fn others(&self, order: &Order, queue: Option<&QueueId>) -> Others {
        let now = Instant::now();
        let calls = self.calls();
        let live = || {
            calls
                .iter()
                .filter(|(attempt, call)| **attempt != order.attempt && call.is_live(now))
        };
        let contact = order.contact.expose();
        let agent = match &order.near {
            Near::Agent { id, .. } => Some(id.0),
            Near::Dn { .. } | Near::Nobody => None,
        };
        Others {
            same_number: live()
                .find(|(_, call)| {
                    call.contact == contact && call.far_until.is_some_and(|until| now < until)
                })
                .map(|(attempt, _)| *attempt),
            same_agent: live()
                .find(|(_, call)| agent.is_some() && call.agent == agent)
                .map(|(attempt, _)| *attempt),
            same_dn: live()
                .filter(|(_, call)| queue.is_some() && call.dn.as_ref() == queue)
                .count(),
        }
    }
}

fn ended(result: CallResult, verdict: Verdict) -> Outcome {
    let mut outcome = Outcome::new(result, verdict, PlatformCode::new("town", None, ""));
    outcome.route = Some("town".to_owned());
    outcome
}

fn stopped() -> Outcome {
    ended(CallResult::DROPPED, Verdict::Stopped)
}
