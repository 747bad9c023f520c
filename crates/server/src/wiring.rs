//! Puts the parts together, top to bottom: config, clock, store, channels, dispatch, api, listen.

use crate::clock::{SystemChance, SystemClock};
use crate::config::{Config, Route};
use crate::lifecycle::HttpServer;
use crate::telemetry::Measures;
use ringback_api::{ApiState, RouteView};
use ringback_callbacks::clock::{Chance, Clock};
use ringback_callbacks::ids::NodeId;
use ringback_callbacks::wire_time;
use ringback_channels::sip::{SipChannel, SipChannelConfig};
use ringback_channels::smtp::SmtpChannel;
use ringback_channels::{Channel, Channels};
use ringback_dispatch::{Dispatcher, Planner, Settings, Surroundings};
use ringback_sip::SipEngine;
use ringback_store::{OpenOptions, Store, StoreError};
use std::fs::{DirBuilder, File, OpenOptions as FileOptions, TryLockError};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A running server.
pub struct Server {
    /// Where the API really listens.
    pub address: SocketAddr,
    pub store: Arc<dyn Store>,
    /// The SIP end, if there is one: its real ports, its registered phones.
    pub sip: Option<SipEngine>,
    pub dispatcher: Arc<Dispatcher>,
    channels: Channels,
    stopping: CancellationToken,
    http: HttpServer,
    limits: StopLimits,
    listen_file: PathBuf,
    /// Held until the end: no second server works on the same database.
    _lock: File,
}

struct StopLimits {
    calls: Duration,
    requests: Duration,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the data directory {path} cannot be used: {error}")]
    Data {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("another server is running on this database ({path} is locked); stop it first")]
    Locked { path: PathBuf },
    #[error("the database cannot be opened: {0}")]
    Store(#[source] StoreError),
    #[error(
        "refusing to listen on {address}: everybody who reaches it could book calls, because there is no API key. \
         Create one with `ringback keys create --name NAME --scope read,write --application 1`, or listen on 127.0.0.1"
    )]
    NoKey { address: SocketAddr },
    #[error("cannot listen on {address} ([server] listen): {error}")]
    Listen {
        address: SocketAddr,
        error: std::io::Error,
    },
    #[error("SIP does not start ([sip]): {0}")]
    Sip(#[from] ringback_sip::StartError),
    #[error("a route does not start ([[routes]]): {0}")]
    Route(String),
    #[error("`{what}` from the configuration could not be stored: {error}")]
    Seed { what: String, error: StoreError },
}

/// Starts everything. What was started is running when this returns; the HTTP port is open.
pub async fn start(config: Config) -> Result<Server, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let chance: Arc<dyn Chance> = Arc::new(SystemChance);

    let lock = prepare_data(&config)?;
    // An address left by a run that was killed would mislead whoever waits for this one.
    drop(std::fs::remove_file(config.server.listen_file()));
    let almanac = Arc::new(config.almanac.clone());
    let options = OpenOptions {
        almanac: almanac.clone(),
        keep_ended: config.server.keep_ended.map(|days| days.as_duration()),
        node: Some(config.server.node.clone()),
        ..OpenOptions::default()
    };
    let store = ringback_store::open(&config.server.database_url(), options, chance.clone())
        .await
        .map_err(StartError::Store)?;
    seed(&config, store.as_ref(), clock.as_ref()).await?;
    refuse_open_door(&config, store.as_ref(), clock.as_ref()).await?;
    // The port is taken before anything is dialled: a server that cannot be reached should not call people.
    let listener = bind(config.server.listen).await?;
    let address = listener.local_addr().unwrap_or(config.server.listen);

    let sip = match config.sip.engine() {
        Some(engine) => Some(SipEngine::start(engine).await?),
        None => None,
    };
    let channels = open_channels(&config, sip.clone(), clock.clone())?;

    let state = ApiState::new(
        store.clone(),
        clock.clone(),
        chance.clone(),
        config.api.clone(),
    );
    let planner = Planner::new(store.clone(), almanac.clone());
    let state = state
        .with_route_health(route_health(&channels))
        .with_almanac(almanac)
        .with_outlook(planner.clone());
    let stopping = state.stopping.clone();
    let observer = Arc::new(Measures::new(&state.metrics));

    let node = NodeId {
        name: config.server.node.clone(),
        boot: chance.uuid(),
    };
    let settings = Settings {
        lease: config.dispatch.lease.as_duration(),
        max_claims: config.dispatch.max_carried,
        catch_up_per_second: config.dispatch.catch_up_per_second,
        local_time_of: Some(config.server.tenant.clone()),
        ..Settings::default()
    };
    let dispatcher = Dispatcher::start_planned(
        Surroundings {
            store: store.clone(),
            channels: channels.clone(),
            clock,
            chance,
        },
        node,
        settings,
        observer,
        planner,
    );

    let http = HttpServer::start(listener, ringback_api::router(state), &config.http);
    write_listen_file(&config, address)?;
    Ok(Server {
        address,
        store,
        sip,
        dispatcher: Arc::new(dispatcher),
        channels,
        stopping,
        http,
        limits: StopLimits {
            calls: config.server.shutdown_limit.as_duration(),
            requests: config.http.finish_limit.as_duration(),
        },
        listen_file: config.server.listen_file(),
        _lock: lock,
    })
}

