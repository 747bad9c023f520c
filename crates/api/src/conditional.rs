//! `ETag`, `If-Match` and `If-None-Match`: revisions as clients hold them.

use crate::error::{Code, Problem};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// The tag of a revision.
pub fn etag(revision: u64) -> String {
    format!("\"{revision}\"")
}

pub fn etag_header(revision: u64) -> HeaderValue {
    HeaderValue::from_str(&etag(revision)).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

/// What the client says it has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// `If-Match`: the revision it must still have.
    pub expected: Option<u64>,
    /// `If-Match: *`: it must exist.
    pub must_exist: bool,
    /// `If-None-Match: *`: it must not exist.
    pub must_be_new: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Conditions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut conditions = Conditions::default();
        match one(&parts.headers, header::IF_MATCH)? {
            None => {}
            Some("*") => conditions.must_exist = true,
            // A tag that is not one of ours was never given out, so nothing can match it.
            Some(tag) => conditions.expected = Some(revision(tag).unwrap_or(u64::MAX)),
        }
        if one(&parts.headers, header::IF_NONE_MATCH)? == Some("*") {
            conditions.must_be_new = true;
        }
        Ok(conditions)
    }
}

/// Whether the client already has this revision (`If-None-Match` of a GET).
pub struct Known(Vec<String>);

impl Known {
    pub fn has(&self, revision: u64) -> bool {
        let tag = etag(revision);
        self.0
            .iter()
            .any(|known| known == "*" || known.trim_start_matches("W/") == tag)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let texts = parts
            .headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok());
        Ok(Known(
            texts
                .flat_map(|text| text.split(','))
                .take(64)
                .map(|tag| tag.trim().to_owned())
                .collect(),
        ))
    }
}

fn one(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(&name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let wrong = || {
        Problem::field(
            name.as_str(),
            "format",
            "must be one ETag as it was given out, like \"7\", or *",
        )
    };
    let text = value.to_str().map_err(|_| wrong())?.trim();
    if values.next().is_some() || text.contains(',') {
        return Err(wrong());
    }
    Ok(Some(text))
}

fn revision(tag: &str) -> Option<u64> {
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

/// Refuses when a condition on existence does not hold.
pub fn check_existence(conditions: Conditions, current: Option<u64>) -> Result<(), Problem> {
    match current {
        None if conditions.must_exist || conditions.expected.is_some() => {
            Err(Problem::new(Code::RevisionMismatch, "It does not exist."))
        }
        Some(_) if conditions.must_be_new => {
            Err(Problem::new(Code::RevisionMismatch, "It exists already."))
        }
        Some(_) | None => Ok(()),
    }
}

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "read by Conditions; here for the document")]
pub struct MatchHeader {
    /// The `ETag` it must still have; otherwise 412 and nothing is done.
    #[param(nullable = false, rename = "If-Match", example = "\"7\"")]
    if_match: Option<String>,
}

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "read by Conditions; here for the document")]
pub struct NoneMatchHeader {
    /// `*`: it must not exist yet; otherwise 412 and nothing is done.
    #[param(nullable = false, rename = "If-None-Match", example = "*")]
    if_none_match: Option<String>,
}

/// For the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "read by Known; here for the document")]
pub struct KnownHeader {
    /// The `ETag` you have; if it is still right, the answer is 304 without a body.
    #[param(nullable = false, rename = "If-None-Match", example = "\"7\"")]
    if_none_match: Option<String>,
}
