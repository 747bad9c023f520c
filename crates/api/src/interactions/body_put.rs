//! `PUT /v1/interactions/{id}/{body}`: stores a body as it arrives, chunk by chunk.

use super::{BodyPath, body_kind, find};
use crate::ApiState;
use crate::auth::{Caller, Writing};
use crate::conditional::etag_header;
use crate::error::{Code, Problem};
use crate::extract::InPath;
use crate::gate::load::stream_place;
use crate::view::{AnyView, revision_of};
use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use futures::StreamExt;
use ringback_callbacks::ids::{InteractionId, TenantId};
use ringback_callbacks::interaction::BodyKind;
use ringback_callbacks::request::is_mime;
use ringback_store::{BODY_CHUNK, BodyOrder};
use std::time::Duration;
use uuid::Uuid;

/// Longest pause between two pieces of a body.
const PAUSE: Duration = Duration::from_secs(30);
/// Longest upload; 25 MiB need 43 kB/s for that.
const WHOLE: Duration = Duration::from_secs(600);

/// Store a body
///
/// `plain_text`, `structured_text` or `binary_content`, at most 25 MiB, with its own `Content-Type`. It takes the
/// place of the one before only when it has arrived whole.
#[utoipa::path(
    put,
    path = "/v1/interactions/{id}/{body}",
    tag = "interactions",
    security(("api_key" = ["write"])),
    params(BodyPath),
    request_body(content = Vec<u8>, content_type = "*/*", description = "The body itself."),
    responses((status = 200, description = "The interaction, with the body's URL, MIME type and size.", body = AnyView),
              (status = 408, description = "The body did not arrive in time; nothing was stored."))
)]
pub async fn put_body(
    caller: Caller<Writing>,
    State(state): State<ApiState>,
    InPath((id, body)): InPath<(InteractionId, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let kind = body_kind(&body)?;
    let mime = mime_of(&request, kind)?;
    let stated = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    if stated
        .and_then(|text| text.parse::<u64>().ok())
        .is_some_and(|length| length > BodyKind::MAX_SIZE)
    {
        return Err(too_large());
    }
    let _place = stream_place(&state)?;
    find(&state, &caller.tenant, id).await?;
    let upload = state.chance.uuid();
    let size = match receive(&state, &caller.tenant, upload, request.into_body()).await {
        Ok(size) => size,
        Err(problem) => {
            // What arrived so far is forgotten; if even that fails, pruning finds it.
            if let Err(error) = state.store.drop_body(&caller.tenant, upload).await {
                tracing::warn!(%error, "a broken upload could not be dropped");
            }
            return Err(problem);
        }
    };
    let order = BodyOrder {
        tenant: caller.tenant.clone(),
        id,
        kind,
        mime,
        size,
        upload,
        actor: caller.actor(),
        now: state.clock.now(),
    };
    let any = state.store.finish_body(order).await?;
    state.metrics.body_in(size);
    Ok((
        [(header::ETAG, etag_header(revision_of(&any)))],
        Json(AnyView::new(&any, &state.settings)),
    )
        .into_response())
}

/// Stores the pieces, never more than one chunk of them in memory. Returns the size.
async fn receive(
    state: &ApiState,
    tenant: &TenantId,
    upload: Uuid,
    body: Body,
) -> Result<u64, Problem> {
    let late = || {
        Problem::new(
            Code::RequestTimeout,
            "The body did not arrive in time. Nothing was stored.",
        )
    };
    let deadline = tokio::time::Instant::now() + WHOLE;
    let mut pieces = body.into_data_stream();
    let mut gathered = BytesMut::new();
    let mut size = 0u64;
    let mut index = 0u32;
    loop {
        let pause = (tokio::time::Instant::now() + PAUSE).min(deadline);
        let piece = tokio::time::timeout_at(pause, pieces.next())
            .await
            .map_err(|_| late())?;
        let Some(piece) = piece else { break };
        let piece = piece.map_err(|_| {
            Problem::new(
                Code::InvalidRequest,
                "The body broke off. Nothing was stored.",
            )
        })?;
        size += piece.len() as u64;
        if size > BodyKind::MAX_SIZE {
            return Err(too_large());
        }
        gathered.extend_from_slice(&piece);
        while gathered.len() >= BODY_CHUNK {
            let chunk = gathered.split_to(BODY_CHUNK).to_vec();
            state
                .store
                .append_body(tenant, upload, index, chunk, state.clock.now())
                .await?;
            index += 1;
        }
    }
    if !gathered.is_empty() || index == 0 {
        state
            .store
            .append_body(tenant, upload, index, gathered.to_vec(), state.clock.now())
            .await?;
    }
    Ok(size)
}

fn mime_of(request: &Request, kind: BodyKind) -> Result<String, Problem> {
    let wrong = |detail| Err(Problem::new(Code::UnsupportedMediaType, detail));
    let mime = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    if !is_mime(mime) {
        return wrong("The Content-Type must be the body's own MIME type.");
    }
    let plain = mime
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .eq_ignore_ascii_case("text/plain");
    match kind {
        BodyKind::PlainText if !plain => wrong("The plain-text body must be text/plain."),
        BodyKind::PlainText | BodyKind::StructuredText | BodyKind::BinaryContent => {
            Ok(mime.to_owned())
        }
    }
}

fn too_large() -> Problem {
    Problem::new(
        Code::TooLarge,
        "A body may have at most 25 MiB. Nothing was stored.",
    )
}
