//! Writes the working set: one statement a table, and all of them as one statement of the database.
//!
//! Each of a dozen statements costs its own reading, starting, answering and waking, which is more than a row. Written
//! as parts of one (`WITH a AS (INSERT …), b AS (UPDATE …)`) they see one snapshot and are carried out in no order that
//! could be relied on: no row may be written by two of them. Where that cannot be, a statement goes apart.
//!
//! Rows to be changed are found from the values that are sent, never the other way round. A planner that takes a table for
//! empty would as soon run through all of it and look each row up among the values; `LIMIT cardinality(…)`, which
//! leaves nothing out, makes it expect a tenth of them, and walking is made dear (`Target::session_setup`).
//!
//! Tables come in a fixed order and rows in the order of their keys, so that two transactions never wait for each
//! other in a circle. A row that is no longer what it was read as ends the transaction (`changed_meanwhile`).

use super::session::Value;
use super::set::{Fresh, Set, Written};
use crate::Result;
use crate::effects::{self, StateColumns};
use crate::rows::{customer_search, int, ms, unwritable};
use ringback_callbacks::callback::Callback;
use uuid::Uuid;

/// Values of any kinds. It stands before the modules so that they have it too.
macro_rules! values {
    ($($value:expr),+ $(,)?) => {
        vec![$(Box::new($value) as Box<dyn Value + '_>),+]
    };
}

mod attempts;
mod sql;
mod statement;

use attempts::attempts;
pub(super) use attempts::rang;
use sql::*;
pub(super) use statement::{Order, Statement, statements};

/// Everything that waits to be written. `offset` is the installation's own, `now` the latest moment a job went by;
/// `numbered`: the transaction had its number before it read all that this goes on from.
pub(super) fn orders<'a>(
    set: &'a Set,
    written: &'a Written,
    offset: i64,
    now: i64,
    numbered: bool,
) -> Result<Vec<Order<'a>>> {
    let mut orders = Vec::new();
    customers(set, written, &mut orders);
    contacts(set, written, &mut orders);
    callbacks(set, written, &mut orders)?;
    attempts(set, written, &mut orders)?;
    places(set, written, &mut orders);
    agents(set, written, &mut orders);
    aside(set, &mut orders);
    events(set, offset, numbered, &mut orders)?;
    answers(set, written, now, &mut orders);
    Ok(orders)
}

fn customers<'a>(set: &'a Set, written: &'a Written, orders: &mut Vec<Order<'a>>) {
    let rows = written
        .customers
        .iter()
        .filter_map(|key| set.customers.get(key))
        .filter_map(|row| Some((row.customer.as_deref()?, row.stored)));
    let (new, changed): (Vec<_>, Vec<_>) = rows.partition(|(_, stored)| *stored == 0);
    for (rows, sql) in [(new, NEW_CUSTOMERS), (changed, CHANGED_CUSTOMERS)] {
        if rows.is_empty() {
            continue;
        }
        let each = || rows.iter().map(|(customer, _)| *customer);
        let mut values = values![
            each()
                .map(|customer| customer.tenant.as_str())
                .collect::<Vec<_>>(),
            each()
                .map(|customer| customer.id.as_str())
                .collect::<Vec<_>>(),
            each()
                .map(|customer| customer.name.as_deref())
                .collect::<Vec<_>>(),
            each()
                .map(|customer| customer.time_zone.as_deref())
                .collect::<Vec<_>>(),
            each()
                .map(|customer| customer.do_not_call)
                .collect::<Vec<_>>(),
            each()
                .map(|customer| ms(customer.created_at))
                .collect::<Vec<_>>(),
            each()
                .map(|customer| int(customer.revision))
                .collect::<Vec<_>>(),
            each()
                .map(|customer| customer.contacts.join("\n"))
                .collect::<Vec<_>>(),
            each().map(customer_search).collect::<Vec<_>>(),
        ];
        if sql == CHANGED_CUSTOMERS {
            values.push(Box::new(
                rows.iter()
                    .map(|(_, stored)| int(*stored))
                    .collect::<Vec<_>>(),
            ));
        }
        let order = Order::new(sql, values);
        orders.push(if sql == CHANGED_CUSTOMERS {
            order.exactly(rows.len())
        } else {
            order
        });
    }
}