impl Server {
    /// Stops in the reverse order. Readiness turns to 503 and event streams end at once; nothing new is
    /// claimed; calls may finish while the API still answers (somebody may want to cancel); then requests
    /// finish and the store closes. `hurry` ends calls and requests at once; what cannot be settled any
    /// more is in the store, and the next start rescues it.
    pub async fn stop(self, hurry: CancellationToken) {
        self.stopping.cancel();
        let limit = self.limits.calls;
        let dispatcher = self.dispatcher.clone();
        let hurried = hurry.clone();
        let hurrier = tokio::spawn(async move {
            hurried.cancelled().await;
            dispatcher.hurry();
        });
        self.dispatcher.drain(limit).await;
        hurrier.abort();
        tokio::select! {
            () = self.http.stop(self.limits.requests) => {}
            () = hurry.cancelled() => {}
        }
        for channel in &self.channels.0 {
            channel.shutdown().await;
        }
        if let Some(sip) = &self.sip {
            sip.shutdown().await;
        }
        self.store.close().await;
        // A stale address would only mislead; that it cannot be removed harms nobody.
        drop(std::fs::remove_file(&self.listen_file));
    }
}

/// Opens the store of a configuration for a command that runs beside or without a server.
pub async fn open_store(config: &Config) -> Result<Arc<dyn Store>, StartError> {
    make_private_dir(&config.server.data)?;
    let options = OpenOptions {
        readers: 1,
        almanac: Arc::new(config.almanac.clone()),
        ..OpenOptions::default()
    };
    ringback_store::open(
        &config.server.database_url(),
        options,
        Arc::new(SystemChance),
    )
    .await
    .map_err(StartError::Store)
}

/// Opens the store of a configuration for a command that only looks: nothing is made, migrated or written, so that it
/// may be asked while a server runs.
pub async fn open_to_read(config: &Config) -> Result<Arc<dyn Store>, StartError> {
    let options = OpenOptions {
        readers: 1,
        read_only: true,
        ..OpenOptions::default()
    };
    ringback_store::open(
        &config.server.database_url(),
        options,
        Arc::new(SystemChance),
    )
    .await
    .map_err(StartError::Store)
}

fn prepare_data(config: &Config) -> Result<File, StartError> {
    make_private_dir(&config.server.data)?;
    // A file belongs to one server; on a shared database it is the data directory that does.
    let kept = config.server.database_file();
    lock(kept.unwrap_or_else(|| config.server.data.join("node")))
}

/// Takes what stands for a database in one file, for as long as the answer is kept: no server works on it meanwhile.
pub fn lock(kept: PathBuf) -> Result<File, StartError> {
    let mut path = kept.into_os_string();
    path.push(".lock");
    let path = PathBuf::from(path);
    let failed = |error| StartError::Data {
        path: path.clone(),
        error,
    };
    let lock = FileOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StartError::Locked { path }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn make_private_dir(path: &Path) -> Result<(), StartError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| StartError::Data {
            path: path.to_owned(),
            error,
        })
}

