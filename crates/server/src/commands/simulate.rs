//! `ringback simulate`: the planner that runs the server, in a day that did not happen.

mod days;
mod record;
mod report;
mod stdio;
mod whatif;

use super::{ConfigArgs, EXIT_WRONG};
use clap::Args;
use ringback_scheduling::plan::Tuning;
use ringback_simulate::planned::PlannedServer;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use stdio::Breakdown;

#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// Speak the promise bench's line protocol on standard input and output, and nothing else
    #[arg(long, conflicts_with_all = ["queue", "day", "generated", "load", "seed", "runs", "agents", "capacity_plan",
        "demand", "json"])]
    stdio: bool,
    #[command(flatten)]
    question: Question,
}

/// What a supervisor wants to know.
#[derive(Debug, Args)]
struct Question {
    #[command(flatten)]
    config: ConfigArgs,
    /// The queue whose day is rehearsed
    #[arg(long, value_name = "QUEUE", required_unless_present = "stdio")]
    queue: Option<String>,
    /// The day, on the queue's clock: today, yesterday or YYYY-MM-DD [default: yesterday; with --generated: today]
    #[arg(long, value_name = "DAY", value_parser = days::Day::parse)]
    day: Option<days::Day>,
    /// A day made up from the queue's rules, instead of the recorded one
    #[arg(long)]
    generated: bool,
    /// Work of the made-up day, callbacks and live calls together, as a share of the planned staff's time; implies
    /// --generated [default: 0.9]
    #[arg(long, value_name = "SHARE")]
    load: Option<f64>,
    /// Where chance begins; the same seed gives the same figures
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Rehearsals, each with a seed of its own; the figures are their means
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=200))]
    runs: u32,
    /// What if so many agents were there, whenever the plan has anybody
    #[arg(long, value_name = "N", conflicts_with = "capacity_plan",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    agents: Option<u32>,
    /// What if the staff were as in this file: TOML with the keys of a queue's `capacity`
    #[arg(long, value_name = "FILE")]
    capacity_plan: Option<PathBuf>,
    /// What if callbacks were asked for so many times as often: x1.2
    #[arg(long, value_name = "xFACTOR", value_parser = whatif::factor)]
    demand: Option<f64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(args: SimulateArgs) -> ExitCode {
    if args.stdio {
        return speak();
    }
    match whatif::answer(args.question).await {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(setback) => {
            eprintln!("ringback simulate: {}", setback.reason);
            ExitCode::from(setback.code)
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
struct Setback {
    reason: String,
    code: u8,
}

impl Setback {
    /// Something in the question is wrong.
    fn wrong(reason: impl Into<String>) -> Setback {
        Setback {
            reason: reason.into(),
            code: EXIT_WRONG,
        }
    }

    /// The question is right, and the database does not answer.
    fn failed(error: impl std::fmt::Display) -> Setback {
        Setback {
            reason: error.to_string(),
            code: 1,
        }
    }
}

fn speak() -> ExitCode {
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
