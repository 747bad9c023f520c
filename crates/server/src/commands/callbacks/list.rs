//! `ringback callbacks list`: callbacks as a table, newest first.

use super::Done;
use super::client::Client;
use super::table::Table;
use super::words::state_words;
use clap::Args;
use serde_json::Value;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only of this queue
    #[arg(long)]
    queue: Option<String>,
    /// Only of this customer
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Only to this telephone number, SIP address or e-mail address
    #[arg(long)]
    number: Option<String>,
    /// Only with this callback_status (numbers, several with commas)
    #[arg(long, value_name = "N")]
    callback_status: Option<String>,
    /// Only with this status: 0 new, 1 pending, 2 in process, 3 stopped (several with commas)
    #[arg(long, value_name = "N")]
    status: Option<String>,
    /// Only those in whose subject, category or data these words are
    #[arg(long)]
    text: Option<String>,
    /// How many at most (1 to 200)
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    /// Go on where the last list ended
    #[arg(long)]
    cursor: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(client: &Client, args: ListArgs) -> Done {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("limit", &args.limit.to_string());
    for (name, value) in [
        ("queue", args.queue),
        ("customer_id", args.customer),
        ("number", args.number),
        ("callback_status", args.callback_status),
        ("status", args.status),
        ("text", args.text),
        ("cursor", args.cursor),
    ] {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    let page = client
        .get(&format!("v1/callbacks?{}", query.finish()))
        .await?;
    if args.json {
        println!("{page:#}");
        return Ok(ExitCode::SUCCESS);
    }
    let items = page["items"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if items.is_empty() {
        println!("There are no such callbacks.");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&[
        "ID", "QUEUE", "TYPE", "TO", "STATE", "TRIES", "NEXT", "PROMISE", "SUBJECT",
    ]);
    for item in items {
        let text = |name: &str| item[name].as_str().unwrap_or("").to_owned();
        table.row(vec![
            text("interaction_id"),
            text("queue"),
            text("desired_response_type"),
            text("customer_number"),
            state_words(item["state"].as_str().unwrap_or("")).to_owned(),
            item["attempts"].to_string(),
            text("next_attempt_at"),
            item["promise"]["state"].as_str().unwrap_or("").to_owned(),
            text("subject"),
        ]);
    }
    print!("{table}");
    if let Some(Value::String(cursor)) = page.get("next_cursor") {
        println!("There are more: --cursor {cursor}");
    }
    Ok(ExitCode::SUCCESS)
}
