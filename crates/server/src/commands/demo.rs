//! `ringback demo`: the real server on SQLite in a directory of its own, and around it a town of real
//! telephones and a letter box, all on loopback. Plays ten callbacks, says what happens, and checks that
//! everybody saw the same: the record, the telephones, the letter box.

mod desk;
mod plot;
mod stage;
mod summary;
mod telling;
mod town;

use super::callbacks::client::{Client, Trouble};
use crate::lifecycle::Signals;
use clap::Args;
use plot::Scene;
use reqwest::Method;
use serde_json::{Value, json};
use stage::Stage;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use telling::Teller;
use town::Town;

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Stay up afterwards, so that you can book callbacks yourself
    #[arg(long)]
    keep: bool,
    /// Where the API listens (loopback only: it needs no key here); port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// The whole play takes half of this; a callback that has not ended by then never will.
const LONGEST_PLAY: Duration = Duration::from_secs(50);
const PHONES_REGISTER: Duration = Duration::from_secs(10);

pub async fn run(args: DemoArgs) -> ExitCode {
    match perform(&args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(setback) => {
            eprintln!("ringback demo: {}", setback.0.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// Why the demonstration could not go on, in plain words.
#[derive(Debug)]
struct Setback(String);

impl From<Trouble> for Setback {
    fn from(trouble: Trouble) -> Self {
        Setback(
            trouble
                .to_string()
                .trim_start_matches("ringback: ")
                .to_owned(),
        )
    }
}

async fn perform(args: &DemoArgs) -> Result<bool, Setback> {
    if !args.listen.ip().is_loopback() {
        return Err(Setback(
            "--listen must be a loopback address: everything is open here".to_owned(),
        ));
    }
    let mut signals =
        Signals::listen().map_err(|error| Setback(format!("signals cannot be heard: {error}")))?;
    let teller = Arc::new(Teller::new());
    teller.heading("Ringback demo: a small town on this machine, with real telephones (SIP over UDP) and a letter box (SMTP)");
    let town = Town::open()
        .await
        .map_err(|error| Setback(format!("the town cannot be built: {error}")))?;
    let stage = Stage::set(args.listen, &town).await?;
    let played = tokio::select! {
        played = play(args, &teller, &stage, town) => played,
        signal = signals.next() => {
            teller.aside(&format!("{signal}: closing the town"));
            Err(Setback("stopped before the end".to_owned()))
        }
    };
    let good = match played {
        Ok(played) => {
            if args.keep {
                invite(&teller, &stage);
                let signal = signals.next().await;
                teller.aside(&format!("{signal}: closing the town"));
            }
            drop(played.dora);
            played.town.close().await;
            Ok(played.good)
        }
        Err(setback) => Err(setback),
    };
    stage.strike().await;
    good
}

/// What is left when the play is over: it may live on.
struct Played {
    good: bool,
    town: Town,
    dora: desk::AbortOnDrop,
}

/// Books every scene, waits for its end, and judges.
async fn play(
    args: &DemoArgs,
    teller: &Arc<Teller>,
    stage: &Stage,
    mut town: Town,
) -> Result<Played, Setback> {
    town.move_in(stage.sip()?, PHONES_REGISTER)
        .await
        .map_err(Setback)?;
    for line in town.describe() {
        teller.line(&line);
    }
    teller.line(&format!(
        "  {:<10}{}   (reference page: {}/docs)",
        "API",
        stage.url(),
        stage.url()
    ));
    teller.heading("What happens");

    let client = Arc::new(stage.client()?);
    let endings = telling::follow(&client, teller.clone()).await?;
    telling::overhear(&town, teller.clone());
    let dora = desk::staff(client.clone(), teller.clone());

    let mut booked: Vec<(Scene, String)> = Vec::new();
    for scene in plot::scenes(&town) {
        let id = book(&client, teller, &scene).await?;
        if scene.cancels {
            let path = format!("v1/callbacks/{id}/cancel");
            let wish = json!({ "by": "customer", "reason": "found the answer meanwhile" });
            client
                .json(client.request(Method::POST, &path)?.json(&wish))
                .await?;
        }
        if scene.goes_first {
            endings
                .wait_for(std::slice::from_ref(&id), LONGEST_PLAY)
                .await;
        }
        booked.push((scene, id));
    }
    let ids: Vec<String> = booked.iter().map(|(_, id)| id.clone()).collect();
    let all_ended = endings.wait_for(&ids, LONGEST_PLAY).await;
    town.settle().await;

    let summary = summary::gather(&client, stage, &town, &booked).await?;
    teller.heading("Summary");
    teller.block(&summary.to_string());
    let good = all_ended && summary.is_good();
    teller.verdict(good, args.keep);
    Ok(Played { good, town, dora })
}

async fn book(client: &Client, teller: &Teller, scene: &Scene) -> Result<String, Setback> {
    let request = client.request(Method::POST, "v1/callbacks")?;
    let request = request
        .header("Idempotency-Key", format!("demo-{}", scene.who))
        .json(&scene.booking);
    // The name must be known before the first event of this callback can be told.
    let callback: Value = client.json(request).await?;
    let id = callback["interaction_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    teller.introduce(&id, scene.who, scene.plot);
    Ok(id)
}

fn invite(teller: &Teller, stage: &Stage) {
    let url = stage.url();
    teller.heading("The town stays up (Ctrl-C ends it). Book a callback yourself");
    teller.line(&format!(
        "  curl -sS {url}/v1/callbacks -H 'Content-Type: application/json' \\"
    ));
    teller.line(&format!("    -d '{}'", plot::own_booking()));
    teller.line("  or, and watch it:");
    teller.line(&format!(
        "    {} callbacks --url {url} book --queue billing --to '{}' --follow",
        program(),
        town::FRIEDA
    ));
    teller.line(&format!(
        "  reference page: {url}/docs    configuration: {}",
        stage.config_file().display()
    ));
}

/// How this program was called, so that the line can be copied.
fn program() -> String {
    std::env::args()
        .next()
        .unwrap_or_else(|| "ringback".to_owned())
}
