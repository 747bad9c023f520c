//! A booking's place in the plan of its queue: asked for before it is stored, and given back if it never is.

use crate::ApiState;
use crate::error::{Code, Problem};
use crate::view::TimesView;
use jiff::Timestamp;
use ringback_callbacks::ids::{InteractionId, TenantId};
use ringback_callbacks::request::{Admission, NewCallback};
use ringback_store::{Interval, Outlook};
use std::sync::Arc;

/// A place that is taken for a booking under way. Dropped without [`Place::keep`], it is free again: also when
/// nobody waits for the answer any more.
pub(super) struct Place {
    taken: Option<(Arc<dyn Outlook>, TenantId, InteractionId)>,
    alternatives: Vec<Interval>,
}

impl Place {
    /// Asks the planner what the booking is promised and writes it into the booking; with `take` it takes the place.
    pub async fn ask(
        state: &ApiState,
        tenant: &TenantId,
        id: InteractionId,
        new: &mut NewCallback,
        now: Timestamp,
        take: bool,
    ) -> Result<Place, Problem> {
        let mut place = Place {
            taken: None,
            alternatives: Vec::new(),
        };
        let Some(outlook) = &state.outlook else {
            return Ok(place);
        };
        let offer = outlook.book(tenant, id, new, now, take).await?;
        if take && matches!(offer.admission, Admission::Promised { .. }) {
            place.taken = Some((Arc::clone(outlook), tenant.clone(), id));
        }
        new.admission = offer.admission;
        place.alternatives = offer.alternatives;
        Ok(place)
    }

    /// The booking is stored: the place is its own.
    pub fn keep(mut self) {
        self.taken = None;
    }

    /// Tells the times that are free instead, where the window is full.
    pub fn explain(&self, mut problem: Problem) -> Problem {
        if problem.code == Code::Full {
            problem.instead.promises = self.alternatives.iter().map(TimesView::of).collect();
        }
        problem
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((outlook, tenant, id)) = self.taken.take() {
            outlook.release(&tenant, id);
        }
    }
}