fn contacts<'a>(set: &'a Set, written: &'a Written, orders: &mut Vec<Order<'a>>) {
    let (mut tenants, mut names, mut owners) = (Vec::new(), Vec::new(), Vec::new());
    let (mut gone_tenants, mut gone) = (Vec::new(), Vec::new());
    for key in &written.contacts {
        match set.contacts.get(key) {
            Some(Some(owner)) => {
                tenants.push(key.0.as_str());
                names.push(key.1.as_str());
                owners.push(owner.as_str());
            }
            Some(None) => {
                gone_tenants.push(key.0.as_str());
                gone.push(key.1.as_str());
            }
            None => {}
        }
    }
    if !gone.is_empty() {
        orders.push(Order::new(GONE_CONTACTS, values![gone_tenants, gone]));
    }
    if !names.is_empty() {
        // The contact is locked since its owner was asked for: nobody else writes it.
        orders.push(Order::new(NEW_CONTACTS, values![tenants, names, owners]));
    }
}

// ── callbacks ────────────────────────────────────────────────────────────────────────────────────

fn callbacks<'a>(set: &'a Set, written: &'a Written, orders: &mut Vec<Order<'a>>) -> Result<()> {
    let mut new = Vec::new();
    let mut changed = Vec::new();
    let mut common = Vec::new();
    let mut gone = Vec::new();
    let mut named = Vec::new();
    for key in &written.callbacks {
        let Some(row) = set.callbacks.get(key) else {
            continue;
        };
        let Some(callback) = row.callback.as_deref() else {
            continue;
        };
        match row.fresh {
            Fresh::Same => continue,
            Fresh::New => new.push((callback, row.writes)),
            Fresh::Changed => {
                changed.push((callback, row.writes));
                if row.common {
                    common.push(callback);
                }
            }
        }
        if let Some(old) = &row.old_contacts {
            // One that stays is not taken away and put back: both would happen at once.
            let stays = |contact: &String| {
                let mut now = callback.contacts.iter();
                row.contacts && now.any(|step| step.contact.expose() == contact)
            };
            let old = old.iter().filter(|contact| !stays(contact));
            gone.extend(old.map(|contact| (callback, contact.as_str())));
        }
        if row.contacts {
            for step in &callback.contacts {
                named.push((callback, step.contact.expose()));
            }
        }
    }
    if !new.is_empty() {
        interactions(new.iter().map(|(callback, _)| *callback), orders);
        orders.push(Order::new(NEW_CALLBACKS, columns(&new)?));
    }
    if !common.is_empty() {
        changed_interactions(&common, orders);
    }
    if !changed.is_empty() {
        orders.push(Order::new(CHANGED_CALLBACKS, columns(&changed)?).exactly(changed.len()));
    }
    for (rows, sql) in [
        (gone, GONE_NAMES),
        (
            named, // A plan may name a contact twice.
            NEW_NAMES,
        ),
    ] {
        if !rows.is_empty() {
            orders.push(Order::new(
                sql,
                values![
                    rows.iter()
                        .map(|(callback, _)| callback.interaction.tenant.as_str())
                        .collect::<Vec<_>>(),
                    rows.iter().map(|(_, contact)| *contact).collect::<Vec<_>>(),
                    rows.iter()
                        .map(|(callback, _)| ms(callback.interaction.created_at))
                        .collect::<Vec<_>>(),
                    rows.iter()
                        .map(|(callback, _)| callback.interaction.id.0)
                        .collect::<Vec<_>>(),
                ],
            ));
        }
    }
    Ok(())
}

