//! One HTTP client for all of `ringback callbacks`: keys, limits, and errors as plain sentences.

use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header};
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// Connecting to a server that is there takes far less.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(30);
/// A list of 200 callbacks stays far below this.
const LARGEST_ANSWER: usize = 8 * 1024 * 1024;

pub struct Client {
    http: reqwest::Client,
    base: Url,
    key: Option<String>,
}

/// Why a command did not succeed, in words for people; ends with a line end.
#[derive(Debug)]
pub struct Trouble(String);

impl Trouble {
    pub fn new(sentence: impl Into<String>) -> Trouble {
        let mut text = sentence.into();
        text.push('\n');
        Trouble(text)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ringback: {}", self.0)
    }
}

impl Client {
    pub fn new(url: &str, key: Option<&str>) -> Result<Client, Trouble> {
        let base = Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(mut base) = base else {
            return Err(Trouble::new(
                "--url must be like http://127.0.0.1:8070 or https://callbacks.example.com",
            ));
        };
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("ringback-cli/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            // A key must not follow a redirection to somebody else.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Trouble::new(format!("the HTTP client does not start: {error}")))?;
        Ok(Client {
            http,
            base,
            key: key.map(str::to_owned),
        })
    }

    /// Begins a request to a path below the server's URL, e.g. `v1/callbacks`.
    pub fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Trouble> {
        let url = self
            .base
            .join(path)
            .map_err(|_| Trouble::new("this makes no URL"))?;
        let request = self.http.request(method, url);
        Ok(match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        })
    }

    /// Sends, and reads a JSON answer; anything but success becomes plain sentences.
    pub async fn json(&self, request: RequestBuilder) -> Result<Value, Trouble> {
        let response = self.send(request.timeout(ANSWER)).await?;
        let bytes = read(response).await?;
        serde_json::from_slice(&bytes).map_err(|_| {
            Trouble::new("the server's answer is not JSON; is this a Ringback server?")
        })
    }

    /// Sends, and gives back a successful answer whose body is still to come.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Trouble> {
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let body = read(response).await.unwrap_or_default();
        Err(Trouble(explain(
            status,
            after.as_deref(),
            serde_json::from_slice(&body).ok().as_ref(),
        )))
    }

    pub async fn get(&self, path: &str) -> Result<Value, Trouble> {
        self.json(self.request(Method::GET, path)?).await
    }

    fn unreachable(&self, error: &reqwest::Error) -> Trouble {
        let host = format!("{}://{}", self.base.scheme(), self.base.authority());
        let why = if error.is_timeout() {
            "does not answer in time"
        } else {
            "cannot be reached"
        };
        Trouble::new(format!(
            "{host} {why}. Is the server running (`ringback serve`), and is --url right?"
        ))
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= LARGEST_ANSWER => {
                bytes.extend_from_slice(&chunk)
            }
            Ok(Some(_)) => return Err(Trouble::new("the server's answer is too large")),
            Ok(None) => return Ok(bytes),
            Err(_) => {
                return Err(Trouble::new(
                    "the server's answer broke off; the request may or may not have been carried out",
                ));
            }
        }
    }
}

/// An error answer in plain sentences, a line per broken rule.
fn explain(status: StatusCode, retry_after: Option<&str>, problem: Option<&Value>) -> String {
    let text = |name: &str| {
        problem
            .and_then(|problem| problem.get(name))
            .and_then(Value::as_str)
    };
    let mut lines = String::new();
    let title = text("detail").or_else(|| text("title"));
    match title {
        Some(title) => lines.push_str(title),
        None => lines.push_str(&format!("the server answered {status}")),
    }
    lines.push('\n');
    if status == StatusCode::UNAUTHORIZED {
        lines.push_str("  Give a key with RINGBACK_KEY; `ringback keys create` makes one.\n");
    }
    for error in problem
        .and_then(|problem| problem.get("errors"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or("");
        lines.push_str(&format!("  {}: {}\n", part("field"), part("detail")));
    }
    if let Some(after) = retry_after {
        lines.push_str(&format!("  Try again after {after} seconds.\n"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn problems_become_sentences_with_their_fields() {
        let problem = json!({ "title": "Invalid request", "detail": "Two rules are broken.", "errors": [
            { "field": "customer_number", "code": "too_short", "detail": "is too short for a telephone number" },
            { "field": "queue", "code": "unknown", "detail": "there is no such queue" } ] });
        let text = explain(StatusCode::UNPROCESSABLE_ENTITY, None, Some(&problem));
        assert_eq!(
            text,
            "Two rules are broken.\n  customer_number: is too short for a telephone number\n  queue: there is no such queue\n"
        );
        let text = explain(StatusCode::SERVICE_UNAVAILABLE, Some("2"), None);
        assert_eq!(
            text,
            "the server answered 503 Service Unavailable\n  Try again after 2 seconds.\n"
        );
        assert!(explain(StatusCode::UNAUTHORIZED, None, None).contains("RINGBACK_KEY"));
    }

    #[test]
    fn urls_that_are_none_are_refused() {
        for url in ["", "127.0.0.1:8070", "ftp://x", "http://"] {
            assert!(Client::new(url, None).is_err(), "{url}");
        }
    }
}
