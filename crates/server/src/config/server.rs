//! `[server]`: who this server is, where it listens, where its data is.

use ringback_callbacks::ids::TenantId;
use ringback_scheduling::Span;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port of the HTTP API. Port 0 takes a free one; the real one is written to the file
    /// `listen` in the data directory. On any address but loopback the server starts only if an API key exists.
    pub listen: SocketAddr,
    /// Directory of the database and of everything else the server keeps. Made if absent, readable by its owner only.
    pub data: PathBuf,
    /// The database: `sqlite:PATH`, or `postgres://user:password@host:port/database` for several nodes (with
    /// several hosts: `postgres://…@host:port,host:port/database?target_session_attrs=read-write`). Without it:
    /// SQLite in `ringback.db` of the data directory.
    pub database: Option<String>,
    /// How long callbacks are kept after their end, in days (`"400d"`, at least 7 and at most 36500); without it: for
    /// ever. A month goes whole (its callbacks, other interactions, attempts, events and bodies), when everything that
    /// was booked in it ended that long ago; one callback that is still open keeps its month. Customers stay. Needs
    /// PostgreSQL for now: on SQLite it is refused.
    pub keep_ended: Option<Days>,
    /// Name of this server in claims and logs. Keep it over restarts: claims under the own name are taken
    /// up again at once, those of another name only when their lease has run out. On a shared database each node
    /// has a name of its own.
    pub node: String,
    /// Organisation that the queues and agents below, and keys made by `ringback keys`, belong to. Requests
    /// without a key ([api] `open_on_loopback`) always belong to `default`.
    pub tenant: TenantId,
    /// How long calls may go on after the first SIGTERM before they are ended (a length of time such as
    /// `90s`, at most 4 hours). A second signal ends them at once.
    pub shutdown_limit: Span,
}

/// A number of whole days, written like `400d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(u32);

impl Days {
    pub fn as_duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0) * 24 * 3600)
    }
}

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Days, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.strip_suffix('d')
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .filter(|days| (7..=36_500).contains(days))
            .map(Days)
            .ok_or_else(|| {
                D::Error::custom("must be a number of days, `7d` at least and `36500d` at most")
            })
    }
}

impl Serialize for Days {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}d", self.0))
    }
}

impl Default for Server {
    fn default() -> Self {
        Server {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8070)),
            data: PathBuf::from("ringback-data"),
            database: None,
            keep_ended: None,
            node: "main".to_owned(),
            tenant: TenantId::default(),
            shutdown_limit: Span::from_secs(60),
        }
    }
}

impl Server {
    pub fn database_url(&self) -> String {
        match &self.database {
            Some(url) => url.clone(),
            None => format!("sqlite:{}", self.data.join("ringback.db").display()),
        }
    }

    /// The database as it may be shown: without a password.
    pub fn database_shown(&self) -> String {
        let url = self.database_url();
        let Some((scheme, rest)) = url.split_once("://") else {
            return url;
        };
        match rest.split_once('@') {
            Some((user, place)) => {
                let user = user.split(':').next().unwrap_or("");
                format!("{scheme}://{user}@{place}")
            }
            None => url,
        }
    }

    /// Whether the database is one file, which one server has to itself.
    pub fn database_file(&self) -> Option<PathBuf> {
        self.database_url()
            .strip_prefix("sqlite:")
            .map(PathBuf::from)
    }

    /// Where the real address is written once the server listens.
    pub fn listen_file(&self) -> PathBuf {
        self.data.join("listen")
    }

    /// Paths in the file are meant from where the file is, not from where the server was started.
    pub fn resolve(&mut self, base: &Path) {
        self.data = base.join(&self.data);
        if let Some(path) = self
            .database
            .as_deref()
            .and_then(|url| url.strip_prefix("sqlite:"))
            && path != ":memory:"
        {
            self.database = Some(format!("sqlite:{}", base.join(path).display()));
        }
    }

    /// Why the two do not go together, if they do not. Asked when it is known which database it will be: the command line
    /// may name another one.
    pub fn keeps_in_vain(&self) -> Option<&'static str> {
        (self.keep_ended.is_some() && self.database_file().is_some()).then_some(
            "`server.keep_ended` needs PostgreSQL for now (`server.database`): on SQLite ended callbacks are kept for \
             ever; take the setting out",
        )
    }

    pub fn check(&self, complain: &mut dyn FnMut(&str, String)) {
        if self.node.is_empty()
            || self.node.len() > 64
            || self
                .node
                .chars()
                .any(|c| c.is_control() || c.is_whitespace())
        {
            complain(
                "node",
                "must have 1 to 64 characters, without spaces".to_owned(),
            );
        }
        if self.shutdown_limit > Span::from_hours(4) {
            complain("shutdown_limit", "must be at most 4h".to_owned());
        }
        let known = ["sqlite:", "postgres://", "postgresql://"];
        if let Some(url) = self.database.as_deref()
            && !known.iter().any(|scheme| url.starts_with(scheme))
        {
            complain(
                "database",
                "must begin with `sqlite:` or `postgres://`".to_owned(),
            );
        }
        if self.database.as_deref() == Some("sqlite::memory:") {
            complain(
                "database",
                "must be a file: a database in memory would lose every promise".to_owned(),
            );
        }
    }
}
