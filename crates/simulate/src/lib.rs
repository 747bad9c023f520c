//! A rehearsal for schedulers: a deterministic world of agents, live calls and customers' phones.
//!
//! A [`Scenario`] says what happens on a day and, apart from it, the truth that only the judge may
//! know. A [`World`] plays it, second by second, to whatever implements [`Server`]; [`measure`]
//! judges the [`Day`] that came of it. Whatever is to be compared meets the same customers with the
//! same luck, and it can never see what has not happened yet.
//!
//! Days come from anywhere: [`generate`](generate::generate) makes them from one seed, [`recorded`] lives one again that
//! did happen, and [`whatif`] changes one.
//!
//! Pure: no clock, no files, and no chance but what a seed gives. All moments are whole seconds of the Unix epoch.

pub mod chance;
pub mod generate;
pub mod habits;
pub mod measure;
pub mod planned;
pub mod recorded;
pub mod resolve;
pub mod scenario;
pub mod server;
pub mod whatif;
pub mod world;

pub use measure::{Figures, Gates, gates, measure};
pub use resolve::{ResolveError, Resolved, Windows};
pub use scenario::{Header, Id, Interval, Kind, Number, Request, Scenario, ScenarioError, Second};
pub use server::{Answer, Dispatch, Move, Outcome, Server, View};
pub use world::{Day, Rule, World};
