//! Moments as people write them: RFC 3339, or a time of day in a time zone.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use ringback_callbacks::wire_time;

/// `2026-03-09T14:05:00Z`, or `14:05`: the next time the clock in `zone` shows that.
pub fn read(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, String> {
    if let Some(at) = wire_time::read(text) {
        return Ok(at);
    }
    let Ok(time) = Time::strptime("%H:%M", text) else {
        return Err(
            "must be a time of day such as 14:05, or a moment such as 2026-03-09T14:05:00Z"
                .to_owned(),
        );
    };
    let today = zone.to_datetime(now).date();
    let resolve = |date: jiff::civil::Date| {
        zone.to_zoned(date.to_datetime(time))
            .map(|zoned| zoned.timestamp())
    };
    let wrong = |error: jiff::Error| format!("is no moment in this zone: {error}");
    let first = resolve(today).map_err(wrong)?;
    if first > now {
        return Ok(first);
    }
    resolve(today.checked_add(1.day()).map_err(wrong)?).map_err(wrong)
}

/// The zone that was named, or the machine's own.
pub fn zone(name: Option<&str>) -> Result<TimeZone, String> {
    match name {
        None => Ok(TimeZone::system()),
        Some(name) => TimeZone::get(name)
            .map_err(|_| "must be an IANA time zone such as Europe/Paris".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_are_the_next_ones_in_the_zone() {
        let paris = zone(Some("Europe/Paris")).unwrap();
        let table = [
            // now, what is written, what it means
            ("2026-03-09T12:00:00Z", "14:05", "2026-03-09T13:05:00Z"),
            ("2026-03-09T14:00:00Z", "14:05", "2026-03-10T13:05:00Z"),
            (
                "2026-03-09T12:00:00Z",
                "2026-04-01T10:00:00+02:00",
                "2026-04-01T08:00:00Z",
            ),
            // 02:30 does not exist in Paris on that night: the clock goes on to 03:30.
            ("2026-03-28T20:00:00Z", "02:30", "2026-03-29T01:30:00Z"),
        ];
        for (now, text, expected) in table {
            let at = read(text, &paris, now.parse().unwrap()).unwrap();
            assert_eq!(
                at,
                expected.parse::<Timestamp>().unwrap(),
                "{text} at {now}"
            );
        }
        for text in ["", "25:00", "2pm", "tomorrow", "14:05:00:00"] {
            assert!(
                read(text, &paris, "2026-03-09T12:00:00Z".parse().unwrap()).is_err(),
                "{text}"
            );
        }
        assert!(zone(Some("Mars/Olympus")).is_err());
    }
}
