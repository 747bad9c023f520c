//! Follows one callback live: every step in plain words, until it ends.

use super::client::{Client, Trouble};
use super::{Done, show, words};
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Method, header};
use ringback_callbacks::event::EventKind;
use serde_json::Value;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

/// The callback ended without reaching the customer.
const EXIT_NOT_REACHED: u8 = 2;
/// The server sends a heartbeat every 15 s: a stream silent for this long is dead.
const SILENCE: Duration = Duration::from_secs(60);
/// Streams that break one after the other without a single event between them.
const BREAKS: u32 = 20;
const AFTER_BREAK: Duration = Duration::from_secs(1);
/// Events are far smaller; whoever sends more is no Ringback server.
const LARGEST_EVENT: usize = 1024 * 1024;
/// The promise is judged after the end itself: both come in one commit.
const AFTER_END: Duration = Duration::from_secs(3);

pub async fn run(client: &Client, id: &str, callback: &Value, as_json: bool) -> Done {
    if !as_json {
        print!("{}", show::booked(callback));
    }
    let mut screen = Screen::new(as_json);
    let mut last_id: Option<String> = None;
    let mut ended = false;
    let mut breaks = 0;
    while !ended {
        let before = last_id.clone();
        let broke = listen(client, id, &mut last_id, &mut ended, &mut screen).await;
        if ended {
            break;
        }
        if last_id != before {
            breaks = 0;
        }
        breaks += 1;
        match broke {
            Err(trouble) if breaks >= BREAKS => return Err(trouble),
            Ok(()) if breaks >= BREAKS => {
                return Err(Trouble::new(
                    "the server's stream of events keeps ending early",
                ));
            }
            Ok(()) | Err(_) => screen.waiting("the connection broke; trying again"),
        }
        tokio::time::sleep(AFTER_BREAK).await;
    }
    screen.close();
    let callback = client.get(&format!("v1/callbacks/{id}")).await?;
    let reached =
        callback["state"] == "done" && words::is_reached(callback["call_result"].as_i64());
    if as_json {
        println!("{callback}");
    } else {
        println!("{}", words::ending(&callback, reached));
    }
    Ok(if reached {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_NOT_REACHED)
    })
}

/// Reads one stream until it ends, breaks or falls silent.
async fn listen(
    client: &Client,
    id: &str,
    last_id: &mut Option<String>,
    ended: &mut bool,
    screen: &mut Screen,
) -> Result<(), Trouble> {
    let mut request = client.request(Method::GET, &format!("v1/callbacks/{id}/events"))?;
    request = request.header(header::ACCEPT, "text/event-stream");
    if let Some(seen) = last_id.as_deref() {
        request = request.header("Last-Event-ID", seen);
    }
    let response = client.send(request).await?;
    let mut bytes = response.bytes_stream();
    let mut reader = EventReader::default();
    loop {
        let patience = if *ended { AFTER_END } else { SILENCE };
        let chunk = match tokio::time::timeout(patience, bytes.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            // Ended, broken or silent: the caller comes back with the last id.
            Ok(None | Some(Err(_))) | Err(_) => return Ok(()),
        };
        for message in reader.push(&chunk)? {
            if message.id.is_some() {
                *last_id = message.id;
            }
            let Ok(event) = serde_json::from_str::<Value>(&message.data) else {
                continue;
            };
            let kind = event["kind"].as_str().and_then(words::kind);
            *ended |= kind.is_some_and(words::is_end);
            screen.show(&event, kind);
        }
    }
}

/// One event of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    id: Option<String>,
    data: String,
}

/// Puts lines of `text/event-stream` together, however the bytes were cut.
#[derive(Default)]
struct EventReader {
    bytes: Vec<u8>,
    message: Message,
}

impl EventReader {
    fn push(&mut self, chunk: &[u8]) -> Result<Vec<Message>, Trouble> {
        self.bytes.extend_from_slice(chunk);
        let mut whole = Vec::new();
        while let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                let message = std::mem::take(&mut self.message);
                if !message.data.is_empty() {
                    whole.push(message);
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => self.message.id = Some(value.to_owned()),
                "data" => {
                    if !self.message.data.is_empty() {
                        self.message.data.push('\n');
                    }
                    self.message.data.push_str(value);
                }
                // `event` repeats what the data says; comments are heartbeats.
                _ => {}
            }
        }
        if self.bytes.len() + self.message.data.len() > LARGEST_EVENT {
            return Err(Trouble::new(
                "the server sends an event of no reasonable size",
            ));
        }
        Ok(whole)
    }
}

/// Where steps are shown: lines, and on a terminal a spinner below them that says what is awaited.
struct Screen {
    spinner: Option<ProgressBar>,
    as_json: bool,
}

impl Screen {
    fn new(as_json: bool) -> Screen {
        let lively = !as_json && std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        let spinner = lively.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Screen { spinner, as_json }
    }

    fn show(&mut self, event: &Value, kind: Option<EventKind>) {
        if self.as_json {
            println!("{event}");
            return;
        }
        let line = format!("  {}", words::line(event));
        match &self.spinner {
            Some(bar) => {
                bar.println(line);
                if let Some(kind) = kind {
                    bar.set_message(words::awaited(kind));
                    bar.reset_elapsed();
                }
            }
            None => println!("{line}"),
        }
    }

    fn waiting(&mut self, message: &'static str) {
        match &self.spinner {
            Some(bar) => bar.set_message(message),
            None if !self.as_json => println!("  {message}"),
            None => {}
        }
    }

    fn close(&mut self) {
        if let Some(bar) = self.spinner.take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_reads_the_same_however_it_is_cut() {
        let text = b": heartbeat\n\nid: 7\nevent: queued\ndata: {\"a\":1}\n\nid: 8\r\ndata: x\r\ndata: y\r\n\r\ndata: unfinished";
        let expected = [
            Message {
                id: Some("7".to_owned()),
                data: "{\"a\":1}".to_owned(),
            },
            Message {
                id: Some("8".to_owned()),
                data: "x\ny".to_owned(),
            },
        ];
        for size in 1..text.len() {
            let mut reader = EventReader::default();
            let mut got = Vec::new();
            for chunk in text.chunks(size) {
                got.extend(reader.push(chunk).unwrap());
            }
            assert_eq!(got, expected, "cut into {size}");
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut reader = EventReader::default();
        assert!(reader.push(&vec![b'x'; LARGEST_EVENT + 1]).is_err());
    }
}