fn interactions<'a>(rows: impl Iterator<Item = &'a Callback> + Clone, orders: &mut Vec<Order<'a>>) {
    let each = || rows.clone().map(|callback| &callback.interaction);
    orders.push(Order::new(
        NEW_INTERACTIONS,
        values![
            each().map(|one| one.tenant.as_str()).collect::<Vec<_>>(),
            each().map(|one| one.id.0).collect::<Vec<_>>(),
            each().map(|one| one.entity_type.0).collect::<Vec<_>>(),
            each().map(|one| one.customer.as_str()).collect::<Vec<_>>(),
            each()
                .map(|one| one.parent.map(|parent| parent.0))
                .collect::<Vec<_>>(),
            each().map(|one| one.thread.as_deref()).collect::<Vec<_>>(),
            each()
                .map(|one| one.external_id.as_deref())
                .collect::<Vec<_>>(),
            each().map(|one| one.owner).collect::<Vec<_>>(),
            each().map(|one| one.allow_children).collect::<Vec<_>>(),
            each().map(|one| ms(one.created_at)).collect::<Vec<_>>(),
            rows.clone()
                .map(|callback| callback.queue.as_str())
                .collect::<Vec<_>>(),
            each().map(effects::search_text).collect::<Vec<_>>(),
        ],
    ));
}

fn changed_interactions<'a>(rows: &[&'a Callback], orders: &mut Vec<Order<'a>>) {
    let each = || rows.iter().map(|callback| &callback.interaction);
    orders.push(Order::new(
        CHANGED_INTERACTIONS,
        values![
            each().map(|one| one.tenant.as_str()).collect::<Vec<_>>(),
            each().map(|one| one.id.0).collect::<Vec<_>>(),
            each().map(|one| one.thread.as_deref()).collect::<Vec<_>>(),
            each()
                .map(|one| one.external_id.as_deref())
                .collect::<Vec<_>>(),
            each().map(|one| one.owner).collect::<Vec<_>>(),
            each().map(|one| one.allow_children).collect::<Vec<_>>(),
            rows.iter()
                .map(|callback| callback.queue.as_str())
                .collect::<Vec<_>>(),
            each().map(effects::search_text).collect::<Vec<_>>(),
        ],
    ));
}

/// The same columns for new rows and for changed ones.
fn columns<'a>(rows: &[(&'a Callback, i64)]) -> Result<Vec<Box<dyn Value + 'a>>> {
    let each = || rows.iter().map(|(callback, _)| *callback);
    let states: Vec<StateColumns> = each()
        .map(|callback| StateColumns::of(&callback.state))
        .collect();
    let claims = || each().map(|callback| callback.state.claim());
    let docs = each()
        .map(|callback| serde_json::to_string(callback).map_err(unwritable))
        .collect::<Result<Vec<String>>>()?;
    Ok(values![
        each()
            .map(|callback| callback.interaction.tenant.as_str())
            .collect::<Vec<_>>(),
        each()
            .map(|callback| callback.interaction.id.0)
            .collect::<Vec<_>>(),
        each()
            .map(|callback| callback.queue.as_str())
            .collect::<Vec<_>>(),
        each()
            .map(|callback| callback.state.name())
            .collect::<Vec<_>>(),
        each()
            .map(|callback| callback.state.wire().0)
            .collect::<Vec<i32>>(),
        each()
            .map(|callback| callback.state.wire().1)
            .collect::<Vec<i32>>(),
        each()
            .map(|callback| ms(callback.interaction.created_at))
            .collect::<Vec<_>>(),
        each()
            .map(|callback| ms(callback.window.start))
            .collect::<Vec<_>>(),
        each()
            .map(|callback| ms(callback.rank()))
            .collect::<Vec<_>>(),
        each().map(effects::by_mail).collect::<Vec<_>>(),
        each()
            .map(|callback| callback.wakes_at().map(ms))
            .collect::<Vec<_>>(),
        states
            .iter()
            .map(|state| state.since.map(ms))
            .collect::<Vec<_>>(),
        states
            .iter()
            .map(|state| state.transferred_to.map(|agent| agent.0))
            .collect::<Vec<_>>(),
        each()
            .map(|callback| callback.state.engages().map(|agent| agent.0))
            .collect::<Vec<_>>(),
        states.iter().map(|state| state.seat).collect::<Vec<_>>(),
        claims()
            .map(|claim| claim.map(|claim| claim.node.name.as_str()))
            .collect::<Vec<_>>(),
        claims()
            .map(|claim| claim.map(|claim| claim.node.boot))
            .collect::<Vec<Option<Uuid>>>(),
        claims()
            .map(|claim| claim.map(|claim| ms(claim.until)))
            .collect::<Vec<_>>(),
        each()
            .map(|callback| int(callback.fence))
            .collect::<Vec<_>>(),
        states
            .iter()
            .map(|state| state.attempt.map(|attempt| attempt.0))
            .collect::<Vec<_>>(),
        each()
            .map(|callback| callback.interaction.ended_at.map(ms))
            .collect::<Vec<_>>(),
        each()
            .map(|callback| int(callback.revision))
            .collect::<Vec<_>>(),
        rows.iter().map(|(_, writes)| *writes).collect::<Vec<_>>(),
        docs,
        each().map(effects::local_edition).collect::<Vec<_>>(),
    ])
}

