//! `ringback keys`: makes, lists and revokes API keys, working directly on the database.

use super::callbacks::table::Table;
use super::{ConfigArgs, EXIT_WRONG};
use crate::clock::SystemChance;
use crate::wiring;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use ringback_callbacks::clock::Chance;
use ringback_callbacks::wire_time;
use ringback_scheduling::Span;
use ringback_store::{ApiKey, Scope, Store};
use serde_json::json;
use std::process::ExitCode;
use uuid::Uuid;

#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a key and print it; it is shown only this once
    Create(CreateArgs),
    /// List keys, without the keys themselves
    List(ListArgs),
    /// Make a key useless at once
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
struct CreateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// What the key is for, for people
    #[arg(long)]
    name: String,
    /// What it may do: read, write, agent, admin (several with commas)
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', required = true, value_parser = scope)]
    scopes: Vec<Scope>,
    /// Number of the application; callbacks it books carry it as `creator_app_id`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=i64::from(i32::MAX)))]
    application: i64,
    /// When it ends: a length of time such as 90d, or a moment such as 2027-01-31T00:00:00Z [default: never]
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RevokeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Id of the key, as `ringback keys list` shows it
    id: Uuid,
}

pub async fn run(args: KeysArgs) -> ExitCode {
    let config = match &args.what {
        What::Create(create) => &create.config,
        What::List(list) => &list.config,
        What::Revoke(revoke) => &revoke.config,
    };
    let config = match config.load() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let now = Timestamp::now();
    let store = match wiring::open_store(&config).await {
        Ok(store) => store,
        Err(error) => return fail(&error),
    };
    let code = match args.what {
        What::Create(create) => make(store.as_ref(), &config, create, now).await,
        What::List(list) => show(store.as_ref(), list.json, now).await,
        What::Revoke(revoke) => revoke_key(store.as_ref(), revoke.id, now).await,
    };
    store.close().await;
    code
}

async fn make(
    store: &dyn Store,
    config: &crate::config::Config,
    args: CreateArgs,
    now: Timestamp,
) -> ExitCode {
    if args.name.trim().is_empty()
        || args.name.len() > 200
        || args.name.chars().any(char::is_control)
    {
        eprintln!("ringback: --name must have 1 to 200 characters on one line");
        return ExitCode::from(EXIT_WRONG);
    }
    let expires_at = match args
        .expires
        .as_deref()
        .map(|text| moment(text, now))
        .transpose()
    {
        Ok(at) => at,
        Err(reason) => {
            eprintln!("ringback: --expires {reason}");
            return ExitCode::from(EXIT_WRONG);
        }
    };
    let (key, hash) = ringback_api::auth::new_key(&SystemChance);
    let mut scopes = args.scopes;
    scopes.sort();
    scopes.dedup();
    let record = ApiKey {
        id: SystemChance.uuid(),
        tenant: config.server.tenant.clone(),
        name: args.name,
        hash,
        application: args.application,
        scopes,
        created_at: now,
        expires_at,
        revoked_at: None,
    };
    let view = view(&record, now);
    if let Err(error) = store.put_key(record).await {
        return fail(&error);
    }
    if args.json {
        let mut view = view;
        view["key"] = json!(key);
        println!("{view:#}");
    } else {
        // The key alone goes to standard output, so that a script can take it from there.
        eprintln!(
            "Key {} was made. It is shown only this once; the database keeps its hash.",
            view["id"].as_str().unwrap_or("")
        );
        println!("{key}");
    }
    ExitCode::SUCCESS
}

async fn show(store: &dyn Store, as_json: bool, now: Timestamp) -> ExitCode {
    let keys = match store.keys().await {
        Ok(keys) => keys,
        Err(error) => return fail(&error),
    };
    if as_json {
        let views: Vec<_> = keys.iter().map(|key| view(key, now)).collect();
        println!("{:#}", json!(views));
        return ExitCode::SUCCESS;
    }
    if keys.is_empty() {
        println!("There are no keys. Make one with `ringback keys create`.");
        return ExitCode::SUCCESS;
    }
    let mut table = Table::new(&[
        "ID",
        "NAME",
        "APPLICATION",
        "SCOPES",
        "CREATED",
        "EXPIRES",
        "STATE",
    ]);
    for key in &keys {
        let scopes = key
            .scopes
            .iter()
            .map(|scope| scope.name())
            .collect::<Vec<_>>()
            .join(",");
        table.row(vec![
            key.id.to_string(),
            key.name.clone(),
            key.application.to_string(),
            scopes,
            wire_time::write(key.created_at),
            key.expires_at.map_or("never".to_owned(), wire_time::write),
            state(key, now).to_owned(),
        ]);
    }
    print!("{table}");
    ExitCode::SUCCESS
}

async fn revoke_key(store: &dyn Store, id: Uuid, now: Timestamp) -> ExitCode {
    match store.revoke_key(id, now).await {
        Ok(true) => {
            println!("Key {id} is revoked.");
            ExitCode::SUCCESS
        }
        Ok(false) => {
            eprintln!(
                "ringback: there is no usable key with the id {id}; `ringback keys list` shows them"
            );
            ExitCode::FAILURE
        }
        Err(error) => fail(&error),
    }
}

fn view(key: &ApiKey, now: Timestamp) -> serde_json::Value {
    json!({
        "id": key.id.to_string(),
        "name": key.name,
        "application": key.application,
        "scopes": key.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>(),
        "created_at": wire_time::write(key.created_at),
        "expires_at": key.expires_at.map(wire_time::write),
        "revoked_at": key.revoked_at.map(wire_time::write),
        "state": state(key, now),
    })
}

fn state(key: &ApiKey, now: Timestamp) -> &'static str {
    if key.revoked_at.is_some() {
        "revoked"
    } else if key.expires_at.is_some_and(|end| end <= now) {
        "expired"
    } else {
        "usable"
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text.trim()).ok_or_else(|| "must be read, write, agent or admin".to_owned())
}

/// A length of time from now, or a moment that is still to come.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, &'static str> {
    let at = match text.parse::<Span>() {
        Ok(span) => wire_time::plus(now, span.as_duration()),
        Err(_) => wire_time::read(text).ok_or(
            "must be a length of time such as 90d, or a moment such as 2027-01-31T00:00:00Z",
        )?,
    };
    if at > now {
        Ok(at)
    } else {
        Err("must be in the future")
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("ringback: {error}");
    ExitCode::FAILURE
}
