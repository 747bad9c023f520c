//! `POST /v1/interactions`: records an interaction of another kind, so that callbacks can hang on it.

use crate::ApiState;
use crate::auth::{Caller, Writing};
use crate::conditional::etag_header;
use crate::error::Problem;
use crate::extract::JsonObject;
use crate::fields::Fields;
use crate::view::{AnyView, InteractionView, RecordRequest, revision_of};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use ringback_callbacks::ids::{CustomerId, InteractionId, TenantId};
use ringback_callbacks::interaction::{Bodies, EntityType, Interaction};
use ringback_callbacks::wire_time;
use ringback_store::RecordOrder;
use serde_json::{Map, Value};

/// Fields that only the server sets, or that belong to callbacks.
const SERVER_SET: [&str; 5] = [
    "interaction_id",
    "creator_app_id",
    "start_date",
    "end_date",
    "revision",
];
const BODIES: [&str; 6] = [
    "text",
    "structured_text",
    "structured_text_mime",
    "binary_content",
    "binary_content_mime",
    "binary_content_size",
];
const STOPPED: i32 = 3;

/// Record an interaction of another kind
///
/// A call, a mail, a chat that took place elsewhere. Callbacks are booked at `/v1/callbacks`. Bodies are PUT at
/// their own URLs afterwards. An `Idempotency-Key` is not kept here; use `external_id` to find what you recorded.
#[utoipa::path(
    post,
    path = "/v1/interactions",
    tag = "interactions",
    security(("api_key" = ["write"])),
    request_body(content = RecordRequest, examples(("call" = (summary = "A call that came in", value = json!({
        "customer_id": "0000Ca7VJHXQ00A3", "entity_type": 3, "subject": "Asked about an invoice"
    }))))),
    responses(
        (status = 201, description = "Recorded.", body = InteractionView,
         headers(("Location" = String, description = "Where it is read."))),
        (status = 409, description = "Its parent takes no children."),
    )
)]
pub async fn record_interaction(
    caller: Caller<Writing>,
    State(state): State<ApiState>,
    headers: HeaderMap,
    body: JsonObject,
) -> Result<Response, Problem> {
    // Somebody who sends a key relies on it: better refused than silently not kept.
    if headers.contains_key("idempotency-key") {
        return Err(Problem::field(
            "Idempotency-Key",
            "not_kept",
            "is not kept for this operation; leave it out",
        ));
    }
    let now = wire_time::truncate(state.clock.now());
    let (mut interaction, status) = read(&body.object, now)?;
    interaction.tenant = caller.tenant.clone();
    interaction.id = InteractionId(state.chance.uuid());
    interaction.creator_app = caller.application;
    let order = RecordOrder {
        interaction,
        status,
        actor: caller.actor(),
        now,
    };
    let recorded = state.store.record(order).await?;
    let id = recorded.id;
    let any = state.store.interaction(&caller.tenant, id).await?;
    let any = any.ok_or_else(|| Problem::not_found("interaction"))?;
    Ok((
        StatusCode::CREATED,
        [(
            header::LOCATION,
            state.settings.url(&format!("/v1/interactions/{id}")),
        )],
        [(header::ETAG, etag_header(revision_of(&any)))],
        Json(AnyView::new(&any, &state.settings)),
    )
        .into_response())
}

