//! What is booked: the queues, the numbers and the requests of the bench.

use super::setback::Setback;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Queues that bookings are spread over.
pub const SPREAD: u64 = 8;
/// The queue whose slots are read, and its slots.
pub const BOOKED: &str = "booked";
const BOOKED_DAYS: u64 = 14;
/// Every slot of a spread booking lies within so many days.
const SPREAD_DAYS: u64 = 200;
const SLOTS_OF_A_DAY: u64 = 96;
const AREAS: [u32; 10] = [212, 213, 312, 415, 202, 305, 404, 512, 617, 702];
/// Places of a slot: as many as rules may give.
const PLACES: u64 = 10_000;
/// Callbacks that one customer has.
pub const OF_ONE_CUSTOMER: u64 = 10;

/// A valid number of a large city, another for each `index` below ten million.
pub fn number(index: u64) -> String {
    let area = AREAS[(index / 1_000_000) as usize % AREAS.len()];
    format!("+1{area}{}", 5_000_000 + index % 1_000_000)
}

pub fn spread_queue(index: u64) -> String {
    format!("town-{}", index % SPREAD)
}

/// The same without slots.
pub fn plain_queue(index: u64) -> String {
    format!("plain-{}", index % SPREAD)
}

/// Rules of a queue that sells places in slots, so many that none is full.
pub fn with_slots() -> Value {
    let mut rules = plain();
    rules["capacity"] = json!({"per_slot": PLACES});
    rules["booking"] = json!({"slot": "15m", "horizon": "366d"});
    rules
}

/// Rules of a queue whose calls go to the peer: the customer's leg first, no second try.
pub fn plain() -> Value {
    json!({
        "name": "Bench",
        "hours": {"opening_hours": "24/7", "time_zone": "UTC"},
        "delivery": {"kind": "dn", "dn": "8000", "location": "peer", "max_concurrent": 10_000},
        "leg_order": "customer_first",
        "dial": {"regions": ["US"]},
        "routes": {"voice": ["peer"], "voip": [], "email": []},
        "retry": {"busy": {"after": "5m", "times": 0}},
        "duplicates": "allow",
        "calls_per_number_per_day": 100,
    })
}

/// Slots begin on this day: the one after tomorrow.
pub fn first_day(now: Timestamp) -> Result<Timestamp, Setback> {
    let day = 24 * 3600;
    let next = (now.as_second().div_euclid(day) + 2) * day;
    Timestamp::from_second(next).map_err(Setback::while_doing("the clock is strange"))
}

fn slot(first: Timestamp, index: u64) -> (Timestamp, Timestamp) {
    let quarter = SignedDuration::from_mins(15);
    let start = first + quarter * i32::try_from(index).unwrap_or(0);
    (start, start + quarter)
}

fn booking(queue: &str, number: &str, start: Timestamp, end: Timestamp) -> Value {
    json!({
        "queue": queue, "desired_response_type": "Voice", "customer_number": number, "customer_name": "Ada",
        "any_hour": true, "start_time": start.to_string(), "end_time": end.to_string(),
        "subject": "A question about the last bill", "udata": {"language": "en-US"},
    })
}

/// A booking of a slot of its own or nearly so.
pub fn spread_out(first: Timestamp, index: u64) -> (String, Value) {
    let queue = spread_queue(index);
    // Neighbours in time are neighbours in neither queue nor slot.
    let (start, end) = slot(
        first,
        index.wrapping_mul(7919) % (SPREAD_DAYS * SLOTS_OF_A_DAY),
    );
    let body = booking(&queue, &number(index / OF_ONE_CUSTOMER), start, end);
    (queue, body)
}

/// What a growing database is filled with: every tenth took a place in a slot, the others wait without one.
pub fn waiting(first: Timestamp, index: u64) -> (String, Value) {
    let (queue, mut body) = spread_out(first, index);
    if index.is_multiple_of(10) {
        return (queue, body);
    }
    let queue = plain_queue(index);
    body["queue"] = json!(queue);
    (queue, body)
}

/// A booking of the queue whose slots are read.
pub fn booked(first: Timestamp, index: u64) -> (String, Value) {
    let (start, end) = slot(
        first,
        index.wrapping_mul(7919) % (BOOKED_DAYS * SLOTS_OF_A_DAY),
    );
    let body = booking(BOOKED, &number(index / OF_ONE_CUSTOMER), start, end);
    (BOOKED.to_owned(), body)
}

/// A booking that wants the slot that everybody wants. Shortly before it is sold out, everybody wants the next one.
pub fn hot(first: Timestamp, nth: u64) -> (String, Value) {
    let (start, end) = slot(first, nth / (PLACES - 500));
    ("hot".to_owned(), booking("hot", &number(nth), start, end))
}

/// A booking that is due at that moment, in a queue without slots.
pub fn due(queue: &str, at: Timestamp, index: u64) -> Value {
    booking(
        queue,
        &number(index),
        at,
        at + SignedDuration::from_hours(4),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_and_slots_are_spread() {
        let numbers: BTreeSet<_> = (0..20).map(|n| number(n * 400_000)).collect();
        assert_eq!(numbers.len(), 20);
        let now: Timestamp = "2026-03-09T12:00:00Z".parse().expect("a time");
        let first = first_day(now).expect("a day");
        assert_eq!(first.to_string(), "2026-03-11T00:00:00Z");
        let starts: BTreeSet<_> = (0..1000)
            .map(|n| spread_out(first, n).1["start_time"].to_string())
            .collect();
        assert!(starts.len() > 900);
        let wanted = |nth| hot(first, nth).1["start_time"].to_string();
        assert_eq!(wanted(1), wanted(9000));
        assert_ne!(wanted(1), wanted(PLACES));
    }
}