/// Makes what is absent; what exists belongs to the API and stays as it is.
async fn seed(config: &Config, store: &dyn Store, clock: &dyn Clock) -> Result<(), StartError> {
    let tenant = &config.server.tenant;
    for queue in &config.queues {
        let failed = |error| StartError::Seed {
            what: format!("queue {}", queue.id),
            error,
        };
        if store
            .queue(tenant, &queue.id)
            .await
            .map_err(failed)?
            .is_none()
        {
            store
                .put_queue(queue.queue(tenant, clock.now()), Some(0))
                .await
                .map_err(failed)?;
            tracing::info!(queue.id = %queue.id, "queue made from the configuration");
        }
    }
    for agent in &config.agents {
        let made = agent.agent(tenant, clock.now());
        let failed = |error| StartError::Seed {
            what: format!("agent {}", agent.id),
            error,
        };
        if store
            .agent(tenant, made.id)
            .await
            .map_err(failed)?
            .is_none()
        {
            store.put_agent(made, Some(0)).await.map_err(failed)?;
            tracing::info!(agent.id = agent.id, "agent made from the configuration");
        }
    }
    Ok(())
}

async fn refuse_open_door(
    config: &Config,
    store: &dyn Store,
    clock: &dyn Clock,
) -> Result<(), StartError> {
    if config.server.listen.ip().is_loopback() {
        return Ok(());
    }
    let now = clock.now();
    let keys = store.keys().await.map_err(StartError::Store)?;
    let usable = keys
        .iter()
        .any(|key| key.revoked_at.is_none() && key.expires_at.is_none_or(|end| end > now));
    if usable {
        Ok(())
    } else {
        Err(StartError::NoKey {
            address: config.server.listen,
        })
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| StartError::Listen { address, error })
}

fn open_channels(
    config: &Config,
    sip: Option<SipEngine>,
    clock: Arc<dyn Clock>,
) -> Result<Channels, StartError> {
    let mut sip_routes = Vec::new();
    let mut smtp_routes = Vec::new();
    for route in &config.routes {
        match route {
            Route::Sip(route) => sip_routes.push(route.as_ref().clone()),
            Route::Smtp(route) => smtp_routes.push(route.as_ref().clone()),
        }
    }
    let mut channels: Vec<Arc<dyn Channel>> = Vec::new();
    if let Some(engine) = sip {
        let ways = SipChannelConfig {
            routes: sip_routes,
            direct: config.sip.direct.clone(),
        };
        let sip = SipChannel::start(ways, engine, clock.clone())
            .map_err(|error| StartError::Route(error.to_string()))?;
        channels.push(sip);
    }
    if !smtp_routes.is_empty() {
        let smtp = SmtpChannel::start(&smtp_routes, clock)
            .map_err(|error| StartError::Route(error.to_string()))?;
        channels.push(smtp);
    }
    Ok(Channels(channels))
}

fn route_health(channels: &Channels) -> ringback_api::RouteHealth {
    let channels = channels.clone();
    Arc::new(move || {
        channels
            .0
            .iter()
            .flat_map(|channel| channel.routes())
            .map(|route| RouteView {
                name: route.name,
                channel: route.channel.to_owned(),
                up: route.up,
                since: route.since.map(wire_time::write),
                active: route.active,
                last_failure: route.last_failure,
            })
            .collect()
    })
}

/// Written whole and then renamed, so that nobody ever reads half an address.
fn write_listen_file(config: &Config, address: SocketAddr) -> Result<(), StartError> {
    let path = config.server.listen_file();
    let draft = path.with_extension("new");
    let failed = |error| StartError::Data {
        path: path.clone(),
        error,
    };
    std::fs::write(&draft, format!("{address}\n")).map_err(failed)?;
    std::fs::rename(&draft, &path).map_err(failed)
}
