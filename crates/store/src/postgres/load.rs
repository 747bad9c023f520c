//! Fetches rows into the working set: by the key, for many keys in one statement, and for many tables on one journey.

use super::columns::{agent_of, attempt_of, customer_of, get, named};
use super::locks::Lock;
use super::memory::About;
use super::session::{Ask, Value};
use super::set::{
    AgentRow, AnswerSeen, AttemptRow, Call, CallbackKey, CallbackRow, ContactKey, CustomerRow,
    Fresh, QueueKey,
};
use super::tables::PgTables;
use crate::Result;
use crate::facts::{NUMBER_CALLS_READ, NUMBER_DAY};
use crate::rows::{callback_of, customer_id, int, ms, queue_id, tenant_of, time, unsigned};
use crate::tables::{AnswerRow, InteractionRow, Needs, QueueRow};
use crate::verbs::slots;
use ringback_callbacks::contact::Contact;
use ringback_callbacks::ids::{AgentId, AttemptId, CustomerId, InteractionId, TenantId};
use ringback_callbacks::wire_time;
use std::rc::Rc;
use tokio_postgres::Row;
use uuid::Uuid;

mod sql;

use sql::*;

/// Open callbacks of one contact looked at.
const OPEN_READ: i64 = 64;

/// Keys to be fetched, table by table; what the set has already is left out.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    callbacks: Vec<CallbackKey>,
    of_attempts: Vec<(TenantId, AttemptId)>,
    queues: Vec<(TenantId, ringback_callbacks::ids::QueueId)>,
    customers: Vec<(TenantId, CustomerId)>,
    contacts: Vec<ContactKey>,
    calls: Vec<ContactKey>,
    open: Vec<ContactKey>,
    agents: Vec<(TenantId, AgentId)>,
    interactions: Vec<CallbackKey>,
    answers: Vec<(TenantId, i64, String)>,
    places: Vec<(QueueKey, i64, i64)>,
}

macro_rules! want {
    ($($name:ident: $key:ty => $list:ident in $shelf:ident),+ $(,)?) => {
        $(pub(super) fn $name(&mut self, tables: &PgTables<'_>, key: $key) {
            if !tables.set.borrow().$shelf.has(&key) && !self.$list.contains(&key) {
                self.$list.push(key);
            }
        })+
    };
}

impl Wanted {
    want! {
        callback: CallbackKey => callbacks in callbacks,
        queue: (TenantId, ringback_callbacks::ids::QueueId) => queues in queues,
        customer: (TenantId, CustomerId) => customers in customers,
        contact: ContactKey => contacts in contacts,
        calls: ContactKey => calls in calls,
        open: ContactKey => open in open,
        agent: (TenantId, AgentId) => agents in agents,
        interaction: CallbackKey => interactions in interactions,
        attempt: (TenantId, AttemptId) => of_attempts in attempts,
        answer: (TenantId, i64, String) => answers in answers,
    }

    /// What is taken of the slots that begin in a stretch.
    pub(super) fn places(&mut self, queue: QueueKey, from: i64, to: i64) {
        self.places.push((queue, from, to));
    }

    /// What a decision about a callback looks at, and the locks that it takes.
    fn about(
        &mut self,
        tables: &PgTables<'_>,
        tenant: &TenantId,
        about: &About,
        locks: &mut Vec<Lock>,
    ) {
        self.queue(tables, (tenant.clone(), about.queue.clone()));
        self.customer(tables, (tenant.clone(), about.customer.clone()));
        let contact = (tenant.clone(), about.contact.clone());
        if tables.writing && about.calling {
            locks.push(super::locks::contact(tenant, &about.contact));
        }
        self.contact(tables, contact.clone());
        if !about.by_mail {
            self.calls(tables, contact);
        }
        if let Some(agent) = about.agent {
            self.agent(tables, (tenant.clone(), agent));
        }
        if let Some(attempt) = about.attempt {
            self.attempt(tables, (tenant.clone(), attempt));
        }
    }
}

