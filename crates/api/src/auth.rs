//! Who is asking, and whether they may: API keys, scopes, and the open door on loopback.

use crate::ApiState;
use crate::error::{Code, Problem};
use crate::gate::record::RequestNotes;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use ringback_callbacks::clock::Chance;
use ringback_callbacks::event::Actor;
use ringback_callbacks::ids::TenantId;
use ringback_store::Scope;
use sha2::{Digest, Sha256};
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq;

/// Every key begins so, which lets secret scanners find one that leaked.
pub const KEY_PREFIX: &str = "rbk_";

/// Makes a new key: 256 bits of chance. It is shown once; only its hash is stored.
pub fn new_key(chance: &dyn Chance) -> (String, [u8; 32]) {
    use base64::Engine;
    let mut bytes = [0u8; 32];
    chance.fill(&mut bytes);
    let key = format!(
        "{KEY_PREFIX}{}",
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    );
    let hash = hash_key(&key);
    (key, hash)
}

/// What is stored of a key. A fast hash is enough: there is nothing to guess in 256 random bits.
pub fn hash_key(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Which scopes open a door; any one of them does.
pub trait Door: Send + Sync + 'static {
    const SCOPES: &'static [Scope];
}

macro_rules! doors {
    ($($(#[$doc:meta])* $name:ident: $($scope:ident)|+;)+) => {
        $($(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;
        impl Door for $name {
            const SCOPES: &'static [Scope] = &[$(Scope::$scope),+];
        })+
    };
}

doors! {
    /// Reading callbacks, interactions, customers, queues and agents.
    Reading: Read;
    /// Booking and changing.
    Writing: Write;
    /// What an agent's desk does.
    Desk: Agent;
    /// What both an application and an agent's desk may do to a callback.
    Handling: Write | Agent;
    /// Queues and agents.
    Ruling: Admin;
}

/// A caller who came through door `D`.
#[derive(Debug)]
pub struct Caller<D> {
    pub tenant: TenantId,
    pub application: i64,
    /// What its key allows beyond this door.
    scopes: Vec<Scope>,
    door: PhantomData<D>,
}

impl<D> Caller<D> {
    /// As whom the application acts when it speaks for nobody else.
    pub fn actor(&self) -> Actor {
        Actor::Application(self.application)
    }

    /// Whether the key has this scope as well.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

impl<D: Door> FromRequestParts<ApiState> for Caller<D> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let verdict = admit(parts, state, D::SCOPES).await;
        if let Err(problem) = &verdict
            && matches!(problem.code, Code::Unauthorized | Code::Forbidden)
        {
            let route = parts
                .extensions
                .get::<MatchedPath>()
                .map_or("", MatchedPath::as_str);
            let id = parts
                .extensions
                .get::<RequestNotes>()
                .map_or("", |notes| notes.id.as_str());
            tracing::warn!(
                request.id = id,
                http.method = %parts.method,
                http.route = route,
                reason = %problem.detail,
                "access refused"
            );
            state.metrics.refusal(problem.code.name());
        }
        let (tenant, application, scopes) = verdict?;
        if let Some(notes) = parts.extensions.get::<RequestNotes>() {
            notes.note_application(application);
        }
        Ok(Caller {
            tenant,
            application,
            scopes,
            door: PhantomData,
        })
    }
}

async fn admit(
    parts: &Parts,
    state: &ApiState,
    scopes: &[Scope],
) -> Result<(TenantId, i64, Vec<Scope>), Problem> {
    let Some(value) = parts.headers.get(header::AUTHORIZATION) else {
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip());
        if state.settings.open_on_loopback && is_local(peer, &parts.headers) {
            return Ok((TenantId::default(), 0, Scope::ALL.to_vec()));
        }
        return Err(unauthorized("No API key was sent.", false));
    };
    let key = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim())
        .filter(|key| key.starts_with(KEY_PREFIX) && key.len() <= 128)
        .ok_or_else(|| unauthorized("The Authorization header is not `Bearer rbk_…`.", true))?;
    let hash = hash_key(key);
    let found = state.store.key_by_hash(&hash).await?;
    let known = found.filter(|found| bool::from(found.hash.ct_eq(&hash)));
    let known = known.ok_or_else(|| unauthorized("The API key is not known.", true))?;
    let now = state.clock.now();
    if known.revoked_at.is_some_and(|at| at <= now) {
        return Err(unauthorized("The API key was revoked.", true));
    }
    if known.expires_at.is_some_and(|at| at <= now) {
        return Err(unauthorized("The API key has expired.", true));
    }
    if !scopes.iter().any(|scope| known.scopes.contains(scope)) {
        let names: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
        let mut problem = Problem::new(
            Code::Forbidden,
            format!("This needs a key with the scope {}.", names.join(" or ")),
        );
        problem.challenge = Some(format!(
            r#"Bearer realm="ringback", error="insufficient_scope", scope="{}""#,
            names.join(" ")
        ));
        return Err(problem);
    }
    Ok((known.tenant, known.application, known.scopes))
}

fn unauthorized(detail: &str, sent: bool) -> Problem {
    let mut problem = Problem::new(Code::Unauthorized, detail);
    let error = if sent {
        r#", error="invalid_token""#
    } else {
        ""
    };
    problem.challenge = Some(format!(r#"Bearer realm="ringback"{error}"#));
    problem
}

/// Whether the request really comes from a program of this machine that means us. A proxy here speaks for
/// strangers, and a page in a browser here may have been made to ask: both are told by their headers.
fn is_local(peer: Option<IpAddr>, headers: &HeaderMap) -> bool {
    let forwarded = ["forwarded", "x-forwarded-for", "x-real-ip", "via"]
        .iter()
        .any(|name| headers.contains_key(*name));
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let foreign_page = headers.get(header::ORIGIN).is_some_and(|origin| {
        let authority = origin
            .to_str()
            .ok()
            .and_then(|origin| origin.split_once("://"))
            .map(|(_, authority)| authority);
        authority.is_none() || authority != host
    });
    peer.is_some_and(|peer| peer.to_canonical().is_loopback())
        && !forwarded
        && !foreign_page
        && host.is_none_or(is_loopback_name)
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_door_is_only_for_this_machine() {
        type Case = (&'static str, &'static [(&'static str, &'static str)], bool);
        let table: &[Case] = &[
            ("127.0.0.1", &[("host", "localhost:8080")], true),
            ("127.0.0.1", &[("host", "127.0.0.1:8080")], true),
            ("::1", &[("host", "[::1]:8080")], true),
            ("::ffff:127.0.0.1", &[], true),
            ("192.0.2.1", &[("host", "localhost")], false),
            ("127.0.0.1", &[("host", "evil.example")], false),
            ("127.0.0.1", &[("host", "localhost.evil.example")], false),
            (
                "127.0.0.1",
                &[("host", "localhost"), ("x-forwarded-for", "192.0.2.1")],
                false,
            ),
            (
                "127.0.0.1",
                &[
                    ("host", "localhost:8080"),
                    ("origin", "https://evil.example"),
                ],
                false,
            ),
            (
                "127.0.0.1",
                &[("host", "localhost:8080"), ("origin", "null")],
                false,
            ),
            (
                "127.0.0.1",
                &[
                    ("host", "localhost:8080"),
                    ("origin", "http://localhost:8080"),
                ],
                true,
            ),
        ];
        for (peer, pairs, open) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in *pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            assert_eq!(
                is_local(peer.parse().ok(), &headers),
                *open,
                "{peer} {pairs:?}"
            );
        }
        assert!(!is_local(None, &HeaderMap::new()));
    }
}
