//! Reading a JSON object field by field, remembering which were read and what was wrong with each.

use super::{NewBody, SERVER_SET};
use crate::callback::ContactStep;
use crate::contact::{Contact, ResponseType};
use crate::ids::InteractionId;
use crate::interaction::BodyKind;
use crate::problem::Problems;
use crate::queue::QueueRules;
use crate::window::Said;
use crate::wire_time;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::time::Duration;

/// Whether key/value data stays within what one request may bring.
pub fn udata_fits(map: &Map<String, Value>) -> bool {
    map.len() <= MAX_UDATA_KEYS && Value::Object(map.clone()).to_string().len() <= MAX_UDATA_BYTES
}

/// No callback is booked further ahead than this.
pub const HORIZON: Duration = Duration::from_secs(2 * 366 * 24 * 3600);
/// Ways of reaching the customer that one plan may name.
pub const MAX_CONTACTS: usize = 8;
const MAX_UDATA_KEYS: usize = 256;
const MAX_UDATA_BYTES: usize = 64 * 1024;

pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    read: BTreeSet<&'a str>,
    problems: Problems,
}

impl<'a> Fields<'a> {
    pub fn new(object: &'a Map<String, Value>) -> Self {
        Fields {
            object,
            read: BTreeSet::new(),
            problems: Problems::default(),
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    pub fn take(&mut self, name: &str) -> Option<&'a Value> {
        let (key, value) = self.object.get_key_value(name)?;
        self.read.insert(key.as_str());
        Some(value)
    }

    pub fn problem(
        &mut self,
        field: impl Into<String>,
        code: &'static str,
        detail: impl Into<String>,
    ) {
        self.problems.add(field, code, detail);
    }

    pub fn finish(self) -> Result<(), Problems> {
        self.problems.into_result()
    }

    pub fn refuse_server_set(&mut self) {
        for name in SERVER_SET {
            if self.take(name).is_some() {
                self.problem(
                    name,
                    "server_set",
                    "is set by the server and cannot be written",
                );
            }
        }
    }

    pub fn refuse_unknown(&mut self) {
        let object = self.object;
        for name in object.keys() {
            if !self.read.contains(name.as_str()) {
                // The name is the client's own text: shortened, and without control characters.
                let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
                self.problem(
                    shown,
                    "unknown_field",
                    "is not a field of this resource; put your own data under udata",
                );
            }
        }
    }

    /// Absent and `null` are the same here; [`Fields::nullable`] tells them apart.
    fn value(&mut self, name: &str) -> Option<&'a Value> {
        self.take(name).filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &str) -> Option<&'a str> {
        match self.value(name)? {
            Value::String(text) => Some(text),
            _ => {
                self.problem(name, "type", "must be a string");
                None
            }
        }
    }

    /// One line of text without control characters.
    pub fn line(&mut self, name: &str, max: usize) -> Option<String> {
        let text = self.text(name)?;
        if text.is_empty() || text.chars().count() > max {
            self.problem(name, "length", format!("must have 1 to {max} characters"));
            return None;
        }
        if text.chars().any(char::is_control) {
            self.problem(
                name,
                "control_character",
                "must be one line without control characters",
            );
            return None;
        }
        Some(text.to_owned())
    }

    pub fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        let text = self.text(name)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(detail) => {
                self.problem(name, "format", detail);
                None
            }
        }
    }

    pub fn id(&mut self, name: &str) -> Option<InteractionId> {
        self.parsed(name, |text| {
            text.parse()
                .map_err(|_| "must be an interaction id (a UUID)")
        })
    }

    pub fn integer(&mut self, name: &str, low: i64, high: i64) -> Option<i64> {
        let value = self.value(name)?;
        match value.as_i64() {
            Some(n) if (low..=high).contains(&n) => Some(n),
            Some(_) => {
                self.problem(name, "range", format!("must be between {low} and {high}"));
                None
            }
            None => {
                self.problem(name, "type", "must be an integer");
                None
            }
        }
    }

    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.value(name)? {
            Value::Bool(yes) => Some(*yes),
            _ => {
                self.problem(name, "type", "must be true or false");
                None
            }
        }
    }

    pub fn time(&mut self, name: &str) -> Option<Timestamp> {
        self.parsed(name, |text| {
            wire_time::read(text)
                .ok_or("must be an RFC 3339 date and time with zone, e.g. 2026-03-09T14:05:00.000Z")
        })
    }

    /// An instant, or a wall time where the request says in which zone.
    pub fn moment(&mut self, name: &str, time_zone: Option<&str>) -> Option<Said> {
        let said = self.parsed(name, |text| {
            Said::read(text).ok_or(
                "must be an RFC 3339 date and time, e.g. 2026-03-09T14:05:00.000Z, or a local one without \
                 offset beside time_zone, e.g. 2026-03-09T14:05",
            )
        })?;
        if matches!(said, Said::Wall(_)) && time_zone.is_none() {
            // A zone that was given and is wrong has its own problem.
            if !self.has("time_zone") {
                self.problem(
                    name,
                    "time_zone",
                    "is a local time: say its time_zone, or add an offset",
                );
            }
            return None;
        }
        Some(said)
    }

    pub fn patch_time(&mut self, name: &str, may_clear: bool) -> Option<Option<Timestamp>> {
        if self.object.get(name).is_some_and(Value::is_null) {
            self.take(name);
            if may_clear {
                return Some(None);
            }
            self.problem(name, "required", "cannot be removed");
            return None;
        }
        self.time(name).map(Some)
    }

    pub fn time_zone(&mut self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        match ringback_scheduling::Zone::parse(text) {
            Ok(zone) => Some(zone.name().to_owned()),
            Err(error) => {
                self.problem(name, "format", error.advice());
                None
            }
        }
    }

    /// `Some(None)` when the field is `null`, `Some(Some(_))` when it has a good value.
    pub fn nullable<T>(
        &mut self,
        name: &str,
        read: impl Fn(&mut Self, &str) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.object.get(name)?.is_null() {
            self.take(name);
            return Some(None);
        }
        read(self, name).map(Some)
    }

    pub fn udata(&mut self) -> Option<Map<String, Value>> {
        match self.value("udata")? {
            Value::Object(map) => {
                if map.len() > MAX_UDATA_KEYS {
                    self.problem("udata", "length", format!("at most {MAX_UDATA_KEYS} keys"));
                    return None;
                }
                if Value::Object(map.clone()).to_string().len() > MAX_UDATA_BYTES {
                    self.problem(
                        "udata",
                        "length",
                        format!("at most {MAX_UDATA_BYTES} bytes"),
                    );
                    return None;
                }
                if let Some((key, _)) = map
                    .iter()
                    .find(|(_, value)| value.is_object() || value.is_array())
                {
                    let key: String = key.chars().filter(|c| !c.is_control()).take(64).collect();
                    self.problem(
                        format!("udata.{key}"),
                        "type",
                        "must be a plain value: udata has one level of keys",
                    );
                    return None;
                }
                Some(map.clone())
            }
            _ => {
                self.problem("udata", "type", "must be an object");
                None
            }
        }
    }

    /// The plan of contacts: `customer_number` with `desired_response_type` first, then `contacts`.
    pub fn contacts(&mut self, rules: &QueueRules) -> Option<Vec<ContactStep>> {
        let first = self.one_contact(self.object, "", rules);
        for name in ["customer_number", "desired_response_type"] {
            self.take(name);
        }
        let mut steps: Vec<ContactStep> = first.into_iter().collect();
        match self.value("contacts") {
            None => {}
            Some(Value::Array(list)) if list.len() < MAX_CONTACTS => {
                for (index, item) in list.iter().enumerate() {
                    let prefix = format!("contacts[{index}].");
                    match item {
                        Value::Object(object) => {
                            for name in object.keys() {
                                if !["customer_number", "desired_response_type", "after_failures"]
                                    .contains(&name.as_str())
                                {
                                    let shown: String =
                                        name.chars().filter(|c| !c.is_control()).take(64).collect();
                                    self.problem(
                                        format!("{prefix}{shown}"),
                                        "unknown_field",
                                        "is not a field of a contact",
                                    );
                                }
                            }
                            steps.extend(self.one_contact(object, &prefix, rules));
                        }
                        _ => {
                            self.problem(format!("contacts[{index}]"), "type", "must be an object")
                        }
                    }
                }
            }
            Some(Value::Array(_)) => self.problem(
                "contacts",
                "length",
                format!("at most {} further contacts", MAX_CONTACTS - 1),
            ),
            Some(_) => self.problem("contacts", "type", "must be an array"),
        }
        if let Some(after) = self.integer("after_failures", 1, 100)
            && let Some(first) = steps.first_mut()
        {
            first.after_failures = Some(after as u32);
        }
        (!steps.is_empty()).then_some(steps)
    }

    fn one_contact(
        &mut self,
        object: &Map<String, Value>,
        prefix: &str,
        rules: &QueueRules,
    ) -> Option<ContactStep> {
        let wanted = match object.get("desired_response_type") {
            None | Some(Value::Null) => {
                self.problem(
                    format!("{prefix}desired_response_type"),
                    "required",
                    "is required: Voice, VoIP or Email",
                );
                None
            }
            Some(Value::String(text)) => {
                let parsed = ResponseType::parse(text);
                if parsed.is_none() {
                    self.problem(
                        format!("{prefix}desired_response_type"),
                        "enumeration",
                        "must be Voice, VoIP or Email",
                    );
                }
                parsed
            }
            Some(_) => {
                self.problem(
                    format!("{prefix}desired_response_type"),
                    "type",
                    "must be a string",
                );
                None
            }
        };
        let number = match object.get("customer_number") {
            None | Some(Value::Null) => {
                self.problem(
                    format!("{prefix}customer_number"),
                    "required",
                    "is required",
                );
                None
            }
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                self.problem(
                    format!("{prefix}customer_number"),
                    "type",
                    "must be a string",
                );
                None
            }
        };
        let after_failures = match object.get("after_failures") {
            _ if prefix.is_empty() => None,
            None | Some(Value::Null) => None,
            Some(value) => match value.as_i64() {
                Some(n) if (1..=100).contains(&n) => Some(n as u32),
                _ => {
                    self.problem(
                        format!("{prefix}after_failures"),
                        "range",
                        "must be an integer between 1 and 100",
                    );
                    None
                }
            },
        };
        let (response_type, number) = (wanted?, number?);
        let field = format!("{prefix}customer_number");
        match Contact::parse(response_type, number, rules.dial.default_region.as_deref()) {
            Ok(contact) => {
                if let Contact::Phone(phone) = &contact
                    && let Err(refusal) = rules.dial.permit(phone)
                {
                    self.problem(field, "not_diallable", refusal.to_string());
                    return None;
                }
                if let Contact::Voip(address) = &contact
                    && address.is_private()
                    && !rules.allow_private_addresses
                {
                    self.problem(
                        field,
                        "private_address",
                        "is a private or local address, which this queue does not call",
                    );
                    return None;
                }
                Some(ContactStep {
                    response_type,
                    contact,
                    after_failures,
                    failures: 0,
                })
            }
            Err(error) => {
                self.problem(field, error.code(), error.to_string());
                None
            }
        }
    }

    /// Bodies given inline: `text`, `structured_text` (the body itself) and `binary_content` (base64).
    pub fn bodies(&mut self) -> Vec<NewBody> {
        let mut bodies = Vec::new();
        if let Some(text) = self.text("text") {
            bodies.push(NewBody {
                kind: BodyKind::PlainText,
                mime: "text/plain; charset=utf-8".into(),
                bytes: text.into(),
            });
        }
        let structured = self.text("structured_text");
        let structured_mime = self.mime("structured_text_mime");
        match (structured, structured_mime) {
            (Some(text), Some(mime)) => {
                bodies.push(NewBody {
                    kind: BodyKind::StructuredText,
                    mime,
                    bytes: text.into(),
                });
            }
            (Some(_), None) if !self.has("structured_text_mime") => {
                self.problem(
                    "structured_text_mime",
                    "required",
                    "is required with structured_text",
                );
            }
            (None, _) if self.has("structured_text_mime") && !self.has("structured_text") => {
                self.problem(
                    "structured_text_mime",
                    "without_content",
                    "was given without structured_text",
                );
            }
            (Some(_) | None, Some(_) | None) => {}
        }
        self.binary(&mut bodies);
        bodies
    }

    fn binary(&mut self, bodies: &mut Vec<NewBody>) {
        let content = self.text("binary_content");
        let mime = self.mime("binary_content_mime");
        let size = self.integer("binary_content_size", 0, BodyKind::MAX_SIZE as i64);
        if self.has("binary_content") {
            for name in ["binary_content_mime", "binary_content_size"] {
                if !self.has(name) {
                    self.problem(name, "required", "is required with binary_content");
                }
            }
        } else {
            for name in ["binary_content_mime", "binary_content_size"] {
                if self.has(name) {
                    self.problem(name, "without_content", "was given without binary_content");
                }
            }
        }
        let (Some(content), Some(mime), Some(size)) = (content, mime, size) else {
            return;
        };
        match decode_base64(content) {
            Some(bytes) if bytes.len() as i64 == size => {
                bodies.push(NewBody {
                    kind: BodyKind::BinaryContent,
                    mime,
                    bytes,
                });
            }
            Some(_) => self.problem(
                "binary_content_size",
                "mismatch",
                "is not the size of binary_content",
            ),
            None => self.problem(
                "binary_content",
                "base64",
                "must be base64; larger bodies are PUT at their own URL",
            ),
        }
    }

    fn mime(&mut self, name: &str) -> Option<String> {
        self.parsed(name, |text| {
            if is_mime(text) {
                Ok(text.to_owned())
            } else {
                Err("must be a MIME type such as text/html")
            }
        })
    }
}

/// `type/subtype` with optional parameters, in the characters headers allow.
pub fn is_mime(text: &str) -> bool {
    let token = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "!#$&^_.+-".contains(c))
    };
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    text.len() <= 200
        && essence
            .trim()
            .split_once('/')
            .is_some_and(|(kind, sub)| token(kind) && token(sub))
        && parameters.chars().all(|c| c == ' ' || c.is_ascii_graphic())
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}
