//! Customers and the contacts by which they are found again.

use super::{Write, conflict, page};
use crate::rows::ms;
use crate::tables::Tables;
use crate::{Cursor, CustomerQuery, Page, Result, StoreError};
use ringback_callbacks::customer::Customer;
use ringback_callbacks::ids::{InteractionId, TenantId};
use uuid::Uuid;

/// Contacts kept with one customer at most.
const CONTACTS: usize = 100;

pub(crate) fn by_contact(
    tables: &dyn Tables,
    tenant: &TenantId,
    contact: &str,
) -> Result<Option<Customer>> {
    match tables.owner_of(tenant, contact)? {
        Some(id) => tables.customer(tenant, &id),
        None => Ok(None),
    }
}

/// Adds contacts to the customer, except those that are somebody else's. Comes back with how many were new; nothing is
/// written before [`keep`].
pub(super) fn learn_contacts<'a>(
    tables: &dyn Tables,
    customer: &mut Customer,
    contacts: impl Iterator<Item = &'a str>,
) -> Result<usize> {
    let before = customer.contacts.len();
    for contact in contacts {
        let known = customer.contacts.iter().any(|known| known == contact);
        if known
            || customer.contacts.len() >= CONTACTS
            || tables.owner_of(&customer.tenant, contact)?.is_some()
        {
            continue;
        }
        customer.contacts.push(contact.to_owned());
    }
    Ok(customer.contacts.len() - before)
}

/// Writes a customer who is new or has changed, with the last of their contacts, which are new.
pub(super) fn keep(tables: &dyn Tables, customer: &Customer, learned: usize) -> Result<()> {
    // Contacts point at their customer, so the customer is written before them.
    tables.write_customer(customer)?;
    let known = customer.contacts.len().saturating_sub(learned);
    for (position, contact) in customer.contacts.iter().enumerate().skip(known) {
        tables.add_contact(customer, contact, position)?;
    }
    Ok(())
}

pub(crate) fn put(
    write: &mut Write<'_>,
    mut customer: Customer,
    expected: Option<u64>,
) -> Result<Customer> {
    let tables = write.tables;
    let stored = tables.customer(&customer.tenant, &customer.id)?;
    let current = stored.as_ref().map_or(0, |stored| stored.revision);
    if expected.is_some_and(|expected| expected != current) {
        return Err(StoreError::RevisionConflict { current });
    }
    let mut contacts: Vec<String> = Vec::new();
    for contact in std::mem::take(&mut customer.contacts) {
        if !contacts.contains(&contact) {
            contacts.push(contact);
        }
    }
    customer.contacts = contacts;
    if customer.contacts.len() > CONTACTS {
        return Err(conflict(
            "contacts",
            "length",
            "a customer has at most 100 contacts",
        ));
    }
    if let Some(stored) = stored {
        customer.created_at = stored.created_at;
    }
    customer.revision = current + 1;
    tables.write_customer(&customer)?;
    tables.clear_contacts(&customer.tenant, &customer.id)?;
    for (position, contact) in customer.contacts.iter().enumerate() {
        if tables.owner_of(&customer.tenant, contact)?.is_some() {
            return Err(conflict(
                "contacts",
                "taken",
                "one of the contacts belongs to another customer",
            ));
        }
        tables.add_contact(&customer, contact, position)?;
    }
    Ok(customer)
}

/// In order of ids. There is nothing newest about customers: the page's cursor only says that there are
/// more, and the next page begins after the last id.
pub(crate) fn list(tables: &dyn Tables, query: &CustomerQuery) -> Result<Page<Customer>> {
    let limit = page(query.limit);
    let mut items = tables.list_customers(query, limit + 1)?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| Cursor {
        created_ms: ms(last.created_at),
        id: InteractionId(Uuid::nil()),
    });
    Ok(Page { items, next })
}
