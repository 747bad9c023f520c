//! A town to call: telephones, an exchange, a mailbox, a database to stand on and a clock turned by hand. For
//! tests and the demonstration; never part of a service.
//!
//! Everything that talks does so over real sockets on loopback, with a SIP and an SMTP of its own
//! (`message`, `digest`, `mailbox`): nothing here is shared with the crates it is a witness for.

pub mod clock;
pub mod mailbox;
pub mod phone;
pub mod postgres;
pub mod script;
pub mod trunk;
pub mod witness;

mod call;
mod digest;
mod endpoint;
mod media;
mod message;
mod registration;
mod sdp;
