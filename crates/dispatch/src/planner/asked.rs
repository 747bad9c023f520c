//! What others ask the planner: bookings, estimates, live calls, learned figures.

use super::line::{DAYS_SEARCHED, Line, Room};
use super::{Planner, Rooms};
use async_trait::async_trait;
use jiff::Timestamp;
use ringback_callbacks::callback::Window;
use ringback_callbacks::contact::Contact;
use ringback_callbacks::ids::{InteractionId, QueueId, TenantId};
use ringback_callbacks::planning::{Whom, at, window_of};
use ringback_callbacks::request::{Admission, NewCallback};
use ringback_scheduling::plan::{self, Ask, Second};
use ringback_store::{
    Basis, Estimate, Figure, FigureChange, Interval, LiveReport, Offer, Outlook, Result, StoreError,
};

/// Observations at which learned figures are as good as they get; the prior counts as thirty.
const WELL_LEARNED: f64 = 130.0;
const PRIOR: f64 = 30.0;

#[async_trait]
impl Outlook for Planner {
    async fn book(
        &self,
        tenant: &TenantId,
        id: InteractionId,
        new: &NewCallback,
        now: Timestamp,
        take: bool,
    ) -> Result<Offer> {
        self.catch_up(now).await?;
        let Some(contact) = new.contacts.first().map(|step| &step.contact) else {
            return Ok(Offer::default());
        };
        let key = (tenant.clone(), new.queue.clone());
        // Letters are written when there is time.
        if matches!(contact, Contact::Email(_)) || !self.rooms().lines.contains_key(&key) {
            return Ok(Offer::default());
        }
        let customer = match &new.customer {
            Some(customer) => self.store.customer(tenant, customer).await?,
            None => {
                self.store
                    .customer_by_contact(tenant, contact.expose())
                    .await?
            }
        };
        let zone = customer.and_then(|customer| customer.time_zone);
        let whom = Whom {
            contact: Some(contact),
            zone: new.time_zone.as_deref().or(zone.as_deref()),
            any_hour: new.any_hour,
        };
        let mut rooms = self.rooms();
        let Some(line) = rooms.lines.get_mut(&key) else {
            return Ok(Offer::default());
        };
        let seconds = now.as_second();
        let window = window_of(&new.window);
        let ask = line.ask(seconds, window, whom, seconds);
        match line.room(seconds, &ask) {
            Room::Promised { day, promise } => {
                if take {
                    line.take(seconds, id, &ask, day, promise);
                    rooms
                        .queue_of
                        .insert((tenant.clone(), id), new.queue.clone());
                }
                let (from, to) = span(promise);
                Ok(Offer {
                    admission: Admission::Promised { from, to },
                    alternatives: Vec::new(),
                })
            }
            Room::Full => Ok(Offer {
                admission: Admission::Full,
                alternatives: alternatives(line, seconds, &ask, whom),
            }),
            // The guards say better why.
            Room::Never => Ok(Offer::default()),
        }
    }

    fn release(&self, tenant: &TenantId, id: InteractionId) {
        self.rooms().forget(tenant, id);
    }

    async fn expect(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        id: InteractionId,
        now: Timestamp,
    ) -> Result<Option<Estimate>> {
        self.catch_up(now).await?;
        let seconds = now.as_second();
        let mut rooms = self.rooms();
        let key = (tenant.clone(), queue.clone());
        let (there, ..) = rooms.duty(tenant, queue);
        let Some(line) = rooms.lines.get_mut(&key) else {
            return Ok(None);
        };
        let Some(desk) = line.desk_of(seconds, id) else {
            return Ok(None);
        };
        let opens = desk.rules().open.first().map_or(seconds, |span| span.0);
        let from = seconds.max(opens);
        let interval = desk.expect(from, id);
        let moment = interval.map_or(from, |interval| interval.0);
        let basis = desk.basis(from, moment);
        Ok(Some(Estimate {
            interval: interval.map(span),
            alternatives: Vec::new(),
            basis: shown(line, seconds, there, basis),
        }))
    }

