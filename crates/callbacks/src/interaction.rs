//! The general record every interaction kind shares; a callback is one kind (`entity_type` 5).

use crate::ids::{CustomerId, InteractionId, TenantId};
use crate::wire_time::stored;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The 26 common fields less those that the inner state decides (`status`, `end_date`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interaction {
    pub tenant: TenantId,
    pub id: InteractionId,
    pub customer: CustomerId,
    pub entity_type: EntityType,
    /// Direction or kind, open vocabulary: `Inbound`, `Outbound`, …
    pub kind: String,
    pub sub_type: Option<String>,
    pub media_type: String,
    pub parent: Option<InteractionId>,
    /// The interaction at the root of the thread, or a thread id of the caller's own.
    pub thread: Option<String>,
    pub external_id: Option<String>,
    pub owner: Option<i64>,
    pub creator_app: i64,
    #[serde(with = "stored")]
    pub created_at: Timestamp,
    #[serde(with = "stored::optional", default)]
    pub ended_at: Option<Timestamp>,
    /// Minutes to add to UTC to get local time where and when the interaction was created.
    pub timeshift: Option<i32>,
    pub category: Option<String>,
    /// Set by hand, so rules leave it alone.
    #[serde(default)]
    pub category_by_hand: bool,
    pub allow_children: bool,
    pub subject: Option<String>,
    pub stopped_reason: Option<String>,
    /// What is stored of the three bodies; the bytes live in the store, read at their own URLs.
    #[serde(default)]
    pub bodies: Bodies,
    pub udata: Option<Map<String, Value>>,
}

/// Which bodies an interaction has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bodies {
    pub plain_text: Option<BodyInfo>,
    pub structured_text: Option<BodyInfo>,
    pub binary_content: Option<BodyInfo>,
}

impl Bodies {
    pub fn get(&self, kind: BodyKind) -> Option<&BodyInfo> {
        match kind {
            BodyKind::PlainText => self.plain_text.as_ref(),
            BodyKind::StructuredText => self.structured_text.as_ref(),
            BodyKind::BinaryContent => self.binary_content.as_ref(),
        }
    }

    pub fn set(&mut self, kind: BodyKind, info: Option<BodyInfo>) {
        match kind {
            BodyKind::PlainText => self.plain_text = info,
            BodyKind::StructuredText => self.structured_text = info,
            BodyKind::BinaryContent => self.binary_content = info,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyInfo {
    pub mime: String,
    pub size: u64,
}

/// The three bodies, by the names they have in URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyKind {
    PlainText,
    StructuredText,
    BinaryContent,
}

impl BodyKind {
    /// The largest body that is taken, in bytes (25 MiB).
    pub const MAX_SIZE: u64 = 25 * 1024 * 1024;

    pub fn name(self) -> &'static str {
        match self {
            BodyKind::PlainText => "plain_text",
            BodyKind::StructuredText => "structured_text",
            BodyKind::BinaryContent => "binary_content",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [
            BodyKind::PlainText,
            BodyKind::StructuredText,
            BodyKind::BinaryContent,
        ]
        .into_iter()
        .find(|kind| kind.name() == text)
    }
}

/// Kind of interaction, by its published number. There is no 4; unlisted numbers pass through on read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntityType(pub i32);

impl EntityType {
    pub const EMAIL_IN: EntityType = EntityType(0);
    pub const EMAIL_OUT: EntityType = EntityType(1);
    pub const CHAT: EntityType = EntityType(2);
    pub const PHONE_CALL: EntityType = EntityType(3);
    pub const CALLBACK: EntityType = EntityType(5);
    pub const COBROWSE: EntityType = EntityType(6);
    pub const INTERACTION: EntityType = EntityType(7);

    pub fn is_listed(self) -> bool {
        matches!(self.0, 0..=3 | 5..=7)
    }
}
