//! `ringback migrate`: opens the database, which brings it to this version's schema, and says which that is.

use super::ConfigArgs;
use crate::wiring;
use clap::Args;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub async fn run(args: MigrateArgs) -> ExitCode {
    let config = match args.config.load() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let store = match wiring::open_store(&config).await {
        Ok(store) => store,
        Err(error) => {
            eprintln!("ringback: {error}");
            return ExitCode::FAILURE;
        }
    };
    let examined = store.examine().await;
    store.close().await;
    match examined {
        Ok(found) => {
            println!(
                "{}: schema version {} ({})",
                config.server.database_shown(),
                found.schema_version,
                found.backend
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ringback: the schema version cannot be read: {error}");
            ExitCode::FAILURE
        }
    }
}
