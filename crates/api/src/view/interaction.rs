//! Interactions of every kind: the common fields of the published resource.

use super::callback::CallbackView;
use super::date;
use crate::ApiSettings;
use ringback_callbacks::ids::InteractionId;
use ringback_callbacks::interaction::{BodyKind, Interaction};
use ringback_store::{AnyInteraction, RecordedInteraction};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// An interaction of another kind than a callback: a call, a mail, a chat, …
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Interaction)]
pub struct InteractionView {
    /// The customer.
    pub customer_id: String,
    /// Globally unique id. Set by the server.
    pub interaction_id: String,
    /// 0 NEW, 1 PENDING, 2 IN_PROCESS, 3 STOPPED.
    pub status: i32,
    /// 0 EMAIL_IN, 1 EMAIL_OUT, 2 CHAT, 3 PHONE_CALL, 6 COBROWSE, 7 INTERACTION.
    pub entity_type: i32,
    /// Direction or kind: `Inbound`, `Outbound`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The application's own refinement of `type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sub_type: Option<String>,
    /// Medium: `voice`, `email`, `chat`, …
    pub media_type: String,
    /// Interaction that this one came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub parent_id: Option<String>,
    /// Thread it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub thread_id: Option<String>,
    /// Key in some other system.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub external_id: Option<String>,
    /// The person who owns it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub owner_id: Option<i64>,
    /// The application that created it, by its key. Set by the server.
    pub creator_app_id: i64,
    /// When it was recorded. Set by the server.
    #[schema(format = DateTime)]
    pub start_date: String,
    /// When it ended. Set by the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub end_date: Option<String>,
    /// Minutes to add to UTC to get local time where and when it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub timeshift: Option<i32>,
    /// Category.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub category_id: Option<String>,
    /// Whether other interactions may name it as their parent.
    pub allow_children: bool,
    /// Free subject line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub subject: Option<String>,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub stopped_reason: Option<String>,
    /// URL of the plain-text body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub text: Option<String>,
    /// URL of the structured body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub structured_text: Option<String>,
    /// MIME type of the structured body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub structured_text_mime: Option<String>,
    /// URL of the binary body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub binary_content: Option<String>,
    /// MIME type of the binary body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub binary_content_mime: Option<String>,
    /// Size of the binary body in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub binary_content_size: Option<u64>,
    /// Key/value data attached by the application, one level.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Object)]
    pub udata: Option<Map<String, Value>>,
    /// Grows with every change; also the `ETag`.
    pub revision: u64,
}

/// An interaction of any kind; `entity_type` tells which: 5 is a callback.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = AnyInteraction)]
pub enum AnyView {
    Callback(Box<CallbackView>),
    Other(Box<InteractionView>),
}

impl AnyView {
    pub fn new(any: &AnyInteraction, settings: &ApiSettings) -> Self {
        match any {
            AnyInteraction::Callback(callback) => {
                AnyView::Callback(Box::new(CallbackView::new(callback, settings)))
            }
            AnyInteraction::Other(other) => {
                AnyView::Other(Box::new(InteractionView::new(other, settings)))
            }
        }
    }
}

impl InteractionView {
    pub fn new(recorded: &RecordedInteraction, settings: &ApiSettings) -> Self {
        let interaction = &recorded.interaction;
        let urls = BodyUrls::new(interaction, settings);
        InteractionView {
            customer_id: interaction.customer.to_string(),
            interaction_id: interaction.id.to_string(),
            status: recorded.status,
            entity_type: interaction.entity_type.0,
            kind: interaction.kind.clone(),
            sub_type: interaction.sub_type.clone(),
            media_type: interaction.media_type.clone(),
            parent_id: interaction.parent.map(|id| id.to_string()),
            thread_id: interaction.thread.clone(),
            external_id: interaction.external_id.clone(),
            owner_id: interaction.owner,
            creator_app_id: interaction.creator_app,
            start_date: date(interaction.created_at),
            end_date: interaction.ended_at.map(date),
            timeshift: interaction.timeshift,
            category_id: interaction.category.clone(),
            allow_children: interaction.allow_children,
            subject: interaction.subject.clone(),
            stopped_reason: interaction.stopped_reason.clone(),
            text: urls.text,
            structured_text: urls.structured_text,
            structured_text_mime: urls.structured_text_mime,
            binary_content: urls.binary_content,
            binary_content_mime: urls.binary_content_mime,
            binary_content_size: urls.binary_content_size,
            udata: interaction.udata.clone(),
            revision: recorded.revision,
        }
    }
}

/// The revision of an interaction of any kind.
pub fn revision_of(any: &AnyInteraction) -> u64 {
    match any {
        AnyInteraction::Callback(callback) => callback.revision,
        AnyInteraction::Other(other) => other.revision,
    }
}

/// Where the bodies are read, with what goes beside them (rules 1 and 2 of the reference, section 3.1).
#[derive(Default)]
pub(super) struct BodyUrls {
    pub text: Option<String>,
    pub structured_text: Option<String>,
    pub structured_text_mime: Option<String>,
    pub binary_content: Option<String>,
    pub binary_content_mime: Option<String>,
    pub binary_content_size: Option<u64>,
}

impl BodyUrls {
    pub(super) fn new(interaction: &Interaction, settings: &ApiSettings) -> Self {
        let bodies = &interaction.bodies;
        let url = |kind| body_url(interaction.id, kind, settings);
        BodyUrls {
            text: bodies.plain_text.as_ref().map(|_| url(BodyKind::PlainText)),
            structured_text: bodies
                .structured_text
                .as_ref()
                .map(|_| url(BodyKind::StructuredText)),
            structured_text_mime: bodies
                .structured_text
                .as_ref()
                .map(|body| body.mime.clone()),
            binary_content: bodies
                .binary_content
                .as_ref()
                .map(|_| url(BodyKind::BinaryContent)),
            binary_content_mime: bodies.binary_content.as_ref().map(|body| body.mime.clone()),
            binary_content_size: bodies.binary_content.as_ref().map(|body| body.size),
        }
    }
}

fn body_url(id: InteractionId, kind: BodyKind, settings: &ApiSettings) -> String {
    settings.url(&format!("/v1/interactions/{id}/{}", kind.name()))
}