fn aside<'a>(set: &'a Set, orders: &mut Vec<Order<'a>>) {
    if set.aside.is_empty() {
        return;
    }
    orders.push(
        Order::new(
            SET_ASIDE,
            values![
                set.aside
                    .iter()
                    .map(|(key, _)| key.0.as_str())
                    .collect::<Vec<_>>(),
                set.aside.iter().map(|(key, _)| key.1.0).collect::<Vec<_>>(),
                set.aside.iter().map(|(_, at)| *at).collect::<Vec<_>>(),
            ],
        )
        .apart(),
    );
}

// ── places, agents, events, answers ──────────────────────────────────────────────────────────────

fn places<'a>(set: &'a Set, written: &'a Written, orders: &mut Vec<Order<'a>>) {
    let (mut taken, mut given) = (Vec::new(), Vec::new());
    for key in &written.places {
        match set.places.get(key) {
            Some(Some(place)) => taken.push((key, place)),
            Some(None) => given.push(key),
            None => {}
        }
    }
    if !given.is_empty() {
        orders.push(Order::new(
            GIVEN_PLACES,
            values![
                given.iter().map(|key| key.0.as_str()).collect::<Vec<_>>(),
                given.iter().map(|key| key.1.0).collect::<Vec<_>>(),
            ],
        ));
    }
    if !taken.is_empty() {
        orders.push(Order::new(
            TAKEN_PLACES,
            values![
                taken
                    .iter()
                    .map(|(key, _)| key.0.as_str())
                    .collect::<Vec<_>>(),
                taken.iter().map(|(key, _)| key.1.0).collect::<Vec<_>>(),
                taken
                    .iter()
                    .map(|(_, place)| place.queue.as_str())
                    .collect::<Vec<_>>(),
                taken
                    .iter()
                    .map(|(_, place)| place.start)
                    .collect::<Vec<_>>(),
                taken
                    .iter()
                    .map(|(_, place)| place.customer.as_str())
                    .collect::<Vec<_>>(),
            ],
        ));
    }
    counts(set, written, orders);
}

/// More is counted under the lock of the queue or of its day; less may be counted by anybody at any time. Both go by the
/// same order of slots, in one statement: of two who move callbacks between the same slots, one this way and one that
/// way, each would hold what it had counted first and wait for the other's.
fn counts<'a>(set: &'a Set, written: &'a Written, orders: &mut Vec<Order<'a>>) {
    let (mut tenants, mut queues) = (Vec::new(), Vec::new());
    let (mut starts, mut deltas): (Vec<i64>, Vec<i32>) = (Vec::new(), Vec::new());
    for key in &written.slots {
        let Some(book) = set.slots.get(key) else {
            continue;
        };
        for (start, delta) in book.deltas.iter().filter(|(_, delta)| **delta != 0) {
            tenants.push(key.0.as_str());
            queues.push(key.1.as_str());
            starts.push(*start);
            deltas.push(i32::try_from(*delta).unwrap_or(0));
        }
    }
    if deltas.is_empty() {
        return;
    }
    let only_less = deltas.iter().all(|delta| *delta < 0);
    let sql = if only_less { LESS_COUNTED } else { COUNTED };
    orders.push(Order::new(sql, values![tenants, queues, starts, deltas]));
}

