//! `[[queues]]`: queues made at the first start. Afterwards the API owns them; nothing here changes one that exists.

use super::document::{Document, Misread, Part, take};
use super::routes::Route;
use jiff::Timestamp;
use ringback_callbacks::contact::ResponseType;
use ringback_callbacks::ids::{QueueId, TenantId};
use ringback_callbacks::queue::{Delivery, Queue, QueueRules};
use ringback_channels::sip::DIRECT;
use ringback_scheduling::Almanac;
use serde::Deserialize;
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

/// A queue to be made when it is absent. Beside `id` it has the keys of the API's queue resource.
#[derive(Clone, Debug)]
pub struct SeedQueue {
    pub id: QueueId,
    pub rules: QueueRules,
}

impl SeedQueue {
    /// `id` is taken out first, because the rules refuse keys they do not know.
    pub fn read(mut written: Spanned<DeValue<'_>>) -> Result<Self, Misread> {
        let id = take(&mut written, "id")?;
        let id =
            QueueId::deserialize(ValueDeserializer::from(id.clone())).map_err(|_| Misread {
                span: Some(id.span()),
                reason: "must have 1 to 64 lower-case letters, digits, '-' or '_'".to_owned(),
            })?;
        let rules = QueueRules::deserialize(ValueDeserializer::from(written))?;
        Ok(SeedQueue { id, rules })
    }

    pub fn queue(&self, tenant: &TenantId, now: Timestamp) -> Queue {
        Queue {
            tenant: tenant.clone(),
            id: self.id.clone(),
            rules: self.rules.clone(),
            intake_paused: false,
            dialling_paused: false,
            removed: false,
            created_at: now,
            revision: 0,
        }
    }
}

/// Everything about the queues that can be wrong before they meet the store.
pub fn check(
    document: &mut Document<'_>,
    queues: &[Part<'_, SeedQueue>],
    routes: &[Part<'_, Route>],
    almanac: &Almanac,
    now: Timestamp,
) {
    let mut seen = BTreeSet::new();
    for (index, part) in queues.iter().enumerate() {
        let here = format!("queues[{index}]");
        let SeedQueue { id, rules } = &part.value;
        if !seen.insert(id.clone()) {
            document.complain(
                part.place_of("id"),
                format!("{here}.id"),
                "is given twice".to_owned(),
            );
        }
        if let Err(problems) = rules.check(almanac, now) {
            for problem in problems.0 {
                document.complain(
                    part.place_of(&problem.field),
                    format!("{here}.{}", problem.field),
                    problem.detail,
                );
            }
        }
        for (key, kind) in [
            ("voice", ResponseType::Voice),
            ("voip", ResponseType::VoIP),
            ("email", ResponseType::Email),
        ] {
            for name in rules.routes.of(kind) {
                if let Some(reason) = misfit(routes, name, kind) {
                    let path = format!("routes.{key}");
                    document.complain(part.place_of(&path), format!("{here}.{path}"), reason);
                }
            }
        }
        if let Delivery::Dn { location, .. } = &rules.delivery
            && let Some(reason) = misfit(routes, location, ResponseType::Voice)
        {
            document.complain(
                part.place_of("delivery.location"),
                format!("{here}.delivery.location"),
                reason,
            );
        }
    }
}

fn misfit(routes: &[Part<'_, Route>], name: &str, kind: ResponseType) -> Option<String> {
    if name == DIRECT && kind == ResponseType::VoIP {
        return None;
    }
    match routes.iter().find(|part| part.value.name() == name) {
        None => Some(format!(
            "names the route `{name}`, which no [[routes]] defines"
        )),
        Some(part) if !part.value.serves(kind) => Some(format!(
            "names the route `{name}`, which is of kind {} and does not serve {kind}",
            part.value.kind()
        )),
        Some(_) => None,
    }
}
