//! Answers by e-mail: a message of our own making, handed to a relay.
//!
//! `config` says what a relay is, `template` fills in a queue's own words, `message` writes the mail, `session`
//! speaks with one relay step by step, `outcome` is the one table that says what its answer means, and `channel`
//! goes through the relays.

pub mod config;
pub mod template;

mod channel;
mod message;
mod outcome;
mod session;

pub use channel::SmtpChannel;
pub use config::{RelayError, Security, SmtpRoute};
