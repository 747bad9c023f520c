//! Booking, listing, showing, cancelling and following, as a person at a terminal does it.

use crate::place::{Place, text};
use ringback_sim::mailbox::{Mailbox, Reply};
use ringback_sim::postgres::{Ground, shared};

#[test]
fn booking_listing_showing_and_cancelling() {
    let place = Place::open(None, "");
    let printed = place.ok(&[
        "callbacks",
        "book",
        "--queue",
        "support",
        "--to",
        "020 7946 0018",
        "--at",
        "2027-03-09T14:05:00Z",
        "--until",
        "2027-03-09T16:00:00Z",
        "--time-zone",
        "Europe/London",
        "--subject",
        "boiler",
        "--text",
        "It leaks.",
        "--name",
        "Ann",
        "--priority",
        "70",
        "--udata",
        "order=7",
    ]);
    assert!(
        printed.starts_with("Booked callback ") && printed.contains("2027-03-09T14:05:00.000Z"),
        "{printed}"
    );
    let list = place.json(&[
        "callbacks",
        "list",
        "--json",
        "--queue",
        "support",
        "--number",
        "+442079460018",
    ]);
    let item = &list["items"][0];
    let id = item["interaction_id"].as_str().unwrap();
    assert_eq!(item["customer_number"], "+442079460018");
    assert_eq!(item["desired_response_type"], "Voice");
    assert_eq!(item["end_time"], "2027-03-09T16:00:00.000Z");
    assert_eq!(
        (&item["priority"], &item["udata"]["order"]),
        (&70.into(), &"7".into())
    );
    let table = place.ok(&["callbacks", "list"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert_eq!(
        lines[0].find("STATE"),
        lines[1].find("scheduled"),
        "the columns are aligned:\n{table}"
    );
    assert_eq!(
        place.ok(&["callbacks", "list", "--queue", "mail"]),
        "There are no such callbacks.\n"
    );
    let shown = place.ok(&["callbacks", "show", id]);
    assert!(
        shown.contains("booked for queue support") && shown.contains("boiler"),
        "{shown}"
    );
    let cancelled = place.ok(&[
        "callbacks",
        "cancel",
        id,
        "--reason",
        "all well again",
        "--by",
        "customer",
    ]);
    assert_eq!(cancelled, format!("Callback {id}: cancelled.\n"));
    let shown = place.json(&["callbacks", "show", id, "--json"]);
    assert_eq!(shown["callback"]["state"], "cancelled");
    assert_eq!(shown["callback"]["stopped_reason"], "all well again");
    let kinds: Vec<&str> = shown["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["accepted", "cancelled"]);
    // Following what has ended tells its story and says that nobody was reached.
    let followed = place.run(&["callbacks", "show", id, "--follow"]);
    assert_eq!(
        followed.status.code(),
        Some(2),
        "{}",
        text(&followed.stderr)
    );
    assert!(
        text(&followed.stdout).ends_with(
            "Not reached: cancelled (all well again) after 0 tries; promise released.\n"
        )
    );
}

#[test]
fn the_same_idempotency_key_books_once() {
    let place = Place::open(None, "");
    let book = [
        "--queue",
        "support",
        "--to",
        "+442079460018",
        "--at",
        "2027-03-09T14:05:00Z",
        "--idempotency-key",
        "k1",
    ];
    assert_eq!(place.book(&book), place.book(&book));
    assert_eq!(
        place.json(&["callbacks", "list", "--json"])["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn broken_rules_are_told_in_sentences_with_their_fields() {
    let place = Place::open(None, "");
    let output = place.run(&[
        "callbacks",
        "book",
        "--queue",
        "support",
        "--to",
        "020 12",
        "--time-zone",
        "Europe/London",
        "--at",
        "2027-03-09T16:00:00Z",
        "--until",
        "2027-03-09T14:00:00Z",
    ]);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("  customer_number: ") && errors.contains("  end_time: "),
        "{errors}"
    );
    assert!(
        !errors.contains("020 12"),
        "a number must not be repeated: {errors}"
    );
    for (arguments, expected) in [
        (
            &[
                "callbacks",
                "book",
                "--queue",
                "nowhere",
                "--to",
                "+442079460018",
            ][..],
            "  queue: ",
        ),
        (
            &[
                "callbacks",
                "book",
                "--queue",
                "support",
                "--to",
                "+442079460018",
                "--at",
                "noon",
            ],
            "--at must be a time of day",
        ),
        (
            &[
                "callbacks",
                "book",
                "--queue",
                "support",
                "--to",
                "+442079460018",
                "--time-zone",
                "Mars",
            ],
            "--time-zone must be",
        ),
        (
            &["callbacks", "show", "01a204d1-5742-77fc-8eb7-b4062ce0b119"],
            "ringback: ",
        ),
        (
            &["callbacks", "list", "--url", "http://127.0.0.1:9"],
            "http://127.0.0.1:9 cannot be reached. Is the server running",
        ),
        (
            &["callbacks", "list", "--url", "nonsense"],
            "--url must be like",
        ),
    ] {
        let output = place.run(arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
        assert!(errors.contains(expected), "{arguments:?}: {errors}");
    }
    for arguments in [
        &["callbacks", "book", "--queue", "x"][..],
        &["callbacks", "show", "7"],
        &["nonsense"],
    ] {
        assert_eq!(place.run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn following_shows_each_step_until_the_customer_is_reached() {
    let mailbox = Mailbox::open().await.unwrap();
    mailbox.script("later@example.com", &[Reply::Later, Reply::Takes]);
    mailbox.script("nobody@example.com", &[Reply::Unknown]);
    let place = Place::open(Some(mailbox.addr()), "");
    let follow = |to: &str| {
        let output = place.run(&[
            "callbacks",
            "book",
            "--queue",
            "mail",
            "--to",
            to,
            "--subject",
            "boiler",
            "--follow",
        ]);
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, told, errors) = follow("ann@example.com");
    assert_eq!(code, Some(0), "{told}{errors}\n{}", place.log());
    for step in [
        "booked for queue mail",
        "the queue answers by itself",
        "sending a message to",
        "is over: reached",
        "done: ",
    ] {
        assert!(told.contains(step), "{step} is missing in:\n{told}");
    }
    assert!(
        told.ends_with("Reached after 1 try; promise kept.\n"),
        "{told}"
    );
    assert!(!told.contains("ann@"), "addresses are masked: {told}");

    let (code, told, errors) = follow("later@example.com");
    assert_eq!(code, Some(0), "{told}{errors}");
    assert!(
        told.contains("next try at ") && told.ends_with("Reached after 2 tries; promise kept.\n"),
        "{told}"
    );

    let (code, told, errors) = follow("nobody@example.com");
    assert_eq!(code, Some(2), "{told}{errors}");
    assert!(
        told.contains("wrong number (550") && told.contains("Not reached: given up"),
        "{told}"
    );
    assert_eq!(mailbox.letters().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_however_talkative_names_anybody() {
    nobody_is_named("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_names_anybody_on_postgres_either() {
    let database = shared(Ground::QUICK).database();
    nobody_is_named(&format!("database = \"{}\"\n", database.url())).await;
}

/// Books and looks up at a server that logs all it may, and reads its log.
async fn nobody_is_named(database: &str) {
    let mailbox = Mailbox::open().await.unwrap();
    let mut place = Place::prepared(
        Some(mailbox.addr()),
        &format!("{database}[log]\nlevel = \"trace\"\nformat = \"json\""),
    );
    let key = place.json(&[
        "keys",
        "create",
        "--name",
        "marker",
        "--scope",
        "read",
        "--application",
        "5",
        "--json",
    ]);
    let key = key["key"].as_str().expect("a key").to_owned();
    place.start();
    place.book(&[
        "--queue",
        "support",
        "--to",
        "+442079460018",
        "--name",
        "Annabel Marker",
    ]);
    let told = place.run(&[
        "callbacks",
        "book",
        "--queue",
        "mail",
        "--to",
        "annabel.marker@example.com",
        "--subject",
        "marker subject",
        "--text",
        "marker text",
        "--follow",
    ]);
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    let refused = place.run(&[
        "callbacks",
        "book",
        "--queue",
        "support",
        "--to",
        "02079460018000000",
    ]);
    assert!(!refused.status.success());
    let listed = place
        .command(&["callbacks", "list", "--number", "+442079460018"])
        .env("RINGBACK_KEY", &key)
        .output()
        .expect("ringback runs");
    assert!(listed.status.success(), "{}", text(&listed.stderr));
    let log = place.log();
    assert!(log.contains("request answered"), "{log}");
    // The key was read, and is known by its hash.
    assert!(log.contains("\"application.id\":5"), "{log}");
    let hash = ringback_api::auth::hash_key(&key);
    let bytes: Vec<String> = hash.iter().map(ToString::to_string).collect();
    let secrets = [
        "79460018",
        "7946 0018",
        "marker",
        &key.to_lowercase(),
        &hex::encode(hash),
        &bytes.join(", "),
    ];
    for line in log.lines() {
        assert!(
            serde_json::from_str::<serde_json::Value>(line).is_ok(),
            "not JSON: {line}"
        );
        let lower = line.to_lowercase();
        for secret in secrets {
            assert!(!lower.contains(secret), "{secret} is in the log: {line}");
        }
    }
}
