//! The resource's date form: `YYYY-MM-DDTHH:mm:ss.SSSZ` out, any RFC 3339 in.

use jiff::Timestamp;
use jiff::tz::Offset;

/// Writes the one form the resource allows: UTC, milliseconds, `Z`.
pub fn write(at: Timestamp) -> String {
    let utc = Offset::UTC.to_datetime(at);
    let mut text = String::with_capacity("YYYY-MM-DDTHH:mm:ss.SSSZ".len());
    if utc.year() < 0 {
        text.push('-');
    }
    // A booking writes some thirty of these, and `format!` took four times as long.
    digits(&mut text, u32::from(utc.year().unsigned_abs()), 4, '-');
    digits(&mut text, u32::from(utc.month().unsigned_abs()), 2, '-');
    digits(&mut text, u32::from(utc.day().unsigned_abs()), 2, 'T');
    digits(&mut text, u32::from(utc.hour().unsigned_abs()), 2, ':');
    digits(&mut text, u32::from(utc.minute().unsigned_abs()), 2, ':');
    digits(&mut text, u32::from(utc.second().unsigned_abs()), 2, '.');
    let milliseconds = utc.subsec_nanosecond().unsigned_abs() / 1_000_000;
    digits(&mut text, milliseconds, 3, 'Z');
    text
}

/// A number with leading noughts, and what stands behind it.
fn digits(text: &mut String, number: u32, width: u32, then: char) {
    for place in (0..width).rev() {
        let digit = number / 10_u32.pow(place) % 10;
        text.push(char::from_digit(digit, 10).unwrap_or('0'));
    }
    text.push(then);
}

/// Reads any RFC 3339 date and time (an offset or `Z` is demanded) and cuts it to milliseconds,
/// so that what is stored is what will be shown.
pub fn read(text: &str) -> Option<Timestamp> {
    if text.len() > 40 || text.len() < 17 {
        return None;
    }
    let at: Timestamp = text.parse().ok()?;
    let year = Offset::UTC.to_datetime(at).year();
    // The form has four digits of year, and no callback is booked outside this span.
    (1970..=9999).contains(&year).then(|| truncate(at))
}

/// Milliseconds are the resolution of everything that is stored.
pub fn truncate(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// Whole milliseconds since 1970, as the databases keep it.
pub fn to_ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// The inverse of [`to_ms`]; out-of-range values (a damaged row) give `None`.
pub fn from_ms(ms: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(ms).ok()
}

/// Serde form of a timestamp in stored documents: the wire form itself.
pub mod stored {
    use super::*;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(at: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&write(*at))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(d)?;
        read(&text).ok_or_else(|| serde::de::Error::custom("not an RFC 3339 date and time"))
    }

    pub mod optional {
        use super::*;

        pub fn serialize<S: Serializer>(at: &Option<Timestamp>, s: S) -> Result<S::Ok, S::Error> {
            match at {
                Some(at) => s.serialize_some(&write(*at)),
                None => s.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
            let text = Option::<String>::deserialize(d)?;
            text.map(|text| {
                read(&text).ok_or_else(|| serde::de::Error::custom("not an RFC 3339 date and time"))
            })
            .transpose()
        }
    }
}

/// Adds without ever leaving the representable range: rules may hold any span.
pub fn plus(at: Timestamp, span: std::time::Duration) -> Timestamp {
    let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4);
    Timestamp::from_millisecond(at.as_millisecond().saturating_add(ms)).unwrap_or(Timestamp::MAX)
}

/// Rounds up to whole seconds, for `Retry-After` headers; nought when `then` has passed.
pub fn seconds_until(now: Timestamp, then: Timestamp) -> u64 {
    u64::try_from(then.as_millisecond() - now.as_millisecond())
        .unwrap_or(0)
        .div_ceil(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_rfc3339_in_one_form_out() {
        let table = [
            ("2026-03-09T14:05:00Z", Some("2026-03-09T14:05:00.000Z")),
            ("2026-03-09T14:05:00.1Z", Some("2026-03-09T14:05:00.100Z")),
            (
                "2026-03-09T14:05:00.123456789Z",
                Some("2026-03-09T14:05:00.123Z"),
            ),
            (
                "2026-03-09T06:05:00-08:00",
                Some("2026-03-09T14:05:00.000Z"),
            ),
            ("2026-03-09t14:05:00z", Some("2026-03-09T14:05:00.000Z")),
            ("2026-03-09 14:05:00Z", Some("2026-03-09T14:05:00.000Z")),
            ("2026-03-09T14:05:00", None),
            ("2026-03-09", None),
            ("2026-02-30T14:05:00Z", None),
            ("tomorrow at noon, please", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(read(text).map(write).as_deref(), expected, "{text}");
        }
    }
}
