//! A stream of server-sent events, as a page in a browser hears it.

use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;

#[derive(Clone, Debug)]
pub struct Told {
    pub id: Option<i64>,
    pub kind: String,
    pub data: Value,
}

/// Collects what it is told until it is dropped or the server ends the stream.
pub struct Feed {
    told: Arc<Mutex<Vec<Told>>>,
    reading: JoinHandle<()>,
}

impl Feed {
    pub fn read(mut answer: reqwest::Response) -> Feed {
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = told.clone();
        let reading = tokio::spawn(async move {
            let mut text = String::new();
            // A stream that breaks off has told what it has told; the test sees what is missing.
            while let Ok(Some(part)) = answer.chunk().await {
                text.push_str(&String::from_utf8_lossy(&part));
                while let Some(end) = text.find("\n\n") {
                    let block: String = text.drain(..end + 2).collect();
                    if let Some(event) = parse(&block) {
                        heard
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(event);
                    }
                }
            }
        });
        Feed { told, reading }
    }

    pub fn told(&self) -> Vec<Told> {
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn has_ended(&self) -> bool {
        self.reading.is_finished()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Comments, which keep the line open, are no events.
fn parse(block: &str) -> Option<Told> {
    let field = |name: &str| {
        block
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    let data = field("data:")?;
    Some(Told {
        id: field("id:").and_then(|id| id.parse().ok()),
        kind: field("event:").unwrap_or_default().to_owned(),
        data: serde_json::from_str(data).unwrap_or(Value::Null),
    })
}
