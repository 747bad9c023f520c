//! Where the database is, and how a connection to it is made ready.

use super::faults::Fault;
use crate::StoreError;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_postgres::config::SslMode;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A host that does not take the connection by then is taken for dead, and the next one is tried.
const CONNECTING: Duration = Duration::from_secs(5);
/// What was sent and not acknowledged for so long will not be.
const SILENCE: Duration = Duration::from_secs(10);
/// A connection that has been silent for that long is asked whether it lives, so often and so many times.
const PROBING: Duration = Duration::from_secs(2);
const PROBES: u32 = 3;

/// The same on the server's side. Its own settings would have it wait for two hours.
const MISSED: &str =
    "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3;
     SET tcp_user_timeout = '10s'";

pub(super) struct Target {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    /// Behind a pooler that lends a connection for one transaction only.
    pooled: AtomicBool,
}

/// What happens on a connection without being asked for.
pub(super) type Heard = tokio::sync::mpsc::UnboundedSender<AsyncMessage>;

impl Target {
    /// `postgres://user:password@host:port,host:port/database?target_session_attrs=read-write`.
    pub fn parse(url: &str) -> Result<Target, StoreError> {
        let refused = |why: String| StoreError::Configuration(format!("the database's URL: {why}"));
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            // The text never holds the URL itself, which may hold a password.
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            refused(cause.unwrap_or_else(|| error.to_string()))
        })?;
        if config.get_dbname().is_none() {
            return Err(refused(
                "it names no database (postgres://host/database)".to_owned(),
            ));
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECTING);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE);
        }
        config.keepalives_idle(SILENCE);
        config.keepalives_interval(PROBING);
        config.keepalives_retries(PROBES);
        if config.get_application_name().is_none() {
            config.application_name("ringback");
        }
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => Some(tls()?),
        };
        Ok(Target {
            config,
            tls,
            pooled: AtomicBool::new(false),
        })
    }

    /// Host and port, for messages; never user, password or database.
    pub fn describe(&self) -> String {
        let ports = self.config.get_ports();
        let hosts = self
            .config
            .get_hosts()
            .iter()
            .enumerate()
            .map(|(index, host)| {
                let port = ports
                    .get(index)
                    .or_else(|| ports.first())
                    .copied()
                    .unwrap_or(5432);
                match host {
                    tokio_postgres::config::Host::Tcp(host) => format!("{host}:{port}"),
                    tokio_postgres::config::Host::Unix(path) => {
                        format!("{}:{port}", path.display())
                    }
                }
            });
        hosts.collect::<Vec<_>>().join(",")
    }

    pub fn is_pooled(&self) -> bool {
        self.pooled.load(Ordering::Relaxed)
    }

    pub fn found_pooled(&self) {
        self.pooled.store(true, Ordering::Relaxed);
    }

    pub fn prepares(&self) -> bool {
        !self.is_pooled()
    }

    pub async fn connect(&self) -> Result<(Client, BoxFuture<'static, ()>), Fault> {
        self.connect_and_hear(None).await
    }

    /// Connects; what the server says by itself goes to `heard`.
    pub async fn connect_and_hear(
        &self,
        heard: Option<Heard>,
    ) -> Result<(Client, BoxFuture<'static, ()>), Fault> {
        match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                Ok((client, Box::pin(drive(connection, heard))))
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                Ok((client, Box::pin(drive(connection, heard))))
            }
        }
    }

    /// Has the server notice soon when this machine goes without a word: what the session holds, a node's name or locks
    /// that others wait for, is free then. A server or a pooler that will not be told is worked with all the same.
    pub async fn be_missed(&self, client: &Client) -> Result<(), Fault> {
        if self.is_pooled() {
            return Ok(());
        }
        match client.batch_execute(MISSED).await {
            Err(error) if error.as_db_error().is_none() => Err(error.into()),
            Err(error) => {
                let fault = Fault::from(error);
                tracing::debug!(error = %fault, "the server may notice late when this machine is gone");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// What begins a transaction. On a pooled connection its settings go with it.
    pub fn begin(&self) -> &'static str {
        if self.is_pooled() {
            "BEGIN; SET LOCAL lock_timeout = '5s'; SET LOCAL idle_in_transaction_session_timeout = '5s';
             SELECT set_config('synchronous_commit', 'on', true)
                 WHERE current_setting('synchronous_commit') IN ('off', 'local')"
        } else {
            "BEGIN"
        }
    }

    /// Said once on each connection of our own. A pooled connection is somebody else's a moment later: nothing is
    /// set on it.
    pub fn session_setup(&self) -> String {
        if self.is_pooled() {
            return String::new();
        }
        // A node that is frozen or cut off in the middle of a transaction holds locks that others wait for: the
        // server ends it. What a caller was told is committed must be on the disk, so nobody's default of `off` is
        // taken over; a stricter one (`remote_apply`) is.
        "SET statement_timeout = '30s'; SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '5s';
         SET client_min_messages = warning; SET enable_hashjoin = off; SET enable_mergejoin = off;
         SET enable_bitmapscan = off; SET enable_seqscan = off; SET jit = off;
         SET cpu_tuple_cost = 0.1; SET cpu_index_tuple_cost = 0.05; SET plan_cache_mode = force_generic_plan;
         SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') IN ('off', 'local')"
            .to_owned()
    }
}

async fn drive<S, T>(mut connection: Connection<S, T>, heard: Option<Heard>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    // An error ends the connection; whoever waits on its client learns of it there.
    while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
        if let Some(heard) = &heard {
            let _ = heard.send(message);
        }
    }
}

