//! `ringback serve`: runs the server until it is told to stop.

use super::ConfigArgs;
use crate::config::{Config, Route};
use crate::lifecycle::Signals;
use crate::{telemetry, wiring};
use clap::Args;
use ringback_callbacks::queue::Delivery;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only check the configuration and print what would run
    #[arg(long)]
    check: bool,
}

/// Stopped by a second signal: calls were ended early.
const EXIT_HURRIED: u8 = 3;

pub async fn run(args: ServeArgs) -> ExitCode {
    let config = match args.config.load() {
        Ok(config) => config,
        Err(code) => return code,
    };
    if args.check {
        print!("{}", describe(&config));
        return ExitCode::SUCCESS;
    }
    telemetry::start(&config.log);
    if let Some(text) = config.phones_apart() {
        tracing::warn!("{text}");
    }
    // Before anything starts: a signal that comes early must stop in order too.
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("ringback: signals cannot be heard: {error}");
            return ExitCode::FAILURE;
        }
    };
    let server = match wiring::start(config).await {
        Ok(server) => server,
        Err(error) => {
            eprintln!("ringback: {error}");
            return ExitCode::FAILURE;
        }
    };
    tracing::info!(address = %server.address, version = env!("CARGO_PKG_VERSION"), "listening");
    let signal = signals.next().await;
    let carried = server.dispatcher.carried();
    tracing::info!(
        signal,
        carried,
        "stopping: no new calls; a second signal ends those that are on"
    );
    let hurry = CancellationToken::new();
    let stop = server.stop(hurry.clone());
    tokio::pin!(stop);
    let hurried = tokio::select! {
        () = &mut stop => false,
        signal = signals.next() => {
            tracing::warn!(signal, "stopping at once");
            hurry.cancel();
            stop.await;
            true
        }
    };
    tracing::info!("stopped");
    if hurried {
        ExitCode::from(EXIT_HURRIED)
    } else {
        ExitCode::SUCCESS
    }
}

/// What would run, in plain words.
fn describe(config: &Config) -> String {
    let mut lines = Vec::new();
    let from = config
        .file
        .as_ref()
        .map_or("defaults and environment".to_owned(), |file| {
            file.display().to_string()
        });
    lines.push(format!("configuration   {from}: good"));
    lines.push(format!(
        "server          `{}` for tenant `{}`",
        config.server.node, config.server.tenant
    ));
    lines.push(format!("http            {}", config.server.listen));
    lines.push(format!(
        "database        {}",
        config.server.database_shown()
    ));
    if config.sip.listen.is_empty() {
        lines.push("sip             off: no voice and no VoIP callbacks".to_owned());
    }
    for socket in &config.sip.listen {
        lines.push(format!(
            "sip             {} {}",
            socket.0.transport.uri_word(),
            socket.0.addr
        ));
    }
    if let Some(registrar) = &config.sip.registrar {
        lines.push(format!(
            "registrar       realm `{}`, {} phones",
            registrar.realm,
            registrar.users.len()
        ));
    }
    for route in &config.routes {
        let serves = match route {
            Route::Sip(_) => "calls",
            Route::Smtp(_) => "e-mail",
        };
        lines.push(format!("route           `{}`: {serves}", route.name()));
    }
    for queue in &config.queues {
        let to = match &queue.rules.delivery {
            Delivery::Agents => "its agents".to_owned(),
            Delivery::Dn {
                dn,
                location,
                max_concurrent,
            } => {
                format!("`{dn}` on `{location}`, {max_concurrent} at a time")
            }
        };
        lines.push(format!(
            "queue (seed)    `{}` \"{}\", to {to}",
            queue.id, queue.rules.name
        ));
    }
    for agent in &config.agents {
        lines.push(format!(
            "agent (seed)    {} \"{}\" at `{}`",
            agent.id, agent.name, agent.dn
        ));
    }
    lines.push(format!(
        "at SIGTERM      calls may go on for {}",
        config.server.shutdown_limit
    ));
    lines.join("\n") + "\n"
}
