//! `/v1/callbacks`: booking, reading, changing and ending callbacks.

mod admission;
pub mod attempts;
pub mod cancel;
pub mod change;
pub mod create;
pub mod dispose;
pub mod events;
pub mod get;
pub mod list;
pub mod reply;
pub mod reschedule;
pub mod snooze;
pub mod transfer;
pub mod validate;
pub mod why;

use crate::ApiSettings;
use crate::ApiState;
use crate::auth::Caller;
use crate::conditional::{Conditions, etag, etag_header};
use crate::error::Problem;
use crate::idempotency::{Asked, answer};
use crate::view::CallbackView;
use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use ringback_callbacks::callback::Callback;
use ringback_callbacks::event::Actor;
use ringback_callbacks::ids::{InteractionId, TenantId};
use ringback_callbacks::lifecycle::Command;
use ringback_store::{Applied, ApplyOrder, StoredAnswer};

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "read by InPath; here for the document")]
pub struct CallbackPath {
    /// The callback's `interaction_id`.
    #[param(format = Uuid)]
    id: String,
}

/// One wish of a client for one callback.
struct Wish {
    id: InteractionId,
    command: Command,
    actor: Actor,
    conditions: Conditions,
}

/// Carries out a wish and answers with the callback as it is then.
async fn carry_out<D>(
    state: &ApiState,
    caller: &Caller<D>,
    wish: Wish,
    asked: Option<Asked>,
) -> Result<Response, Problem> {
    let settings = state.settings.clone();
    let idempotent =
        asked.map(|asked| asked.order(move |callback| answer_of(200, callback, &settings)));
    let applied = state
        .store
        .apply(ApplyOrder {
            tenant: caller.tenant.clone(),
            callback: wish.id,
            command: wish.command,
            actor: wish.actor,
            expected: wish.conditions.expected,
            now: state.clock.now(),
            idempotent,
        })
        .await?;
    Ok(match applied {
        Applied::Done(_, Some(stored)) => answer(stored, false),
        Applied::Done(callback, None) => answer(answer_of(200, &callback, &state.settings), false),
        Applied::Repeated(stored) => answer(stored, true),
    })
}

/// The callback, or 404.
async fn find(state: &ApiState, tenant: &TenantId, id: InteractionId) -> Result<Callback, Problem> {
    state
        .store
        .callback(tenant, id)
        .await?
        .ok_or_else(|| Problem::not_found("callback"))
}

/// A callback as an answer that can be stored and given again.
fn answer_of(status: u16, callback: &Callback, settings: &ApiSettings) -> StoredAnswer {
    let view = CallbackView::new(callback, settings);
    StoredAnswer {
        status,
        headers: vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("etag".to_owned(), etag(callback.revision)),
        ],
        // A struct of strings and numbers always can be written.
        body: serde_json::to_string(&view).unwrap_or_default(),
    }
}

fn shown(callback: &Callback, settings: &ApiSettings) -> Response {
    let view = CallbackView::new(callback, settings);
    ([(header::ETAG, etag_header(callback.revision))], Json(view)).into_response()
}