fn agents<'a>(set: &'a Set, written: &'a Written, orders: &mut Vec<Order<'a>>) {
    let rows: Vec<_> = written
        .agents
        .iter()
        .filter_map(|key| set.agents.get(key))
        .filter_map(|row| Some((row.agent.as_deref()?, row)))
        .collect();
    if rows.is_empty() {
        return;
    }
    orders.push(
        Order::new(
            CHANGED_AGENTS,
            values![
                rows.iter()
                    .map(|(agent, _)| agent.tenant.as_str())
                    .collect::<Vec<_>>(),
                rows.iter().map(|(agent, _)| agent.id.0).collect::<Vec<_>>(),
                rows.iter()
                    .map(|(_, row)| row.engaged.map(|id| id.0))
                    .collect::<Vec<_>>(),
                rows.iter()
                    .map(|(agent, _)| agent.engaged.map(|id| id.0))
                    .collect::<Vec<_>>(),
                rows.iter()
                    .map(|(_, row)| row.idle_since)
                    .collect::<Vec<_>>(),
                rows.iter().map(|(_, row)| row.away).collect::<Vec<_>>(),
            ],
        )
        .exactly(rows.len()),
    );
}

fn events<'a>(
    set: &'a Set,
    offset: i64,
    numbered: bool,
    orders: &mut Vec<Order<'a>>,
) -> Result<()> {
    if set.events.is_empty() {
        return Ok(());
    }
    let details = set
        .events
        .iter()
        .map(|row| serde_json::to_string(&row.event.detail).map_err(unwritable))
        .collect::<Result<Vec<String>>>()?;
    let each = || set.events.iter();
    let personal = || each().map(|row| row.event.personal.as_ref());
    let sql = if numbered {
        NEW_EVENTS_IN_ORDER
    } else {
        NEW_EVENTS
    };
    let order = Order::new(
        sql,
        values![
            offset,
            set.numbered,
            each().map(|row| row.tenant.as_str()).collect::<Vec<_>>(),
            each().map(|row| row.of.0).collect::<Vec<_>>(),
            each()
                .map(|row| i32::try_from(row.event.number).unwrap_or(i32::MAX))
                .collect::<Vec<_>>(),
            each().map(|row| ms(row.event.at)).collect::<Vec<_>>(),
            each().map(|row| row.event.kind.name()).collect::<Vec<_>>(),
            each()
                .map(|row| row.event.actor.as_str())
                .collect::<Vec<_>>(),
            details,
            personal()
                .map(|part| part.map(|part| part.value.to_string()))
                .collect::<Vec<_>>(),
            personal()
                .map(|part| part.map(|part| part.salt.as_str()))
                .collect::<Vec<_>>(),
            personal()
                .map(|part| part.map(|part| part.hash.as_str()))
                .collect::<Vec<_>>(),
            each()
                .map(|row| row.event.hash.as_str())
                .collect::<Vec<_>>(),
        ],
    );
    orders.push(if numbered {
        order.exactly(set.events.len())
    } else {
        order
    });
    Ok(())
}

fn answers<'a>(set: &'a Set, written: &'a Written, now: i64, orders: &mut Vec<Order<'a>>) {
    let rows: Vec<_> = written
        .answers
        .iter()
        .filter_map(|key| Some((key, set.answers.get(key)?.keep.as_ref()?)))
        .collect();
    if rows.is_empty() {
        return;
    }
    orders.push(
        Order::new(
            NEW_ANSWERS,
            values![
                now,
                rows.iter()
                    .map(|(key, _)| key.0.as_str())
                    .collect::<Vec<_>>(),
                rows.iter().map(|(key, _)| key.1).collect::<Vec<_>>(),
                rows.iter()
                    .map(|(key, _)| key.2.as_str())
                    .collect::<Vec<_>>(),
                rows.iter()
                    .map(|(_, kept)| kept.fingerprint.to_vec())
                    .collect::<Vec<Vec<u8>>>(),
                rows.iter()
                    .map(|(_, kept)| &*kept.answer)
                    .collect::<Vec<_>>(),
                rows.iter()
                    .map(|(_, kept)| kept.expires_at)
                    .collect::<Vec<_>>(),
            ],
        )
        .exactly(rows.len()),
    );
}
