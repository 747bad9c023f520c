//! `ringback doctor`: examines everything the server stands on, and says in plain words what is wrong.

use super::ConfigArgs;
use super::callbacks::table::clean;
use crate::almanac;
use crate::config::Config;
use crate::wiring;
use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ringback_callbacks::contact::{Contact, ResponseType};
use ringback_dispatch::Apart;
use ringback_store::Store;
use serde::Serialize;
use serde_json::Value;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    state: Health,
    detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Good,
    /// Nothing is wrong, but it could not be looked at or is worth knowing.
    Note,
    Fault,
}

/// A server on this machine answers at once.
const ASK: Duration = Duration::from_secs(5);

pub async fn run(args: DoctorArgs) -> ExitCode {
    let mut findings = Vec::new();
    match Config::load(args.config.config.as_deref(), Timestamp::now()) {
        Ok(mut config) => {
            args.config.put_over(&mut config);
            let from = config
                .file
                .as_ref()
                .map_or("defaults and environment".to_owned(), |file| {
                    file.display().to_string()
                });
            findings.push(match config.server.keeps_in_vain() {
                Some(complaint) => fault("configuration", complaint.to_owned()),
                None => good("configuration", from),
            });
            findings.extend(
                config
                    .phones_apart()
                    .map(|text| note("phones", text.to_owned())),
            );
            examine_store(&config, &mut findings).await;
            findings.push(time_zones());
            findings.push(numbers());
            ask_server(&config, &mut findings).await;
        }
        Err(error) => {
            findings.extend(
                error
                    .0
                    .iter()
                    .map(|complaint| fault("configuration", complaint.to_string())),
            );
            findings.push(time_zones());
            findings.push(numbers());
        }
    }
    let faults = findings
        .iter()
        .filter(|finding| finding.state == Health::Fault)
        .count();
    if args.json {
        println!(
            "{:#}",
            serde_json::json!({ "healthy": faults == 0, "findings": findings })
        );
    } else {
        print_report(&findings, faults);
    }
    if faults == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print_report(findings: &[Finding], faults: usize) {
    for finding in findings {
        let mark = match finding.state {
            Health::Good => "good",
            Health::Note => "note",
            Health::Fault => "FAULT",
        };
        println!("{mark:<6} {:<14} {}", finding.what, clean(&finding.detail));
    }
    match faults {
        0 => println!("\nEverything is healthy."),
        1 => println!("\n1 fault was found."),
        _ => println!("\n{faults} faults were found."),
    }
}

/// The database and every event chain in it.
async fn examine_store(config: &Config, findings: &mut Vec<Finding>) {
    let url = config.server.database_shown();
    // Opening would make an empty database, and a report that all is well with it.
    if config
        .server
        .database_file()
        .is_some_and(|path| !path.exists())
    {
        findings.push(note(
            "database",
            format!("{url} does not exist yet; the first `ringback serve` makes it"),
        ));
        return;
    }
    let store = match wiring::open_store(config).await {
        Ok(store) => store,
        Err(error) => {
            findings.push(fault("database", error.to_string()));
            return;
        }
    };
    match store.examine().await {
        Ok(found) => {
            findings.push(good(
                "database",
                format!(
                    "{url}, schema version {} ({})",
                    found.schema_version, found.backend
                ),
            ));
            let chains = format!(
                "{} callbacks, {} events, {} chains verified",
                found.callbacks, found.events, found.chains_checked
            );
            findings.extend(
                found
                    .remarks
                    .iter()
                    .map(|text| note("database", text.clone())),
            );
            if found.faults.is_empty() {
                findings.push(good("records", chains));
            } else {
                findings.push(note("records", chains));
                findings.extend(found.faults.into_iter().map(|text| fault("records", text)));
            }
        }
        Err(error) => findings.push(fault("database", error.to_string())),
    }
    findings.extend(clocks(store.as_ref()).await);
    match store.keys().await {
        Ok(keys) => {
            let now = Timestamp::now();
            let usable = keys
                .iter()
                .filter(|k| k.revoked_at.is_none() && k.expires_at.is_none_or(|end| end > now))
                .count();
            findings.push(good("keys", format!("{usable} usable of {}", keys.len())));
        }
        Err(error) => findings.push(fault("keys", error.to_string())),
    }
    store.close().await;
}

/// Whether this machine and the database agree what time it is; nothing where the database has no clock.
async fn clocks(store: &dyn Store) -> Option<Finding> {
    let sent = Timestamp::now();
    let theirs = match store.clock().await {
        Ok(theirs) => theirs?,
        Err(error) => return Some(fault("clock", error.to_string())),
    };
    let apart = Apart::between(sent, theirs, Timestamp::now());
    Some(if apart.too_far() {
        fault(
            "clock",
            format!("{apart}: nothing is dialled until they agree"),
        )
    } else {
        good("clock", "this machine and the database agree".to_owned())
    })
}

/// Which rules of local time are in use: the machine's where there are any, else the copy built in.
fn time_zones() -> Finding {
    if TimeZone::get("Europe/Paris").is_err() {
        return fault(
            "time zones",
            "no time zone database can be read: nothing can be booked in local time".to_owned(),
        );
    }
    let built_in = almanac::built_in_edition();
    let system = almanac::machines_edition();
    match system {
        Some(version) => good(
            "time zones",
            format!("the machine's, version {version} (built in: {built_in})"),
        ),
        None => good(
            "time zones",
            format!(
                "built in, version {built_in}; the machine's, where it has one, says no version"
            ),
        ),
    }
}

/// A number that every edition of the number plans knows, and one that none does.
fn numbers() -> Finding {
    let known = Contact::parse(ResponseType::Voice, "+442079460018", None).is_ok();
    let unknown = Contact::parse(ResponseType::Voice, "+999123456789", None).is_ok();
    if known && !unknown {
        good("number plans", "readable".to_owned())
    } else {
        fault(
            "number plans",
            "cannot be read: no number can be checked, so none is dialled".to_owned(),
        )
    }
}

/// If a server runs on this configuration: is it ready, and do its routes answer?
async fn ask_server(config: &Config, findings: &mut Vec<Finding>) {
    let file = config.server.listen_file();
    let address = std::fs::read_to_string(&file)
        .ok()
        .and_then(|text| text.trim().parse::<SocketAddr>().ok());
    let Some(address) = address else {
        findings.push(note(
            "server",
            "not running; routes were not tried".to_owned(),
        ));
        return;
    };
    let Ok(http) = reqwest::Client::builder().timeout(ASK).build() else {
        findings.push(fault("server", "the HTTP client does not start".to_owned()));
        return;
    };
    let answer = http
        .get(format!("http://{}/readyz", reachable(address)))
        .send()
        .await;
    match answer {
        Ok(answer) if answer.status().is_success() => {
            findings.push(good("server", format!("ready at {address}")))
        }
        Ok(answer) => {
            findings.push(fault(
                "server",
                format!(
                    "at {address} is not ready: it answers {}",
                    answer.status().as_u16()
                ),
            ));
        }
        Err(_) => {
            findings.push(note(
                "server",
                format!("not running, though it was at {address}; it did not stop in order"),
            ));
            return;
        }
    }
    ask_routes(&http, address, findings).await;
}

/// The running server pings its routes all the time and knows which answer.
async fn ask_routes(http: &reqwest::Client, address: SocketAddr, findings: &mut Vec<Finding>) {
    let mut request = http.get(format!("http://{}/v1/routes", reachable(address)));
    if let Ok(key) = std::env::var("RINGBACK_KEY") {
        request = request.bearer_auth(key);
    }
    let answer = match request.send().await {
        Ok(answer) if answer.status().is_success() => answer.json::<Value>().await.ok(),
        Ok(_) => {
            findings.push(note(
                "routes",
                "not shown: give a key with the scope read as RINGBACK_KEY".to_owned(),
            ));
            return;
        }
        Err(_) => None,
    };
    match answer {
        Some(answer) => findings.extend(routes_in(&answer)),
        None => findings.push(note("routes", "the server did not tell".to_owned())),
    }
}

fn routes_in(answer: &Value) -> Vec<Finding> {
    let routes = answer["items"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let look = |route: &Value| {
        let name = format!(
            "`{}` ({})",
            route["name"].as_str().unwrap_or(""),
            route["channel"].as_str().unwrap_or("")
        );
        if route["up"].as_bool() == Some(true) {
            // Mail relays are not pinged: all that is known is that nothing has failed.
            return good("route", format!("{name} is up: no failure seen"));
        }
        let why = route["last_failure"]
            .as_str()
            .unwrap_or("no reason was given");
        fault("route", format!("{name} is down: {why}"))
    };
    routes.iter().map(look).collect()
}

/// A server that listens everywhere is asked on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    match address {
        SocketAddr::V4(v4) => SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, v4.port())),
        SocketAddr::V6(v6) => SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, v6.port())),
    }
}

fn good(what: &'static str, detail: String) -> Finding {
    Finding {
        what,
        state: Health::Good,
        detail,
    }
}

fn note(what: &'static str, detail: String) -> Finding {
    Finding {
        what,
        state: Health::Note,
        detail,
    }
}

fn fault(what: &'static str, detail: String) -> Finding {
    Finding {
        what,
        state: Health::Fault,
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_that_is_down_is_a_fault() {
        let answer = serde_json::json!({ "items": [
            { "name": "trunk", "channel": "sip", "up": true, "active": 3 },
            { "name": "relay", "channel": "smtp", "up": false, "active": 0, "last_failure": "connection refused" },
        ] });
        let found = routes_in(&answer);
        assert_eq!(
            found.iter().map(|f| f.state).collect::<Vec<_>>(),
            [Health::Good, Health::Fault]
        );
        assert!(
            found[1].detail.contains("connection refused"),
            "{:?}",
            found[1]
        );
        assert!(routes_in(&serde_json::json!({})).is_empty());
    }

    #[test]
    fn this_machine_knows_zones_and_numbers() {
        assert_eq!(time_zones().state, Health::Good);
        assert_eq!(numbers().state, Health::Good);
    }
}
