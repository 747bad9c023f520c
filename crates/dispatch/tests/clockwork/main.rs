//! The clockwork of one node on a store in memory, with a fake channel and under a clock turned by hand.

mod backlog;
mod ends;
mod sharing;
mod store;
#[path = "../support/through.rs"]
mod through;
mod town;
mod windows;
