//! Answering by e-mail, through relays.

pub mod template;
