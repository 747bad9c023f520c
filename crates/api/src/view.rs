//! What clients see: our types written out by hand as the published resource and its neighbours.

mod agent;
mod attempt;
mod callback;
mod customer;
mod event;
mod interaction;
mod outlook;
mod queue;
mod requests;
mod slot;
mod why;

pub use agent::{AgentBody, AgentView, OfferView};
pub use attempt::AttemptView;
pub use callback::{CallbackView, ContactView, HeldView, OfferNote, PromiseView, ValidationView};
pub use customer::CustomerView;
pub use event::EventView;
pub use interaction::{AnyView, InteractionView, revision_of};
pub use outlook::{EstimateView, LearnedView, TimesView};
pub use queue::{QueueCounts, QueueRulesBody, QueueView};
pub use requests::*;
pub use slot::{HoldView, SlotListView, SlotTimeView, SlotView};
pub use why::{WhyView, why};

use jiff::Timestamp;
use ringback_callbacks::wire_time;

/// The resource's date form.
fn date(at: Timestamp) -> String {
    wire_time::write(at)
}
