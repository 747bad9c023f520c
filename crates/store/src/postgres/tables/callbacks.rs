//! Callbacks, interactions, attempts, calls and events of the working set.

use super::super::columns::{attempt_of, get, named};
use super::super::flush;
use super::super::load::{facts_of, is_called};
use super::super::locks;
use super::super::set::{AttemptRow, Call, CallbackKey, CallbackRow, EventRow, Fresh};
use super::PgTables;
use crate::events::Sealed;
use crate::rows::{any_of, damaged, ms};
use crate::tables::InteractionRow;
use crate::{AnyInteraction, Result, StoreError, effects};
use jiff::Timestamp;
use ringback_callbacks::attempt::Attempt;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::contact::Contact;
use ringback_callbacks::guard::NumberFacts;
use ringback_callbacks::ids::{AttemptId, InteractionId, QueueId, TenantId};
use ringback_callbacks::interaction::Interaction;
use std::rc::Rc;

impl PgTables<'_> {
    pub(super) fn read_callback(
        &self,
        tenant: &TenantId,
        id: InteractionId,
    ) -> Result<Option<Callback>> {
        let key = (tenant.clone(), id);
        self.have(|wanted, tables| wanted.callback(tables, key.clone()))?;
        let set = self.set.borrow();
        if let Some(detail) = set.damaged.get(&key) {
            return Err(damaged("callbacks", "doc", detail));
        }
        let row = set.callbacks.get(&key);
        Ok(row.and_then(|row| row.callback.as_deref().cloned()))
    }

    pub(super) fn put_callback(&self, before: Option<&Callback>, after: &Callback) -> Result<()> {
        let key = (after.interaction.tenant.clone(), after.interaction.id);
        if before.is_some() {
            self.have(|wanted, tables| wanted.callback(tables, key.clone()))?;
        }
        let mut set = self.set.borrow_mut();
        let row = match before {
            None => CallbackRow {
                callback: Some(Rc::new(after.clone())),
                writes: 0,
                fresh: Fresh::New,
                common: true,
                contacts: true,
                old_contacts: None,
            },
            Some(before) => {
                let row = set.callbacks.get(&key).filter(|row| row.callback.is_some());
                let row =
                    row.ok_or_else(|| damaged("callbacks", "id", "the row to be changed is gone"))?;
                let new = row.fresh == Fresh::New;
                let named_anew = before.contacts != after.contacts;
                let old_contacts = match &row.old_contacts {
                    None if named_anew && !new => Some(Rc::new(names(before))),
                    known => known.clone(),
                };
                CallbackRow {
                    callback: Some(Rc::new(after.clone())),
                    writes: row.writes,
                    fresh: if new { Fresh::New } else { Fresh::Changed },
                    common: row.common || has_other_columns(before, after),
                    contacts: row.contacts || named_anew,
                    old_contacts,
                }
            }
        };
        if before.is_none() {
            let known = InteractionRow {
                allow_children: after.interaction.allow_children,
                thread: after.interaction.thread.clone(),
            };
            set.interactions.put(key.clone(), Some(known));
        }
        if before.is_none_or(|before| before.contacts != after.contacts) {
            for contact in names(after) {
                // Only where it was asked about: who asks later reads it from the database, or from here.
                let of = (key.0.clone(), contact);
                let Some(open) = set.open.get(&of) else {
                    continue;
                };
                if !open.contains(&key.1) {
                    let mut open = (**open).clone();
                    open.push(key.1);
                    set.open.put(of, Rc::new(open));
                }
            }
        }
        set.callbacks.put(key, row);
        Ok(())
    }

    pub(super) fn read_interaction(
        &self,
        tenant: &TenantId,
        id: InteractionId,
    ) -> Result<Option<InteractionRow>> {
        let key = (tenant.clone(), id);
        self.have(|wanted, tables| wanted.interaction(tables, key.clone()))?;
        Ok(self.set.borrow().interactions.get(&key).cloned().flatten())
    }

    pub(super) fn read_any(
        &self,
        tenant: &TenantId,
        id: InteractionId,
    ) -> Result<Option<AnyInteraction>> {
        if self.writing {
            return self.read_any_to_change(tenant, id);
        }
        let rows = self.ask(
            "SELECT i.doc, c.doc FROM interactions i
             LEFT JOIN callbacks c ON c.tenant = i.tenant AND c.id = i.id WHERE i.tenant = $1 AND i.id = $2",
            &[&tenant.as_str(), &id.0],
        )?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        any_of(get(row, 0)?, get(row, 1)?)
    }

    /// What is decided about is what is written over: a callback is taken into the set, so that it is checked when it is
    /// written whether it is still the one that was read; another interaction has no count of its writes and is locked.
    fn read_any_to_change(
        &self,
        tenant: &TenantId,
        id: InteractionId,
    ) -> Result<Option<AnyInteraction>> {
        if let Some(callback) = self.read_callback(tenant, id)? {
            return Ok(Some(AnyInteraction::Callback(Box::new(callback))));
        }
        let rows = self.ask_locking(
            "SELECT doc FROM interactions WHERE tenant = $1 AND id = $2 FOR UPDATE",
            &[&tenant.as_str(), &id.0],
        )?;
        match rows.first() {
            Some(row) => any_of(get(row, 0)?, None),
            None => Ok(None),
        }
    }

    pub(super) fn put_interaction(&self, interaction: &Interaction, doc: &str) -> Result<()> {
        self.write(
            "INSERT INTO interactions (tenant, id, entity_type, customer, parent, thread, external_id, owner,
                 allow_children, created_at, doc)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (tenant, id) DO UPDATE SET thread = excluded.thread, external_id = excluded.external_id,
                 owner = excluded.owner, allow_children = excluded.allow_children, doc = excluded.doc",
            &[
                &interaction.tenant.as_str(),
                &interaction.id.0,
                &interaction.entity_type.0,
                &interaction.customer.as_str(),
                &interaction.parent.map(|parent| parent.0),
                &interaction.thread.as_deref(),
                &interaction.external_id.as_deref(),
                &interaction.owner,
                &interaction.allow_children,
                &ms(interaction.created_at),
                &doc,
            ],
        )
        .map(drop)
    }

    pub(super) fn read_open(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        contact: &str,
        limit: usize,
    ) -> Result<Vec<Callback>> {
        let key = (tenant.clone(), contact.to_owned());
        // Two requests for one number are one after the other, on whichever nodes.
        self.lock(vec![locks::contact(tenant, contact)])?;
        self.have(|wanted, tables| wanted.open(tables, key.clone()))?;
        let ids = self
            .set
            .borrow()
            .open
            .get(&key)
            .cloned()
            .unwrap_or_default();
        let mut open = Vec::new();
        for id in ids.iter() {
            let Some(callback) = self.read_callback(tenant, *id)? else {
                continue;
            };
            let names_it = callback
                .contacts
                .iter()
                .any(|step| step.contact.expose() == contact);
            if callback.queue == *queue && !callback.state.is_ended() && names_it {
                open.push(callback);
            }
            if open.len() >= limit {
                break;
            }
        }
        Ok(open)
    }

    // ── attempts and calls ───────────────────────────────────────────────────────────────────────

    pub(super) fn read_attempt(&self, tenant: &TenantId, id: AttemptId) -> Result<Option<Attempt>> {
        let key = (tenant.clone(), id);
        self.have(|wanted, tables| wanted.attempt(tables, key.clone()))?;
        let set = self.set.borrow();
        let row = set.attempts.get(&key);
        Ok(row.and_then(|row| row.attempt.as_deref().cloned()))
    }

    pub(super) fn read_attempts(
        &self,
        tenant: &TenantId,
        callback: InteractionId,
    ) -> Result<Vec<Attempt>> {
        let sql = format!(
            "SELECT {} FROM attempts a WHERE a.tenant = $1 AND a.callback = $2 AND a.number > 0 ORDER BY a.number",
            super::super::columns::ATTEMPT
        );
        let rows = self.ask(&sql, &[&tenant.as_str(), &callback.0])?;
        rows.iter().map(|row| Ok(attempt_of(row)?.0)).collect()
    }

    pub(super) fn put_attempt(&self, attempt: &Attempt, by_mail: bool) -> Result<()> {
        let tenant = &attempt.tenant;
        if !by_mail {
            let contact = (tenant.clone(), attempt.contact.clone());
            self.have(|wanted, tables| wanted.calls(tables, contact.clone()))?;
            let set = self.set.borrow();
            let calls = set.calls.get(&contact).cloned().unwrap_or_default();
            if calls.iter().any(|call| call.in_call) {
                return Err(StoreError::Conflict {
                    field: None,
                    code: "number_in_call",
                    detail: "another call with this number is going on".to_owned(),
                });
            }
        }
        let row = AttemptRow {
            attempt: Some(Rc::new(attempt.clone())),
            fresh: Fresh::New,
            by_mail,
            legs: false,
        };
        self.set
            .borrow_mut()
            .attempts
            .put((tenant.clone(), attempt.id), row);
        self.note_call(attempt, by_mail);
        Ok(())
    }

    pub(super) fn change_attempt(&self, attempt: &Attempt, to: Fresh) -> Result<()> {
        let key = (attempt.tenant.clone(), attempt.id);
        self.have(|wanted, tables| wanted.attempt(tables, key.clone()))?;
        let known = self.set.borrow().attempts.get(&key).cloned();
        let known = known
            .filter(|row| row.attempt.is_some())
            .ok_or(StoreError::NotFound("attempt"))?;
        let by_mail = known.by_mail;
        let row = AttemptRow {
            attempt: Some(Rc::new(attempt.clone())),
            fresh: if known.fresh == Fresh::New {
                Fresh::New
            } else {
                to
            },
            ..known
        };
        self.set.borrow_mut().attempts.put(key, row);
        self.note_call(attempt, by_mail);
        Ok(())
    }

    pub(super) fn put_legs(
        &self,
        tenant: &TenantId,
        id: AttemptId,
        legs: &serde_json::Value,
    ) -> Result<()> {
        let key = (tenant.clone(), id);
        let mut set = self.set.borrow_mut();
        let Some(known) = set.attempts.get(&key).cloned() else {
            return Err(StoreError::NotFound("attempt"));
        };
        let Some(attempt) = known.attempt.as_deref() else {
            return Err(StoreError::NotFound("attempt"));
        };
        let attempt = Attempt {
            legs: legs.clone(),
            ..attempt.clone()
        };
        let row = AttemptRow {
            attempt: Some(Rc::new(attempt)),
            legs: true,
            ..known
        };
        set.attempts.put(key, row);
        Ok(())
    }

    /// Keeps the list of the number's calls in step with the attempt.
    fn note_call(&self, attempt: &Attempt, by_mail: bool) {
        if by_mail {
            return;
        }
        let key = (attempt.tenant.clone(), attempt.contact.clone());
        let call = Call {
            attempt: attempt.id,
            callback: attempt.callback,
            began_at: ms(attempt.began_at),
            in_call: attempt.ended_at.is_none(),
            rang: flush::rang(attempt),
        };
        let mut set = self.set.borrow_mut();
        // Where nobody has asked for them there is nothing to keep in step.
        let Some(calls) = set.calls.get(&key) else {
            return;
        };
        let mut calls = (**calls).clone();
        match calls.iter_mut().find(|known| known.attempt == attempt.id) {
            Some(known) => *known = call,
            None => calls.push(call),
        }
        set.calls.put(key, Rc::new(calls));
    }

    pub(super) fn read_calls(
        &self,
        tenant: &TenantId,
        of: InteractionId,
        contact: &Contact,
        from: Timestamp,
    ) -> Result<NumberFacts> {
        if !is_called(contact) {
            return Ok(NumberFacts::default());
        }
        let day = i64::try_from(crate::facts::NUMBER_DAY.as_millis()).unwrap_or(i64::MAX);
        self.now
            .set(self.now.get().max(ms(from).saturating_add(day)));
        let key = (tenant.clone(), contact.expose().to_owned());
        self.have(|wanted, tables| wanted.calls(tables, key.clone()))?;
        let set = self.set.borrow();
        let calls = set.calls.get(&key).cloned().unwrap_or_default();
        Ok(facts_of(&calls, of, ms(from)))
    }

    pub(super) fn put_events(&self, tenant: &TenantId, of: InteractionId, events: &[Sealed]) {
        let mut set = self.set.borrow_mut();
        for event in events {
            set.events.push(EventRow {
                tenant: tenant.clone(),
                of,
                event: Rc::new(event.clone()),
            });
        }
    }

    /// The rows of a question about many callbacks, taken into the set: they are locked, so they are the newest.
    pub(super) fn take_all(&self, rows: &[tokio_postgres::Row]) -> Result<Vec<CallbackKey>> {
        rows.iter()
            .map(|row| self.take_callback(row, self.writing))
            .collect()
    }
}

/// The canonical contacts of the plan.
fn names(callback: &Callback) -> Vec<String> {
    callback
        .contacts
        .iter()
        .map(|step| step.contact.expose().to_owned())
        .collect()
}

/// Whether a row of the common fields would look different.
fn has_other_columns(before: &Callback, after: &Callback) -> bool {
    let (old, new) = (&before.interaction, &after.interaction);
    before.queue != after.queue
        || old.thread != new.thread
        || old.external_id != new.external_id
        || old.owner != new.owner
        || old.allow_children != new.allow_children
        || (old != new && effects::search_text(old) != effects::search_text(new))
}

/// Used by the lists: the first column of that name as text.
pub(super) fn doc_of(row: &tokio_postgres::Row) -> Result<String> {
    named(row, "doc")
}
