//! Lengths of time as people write them: `90s`, `5m`, `1h30m`, `2d`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time in whole seconds, from nothing to [`Span::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    seconds: u32,
}

impl Span {
    pub const ZERO: Span = Span { seconds: 0 };

    /// Nothing in a queue waits longer than this; a larger number is a slip of the keyboard.
    pub const MAX: Span = Span { seconds: 366 * DAY };

    /// Saturates at [`Span::MAX`], because a length of time that overflows has no better meaning.
    pub const fn from_secs(seconds: u32) -> Span {
        if seconds > Span::MAX.seconds {
            return Span::MAX;
        }
        Span { seconds }
    }

    pub const fn from_mins(minutes: u32) -> Span {
        Span::from_secs(minutes.saturating_mul(MINUTE))
    }

    pub const fn from_hours(hours: u32) -> Span {
        Span::from_secs(hours.saturating_mul(HOUR))
    }

    pub const fn as_secs(self) -> u32 {
        self.seconds
    }

    pub const fn is_zero(self) -> bool {
        self.seconds == 0
    }

    pub const fn as_duration(self) -> std::time::Duration {
        std::time::Duration::from_secs(self.seconds as u64)
    }

    pub const fn as_signed(self) -> jiff::SignedDuration {
        jiff::SignedDuration::from_secs(self.seconds as i64)
    }

    /// This length times `factor`, never beyond [`Span::MAX`].
    pub fn scaled(self, factor: u32) -> Span {
        Span::from_secs(self.seconds.saturating_mul(factor))
    }
}

/// Why a text is not a length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    #[error("a length of time is missing: write it like 90s, 5m or 1h30m")]
    Empty,
    #[error("not a length of time: write it like 90s, 5m, 1h30m or 2d (largest unit first)")]
    Form,
    #[error("too long: at most 366 days")]
    TooLong,
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(SpanError::Empty);
        }
        // Four parts of up to ten digits are the most that can mean anything.
        if text.len() > 44 {
            return Err(SpanError::Form);
        }
        let mut total: u64 = 0;
        // Units must shrink from left to right, so that `5m5m` or `30s1h` is seen as the slip it is.
        let mut last_unit = u64::MAX;
        let mut digits: Option<u64> = None;
        for letter in text.chars() {
            if let Some(digit) = letter.to_digit(10) {
                let so_far = digits.unwrap_or(0);
                digits = Some(
                    so_far
                        .checked_mul(10)
                        .and_then(|n| n.checked_add(u64::from(digit)))
                        .ok_or(SpanError::TooLong)?,
                );
                continue;
            }
            let unit = unit_seconds(letter).ok_or(SpanError::Form)?;
            let count = digits.take().ok_or(SpanError::Form)?;
            if unit >= last_unit {
                return Err(SpanError::Form);
            }
            last_unit = unit;
            total = count
                .checked_mul(unit)
                .and_then(|part| total.checked_add(part))
                .ok_or(SpanError::TooLong)?;
        }
        if digits.is_some() {
            return Err(SpanError::Form);
        }
        let seconds = u32::try_from(total).map_err(|_| SpanError::TooLong)?;
        if seconds > Span::MAX.seconds {
            return Err(SpanError::TooLong);
        }
        Ok(Span { seconds })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.seconds == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.seconds;
        for (unit, letter) in [(DAY, 'd'), (HOUR, 'h'), (MINUTE, 'm'), (1, 's')] {
            let count = rest / unit;
            rest %= unit;
            if count > 0 {
                write!(f, "{count}{letter}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

const MINUTE: u32 = 60;
const HOUR: u32 = 60 * MINUTE;
const DAY: u32 = 24 * HOUR;

fn unit_seconds(letter: char) -> Option<u64> {
    match letter {
        'd' => Some(u64::from(DAY)),
        'h' => Some(u64::from(HOUR)),
        'm' => Some(u64::from(MINUTE)),
        's' => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        let cases = [
            ("0s", 0),
            ("90s", 90),
            ("5m", 300),
            ("1h30m", 5400),
            ("1h30m5s", 5405),
            ("2d", 172_800),
            ("366d", 366 * 86_400),
        ];
        for (text, seconds) in cases {
            assert_eq!(text.parse(), Ok(Span::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn refuses_what_nobody_means() {
        let cases = [
            ("", SpanError::Empty),
            ("5", SpanError::Form),
            ("m", SpanError::Form),
            ("-5m", SpanError::Form),
            ("5 m", SpanError::Form),
            ("1.5h", SpanError::Form),
            ("5m5m", SpanError::Form),
            ("30s1h", SpanError::Form),
            ("5M", SpanError::Form),
            ("367d", SpanError::TooLong),
            ("99999999999999999999s", SpanError::TooLong),
            ("18446744073709551615d", SpanError::TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Span>(), Err(error), "{text}");
        }
    }

    #[test]
    fn writes_the_shortest_form() {
        for text in ["0s", "1m30s", "1h", "1d2h", "366d"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        let json = serde_json::to_string(&Span::from_mins(90)).unwrap();
        assert_eq!(json, r#""1h30m""#);
        assert_eq!(
            serde_json::from_str::<Span>(&json).unwrap(),
            Span::from_mins(90)
        );
        assert!(serde_json::from_str::<Span>("300").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(seconds in 0..=Span::MAX.seconds) {
            let span = Span::from_secs(seconds);
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = text.parse::<Span>();
        }
    }
}
