//! `ringback simulate`: the planner that runs the server, in a day that did not happen.

mod stdio;

use super::EXIT_WRONG;
use clap::Args;
use ringback_scheduling::plan::Tuning;
use ringback_simulate::planned::PlannedServer;
use std::io;
use std::process::ExitCode;
use stdio::Breakdown;

#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// Speak the promise bench's line protocol on standard input and output
    #[arg(long, required = true)]
    stdio: bool,
}

pub fn run(_args: SimulateArgs) -> ExitCode {
    let mut server = PlannedServer::new(Tuning::default());
    match stdio::converse(io::stdin().lock(), io::stdout().lock(), &mut server) {
        Ok(()) => ExitCode::SUCCESS,
        Err(breakdown) => {
            eprintln!("ringback simulate --stdio: {breakdown}");
            match breakdown {
                Breakdown::Line { .. } => ExitCode::from(EXIT_WRONG),
                Breakdown::Io(_) => ExitCode::FAILURE,
            }
        }
    }
}
