//! The whole server against real peers: SIPp, baresip, Kamailio, an SMTP server from a package, and `kill -9`.
//!
//! The server is the built binary in a process of its own. What happened is asked of the peers, and then
//! compared with what the server says. `script/test` installs the peers; without them the tests fail.

mod books;
mod harness;
mod intake;
mod witness;

mod baresip;
mod bench;
mod crash;
mod failover;
mod idle;
mod kamailio;
mod mail;
mod nodes;
mod pooler;
mod refusals;
mod sipp;
mod stop;
