//! What a callback is, and what happens to it next. Pure: no clock, no network, no database.
//!
//! Reading order follows one callback: a request is parsed (`request`, `contact`), becomes a
//! [`callback::Callback`] whose [`state::State`] moves only through [`lifecycle::step`], which asks
//! [`guard`] whether now is allowed and [`decide`] what an outcome means.

pub mod agent;
pub mod attempt;
pub mod callback;
pub mod clock;
pub mod contact;
pub mod customer;
pub mod decide;
pub mod duplicate;
pub mod event;
pub mod guard;
pub mod ids;
pub mod interaction;
pub mod lifecycle;
pub mod outcome;
pub mod planning;
pub mod problem;
pub mod promise;
pub mod queue;
pub mod request;
pub mod state;
pub mod window;
pub mod wire_time;
