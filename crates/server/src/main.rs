//! Ringback: the program. The only crate that knows all the others, and their command line.

mod almanac;
mod clock;
mod commands;
mod config;
mod lifecycle;
mod telemetry;
mod wiring;

use clap::Parser;
use std::process::ExitCode;

/// Ringback keeps the promise to call back.
///
/// Customers ask to be called; Ringback promises a time, waits, finds an agent, calls both by SIP (or
/// sends the answer by e-mail), tries again when that makes sense, and keeps the whole record.
#[derive(Debug, Parser)]
#[command(
    name = "ringback",
    version,
    propagate_version = true,
    max_term_width = 100
)]
struct Arguments {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    // First of all: two rustls providers in one program panic at the first connection, so one is chosen
    // before anybody can choose another. Installed already is as good as installed now.
    drop(rustls::crypto::ring::default_provider().install_default());
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("ringback: the system gives no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(commands::run(arguments.command))
}
