//! `[holidays]`: lists of holidays that the operator keeps in files, each under the name by which queues refer to it.

use super::document::{Document, Part};
use ringback_scheduling::{Almanac, HolidayList};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Names of lists, each with its file.
pub type Holidays = BTreeMap<String, PathBuf>;

/// A list longer than this is not read: 5,000 days have room in it.
const LARGEST: u64 = 1024 * 1024;

/// Reads every list. A queue that counted on a list which cannot be read would call people on
/// their holidays, so each that is wrong stops the start.
pub fn read(
    document: &mut Document<'_>,
    holidays: &Part<'_, Holidays>,
    base: &Path,
    mut almanac: Almanac,
) -> Almanac {
    for (name, path) in &holidays.value {
        let path = base.join(path);
        let read = if is_name(name) {
            read_list(&path)
        } else {
            Err("its name must have 1 to 64 lower-case letters, digits, '-' or '_'".to_owned())
        };
        match read {
            Ok(list) => almanac = almanac.with_list(name, list),
            Err(reason) => {
                document.complain(holidays.place_of(name), format!("holidays.{name}"), reason);
                // One complaint is enough: the queues that name it have done nothing wrong.
                almanac = almanac.with_list(name, HolidayList::default());
            }
        }
    }
    almanac
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}

fn read_list(path: &Path) -> Result<HolidayList, String> {
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > LARGEST {
        return Err(format!("{} is larger than {LARGEST} bytes", path.display()));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    HolidayList::parse(&bytes)
        .map_err(|error| format!("{} line {}: {}", path.display(), error.line, error.reason))
}
