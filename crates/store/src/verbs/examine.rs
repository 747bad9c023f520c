//! Checks the database itself, every chain of events, and that counters say what the rows say.

use crate::tables::{Census, Link, Tables};
use crate::{Examination, Result, effects};
use ringback_callbacks::callback::Callback;
use ringback_callbacks::event::{ChainFault, Event, personal_hash, verify_chain};
use ringback_callbacks::ids::{InteractionId, TenantId};

/// Faults told at most: past this the database is to be restored, not read about.
const FAULTS: usize = 200;

/// Others may be at work meanwhile: everything is looked at as it stood at one moment.
pub(crate) fn examine(tables: &dyn Tables) -> Result<Examination> {
    tables.hold_still()?;
    let found = look(tables);
    // The first error says what is wrong; that the rest was not closed properly either adds nothing.
    let ended = tables.go_on();
    let found = found?;
    ended?;
    Ok(found)
}

fn look(tables: &dyn Tables) -> Result<Examination> {
    let mut found = Examination {
        backend: tables.backend().to_owned(),
        schema_version: tables.schema_version()?,
        remarks: tables.remarks()?,
        ..Examination::default()
    };
    for fault in tables.integrity()? {
        note(&mut found, fault);
    }
    // A database whose pages contradict each other cannot be asked about its rows.
    if found.faults.is_empty() {
        chains(tables, &mut found)?;
        counters(tables, &mut found)?;
    }
    Ok(found)
}

/// Every chain, one at a time: only one callback's events are in memory.
fn chains(tables: &dyn Tables, found: &mut Examination) -> Result<()> {
    let mut chain: Vec<Event> = Vec::new();
    tables.walk_events(&mut |link| {
        let Link { event, salt } = match link {
            Ok(link) => link,
            Err(error) => {
                note(found, format!("an event cannot be read: {error}"));
                return Ok(());
            }
        };
        found.events += 1;
        if let (Some(personal), Some(hash)) = (&event.personal, &event.personal_hash)
            && personal_hash(salt.as_deref().unwrap_or(""), personal) != *hash
        {
            note(
                found,
                format!(
                    "the personal part of event {} of {} was altered",
                    event.number, event.callback
                ),
            );
        }
        if chain
            .first()
            .is_some_and(|first| first.callback != event.callback || first.tenant != event.tenant)
        {
            chain_ends(tables, &std::mem::take(&mut chain), found)?;
        }
        chain.push(event);
        Ok(())
    })?;
    if !chain.is_empty() {
        chain_ends(tables, &chain, found)?;
    }
    Ok(())
}

fn chain_ends(tables: &dyn Tables, chain: &[Event], found: &mut Examination) -> Result<()> {
    let Some(last) = chain.last() else {
        return Ok(());
    };
    found.chains_checked += 1;
    match verify_chain(chain) {
        Ok(()) => {}
        Err(ChainFault::Gap {
            expected,
            found: there,
        }) => {
            note(
                found,
                format!(
                    "events of {}: number {expected} is missing, {there} stands there",
                    last.callback
                ),
            );
        }
        Err(ChainFault::Altered { number }) => {
            note(
                found,
                format!("event {number} of {} was altered", last.callback),
            );
        }
    }
    // The callback remembers where its chain ends, so that cutting off the end shows too.
    if let Some(callback) = read_leniently(tables, &last.tenant, last.callback, found)?
        && callback.last_hash != last.hash
    {
        note(
            found,
            format!(
                "the chain of {} does not end where its callback says",
                last.callback
            ),
        );
    }
    Ok(())
}

fn counters(tables: &dyn Tables, found: &mut Examination) -> Result<()> {
    tables.walk_callbacks(&mut |census| {
        found.callbacks += 1;
        let callback = read_leniently(tables, &census.tenant, census.id, found)?;
        if let Some(callback) = callback {
            compare(&census, &callback, found);
        }
        Ok(())
    })?;
    strays(tables, found)
}

/// What the columns and counts of one callback say, against its document.
fn compare(census: &Census, callback: &Callback, found: &mut Examination) {
    let id = census.id;
    if census.events != u64::from(callback.events) {
        note(
            found,
            format!(
                "{id} says it has {} events, {} are there",
                callback.events, census.events
            ),
        );
    }
    if census.attempts != u64::from(callback.placed) {
        note(
            found,
            format!(
                "{id} says it placed {} attempts, {} are there",
                callback.placed, census.attempts
            ),
        );
    }
    if census.stray_attempts > 0 {
        note(
            found,
            format!(
                "{id} has {} attempts that never ended",
                census.stray_attempts
            ),
        );
    }
    let place = census
        .place
        .as_ref()
        .map(|(queue, start)| (queue.as_str(), *start));
    if place != effects::place(callback).map(|(queue, start)| (queue.as_str(), start)) {
        note(
            found,
            format!("{id} has another place in the slots than its document says"),
        );
    }
    let columns = (census.state.as_str(), census.revision, census.fence);
    if columns != (callback.state.name(), callback.revision, callback.fence) {
        note(
            found,
            format!("the columns of {id} are not those of its document"),
        );
    }
}

fn strays(tables: &dyn Tables, found: &mut Examination) -> Result<()> {
    let strays = tables.strays()?;
    // An agent's hands are full if and only if a callback says so.
    for agent in strays.agents {
        note(
            found,
            format!("agent {agent} and the callbacks disagree about what is in hand"),
        );
    }
    // A place that belongs to no callback would never be given back.
    if strays.places > 0 {
        note(
            found,
            format!("{} places in slots belong to no callback", strays.places),
        );
    }
    // What became a body belongs to one: nothing a customer sent stays behind unseen.
    if strays.uploads > 0 {
        note(
            found,
            format!("{} finished uploads belong to no body", strays.uploads),
        );
    }
    Ok(())
}

/// One that cannot be read is a fault of its own, and no reason to stop.
fn read_leniently(
    tables: &dyn Tables,
    tenant: &TenantId,
    id: InteractionId,
    found: &mut Examination,
) -> Result<Option<Callback>> {
    match tables.callback(tenant, id) {
        Ok(callback) => Ok(callback),
        Err(error) => {
            note(found, format!("{id}: {error}"));
            Ok(None)
        }
    }
}

fn note(found: &mut Examination, fault: String) {
    if found.faults.len() < FAULTS {
        found.faults.push(fault);
    }
}
