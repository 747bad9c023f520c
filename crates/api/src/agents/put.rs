//! `PUT /v1/agents/{id}`: makes an agent or replaces what is written about them.

use super::{AgentPath, shown};
use crate::ApiState;
use crate::auth::{Caller, Ruling};
use crate::conditional::{Conditions, MatchHeader, NoneMatchHeader, check_existence};
use crate::error::{Code, Problem};
use crate::extract::{InPath, JsonObject};
use crate::fields::Fields;
use crate::view::{AgentBody, AgentView};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ringback_callbacks::agent::{Agent, Presence};
use ringback_callbacks::ids::{AgentId, QueueId, TenantId};
use ringback_callbacks::queue::is_dn;
use ringback_callbacks::wire_time;
use ringback_store::StoreError;
use serde_json::{Map, Value};

const MOST_QUEUES: usize = 200;

/// Make an agent, or replace what is written about them
///
/// A new agent is `offline` until their presence says otherwise; presence and what they have in hand stay.
#[utoipa::path(
    put,
    path = "/v1/agents/{id}",
    tag = "agents",
    security(("api_key" = ["admin"])),
    params(AgentPath, MatchHeader, NoneMatchHeader),
    request_body(content = AgentBody, examples(("phone" = (summary = "With a phone registered here", value = json!({
        "name": "Anna", "dn": "anna", "queues": ["service"]
    }))))),
    responses(
        (status = 200, description = "Replaced.", body = AgentView),
        (status = 201, description = "Made.", body = AgentView),
        (status = 412, description = "It was changed meanwhile, or exists already."),
    )
)]
pub async fn put_agent(
    caller: Caller<Ruling>,
    State(state): State<ApiState>,
    InPath(id): InPath<AgentId>,
    conditions: Conditions,
    body: JsonObject,
) -> Result<Response, Problem> {
    if id.0 < 0 {
        return Err(Problem::not_found("agent"));
    }
    let written = read(&state, &caller.tenant, &body.object).await?;
    for _ in 0..4 {
        let current = state.store.agent(&caller.tenant, id).await?;
        check_existence(conditions, current.as_ref().map(|agent| agent.revision))?;
        let is_new = current.is_none();
        let mut agent = current.unwrap_or_else(|| Agent {
            tenant: caller.tenant.clone(),
            id,
            name: String::new(),
            dn: String::new(),
            route: None,
            queues: Vec::new(),
            presence: Presence::Offline,
            auto_accept: false,
            engaged: None,
            idle_since: wire_time::truncate(state.clock.now()),
            revision: 0,
        });
        let expected = conditions.expected.unwrap_or(agent.revision);
        agent.name.clone_from(&written.name);
        agent.dn.clone_from(&written.dn);
        agent.route.clone_from(&written.route);
        agent.queues.clone_from(&written.queues);
        agent.auto_accept = written.auto_accept;
        match state.store.put_agent(agent, Some(expected)).await {
            Ok(agent) => {
                let mut response = shown(&agent);
                if is_new {
                    *response.status_mut() = StatusCode::CREATED;
                }
                return Ok(response);
            }
            Err(StoreError::RevisionConflict { .. })
                if conditions.expected.is_none() && !conditions.must_be_new => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::new(
        Code::Overloaded,
        "Others keep changing it at the same time. Nothing was done.",
    )
    .retry_after(1))
}

struct Written {
    name: String,
    dn: String,
    route: Option<String>,
    queues: Vec<QueueId>,
    auto_accept: bool,
}

async fn read(
    state: &ApiState,
    tenant: &TenantId,
    body: &Map<String, Value>,
) -> Result<Written, Problem> {
    let mut f = Fields::new(body);
    let name = f.line("name", 200);
    let name = f.require("name", name);
    let dn = f.parsed("dn", |text| {
        if is_dn(text) {
            Ok(text.to_owned())
        } else {
            Err("must be an extension, a user name or a SIP URI without spaces")
        }
    });
    let dn = f.require("dn", dn);
    let route = f.line("route", 100);
    let auto_accept = f.boolean("auto_accept").unwrap_or(false);
    let mut queues: Vec<QueueId> = Vec::new();
    match f.value("queues") {
        None => {}
        Some(Value::Array(list)) if list.len() <= MOST_QUEUES => {
            for (index, item) in list.iter().enumerate() {
                let field = format!("queues[{index}]");
                let Some(id) = item.as_str().and_then(|text| QueueId::parse(text).ok()) else {
                    f.problem(&field, "queue", "must be a queue id");
                    continue;
                };
                if state.store.queue(tenant, &id).await?.is_none() {
                    f.problem(&field, "not_found", "is not a queue of this installation");
                } else if !queues.contains(&id) {
                    queues.push(id);
                }
            }
        }
        Some(Value::Array(_)) => f.problem("queues", "length", "at most 200 queues"),
        Some(_) => f.problem("queues", "type", "must be an array of queue ids"),
    }
    for name in [
        "agent_id",
        "presence",
        "engaged_with",
        "idle_since",
        "revision",
    ] {
        if f.value(name).is_some() {
            f.problem(name, "server_set", "is not written here");
        }
    }
    f.finish()?;
    let missing = |field| Problem::field(field, "required", "is required");
    Ok(Written {
        name: name.ok_or_else(|| missing("name"))?,
        dn: dn.ok_or_else(|| missing("dn"))?,
        route,
        queues,
        auto_accept,
    })
}
