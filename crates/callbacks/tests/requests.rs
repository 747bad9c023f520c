//! What a client may write: every broken rule, all at once, each with its field.

mod support;

use proptest::prelude::*;
use ringback_callbacks::request::{SERVER_SET, parse_changes, parse_new};
use serde_json::{Map, Value, json};
use support::*;

fn problems(body: Value) -> Vec<(String, &'static str)> {
    let queue = queue(rules(json!({})));
    match parse_new(
        &object(body),
        queue.queue.id.clone(),
        queue.rules(),
        monday(),
    ) {
        Ok(_) => vec![],
        Err(problems) => problems.0.into_iter().map(|p| (p.field, p.code)).collect(),
    }
}

fn good() -> Value {
    json!({ "desired_response_type": "voice", "customer_number": "212 555 0123" })
}

fn with(field: &str, value: Value) -> Value {
    let mut body = object(good());
    body.insert(field.into(), value);
    Value::Object(body)
}

#[test]
fn one_bad_field_at_a_time() {
    let table: Vec<(Value, &str, &str)> = vec![
        (json!({}), "desired_response_type", "required"),
        (
            with("desired_response_type", json!("Telex")),
            "desired_response_type",
            "enumeration",
        ),
        (
            with("desired_response_type", json!(3)),
            "desired_response_type",
            "type",
        ),
        (with("customer_number", json!(5)), "customer_number", "type"),
        (
            with("start_time", json!("tomorrow")),
            "start_time",
            "format",
        ),
        (
            with("start_time", json!("2026-03-09T14:05:00")),
            "start_time",
            "time_zone",
        ),
        (
            with("start_time", json!("2036-03-09T14:05:00Z")),
            "start_time",
            "range",
        ),
        (
            with("end_time", json!("2026-03-09T14:00:00Z")),
            "end_time",
            "order",
        ),
        (
            with("time_zone", json!("Mars/Olympus")),
            "time_zone",
            "format",
        ),
        (with("priority", json!(101)), "priority", "range"),
        (with("priority", json!(1.5)), "priority", "type"),
        (with("callback_type", json!(-1)), "callback_type", "range"),
        (
            with("callback_type", json!(2147483648i64)),
            "callback_type",
            "range",
        ),
        (
            with("customer_id", json!("seventeen-letters")),
            "customer_id",
            "format",
        ),
        (with("parent_id", json!("not-an-id")), "parent_id", "format"),
        (
            with("allow_children", json!("yes")),
            "allow_children",
            "type",
        ),
        (with("subject", json!("")), "subject", "length"),
        (
            with("subject", json!("a\nb")),
            "subject",
            "control_character",
        ),
        (with("udata", json!([])), "udata", "type"),
        (with("udata", json!({ "a": { "b": 1 } })), "udata.a", "type"),
        (
            with("structured_text", json!("<p>")),
            "structured_text_mime",
            "required",
        ),
        (
            with("structured_text_mime", json!("text/html")),
            "structured_text_mime",
            "without_content",
        ),
        (
            with("binary_content", json!("AAAA")),
            "binary_content_mime",
            "required",
        ),
        (
            with("binary_content_mime", json!("image/png")),
            "binary_content_mime",
            "without_content",
        ),
        (
            with("binary_content_size", json!(3)),
            "binary_content_size",
            "without_content",
        ),
        (with("contacts", json!({})), "contacts", "type"),
        (with("contacts", json!([3])), "contacts[0]", "type"),
        (
            with("contacts", json!([{ "customer_number": "a@b.example" }])),
            "contacts[0].desired_response_type",
            "required",
        ),
        (
            with("favourite_colour", json!("blue")),
            "favourite_colour",
            "unknown_field",
        ),
        (
            with("customer_number", json!("+33 1 42 68 53 00")),
            "customer_number",
            "not_diallable",
        ),
    ];
    for (body, field, code) in table {
        let found = problems(body.clone());
        assert!(
            found.contains(&(field.to_owned(), code)),
            "{body}: {found:?}"
        );
    }
    for field in SERVER_SET {
        assert_eq!(
            problems(with(field, json!(1))),
            vec![(field.to_owned(), "server_set")],
            "{field}"
        );
    }
    assert_eq!(problems(good()), vec![]);
}

#[test]
fn all_broken_rules_come_at_once() {
    let found = problems(json!({
        "desired_response_type": "Telex", "start_time": "x", "priority": 999, "attempts": 4, "colour": 1,
        "udata": { "anything": "goes" },
    }));
    let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields.len(), 6, "{found:?}");
    for field in [
        "attempts",
        "desired_response_type",
        "customer_number",
        "start_time",
        "priority",
        "colour",
    ] {
        assert!(fields.contains(&field), "{field} in {found:?}");
    }
}

