//! SIGTERM: what is in the air may land, nothing new is begun, and the exit is clean.

use crate::harness::{Server, customer_number, dn_queue, eventually};
use crate::witness::{Manner, Witness};
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn call_in_progress_is_allowed_to_finish() {
    let (mut server, agents, customers) = talking_for(Some(Duration::from_secs(4))).await;
    let client = server.client.clone();
    let talking = book(&server, 1).await;
    client
        .callback_when(&talking, "the talk", LIMIT, |callback| {
            callback["state"] == "talking"
        })
        .await;
    server.process().signal("TERM");
    let status = server.process().wait(LIMIT);
    assert!(
        status.is_some_and(|status| status.success()),
        "the exit was {status:?}"
    );
    // The customer hung up, and the agent was told: nobody is left on the line.
    eventually("silent lines", Duration::from_secs(10), || async {
        let open = agents.open() + customers.open();
        if open == 0 {
            Ok(())
        } else {
            Err(format!("{open} open"))
        }
    })
    .await;
    server.launch_again();
    server.await_ready().await;
    let attempts = server.client.attempts(&talking).await;
    assert_eq!(attempts.len(), 1, "{attempts:#?}");
    assert_eq!(attempts[0]["verdict"], "reached", "{attempts:#?}");
    assert_eq!(attempts[0]["platform"]["text"], "hung up by the customer");
    let callback = server.client.callback(&talking).await;
    assert_eq!(callback["status"], 3, "{callback:#}");
    assert_eq!(
        customers.calls(),
        1,
        "the restart must not ring anybody again"
    );
    server.assert_healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn second_signal_ends_calls_at_once_and_settles_them() {
    let (mut server, agents, customers) = talking_for(None).await;
    let client = server.client.clone();
    let talking = book(&server, 2).await;
    client
        .callback_when(&talking, "the talk", LIMIT, |callback| {
            callback["state"] == "talking"
        })
        .await;
    server.process().signal("TERM");
    // The first signal leaves the call alone.
    eventually("the stop being noticed", LIMIT, || async {
        match client.ask(reqwest::Method::GET, "/readyz", &[], None).await {
            Ok((status, body)) if status.is_success() => Err(body.to_string()),
            Ok(_) | Err(_) => Ok(()),
        }
    })
    .await;
    assert_eq!(
        (agents.open(), customers.open()),
        (1, 1),
        "the call should still be up"
    );
    server.process().signal("TERM");
    let status = server.process().wait(Duration::from_secs(15));
    assert!(status.is_some(), "the second signal should end it at once");
    eventually("silent lines", Duration::from_secs(10), || async {
        let open = agents.open() + customers.open();
        if open == 0 {
            Ok(())
        } else {
            Err(format!("{open} open"))
        }
    })
    .await;
    server.launch_again();
    server.await_ready().await;
    let attempts = server.client.attempts(&talking).await;
    let ended: Vec<&Value> = attempts
        .iter()
        .filter(|attempt| attempt["ended_at"].is_string())
        .collect();
    assert_eq!(
        ended.first().map(|attempt| attempt["verdict"].clone()),
        Some(json!("reached")),
        "{attempts:#?}"
    );
    server.assert_healthy();
}

async fn talking_for(talk: Option<Duration>) -> (Server, Witness, Witness) {
    let quick = Duration::from_millis(50);
    let agents = Witness::start(move |_| Manner::Answer {
        after: quick,
        hang_up: None,
    })
    .await;
    let customers = Witness::start(move |_| Manner::Answer {
        after: quick,
        hang_up: talk,
    })
    .await;
    let route = |name: &str, port: u16| {
        format!(
            "[[routes]]\nkind = \"sip\"\nname = \"{name}\"\nuri = \"sip:127.0.0.1:{port}\"\nping = \"0s\"\n\n"
        )
    };
    let server =
        Server::start(&(route("desk", agents.port) + &route("town", customers.port))).await;
    server
        .client
        .put_queue("calls", dn_queue("desk", &["town"], json!({})))
        .await;
    (server, agents, customers)
}

async fn book(server: &Server, number: u32) -> String {
    server
        .client
        .book(json!({
            "queue": "calls", "customer_number": customer_number(number), "desired_response_type": "Voice", "any_hour": true,
        }))
        .await
}
