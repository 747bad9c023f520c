//! The two things no decision may reach for by itself: what time it is, and chance.

use jiff::Timestamp;
use std::future::Future;
use std::pin::Pin;
use uuid::Uuid;

/// Time, handed in. The system's own lives in the program; tests hand in one they turn by hand.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;

    /// Completes when the wall clock has reached `at`, or earlier: callers read the clock again.
    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Chance and fresh ids, handed in.
pub trait Chance: Send + Sync + 'static {
    /// A fresh id, roughly ordered by time; never used as a sequence.
    fn uuid(&self) -> Uuid;

    /// A number in 0 ≤ x < 1.
    fn unit(&self) -> f64;

    /// Unguessable bytes.
    fn fill(&self, bytes: &mut [u8]);

    /// A new customer's id: 16 characters of Crockford's base 32, 42 bits of milliseconds since 1970 (enough until 2109)
    /// and 38 bits of chance. Ids of one time lie together in every index that they lead, where ids of pure chance would
    /// each touch a page of their own. Not a secret: it tells when the customer was first heard of.
    fn customer_id(&self, now: Timestamp) -> crate::ids::CustomerId {
        const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let mut bytes = [0u8; 8];
        self.fill(&mut bytes);
        let time = u128::try_from(now.as_millisecond()).unwrap_or(0) & ((1 << 42) - 1);
        let bits = time << 38 | u128::from(u64::from_le_bytes(bytes) >> 26);
        let text: String = (0..16)
            .rev()
            .map(|place| char::from(ALPHABET[(bits >> (5 * place)) as usize & 31]))
            .collect();
        crate::ids::CustomerId::parse(&text)
            .unwrap_or_else(|_| unreachable!("the alphabet is a subset of what ids allow"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Always the same.
    struct Loaded(u8);

    impl Chance for Loaded {
        fn uuid(&self) -> Uuid {
            Uuid::from_bytes([self.0; 16])
        }

        fn unit(&self) -> f64 {
            0.0
        }

        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn customer_ids_lie_in_the_order_of_their_making() {
        let id = |at: &str, chance: u8| {
            let id = Loaded(chance).customer_id(at.parse().unwrap());
            id.as_str().to_owned()
        };
        let ids = [
            id("1969-07-20T20:17:40Z", 0),
            id("1970-01-01T00:00:00.001Z", 255),
            id("2026-11-29T07:00:00Z", 255),
            id("2026-11-29T07:00:00.001Z", 0),
            id("2026-11-29T07:00:00.001Z", 8),
            id("2109-05-15T07:35:11.103Z", 0),
        ];
        assert!(ids.is_sorted(), "{ids:?}");
        assert_eq!(ids[0], "0000000000000000");
        // 1970 again: not in order any more, but still an id.
        let later = id("2300-01-01T00:00:00Z", 255);
        for id in ids.iter().chain([&later]) {
            assert_eq!(id.len(), 16, "{id}");
        }
    }
}
