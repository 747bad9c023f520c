//! Whoever watches the day: reads every event as it is written, asks the guards' questions a second time
//! at every attempt, and keeps a list of the promises that were broken.

use crate::phones::Town;
use crate::plan::{Plan, awake};
use crate::story::Story;
use jiff::{SignedDuration, Timestamp};
use ringback_callbacks::callback::Callback;
use ringback_callbacks::contact::Contact;
use ringback_callbacks::event::{Event, EventKind};
use ringback_callbacks::ids::{AttemptId, InteractionId, QueueId, TenantId};
use ringback_callbacks::outcome::Verdict;
use ringback_callbacks::state::State;
use ringback_channels::Order;
use ringback_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub struct Watch {
    pub raw: Arc<dyn Store>,
    pub plan: Plan,
    pub town: Arc<Town>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    stories: BTreeMap<InteractionId, Story>,
    queues: BTreeMap<InteractionId, QueueId>,
    last_event: i64,
    placed: BTreeSet<AttemptId>,
    /// Contacts of people who asked never to be called.
    forbidden: BTreeSet<String>,
    breaches: Vec<String>,
    digest: DefaultHasher,
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

impl Watch {
    pub fn new(raw: Arc<dyn Store>, plan: Plan, town: Arc<Town>) -> Arc<Watch> {
        Arc::new(Watch {
            raw,
            plan,
            town,
            known: Mutex::default(),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn breach(&self, what: String) {
        self.known().breaches.push(what);
    }

    pub fn breaches(&self) -> Vec<String> {
        self.known().breaches.clone()
    }

    /// Stands for all that happened: the same day has the same digest.
    pub fn digest(&self) -> u64 {
        self.known().digest.finish()
    }

    pub fn events(&self) -> i64 {
        self.known().last_event
    }

    pub fn forbid(&self, contacts: &[String]) {
        self.known().forbidden.extend(contacts.iter().cloned());
    }

    pub fn queue_of(&self, callback: InteractionId) -> Option<QueueId> {
        self.known().queues.get(&callback).cloned()
    }

    /// Reads what was written since the last look; the events are handed on to whoever reacts to them.
    pub async fn catch_up(&self) -> Vec<Event> {
        let after = self.known().last_event;
        let tenant = TenantId::default();
        let events = self
            .raw
            .events_after(&tenant, after, 1000)
            .await
            .expect("events");
        let mut known = self.known();
        let mut breaches = Vec::new();
        for event in &events {
            if event.seq <= known.last_event {
                breaches.push(format!("event {} came twice", event.seq));
            }
            known.last_event = event.seq;
            (event.seq, &event.hash).hash(&mut known.digest);
            let story = known
                .stories
                .entry(event.callback)
                .or_insert_with(Story::new);
            if let Err(why) = story.read(event) {
                breaches.push(format!("{}: {why}", event.callback));
            }
        }
        known.breaches.extend(breaches);
        drop(known);
        for event in &events {
            self.judge_outcome(event);
        }
        events
    }

    /// Nobody is said to have been reached who was not.
    fn judge_outcome(&self, event: &Event) {
        if event.kind == EventKind::AttemptEnded
            && crate::story::text(event, "verdict") == "reached"
            && let Ok(attempt) = crate::story::text(event, "attempt").parse()
            && !self.town.talked(attempt)
        {
            self.breach(format!("{}: reached without a talk", event.callback));
        }
    }

    /// An attempt has just been recorded, with `now` as the node saw it: was it allowed?
    pub async fn begun(&self, callback: &Callback, attempt: AttemptId, now: Timestamp) {
        let id = callback.interaction.id;
        if !matches!(&callback.state, State::Dialling { attempt: live, .. } if *live == attempt) {
            return;
        }
        self.known().queues.insert(id, callback.queue.clone());
        if let Err(why) = self.allowed(callback, attempt, now).await {
            self.breach(format!("{id}: dialled at {now} {why}"));
        }
    }

    async fn allowed(
        &self,
        callback: &Callback,
        attempt: AttemptId,
        now: Timestamp,
    ) -> Result<(), String> {
        let tenant = TenantId::default();
        let queue = self
            .plan
            .queues
            .iter()
            .find(|queue| queue.id == callback.queue);
        let queue = queue.ok_or("in a queue that does not exist")?;
        if !queue.hours.open(now) {
            return Err(format!("while {} is closed", queue.id));
        }
        if now < callback.window.start || callback.window.end.is_some_and(|end| now >= end) {
            return Err("outside its window".to_owned());
        }
        let stored = self.raw.queue(&tenant, &queue.id).await.ok().flatten();
        if stored.is_none_or(|stored| stored.dialling_paused) {
            return Err("while dialling is paused".to_owned());
        }
        let contact = callback.contact().expose().to_owned();
        if self.known().forbidden.contains(&contact) {
            return Err("against their wish".to_owned());
        }
        let id = callback.interaction.id;
        let moved = self
            .known()
            .stories
            .get(&id)
            .is_some_and(|story| story.moved);
        if !moved && callback.attempts >= queue.rules.retry.max_attempts {
            return Err("once too often".to_owned());
        }
        if matches!(callback.contact(), Contact::Email(_)) {
            return Ok(());
        }
        if !callback.any_hour {
            let number = self
                .plan
                .numbers
                .iter()
                .find(|number| number.contact == contact);
            let zone = callback
                .time_zone
                .as_deref()
                .or(number.and_then(|number| number.zone))
                .unwrap_or(&queue.rules.hours.time_zone);
            if !awake(zone, now) {
                return Err(format!("in the night of {zone}"));
            }
        }
        self.within_limits(&contact, attempt, queue.rules.calls_per_number_per_day, now)
            .await
    }

    /// Calls that reached the customer's side in the last 24 hours, counted from the rows themselves.
    async fn within_limits(
        &self,
        contact: &str,
        attempt: AttemptId,
        limit: u32,
        now: Timestamp,
    ) -> Result<(), String> {
        let ids: Vec<InteractionId> = {
            let known = self.known();
            let tried = known.stories.iter().filter(|(_, story)| story.placed > 0);
            tried.map(|(id, _)| *id).collect()
        };
        let mut before = 0;
        for id in ids {
            let attempts = self.raw.attempts(&TenantId::default(), id).await;
            for one in attempts.map_err(|error| error.to_string())? {
                if one.contact != contact || one.id == attempt {
                    continue;
                }
                let verdict = one.outcome.as_ref().map(|outcome| outcome.verdict);
                let ours = matches!(verdict, Some(Verdict::RouteFault | Verdict::AgentFault));
                if one.ended_at.is_none() {
                    return Err("while another call to the number is recorded".to_owned());
                }
                let recent = now.duration_since(one.began_at) < DAY;
                before += u32::from(recent && (!ours || one.answered_at.is_some()));
            }
        }
        if before >= limit {
            return Err(format!("after {before} calls to the number in a day"));
        }
        Ok(())
    }

    /// The near phone starts to ring.
    pub fn near_rings(&self, order: &Order) {
        let queue = self.queue_of(order.callback);
        let others = self.town.others(order, queue.as_ref());
        if let Some(other) = others.same_agent {
            self.breach(format!("{}: the agent is still in {other}", order.attempt));
        }
        let places = self
            .plan
            .queues
            .iter()
            .find(|plan| Some(&plan.id) == queue.as_ref());
        let full =
            places.is_some_and(|plan| !plan.by_agents && others.same_dn >= plan.places as usize);
        if full && matches!(order.near, ringback_channels::Near::Dn { .. }) {
            self.breach(format!("{}: more calls than places", order.attempt));
        }
    }

    /// The customer's phone rings now, or the letter leaves the house.
    pub async fn placed(&self, order: &Order, by_mail: bool) {
        let breach = |why: &str| self.breach(format!("{} {why}", order.attempt));
        if !self.known().placed.insert(order.attempt) {
            breach("was placed twice");
        }
        {
            let mut known = self.known();
            (order.attempt.0, order.contact.expose()).hash(&mut known.digest);
        }
        let tenant = TenantId::default();
        let attempts = self
            .raw
            .attempts(&tenant, order.callback)
            .await
            .expect("attempts");
        let Some(row) = attempts.iter().find(|row| row.id == order.attempt) else {
            return breach("was placed before it was recorded");
        };
        if row.contact != order.contact.expose() {
            breach("rang somebody else than was recorded");
        }
        if by_mail {
            return;
        }
        let callback = self
            .raw
            .callback(&tenant, order.callback)
            .await
            .expect("a callback");
        let state = callback.map(|callback| callback.state);
        if !matches!(&state, Some(State::Dialling { attempt, .. } | State::Talking { attempt, .. }) if *attempt == order.attempt)
        {
            let name = state.as_ref().map_or("gone", State::name);
            breach(&format!("rang although the callback is {name}"));
        }
        if row.ended_at.is_some() {
            breach("rang after it had been settled");
        }
        if let Some(other) = self.town.others(order, None).same_number {
            breach(&format!("rang a number that {other} still rings"));
        }
    }

    /// Whether the row says what the events say.
    pub fn compare(&self, callback: &Callback) {
        let id = callback.interaction.id;
        let said = match self.known().stories.get(&id) {
            Some(story) => story.agrees(callback),
            None => Err("it has no events".to_owned()),
        };
        if let Err(why) = said {
            self.breach(format!("{id}: {why}"));
        }
    }
}
