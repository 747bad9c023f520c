//! Customers, the contacts by which they are found again, and the answers kept for their requests.

use super::{all, at_most, one, text};
use crate::rows::{customer_id, customer_search, int, ms, time, unsigned};
use crate::sqlite::faults::is_constraint;
use crate::tables::{AnswerRow, NewAnswer};
use crate::{CustomerQuery, Result};
use jiff::Timestamp;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::ids::{CustomerId, TenantId};
use rusqlite::types::ToSql;
use rusqlite::{Connection, Row, params};

const CUSTOMER: &str = "id, name, time_zone, do_not_call, created_at, revision";

pub(super) fn read(
    conn: &Connection,
    tenant: &TenantId,
    id: &CustomerId,
) -> Result<Option<Customer>> {
    one(
        conn,
        &format!("SELECT {CUSTOMER} FROM customers WHERE tenant = ?1 AND id = ?2"),
        params![tenant.as_str(), id.as_str()],
        |row| customer_of(conn, row, tenant),
    )
}

pub(super) fn owner_of(
    conn: &Connection,
    tenant: &TenantId,
    contact: &str,
) -> Result<Option<CustomerId>> {
    one(
        conn,
        "SELECT customer FROM customer_contacts WHERE tenant = ?1 AND contact = ?2",
        params![tenant.as_str(), contact],
        |row| customer_id(text(row, 0)?, "customer_contacts"),
    )
}

/// A new customer has revision 1; every change makes it one more.
pub(super) fn write(conn: &Connection, customer: &Customer) -> Result<()> {
    conn.prepare_cached(if customer.revision == 1 {
        "INSERT INTO customers (tenant, id, name, time_zone, do_not_call, revision, search, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
    } else {
        "UPDATE customers SET name = ?3, time_zone = ?4, do_not_call = ?5, revision = ?6, search = ?7
         WHERE tenant = ?1 AND id = ?2 AND created_at = ?8"
    })?
    .execute(params![
        customer.tenant.as_str(),
        customer.id.as_str(),
        customer.name,
        customer.time_zone,
        customer.do_not_call,
        int(customer.revision),
        customer_search(customer),
        ms(customer.created_at),
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
    .execute(params![
        customer.tenant.as_str(),
        contact,
        customer.id.as_str(),
        int(position as u64)
    ])?;
    Ok(())
}

pub(super) fn clear_contacts(
    conn: &Connection,
    tenant: &TenantId,
    customer: &CustomerId,
) -> Result<()> {
    conn.prepare_cached("DELETE FROM customer_contacts WHERE tenant = ?1 AND customer = ?2")?
        .execute(params![tenant.as_str(), customer.as_str()])?;
    Ok(())
}

pub(super) fn list(
    conn: &Connection,
    query: &CustomerQuery,
    limit: usize,
) -> Result<Vec<Customer>> {
    let after = query.after.as_ref().map_or("", CustomerId::as_str);
    let mut sql = format!("SELECT {CUSTOMER} FROM customers WHERE tenant = ?1 AND id > ?2");
    let text = query.text.as_ref().map(|text| text.to_lowercase());
    let wanted = at_most(limit);
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
    all(conn, &sql, &values, |row| {
        customer_of(conn, row, &query.tenant)
    })
}

fn customer_of(conn: &Connection, row: &Row<'_>, tenant: &TenantId) -> Result<Customer> {
    let id: String = row.get(0)?;
    let contacts = all(
        conn,
        "SELECT contact FROM customer_contacts WHERE tenant = ?1 AND customer = ?2 ORDER BY position, contact",
        params![tenant.as_str(), id],
        |row| Ok(row.get(0)?),
    )?;
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

// ── answers to be given again ────────────────────────────────────────────────────────────────────

pub(super) fn answer(
    conn: &Connection,
    tenant: &TenantId,
    application: i64,
    key: &str,
    now: Timestamp,
) -> Result<Option<AnswerRow>> {
    one(
        conn,
        "SELECT fingerprint, answer FROM idempotency
         WHERE tenant = ?1 AND application = ?2 AND key = ?3 AND expires_at > ?4",
        params![tenant.as_str(), application, key, ms(now)],
        |row| {
            Ok(AnswerRow {
                fingerprint: row.get(0)?,
                answer: row.get(1)?,
            })
        },
    )
}

/// The place is free, or its answer is past its time: whoever writes has looked.
pub(super) fn write_answer(conn: &Connection, answer: &NewAnswer<'_>) -> Result<()> {
    match insert_answer(conn, answer) {
        Err(error) if is_constraint(&error) => {
            conn.prepare_cached(
                "DELETE FROM idempotency WHERE tenant = ?1 AND application = ?2 AND key = ?3",
            )?
            .execute(params![
                answer.tenant.as_str(),
                answer.application,
                answer.key
            ])?;
            insert_answer(conn, answer)?;
        }
        inserted => {
            inserted?;
        }
    }
    Ok(())
}

fn insert_answer(conn: &Connection, answer: &NewAnswer<'_>) -> rusqlite::Result<usize> {
    conn.prepare_cached(
        "INSERT INTO idempotency (tenant, application, key, fingerprint, answer, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        answer.tenant.as_str(),
        answer.application,
        answer.key,
        answer.fingerprint.as_slice(),
        answer.answer,
        ms(answer.expires_at)
    ])
}
