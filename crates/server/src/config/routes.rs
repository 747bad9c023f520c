//! `[[routes]]`: trunks, PBXs and mail relays. Each kind's keys belong to its channel.

use super::document::{Document, Misread, Part, take};
use ringback_callbacks::contact::ResponseType;
use ringback_channels::sip::{DIRECT, REGISTRAR, RouteError, SipRoute};
use ringback_channels::smtp::{RelayError, SmtpRoute};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

/// One configured use of a channel, told apart by `kind`.
#[derive(Clone, Debug)]
pub enum Route {
    Sip(Box<SipRoute>),
    Smtp(Box<SmtpRoute>),
}

impl Route {
    /// `kind` is taken out first, so that the rest is read with its places: a complaint can name its line.
    pub fn read(mut written: Spanned<DeValue<'_>>) -> Result<Self, Misread> {
        let kind = take(&mut written, "kind")?;
        let word = kind.get_ref().as_str().map(str::to_owned);
        let rest = ValueDeserializer::from(written);
        match word.as_deref() {
            Some("sip") => Ok(Route::Sip(Box::new(SipRoute::deserialize(rest)?))),
            Some("smtp") => Ok(Route::Smtp(Box::new(SmtpRoute::deserialize(rest)?))),
            Some(_) | None => Err(Misread {
                span: Some(kind.span()),
                reason: "must be \"sip\" or \"smtp\"".to_owned(),
            }),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Route::Sip(route) => &route.name,
            Route::Smtp(route) => &route.name,
        }
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Route::Sip(_) => "sip",
            Route::Smtp(_) => "smtp",
        }
    }

    /// What the channel itself finds wrong: the key, if it is one key, and a sentence.
    fn fault(&self) -> Option<(&'static str, String)> {
        match self {
            Route::Sip(route) => match route.check() {
                Ok(()) | Err(RouteError::Name(_) | RouteError::Twice(_)) => None,
                Err(RouteError::Field { field, problem, .. }) => Some((field, problem.to_owned())),
                Err(RouteError::PasswordFile { error, .. }) => {
                    Some(("password_file", format!("cannot be read: {error}")))
                }
                Err(RouteError::Limits { error, .. }) => Some(("", error.to_string())),
            },
            Route::Smtp(route) => match route.check() {
                Ok(()) | Err(RelayError::Name(_) | RelayError::Twice(_)) => None,
                Err(RelayError::Field { field, problem, .. }) => Some((field, problem.to_owned())),
                Err(RelayError::File { field, error, .. }) => {
                    Some((field, format!("cannot be read: {error}")))
                }
                Err(RelayError::Limits { error, .. }) => Some(("", error.to_string())),
            },
        }
    }

    pub fn serves(&self, kind: ResponseType) -> bool {
        match (self, kind) {
            (Route::Sip(_), ResponseType::Voice | ResponseType::VoIP)
            | (Route::Smtp(_), ResponseType::Email) => true,
            (Route::Sip(_), ResponseType::Email)
            | (Route::Smtp(_), ResponseType::Voice | ResponseType::VoIP) => false,
        }
    }
}

/// Password files are meant from where the configuration is.
pub fn resolve(routes: &mut [Part<'_, Route>], base: &Path) {
    for part in routes {
        let files = match &mut part.value {
            Route::Sip(route) => &mut route.password_file,
            Route::Smtp(route) => &mut route.password_file,
        };
        if let Some(file) = files {
            *file = base.join(&file);
        }
    }
}

pub fn check(document: &mut Document<'_>, routes: &[Part<'_, Route>], sip_listens: bool) {
    let mut seen = BTreeSet::new();
    for (index, part) in routes.iter().enumerate() {
        let route = &part.value;
        let mut wrong = |key: &str, reason: &str| {
            let dot = if key.is_empty() { "" } else { "." };
            document.complain(
                part.place_of(key),
                format!("routes[{index}]{dot}{key}"),
                reason.to_owned(),
            );
        };
        if !seen.insert(route.name().to_owned()) {
            wrong(
                "name",
                "is given twice; it is the `location` of callbacks, so it must say which one",
            );
        }
        if !is_name(route.name()) {
            wrong(
                "name",
                "must have 1 to 100 letters, digits, '-', '_' or '.'",
            );
        }
        if [DIRECT, REGISTRAR].contains(&route.name()) {
            wrong(
                "name",
                "cannot be `direct` or `registrar`: these are ways that need no configuration",
            );
        }
        if let Some((field, reason)) = route.fault() {
            wrong(field, &reason);
        }
        if matches!(route, Route::Sip(_)) && !sip_listens {
            wrong(
                "kind",
                "\"sip\" needs a socket to call from: set listen in [sip]",
            );
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}
