//! What an administrator may write, and what becomes of it.

use super::*;
use ringback_callbacks::contact::{Contact, ResponseType};
use serde_json::{Value, json};

fn way(mut settings: Value) -> Result<Way, String> {
    settings["name"] = settings.get("name").cloned().unwrap_or(json!("trunk"));
    settings["uri"] = settings
        .get("uri")
        .cloned()
        .unwrap_or(json!("sip:trunk.example.com:5080;transport=tcp"));
    let route: SipRoute = serde_json::from_value(settings).map_err(|error| error.to_string())?;
    Way::new(&route).map_err(|error| error.to_string())
}

fn number() -> PhoneNumber {
    match Contact::parse(ResponseType::Voice, "+14155550123", None) {
        Ok(Contact::Phone(number)) => number,
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_become_request_uris() {
    for (settings, uri, proxy) in [
        (
            json!({}),
            "sip:+14155550123@trunk.example.com:5080;transport=tcp",
            None,
        ),
        (
            json!({"plus": false}),
            "sip:14155550123@trunk.example.com:5080;transport=tcp",
            None,
        ),
        (
            json!({"plus": false, "dial_prefix": "9*"}),
            "sip:9*14155550123@trunk.example.com:5080;transport=tcp",
            None,
        ),
        (
            json!({"domain": "voice.example.net"}),
            "sip:+14155550123@voice.example.net",
            Some("sip:trunk.example.com:5080;transport=tcp"),
        ),
        (
            json!({"proxy": "sip:10.0.0.1"}),
            "sip:+14155550123@trunk.example.com:5080;transport=tcp",
            Some("sip:10.0.0.1"),
        ),
    ] {
        let target = way(settings)
            .expect("a route")
            .number(&number(), None)
            .expect("a target");
        assert_eq!(target.uri.to_string(), uri);
        assert_eq!(
            target
                .trunk
                .outbound_proxy
                .map(|p| p.to_string())
                .as_deref(),
            proxy
        );
        assert_eq!(target.route, "trunk");
    }
}

#[test]
fn the_queues_caller_id_goes_where_the_route_says() {
    let own = Some("sip:100@own.example.com");
    let shown = Some("sip:+15550100@own.example.com");
    for (policy, from, asserted) in [
        ("own", own, None),
        ("from", shown, None),
        ("asserted", own, shown),
        ("both", shown, shown),
    ] {
        let way = way(json!({"from": own, "caller_id": policy})).expect("a route");
        let trunk = way
            .number(&number(), Some("+15550100"))
            .expect("a target")
            .trunk;
        assert_eq!(
            trunk.from.map(|uri| uri.to_string()).as_deref(),
            from,
            "{policy}"
        );
        assert_eq!(
            trunk
                .asserted_identity
                .map(|uri| uri.to_string())
                .as_deref(),
            asserted,
            "{policy}"
        );
    }
    // A caller id that is none must not end up in a header.
    let way = way(json!({"from": own, "caller_id": "both"})).expect("a route");
    let trunk = way
        .number(&number(), Some("1\r\nX: y"))
        .expect("a target")
        .trunk;
    assert_eq!(trunk.from.map(|uri| uri.to_string()).as_deref(), own);
    assert!(trunk.asserted_identity.is_none());
}

#[test]
fn addresses_of_others_go_through_the_route() {
    let uri: SipUri = "sip:anna@example.org".parse().expect("an address");
    let target = way(json!({})).expect("a route").address(uri.clone(), None);
    assert_eq!(target.uri, uri);
    let proxy = target.trunk.outbound_proxy.map(|p| p.to_string());
    assert_eq!(
        proxy.as_deref(),
        Some("sip:trunk.example.com:5080;transport=tcp")
    );
}

#[test]
fn wrong_settings_are_refused_by_name() {
    for (settings, says) in [
        (json!({"name": "direct"}), "neither `direct`"),
        (json!({"name": "a b"}), "the name must have"),
        (json!({"uri": "sip:user@host.example"}), "`uri`"),
        (json!({"uri": "tel:+1"}), "not a sip"),
        (json!({"dial_prefix": "9;x"}), "`dial_prefix`"),
        (json!({"domain": "a b"}), "`domain`"),
        (json!({"user": "u"}), "`user` needs"),
        (json!({"password": "p"}), "`password` needs"),
        (
            json!({"user": "u", "password": "p", "password_file": "f"}),
            "exclude",
        ),
        (
            json!({"user": "u", "password_file": "/nonexistent/file"}),
            "cannot be read",
        ),
        (json!({"concurrent": 0}), "concurrent"),
        (json!({"calls_per_second": 0.0}), "per second"),
        (json!({"passwort": "p"}), "unknown field `passwort`"),
    ] {
        let error = way(settings.clone())
            .err()
            .unwrap_or_else(|| panic!("{settings} was taken"));
        assert!(error.contains(says), "{settings}: {error}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let route: SipRoute = serde_json::from_value(
        json!({"name": "trunk", "uri": "sip:t.example", "user": "u", "password": "hunter2", "from": "sip:15550100@t.example"}),
    )
    .expect("a route");
    let printed = format!("{route:?}");
    assert!(
        !printed.contains("hunter2") && !printed.contains("15550100"),
        "{printed}"
    );
}
