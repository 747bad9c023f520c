//! `GET /v1/agents/{id}/offers`: what is put before an agent, by long poll or as a live stream.

use super::{AgentPath, find};
use crate::ApiState;
use crate::auth::{Caller, Desk};
use crate::error::Problem;
use crate::extract::{InPath, InQuery, WantsStream};
use crate::fields::Fields;
use crate::gate::load::stream_place;
use crate::stream::{self, Gone, Outlet};
use crate::view::{ListView, OfferView};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use ringback_callbacks::ids::{AgentId, TenantId};
use ringback_store::{CallbackQuery, Signal};
use std::time::Duration;

/// Longest wait of one poll.
const LONGEST: i64 = 60;

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read field by field; here for the document")]
pub struct OffersQuery {
    /// Seconds to wait for an offer; 0 if absent.
    #[param(minimum = 0, maximum = 60)]
    wait: Option<u32>,
}

/// Wait for offers
///
/// Answers at once if there is an open offer, else when one comes, else with an empty list after `wait`
/// seconds. With `Accept: text/event-stream` a live stream: an event `offer` for each new one, and `offer_gone`
/// when it is not open any more.
#[utoipa::path(
    get,
    path = "/v1/agents/{id}/offers",
    tag = "agents",
    security(("api_key" = ["agent"])),
    params(AgentPath, OffersQuery),
    responses((status = 200, description = "Open offers; at most one at a time.", content(
        (ListView<OfferView> = "application/json"), (String = "text/event-stream"))))
)]
pub async fn list_offers(
    caller: Caller<Desk>,
    State(state): State<ApiState>,
    InPath(id): InPath<AgentId>,
    InQuery(query): InQuery,
    WantsStream(live): WantsStream,
) -> Result<Response, Problem> {
    let mut f = Fields::of_query(&query);
    let wait = f
        .integer("wait", 0, LONGEST)
        .and_then(|seconds| u64::try_from(seconds).ok())
        .unwrap_or(0);
    f.finish()?;
    find(&state, &caller.tenant, id).await?;
    let desk = AgentsDesk {
        state: state.clone(),
        tenant: caller.tenant,
        id,
    };
    if live {
        return stream::open(&state, |outlet| desk.follow(outlet));
    }
    let _place = if wait > 0 {
        Some(stream_place(&state)?)
    } else {
        None
    };
    let items = desk.wait(Duration::from_secs(wait)).await?;
    Ok(Json(ListView { items }).into_response())
}

struct AgentsDesk {
    state: ApiState,
    tenant: TenantId,
    id: AgentId,
}

impl AgentsDesk {
    /// Offers open now.
    async fn open(&self) -> Result<Vec<OfferView>, Problem> {
        let query = CallbackQuery {
            tenant: self.tenant.clone(),
            agent: Some(self.id),
            limit: 20,
            ..Default::default()
        };
        let in_hand = self.state.store.callbacks(query).await?;
        let mut offers: Vec<OfferView> = in_hand
            .items
            .iter()
            .filter_map(|callback| OfferView::new(callback, &self.state.settings))
            .collect();
        offers.retain(|offer| offer.agent_id == self.id.0);
        Ok(offers)
    }

    async fn wait(&self, wait: Duration) -> Result<Vec<OfferView>, Problem> {
        let mut signals = self.state.store.signals();
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let offers = self.open().await?;
            if !offers.is_empty() || self.state.stopping.is_cancelled() {
                return Ok(offers);
            }
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return Ok(offers),
                () = self.state.stopping.cancelled() => return Ok(offers),
                change = stream::next_change(&mut signals, |signal| self.matters(signal)) => {
                    if change.is_err() {
                        return Ok(offers);
                    }
                }
            }
        }
    }

    fn matters(&self, signal: &Signal) -> bool {
        match signal {
            Signal::Callback { tenant, .. } => *tenant == self.tenant,
            Signal::Agent { tenant, id } => *tenant == self.tenant && *id == self.id,
            Signal::Queue { .. } => false,
        }
    }

    async fn follow(self, outlet: Outlet) {
        let mut signals = self.state.store.signals();
        let mut told: Option<String> = None;
        while self.tell(&outlet, &mut told).await.is_ok() {
            if stream::next_change(&mut signals, |signal| self.matters(signal))
                .await
                .is_err()
            {
                return;
            }
        }
    }

    async fn tell(&self, outlet: &Outlet, told: &mut Option<String>) -> Result<(), Gone> {
        let open = self.open().await.map_err(|problem| {
            tracing::warn!(reason = %problem.detail, "a stream of offers ended because the store could not be read");
            Gone
        })?;
        let now = open.first();
        if now.map(|offer| &offer.offer_id) == told.as_ref() {
            return Ok(());
        }
        if let Some(gone) = told.take() {
            outlet
                .send_json(None, "offer_gone", &serde_json::json!({ "offer_id": gone }))
                .await?;
        }
        if let Some(offer) = now {
            outlet.send_json(None, "offer", offer).await?;
            *told = Some(offer.offer_id.clone());
        }
        Ok(())
    }
}
