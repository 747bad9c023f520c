//! From the moment a callback is due to the moment telephones ring, as the telephones saw it.

use super::figures::{Delays, Spread};
use super::ground::{Ground, Setback, number};
use jiff::{SignedDuration, Timestamp};
use ringback_sim::witness::Happening;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

/// Due moments are this far apart: a steady evening, not one burst.
const APART: SignedDuration = SignedDuration::from_millis(25);
/// All are booked before the first is due.
const AHEAD: SignedDuration = SignedDuration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);

/// Books so many callbacks, each due at a moment of its own, and waits until every customer's telephone rang.
pub async fn delays(parent: &Path, count: u32) -> Result<Delays, Setback> {
    let numbers: Vec<String> = (0..count).map(number).collect();
    let ground = Ground::lay(parent, &numbers).await?;
    let mut desk = ground.desk.witness().listen();
    let mut town = ground.town.witness().listen();

    let first = Timestamp::now() + AHEAD;
    let due: HashMap<String, Timestamp> = numbers
        .iter()
        .zip(0..)
        .map(|(number, n)| (number.clone(), first + APART * n))
        .collect();
    let mut booking = JoinSet::new();
    for (number, due) in &due {
        let (client, number, due) = (ground.client(), number.clone(), *due);
        booking.spawn(async move { client.book(&number, due).await.map(drop) });
    }
    while let Some(booked) = booking.join_next().await {
        booked.map_err(|error| Setback(format!("a client broke: {error}")))??;
    }
    if Timestamp::now() >= first {
        return Err(Setback(
            "the machine is too busy: the first callback was due before all were booked".to_owned(),
        ));
    }

    // An agent's telephone does not know for whom it rings; the attempt's id joins the two.
    let mut at_desk: HashMap<String, Timestamp> = HashMap::new();
    let mut at_customer: HashMap<String, (Timestamp, String)> = HashMap::new();
    let everybody = async {
        while at_customer.len() < numbers.len() {
            let (happening, customer) = tokio::select! {
                happening = desk.recv() => (happening, false),
                happening = town.recv() => (happening, true),
            };
            let now = Timestamp::now();
            match happening {
                Ok(Happening::Rang {
                    line,
                    attempt: Some(attempt),
                    ..
                }) if customer => {
                    at_customer.insert(attempt, (now, line));
                }
                Ok(Happening::Rang {
                    attempt: Some(attempt),
                    ..
                }) => {
                    at_desk.insert(attempt, now);
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => {
                    return Err(Setback(format!(
                        "{missed} reports of the telephones were missed"
                    )));
                }
                Err(RecvError::Closed) => {
                    return Err(Setback("the telephones are gone".to_owned()));
                }
            }
        }
        Ok(())
    };
    match tokio::time::timeout(PATIENCE, everybody).await {
        Ok(rung) => rung?,
        Err(_) => {
            return Err(Setback(format!(
                "only {} of {count} customers were rung",
                at_customer.len()
            )));
        }
    }
    let (mut to_agent, mut to_customer) = (Vec::new(), Vec::new());
    for (attempt, (rang, line)) in &at_customer {
        let Some(due) = due.get(line) else { continue };
        to_customer.push(since(*due, *rang));
        to_agent.extend(at_desk.get(attempt).map(|rang| since(*due, *rang)));
    }
    // The last calls end before the server does.
    tokio::time::sleep(Duration::from_secs(1)).await;
    ground.clear().await;
    Ok(Delays {
        count,
        to_agent: Spread::of(to_agent),
        to_customer: Spread::of(to_customer),
    })
}

/// Nothing rings before it is due; if the wall clock was set back meanwhile, the delay is unknown and counts as none.
fn since(due: Timestamp, rang: Timestamp) -> Duration {
    rang.duration_since(due).try_into().unwrap_or_default()
}
