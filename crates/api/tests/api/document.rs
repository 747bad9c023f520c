//! The OpenAPI document: fresh, complete, and the same as what handlers read.

use crate::house::{House, booking, rules};
use ringback_api::error::Code;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

fn document() -> Value {
    serde_json::from_str(&ringback_api::openapi().to_json().unwrap()).unwrap()
}

/// Compares a generated file with what it should be, or writes it when `UPDATE=1`.
pub fn fresh(path: &Path, expected: &str) {
    if std::env::var_os("UPDATE").is_some() {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::write(path, expected).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is not fresh: run UPDATE=1 cargo test -p ringback-api",
        path.display()
    );
}

#[test]
fn the_checked_in_document_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi.json");
    fresh(
        &path,
        &format!("{}\n", ringback_api::openapi().to_pretty_json().unwrap()),
    );
}

#[test]
fn the_page_of_problems_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/api-problems.md");
    let mut page = String::from(
        "<!-- Generated from crates/api/src/error.rs; `UPDATE=1 cargo test -p ringback-api` writes it anew. -->\n\
         # Problems of the HTTP API\n\n\
         Every refusal is `application/problem+json` (RFC 9457). Its `type` is `/problems/` and one of these words.\n\n\
         | type | status | title | what to do |\n| --- | --- | --- | --- |\n",
    );
    for code in Code::ALL {
        page.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            code.name(),
            code.status().as_u16(),
            code.title(),
            code.help()
        ));
    }
    fresh(&path, &page);
}

#[test]
fn every_response_and_parameter_says_what_it_is() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(
                !operation["summary"].as_str().unwrap_or("").is_empty(),
                "{name} has no summary"
            );
            assert!(
                ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
                "{name}: id twice"
            );
            assert!(
                operation["security"].is_array(),
                "{name} says nothing of its security"
            );
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(
                    !response["description"].as_str().unwrap_or("").is_empty(),
                    "{name} {status}"
                );
                if status.as_str() >= "400" {
                    let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                    assert_eq!(schema, "#/components/schemas/Problem", "{name} {status}");
                }
            }
            for parameter in operation["parameters"].as_array().unwrap_or(&vec![]) {
                assert!(
                    !parameter["description"].as_str().unwrap_or("").is_empty(),
                    "{name}: {parameter}"
                );
            }
        }
    }
    let types = document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
        .as_array()
        .unwrap();
    assert_eq!(types.len(), Code::ALL.len());
    let scheme = &document["components"]["securitySchemes"]["api_key"];
    assert_eq!(
        (&scheme["type"], &scheme["scheme"]),
        (&json!("http"), &json!("bearer"))
    );
}

/// `routes.rs` is the one list of routes; what it names is in the document, and nothing else is.
#[tokio::test]
async fn every_route_is_in_the_document_and_answers() {
    let source = include_str!("../../src/routes.rs");
    let named: BTreeSet<String> = source
        .split("routes!(")
        .skip(1)
        .flat_map(|rest| rest.split(')').next().unwrap().split(','))
        .map(|handler| handler.trim().rsplit("::").next().unwrap().to_owned())
        .filter(|handler| !handler.is_empty())
        .collect();
    let document = document();
    let mut documented = BTreeSet::new();
    let house = House::new().await;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            documented.insert(operation["operationId"].as_str().unwrap().to_owned());
            // Without a key, so that nothing is changed: all that is asked is whether anybody is there.
            let answer = house
                .ask(&method.to_uppercase(), path)
                .no_key()
                .send()
                .await;
            assert_ne!(answer.status, 405, "{method} {path}");
            assert!(
                answer.status != 404 || path == "/problems/{code}",
                "{method} {path}"
            );
        }
    }
    assert_eq!(named, documented);
    assert_eq!(
        source.matches(".route(").count(),
        0,
        "a route outside the document"
    );
}

/// Fields that the document names are read, field by field, by the handler.
#[tokio::test]
async fn documented_fields_are_known() {
    let house = House::new().await;
    let document = document();
    let id = crate::house::id_of(&house.book(json!({ "customer_id": "C-1" })).await);
    house.agent(1, "offline").await;
    let table = [
        ("BookingRequest", "POST", "/v1/callbacks".to_owned()),
        (
            "BookingRequest",
            "POST",
            "/v1/callbacks/validate".to_owned(),
        ),
        ("ChangeRequest", "PATCH", format!("/v1/callbacks/{id}")),
        (
            "CancelRequest",
            "POST",
            format!("/v1/callbacks/{id}/cancel"),
        ),
        (
            "RescheduleRequest",
            "POST",
            format!("/v1/callbacks/{id}/reschedule"),
        ),
        (
            "SnoozeRequest",
            "POST",
            format!("/v1/callbacks/{id}/snooze"),
        ),
        (
            "TransferRequest",
            "POST",
            format!("/v1/callbacks/{id}/transfer"),
        ),
        (
            "DisposeRequest",
            "POST",
            format!("/v1/callbacks/{id}/dispose"),
        ),
        ("ReplyRequest", "POST", format!("/v1/callbacks/{id}/reply")),
        ("RecordRequest", "POST", "/v1/interactions".to_owned()),
        (
            "SwitchRequest",
            "POST",
            "/v1/queues/service/pause".to_owned(),
        ),
        ("HoldRequest", "POST", "/v1/queues/service/holds".to_owned()),
        ("AgentBody", "PUT", "/v1/agents/1".to_owned()),
        ("PresenceRequest", "PUT", "/v1/agents/1/presence".to_owned()),
        (
            "CustomerChangeRequest",
            "PATCH",
            "/v1/customers/C-1".to_owned(),
        ),
        (
            "DoNotCallRequest",
            "PUT",
            "/v1/customers/C-1/do_not_call".to_owned(),
        ),
    ];
    for (schema, method, path) in table {
        let fields = document["components"]["schemas"][schema]["properties"]
            .as_object()
            .unwrap();
        assert!(!fields.is_empty());
        // A nested object is the wrong type for every field there is: known fields are refused for that.
        let mut body = json!({ "unheard_of": 1 });
        for field in fields.keys() {
            body[field] = json!({ "a": { "b": 1 } });
        }
        let found = house
            .ask(method, &path)
            .json(&body)
            .send()
            .await
            .problem(400, "invalid_request");
        let unknown: Vec<_> = found
            .iter()
            .filter(|(_, code)| code == "unknown_field")
            .map(|(field, _)| field.as_str())
            .collect();
        assert_eq!(unknown, ["unheard_of"], "{schema}");
        let server_set: Vec<_> = found
            .iter()
            .filter(|(_, code)| matches!(code.as_str(), "server_set" | "fixed"))
            .collect();
        assert!(server_set.is_empty(), "{schema}: {server_set:?}");
    }
}

