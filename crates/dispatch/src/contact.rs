//! How long this node has been in touch with the store without a break.
//!
//! A claim that has run out means that its node is dead, or that it could not say otherwise: while the store was away
//! nobody could. Who is the first to have it back must give the others the time to speak, or it ends calls in which
//! people talk.

use jiff::Timestamp;
use ringback_callbacks::wire_time::plus;
use std::time::Duration;

#[derive(Debug)]
pub struct Contact {
    lease: Duration,
    /// From when to when.
    span: Option<(Timestamp, Timestamp)>,
}

impl Contact {
    pub fn new(lease: Duration) -> Contact {
        Contact { lease, span: None }
    }

    /// Nothing is known of the store between two looks that are further apart, or during one that took as long.
    fn longest(&self) -> Duration {
        self.lease / 3
    }

    /// When to look again at the latest, where there are claims of others to judge of.
    pub fn next(&self) -> Timestamp {
        self.span
            .map_or(Timestamp::MIN, |(_, last)| plus(last, self.longest()))
    }

    /// A look went well, from its beginning to its end.
    pub fn looked(&mut self, began: Timestamp, ended: Timestamp) {
        let slack = self.longest() + SLACK;
        let stalled = ended > plus(began, slack);
        self.span = match self.span {
            Some((since, last)) if !stalled && began <= plus(last, slack) => Some((since, ended)),
            Some(_) | None => Some((ended, ended)),
        };
    }

    pub fn lost(&mut self) {
        self.span = None;
    }

    /// Whether others have had the time of a lease to lengthen theirs.
    pub fn is_steady(&self, now: Timestamp) -> bool {
        self.span.is_some_and(|(since, last)| {
            now >= plus(since, self.lease) && now <= plus(last, self.longest() + SLACK)
        })
    }
}

/// Timers come a little late.
const SLACK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Looks from one second to another, one every so many.
    fn looks(contact: &mut Contact, from: i64, to: i64, every: usize) {
        for second in (from..=to).step_by(every) {
            contact.looked(at(second), at(second));
        }
    }

    #[test]
    fn others_are_given_the_time_of_a_lease() {
        let mut contact = Contact::new(Duration::from_secs(30));
        assert!(!contact.is_steady(at(0)), "it has just begun");
        looks(&mut contact, 0, 29, 1);
        assert!(!contact.is_steady(at(29)));
        looks(&mut contact, 30, 60, 10);
        assert!(contact.is_steady(at(65)));
        contact.lost();
        assert!(!contact.is_steady(at(66)));
        looks(&mut contact, 70, 99, 1);
        assert!(!contact.is_steady(at(99)));
        looks(&mut contact, 100, 100, 1);
        assert!(contact.is_steady(at(100)));
    }

    #[test]
    fn nobody_knows_what_was_between_two_looks_that_are_far_apart() {
        let mut contact = Contact::new(Duration::from_secs(30));
        looks(&mut contact, 0, 60, 10);
        assert!(contact.is_steady(at(71)));
        assert!(!contact.is_steady(at(72)), "already before it has looked");
        looks(&mut contact, 90, 119, 1);
        assert!(!contact.is_steady(at(119)));
        looks(&mut contact, 120, 120, 1);
        assert!(contact.is_steady(at(120)));
    }

    #[test]
    fn a_look_that_took_long_is_a_break() {
        let mut contact = Contact::new(Duration::from_secs(30));
        looks(&mut contact, 0, 60, 10);
        contact.looked(at(61), at(90));
        assert!(!contact.is_steady(at(91)));
        looks(&mut contact, 91, 120, 1);
        assert!(contact.is_steady(at(120)));
    }
}
