//! Slots and holds as clients see them.

use super::date;
use jiff::Timestamp;
use ringback_callbacks::callback::SlotTime;
use ringback_callbacks::ids::QueueId;
use ringback_scheduling::slots::SlotState;
use ringback_scheduling::zone::Zone;
use ringback_store::{SlotHold, SlotList};
use serde::Serialize;
use utoipa::ToSchema;

/// The bounds of the slot in which a callback has a place.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SlotTime)]
pub struct SlotTimeView {
    /// Its first instant.
    #[schema(format = DateTime)]
    pub start_time: String,
    /// Its first instant no longer.
    #[schema(format = DateTime)]
    pub end_time: String,
}

/// A bookable interval.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Slot)]
pub struct SlotView {
    /// Its first instant; what a booking or a hold names.
    #[schema(format = DateTime)]
    pub start_time: String,
    /// Its first instant no longer.
    #[schema(format = DateTime)]
    pub end_time: String,
    /// When it begins on the clock of the asked zone, with its offset.
    #[schema(format = DateTime, example = "2026-03-09T09:00:00-07:00")]
    pub local_start: String,
    /// When it ends on that clock.
    #[schema(format = DateTime, example = "2026-03-09T09:15:00-07:00")]
    pub local_end: String,
    /// Places still free; 0: nothing can be booked.
    pub capacity: u32,
    /// Places in all.
    pub total: u32,
    /// Places of callbacks.
    pub booked: u32,
    /// Places kept by holds.
    pub held: u32,
}

/// The slots of a queue.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SlotList)]
pub struct SlotListView {
    /// The queue.
    pub queue: String,
    /// Zone of `local_start` and `local_end`: the one asked for, else the queue's own.
    pub time_zone: String,
    /// Length of a slot, in seconds; where the queue's clock jumps a slot may be shorter.
    pub slot_seconds: u32,
    /// The slots, in order; full ones too.
    pub items: Vec<SlotView>,
}

/// A place that is kept for a few minutes. Whoever knows the id may book it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
pub struct HoldView {
    /// Name it as `hold` in a booking.
    #[schema(format = Uuid)]
    pub hold: String,
    /// The queue.
    pub queue: String,
    /// The slot, with this place counted as held.
    pub slot: SlotView,
    /// Then the place is given back by itself.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

impl SlotTimeView {
    pub fn new(slot: SlotTime) -> Self {
        SlotTimeView {
            start_time: date(slot.start),
            end_time: date(slot.end),
        }
    }
}

impl SlotView {
    pub fn new(state: &SlotState, zone: &Zone) -> Self {
        SlotView {
            start_time: date(state.slot.start),
            end_time: date(state.slot.end),
            local_start: local(state.slot.start, zone),
            local_end: local(state.slot.end, zone),
            capacity: state.free,
            total: state.slot.total,
            booked: state.booked,
            held: state.held,
        }
    }

    pub fn list(states: &[SlotState], zone: &Zone) -> Vec<Self> {
        let view = |state| SlotView::new(state, zone);
        states.iter().map(view).collect()
    }
}

impl SlotListView {
    pub fn new(queue: &QueueId, list: &SlotList, zone: Option<&Zone>) -> Self {
        let zone = zone.unwrap_or(&list.zone);
        SlotListView {
            queue: queue.to_string(),
            time_zone: zone.to_string(),
            slot_seconds: list.length.as_secs(),
            items: SlotView::list(&list.slots, zone),
        }
    }
}

impl HoldView {
    pub fn new(hold: &SlotHold) -> Self {
        HoldView {
            hold: hold.id.to_string(),
            queue: hold.queue.to_string(),
            slot: SlotView::new(&hold.slot, &hold.zone),
            expires_at: date(hold.expires_at),
        }
    }
}

/// Wall time with its offset, so that nobody has to know the zone to read it.
fn local(at: Timestamp, zone: &Zone) -> String {
    at.to_zoned(zone.tz().clone())
        .strftime("%Y-%m-%dT%H:%M:%S%:z")
        .to_string()
}
