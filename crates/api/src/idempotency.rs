//! Requests that may be repeated: `Idempotency-Key`, what it is compared by, and the answer given again.

use crate::ApiState;
use crate::error::Problem;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ringback_callbacks::callback::Callback;
use ringback_callbacks::ids::TenantId;
use ringback_store::{Idempotent, StoredAnswer};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Says that an answer is the one given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const KEY: &str = "idempotency-key";
const LONGEST_KEY: usize = 255;

/// What makes a request the same request: who sends it, its key, method, path and body.
pub struct Repeatable {
    key: Option<String>,
    method: Method,
    path: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Repeatable {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut keys = parts.headers.get_all(KEY).iter();
        let key = match (keys.next(), keys.next()) {
            (None, _) => None,
            (Some(value), None) => {
                let text = value
                    .to_str()
                    .ok()
                    .filter(|text| (1..=LONGEST_KEY).contains(&text.len()));
                Some(text.ok_or_else(wrong)?.to_owned())
            }
            (Some(_), Some(_)) => return Err(wrong()),
        };
        Ok(Repeatable {
            key,
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
        })
    }
}

fn wrong() -> Problem {
    Problem::field(
        "Idempotency-Key",
        "format",
        "must be one key of 1 to 255 visible ASCII characters",
    )
}

impl Repeatable {
    /// What this request is known by; `None` if the client sent no key.
    pub fn asked(self, application: i64, body: &[u8]) -> Option<Asked> {
        let key = self.key?;
        let mut hash = Sha256::new();
        for part in [self.method.as_str().as_bytes(), self.path.as_bytes(), body] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Some(Asked {
            application,
            key,
            fingerprint: hash.finalize().into(),
        })
    }
}

/// A request with a key.
#[derive(Clone)]
pub struct Asked {
    application: i64,
    key: String,
    fingerprint: [u8; 32],
}

impl Asked {
    /// What the store needs to answer a repetition.
    pub fn order(
        self,
        render: impl Fn(&Callback) -> StoredAnswer + Send + Sync + 'static,
    ) -> Idempotent {
        let Asked {
            application,
            key,
            fingerprint,
        } = self;
        Idempotent {
            application,
            key,
            fingerprint,
            render: Arc::new(render),
        }
    }
}

/// The answer given before, for requests that would be refused today before the store could find it.
pub async fn earlier(
    state: &ApiState,
    tenant: &TenantId,
    asked: Option<&Asked>,
) -> Result<Option<Response>, Problem> {
    let Some(Asked {
        application,
        key,
        fingerprint,
    }) = asked
    else {
        return Ok(None);
    };
    let now = state.clock.now();
    let stored = state
        .store
        .answered(tenant, *application, key, *fingerprint, now)
        .await?;
    Ok(stored.map(|stored| answer(stored, true)))
}

/// A stored answer as a response.
pub fn answer(stored: StoredAnswer, replayed: bool) -> Response {
    let status = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::OK);
    let mut response = (status, Body::from(stored.body)).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    for (name, value) in &stored.headers {
        if let (Ok(name), Ok(value)) = (
            HeaderName::try_from(name.as_str()),
            HeaderValue::from_str(value),
        ) {
            headers.insert(name, value);
        }
    }
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "read by Repeatable; here for the document")]
pub struct RepeatHeader {
    /// A key of your own (a UUID, say) that makes it safe to repeat this request: the same key with the same
    /// body is answered as the first time, with `Idempotent-Replayed: true`. Kept for two days.
    #[param(
        nullable = false,
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255
    )]
    key: Option<String>,
}
