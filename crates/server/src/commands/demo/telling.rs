//! Says what happens as it happens: the record's events as they are committed, and what the telephones notice.

use super::super::callbacks::client::Client;
use super::super::callbacks::{table, words};
use super::Setback;
use super::town::{self, AGENTS, Town};
use futures::StreamExt;
use reqwest::{Method, header};
use ringback_callbacks::event::EventKind;
use ringback_sim::witness::Happening;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, watch};

/// Writes lines to standard output, with the seconds since the beginning.
pub struct Teller {
    begun: Instant,
    colour: bool,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    names: BTreeMap<String, &'static str>,
    /// Who stands at the near end of each callback just now.
    near_ends: BTreeMap<String, &'static str>,
    /// Events that came before their customer's name was known: the answer to a booking and its first
    /// events travel on different connections.
    waiting: HashMap<String, Vec<Value>>,
}

impl Teller {
    pub fn new() -> Teller {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Teller {
            begun: Instant::now(),
            colour,
            heard: Mutex::default(),
        }
    }

    pub fn heading(&self, text: &str) {
        println!("\n{}", self.painted("1", text));
    }

    pub fn line(&self, text: &str) {
        println!("{text}");
    }

    pub fn block(&self, text: &str) {
        for line in text.lines() {
            let colour = if line.contains(summary_mark(true)) {
                "32"
            } else if line.contains(summary_mark(false)) {
                "1;31"
            } else {
                ""
            };
            println!("{}", self.painted(colour, line));
        }
    }

    pub fn aside(&self, text: &str) {
        println!(
            "{}",
            self.painted("2", &format!("{}           {text}", self.elapsed()))
        );
    }

    pub fn verdict(&self, good: bool, stays: bool) {
        let seconds = self.begun.elapsed().as_secs();
        let (colour, text) = if good {
            (
                "1;32",
                format!("Everything happened as expected, in {seconds} seconds."),
            )
        } else {
            (
                "1;31",
                format!("Not everything happened as expected (after {seconds} seconds)."),
            )
        };
        println!("\n{}", self.painted(colour, &text));
        if good && !stays {
            println!("With --keep the town stays up, and you can book callbacks yourself.");
        }
    }

    /// From now on events of this callback are told under this name.
    pub fn introduce(&self, id: &str, who: &'static str, plot: &str) {
        self.row(who, "1", &format!("{who} {plot}"));
        let missed = {
            let mut heard = self.heard();
            heard.names.insert(id.to_owned(), who);
            heard.waiting.remove(id)
        };
        for event in missed.into_iter().flatten() {
            self.tell(who, &event);
        }
    }

    /// Tells what a telephone noticed, by the number that was dialled.
    fn overheard(&self, line: &str, text: &str) {
        let who = town::CUSTOMERS
            .iter()
            .find(|(_, number)| town::dialled(number) == line || town::user(number) == line);
        self.row(who.map_or(line, |(who, _)| who), "2", text);
    }

    fn event(&self, event: &Value) {
        let id = event["interaction_id"].as_str().unwrap_or_default();
        let who = {
            let mut heard = self.heard();
            match heard.names.get(id) {
                Some(who) => *who,
                None if !id.is_empty() && heard.waiting.len() < MOST_WAITING => {
                    heard
                        .waiting
                        .entry(id.to_owned())
                        .or_default()
                        .push(event.clone());
                    return;
                }
                None => return,
            }
        };
        self.tell(who, event);
    }

    fn tell(&self, who: &str, event: &Value) {
        let Some(kind) = event["kind"].as_str().and_then(words::kind) else {
            return;
        };
        let near_end = self.near_end(event);
        let mut sentence = words::sentence(kind, &event["detail"]);
        for (number, name) in AGENTS.iter().enumerate() {
            sentence = sentence.replace(&format!("agent {}", number + 1), name);
        }
        let sentence = sentence
            .replace("the agent", near_end)
            .replace("the customer", who);
        let colour = match kind {
            EventKind::Connected | EventKind::Done => "32",
            EventKind::RouteFailed | EventKind::OfferDeclined | EventKind::RetryScheduled => "33",
            EventKind::Exhausted | EventKind::Expired | EventKind::Failed | EventKind::Refused => {
                "31"
            }
            // Every callback of the play is due at once and waits a moment: not worth a line.
            EventKind::Queued => return,
            EventKind::Accepted
            | EventKind::Held
            | EventKind::Assigned
            | EventKind::Offered
            | EventKind::OfferAccepted
            | EventKind::OfferTimedOut
            | EventKind::AttemptBegun
            | EventKind::Ringing
            | EventKind::Answered
            | EventKind::AttemptEnded
            | EventKind::ContactChanged
            | EventKind::WrapUp
            | EventKind::Disposed
            | EventKind::ReplyWritten
            | EventKind::Rescheduled
            | EventKind::WindowMoved
            | EventKind::Snoozed
            | EventKind::Transferred
            | EventKind::Merged
            | EventKind::Changed
            | EventKind::BodyStored
            | EventKind::CancelRequested
            | EventKind::Cancelled
            | EventKind::Replaced
            | EventKind::Rescued
            | EventKind::PromiseMoved
            | EventKind::ApologyDue
            | EventKind::PromiseAtRisk
            | EventKind::PromiseSafe
            | EventKind::PromiseKept
            | EventKind::PromiseLate
            | EventKind::PromiseBroken
            | EventKind::Recorded => "",
        };
        self.row(who, colour, &sentence);
    }

