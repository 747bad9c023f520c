//! The whole API in process, over a real store, under a clock turned by hand.

#![recursion_limit = "256"]

mod agents;
mod auth;
mod bodies;
mod booking;
mod callbacks;
mod customers;
mod document;
mod house;
mod interactions;
mod limits;
mod lists;
mod operations;
mod queues;
mod refusals;
mod slots;
mod streams;
