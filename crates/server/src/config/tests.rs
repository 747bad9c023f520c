//! Tables of configurations, good and bad.

use super::*;
use ringback_callbacks::queue::Delivery;

fn now() -> Timestamp {
    "2026-03-09T12:00:00Z".parse().unwrap()
}

fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let overrides = Override::collect(
        environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
    );
    Config::parse(Path::new("/etc/ringback/r.toml"), text, &overrides, now())
}

#[test]
fn an_empty_file_is_a_good_one() {
    let config = parse("", &[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8070");
    assert_eq!(
        config.server.database_url(),
        "sqlite:/etc/ringback/ringback-data/ringback.db"
    );
    assert!(config.sip.engine().is_none() && config.routes.is_empty());
}

#[test]
fn phones_that_other_nodes_do_not_know_are_spoken_of() {
    let phones = "[sip]\nlisten = [\"udp:127.0.0.1:0\"]\n[[sip.registrar.users]]\nname = \"ann\"\npassword = \"x\"\n";
    let shared = "[server]\ndatabase = \"postgres://ringback@db/ringback\"\n";
    for (text, told) in [
        (phones.to_owned(), false),
        (shared.to_owned(), false),
        (format!("{shared}{phones}"), true),
    ] {
        let config = parse(&text, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.phones_apart().is_some(), told, "{text}");
    }
}

#[test]
fn the_example_is_good_and_shows_every_section() {
    let text = include_str!("../../../../ringback.example.toml");
    let config = parse(text, &[]).unwrap_or_else(|error| panic!("{error}"));
    assert!(config.sip.registrar.is_some() && config.sip.engine().is_some());
    assert!(
        config
            .routes
            .iter()
            .any(|route| matches!(route, Route::Sip(_)))
    );
    assert!(
        config
            .routes
            .iter()
            .any(|route| matches!(route, Route::Smtp(_)))
    );
    let deliveries: Vec<&Delivery> = config
        .queues
        .iter()
        .map(|queue| &queue.rules.delivery)
        .collect();
    assert!(
        deliveries
            .iter()
            .any(|delivery| matches!(delivery, Delivery::Agents))
    );
    assert!(
        deliveries
            .iter()
            .any(|delivery| matches!(delivery, Delivery::Dn { .. }))
    );
    assert!(!config.agents.is_empty());
    for section in [
        "[server]",
        "[http]",
        "[api]",
        "[log]",
        "[dispatch]",
        "[sip]",
        "[sip.registrar]",
    ] {
        assert!(text.contains(section), "{section} is not shown");
    }
}

/// A queue that is good, to be spoilt in one place.
const QUEUE: &str = "[[queues]]\nid = \"q\"\nname = \"Q\"\nhours = { opening_hours = \"24/7\", time_zone = \"UTC\" }\n";

#[test]
fn bad_configurations_are_told_with_line_and_key() {
    let sip = "[sip]\nlisten = [\"udp:127.0.0.1:0\"]\n";
    let trunk = "[[routes]]\nkind = \"sip\"\nname = \"trunk\"\nuri = \"sip:127.0.0.1\"\n";
    let table: &[(String, &str)] = &[
        ("listen".into(), "line 1: this is not TOML"),
        ("[server]\nlisten = ".into(), "line 2: this is not TOML"),
        ("[server]\n\nlissten = \"x\"".into(), "line 3: `server.lissten` has no key `lissten`; the keys here are `listen`, `data`"),
        ("[server]\nlisten = 80".into(), "line 2: `server.listen` must be socket address, not a whole number"),
        ("[server]\nlisten = \"localhost\"".into(), "line 2: `server.listen` invalid socket address syntax"),
        ("[server]\nlisten = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"".into(), "line 3: this is not TOML: duplicate key"),
        ("[serverr]".into(), "line 1: `serverr` is not a section of this file; there are `server`"),
        ("x = 1".into(), "line 1: `x` is not a section"),
        ("[server]\nnode = \"a b\"".into(), "line 2: `server.node` must have 1 to 64"),
        ("[server]\nshutdown_limit = \"5 minutes\"".into(), "line 2: `server.shutdown_limit`"),
        ("[server]\nshutdown_limit = \"5h\"".into(), "line 2: `server.shutdown_limit` must be at most 4h"),
        ("[server]\ndatabase = \"mysql://x\"".into(), "line 2: `server.database` must begin with `sqlite:` or `postgres://`"),
        ("[server]\ndatabase = \"sqlite::memory:\"".into(), "line 2: `server.database` must be a file"),
        ("[server]\nkeep_ended = \"6d\"".into(), "line 2: `server.keep_ended` must be a number of days"),
        ("[server]\nkeep_ended = \"1 year\"".into(), "line 2: `server.keep_ended` must be a number of days"),
        ("[server]\ntenant = \"A B\"".into(), "line 2: `server.tenant`"),
        ("[http]\nmax_connections = -1".into(), "line 2: `http.max_connections` must be a whole number, 0 or more"),
        ("[http]\nmax_connections = 0".into(), "line 2: `http.max_connections` must be between"),
        ("[http]\nheader_timeout = \"1h\"".into(), "line 2: `http.header_timeout` must be between"),
        ("[api]\nopen_metrics = \"yes\"".into(), "line 2: `api.open_metrics` must be true or false, not text in quotes"),
        ("[log]\nformat = \"xml\"".into(), "line 2: `log.format` cannot be `xml`; it must be `text` or `json`"),
        ("[log]\nlevel = \"lo=ud\"".into(), "line 2: `log.level` must be error, warn"),
        ("[dispatch]\nlease = \"1s\"".into(), "line 2: `dispatch.lease` must be between"),
        ("[sip]\nlisten = \"udp:127.0.0.1:5060\"".into(), "line 2: `sip.listen` must be a list in [ ], not text in quotes"),
        ("[sip]\nlisten = [\"127.0.0.1:5060\"]".into(), "line 2: `sip.listen` must be udp:, tcp: or tls:"),
        ("[sip]\nlisten = [\"tls:127.0.0.1:5061\"]".into(), "line 2: `sip.listen` has a tls: socket"),
        ("[sip]\nlisten = [\"tls:127.0.0.1:5061\"]\n[sip.tls]\ncert = \"c.pem\"\nkey = \"k.pem\"".into(),
         "line 4: `sip.tls.cert` cannot read /etc/ringback/c.pem"),
        ("[sip.registrar]\nrealm = \"r\"".into(), "line 1: `sip.registrar` needs a socket in listen"),
        (format!("{sip}[[sip.registrar.users]]\nname = \"ann\""), "`sip.registrar.users[0]` needs a password or a password_file"),
        (format!("{sip}[[sip.registrar.users]]\nname = \"ann\"\npassword = \"x\"\npassword_file = \"y\""), "has both"),
        (format!("{sip}[[sip.registrar.users]]\nname = \"ann\"\npassword_file = \"nowhere\""),
         "line 5: `sip.registrar.users[0].password_file` cannot read /etc/ringback/nowhere"),
        (format!("{sip}[[sip.registrar.users]]\nname = \"a@b\"\npassword = \"x\""), "line 4: `sip.registrar.users[0].name` must have"),
        ("[[routes]]\nname = \"x\"".into(), "line 1: `routes[0]` lacks the key `kind`"),
        ("[[routes]]\nname = \"x\"\nkind = \"fax\"".into(), "line 3: `routes[0].kind` must be \"sip\" or \"smtp\""),
        ("[[routes]]\nkind = \"sip\"\nname = \"t\"\nurl = \"sip:h\"".into(), "line 4: `routes[0].url` has no key `url`"),
        ("[[routes]]\nkind = \"sip\"\nname = \"t\"".into(), "line 1: `routes[0]` lacks the key `uri`"),
        (format!("{sip}{trunk}{trunk}"), "line 9: `routes[1].name` is given twice"),
        (format!("{sip}[[routes]]\nkind = \"sip\"\nname = \"direct\"\nuri = \"sip:h\""), "line 5: `routes[0].name` cannot be `direct` or"),
        (format!("{sip}{trunk}user = \"u\""), "line 7: `routes[0].user` needs"),
        (trunk.to_owned(), "line 2: `routes[0].kind` \"sip\" needs a socket"),
        ("[[routes]]\nkind = \"smtp\"\nname = \"m\"\nhost = \"h\"\nfrom = \"nobody\"".into(), "line 5: `routes[0].from`"),
        ("routes = 3".into(), "line 1: `routes` must be a list: write each one under [[routes]]"),
        (QUEUE.replace("\"q\"", "\"Big Q\""), "line 2: `queues[0].id` must have 1 to 64 lower-case"),
        (QUEUE.replace("id = \"q\"\n", ""), "line 1: `queues[0]` lacks the key `id`"),
        (QUEUE.replace("24/7", "Mo-Fr 9-17"), "line 4: `queues[0].hours.opening_hours`"),
        (QUEUE.replace("\"UTC\"", "\"Mars\""), "line 4: `queues[0].hours.time_zone`"),
        (format!("{QUEUE}ring_agent = \"5m\""), "line 5: `queues[0].ring_agent` must be between 1 and 180 seconds"),
        (format!("{QUEUE}ring = \"5m\""), "line 5: `queues[0].ring` has no key `ring`"),
        (format!("{QUEUE}routes = {{ voice = [\"nowhere\"] }}"), "line 5: `queues[0].routes.voice` names the route `nowhere`, which no [[routes]] defines"),
        (format!("{sip}{trunk}{QUEUE}routes = {{ email = [\"trunk\"] }}"), "line 11: `queues[0].routes.email` names the route `trunk`, which is of kind sip"),
        (format!("{QUEUE}[queues.delivery]\nkind = \"dn\"\ndn = \"800\"\nlocation = \"pbx\"\nmax_concurrent = 2"),
         "line 8: `queues[0].delivery.location` names the route `pbx`"),
        (format!("{QUEUE}{QUEUE}"), "line 6: `queues[1].id` is given twice"),
        ("[[agents]]\nid = 0\nname = \"Ann\"\ndn = \"100\"".into(), "line 2: `agents[0].id` must be 1 or more"),
        ("[[agents]]\nid = 1\nname = \"Ann\"\ndn = \"1 00\"".into(), "line 4: `agents[0].dn` must be"),
        ("[[agents]]\nid = 1\nname = \"Ann\"\ndn = \"100\"\nroute = \"pbx\"".into(), "line 5: `agents[0].route` names the route `pbx`"),
        ("[[agents]]\nid = 1\nname = \"Ann\"\ndn = \"100\"\npresence = \"here\"".into(), "line 5: `agents[0].presence` cannot be `here`"),
    ];
    for (text, expected) in table {
        let error = parse(text, &[])
            .err()
            .unwrap_or_else(|| panic!("this was taken:\n{text}"))
            .to_string();
        assert!(
            error.contains(expected),
            "\n{text}\n  expected: {expected}\n  got: {error}"
        );
        assert!(error.starts_with("/etc/ringback/r.toml, line "), "{error}");
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    let error = parse(
        "[server]\nnode = \"\"\n[http]\nx = 1\n[log]\nformat = \"xml\"\n[nonsense]\n",
        &[],
    )
    .unwrap_err();
    assert_eq!(error.0.len(), 4, "{error}");
}

#[test]
fn the_environment_wins_and_is_typed() {
    let text = "[server]\nlisten = \"127.0.0.1:1\"\n[log]\nlevel = \"warn\"\n";
    let config = parse(
        text,
        &[
            ("RINGBACK_SERVER__LISTEN", "127.0.0.1:2"),
            ("RINGBACK_SERVER__NODE", "7"),
            ("RINGBACK_SERVER__DATA", "/srv/ringback"),
            ("RINGBACK_SERVER__SHUTDOWN_LIMIT", "90s"),
            ("RINGBACK_HTTP__MAX_CONNECTIONS", "17"),
            ("RINGBACK_API__OPEN_ON_LOOPBACK", "true"),
            ("RINGBACK_SIP__LISTEN", "[\"udp:127.0.0.1:5060\"]"),
            ("RINGBACK_SIP__REGISTRAR__REALM", "town"),
            ("RINGBACK_URL", "http://not-a-setting"),
            ("RINGBACK_KEY", "not-a-setting"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!(config.server.node, "7");
    assert_eq!(config.server.data, PathBuf::from("/srv/ringback"));
    assert_eq!(config.server.shutdown_limit.as_secs(), 90);
    assert_eq!(config.http.max_connections, 17);
    assert!(config.api.open_on_loopback);
    assert_eq!(config.sip.listen.len(), 1);
    assert_eq!(config.sip.registrar.unwrap().realm, "town");
    assert_eq!(config.log.level, "warn");
}

#[test]
fn bad_variables_are_told_by_name_and_never_by_value() {
    let table = [
        (
            "RINGBACK_SERVR__LISTEN",
            "x",
            "sets something in a section that does not exist",
        ),
        (
            "RINGBACK_SERVER__LISSTEN",
            "hunter2",
            "has no key `lissten`",
        ),
        ("RINGBACK_SERVER__", "hunter2", "names no key"),
        (
            "RINGBACK_SERVER__LISTEN__PORT",
            "hunter2",
            "environment variable RINGBACK_SERVER__LISTEN__PORT",
        ),
        (
            "RINGBACK_HTTP__MAX_CONNECTIONS",
            "hunter2",
            "must be a whole number, 0 or more, not text in quotes",
        ),
        (
            "RINGBACK_API__OPEN_ON_LOOPBACK",
            "hunter2",
            "must be true or false",
        ),
        (
            "RINGBACK_ROUTES__NAME",
            "hunter2",
            "sets something in a section that does not exist",
        ),
        (
            "RINGBACK_SIP__LISTEN",
            "[\"hunter2\"]",
            "must be udp:, tcp: or tls:",
        ),
        (
            "RINGBACK_SERVER__SHUTDOWN_LIMIT",
            "6h",
            "must be at most 4h",
        ),
        (
            "RINGBACK_SIP__REGISTRAR__MAX_CONTACTS",
            "0",
            "must be between 1 and 100",
        ),
    ];
    for (name, value, expected) in table {
        let error = parse("[server]\nlisten = \"127.0.0.1:1\"\n", &[(name, value)])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(expected) && error.contains(&format!("environment variable {name}: ")),
            "{name}: {error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn secrets_are_read_from_files_and_never_printed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ann.pass"), "hunter2\n").unwrap();
    let text = "[sip]\nlisten = [\"udp:127.0.0.1:0\"]\n[sip.registrar]\nusers = [{ name = \"ann\", password_file = \"ann.pass\" }]\n";
    let config = Config::parse(&dir.path().join("r.toml"), text, &[], now())
        .unwrap_or_else(|error| panic!("{error}"));
    let engine = config.sip.engine().unwrap();
    assert_eq!(engine.registrar.unwrap().users["ann"], "hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));
    // A wrong type must not carry the secret into the message either.
    let error = parse(
        "[sip.registrar]\nusers = [{ name = \"ann\", password = 4711 }]\n",
        &[],
    )
    .unwrap_err()
    .to_string();
    assert!(
        !error.contains("4711") && error.contains("must be text in quotes"),
        "{error}"
    );
}

#[test]
fn a_list_of_holidays_that_cannot_be_read_stops_the_start_with_file_line_and_reason() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("ringback.toml");
    let list = place.path().join("company.txt");
    let queue = QUEUE.replace(
        "hours = { opening_hours = \"24/7\", time_zone = \"UTC\" }",
        "hours = { opening_hours = \"24/7; PH off\", time_zone = \"UTC\", holidays = { lists = [\"company\"] } }",
    );
    let text = format!("[holidays]\ncompany = \"company.txt\"\n\n{queue}");
    let read =
        |text: &str| Config::parse(&file, text, &[], now()).map_err(|error| error.to_string());

    let absent = read(&text).unwrap_err();
    assert!(absent.contains("line 2: `holidays.company`"), "{absent}");
    assert!(absent.contains("company.txt cannot be read: "), "{absent}");
    assert_eq!(absent.lines().count(), 1, "{absent}");

    std::fs::write(&list, "# ours\n2026-12-24 Eve\n24.12.2027 Eve\n").unwrap();
    let wrong = read(&text).unwrap_err();
    assert!(
        wrong.contains("company.txt line 3: \"24.12.2027\" is not a date"),
        "{wrong}"
    );

    std::fs::write(&list, "2026-12-24 Eve\n").unwrap();
    let config = read(&text).unwrap();
    let rules = &config.queues[0].rules;
    let hours = ringback_scheduling::Hours::parse_with(&rules.hours, &config.almanac).unwrap();
    assert!(!hours.is_open("2026-12-24T12:00:00Z".parse().unwrap()));

    // A queue that names a list which is not there.
    let unknown = read(&queue).unwrap_err();
    assert!(
        unknown.contains("hours.holidays.lists[0]")
            && unknown.contains("no list of holidays \"company\""),
        "{unknown}"
    );
    let name = read("[holidays]\n\"Our Days\" = \"company.txt\"\n").unwrap_err();
    assert!(name.contains("its name must have 1 to 64"), "{name}");
}