    /// The agent (or the reception) that this callback was last given to or put before.
    fn near_end(&self, event: &Value) -> &'static str {
        let id = event["interaction_id"].as_str().unwrap_or_default();
        let detail = &event["detail"];
        let number = detail["agent"]
            .as_u64()
            .and_then(|number| usize::try_from(number).ok());
        let agent = number
            .and_then(|number| AGENTS.get(number.checked_sub(1)?))
            .copied();
        let named = agent.or((detail["to"] == "dn").then_some("the reception"));
        let mut heard = self.heard();
        if let Some(named) = named
            && heard.names.contains_key(id)
        {
            heard.near_ends.insert(id.to_owned(), named);
        }
        heard.near_ends.get(id).copied().unwrap_or("the agent")
    }

    fn row(&self, who: &str, colour: &str, text: &str) {
        println!(
            "{}  {who:<9}{}",
            self.elapsed(),
            self.painted(colour, &table::clean(text))
        );
    }

    fn elapsed(&self) -> String {
        format!("{:6.1}s", self.begun.elapsed().as_secs_f64())
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.colour && !colour.is_empty() {
            format!("\u{1b}[{colour}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a line of the summary says that something is as expected, or not.
pub fn summary_mark(good: bool) -> &'static str {
    if good { "✓" } else { "✗" }
}

const MOST_WAITING: usize = 1000;
const LARGEST_LINE: usize = 1024 * 1024;

/// Which callbacks have ended, as far as the stream of events says.
pub struct Endings(watch::Receiver<BTreeSet<String>>);

impl Endings {
    /// Waits until all of these have ended; false when `limit` passed first.
    pub async fn wait_for(&self, ids: &[String], limit: Duration) -> bool {
        let mut seen = self.0.clone();
        let all = seen.wait_for(|ended| ids.iter().all(|id| ended.contains(id)));
        tokio::time::timeout(limit, all)
            .await
            .is_ok_and(|all| all.is_ok())
    }
}

/// Follows the server's own stream of events from the beginning, as any client could.
pub async fn follow(client: &Client, teller: Arc<Teller>) -> Result<Endings, Setback> {
    let request = client
        .request(Method::GET, "v1/events?after=0")?
        .header(header::ACCEPT, "text/event-stream");
    let response = client.send(request).await?;
    let (ended, endings) = watch::channel(BTreeSet::new());
    tokio::spawn(async move {
        let mut bytes = response.bytes_stream();
        let mut line = Vec::new();
        while let Some(Ok(chunk)) = bytes.next().await {
            for byte in chunk {
                if byte != b'\n' {
                    line.push(byte);
                    continue;
                }
                let text = String::from_utf8_lossy(&line);
                if let Some(event) = text
                    .strip_prefix("data:")
                    .and_then(|data| serde_json::from_str::<Value>(data).ok())
                {
                    teller.event(&event);
                    note_ending(&event, &ended);
                }
                line.clear();
            }
            if line.len() > LARGEST_LINE {
                return;
            }
        }
    });
    Ok(Endings(endings))
}

fn note_ending(event: &Value, ended: &watch::Sender<BTreeSet<String>>) {
    let is_end = event["kind"]
        .as_str()
        .and_then(words::kind)
        .is_some_and(words::is_end);
    if let Some(id) = event["interaction_id"].as_str().filter(|_| is_end) {
        ended.send_modify(|ended| {
            ended.insert(id.to_owned());
        });
    }
}

/// What only the telephones know.
pub fn overhear(town: &Town, teller: Arc<Teller>) {
    for witness in town.customers() {
        let mut happenings = witness.listen();
        let teller = teller.clone();
        tokio::spawn(async move {
            loop {
                match happenings.recv().await {
                    Ok(Happening::Talking { line, with, .. }) => {
                        teller.overheard(
                            &line,
                            &format!("(telephone to telephone: sound goes straight to {with})"),
                        );
                    }
                    Ok(Happening::TurnedAway {
                        line, code: 407, ..
                    }) => {
                        teller.overheard(&line, "(the exchange asks for the trunk's login)");
                    }
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        });
    }
}
