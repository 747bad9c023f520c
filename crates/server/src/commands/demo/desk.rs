//! Dora at her desk, through the API alone: she looks at what she is offered, declines calls and answers letters.

use super::super::callbacks::client::{Client, Trouble};
use super::telling::Teller;
use super::town::DORA;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Looking before she decides.
const LOOKS: Duration = Duration::from_millis(500);
const WRITES: Duration = Duration::from_millis(1200);
const AFTER_TROUBLE: Duration = Duration::from_millis(500);
/// She declines because she has to see to something. Were she still ready, and everybody else busy, the
/// callback would be put before her again at once.
const BREAK: Duration = Duration::from_secs(6);

/// Dora works until what this returns is aborted: she goes home before the office closes.
pub fn staff(client: Arc<Client>, teller: Arc<Teller>) -> AbortOnDrop {
    AbortOnDrop(tokio::spawn(async move {
        loop {
            if let Err(trouble) = work(&client).await {
                teller.aside(&format!("Dora's desk: {}", trouble.to_string().trim()));
                tokio::time::sleep(AFTER_TROUBLE).await;
            }
        }
    }))
}

/// A task that ends with its handle.
pub struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits for offers and deals with them. She is away before she declines.
async fn work(client: &Client) -> Result<(), Trouble> {
    let offers = client
        .get(&format!("v1/agents/{DORA}/offers?wait=20"))
        .await?;
    for offer in offers["items"].as_array().into_iter().flatten() {
        tokio::time::sleep(LOOKS).await;
        let is_letter = offer["callback"]["desired_response_type"] == "Email";
        let offer_id = offer["offer_id"].as_str().unwrap_or_default();
        if is_letter {
            post(
                client,
                &format!("v1/agents/{DORA}/offers/{offer_id}/accept"),
                json!({}),
            )
            .await?;
            reply(client, &offer["callback"]).await?;
        } else {
            presence(client, "away").await?;
            post(
                client,
                &format!("v1/agents/{DORA}/offers/{offer_id}/decline"),
                json!({}),
            )
            .await?;
            tokio::time::sleep(BREAK).await;
            presence(client, "ready").await?;
        }
    }
    Ok(())
}

async fn presence(client: &Client, presence: &str) -> Result<(), Trouble> {
    let request = client.request(Method::PUT, &format!("v1/agents/{DORA}/presence"))?;
    client
        .json(request.json(&json!({ "presence": presence })))
        .await?;
    Ok(())
}

async fn reply(client: &Client, callback: &Value) -> Result<(), Trouble> {
    tokio::time::sleep(WRITES).await;
    let id = callback["interaction_id"].as_str().unwrap_or_default();
    let text =
        "Hello,\n\nyour invoice went out on Monday; a copy is on its way.\n\nDora, Billing\n";
    post(
        client,
        &format!("v1/callbacks/{id}/reply"),
        json!({ "agent_id": DORA, "text": text }),
    )
    .await?;
    Ok(())
}

async fn post(client: &Client, path: &str, body: Value) -> Result<Value, Trouble> {
    client
        .json(client.request(Method::POST, path)?.json(&body))
        .await
}
