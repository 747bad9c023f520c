//! Places in slots. What is taken is counted per slot in a row of its own; who counts in order to take has the days that
//! were counted until the commit, so the last place is sold once, whichever node sells it.

use super::super::columns::get;
use super::super::set::{Place, QueueKey};
use super::PgTables;
use crate::Result;
use crate::rows::{count, ms, time};
use crate::tables::{NewHold, SlotCount};
use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::ids::{CustomerId, HoldId, InteractionId, QueueId, TenantId};
use ringback_callbacks::queue::QueueView;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

impl PgTables<'_> {
    pub(super) fn read_taken(
        &self,
        view: &Arc<QueueView>,
        (from, to): (Timestamp, Timestamp),
        held_after: Timestamp,
        leaves: &[Uuid],
    ) -> Result<Vec<SlotCount>> {
        let (from, to, held_after) = (ms(from), ms(to), ms(held_after));
        let (tenant, queue) = (&view.queue.tenant, &view.queue.id);
        let key = (tenant.clone(), queue.clone());
        if self.writing {
            self.slotted
                .borrow_mut()
                .insert(key.clone(), Arc::clone(view));
        }
        let locks = self.held.borrow().stretch(view, from, to);
        self.lock(locks)?;
        self.count_taken(&key, (from, to), held_after, leaves)
    }

    /// Without the locks: who is refused a place and told of others would wait for everybody who takes one of those, and
    /// two of them for each other.
    pub(super) fn tell_taken(
        &self,
        view: &Arc<QueueView>,
        (from, to): (Timestamp, Timestamp),
        held_after: Timestamp,
    ) -> Result<Vec<SlotCount>> {
        let (from, to, held_after) = (ms(from), ms(to), ms(held_after));
        let key = (view.queue.tenant.clone(), view.queue.id.clone());
        // What is read without a lock must not be what another job of this transaction decides by.
        let decided_by = self.set.borrow_mut().slots.remove(&key);
        let told = self.count_taken(&key, (from, to), held_after, &[]);
        let mut set = self.set.borrow_mut();
        match decided_by {
            Some(book) => set.slots.insert(key.clone(), book),
            None => set.slots.remove(&key),
        };
        let mut told = told?;
        // What this transaction has taken and not yet written.
        let own = set.slots.get(&key).map(|book| &book.deltas);
        for (start, delta) in own.into_iter().flat_map(|own| own.range(from..to)) {
            let start = time(*start, "slot_counts", "starts_at")?;
            let place = told.partition_point(|slot| slot.start < start);
            if told.get(place).is_none_or(|slot| slot.start != start) {
                let (booked, held) = (0, 0);
                told.insert(
                    place,
                    SlotCount {
                        start,
                        booked,
                        held,
                    },
                );
            }
            let booked = i64::from(told[place].booked) + delta;
            told[place].booked = u32::try_from(booked.max(0)).unwrap_or(u32::MAX);
        }
        Ok(told)
    }

    fn count_taken(
        &self,
        key: &QueueKey,
        (from, to): (i64, i64),
        held_after: i64,
        leaves: &[Uuid],
    ) -> Result<Vec<SlotCount>> {
        let (tenant, queue) = key;
        if !self.set.borrow().has_read(key, from, to) {
            self.have(|wanted, _| wanted.places(key.clone(), from, to))?;
        }
        let mut left: BTreeMap<i64, i64> = BTreeMap::new();
        for holder in leaves {
            if let Some(place) = self
                .place_of(tenant, InteractionId(*holder))?
                .filter(|place| place.queue == *queue)
            {
                *left.entry(place.start).or_default() += 1;
            }
        }
        let set = self.set.borrow();
        let Some(book) = set.slots.get(key) else {
            return Ok(Vec::new());
        };
        let mut counts: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for (start, booked) in book.booked.range(from..to) {
            counts.entry(*start).or_default().0 += booked;
        }
        for (start, expires, holder) in &book.holds {
            if (from..to).contains(start) && *expires > held_after && !leaves.contains(holder) {
                counts.entry(*start).or_default().1 += 1;
            }
        }
        for (start, gone) in left {
            if let Some(counted) = counts.get_mut(&start) {
                counted.0 -= gone;
            }
        }
        let number = |count: i64| u32::try_from(count.max(0)).unwrap_or(u32::MAX);
        counts
            .into_iter()
            .map(|(start, (booked, held))| {
                let start = time(start, "slot_counts", "starts_at")?;
                Ok(SlotCount {
                    start,
                    booked: number(booked),
                    held: number(held),
                })
            })
            .collect()
    }

    /// The place that a callback has, as it will be.
    fn place_of(&self, tenant: &TenantId, callback: InteractionId) -> Result<Option<Place>> {
        let key = (tenant.clone(), callback);
        if !self.set.borrow().places.has(&key) {
            let rows = self.ask_now(
                "SELECT queue, starts_at, customer FROM slot_places
                 WHERE tenant = $1 AND holder = $2 AND customer IS NOT NULL",
                &[&tenant.as_str(), &callback.0],
            )?;
            let place = rows
                .first()
                .map(|row| {
                    Ok::<_, crate::StoreError>(Place {
                        queue: crate::rows::queue_id(get::<&str>(row, 0)?)?,
                        start: get(row, 1)?,
                        customer: crate::rows::customer_id(get::<&str>(row, 2)?, "slot_places")?,
                    })
                })
                .transpose()?;
            self.set.borrow_mut().places.load(key.clone(), place);
        }
        Ok(self.set.borrow().places.get(&key).cloned().flatten())
    }

    pub(super) fn count_places(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        customer: &CustomerId,
        leaves: &[Uuid],
    ) -> Result<u32> {
        // Those the set knows are counted as it knows them, the others as the database does.
        let (known, here) = {
            let set = self.set.borrow();
            let known: Vec<Uuid> = set
                .places
                .keys()
                .filter(|key| key.0 == *tenant)
                .map(|key| key.1.0)
                .collect();
            let here = known
                .iter()
                .filter(|holder| !leaves.contains(holder))
                .filter_map(|holder| set.places.get(&(tenant.clone(), InteractionId(*holder))))
                .flatten()
                .filter(|place| place.queue == *queue && place.customer == *customer)
                .count();
            (known, here)
        };
        let rows = self.ask_now(
            "SELECT count(*) FROM slot_places
             WHERE tenant = $1 AND queue = $2 AND customer = $3 AND holder <> ALL($4::uuid[]) AND holder <> ALL($5::uuid[])",
            &[&tenant.as_str(), &queue.as_str(), &customer.as_str(), &known, &leaves.to_vec()],
        )?;
        let there = rows.first().map_or(Ok(0), |row| get::<i64>(row, 0))?;
        Ok(u32::try_from(count(there) + here as u64).unwrap_or(u32::MAX))
    }

    pub(super) fn put_place(
        &self,
        callback: &Callback,
        queue: &QueueId,
        start: Timestamp,
    ) -> Result<()> {
        let tenant = &callback.interaction.tenant;
        let place = Place {
            queue: queue.clone(),
            start: ms(start),
            customer: callback.interaction.customer.clone(),
        };
        self.count_slot(tenant, queue, place.start, 1);
        self.set
            .borrow_mut()
            .places
            .put((tenant.clone(), callback.interaction.id), Some(place));
        Ok(())
    }

    pub(super) fn drop_place(&self, tenant: &TenantId, callback: InteractionId) -> Result<()> {
        let Some(place) = self.place_of(tenant, callback)? else {
            return Ok(());
        };
        self.count_slot(tenant, &place.queue, place.start, -1);
        self.set
            .borrow_mut()
            .places
            .put((tenant.clone(), callback), None);
        Ok(())
    }

    fn count_slot(&self, tenant: &TenantId, queue: &QueueId, start: i64, delta: i64) {
        let key = (tenant.clone(), queue.clone());
        self.set.borrow_mut().count_slot(&key, start, delta);
    }

    pub(super) fn put_hold(&self, hold: NewHold<'_>) -> Result<()> {
        let NewHold {
            tenant,
            id,
            queue,
            start,
            expires_at,
        } = hold;
        self.write(
            "INSERT INTO slot_places (tenant, holder, queue, starts_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
            &[&tenant.as_str(), &id.0, &queue.as_str(), &ms(start), &ms(expires_at)],
        )
        .map(drop)
    }

    pub(super) fn drop_hold(
        &self,
        tenant: &TenantId,
        hold: HoldId,
        queue: Option<&QueueId>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let rows = self.write(
            "DELETE FROM slot_places
             WHERE tenant = $1 AND holder = $2 AND ($3::text IS NULL OR queue = $3) AND expires_at > $4
             RETURNING starts_at, queue",
            &[&tenant.as_str(), &hold.0, &queue.map(QueueId::as_str), &ms(now)],
        )?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let key = (tenant.clone(), crate::rows::queue_id(get::<&str>(row, 1)?)?);
        if let Some(book) = self.set.borrow_mut().slots.get_mut(&key) {
            book.holds.retain(|(_, _, holder)| *holder != hold.0);
        }
        time(get(row, 0)?, "slot_places", "starts_at").map(Some)
    }
}
