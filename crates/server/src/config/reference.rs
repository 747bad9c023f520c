//! Writes `docs/reference/configuration.md` from the sections' own comments and defaults, and proves it fresh.

use super::{agents, dispatch, http, log, server, sip};
use ringback_api::ApiSettings;
use ringback_callbacks::queue::QueueRules;
use ringback_channels::sip::{DirectRoute, SipRoute};
use ringback_channels::smtp::SmtpRoute;
use ringback_scheduling::slots::BookingRules;
use ringback_scheduling::staffing::{CapacityRules, LiveRules};
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;
use toml::{Table, Value};

#[test]
fn the_reference_is_fresh() {
    compare("docs/reference/configuration.md", &page());
}

/// Compares a generated file with the one that is checked in; with `UPDATE=1` writes it.
pub(crate) fn compare(path: &str, expected: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, expected).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == expected,
        "{path} is stale: run `UPDATE=1 cargo test -p ringback`"
    );
}

const INTRODUCTION: &str = "\
<!-- Generated from the code; `UPDATE=1 cargo test -p ringback` writes it anew. -->
# Configuration

`ringback serve --config FILE` reads one TOML file; without `--config` it reads `ringback.toml` in the current
directory if there is one. Everything has a default, so an empty file is a good one. Unknown keys are refused, and
everything wrong is told at once with file, line and key. `ringback serve --check` only checks.
`ringback.example.toml` shows every section at work.

**Lengths of time** are written `90s`, `5m`, `1h30m` or `2d`. **Paths** are meant from where the file is.

**Environment.** A single key of the sections `server`, `http`, `api`, `log`, `dispatch`, `sip` and `holidays` may be set by a
variable: `RINGBACK_SERVER__LISTEN=0.0.0.0:8070` is `listen` in `[server]`, `RINGBACK_SIP__REGISTRAR__REALM` is `realm`
in `[sip.registrar]`. Values are read as TOML if that suits the key, else as plain text. The variable wins over the
file; one that names no key is refused.

**Secrets** may be kept out of the file: wherever there is `password`, there is `password_file`.

