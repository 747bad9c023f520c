//! Names of things. Each is its own type, so that an agent's id can never stand where a queue's should.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map($name).map_err(|_| InvalidId { what: stringify!($name) })
            }
        }
    };
}

uuid_id!(
    /// One interaction; a callback is an interaction, so this is the callback's id too.
    InteractionId
);
uuid_id!(
    /// One try at reaching the customer. It travels outwards (Call-ID, Message-ID).
    AttemptId
);
uuid_id!(
    /// One callback put before one agent.
    OfferId
);
uuid_id!(
    /// One place of a slot, kept while somebody fills in a form. Whoever knows it may use it.
    HoldId
);

/// An id that is not of the right form. The text itself is not repeated: it may be anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}")]
pub struct InvalidId {
    pub what: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $max:expr, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub const MAX: usize = $max;

            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let allowed: fn(char) -> bool = $allowed;
                if text.is_empty() || text.len() > $max || !text.chars().all(allowed) {
                    return Err(InvalidId { what: stringify!($name) });
                }
                Ok($name(text.to_owned()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                $name::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id!(
    /// One organisation on a shared installation.
    TenantId, 64, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_'
);
text_id!(
    /// What a callback waits in; part of URLs, so a slug.
    QueueId, 64, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_'
);
text_id!(
    /// At most 16 characters, as the published profile resource has it.
    CustomerId, 16, |c| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.'
);

impl Default for TenantId {
    fn default() -> Self {
        TenantId("default".to_owned())
    }
}

/// Configuration id of an agent: an integer, because the resource's `owner_id` is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentId(pub i64);

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run of one server. The boot part differs after every start, which is how a restarted node
/// knows at once that the claims under its own name are left-overs and need not wait for their lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NodeId {
    pub name: String,
    pub boot: Uuid,
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