    async fn estimate(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        window: Window,
        zone: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Estimate>> {
        self.catch_up(now).await?;
        let seconds = now.as_second();
        let mut rooms = self.rooms();
        let (there, ..) = rooms.duty(tenant, queue);
        let Some(line) = rooms.lines.get_mut(&(tenant.clone(), queue.clone())) else {
            return Ok(None);
        };
        // Whoever asks has not said whom to ring: the queue's own clock stands in for an unknown one.
        let whom = Whom {
            contact: None,
            zone,
            any_hour: false,
        };
        let ask = line.ask(seconds, window_of(&window), whom, seconds);
        let room = line.room(seconds, &ask);
        let (interval, others) = match room {
            Room::Promised { promise, .. } => (Some(promise), Vec::new()),
            Room::Full | Room::Never => (None, alternatives(line, seconds, &ask, whom)),
        };
        let moment = interval.map_or(ask.window.0.max(seconds), |interval| interval.0);
        let desk = line.desk_at(seconds, moment);
        let opens = desk.rules().open.first().map_or(seconds, |span| span.0);
        let basis = desk.basis(seconds.max(opens), moment);
        Ok(Some(Estimate {
            interval: interval.map(span),
            alternatives: others,
            basis: shown(line, seconds, there, basis),
        }))
    }

    async fn live(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        report: LiveReport,
        now: Timestamp,
    ) -> Result<bool> {
        self.catch_up(now).await?;
        let mut rooms = self.rooms();
        let line = rooms.lines.get_mut(&(tenant.clone(), queue.clone()));
        let Some(line) = line.filter(|line| line.has_live()) else {
            return Ok(false);
        };
        line.report(now.as_second(), report);
        drop(rooms);
        self.news.notify_one();
        Ok(true)
    }

    async fn learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        now: Timestamp,
    ) -> Result<Option<Vec<Figure>>> {
        self.catch_up(now).await?;
        Ok(self
            .rooms()
            .lines
            .get(&(tenant.clone(), queue.clone()))
            .map(|line| line.figures.shown()))
    }

    async fn set_learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        changes: Vec<FigureChange>,
        now: Timestamp,
    ) -> Result<Option<Vec<Figure>>> {
        self.catch_up(now).await?;
        let doc = {
            let mut rooms = self.rooms();
            let Some(line) = rooms.lines.get_mut(&(tenant.clone(), queue.clone())) else {
                return Ok(None);
            };
            let changed = line.figures.change(&changes);
            changed.map_err(|detail| StoreError::Conflict {
                field: Some("figures"),
                code: "figure",
                detail,
            })?;
            serde_json::to_value(&line.figures).unwrap_or_default()
        };
        self.store.put_learned(tenant, queue, doc).await?;
        self.learned(tenant, queue, now).await
    }

    async fn forget_learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        now: Timestamp,
    ) -> Result<Option<Vec<Figure>>> {
        self.catch_up(now).await?;
        let doc = {
            let mut rooms = self.rooms();
            let Some(line) = rooms.lines.get_mut(&(tenant.clone(), queue.clone())) else {
                return Ok(None);
            };
            line.figures = super::Figures::new(line.fresh());
            serde_json::to_value(&line.figures).unwrap_or_default()
        };
        self.store.put_learned(tenant, queue, doc).await?;
        self.learned(tenant, queue, now).await
    }
}

impl Rooms {
    fn forget(&mut self, tenant: &TenantId, id: InteractionId) {
        if let Some(queue) = self.queue_of.remove(&(tenant.clone(), id))
            && let Some(line) = self.lines.get_mut(&(tenant.clone(), queue))
        {
            line.forget(id);
        }
    }
}

fn span(interval: plan::Interval) -> Interval {
    (at(interval.0), at(interval.1))
}

/// Other times at which the same customer would be promised something.
fn alternatives(line: &mut Line, now: Second, asked: &Ask, whom: Whom<'_>) -> Vec<Interval> {
    let horizon = (
        now,
        now.max(asked.window.0) + DAYS_SEARCHED as Second * 86_400,
    );
    let whole = line.ask(now, horizon, whom, now);
    line.alternatives(now, asked.window, &whole)
        .into_iter()
        .map(span)
        .collect()
}

fn shown(line: &Line, now: Second, there: u32, basis: plan::Basis) -> Basis {
    Basis {
        agents_planned: basis.planned,
        agents_there: there,
        ahead: basis.ahead,
        handling_seconds: basis.handling,
        reach: basis.reach,
        live_share: basis.live_share,
        live: line.live.source(now, line.has_live()),
        confidence: ((basis.observations - PRIOR) / (WELL_LEARNED - PRIOR)).clamp(0.0, 1.0),
    }
}
