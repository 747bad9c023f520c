//! `ringback migrate`: opens the database, which brings it to this version's schema, and says which that is. With
//! `--from` it moves an installation from SQLite to PostgreSQL.

use super::{ConfigArgs, EXIT_WRONG};
use crate::config::Config;
use crate::wiring;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use ringback_store::{MoveOrder, MoveProgress, MoveStep, Moved, StoreError, move_installation};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Rows of one transaction.
const BATCH: usize = 1000;

#[derive(Debug, Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Move an installation out of this database, `sqlite:PATH`, which no server may be running on. Broken off, it goes
    /// on where it was when it is run again; everything is compared row by row at the end
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// Into this one, `postgres://user:password@host/database`, which must be empty [default: the configuration's
    /// database]
    #[arg(
        long,
        value_name = "URL",
        requires = "from",
        conflicts_with = "database"
    )]
    to: Option<String>,
}

pub async fn run(args: MigrateArgs) -> ExitCode {
    if let (Some(from), Some(to)) = (&args.from, &args.to) {
        return move_all(from, to).await;
    }
    let config = match args.config.load() {
        Ok(config) => config,
        Err(code) => return code,
    };
    match &args.from {
        Some(from) => move_all(from, &config.server.database_url()).await,
        None => raise(&config).await,
    }
}

async fn raise(config: &Config) -> ExitCode {
    let store = match wiring::open_store(config).await {
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

async fn move_all(from: &str, to: &str) -> ExitCode {
    let Some(file) = from.strip_prefix("sqlite:").map(PathBuf::from) else {
        eprintln!("ringback: --from must name a file: `sqlite:PATH`");
        return ExitCode::from(EXIT_WRONG);
    };
    if !to.starts_with("postgres://") && !to.starts_with("postgresql://") {
        eprintln!("ringback: --to (or the configuration's database) must begin with `postgres://`");
        return ExitCode::from(EXIT_WRONG);
    }
    // A lock would be made beside a file that is not there.
    if !file.is_file() {
        eprintln!("ringback: there is no database {}", file.display());
        return ExitCode::FAILURE;
    }
    let _lock = match wiring::lock(file.clone()) {
        Ok(lock) => lock,
        Err(error) => {
            eprintln!("ringback: {error}");
            return ExitCode::FAILURE;
        }
    };
    let order = MoveOrder {
        from: from.to_owned(),
        to: to.to_owned(),
        now: Timestamp::now(),
        batch: BATCH,
    };
    // Where nobody watches, the bar draws nothing by itself.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(style());
    let outcome = move_installation(&order, &mut |step| show(&bar, step)).await;
    bar.finish_and_clear();
    told(outcome, &file)
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg:<28} {wide_bar} {pos}/{len} rows, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn show(bar: &ProgressBar, progress: MoveProgress) {
    let step = match progress.step {
        MoveStep::Copying => "copying",
        MoveStep::Comparing => "comparing",
    };
    bar.set_length(progress.of);
    bar.set_position(progress.done);
    bar.set_message(format!("{step} {}", progress.table));
}

fn told(outcome: Result<Option<Moved>, StoreError>, file: &Path) -> ExitCode {
    match outcome {
        Ok(Some(moved)) => {
            for table in moved.tables.iter().filter(|table| table.rows > 0) {
                println!(
                    "{:<20} {:>12} rows  sha256 {}",
                    table.name, table.rows, table.hash
                );
            }
            if moved.found > 0 {
                println!("{} rows had been moved by an earlier run.", moved.found);
            }
            println!(
                "Moved: every row is the same on both sides, and {} chains of events are whole. Start the servers on \
                 the new database; {} stays as it is.",
                moved.chains,
                file.display()
            );
            ExitCode::SUCCESS
        }
        Ok(None) => {
            println!(
                "Nothing to do: the target holds what {} holds already.",
                file.display()
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ringback: {error}");
            ExitCode::FAILURE
        }
    }
}