impl PgTables<'_> {
    /// Locks what the jobs' contacts need, and fetches what the jobs are about.
    pub(super) fn begin_with(&self, needs: &[&Needs]) -> Result<()> {
        let now = needs.iter().filter_map(|needs| needs.now).max();
        if let Some(now) = now {
            self.now.set(self.now.get().max(ms(now)));
        }
        let mut wanted = Wanted::default();
        let (mut locks, mut counted) = (Vec::new(), Vec::new());
        for needs in needs {
            for key in &needs.queues {
                wanted.queue(self, key.clone());
                // Where nothing is said of when, all of its days may come to be counted.
                if self.slotted.borrow().contains_key(key)
                    && !needs.places.iter().any(|wish| wish.queue == *key)
                {
                    locks.push(super::locks::slots(&key.0, &key.1));
                }
            }
            for key in &needs.contacts {
                locks.push(super::locks::contact(&key.0, &key.1));
                wanted.contact(self, key.clone());
                wanted.open(self, key.clone());
                if !key.1.contains('@') {
                    wanted.calls(self, key.clone());
                }
            }
            for key in &needs.customers {
                wanted.customer(self, key.clone());
            }
            for key in &needs.callbacks {
                wanted.callback(self, key.clone());
                if let Some(about) = self.memory.and_then(|memory| memory.of(key)) {
                    wanted.about(self, &key.0, &about, &mut locks);
                }
            }
            for key in &needs.held {
                wanted.callback(self, key.clone());
            }
            for key in &needs.attempts {
                wanted.attempt(self, key.clone());
            }
            for key in &needs.interactions {
                wanted.interaction(self, key.clone());
            }
            for key in &needs.made {
                if self.trusting {
                    let mut set = self.set.borrow_mut();
                    set.interactions.load(key.clone(), None);
                } else {
                    wanted.interaction(self, key.clone());
                }
            }
            for wish in &needs.places {
                let Some(queue) = self.slotted.borrow().get(&wish.queue).cloned() else {
                    continue;
                };
                let stretch = needs.now.and_then(|now| slots::foreseen(&queue, wish, now));
                if let Some((from, to)) = stretch {
                    let (from, to) = (ms(from), ms(to));
                    wanted.places(wish.queue.clone(), from, to);
                    counted.push((queue, from, to));
                }
            }
            for key in &needs.answers {
                wanted.answer(self, key.clone());
            }
        }
        locks.extend(self.held.borrow().stretches(&counted));
        self.fetch(wanted, locks)?;
        let about: Vec<CallbackKey> = needs
            .iter()
            .flat_map(|needs| needs.callbacks.iter().cloned())
            .collect();
        self.fetch_about(&about)
    }

    /// What decisions about these callbacks look at; the callbacks themselves are in the set.
    pub(super) fn fetch_about(&self, keys: &[CallbackKey]) -> Result<()> {
        let mut wanted = Wanted::default();
        let mut locks = Vec::new();
        for key in keys {
            let row = self.set.borrow().callbacks.get(key).cloned();
            let Some(callback) = row.and_then(|row| row.callback) else {
                continue;
            };
            wanted.about(self, &key.0, &About::of(&callback), &mut locks);
        }
        self.fetch(wanted, locks)
    }

    /// One journey for all of it.
    pub(super) fn fetch(&self, wanted: Wanted, locks: Vec<Lock>) -> Result<()> {
        let Wanted {
            callbacks,
            of_attempts,
            queues,
            customers,
            contacts,
            calls,
            open,
            agents,
            interactions,
            answers,
            places,
        } = wanted;
        let places = stretches(places);
        let locks = self.not_yet_held(locks);
        let from = self
            .now
            .get()
            .saturating_sub(i64::try_from(NUMBER_DAY.as_millis()).unwrap_or(i64::MAX));
        let now = self.now.get();
        let (limit, open_read) = (int(NUMBER_CALLS_READ as u64), OPEN_READ);
        let pairs = |keys: &[CallbackKey]| -> (Vec<String>, Vec<Uuid>) {
            (
                keys.iter().map(|key| key.0.to_string()).collect(),
                keys.iter().map(|key| key.1.0).collect(),
            )
        };
        let named = |keys: &[ContactKey]| -> (Vec<String>, Vec<String>) {
            keys.iter()
                .map(|key| (key.0.to_string(), key.1.clone()))
                .unzip()
        };
        let of_callbacks = pairs(&callbacks);
        let attempt_keys: (Vec<String>, Vec<Uuid>) = of_attempts
            .iter()
            .map(|key| (key.0.to_string(), key.1.0))
            .unzip();
        let queue_keys: (Vec<String>, Vec<String>) = queues
            .iter()
            .map(|key| (key.0.to_string(), key.1.to_string()))
            .unzip();
        let customer_keys: (Vec<String>, Vec<String>) = customers
            .iter()
            .map(|key| (key.0.to_string(), key.1.to_string()))
            .unzip();
        let (contact_keys, call_keys, open_keys) = (named(&contacts), named(&calls), named(&open));
        let agent_keys: (Vec<String>, Vec<i64>) = agents
            .iter()
            .map(|key| (key.0.to_string(), key.1.0))
            .unzip();
        let interaction_keys = pairs(&interactions);
        let (mut answer_tenants, mut applications, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for (tenant, application, key) in &answers {
            answer_tenants.push(tenant.to_string());
            applications.push(*application);
            keys.push(key.clone());
        }
        let (mut place_tenants, mut place_queues) = (Vec::new(), Vec::new());
        let (mut place_froms, mut place_tos) = (Vec::new(), Vec::new());
        for ((tenant, queue), from, to) in &places {
            place_tenants.push(tenant.as_str());
            place_queues.push(queue.as_str());
            place_froms.push(*from);
            place_tos.push(*to);
        }

        let mut asks: Vec<Ask<'_>> = Vec::new();
        let mut reads: Vec<Reading> = Vec::new();
        if !locks.is_empty() {
            asks.push(locks.ask());
            reads.push(Reading::Nothing);
        }
        let groups: [(bool, &'static str, Vec<&dyn Value>, Reading); 13] = [
            (
                !callbacks.is_empty(),
                CALLBACKS,
                vec![&of_callbacks.0, &of_callbacks.1],
                Reading::Callbacks,
            ),
            (
                !of_attempts.is_empty(),
                ATTEMPTS,
                vec![&attempt_keys.0, &attempt_keys.1],
                Reading::Attempts,
            ),
            (
                !of_attempts.is_empty(),
                OF_ATTEMPTS,
                vec![&attempt_keys.0, &attempt_keys.1],
                Reading::Callbacks,
            ),
            (
                !queues.is_empty(),
                QUEUES,
                vec![&queue_keys.0, &queue_keys.1],
                Reading::Queues,
            ),
            (
                !customers.is_empty(),
                CUSTOMERS,
                vec![&customer_keys.0, &customer_keys.1],
                Reading::Customers,
            ),
            (
                !contacts.is_empty(),
                CONTACTS,
                vec![&contact_keys.0, &contact_keys.1],
                Reading::Contacts,
            ),
            (
                !calls.is_empty(),
                CALLS,
                vec![&call_keys.0, &call_keys.1, &from, &limit],
                Reading::Calls,
            ),
            (
                !open.is_empty(),
                OPEN,
                vec![&open_keys.0, &open_keys.1, &open_read],
                Reading::Open,
            ),
            (
                !agents.is_empty(),
                AGENTS,
                vec![&agent_keys.0, &agent_keys.1],
                Reading::Agents,
            ),
            (
                !interactions.is_empty(),
                INTERACTIONS,
                vec![&interaction_keys.0, &interaction_keys.1],
                Reading::Interactions,
            ),
            (
                !answers.is_empty(),
                ANSWERS,
                vec![&answer_tenants, &applications, &keys, &now],
                Reading::Answers,
            ),
            (
                !places.is_empty(),
                BOOKED,
                vec![&place_tenants, &place_queues, &place_froms, &place_tos],
                Reading::Booked,
            ),
            (
                !places.is_empty(),
                HELD,
                vec![&place_tenants, &place_queues, &place_froms, &place_tos],
                Reading::Held,
            ),
        ];
        for (present, sql, values, reading) in groups {
            if present {
                asks.push(Ask::With(sql, values));
                reads.push(reading);
            }
        }
        if asks.is_empty() {
            return Ok(());
        }
        let found = self.fly(asks)?;
        self.held.borrow_mut().add(&locks);
        for (rows, reading) in found.iter().zip(&reads) {
            for row in rows {
                self.take(row, reading)?;
            }
        }
        // What was not found is known not to be there.
        let mut set = self.set.borrow_mut();
        for (queue, from, to) in places {
            set.slots.entry(queue).or_default().read.push((from, to));
        }
        for key in callbacks {
            set.callbacks.load(key, no_callback());
        }
        for key in of_attempts {
            set.attempts.load(
                key,
                AttemptRow {
                    attempt: None,
                    fresh: Fresh::Same,
                    by_mail: false,
                    legs: false,
                },
            );
        }
        for key in queues {
            set.queues.load(key, None);
        }
        for key in customers {
            set.customers.load(
                key,
                CustomerRow {
                    customer: None,
                    stored: 0,
                },
            );
        }
        for key in contacts {
            set.contacts.load(key, None);
        }
        for key in calls {
            set.calls.load(key, Rc::default());
        }
        for key in open {
            set.open.load(key, Rc::default());
        }
        for key in agents {
            set.agents.load(
                key,
                AgentRow {
                    agent: None,
                    engaged: None,
                    idle_since: None,
                    away: false,
                },
            );
        }
        for key in interactions {
            set.interactions.load(key, None);
        }
        for key in answers {
            set.answers.load(
                key,
                AnswerSeen {
                    row: None,
                    keep: None,
                },
            );
        }
        Ok(())
    }

    fn take(&self, row: &Row, reading: &Reading) -> Result<()> {
        match reading {
            Reading::Nothing => Ok(()),
            Reading::Callbacks => self.take_callback(row, false).map(drop),
            Reading::Attempts => {
                let (attempt, by_mail) = attempt_of(row)?;
                let key = (attempt.tenant.clone(), attempt.id);
                self.set.borrow_mut().attempts.load(
                    key,
                    AttemptRow {
                        attempt: Some(Rc::new(attempt)),
                        fresh: Fresh::Same,
                        by_mail,
                        legs: false,
                    },
                );
                Ok(())
            }
            Reading::Queues => {
                let tenant = tenant_of(get::<&str>(row, 0)?, "queues")?;
                let id = queue_id(get::<&str>(row, 1)?)?;
                let queue = QueueRow {
                    doc: get(row, 2)?,
                    dialling_paused: get(row, 3)?,
                    removed: get(row, 4)?,
                    revision: unsigned(get(row, 5)?, "queues", "revision")?,
                    created_at: time(get(row, 6)?, "queues", "created_at")?,
                };
                self.set
                    .borrow_mut()
                    .queues
                    .load((tenant, id), Some(Rc::new(queue)));
                Ok(())
            }
            Reading::Customers => self.take_customer(row, 0),
            Reading::Contacts => {
                let tenant = tenant_of(get::<&str>(row, 0)?, "customer_contacts")?;
                let contact: String = get(row, 1)?;
                let owner = customer_id(get::<&str>(row, 2)?, "customer_contacts")?;
                self.set
                    .borrow_mut()
                    .contacts
                    .load((tenant, contact), Some(owner));
                match get::<Option<&str>>(row, 4)? {
                    Some(_) => self.take_customer(row, 3),
                    None => Ok(()),
                }
            }
            Reading::Calls => {
                let tenant = tenant_of(get::<&str>(row, 0)?, "recent_calls")?;
                let key = (tenant, get::<String>(row, 1)?);
                let call = Call {
                    attempt: AttemptId(get(row, 2)?),
                    callback: InteractionId(get(row, 3)?),
                    began_at: get(row, 4)?,
                    in_call: get(row, 5)?,
                    rang: get(row, 6)?,
                };
                let mut set = self.set.borrow_mut();
                let mut calls = set
                    .calls
                    .get(&key)
                    .map(|calls| (**calls).clone())
                    .unwrap_or_default();
                calls.push(call);
                set.calls.reload(key, Rc::new(calls));
                Ok(())
            }
            Reading::Open => {
                let tenant = tenant_of(get::<&str>(row, 0)?, "callback_contacts")?;
                let key = (tenant.clone(), get::<String>(row, 1)?);
                let id = self.take_callback(row, false)?;
                let mut set = self.set.borrow_mut();
                let mut open = set
                    .open
                    .get(&key)
                    .map(|open| (**open).clone())
                    .unwrap_or_default();
                open.push(id.1);
                set.open.reload(key, Rc::new(open));
                Ok(())
            }
            Reading::Agents => self.take_agent(row),
            Reading::Interactions => {
                let tenant = tenant_of(get::<&str>(row, 0)?, "interactions")?;
                let known = InteractionRow {
                    allow_children: get(row, 2)?,
                    thread: get(row, 3)?,
                };
                let id = InteractionId(get(row, 1)?);
                self.set
                    .borrow_mut()
                    .interactions
                    .load((tenant, id), Some(known));
                Ok(())
            }
            Reading::Booked => {
                let key = queue_key(row, "slot_counts")?;
                let (start, booked) = (get(row, 2)?, i64::from(get::<i32>(row, 3)?));
                let mut set = self.set.borrow_mut();
                let book = set.slots.entry(key).or_default();
                let here = book.deltas.get(&start).copied().unwrap_or(0);
                book.booked.insert(start, booked + here);
                Ok(())
            }
            Reading::Held => {
                let key = queue_key(row, "slot_places")?;
                let hold = (get(row, 2)?, get(row, 3)?, get(row, 4)?);
                let mut set = self.set.borrow_mut();
                let book = set.slots.entry(key).or_default();
                if !book.holds.contains(&hold) {
                    book.holds.push(hold);
                }
                Ok(())
            }
            Reading::Answers => {
                let tenant = tenant_of(get::<&str>(row, 0)?, "idempotency")?;
                let key = (tenant, get::<i64>(row, 1)?, get::<String>(row, 2)?);
                let answer = AnswerRow {
                    fingerprint: get(row, 3)?,
                    answer: get(row, 4)?,
                };
                self.set.borrow_mut().answers.load(
                    key,
                    AnswerSeen {
                        row: Some(Rc::new(answer)),
                        keep: None,
                    },
                );
                Ok(())
            }
        }
    }

    /// A row that has `tenant`, `id`, `doc`, `writes` in columns of these names. `locked`: it is newer than what the
    /// set may have.
    pub(super) fn take_callback(&self, row: &Row, locked: bool) -> Result<CallbackKey> {
        let tenant = tenant_of(named::<&str>(row, "tenant")?, "callbacks")?;
        let id = InteractionId(named(row, "id")?);
        let key = (tenant, id);
        if !locked && self.set.borrow().callbacks.has(&key) {
            return Ok(key);
        }
        let callback = callback_of(named::<&str>(row, "doc")?);
        let mut set = self.set.borrow_mut();
        match callback {
            Ok(callback) => {
                let row = CallbackRow {
                    callback: Some(Rc::new(callback)),
                    writes: named(row, "writes")?,
                    fresh: Fresh::Same,
                    common: false,
                    contacts: false,
                    old_contacts: None,
                };
                set.damaged.remove(&key);
                set.callbacks.reload(key.clone(), row);
            }
            // Whoever asks for this one is told; the others of the journey are not kept from theirs.
            Err(error) => {
                set.damaged.insert(key.clone(), error.to_string());
                set.callbacks.reload(key.clone(), no_callback());
            }
        }
        Ok(key)
    }

    /// The columns of `CUSTOMER`, from the one at `at`.
    fn take_customer(&self, row: &Row, at: usize) -> Result<()> {
        let customer = customer_of(row, at)?;
        let key = (customer.tenant.clone(), customer.id.clone());
        let stored = customer.revision;
        self.set.borrow_mut().customers.load(
            key,
            CustomerRow {
                customer: Some(Rc::new(customer)),
                stored,
            },
        );
        Ok(())
    }

    pub(super) fn take_agent(&self, row: &Row) -> Result<()> {
        let agent = agent_of(row)?;
        let key = (agent.tenant.clone(), agent.id);
        let engaged = agent.engaged;
        self.set.borrow_mut().agents.load(
            key,
            AgentRow {
                agent: Some(Rc::new(agent)),
                engaged,
                idle_since: None,
                away: false,
            },
        );
        Ok(())
    }
}

enum Reading {
    Nothing,
    Callbacks,
    Attempts,
    Queues,
    Customers,
    Contacts,
    Calls,
    Open,
    Agents,
    Interactions,
    Answers,
    Booked,
    Held,
}

/// Stretches that meet or overlap are one.
fn stretches(mut places: Vec<(QueueKey, i64, i64)>) -> Vec<(QueueKey, i64, i64)> {
    places.sort_unstable();
    places.dedup_by(|next, last| {
        let meet = next.0 == last.0 && next.1 <= last.2;
        if meet {
            last.2 = last.2.max(next.2);
        }
        meet
    });
    places
}

fn queue_key(row: &Row, table: &'static str) -> Result<QueueKey> {
    Ok((
        tenant_of(get::<&str>(row, 0)?, table)?,
        queue_id(get::<&str>(row, 1)?)?,
    ))
}

pub(super) fn no_callback() -> CallbackRow {
    CallbackRow {
        callback: None,
        writes: 0,
        fresh: Fresh::Same,
        common: false,
        contacts: false,
        old_contacts: None,
    }
}

/// Calls of a number since `from`, and the one that another callback has going on.
pub(super) fn facts_of(
    calls: &[Call],
    of: InteractionId,
    from: i64,
) -> ringback_callbacks::guard::NumberFacts {
    let mut placed: Vec<i64> = calls
        .iter()
        .filter(|call| call.rang && call.began_at > from)
        .map(|call| call.began_at)
        .collect();
    placed.sort_unstable();
    let skip = placed.len().saturating_sub(NUMBER_CALLS_READ);
    ringback_callbacks::guard::NumberFacts {
        placed_last_day: placed[skip..]
            .iter()
            .filter_map(|at| wire_time::from_ms(*at))
            .collect(),
        in_call_with: calls
            .iter()
            .find(|call| call.in_call && call.callback != of)
            .map(|call| call.callback),
    }
}

/// Whether there is a call to be counted behind this contact.
pub(super) fn is_called(contact: &Contact) -> bool {
    match contact {
        Contact::Phone(_) | Contact::Voip(_) => true,
        Contact::Email(_) => false,
    }
}
