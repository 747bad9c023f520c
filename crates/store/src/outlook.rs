//! What is asked of the planner by those who book, and by those who want to know.
//!
//! The planner itself lives with the clockwork, which asks it whom to dial. API and clockwork meet here, as they
//! meet in the verbs of the store. A queue without a staff plan has no outlook: it answers `None` or
//! [`Admission::Unplanned`], and everything goes by the rules of the queue alone.

use crate::Result;
use async_trait::async_trait;
use jiff::Timestamp;
use ringback_callbacks::callback::Window;
use ringback_callbacks::ids::{InteractionId, QueueId, TenantId};
use ringback_callbacks::request::{Admission, NewCallback};

/// Two moments; both belong to it.
pub type Interval = (Timestamp, Timestamp);

/// What the planner says to a booking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// What is promised, if anything.
    pub admission: Admission,
    /// Where it is full: what would be promised instead, the nearest first.
    pub alternatives: Vec<Interval>,
}

/// What an estimate rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Basis {
    /// Agents planned at the expected moment.
    pub agents_planned: f64,
    /// Agents on duty now.
    pub agents_there: u32,
    /// Open callbacks that come before it.
    pub ahead: usize,
    /// Mean seconds for which an answered callback keeps an agent, as learned.
    pub handling_seconds: f64,
    /// Share of the first tries that are answered, as learned.
    pub reach: f64,
    /// Share of the agents whom live calls are expected to keep, 0 to 1.
    pub live_share: f64,
    /// Where the live calls are known from.
    pub live: LiveSource,
    /// How far learned figures are behind it: 0 (the plan's own figures) to 1.
    pub confidence: f64,
}

/// Where the planner knows the live calls from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveSource {
    /// The queue answers none.
    None,
    /// Reported within the last two minutes.
    Reported,
    /// Nothing was reported lately: the plan's forecast stands in.
    Forecast,
}

impl LiveSource {
    pub fn name(self) -> &'static str {
        match self {
            LiveSource::None => "none",
            LiveSource::Reported => "reported",
            LiveSource::Forecast => "forecast",
        }
    }
}

/// When a booking, or a callback that waits, is expected to be dialled.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// `None`: there is no room, or no allowed moment, in the window; or it is not expected in time.
    pub interval: Option<Interval>,
    /// Other times, if there is no room.
    pub alternatives: Vec<Interval>,
    pub basis: Basis,
}

/// What the telephone system sees of the calls that come in by themselves. Counters run from the day's beginning
/// on the queue's clock, so that a report that is lost or comes twice does no harm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveReport {
    /// Calls waiting now.
    pub waiting: u32,
    pub oldest_waiting_since: Option<Timestamp>,
    /// Calls that came in today.
    pub arrived: u32,
    /// Calls answered today, in time or late.
    pub answered: u32,
    /// Of these, within the target's seconds.
    pub answered_in_time: u32,
    /// Calls that gave up today.
    pub abandoned: u32,
    /// Agents in live calls now.
    pub agents_busy: u32,
}

/// One learned figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    pub name: &'static str,
    /// What the planner goes by.
    pub value: f64,
    /// What learning started from: the plan's own figure.
    pub prior: f64,
    /// Observations behind the value; the prior counts as some, and old ones fade.
    pub observations: f64,
    /// Not learned any further.
    pub frozen: bool,
}

/// A change to one learned figure.
#[derive(Clone, Debug, PartialEq)]
pub struct FigureChange {
    pub name: String,
    pub value: Option<f64>,
    pub frozen: Option<bool>,
}

/// The planner, as those see it who book and who ask.
#[async_trait]
pub trait Outlook: Send + Sync + 'static {
    /// What a booking is promised. With `take` its place is taken at once: nobody else is promised it, and
    /// [`Outlook::release`] gives it back if the booking comes to nothing.
    async fn book(
        &self,
        tenant: &TenantId,
        id: InteractionId,
        new: &NewCallback,
        now: Timestamp,
        take: bool,
    ) -> Result<Offer>;

    /// Gives back the place of a booking that was not stored.
    fn release(&self, tenant: &TenantId, id: InteractionId);

    /// When a waiting callback is expected to be dialled.
    async fn expect(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        id: InteractionId,
        now: Timestamp,
    ) -> Result<Option<Estimate>>;

    /// What a request for this window would be promised, on the clock of `zone` if one is given.
    async fn estimate(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        window: Window,
        zone: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Estimate>>;

    /// Takes in what the telephone system sees. `false`: the queue's plan has no live calls.
    async fn live(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        report: LiveReport,
        now: Timestamp,
    ) -> Result<bool>;

    /// The learned figures of a queue.
    async fn learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        now: Timestamp,
    ) -> Result<Option<Vec<Figure>>>;

    /// Sets and freezes learned figures; they are stored before this returns.
    async fn set_learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        changes: Vec<FigureChange>,
        now: Timestamp,
    ) -> Result<Option<Vec<Figure>>>;

    /// Forgets what was learned: every figure is the plan's own again, and learns.
    async fn forget_learned(
        &self,
        tenant: &TenantId,
        queue: &QueueId,
        now: Timestamp,
    ) -> Result<Option<Vec<Figure>>>;
}