#[test]
fn problems_never_repeat_the_number() {
    let queue = queue(rules(json!({})));
    let body =
        object(json!({ "desired_response_type": "Voice", "customer_number": "+33142685300" }));
    let problems = parse_new(&body, queue.queue.id.clone(), queue.rules(), monday()).unwrap_err();
    assert!(!problems.to_string().contains("142685300"), "{problems}");
}

#[test]
fn a_full_request_is_read_whole() {
    let queue = queue(rules(
        json!({ "categories": [{ "category": "money", "keywords": ["Invoice"] }] }),
    ));
    let body = object(json!({
        "desired_response_type": "VOICE", "customer_number": "+12125550123",
        "start_time": "2026-03-09T16:00:00+01:00", "end_time": "2026-03-09T18:00:00Z",
        "customer_id": "0000Ca7VJHXQ00A3", "type": "Inbound", "sub_type": "WebRequest", "media_type": "callback",
        "external_id": "crm-7", "owner_id": 7, "timeshift": -480, "allow_children": false, "subject": "An invoice",
        "udata": { "language": "en-US" }, "text": "hello", "structured_text": "<b>hi</b>",
        "structured_text_mime": "text/html", "binary_content": "AAEC", "binary_content_mime": "application/x-any",
        "binary_content_size": 3, "callback_type": 9, "priority": 70, "time_zone": "Europe/Paris",
        "contacts": [{ "desired_response_type": "Email", "customer_number": "ada@example.com", "after_failures": 2 }],
    }));
    let new = parse_new(&body, queue.queue.id.clone(), queue.rules(), monday()).unwrap();
    assert_eq!(new.window.start, at("2026-03-09T15:00:00Z"));
    assert_eq!(new.contacts.len(), 2);
    assert_eq!(new.contacts[1].after_failures, Some(2));
    assert_eq!(new.bodies.len(), 3);
    assert_eq!(
        queue
            .rules()
            .categorise(new.subject.as_deref(), None)
            .as_deref(),
        Some("money")
    );
}

#[test]
fn patches_tell_absent_from_null() {
    let queue = queue(rules(json!({})));
    let changes = parse_changes(
        &object(json!({ "subject": null, "external_id": "x" })),
        queue.rules(),
    )
    .unwrap();
    assert_eq!(changes.subject, Some(None));
    assert_eq!(changes.external_id, Some(Some("x".into())));
    assert_eq!(changes.owner, None);
    assert_eq!(changes.names(), vec!["external_id", "subject"]);
    for (body, field) in [
        (json!({ "queue": "other" }), "queue"),
        (json!({ "start_time": null }), "start_time"),
        (json!({ "attempts": 0 }), "attempts"),
        (json!({ "text": "x" }), "text"),
        (json!({ "nonsense": 1 }), "nonsense"),
    ] {
        let problems = parse_changes(&object(body), queue.rules()).unwrap_err();
        assert!(
            problems.0.iter().any(|p| p.field == field),
            "{field}: {problems}"
        );
    }
}

#[test]
fn queue_rules_are_checked_all_at_once() {
    let mut bad =
        rules(json!({ "name": " ", "calls_per_number_per_day": 0, "ring_customer": "10m" }));
    bad.hours.opening_hours = "Mo-Fr 9-17".into();
    let problems = bad.check(&Default::default(), monday()).unwrap_err();
    let fields: Vec<&str> = problems.0.iter().map(|p| p.field.as_str()).collect();
    for field in [
        "name",
        "hours.opening_hours",
        "ring_customer",
        "calls_per_number_per_day",
    ] {
        assert!(fields.contains(&field), "{field} in {fields:?}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,12}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn no_request_panics(
        fields in prop::collection::btree_map(
            prop_oneof![
                prop::sample::select(vec![
                    "desired_response_type", "customer_number", "start_time", "end_time", "contacts", "udata", "text",
                    "structured_text", "structured_text_mime", "binary_content", "binary_content_size", "priority",
                    "after_failures", "time_zone", "subject", "customer_id", "owner_id",
                ]).prop_map(str::to_owned),
                ".{0,20}",
            ],
            any_json(),
            0..10,
        )
    ) {
        let queue = queue(rules(json!({})));
        let body: Map<String, Value> = fields.into_iter().collect();
        let _ = parse_new(&body, queue.queue.id.clone(), queue.rules(), monday());
        let _ = parse_changes(&body, queue.rules());
    }
}
