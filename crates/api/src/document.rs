//! The OpenAPI document: made from the handlers' own annotations, completed with what is true of all of them.

use crate::error::{Code, PROBLEM_JSON, ProblemView};
use crate::routes;
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, Object, Schema};

type Schemas = std::collections::BTreeMap<String, RefOr<Schema>>;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, HeaderBuilder, Ref, RefOr};

/// The whole document. `to_pretty_json()` prints it; `/openapi.json` at the root of the repository is that.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = routes::documented().into_openapi();
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            complete(path, operation);
        }
    }
    if let Some(components) = &mut document.components {
        name_items(&mut components.schemas);
        for (name, schema) in &mut components.schemas {
            if let RefOr::T(Schema::Object(request)) = schema
                && (name.ends_with("Request") || name == "AgentBody")
            {
                close(request);
            }
        }
        if let Some(RefOr::T(Schema::Object(problem))) = components.schemas.get_mut("Problem") {
            list_types(problem);
        }
        let key = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("rbk_…")
            .description(Some(
                "A key made by `ringback keys`. Its scopes (`read`, `write`, `agent`, `admin`) are independent of each \
                 other; each operation names those of which one suffices.",
            ))
            .build();
        components.add_security_scheme("api_key", SecurityScheme::Http(key));
    }
    document
}

/// What stands before the paths.
pub(crate) fn frame() -> utoipa::openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(
        info(
            title = "Ringback",
            version = "1",
            description = "Callbacks that are kept: book one, follow it, end it.\n\n\
                Dates are RFC 3339 in, `YYYY-MM-DDTHH:mm:ss.SSSZ` out. Fields that do not apply are absent. Unknown \
                fields and parameters are refused by name. Every refusal is `application/problem+json` (RFC 9457) and \
                lists every broken rule at once. POST requests to callbacks may carry an `Idempotency-Key`; changes may \
                carry `If-Match`. Every answer has an `x-request-id`.",
            license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT"),
        ),
        servers((url = "/", description = "This server.")),
        tags(
            (name = "callbacks", description = "Book, follow, change and end callbacks."),
            (name = "interactions", description = "Interactions of every kind, and their bodies."),
            (name = "queues", description = "What callbacks wait in."),
            (name = "agents", description = "People who serve queues, and what is offered to them."),
            (name = "customers", description = "Who asked to be called back."),
            (name = "events", description = "Everything that happens, in order."),
            (name = "operations", description = "Health, metrics, routes, documentation."),
        ),
        components(schemas(ProblemView<'static>)),
    )]
    struct Frame;
    Frame::openapi()
}

/// The operations of a path.
pub(crate) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.patch,
        &mut item.delete,
    ]
    .into_iter()
    .filter_map(Option::as_mut)
}

/// Adds the refusals that every such operation may answer with, and says that refusals are problems.
fn complete(path: &str, operation: &mut Operation) {
    let keyed = operation
        .security
        .as_ref()
        .is_some_and(|security| !security.is_empty());
    let has_body = operation.request_body.is_some();
    let has_query = operation
        .parameters
        .as_ref()
        .is_some_and(|parameters| !parameters.is_empty());
    let mut usual: Vec<(u16, &str)> = Vec::new();
    if has_body || has_query {
        usual.push((400, "The request breaks one or more rules; all are listed."));
    }
    if keyed {
        usual.push((401, "No valid API key was sent."));
        usual.push((403, "The API key has none of the scopes needed."));
    }
    if path.contains('{') {
        usual.push((404, "There is nothing with this id."));
    }
    if has_body {
        usual.push((413, "The body is too large."));
        usual.push((415, "The body has a type that is not taken here."));
    }
    let vital = matches!(path, "/healthz" | "/readyz");
    if !vital {
        usual.push((429, "Too many requests from this address; see Retry-After."));
        usual.push((500, "The server made a mistake."));
        usual.push((
            503,
            "The server is at its limit, is stopping, or its database failed; see Retry-After.",
        ));
    }
    for (status, description) in usual {
        let key = status.to_string();
        let new = || RefOr::T(ResponseBuilder::new().description(description).build());
        operation.responses.responses.entry(key).or_insert_with(new);
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && status.as_str() >= "400"
        {
            refuse(status, response);
        }
    }
}

/// The types of lists (`PageView_Callback`, …) repeat the type of their rows; a reference says the same.
fn name_items(schemas: &mut Schemas) {
    let names: Vec<String> = schemas.keys().cloned().collect();
    for (name, schema) in schemas {
        let Some((_, row)) = name.split_once("View_") else {
            continue;
        };
        if !names.iter().any(|known| known == row) {
            continue;
        }
        if let RefOr::T(Schema::Object(list)) = schema
            && let Some(RefOr::T(Schema::Array(rows))) = list.properties.get_mut("items")
        {
            rows.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(row).into()));
        }
    }
}

/// Requests have the fields they have and no others, and no text in them is empty where its length counts.
fn close(request: &mut Object) {
    request.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    for property in request.properties.values_mut() {
        if let RefOr::T(Schema::Object(text)) = property
            && text.max_length.is_some()
        {
            text.min_length = Some(1);
        }
    }
}

fn refuse(status: &str, response: &mut Response) {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    response
        .content
        .insert(PROBLEM_JSON.to_owned(), RefOr::T(content));
    if matches!(status, "429" | "503") {
        let seconds = HeaderBuilder::new()
            .description(Some("Seconds to wait."))
            .build();
        response
            .headers
            .insert("Retry-After".to_owned(), RefOr::T(seconds));
    }
}

/// Names every type a problem can have.
fn list_types(problem: &mut Object) {
    if let Some(RefOr::T(Schema::Object(kind))) = problem.properties.get_mut("type") {
        kind.enum_values = Some(
            Code::ALL
                .iter()
                .map(|code| Value::from(format!("/problems/{}", code.name())))
                .collect(),
        );
    }
    problem.examples = vec![json!({
        "type": "/problems/invalid_request",
        "title": Code::InvalidRequest.title(),
        "status": 400,
        "detail": "2 rules are broken.",
        "instance": "019a3c1e-7b1f-7c39-9c55-0d6f0a1b2c3d",
        "errors": [
            { "field": "customer_number", "code": "required", "detail": "is required" },
            { "field": "end_time", "code": "order", "detail": "must be later than start_time" },
        ],
    })];
}
