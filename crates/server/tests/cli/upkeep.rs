//! What is done beside the server: keys, the doctor, migrations, the document.

use crate::place::{Place, QUEUES, text};
use serde_json::Value;

#[test]
fn keys_open_what_their_scopes_say() {
    let mut place = Place::new(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ndata = \"data\"\n{}",
        QUEUES.replace("routes = { email = [\"relay\"] }", "")
    ));
    let key = |name: &str, scope: &str| {
        let printed = place.ok(&[
            "keys",
            "create",
            "--name",
            name,
            "--scope",
            scope,
            "--application",
            "3",
        ]);
        assert!(
            printed.starts_with("rbk_") && printed.lines().count() == 1,
            "{printed}"
        );
        printed.trim().to_owned()
    };
    let (reader, writer) = (key("reader", "read"), key("writer", "read,write"));
    let output = place.run(&[
        "keys",
        "create",
        "--name",
        "x",
        "--scope",
        "read",
        "--application",
        "1",
        "--expires",
        "2020-01-01T00:00:00Z",
    ]);
    assert!(
        output.status.code() == Some(2) && text(&output.stderr).contains("must be in the future")
    );
    place.start();
    let with = |key: Option<&str>, arguments: &[&str]| {
        let mut command = place.command(arguments);
        if let Some(key) = key {
            command.env("RINGBACK_KEY", key);
        }
        let output = command.output().unwrap();
        (
            output.status.code(),
            text(&output.stdout) + &text(&output.stderr),
        )
    };
    let (code, told) = with(None, &["callbacks", "list"]);
    assert!(
        code == Some(1) && told.contains("ringback keys create"),
        "{told}"
    );
    let (code, told) = with(Some(&reader), &["callbacks", "list"]);
    assert_eq!(
        (code, told.as_str()),
        (Some(0), "There are no such callbacks.\n")
    );
    let book = [
        "callbacks",
        "book",
        "--json",
        "--queue",
        "support",
        "--to",
        "+442079460018",
        "--at",
        "2027-03-09T14:05:00Z",
    ];
    let (code, told) = with(Some(&reader), &book);
    assert_eq!(code, Some(1), "{told}");
    let (code, told) = with(Some(&writer), &book);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(
        serde_json::from_str::<Value>(&told).unwrap()["creator_app_id"],
        3
    );

    // Keys are made and revoked beside the running server, and it knows at once.
    let keys = place.json(&["keys", "list", "--json"]);
    let id = keys
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["name"] == "writer")
        .unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        place.ok(&["keys", "revoke", &id]),
        format!("Key {id} is revoked.\n")
    );
    assert!(!place.run(&["keys", "revoke", &id]).status.success());
    assert_eq!(with(Some(&writer), &["callbacks", "list"]).0, Some(1));
    let table = place.ok(&["keys", "list"]);
    assert!(
        table.contains("revoked") && table.contains("usable"),
        "{table}"
    );
    for file in ["log", "data/ringback.db", "data/ringback.db-wal"] {
        let bytes = std::fs::read(place.dir.path().join(file)).unwrap_or_default();
        let found = [&reader, &writer].iter().any(|key| {
            bytes
                .windows(key.len())
                .any(|window| window == key.as_bytes())
        });
        assert!(!found, "{file} holds a key");
    }
}

#[test]
fn the_doctor_finds_a_record_that_was_altered() {
    let mut place = Place::open(None, "");
    place.book(&[
        "--queue",
        "support",
        "--to",
        "+442079460018",
        "--at",
        "2027-03-09T14:05:00Z",
    ]);
    let report = place.ok(&["doctor"]);
    assert!(
        report.contains("1 chains verified") && report.contains("ready at "),
        "{report}"
    );
    place.signal("TERM");
    place.wait();
    let database = rusqlite::Connection::open(place.dir.path().join("data/ringback.db")).unwrap();
    // Whoever can write the file can also take away the triggers that forbid it; the chain still tells.
    let triggers: Vec<String> = database
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'events'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for trigger in triggers {
        database
            .execute_batch(&format!("DROP TRIGGER \"{trigger}\""))
            .unwrap();
    }
    let changed = database
        .execute(
            "UPDATE events SET detail = replace(detail, 'support', 'sales')",
            [],
        )
        .unwrap();
    drop(database);
    assert_eq!(changed, 1);
    let output = place.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(
        text(&output.stdout).contains("FAULT  records"),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn the_doctor_makes_nothing() {
    let place = Place::new("[server]\ndata = \"data\"\n");
    let report = place.ok(&["doctor"]);
    assert!(
        report.contains("does not exist yet") && report.contains("not running"),
        "{report}"
    );
    assert!(!place.dir.path().join("data").exists());
}

#[test]
fn migrating_says_the_schema_version() {
    let place = Place::new("[server]\ndata = \"data\"\n");
    let printed = place.ok(&["migrate"]);
    assert!(
        printed.contains("ringback.db: schema version ") && printed.contains("sqlite"),
        "{printed}"
    );
    assert_eq!(
        place.ok(&["migrate"]),
        printed,
        "a second time changes nothing"
    );
}

#[test]
fn the_document_is_printed() {
    let place = Place::new("");
    let document: Value = serde_json::from_str(&place.ok(&["openapi"])).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(document["paths"]["/v1/callbacks"]["post"].is_object());
    assert!(place.ok(&["--version"]).starts_with("ringback "));
}
