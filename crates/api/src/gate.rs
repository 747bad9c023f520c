//! What every request passes before a handler sees it: its id and record, rate, load, time and panics.

pub mod load;
pub mod rate;
pub mod record;
