//! `ringback callbacks book`: asks for a callback, and with `--follow` stays until it ends.

use super::client::{Client, Trouble};
use super::{Done, follow, show, when};
use crate::clock::SystemChance;
use clap::Args;
use jiff::Timestamp;
use reqwest::Method;
use ringback_callbacks::clock::Chance;
use ringback_callbacks::contact::ResponseType;
use ringback_callbacks::wire_time;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct BookArgs {
    /// Queue that is to call [default: the server's default_queue, or the only one]
    #[arg(long)]
    queue: Option<String>,
    /// Telephone number, SIP address or e-mail address of the customer
    #[arg(long, value_name = "NUMBER")]
    to: String,
    /// voice, voip or email [default: guessed from --to]
    #[arg(long = "type", value_name = "TYPE", value_parser = response_type)]
    kind: Option<ResponseType>,
    /// Not before: 14:05, or 2026-03-09T14:05:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Not after: 16:00, or 2026-03-09T16:00:00Z [default: the queue's own window]
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The customer's time zone, e.g. Europe/Paris; times of day are meant in it
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// What it is about, one line
    #[arg(long)]
    subject: Option<String>,
    /// The customer's own words
    #[arg(long)]
    text: Option<String>,
    /// Name of the customer
    #[arg(long)]
    name: Option<String>,
    /// 0 (lowest) to 100 [default: 50]
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=100))]
    priority: Option<u8>,
    /// Data of your own that stays with the callback; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    udata: Vec<(String, String)>,
    /// The same key with the same request books only once [default: a fresh one]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Show each step as it happens, until the callback ends (exit code 0: reached, 2: not)
    #[arg(long)]
    follow: bool,
    /// Print JSON (with --follow: one event per line)
    #[arg(long)]
    json: bool,
}

pub async fn run(client: &Client, args: BookArgs) -> Done {
    let body = body(&args, Timestamp::now()).map_err(Trouble::new)?;
    let key = args
        .idempotency_key
        .clone()
        .unwrap_or_else(|| SystemChance.uuid().to_string());
    let request = client
        .request(Method::POST, "v1/callbacks")?
        .header("Idempotency-Key", &key)
        .json(&body);
    let callback = client.json(request).await?;
    let id = callback["interaction_id"]
        .as_str()
        .ok_or_else(|| Trouble::new("the answer names no interaction_id"))?;
    if args.follow {
        return follow::run(client, id, &callback, args.json).await;
    }
    if args.json {
        println!("{callback:#}");
    } else {
        print!("{}", show::booked(&callback));
    }
    Ok(ExitCode::SUCCESS)
}

fn body(args: &BookArgs, now: Timestamp) -> Result<Value, String> {
    let zone =
        when::zone(args.time_zone.as_deref()).map_err(|reason| format!("--time-zone {reason}"))?;
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            body.insert(name.to_owned(), value);
        }
    };
    put("queue", json!(args.queue));
    put("customer_number", json!(args.to));
    put(
        "desired_response_type",
        json!(args.kind.unwrap_or_else(|| guess(&args.to)).as_str()),
    );
    // The customer asks for a callback from now on, unless another time is named.
    let start = match &args.at {
        Some(text) => when::read(text, &zone, now).map_err(|reason| format!("--at {reason}"))?,
        None => now,
    };
    put("start_time", json!(wire_time::write(start)));
    if let Some(text) = &args.until {
        let end = when::read(text, &zone, start).map_err(|reason| format!("--until {reason}"))?;
        put("end_time", json!(wire_time::write(end)));
    }
    put("time_zone", json!(args.time_zone));
    put("subject", json!(args.subject));
    put("text", json!(args.text));
    put("customer_name", json!(args.name));
    put("priority", json!(args.priority));
    if !args.udata.is_empty() {
        let udata: Map<String, Value> = args
            .udata
            .iter()
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect();
        put("udata", Value::Object(udata));
    }
    Ok(Value::Object(body))
}

/// What a contact looks like. The server has the last word.
fn guess(to: &str) -> ResponseType {
    let lower = to.trim().to_ascii_lowercase();
    if lower.starts_with("sip:") || lower.starts_with("sips:") {
        ResponseType::VoIP
    } else if lower.contains('@') {
        ResponseType::Email
    } else if lower.chars().any(|c| c.is_ascii_alphabetic())
        || lower.parse::<std::net::IpAddr>().is_ok()
    {
        ResponseType::VoIP
    } else {
        ResponseType::Voice
    }
}

fn response_type(text: &str) -> Result<ResponseType, String> {
    ResponseType::parse(text).ok_or_else(|| "must be voice, voip or email".to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("must be KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_guessed_from_the_contact() {
        let table = [
            ("+44 20 7946 0018", ResponseType::Voice),
            ("(0)20 7946-0018", ResponseType::Voice),
            ("sip:anna@example.com", ResponseType::VoIP),
            ("SIPS:anna@example.com", ResponseType::VoIP),
            ("phone.example.com", ResponseType::VoIP),
            ("192.0.2.7", ResponseType::VoIP),
            ("anna@example.com", ResponseType::Email),
        ];
        for (to, expected) in table {
            assert_eq!(guess(to), expected, "{to}");
        }
    }
}