**Exit codes** of `serve`: 0 stopped in order, 1 could not start, 2 bad configuration or arguments, 3 stopped at once by
a second signal.
";

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    let channels_sip = include_str!("../../../channels/src/sip/config.rs");
    let channels_smtp = include_str!("../../../channels/src/smtp/config.rs");
    let queue = include_str!("../../../callbacks/src/queue.rs");
    let hours = include_str!("../../../scheduling/src/hours.rs");
    let retry = include_str!("../../../scheduling/src/retry.rs");
    let number = include_str!("../../../callbacks/src/contact/number.rs");

    section(
        &mut page,
        "[server]",
        include_str!("server.rs"),
        "Server",
        &table(&server::Server::default()),
    );
    section(
        &mut page,
        "[http]",
        include_str!("http.rs"),
        "Http",
        &table(&http::Http::default()),
    );
    section(
        &mut page,
        "[api]",
        include_str!("../../../api/src/settings.rs"),
        "ApiSettings",
        &table(&ApiSettings::default()),
    );
    section(
        &mut page,
        "[log]",
        include_str!("log.rs"),
        "Log",
        &table(&log::Log::default()),
    );
    section(
        &mut page,
        "[dispatch]",
        include_str!("dispatch.rs"),
        "Dispatch",
        &table(&dispatch::Dispatch::default()),
    );
    let own = include_str!("sip.rs");
    section(&mut page, "[sip]", own, "Sip", &table(&sip::Sip::default()));
    section(
        &mut page,
        "[sip.tls]",
        own,
        "Tls",
        &table(&sip::Tls::default()),
    );
    section(
        &mut page,
        "[sip.registrar]",
        own,
        "Registrar",
        &table(&sip::Registrar::default()),
    );
    section(
        &mut page,
        "[sip.registrar] users",
        own,
        "PhoneUser",
        &Table::new(),
    );
    section(
        &mut page,
        "[sip.direct]",
        channels_sip,
        "DirectRoute",
        &table(&DirectRoute::default()),
    );

    let trunk: SipRoute = toml::from_str("name = 'n'\nuri = 'sip:h'").unwrap();
    section(
        &mut page,
        "[[routes]] kind = \"sip\"",
        channels_sip,
        "SipRoute",
        &table(&trunk),
    );
    let relay: SmtpRoute = toml::from_str("name = 'n'\nhost = 'h'\nfrom = 'a@h'").unwrap();
    section(
        &mut page,
        "[[routes]] kind = \"smtp\"",
        channels_smtp,
        "SmtpRoute",
        &table(&relay),
    );

    page.push_str(
        "\n## `[holidays]`\n\nLists of holidays that you keep in files, each under the name by which queues refer to it \
         (`lists` in `[queues.hours.holidays]`): `company = \"company-holidays.txt\"`. A file has a line per day, like \
         `2026-12-24 Christmas Eve`; empty lines and lines that begin with `#` are passed over. The files are read at the \
         start, and one that cannot be read, or has a line that is no date, stops it.\n",
    );
    let rules: QueueRules =
        toml::from_str("name = 'n'\nhours = { opening_hours = '24/7', time_zone = 'UTC' }")
            .unwrap();
    let rules = table(&rules);
    let inside = |key: &str| {
        rules
            .get(key)
            .and_then(Value::as_table)
            .cloned()
            .unwrap_or_default()
    };
    page.push_str(
        "\n## `[[queues]]` and `[[agents]]`\n\nThese are *seeds*: a queue or agent that does not exist is made at the start. One that \
         exists belongs to the API and is never changed from here, nor removed when it is taken out of the file.\n",
    );
    page.push_str("\n`[[queues]]` has the key `id` (lower-case letters, digits, `-` and `_`; required) and these:\n");
    section(&mut page, "[[queues]]", queue, "QueueRules", &rules);
    section(
        &mut page,
        "[queues.hours]",
        hours,
        "HoursConfig",
        &inside("hours"),
    );
    section(
        &mut page,
        "[queues.hours.holidays]",
        hours,
        "HolidayConfig",
        &Table::new(),
    );
    section(
        &mut page,
        "[[queues.hours.exceptions]]",
        hours,
        "Exception",
        &Table::new(),
    );
    page.push_str(
        "\n### `[queues.delivery]`\n\n`kind = \"agents\"` (default): Ringback's own agents. `kind = \"dn\"` with `dn`, `location` \
         (a route of kind `sip`) and `max_concurrent`: a queue or extension of the PBX.\n",
    );
    section(
        &mut page,
        "[queues.dial]",
        number,
        "DialRules",
        &inside("dial"),
    );
    section(
        &mut page,
        "[queues.routes]",
        queue,
        "Routes",
        &inside("routes"),
    );
    section(
        &mut page,
        "[queues.retry]",
        retry,
        "RetryTable",
        &inside("retry"),
    );
    section(
        &mut page,
        "[queues.retry.*]",
        retry,
        "RetryRule",
        &Table::new(),
    );
    section(
        &mut page,
        "[[queues.categories]]",
        queue,
        "CategoryRule",
        &Table::new(),
    );
    section(
        &mut page,
        "[queues.email]",
        queue,
        "EmailRules",
        &inside("email"),
    );
    section(
        &mut page,
        "[queues.email.template]",
        queue,
        "EmailTemplate",
        &Table::new(),
    );
    let staffing = include_str!("../../../scheduling/src/staffing.rs");
    let slots = include_str!("../../../scheduling/src/slots/rules.rs");
    let capacity: CapacityRules = toml::from_str("").unwrap();
    let live: LiveRules = toml::from_str("forecast = []").unwrap();
    section(
        &mut page,
        "[queues.capacity]",
        staffing,
        "CapacityRules",
        &table(&capacity),
    );
    section(
        &mut page,
        "[[queues.capacity.weekly]]",
        staffing,
        "StaffRow",
        &Table::new(),
    );
    section(
        &mut page,
        "[[queues.capacity.steps]]",
        staffing,
        "StaffStep",
        &Table::new(),
    );
    section(
        &mut page,
        "[queues.capacity.live]",
        staffing,
        "LiveRules",
        &table(&live),
    );
    section(
        &mut page,
        "[[queues.capacity.live.forecast]]",
        staffing,
        "ForecastRow",
        &Table::new(),
    );
    section(
        &mut page,
        "[queues.booking]",
        slots,
        "BookingRules",
        &table(&BookingRules::default()),
    );
    let agent: agents::SeedAgent = toml::from_str("id = 1\nname = 'n'\ndn = 'd'").unwrap();
    section(
        &mut page,
        "[[agents]]",
        include_str!("agents.rs"),
        "SeedAgent",
        &table(&agent),
    );
    page
}

