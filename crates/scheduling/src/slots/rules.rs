//! How slots are cut and sold, as it is written in configuration.

use serde::{Deserialize, Serialize};

use crate::duration::Span;
use crate::staffing::{CapacityRules, StaffingError};

/// How slots are cut and sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BookingRules {
    /// Length of a slot; slots begin at midnight on the queue's clock, so a day must hold a whole number of them.
    #[serde(default = "defaults::slot")]
    pub slot: Span,
    /// How far ahead a slot may begin.
    #[serde(default = "defaults::horizon")]
    pub horizon: Span,
    /// How far ahead a slot must begin at least.
    #[serde(default)]
    pub notice: Span,
    /// For how long a place is kept while a form is filled in.
    #[serde(default = "defaults::hold")]
    pub hold: Span,
    /// The most places of a slot, however many the staff could carry.
    #[serde(default)]
    pub per_slot: Option<u32>,
    /// The most places of a day on the queue's clock.
    #[serde(default)]
    pub per_day: Option<u32>,
    /// The most open bookings of one customer.
    #[serde(default)]
    pub per_customer: Option<u32>,
}

impl Default for BookingRules {
    fn default() -> Self {
        BookingRules {
            slot: defaults::slot(),
            horizon: defaults::horizon(),
            notice: Span::ZERO,
            hold: defaults::hold(),
            per_slot: None,
            per_day: None,
            per_customer: None,
        }
    }
}

mod defaults {
    use super::Span;

    pub fn slot() -> Span {
        Span::from_mins(15)
    }
    pub fn horizon() -> Span {
        Span::from_hours(14 * 24)
    }
    pub fn hold() -> Span {
        Span::from_mins(5)
    }
}

/// What is wrong with the rules of slots, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {detail}")]
pub struct SlotRuleError {
    /// Dotted path, beginning with `capacity` or `booking`.
    pub field: String,
    /// A sentence's end: what must be.
    pub detail: String,
}

const SHORTEST: u32 = 5 * 60;
const LONGEST: u32 = 4 * 3600;
const DAY: u32 = 24 * 3600;
const MOST: u32 = 1_000_000;

impl BookingRules {
    /// Every fault, each with its field.
    pub(super) fn check(&self) -> Vec<SlotRuleError> {
        let mut faults = Vec::new();
        let mut add = |field: &str, detail: &str| faults.push(error(field, detail));
        let slot = self.slot.as_secs();
        if !(SHORTEST..=LONGEST).contains(&slot) {
            add("slot", "must be between 5m and 4h");
        } else if !slot.is_multiple_of(60) || !DAY.is_multiple_of(slot) {
            add(
                "slot",
                "must be whole minutes that a day holds a whole number of times, like 15m, 20m, 30m or 1h",
            );
        }
        if !(slot..=366 * DAY).contains(&self.horizon.as_secs()) {
            add("horizon", "must be at least one slot and at most 366d");
        }
        if self.notice >= self.horizon {
            add("notice", "must be shorter than the horizon");
        }
        if !(30..=3600).contains(&self.hold.as_secs()) {
            add("hold", "must be between 30s and 1h");
        }
        for (field, limit) in [
            ("per_slot", self.per_slot),
            ("per_day", self.per_day),
            ("per_customer", self.per_customer),
        ] {
            if limit.is_some_and(|limit| !(1..=MOST).contains(&limit)) {
                add(field, "must be between 1 and 1000000");
            }
        }
        faults
    }
}

impl SlotRuleError {
    /// No slot carries anything, although the numbers are not nought.
    pub(super) fn never(capacity: &CapacityRules) -> SlotRuleError {
        let field = if capacity.per_slot.is_some() {
            "per_slot"
        } else if capacity.weekly.is_empty() {
            "steps"
        } else {
            "weekly"
        };
        SlotRuleError {
            field: format!("capacity.{field}"),
            detail:
                "leaves no slot with a place in the next 366 days: look at the opening hours, the \
                     length of a slot, the mean handling time and what live calls need"
                    .to_owned(),
        }
    }
}

impl From<StaffingError> for SlotRuleError {
    fn from(error: StaffingError) -> Self {
        SlotRuleError {
            field: format!("capacity.{}", error.field),
            detail: error.fault.to_string(),
        }
    }
}

fn error(field: &str, detail: &str) -> SlotRuleError {
    SlotRuleError {
        field: format!("booking.{field}"),
        detail: detail.to_owned(),
    }
}
