//! The side under test: what a server is told, and what it is asked.
//!
//! The calls are those of the line protocol, one each. Only [`Server::request`] and
//! [`Server::dispatch`] want an answer.

use serde::{Deserialize, Serialize};

use crate::scenario::{Header, Id, Request, Second};

/// How a dial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Answered,
    Busy,
    NoAnswer,
    Machine,
    /// The number does not exist.
    Invalid,
    /// The network's fault, not the customer's.
    Failed,
    /// The world did not carry the dial out, because it would have broken a rule.
    Refused,
}

/// The answer to a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Answer {
    /// The promise; both ends count.
    Accepted { start: Second, end: Second },
    /// An honest no.
    Declined,
    /// Right only for a second request of a number that has another one open or is in a call.
    Merged,
}

/// What a server sees when it is asked what to dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Agents on shift and not in a call.
    pub idle: u32,
    /// Agents on shift.
    pub n: u32,
    /// Live calls waiting.
    pub queue: u32,
    /// When the one that waits longest came.
    pub oldest_inbound_at: Option<Second>,
}

/// A promise moved to another time; the customer is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    pub id: Id,
    pub start: Second,
    pub end: Second,
}

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// Requests to dial, in this order, one agent each.
    #[serde(default)]
    pub dial: Vec<Id>,
    /// Done before the dials.
    #[serde(default, rename = "move")]
    pub moves: Vec<Move>,
    /// Ask again at this moment even if nothing else happens.
    #[serde(default)]
    pub wake: Option<Second>,
}

/// What is rehearsed.
pub trait Server {
    /// The day begins; called once, before everything else.
    fn header(&mut self, header: &Header);

    /// From now on `n` agents are on shift.
    fn agents(&mut self, now: Second, n: u32);

    /// A booking, to be answered at once.
    fn request(&mut self, now: Second, request: &Request) -> Answer;

    /// The customer takes the request back.
    fn cancel(&mut self, now: Second, id: &Id);

    /// What to dial now; asked after every second in which something happened, and again after
    /// each start until nothing more is dialled.
    fn dispatch(&mut self, now: Second, view: View) -> Dispatch;

    /// The ringing has ended. `n` counts the dials of this request from 1; it is 0 with
    /// [`Outcome::Refused`].
    fn result(&mut self, now: Second, id: &Id, n: u32, outcome: Outcome);

    /// The agent who dialled is free again: talk and wrap-up are over, or the dial failed.
    fn done(&mut self, now: Second, id: &Id);

    /// A live call has come in.
    fn inbound(&mut self, now: Second, id: &Id);

    /// A live call was answered after `wait` seconds.
    fn inbound_answered(&mut self, now: Second, id: &Id, wait: Second);

    /// A live call was given up after `wait` seconds.
    fn inbound_abandoned(&mut self, now: Second, id: &Id, wait: Second);

    /// The day is over.
    fn end(&mut self);
}
