//! The configuration: one TOML file, a file of code per section, and overrides from the environment.
//!
//! Everything wrong is found at once and told with file, line and key. Nothing here touches the store or
//! the network; files it names (passwords, certificates) are read.

mod document;
#[cfg(test)]
pub(crate) mod reference;
mod secret;
#[cfg(test)]
mod tests;

pub mod agents;
pub mod dispatch;
pub mod holidays;
pub mod http;
pub mod log;
pub mod queues;
pub mod routes;
pub mod server;
pub mod sip;

pub use document::{Complaint, Override, Place};
pub use routes::Route;

use document::{Document, Part};
use jiff::Timestamp;
use ringback_api::ApiSettings;
use ringback_scheduling::Almanac;
use std::fmt;
use std::path::{Path, PathBuf};

/// Used when no file is named and this one exists.
pub const DEFAULT_FILE: &str = "ringback.toml";

/// A configuration that has been checked.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The file it was read from; `None`: defaults and environment only.
    pub file: Option<PathBuf>,
    pub server: server::Server,
    pub http: http::Http,
    pub api: ApiSettings,
    pub log: log::Log,
    pub dispatch: dispatch::Dispatch,
    pub sip: sip::Sip,
    pub routes: Vec<Route>,
    pub queues: Vec<queues::SeedQueue>,
    pub agents: Vec<agents::SeedAgent>,
    /// The rules of local time, and the lists of holidays that `[holidays]` names.
    pub almanac: Almanac,
}

impl Config {
    /// What is to be known of phones that register here where other nodes may claim for them.
    pub fn phones_apart(&self) -> Option<&'static str> {
        let registered = self.sip.registrar.as_ref();
        let any = registered.is_some_and(|registrar| !registrar.users.is_empty());
        (any && self.server.database_file().is_none()).then_some(
            "phones that register here (`sip.registrar`) are known to this node alone: another node that claims for \
             their agents finds no phone. With several nodes let phones register at a PBX and give agents a `route` to it",
        )
    }
}

/// Everything that is wrong with a configuration, a line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(pub Vec<Complaint>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, complaint) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            complaint.fmt(f)?;
        }
        Ok(())
    }
}

impl Config {
    /// Reads the file that was named; or `ringback.toml` if it is there; or only the environment.
    pub fn load(named: Option<&Path>, now: Timestamp) -> Result<Config, ConfigError> {
        // Names and values that are not Unicode cannot be ours.
        let variables = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        let overrides = Override::collect(variables);
        let path = match named {
            Some(path) => path,
            None if Path::new(DEFAULT_FILE).exists() => Path::new(DEFAULT_FILE),
            None => {
                let mut config = Config::parse(Path::new("the defaults"), "", &overrides, now)?;
                config.file = None;
                return Ok(config);
            }
        };
        let text = std::fs::read_to_string(path).map_err(|error| {
            let place = Place::File {
                path: path.to_owned(),
                line: None,
            };
            ConfigError(vec![Complaint {
                place,
                key: String::new(),
                reason: format!("cannot be read: {error}"),
            }])
        })?;
        Config::parse(path, &text, &overrides, now)
    }

    /// Reads and checks a text as if it stood in `path`; paths in it are meant from there.
    pub fn parse(
        path: &Path,
        text: &str,
        overrides: &[Override],
        now: Timestamp,
    ) -> Result<Config, ConfigError> {
        let mut document = Document::parse(path, text, overrides)
            .map_err(|complaint| ConfigError(vec![complaint]))?;
        let base = path.parent().unwrap_or(Path::new(""));

        let mut server: Part<'_, server::Server> = document.section("server");
        let http: Part<'_, http::Http> = document.section("http");
        let api: Part<'_, ApiSettings> = document.section("api");
        let log: Part<'_, log::Log> = document.section("log");
        let dispatch: Part<'_, dispatch::Dispatch> = document.section("dispatch");
        let mut sip: Part<'_, sip::Sip> = document.section("sip");
        let holidays: Part<'_, holidays::Holidays> = document.section("holidays");
        let mut routes = document.list("routes", Route::read);
        let queues = document.list("queues", queues::SeedQueue::read);
        let agents = document.list("agents", agents::SeedAgent::read);

        let mut wrong = Vec::new();
        server.value.resolve(base);
        sip.value.resolve(base, &mut |key, reason| {
            wrong.push(("sip", key.to_owned(), reason))
        });
        server
            .value
            .check(&mut |key, reason| wrong.push(("server", key.to_owned(), reason)));
        http.value
            .check(&mut |key, reason| wrong.push(("http", key.to_owned(), reason)));
        log.value
            .check(&mut |key, reason| wrong.push(("log", key.to_owned(), reason)));
        dispatch
            .value
            .check(&mut |key, reason| wrong.push(("dispatch", key.to_owned(), reason)));
        sip.value
            .check(&mut |key, reason| wrong.push(("sip", key.to_owned(), reason)));
        for (section, key, reason) in wrong {
            let place = match section {
                "server" => server.place_of(&key),
                "http" => http.place_of(&key),
                "log" => log.place_of(&key),
                "dispatch" => dispatch.place_of(&key),
                _ => sip.place_of(&key),
            };
            document.complain(place, format!("{section}.{key}"), reason);
        }
        routes::resolve(&mut routes, base);
        routes::check(&mut document, &routes, !sip.value.listen.is_empty());
        let almanac = Almanac::new(crate::almanac::edition());
        let almanac = holidays::read(&mut document, &holidays, base, almanac);
        queues::check(&mut document, &queues, &routes, &almanac, now);
        agents::check(&mut document, &agents, &routes);
        document.finish().map_err(ConfigError)?;

        Ok(Config {
            file: Some(path.to_owned()),
            server: server.value,
            http: http.value,
            api: api.value,
            log: log.value,
            dispatch: dispatch.value,
            sip: sip.value,
            routes: routes.into_iter().map(|part| part.value).collect(),
            queues: queues.into_iter().map(|part| part.value).collect(),
            agents: agents.into_iter().map(|part| part.value).collect(),
            almanac,
        })
    }
}
