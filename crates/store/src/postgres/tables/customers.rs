//! Customers, their contacts, and answers to be given again.

use super::super::locks;
use super::super::set::{AnswerSeen, AnswerToKeep, CustomerRow};
use super::PgTables;
use crate::Result;
use crate::rows::ms;
use crate::tables::{AnswerRow, NewAnswer};
use jiff::Timestamp;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::ids::{CustomerId, TenantId};
use std::rc::Rc;

impl PgTables<'_> {
    pub(super) fn read_customer(
        &self,
        tenant: &TenantId,
        id: &CustomerId,
    ) -> Result<Option<Customer>> {
        let key = (tenant.clone(), id.clone());
        self.have(|wanted, tables| wanted.customer(tables, key.clone()))?;
        let set = self.set.borrow();
        let row = set.customers.get(&key);
        Ok(row.and_then(|row| row.customer.as_deref().cloned()))
    }

    /// A drawn id that this transaction has not seen is taken for new: a journey for each new customer would be spent on
    /// what the primary key says as well, and then the job is run again and looks.
    pub(super) fn nobody_has(&self, tenant: &TenantId, drawn: &CustomerId) -> Result<bool> {
        let key = (tenant.clone(), drawn.clone());
        if self.trusting && !self.set.borrow().customers.has(&key) {
            let nobody = CustomerRow {
                customer: None,
                stored: 0,
            };
            self.set.borrow_mut().customers.load(key, nobody);
            return Ok(true);
        }
        Ok(self.read_customer(tenant, drawn)?.is_none())
    }

    pub(super) fn read_owner(
        &self,
        tenant: &TenantId,
        contact: &str,
    ) -> Result<Option<CustomerId>> {
        let key = (tenant.clone(), contact.to_owned());
        if !self.set.borrow().contacts.has(&key) {
            // Who asks may be about to give the contact an owner: from here on nobody else does.
            self.lock(vec![locks::contact(tenant, contact)])?;
            self.have(|wanted, tables| wanted.contact(tables, key.clone()))?;
        }
        Ok(self.set.borrow().contacts.get(&key).cloned().flatten())
    }

    pub(super) fn put_customer(&self, customer: &Customer) -> Result<()> {
        let key = (customer.tenant.clone(), customer.id.clone());
        self.have(|wanted, tables| wanted.customer(tables, key.clone()))?;
        let mut set = self.set.borrow_mut();
        let known = set.customers.get(&key);
        let stored = known.map_or(0, |row| row.stored);
        // Contacts are written one by one; the row lists those that it has.
        let listed = known.and_then(|row| row.customer.as_deref());
        let mut customer = customer.clone();
        customer.contacts = listed
            .map(|known| known.contacts.clone())
            .unwrap_or_default();
        set.customers.put(
            key,
            CustomerRow {
                customer: Some(Rc::new(customer)),
                stored,
            },
        );
        Ok(())
    }

    pub(super) fn put_contact(
        &self,
        customer: &Customer,
        contact: &str,
        position: usize,
    ) -> Result<()> {
        let key = (customer.tenant.clone(), customer.id.clone());
        let mut set = self.set.borrow_mut();
        set.contacts.put(
            (customer.tenant.clone(), contact.to_owned()),
            Some(customer.id.clone()),
        );
        if let Some(known) = set.customers.get(&key).cloned()
            && let Some(listed) = known.customer.as_deref()
        {
            let mut listed = listed.clone();
            listed
                .contacts
                .insert(position.min(listed.contacts.len()), contact.to_owned());
            set.customers.put(
                key,
                CustomerRow {
                    customer: Some(Rc::new(listed)),
                    ..known
                },
            );
        }
        Ok(())
    }

    pub(super) fn drop_contacts(&self, tenant: &TenantId, id: &CustomerId) -> Result<()> {
        let key = (tenant.clone(), id.clone());
        self.have(|wanted, tables| wanted.customer(tables, key.clone()))?;
        let mut set = self.set.borrow_mut();
        if let Some(known) = set.customers.get(&key).cloned()
            && let Some(listed) = known.customer.as_deref()
        {
            let mut bare = listed.clone();
            for contact in std::mem::take(&mut bare.contacts) {
                set.contacts.put((tenant.clone(), contact), None);
            }
            set.customers.put(
                key,
                CustomerRow {
                    customer: Some(Rc::new(bare)),
                    ..known
                },
            );
        }
        Ok(())
    }

    pub(super) fn read_answer(
        &self,
        tenant: &TenantId,
        application: i64,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<AnswerRow>> {
        self.now.set(self.now.get().max(ms(now)));
        let key = (tenant.clone(), application, key.to_owned());
        self.have(|wanted, tables| wanted.answer(tables, key.clone()))?;
        let set = self.set.borrow();
        Ok(set
            .answers
            .get(&key)
            .and_then(|seen| seen.row.as_deref().cloned()))
    }

    pub(super) fn put_answer(&self, answer: NewAnswer<'_>) {
        let NewAnswer {
            tenant,
            application,
            key,
            fingerprint,
            answer,
            expires_at,
        } = answer;
        let kept = AnswerToKeep {
            fingerprint,
            answer: Rc::from(answer.as_str()),
            expires_at: ms(expires_at),
        };
        let row = AnswerRow {
            fingerprint: fingerprint.to_vec(),
            answer,
        };
        let seen = AnswerSeen {
            row: Some(Rc::new(row)),
            keep: Some(kept),
        };
        self.set
            .borrow_mut()
            .answers
            .put((tenant.clone(), application, key.to_owned()), seen);
    }
}
