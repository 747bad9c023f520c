//! The commands of `ringback`, one file each.

mod bench;
mod callbacks;
mod demo;
mod doctor;
mod keys;
mod migrate;
mod openapi;
mod serve;
mod simulate;

use crate::config::Config;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(serve::ServeArgs),
    /// Show the whole thing at work: a demo town with real SIP phones on this machine
    Demo(demo::DemoArgs),
    /// Book, list, show and cancel callbacks on a running server
    Callbacks(callbacks::CallbacksArgs),
    /// Make, list and revoke API keys
    Keys(keys::KeysArgs),
    /// Examine configuration, database and routes, and say what is wrong
    Doctor(doctor::DoctorArgs),
    /// Bring the database to this version's schema (`serve` does so by itself), or move an installation from SQLite to
    /// PostgreSQL (`--from`)
    Migrate(migrate::MigrateArgs),
    /// Print the API's OpenAPI 3.1 document
    Openapi,
    /// Measure bookings per second, delay of dialling, and memory
    Bench(bench::BenchArgs),
    /// Rehearse a day: what would have been kept with more agents, another plan, more demand
    Simulate(simulate::SimulateArgs),
}

pub async fn run(command: Command) -> ExitCode {
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Callbacks(args) => callbacks::run(args).await,
        Command::Keys(args) => keys::run(args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Openapi => openapi::run(),
        Command::Bench(args) => bench::run(args).await,
        Command::Simulate(args) => simulate::run(args).await,
    }
}

/// Something in the arguments or the configuration is wrong; nothing was done.
pub const EXIT_WRONG: u8 = 2;

/// Where the configuration is, for every command that works beside the server.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Configuration file [default: ringback.toml, if it exists]
    #[arg(long, short, value_name = "FILE", env = "RINGBACK_CONFIG")]
    pub config: Option<PathBuf>,
    /// The database, in place of the configuration's: `sqlite:PATH` or `postgres://user:password@host/database`
    #[arg(
        long,
        value_name = "URL",
        env = "RINGBACK_DATABASE",
        hide_env_values = true
    )]
    pub database: Option<String>,
}

impl ConfigArgs {
    /// Reads the configuration; a bad one is told on standard error.
    pub fn load(&self) -> Result<Config, ExitCode> {
        let wrong = |error: &dyn std::fmt::Display| {
            eprintln!("{error}");
            ExitCode::from(EXIT_WRONG)
        };
        let mut config = Config::load(self.config.as_deref(), Timestamp::now())
            .map_err(|error| wrong(&error))?;
        if self.put_over(&mut config) {
            let mut complaints = Vec::new();
            config.server.check(&mut |key, reason| {
                if key == "database" {
                    complaints.push(format!("--database {reason}"));
                }
            });
            if let Some(complaint) = complaints.first() {
                return Err(wrong(complaint));
            }
        }
        match config.server.keeps_in_vain() {
            Some(complaint) => Err(wrong(&complaint)),
            None => Ok(config),
        }
    }

    /// What stands on the command line goes before what stands in the file; false if nothing does.
    pub fn put_over(&self, config: &mut Config) -> bool {
        if let Some(url) = &self.database {
            config.server.database = Some(url.clone());
        }
        self.database.is_some()
    }
}
