//! Calls by SIP: an agent's or a switch's phone and the customer's, joined by third-party call control.
//!
//! `config` says what a route is, `plan` turns an order into parties and targets, `channel` has the engine
//! call them and tells what happens, `legs` keeps the identifiers by which a restarted node ends what it
//! left ringing, and `outcome` is the one table that says what an ending means.

pub mod config;
pub mod outcome;

mod channel;
mod legs;
mod pings;
mod plan;

pub use channel::{SipChannel, SipChannelConfig};
pub use config::{CallerId, DIRECT, DirectRoute, REGISTRAR, RouteError, SipRoute};
