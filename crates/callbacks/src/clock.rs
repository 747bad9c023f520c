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

    /// A new customer's id: 16 characters of Crockford's base 32, 80 bits of chance.
    fn customer_id(&self) -> crate::ids::CustomerId {
        const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let mut bytes = [0u8; 16];
        self.fill(&mut bytes);
        let text: String = bytes
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(byte & 31)]))
            .collect();
        crate::ids::CustomerId::parse(&text)
            .unwrap_or_else(|_| unreachable!("the alphabet is a subset of what ids allow"))
    }
}
