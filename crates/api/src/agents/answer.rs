//! `POST /v1/agents/{id}/offers/{offer}/accept` and `/decline`.

use super::{OfferPath, find};
use crate::ApiState;
use crate::auth::{Caller, Desk};
use crate::conditional::etag_header;
use crate::error::{Code, Problem};
use crate::extract::InPath;
use crate::view::CallbackView;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use ringback_callbacks::event::Actor;
use ringback_callbacks::ids::{AgentId, InteractionId, OfferId};
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::state::State as CallbackState;
use ringback_store::{ApplyOrder, CallbackQuery};

/// Accept an offer
///
/// The callback is the agent's then, and the call is placed at once (or the reply awaited).
#[utoipa::path(
    post,
    path = "/v1/agents/{id}/offers/{offer}/accept",
    tag = "agents",
    security(("api_key" = ["agent"])),
    params(OfferPath),
    responses(
        (status = 200, description = "The callback as it is now.", body = CallbackView),
        (status = 409, description = "The offer is not open any more."),
    )
)]
pub async fn accept_offer(
    caller: Caller<Desk>,
    State(state): State<ApiState>,
    InPath((agent, offer)): InPath<(AgentId, OfferId)>,
) -> Result<Response, Problem> {
    answer(
        &state,
        &caller,
        agent,
        offer,
        Command::AcceptOffer { offer, agent },
    )
    .await
}

/// Decline an offer
///
/// The callback goes back to its place in the queue, and to somebody else if anybody is free.
#[utoipa::path(
    post,
    path = "/v1/agents/{id}/offers/{offer}/decline",
    tag = "agents",
    security(("api_key" = ["agent"])),
    params(OfferPath),
    responses(
        (status = 200, description = "The callback as it is now.", body = CallbackView),
        (status = 409, description = "The offer is not open any more."),
    )
)]
pub async fn decline_offer(
    caller: Caller<Desk>,
    State(state): State<ApiState>,
    InPath((agent, offer)): InPath<(AgentId, OfferId)>,
) -> Result<Response, Problem> {
    answer(
        &state,
        &caller,
        agent,
        offer,
        Command::DeclineOffer { offer, agent },
    )
    .await
}

async fn answer(
    state: &ApiState,
    caller: &Caller<Desk>,
    agent: AgentId,
    offer: OfferId,
    command: Command,
) -> Result<Response, Problem> {
    let callback = offered(state, caller, agent, offer).await?;
    let order = ApplyOrder {
        tenant: caller.tenant.clone(),
        callback,
        command,
        actor: Actor::Agent(agent.0),
        expected: None,
        now: state.clock.now(),
        idempotent: None,
    };
    let callback = state.store.apply(order).await?.callback();
    let callback = callback.ok_or_else(|| Problem::not_found("offer"))?;
    let tag = [(header::ETAG, etag_header(callback.revision))];
    Ok((tag, Json(CallbackView::new(&callback, &state.settings))).into_response())
}

/// The callback behind an open offer of this agent.
async fn offered(
    state: &ApiState,
    caller: &Caller<Desk>,
    agent: AgentId,
    wanted: OfferId,
) -> Result<InteractionId, Problem> {
    find(state, &caller.tenant, agent).await?;
    let query = CallbackQuery {
        tenant: caller.tenant.clone(),
        agent: Some(agent),
        limit: 20,
        ..Default::default()
    };
    let in_hand = state.store.callbacks(query).await?;
    let found = in_hand.items.iter().find(
        |callback| matches!(&callback.state, CallbackState::Offered { offer, .. } if *offer == wanted),
    );
    found
        .map(|callback| callback.interaction.id)
        .ok_or_else(|| {
            Problem::new(
                Code::OfferGone,
                "The offer timed out, was answered, or is not this agent's.",
            )
        })
}
