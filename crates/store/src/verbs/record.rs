//! Interactions of other kinds, recorded so that callbacks can hang on them; and what a parent allows.

use super::{House, Write, conflict};
use crate::events::Chain;
use crate::rows::unwritable;
use crate::tables::{InteractionRow, Tables};
use crate::{RecordOrder, RecordedInteraction, Result};
use ringback_callbacks::customer::Customer;
use ringback_callbacks::event::{EventKind, NewEvent};
use ringback_callbacks::ids::{InteractionId, TenantId};
use ringback_callbacks::interaction::{EntityType, Interaction};

/// What a new interaction takes from its parent.
pub(super) struct Family {
    pub thread: Option<String>,
}

/// A parent must exist and allow children. A child without a thread of its own joins its parent's.
pub(super) fn family(
    tables: &dyn Tables,
    tenant: &TenantId,
    parent: Option<InteractionId>,
    thread: Option<String>,
) -> Result<Family> {
    let Some(parent) = parent else {
        return Ok(Family { thread });
    };
    let Some(InteractionRow {
        allow_children: allows,
        thread: of_parent,
    }) = tables.interaction(tenant, parent)?
    else {
        return Err(conflict(
            "parent_id",
            "not_found",
            "there is no such interaction",
        ));
    };
    if !allows {
        return Err(conflict(
            "parent_id",
            "no_children",
            "this interaction takes no children",
        ));
    }
    Ok(Family {
        thread: thread.or(of_parent).or_else(|| Some(parent.to_string())),
    })
}

pub(crate) fn record(
    write: &mut Write<'_>,
    house: &House,
    order: RecordOrder,
) -> Result<Interaction> {
    let RecordOrder {
        mut interaction,
        status,
        actor,
        now,
    } = order;
    let tables = write.tables;
    let tenant = interaction.tenant.clone();
    if interaction.entity_type == EntityType::CALLBACK {
        return Err(conflict(
            "entity_type",
            "callback",
            "callbacks are booked, not recorded",
        ));
    }
    if tables.interaction(&tenant, interaction.id)?.is_some() {
        return Err(conflict(
            "interaction_id",
            "exists",
            "an interaction of this id exists already",
        ));
    }
    interaction.thread = family(
        tables,
        &tenant,
        interaction.parent,
        interaction.thread.take(),
    )?
    .thread;
    if tables.customer(&tenant, &interaction.customer)?.is_none() {
        tables.write_customer(&Customer {
            tenant: tenant.clone(),
            id: interaction.customer.clone(),
            name: None,
            contacts: Vec::new(),
            time_zone: None,
            do_not_call: false,
            created_at: now,
            revision: 1,
        })?;
    }
    let id = interaction.id;
    let event =
        NewEvent::new(EventKind::Recorded, &actor).with("entity_type", interaction.entity_type.0);
    let recorded = RecordedInteraction {
        interaction,
        status,
        revision: 1,
    };
    write_recorded(tables, &recorded)?;
    let sealed = Chain::default().seal(id, vec![event], now, house.chance.as_ref());
    tables.append_events(&tenant, id, &sealed)?;
    Ok(recorded.interaction)
}

pub(super) fn write_recorded(tables: &dyn Tables, recorded: &RecordedInteraction) -> Result<()> {
    let doc = serde_json::to_string(recorded).map_err(unwritable)?;
    tables.write_interaction(&recorded.interaction, &doc)
}
