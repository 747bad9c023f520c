//! Customers and the contacts by which they are found again.

use super::faults::damaged;
use super::path::conflict;
use super::rows::{int, ms, page, time, unsigned};
use super::writer::Write;
use crate::{Cursor, CustomerQuery, Page, Result, StoreError};
use ringback_callbacks::customer::Customer;
use ringback_callbacks::ids::{CustomerId, InteractionId, TenantId};
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

/// Contacts kept with one customer at most.
const CONTACTS: usize = 100;

const CUSTOMER: &str = "id, name, time_zone, do_not_call, created_at, revision";

pub(super) fn read_customer(
    conn: &Connection,
    tenant: &TenantId,
    id: &CustomerId,
) -> Result<Option<Customer>> {
    let sql = format!("SELECT {CUSTOMER} FROM customers WHERE tenant = ?1 AND id = ?2");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = statement.query(params![tenant.as_str(), id.as_str()])?;
    found
        .next()?
        .map(|row| customer_of(conn, row, tenant))
        .transpose()
}

pub(super) fn owner_of(
    conn: &Connection,
    tenant: &TenantId,
    contact: &str,
) -> Result<Option<CustomerId>> {
    let id: Option<String> = conn
        .prepare_cached(
            "SELECT customer FROM customer_contacts WHERE tenant = ?1 AND contact = ?2",
        )?
        .query_row(params![tenant.as_str(), contact], |row| row.get(0))
        .optional()?;
    id.map(|id| customer_id(&id, "customer_contacts"))
        .transpose()
}

pub(super) fn by_contact(
    conn: &Connection,
    tenant: &TenantId,
    contact: &str,
) -> Result<Option<Customer>> {
    match owner_of(conn, tenant, contact)? {
        Some(id) => read_customer(conn, tenant, &id),
        None => Ok(None),
    }
}

/// Writes the customer's own row; contacts are written apart.
pub(super) fn write_customer(conn: &Connection, customer: &Customer) -> Result<()> {
    let name = customer.name.as_deref();
    let search = format!(
        "{}\n{}",
        customer.id.as_str().to_lowercase(),
        name.unwrap_or("").to_lowercase()
    );
    conn.prepare_cached(
        "INSERT INTO customers (tenant, id, name, time_zone, do_not_call, created_at, revision, search)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, time_zone = excluded.time_zone,
             do_not_call = excluded.do_not_call, revision = excluded.revision, search = excluded.search",
    )?
    .execute(params![
        customer.tenant.as_str(),
        customer.id.as_str(),
        name,
        customer.time_zone,
        customer.do_not_call,
        ms(customer.created_at),
        int(customer.revision),
        search,
    ])?;
    Ok(())
}

pub(super) fn add_contact(
    conn: &Connection,
    customer: &Customer,
    contact: &str,
    position: usize,
) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO customer_contacts (tenant, contact, customer, position) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![customer.tenant.as_str(), contact, customer.id.as_str(), int(position as u64)])?;
    Ok(())
}

/// Keeps new contacts with the customer, except those that are somebody else's. Says whether any were new.
pub(super) fn learn_contacts<'a>(
    conn: &Connection,
    customer: &mut Customer,
    contacts: impl Iterator<Item = &'a str>,
) -> Result<bool> {
    let mut learned = false;
    for contact in contacts {
        let known = customer.contacts.iter().any(|known| known == contact);
        if known
            || customer.contacts.len() >= CONTACTS
            || owner_of(conn, &customer.tenant, contact)?.is_some()
        {
            continue;
        }
        add_contact(conn, customer, contact, customer.contacts.len())?;
        customer.contacts.push(contact.to_owned());
        learned = true;
    }
    Ok(learned)
}

pub(super) fn put(
    write: &mut Write<'_>,
    mut customer: Customer,
    expected: Option<u64>,
) -> Result<Customer> {
    let conn = write.conn;
    let stored = read_customer(conn, &customer.tenant, &customer.id)?;
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
    write_customer(conn, &customer)?;
    conn.prepare_cached("DELETE FROM customer_contacts WHERE tenant = ?1 AND customer = ?2")?
        .execute(params![customer.tenant.as_str(), customer.id.as_str()])?;
    for (position, contact) in customer.contacts.iter().enumerate() {
        if owner_of(conn, &customer.tenant, contact)?.is_some() {
            return Err(conflict(
                "contacts",
                "taken",
                "one of the contacts belongs to another customer",
            ));
        }
        add_contact(conn, &customer, contact, position)?;
    }
    Ok(customer)
}

/// In order of ids. There is nothing newest about customers: the page's cursor only says that there are
/// more, and the next page begins after the last id.
pub(super) fn list(conn: &Connection, query: &CustomerQuery) -> Result<Page<Customer>> {
    let limit = page(query.limit);
    let after = query.after.as_ref().map_or("", CustomerId::as_str);
    let mut sql = format!("SELECT {CUSTOMER} FROM customers WHERE tenant = ?1 AND id > ?2");
    let text = query.text.as_ref().map(|text| text.to_lowercase());
    let wanted = int(limit as u64 + 1);
    let mut values: Vec<&dyn ToSql> = Vec::new();
    let tenant = query.tenant.as_str();
    values.push(&tenant);
    values.push(&after);
    if let Some(text) = &text {
        sql.push_str(" AND instr(search, ?3) > 0 ORDER BY id LIMIT ?4");
        values.push(text);
    } else {
        sql.push_str(" ORDER BY id LIMIT ?3");
    }
    values.push(&wanted);
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = statement.query(values.as_slice())?;
    let mut items = Vec::new();
    while let Some(row) = found.next()? {
        items.push(customer_of(conn, row, &query.tenant)?);
    }
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| Cursor {
        created_ms: ms(last.created_at),
        id: InteractionId(Uuid::nil()),
    });
    Ok(Page { items, next })
}

pub(super) fn customer_id(text: &str, table: &'static str) -> Result<CustomerId> {
    CustomerId::parse(text).map_err(|_| damaged(table, "customer", "not a customer's id"))
}

fn customer_of(conn: &Connection, row: &Row<'_>, tenant: &TenantId) -> Result<Customer> {
    let id: String = row.get(0)?;
    let mut statement = conn.prepare_cached(
        "SELECT contact FROM customer_contacts WHERE tenant = ?1 AND customer = ?2 ORDER BY position, contact",
    )?;
    let contacts = statement
        .query_map(params![tenant.as_str(), id], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(Customer {
        tenant: tenant.clone(),
        id: customer_id(&id, "customers")?,
        name: row.get(1)?,
        contacts,
        time_zone: row.get(2)?,
        do_not_call: row.get(3)?,
        created_at: time(row.get(4)?, "customers", "created_at")?,
        revision: unsigned(row.get(5)?, "customers", "revision")?,
    })
}
