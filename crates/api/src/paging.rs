//! Cursor paging: a page ends where the next begins, however much is added meanwhile.

use crate::fields::{Fields, Parsed};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ringback_callbacks::ids::CustomerId;
use ringback_store::Cursor;

pub const DEFAULT_LIMIT: i64 = 50;
pub const MAX_LIMIT: i64 = 200;

/// Reads `limit`.
pub fn limit(fields: &mut Fields<'_>) -> usize {
    fields
        .integer("limit", 1, MAX_LIMIT)
        .unwrap_or(DEFAULT_LIMIT) as usize
}

/// Reads `cursor` of lists that are newest first.
pub fn cursor(fields: &mut Fields<'_>) -> Option<Cursor> {
    fields.parsed("cursor", parse)
}

/// What clients hand back; opaque to them, so that it may change.
pub fn write(cursor: Cursor) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}", cursor.created_ms, cursor.id))
}

fn parse(text: &str) -> Parsed<Cursor> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (created, id) = text.split_once('.')?;
        Some(Cursor {
            created_ms: created.parse().ok()?,
            id: id.parse().ok()?,
        })
    };
    read().ok_or(NOT_OURS)
}

/// Reads `cursor` of the list of customers, which is in the order of their ids.
pub fn customer_cursor(fields: &mut Fields<'_>) -> Option<CustomerId> {
    fields.parsed("cursor", |text| {
        let read =
            || CustomerId::parse(&String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?).ok();
        read().ok_or(NOT_OURS)
    })
}

pub fn write_customer(id: &CustomerId) -> String {
    URL_SAFE_NO_PAD.encode(id.as_str())
}

const NOT_OURS: &str = "must be the next_cursor of the page before";
