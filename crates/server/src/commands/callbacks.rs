//! `ringback callbacks`: a client of the server's own HTTP API, for people at a terminal.

mod book;
mod cancel;
pub mod client;
mod follow;
mod list;
mod show;
pub mod table;
mod when;
pub mod words;

use clap::{Args, Subcommand};
use client::{Client, Trouble};
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct CallbacksArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Ask for a callback
    Book(book::BookArgs),
    /// List callbacks, newest first
    List(list::ListArgs),
    /// Show one callback with all that happened
    Show(show::ShowArgs),
    /// Cancel a callback
    Cancel(cancel::CancelArgs),
}

/// Which server, and who asks.
#[derive(Debug, Args)]
struct ServerArgs {
    /// Where the server is
    #[arg(
        long,
        global = true,
        env = "RINGBACK_URL",
        default_value = "http://127.0.0.1:8070"
    )]
    url: String,
    /// API key (better given as RINGBACK_KEY, which other users of this machine cannot see)
    #[arg(long, global = true, env = "RINGBACK_KEY", hide_env_values = true)]
    key: Option<String>,
}

pub async fn run(args: CallbacksArgs) -> ExitCode {
    let done = match Client::new(&args.server.url, args.server.key.as_deref()) {
        Ok(client) => match args.what {
            What::Book(book) => book::run(&client, book).await,
            What::List(list) => list::run(&client, list).await,
            What::Show(show) => show::run(&client, show).await,
            What::Cancel(cancel) => cancel::run(&client, cancel).await,
        },
        Err(trouble) => Err(trouble),
    };
    done.unwrap_or_else(|trouble| {
        eprint!("{trouble}");
        ExitCode::FAILURE
    })
}

/// How a command ended, when it ended well enough to have an exit code.
type Done = Result<ExitCode, Trouble>;
