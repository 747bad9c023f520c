//! Lists, newest first, and the reads that answer questions about one callback.

use super::{House, agents, gather, page};
use crate::rows::ms;
use crate::seats::{Seating, Waiting};
use crate::tables::Tables;
use crate::{
    AnyInteraction, CallbackQuery, Cursor, GuardAnswer, InteractionQuery, Page, Result, effects,
};
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::event::Event;
use ringback_callbacks::guard;
use ringback_callbacks::ids::{InteractionId, TenantId};
use ringback_callbacks::interaction::Interaction;
use ringback_callbacks::queue::QueueView;
use ringback_callbacks::state::{State, Target};

pub(crate) fn callbacks(tables: &dyn Tables, query: &CallbackQuery) -> Result<Page<Callback>> {
    let limit = page(query.limit);
    // One more than is answered tells whether there is more.
    let items = tables.list_callbacks(query, limit + 1)?;
    Ok(paged(items, limit, |callback| {
        cursor(&callback.interaction)
    }))
}

pub(crate) fn interactions(
    tables: &dyn Tables,
    query: &InteractionQuery,
) -> Result<Page<AnyInteraction>> {
    let limit = page(query.limit);
    let items = tables.list_interactions(query, limit + 1)?;
    Ok(paged(items, limit, |any| cursor(any.interaction())))
}

fn cursor(interaction: &Interaction) -> Cursor {
    Cursor {
        created_ms: ms(interaction.created_at),
        id: interaction.id,
    }
}

fn paged<T>(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> Cursor) -> Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(cursor);
    Page { items, next }
}

pub(crate) fn events(
    tables: &dyn Tables,
    tenant: &TenantId,
    callback: InteractionId,
    after: u32,
    limit: usize,
) -> Result<Vec<Event>> {
    tables.events(tenant, callback, after, page(limit))
}

pub(crate) fn events_after(
    tables: &dyn Tables,
    tenant: &TenantId,
    after: i64,
    limit: usize,
) -> Result<Vec<Event>> {
    tables.events_after(tenant, after, page(limit))
}

/// The guards asked again, now, with the same facts a dial would see.
pub(crate) fn guard_now(
    tables: &dyn Tables,
    house: &House,
    tenant: &TenantId,
    id: InteractionId,
    now: Timestamp,
) -> Result<Option<GuardAnswer>> {
    let Some(callback) = tables.callback(tenant, id)? else {
        return Ok(None);
    };
    let facts = gather::facts(
        tables,
        &house.views,
        &callback,
        &callback.queue,
        now,
        0.0,
        None,
    )?;
    let held = guard::check(&callback, &facts.lend(), now).err();
    let free_seats = free_seats(tables, &callback, &facts.queue)?;
    let ahead = ahead(tables, &callback)?;
    Ok(Some(GuardAnswer {
        callback,
        held,
        free_seats,
        ahead,
    }))
}

fn free_seats(tables: &dyn Tables, callback: &Callback, queue: &QueueView) -> Result<u64> {
    let tenant = &callback.interaction.tenant;
    if let State::Transferred { to, .. } = &callback.state {
        return Ok(u64::from(agents::is_free(tables, tenant, *to)?));
    }
    let left = |target: Target, places: u64| -> Result<u64> {
        Ok(places.saturating_sub(tables.seated(tenant, &callback.queue, &target)?))
    };
    match Seating::of(queue, effects::by_mail(callback)) {
        Seating::Agent => tables.free_in_queue(tenant, &callback.queue),
        Seating::Dn { places } => left(Target::Dn, places),
        Seating::Template { places } => left(Target::Template, places),
        Seating::Nobody => Ok(0),
    }
}

/// Waiting callbacks of its queue that would be served before it, were it in line now.
fn ahead(tables: &dyn Tables, callback: &Callback) -> Result<u64> {
    let since = match &callback.state {
        State::Queued { since } | State::Transferred { since, .. } => ms(*since),
        State::Received | State::Scheduled { .. } => i64::MAX,
        State::Offered { .. }
        | State::Assigned { .. }
        | State::Dialling { .. }
        | State::Talking { .. }
        | State::WrapUp { .. }
        | State::Done { .. }
        | State::Cancelled { .. }
        | State::Exhausted { .. }
        | State::Refused { .. }
        | State::Failed { .. }
        | State::Replaced { .. }
        | State::Expired => return Ok(0),
    };
    let place = Waiting {
        rank: ms(callback.rank()),
        since,
        id: callback.interaction.id,
    };
    tables.ahead(
        &callback.interaction.tenant,
        &callback.queue,
        effects::by_mail(callback),
        &place,
    )
}
