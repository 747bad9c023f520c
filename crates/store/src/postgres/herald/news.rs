//! What nodes tell each other, as the messages that carry it.

use crate::rows::ms;
use crate::{Signal, Then};
use jiff::Timestamp;
use ringback_callbacks::ids::{AgentId, InteractionId, QueueId, TenantId};
use serde_json::{Value, json};
use uuid::Uuid;

/// PostgreSQL takes messages below 8,000 bytes.
const LONGEST: usize = 7_500;

/// One message of another node.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    pub signals: Vec<Signal>,
    /// More happened than could be told: the record says what, behind this place.
    pub since: Option<i64>,
}

pub(super) fn messages(boot: Uuid, signals: &[Signal]) -> Vec<String> {
    let mut messages = Vec::new();
    let mut items: Vec<Value> = Vec::new();
    let mut length = 0;
    let mut close = |items: &mut Vec<Value>| {
        if !items.is_empty() {
            messages.push(json!({"from": boot, "news": std::mem::take(items)}).to_string());
        }
    };
    for signal in signals {
        let item = match signal {
            Signal::Callback {
                tenant,
                id,
                queue,
                then,
            } => {
                let rests_until = match then {
                    Then::Rest(until) => Some(ms(*until)),
                    // What the node that claimed it has only looked at is others' to claim.
                    Then::Look | Then::Claimed(_) => None,
                };
                json!([
                    tenant.as_str(),
                    "callback",
                    id.0,
                    queue.as_str(),
                    rests_until
                ])
            }
            Signal::Agent { tenant, id } => json!([tenant.as_str(), "agent", id.0]),
            Signal::Queue { tenant, id } => json!([tenant.as_str(), "queue", id.as_str()]),
        };
        let size = item.to_string().len() + 1;
        if length + size > LONGEST - 100 {
            close(&mut items);
            length = 0;
        }
        length += size;
        items.push(item);
    }
    close(&mut items);
    messages
}

/// In place of news that were too many to be kept.
pub(super) fn read_since(boot: Uuid, place: i64) -> String {
    json!({"from": boot, "since": place}).to_string()
}

pub(super) fn heard(boot: Uuid, message: &str) -> Heard {
    let Ok(told) = serde_json::from_str::<Value>(message) else {
        return Heard::default();
    };
    if told["from"] == json!(boot) {
        return Heard::default();
    }
    let news = told["news"].as_array().cloned().unwrap_or_default();
    Heard {
        signals: news.iter().filter_map(signal_of).collect(),
        since: told["since"].as_i64(),
    }
}

fn signal_of(item: &Value) -> Option<Signal> {
    let tenant = TenantId::parse(item[0].as_str()?).ok()?;
    match item[1].as_str()? {
        "callback" => Some(Signal::Callback {
            tenant,
            id: InteractionId(Uuid::parse_str(item[2].as_str()?).ok()?),
            queue: QueueId::parse(item[3].as_str()?).ok()?,
            // A node of an older version says nothing of it.
            then: item[4]
                .as_i64()
                .and_then(|at| Timestamp::from_millisecond(at).ok())
                .map_or(Then::Look, Then::Rest),
        }),
        "agent" => Some(Signal::Agent {
            tenant,
            id: AgentId(item[2].as_i64()?),
        }),
        "queue" => Some(Signal::Queue {
            tenant,
            id: QueueId::parse(item[2].as_str()?).ok()?,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_arrive_as_they_were_told() {
        let tenant = TenantId::parse("default").unwrap();
        let queue = QueueId::parse("support").unwrap();
        let mut signals = vec![
            Signal::Agent {
                tenant: tenant.clone(),
                id: AgentId(7),
            },
            Signal::Queue {
                tenant: tenant.clone(),
                id: queue.clone(),
            },
        ];
        for number in 0..500 {
            let id = InteractionId(Uuid::now_v7());
            signals.push(Signal::Callback {
                tenant: tenant.clone(),
                id,
                queue: queue.clone(),
                then: if number % 2 == 0 {
                    Then::Look
                } else {
                    Then::Rest(Timestamp::UNIX_EPOCH)
                },
            });
        }
        let (mine, other) = (Uuid::now_v7(), Uuid::now_v7());
        let messages = messages(mine, &signals);
        assert!(messages.len() > 1 && messages.iter().all(|message| message.len() < LONGEST));
        let arrived: Vec<Signal> = messages
            .iter()
            .flat_map(|message| heard(other, message).signals)
            .collect();
        assert_eq!(arrived, signals);
        let nothing = Heard::default();
        assert!(
            messages
                .iter()
                .all(|message| heard(mine, message) == nothing)
        );
        assert_eq!(heard(other, "nonsense"), nothing);
        let since = read_since(mine, 12 << 20);
        assert_eq!(heard(other, &since).since, Some(12 << 20));
        assert_eq!(heard(mine, &since), nothing);
    }
}