#[tokio::test]
async fn documented_parameters_are_known() {
    let house = House::new().await;
    let document = document();
    let id = crate::house::id_of(&house.book(json!({ "customer_id": "C-1" })).await);
    house.agent(1, "offline").await;
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(operation) = item.get("get") else {
            continue;
        };
        let names: Vec<&str> = operation["parameters"]
            .as_array()
            .map_or(&[][..], Vec::as_slice)
            .iter()
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        if names.is_empty() {
            continue;
        }
        let own = match path.split('/').nth(2) {
            Some("agents") => "1",
            Some("customers") => "C-1",
            _ => id.as_str(),
        };
        let query: Vec<String> = names.iter().map(|name| format!("{name}=%00")).collect();
        let url = format!(
            "{}?{}&unheard_of=1",
            path.replace("{id}", own),
            query.join("&")
        );
        let found = house.get(&url).send().await.problem(400, "invalid_request");
        let unknown: Vec<_> = found
            .iter()
            .filter(|(_, code)| code == "unknown_field")
            .map(|(field, _)| field.as_str())
            .collect();
        assert_eq!(unknown, ["unheard_of"], "{path}");
    }
}

/// Examples in the document are good requests.
#[tokio::test]
async fn examples_work() {
    let house = House::new().await;
    house
        .put("/v1/queues/post")
        .json(&rules(json!({})))
        .send()
        .await
        .ok();
    let document = document();
    let mut tried = 0;
    for (path, method) in [
        ("/v1/callbacks", "post"),
        ("/v1/queues/{id}", "put"),
        ("/v1/agents/{id}", "put"),
        ("/v1/interactions", "post"),
    ] {
        let body = &document["paths"][path][method]["requestBody"]["content"]["application/json"];
        for (name, example) in body["examples"].as_object().unwrap() {
            let id = if path.contains("agents") {
                "3"
            } else {
                "example"
            };
            let ask = house
                .ask(&method.to_uppercase(), &path.replace("{id}", id))
                .json(&example["value"]);
            let answer = ask.send().await;
            assert!(answer.status.is_success(), "{name}: {}", answer.text());
            tried += 1;
        }
    }
    assert_eq!(tried, 7);
}

/// What is answered has the fields that the document names, and all that it calls required.
#[tokio::test]
async fn answers_are_as_documented() {
    let house = House::new().await;
    let document = document();
    let check = |schema: &str, view: &Value| {
        let schema = &document["components"]["schemas"][schema];
        let known = schema["properties"].as_object().unwrap();
        for (field, value) in view.as_object().unwrap() {
            assert!(known.contains_key(field), "{field} is not documented");
            assert!(
                !value.is_null(),
                "{field} is null: absent fields are left out"
            );
        }
        for field in schema["required"].as_array().unwrap() {
            assert!(
                view.get(field.as_str().unwrap()).is_some(),
                "{field} is missing in {view}"
            );
        }
    };
    let taken = house.taken(json!({ "subject": "x" })).await;
    let attempt = house.dial(&taken).await;
    house
        .settle(
            &taken,
            attempt,
            ringback_callbacks::outcome::CallResult::BUSY,
        )
        .await;
    check("Callback", &house.callback(&taken).await);
    let get = async |path: &str| house.get(path).send().await.ok();
    check(
        "Attempt",
        &get(&format!("/v1/callbacks/{taken}/attempts")).await["items"][0],
    );
    check(
        "Event",
        &get(&format!("/v1/callbacks/{taken}/events")).await["items"][0],
    );
    check("Why", &get(&format!("/v1/callbacks/{taken}/why")).await);
    check("Queue", &get("/v1/queues/service").await);
    check("Agent", &get("/v1/agents/1").await);
    let customer = house.callback(&taken).await["customer_id"]
        .as_str()
        .unwrap()
        .to_owned();
    check("Customer", &get(&format!("/v1/customers/{customer}")).await);
    let validation = house
        .post("/v1/callbacks/validate")
        .json(&booking(json!({ "customer_number": "+12127361001" })));
    check("Validation", &validation.send().await.ok());
    let record = json!({ "customer_id": "C", "entity_type": 3 });
    check(
        "Interaction",
        &house
            .post("/v1/interactions")
            .json(&record)
            .send()
            .await
            .ok(),
    );
    check("Problem", &house.get("/nowhere").send().await.json());
}
