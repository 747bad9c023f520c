//! `ringback bench`: bookings per second, delay from due to the telephone's ring, memory. The real server in
//! this process, on SQLite in a directory of its own, with real HTTP clients and real SIP telephones around it.

mod booking;
mod dialling;
mod figures;
mod ground;

use clap::Args;
use figures::Report;
use ground::{Ground, Setback};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Measure for moments only, to see that everything can be measured
    #[arg(long)]
    quick: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Where the database goes: the disk is part of what is measured [default: the directory for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Extent {
    seconds_of_booking: u64,
    due: u32,
    waiting: u32,
}

const FULL: Extent = Extent {
    seconds_of_booking: 8,
    due: 200,
    waiting: 10_000,
};
const QUICK: Extent = Extent {
    seconds_of_booking: 1,
    due: 30,
    waiting: 500,
};
const CLIENTS: [usize; 3] = [1, 16, 64];

pub async fn run(args: BenchArgs) -> ExitCode {
    match measure(&args).await {
        Ok(report) => {
            if args.json {
                println!("{:#}", report.json());
            } else {
                print!("{}", report.table());
            }
            ExitCode::SUCCESS
        }
        Err(setback) => {
            eprintln!("ringback bench: {setback}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(args: &BenchArgs) -> Result<Report, Setback> {
    let extent = if args.quick { QUICK } else { FULL };
    let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    // Standard output is the report; how far it has come goes to standard error.
    let say = |what: &str| eprintln!("{what} …");
    let mut report = Report::new(&parent, args.quick);

    // Every measurement on fresh ground, so that none pays for the rows of the one before.
    say("memory");
    let ground = Ground::lay(&parent, &[]).await?;
    report.resident_at_rest = figures::resident_kb();
    booking::fill(&ground, extent.waiting).await?;
    report.waiting = extent.waiting;
    report.resident_when_waiting = figures::resident_kb();
    ground.clear().await;

    for clients in CLIENTS {
        say(&format!("bookings, {clients} at a time"));
        let ground = Ground::lay(&parent, &[]).await?;
        let rate = booking::rate(&ground, clients, extent.seconds_of_booking).await?;
        report.bookings.push(rate);
        ground.clear().await;
    }

    say(&format!("{} callbacks becoming due", extent.due));
    report.dialling = Some(dialling::delays(&parent, extent.due).await?);
    Ok(report)
}
