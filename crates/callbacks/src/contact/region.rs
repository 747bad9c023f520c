//! Regions of the numbering plan: ISO 3166 codes that have telephone numbers.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use rlibphonenumber::PHONE_NUMBER_UTIL;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A region with telephone numbers of its own, like `US`, `JM` or `JE`. Never a country code:
/// `+1` is twenty-five regions, and `+44` four.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region([u8; 2]);

/// A text that is not such a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an ISO 3166 code in capitals, like US")]
pub struct RegionError;

impl Region {
    pub fn parse(code: &str) -> Result<Region, RegionError> {
        let &[a, b] = code.as_bytes() else {
            return Err(RegionError);
        };
        if !(a.is_ascii_uppercase() && b.is_ascii_uppercase()) {
            return Err(RegionError);
        }
        let library = rlibphonenumber::Region::from_code(code).map_err(|_| RegionError)?;
        PHONE_NUMBER_UTIL
            .get_country_code_for_region(library)
            .ok_or(RegionError)?;
        Ok(Region([a, b]))
    }

    /// The region of a number; none for satellites and other networks of no country.
    pub(super) fn from_library(region: rlibphonenumber::Region) -> Option<Region> {
        PHONE_NUMBER_UTIL.get_country_code_for_region(region)?;
        match region.as_region_str().as_str().as_bytes() {
            &[a, b] => Some(Region([a, b])),
            // `001`, the world.
            _ => None,
        }
    }

    pub(super) fn to_library(self) -> Option<rlibphonenumber::Region> {
        rlibphonenumber::Region::from_code(self.as_str()).ok()
    }

    pub fn as_str(&self) -> &str {
        // Always two capitals, as `parse` has seen to.
        str::from_utf8(&self.0).unwrap_or("ZZ")
    }
}

impl Deref for Region {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Region {
    type Err = RegionError;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        Region::parse(code)
    }
}

impl Serialize for Region {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Region::parse(&code).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_with_numbers_of_their_own() {
        for code in [
            "US", "CA", "JM", "GB", "JE", "GG", "IM", "IT", "VA", "RU", "KZ", "AX", "XK",
        ] {
            assert_eq!(Region::parse(code).unwrap().as_str(), code);
        }
        for code in [
            "", "us", "Us", "USA", "UK", "001", "ZZ", "XX", "AQ", "1", "É", "ÄÖ",
        ] {
            assert_eq!(Region::parse(code), Err(RegionError), "{code}");
        }
        assert!(serde_json::from_str::<Region>(r#""usa""#).is_err());
        assert_eq!(
            serde_json::to_string(&Region::parse("FR").unwrap()).unwrap(),
            r#""FR""#
        );
    }
}
