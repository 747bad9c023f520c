//! Time and limits: when is a place open, when may a person be rung, when is the next try.
//!
//! Pure: no clock, no network, no database, and nothing here has ever heard of a callback. The
//! time of day and the randomness are handed in. (Time zone data comes from the machine's tz
//! database where there is one, and otherwise from the copy built in.)

pub mod almanac;
pub mod duration;
pub mod hours;
pub mod limits;
pub mod order;
pub mod permitted;
pub mod plan;
pub mod retry;
pub mod shares;
pub mod slots;
pub mod spans;
pub mod staffing;
pub mod zone;

pub use almanac::{Almanac, HolidayList, HolidayListError};
pub use duration::Span;
pub use hours::{Exception, HolidayConfig, Hours, HoursConfig, HoursError, HoursFault, HoursState};
pub use limits::{DailyLimit, Pace, PaceRate};
pub use permitted::{PermittedHours, Until, permitted_at};
pub use retry::{GiveUp, Retry, RetryRule, RetryTable};
pub use slots::{BookingRules, Slot, SlotPlan, SlotState, Taken};
pub use spans::{dialable_spans, open_spans, permitted_spans};
pub use staffing::{Capacity, CapacityRules, StaffPlan};
pub use zone::{LocalTime, Zone};
