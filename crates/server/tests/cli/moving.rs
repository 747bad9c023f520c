//! From one machine to many: an installation moves from SQLite to PostgreSQL, and ended callbacks may be let go there.

use crate::place::{Place, text};
use ringback_sim::postgres::{Ground, shared};

const ANSWERED: &[&str] = &["--queue", "support", "--to", "+442079460018"];

#[test]
fn an_installation_moves() {
    let database = shared(Ground::QUICK).database();
    let mut place = Place::open(None, "");
    let id = place.book(ANSWERED);
    let to = database.url();
    let arguments = [
        "migrate",
        "--from",
        "sqlite:data/ringback.db",
        "--to",
        to.as_str(),
    ];

    // Not while a server works on it.
    let refused = place.run(&arguments);
    let told = text(&refused.stderr);
    assert!(
        refused.status.code() == Some(1) && told.contains("another server is running"),
        "{told}"
    );
    place.signal("TERM");
    assert!(place.wait().success());

    let printed = place.ok(&arguments);
    assert!(
        printed.contains("Moved: every row is the same on both sides, and 1 chains"),
        "{printed}"
    );
    assert!(
        printed
            .lines()
            .any(|line| line.starts_with("callbacks ") && line.contains(" 1 rows")),
        "{printed}"
    );
    let again = place.ok(&arguments);
    assert!(again.contains("Nothing to do"), "{again}");
    let examined = place.ok(&["doctor", "--database", &to]);
    assert!(examined.contains("PostgreSQL"), "{examined}");

    // The server goes on where it was, on the other database.
    let config = std::fs::read_to_string(place.dir.path().join("r.toml")).unwrap();
    let config = config.replacen("[server]\n", &format!("[server]\ndatabase = \"{to}\"\n"), 1);
    std::fs::write(place.dir.path().join("r.toml"), config).unwrap();
    place.start();
    let shown = place.json(&["callbacks", "list", "--json"]).to_string();
    assert!(shown.contains(&id), "{shown}");
    let other = place.book(&["--queue", "support", "--to", "+442079460019"]);
    assert_ne!(other, id);
}

#[test]
fn what_cannot_be_moved_is_told() {
    let place = Place::new("[server]\ndata = \"data\"\n");
    for (arguments, code, told) in [
        (vec!["migrate", "--to", "postgres://h/d"], 2, "--from"),
        (
            vec!["migrate", "--from", "elsewhere", "--to", "postgres://h/d"],
            2,
            "`sqlite:PATH`",
        ),
        (
            vec!["migrate", "--from", "sqlite:x.db", "--to", "sqlite:y.db"],
            2,
            "must begin with `postgres://`",
        ),
        (
            vec!["migrate", "--from", "sqlite:x.db", "--to", "postgres://h/d"],
            1,
            "there is no database x.db",
        ),
    ] {
        let output = place.run(&arguments);
        let printed = text(&output.stderr);
        assert!(
            output.status.code() == Some(code) && printed.contains(told),
            "{arguments:?}: {printed}"
        );
    }
}

#[test]
fn ended_callbacks_are_let_go_on_postgres_alone() {
    let place = Place::new("[server]\ndata = \"data\"\nkeep_ended = \"400d\"\n");
    let output = place.run(&["serve", "--check"]);
    let told = text(&output.stderr);
    assert!(
        output.status.code() == Some(2)
            && told.contains("`server.keep_ended` needs PostgreSQL for now"),
        "{told}"
    );
    let shown = place.ok(&["serve", "--check", "--database", "postgres://h/d"]);
    assert!(shown.contains("good"), "{shown}");
}
