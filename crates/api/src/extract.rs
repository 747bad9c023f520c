//! How requests are read: paths, query strings, JSON bodies, each refused with a problem of its own.

use crate::error::{Code, Problem};
use crate::fields::shown;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header;
use axum::http::request::Parts;
use ringback_callbacks::problem::Problems;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Largest JSON body, in bytes.
pub const JSON_LIMIT: usize = 1024 * 1024;

/// Ids from the path. One that cannot be an id names nothing: 404.
pub struct InPath<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::<T>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| InPath(value))
            .map_err(|_| Problem::new(Code::NotFound, "There is nothing with such an id."))
    }
}

/// The query string as an object of texts (or arrays of texts, where a name comes more than once).
pub struct InQuery(pub Map<String, Value>);

impl<S: Send + Sync> FromRequestParts<S> for InQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut object = Map::new();
        let text = parts.uri.query().unwrap_or("");
        for (index, (name, value)) in url::form_urlencoded::parse(text.as_bytes()).enumerate() {
            if index >= 256 {
                return Err(Problem::new(
                    Code::InvalidRequest,
                    "The query string has too many parameters.",
                ));
            }
            let value = Value::String(value.into_owned());
            match object.get_mut(name.as_ref()) {
                None => {
                    object.insert(name.into_owned(), value);
                }
                Some(Value::Array(list)) => list.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
            }
        }
        Ok(InQuery(object))
    }
}

/// A JSON object, with the bytes it was read from (idempotency compares those).
pub struct JsonObject {
    pub object: Map<String, Value>,
    pub bytes: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for JsonObject {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        demand_json(&request)?;
        let bytes = read_all(request).await?;
        parse_object(bytes)
    }
}

/// A JSON object that may be left out altogether (or be `null`).
pub struct OptionalJsonObject(pub JsonObject);

impl<S: Send + Sync> FromRequest<S> for OptionalJsonObject {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let json = demand_json(&request);
        let bytes = read_all(request).await?;
        if bytes.is_empty() {
            return Ok(OptionalJsonObject(JsonObject {
                object: Map::new(),
                bytes,
            }));
        }
        json?;
        if bytes.trim_ascii() == b"null" {
            return Ok(OptionalJsonObject(JsonObject {
                object: Map::new(),
                bytes,
            }));
        }
        parse_object(bytes).map(OptionalJsonObject)
    }
}

fn demand_json(request: &Request) -> Result<(), Problem> {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let essence = kind.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("application/json")
        || essence.eq_ignore_ascii_case("application/merge-patch+json")
    {
        return Ok(());
    }
    Err(Problem::new(
        Code::UnsupportedMediaType,
        "The Content-Type must be application/json.",
    ))
}

async fn read_all(request: Request) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Code::TooLarge, "A JSON body may have at most 1 MiB.");
    let stated = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<u64>().ok());
    if stated.is_some_and(|length| length > JSON_LIMIT as u64) {
        return Err(too_large());
    }
    axum::body::to_bytes(request.into_body(), JSON_LIMIT)
        .await
        .map_err(|error| {
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            for _ in 0..8 {
                match cause {
                    Some(found) if found.to_string().contains("length limit exceeded") => {
                        return too_large();
                    }
                    Some(found) => cause = found.source(),
                    None => break,
                }
            }
            Problem::new(Code::InvalidJson, "The body broke off.")
        })
}

fn parse_object(bytes: Bytes) -> Result<JsonObject, Problem> {
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Object(object)) => Ok(JsonObject { object, bytes }),
        Ok(_) => Err(Problem::new(
            Code::InvalidJson,
            "The body must be a JSON object.",
        )),
        // Only the place is told: what stands there may be anybody's number.
        Err(error) => Err(Problem::new(
            Code::InvalidJson,
            format!(
                "The body is not JSON (line {}, column {}).",
                error.line(),
                error.column()
            ),
        )),
    }
}

/// Reads an object into a type of our own, naming the field that does not fit.
pub fn typed<T: DeserializeOwned>(object: &Map<String, Value>) -> Result<T, Problem> {
    serde_path_to_error::deserialize(Value::Object(object.clone())).map_err(|error| {
        Problem::invalid(describe(
            &error.path().to_string(),
            &error.inner().to_string(),
        ))
    })
}

/// serde repeats the offending value in its messages, and it may be somebody's number: only what was
/// expected is passed on.
fn describe(path: &str, message: &str) -> Problems {
    let quoted = || message.split('`').nth(1).map(shown).unwrap_or_default();
    let at = |name: &str| match path {
        "." | "" | "?" => name.to_owned(),
        path if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        path => format!("{}.{name}", path.trim_end_matches(".?")),
    };
    let expected = || {
        message
            .rsplit_once("expected ")
            .map(|(_, expected)| format!("must be {expected}"))
    };
    if message.starts_with("unknown field") {
        return Problems::one(
            at(&quoted()),
            "unknown_field",
            "is not a field of this resource",
        );
    }
    if message.starts_with("missing field") {
        return Problems::one(at(&quoted()), "required", "is required");
    }
    let path = if matches!(path, "." | "" | "?") {
        "(body)"
    } else {
        path
    };
    if message.starts_with("unknown variant") {
        return Problems::one(
            path,
            "enumeration",
            expected().unwrap_or_else(|| "is not a known value".to_owned()),
        );
    }
    if message.starts_with("invalid ") {
        return Problems::one(
            path,
            "type",
            expected().unwrap_or_else(|| "has the wrong type".to_owned()),
        );
    }
    Problems::one(path, "format", shown_sentence(message))
}

/// Sentences of our own types never repeat what was written; they may be long, though.
fn shown_sentence(message: &str) -> String {
    message
        .chars()
        .filter(|c| !c.is_control())
        .take(300)
        .collect()
}

/// Whether the client asks for a stream of events rather than for JSON.
pub struct WantsStream(pub bool);

impl<S: Send + Sync> FromRequestParts<S> for WantsStream {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let accept = parts
            .headers
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        Ok(WantsStream(accept.split(',').any(|part| {
            part.split(';').next().unwrap_or("").trim() == "text/event-stream"
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serdes_words_become_ours_without_the_value() {
        let table = [
            (
                ".",
                "unknown field `colour`, expected one of `a`, `b`",
                "colour",
                "unknown_field",
            ),
            (
                "hours",
                "missing field `time_zone`",
                "hours.time_zone",
                "required",
            ),
            (
                "retry.busy.times",
                "invalid type: string \"+4930123456\", expected u32",
                "retry.busy.times",
                "type",
            ),
            (
                "leg_order",
                "unknown variant `x`, expected `agent_first` or `customer_first`",
                "leg_order",
                "enumeration",
            ),
            (
                "offer",
                "a length of time is missing: write it like 90s",
                "offer",
                "format",
            ),
        ];
        for (path, message, field, code) in table {
            let found = describe(path, message).0;
            assert_eq!(
                (found[0].field.as_str(), found[0].code),
                (field, code),
                "{message}"
            );
            assert!(!found[0].detail.contains("4930"), "{}", found[0].detail);
        }
    }
}
