//! What a channel is told, what it tells while it works, and how its routes are.

use jiff::Timestamp;
use ringback_callbacks::contact::Contact;
use ringback_callbacks::ids::{AgentId, AttemptId, InteractionId, TenantId};
use ringback_callbacks::queue::LegOrder;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// One attempt to be placed. `Debug` is safe: contacts mask themselves and mails print their size.
#[derive(Clone, Debug)]
pub struct Order {
    pub tenant: TenantId,
    pub callback: InteractionId,
    /// Travels outwards: Call-ID, Message-ID.
    pub attempt: AttemptId,
    pub number: u32,
    pub near: Near,
    pub contact: Contact,
    /// Routes to the customer, in the order they are tried.
    pub routes: Vec<String>,
    pub leg_order: LegOrder,
    pub ring_agent: Duration,
    pub ring_customer: Duration,
    pub max_talk: Duration,
    /// E.164, or none: the route's own.
    pub caller_id: Option<String>,
    pub mail: Option<Mail>,
    /// What the channel prepared, as it was stored with the attempt; null before.
    pub legs: Value,
}

/// Who stands at our end.
#[derive(Clone)]
pub enum Near {
    Agent {
        id: AgentId,
        dn: String,
        route: Option<String>,
    },
    /// A queue or extension of a switch; `location` is the route to it.
    Dn { dn: String, location: String },
    /// Nobody: a message is sent.
    Nobody,
}

impl std::fmt::Debug for Near {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Near::Agent { id, .. } => write!(f, "Agent({id})"),
            Near::Dn { location, .. } => write!(f, "Dn(at {location})"),
            Near::Nobody => f.write_str("Nobody"),
        }
    }
}

/// A message ready to be sent.
#[derive(Clone)]
pub struct Mail {
    pub from: Option<String>,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    /// Sent by the queue itself: `Auto-Submitted` says so.
    pub automatic: bool,
    /// Thread the message belongs to: earlier attempts' Message-IDs or the customer's own message.
    pub in_reply_to: Option<String>,
    /// An earlier attempt with the same letter, of which nobody knows whether it arrived: this one bears
    /// its Message-ID, so that a mailbox which has it already drops the copy.
    pub repeats: Option<AttemptId>,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Mail({} bytes)",
            self.text.len() + self.html.as_ref().map_or(0, String::len)
        )
    }
}

/// What happens while an order is carried out.
#[derive(Clone, Debug)]
pub enum Progress {
    /// Identifiers changed (a new INVITE after a challenge, a To tag learned): to be stored. The receipt is
    /// dropped once they are: what they announce does not leave the house before.
    Legs(Value, Receipt),
    Ringing {
        party: &'static str,
    },
    Answered {
        party: &'static str,
    },
    RouteFailed {
        party: &'static str,
        route: String,
        code: Option<i32>,
        text: String,
    },
    /// The two can speak with each other.
    Connected {
        route: Option<String>,
    },
}

/// Something a channel waits to see dropped.
#[derive(Clone, Default)]
pub struct Receipt {
    awaited: Option<Arc<dyn Send + Sync>>,
    rings: bool,
}

impl Receipt {
    pub fn of(awaited: impl Send + Sync + 'static) -> Receipt {
        Receipt {
            awaited: Some(Arc::new(awaited)),
            rings: false,
        }
    }

    /// A phone that does not ring yet rings when this is dropped.
    pub fn before_a_ring(awaited: impl Send + Sync + 'static) -> Receipt {
        Receipt {
            rings: true,
            ..Receipt::of(awaited)
        }
    }

    pub fn is_before_a_ring(&self) -> bool {
        self.rings
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.awaited.is_some() {
            "Receipt(awaited)"
        } else {
            "Receipt"
        })
    }
}

/// Why an order may not be placed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unready {
    /// Calls per second or concurrent calls are used up: ask again after this.
    Wait(Duration),
    /// Every route is down; the next health check is due then.
    Down(Duration),
    /// No configured route serves it: waiting will not help.
    NoRoute,
}

/// One route as operators see it.
#[derive(Clone, Debug)]
pub struct RouteHealth {
    pub name: String,
    pub channel: &'static str,
    pub up: bool,
    pub since: Option<Timestamp>,
    pub active: u32,
    /// Last failure, without anything personal.
    pub last_failure: Option<String>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ringback_callbacks::contact::ResponseType;
    use uuid::Uuid;

    /// An order as the dispatcher would make it, to a telephone number, a SIP address or a mailbox.
    pub(crate) fn order_to(contact: &str) -> Order {
        let kind = match contact {
            text if text.starts_with("sip") => ResponseType::VoIP,
            text if text.contains('@') => ResponseType::Email,
            _ => ResponseType::Voice,
        };
        Order {
            tenant: TenantId::default(),
            callback: InteractionId(Uuid::now_v7()),
            attempt: AttemptId(Uuid::now_v7()),
            number: 1,
            near: Near::Nobody,
            contact: Contact::from_stored(kind, contact).expect("a contact"),
            routes: Vec::new(),
            leg_order: LegOrder::AgentFirst,
            ring_agent: Duration::from_secs(20),
            ring_customer: Duration::from_secs(45),
            max_talk: Duration::from_secs(3600),
            caller_id: None,
            mail: None,
            legs: Value::Null,
        }
    }

    #[test]
    fn nothing_personal_is_printed() {
        let mut order = order_to("+14155550123");
        order.near = Near::Dn {
            dn: "sip:anna@example.com".to_owned(),
            location: "pbx".to_owned(),
        };
        order.mail = Some(Mail {
            from: None,
            subject: "Your broken boiler".to_owned(),
            text: "Dear Anna".to_owned(),
            html: None,
            automatic: false,
            in_reply_to: None,
            repeats: None,
        });
        let printed = format!("{order:?}");
        for personal in ["4155550123", "anna", "Anna", "boiler"] {
            assert!(!printed.contains(personal), "{personal} in {printed}");
        }
    }
}