fn table(defaults: &impl Serialize) -> Table {
    Table::try_from(defaults).unwrap()
}

/// One table of keys. What has no default and is no `Option` must be given.
fn section(page: &mut String, title: &str, source: &str, name: &str, defaults: &Table) {
    let (about, keys) = read_struct(source, name);
    let level = if title.starts_with("[queues") || title.starts_with("[[queues.") {
        "###"
    } else {
        "##"
    };
    write!(page, "\n{level} `{title}`\n\n").unwrap();
    if !about.is_empty() && !about.starts_with('`') {
        write!(page, "{about}\n\n").unwrap();
    }
    page.push_str("| key | default | meaning |\n| --- | --- | --- |\n");
    for key in keys {
        let default = match defaults.get(&key.name) {
            _ if key.required => "required".to_owned(),
            Some(value) if is_shown(value) => format!("`{value}`"),
            Some(value @ Value::Table(rule)) if rule.len() <= 3 && rule.values().all(is_shown) => {
                format!("`{value}`")
            }
            Some(_) => "see below".to_owned(),
            None => "–".to_owned(),
        };
        assert!(
            !key.about.is_empty(),
            "{name}.{} has no words of its own",
            key.name
        );
        writeln!(
            page,
            "| `{}` | {default} | {} |",
            key.name,
            key.about.replace('|', "\\|")
        )
        .unwrap();
    }
}

/// Tables have sections of their own.
fn is_shown(value: &Value) -> bool {
    match value {
        Value::Table(_) => false,
        Value::Array(items) => items.iter().all(|item| !item.is_table()),
        Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_) => true,
    }
}

struct Key {
    name: String,
    about: String,
    required: bool,
}

/// The comment of a struct and of each of its public fields.
fn read_struct(source: &str, name: &str) -> (String, Vec<Key>) {
    let head = format!("pub struct {name} {{");
    let start = source
        .find(&head)
        .unwrap_or_else(|| panic!("there is no {head}"));
    let about = comment_above(&source[..start]);
    let all_default = attributes_above(&source[..start]).contains("default");
    let body = &source[start + head.len()..];
    let body = &body[..body.find("\n}").unwrap()];
    let mut keys = Vec::new();
    let (mut about_key, mut has_default) = (Vec::new(), false);
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            about_key.push(text.trim().to_owned());
        } else if line.starts_with("#[") {
            has_default |= line.contains("default");
        } else if let Some((key, kind)) = line
            .strip_prefix("pub ")
            .and_then(|line| line.split_once(": "))
        {
            let required = !all_default && !has_default && !kind.starts_with("Option<");
            keys.push(Key {
                name: key.to_owned(),
                about: about_key.join(" "),
                required,
            });
            about_key.clear();
            has_default = false;
        }
    }
    assert!(!keys.is_empty(), "{name} has no public fields");
    (about, keys)
}

fn comment_above(before: &str) -> String {
    let lines = before
        .lines()
        .rev()
        .skip_while(|line| line.starts_with("#[") || line.is_empty());
    let mut comment: Vec<&str> = lines
        .map_while(|line| line.strip_prefix("///"))
        .map(str::trim)
        .collect();
    comment.reverse();
    comment.join(" ")
}

fn attributes_above(before: &str) -> String {
    let above = before
        .lines()
        .rev()
        .take_while(|line| line.starts_with("#[") || line.starts_with("///"));
    above.filter(|line| line.starts_with("#[serde")).collect()
}
