//! `ringback callbacks cancel`: cancels one callback.

use super::Done;
use super::client::Client;
use super::words::state_words;
use clap::{Args, ValueEnum};
use reqwest::Method;
use serde_json::json;
use std::process::ExitCode;
use uuid::Uuid;

#[derive(Debug, Args)]
pub struct CancelArgs {
    /// Id of the callback
    id: Uuid,
    /// Why, for the record
    #[arg(long)]
    reason: Option<String>,
    /// Whose wish it is
    #[arg(long, value_enum, default_value_t = By::Operator)]
    by: By,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    Customer,
    Operator,
}

pub async fn run(client: &Client, args: CancelArgs) -> Done {
    let by = match args.by {
        By::Customer => "customer",
        By::Operator => "operator",
    };
    let mut body = json!({ "by": by });
    if let Some(reason) = args.reason {
        body["reason"] = json!(reason);
    }
    let request = client
        .request(Method::POST, &format!("v1/callbacks/{}/cancel", args.id))?
        .json(&body);
    let callback = client.json(request).await?;
    if args.json {
        println!("{callback:#}");
    } else if callback["cancel_requested"].as_bool() == Some(true) && callback["status"] != 3 {
        println!("A call is just being placed; it is ended, and then the callback is cancelled.");
    } else {
        println!(
            "Callback {}: {}.",
            args.id,
            state_words(callback["state"].as_str().unwrap_or(""))
        );
    }
    Ok(ExitCode::SUCCESS)
}
