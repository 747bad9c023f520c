//! What a telephone in the town does when it rings.

use std::time::Duration;

/// One call's worth of behaviour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Rings for `after`, answers, and talks.
    Answer { after: Duration, talk: Talk },
    /// Refuses with a final answer; rings first when `after` is more than nothing.
    Refuse {
        code: u16,
        reason: &'static str,
        after: Duration,
    },
    /// Rings until the caller gives up.
    RingForever,
    /// Says nothing at all, not even to a retransmission.
    Silent,
}

/// How long a call that was answered lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// Hangs up itself, this long after the two could first hear each other.
    For(Duration),
    /// Leaves hanging up to the other side.
    UntilHungUp,
}

impl Behaviour {
    pub fn answer(after: Duration, talk: Talk) -> Self {
        Behaviour::Answer { after, talk }
    }

    pub fn busy() -> Self {
        Behaviour::refuse(486, "Busy Here")
    }

    pub fn decline() -> Self {
        Behaviour::refuse(603, "Decline")
    }

    pub fn not_found() -> Self {
        Behaviour::refuse(404, "Not Found")
    }

    pub fn unavailable() -> Self {
        Behaviour::refuse(480, "Temporarily Unavailable")
    }

    pub fn refuse(code: u16, reason: &'static str) -> Self {
        Behaviour::Refuse {
            code,
            reason,
            after: Duration::ZERO,
        }
    }
}

/// Behaviours for successive calls; the last one stays. An empty script is a busy telephone.
#[derive(Clone, Debug)]
pub struct Script {
    next: usize,
    behaviours: Vec<Behaviour>,
}

impl Script {
    pub fn new(behaviours: impl Into<Vec<Behaviour>>) -> Self {
        Script {
            next: 0,
            behaviours: behaviours.into(),
        }
    }

    pub(crate) fn next(&mut self) -> Behaviour {
        let behaviour = self
            .behaviours
            .get(self.next)
            .or(self.behaviours.last())
            .cloned();
        self.next = self.next.saturating_add(1);
        behaviour.unwrap_or_else(Behaviour::busy)
    }
}

impl From<Behaviour> for Script {
    fn from(behaviour: Behaviour) -> Self {
        Script::new([behaviour])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_behaviour_stays() {
        let mut script = Script::new([Behaviour::busy(), Behaviour::RingForever]);
        assert_eq!(script.next(), Behaviour::busy());
        assert_eq!(script.next(), Behaviour::RingForever);
        assert_eq!(script.next(), Behaviour::RingForever);
        assert_eq!(Script::new([]).next(), Behaviour::busy());
    }
}
