//! `GET /v1/interactions/{id}/{body}`: sends a body chunk by chunk.

use super::{BodyPath, body_kind, find};
use crate::ApiState;
use crate::auth::{Caller, Reading};
use crate::error::Problem;
use crate::extract::InPath;
use crate::gate::load::stream_place;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use ringback_callbacks::ids::{InteractionId, TenantId};
use ringback_callbacks::interaction::BodyKind;
use std::io;
use tokio::sync::OwnedSemaphorePermit;

/// Read a body
///
/// With the MIME type it was stored with. Browsers are told not to guess, not to run it, and to save
/// anything but plain text.
#[utoipa::path(
    get,
    path = "/v1/interactions/{id}/{body}",
    tag = "interactions",
    security(("api_key" = ["read"])),
    params(BodyPath),
    responses((status = 200, description = "The body itself.", content((Vec<u8> = "*/*"))))
)]
pub async fn get_body(
    caller: Caller<Reading>,
    State(state): State<ApiState>,
    InPath((id, body)): InPath<(InteractionId, String)>,
) -> Result<Response, Problem> {
    let kind = body_kind(&body)?;
    let any = find(&state, &caller.tenant, id).await?;
    let info = any
        .interaction()
        .bodies
        .get(kind)
        .cloned()
        .ok_or_else(|| Problem::not_found("body"))?;
    let place = stream_place(&state)?;
    let disposition = match kind {
        BodyKind::PlainText => "inline".to_owned(),
        BodyKind::StructuredText | BodyKind::BinaryContent => {
            format!("attachment; filename=\"{id}\"")
        }
    };
    state.metrics.body_out(info.size);
    let sender = Sender {
        state,
        tenant: caller.tenant,
        id,
        kind,
        next: 0,
        left: info.size,
        _place: place,
    };
    let chunks = stream::try_unfold(sender, Sender::next);
    let mime = HeaderValue::from_str(&info.mime)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let mut response = Body::from_stream(chunks).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, mime);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(info.size));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'"),
    );
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

struct Sender {
    state: ApiState,
    tenant: TenantId,
    id: InteractionId,
    kind: BodyKind,
    next: u32,
    left: u64,
    /// Held while the body is on its way.
    _place: OwnedSemaphorePermit,
}

impl Sender {
    async fn next(mut self) -> io::Result<Option<(Vec<u8>, Self)>> {
        if self.left == 0 {
            return Ok(None);
        }
        let chunk = self
            .state
            .store
            .read_body(&self.tenant, self.id, self.kind, self.next)
            .await;
        let chunk = chunk.map_err(|error| {
            tracing::warn!(%error, "a body could not be read to its end");
            io::Error::other("the body cannot be read")
        })?;
        // A body replaced meanwhile has another length: the connection is broken off rather than mixed up.
        let chunk = chunk.filter(|chunk| !chunk.is_empty() && chunk.len() as u64 <= self.left);
        let chunk =
            chunk.ok_or_else(|| io::Error::other("the body was replaced while it was read"))?;
        self.left -= chunk.len() as u64;
        self.next += 1;
        Ok(Some((chunk, self)))
    }
}
