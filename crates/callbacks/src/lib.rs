//! What a callback is, and what happens to it next. Pure: no clock, no network, no database.
//!
//! Reading order follows one callback: a request is parsed (`request`, `contact`), becomes a
//! [`callback::Callback`] whose [`state::State`] moves only through [`lifecycle::step`], which asks
//! [`guard`] whether now is allowed and [`decide`] what an outcome means.

pub mod ids;
pub mod clock;
pub mod wire_time;
pub mod contact;
pub mod problem;
pub mod interaction;
pub mod customer;
pub mod queue;
pub mod agent;
pub mod state;
pub mod callback;
pub mod request;
pub mod outcome;
pub mod attempt;
pub mod guard;
pub mod decide;
pub mod lifecycle;
pub mod event;
