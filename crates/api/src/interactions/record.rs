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
    let mut f = Fields::new(&body.object);
    let customer = read_customer(&state, &caller.tenant, &mut f).await?;
    let (mut interaction, status) = read(&body.object, f, customer, now)?;
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

async fn read_customer(
    state: &ApiState,
    tenant: &TenantId,
    f: &mut Fields<'_>,
) -> Result<Option<CustomerId>, Problem> {
    let id = f.parsed("customer_id", |text| {
        CustomerId::parse(text).map_err(|_| "must have 1 to 16 letters, digits, '-', '_' or '.'")
    });
    let id = f.require("customer_id", id);
    if let Some(id) = &id
        && state.store.customer(tenant, id).await?.is_none()
    {
        f.problem("customer_id", "not_found", "is not a known customer");
    }
    Ok(id)
}

fn read(
    body: &Map<String, Value>,
    mut f: Fields<'_>,
    customer: Option<CustomerId>,
    now: Timestamp,
) -> Result<(Interaction, i32), Problem> {
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
    let entity = f
        .integer("entity_type", 0, 7)
        .and_then(|n| i32::try_from(n).ok())
        .map(EntityType);
    let entity = f.require("entity_type", entity);
    match entity {
        Some(EntityType::CALLBACK) => f.problem(
            "entity_type",
            "callback",
            "callbacks are booked at /v1/callbacks",
        ),
        Some(kind) if !kind.is_listed() => {
            f.problem("entity_type", "enumeration", "must be 0, 1, 2, 3, 6 or 7");
        }
        Some(_) | None => {}
    }
    let status = f
        .integer("status", 0, 3)
        .and_then(|n| i32::try_from(n).ok())
        .unwrap_or(STOPPED);
    let media = f.line("media_type", 64);
    let usual = entity.and_then(usual_medium);
    if media.is_none() && usual.is_none() && entity == Some(EntityType::INTERACTION) {
        f.require::<()>("media_type", None);
    }
    let direction = if entity == Some(EntityType::EMAIL_OUT) {
        "Outbound"
    } else {
        "Inbound"
    };
    let interaction = Interaction {
        tenant: TenantId::default(),
        id: InteractionId(uuid::Uuid::nil()),
        customer: customer
            .clone()
            .or_else(|| CustomerId::parse("-").ok())
            .ok_or_else(|| Problem::not_found("customer"))?,
        entity_type: entity.unwrap_or(EntityType::INTERACTION),
        kind: f.line("type", 64).unwrap_or_else(|| direction.to_owned()),
        sub_type: f.line("sub_type", 64),
        media_type: media.or(usual.map(str::to_owned)).unwrap_or_default(),
        parent: f.parsed("parent_id", |text| {
            text.parse()
                .map_err(|_| "must be an interaction id (a UUID)")
        }),
        thread: f.line("thread_id", 128),
        external_id: f.line("external_id", 256),
        owner: f.integer("owner_id", 0, i64::MAX),
        creator_app: 0,
        created_at: now,
        ended_at: (status == STOPPED).then_some(now),
        timeshift: f
            .integer("timeshift", -26 * 60, 26 * 60)
            .and_then(|n| i32::try_from(n).ok()),
        category: f.line("category_id", 64),
        category_by_hand: body.contains_key("category_id"),
        allow_children: f.boolean("allow_children").unwrap_or(true),
        subject: f.line("subject", 1000),
        stopped_reason: f.line("stopped_reason", 500),
        bodies: Bodies::default(),
        udata: udata(&mut f),
    };
    f.finish()?;
    Ok((interaction, status))
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
