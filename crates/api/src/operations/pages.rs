//! Pages for people, made by the server itself: they work without a script and without the internet.

mod node;
mod reference;

use crate::error::{Code, Problem};
use crate::extract::InPath;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::LazyLock;

const STYLE: &str = include_str!("pages/style.css");

/// Only our own style, known by its hash, and nothing else at all.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

static REFERENCE: LazyLock<String> = LazyLock::new(reference::render);

/// Read the front page
#[utoipa::path(
    get,
    path = "/",
    tag = "operations",
    security(),
    responses((status = 200, description = "Links to everything.", body = String, content_type = "text/html"))
)]
pub async fn index_page() -> Response {
    page(
        "Ringback",
        "<h1>Ringback</h1><p>Callbacks that are kept.</p><ul>\
         <li><a href=\"/docs\">Reference of the HTTP API</a></li>\
         <li><a href=\"/openapi.json\">The same as OpenAPI 3.1</a></li>\
         <li><a href=\"/healthz\">Does it live?</a> <a href=\"/readyz\">Is it ready?</a></li>\
         <li><a href=\"/metrics\">Metrics</a></li></ul>",
    )
}

/// Read the reference
///
/// This document as a page.
#[utoipa::path(
    get,
    path = "/docs",
    tag = "operations",
    security(),
    responses((status = 200, description = "The reference.", body = String, content_type = "text/html"))
)]
pub async fn reference_page() -> Response {
    page("Ringback: HTTP API", &REFERENCE)
}

/// Read what a problem means
///
/// The page behind a problem's `type`.
#[utoipa::path(
    get,
    path = "/problems/{code}",
    tag = "operations",
    security(),
    params(("code" = String, Path, description = "The last part of the `type`.", example = "not_now")),
    responses((status = 200, description = "What it means and what to do.", body = String, content_type = "text/html"))
)]
pub async fn problem_page(InPath(name): InPath<String>) -> Result<Response, Problem> {
    let code = Code::ALL.iter().find(|code| code.name() == name);
    let code = code.ok_or_else(|| Problem::not_found("problem"))?;
    let mut html = String::new();
    let _ = write!(
        html,
        "<h1>{}</h1><p><code>/problems/{}</code>, HTTP {}</p><p>{}</p><p><a href=\"/docs\">Reference</a></p>",
        escape(code.title()),
        code.name(),
        code.status().as_u16(),
        prose(code.help())
    );
    Ok(page(code.title(), &html))
}

fn page(title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>",
        escape(title)
    );
    let mut response = html.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("max-age=300"),
    );
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Text of descriptions: paragraphs, and code between backticks.
fn prose(text: &str) -> String {
    let escaped = escape(text).replace("\n\n", "</p><p>");
    let mut html = String::with_capacity(escaped.len());
    for (index, part) in escaped.split('`').enumerate() {
        if index > 0 {
            html.push_str(if index % 2 == 1 { "<code>" } else { "</code>" });
        }
        html.push_str(part);
    }
    if escaped.matches('`').count() % 2 == 1 {
        html.push_str("</code>");
    }
    html
}
