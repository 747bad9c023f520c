//! `ringback callbacks show`: one callback with its attempts, its events, and why it is not done yet.

use super::Done;
use super::client::Client;
use super::table::{Table, clean};
use super::{follow, words};
use clap::Args;
use serde_json::Value;
use std::process::ExitCode;
use uuid::Uuid;

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Id of the callback
    id: Uuid,
    /// Show each step as it happens, until the callback ends (exit code 0: reached, 2: not)
    #[arg(long)]
    follow: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(client: &Client, args: ShowArgs) -> Done {
    let path = format!("v1/callbacks/{}", args.id);
    let callback = client.get(&path).await?;
    if args.follow {
        return follow::run(client, &args.id.to_string(), &callback, args.json).await;
    }
    let attempts = client.get(&format!("{path}/attempts")).await?;
    let events = client.get(&format!("{path}/events?limit=1000")).await?;
    if args.json {
        println!(
            "{:#}",
            serde_json::json!({ "callback": callback, "attempts": items(&attempts), "events": items(&events) })
        );
        return Ok(ExitCode::SUCCESS);
    }
    print!("{}", facts(&callback));
    if callback["status"] != 3 {
        let why = client.get(&format!("{path}/why")).await?;
        if let Some(sentence) = why["sentence"].as_str() {
            println!("{:<15} {}", "now", clean(sentence));
        }
    }
    print_attempts(items(&attempts));
    println!("\nWhat happened (times in UTC)");
    for event in items(&events) {
        println!("  {}", words::line(event));
    }
    Ok(ExitCode::SUCCESS)
}

/// A fresh booking, in three lines.
pub fn booked(callback: &Value) -> String {
    let text = |value: &Value| clean(value.as_str().unwrap_or(""));
    format!(
        "Booked callback {}\n  promised between {} and {}\n  {}\n",
        text(&callback["interaction_id"]),
        text(&callback["promise"]["from"]),
        text(&callback["promise"]["to"]),
        match callback["next_attempt_at"].as_str() {
            Some(at) => format!("first try at {}", clean(at)),
            None => "waiting in its queue".to_owned(),
        }
    )
}

/// A list is either the answer itself or under `items`.
pub fn items(answer: &Value) -> &[Value] {
    answer
        .as_array()
        .or_else(|| answer["items"].as_array())
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn facts(callback: &Value) -> String {
    let mut lines = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push_str(&format!("{name:<15} {}\n", clean(&value)));
        }
    };
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    line("callback", text(&callback["interaction_id"]));
    line(
        "state",
        words::state_words(callback["state"].as_str().unwrap_or("")).to_owned(),
    );
    line("because", text(&callback["stopped_reason"]));
    line(
        "to",
        format!(
            "{} ({})",
            text(&callback["customer_number"]),
            text(&callback["desired_response_type"])
        ),
    );
    line("customer", text(&callback["customer_id"]));
    line("queue", text(&callback["queue"]));
    line("subject", text(&callback["subject"]));
    line(
        "window",
        format!(
            "{} to {}",
            text(&callback["start_time"]),
            text(&callback["end_time"])
        ),
    );
    let promise = &callback["promise"];
    line(
        "promise",
        format!(
            "{} to {}: {}",
            text(&promise["from"]),
            text(&promise["to"]),
            text(&promise["state"])
        ),
    );
    line("tries", text(&callback["attempts"]));
    line("next try", text(&callback["next_attempt_at"]));
    line("held by", text(&callback["held"]["guard"]));
    line("agent", text(&callback["agent_id"]));
    line("revision", text(&callback["revision"]));
    lines
}

fn print_attempts(attempts: &[Value]) {
    if attempts.is_empty() {
        return;
    }
    let mut table = Table::new(&[
        "TRY",
        "BEGAN",
        "CHANNEL",
        "ROUTE",
        "RESULT",
        "COUNTED",
        "TALK",
        "THE OTHER SIDE SAID",
    ]);
    for attempt in attempts {
        let text = |name: &str| attempt[name].as_str().unwrap_or("").to_owned();
        let platform = &attempt["platform"];
        let code = platform["code"]
            .as_i64()
            .map_or(String::new(), |code| format!(" {code}"));
        table.row(vec![
            attempt["number"].to_string(),
            text("began_at"),
            text("channel"),
            text("route"),
            attempt["verdict"]
                .as_str()
                .map_or("in the air", words::verdict_words)
                .to_owned(),
            if attempt["counted"].as_bool() == Some(true) {
                "yes"
            } else {
                "no"
            }
            .to_owned(),
            attempt["talk_ms"]
                .as_u64()
                .map_or(String::new(), words::talk),
            format!(
                "{}{code} {}",
                platform["scheme"].as_str().unwrap_or(""),
                platform["text"].as_str().unwrap_or("")
            ),
        ]);
    }
    println!("\nTries");
    for row in table.to_string().lines() {
        println!("  {row}");
    }
}
