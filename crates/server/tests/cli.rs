//! The command line against a real server: a process of its own, a port of its own, and nothing but loopback.

#[path = "cli/place.rs"]
mod place;

#[path = "cli/callbacks.rs"]
mod callbacks;
#[path = "cli/moving.rs"]
mod moving;
#[path = "cli/running.rs"]
mod running;
#[path = "cli/simulate.rs"]
mod simulate;
#[path = "cli/upkeep.rs"]
mod upkeep;