/// The system's own certificates.
fn tls() -> Result<MakeRustlsConnect, StoreError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls_native_certs::load_native_certs().certs {
        // One that cannot be read is one that nothing can be signed with.
        let _ = roots.add(certificate);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Configuration(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::session::{Ask, Session};
    use ringback_sim::postgres::{Ground, shared};
    use std::rc::Rc;
    use tokio::runtime::Builder;

    const SETTINGS: [(&str, &str); 4] = [
        ("SHOW tcp_keepalives_idle", "5"),
        ("SHOW tcp_keepalives_interval", "2"),
        ("SHOW tcp_keepalives_count", "3"),
        ("SHOW tcp_user_timeout", "10000"),
    ];

    /// What the server says is what its socket has: the defaults are hours.
    #[test]
    fn the_server_will_miss_a_machine_that_is_gone() {
        let database = shared(Ground::QUICK).database();
        let target = Target::parse(&database.url()).unwrap();
        let runtime = Rc::new(Builder::new_current_thread().enable_all().build().unwrap());
        let session = Session::connect(&runtime, &target).unwrap();
        for (ask, said) in SETTINGS {
            let answers = session.fly(&[Ask::With(ask, Vec::new())]).unwrap();
            assert_eq!(answers[0][0].get::<_, &str>(0), said, "{ask}");
        }
    }

    /// A socket of this machine has no such settings, and a pooler's connection is somebody else's a moment later.
    #[tokio::test]
    async fn where_nothing_can_be_set_nothing_fails() {
        let database = shared(Ground::QUICK).database();
        let folder = database.sql("SHOW unix_socket_directories");
        let folder = folder.split(',').next().unwrap();
        let local = format!(
            "postgres://postgres@{}:{}/{}",
            folder.replace('/', "%2F"),
            database.port,
            database.name
        );
        let pooled = Target::parse(&database.url()).unwrap();
        pooled.found_pooled();
        let mut targets = vec![pooled];
        // A server that was given to the tests may be on another machine.
        if std::path::Path::new(folder).exists() {
            targets.push(Target::parse(&local).unwrap());
        }
        for target in targets {
            let (client, connection) = target.connect().await.unwrap();
            tokio::spawn(connection);
            target.be_missed(&client).await.unwrap();
            let row = client.query_one("SHOW tcp_keepalives_idle", &[]).await;
            assert_ne!(row.unwrap().get::<_, &str>(0), SETTINGS[0].1);
        }
    }
}