fn read(body: &Map<String, Value>, now: Timestamp) -> Result<(Interaction, i32), Problem> {
    let mut f = Fields::new(body);
    for name in SERVER_SET {
        if f.value(name).is_some() {
            f.problem(
                name,
                "server_set",
                "is set by the server and cannot be written",
            );
        }
    }
    for name in BODIES {
        if f.value(name).is_some() {
            f.problem(name, "own_url", "bodies are PUT at their own URLs");
        }
    }
    let customer = f.parsed("customer_id", |text| {
        CustomerId::parse(text).map_err(|_| "must have 1 to 16 letters, digits, '-', '_' or '.'")
    });
    let customer = f.require("customer_id", customer);
    let entity = read_entity_type(&mut f);
    let status = f
        .integer("status", 0, 3)
        .and_then(|n| i32::try_from(n).ok())
        .unwrap_or(STOPPED);
    let media = f.line("media_type", 64);
    let media = media.or(entity.and_then(usual_medium).map(str::to_owned));
    // An interaction of no listed kind has no medium that goes without saying.
    let media = if entity.is_some() {
        f.require("media_type", media)
    } else {
        media
    };
    let direction = if entity == Some(EntityType::EMAIL_OUT) {
        "Outbound"
    } else {
        "Inbound"
    };
    let kind = f.line("type", 64).unwrap_or_else(|| direction.to_owned());
    let sub_type = f.line("sub_type", 64);
    let parent = f.parsed("parent_id", |text| {
        text.parse()
            .map_err(|_| "must be an interaction id (a UUID)")
    });
    let thread = f.line("thread_id", 128);
    let external_id = f.line("external_id", 256);
    let owner = f.integer("owner_id", 0, i64::MAX);
    let timeshift = f
        .integer("timeshift", -26 * 60, 26 * 60)
        .and_then(|n| i32::try_from(n).ok());
    let category = f.line("category_id", 64);
    let allow_children = f.boolean("allow_children").unwrap_or(true);
    let subject = f.line("subject", 1000);
    let stopped_reason = f.line("stopped_reason", 500);
    let udata = udata(&mut f);
    f.finish()?;
    // Whatever is missing was reported by now.
    let missing = |field| Problem::field(field, "required", "is required");
    let interaction = Interaction {
        tenant: TenantId::default(),
        id: InteractionId(uuid::Uuid::nil()),
        customer: customer.ok_or_else(|| missing("customer_id"))?,
        entity_type: entity.ok_or_else(|| missing("entity_type"))?,
        kind,
        sub_type,
        media_type: media.ok_or_else(|| missing("media_type"))?,
        parent,
        thread,
        external_id,
        owner,
        creator_app: 0,
        created_at: now,
        ended_at: (status == STOPPED).then_some(now),
        timeshift,
        category_by_hand: category.is_some(),
        category,
        allow_children,
        subject,
        stopped_reason,
        bodies: Bodies::default(),
        udata,
    };
    Ok((interaction, status))
}

fn read_entity_type(f: &mut Fields<'_>) -> Option<EntityType> {
    let entity = f
        .integer("entity_type", 0, 7)
        .and_then(|n| i32::try_from(n).ok())
        .map(EntityType);
    let entity = f.require("entity_type", entity)?;
    if entity == EntityType::CALLBACK {
        f.problem(
            "entity_type",
            "callback",
            "callbacks are booked at /v1/callbacks",
        );
    } else if !entity.is_listed() {
        f.problem("entity_type", "enumeration", "must be 0, 1, 2, 3, 6 or 7");
    } else {
        return Some(entity);
    }
    None
}

fn usual_medium(kind: EntityType) -> Option<&'static str> {
    match kind {
        EntityType::EMAIL_IN | EntityType::EMAIL_OUT => Some("email"),
        EntityType::CHAT => Some("chat"),
        EntityType::PHONE_CALL => Some("voice"),
        EntityType::COBROWSE => Some("cobrowse"),
        _ => None,
    }
}

/// By the same rules as a callback's.
fn udata(f: &mut Fields<'_>) -> Option<Map<String, Value>> {
    let value = f.value("udata")?;
    let Value::Object(map) = value else {
        f.problem("udata", "type", "must be an object");
        return None;
    };
    if map.len() > 256 {
        f.problem("udata", "length", "at most 256 keys");
    } else if value.to_string().len() > 64 * 1024 {
        f.problem("udata", "length", "at most 65536 bytes");
    } else if let Some((key, _)) = map
        .iter()
        .find(|(_, value)| value.is_object() || value.is_array())
    {
        let field = format!("udata.{}", crate::fields::shown(key));
        f.problem(
            &field,
            "type",
            "must be a plain value: udata has one level of keys",
        );
    } else {
        return Some(map.clone());
    }
    None
}
