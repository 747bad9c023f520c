//! The months into which the large tables are divided, by the time that their ids begin with.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use uuid::Uuid;

/// Tables divided by month, and the column they are divided by.
pub(super) const TABLES: [&str; 4] = ["interactions", "callbacks", "attempts", "events"];

/// Months made in advance, this one included.
pub(super) const AHEAD: i64 = 3;

/// A month's partition: its suffix, the first id in it and the first behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Month {
    pub suffix: String,
    pub from: Uuid,
    pub to: Uuid,
}

/// The month of a moment and those behind it.
pub(super) fn ahead(now: Timestamp) -> Vec<Month> {
    let first = now.to_zoned(TimeZone::UTC).date().first_of_month();
    (0..AHEAD)
        .filter_map(|number| month(first, number))
        .collect()
}

/// Ids that are taken for having been made at a time: those of version 7 in the years of telephones like ours. Others
/// were made up, and fall into no month.
pub(crate) fn range() -> (Uuid, Uuid) {
    let first = first_id(Date::constant(2020, 1, 1)).unwrap_or(Uuid::nil());
    let before = first_id(Date::constant(2100, 1, 1)).unwrap_or(Uuid::max());
    (first, before)
}

/// The month in which an id was made.
pub(crate) fn holding(id: Uuid) -> Option<Month> {
    let at = i64::try_from(id.as_u128() >> 80).ok()?;
    let at = Timestamp::from_millisecond(at).ok()?;
    month(at.to_zoned(TimeZone::UTC).date().first_of_month(), 0)
}

/// The month of a partition's suffix.
pub(super) fn named(suffix: &str) -> Option<Month> {
    let (year, number) = suffix.split_once('_')?;
    month(
        Date::new(year.parse().ok()?, number.parse().ok()?, 1).ok()?,
        0,
    )
}

/// The smallest id that can have been made at a moment.
pub(super) fn first_id_at(at: Timestamp) -> Uuid {
    let ms = u128::try_from(at.as_millisecond()).unwrap_or(0);
    Uuid::from_u128(ms << 80)
}

fn month(first: Date, number: i64) -> Option<Month> {
    let begin = first.checked_add(number.months()).ok()?;
    let end = begin.checked_add(1.month()).ok()?;
    Some(Month {
        suffix: format!("{:04}_{:02}", begin.year(), begin.month()),
        from: first_id(begin)?,
        to: first_id(end)?,
    })
}

/// The smallest id of version 7 that was made at midnight (UTC) of a day.
fn first_id(date: Date) -> Option<Uuid> {
    Some(first_id_at(date.to_zoned(TimeZone::UTC).ok()?.timestamp()))
}

/// Statements that make a month's partitions where they are missing.
pub(super) fn statements(month: &Month) -> Vec<String> {
    TABLES
        .iter()
        .map(|table| {
            format!(
                "CREATE TABLE IF NOT EXISTS {table}_{} PARTITION OF {table} FOR VALUES FROM ('{}') TO ('{}')",
                month.suffix, month.from, month.to
            )
        })
        .collect()
}

/// Whatever falls into no month: ids that others made up.
pub(super) fn rest() -> Vec<String> {
    TABLES
        .iter()
        .map(|table| {
            format!("CREATE TABLE IF NOT EXISTS {table}_rest PARTITION OF {table} DEFAULT")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_follow_each_other_without_a_gap() {
        let months = ahead("2026-11-28T12:00:00Z".parse().unwrap());
        let names: Vec<_> = months.iter().map(|month| month.suffix.as_str()).collect();
        assert_eq!(names, ["2026_11", "2026_12", "2027_01"]);
        assert_eq!(months[0].to, months[1].from);
        assert_eq!(months[1].to, months[2].from);
        assert_eq!(named("2026_12").as_ref(), Some(&months[1]));
        assert_eq!(holding(months[1].from).as_ref(), Some(&months[1]));
        assert_eq!(named("rest"), None);
    }

    #[test]
    fn an_id_of_a_month_lies_in_it() {
        let now: Timestamp = "2026-12-31T23:59:59.999Z".parse().unwrap();
        let made = Uuid::from_u128(
            (u128::try_from(now.as_millisecond()).unwrap() << 80) | (7 << 76) | 0xffff,
        );
        let month = &ahead(now)[0];
        assert!(month.from <= made && made < month.to, "{month:?}");
    }
}
